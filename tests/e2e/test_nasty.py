"""The family of small nasty images (nasty.py): what imgfs mounts is what each case states, and what containerd shows.

Where the two differ, the case names the facts and says why. What must be refused is refused with a reason, without a
crash, and nothing of it is kept.
"""
import os

import pytest

import nasty
import tarbytes
import trees

EXIT_NOT_FOUND, EXIT_INTEGRITY, EXIT_UNSUPPORTED = 3, 6, 9
# The root's own attributes are never compared: containerd ignores an archive's entry for the root.
ROOT = ""


def key(name):
    """A case's path as trees.snapshot names it."""
    return os.fsdecode(tarbytes.name_bytes(name))


def without_known(snapshot, case):
    """The snapshot without the facts in which containerd is known to show something else."""
    kept = {path: dict(facts) for path, facts in snapshot.items() if path != ROOT}
    for name, kinds in case.differs.items():
        if "path" in kinds:
            kept = {path: facts for path, facts in kept.items() if not f"{path}/".startswith(f"{key(name)}/")}
        for kind in kinds:
            kept.get(key(name), {}).pop(kind, None)
    return kept


def reference_of(case, registry, scratch):
    nasty.write_layout(scratch / "layout", case)
    return registry.push(f"{scratch}/layout:{case.name}", f"nasty/{case.name}")


@pytest.mark.root
@pytest.mark.parametrize("name", nasty.CASES)
def test_shows_what_the_case_states(name, imgfs, scratch):
    case = nasty.CASES[name]
    nasty.write_layout(scratch / "layout", case)
    mount = imgfs.mount(f"oci:{scratch}/layout:{case.name}", "-o", "dev,suid")
    assert nasty.unmet(mount, case.expect) == [], case.rule


@pytest.mark.root
@pytest.mark.parametrize("name", [name for name, case in nasty.CASES.items() if case.oracle == "containerd"])
def test_shows_what_containerd_shows(name, registry, containerd, imgfs, scratch):
    case = nasty.CASES[name]
    reference = reference_of(case, registry, scratch)
    containerd.pull(reference)
    theirs = containerd.mount(reference, scratch / "containerd")
    try:
        ours = imgfs.mount(reference, "-o", "dev,suid")
        found = trees.differences(*(without_known(trees.snapshot(tree), case) for tree in (ours, theirs)))
        assert found == [], f"{case.rule} (A is imgfs, B is containerd)"
    finally:
        containerd.umount(theirs)
        containerd.remove(reference)


@pytest.mark.parametrize("name", nasty.REJECTED)
def test_refused(name, imgfs, scratch):
    case = nasty.REJECTED[name]
    nasty.write_layout(scratch / "layout", case)
    done = imgfs.run("index build", f"oci:{scratch}/layout:{case.name}", check=False, timeout=60)
    assert done.returncode in (EXIT_NOT_FOUND, EXIT_INTEGRITY, EXIT_UNSUPPORTED), f"{case.rule}: {done}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and case.reason in lines[0], f"{case.rule}: {done.stderr}"
    assert not [path for path in imgfs.files() if "/images/" in path or "/v1/tmp/" in path]
