"""The life of a mount: how it begins, what it may be asked for, and each way in which it ends."""
import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from images import Layout, small_content
from imgfs import FLAVOUR, SLOWER, environment, mount_of, processes_of
from mounting import NOBODY, content, image, left_behind, open_to_all, options_of, records_of, says  # noqa: F401
from processes import run, wait_for
from test_upcalls import entry_of

# pylint: disable=redefined-outer-name,unused-import

DRAIN_S = 5  # how long a busy mount is served on after SIGTERM


@contextlib.contextmanager
def user_in(folder):
    """A process that sits in a folder of the tree: it is busy."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, stdin=subprocess.PIPE)
    try:
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/cwd").startswith(folder), "the user sits in the tree")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


# ---- beginning ----


def test_readable_at_once_and_gone_at_once(imgfs, image):
    folder = imgfs.mount(image)
    assert sorted(os.listdir(folder)) == ["bin", "data", "etc"]
    assert content(folder) == small_content("data/large")
    row = imgfs.status(folder)
    assert row["image"] == image and row["mountpoint"] == folder and row["store"] == imgfs.store
    assert processes_of(folder) == [row["pid"]]
    imgfs.umount(folder)
    assert not left_behind(folder)
    says(imgfs.run("status", folder, check=False), 3, folder)


def test_daemon_leaves_the_terminal(imgfs, image):
    """run() reads the command's output to its end: a daemon that kept the pipe would hold it up."""
    folder = imgfs.mount(image)
    pid = imgfs.status(folder)["pid"]
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    for fd in "012":
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"


def test_daemon_keeps_no_descriptor_of_its_caller(imgfs, image):
    reader, writer = os.pipe()
    folder = imgfs.new_folder()
    imgfs.mounts.append(folder)
    run(*imgfs.command("mount", image, folder), pass_fds=[writer], env=environment(), timeout=60 * SLOWER)
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_relative_paths(imgfs, image, scratch):
    folder = imgfs.new_folder()
    imgfs.mounts.append(folder)
    reference = "oci:" + os.path.relpath(image[4:], scratch)
    run(*imgfs.command("mount", reference, os.path.relpath(folder, scratch)), "--store", "store-here", cwd=scratch,
        env=environment(), timeout=60 * SLOWER)
    assert content(folder) == small_content("data/large")
    run(*imgfs.command("umount", os.path.relpath(folder, scratch) + "//"), cwd=scratch, env=environment())
    assert not left_behind(folder)


def test_two_mounts_of_one_image(imgfs, image):
    first, second = imgfs.mount(image), imgfs.mount(image)
    listed = [row["mountpoint"] for row in imgfs.json("status")["mounts"]]
    assert {first, second} <= set(listed)
    assert content(first) == content(second)
    imgfs.umount(first)
    assert content(second, "etc/name") == small_content("etc/name")
    imgfs.umount(second)


@pytest.mark.parametrize(
    "reference, status",
    [("oci:/nonexistent:1", 3), ("localhost:1/no/registry", 5), ("not a reference", 2), ("docker-archive:x.tar", 9)],
)
def test_failing_mount_leaves_nothing(imgfs, reference, status):
    folder = imgfs.new_folder()
    for option in ([], ["-f"]):
        says(imgfs.run("mount", *option, reference, folder, check=False), status)
        assert not left_behind(folder)


def test_killed_while_preparing(imgfs, image, scratch):
    """The child of a command that is killed does not go on alone."""
    folder = imgfs.new_folder()
    layout = image[4:].rsplit(":", 1)[0]
    blobs = os.path.join(layout, "blobs", "sha256")
    largest = max((os.path.join(blobs, name) for name in os.listdir(blobs)), key=os.path.getsize)
    size = os.path.getsize(largest)
    os.rename(largest, scratch / "kept")
    with open(largest, "wb") as file:  # the same size, but wrong: an index is not made in a moment
        file.truncate(size)
    command = subprocess.Popen(imgfs.command("mount", image, folder), env=environment(), stderr=subprocess.DEVNULL)
    command.kill()
    command.wait()
    wait_for(lambda: not processes_of(folder), "no process is left", 20 * SLOWER)
    assert not left_behind(folder)


def test_mount_points_that_are_refused(imgfs, image, scratch):
    file, full = scratch / "file", scratch / "full"
    file.write_text("")
    full.mkdir()
    (full / "something").write_text("")

    def refused(folder, status, *words):
        says(imgfs.run("mount", image, folder, check=False), status, *words)
        assert not processes_of(image)

    refused(scratch / "missing", 3, "No such file")
    refused(file, 2, "not a directory")
    refused(full, 1, "not empty", "nonempty")
    refused("/", 1, "/")
    taken = imgfs.mount(image)
    says(imgfs.run("mount", image, taken, check=False), 1, "mounted on", "imgfs umount")
    imgfs.umount(taken)
    inside = os.path.join(imgfs.store, "inside")
    os.makedirs(inside)
    refused(inside, 1, "store")
    refused(imgfs.folder, 1, "not empty")
    says(imgfs.run("mount", "-o", "nonempty", image, imgfs.folder, check=False), 1, "hide", "store")
    says(imgfs.run("mount", "-o", "nonempty", image, scratch / "image", check=False), 1, "hide", "image layout")


def test_nonempty_hides_what_is_there(imgfs, image, scratch):
    full = scratch / "full"
    full.mkdir()
    (full / "something").write_text("kept")
    folder = imgfs.mount(image, "-o", "nonempty", folder=os.fspath(full))
    assert "something" not in os.listdir(folder)
    imgfs.umount(folder)
    assert (full / "something").read_text() == "kept"


# ---- options ----


@pytest.mark.root
@pytest.mark.usefixtures("open_to_all")
def test_defaults_of_root(imgfs, image):
    folder = imgfs.mount(image)
    assert {"ro", "nosuid", "nodev", "default_permissions", "allow_other"} <= options_of(folder)
    assert mount_of(folder)[2] == "fuse.imgfs"
    assert mount_of(folder)[0] == image
    assert run("cat", f"{folder}/etc/name", user=NOBODY).stdout == "small\n"


@pytest.mark.root
@pytest.mark.usefixtures("open_to_all")
def test_options_of_root(imgfs, image):
    folder = imgfs.mount(image, "-o", "suid,dev", "-o", "noexec,noallow_other,read_ahead=64")
    options = options_of(folder)
    assert not {"nosuid", "nodev", "allow_other"} & options
    assert {"ro", "noexec", "default_permissions"} <= options
    with pytest.raises(AssertionError, match="Permission denied"):
        run("cat", f"{folder}/etc/name", user=NOBODY)
    device = os.stat(folder).st_dev
    with open(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb", encoding="ascii") as file:
        assert int(file.read()) == 64


@pytest.mark.parametrize(
    "words, status", [("nosuchthing", 2), ("rw", 2), ("ro,read_ahead=x", 2), ("read_ahead=1", 2), ("auto_unmount", 2)]
)
def test_options_that_are_refused(imgfs, image, words, status):
    folder = imgfs.new_folder()
    says(imgfs.run("mount", "-o", words, image, folder, check=False), status, words.rsplit(",", 1)[-1].split("=")[0])
    assert not left_behind(folder)


@pytest.mark.root
@pytest.mark.usefixtures("open_to_all")
def test_modes_are_enforced(imgfs, scratch):
    """default_permissions is always on: whoever may look at the mount still needs the right of the file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(entry_of("secret", mode=0o600, size=4), io.BytesIO(b"word"))
        tar.addfile(entry_of("closed", tarfile.DIRTYPE, mode=0o700))
        tar.addfile(entry_of("closed/file", mode=0o644, size=4), io.BytesIO(b"word"))
    layout = Layout(scratch / "modes")
    layout.add_layer(out.getvalue())
    folder = imgfs.mount("oci:" + layout.write())
    assert content(folder, "closed/file") == b"word"
    for path in ("secret", "closed/file"):
        assert "Permission denied" in run("cat", f"{folder}/{path}", user=NOBODY, check=False).stderr


# ---- ending ----


def test_umount_of_a_busy_tree(imgfs, image):
    folder = imgfs.mount(image)
    with user_in(f"{folder}/data"):
        says(imgfs.run("umount", folder, check=False), 1, "EBUSY", "--lazy")
        assert content(folder, "etc/name") == b"small\n"
        pid = imgfs.status(folder)["pid"]
        imgfs.run("umount", "--lazy", folder)
        assert not mount_of(folder)
        assert imgfs.status(folder)["state"] == "detached"
        # The folder is free for another mount, which does not wait for the old one when it ends.
        imgfs.mount(image, folder=folder)
        assert sorted(row["state"] for row in imgfs.json("status", folder)["mounts"]) == ["detached", "mounted"]
        imgfs.umount(folder)
        assert processes_of(folder) == [pid]
    wait_for(lambda: not left_behind(folder), "the daemon ends with the last user", 10 * SLOWER)


def test_umount_of_something_else(imgfs, scratch):
    says(imgfs.run("umount", scratch, check=False), 3, "nothing is mounted")
    says(imgfs.run("umount", scratch / "missing" / "deeper", check=False), 3, "No such file")
    says(imgfs.run("umount", "/proc", check=False), 3, "not from imgfs")


def test_umount_through_a_symlink(imgfs, image, scratch):
    folder = imgfs.mount(image)
    os.symlink(folder, scratch / "link")
    imgfs.run("umount", scratch / "link")
    assert not left_behind(folder)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals(imgfs, image, how):
    folder, daemon = imgfs.mount_foreground(image)
    assert content(folder, "etc/name") == b"small\n"
    assert daemon.stop(how) == 0
    assert not left_behind(folder)


def test_stop_of_a_background_daemon(imgfs, image):
    folder = imgfs.mount(image)
    os.kill(imgfs.status(folder)["pid"], signal.SIGTERM)
    wait_for(lambda: not left_behind(folder), "it ends", 5 * SLOWER)


def test_stop_with_open_files(imgfs, image):
    """Out of the way at once; whoever has a file open is served for a while; then it ends."""
    folder, daemon = imgfs.mount_foreground(image)
    handle = os.open(f"{folder}/data/large", os.O_RDONLY)
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not mount_of(folder), "detached", 3 * SLOWER)
    assert os.read(handle, 1 << 20) == small_content("data/large")[: 1 << 20]
    assert daemon.process.wait(DRAIN_S + 5 * SLOWER) == 0
    assert time.monotonic() - began > DRAIN_S - 1
    with pytest.raises(OSError) as error:
        os.pread(handle, 4096, 7 << 20)
    assert error.value.errno in (errno.ENOTCONN, errno.EIO)
    with contextlib.suppress(OSError):  # the kernel passes on that nobody was there to flush
        os.close(handle)


def ends_without_drain(imgfs, image, end):
    """Whether a busy daemon that was told to stop ends before its time is up, once end(daemon, user) was called."""
    folder, daemon = imgfs.mount_foreground(image)
    with user_in(folder) as user:
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not mount_of(folder), "detached", 3 * SLOWER)
        end(daemon, user)
        assert daemon.process.wait(DRAIN_S + 20 * SLOWER) == 0
        return time.monotonic() - began < DRAIN_S


# On a loaded machine one daemon may take as long to end as its time to drain; one that drains always does.


def test_stop_ends_with_the_last_user(imgfs, image):
    def end(daemon, user):
        assert daemon.alive()
        user.kill()
        user.wait()

    assert any(ends_without_drain(imgfs, image, end) for _ in range(5))


def test_second_stop_does_not_wait(imgfs, image):
    def end(daemon, _user):
        daemon.process.send_signal(signal.SIGTERM)

    assert any(ends_without_drain(imgfs, image, end) for _ in range(5))


def test_stop_spares_what_lies_on_top(imgfs, image, scratch):
    """A mount that somebody put over ours is not ours to take away."""
    if os.geteuid() != 0:
        pytest.skip("takes root")
    folder, daemon = imgfs.mount_foreground(image)
    run("mount", "-t", "tmpfs", "none", folder)
    assert daemon.stop(signal.SIGTERM, 10 * SLOWER) == 0
    assert mount_of(folder)[2] == "tmpfs"
    run("umount", folder)
    run("umount", "-l", folder)
    assert scratch.exists()


def test_signals_that_do_nothing(imgfs, image):
    folder, daemon = imgfs.mount_foreground(image)
    for number in (signal.SIGHUP, signal.SIGPIPE):
        daemon.process.send_signal(number)
    assert content(folder, "etc/name") == b"small\n"
    time.sleep(0.2)
    assert daemon.alive()


def test_killed_daemon(imgfs, image):
    folder = imgfs.mount(image)
    content(folder)
    os.kill(imgfs.status(folder)["pid"], signal.SIGKILL)
    wait_for(lambda: not processes_of(folder), "it is dead")
    with pytest.raises(OSError) as error:
        os.stat(f"{folder}/a-name-that-was-never-asked-for")
    assert error.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    says(imgfs.run("mount", image, folder, check=False), 1, "daemon is gone", "imgfs umount")
    says(imgfs.run("status", folder, check=False), 3)
    imgfs.umount(folder)
    assert not left_behind(folder)
    imgfs.mount(image, folder=folder)
    assert content(folder) == small_content("data/large")
    imgfs.umount(folder)


def test_killed_daemon_of_a_busy_tree(imgfs, image):
    folder = imgfs.mount(image)
    with user_in(folder):
        os.kill(imgfs.status(folder)["pid"], signal.SIGKILL)
        wait_for(lambda: not processes_of(folder), "it is dead")
        says(imgfs.run("umount", folder, check=False), 1, "EBUSY")
        imgfs.run("umount", "-l", folder)
        imgfs.mount(image, folder=folder)
        assert content(folder, "etc/name") == b"small\n"
        imgfs.umount(folder)


@pytest.mark.root
def test_records_of_the_dead_are_removed(imgfs, image):
    folder = imgfs.mount(image)
    assert len(records_of(folder)) == 1
    os.kill(imgfs.status(folder)["pid"], signal.SIGKILL)
    wait_for(lambda: not processes_of(folder), "it is dead")
    assert folder not in [row["mountpoint"] for row in imgfs.json("status")["mounts"]]
    assert records_of(folder) == []
    run("umount", folder)
    says(imgfs.run("umount", folder, check=False), 3, "nothing is mounted")


@pytest.mark.skipif(FLAVOUR == "tsan", reason="the thread sanitizer's own thread does not sleep")
def test_an_idle_daemon_sleeps(imgfs, image):
    folder = imgfs.mount(image)
    content(folder)
    pid = imgfs.status(folder)["pid"]

    def switches():
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
        return total

    def sleeps():
        before = switches()
        time.sleep(2)
        imgfs.status(folder)
        return switches() - before <= 2

    wait_for(sleeps, "the end of what follows a read: figures, connections", 20)


# ---- readers that give up ----

# Only a direct read waits for the daemon itself. Others wait for a page, and any signal but a deadly one waits with them,
# as on every file system.
READ_LARGE = """
import mmap, os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: sys.exit("interrupted"))
handle = os.open(sys.argv[1], os.O_RDONLY | (os.O_DIRECT if sys.argv[2] == "direct" else 0))
print("reading", flush=True)
os.readv(handle, [mmap.mmap(-1, 4096)])
"""


@pytest.fixture
def stuck(imgfs, small, registry, request):
    """A cold mount of a registry that has stopped to answer, and a process that reads from it."""
    imgfs.build(small)
    imgfs.keep_only_indexes()
    folder = imgfs.mount(small, "--on-error", "wait")
    os.kill(registry.daemon.pid, signal.SIGSTOP)
    command = [sys.executable, "-c", READ_LARGE, f"{folder}/data/large", request.param]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "reading\n"
        wait_for(lambda: imgfs.status(folder)["upcalls"]["read"], "the read has reached the daemon")
        time.sleep(0.5)
        assert reader.poll() is None
        yield folder, reader
    finally:
        os.kill(registry.daemon.pid, signal.SIGCONT)
        reader.kill()
        reader.communicate()


@pytest.mark.parametrize("stuck", ["direct"], indirect=True)
def test_interrupted_reader(imgfs, stuck):
    folder, reader = stuck
    reader.send_signal(signal.SIGALRM)
    assert "interrupted" in reader.communicate(timeout=5 * SLOWER)[1]
    assert imgfs.status(folder)["upcalls"]["interrupt"] >= 1
    assert imgfs.status(folder)["failed_replies"] == 0


@pytest.mark.parametrize("stuck", ["direct", "buffered"], indirect=True)
def test_killed_reader(imgfs, stuck, registry):
    folder, reader = stuck
    reader.kill()
    reader.wait(5 * SLOWER)
    os.kill(registry.daemon.pid, signal.SIGCONT)
    assert content(folder) == small_content("data/large")
    imgfs.umount(folder)


@pytest.mark.parametrize("stuck", ["direct", "buffered"], indirect=True)
def test_stop_with_a_stuck_reader(imgfs, stuck):
    """The daemon ends in bounded time; the reader gets an error."""
    folder, reader = stuck
    pid = imgfs.status(folder)["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not mount_of(folder), "detached", 3 * SLOWER)
    wait_for(lambda: pid not in processes_of(folder), "ended", DRAIN_S + 5 * SLOWER)
    assert "Error" in reader.communicate(timeout=5 * SLOWER)[1]


@pytest.mark.root
def test_time_limit_of_the_kernel(imgfs, image):
    """Where the kernel would end the mount, the read ends first, whatever was asked for."""
    setting = "/proc/sys/fs/fuse/default_request_timeout"
    if not os.path.exists(setting):
        pytest.skip("this kernel has no limit")
    with open(setting, encoding="ascii") as file:
        before = file.read()
    try:
        with open(setting, "w", encoding="ascii") as file:
            file.write("3600")
        _, waiting = imgfs.mount_foreground(image, "--on-error", "wait")
        _, patient = imgfs.mount_foreground(image, "--read-budget", "3600")
        _, usual = imgfs.mount_foreground(image)
    finally:
        with open(setting, "w", encoding="ascii") as file:
            file.write(before)
    assert "seconds=3595" in waiting.output() and "seconds=3595" in patient.output()
    assert "read_budget" not in usual.output()
