"""Mounts of a plain user, through fusermount3."""
import base64
import json
import os
import signal
import subprocess

import pytest

from imgfs import BINARY, SLOWER, environment, mount_of, processes_of
from mounting import NOBODY, device_for_all, image, left_behind, open_to_all, options_of, says  # noqa: F401
from processes import run, wait_for
from registry import PASSWORD, USER, Registry

# pylint: disable=redefined-outer-name,unused-import


@pytest.fixture
def user(scratch, image, request):
    """user(name, words...) runs imgfs as somebody without rights, in a folder of theirs."""
    if os.geteuid() != 0:
        pytest.skip("takes root to become somebody else")
    if not os.path.exists("/etc/mtab"):
        pytest.skip("there is no /etc/mtab, and fusermount3 does not mount without one")
    request.getfixturevalue("open_to_all")
    request.getfixturevalue("device_for_all")
    world = scratch / "user"
    world.mkdir()
    (world / "mnt").mkdir()
    for path in (world, world / "mnt"):
        os.chown(path, NOBODY, NOBODY)
    run("chmod", "-R", "a+rX", image[4:].rsplit(":", 1)[0])

    def as_user(*words, **more):
        env = environment(HOME=os.fspath(world), XDG_RUNTIME_DIR=os.fspath(world), IMGFS_STORE=os.fspath(world / "store"))
        return run(BINARY, *words, user=NOBODY, group=NOBODY, extra_groups=[], cwd=world, env=env, check=False,
                   timeout=60 * SLOWER, **more)

    yield as_user, world
    subprocess.run(["umount", "-l", world / "mnt"], check=False, stderr=subprocess.DEVNULL)


def test_plain_user(user, image):
    as_user, world = user
    folder = os.fspath(world / "mnt")
    done = as_user("mount", image, "mnt")
    assert done.returncode == 0, done.stderr
    options = options_of(folder)
    assert {"ro", "nosuid", "nodev", "default_permissions"} <= options and "allow_other" not in options
    assert run("cat", f"{folder}/etc/name", user=NOBODY, group=NOBODY).stdout == "small\n"
    assert folder in as_user("status").stdout
    with pytest.raises(PermissionError):
        os.listdir(folder)  # not even root, without allow_other
    done = as_user("umount", "mnt")
    assert done.returncode == 0, done.stderr
    assert not left_behind(folder)


def test_plain_user_and_a_dead_daemon(user, image):
    as_user, world = user
    folder = os.fspath(world / "mnt")
    assert as_user("mount", image, "mnt").returncode == 0
    for pid in processes_of(image):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes_of(image), "it is dead")
    says(as_user("mount", image, "mnt"), 1, "imgfs umount")
    done = as_user("umount", "mnt")
    assert done.returncode == 0, done.stderr
    assert as_user("mount", image, "mnt").returncode == 0
    done = as_user("umount", "mnt")
    assert done.returncode == 0 and not left_behind(folder)


def test_plain_user_who_is_busy(user, image):
    as_user, world = user
    folder = os.fspath(world / "mnt")
    assert as_user("mount", image, "mnt").returncode == 0
    holder = subprocess.Popen(["sh", "-c", f"cd {folder} && exec sleep 60"], user=NOBODY, group=NOBODY)
    try:
        wait_for(lambda: os.readlink(f"/proc/{holder.pid}/cwd") == folder, "busy")
        says(as_user("umount", "mnt"), 1, "EBUSY", "--lazy")
        assert as_user("umount", "-l", "mnt").returncode == 0
        assert not mount_of(folder)
    finally:
        holder.kill()
        holder.wait()


def test_plain_user_with_a_login(user, image, scratch):
    """Once the daemon holds a secret, its memory is nobody's, not even its own user's: the mount works as before."""
    as_user, world = user
    folder = os.fspath(world / "mnt")
    registry = Registry(scratch / "private", password=True).start()
    try:
        reference = registry.push(image[4:], "small")
        login = world / "auth.json"
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        login.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        os.chown(login, NOBODY, NOBODY)
        done = as_user("mount", "--plain-http", "--authfile", os.fspath(login), reference, "mnt")
        assert done.returncode == 0, done.stderr
        assert [os.stat(f"/proc/{pid}/environ").st_uid for pid in processes_of(reference)] == [0]
        assert run("cat", f"{folder}/etc/name", user=NOBODY, group=NOBODY).stdout == "small\n"
        assert folder in as_user("status").stdout
        done = as_user("umount", "mnt")
        assert done.returncode == 0 and not left_behind(folder), done.stderr
    finally:
        registry.stop()


@pytest.mark.parametrize("words", ["suid", "dev", "read_ahead=512"])
def test_what_takes_root(user, image, words):
    as_user, world = user
    says(as_user("mount", "-o", words, image, "mnt"), 4, "takes root")
    assert not mount_of(os.fspath(world / "mnt"))


def test_what_fusermount_refuses(user, image, scratch):
    """Its words become our one line."""
    as_user, world = user
    theirs = scratch / "theirs"
    theirs.mkdir(mode=0o755)
    done = as_user("mount", image, theirs)
    says(done, 4, "mount on", "fusermount3")
    assert "login" not in done.stderr  # no registry has refused anything
    done = as_user("mount", "-o", "allow_other", image, "mnt")
    says(done, 4, "user_allow_other", "leave allow_other out")
    assert "it takes root" not in done.stderr
    assert not mount_of(os.fspath(theirs)) and not processes_of(image)
    assert not mount_of(os.fspath(world / "mnt"))
