"""The mount is lazy: with the indexes and nothing else, a program of the python image runs on a tenth of its bytes."""
import json
import os
import subprocess

import pytest

import images
import imgfs as program
from processes import wait_for
from registry import Traffic

BUDGET_BYTES = 60_000_000  # what python may fetch to print its first result, of about 567 MB
PROGRAM_BYTES = 3_000_000  # of python3.11 alone, less than what it has compressed
INDEX_SHARE = 0.025  # index of the compressed blob, at most


def start_in(folder, *command, seconds=300):
    """Run a program of an image with the mount as its root."""
    return subprocess.run(["chroot", folder, *command], capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture
def indexed(real, imgfs):
    """The python image's reference; the store holds its indexes, no blob and no chunk."""
    reference = real("python")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    return reference


def image_size(imgfs, reference):
    return sum(layer["size"] for layer in imgfs.json("inspect", reference)["layers"])


@pytest.mark.root
def test_python_runs_on_ranges(indexed, imgfs, registry):
    total = image_size(imgfs, indexed)
    with Traffic(registry) as cold:
        mount = imgfs.mount(indexed)
        mounted = list(registry.requests())[cold.before:]
        done = start_in(mount, "python3", "/app/main.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3.0\n"
    assert not any("/blobs/" in path and status == 206 for _, path, status, _ in mounted), "mounting read file contents"
    assert [r for r in cold.full if r[3] > 1 << 20] == [], "a layer was read whole"
    assert 0 < cold.bytes <= BUDGET_BYTES, f"{cold.bytes} of {total} bytes"
    print(f"cold: {cold.bytes} of {total} bytes in {len(cold.ranges)} ranges")
    imgfs.umount(mount)

    with Traffic(registry) as warm:
        mount = imgfs.mount(indexed)
        done = start_in(mount, "python3", "/app/main.py")
    assert done.stdout == "3.0\n"
    assert warm.bytes == 0, warm.ranges[:5]


@pytest.mark.root
def test_below_an_overlay(indexed, imgfs, registry, scratch):
    """A container's root is a writable overlay over the mount. When it is laid, the program of the image's config is fetched."""
    mount = imgfs.mount(indexed)
    assert os.listdir(mount) and imgfs.status(mount)["content"]["fetches"] == 0
    top = scratch / "top"
    for name in ("upper", "work", "merged"):
        (top / name).mkdir(parents=True)
    options = f"lowerdir={mount},upperdir={top}/upper,workdir={top}/work"
    subprocess.run(["mount", "-t", "overlay", "test", "-o", options, top / "merged"], check=True)
    try:
        wait_for(lambda: imgfs.status(mount)["content"]["fetched_bytes"] > PROGRAM_BYTES, "python and its libraries")
        assert imgfs.status(mount)["content"]["reads"] == 0
        done = start_in(top / "merged", "sh", "-c", "echo x > /app/new && rm /etc/issue && python3 /app/main.py")
        assert done.stdout == "3.0\n", done.stderr
        assert os.path.exists(f"{mount}/etc/issue") and not os.path.exists(f"{mount}/app/new")
    finally:
        subprocess.run(["umount", "-l", top / "merged"], check=True)


def test_names_and_attributes_need_no_network(indexed, imgfs, registry):
    mount = imgfs.mount(indexed)
    with Traffic(registry) as walk:
        found = sum(len(folders) + len(files) for _, folders, files in os.walk(mount))
    assert found > 10_000
    assert walk.bytes == 0 and walk.ranges == []


def test_cat_fetches_what_it_shows(indexed, imgfs, registry):
    with Traffic(registry) as look:
        assert imgfs.run("cat", indexed, "/app/main.py").stdout.startswith("import numpy")
    assert 0 < look.bytes < 2 << 20, look.bytes


def test_index_is_small(real, imgfs):
    """Tree, chunk table, checkpoints and digests, as they lie on disk, against the largest layer of python."""
    reference = real("python")
    imgfs.build(reference)
    layer = max(imgfs.json("inspect", reference)["layers"], key=lambda row: row["size"])
    (index,) = [path for path in imgfs.layer_files("index") if layer["digest"].split(":")[1] in path]
    share = os.path.getsize(index) / layer["size"]
    print(f"index: {os.path.getsize(index)} bytes, {share:.2%} of the blob")
    assert share <= INDEX_SHARE


def test_blob_that_was_indexed_is_not_fetched_again(real, imgfs, registry):
    """The blob that was streamed is kept compressed; reading its files asks the registry for nothing."""
    reference = real("debian")
    imgfs.build(reference)
    mount = imgfs.mount(reference)
    with Traffic(registry) as read, open(f"{mount}/usr/bin/ls", "rb") as file:
        assert file.read(4) == b"\x7fELF"
    assert read.bytes == 0


def test_same_index_on_every_machine(real, imgfs, scratch):
    """Two stores, one and four layers at a time: the same bytes."""
    reference = real("debian")
    other = program.Imgfs(scratch / "other")
    for store in (imgfs, other):
        store.build(reference)
    dumps = [store.run("index dump", reference).stdout for store in (imgfs, other)]
    assert dumps[0] == dumps[1] and len(dumps[0]) > 100_000


def test_oci_layout_is_as_lazy(imgfs):
    """The same way from a directory: nothing but what is read leaves it."""
    layout = images.real_image("python")
    imgfs.build(f"oci:{layout}:1")
    imgfs.keep_only_indexes()
    mount = imgfs.mount(f"oci:{layout}:1")
    with open(f"{mount}/app/main.py", encoding="ascii") as file:
        assert "pandas" in file.read()
    status = imgfs.status(mount)["content"]
    assert 0 < status["fetched_bytes"] < 2 << 20, json.dumps(status)
