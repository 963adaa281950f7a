"""The command line as a user meets it: outputs, exit codes, one error line, pipes, terminals, signals."""
import ctypes
import hashlib
import http.server
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import tarfile
import threading

import pytest

import imgfs as program
from images import Layout, noise, tar_of
from processes import free_port, wait_for

MTIME = 1_709_251_199  # 2024-02-29 23:59:59
SECTION_DIGESTS = 8  # index/format.h
COMMANDS = ["mount", "umount", "status", "top", "ls", "tree", "find", "stat", "cat", "inspect", "index", "store",
            "map", "prefetch", "cp", "export", "diff", "run", "bundle", "config", "doctor"]


def entry(name, kind, mode=0o644, **more):
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.mtime = kind, mode, MTIME
    for key, value in more.items():
        setattr(made, key, value)
    return made


def nasty_tar():
    """One entry of each kind, and names that are no text."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(entry("d", tarfile.DIRTYPE, 0o1777, uid=5, gid=1000))
        for name in ["d/B", "d/a", "d/.dot", "d/caf\udce9", "d/\x1b[2J", "d/\xe4"]:
            tar.addfile(entry(name, tarfile.REGTYPE, size=4), io.BytesIO(b"text"))
        tar.addfile(entry("d/dev", tarfile.CHRTYPE, 0o600, devmajor=1, devminor=3))
        tar.addfile(entry("d/fifo", tarfile.FIFOTYPE, 0o600))
        tar.addfile(entry("d/link", tarfile.SYMTYPE, 0o777, linkname="sub/../a"))
        tar.addfile(entry("d/sub", tarfile.DIRTYPE, 0o755))
        tar.addfile(entry("d/sub/setuid", tarfile.REGTYPE, 0o4755, size=0))
        tar.addfile(entry("d/hard", tarfile.LNKTYPE, linkname="d/a"))
    return out.getvalue()


def pax_tar():
    """Sub-second time and extended attributes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made = entry("x", tarfile.REGTYPE, size=1)
        made.pax_headers = {"mtime": "-1.5", "SCHILY.xattr.user.note": "one two"}
        tar.addfile(made, io.BytesIO(b"x"))
    return out.getvalue()


@pytest.fixture
def layout(scratch):
    made = Layout(scratch / "layout")
    made.add_layer(nasty_tar())
    made.add_layer(pax_tar(), compress="none")
    made.reference = "oci:" + made.write(config={"Env": ["A=b"], "Cmd": ["run", "two words"], "Labels": {"k": "v=w", "a=1": "x", "a": "y"}})
    return made


def failed(done, status, *words):
    """One error line with these words (warnings of the log may stand before it), this exit status."""
    assert done.returncode == status, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
    assert len(lines) == 1 and lines[0].startswith("imgfs"), done.stderr
    for word in words:
        assert word in lines[0], done.stderr


def on_terminal(command):
    """What a command writes to a terminal."""
    reader, writer = pty.openpty()
    with subprocess.Popen(command, stdout=writer, stdin=subprocess.DEVNULL, env=program.environment()) as process:
        os.close(writer)
        text = b""
        while True:
            try:
                piece = os.read(reader, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
        process.wait(60 * program.SLOWER)
    os.close(reader)
    return text.replace(b"\r\n", b"\n")


# ---- looking


def test_ls(imgfs, layout):
    raw = subprocess.run(imgfs.command("ls", layout.reference, "/d"), capture_output=True, check=True).stdout
    assert raw.split(b"\n") == [b"\x1b[2J", b"B", b"a", b"caf\xe9", b"dev", b"fifo", b"hard", b"link", b"sub", b"\xc3\xa4", b""]
    raw = subprocess.run(imgfs.command("ls", "-a", layout.reference, "d/"), capture_output=True, check=True).stdout
    assert raw.startswith(b"\x1b[2J\n.dot\nB\n")
    assert imgfs.run("ls", layout.reference).stdout == "d\nx\n"
    assert imgfs.run("ls", layout.reference, "/d/link").stdout == "/d/link\n"
    assert imgfs.run("ls", "-R", layout.reference, "/d/sub").stdout == "/d/sub:\nsetuid\n"


def test_ls_on_a_terminal(imgfs, layout):
    shown = on_terminal(imgfs.command("ls", layout.reference, "/d"))
    assert re.sub(r"\033\[[0-9;]*m", "", shown.decode()) == "\\033[2J  B  a  caf\\351  dev  fifo  hard  link  sub  ä\n"
    assert on_terminal(imgfs.command("ls", "-1", "--color=never", layout.reference, "/d")) == (
        "\\033[2J\nB\na\ncaf\\351\ndev\nfifo\nhard\nlink\nsub\nä\n".encode())


def test_ls_long(imgfs, layout):
    done = subprocess.run(imgfs.command("ls", "-l", layout.reference, "/d"), capture_output=True, check=True)
    assert done.stdout.decode(errors="surrogateescape") == (
        "-rw-r--r-- 1 0 0    4 2024-02-29 23:59 \x1b[2J\n"
        "-rw-r--r-- 1 0 0    4 2024-02-29 23:59 B\n"
        "-rw-r--r-- 2 0 0    4 2024-02-29 23:59 a\n"
        "-rw-r--r-- 1 0 0    4 2024-02-29 23:59 caf\udce9\n"
        "crw------- 1 0 0 1, 3 2024-02-29 23:59 dev\n"
        "prw------- 1 0 0    0 2024-02-29 23:59 fifo\n"
        "-rw-r--r-- 2 0 0    4 2024-02-29 23:59 hard\n"
        "lrwxrwxrwx 1 0 0    8 2024-02-29 23:59 link -> sub/../a\n"
        "drwxr-xr-x 2 0 0    0 2024-02-29 23:59 sub\n"
        "-rw-r--r-- 1 0 0    4 2024-02-29 23:59 ä\n"
    )
    assert imgfs.run("ls", "-l", layout.reference, "/").stdout == (
        "drwxrwxrwt 3 5 1000 0 2024-02-29 23:59 d\n-rw-r--r-- 1 0    0 1 1969-12-31 23:59 x\n"
    )


def test_ls_json(imgfs, layout):
    rows = imgfs.json("ls", "-aR", layout.reference)
    assert len(rows) == 14
    names = [bytes.fromhex(row["name_bytes"]) if "name_bytes" in row else row["name"].encode() for row in rows]
    assert b"caf\xe9" in names and "ä".encode() in names and b"\x1b[2J" in names
    by_path = {row["path"]: row for row in rows}
    assert by_path["/d"]["mode"] == "1777" and by_path["/d"]["type"] == "directory" and by_path["/d"]["gid"] == 1000
    assert by_path["/d/dev"]["major"] == 1 and by_path["/d/dev"]["minor"] == 3
    assert by_path["/d/link"]["target"] == "sub/../a"
    assert by_path["/d/a"]["nlink"] == 2 and by_path["/d/a"]["mtime"] == MTIME
    assert by_path["/d/sub/setuid"]["mode"] == "4755"


def test_tree(imgfs, layout):
    assert imgfs.run("tree", "-a", layout.reference, "/d").stdout == (
        "/d\n├── \\033[2J\n├── .dot\n├── B\n├── a\n├── caf\\351\n├── dev\n├── fifo\n├── hard\n├── link -> sub/../a\n"
        "├── sub\n│   └── setuid\n└── ä\n\n2 directories, 11 files\n"
    )
    assert imgfs.run("tree", "-L1", layout.reference).stdout == "/\n├── d\n└── x\n\n2 directories, 1 file\n"


def test_stat(imgfs, layout):
    text = imgfs.run("stat", layout.reference, "x").stdout
    digest = hashlib.sha256(b"x").hexdigest()
    assert text == (
        "    Path: /x\n    Type: file\n    Mode: 0644 -rw-r--r--\n   Owner: 0:0\n    Size: 1\n   Links: 1\n"
        "Modified: 1969-12-31 23:59:58.500000000 UTC\n   Xattr: user.note=one two\n"
        f"  Digest: sha256:{digest}\n   Layer: 1 {layout.layers[1]['digest']}, stream offset 1536\n"
    )
    rows = imgfs.json("stat", layout.reference, "/x", "/d/link", "/d/dev")
    assert [row["type"] for row in rows] == ["file", "symlink", "char"]
    assert rows[0]["xattrs"] == [{"name": "user.note", "value": "one two"}]
    assert (rows[0]["mtime"], rows[0]["mtime_ns"]) == (-2, 500_000_000)
    assert rows[0]["digest"] == f"sha256:{digest}"
    assert rows[0]["layer"] == {"number": 1, "digest": layout.layers[1]["digest"], "stream_offset": 1536}
    assert "layer" not in rows[1] and "digest" not in rows[2]
    failed(imgfs.run("stat", layout.reference, "/nope", check=False), 3, "/nope")


def test_cat(imgfs, layout):
    assert imgfs.run("cat", layout.reference, "/d/link", "x").stdout == "textx"
    failed(imgfs.run("cat", layout.reference, "/d", check=False), 1, "directory")
    failed(imgfs.run("cat", layout.reference, "/d/fifo", check=False), 1, "fifo")
    done = imgfs.run("cat", layout.reference, "/nope", "/x", "/d", check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "x", 2)


def test_inspect_reads_no_layer(imgfs, layout):
    shutil.rmtree(f"{layout.folder}/blobs/{layout.layers[0]['digest'].replace(':', '/')}", ignore_errors=True)
    for layer in layout.layers:
        os.unlink(f"{layout.folder}/blobs/{layer['digest'].replace(':', '/')}")
    found = imgfs.json("inspect", layout.reference)
    assert found["digest"] == layout.manifest == found["top_digest"]
    assert found["config"]["env"] == ["A=b"] and found["config"]["cmd"] == ["run", "two words"]
    assert found["config"]["labels"] == {"k": "v=w", "a=1": "x", "a": "y"}
    assert [(row["number"], row["digest"], row["indexed"]) for row in found["layers"]] == [
        (n, layer["digest"], False) for n, layer in enumerate(layout.layers)
    ]
    text = imgfs.run("inspect", layout.reference).stdout
    assert 'Cmd:         ["run", "two words"]\n' in text and text.count("  unindexed  ") == 2
    assert imgfs.run("ls", layout.reference, check=False).returncode not in (0, 2)


# ---- indexes


def test_index(imgfs, layout):
    table = imgfs.build(layout.reference).stdout.splitlines()
    assert [line.split()[-1] for line in table[1:4]] == ["built", "built", "merged"]
    assert table[4].startswith("LAYER  INDEX") and table[-1].startswith("index sha256:")  # into the layout
    assert len(imgfs.run("index build", "--output", "none", layout.reference).stdout.splitlines()) == 4
    assert imgfs.build(layout.reference).stdout.splitlines()[1].endswith("present")
    shown = imgfs.json("index show", layout.reference)
    assert [row["codec"] for row in shown["layers"]] == ["gzip", "tar"] and shown["image"]["indexed"]
    assert all(sum(s["stored_size"] for s in row["sections"]) <= row["index_size"] for row in shown["layers"])
    assert layout.layers[1]["digest"] in imgfs.run("index show", layout.reference).stdout
    merged = imgfs.run("index dump", layout.reference).stdout
    layer = imgfs.run("index dump", "--layer", "1", layout.reference).stdout
    assert merged.startswith("imgfs-index 1 image\n") and layer.startswith("imgfs-index 1 layer\n")
    assert layer == imgfs.run("index dump", "--layer", layout.layers[1]["digest"], layout.reference).stdout
    failed(imgfs.run("index dump", "--layer", "2", layout.reference, check=False), 3, "no layer 2")
    for path in imgfs.layer_files("index"):
        assert imgfs.run("index dump", path).stdout.startswith("imgfs-index 1 layer\n")
        assert "valid layer index" in imgfs.run("index verify", path).stdout


def test_index_show_builds_nothing(imgfs, layout):
    assert imgfs.run("index show", layout.reference).stdout.count("not in the store") == 3
    assert [row["indexed"] for row in imgfs.json("index show", layout.reference)["layers"]] == [False, False]
    assert not imgfs.layer_files("index")


def test_index_verify(imgfs, layout):
    imgfs.build(layout.reference)
    done = imgfs.run("index verify", layout.reference)
    assert [line.rsplit(" ", 1)[1] for line in done.stdout.splitlines()] == ["proven"] * 3
    blob = f"{layout.folder}/blobs/{layout.layers[1]['digest'].replace(':', '/')}"
    with open(blob, "r+b") as file:
        file.seek(1536)
        file.write(b"y")
    for kept in imgfs.layer_files("blob"):
        os.unlink(kept)
    done = imgfs.run("index verify", layout.reference, check=False)
    failed(done, 6)
    assert "FAILED" in done.stdout.splitlines()[1] and done.stdout.splitlines()[0].endswith("proven")


def xxh3(data):
    """XXH3-64, from the library that the program uses itself."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    return library.XXH3_64bits(bytes(data), ctypes.c_size_t(len(data)))


def change_section(path, wanted, change):
    """Change a section of an index so that every checksum is right again (index/FORMAT.md, Header and Section table)."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    sections = struct.unpack_from("<I", data, 16)[0]
    for row in range(64, 64 + 48 * sections, 48):
        kind, _, offset, length = struct.unpack_from("<IIQQ", data, row)
        if kind == wanted:
            data[offset:offset + length] = change(data[offset:offset + length])
            struct.pack_into("<Q", data, row + 32, xxh3(data[offset:offset + length]))
    struct.pack_into("<Q", data, 32, 0)
    struct.pack_into("<Q", data, 32, xxh3(data[:64 + 48 * sections]))
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o600)


def test_index_verify_finds_a_wrong_index(imgfs, layout):
    """Every invariant holds, only a content digest is another: a full pass sees it, nothing else can."""
    imgfs.build(layout.reference)
    path = next(p for p in imgfs.layer_files("index") if layout.layers[1]["digest"][7:] in p)
    change_section(path, SECTION_DIGESTS, lambda old: bytes([old[0] ^ 1]) + old[1:])
    assert "valid layer index" in imgfs.run("index verify", path).stdout
    done = imgfs.run("index verify", layout.reference, check=False)
    failed(done, 6, "the store's index is sha256:")
    assert [("FAILED" in line) for line in done.stdout.splitlines()] == [False, True]


def test_index_verify_file(imgfs, layout, scratch):
    imgfs.build(layout.reference)
    with open(imgfs.layer_files("index")[0], "rb") as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 0xFF
    bad = scratch / "bad.index"
    bad.write_bytes(data)
    failed(imgfs.run("index verify", bad, check=False), 6, "bad.index: I")
    failed(imgfs.run("index dump", bad, check=False), 6, "bad.index: I")
    failed(imgfs.run("index verify", scratch / "none", check=False), 3, "no such file")


def test_store_du(imgfs, layout):
    failed(imgfs.run("store du", check=False), 3, "there is none")
    assert not os.path.exists(imgfs.store), "it was only asked about"
    imgfs.build(layout.reference)
    used = imgfs.json("store du")
    assert (used["layers"], used["images"], used["store"]) == (2, 1, imgfs.store)
    assert used["indexes"] > 0 and used["total"] >= used["indexes"] + used["documents"]
    assert re.search(r"^indexes +[0-9.]+ KiB$", imgfs.run("store du").stdout, re.M)


# ---- manners


def test_help_of_every_command():
    overview = subprocess.run([program.BINARY, "help"], capture_output=True, text=True, check=True).stdout
    for name in [*COMMANDS, "index build", "index show", "index dump", "index verify", "store ls", "store du", "store rm", "store gc", "store verify"]:
        assert " " in name or f"  {name} " in overview
        done = subprocess.run([program.BINARY, *name.split(), "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"Usage: imgfs {name} ") and not done.stderr
        assert subprocess.run([program.BINARY, "help", *name.split()], capture_output=True, text=True, check=True).stdout == done.stdout
    version = subprocess.run([program.BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"imgfs \d+\.\d+\.\d+\nlibraries: libfuse .*libcurl/.+\nfeatures: .+\n", version)
    codes = subprocess.run([program.BINARY, "help", "exit-codes"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in codes.splitlines()] == [*map(str, range(10)), "125", "126", "127", "130"]


@pytest.mark.parametrize("words, said", [
    (["sl"], "did you mean 'ls'"), (["index", "bulid"], "did you mean 'build'"), ([], "a command is missing"),
    (["ls"], "reference is missing"), (["cat", "x"], "path is missing"), (["ls", "--jsno", "x"], "did you mean '--json'"),
    (["tree", "-L", "x", "y"], "not a number"), (["tree", "-L0", "y"], "-L takes"), (["find", "-name", "x", "y"], "reference and paths come before"), (["index", "dump", "--merged", "--layer", "1", "x"], "exclude"),
    (["store", "du", "x"], "no operand"), (["--store", "/x", "ls"], "options follow"),
])
def test_usage_errors(words, said):
    failed(subprocess.run([program.BINARY, *words], capture_output=True, text=True, check=False), 2, said, "; see 'imgfs")


def test_exit_codes(imgfs, layout, scratch):
    failed(imgfs.run("ls", "oci:" + layout.folder + ":none", check=False), 3)
    failed(imgfs.run("ls", f"oci:{scratch}/none", check=False), 3)
    failed(imgfs.run("ls", layout.reference, "/nope", check=False), 3, "/nope")
    failed(imgfs.run("ls", "UPPER/case", check=False), 2)
    failed(imgfs.run("ls", f"localhost:{free_port()}/a:1", check=False), 5)
    failed(imgfs.run("ls", "docker-archive:/x", check=False), 9)
    (scratch / "file").write_text("")
    failed(program.Imgfs(scratch, scratch / "file").run("ls", layout.reference, check=False), 7, "--store")


def test_access_denied(imgfs, registry_tls, layout):
    reference = registry_tls.push(layout.folder + ":1", "denied")
    done = imgfs.run("inspect", reference, check=False, env={"SSL_CERT_FILE": registry_tls.ca})
    failed(done, 4, "login")


@pytest.mark.parametrize("words", [["ls", "-R"], ["ls", "-R", "--json"], ["tree"], ["find"], ["index dump"], ["inspect"], ["index show"]])
def test_lost_output(imgfs, layout, words):
    imgfs.build(layout.reference)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(imgfs.command(*words, layout.reference), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_reader_goes_away(imgfs, scratch):
    made = Layout(scratch / "big")
    made.add_layer(tar_of({"large": noise(4 << 20)}))
    reference = "oci:" + made.write()
    imgfs.build(reference)
    with subprocess.Popen(imgfs.command("cat", reference, "/large"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(1) == noise(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE
    with open("/dev/full", "wb") as full:
        done = subprocess.run(imgfs.command("cat", reference, "/large"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    failed(done, 1, "imgfs cat: standard output: No space left on device")


def test_closed_output(imgfs, layout):
    """A closed descriptor must not be taken by a file of the store."""
    command = imgfs.command("ls", "-R", layout.reference)
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=False)
    failed(done, 1, "standard output")
    assert imgfs.run("index verify", layout.reference).stdout.count("proven") == 3


class Stalling(http.server.BaseHTTPRequestHandler):
    """A registry of one layout that never sends the end of a layer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        layout = self.server.layout
        name = self.path.rsplit("/", 1)[1].replace("%3A", ":")
        digest = layout.manifest if "/manifests/" in self.path else name
        if self.path == "/v2/":
            return self.answer(b"{}")
        with open(f"{layout.folder}/blobs/{digest.replace(':', '/')}", "rb") as file:
            data = file.read()
        if digest not in [layer["digest"] for layer in layout.layers]:
            return self.answer(data, digest)
        self.answer(data, digest, cut=True)
        self.server.stalled.set()
        return self.server.ended.wait(60)

    def answer(self, data, digest="", cut=False):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json" if "/manifests/" in self.path else "application/octet-stream")
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[:10] if cut else data)


@pytest.fixture
def stalling(layout):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    server.layout, server.stalled, server.ended = layout, threading.Event(), threading.Event()
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["ls", "index build", "index verify"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_streaming(imgfs, stalling, name, how):
    """Ends soon, says so, leaves no half file; a shell sees 130."""
    reference = f"localhost:{stalling.server_address[1]}/a:1"
    with subprocess.Popen(imgfs.command(name, reference), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=program.environment()) as process:
        assert stalling.stalled.wait(20 * program.SLOWER), process.poll()
        process.send_signal(how)
        out, err = process.communicate(timeout=10 * program.SLOWER)
    assert process.returncode == -how
    assert err == f"imgfs {name}: interrupted\n" and out == ""
    wait_for(lambda: not [path for path in imgfs.files() if path.split("/v1/")[1].split("/")[0] not in ("documents", "tags", "uses")], "no litter", 5)
    assert json.loads(imgfs.run("store du", "--json").stdout)["layers"] == 0
