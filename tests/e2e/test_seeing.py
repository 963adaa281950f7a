"""What a mount shows of itself: status, top, metrics and xattrs, with registries that are slow, dead or fine."""
import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time

import pytest

import images
import imgfs as program
from fake_registry import FakeRegistry, Reply
from images import small_content
from imgfs import SLOWER
from processes import free_port, run, wait_for
from registry import Registry
from window import ENTER, LEAVE, Window

LARGE, MANY = "data/large", "data/many"


@pytest.fixture
def world(scratch):
    """Records of this test alone."""
    return {"IMGFS_RUNTIME_DIR": os.fspath(scratch / "runtime")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A registry, and a store that has its image's indexes and none of its bytes."""
    folder = tmp_path_factory.mktemp("seeing")
    registry, owner = FakeRegistry().start(), program.Imgfs(folder / "owner")
    registry.add_layout(images.small_image(folder / "small").rsplit(":", 1)[0])
    owner.build(registry.reference(), "--plain-http")
    owner.keep_only_indexes()
    yield registry, owner.store
    registry.stop()


@pytest.fixture
def fake(built):
    """The registry, honest and running."""
    registry, _ = built
    registry.forget()
    if not registry.server:
        registry.start()
    return registry


@pytest.fixture
def cold(fake, built, imgfs):
    """The reference; the store has its indexes and none of its bytes."""
    run("cp", "-a", built[1], imgfs.store)
    return fake.reference()


@pytest.fixture
def mounted(cold, imgfs, world):
    return lambda *options: imgfs.mount(cold, "--plain-http", "--no-profile", *options, env=world)


@pytest.fixture
def umount(imgfs, world):
    def end(folder):
        imgfs.run("umount", folder, env=world)
        imgfs.mounts.remove(folder)

    return end


@pytest.fixture
def status(imgfs, world):
    def get(folder):
        (found,) = json.loads(imgfs.run("status", "--json", folder, env=world).stdout)["mounts"]
        return found

    return get


@contextlib.contextmanager
def reader_of(folder, path, registry=None):
    """A reader, and a registry that comes back at the end, so that it need not be killed: libfuse leaks late interrupts."""
    with subprocess.Popen(["cat", f"{folder}/{path}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        try:
            yield reader
        finally:
            if registry:
                registry.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(30 * SLOWER)
            reader.kill()


def read(folder, path):
    with open(f"{folder}/{path}", "rb") as file:
        return file.read()


# ---- status ---------------------------------------------------------------------------------------------------------


def test_what_hangs_and_why(fake, mounted, status, imgfs, world):
    folder = mounted("--read-budget", "6")
    fake.stop()
    with reader_of(folder, LARGE) as reader:
        shown = wait_for(lambda: (s := status(folder))["waiting"] and s["failures"] and s, "somebody waits, and it is known why")
        (wait, *_) = shown["waiting"]
        assert wait["path"] == "/" + LARGE and wait["inode"] == os.stat(f"{folder}/{LARGE}").st_ino
        assert wait["layer"] == 1 and shown["reads_waiting"] >= 1 and wait["length"] > 0
        wait_for(lambda: "refused" in status(folder)["waiting"][0]["reason"], "the reason")
        text = imgfs.run("status", folder, env=world).stdout
        assert "/" + LARGE in text and "connection refused" in text and "last error" in text
        assert reader.wait(30 * SLOWER) != 0
    after = status(folder)
    assert after["waiting"] == [] and after["reads_waiting"] == 0 and after["fetches_running"] == 0
    assert after["slow"][0]["failed"] and after["slow"][0]["path"] == "/" + LARGE and "refused" in after["slow"][0]["reason"]
    assert after["slow"][0]["waited_ms"] >= 5000 and abs(after["slow"][0]["ended"] - time.time()) < 60
    assert after["content"]["errors"] >= 1 and after["content"]["failures"] >= 1
    assert sum(bucket["reads"] for bucket in after["wait_times"]) >= 1


def test_a_slow_registry(fake, mounted, status):
    folder = mounted()
    fake.on("GET .*/blobs/", Reply(503), times=1)
    fake.on("GET .*/blobs/", lambda request: time.sleep(0.6))
    assert read(folder, f"{MANY}/07") == small_content(f"{MANY}/07")
    shown = status(folder)
    slow = shown["slow"][0]
    assert not slow["failed"] and slow["path"] == f"/{MANY}/07" and slow["layer"] == 2
    assert 600 <= slow["waited_ms"] < 30000 * SLOWER and "503" in slow["reason"]
    assert shown["content"]["errors"] == 0 and shown["failures"][0]["layer"] == 2


def test_bytes_by_layer(mounted, status, imgfs):
    folder = mounted()
    read(folder, f"{MANY}/07")
    shown = status(folder)
    layers = shown["layer_details"]
    assert [row["state"] for row in layers] == shown["layers"] == ["proven"] * 3
    assert layers[1]["fetched_bytes"] == 0 < layers[2]["fetched_bytes"] == shown["content"]["fetched_bytes"]
    assert 0 < layers[2]["chunks_stored"] < layers[2]["chunks"]
    sizes = [layer["size"] for layer in imgfs.json("inspect", "--plain-http", shown["image"])["layers"]]
    assert [row["size"] for row in layers] == sizes and shown["size"] == sum(sizes)


def test_what_a_fill_fetched_shows_without_a_read(mounted, status):
    folder = mounted("--fill=full")
    full = wait_for(lambda: (s := status(folder)) and all(row["chunks_stored"] == row["chunks"] > 0 for row in s["layer_details"])
                    and s, "everything is here", 60 * SLOWER)
    assert full["content"]["reads"] == 0
    assert full["content"]["fetched_bytes"] == sum(row["fetched_bytes"] for row in full["layer_details"]) >= full["size"] * 0.99
    assert full["hit_percent"] is None
    read(folder, LARGE)
    assert status(folder)["hit_percent"] == 100


def test_names_of_a_published_tree(scratch, status, world):
    """The tree came with a published index: rows have names all the same."""
    registry = Registry(scratch / "registry").start()
    first, second = program.Imgfs(scratch / "first"), program.Imgfs(scratch / "second")
    key, public = scratch / "key.pem", scratch / "public.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    try:
        reference = registry.push(images.small_image(scratch / "image"), "seeing")
        first.run("index push", "--sign-key", key, reference)
        folder = second.mount(reference, "--trust-key", public, "--no-profile", "--read-budget", "3", env=world)
        assert status(folder)["layers"] == ["unindexed", "signed", "signed"]
        shown = second.run("status", folder, env=world).stdout
        assert "\n  0 small " in shown and "\nsmall       up to 1 MiB" in shown and "unindexed" not in shown
        read(folder, f"{MANY}/01")
        assert status(folder)["layer_details"][2]["fetched_bytes"] > 0
        registry.stop()
        with reader_of(folder, LARGE):
            waiting = wait_for(lambda: status(folder)["waiting"], "a read waits")
            assert waiting[0]["path"] == "/" + LARGE
    finally:
        second.stop()
        registry.stop()


def test_a_daemon_that_died(mounted, imgfs, world, umount, status, scratch):
    """Its mount is there and can not be looked at; live ones, and those of other users, are not called dead."""
    dead, live = mounted(), mounted()
    os.kill(status(dead)["pid"], signal.SIGKILL)
    for command in ("status", "top"):
        done = imgfs.run(command, dead, env=world, check=False)
        assert done.returncode == 3 and f"{dead} is a mount whose daemon is gone; run 'imgfs umount {dead}'" in done.stderr, done
    done = imgfs.run("status", "--json", env=world)
    assert [row["mountpoint"] for row in json.loads(done.stdout)["mounts"]] == [live]
    assert done.stderr == f"imgfs status: {dead} is a mount whose daemon is gone; run 'imgfs umount {dead}' (no daemon has a record of it in {world['IMGFS_RUNTIME_DIR']})\n"
    assert imgfs.run("status", "-q", env=world).stderr == ""
    done = imgfs.run("status", "/usr", env=world, check=False)
    assert done.returncode == 3 and "no image of yours" in done.stderr
    umount(dead)
    assert imgfs.run("status", env=world).stderr == ""
    done = imgfs.run("status", dead, env=world, check=False)
    assert done.returncode == 3 and "no image of yours" in done.stderr


def test_status_fits_a_narrow_window(fake, mounted, imgfs, world):
    folder = mounted("--read-budget", "30")
    fake.stop()
    with reader_of(folder, LARGE, fake):
        for words in (["status"], ["status", folder]):
            window = Window(imgfs.command(*words), 40, 24, program.environment(**world, TERM="xterm"))
            try:
                assert window.end() == 0
                lines = [line.rstrip("\r") for line in window.read().split("\n")]
            finally:
                window.close()
            if len(words) == 1:
                assert any("MOUNTPOINT" in line for line in lines) and max(map(len, lines)) < 60, lines
                assert max(len(line) for line in lines if "\x1b" not in line) <= 40, lines
            else:
                assert any(line.startswith("errors") for line in lines)
                table = lines[next(i for i, line in enumerate(lines) if "LAYER" in line) :]
                assert max(len(line) for line in table if "\x1b" not in line) <= 40, table


# ---- xattrs ---------------------------------------------------------------------------------------------------------


def own(path):
    return {name: os.getxattr(path, name).decode() for name in os.listxattr(path) if name.startswith("user.imgfs.")}


def test_xattrs(mounted, status):
    folder = mounted("-o", "xattrs")
    layers = [row["digest"] for row in status(folder)["layer_details"]]
    path = f"{folder}/{MANY}/07"
    expected = {"user.imgfs.layer": layers[2], "user.imgfs.cached": "0",
                "user.imgfs.digest": "sha256:" + hashlib.sha256(small_content(f"{MANY}/07")).hexdigest()}
    assert own(path) == expected
    assert own(f"{folder}/{LARGE}")["user.imgfs.layer"] == layers[1]
    read(folder, f"{MANY}/07")
    wait_for(lambda: own(path) == {**expected, "user.imgfs.cached": str(64 << 10)}, "all of it is kept")
    assert own(f"{folder}/{LARGE}")["user.imgfs.cached"] == "0"
    assert own(f"{folder}/etc/empty") == {"user.imgfs.cached": "0",
                                          "user.imgfs.digest": "sha256:" + hashlib.sha256(b"").hexdigest()}
    assert own(f"{folder}/data") == {}
    with pytest.raises(OSError, match="No data"):
        os.getxattr(path, "user.imgfs.nothing")
    shown = run("getfattr", "-d", "--absolute-names", path).stdout
    assert f'user.imgfs.layer="{layers[2]}"' in shown and 'user.imgfs.cached="65536"' in shown


def test_xattrs_of_the_image_are_its_own(imgfs, scratch):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 4
        entry.pax_headers = {"SCHILY.xattr.user.imgfs.cached": "mine", "SCHILY.xattr.user.other": "too"}
        tar.addfile(entry, io.BytesIO(b"text"))
    layout = images.Layout(scratch / "image")
    layout.add_layer(out.getvalue())
    reference = "oci:" + layout.write()
    folder = imgfs.mount(reference, "-o", "xattrs")
    path = f"{folder}/file"
    assert sorted(os.listxattr(path)) == ["user.imgfs.cached", "user.imgfs.digest", "user.imgfs.layer", "user.other"]
    assert os.getxattr(path, "user.imgfs.cached") == b"mine" and os.getxattr(path, "user.other") == b"too"
    imgfs.umount(folder)
    folder = imgfs.mount(reference)
    assert sorted(os.listxattr(f"{folder}/file")) == ["user.imgfs.cached", "user.other"]


# ---- metrics --------------------------------------------------------------------------------------------------------


def page(port, method="GET", path="/metrics"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * SLOWER)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def value(text, name, **labels):
    wanted = [f'{key}="{word}"' for key, word in labels.items()]
    (found,) = [line for line in text.splitlines() if line.startswith(name + "{") and all(word in line for word in wanted)]
    return float(found.rsplit(" ", 1)[1])


def check_form(text):
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def quiet(status, folder):
    """Wait until nothing is fetched any more: neighbours of what was read come after the answer."""
    seen = []

    def same():
        seen.append(status(folder)["content"]["fetched_bytes"])
        time.sleep(0.3)
        return len(seen) > 1 and seen[-1] == seen[-2] and status(folder)["fetches_running"] == 0
    wait_for(same, "nothing is fetched any more")


def test_metrics_on_a_port(mounted, status):
    port = free_port()
    folder = mounted("--metrics", f":{port}")
    read(folder, f"{MANY}/07")
    quiet(status, folder)
    code, headers, text = page(port)
    assert code == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    check_form(text)
    shown = status(folder)
    assert value(text, "imgfs_fetched_bytes_total", mountpoint=folder) == shown["content"]["fetched_bytes"] > 0
    assert value(text, "imgfs_upcalls_total", kind="lookup") == shown["upcalls"]["lookup"]
    assert value(text, "imgfs_read_wait_seconds_count") == sum(bucket["reads"] for bucket in shown["wait_times"]) >= 1
    assert value(text, "imgfs_layer_fetched_bytes_total", layer="2") == shown["layer_details"][2]["fetched_bytes"]
    assert value(text, "imgfs_layer_state", layer="1", state="proven") == 1
    assert page(port, "HEAD")[::2] == (200, "") and page(port, path="/")[0] == 404 and page(port, "DELETE")[0] == 405
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


def test_metrics_page_is_bounded(mounted):
    """Connections that say nothing are ended, and do not keep others out for long."""
    port = free_port()
    folder = mounted("--metrics", f"127.0.0.1:{port}")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20 * SLOWER)) for _ in range(20)]
        silent[0].sendall(b"GET /metr")
        with contextlib.suppress(OSError):
            silent[1].sendall(b"x" * 20000)
            assert silent[1].recv(100).startswith(b"HTTP/1.1 431 ")
        assert read(folder, "etc/name") == b"small\n"
        assert page(port)[0] == 200
        assert silent[0].recv(100) == b""


def test_metrics_on_a_socket(mounted, imgfs, scratch, status, umount):
    path = scratch / "metrics.sock"
    folder = mounted("--metrics", f"unix:{path}")

    def ask():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(os.fspath(path))
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode().split("\r\n\r\n", 1)[1]

    check_form(ask())
    refused = imgfs.run("mount", "--plain-http", "--metrics", f"unix:{path}", status(folder)["image"], imgfs.new_folder(), check=False)
    assert refused.returncode == 1 and "in use" in refused.stderr
    assert value(ask(), "imgfs_mount_info", mountpoint=folder) == 1
    os.kill(status(folder)["pid"], signal.SIGKILL)
    umount(folder)
    assert path.exists()
    again = mounted("--metrics", f"unix:{path}")
    assert value(ask(), "imgfs_mount_info", mountpoint=again) == 1
    umount(again)
    assert not path.exists()


def test_metrics_in_a_file(mounted, umount, scratch):
    path = scratch / "textfiles" / "imgfs.prom"
    path.parent.mkdir()
    folder = mounted("--metrics", path)
    first = path.read_text()
    check_form(first)
    inode = path.stat().st_ino
    read(folder, f"{MANY}/07")
    wait_for(lambda: path.stat().st_ino != inode, "written again", 25 * SLOWER)
    assert value(path.read_text(), "imgfs_reads_total") >= 1 > value(first, "imgfs_reads_total")
    assert os.listdir(path.parent) == ["imgfs.prom"]
    umount(folder)
    assert not os.listdir(path.parent), "a mount that is gone is not reported for ever"
    folder, other = mounted("--metrics", path), mounted("--metrics", path)
    umount(folder)
    assert value(path.read_text(), "imgfs_mount_info", mountpoint=other) == 1, "the file of another mount stays"
    umount(other)
    assert not os.listdir(path.parent)


@pytest.mark.parametrize("where, code, word", [
    (":0", 2, "port"), ("a:b", 2, "port"), ("unix:", 2, "named"), ("::1:80", 2, "brackets"), ("example.com:80", 2, "numbers"),
    ("/nonexistent/m.prom", 3, "directory"), ("/proc", 2, "directory"), ("192.0.2.1:9", 1, "listen"),
])
def test_metrics_that_can_not_be(cold, imgfs, where, code, word):
    folder = imgfs.new_folder()
    done = imgfs.run("mount", "--plain-http", "--metrics", where, cold, folder, check=False)
    assert done.returncode == code and word in done.stderr and len(done.stderr.splitlines()) == 1, done
    assert not program.mount_of(folder) and not program.processes_of(folder)


# ---- top ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def top(imgfs, world):
    """top(columns, lines, options...): it runs in a window of this size."""
    made = []

    def start(columns, lines, *options, **env):
        made.append(Window(imgfs.command("top", *options), columns, lines, program.environment(**world, TERM="xterm", **env)))
        return made[-1]

    yield start
    for window in made:
        window.close()


def fits(frame, columns, lines):
    assert len(frame) <= lines and max(map(len, frame)) <= columns, "\n".join(frame)


def test_top_in_a_pipe(mounted, imgfs, world):
    folder = mounted()
    read(folder, f"{MANY}/07")
    done = imgfs.run("top", "-b", "-n", "2", env=world)
    assert done.stdout.count("imgfs top") == 2 and done.stdout.count(folder) == 2 and "\x1b" not in done.stdout
    assert imgfs.run("top", "-n", "1", env=world).stdout.count(folder) == 1, "no terminal is as good as -b"
    one = imgfs.run("top", "-n", "1", folder, env=world).stdout
    assert "fetched" in one and "proven" in one and "[" in one
    assert imgfs.run("top", "-n", "1", "/usr", env=world, check=False).returncode == 3
    begun = time.monotonic()
    assert imgfs.run("top", "-b", "-n", "4", "-d", ".2", env=world).stdout.count("imgfs top") == 4
    assert 0.6 <= time.monotonic() - begun < 2.5 * SLOWER
    for words in (["-d", "0"], ["-d", "0.09"], ["-d", "3601"], ["-d", "1s"], ["-d", "."], ["-d", "-1"], ["-n", "0"]):
        assert imgfs.run("top", *words, env=world, check=False).returncode == 2, words
    shown = subprocess.run(["sh", "-c", '"$@" | head -1', "sh", *imgfs.command("top", "-b")], capture_output=True, text=True,
                           env=program.environment(**world), timeout=60, check=True)
    assert shown.stdout.startswith("imgfs top")


def test_top_in_forty_columns(fake, mounted, top):
    folder = mounted("--read-budget", "60")
    other = mounted()
    fake.stop()
    with reader_of(folder, LARGE, fake):
        window = top(40, 24)
        fits(window.wait_for("WAITING", "1 waiting", other[-10:]), 40, 24)
        window.type(b"\r")
        fits(window.wait_for("[....", "Escape", "1 read waits"), 40, 24)
        window.resize(100, 30)
        os.kill(window.pid, signal.SIGWINCH)
        fits(window.wait_for("FETCHED", "refused"), 100, 30)
        window.type(b"\x1b")
        window.wait_for("sort:")
        window.type(b"w\x1b[B")
        window.wait_for("(by waiting)")
        window.resize(20, 5)
        os.kill(window.pid, signal.SIGWINCH)
        fits(window.wait_for("imgfs top  "), 100, 30)
        window.type(b"q")
        assert window.end() == 0 and window.is_given_back()


@pytest.mark.parametrize("how", ["ctrl-c", "term", "hangup", "quit"])
def test_top_gives_the_terminal_back(mounted, top, how):
    mounted()
    window = top(80, 24)
    window.wait_for("MOUNTPOINT")
    number = {"ctrl-c": signal.SIGINT, "term": signal.SIGTERM, "hangup": signal.SIGHUP, "quit": signal.SIGQUIT}[how]
    if how == "ctrl-c":
        window.type(b"\x03")
    else:
        os.kill(window.pid, number)
    assert os.WTERMSIG(window.end()) == number and window.is_given_back()


def test_top_stops_and_goes_on(imgfs, world):
    """Nothing is mounted, either."""
    script = 'set -m; "$@"; stty -a | grep -q " -icanon" || echo STOPPED; fg'
    window = Window(["sh", "-c", script, "sh", *imgfs.command("top")], 80, 24, program.environment(**world, TERM="xterm"))
    try:
        window.wait_for("Nothing is mounted")
        window.type(b"\x1a")
        wait_for(lambda: window.read().count(ENTER) == 2, "shown again")
        assert window.text.index(LEAVE) < window.text.index("STOPPED") < window.text.rindex(ENTER)
        window.type(b"q")
        assert window.end() == 0 and window.is_given_back()
    finally:
        window.close()


def test_top_shows_rates(mounted, top):
    folder = mounted()
    window = top(120, 24, folder)
    window.wait_for("0 B/s read")
    read(folder, LARGE)
    window.wait_for("MiB/s read", "MiB/s fetched")
    window.type(b"q")
    assert window.end() == 0
