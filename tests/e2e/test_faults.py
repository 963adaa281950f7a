"""Faults: the registry goes away or lies, the daemon is killed, the disk is full, the store is damaged.

Readers get the right bytes or EIO within the budget; never wrong bytes, never a hang, and nothing is left behind.
"""
import contextlib
import errno
import os
import signal
import subprocess
import threading
import time

import pytest

import images
import imgfs as program
from images import small_content
from processes import SCRATCH, free_port, wait_for
from registry import Registry

BUDGET_S = 3
SLACK_S = 2 * program.SLOWER
LARGE = "data/large"
MANY = [f"data/many/{i:02}" for i in range(64)]
LAYER_OF_LARGE = 1


@pytest.fixture
def own(scratch):
    """A registry that a test may stop and whose files it may change, with the small image: (registry, reference)."""
    made = Registry(scratch / "registry").start()
    yield made, made.push(images.small_image(scratch / "layout"), "small")
    made.stop()


@pytest.fixture
def cold(own, imgfs):
    """(registry, reference) with the indexes in the store, and nothing else."""
    imgfs.build(own[1])
    imgfs.keep_only_indexes()
    return own


def read(mount, path, offset=0, size=-1):
    """All bytes of the range, or OSError: a kernel's short read before an error is followed by the error."""
    with open(os.path.join(mount, path), "rb", buffering=0) as file:
        size, got = size if size >= 0 else os.fstat(file.fileno()).st_size, b""
        while len(got) < size:
            piece = os.pread(file.fileno(), size - len(got), offset + len(got))
            if not piece:
                break
            got += piece
        return got


def read_error(mount, path, offset=0, size=4096):
    """(errno, seconds) of a read that must fail."""
    started = time.monotonic()
    with pytest.raises(OSError) as caught:
        read(mount, path, offset, size)
    return caught.value.errno, time.monotonic() - started


def reader_of(mount, path):
    """A process that reads a file of the mount to its end."""
    return subprocess.Popen(["cat", f"{mount}/{path}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def forget_pages(mount, *paths):
    """Make the kernel drop what it has cached of these files, so that the next read asks the daemon."""
    for path in paths:
        with open(os.path.join(mount, path), "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def flip(path, offset, count=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        data = file.read(count)
        file.seek(offset)
        file.write(bytes(b ^ 0x40 for b in data))


def large_layer(imgfs, reference):
    """The digest of the layer that holds data/large."""
    return imgfs.json("inspect", reference)["layers"][LAYER_OF_LARGE]["digest"]


def kill_daemon(mount):
    for pid in program.processes_of(mount):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not program.processes_of(mount), "the daemon is dead")


def nothing_of(mount):
    assert not program.mount_of(mount), "still mounted"
    assert wait_for(lambda: not program.processes_of(mount), "no process is left", 10)


# ---- the registry ---------------------------------------------------------------------------------------------------


def test_registry_gone_after_the_mount(cold, imgfs):
    registry, reference = cold
    mount = imgfs.mount(reference, "--read-budget", str(BUDGET_S))
    assert read(mount, MANY[0]) == small_content(MANY[0])
    registry.stop()
    forget_pages(mount, MANY[0], LARGE)

    assert read(mount, MANY[0]) == small_content(MANY[0]), "a cached read needs the registry"
    assert len(os.listdir(f"{mount}/data/many")) == 64 and os.stat(f"{mount}/{LARGE}").st_size == 8 << 20
    error, seconds = read_error(mount, LARGE, 1 << 20)
    assert error == errno.EIO
    assert seconds <= BUDGET_S + SLACK_S, f"EIO after {seconds:.1f} s"
    assert read(mount, MANY[0]) == small_content(MANY[0]), "cached reads go on after an error"

    registry.start()
    wait_for(lambda: _succeeds(lambda: read(mount, LARGE)), "the mount works again", 40)
    assert read(mount, LARGE) == small_content(LARGE)


def _succeeds(call):
    try:
        return call() is not None
    except OSError:
        return False


def test_readers_that_wait_can_be_interrupted(cold, imgfs):
    registry, reference = cold
    mount = imgfs.mount(reference, "--read-budget", "120")
    registry.stop()
    reader = reader_of(mount, LARGE)
    time.sleep(0.5)
    started = time.monotonic()
    reader.send_signal(signal.SIGINT)
    assert reader.wait(30) == -signal.SIGINT
    assert time.monotonic() - started < 2 + SLACK_S


def test_wrong_bytes_are_never_served(cold, imgfs):
    registry, reference = cold
    blob = registry.blob_file(large_layer(imgfs, reference))
    half = os.path.getsize(blob) // 2
    flip(blob, half, 1000)
    mount, daemon = imgfs.mount_foreground(reference, "--read-budget", str(BUDGET_S))
    expected, refused = small_content(LARGE), 0
    for offset in range(0, len(expected), 64 << 10):
        try:
            assert read(mount, LARGE, offset, 64 << 10) == expected[offset : offset + (64 << 10)]
        except OSError as error:
            assert error.errno == errno.EIO
            refused += 1
    assert 1 <= refused <= 24, f"{refused} of 128 pieces refused"
    lines = [line for line in daemon.output().splitlines() if "refused" in line]
    assert 1 <= len(lines) <= 6, daemon.output()
    assert "=" in lines[0] and reference.split("/")[0] in daemon.output()
    assert imgfs.status(mount)["content"]["refused"] >= 1

    flip(blob, half, 1000)
    wait_for(lambda: _succeeds(lambda: read(mount, LARGE)), "right bytes are served again", 40)
    assert read(mount, LARGE) == expected


def test_a_layer_that_lies_is_not_indexed(own, imgfs, scratch):
    registry, reference = own
    flip(registry.blob_file(large_layer(imgfs, reference)), 5000)
    done = imgfs.run("index build", reference, check=False)
    assert done.returncode == 6, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert large_layer(imgfs, reference).split(":")[1] not in " ".join(imgfs.layer_files("index", "blob", "data"))
    assert not [path for path in imgfs.files() if "/v1/tmp/" in path], "litter"


def test_cat_says_what_was_wrong(imgfs, scratch):
    """The exit status of a read tells wrong bytes (6) from a layer that is gone (3)."""
    layout = images.Layout(scratch / "layout")
    layer = layout.add_layer(images.tar_of({"file": images.noise(100_000)}), compress="none")
    reference = "oci:" + layout.write()
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    blob = os.path.join(layout.folder, "blobs", *layer["digest"].split(":"))
    flip(blob, 5000)
    done = imgfs.run("cat", reference, "/file", check=False)
    assert (done.returncode, done.stdout) == (6, ""), done
    os.unlink(blob)
    assert imgfs.run("cat", reference, "/file", check=False).returncode == 3


# ---- a mount that fails ---------------------------------------------------------------------------------------------


def failing(imgfs, exit_status, *arguments):
    done = imgfs.run("mount", *arguments, check=False, timeout=60)
    assert done.returncode == exit_status, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    nothing_of(os.fspath(arguments[-1]))
    assert not [path for path in imgfs.files() if "/v1/tmp/" in path], "litter"
    return done.stderr


def test_a_mount_that_fails_leaves_nothing(own, imgfs, scratch):
    registry, reference = own
    (scratch / "mnt").mkdir()
    (scratch / "file").write_text("x", encoding="ascii")
    failing(imgfs, 2, "no/such:reference::", scratch / "mnt")
    failing(imgfs, 3, reference + "-not", scratch / "mnt")
    failing(imgfs, 3, registry.reference("absent"), scratch / "mnt")
    failing(imgfs, 3, f"oci:{scratch}/absent", scratch / "mnt")
    failing(imgfs, 5, f"localhost:{free_port()}/small:1", scratch / "mnt")
    for target in (scratch / "absent", scratch / "file"):
        done = imgfs.run("mount", reference, target, check=False)
        assert done.returncode in (2, 3) and len(done.stderr.strip().splitlines()) == 1, done
        nothing_of(os.fspath(target))
    flip(registry.blob_file(large_layer(imgfs, reference)), 5000)
    failing(imgfs, 6, reference, scratch / "mnt")
    assert os.listdir(scratch / "mnt") == []


def test_registry_goes_away_while_indexing(own, imgfs, scratch):
    registry, reference = own
    imgfs.run("inspect", reference)
    os.truncate(registry.blob_file(large_layer(imgfs, reference)), 100_000)
    failing_status = imgfs.run("mount", reference, imgfs.new_folder(), check=False, timeout=120).returncode
    assert failing_status in (5, 6)
    nothing_of(imgfs.new_folder())


# ---- the process ----------------------------------------------------------------------------------------------------


def test_killed_daemon(cold, imgfs):
    _, reference = cold
    mount = imgfs.mount(reference)
    assert read(mount, MANY[0]) == small_content(MANY[0])
    kill_daemon(mount)
    with pytest.raises(OSError) as caught:
        os.listdir(mount)
    assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    imgfs.run("umount", mount)
    nothing_of(mount)

    imgfs.mount(reference, folder=mount)
    assert read(mount, MANY[0]) == small_content(MANY[0])
    assert read(mount, LARGE) == small_content(LARGE)
    imgfs.umount(mount)
    nothing_of(mount)


def test_killed_while_it_stores(cold, imgfs):
    """Whatever moment it dies at: the next mount serves right bytes from the same store."""
    _, reference = cold
    for delay_ms in (0, 5, 20, 60):
        mount = imgfs.mount(reference)
        readers = [reader_of(mount, path) for path in [LARGE, *MANY[:8]]]
        time.sleep(delay_ms / 1000)
        kill_daemon(mount)
        for reader in readers:
            reader.wait(30)
        imgfs.run("umount", mount)
        imgfs.mounts.remove(mount)
    mount = imgfs.mount(reference)
    for path in [LARGE, *MANY]:
        assert read(mount, path) == small_content(path), path
    assert not [path for path in imgfs.files() if "/v1/tmp/" in path], "litter of dead processes"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signal_unmounts(cold, imgfs, how):
    mount, daemon = imgfs.mount_foreground(cold[1])
    assert read(mount, MANY[0]) == small_content(MANY[0])
    daemon.process.send_signal(how)
    assert daemon.process.wait(15 * program.SLOWER) == 0
    nothing_of(mount)


def test_umount_with_readers_in_flight(cold, imgfs):
    """Readers of a registry that is gone do not keep the daemon alive."""
    registry, reference = cold
    mount, daemon = imgfs.mount_foreground(reference, "--read-budget", "120")
    registry.stop()
    reader = reader_of(mount, LARGE)
    time.sleep(0.5)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(20 * program.SLOWER)
    assert reader.wait(10) != 0
    nothing_of(mount)


# ---- the disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tmpfs(scratch):
    """tmpfs(size) -> a store folder on a file system of that size."""
    folder = scratch / "small-disk"
    folder.mkdir(mode=0o700)

    def make(size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "imgfs-test", folder], check=True)
        return folder

    yield make
    subprocess.run(["umount", "-l", folder], check=False)


@pytest.mark.root
def test_full_disk_while_reading(cold, imgfs, tmpfs, scratch):
    """The store goes pass-through: right bytes, no error, few lines."""
    store = tmpfs("2m")
    subprocess.run(["cp", "-a", f"{imgfs.store}/.", store], check=True)
    on_small = program.Imgfs(scratch / "on-small", store)
    try:
        mount, daemon = on_small.mount_foreground(cold[1])
        for path in [LARGE, *MANY]:
            assert read(mount, path) == small_content(path), path
        assert 1 <= sum("store" in line for line in daemon.output().splitlines()) <= 6, daemon.output()
    finally:
        on_small.stop()


@pytest.mark.root
def test_full_disk_while_indexing(own, imgfs, tmpfs, scratch):
    """The blobs do not fit, the indexes do."""
    on_small = program.Imgfs(scratch / "on-small", tmpfs("3m"))
    try:
        mount = on_small.mount(own[1])
        assert read(mount, LARGE) == small_content(LARGE)
    finally:
        on_small.stop()


@pytest.mark.root
def test_no_room_for_anything(own, tmpfs, scratch):
    """Not even an index fits: the mount lives from memory and says so."""
    on_small = program.Imgfs(scratch / "on-small", tmpfs("16k"))
    try:
        mount = on_small.mount(own[1])
        assert read(mount, LARGE) == small_content(LARGE)
    finally:
        on_small.stop()


# ---- the store ------------------------------------------------------------------------------------------------------


def every_file_is_right(imgfs, reference):
    mount = imgfs.mount(reference)
    for path in [LARGE, *MANY, "etc/name", "etc/empty", "bin/tool"]:
        assert read(mount, path) == small_content(path), path
    imgfs.umount(mount)


@pytest.mark.parametrize("damage", ["flip", "truncate", "garbage", "empty"])
@pytest.mark.parametrize("kind", ["data", "map", "index", "blob"])
def test_damaged_store(own, imgfs, kind, damage):
    """Every file of every layer is damaged: all bytes are right afterwards, and after that again."""
    _, reference = own
    every_file_is_right(imgfs, reference)
    if kind in ("data", "map"):
        for path in imgfs.layer_files("blob"):
            os.unlink(path)
        every_file_is_right(imgfs, reference)
    paths = imgfs.layer_files(kind)
    assert paths, f"the store has no {kind}"
    for path in paths:
        size = os.path.getsize(path)
        if damage == "flip":
            for offset in range(0, size, max(1, size // 50)):
                flip(path, offset)
        else:
            data = {"truncate": size // 2, "garbage": size, "empty": 0}[damage]
            with open(path, "r+b") as file:
                file.truncate(data)
                if damage == "garbage":
                    file.write(images.noise(size, "garbage"))
    every_file_is_right(imgfs, reference)
    every_file_is_right(imgfs, reference)


def test_damaged_documents_and_image_index(own, imgfs):
    _, reference = own
    every_file_is_right(imgfs, reference)
    for path in imgfs.files():
        if "/layers/" not in path:
            flip(path, os.path.getsize(path) // 2, 8)
    every_file_is_right(imgfs, reference)


def test_store_of_somebody_else_is_refused(own, imgfs):
    os.makedirs(imgfs.store, mode=0o777)
    os.chmod(imgfs.store, 0o777)
    done = imgfs.run("ls", own[1], check=False)
    assert done.returncode == 7 and "store" in done.stderr, done


def test_two_mounts_on_one_store(cold, imgfs):
    """Each reads everything at the same time; then one is killed, and the other goes on."""
    _, reference = cold
    mounts = [imgfs.mount(reference), imgfs.mount(reference)]
    wrong = []

    def read_all(mount):
        for path in [LARGE, *MANY]:
            if read(mount, path) != small_content(path):
                wrong.append((mount, path))

    threads = [threading.Thread(target=read_all, args=(mount,)) for mount in mounts * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong
    kill_daemon(mounts[0])
    forget_pages(mounts[1], LARGE, *MANY)
    read_all(mounts[1])
    assert not wrong
    imgfs.run("umount", mounts[0])


def test_nothing_is_written_outside(own, imgfs):
    """All that a mount writes lies in its store (and the runtime folder that status reads)."""
    home = os.path.join(SCRATCH, "home")
    os.makedirs(home, exist_ok=True)
    mount = imgfs.mount(own[1], env={"HOME": home})
    read(mount, LARGE)
    imgfs.umount(mount)
    assert os.listdir(home) == []
