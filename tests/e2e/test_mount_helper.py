"""mount.imgfs: `mount -t imgfs`, lines of fstab, umount(8), all with the real mount(8) of util-linux."""
import contextlib
import os
import shutil
import subprocess

import pytest

from imgfs import BINARY, SLOWER, environment, mount_of
from mounting import NOBODY, content, device_for_all, image, left_behind, open_to_all, options_of, says  # noqa: F401
from processes import run, wait_for

# pylint: disable=redefined-outer-name,unused-import
pytestmark = pytest.mark.root
HELPERS = ("mount.imgfs", "mount.fuse.imgfs")


@pytest.fixture
def helper(scratch):
    """The program as /sbin/mount.imgfs, in this mount namespace only; its absolute name."""
    folder = scratch / "sbin"
    folder.mkdir(mode=0o755)
    for name in HELPERS:
        os.symlink(os.path.abspath(BINARY), folder / name)
    real = os.path.realpath("/sbin")
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={folder}:{real}", "overlay", real)
    yield f"/sbin/{HELPERS[0]}"
    run("umount", "-l", real)


@pytest.fixture
def world(scratch, helper):
    """mount(words...) and a folder to mount on."""
    folder = scratch / "mnt"
    folder.mkdir()

    def mount(*words, check=False, **more):
        return run("mount", *words, check=check, timeout=60 * SLOWER, env=environment(IMGFS_STORE=os.fspath(scratch / "store")), **more)

    yield mount, os.fspath(folder)
    while mount_of(folder):
        subprocess.run(["umount", "-l", folder], check=False)


def daemons_of(folder):
    """Processes of the program, whatever it was called, for this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if os.path.samefile(f"/proc/{pid}/exe", BINARY) and os.fsencode(folder) in file.read().split(b"\0"):
                found.append(int(pid))
    return found


def ended(folder):
    """umount(8) does not wait for the daemon: it ends by itself."""
    wait_for(lambda: not daemons_of(folder) and not left_behind(folder), "nothing is left of the mount", 20 * SLOWER)


@pytest.mark.parametrize("kind", ["imgfs", "fuse.imgfs"])
def test_mount_and_umount(world, image, kind):
    mount, folder = world
    done = mount("-t", kind, image, folder)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert content(folder, "etc/name") == b"small\n"
    assert mount_of(folder)[0] == image and mount_of(folder)[2] == "fuse.imgfs"
    assert {"ro", "nosuid", "nodev"} <= options_of(folder)
    assert run("umount", folder).returncode == 0
    assert not mount_of(folder)
    ended(folder)


def test_every_option(world, image, scratch):
    mount, folder = world
    store, log = scratch / "a,store", scratch / "log"
    words = (f'store="{store}",platform=linux/amd64,plain-http,token-host=h.io,index=none,trust-index=any,fill=idle,read-budget=5,'
             f"on-error=eio,no-profile,noexec,noatime,log={log},config=none,nofail,_netdev,noauto,user,x-systemd.automount,comment=a")
    done = mount("-t", "imgfs", "-o", words, image, folder)
    assert done.returncode == 1 and "contradict" in done.stderr, done.stderr  # index=none, trust-index=any: they reach imgfs mount
    done = mount("-t", "imgfs", "-o", words.replace("index=none,", "", 1), image, folder)
    assert done.returncode == 0, done.stderr
    assert "noexec" in options_of(folder) and os.path.isdir(store / "v1") and log.exists()
    run("umount", folder)
    ended(folder)


WRONG = [
    ("stor=/x", "did you mean 'store'"), ("nonsense", "unknown mount option 'nonsense'"), ("fill=never", "off|idle|full"),
    ("read-budget=0", "1 to 86400"), ("store=", "a value is missing"), ("plain-http=maybe", "yes|no"), ("auto_unmount", "imgfs umount"),
    ("trust-key=/nonexistent", "/nonexistent"), ("config=/nonexistent", "/nonexistent"), ("log=", "a value is missing"),
    ("metrics=", "a value is missing"), ("metrics=a:b", "not a port"), ("offline=maybe", "yes|no"), ("ofline", "did you mean 'offline'"),
    ("remount,noexec", "mount it again"), ("read_ahead=1", "4 to"),
]


def test_wrong_options(world, image):
    mount, folder = world
    for words, said in WRONG:
        says(mount("-t", "imgfs", "-o", words, image, folder), 1, said)
    assert not mount_of(folder)


def test_metrics_offline_and_a_name(world, image, scratch):
    mount, folder = world
    figures = scratch / "imgfs.prom"
    says(mount("-t", "imgfs", "-o", "offline,plain-http", "localhost:1/a:1", folder), 32, "no registry may be asked")
    done = mount("-t", "imgfs", "-o", f"metrics={figures},offline,fsname=tools", image, folder)
    assert done.returncode == 0, done.stderr
    assert mount_of(folder)[0] == "tools" and f'mountpoint="{folder}"' in figures.read_text()
    done = mount("-o", "remount,noexec", folder)
    assert done.returncode != 0 and "noexec" not in options_of(folder) and content(folder, "etc/name") == b"small\n"
    assert "unmount it, and mount it again" in done.stderr, done.stderr
    run("umount", folder)
    ended(folder)
    assert not figures.exists()


def test_sloppy_and_fake(world, image, helper):
    mount, folder = world
    assert mount("-f", "-t", "imgfs", image, folder).returncode == 0
    assert not mount_of(folder)
    says(mount("-f", "-t", "imgfs", "-o", "nonsense", image, folder), 1, "nonsense")
    done = run(helper, image, folder, "-fv", "-o", "fill=idle,noexec", check=False)
    assert done.stderr == f"mount.imgfs: imgfs mount --fsname={image} -v --fill=idle -onoexec -- {image} {folder}\n"
    done = mount("-s", "-t", "imgfs", "-o", "nonsense", image, folder)
    assert done.returncode == 0, done.stderr
    run("umount", folder)
    ended(folder)


def test_without_an_environment(world, image, helper, scratch):
    """As systemd starts it at boot: no $HOME, nothing."""
    _, folder = world
    done = run("env", "-i", helper, image, folder, "-o", f"rw,_netdev,store={scratch}/store", check=False, timeout=60 * SLOWER)
    assert done.returncode == 0, done.stderr
    assert content(folder, "etc/name") == b"small\n"
    run("umount", folder)
    ended(folder)


def test_help(helper):
    text = run(helper, "--help").stdout
    for word in ("trust-key=FILE", "plain-http ", "x-systemd.automount", "config=FILE", "metrics=WHERE", "offline "):
        assert word in text


def test_wrong_words(world, image, helper, scratch):
    mount, folder = world
    says(run(helper, check=False), 1, "mount -t imgfs")
    says(run(helper, image, folder, "-z", check=False), 1, "unknown option -z")
    says(mount("-t", "imgfs", "UPPER/case", folder), 1, "mount.imgfs:")
    says(mount("-t", "imgfs", f"oci:{scratch}/none", folder), 32, "imgfs mount:", "No such file")
    says(mount("-t", "imgfs", "localhost:1/a:1", folder), 32, "imgfs mount:")
    (scratch / "alpine").mkdir()
    says(mount("-t", "imgfs", "alpine", folder, cwd=scratch), 1, "is a path, no reference", "oci:")
    assert not mount_of(folder)


def fstab_line(source, folder, options):
    return " ".join(word.replace(" ", r"\040") for word in (source, folder, "imgfs", options, "0", "0")) + "\n"


def test_fstab(world, image, scratch):
    """mount -a mounts once, and does nothing the second time; blanks in names; noauto; nofail."""
    mount, folder = world
    other = scratch / "a folder"
    layout = scratch / "a layout"
    for name in (other, scratch / "later"):
        name.mkdir()
    shutil.copytree(image[4:].rsplit(":", 1)[0], layout)
    reference = f"oci:{layout}:" + image.rsplit(":", 1)[1] if image.count(":") > 1 else f"oci:{layout}"
    table = scratch / "fstab"
    table.write_text(fstab_line(image, folder, f"noexec,store={scratch}/store2,nofail") + fstab_line(reference, os.fspath(other), "defaults,_netdev")
                     + fstab_line(image, f"{scratch}/later", "noauto"))
    try:
        done = mount("-a", "-T", table)
        assert done.returncode == 0, done.stderr
        assert content(folder, "etc/name") == content(other, "etc/name") == b"small\n"
        assert not mount_of(f"{scratch}/later") and os.path.isdir(f"{scratch}/store2")
        done = mount("-a", "-T", table)
        assert done.returncode == 0, done.stderr
        assert len(daemons_of(folder)) == len(daemons_of(os.fspath(other))) == 1
        assert mount("-T", table, f"{scratch}/later").returncode == 0
        assert content(f"{scratch}/later", "etc/name") == b"small\n"
        run("findmnt", "--verify", "--tab-file", table, check=False)
    finally:
        for path in (folder, other, scratch / "later"):
            subprocess.run(["umount", path], check=False, stderr=subprocess.DEVNULL)
    ended(folder)


def test_in_another_namespace(world, image, helper):
    """-N, as mount(8) hands it on: the mount appears there, and not here."""
    mount, folder = world
    other = subprocess.Popen(["unshare", "-m", "sleep", "60"])
    try:
        wait_for(lambda: os.readlink(f"/proc/{other.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"), "another namespace")
        done = run(helper, image, folder, "-N", str(other.pid), check=False, env=environment(), timeout=60 * SLOWER)
        assert done.returncode == 0, done.stderr
        assert not mount_of(folder)
        inside = ["nsenter", "-t", str(other.pid), "-m"]
        assert run(*inside, "cat", f"{folder}/etc/name").stdout == "small\n"
        run(*inside, "umount", folder)
    finally:
        other.kill()
        other.wait()
    says(run(helper, image, folder, "-N", "0", check=False), 1, "namespace 0")


def test_user_in_fstab(world, image, scratch, open_to_all, device_for_all):
    """A plain user mounts what fstab says a user may: mount(8) calls the helper as this user."""
    if not os.stat("/bin/mount").st_mode & 0o4000 or not os.path.exists("/etc/mtab"):
        pytest.skip("mount(8) is not set-user-id here, or there is no /etc/mtab")
    _, folder = world
    run("chmod", "-R", "a+rX", image[4:].rsplit(":", 1)[0])
    home = scratch / "home"
    home.mkdir()
    for path in (home, folder):
        os.chown(path, NOBODY, NOBODY)
    table = scratch / "fstab"
    table.write_text(fstab_line(image, folder, f"noauto,user,store={home}/store"))
    run("mount", "--bind", table, "/etc/fstab")
    as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment(HOME=os.fspath(home), XDG_RUNTIME_DIR=os.fspath(home))}
    try:
        done = run("mount", folder, check=False, timeout=60 * SLOWER, **as_user)
        assert done.returncode == 0, done.stderr
        assert {"noexec", "nosuid", "nodev"} <= options_of(folder)
        assert run("cat", f"{folder}/etc/name", **as_user).stdout == "small\n"
        assert run("umount", folder, check=False, **as_user).returncode == 0
        assert not mount_of(folder)
    finally:
        run("umount", "-l", "/etc/fstab")
