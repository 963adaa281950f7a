"""Profiles: what a start has read is recorded when it ends, and the next mount fetches it before anybody asks: on this
machine, for the next release, and, published, on machines that have never seen the image.
"""
import glob
import json
import os
import re
import secrets
import time

import pytest

import images
import imgfs as program
from fake_registry import OCI_MANIFEST
from processes import run, wait_for
from published import LARGE, PROFILE, Asked, Forged, Key, Node, World, form_tool, honest, statement_of
from referrers_registry import bad_reply
from registry import Registry

# pylint: disable=redefined-outer-name

HEAD = "imgfs-profile 1\n"
STARTED = ["data/many/40", "etc/name", "data/many/03"]  # what a program reads here, in its order
OTHERS = ["data/many/20", "data/many/21"]
BAD = HEAD + "0 1 /etc/name\n0 0 /etc/name\n"


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    return images.small_image(tmp_path_factory.mktemp("layout"))


@pytest.fixture
def node(scratch):
    """node() -> a machine with an empty store."""
    made = []

    def new():
        made.append(Node(scratch / f"node{len(made)}"))
        return made[-1]

    yield new
    for one in made:
        one.stop()


@pytest.fixture
def reference(registry, layout):
    """In a repository of its own."""
    return registry.push(layout, f"profile-{secrets.token_hex(6)}")


@pytest.fixture
def started(node, reference):
    """A machine that has the indexes, and a profile of one start."""
    made = node()
    made.build(reference)
    made.keep_only_indexes()
    start(made, reference)
    return made


@pytest.fixture
def world(scratch):
    made = World(scratch)
    yield made
    made.stop()


def read(mount, paths):
    for path in paths:
        with open(f"{mount}/{path}", "rb") as file:
            assert file.read() == images.small_content(path), path


def start(some_node, reference, *options, paths=None):
    """A mount in which something starts, and its end."""
    mount = some_node.mount(reference, *options)
    read(mount, paths or STARTED)
    some_node.umount(mount)


def show(some_node, reference, *options, **more):
    return some_node.run("profile show", *options, reference, **more)


def paths_of(text):
    """Those of a profile, each once, in the order in which they are first named."""
    assert text.startswith(HEAD)
    rows = [re.fullmatch(r"(\d+) ([1-9]\d*) /(.+)", line) for line in text.splitlines()[1:]]
    assert all(rows), text
    return list(dict.fromkeys(row[3] for row in rows))


def stored(some_node):
    """Bytes of chunks in the store: what a replay brings is seen there, without a read."""
    top = f"{some_node.store}/v1"
    files = [*glob.glob(f"{top}/layers/*/*/data"), *glob.glob(f"{top}/published/*/data")]
    return sum(os.stat(path).st_blocks * 512 for path in files)


def settled(some_node):
    """The same when it has become no more for a while."""
    seen, since = -1, 0
    while seen < 0 or time.monotonic() - since < 0.5 * program.SLOWER:
        now = stored(some_node)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.02)
    return seen


def ahead(some_node, mount, paths):
    """These, and little else, come without being read; and are then read without the source."""
    wait_for(lambda: stored(some_node), "something is fetched", 20 * program.SLOWER)
    before = settled(some_node)
    assert before < 3 << 20
    read(mount, paths)
    after = some_node.status(mount)["content"]
    assert after["misses"] == 0 and after["store_hits"] >= len(paths) and after["errors"] == 0, after
    assert after["fetched_bytes"] > 0 and settled(some_node) == before


def says(done, status, *words):
    assert done.returncode == status and len(done.stderr.splitlines()) == 1, done
    for word in words:
        assert word in done.stderr, done.stderr


# ---- one machine


def test_the_next_mount_is_ahead(started, reference):
    text = show(started, reference)
    assert paths_of(text.stdout) == STARTED and text.stderr == ""
    assert re.search(r"^0 65536 /data/many/40$", text.stdout, re.M), "a file that was read whole is one range"
    started.keep_only_indexes()
    mount, daemon = started.mount_verbose(reference)
    ahead(started, mount, STARTED)
    assert re.search(r"profile\.replayed ranges=3 bytes=\d+ origin=own", daemon.output()), daemon.output()
    started.umount(mount)
    assert show(started, reference).stdout == text.stdout, "the same start leaves the same profile"


def test_another_start_takes_its_place(started, reference):
    start(started, reference, paths=OTHERS)
    assert paths_of(show(started, reference).stdout) == OTHERS


def test_a_glance_does_not(started, reference):
    before = show(started, reference).stdout
    start(started, reference, paths=["etc/name"])
    assert show(started, reference).stdout == before


def test_no_profile(node, reference):
    made = node()
    made.build(reference)
    says(show(made, reference, check=False), 3, "imgfs profile show: ", reference, "has no profile")
    start(made, reference, "--no-profile")
    says(show(made, reference, check=False), 3, "has no profile")
    made.umount(made.mount(reference))
    says(show(made, reference, check=False), 3, "has no profile")
    done = made.run("cat", reference, "/etc/name")
    assert done.stdout == "small\n"
    says(show(made, reference, check=False), 3, "has no profile")


def test_the_option(started, reference):
    """Nothing is replayed, and nothing is written down."""
    before = show(started, reference).stdout
    started.keep_only_indexes()
    mount, daemon = started.mount_verbose(reference, "--no-profile")
    assert settled(started) == 0
    read(mount, OTHERS)
    started.umount(mount)
    assert "profile." not in daemon.output() and show(started, reference).stdout == before


@pytest.mark.parametrize("how", ["file", "-"])
def test_set(started, reference, scratch, how):
    text = HEAD + "0 65536 /data/many/50\n100 1 /data/../etc/na\\x6de\n0 1 /gone\n"
    if how == "-":
        started.run("profile set", reference, "-", input=text)
    else:
        (scratch / "text").write_text(text)
        started.run("profile set", reference, scratch / "text")
    assert show(started, reference).stdout == text
    started.keep_only_indexes()
    ahead(started, started.mount(reference), ["data/many/50"])


def test_what_can_not_be_set(started, reference, scratch):
    before = show(started, reference).stdout
    (scratch / "bad").write_text(BAD)
    says(started.run("profile set", reference, scratch / "bad", check=False), 6, f"{scratch}/bad: ", "line 3:")
    says(started.run("profile set", reference, "-", input=BAD, check=False), 6, "line 3:")
    says(started.run("profile set", reference, "-", input="", check=False), 6, "the first line")
    says(started.run("profile set", reference, "-", input=HEAD.replace("1", "2"), check=False), 6, "the first line")
    says(started.run("profile set", reference, scratch / "absent", check=False), 3, f"{scratch}/absent")
    says(started.run("profile set", reference, check=False), 2, "FILE")
    assert started.run("profile set", reference, scratch, check=False).returncode == 1
    assert started.run("profile set", reference.replace(":1", ":2"), "-", input=HEAD, check=False).returncode == 3
    assert show(started, reference).stdout == before


def test_rm(started, reference):
    started.run("profile rm", reference)
    says(show(started, reference, check=False), 3, "has no profile")
    assert not profile_files(started)
    started.run("profile rm", reference)
    started.keep_only_indexes()
    mount = started.mount(reference)
    assert settled(started) == 0
    read(mount, OTHERS)
    started.umount(mount)
    assert paths_of(show(started, reference).stdout) == OTHERS


def test_a_layout(node, scratch):
    made, layout = node(), images.small_image(scratch / "image")
    start(made, f"oci:{layout}")
    assert paths_of(show(made, f"oci:{layout}").stdout) == STARTED


# ---- rot


def profile_files(some_node):
    return sorted(glob.glob(f"{some_node.store}/v1/profiles/*"))


@pytest.mark.parametrize("how", ["flipped", "flipped head", "cut", "empty"])
def test_rot(started, reference, how):
    files = profile_files(started)
    assert len(files) == 2, "of the image, and of its repository"
    for path in files:
        with open(path, "rb") as file:
            data = bytearray(file.read())
        data[0 if "head" in how else -1] ^= 1
        with open(path, "wb") as file:
            file.write(data if "flipped" in how else data[: -1 if how == "cut" else 0])
    started.keep_only_indexes()
    mount, daemon = started.mount_verbose(reference)
    wait_for(lambda: len(re.findall(r"store\.rotten .*file=profiles/[0-9a-f]{64} ", daemon.output())) == 2, "two words")
    assert not profile_files(started)
    read(mount, STARTED)
    started.umount(mount)
    assert paths_of(show(started, reference).stdout) == STARTED


# ---- the repository


def derived(folder):
    """small_image with more in its last layer: the next release."""
    files = {f"data/many/{i:02}": images.small_content(f"data/many/{i:02}") for i in range(64)}
    return images.small_image(folder, {**files, "data/new": b"new"})


def test_the_next_release(started, reference, registry, scratch):
    """Another tag of the repository starts with what the last one has taught, until it has taught more."""
    name = reference.split("/")[1].split(":")[0]
    other = registry.push(derived(scratch / "derived"), name, "2")
    stranger = registry.push(derived(scratch / "again"), name + "-other", "2")
    says(show(started, stranger, check=False), 3, "has no profile")
    done = show(started, other)
    assert paths_of(done.stdout) == STARTED and "of another image of the repository" in done.stderr
    assert show(started, other, "-q").stderr == ""
    started.build(other)
    started.keep_only_indexes()
    mount, daemon = started.mount_verbose(other)
    ahead(started, mount, STARTED)
    assert "origin=sibling" in daemon.output(), daemon.output()
    started.umount(mount)
    assert show(started, other).stderr == ""
    start(started, other, paths=OTHERS)
    assert paths_of(show(started, other).stdout) == OTHERS
    assert paths_of(show(started, reference).stdout) == STARTED


# ---- published


def push(some_node, reference, *options):
    """(artifact, what index push says of the profile)"""
    done = some_node.run("index push", *options, reference, timeout=600)
    return re.search(r"^index (sha256:[0-9a-f]{64})$", done.stdout, re.M)[1], re.findall(r"^start  .*$", done.stdout, re.M)


def test_published(started, node, reference, registry, scratch):
    key, other = Key(scratch), node()
    artifact, rows = push(started, reference, "--sign-key", key.private)
    assert len(rows) == 1 and re.search(r"sha256:[0-9a-f]{64}", rows[0]), rows
    assert push(started, reference, "--sign-key", key.private)[0] == artifact
    trusting = ["--trust-key", key.public]
    done = show(other, reference, *trusting)
    assert done.stdout == show(started, reference).stdout and "published with the index" in done.stderr
    with Asked(registry) as asked:
        assert show(other, reference, *trusting).stdout == done.stdout
    assert not [r for r in asked.answered if "/blobs/" in r[1]], "it is kept"
    machine = node()
    mount, daemon = machine.mount_verbose(reference, *trusting)
    assert f"index.used index={artifact}" in daemon.output()
    ahead(machine, mount, STARTED)
    assert "origin=published" in daemon.output(), daemon.output()
    machine.umount(mount)
    # What it was given it gives on.
    assert push(machine, reference, "--sign-key", key.private)[0] == artifact
    says(show(node(), reference, check=False), 3, "has no profile")


def test_with_and_without(started, node, reference):
    """Of a machine that has no profile, another artifact; whoever pulls either is served."""
    without = push(node(), reference)
    artifact, rows = push(started, reference)
    assert without[1] == [] and len(rows) == 1 and without[0] != artifact
    started.run("profile rm", reference)
    assert push(started, reference) == without
    done = node().run("index pull", f"--index={artifact}", reference)
    assert artifact in done.stdout


def test_not_asked_for(started, node, reference, registry):
    """--no-profile: not even its bytes."""
    digest = re.search("sha256:[0-9a-f]{64}", push(started, reference)[1][0])[0]
    for options, times in ((["--no-profile"], 0), ([], 1)):
        machine = node()
        with Asked(registry) as asked:
            mount = machine.mount(reference, "--trust-index=any", *options)
            settled(machine)
            read(mount, STARTED)
            machine.umount(mount)
        assert len(asked.of(digest)) == times, asked.answered


def test_bytes_that_are_not_its_digests(started, node, reference, registry):
    digest = re.search("sha256:[0-9a-f]{64}", push(started, reference)[1][0])[0]
    path = registry.blob_file(digest)
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(data[:-1] + bytes([data[-1] ^ 1]))
    machine = node()
    mount, daemon = machine.mount_verbose(reference, "--trust-index=any")
    wait_for(lambda: "profile.not_fetched" in daemon.output(), "a word", 20 * program.SLOWER)
    assert settled(machine) == 0 and "profile.replayed" not in daemon.output()
    read(mount, [*STARTED, LARGE])
    assert not profile_files(machine)
    machine.umount(mount)
    assert set(paths_of(show(machine, reference).stdout)) == {*STARTED, LARGE}


def publish(world, paths=None):
    """An artifact with a profile: (its digest, that of the profile)."""
    start(world.publisher, world.pinned, paths=paths)
    artifact = world.publish()
    parts = json.loads(world.registry.manifests[artifact])["layers"]
    return artifact, next(part["digest"] for part in parts if part["mediaType"] == PROFILE)


@pytest.mark.parametrize("how", ["404", "html", "500", "login", "garbage", "hang"])
def test_a_profile_that_does_not_come(world, how):
    """Nobody waits for it, and nothing else is the worse for it."""
    artifact, digest = publish(world)
    world.registry.on(f"GET .*/blobs/{digest}", bad_reply(how))
    machine = world.node()
    begin = time.monotonic()
    mount, daemon = machine.mount_verbose(world.pinned, *world.trusting())
    assert f"index.used index={artifact}" in daemon.output() and honest(mount)
    machine.umount(mount)
    assert time.monotonic() - begin < 9 * program.SLOWER
    assert "origin=published" not in daemon.output() and "disproved" not in daemon.output(), daemon.output()


def with_profile(world, text, key=None):
    """The artifact again with another profile; signed anew, or with the old signature."""
    artifact, _ = publish(world)
    forged = Forged(world.registry, artifact)
    old = json.loads(world.registry.manifests[artifact]).get("annotations")
    world.unpublish(artifact)
    data = form_tool("pack", data=text) if isinstance(text, str) else text
    part = next(part for part in forged.manifest["layers"] if part["mediaType"] == PROFILE)
    part.update({"digest": world.registry.add_blob(data), "size": len(data)})
    return forged.write(key=key, annotations=None if key else old)


def packed(text):
    return form_tool("pack", data=text.encode())


@pytest.mark.parametrize("what", ["a bad line", "no text", "nothing packed"])
def test_a_publisher_that_errs(world, what):
    """What it calls a profile is none: the index is used without."""
    data = {"a bad line": packed(BAD), "no text": packed("\0" * 5000), "nothing packed": b"x" * 100}[what]
    artifact = with_profile(world, data, world.key)
    machine = world.node()
    mount, daemon = machine.mount_verbose(world.pinned, *world.trusting())
    wait_for(lambda: "profile.refused" in daemon.output(), "a word", 20 * program.SLOWER)
    assert f"index.used index={artifact}" in daemon.output() and honest(mount)
    assert not profile_files(machine)


def test_a_profile_of_something_else(world):
    """Paths that the image has not, ranges behind the end, the whole image: bytes are all that it costs."""
    text = HEAD + "0 1 /nowhere\n9 18446744073709551615 /etc/name\n5 18446744073709551615 /data/many/00\n0 1 /etc\n"
    with_profile(world, packed(text), world.key)
    machine = world.node()
    mount, daemon = machine.mount_verbose(world.pinned, *world.trusting())
    wait_for(lambda: "profile.replayed ranges=1 bytes=65531 " in daemon.output(), "a word", 20 * program.SLOWER)
    assert honest(mount)


def test_the_signature_covers_it(world):
    """Who may push, and has no key, can not put another profile in."""
    artifact = with_profile(world, packed(HEAD + "0 1 /etc/name\n"))
    assert "signature" in json.dumps(json.loads(world.registry.manifests[artifact]))
    machine = world.node()
    mount, daemon = machine.mount_verbose(world.pinned, *world.trusting())
    assert "index.used" not in daemon.output() and honest(mount)


def test_the_statement(world):
    """By openssl, from the documented text: fetch/TRUST.md."""
    artifact, digest = publish(world)
    manifest = json.loads(world.registry.manifests[artifact])
    statement = statement_of(manifest)
    assert statement.splitlines()[-1].startswith(f"profile {digest} ")
    assert manifest["mediaType"] == OCI_MANIFEST
    assert world.key.verifies(statement, manifest["annotations"][f"vnd.imgfs.signature.{world.key.id}"])
