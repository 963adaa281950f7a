"""What need not be fetched, and what is fetched unasked: files that the store has under another layer, and --fill."""
import glob
import os
import secrets
import time

import pytest

import images
from processes import run, wait_for
from registry import Registry, Traffic

N_FILES = 64
CHANGED = 17  # one file of the next release differs


def content(i, release=0):
    return images.noise(64 << 10, f"many{i}" if not release or i != CHANGED else f"release{release}")


def release(folder, number):
    """A layer in which hardly a byte lies where the other release has it, and all files but one are the same."""
    files = {} if not number else {"a-note": images.noise(3000 + number, f"note{number}")}
    layout = images.Layout(folder)
    layout.add_layer(images.tar_of(files | {f"data/many/{i:02}": content(i, number) for i in range(N_FILES)}))
    return layout.write()


@pytest.fixture
def releases(registry, tmp_path, imgfs):
    """Two references in one repository; the store has their indexes and no bytes."""
    name = f"fill-{secrets.token_hex(6)}"
    made = [registry.push(release(tmp_path / f"r{i}", i), name, tag=str(i)) for i in range(2)]
    for reference in made:
        imgfs.build(reference)
    imgfs.keep_only_indexes()
    return made


def read_all(mount, number):
    for i in range(N_FILES):
        with open(f"{mount}/data/many/{i:02}", "rb") as file:
            assert file.read() == content(i, number), i


def test_the_next_release_fetches_what_changed(releases, imgfs, registry):
    mount = imgfs.mount(releases[0], "--no-profile")
    read_all(mount, 0)
    imgfs.umount(mount)
    with Traffic(registry) as next_one:
        mount = imgfs.mount(releases[1], "--no-profile")
        read_all(mount, 1)
    assert (64 << 10) <= next_one.bytes < (1 << 20), f"{next_one.bytes} bytes of {N_FILES * 64} KiB"
    assert imgfs.status(mount)["content"]["errors"] == 0


def test_what_is_stored_elsewhere_only_in_part_is_fetched(releases, imgfs):
    mount = imgfs.mount(releases[0], "--no-profile")
    with open(f"{mount}/data/many/40", "rb") as file:
        assert file.read() == content(40)
    imgfs.umount(mount)
    mount = imgfs.mount(releases[1], "--no-profile")
    read_all(mount, 1)


def test_rot_in_the_other_layer_is_not_served(releases, imgfs):
    mount = imgfs.mount(releases[0], "--no-profile")
    read_all(mount, 0)
    imgfs.umount(mount)
    for path in imgfs.layer_files("data"):
        with open(path, "r+b") as file:
            for at in range(0, os.path.getsize(path), 4096):
                file.seek(at)
                file.write(b"rot")
    mount = imgfs.mount(releases[1], "--no-profile")
    read_all(mount, 1)


@pytest.fixture
def own_registry(scratch):
    made = Registry(scratch / "registry").start()
    yield made
    made.stop()


def test_full_brings_the_image(own_registry, tmp_path, imgfs):
    reference = own_registry.push(release(tmp_path, 0), "full")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    folder, daemon = imgfs.mount_foreground(reference, "--no-profile", "--fill=full", "-v")
    wait_for(lambda: "image.complete" in daemon.output(), "the image is here", 60)
    assert imgfs.status(folder)["content"]["misses"] == 0, "nobody has read"
    own_registry.stop()
    read_all(folder, 0)
    imgfs.umount(folder)


def test_idle_waits_for_a_pause(own_registry, tmp_path, imgfs):
    reference = own_registry.push(release(tmp_path, 0), "idle")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    folder, daemon = imgfs.mount_foreground(reference, "--no-profile", "--fill=idle", "-v")
    wait_for(lambda: "image.complete" in daemon.output(), "the image is here", 60)
    imgfs.umount(folder)


def test_off_fetches_nothing(releases, imgfs, registry):
    with Traffic(registry) as traffic:
        imgfs.mount(releases[0])
        time.sleep(1)
    assert traffic.ranges == [] and not glob.glob(f"{imgfs.store}/v1/layers/*/*/blob")


def test_a_dead_registry_is_waited_for(own_registry, tmp_path, imgfs):
    """The mount lives, and the fill goes on when the registry is back."""
    reference = own_registry.push(release(tmp_path, 0), "dead")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    reference += "@" + imgfs.json("inspect", reference)["digest"]  # which needs no registry to be known
    own_registry.stop()
    folder, daemon = imgfs.mount_foreground(reference, "--no-profile", "--fill=full", "-v")
    time.sleep(1)
    assert daemon.alive() and len(os.listdir(f"{folder}/data/many")) == N_FILES
    assert daemon.output().count("fetch.failed") <= 2, "it insists"
    own_registry.start()
    wait_for(lambda: "image.complete" in daemon.output(), "the image is here", 90)
    read_all(folder, 0)
    imgfs.umount(folder)


def test_small_layers_of_a_published_index_are_filled_too(own_registry, tmp_path, imgfs, scratch):
    layout = images.small_image(tmp_path)
    reference = own_registry.push(layout, "published")
    key, public = scratch / "key.pem", scratch / "public.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    imgfs.run("index push", "--sign-key", key, reference)
    fresh = type(imgfs)(scratch / "fresh")
    try:
        folder, daemon = fresh.mount_foreground(reference, "--no-profile", "--fill=full", "-v", "--trust-key", public)
        wait_for(lambda: "image.complete" in daemon.output(), "the image is here", 60)
        own_registry.stop()
        for path in ("etc/name", "data/large", "data/many/07"):
            with open(f"{folder}/{path}", "rb") as file:
                assert file.read() == images.small_content(path), path
        fresh.umount(folder)
    finally:
        fresh.stop()


def test_unknown_word(imgfs):
    done = imgfs.run("mount", "--fill=much", "oci:/nowhere", "/nowhere", check=False)
    assert done.returncode == 2 and "--fill" in done.stderr
