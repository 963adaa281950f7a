"""`imgfs run` and `imgfs bundle` with crun and runc: what the command sees, what comes back, what stays behind."""
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from running import RUN_S, RUNTIMES, Runner, left_behind, live, needs_containers, with_config
from imgfs import SLOWER, environment
from images import real_image
from mounting import says
from processes import SCRATCH, run, wait_for

# pylint: disable=redefined-outer-name

USUAL = {"Cmd": ["sh"], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE=yes"], "WorkingDir": "/srv/made"}


@pytest.fixture(scope="module")
def debian():
    needs_containers()
    return f"oci:{real_image('debian')}:1"


@pytest.fixture(scope="module")
def store():
    return os.path.join(SCRATCH, "run-store")


@pytest.fixture(params=RUNTIMES or ["none"])
def runner(request, scratch, store, debian):
    """Runs Debian; afterwards nothing of it is left."""
    yield Runner(scratch / "imgfs", store, request.param, debian)
    wait_for(lambda: not left_behind(), f"all is gone: {left_behind()}")


@pytest.fixture
def any_runner(scratch, store, debian):
    yield Runner(scratch / "imgfs", store, RUNTIMES[0], debian)
    wait_for(lambda: not left_behind(), f"all is gone: {left_behind()}")


def test_exit_status(runner):
    assert runner.out("echo", "hello") == "hello\n"
    runner("sh", "-c", "exit 7", status=7)
    runner("sh", "-c", "sh -c 'kill -9 $$'; exit $?", status=137)
    says(runner("no-such-program", status=127), 127, "no such program", "PATH")
    says(runner("/no/such", status=127), 127, "no such program")
    says(runner("/etc/passwd", status=126), 126, "can be started")
    says(runner("true", options=["-u", "nobodyknows"], status=125), 125, "/etc/passwd")


def test_streams(runner):
    done = runner("sh", "-c", "echo out; echo err >&2; cat", input="typed\n")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")  # without -i nobody reads
    assert runner.out("cat", options=["-i"], input="typed\n" * 100_000) == "typed\n" * 100_000


def test_what_the_command_sees(runner):
    script = ("id -u; id -g; pwd; hostname; cat /etc/hostname; echo $$; echo $HOME; stat -c %a /; touch /made; ls /made;"
              "for d in proc sys dev dev/pts dev/shm dev/mqueue; do mountpoint -q /$d || echo no $d; done;"
              "test -w /proc/sysrq-trigger && echo open; ls /sys/firmware")
    lines = runner.out("sh", "-c", script, options=["--hostname", "box"]).splitlines()
    assert lines == ["0", "0", "/app", "box", "box", "1", "/root", "755", "/made"]
    assert "box" in runner.out("cat", "/etc/hosts", options=["--hostname", "box"])
    if os.path.exists("/etc/resolv.conf"):
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            assert runner.out("cat", "/etc/resolv.conf") == file.read()


def test_image_config(runner, scratch):
    image = with_config(scratch / "image", Entrypoint=["sh", "-c"], Cmd=["echo $FROM_IMAGE $A; id; pwd; echo $HOME"],
                        Env=["FROM_IMAGE=yes", "A=image"], User="games:tty", WorkingDir="/srv/made/here")
    lines = runner.out(reference=image).splitlines()
    assert lines == ["yes image", "uid=5(games) gid=5(tty) groups=5(tty)", "/srv/made/here", "/usr/games"]
    (scratch / "env").write_text("# a comment\nA=file\nB=file\n")
    options = ["--env-file", scratch / "env", "-e", "A=option", "-e", "HERE", "-w", "/tmp", "-u", "0"]
    lines = runner.out("echo $A $B $HERE; id -u; pwd", reference=image, options=options, env={"HERE": "there"}).splitlines()
    assert lines == ["option file there", "0", "/tmp"]
    assert runner.out("-n", "x", reference=image, options=["--entrypoint", "echo"]) == "x"
    assert runner.out("echo", "-n", "x", reference=image, options=["--entrypoint", ""]) == "x"


def test_volumes(runner, scratch):
    folder = scratch / "shared"
    folder.mkdir()
    (folder / "file").write_text("here\n")
    options = ["-v", f"{folder}:/mnt/rw", "-v", f"{folder}:/mnt/ro:ro", "-v", f"{folder}/file:/etc/motd"]
    script = "cat /etc/motd; echo new > /mnt/rw/new; cat /mnt/ro/new; echo no > /mnt/ro/no"
    done = runner("sh", "-c", script, options=options, status=2)
    assert done.stdout == "here\nnew\n" and "Read-only" in done.stderr
    assert sorted(os.listdir(folder)) == ["file", "new"]
    assert runner.out("../mnt/tool", options=["-v", "/bin/true:/mnt/tool", "-w", "/usr"], status=0) == ""


def test_network(runner):
    assert runner.out("ls", "/sys/class/net", options=["--net", "none"]) == "lo\n"
    here = os.readlink("/proc/self/ns/net")
    assert runner.out("readlink", "/proc/self/ns/net") == here + "\n"
    assert runner.out("readlink", "/proc/self/ns/net", options=["--network=none"]) != here + "\n"


def test_read_only(runner):
    done = runner("sh", "-c", "touch /x; echo y > /dev/shm/y && cat /dev/shm/y", options=["--read-only"])
    assert done.stdout == "y\n" and "Read-only" in done.stderr


def test_memory(runner, scratch):
    """What may be written with --read-only, as with podman; --tmpfs; volumes on them and below them."""
    folder = scratch / "shared"
    (folder / "cache").mkdir(parents=True)
    (folder / "cache").chmod(0o1777)  # runc 1.1 gives a tmpfs the mode of what it hides
    (folder / "file").write_text("here\n")
    options = ["--read-only", "--tmpfs", "/srv/made:size=1m,mode=700,exec", "--tmpfs", "/mnt/cache", "-v", f"{folder}:/mnt", "-v", f"{folder}:/tmp/in"]
    script = ("for d in /run /tmp /var/tmp /srv/made /mnt/cache; do echo x > $d/x || echo no $d; stat -c %a $d; done; cat /tmp/in/file;"
              "cp /bin/true /srv/made && /srv/made/true && echo ran; head -c 2000000 /dev/zero > /srv/made/y || echo full;"
              "cp /bin/true /mnt/cache && /mnt/cache/true || echo noexec; touch /etc/x; cat /etc/hostname")
    done = runner("sh", "-c", script, options=[*options, "--hostname", "box"])
    lines = done.stdout.splitlines()
    assert lines == ["755", "1777", "1777", "700", "1777", "here", "ran", "full", "noexec", "box"], done
    assert "Read-only" in done.stderr and os.listdir(folder / "cache") == []
    done = runner("sh", "-c", "echo x > /tmp/x", options=["--read-only", "-v", f"{folder}:/tmp:ro"], status=2)
    assert "Read-only" in done.stderr
    says(runner("true", options=["-v", f"{folder}:/mnt", "--tmpfs", "/mnt/"], status=2), 2, "something else")


def test_devices_are_closed(runner):
    """Neither a device node of its own nor one in the image opens a disk."""
    script = "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk; mknod /dev/disk b 254 0 && head -c 1 /dev/disk; head -c 3 /dev/zero | wc -c"
    done = runner("sh", "-c", script, options=["--cap-add", "MKNOD"])
    assert done.stdout == "3\n" and done.stderr.count("ermi") == 2
    assert "CapEff:\t0000000000000000" in runner.out("cat", "/proc/self/status", options=["--cap-drop", "all"])


def test_keep(runner, scratch):
    keep = scratch / "keep"
    runner("sh", "-c", "useradd -m joe && rm /etc/motd && echo 1 > /home/joe/n", options=["--keep", keep])
    script = "id -un; cat ~/n; test -e /etc/motd || echo gone"
    assert runner.out("sh", "-c", script, options=["--keep", keep, "-u", "joe"]) == "joe\n1\ngone\n"
    assert (keep / "upper/home/joe/n").read_text() == "1\n"
    other = with_config(scratch / "image", Cmd=["sh"])
    says(runner("true", options=["--keep", keep], reference=other, status=125), 125, "another image")
    with started(runner, f"trap 'exit 0' TERM; {WAIT}", options=["--keep", keep]) as process:
        says(runner("true", options=["--keep", keep], status=125), 125, "another container")
    assert runner.out("cat", "/home/joe/n", options=["--keep", keep]) == "1\n"


def test_no_place_for_an_overlay(any_runner, scratch):
    """TMPDIR lies on an overlay, which can not carry another: what is written is held in memory, with a word."""
    parts = [scratch / name for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir()
    run("mount", "-t", "overlay", "-o", "lowerdir={},upperdir={},workdir={}".format(*parts[:3]), "test", parts[3])
    try:
        done = any_runner("sh", "-c", "echo x > /made; cat /made; ls -ld /", env={"TMPDIR": os.fspath(parts[3])})
        assert done.stdout.startswith("x\ndrwxr-xr-x") and "memory" in done.stderr and "TMPDIR" in done.stderr
        assert not os.listdir(parts[3])
        status = any_runner("true", options=["--keep", parts[3] / "keep"], status=125)
        says(status, 125, "overlay")
    finally:
        run("umount", parts[3])


# ---- signals and the end --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(runner, script, options=(), reference=None, **more):
    """A container whose script says "ready" first; killed when the test has not ended it."""
    process = subprocess.Popen(runner.words("sh", "-c", f"echo ready; {script}", options=options, reference=reference),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), **more)
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=RUN_S)


WAIT = "while :; do sleep 0.05; done"


def test_signals(runner, scratch):
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGQUIT):
        with started(runner, f"trap 'exit 9' {number.name[3:]}; echo set; {WAIT}") as process:
            assert process.stdout.readline() == "set\n"
            process.send_signal(number)
            assert process.wait(20 * SLOWER) == 9
    image = with_config(scratch / "image", StopSignal="SIGRTMIN+3", Env=["PATH=/usr/bin:/bin"])
    for number in (signal.SIGTERM, signal.SIGHUP):
        with started(runner, f"trap 'echo asked; exit 0' 37; echo set; {WAIT}", reference=image) as process:
            assert process.stdout.readline() == "set\n"
            process.send_signal(number)
            assert process.wait(20 * SLOWER) == 0 and process.stdout.read() == "asked\n"


def test_impatience(any_runner):
    """What ignores a signal is killed: by the third Ctrl-C at once, else after ten seconds."""
    with started(any_runner, f"trap '' INT TERM; echo set; {WAIT}") as process:
        assert process.stdout.readline() == "set\n"
        end = time.monotonic() + 5 * SLOWER
        while process.poll() is None and time.monotonic() < end:  # two that wait at once are one
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.returncode == 137
    with started(any_runner, f"trap '' TERM; echo set; {WAIT}") as process:
        assert process.stdout.readline() == "set\n"
        begin = time.monotonic()
        process.terminate()
        assert process.wait(30 * SLOWER) == 137 and 9 < time.monotonic() - begin


def test_killed(runner):
    """kill -9 of the command ends the container, too."""
    with started(runner, WAIT) as process:
        process.kill()
        process.wait()
        wait_for(lambda: not left_behind(), f"all is gone: {left_behind()}")


def test_killed_with_its_guard(runner):
    """Then the next run takes away what is left, the container included."""
    asleep = "sleep 98765"
    with started(runner, f"exec {asleep}") as process:
        # Asleep, it needs nothing of its root, which dies: a shell may need a page, and end.
        wait_for(lambda: [line for line in live(asleep) if line.split(" ", 1)[1].strip() == asleep], "the container sleeps")
        own = [line for line in live(asleep) if " run --" in line]
        assert len(own) == 2, own
        pids = [int(line.split()[0]) for line in own]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped, neither sees the other's end
            for pid in pids:
                os.kill(pid, number)
        process.wait()
        # as long as one of them is still dying, the next run takes the folder for that of a live one
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "both are dead")
        assert live(asleep)
        assert runner.out("echo", "next") == "next\n"
        wait_for(lambda: not live(asleep), "the container has ended")


RUNTIME_THAT_LINGERS = """#!/usr/bin/python3
import os, sys, time
if "run" in sys.argv:
    pid_file = sys.argv[sys.argv.index("--pid-file") + 1]
    if os.fork() == 0:
        container = os.fork()
        if container == 0:
            os._exit(7)
        with open(pid_file + ".new", "w") as file:
            file.write(str(container))
        os.rename(pid_file + ".new", pid_file)
        time.sleep(0.5)
        os._exit(0)
    while not os.path.exists(pid_file):
        time.sleep(0.01)
"""


def test_runtime_that_lingers(any_runner, scratch):
    """crun leaves before the process of its own that started the container: its status is to be had only after that."""
    program = scratch / "lingers"
    program.write_text(RUNTIME_THAT_LINGERS, encoding="ascii")
    program.chmod(0o755)
    Runner(any_runner.imgfs.folder, any_runner.imgfs.store, os.fspath(program), any_runner.reference)("true", status=7)


def test_killed_container(runner):
    with started(runner, f": marked; {WAIT}") as process:
        # For a moment after a fork the shell's child has its command line, too.
        def alone():
            found = [int(line.split()[0]) for line in live(": marked") if " run --" not in line]
            return found[0] if len(found) == 1 else None
        os.kill(wait_for(alone, "the container's first process alone"), signal.SIGKILL)
        assert process.wait(20 * SLOWER) == 137


# ---- terminals ------------------------------------------------------------------------------------------------------


class Terminal:
    def __init__(self, words):
        self.fd, inner = os.openpty()
        self.resize(33, 99)
        self.before = termios.tcgetattr(self.fd)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.fd)
            os.login_tty(inner)
            os.execve(words[0], list(map(os.fspath, words)), environment())
        os.close(inner)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, word, seconds=30):
        end = time.monotonic() + seconds * SLOWER
        while word not in self.text:
            assert time.monotonic() < end, f"no {word!r} in {self.text!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode(errors="replace")
                except OSError:
                    break
        assert word in self.text, self.text
        self.text = self.text.split(word, 1)[1]

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


def test_terminal(runner):
    terminal = Terminal(runner.words("sh", "-c", "tty; stty size; exec bash --norc --noprofile", options=["-it", "-e", "PS1=%% "]))
    terminal.until("/dev/pts/0")
    terminal.until("%%")
    terminal.type("stty size; echo $TERM; test -t 2 && echo is-a-tty\n")
    terminal.until("33 99")
    terminal.until("xterm")
    terminal.until("\nis-a-tty")
    terminal.resize(20, 50)
    terminal.type("until stty size | grep 50; do sleep 0.1; done\n")
    terminal.until("20 50")
    terminal.type("sleep 1000\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.until("^C")
    terminal.type("echo sti''ll; exit 9\n")
    terminal.until("still")
    wait_for(lambda: termios.tcgetattr(terminal.fd)[3] == terminal.before[3], "the terminal is as it was", 10 * SLOWER)
    assert terminal.end() == 9


def test_terminal_large_output(any_runner):
    terminal = Terminal(any_runner.words("sh", "-c", "seq 1 20000; echo over", options=["-it"]))
    terminal.until("\r\n20000\r\nover", 60)
    assert terminal.end() == 0


def test_terminal_hangs_up(any_runner):
    terminal = Terminal(any_runner.words("bash", options=["-it"]))
    terminal.until("#")
    os.close(terminal.fd)
    begin = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 129
    assert time.monotonic() - begin < 8


def test_terminal_is_needed(any_runner):
    says(any_runner("sh", options=["-it"], status=2, stdin=subprocess.DEVNULL), 2, "not a terminal")


# ---- wrong input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, status, word", [
    (["--net", "bridge"], 2, "'host' or 'none'"), (["--tmpfs", "tmp"], 2, "absolute"), (["--tmpfs", "/"], 2, "absolute"),
    (["--tmpfs", "/a:size=x"], 2, "size=BYTES"), (["--tmpfs", "/a:mode=9"], 2, "mode=OCTAL"), (["--tmpfs", "/a:suid"], 2, "none of"),
    (["-w", "relative"], 2, "absolute"),
    (["-v", "/tmp"], 2, "SRC:DST"),
    (["-v", "/no/such:/mnt"], 125, "/no/such"),
    (["-e", "=x"], 2, "no name"),
    (["--env-file", "/no/such"], 125, "/no/such"),
    (["--cap-add", "FLY"], 2, "FLY"),
    (["--name", "a/b"], 2, "--name"),
    (["--fill", "much"], 2, "--fill"),
    (["--keep", "/proc/x"], 125, "/proc/x"),
    (["--volumes", "x"], 2, "did you mean '--volume'"),
    (["--runtime", "/no/such"], 125, "--runtime"),
])
def test_wrong_options(any_runner, options, status, word):
    says(any_runner("true", options=options, status=status), status, word, "imgfs run")


def test_no_runtime(any_runner, scratch):
    """A machine without crun and runc hears which package to install."""
    empty = scratch / "bin"
    empty.mkdir()
    words = ["unshare", "-m", "sh", "-c", 'for p in /usr/bin/crun /usr/sbin/runc /usr/bin/runc; do test ! -e $p || '
             'mount --bind /dev/null $p; done; PATH=$0; exec "$@"', empty, *any_runner.words("true")]
    words = [w for i, w in enumerate(words) if w != "--runtime" and words[i - 1] != "--runtime"]
    says(run(*words, check=False, env=environment()), 125, "no OCI runtime", "crun or runc")


def test_no_image(any_runner, scratch):
    says(any_runner("true", reference="localhost:1/none:1", options=["--plain-http"], status=125), 125, "localhost:1")
    says(any_runner("true", reference=f"oci:{scratch}:1", status=125), 125, os.fspath(scratch))


def test_options_end_at_the_reference(any_runner):
    assert any_runner.out("printf", "%s ", "-e", "--help", "--", "-v") == "-e --help -- -v "
    assert any_runner.out("--", "echo", "--net") == "--net\n"


# ---- bundles --------------------------------------------------------------------------------------------------------


def test_bundle(scratch, store, debian):
    """The printed lines run the container; --mount does the first ones."""
    imgfs = Runner(scratch / "imgfs", store, "runc", debian).imgfs
    lines = imgfs.run("bundle", debian, scratch / "one", "sh", "-c", "id -u; touch /made").stdout
    (scratch / "bin").mkdir()
    os.symlink(imgfs.command("bundle")[0], scratch / "bin/imgfs")
    path = f"{scratch}/bin:{os.environ['PATH']}"
    done = run("sh", "-ec", lines.replace("NAME", "imgfs-test-one"), env=environment(PATH=path), check=False)
    assert done.returncode == 0 and done.stdout == "0\n", done.stderr
    assert (scratch / "one/upper/made").exists()
    says(imgfs.run("bundle", debian, scratch / "one", check=False), 1, "already")
    lines = imgfs.run("bundle", "--mount", "--name", "imgfs-test-two", debian, scratch / "two", "ls", "/").stdout
    assert os.path.exists(scratch / "two/rootfs/etc/passwd")
    assert "etc\n" in run("sh", "-ec", lines, env=environment(PATH=path)).stdout
    assert not os.listdir(scratch / "two/rootfs") and not os.listdir(scratch / "two/image")


def test_bundle_against_umoci(scratch, store, debian):
    """User, groups, command, directory and environment are what umoci makes of the same config."""
    if not shutil.which("umoci"):
        pytest.skip("umoci is not installed")
    imgfs = Runner(scratch / "imgfs", store, "runc", debian).imgfs
    tree = imgfs.mount(debian)
    for number, config in enumerate([
        {"Entrypoint": ["sh", "-c"], "Cmd": ["id"], "User": "games", "WorkingDir": "/srv", "Env": ["A=b", "PATH=/x"]},
        {"Cmd": ["id"], "User": "33:tty"},
        {"Cmd": ["id"], "User": "4711"},
    ]):
        image = with_config(scratch / f"image{number}", **config)
        imgfs.run("bundle", image, scratch / f"ours{number}")
        run("umoci", "raw", "runtime-config", "--image", image[4:], "--rootfs", tree, scratch / f"theirs{number}")
        ours = json.loads((scratch / f"ours{number}/config.json").read_text())["process"]
        theirs = json.loads((scratch / f"theirs{number}").read_text())["process"]
        assert (ours["args"], ours["cwd"]) == (theirs["args"], theirs["cwd"])
        assert (ours["user"]["uid"], ours["user"]["gid"]) == (theirs["user"]["uid"], theirs["user"]["gid"])
        assert set(config.get("Env", [])) <= set(ours["env"]) and set(config.get("Env", [])) <= set(theirs["env"])
        assert [e for e in theirs["env"] if e.startswith("HOME=")] in ([], [e for e in ours["env"] if e.startswith("HOME=")])
    imgfs.umount(tree)
