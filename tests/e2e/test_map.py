"""imgfs map: it tells exactly what a mount has read, fetched and waited for, in each of its forms."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import pytest

import imgfs as program
from images import Layout, noise, small_content, small_image, tar_of
from processes import free_port, run, wait_for
from published import World
from registry import Registry
from test_cli import failed, on_terminal

# pylint: disable=redefined-outer-name

SVG = "{http://www.w3.org/2000/svg}"
CHUNK = 256 << 10


def read(mount, path, off=0, n=-1):
    with open(os.path.join(mount, path), "rb") as file:
        file.seek(off)
        return file.read(n)


def chunks_of(layer, key):
    """The numbers of chunks whose run says so."""
    return {n for run_ in layer["runs"] if run_[key] for n in range(run_["chunk"], run_["chunk"] + run_["chunks"])}


def settled(imgfs, operand):
    """The map when fetches that nobody waits for have ended, too."""
    before, since = None, time.monotonic()
    while before is None or time.monotonic() - since < 0.7 * program.SLOWER:
        now = imgfs.json("map", operand)
        key = (now["stored"], len(now["fetches"]))
        if key != before:
            before, since = key, time.monotonic()
        time.sleep(0.05)
    return now


def parse_svg(text):
    """The picture as a tree; nothing in it can run or refer to anything outside."""
    top = ElementTree.fromstring(text)
    assert top.tag == f"{SVG}svg" and top.get("viewBox").startswith("0 0 960 ")
    for element in top.iter():
        assert element.tag.startswith(SVG) and element.tag not in (f"{SVG}script", f"{SVG}a", f"{SVG}image", f"{SVG}foreignObject")
        for name, value in element.attrib.items():
            assert not name.startswith("on") and "href" not in name
            assert not re.search(r"https?:|javascript:|data:", value), (name, value)
    style = top.find(f"{SVG}style")
    assert style is None or not re.search(r"@import|url\((?!#)", style.text)
    return top


@pytest.fixture
def indexed(small, imgfs):
    imgfs.build(small)
    imgfs.keep_only_indexes()
    return small


# ---- what it tells


def test_exactly_the_chunks_that_were_read(indexed, imgfs):
    mount = imgfs.mount(indexed, "--no-profile")
    assert read(mount, "data/large", 3 << 20, 1000) == small_content("data/large")[3 << 20:][:1000]
    seen = settled(imgfs, mount)
    texts, large, many = seen["layers"]
    assert seen["origin"] == "mount" and seen["image"] == indexed and seen["mount"]["mountpoint"] == mount
    assert not texts["runs"] and not many["runs"] and large["indexed"] and not large["blob_kept"]
    # The kernel reads ahead: what it asked for is in the counters, and begins in the chunk of byte 3 MiB.
    was_read = chunks_of(large, "read")
    assert was_read and was_read <= set(range(11, 16)) and len(was_read) <= 1 + seen["mount"]["read_bytes"] // CHUNK + 1
    assert was_read <= chunks_of(large, "stored")
    assert [file["path"] for file in seen["files"]] == ["/data/large"]
    waits = [wait for wait in seen["waits"] if wait["path"] == "/data/large"]
    assert waits == seen["waits"] and waits[0]["layer"] == 1 and waits[0]["chunk"] in was_read
    fetched = sum(fetch["size"] for fetch in seen["fetches"])
    # Neighbours of a gzip stream share a byte.
    assert abs(fetched - seen["stored"]) <= 2 * len(chunks_of(large, "stored"))
    assert sum(seen["mount"]["fetched"].values()) == fetched and seen["mount"]["requests"] == len(seen["fetches"])
    # What `imgfs status` says holds for reads that have returned: one more, and both say the same.
    read(mount, "etc/name")
    seen, told = settled(imgfs, mount), imgfs.status(mount)["content"]
    assert [seen["mount"]["reads"], seen["mount"]["read_bytes"]] == [told["reads"], told["read_bytes"]]


def test_what_was_here_is_no_fetch_of_this_mount(indexed, imgfs):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/large", 3 << 20, 1000)
    imgfs.umount(mount)
    mount = imgfs.mount(indexed, "--no-profile")
    assert settled(imgfs, mount)["files"] == []
    read(mount, "data/large", 3 << 20, 1000)
    seen = settled(imgfs, mount)
    # The first read waits for the layer's index to be opened, and for no byte.
    assert seen["stored"] and not seen["fetches"] and not any("chunk" in wait for wait in seen["waits"])
    assert chunks_of(seen["layers"][1], "read") and not any("fetched_for" in r for r in seen["layers"][1]["runs"])


def test_a_wait_has_its_length(indexed, imgfs):
    """The source stops for a while: the read that met it says how long, and so do the chunk and the file."""
    mount = imgfs.mount(indexed, "--no-profile")
    port = int(re.search(r":(\d+)/", indexed).group(1))
    servers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if listens(pid, port)]
    assert servers
    try:
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        with subprocess.Popen(["cat", f"{mount}/data/many/07"], stdout=subprocess.DEVNULL) as reader:
            time.sleep(1)
            for pid in servers:
                os.kill(pid, signal.SIGCONT)
            assert reader.wait(30) == 0
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    seen = settled(imgfs, mount)
    assert 900 <= seen["mount"]["wait_ms"] <= 5000 * program.SLOWER
    assert seen["files"][0]["path"] == "/data/many/07" and seen["files"][0]["wait_ms"] >= 900
    assert max(wait["took_ms"] for wait in seen["waits"]) >= 900 and seen["layers"][2]["wait_ms"] >= 900
    assert max(fetch["took_ms"] for fetch in seen["fetches"]) >= 900


def listens(pid, port):
    """Whether the process is a registry on this port (its command line is a file that names it)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if not words[0].endswith(b"registry"):
            return False
        return any(str(port) in open(word, encoding="utf-8").read() for word in words if word.endswith(b".yml"))
    except OSError:
        return False


def test_who_fetched(indexed, imgfs):
    mount = imgfs.mount(indexed)
    for i in range(10):
        read(mount, f"data/many/{i:02}")
    imgfs.umount(mount)
    imgfs.keep_only_indexes()
    mount = imgfs.mount(indexed)
    seen = settled(imgfs, mount)
    assert seen["origin"] == "mount" or seen["mount"]["reads"] == 0
    assert seen["mount"]["fetched"]["profile"] > 10 * (64 << 10) and seen["mount"]["fetched"]["reader"] == 0
    assert seen["mount"]["unread_bytes"] == seen["mount"]["fetched"]["profile"] or seen["mount"]["unread_bytes"] > 0
    assert {fetch["for"] for fetch in seen["fetches"]} == {"profile"}
    assert all(r["fetched_for"] == "profile" for r in seen["layers"][2]["runs"])
    imgfs.umount(mount)
    imgfs.keep_only_indexes()
    mount = imgfs.mount(indexed, "--no-profile", "--fill=full")
    wait_for(lambda: imgfs.json("map", mount)["stored"] == seen["size"], "the fill has ended", 30 * program.SLOWER)
    assert settled(imgfs, mount)["mount"]["fetched"]["fill"] > 8 << 20


def test_kept_blobs_are_here(small, imgfs):
    imgfs.build(small)
    seen = imgfs.json("map", small)
    assert seen["stored"] == seen["size"] and all(layer["blob_kept"] for layer in seen["layers"]) and seen["origin"] == "nothing"
    mount = imgfs.mount(small, "--no-profile")
    read(mount, "data/many/03")
    seen = settled(imgfs, mount)
    assert seen["mount"]["kept_bytes"] > 0 and seen["mount"]["requests"] == 0 and all(f["kept"] for f in seen["fetches"])


def test_published_index(registry, imgfs, scratch):
    """On a machine that has no index of its own: parts of the published one are fetches, too; rows that are not here are drawn."""
    reference = registry.push(small_image(scratch / "layout"), "map-published")
    imgfs.build(reference)
    imgfs.run("index push", reference)
    other = program.Imgfs(scratch / "other")
    try:
        mount = other.mount(reference, "--trust-index=any", "--no-profile")
        before = other.json("map", mount)
        assert [layer["indexed"] for layer in before["layers"]] == [False, True, True] and before["stored"] == 0
        read(mount, "data/large", 3 << 20, 1000)
        seen = settled(other, mount)
        assert chunks_of(seen["layers"][1], "read") and not seen["layers"][2]["runs"]
        assert seen["mount"]["fetched"]["index"] > 0 and "index" in [fetch["for"] for fetch in seen["fetches"]]
        assert [file["path"] for file in seen["files"]] == ["/data/large"]
        # A small layer comes as a whole, and is indexed then.
        read(mount, "etc/name")
        assert settled(other, mount)["layers"][0]["indexed"]
        parse_svg(other.run("map", "-o", "-", mount).stdout)
        other.umount(mount)
        assert {file["path"] for file in other.json("map", reference)["files"]} == {"/data/large", "/etc/name"}
    finally:
        other.stop()


def test_mount_point_with_an_odd_name(indexed, imgfs):
    mount = imgfs.new_folder("a<b>&\nc\\")
    imgfs.run("mount", indexed, mount)
    try:
        shown = [text.text for text in parse_svg(imgfs.run("map", "-o", "-", mount).stdout).iter(f"{SVG}text")]
        assert any(r"a<b>&\012c\\" in (text or "") for text in shown), shown
    finally:
        imgfs.run("umount", mount)


# ---- after the mount


def test_the_last_mount_stays(indexed, imgfs):
    mount = imgfs.mount(indexed)
    read(mount, "data/many/40")
    live = settled(imgfs, mount)
    imgfs.umount(mount)
    last = imgfs.json("map", indexed)
    assert last["origin"] == "last-mount" and "mountpoint" not in last["mount"]
    for key in ("size", "stored", "read", "layers", "files", "waits", "fetches"):
        assert last[key] == live[key], key
    assert "the last mount, " in imgfs.run("map", indexed).stdout
    # A mount that runs and was read from comes first; one that was not does not.
    mount = imgfs.mount(indexed)
    assert imgfs.json("map", indexed)["origin"] == "last-mount" and imgfs.json("map", mount)["origin"] == "mount"
    read(mount, "etc/name")
    assert [file["path"] for file in imgfs.json("map", indexed)["files"]] == ["/etc/name"]


def test_the_last_mount_of_an_index_that_only_a_key_allows(tmp_path_factory):
    """Who mounted with --trust-key looks at it without: nothing is trusted anew, and no registry is asked."""
    world = World(tmp_path_factory.mktemp("world"))
    try:
        artifact, node = world.publish(), world.node()
        folder, daemon = node.mount_verbose(world.reference, "--trust-key", world.key.public, "--no-profile")
        assert f"index.used index={artifact}" in daemon.output()
        read(folder, "data/many/40")
        node.umount(folder)
        world.registry.stop()
        seen = node.json("map", world.reference)
        assert seen["origin"] == "last-mount" and [file["path"] for file in seen["files"]] == ["/data/many/40"]
        assert "the last mount, " in node.run("map", world.reference).stdout
    finally:
        world.stop()


def test_without_a_trace_the_profile(indexed, imgfs):
    assert imgfs.json("map", indexed)["origin"] == "nothing"
    mount = imgfs.mount(indexed)
    read(mount, "data/many/40")
    imgfs.umount(mount)
    for path in glob.glob(f"{imgfs.store}/v1/traces/*"):
        os.unlink(path)
    seen = imgfs.json("map", indexed)
    assert seen["origin"] == "profile" and "mount" not in seen
    assert [file["path"] for file in seen["files"]] == ["/data/many/40"] and chunks_of(seen["layers"][2], "read")
    parse_svg(imgfs.run("map", "-o", "-", indexed).stdout)


@pytest.mark.parametrize("change", [b"", b"imgfs-trace-1 0000000000000000\n" + bytes(1000)], ids=["empty", "rotten"])
def test_a_bad_trace_is_none(indexed, imgfs, change):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "etc/name")
    imgfs.umount(mount)
    (path,) = glob.glob(f"{imgfs.store}/v1/traces/*")
    with open(path, "wb") as file:
        file.write(change)
    assert imgfs.json("map", indexed)["origin"] == "nothing"
    assert not glob.glob(f"{imgfs.store}/v1/traces/*")


def test_a_torn_live_trace_does_no_harm(indexed, imgfs, scratch):
    runtime = scratch / "run"
    runtime.mkdir(mode=0o700)
    env = {"IMGFS_RUNTIME_DIR": os.fspath(runtime)}
    mount = imgfs.mount(indexed, "--no-profile", env=env)
    read(mount, "data/many/09")
    (path,) = glob.glob(f"{runtime}/mounts/*.trace")
    with open(path, "rb") as file:
        whole = file.read()
    copy = os.path.join(scratch, "copy")
    for off in range(0, 900, 60):  # the whole command for some places; its reader alone is fuzzed
        with open(copy, "wb") as file:
            file.write(whole[:off] + b"\xff\xff\xff\xff" + whole[off + 4:])
        os.rename(path, path + ".kept")
        shutil.copy(copy, path)
        done = imgfs.run("map", "--json", mount, env=env, check=False)
        assert done.returncode == 0, (off, done.stderr)
        json.loads(done.stdout)
        os.rename(path + ".kept", path)


def test_nothing_stays_of_a_mount_that_was_killed(indexed, imgfs, scratch):
    runtime = scratch / "run"
    runtime.mkdir(mode=0o700)
    env = {"IMGFS_RUNTIME_DIR": os.fspath(runtime)}
    folder, daemon = imgfs.mount_foreground(indexed, env=env)
    assert len(os.listdir(runtime / "mounts")) == 2
    daemon.stop(signal.SIGKILL)
    imgfs.run("umount", folder, env=env)
    assert os.listdir(runtime / "mounts") == []
    folder = imgfs.mount(indexed, env=env)
    assert len(os.listdir(runtime / "mounts")) == 2
    imgfs.run("umount", folder, env=env)
    assert os.listdir(runtime / "mounts") == []


def test_nothing_is_fetched_and_nothing_made(registry, indexed, imgfs, scratch):
    own = Registry(os.path.join(scratch, "own")).start()
    layout = "oci:" + str(scratch / "copied")
    run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{indexed}", layout + ":1")
    reference = own.push(layout[4:] + ":1", "small")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    before = imgfs.files()
    own.stop()
    seen = imgfs.json("map", reference)
    assert seen["stored"] == 0 and [layer["indexed"] for layer in seen["layers"]] == [True] * 3
    assert imgfs.files() == before


# ---- forms


def test_svg_is_well_formed(indexed, imgfs, scratch):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/large")
    out = scratch / "map.svg"
    imgfs.run("map", "-o", out, mount)
    assert os.listdir(scratch).count("map.svg") == 1 and not glob.glob(f"{scratch}/*.part")
    top = parse_svg(out.read_text(encoding="utf-8"))
    layers = [group for group in top.iter(f"{SVG}g") if group.get("class") == "layer"]
    assert len(layers) == 3
    widths = [float(layer.get("data-w")) for layer in layers]
    assert [layer.find(f"{SVG}text").text for layer in layers] == ["0", "1", "2"]
    assert max(widths) == widths[1] == 532 and min(widths) >= 10
    assert layers[1].find(f"{SVG}path[@class='here']") is not None and layers[1].find(f"{SVG}path[@class='wait']") is not None
    assert layers[0].find(f"{SVG}path[@class='here']") is None
    texts = [text.text for text in top.iter(f"{SVG}text")]
    assert indexed in texts and "/data/large" in texts and "readers waiting" in texts
    # No x of a bar lies outside it.
    for layer, width in zip(layers, widths):
        for path in layer.findall(f"{SVG}path"):
            if path.get("class") != "wait":
                for x in re.findall(r"[MH]([\d.]+)", path.get("d")):
                    assert 196 <= float(x) <= 196 + width + 0.01
    assert imgfs.run("map", "-o", "-", mount).stdout.startswith("<?xml ")
    assert imgfs.run("map", "-o", "-", "--format=html", mount).stdout.startswith("<!DOCTYPE html>")


def test_text(indexed, imgfs):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/many/05")
    for env, cells in (({"LC_ALL": "C"}, r"[.#!-]+"), ({"LC_ALL": "C.UTF-8"}, "[░▒█▀]+")):
        text = imgfs.run("map", mount, env=env).stdout
        assert "\x1b" not in text
        for line, layer in zip(re.findall(r"^ +\d (\w{8}) (\S+) ", text, re.M), imgfs.json("map", mount)["layers"]):
            assert layer["digest"].startswith(f"sha256:{line[0]}") and re.fullmatch(cells, line[1])
        assert re.findall(r"^ +(\d) \w{8} ", text, re.M) == ["0", "1", "2"] and "/data/many/05" in text
    for width in (20, 38, 50, 62, 80, 200):
        text = imgfs.run("map", mount, env={"COLUMNS": str(width), "LC_ALL": "C"}).stdout
        lines = re.findall(r"^ +\d \w{8} .*$", text, re.M)
        assert all(len(line.rstrip()) <= max(width, 23) for line in lines), (width, lines)
    # Words are folded; only names may be longer.
    for width in (20, 40, 80):
        text = imgfs.run("map", mount, env={"COLUMNS": str(width), "LC_ALL": "C"}).stdout
        head, rest = text.split("    LAYER")
        legend = rest.split("WAITED  FILE")[0].split("\n\n")[1]
        lines = [line for line in (head + legend).splitlines() if mount not in line and line != indexed]
        assert lines and all(len(line) <= width for line in lines), (width, lines)
        assert " waited, for " in " ".join(lines) and "the most that happened in it" in " ".join(lines)
    coloured = on_terminal(imgfs.command("map", mount))
    assert b"\x1b[3" in coloured if isinstance(coloured, bytes) else "\x1b[3" in coloured
    assert "\x1b" not in imgfs.run("map", mount, "--color=never").stdout
    assert "\x1b[3" in imgfs.run("map", mount, "--color=always").stdout


# ---- what is wrong


def test_wrong_words(indexed, small, imgfs, scratch):
    failed(imgfs.run("map", check=False), 2, "REF or DIR")
    failed(imgfs.run("map", indexed, indexed, check=False), 2, "REF or DIR")
    failed(imgfs.run("map", "--format=png", indexed, check=False), 2, "'png'")
    failed(imgfs.run("map", "-o", scratch / "map.png", indexed, check=False), 2, "map.png", "--format")
    failed(imgfs.run("map", "--color=blue", indexed, check=False), 2, "blue")
    failed(imgfs.run("map", scratch, check=False), 3, "nothing of imgfs is mounted")
    failed(imgfs.run("map", "-o", scratch / "no" / "map.svg", indexed, check=False), 1, "map.svg")
    failed(imgfs.run("map", f"localhost:{free_port()}/none:1", check=False), 3, "no record")
    with open(scratch / "full", "w", encoding="ascii") as file:
        file.write("old")
    assert imgfs.run("map", "-o", "/dev/full", "--format=svg", indexed, check=False).returncode == 1
    imgfs.run("map", "-o", "/dev/stdout", "--format=svg", indexed)


def test_a_mount_whose_daemon_is_gone(indexed, imgfs):
    folder, daemon = imgfs.mount_foreground(indexed, "--no-profile")
    daemon.stop(signal.SIGKILL)
    where = os.path.dirname(folder)
    for operand in (folder, folder + "/", os.path.basename(folder)):
        failed(imgfs.run("map", operand, check=False, cwd=where), 1, operand, "daemon is gone", "imgfs umount")
    imgfs.umount(folder)
    failed(imgfs.run("map", folder, check=False), 3, folder, "nothing of imgfs is mounted")


def test_a_folder_that_is_no_mount(registry, indexed, imgfs, scratch):
    reference = registry.push(small_image(scratch / "layout"), "map-folder")
    assert reference != indexed
    (scratch / "name" / "space").mkdir(parents=True)
    for operand in ("name", "name/space", scratch / "name", "./name", "."):
        failed(imgfs.run("map", operand, check=False, cwd=scratch), 3, f"mounted on {operand};", "imgfs status")
    failed(imgfs.run("map", scratch / "layout", check=False), 3, f"'oci:{scratch}/layout'")
    # A name that the store knows is that image, whatever stands beside it.
    (scratch / reference).mkdir(parents=True)
    failed(imgfs.run("map", reference, check=False, cwd=scratch), 3, "nothing of imgfs is mounted")
    imgfs.build(reference)
    assert imgfs.json("map", reference, cwd=scratch)["image"] == reference


def test_an_image_without_an_index(small, imgfs, scratch):
    layout = Layout(scratch / "large")
    layout.add_layer(tar_of({"a": noise(2 << 20)}))
    done = imgfs.run("map", "oci:" + layout.write(), check=False)
    failed(done, 3, "no index", "imgfs index build")


def test_a_picture_is_whole_or_not_there(indexed, imgfs, scratch):
    """A reader that ends early is no error line; a full disk leaves the old picture."""
    out = scratch / "map.svg"
    out.write_text("old", encoding="ascii")
    done = subprocess.run(["sh", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$@"', "sh", *imgfs.command("map", "-o", out, indexed)],
                          capture_output=True, text=True, check=False, env=program.environment())
    assert done.returncode == 1 and "map.svg" in done.stderr and out.read_text(encoding="ascii") == "old"
    assert not glob.glob(f"{scratch}/*.part")
    piped = subprocess.run(["sh", "-c", '"$@" | head -c 10', "sh", *imgfs.command("map", "-o", "-", indexed)],
                           capture_output=True, text=True, check=True, env=program.environment())
    assert piped.stdout == "<?xml vers" and not piped.stderr
