"""Whose published index is used, and what becomes of one that lies (fetch/TRUST.md).

An attacker is somebody who can push to the repository, without a key that the user trusts: the image, pinned by its digest,
shows its own tree all the same. A liar is somebody who is trusted: the proof of the form, a chunk's digest or the full pass
finds out, and no byte is wrong that one of these can know of.
"""
import errno
import json
import os
import struct
import time

import pytest

import images
import imgfs as program
from fake_registry import OCI_INDEX, OCI_MANIFEST, Reply
from images import small_content
from processes import wait_for
from published import (ATTRIBUTES, BLOB_GAP, BLOB_LEN, CANONICAL, CODEC, FORM_CHUNKS, LARGE, MANY, NAME, NAMED, NAMES,
                       SIGNATURE, SIZES_HIGH, SIZES_LOW, STREAM_LEN, TREE, TYPE, VERSION, WINDOW_LEN, Forged, ImageForm, Key,
                       World, form_tool, honest, sha256, shows_the_image, statement_of, varint, varints)

# pylint: disable=redefined-outer-name


@pytest.fixture
def world(scratch):
    made = World(scratch)
    yield made
    made.stop()


def other_image(folder):
    """What an attacker would like to be seen: other names and bytes, in layers of the same sizes of streams."""
    layout = images.Layout(folder)
    layout.add_layer(images.tar_of({"etc/name": b"wicked", "etc/empty": b"", "bin/tool": b"#!/bin/no\n"}))
    layout.add_layer(images.tar_of({"data/wicked": images.noise(8 << 20, 7)}))
    layout.add_layer(images.tar_of({f"data/many/x{i:02}": images.noise(64 << 10, f"x{i}") for i in range(64)}))
    return layout.write()


# ---- what is configured


def test_nothing_configured(world):
    """Not used, and one word of what would use it."""
    artifact = world.publish()
    _, _, log = shows_the_image(world, used=False)
    words = [line for line in log.splitlines() if "index.untrusted" in line]
    assert len(words) == 1 and artifact in words[0] and "--trust-key" in words[0], log
    quiet = world.node()
    done = quiet.run("mount", world.pinned, quiet.new_folder("quiet"))
    quiet.mounts.append(os.path.join(quiet.folder, "quiet0"))
    assert done.stderr.count("index.untrusted") == 1 or done.stderr.count("--trust-key") == 1, done.stderr


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_keys(world, kind):
    key = Key(world.folder, kind, "another")
    artifact = world.publisher.push(world.reference, "--sign-key", key.private)
    manifest = json.loads(world.registry.manifests[artifact])
    signature = manifest["annotations"][SIGNATURE + key.id]
    assert key.verifies(statement_of(manifest), signature), "openssl and the text of TRUST.md"
    assert not key.verifies(statement_of(manifest) + "\n", signature)
    node, mount, _ = shows_the_image(world, "--trust-key", key.public, used=artifact, word="trust=signed")
    assert "signed" in node.status(mount)["layers"] or "proven" in node.status(mount)["layers"]
    fresh = world.node()
    assert fresh.json("inspect", "--trust-key", key.public, world.pinned)["published_index"] == artifact
    assert fresh.states(world.pinned, "--trust-key", key.public) == ["unindexed", "signed", "signed"]
    shows_the_image(world, "--trust-key", world.stranger.public, used=False, word="no trusted key has signed it")
    shows_the_image(world, "--trust-key", world.stranger.public, "--trust-key", key.public, used=artifact)
    shows_the_image(world, "--trust-key", key.private, used=artifact)


def test_a_signature_made_by_openssl(world):
    artifact = world.publisher.push(world.reference)
    forged = Forged(world.registry, artifact)
    world.unpublish(artifact)
    shows_the_image(world, *world.trusting(), used=forged.write(key=world.key))


@pytest.mark.parametrize("place", ["--trust-file", "XDG_CONFIG_HOME", "HOME"])
@pytest.mark.parametrize("pattern", ["{host}", "{host}/app", "{host}/a*", "*"])
def test_trust_files(world, place, pattern):
    artifact = world.publish()
    top = world.folder / "config"
    path = {"HOME": top / ".config/imgfs/trust"}.get(place, top / "imgfs/trust")
    path.parent.mkdir(parents=True)
    path.write_text(f"{pattern.format(host=world.registry.host)} key={world.key.public}\nexample.com any\n")
    path.chmod(0o600)
    env = {} if place == "--trust-file" else {place: str(top)}
    options = ["--trust-file", path] if place == "--trust-file" else []
    node = world.node()
    _, daemon = node.mount_verbose(world.pinned, *options, env=env)
    assert f"index.used: index={artifact}" in daemon.output() or f"index={artifact} trust=signed" in daemon.output()


@pytest.mark.parametrize("line, used", [("{host}/other key={key}", False), ("{host} none", False), ("{host} any", True),
                                        ("{host}/app none\n* key={key}", False)])
def test_which_line_applies(world, line, used):
    artifact = world.publish()
    path = world.folder / "trust"
    path.write_text(line.format(host=world.registry.host, key=world.key.public) + "\n")
    path.chmod(0o600)
    shows_the_image(world, "--trust-file", path, used=artifact if used else False)


def test_a_trust_file_that_others_can_write(world):
    path = world.folder / "trust"
    path.write_text("* any\n")
    path.chmod(0o666)
    done = world.node().run("ls", "--trust-file", path, world.pinned, check=False)
    assert done.returncode == 4 and str(path) in done.stderr, done


def test_named_by_the_user(world):
    artifact = world.publisher.push(world.reference)
    shows_the_image(world, f"--index={artifact}", used=artifact, word="trust=bound")
    wrong = sha256(b"another")
    _, _, log = shows_the_image(world, f"--index={wrong}", used=False)
    assert wrong in log, log
    shows_the_image(world, f"--index={wrong}", *world.trusting(), used=False)


def test_a_named_one_without_the_list(world):
    """No list is asked for when the digest is known."""
    artifact = world.publisher.push(world.reference)
    shows_the_image(world, f"--index={artifact}", used=artifact)
    assert not world.registry.counted("/referrers/|manifests/sha256-")


def test_none(world):
    artifact = world.publish()
    _, _, log = shows_the_image(world, "--index=none", used=False)
    assert "index." not in log.replace("index.build", ""), log
    assert artifact not in log and not world.registry.counted("/referrers/")


def test_hints(world):
    artifact = world.publisher.push(world.reference)
    node, mount, _ = shows_the_image(world, "--trust-index=any", used=artifact, word="trust=hint")
    assert set(node.status(mount)["layers"]) <= {"hint", "proven", "unindexed"}
    shows_the_image(world, *world.trusting(), used=False, word="nothing vouches for it")


@pytest.mark.parametrize("place", ["manifest", "descriptor"])
def test_named_by_a_manifest(world, place):
    """Without a subject where the manifest names it: a manifest can not name what names it."""
    unbound = world.publisher.push(world.reference)
    forged = Forged(world.registry, unbound)
    world.unpublish(unbound)
    manifest = json.loads(world.registry.manifests[world.digest])
    if place == "manifest":
        del forged.manifest["subject"]
        artifact = forged.write()
        manifest["annotations"] = {NAMED: artifact}
        top = world.registry.add_manifest(manifest)
    else:
        artifact = forged.write()
        entry = {"mediaType": manifest["mediaType"], "digest": world.digest, "annotations": {NAMED: artifact},
                 "size": len(world.registry.manifests[world.digest]),
                 "platform": {"os": "linux", "architecture": world.publisher.json("inspect", world.pinned)["platform"][
                     "architecture"]}}
        top = world.registry.add_manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}, NAME, "all",
                                          OCI_INDEX)
    pinned = f"{world.registry.host}/{NAME}@{top}"
    shows_the_image(world, reference=pinned, used=artifact, word="trust=bound")
    shows_the_image(world, "--index=none", reference=pinned, used=False)


def test_contradiction(world):
    done = world.node().run("ls", "--index=none", "--trust-index=any", world.pinned, check=False)
    assert done.returncode == 2, done


# ---- somebody who can push


def attacks(world, artifact):
    """name -> function that puts something into the registry; the honest artifact is still there."""
    registry = world.registry
    wicked_digest = registry.add_layout(other_image(world.folder / "wicked").rsplit(":", 1)[0], "wicked", "1")
    wicked = registry.manifests[world.publisher.push(registry.reference("wicked"), "--sign-key", world.stranger.private)]
    signed = json.loads(registry.manifests[artifact])["annotations"]

    def lie(**more):
        forged = Forged(registry, artifact)
        tree = next(p["digest"] for p in json.loads(wicked)["layers"] if p["mediaType"] == TREE)
        forged.image.tree = ImageForm(registry.blobs[tree]).tree
        return forged.write(**more)

    def another_subject():
        document = json.loads(wicked)
        document["subject"]["digest"] = world.digest
        document["annotations"] = signed
        return registry.add_manifest(document)

    def junk():
        for number in range(60):
            registry.add_manifest({"schemaVersion": 2, "artifactType": TYPE, "config": {}, "layers": [], "number": number,
                                   "subject": {"digest": world.digest, "size": 1, "mediaType": "x/y"}})

    def junk_of_the_key():
        for number in range(60):
            registry.add_manifest({"schemaVersion": 2, "artifactType": TYPE, "config": {}, "layers": [], "number": number,
                                   "subject": {"digest": world.digest, "size": 1, "mediaType": "x/y"},
                                   "annotations": signed})

    return {"unsigned": lie, "own key": lambda: lie(key=world.stranger), "signature copied": lambda: lie(annotations=signed),
            "id of the key, own signature": lambda: lie(annotations={SIGNATURE + world.key.id: "AAAA"}),
            "of another image": lambda: registry.add_manifest(json.loads(wicked)), "another subject": another_subject,
            "60 junk": junk, "60 junk that claim the key": junk_of_the_key}, wicked_digest


ATTACKS = ["unsigned", "own key", "signature copied", "id of the key, own signature", "of another image", "another subject",
           "60 junk", "60 junk that claim the key"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_somebody_who_can_push(world, attack):
    """With the key and without, the tree is the image's; the honest index is found beside all but a flood."""
    artifact = world.publish()
    attacks(world, artifact)[0][attack]()
    shows_the_image(world, used=False)
    shows_the_image(world, *world.trusting(), used=None if attack.startswith("60 junk") else artifact)
    shows_the_image(world, f"--index={artifact}", used=artifact)
    world.unpublish(artifact)
    shows_the_image(world, *world.trusting(), used=False)


@pytest.mark.parametrize("referrers_api", [True, False])
@pytest.mark.parametrize("n", [20, 60])
def test_junk_that_claims_nothing_hides_nothing(scratch, referrers_api, n):
    """Whatever stands in front of the honest entry: those that claim a trusted key are tried first."""
    world = World(scratch, referrers_api)
    artifact, registry = world.publish(), world.registry
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [registry.descriptor(artifact)]}
    document["manifests"][:0] = [{"digest": sha256(b"%d" % i), "size": 9, "artifactType": TYPE, "mediaType": OCI_MANIFEST}
                                 for i in range(n)]
    if referrers_api:
        registry.on("GET .*/referrers/", Reply(200, json.dumps(document).encode(), {"Content-Type": OCI_INDEX}))
    else:
        registry.add_manifest(document, NAME, world.digest.replace(":", "-"), OCI_INDEX)
    shows_the_image(world, *world.trusting(), used=artifact)
    world.stop()


def test_signed_for_another_manifest(world):
    """The publisher has signed the index of another manifest, with the very same layers: it is that one's, in whatever list
    it stands, and not even a digest makes it this one's."""
    registry, other = world.registry, json.loads(world.registry.manifests[world.digest])
    other["annotations"] = {"of": "another"}
    registry.add_manifest(other, NAME, "other")
    artifact = world.publisher.push(registry.reference(NAME, "other"), "--sign-key", world.key.private)
    listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [registry.descriptor(artifact)]}
    registry.on(f"GET .*/referrers/{world.digest}", Reply(200, json.dumps(listed).encode(), {"Content-Type": OCI_INDEX}))
    for options in (world.trusting(), ["--trust-index=any"], [f"--index={artifact}"]):
        shows_the_image(world, *options, used=False, word="it is of another image")
    shows_the_image(world, *world.trusting(), reference=registry.reference(NAME, "other"), used=artifact)


def test_hints_can_be_anything(world):
    """The lies above are real ones: who asks for hints sees them."""
    artifact = world.publish()
    lie = attacks(world, artifact)[0]["unsigned"]()
    world.unpublish(artifact)
    mount = world.node().mount(world.pinned, f"--index={lie}")
    assert os.listdir(f"{mount}/data") != [] and os.path.exists(f"{mount}/data/wicked")


def test_a_lie_leaves_nothing_behind(world):
    """Somebody asked for a lie and read it, with this store; who does not ask for it sees the image."""
    artifact = world.publish()
    lie, node = attacks(world, artifact)[0]["unsigned"](), world.node()
    mount = node.mount(world.pinned, f"--index={lie}")
    assert os.path.exists(f"{mount}/data/wicked")
    read_all(mount)
    node.umount(mount)
    for options in (world.trusting(), [], ["--index=none"]):
        mount = node.mount(world.pinned, *options)
        assert honest(mount)
        node.umount(mount)


# ---- somebody who is trusted, and lies


@pytest.fixture
def liar(world):
    """(world, honest artifact that is not in the registry any more, to be forged and signed with the trusted key)"""
    artifact = world.publish()
    forged = Forged(world.registry, artifact)
    world.unpublish(artifact)
    return world, forged


def set_column(tree, column, change, folder):
    path = os.path.join(folder, "column")
    with open(path, "wb") as file:
        file.write(change(form_tool("columns", column, data=tree)))
    return form_tool("set-column", column, path, data=tree)


def chunk_lie(forged, change):
    """Change the chunks of the first group of data/large's layer: change(columns, sha256s, xxh3s)."""
    parts = forged.form().chunks(0)
    change(*parts)
    forged.form().set_chunks(0, *parts)


HOSTILE = {
    "version 0": lambda f, _: struct.pack_into("<H", f.image.begin, VERSION, 0),
    "version 2": lambda f, _: struct.pack_into("<H", f.image.begin, VERSION, 2),
    "no magic": lambda f, _: struct.pack_into("<8s", f.image.begin, 0, b"IMGFSWX\n"),
    "a name of two dots": lambda f, d: setattr(f.image, "tree", set_column(
        f.image.tree, NAMES, lambda c: c.replace(b"empty\0", b"..\0"), d)),
    "a slash in a name": lambda f, d: setattr(f.image, "tree", set_column(
        f.image.tree, NAMES, lambda c: c.replace(b"empty\0", b"e/pty\0"), d)),
    "names out of order": lambda f, d: setattr(f.image, "tree", set_column(
        f.image.tree, NAMES, lambda c: c.replace(b"empty\0", b"zmpty\0"), d)),
    "a column that is too long": lambda f, d: setattr(f.image, "tree", set_column(
        f.image.tree, SIZES_LOW, lambda c: c + b"\0", d)),
    "no tree": lambda f, _: setattr(f.image, "tree", b""),
    "garbage for a tree": lambda f, _: setattr(f.image, "tree", images.noise(5000)),
    "layers of another image": lambda f, _: struct.pack_into("<Q", f.image.layers, 8, 12345),
    "streams that are too short": lambda f, _: struct.pack_into("<Q", f.image.layers, 152 + 16, 512),
    "a head of another layer": lambda f, _: f.image.heads.reverse(),
    "a head of version 2": lambda f, _: struct.pack_into("<H", f.form().head, VERSION, 2),
    "groups of no chunks": lambda f, _: struct.pack_into("<I", f.form().head, FORM_CHUNKS + 4, 0),
    "more chunks": lambda f, _: struct.pack_into("<I", f.form().head, FORM_CHUNKS, 1 << 30),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_the_validator(liar, how):
    """What breaks a rule of the form or the format is refused before anything is mounted; the image is indexed instead."""
    world, forged = liar
    HOSTILE[how](forged, world.folder)
    forged.write(key=world.key)
    _, _, log = shows_the_image(world, *world.trusting(), used=False)
    words = [line for line in log.splitlines() if "index.unusable" in line]
    assert len(words) == 1 and "reason=" in words[0], log
    if "version" in how:
        assert "newer" in log or "older" in log, log


def set_first(values, value):
    values[0] = value


ROWS = {
    "a chunk of no bytes": lambda columns, _s, _x: set_first(columns[STREAM_LEN], 0),
    "a chunk that is too long": lambda columns, _s, _x: set_first(columns[STREAM_LEN], 1 << 31),
    "a place outside the blob": lambda columns, _s, _x: set_first(columns[BLOB_GAP], 1 << 40),
    "more bytes than the blob": lambda columns, _s, _x: set_first(columns[BLOB_LEN], 1 << 40),
    "bytes before the blob": lambda columns, _s, _x: set_first(columns[BLOB_GAP], 1),
    "a codec that is none": lambda columns, _s, _x: set_first(columns[CODEC], 99),
    "a window that is too long": lambda columns, _s, _x: set_first(columns[WINDOW_LEN], 60_000),
}


def fails_with(mount, path, allowed=(errno.EIO, errno.EBADMSG)):
    started = time.monotonic()
    with pytest.raises(OSError) as caught, open(os.path.join(mount, path), "rb") as file:
        file.read()
    assert caught.value.errno in allowed and time.monotonic() - started < 20 * program.SLOWER, caught.value


@pytest.mark.parametrize("how", ROWS)
def test_the_validator_of_rows(liar, how):
    """Rows that break a rule come when they are needed: the read fails, with a word; the rest of the image is there."""
    world, forged = liar
    chunk_lie(forged, ROWS[how])
    artifact = forged.write(key=world.key)
    mount, daemon = world.node().mount_verbose(world.pinned, *world.trusting())
    assert artifact in daemon.output()
    fails_with(mount, LARGE)
    assert "index.refused" in daemon.output(), daemon.output()
    assert read_many(mount) and daemon.alive()


def read_many(mount):
    with open(f"{mount}/{MANY}", "rb") as file:
        return file.read() == small_content(MANY)


def digest_lie(which):
    def lie(_columns, sha256s, xxh3s):
        values = sha256s if which == "sha256" else xxh3s
        values[0] = bytes([values[0][0] ^ 1]) + values[0][1:]

    return lie


@pytest.mark.parametrize("which", ["sha256", "xxh3"])
def test_a_chunks_digest(liar, which):
    """Bytes of the registry that a digest of the index does not fit: an error, never the bytes."""
    world, forged = liar
    chunk_lie(forged, digest_lie(which))
    forged.write(key=world.key)
    node = world.node()
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    fails_with(mount, LARGE)
    assert {"sha256": "chunk.refused", "xxh3": "chunk.undecodable"}[which] in daemon.output(), daemon.output()
    assert read_many(mount) and daemon.alive() and node.status(mount)["content"]["errors"] > 0


# ---- the full pass


def wrong_canonical(forged, _world):
    forged.form().head[CANONICAL] ^= 1


def wrong_table(forged, _world):
    struct.pack_into("<Q", forged.form().head, CANONICAL + 32, 1)


def other_tree(column, change):
    def lie(forged, world):
        forged.image.tree = set_column(forged.image.tree, column, change, world.folder)
    return lie


DISPROVED = {
    "canonical digest": wrong_canonical,
    "digest of the table": wrong_table,
    "a name": other_tree(NAMES, lambda c: c.replace(b"empty\0", b"emptz\0")),
    "a mode": other_tree(ATTRIBUTES, lambda c: c.replace(b"\xa4\x83\x02", b"\xed\x83\x02", 1)),
    "a size": other_tree(SIZES_LOW, lambda c: c.replace(b"\x06", b"\x05", 1)),
}


def read_all(mount):
    """Read every file; those that fail are left out."""
    for top, _, names in os.walk(mount):
        for name in sorted(names):
            try:
                with open(os.path.join(top, name), "rb") as file:
                    file.read()
            except OSError:
                pass


def drop_pages(mount, path):
    with open(os.path.join(mount, path), "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("how", DISPROVED)
def test_the_full_pass(liar, how):
    """After everything was read once: a loud word, the state, no more of its bytes; and the next mount knows better."""
    world, forged = liar
    DISPROVED[how](forged, world)
    artifact = forged.write(key=world.key)
    node = world.node()
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert f"index={artifact}" in daemon.output()
    read_all(mount)
    wait_for(lambda: "layer.disproved" in daemon.output(), "the lie is found", 20 * program.SLOWER)
    assert artifact in [line for line in daemon.output().splitlines() if "layer.disproved" in line][0]
    assert "disproved" in node.status(mount)["layers"], node.status(mount)
    drop_pages(mount, LARGE)
    fails_with(mount, LARGE)
    node.umount(mount)

    again, second = node.mount_verbose(world.pinned, *world.trusting())
    assert "index.used" not in second.output() and "it was found to lie" in second.output(), second.output()
    assert honest(again), second.output()


def verify(world, node, artifact):
    done = node.run("index verify", *world.trusting(), world.pinned, check=False)
    again, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert done.returncode == 0 or f"index.used index={artifact}" not in daemon.output(), daemon.output()
    assert honest(again), daemon.output()
    return done


@pytest.mark.parametrize("how", DISPROVED)
def test_verify(liar, how):
    """The full pass at the user's word: exit 6, and rejected from then on."""
    world, forged = liar
    DISPROVED[how](forged, world)
    done = verify(world, world.node(), forged.write(key=world.key))
    assert done.returncode == 6 and "FAILED" in done.stdout and "published" in done.stderr, done


@pytest.mark.parametrize("which", ["sha256", "xxh3", "form"])
def test_verify_looks_at_all_of_it(liar, which):
    """A form whose parts are not what the layer gives, under a head whose word for the whole is right."""
    world, forged = liar
    if which == "form":
        form = forged.form()
        form.groups[0] = form.groups[0][:-1] + bytes([form.groups[0][-1] ^ 1])
    else:
        chunk_lie(forged, digest_lie(which))
    done = verify(world, world.node(), forged.write(key=world.key))
    assert done.returncode == 6 and "published" in done.stderr, done


def test_verify_of_an_honest_one(world):
    """With nothing in the store, with a store of its own, after a mount: proven, exit 0, kept."""
    world.publish()
    node = world.node()
    for _ in range(2):
        done = node.run("index verify", *world.trusting(), world.pinned)
        assert done.stdout.count("proven") == 4 and "FAILED" not in done.stdout, done.stdout
    assert node.states(world.pinned) == ["proven"] * 3
    assert world.publisher.run("index verify", *world.trusting(), world.pinned).returncode == 0


def test_pull_refuses_a_lie(liar):
    world, forged = liar
    wrong_canonical(forged, world)
    artifact = forged.write(key=world.key)
    node = world.node()
    done = node.run("index pull", *world.trusting(), world.pinned, check=False)
    assert done.returncode == 6 and "published index" in done.stderr, done
    mount, daemon = node.mount_verbose(world.pinned, *world.trusting())
    assert f"index.used index={artifact}" not in daemon.output() and honest(mount)


def test_a_base_that_lies(liar):
    """Its layers are not taken, or the push fails; nobody's signature comes to stand under the lie."""
    world, forged = liar
    chunk_lie(forged, digest_lie("sha256"))
    forged.write(key=world.key)
    registry, node = world.registry, world.node()
    registry.tags[NAME, "2"] = world.digest
    done = node.run("index push", "--base", world.reference, "--sign-key", world.key.private, *world.trusting(),
                    registry.reference(NAME, "2"), check=False)
    assert done.returncode in (0, 6), done
    if done.returncode == 0:
        shows_the_image(world, *world.trusting())


def test_a_lie_about_a_small_layer(liar):
    """A layer without a form has a longer stream in the tree than in truth, and a file there: found when it is indexed, at
    the first read."""
    world, forged = liar
    struct.pack_into("<Q", forged.image.layers, 16, 1 << 30)
    at = form_tool("columns", SIZES_LOW, data=forged.image.tree).index(b"\x06")  # etc/name, of 6 bytes
    forged.image.tree = set_column(forged.image.tree, SIZES_HIGH, lambda c: replace_number(c, at, 0x10000), world.folder)
    forged.write(key=world.key)
    mount, daemon = world.node().mount_verbose(world.pinned, *world.trusting())
    assert "index.used" in daemon.output(), daemon.output()
    assert os.stat(f"{mount}/etc/name").st_size == 0x1000006
    fails_with(mount, "etc/name")
    assert daemon.alive(), daemon.output()


def replace_number(column, at, value):
    """A column of numbers with another one at a place."""
    head = column
    for _ in range(at):
        _, head = varints(head, 1)
    return column[: len(column) - len(head)] + varint(value) + varints(head, 1)[1]
