"""Long work on a terminal: what it shows, that it fits, that nothing of it is left; and that pipes see nothing."""
import fcntl
import http.server
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

import imgfs as program
from images import Layout, noise, tar_of
from mounting import left_behind
from processes import wait_for

LAYER = 2 << 20
PIECE = 64 << 10


class Slow(http.server.BaseHTTPRequestHandler):
    """A registry with one image, whose layers take a second or two; one may be cut or spoilt."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        layout = self.server.layout
        if "/manifests/" not in self.path and "/blobs/" not in self.path:
            return self.answer(b"{}" if self.path == "/v2/" else None)
        name = self.path.rsplit("/", 1)[1].replace("%3A", ":")
        digest = layout.manifest if self.path.endswith("/manifests/1") else name
        path = f"{layout.folder}/blobs/{digest.replace(':', '/')}"
        if not os.path.exists(path):
            return self.answer(None)
        with open(path, "rb") as file:
            data = file.read()
        slow = digest in [layer["digest"] for layer in layout.layers]
        if slow:
            self.server.busy.set()
        if digest == self.server.spoilt:
            data = data[:-100] + bytes(100)
        return self.answer(data, digest, slow)

    def answer(self, data, digest="", slow=False):
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        kind = "vnd.oci.image.manifest.v1+json" if "/manifests/" in self.path else "octet-stream"
        self.send_header("Content-Type", f"application/{kind}")
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command != "GET" or not data:
            return
        for at in range(0, len(data), PIECE if slow else len(data)):
            try:
                self.wfile.write(data[at : at + PIECE] if slow else data)
            except OSError:
                return
            if slow and self.server.ended.wait(self.server.delay):
                return


@pytest.fixture
def slow(scratch):
    layout = Layout(scratch / "layout")
    for i in range(3):
        layout.add_layer(tar_of({f"file{i}": noise(LAYER, f"slow{i}")}))
    layout.write()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.layout, server.spoilt, server.delay = layout, None, 0.03
    server.ended, server.busy = threading.Event(), threading.Event()
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.reference = f"localhost:{server.server_address[1]}/a:1"
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


class Screen:
    """As much of a terminal as is needed; `pages` is every picture it showed, `widest` its longest line ever."""

    def __init__(self, columns, wraps=False):
        self.wraps = wraps  # terminals wrap what stands there when they become narrower; this one does not
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0
        self.widest, self.moves, self.pages = 0, 0, []

    def put(self, character):
        if self.column == self.columns:
            self.row, self.column = self.row + 1, 0
        while self.row >= len(self.lines):
            self.lines.append("")
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1
        self.widest = max(self.widest, self.column)

    def feed(self, text):
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|[^\x1b]", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part.endswith("A") and len(part) > 1:
                self.pages.append(self.text())
                self.moves += 1
                self.row -= int(part[2:-1])
                assert self.row >= 0 or self.wraps, "above the first line"
                self.row = max(self.row, 0)
            elif part == "\x1b[J":
                assert self.column == 0
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""
            else:
                assert part[0] != "\x1b", f"another sequence: {part!r}"
                self.put(part)

    def text(self):
        return "\n".join(self.lines).rstrip("\n")


def on_terminal(command, columns=80, rows=24, seen=None, term="xterm", wraps=False, **more):
    """Run with a controlling terminal: (wait status, Screen). seen(master) is called with each piece of output once
    there is a picture, until it gives False."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(command[0], command, program.environment(TERM=term, **more))
        finally:
            os._exit(99)
    screen, shown = Screen(columns, wraps), b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if seen and b"total" in shown and not seen(master):
            seen = None
    os.close(master)
    status = os.waitpid(pid, 0)[1]
    screen.feed(shown.decode())
    return status, screen


def press(master):
    """Ctrl-C, a moment later."""
    time.sleep(random.random() / 4)
    os.write(master, b"\x03")


def test_a_terminal(imgfs, slow):
    begun = time.monotonic()
    status, screen = on_terminal(imgfs.command("ls", "-1", slow.reference))
    took = time.monotonic() - begun
    assert status == 0 and screen.text() == "file0\nfile1\nfile2", screen.text()
    pages = "\n".join(screen.pages)
    assert re.search(r"layer 0 +[#-]{6,} +[0-9.]+/2\.0 MiB +[0-9.]+ [KM]iB/s +\d:\d\d", pages), pages
    assert re.search(r"total +[#-]{6,} +[0-9.]+/6\.0 MiB +[0-9.]+ [KM]iB/s +\d:\d\d", pages), pages
    assert screen.widest < 80 and 3 <= screen.moves <= took * 10 + 2, "no more than ten a second"


@pytest.mark.parametrize("columns, rows", [(40, 8), (40, 2), (20, 24), (1, 1), (300, 100)])
def test_sizes(imgfs, slow, columns, rows):
    slow.delay = 0.015
    status, screen = on_terminal(imgfs.command("ls", "-1", slow.reference), columns, rows)
    text = re.sub(r"\s", "", screen.text())
    assert status == 0 and text == "file0file1file2"
    assert screen.moves and max(len(page.split("\n")) for page in screen.pages) <= max(rows, 2)
    assert screen.widest < columns or columns == 1
    if columns == 40:
        assert re.search(r"total.*[0-9.]+/6\.0 MiB", "\n".join(screen.pages))


def test_interrupted(imgfs, slow):
    for name in ("ls", "prefetch", "index build"):
        status, screen = on_terminal(imgfs.command(name, slow.reference), seen=press)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT
        lines = screen.text().split("\n")
        assert lines[-1] == f"imgfs {name}: interrupted" and len(lines) <= 3, lines
        assert not os.listdir(f"{imgfs.store}/v1/tmp") and not program.processes_of(imgfs.store)


def test_an_error_stands_alone(imgfs, slow):
    slow.spoilt = slow.layout.layers[1]["digest"]
    status, screen = on_terminal(imgfs.command("ls", "-1", slow.reference))
    assert os.WEXITSTATUS(status) == 6 and screen.moves
    lines = [line for line in screen.text().replace("\n", " ").split("imgfs ") if line]
    assert lines[-1].startswith("ls: ") and "layer 2 of 3" in lines[-1]
    assert not re.search(r"MiB|total", screen.text()), screen.text()


def test_a_log_line_in_between(imgfs, slow):
    """With -v lines come while the picture stands; it is drawn again below them."""
    status, screen = on_terminal(imgfs.command("ls", "-1", "-v", slow.reference), columns=250)
    text = screen.text()
    assert status == 0 and text.endswith("file0\nfile1\nfile2")
    assert text.count("layer.indexed") == 3 and not re.search(r"[#-]{6}|total", text), text
    assert all(line.startswith(("imgfs: info ", "file")) for line in text.split("\n")), text


def test_mount(imgfs, slow):
    folder = imgfs.new_folder()
    status, screen = on_terminal(imgfs.command("mount", slow.reference, folder))
    imgfs.mounts.append(folder)
    assert status == 0 and screen.text() == "" and "total" in "\n".join(screen.pages)
    assert sorted(os.listdir(folder)) == ["file0", "file1", "file2"]
    imgfs.umount(folder)


def test_mount_interrupted(imgfs, slow):
    """The prompt comes after the last word, and nothing is left."""
    folder = imgfs.new_folder()
    status, screen = on_terminal(imgfs.command("mount", slow.reference, folder), seen=press)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT
    assert screen.text().endswith("imgfs mount: interrupted")
    assert not left_behind(folder) and not program.processes_of(imgfs.store)
    assert not os.listdir(f"{imgfs.store}/v1/tmp")


def test_mount_interrupted_by_a_signal_to_the_parent(imgfs, slow):
    folder = imgfs.new_folder()
    with subprocess.Popen(imgfs.command("mount", slow.reference, folder), stderr=subprocess.PIPE, text=True,
                          env=program.environment()) as process:
        assert slow.busy.wait(20 * program.SLOWER)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20 * program.SLOWER)
    assert process.returncode == -signal.SIGINT and err == "imgfs mount: interrupted\n"
    wait_for(lambda: not left_behind(folder), "nothing is left", 5)


def test_resized(imgfs, slow):
    """A window that becomes narrower wraps what stands there."""
    widths = [80, 50, 80, 79, 70, 60, 50, 40, 30]

    def resize(master):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, widths.pop(), 0, 0))
        return bool(widths)

    status, screen = on_terminal(imgfs.command("ls", "-1", slow.reference), columns=80, seen=resize, wraps=True)
    assert status == 0 and screen.text() == "file0\nfile1\nfile2" and not widths
    assert max(len(page.split("\n")) for page in screen.pages) <= 4


def test_nobody_looks(imgfs, slow):
    slow.delay = 0.015
    done = imgfs.run("ls", slow.reference)
    assert done.stderr == "" and done.stdout == "file0\nfile1\nfile2\n"


@pytest.mark.parametrize("options, term", [(["-q"], "xterm"), ([], "dumb"), ([], ""), (["--progress=none"], "xterm")])
def test_quiet(imgfs, slow, options, term):
    slow.delay = 0.015
    status, screen = on_terminal(imgfs.command("ls", "-1", *options, slow.reference), term=term)
    assert status == 0 and screen.text() == "file0\nfile1\nfile2" and not screen.moves


def test_plain(imgfs, slow):
    slow.delay = 0.3
    with subprocess.Popen(imgfs.command("ls", "--progress=plain", slow.reference), stderr=subprocess.PIPE, text=True,
                          stdout=subprocess.DEVNULL, env=program.environment()) as process:
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert re.fullmatch(r"imgfs ls: 0 of 3 layers, [0-9.]+ of 6\.0 MiB, [0-9.]+ KiB/s, \d:\d\d left\n", line), line
    assert rest == "imgfs ls: interrupted\n"
    done = imgfs.run("ls", "--progress=always", slow.reference, check=False)
    assert done.returncode == 2 and "'auto', 'plain' or 'none'" in done.stderr


def test_publishing_and_verifying(imgfs, slow):
    """Lines of the result and the picture share a terminal."""
    slow.delay = 0.01
    imgfs.build(slow.reference)
    status, screen = on_terminal(imgfs.command("index verify", slow.reference), columns=200)
    lines = screen.text().split("\n")
    assert status == 0 and len(lines) == 4 and all("proven" in line for line in lines), lines
    status, screen = on_terminal(imgfs.command("store verify"))
    assert status == 0 and screen.text().endswith("all are right")
