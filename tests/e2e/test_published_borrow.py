"""What a publisher takes from other images: their published layers, instead of streaming them. Whoever can push can make
other images, so what is signed here must have been signed by somebody who is trusted here."""
import json

import pytest

from published import World, layer_blobs
from test_published_trust import NAME, NAMED


@pytest.fixture
def world(scratch):
    made = World(scratch)
    yield made
    made.stop()


def named_by_a_tag(world, artifact, tag="zzz"):
    """Another manifest of the same layers, which anybody can push: it names an artifact as its index."""
    document = json.loads(world.registry.manifests[world.digest])
    document["annotations"] = {NAMED: artifact}
    digest = world.registry.add_manifest(document)
    world.registry.tags[NAME, tag] = digest
    return digest


def pushed(world, *options, signed=True):
    """`index push` of the image on an empty machine: the layers that were streamed, by number, and what it said."""
    world.registry.traffic.clear()
    key = ["--sign-key", world.key.private] if signed else []
    done = world.node().run("index push", "-v", *key, *options, world.pinned)
    asked = [t[1].rsplit("/", 1)[-1] for t in world.registry.traffic if t[0] == "GET"]
    return [n for n, blob in enumerate(layer_blobs(world)) if blob in asked], done.stderr


def subjectless(world):
    """What an attacker publishes: unsigned, for no image in particular."""
    artifact = world.publisher.push(world.reference)
    document = json.loads(world.registry.manifests[artifact])
    del document["subject"]
    world.unpublish(artifact)
    return world.registry.add_manifest(document)


def test_a_tag_that_names_an_index_is_nobodys_word(world):
    named_by_a_tag(world, subjectless(world))
    streamed, said = pushed(world)
    assert streamed == [0, 1, 2] and "trusted" in said, said
    streamed, said = pushed(world, signed=False)
    assert streamed == [0, 1, 2], said


def test_hints_are_not_signed(world):
    """An unsigned index of another tag, with --trust-index any."""
    digest = named_by_a_tag(world, "sha256:" + "0" * 64)
    world.publisher.run("index push", f"{world.registry.host}/{NAME}:zzz")
    streamed, said = pushed(world, "--trust-index=any")
    assert streamed == [0, 1, 2] and "needs a trusted key" in said, said
    streamed, said = pushed(world, "--trust-index=any", "--base", f"{world.registry.host}/{NAME}@{digest}")
    assert streamed == [0, 1, 2] and "needs a trusted key" in said, said
    streamed, said = pushed(world, "--trust-index=any", "--base", f"{world.registry.host}/{NAME}@{digest}", signed=False)
    assert streamed == [0] and "(hint)" in said, said


def test_what_a_trusted_key_has_signed_is_taken(world):
    named_by_a_tag(world, "sha256:" + "0" * 64)
    world.publisher.run("index push", "--sign-key", world.key.private, f"{world.registry.host}/{NAME}:zzz")
    streamed, said = pushed(world, *world.trusting())
    assert streamed == [0] and "trust=signed layers=2" in said, said
    streamed, said = pushed(world, "--trust-key", world.stranger.public)
    assert streamed == [0, 1, 2], said


def test_a_base_named_by_its_digest_may_name_its_index(world):
    """The user has seen that manifest; a tag could have become another one."""
    digest = named_by_a_tag(world, subjectless(world), tag="base")
    base = f"{world.registry.host}/{NAME}"
    streamed, said = pushed(world, "--base", f"{base}:base")
    assert streamed == [0, 1, 2], said
    streamed, said = pushed(world, "--base", f"{base}@{digest}")
    assert streamed == [0] and "(bound)" in said, said
