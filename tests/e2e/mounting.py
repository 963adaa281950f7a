"""mounting: what the tests of mounts ask about a mount, and the fixtures that let other users in."""
import contextlib
import os
import pwd

import pytest

from images import small_image
from imgfs import mount_of, processes_of
from processes import run

NOBODY = pwd.getpwnam("nobody").pw_uid
RECORDS = "/run/imgfs/mounts"


@pytest.fixture
def image(scratch):
    return "oci:" + small_image(scratch / "image")


def options_of(folder):
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        lines = [line.split() for line in table]
    fields = next(line for line in lines if line[4] == folder)
    tail = fields[fields.index("-") :]
    return set(fields[5].split(",")) | set(tail[3].split(","))


def records_of(folder):
    found = []
    for name in os.listdir(RECORDS) if os.path.isdir(RECORDS) else []:
        with contextlib.suppress(FileNotFoundError), open(f"{RECORDS}/{name}", "rb") as file:
            if folder.encode() + b"\0" in file.read():
                found.append(name)
    return found


def left_behind(folder):
    """What a mount that is gone, or never was, must not leave."""
    return [mount_of(folder), processes_of(folder), records_of(folder), os.listdir(folder)] != [None, [], [], []]


def says(done, status, *words):
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def content(folder, path="data/large"):
    with open(f"{folder}/{path}", "rb") as file:
        return file.read()


@pytest.fixture
def open_to_all(scratch):
    """Other users can get to the scratch folder."""
    for folder in (scratch, *scratch.parents):
        if os.stat(folder).st_uid == os.geteuid() and os.stat(folder).st_mode & 0o001 == 0:
            os.chmod(folder, os.stat(folder).st_mode | 0o011)


@pytest.fixture
def device_for_all(scratch):
    """/dev/fuse as every Debian has it, for this mount namespace; some containers close it."""
    if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        device = scratch / "fuse"
        os.mknod(device, 0o020666, os.makedev(10, 229))
        os.chmod(device, 0o666)
        run("mount", "--bind", device, "/dev/fuse")
        yield
        run("umount", "-l", "/dev/fuse")
    else:
        yield
