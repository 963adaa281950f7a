"""`imgfs run` of a plain user, who has no rights over the machine: in a user namespace, with one id or with many."""
import os
import shutil
import signal
import subprocess

import pytest

from running import RUN_S, RUNTIMES, needs_containers
from images import real_image
from imgfs import BINARY, environment
from mounting import NOBODY, device_for_all, open_to_all, says  # noqa: F401
from processes import SCRATCH, run, wait_for

# pylint: disable=redefined-outer-name,unused-import


@pytest.fixture(scope="module")
def store():
    """One for all tests: Debian is indexed once."""
    needs_containers()
    folder = os.path.join(SCRATCH, "nobodys-store")
    os.mkdir(folder, 0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture(params=RUNTIMES)
def user(request, scratch, store):
    """user(words...) is `imgfs run` of Debian by nobody."""
    request.getfixturevalue("open_to_all")
    request.getfixturevalue("device_for_all")
    layout = real_image("debian")
    world = scratch / "user"
    world.mkdir()
    os.chown(world, NOBODY, NOBODY)
    binary = shutil.copy(BINARY, world / "program")
    env = environment(HOME=os.fspath(world), XDG_RUNTIME_DIR=os.fspath(world), TMPDIR=os.fspath(world),
                      IMGFS_STORE=store)

    def as_user(*words, options=(), **more):
        line = [binary, "run", "--runtime", request.param, *options, f"oci:{layout}:1", *words]
        return run(*line, user=NOBODY, group=NOBODY, extra_groups=[], cwd=world, env=env, check=False, timeout=RUN_S, **more)

    if subprocess.run(["unshare", "-U", "true"], user=NOBODY, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a plain user may not have a user namespace here")
    yield as_user
    wait_for(lambda: not [name for name in os.listdir(world) if name.startswith("imgfs-run.")], "nothing is left")


def test_user_with_one_id(user):
    done = user("sh", "-c", "id -u; cat /proc/self/uid_map; touch /made && ls /made; test -w /proc/sys/kernel/hostname || echo ro")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.split() == ["0", "0", str(NOBODY), "1", "/made", "ro"]
    assert user("sh", "-c", "exit 5").returncode == 5
    says(user("id", options=["-u", "games"]), 125, "/etc/subuid", "uidmap")
    assert user("ls", "/sys/class/net", options=["--net", "none"]).returncode == 0
    done = user("sh", "-c", "echo x > /tmp/x; cat /tmp/x; touch /etc/x", options=["--read-only", "--tmpfs", "/srv/made"])
    assert done.stdout == "x\n" and "Read-only" in done.stderr, done.stderr


@pytest.fixture
def subordinate_ids(scratch):
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap is not installed (package uidmap)")
    (scratch / "subid").write_text(f"somebody:1:1\n{NOBODY}:100000:65536\n")
    made = [path for path in ("/etc/subuid", "/etc/subgid") if not os.path.exists(path)]
    for path in made:
        with open(path, "w", encoding="ascii"):
            pass
    for path in ("/etc/subuid", "/etc/subgid"):
        run("mount", "--bind", scratch / "subid", path)
    yield
    for path in ("/etc/subuid", "/etc/subgid"):
        run("umount", path)
    for path in made:
        os.unlink(path)


def test_user_with_many_ids(user, subordinate_ids, scratch):
    script = "id -un; chown 4711:42 /etc/motd; stat -c %u:%g /etc/motd; su games -s /bin/sh -c 'id -u'"
    done = user("sh", "-c", script)
    assert done.returncode == 0 and done.stdout.split() == ["root", "4711:42", "5"], done
    keep = os.fspath(scratch / "user/kept")
    done = user("sh", "-c", "touch /tmp/x; id -un", options=["--keep", keep, "-u", "games"])
    assert (done.returncode, done.stdout) == (0, "games\n"), done.stderr
    assert os.stat(f"{keep}/upper/tmp/x").st_uid == 100004
    assert user("stat", "-c", "%U", "/tmp/x", options=["--keep", keep]).stdout == "games\n"


def test_user_is_not_root(user, scratch):
    """What only root may see stays closed, inside too."""
    (scratch / "secret").write_text("secret")
    os.chmod(scratch / "secret", 0o600)
    done = user("cat", "/mnt", options=["-v", f"{scratch}/secret:/mnt"])
    assert done.returncode != 0 and done.stdout == ""
    done = user("sh", "-c", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk", options=["--privileged"])
    assert done.returncode != 0 and done.stdout == ""


def test_user_stops(user):
    done = user("sh", "-c", "kill -s TERM 1; exit 3")
    assert done.returncode == 3
    done = user("sh", "-c", f"sh -c 'kill -s {signal.SIGKILL.value} $$'")
    assert done.returncode == 137
