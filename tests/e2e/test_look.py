"""Looking into an image without a mount, side by side with ls(1), find(1) and tree(1) on the same tree, extracted."""
import fcntl
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import tarfile
import termios

import pytest

import imgfs as program
from images import Layout, noise, real_image
from processes import free_port
from published import Asked

# pylint: disable=redefined-outer-name

OLD, NEW = 1_500_000_000, 1_709_251_199  # 2017-07-14 02:40:00, 2024-02-29 23:59:59
pytestmark = pytest.mark.root  # owners of the extracted tree


def add(tar, name, kind=tarfile.REGTYPE, mode=0o644, size=0, mtime=NEW, **more):
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.mtime = kind, mode, mtime
    made.size = size if kind == tarfile.REGTYPE else 0
    for key, value in more.items():
        setattr(made, key, value)
    tar.addfile(made, io.BytesIO(noise(size)) if made.size else None)


def varied_tar():
    """Each kind of file and attribute that a test of find asks for."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for name in ["bin", "etc", "etc/empty.d", "etc/.hidden", "lib", "lib/deep", "lib/deep/er", "lib/deep/er/er"]:
            add(tar, name, tarfile.DIRTYPE, 0o755, mtime=OLD)
        add(tar, "tmp", tarfile.DIRTYPE, 0o1777)
        add(tar, "home", tarfile.DIRTYPE, 0o700, uid=1000, gid=100)
        for size in [0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 99_999, 1 << 20, (1 << 20) + 1]:
            add(tar, f"lib/size{size}", size=size, mtime=OLD + size)
        for mode in [0o4755, 0o2755, 0o6711, 0o600, 0o777, 0o444, 0, 0o1644]:
            add(tar, f"bin/mode{mode:o}", mode=mode, size=3)
        for n, owner in enumerate([(0, 0), (1, 2), (1000, 100), (65534, 65534)]):
            add(tar, f"home/owner{n}", uid=owner[0], gid=owner[1])
        for name in ["lib/a.so", "lib/B.SO", "lib/deep/b.so", "lib/deep/er/c.so.1", "lib/deep/er/er/.d.so", "lib/[x]", "lib/näme", "lib/caf\udce9",
                     "lib/back\\slash", "lib/new\nline", "lib/star*", "lib/ü.so"]:
            add(tar, name, size=4)
        add(tar, "lib/hard", tarfile.LNKTYPE, linkname="lib/a.so")
        add(tar, "lib64", tarfile.SYMTYPE, 0o777, linkname="lib")
        add(tar, "lib/broken", tarfile.SYMTYPE, 0o777, linkname="nowhere")
        add(tar, "lib/up", tarfile.SYMTYPE, 0o777, linkname="../etc")
        add(tar, "etc/passwd", size=100, mtime=OLD)
        add(tar, "etc/.hidden/secret", size=5)
        add(tar, "tmp/fifo", tarfile.FIFOTYPE, 0o600)
        pax = tarfile.TarInfo("etc/precise")
        pax.pax_headers = {"mtime": "1500000000.25"}
        tar.addfile(pax)
    return out.getvalue()


class Both:
    """One image, and its tree extracted by another program."""

    def __init__(self, ours, reference, root):
        self.ours, self.reference, self.root = ours, reference, os.fspath(root)

    def bytes(self, name, *words, check=True):
        done = subprocess.run(self.ours.command(name, *words), capture_output=True, check=False, env=program.environment())
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def find(self, words, starts=("/",)):
        """(what imgfs finds, what find(1) finds), sorted lines."""
        ours = self.bytes("find", self.reference, *starts, *[word.replace("ROOT", "") for word in words])
        theirs = [word.replace("ROOT", self.root) for word in words]
        done = subprocess.run(["find", *[self.root + start.rstrip("/") for start in starts], *theirs], capture_output=True, check=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        said = re.sub(re.escape(os.fsencode(self.root)) + rb"(/?)", lambda found: found.group(1) or b"/", done.stdout)
        return sorted(re.split(rb"[\n\0]", ours)), sorted(re.split(rb"[\n\0]", said))


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("varied")
    layout, root = Layout(folder / "layout"), folder / "root"
    layout.add_layer(varied_tar(), compress="none")
    reference = "oci:" + layout.write()
    root.mkdir(mode=0o755)
    (folder / "tar").write_bytes(varied_tar())
    subprocess.run(["bsdtar", "-xpf", folder / "tar", "-C", root, "--numeric-owner", "--same-owner"], check=True,
                   env={**os.environ, "LC_ALL": "C.UTF-8"})
    os.utime(root, (0, 0))  # no layer says anything of the root directory
    yield Both(program.Imgfs(folder / "imgfs"), reference, root)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debian")
    layout = real_image("debian")
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:1", folder / "bundle"], check=True, capture_output=True)
    yield Both(program.Imgfs(folder / "imgfs"), f"oci:{layout}:1", folder / "bundle" / "rootfs")
    shutil.rmtree(folder)


# ---- find

NAMES = ["-name *.so", "-iname *.so", "-name .*", "-name [[]x]", "-name ?ame", "-name n?me", "-name *\\*", "-name *[0-9][0-9]", "-mindepth 1 -name [!a-z]*",
         "-iname Ü.SO", "-path *deep*so*", "-path ROOT/lib/*er*", "-ipath *DEEP*", "-wholename *er/er", "-lname ../*", "-lname now*", "-ilname ../ETC", "-name *slash"]
KINDS = ["-type f", "-type d", "-type l", "-type p", "-type f,l", "-type d,p,l", "-empty", "-type f -empty", "-type d -empty", "-links 2 -type f",
         "-links +1 -type f", "-samefile ROOT/lib/a.so"]
SIZES = [f"-type f -size {sign}{size}" for sign in ("", "+", "-") for size in
         ("0", "1", "2", "1c", "512c", "1024c", "1w", "256w", "1k", "2k", "1M", "2M", "1G", "1b", "3b")]
MODES = ["-perm 644", "-perm 0755", "-perm -4000", "-perm /6000", "-perm /022", "-perm -u+w", "-perm /u+s,g+s", "-perm -a=x", "-perm u=rw,g=r,o=r", "-perm -u=rwx,go=rx",
         "-perm -o+t", "-perm g=u", "-perm u=rw,g=u-w", "-perm /a+x", "-perm 0", "-perm -0", "-perm /0", "-perm -g+s", "-perm +x,u-x".replace("+x,u-x", "-ug+x,u-x")]
OWNERS = ["-uid 0", "-uid +0", "-uid -1000", "-gid 100", "-gid +100", "-user 1000", "-group 65534", "-user root -type d"]
TIMES = ["-newer ROOT/etc/passwd", "-newer ROOT/etc/precise", "! -newer ROOT/etc/precise -type f", "-newermt 2017-07-15", "-newermt 2024-02-29", "-newermt @1500000512",
         "-mtime +1", "-mtime -1", "-mtime 0", "-mtime +1000", "-mmin +60", "-newermt 2017-07-14T02:40:00Z"]
LOGIC = ["", "-true", "-false", "! -true", "! ! -name *.so", "-not -type d", "-type d -o -name *.so", "-type f -name *.so -o -type d -name er", "( -type d -o -name *.so ) -name *e*",
         "-name lib -prune -o -name *.so -print", "-name lib -prune -o -type f", "-name lib -prune", "-type f -name a.so -print -o -name b.so -print", "-name a.so , -name b.so -print",
         "-type f -a ( -name a.so -or -name B.SO ) -and ! -empty", "-maxdepth 1", "-mindepth 2 -maxdepth 2", "-maxdepth 0", "-mindepth 3 -type d", "-type d -name deep -prune -o -name *.so*",
         "-name a.so -print -print", "( ( ( -name er ) ) )", "! ( -type d -o -type f )", "-mindepth 2 -name lib -prune -o -name er"]
STAT_FORMAT = "%s|%a|%A|%f|%F|%u|%g|%h|%y|%Y|%t:%T|%%"
FORMATS = [r"-type f -printf %p|%f|%h|%P|%s|%m|%M|%n|%y|%d|%U|%G\n", r"-type l -printf %p->%l\n", r"-type f -printf %T@,%TY-%Tm-%Td,%TT,%Tj,%T+,%TF,%Ta,%TB,%TS,%TH:%TM\n", r"-type f -printf [%10s][%-10s][%08s][%5m]\t%%\101\n",
           r"-name er -printf %H:%P:%h:%f\n", "-type f -print0"]


@pytest.mark.parametrize("words", NAMES + KINDS + SIZES + MODES + OWNERS + TIMES + LOGIC + FORMATS)
def test_find(varied, words):
    ours, theirs = varied.find(words.split())
    assert ours == theirs


@pytest.mark.parametrize("starts", [("/lib",), ("/lib", "/etc"), ("/lib64",), ("/etc/passwd",), ("/lib/deep/er", "/lib"), ("/",)])
@pytest.mark.parametrize("words", ["", "-maxdepth 1", "-name deep", "-name lib64", r"-mindepth 1 -printf %H|%P|%d|%p\n", "-name lib -prune"])
def test_find_from(varied, starts, words):
    ours, theirs = varied.find(words.split(), starts)
    assert ours == theirs


def test_every_expression_tells_something(varied):
    """A comparison of nothing with nothing proves nothing."""
    for group in (NAMES, KINDS, MODES, OWNERS, TIMES, LOGIC):
        found = [len(varied.find(words.split())[1]) for words in group]
        assert sum(n > 1 for n in found) > len(found) * 2 // 3, list(zip(group, found))


@pytest.mark.parametrize("words", ["-name *.so*", "-type f -size +1M", "-perm /6000 -type f", "-newer ROOT/etc/passwd", "-type d -empty", "-user 0 -perm -o+w ! -type l",
                                   r"-type f -printf %s\040%p\n", "-path */doc/* -prune -o -name copyright", "-type l -lname /*"])
def test_find_in_debian(debian, words):
    ours, theirs = debian.find(words.split())
    assert ours == theirs and len(ours) > 3


def test_find_is_sorted_and_absolute(varied):
    found = varied.bytes("find", varied.reference, "lib/deep", "-type", "f").split(b"\n")
    assert found == [b"/lib/deep/b.so", b"/lib/deep/er/c.so.1", b"/lib/deep/er/er/.d.so", b""]
    assert varied.bytes("find", varied.reference, "/lib*", "-maxdepth", "0") == b"/lib\n/lib64\n"
    assert varied.bytes("find", varied.reference, "-name", "*.so", "-print", "-quit") == b"/lib/a.so\n"


def test_find_depth_first(varied):
    """find(1) sorts nothing: here what is in a directory comes before it, and the rest is as without -depth."""
    for words in ("-depth", "-depth -type d", "-name lib -prune -o -depth -print", "-depth -mindepth 1 -maxdepth 2", "-type f -depth"):
        ours, theirs = varied.find(words.split())
        assert ours == theirs and len(ours) > 3, words
    found = varied.bytes("find", varied.reference, "/lib/deep", "-depth", "-print0").split(b"\0")[:-1]
    assert found[-1] == b"/lib/deep" and all(found.index(os.path.dirname(path)) > found.index(path) for path in found[:-1])
    assert varied.bytes("find", varied.reference, "/lib/deep", "-depth", "-name", "er", "-print", "-quit") == b"/lib/deep/er/er\n"


def test_find_json(varied):
    rows = varied.ours.json("find", varied.reference, "/lib", "-name", "*.so")
    assert [row["path"] for row in rows] == ["/lib/a.so", "/lib/deep/b.so", "/lib/deep/er/er/.d.so", "/lib/ü.so"]
    assert rows[0]["name"] == "a.so" and rows[0]["size"] == 4 and rows[0]["nlink"] == 2 and rows[0]["type"] == "file"
    (odd,) = json.loads(varied.ours.run("find", varied.reference, "-name", "caf*", "--json").stdout)
    assert bytes.fromhex(odd["name_bytes"]) == b"caf\xe9"


@pytest.mark.parametrize("words, said", [
    ("-nmae x", "did you mean '-name'"), ("-name", "argument must follow '-name'"), ("-size 1x", "'1x' is not a size"), ("-size", "argument"),
    ("-type x", "'x' is not a type"), ("-type f,", "not a type"), ("-perm 9", "not a mode"), ("-perm u+q", "not a mode"), ("-perm 77777", "not a mode"), ("( -name x", "')' is missing"), (") -name x", "before ')'"),
    ("-name x )", "')' without '('"), ("-name x -o", "missing behind '-o'"), ("( )", "before ')'"), ("!", "missing behind '!'"), ("-o -name x", "before '-o'"),
    ("-nouser", "there is no '-nouser': an image has numbers"), ("-fstype ext4", "one file system"), ("-executable", "-perm"), ("-cnewer x", "-newer"), ("-xtype f", "not followed"),
    ("-exec ls", "xargs"), ("-delete", "read-only"), ("-newermt yesterday", "not a date"), ("-newermt 2023-02-30", "calendar"), ("-mtime x", "not a number"), ("-user nobody", "/etc/passwd"),
    ("-name a b", "quotes"), ("-printf %Q", "'%Q'"), ("-printf %T", "ends behind '%T'"), ("-maxdepth -1", "depth"), ("-print0 --json", "--json"), ("-links 99999999999999999999", "not a number"),
])
def test_find_says_what_is_wrong(varied, words, said):
    """Before anything is opened: this registry is not there."""
    done = varied.ours.run("find", f"localhost:{free_port()}/a:1", *words.split(), check=False)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1 and "imgfs find --help" in done.stderr, done.stderr


def test_find_without_what_it_asks_for(varied):
    done = varied.ours.run("find", varied.reference, "-newer", "/nope", check=False)
    assert (done.returncode, done.stderr) == (3, "imgfs find: -newer: /nope: no such file in the image\n")
    done = varied.ours.run("find", varied.reference, "/nope", "/etc/passwd", check=False)
    assert (done.returncode, done.stdout) == (3, "/etc/passwd\n") and "/nope" in done.stderr
    deep = ["!"] * 101
    assert "nested deeper" in varied.ours.run("find", varied.reference, *deep, "-true", check=False).stderr
    assert "more than" in varied.ours.run("find", varied.reference, *["-true"] * 1001, check=False).stderr


# ---- ls and tree


def lines_of(command, root, **more):
    done = subprocess.run(command, cwd=root, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}, **more)
    return done.stdout


@pytest.mark.parametrize("options", ["-1", "-1a", "-1F", "-1S", "-1t", "-1r", "-1Sr", "-1ta"])
def test_ls_names(varied, options):
    for folder in ("/lib", "/bin", "/etc", "/home"):
        ours = varied.bytes("ls", options, varied.reference, folder)
        theirs = lines_of(["ls", "-N", options, "."], varied.root + folder).split(b"\n")
        theirs = [line for line in theirs if line.rstrip(b"/") not in (b".", b"..")]
        if set(options) & set("tS"):  # directories of a disk have other sizes and times
            ours, theirs = [[line for line in lines if not os.path.isdir(os.fsencode(varied.root + folder + "/") + line) or line == b""] for lines in (ours.split(b"\n"), theirs)]
            assert ours == theirs and len(ours) > 1, (folder, options)
        else:
            assert ours == b"\n".join(theirs), (folder, options)


def long_lines(text):
    """Columns of `ls -l` without those that directories of a disk differ in."""
    rows = []
    for line in text.split("\n"):
        found = re.fullmatch(r"(\S+) +(\d+) +(\d+) +(\d+) +(\S+) (\d{4}-\d\d-\d\d \d\d:\d\d) (.*)", line)
        if found:
            mode, links, uid, gid, size, date, name = found.groups()
            rows.append((mode, links, uid, gid, "" if mode[0] == "d" else size, date, name))
    return rows


@pytest.mark.parametrize("options", ["-l", "-lh", "-la", "-ld"])
def test_ls_long(varied, debian, options):
    for both, folder in [(varied, "/lib"), (varied, "/bin"), (varied, "/home"), (debian, "/etc"), (debian, "/usr/bin"), (debian, "/usr/lib/x86_64-linux-gnu")]:
        ours = both.bytes("ls", options, both.reference, folder).decode(errors="surrogateescape")
        theirs = lines_of(["ls", "-Nn", "--time-style=long-iso", options, "."], both.root + folder).decode(errors="surrogateescape")
        wanted = [row for row in long_lines(theirs) if row[-1] not in (".", "..")] if options != "-ld" else [(*long_lines(theirs)[0][:-1], folder)]
        assert long_lines(ours) == wanted and wanted, folder


def on_terminal(command, columns, **env):
    """What a command writes to a terminal of that width."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdout=writer, stdin=subprocess.DEVNULL, env=program.environment(TERM="xterm", **env)) as process:
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


@pytest.mark.parametrize("columns", [1, 7, 20, 40, 79, 80, 81, 133, 400])
def test_ls_columns_are_those_of_ls(debian, columns):
    for folder in ("/", "/etc", "/usr/bin"):
        ours = on_terminal(debian.ours.command("ls", "--color", "never", debian.reference, folder), columns)
        theirs = lines_of(["ls", "-NC", "-T0", "-w", str(columns), "."], debian.root + folder)
        assert ours == theirs, folder


def test_ls_columns_at_every_width(varied):
    """One column more fits or does not: the border lies at another width for each."""
    for columns in range(1, 90):
        ours = on_terminal(varied.ours.command("ls", "--color", "never", varied.reference, "/bin"), columns)
        assert ours == lines_of(["ls", "-NC", "-T0", "-w", str(columns), "."], varied.root + "/bin"), columns


def test_ls_columns_of_wide_and_strange_names(scratch, imgfs):
    layout = Layout(scratch / "layout")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", errors="surrogateescape") as tar:
        for name in ["日本", "a\u0301b", "plain", "x\x1b[2J", "caf\udce9", "b\\s"]:
            add(tar, name)
    layout.add_layer(out.getvalue())
    reference = "oci:" + layout.write()
    shown = on_terminal(imgfs.command("ls", "-F", reference), 60).decode()
    assert shown == "a\u0301b  b\\\\s  caf\\351  plain  x\\033[2J  日本\n"
    shown = on_terminal(imgfs.command("ls", reference), 20).decode()
    assert shown == "a\u0301b       plain\nb\\\\s     x\\033[2J\ncaf\\351  日本\n"


def test_ls_colours(varied):
    plain = varied.bytes("ls", varied.reference, "/lib")
    assert b"\033" not in plain and b"\033" not in on_terminal(varied.ours.command("ls", varied.reference, "/bin"), 80, NO_COLOR="1")
    shown = varied.bytes("ls", "--color", "always", varied.reference, "/lib")
    assert re.sub(rb"\033\[[0-9;]*m", b"", shown) == plain
    shown = varied.bytes("ls", "--color=always", varied.reference, "/", "/lib", "/bin", "/tmp").decode(errors="replace")
    for text in ["01;34mlib", "01;36mlib64", "01;31mbroken", "37;41mmode4755", "30;43mmode2755", "01;32mmode777", "30;42mtmp", "33mfifo"]:
        assert f"\033[{text}\033[0m" in shown, text
    custom = subprocess.run(varied.ours.command("ls", "--color=always", varied.reference, "/lib"), capture_output=True, check=True,
                            env=program.environment(LS_COLORS="di=04:*.so=35:or=7:bad=\033[2J:*hard=\033[5m")).stdout.decode(errors="replace")
    assert "\033[04mdeep\033[0m" in custom and "\033[35ma.so\033[0m" in custom and "\033[7mbroken\033[0m" in custom and "\nhard\n" in custom
    done = varied.ours.run("ls", "--color", "maybe", varied.reference, check=False)
    assert done.returncode == 2 and "auto, always or never" in done.stderr


def shell_glob(pattern, root):
    """What bash makes of a pattern, below a root."""
    script = 'shopt -s globstar nullglob; cd "$1" && printf "/%s\\n" ' + pattern.lstrip("/")
    done = subprocess.run(["bash", "-c", script, "bash", root], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return [line for line in done.stdout.split(b"\n") if line not in (b"/", b"")]


@pytest.mark.parametrize("pattern", ["/*", "/lib/*.so", "/lib64/*.so", "/*/*.so", "/lib/[ab]*", "/lib/[!a-z]*", "/lib/size?", "/**/*.so", "/lib/**/*so*", "/**/er", "/**/er/*", "/etc/.*", "/etc/*",
                                     "/lib/up/*", "/**/up/*", "/lib/deep/*/er", "/lib/n?me", "/lib/\\[x]", "/lib/star\\*", "/**/deep/**/c*", "/lib/**/**/c*", "/l*/d*/e*"])
def test_patterns_are_those_of_a_shell(varied, pattern):
    ours = varied.bytes("ls", "-d", varied.reference, pattern).split(b"\n")
    theirs = shell_glob(pattern, varied.root)
    # the names of the two are sorted by bytes and by characters, which is the same in UTF-8
    assert sorted(ours) == sorted(theirs + [b""]) and len(theirs) >= 1, pattern


def test_patterns_that_are_names(varied):
    assert varied.bytes("ls", varied.reference, "/lib/[x]", "/lib/star*", "/lib/back\\slash") == b"/lib/[x]\n/lib/back\\slash\n/lib/star*\n", "sorted"
    done = varied.ours.run("ls", varied.reference, "/nope/*", "/etc", check=False)
    assert (done.returncode, done.stdout) == (3, "/etc:\nempty.d\npasswd\nprecise\n")
    assert done.stderr == "imgfs ls: /nope/*: nothing in the image matches\n"
    assert varied.ours.run("cat", varied.reference, "/lib/size1", "/lib/size[0]").stdout.encode(errors="surrogateescape")[:1] != b""


def test_slash_at_the_end(varied):
    """A link that a slash follows is the directory that it leads to."""
    assert varied.bytes("ls", "-l", varied.reference, "/lib64/") == varied.bytes("ls", "-l", varied.reference, "/lib")
    assert varied.bytes("find", varied.reference, "/lib64/", "-name", "*.so") == varied.bytes("find", varied.reference, "/lib", "-name", "*.so").replace(b"/lib/", b"/lib64/")
    assert varied.bytes("stat", "-c", "%F %n", varied.reference, "lib64/", "//", "/lib64") == b"directory /lib64\ndirectory /\nsymbolic link /lib64\n"
    assert varied.bytes("ls", "-d", varied.reference, "/lib/*/") == b"/lib/deep\n/lib/up\n"
    done = varied.ours.run("ls", varied.reference, "/etc/passwd/", "/lib/*.so/", check=False)
    assert done.returncode == 3 and done.stderr.split("\n")[:2] == ["imgfs ls: /lib/*.so: nothing in the image matches", "imgfs ls: /etc/passwd/: is not a directory"]


def test_ls_of_several(varied):
    done = varied.ours.run("ls", varied.reference, "/lib64/deep", "/etc", "/etc/passwd", "/nope", "lib/up", check=False)
    assert done.returncode == 3 and "/nope: no such file" in done.stderr
    blocks = done.stdout.split("\n\n")
    assert blocks[0] == "/etc/passwd" and [block.split("\n")[0] for block in blocks[1:]] == ["/etc:", "/lib/up:", "/lib64/deep:"]
    rows = varied.ours.json("ls", varied.reference, "/etc/passwd", "/home")
    assert [(row["path"], row["name"]) for row in rows][:2] == [("/etc/passwd", "passwd"), ("/home/owner0", "owner0")]


@pytest.mark.parametrize("options", [[], ["-a"], ["-d"], ["-L", "1"], ["-L", "2", "-a"], ["-s"], ["-h"]])
def test_tree(varied, options):
    if not shutil.which("tree"):
        pytest.skip("tree(1) is not installed")
    for folder in ("/etc", "/lib/deep", "/home")[:2 if "-d" in options else 3]:  # tree(1) does not count the top with nothing below
        ours = varied.ours.run("tree", *options, varied.reference, folder).stdout
        theirs = lines_of(["tree", "-n", "--charset=UTF-8", "--sort=name", *options, folder[1:]], varied.root).decode()
        theirs = theirs.replace("\u00a0", " ")  # tree(1) draws with blanks that do not break
        strip = lambda text: [re.sub(r"\[ *[0-9.KMG]+\]  ", "[]", line) for line in text.split("\n")]
        assert strip(ours)[1:-2] == strip(theirs)[1:-2], folder
        assert ours.split("\n")[-2].split(" in ")[-1] == theirs.split("\n")[-2].split(" in ")[-1], folder


def test_tree_sizes(varied):
    text = varied.ours.run("tree", "--du", "-L1", varied.reference, "/lib").stdout
    below = sum(os.path.getsize(os.path.join(top, name)) if not os.path.islink(os.path.join(top, name)) else len(os.readlink(os.path.join(top, name)))
                for top, _, names in os.walk(varied.root + "/lib") for name in names)
    below += len(os.readlink(varied.root + "/lib/up"))  # os.walk calls a link to a directory a directory
    assert text.split("\n")[0] == f"[{below:11}]  /lib" and text.split("\n")[-2].startswith(f"{below} bytes in ")


def test_tree_json(varied):
    """What the drawing shows, and what ls -R says of it."""
    made = varied.ours.json("tree", "-a", "--du", varied.reference)
    listed = {row["path"]: row for row in varied.ours.json("ls", "-aR", varied.reference)}
    assert made[0]["path"] == made[0]["name"] == "/" and made[0]["depth"] == 0
    assert {row["path"] for row in made[1:]} == set(listed) and len(made) == len(listed) + 1
    for row in made[1:]:
        below, depth = row.pop("below", None), row.pop("depth")
        assert row == listed[row["path"]] and depth == row["path"].count("/") and (below is not None) == (row["type"] == "directory")
    assert made[0]["below"] == sum(row["size"] for row in made[1:] if row["type"] != "directory")
    drawn = varied.ours.run("tree", "-aL2", varied.reference, "/lib", "/etc").stdout.splitlines()[:-2]
    made = varied.ours.json("tree", "-aL2", varied.reference, "/lib", "/etc")
    assert len(made) == len(drawn) and [row["path"] for row in made if not row["depth"]] == ["/lib", "/etc"]
    assert max(row["depth"] for row in made) <= 2 and [row["name"] for row in made[:1]] == ["lib"]


def test_tree_on_a_narrow_terminal(varied):
    assert on_terminal(varied.ours.command("tree", "-L", "1", "--color", "never", varied.reference, "/etc"), 10).decode() == (
        "/etc\n├── empty.d\n├── passwd\n└── precise\n\n2 directories, 2 files\n")
    coloured = varied.ours.run("tree", "-L1", "--color=always", varied.reference, "/").stdout
    assert "├── \033[01;34mbin\033[0m\n" in coloured and "\033[01;36mlib64\033[0m -> lib" in coloured


# ---- stat and cat


def test_stat_format(varied):
    """The letters of stat(1), on what is no directory: those have sizes of their own on a disk."""
    paths = [path for path in varied.bytes("find", varied.reference, "!", "-type", "d", "-print0").split(b"\0") if path]
    theirs = b"".join(subprocess.run(["stat", "-c", STAT_FORMAT, os.fsencode(varied.root) + path], capture_output=True, check=True,
                                     env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}).stdout for path in paths)
    names = [path.replace(b"\\", b"\\\\").replace(b"[", b"\\[").replace(b"*", b"\\*") for path in paths]
    ours = varied.bytes("stat", "-c", STAT_FORMAT, varied.reference, *names)
    assert ours == theirs and len(paths) > 30
    assert varied.bytes("stat", "-c", "[%6s] %N", varied.reference, "/lib64", "/lib/size511") == b"[     3] '/lib64' -> 'lib'\n[   511] '/lib/size511'\n"
    assert varied.bytes("stat", "-L", "-c", "%F", varied.reference, "/lib64", "/tmp/fifo") == b"directory\nfifo\n"
    for words, said in [(["-c", "%Q"], "'%Q'"), (["-c", "%"], "ends behind"), (["-c", "%n", "--json"], "exclude")]:
        done = varied.ours.run("stat", *words, varied.reference, "/", check=False)
        assert done.returncode == 2 and said in done.stderr, done.stderr


def test_stat_of_several(varied):
    rows = varied.ours.json("stat", varied.reference, "/lib/size[12]", "/etc/passwd")
    assert [row["path"] for row in rows] == ["/lib/size1", "/etc/passwd"]
    text = varied.ours.run("stat", varied.reference, "/lib/size102?", "/nope", check=False)
    assert text.returncode == 3 and [line for line in text.stdout.split("\n") if "Path" in line] == [f"    Path: /lib/size{n}" for n in (1023, 1024, 1025)]
    assert text.stdout.count("\n\n") == 2


def test_cat_of_patterns(varied):
    assert varied.bytes("cat", varied.reference, "/lib/size*") == b"".join(
        noise(n) for n in sorted([0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 99_999, 1 << 20, (1 << 20) + 1], key=lambda n: f"size{n}"))
    done = varied.ours.run("cat", varied.reference, "/no*", "/lib/size0", check=False)
    assert (done.returncode, done.stderr) == (3, "imgfs cat: /no*: nothing in the image matches\n")


def test_looking_fetches_nothing(imgfs, small):
    """With the index there, names and attributes cost no byte of a layer: no chunk, no kept blob."""
    imgfs.build(small)
    assert [layer["blob_kept"] for layer in imgfs.json("inspect", small)["layers"]] == [True] * 3
    assert imgfs.run("inspect", small).stdout.count("  whole  ") == 3
    imgfs.keep_only_indexes()
    assert "  whole  " not in imgfs.run("inspect", small).stdout
    for words in (["ls", "-lR", small], ["tree", small], ["find", small, "-size", "+1k"], ["stat", small, "/data/large"], ["inspect", small]):
        imgfs.run(*words)
    assert not imgfs.layer_files("blob", "data", "map")
    assert imgfs.run("cat", small, "/etc/n*").stdout == "small\n"
    assert sum(layer["chunks_bytes"] for layer in imgfs.json("inspect", small)["layers"]) > 0


def test_looking_into_a_published_image(registry, real, scratch):
    """On a machine that has never seen it: a few requests, and a small part of what `skopeo copy` would take."""
    reference = real("debian")
    maker = program.Imgfs(scratch / "maker")
    maker.build(reference)
    maker.run("index push", reference, timeout=300)
    size = maker.json("inspect", reference)["size"]
    for words in (["ls", "-lR"], ["find", "-size", "+100k", "-ls"], ["tree"], ["stat", "/etc/passwd"], ["cat", "/etc/os-release"]):
        fresh = program.Imgfs(scratch / words[0])
        with Asked(registry) as asked:
            fresh.run(words[0], "--trust-index", "any", reference, *words[1:])
        share, n = asked.bytes / size, len(asked.answered)
        print(f"{words[0]}: {n} requests, {asked.bytes} bytes, {share:.2%} of {size}")
        assert n <= 8 and share < 0.005, (words, asked.answered)


# ---- inspect


@pytest.fixture
def described(scratch):
    """An image with everything that a config and a manifest can say."""
    layout = Layout(scratch / "layout")
    layout.add_layer(varied_tar())
    layout.add_layer(varied_tar())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "x", size=1)
    layout.add_layer(out.getvalue(), compress="none")
    config = {"Env": ["A=b"], "Cmd": ["run"], "Entrypoint": ["/e", "two words"], "User": "1:2", "WorkingDir": "/w", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
              "Labels": {"k": "v=w"}, "StopSignal": "SIGINT", "Shell": ["/bin/bash", "-c"], "OnBuild": ["RUN x"], "Healthcheck": {"Test": ["CMD", "true"]}}
    history = [{"created": "2024-02-29T01:02:03Z", "created_by": "ADD file:1 in /"}, {"created_by": "ENV A=b", "empty_layer": True, "comment": "c"},
               {"created_by": "RUN \tlong " + "x" * 200}, {"author": "somebody"}]
    layout.reference = "oci:" + layout.write(config=config, history=history, annotations={"org.example.a": "1", "b\x1b[2J": "2"})
    return layout


def test_inspect_is_complete(imgfs, described):
    found = imgfs.json("inspect", described.reference)
    theirs = json.loads(subprocess.run(["skopeo", "inspect", "--config", described.reference], capture_output=True, check=True).stdout)
    config = theirs["config"]
    assert found["config"] == {
        "created": None, "author": None, "user": config["User"], "working_dir": config["WorkingDir"], "stop_signal": config["StopSignal"], "env": config["Env"],
        "entrypoint": config["Entrypoint"], "cmd": config["Cmd"], "shell": ["/bin/bash", "-c"], "healthcheck": ["CMD", "true"], "on_build": ["RUN x"],
        "exposed_ports": list(config["ExposedPorts"]), "volumes": list(config["Volumes"]), "labels": config["Labels"], "history": [step.get("created_by", "") for step in theirs["history"]]}
    assert found["annotations"] == {"org.example.a": "1", "b\x1b[2J": "2"}
    assert [(step["created_by"], step["empty_layer"], step.get("layer"), step.get("size")) for step in found["history"]] == [
        ("ADD file:1 in /", False, 0, described.layers[0]["size"]), ("ENV A=b", True, None, None), (theirs["history"][2]["created_by"], False, 1, described.layers[1]["size"]),
        (None, False, 2, described.layers[2]["size"])]
    assert found["history"][0]["created"] == "2024-02-29T01:02:03Z" and found["history"][1]["comment"] == "c" and found["history"][3]["author"] == "somebody"
    assert [layer["compression"] for layer in found["layers"]] == ["gzip", "gzip", "tar"]
    sizes = [layer["size"] for layer in described.layers]
    assert found["size"] == sum(sizes) and found["blobs_size"] == sizes[0] + sizes[2]
    for option, wanted in (("--raw", ["--raw"]), ("--config", ["--config", "--raw"])):
        raw = subprocess.run(imgfs.command("inspect", option, described.reference), capture_output=True, check=True).stdout
        assert raw == subprocess.run(["skopeo", "inspect", *wanted, described.reference], capture_output=True, check=True).stdout, option


def test_inspect_says_what_the_store_has(imgfs, described):
    def states():
        found = imgfs.json("inspect", described.reference)
        return found["tree_indexed"], [(layer["state"], layer["blob_kept"], layer["chunks_bytes"] > 0) for layer in found["layers"]]
    assert states() == (False, [("unindexed", False, False)] * 3)
    imgfs.run("ls", described.reference)
    assert states() == (True, [("proven", False, False)] * 3)  # blobs of a layout stay in the layout
    subprocess.run(imgfs.command("cat", described.reference, "/lib/size99999"), stdout=subprocess.DEVNULL, check=True)
    tree, layers = states()
    assert tree and [layer[2] for layer in layers] == [True, True, False]
    text = imgfs.run("inspect", described.reference).stdout
    assert re.search(r"^Stored: +[0-9.]+ KiB of chunks, 0 of 2 blobs whole, merged tree indexed$", text, re.M), text


def test_inspect_on_a_narrow_terminal(imgfs, described):
    shown = on_terminal(imgfs.command("inspect", described.reference), 60).decode()
    assert "\x1b" not in shown and "b\\033[2J=2" in shown
    table = shown[shown.index("Layers:"):]
    assert all(len(line) <= 80 for line in table.split("\n")) and described.layers[0]["digest"][:19] + "\n" in table
    steps = table[table.index("History:"):].split("\n")[1:-1]
    assert len(steps) == 4 and all(len(line) <= 60 for line in steps) and steps[2].endswith("…") and "ENV A=b" in steps[1]
    piped = imgfs.run("inspect", described.reference).stdout
    assert described.layers[0]["digest"] in piped and "x" * 200 in piped and "RUN \\011long" in piped
