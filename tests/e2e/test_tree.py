"""The tree is right: real images, mounted from docker-registry, against what containerd shows for the same image.

The only differences allowed are those of EXPECTED, each with its reason.
"""
import os
import subprocess
import tempfile

import pytest

import images
import imgfs as program
from processes import SCRATCH

# Path of a difference -> why it is no fault.
EXPECTED = {
    "/: mtime": "no layer says anything of the root directory: containerd shows when it unpacked, imgfs the epoch",
}
NAMES = ["debian", "python", "node"]


def unexpected(lines):
    """The differences that EXPECTED does not name."""
    return [line for line in lines if not any(line.startswith(known) for known in EXPECTED)]


@pytest.fixture(scope="module", params=NAMES)
def both(request, real, containerd):
    """(imgfs's mount, containerd's mount) of one real image, for all tests of it."""
    reference = real(request.param)
    containerd.pull(reference)
    folder = tempfile.mkdtemp(prefix="both.", dir=SCRATCH)
    theirs = containerd.mount(reference, f"{folder}/containerd")
    ours = program.Imgfs(folder)
    yield ours.mount(reference), theirs
    ours.stop()
    containerd.umount(theirs)
    containerd.remove(reference)


def test_every_attribute_and_byte(both):
    assert unexpected(images.treediff(*both)) == []


def test_programs_that_walk_see_the_same(both):
    """find's leaf optimisation trusts link counts of directories; du trusts blocks and inode numbers."""
    for command in ("find . -xdev", "find . -xdev -noleaf", "du -s --inodes ."):
        outputs = [subprocess.run(command.split(), cwd=tree, capture_output=True, check=True).stdout for tree in both]
        assert sorted(outputs[0].splitlines()) == sorted(outputs[1].splitlines()), command


def test_looking_in_without_a_mount_shows_the_same(real, imgfs):
    """ls, stat and cat of the command against the mount."""
    reference = real("debian")
    mount = imgfs.mount(reference)
    for folder in ("/", "/etc", "/usr/bin"):
        assert imgfs.run("ls", "-a", reference, folder).stdout.splitlines() == sorted(os.listdir(mount + folder)), folder
    for path in ("/etc/passwd", "/etc/os-release", "/usr/bin/ls"):
        done = subprocess.run(imgfs.command("cat", reference, path), capture_output=True, check=True)
        with open(mount + path, "rb") as file:
            assert done.stdout == file.read(), path


def test_second_opinion_of_umoci(real, imgfs, scratch):
    """umoci unpacks a layout by its own reading of the specification."""
    layout = images.real_image("debian")
    bundle = scratch / "bundle"
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:1", bundle], check=True, capture_output=True)
    assert unexpected(images.treediff(imgfs.mount(real("debian")), bundle / "rootfs")) == []


def test_second_opinion_of_libarchive(scratch, imgfs):
    """One layer has no rules of merging: bsdtar's extraction is the whole truth."""
    layout = images.real_image("debian")
    blob = max((entry.path for entry in os.scandir(f"{layout}/blobs/sha256")), key=os.path.getsize)
    root = scratch / "root"
    root.mkdir(mode=0o755)
    subprocess.run(["bsdtar", "-xpf", blob, "-C", root, "--numeric-owner", "--same-owner"], check=True)
    assert unexpected(images.treediff(imgfs.mount(f"oci:{layout}:1"), root)) == []
