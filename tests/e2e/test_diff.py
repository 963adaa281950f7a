"""imgfs diff: every kind of change, and that it reads no file. test_take_real.py compares two real images."""
import json
import re
import subprocess

import pytest

import images
from fake_registry import Reply
from images import Layout
from published import World, layer_blobs
from tarbytes import END, MTIME, char, file, folder, hardlink, pax, pax_sparse, record, symlink

# pylint: disable=redefined-outer-name

EXIT_DIFFERS, EXIT_USAGE, EXIT_NOT_FOUND = 1, 2, 3

BEFORE = [
    folder("d"), file("d/same", "same"), file("d/content", "old!"), file("d/size", "short"), file("d/mode", "m", mode=0o644),
    file("d/owner", "o"), file("d/touched", "t"), symlink("d/target", "old"), file("d/type", "file"),
    pax(record("SCHILY.xattr.user.a", "1")) + file("d/xattr", "x"), char("d/device", 1, 3), folder("gone"),
    file("gone/a", "12345"), file("gone/b", "123"), hardlink("gone/c", "gone/b"), folder("was-dir"), file("was-dir/in", "in"),
    pax_sparse("1.0", "d/sparse", 1 << 20, [(4096, 512)], b"a" * 512), file("d/empty", ""), file("caf\udce9", "name"),
]
AFTER = [
    folder("d"), file("d/same", "same"), file("d/content", "new!"), file("d/size", "longer!"), file("d/mode", "m", mode=0o755),
    file("d/owner", "o", uid=5), file("d/touched", "t", mtime=MTIME + 1), symlink("d/target", "new"), symlink("d/type", "to"),
    pax(record("SCHILY.xattr.user.a", "2")) + file("d/xattr", "x"), char("d/device", 1, 5), folder("new"),
    file("new/a", "1234567"), symlink("new/l", "a"), file("was-dir", "file"),
    pax_sparse("1.0", "d/sparse", 1 << 20, [(4096, 512)], b"b" * 512), file("d/empty", ""), file("caf\udce9", "name2"),
]
# Path -> what differs
CHANGED = {"/d/content": ["content"], "/d/size": ["content"], "/d/mode": ["mode"], "/d/owner": ["owner"],
           "/d/target": ["target"], "/d/xattr": ["xattrs"], "/d/device": ["device"], "/caf\ufffd": ["content"]}
TYPE = {"/d/type": ["type"], "/was-dir": ["type"]}
ADDED, REMOVED = ["/new", "/new/a", "/new/l"], ["/gone", "/gone/a", "/gone/b", "/gone/c", "/was-dir/in"]


@pytest.fixture
def pair(scratch):
    """(reference, reference) of BEFORE and AFTER."""
    found = []
    for name, members in (("before", BEFORE), ("after", AFTER)):
        layout = Layout(scratch / name)
        layout.add_layer(b"".join(members) + END)
        found.append("oci:" + layout.write())
    return found


def by_status(found):
    statuses = {}
    for change in found["changes"]:
        statuses.setdefault(change["status"], {})[change["path"]] = change["what"]
    return statuses


# ---- what is found


def test_every_kind_of_change(imgfs, pair):
    found = imgfs.json("diff", *pair)
    statuses = by_status(found)
    assert statuses.pop("changed") == CHANGED and statuses.pop("type") == TYPE
    assert sorted(statuses.pop("added")) == ADDED and sorted(statuses.pop("removed")) == REMOVED
    assert list(statuses.pop("unknown")) == ["/d/sparse"] and statuses == {}
    assert (found["added"], found["removed"], found["changed"], found["unknown"]) == (3, 5, 10, 1)
    assert (found["added_size"], found["removed_size"]) == (7, 5 + 3 + 2)  # gone/b and gone/c are one file
    assert found["a"]["reference"] == pair[0] and found["b"]["digest"].startswith("sha256:")
    one = next(change for change in found["changes"] if change["path"] == "/d/size")
    assert (one["a"]["size"], one["b"]["size"]) == (5, 7)
    touched = imgfs.json("diff", "--times", *pair, "/d/touched")
    assert by_status(touched) == {"changed": {"/d/touched": ["time"]}}


def test_backwards(imgfs, pair):
    there, back = imgfs.json("diff", *pair), imgfs.json("diff", *reversed(pair))
    assert (there["added"], there["removed_size"]) == (back["removed"], back["added_size"])
    assert there["changed_size"] == -back["changed_size"] and there["same"] == back["same"]


def test_for_people(imgfs, pair):
    text = imgfs.run("diff", *pair).stdout
    lines = {line[3:].split(" | ")[0].rstrip(): (line[1], line.split(" | ")[1]) for line in text.splitlines()[:-1]}
    assert lines["d/content"] == ("M", "4 B, other content") and lines["d/size"] == ("M", "5 B -> 7 B (+2 B)")
    assert lines["d/mode"] == ("M", "mode 0644 -> 0755") and lines["d/owner"] == ("M", "owner 0:0 -> 5:0")
    assert lines["d/target"] == ("M", "target old -> new") and lines["d/device"] == ("M", "device 1, 3 -> 1, 5")
    assert lines["d/type"] == ("T", "file -> symlink") and lines["was-dir"] == ("T", "directory -> file, 1 path inside")
    assert lines["new/"] == ("A", "directory, 2 paths: +7 B") and lines["gone/"] == ("D", "directory, 3 paths: -8 B")
    assert lines["d/sparse"] == ("?", "1.0 MiB, content not known") and lines["caf\\351"][0] == "M"
    assert "new/a" not in lines and "gone/a" not in lines and "d/" not in lines
    assert re.fullmatch(r" 10 changed \(\+3 B\), 3 added \(\+7 B\), 5 removed \(-10 B\), 1 not known, \d+ the same",
                        text.splitlines()[-1]), text
    everything = imgfs.run("diff", "--all", *pair).stdout
    assert " A new/a " in everything and " D gone/c " in everything


def test_for_scripts(imgfs, pair):
    done = subprocess.run(imgfs.command("diff", "--name-status", *pair), capture_output=True, check=True)
    lines = done.stdout.splitlines()
    assert b"M\t/caf\xe9" in lines and b"A\t/new/a" in lines and b"D\t/was-dir/in" in lines and b"T\t/was-dir" in lines
    assert b"?\t/d/sparse" in lines and len(lines) == 19
    paths = [line.split(b"\t")[1].split(b"/") for line in lines]
    assert paths == sorted(paths)


def test_paths_and_exit_status(imgfs, pair):
    assert imgfs.run("diff", "--name-status", *pair, "/gone", "d/mode").stdout == (
        "D\t/gone\nD\t/gone/a\nD\t/gone/b\nD\t/gone/c\nM\t/d/mode\n")
    assert imgfs.run("diff", "--exit-code", "-q", *pair, check=False).returncode == EXIT_DIFFERS
    same = imgfs.run("diff", "--exit-code", pair[0], pair[0])
    assert re.fullmatch(r" 0 changed, 0 added, 0 removed, \d+ the same\n", same.stdout)
    assert imgfs.run("diff", "--exit-code", "-q", *pair, "/d/same").stdout == ""
    done = imgfs.run("diff", *pair, "/nope", check=False)
    assert done.returncode == EXIT_NOT_FOUND and "/nope: no such file in either image" in done.stderr
    for words in ([], pair[:1]):
        assert imgfs.run("diff", *words, check=False).returncode == EXIT_USAGE


# ---- what it costs


def test_published_indexes_are_enough(scratch):
    """An empty machine learns what changed in a large layer from a few kilobytes, and asks for no layer."""
    world = World(scratch)
    try:
        world.publish()
        layout = Layout(scratch / "next")
        layout.add_layer(images.tar_of({"etc/name": b"small\n", "etc/empty": b"", "bin/tool": b"#!/bin/sh\n"}))
        layout.add_layer(images.tar_of({"data/large": images.noise(8 << 20)}, mtime=1))  # same bytes, another layer
        many = {f"data/many/{i:02}": images.small_content(f"data/many/{i:02}") for i in range(64)}
        layout.add_layer(images.tar_of({**many, "data/many/07": images.noise(64 << 10, "other")}))
        layout.write()
        world.registry.add_layout(layout.folder, "next")
        after = world.registry.reference("next")
        world.publisher.push(after, "--sign-key", world.key.private)
        blobs = set(layer_blobs(world)) | {layer["digest"] for layer in layout.layers}
        small = {layer["digest"] for layer in layout.layers if layer["size"] < 1 << 20}
        node = world.node()
        world.registry.traffic.clear()
        found = json.loads(node.run("diff", "--json", *world.trusting(), world.reference, after).stdout)
        assert [(c["path"], c["status"]) for c in found["changes"]] == [("/data/many/07", "changed")]
        asked = [t for t in world.registry.traffic if t[1].rsplit("/", 1)[-1] in blobs - small]
        assert asked == [] and sum(t[3] for t in world.registry.traffic) < 200 << 10
        world.registry.traffic.clear()
        node.run("diff", *world.trusting(), world.reference, after)
        assert not [t for t in world.registry.traffic if "/blobs/" in t[1]]  # what was fetched is kept
    finally:
        world.stop()


def test_what_can_not_be_known_is_said(scratch):
    """Without the parts that have the digests, files of one size are not known: neither equal nor changed."""
    world = World(scratch)
    try:
        world.publish()
        layout = Layout(scratch / "next")
        layout.add_layer(images.tar_of({"data/large": images.noise(8 << 20, 2)}))
        layout.write()
        world.registry.add_layout(layout.folder, "next")
        after = world.registry.reference("next")
        world.publisher.push(after, "--sign-key", world.key.private)
        node = world.node()
        for reference in (world.reference, after):
            node.run("ls", *world.trusting(), reference)
        world.registry.on("GET .*/blobs/", Reply(404))
        done = node.run("diff", "--name-status", *world.trusting(), world.reference, after, "/data/large")
        assert done.stdout == "?\t/data/large\n"
        notes = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
        assert len(notes) == 1 and "digests" in notes[0] and "not compared" in notes[0], done.stderr
    finally:
        world.stop()
