"""imgfs prefetch: an image, or parts of it, in the store; afterwards no registry is needed."""
import os
import signal
import subprocess
import time

import pytest

import images
import imgfs as program
from processes import run
from registry import Registry, Traffic

PATHS = ["etc/name", "etc/empty", "data/large", "data/many/07", "data/many/63"]


@pytest.fixture
def own_registry(scratch):
    made = Registry(scratch / "registry").start()
    yield made
    made.stop()


@pytest.fixture
def key(scratch):
    private, public = scratch / "key.pem", scratch / "public.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.fixture
def published(own_registry, scratch, imgfs, key):
    """An image whose index is published and signed; another machine that has nothing, and what makes it trust."""
    reference = own_registry.push(images.small_image(scratch / "image"), "app")
    imgfs.run("index push", "--sign-key", key[0], "--min-layer-size", "0", reference)
    fresh = program.Imgfs(scratch / "fresh")
    yield reference, fresh, ["--trust-key", key[1]]
    fresh.stop()


def check_offline(imgfs, reference, options=(), paths=PATHS):
    mount = imgfs.mount(reference, "--offline", *options)
    for path in paths:
        with open(f"{mount}/{path}", "rb") as file:
            assert file.read() == images.small_content(path), path
    assert imgfs.status(mount)["content"]["errors"] == 0
    imgfs.umount(mount)
    if "etc/name" in paths:
        assert imgfs.run("cat", "--offline", *options, reference, "/etc/name").stdout == "small\n"
    assert "data" in imgfs.run("ls", "--offline", *options, reference).stdout


def failed(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], done.stderr


def test_whole_without_an_index(own_registry, scratch, imgfs):
    reference = own_registry.push(images.small_image(scratch / "image"), "plain")
    assert "all of it is in the store" in imgfs.run("prefetch", reference).stdout
    own_registry.stop()
    failed(imgfs.run("ls", reference, check=False), 5, "--offline uses what the store has of it")
    check_offline(imgfs, reference)


def test_whole_with_a_published_index(published, own_registry):
    reference, fresh, trust = published
    with Traffic(own_registry) as traffic:
        made = fresh.json("prefetch", *trust, reference)
    size = sum(layer["size"] for layer in fresh.json("inspect", reference)["layers"])
    assert made["whole"] and size <= made["fetched_bytes"] <= traffic.bytes < size + (1 << 20)
    assert len(traffic.ranges) < 30, "small requests"
    with Traffic(own_registry) as again:
        assert fresh.json("prefetch", *trust, reference)["fetched_bytes"] == 0
    assert not again.ranges
    own_registry.stop()
    check_offline(fresh, reference, trust)
    assert fresh.json("prefetch", "--offline", *trust, reference)["fetched_bytes"] == 0


def test_parts(published, own_registry):
    reference, fresh, trust = published
    with Traffic(own_registry) as traffic:
        made = fresh.run("prefetch", *trust, reference, "/data/many/0*", "etc").stdout
    assert "what was asked for is in the store" in made and "fetched" in made
    assert traffic.bytes < (3 << 20), "ten files of 64 KiB"
    with Traffic(own_registry) as traffic:
        fresh.run("prefetch", *trust, reference, "/data/many/03", "/etc")
    assert not traffic.ranges
    own_registry.stop()
    check_offline(fresh, reference, trust, ["etc/name", "data/many/00", "data/many/09"])
    failed(fresh.run("prefetch", "--offline", *trust, reference, check=False), 3, "may not be fetched")


def test_profile(published, own_registry):
    reference, fresh, trust = published
    failed(fresh.run("prefetch", "--profile", *trust, reference, check=False), 3, "no profile")
    mount = fresh.mount(reference, *trust)
    with open(f"{mount}/data/many/05", "rb") as file:
        file.read()
    fresh.umount(mount)
    text = fresh.run("profile show", *trust, reference).stdout
    assert "05" in text
    for path in [p for p in fresh.files() if p.endswith(("/data", "/map", "/blob"))]:
        os.unlink(path)
    fresh.run("prefetch", "--profile", *trust, reference)
    own_registry.stop()
    check_offline(fresh, reference, trust, ["data/many/05"])


def test_wrong_words(imgfs, small):
    imgfs.build(small)
    failed(imgfs.run("prefetch", check=False), 2, "a reference is missing")
    failed(imgfs.run("prefetch", "--profile", small, "/etc", check=False), 2, "either")
    failed(imgfs.run("prefetch", small, "/nowhere", check=False), 3, "no such file")
    failed(imgfs.run("prefetch", small, "/nowhere*", check=False), 3, "nothing in the image matches")
    failed(imgfs.run("ls", "--offline", small + "x", check=False), 3, "no record")


def test_a_registry_that_dies(published, own_registry):
    reference, fresh, trust = published
    fresh.run("ls", *trust, reference)
    digest = fresh.json("inspect", reference)["digest"]
    own_registry.stop()
    begun = time.monotonic()
    done = fresh.run("prefetch", *trust, f"{reference}@{digest}", check=False, timeout=100)
    assert done.returncode == 5 and time.monotonic() - begun < 90 * program.SLOWER, done.stderr


def test_full_disk(published, scratch):
    reference, fresh, trust = published
    fresh.store = os.fspath(scratch / "little")
    os.makedirs(fresh.store)
    run("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "imgfs-test", fresh.store)
    try:
        done = fresh.run("prefetch", *trust, reference, check=False)
        assert done.returncode == 7 and "make room" in done.stderr, done.stderr
        assert not os.listdir(f"{fresh.store}/v1/tmp")
        assert fresh.run("cat", *trust, reference, "/etc/name").stdout == "small\n"
    finally:
        run("umount", "-l", fresh.store)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_resumed(published, how):
    """At moments that differ from run to run; what a killed process leaves goes with the next command."""
    reference, fresh, trust = published
    for delay in (0.02, 0.05, 0.08, 0.12, 0.2, 0.3):
        with subprocess.Popen(fresh.command("prefetch", *trust, reference), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=program.environment()) as process:
            time.sleep(delay * program.SLOWER)
            process.send_signal(how)
            process.communicate(timeout=20 * program.SLOWER)
        assert process.returncode in (-how, 0) and not program.processes_of(fresh.store)
    fresh.run("prefetch", *trust, reference)
    assert not os.listdir(f"{fresh.store}/v1/tmp")
    check_offline(fresh, reference, trust)
