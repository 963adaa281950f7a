"""A published index in a world that fails: registries that answer nonsense, other versions, full and rotten stores, daemons
that are killed.

Without what was published an image is mounted all the same, with one word of why; a reader gets the right bytes, or an error
within the budget.
"""
import contextlib
import errno
import json
import os
import signal
import subprocess
import threading
import time

import pytest

import imgfs as program
from fake_registry import OCI_INDEX
from processes import wait_for
from published import (CANONICAL, FILES, FORM, LARGE, MANY, NAME, TREE, VERSION, Asked, Forged, Node, World, get, honest,
                       read_tree, sha256, shows_the_image)
from referrers_registry import bad_reply

# pylint: disable=redefined-outer-name

HOWS = ["404", "html", "500", "login", "garbage", "hang"]
BUDGET_S = 3


@pytest.fixture
def world(scratch):
    made = World(scratch)
    yield made
    made.stop()


@pytest.fixture
def without_api(scratch):
    made = World(scratch, referrers_api=False)
    yield made
    made.stop()


def part(world, artifact, media_type, number=0):
    """The digest of a part of an artifact: its tree, or the form of one of its layers."""
    manifest = json.loads(world.registry.manifests[artifact])
    return [p["digest"] for p in manifest["layers"] if p["mediaType"] == media_type][number]


def words_of(log):
    return [line for line in log.splitlines() if "index." in line and "index.used" not in line]


# ---- registries


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("route", ["referrers", "tag", "artifact", "tree"])
def test_a_route_that_fails(scratch, route, how):
    """The slow way, right, not much later, and with one word of what happened (none where nothing is published)."""
    world = World(scratch, referrers_api=route != "tag")
    artifact = world.publish()
    pattern = {"referrers": r"GET .*/referrers/", "tag": r"GET .*/manifests/sha256-",
               "artifact": rf"GET .*/manifests/{artifact}", "tree": rf"GET .*/blobs/{part(world, artifact, TREE)}"}[route]
    world.registry.on(pattern, bad_reply(how))
    begin = time.monotonic()
    _, _, log = shows_the_image(world, *world.trusting(), used=False)
    seconds = time.monotonic() - begin
    assert 1 <= len(words_of(log)) <= (2 if route in ("referrers", "tag") else 1), log
    assert seconds < (30 if how == "hang" else 15) * program.SLOWER, f"{seconds:.1f} s"
    world.registry.hooks.clear()
    shows_the_image(world, *world.trusting(), used=artifact)
    world.stop()


@pytest.mark.parametrize("how", ["flipped", "another word for a layer", "cut by 1", "cut by 100"])
def test_a_tree_that_is_cut_or_another(world, how):
    """The registry's bytes are not those of their digest, though one of them is a form like any other."""
    artifact = world.publish()
    tree = part(world, artifact, TREE)
    whole, at = world.registry.blobs[tree], -1
    if how.startswith("another"):
        at = whole.index(Forged(world.registry, artifact).form().head[CANONICAL : CANONICAL + 32])
    changed = bytearray(whole)
    changed[at] ^= 1
    world.registry.blobs[tree] = whole[: -int(how.split()[-1])] if how.startswith("cut") else bytes(changed)
    node, _, log = shows_the_image(world, *world.trusting(), used=False, word="index.unusable")
    assert len(words_of(log)) == 1, log
    world.registry.blobs[tree] = whole
    for done in (world.node(), node):
        assert "was found to lie" not in done.run("ls", "-v", *world.trusting(), world.pinned).stderr


def read(mount, path):
    with open(f"{mount}/{path}", "rb") as file:
        return file.read()


@pytest.mark.parametrize("how", [*HOWS, "deleted", "flipped"])
def test_a_form_in_the_middle_of_reads(world, how):
    """The layer's form is gone or wrong after the mount: the right bytes, or an error within the budget with a word; other
    layers go on, and all is well when it is back."""
    artifact = world.publish()
    mount, daemon = world.node().mount_verbose(world.pinned, *world.trusting(), "--read-budget", str(BUDGET_S))
    assert "index.used" in daemon.output()
    form, registry = part(world, artifact, FORM), world.registry
    whole = registry.blobs[form]
    if how == "deleted":
        del registry.blobs[form]
    elif how == "flipped":
        registry.blobs[form] = bytes(b ^ 1 for b in whole)
    else:
        registry.on(f"GET .*/blobs/{form}", bad_reply(how))
    begin = time.monotonic()
    try:
        assert read(mount, LARGE) == FILES[LARGE]
    except OSError as error:
        assert error.errno == errno.EIO
        seconds = time.monotonic() - begin
        # the reader's time ends, and then the request that it waited for
        wait_for(lambda: "fetch.failed" in daemon.output() or "index.refused" in daemon.output(), "a word", 5 * program.SLOWER)
    else:
        seconds = time.monotonic() - begin
    assert seconds < (BUDGET_S + 3) * program.SLOWER
    assert read(mount, MANY) == FILES[MANY]
    registry.hooks.clear()
    registry.blobs[form] = whole
    wait_for(lambda: _succeeds(mount, LARGE), "the file can be read again", 15 * program.SLOWER)
    assert honest(mount)


def _succeeds(mount, path):
    with contextlib.suppress(OSError):
        return read(mount, path) == FILES[path]
    return False


@pytest.mark.parametrize("how", ["deleted", "flipped"])
def test_a_pull_that_fails(world, how):
    """Bytes that are not those of their digest are the registry's fault, not the publisher's: the index is not given up."""
    artifact = world.publish()
    form, registry, node = part(world, artifact, FORM), world.registry, world.node()
    whole = registry.blobs.pop(form)
    if how == "flipped":
        registry.blobs[form] = bytes(b ^ 1 for b in whole)
    done = node.run("index pull", *world.trusting(), world.pinned, check=False)
    assert done.returncode in (3, 5, 6) and done.stderr, done
    registry.blobs[form] = whole
    done = node.run("index pull", *world.trusting(), world.pinned, check=False)
    assert done.returncode == 0 and artifact in done.stdout, done
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert f"index.used index={artifact}" in daemon.output() and honest(mount)


def test_pull_and_then_without_the_registrys_index(world):
    """Everything of the index is here: no request for it any more, in spite of an empty chunk store."""
    artifact = world.publish()
    node = world.node()
    done = node.run("index pull", *world.trusting(), world.pinned)
    assert artifact in done.stdout and "signed" in done.stdout
    with Asked(world.registry) as asked:
        assert node.run("index pull", *world.trusting(), world.pinned).stdout.count("present") >= 2
    assert not [r for r in asked.answered if "/blobs/" in r[1]], asked.answered
    for media_type in (TREE, FORM):
        world.registry.blobs.pop(part(world, artifact, media_type))
    world.registry.blobs.pop(part(world, artifact, FORM, 1))
    world.unpublish(artifact)
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert f"index.used index={artifact}" in daemon.output() and honest(mount)


def test_nothing_to_pull(world):
    for options in ([], world.trusting(), [f"--index={sha256(b'x')}"]):
        done = world.node().run("index pull", *options, world.pinned, check=False)
        assert done.returncode == 3 and done.stderr.startswith("imgfs index pull: "), done
    artifact = world.publish()
    done = world.node().run("index pull", world.pinned, check=False)
    assert done.returncode == 3 and artifact in done.stderr and "--trust-key" in done.stderr, done


# ---- versions


def other_version(world, change):
    artifact = world.publish()
    forged = Forged(world.registry, artifact)
    world.unpublish(artifact)
    change(forged)
    return forged.write(key=world.key)


@pytest.mark.parametrize("api", [True, False])
def test_a_newer_artifact(scratch, api):
    """artifactType v2: a word of it, the slow way; bound by digest, too."""
    world = World(scratch, api)
    artifact = other_version(world, lambda f: f.manifest.update({"artifactType": "application/vnd.imgfs.index.v2"}))
    if not api:
        world.registry.add_manifest({"schemaVersion": 2, "manifests": [world.registry.descriptor(artifact)]}, NAME,
                                    world.digest.replace(":", "-"), OCI_INDEX)
    _, _, log = shows_the_image(world, *world.trusting(), used=False)
    assert len(words_of(log)) == 1 and ("another version" in log or "none that this version" in log), log
    _, _, log = shows_the_image(world, f"--index={artifact}", used=False)
    assert "index.v2" in log, log
    world.stop()


@pytest.mark.parametrize("version", [0, 2, 65535])
@pytest.mark.parametrize("where", ["image", "layer"])
def test_another_form(world, version, where):
    def change(forged):
        head = forged.image.begin if where == "image" else forged.form().head
        head[VERSION : VERSION + 2] = version.to_bytes(2, "little")

    other_version(world, change)
    _, _, log = shows_the_image(world, *world.trusting(), used=False)
    (word,) = words_of(log)
    assert ("newer" if version else "older") in word and f"form {version}" in word, log


def test_both_versions_side_by_side(world):
    """A newer imgfs publishes beside ours: ours is found, and the other way round nothing is lost."""
    artifact = world.publish()
    forged = Forged(world.registry, artifact)
    forged.manifest["artifactType"] = "application/vnd.imgfs.index.v2"
    forged.write(key=world.key)
    shows_the_image(world, *world.trusting(), used=artifact)


# ---- the machine


def kill_daemon(mount):
    for pid in program.processes_of(mount):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not program.processes_of(mount), "the daemon is dead")


@pytest.mark.parametrize("after_s", [0, 0.03, 0.1, 0.3])
def test_killed_in_the_middle(world, after_s):
    world.publish()
    node = world.node()
    mount = node.mount(world.pinned, *world.trusting())
    readers = [subprocess.Popen(["cat", f"{mount}/{path}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for path in (LARGE, MANY, "etc/name")]
    time.sleep(after_s)
    kill_daemon(mount)
    for reader in readers:
        reader.wait(20)
    node.umount(mount)
    again, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert honest(again), daemon.output()
    wait_for(lambda: set(node.status(again)["layers"]) == {"proven"}, "proven all the same", 20 * program.SLOWER)


@pytest.mark.root
@pytest.mark.parametrize("size", ["64k", "1m", "6m"])
def test_a_full_store(world, size):
    """No room for the tree, for a form, for the chunks: everything is shown and read all the same."""
    artifact = world.publish()
    store = world.folder / "tmpfs"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", store], check=True)
    node = Node(world.folder / "full", store / "store")
    world.nodes.append(node)
    try:
        mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
        assert f"index.used index={artifact}" in daemon.output(), daemon.output()
        assert honest(mount) and read_tree(mount)[LARGE] == FILES[LARGE]
        assert "disproved" not in node.status(mount)["layers"]
        node.umount(mount)
    finally:
        node.stop()
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.parametrize("paths", [[LARGE], sorted(FILES)], ids=["a layer", "all"])
def test_what_another_process_has_fetched_is_proven(world, paths):
    """The last chunk of a layer may have come by somebody else: whoever reads the layer still proves it."""
    world.publish()
    node = world.node()
    mounts = [node.mount_verbose(world.pinned, *world.trusting())[0] for _ in range(2)]
    layers = [1] if paths == [LARGE] else [0, 1, 2]
    for mount in mounts:
        for path in paths:
            assert read(mount, path) == FILES[path]
        wait_for(lambda m=mount: [node.status(m)["layers"][n] for n in layers] == ["proven"] * len(layers), "proven",
                 20 * program.SLOWER)


def test_two_mounts_of_one_store(world):
    """Both read at once, whole; whoever proves first, the other goes on."""
    artifact = world.publish()
    node, found = world.node(), {}
    mounts = [node.mount_verbose(world.pinned, *world.trusting()) for _ in range(2)]
    threads = [threading.Thread(target=lambda at=at: found.update({at: honest(mounts[at][0])})) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * program.SLOWER)
    assert found == {0: True, 1: True}
    for mount, daemon in mounts:
        assert f"index={artifact}" in daemon.output() and "disproved" not in daemon.output()
        drop_caches(mount)
        assert honest(mount)
        node.umount(mount)
    assert honest(node.mount(world.pinned, "--index=none"))


def drop_caches(mount):
    for path in FILES:
        with open(f"{mount}/{path}", "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rot(path, step=997):
    """Flip a bit here and there, in what is written of the file."""
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(bytes(b ^ 0x10 if at % step == 3 and b else b for at, b in enumerate(data)))


@pytest.mark.parametrize("what", ["form", "data", "map", "index", "form of a live mount"])
def test_rot(world, what):
    """In what the store has of a published index, before it is proven: found, fetched again, the right bytes."""
    world.publish()
    node = world.node()
    mount = node.mount(world.pinned, *world.trusting())
    with open(f"{mount}/{LARGE}", "rb") as file:
        assert file.read(5 << 20) == FILES[LARGE][: 5 << 20]
    assert read(mount, MANY) == FILES[MANY]
    if "live" not in what:
        node.umount(mount)
    files = node.published_files(what.split()[0])
    assert files, "the store has none"
    for path in files:
        if os.path.getsize(path):
            rot(path)
    if "live" not in what:
        mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
        assert "disproved" not in daemon.output()
    drop_caches(mount)
    assert honest(mount)
    assert "disproved" not in node.status(mount)["layers"]
    node.umount(mount)
    assert honest(node.mount(world.pinned, "--index=none")), "nothing of it was kept"


def test_rot_is_no_lie_of_the_publisher(world):
    """A chunk that changes on the disk after it was read once: the full pass finds other bytes, and the index is not to
    blame. Whatever becomes of this mount, the next one uses the index and shows the image."""
    artifact = world.publish()
    node = world.node()
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    with open(f"{mount}/{LARGE}", "rb") as file:
        assert file.read(1 << 20) == FILES[LARGE][: 1 << 20]
    for path in node.published_files("data"):
        if os.path.getsize(path) > 8 << 20:
            with open(path, "r+b") as file:
                file.seek(100_000)
                byte = file.read(1)[0]
                file.seek(100_000)
                file.write(bytes([byte ^ 4]))
    with contextlib.suppress(OSError):
        read(mount, LARGE)
    wait_for(lambda: "layer.proven" in daemon.output() or "disproved" in daemon.output() or time.sleep(1), "a look", 10)
    assert "disproved" not in daemon.output(), daemon.output()
    node.umount(mount)
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert f"index.used index={artifact}" in daemon.output() or set(node.status(mount)["layers"]) == {"proven"}
    assert honest(mount)


def test_offline_after_reads(world):
    """What was read stays readable without the registry: rows, windows, chunks and tree are in the store."""
    world.publish()
    node = world.node()
    mount = node.mount(world.pinned, *world.trusting())
    assert read(mount, MANY) == FILES[MANY]
    node.umount(mount)
    world.registry.stop()
    mount, _ = node.mount_verbose(world.pinned, *world.trusting(), "--read-budget", str(BUDGET_S))
    assert read(mount, MANY) == FILES[MANY]
    with pytest.raises(OSError):
        read(mount, LARGE)
    world.registry.start()
    wait_for(lambda: _succeeds(mount, LARGE), "the mount works again", 40)
    assert get(world.registry, NAME, world.digest, "manifests")
