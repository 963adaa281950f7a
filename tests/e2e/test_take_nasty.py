"""cp -a and export take out what the mount shows, for every case of the nasty family (nasty.py).

The mount is the oracle, whose tree test_nasty.py compares with containerd's. GNU tar and bsdtar read the archive back.
"""
import subprocess

import pytest

import nasty
import trees

pytestmark = pytest.mark.root

# The root's time: bsdtar does not restore that of the directory it extracts into.
ROOT = ""
# Case -> the facts in which a copy on this disk can not be what the mount shows, and why.
DIFFERS = {
    "times-before-1970": ("mtime", "ext4 keeps no time before 1901"),
    "times-beyond-all": ("mtime", "ext4 keeps no time before 1901"),
    "xattr-of-64k": ("xattrs", "ext4 keeps 4 KiB of xattrs; the mount shows the 64 KiB that Linux allows"),
}
GNU_DIFFERS = {
    "xattrs-of-libarchive": ("xattrs", "a name with '=' has no spelling that GNU tar and libarchive share"),
}
READERS = {
    "tar": ["tar", "--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner", "-xpf", "-"],
    "bsdtar": ["bsdtar", "--same-owner", "--numeric-owner", "-xpf", "-"],
}


def snapshot(folder):
    return {path: facts for path, facts in trees.snapshot(folder).items() if path != ROOT}


def differences(folder, shown, *known):
    kinds = {kind for kind, _ in known}
    found = trees.differences(snapshot(folder), shown)
    return [line for line in found if line.split(": ")[1] not in kinds]


@pytest.mark.parametrize("name", nasty.CASES)
def test_takes_what_the_mount_shows(name, imgfs, scratch):
    case = nasty.CASES[name]
    nasty.write_layout(scratch / "layout", case)
    reference = f"oci:{scratch}/layout:{case.name}"
    known = [DIFFERS[name]] if name in DIFFERS else []
    shown = snapshot(imgfs.mount(reference, "-o", "dev,suid"))
    done = imgfs.run("cp", "-a", f"{reference}:/", scratch / "copy")
    assert ("xattrs not kept: 1" in done.stderr) if name == "xattr-of-64k" else done.stderr == "", done.stderr
    assert differences(scratch / "copy", shown, *known) == [], f"{case.rule} (A: cp, B: mount)"
    archive = subprocess.run(imgfs.command("export", reference), capture_output=True, check=True).stdout
    for reader, command in READERS.items():
        (scratch / reader).mkdir()
        more = [GNU_DIFFERS[name]] if reader == "tar" and name in GNU_DIFFERS else []
        read = subprocess.run(command, input=archive, cwd=scratch / reader, capture_output=True, check=False)
        assert read.returncode == 0 or known, (reader, read.stderr)
        assert differences(scratch / reader, shown, *known, *more) == [], f"{case.rule} (A: {reader}, B: mount)"
