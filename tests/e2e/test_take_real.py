"""cp, export and diff with whole real images, against what umoci unpacks and what skopeo fetches. Takes minutes."""
import hashlib
import os
import stat

import pytest

import images
import trees
from processes import run
from published import Asked, Node

pytestmark = pytest.mark.root


def test_whole_real_image(real, imgfs, scratch):
    """GNU tar and bsdtar read the archive back to what umoci unpacks."""
    run("umoci", "unpack", "--image", f"{images.real_image('debian')}:1", scratch / "bundle", timeout=600)
    imgfs.run("export", "-o", scratch / "a.tar", real("debian"), timeout=600)
    readers = {"gnu": ["tar", "--xattrs", "--xattrs-include=*", "-xpf"], "bsd": ["bsdtar", "-xpf"]}
    for name, command in readers.items():
        (scratch / name).mkdir()
        run(*command, scratch / "a.tar", "-C", scratch / name, "--same-owner", "--numeric-owner", timeout=600)
        found = images.treediff(scratch / name, scratch / "bundle/rootfs")
        assert [line for line in found if not line.startswith("/: mtime")] == [], name


def facts(root):
    """{path: what two images can differ in} of an unpacked tree, by os and hashlib alone."""
    found = {}
    for path, there in trees.walk(root).items():
        full = os.path.join(os.fsencode(root), path)
        content = None
        if stat.S_ISREG(there.st_mode):
            with open(full, "rb") as opened:
                content = hashlib.sha256(opened.read()).hexdigest()
        elif stat.S_ISLNK(there.st_mode):
            content = os.readlink(full)
        found["/" + os.fsdecode(path)] = (there.st_mode, there.st_uid, there.st_gid, content, trees.xattrs(full))
    return found


def unpacked(layout, scratch):
    """facts of what umoci unpacks, in memory: removing 42,000 files from a disk takes minutes."""
    folder = scratch / "memory"
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=3g", "none", folder)
    try:
        run("umoci", "unpack", "--image", f"{layout}:1", folder / "bundle", timeout=300)
        return facts(folder / "bundle/rootfs")
    finally:
        run("umount", folder)


def test_two_releases_of_a_real_image(imgfs, scratch):
    layouts = [os.path.join(images.BUILT, "oci", name) for name in ("python", "python-next")]
    images.real_image("python")
    if not os.path.isdir(layouts[1]):
        pytest.skip("the image python-next is not built")
    before, after = [unpacked(layout, scratch) for layout in layouts]
    expected = {path: "A" for path in after.keys() - before.keys()}
    expected |= {path: "D" for path in before.keys() - after.keys()}
    expected |= {path: "M" for path in before.keys() & after.keys() if before[path] != after[path]}
    done = imgfs.run("diff", "--name-status", *(f"oci:{layout}:1" for layout in layouts), timeout=300)
    found = dict(reversed(line.split("\t", 1)) for line in done.stdout.splitlines())
    assert found == expected and len(expected) > 100


def test_a_directory_costs_what_it_holds(real, registry, scratch):
    """The 57 MB of a Python library out of an image of 1.3 GB, on an empty machine with a published index."""
    reference = real("python")
    Node(scratch / "publisher").push(reference)
    node = Node(scratch / "node")
    with Asked(registry) as ours:
        node.run("cp", "--trust-index", "any", f"{reference}:/usr/lib/python3.11", scratch / "copy", timeout=600)
    with Asked(registry) as theirs:
        run("skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{scratch}/whole:1", timeout=600)
    held = sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(scratch / "copy") for name in names)
    print(f"cp: {len(ours.answered)} requests, {ours.bytes} bytes for {held}; skopeo copy: {len(theirs.answered)} requests,"
          f" {theirs.bytes} bytes")
    assert ours.bytes < held and ours.bytes * 10 < theirs.bytes
    assert len(ours.answered) < 100
