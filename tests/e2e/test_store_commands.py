"""imgfs store: ls, du, rm, gc, verify; beside running mounts, and after processes that were killed."""
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import images
import imgfs as program
from processes import run
from registry import Traffic
from window import Window


def failed(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
    assert len(lines) == 1 and lines[0].startswith("imgfs store"), done.stderr
    for word in words:
        assert word in lines[0], done.stderr


def age(imgfs, seconds=3600):
    """Nothing in the store was made within the last minute."""
    for path in imgfs.files():
        os.utime(path, (time.time() - seconds,) * 2)


def named(imgfs, reference):
    return next(image for image in imgfs.json("store ls")["images"] if reference in image["names"])


def content_of(mount, path):
    with open(f"{mount}/{path}", "rb") as file:
        return file.read()


def pair(registry, scratch, name):
    """Two images with one layer in common."""
    common = images.tar_of({"common": images.noise(3 << 20, "common")})
    references = []
    for i in range(2):
        layout = images.Layout(scratch / f"{name}{i}")
        layout.add_layer(common)
        layout.add_layer(images.tar_of({f"own{i}": images.noise(2 << 20, f"own{i}")}))
        references.append(registry.push(layout.write(), name, tag=str(i)))
    return references


@pytest.fixture
def two(registry, scratch, imgfs):
    made = pair(registry, scratch, f"two-{os.urandom(4).hex()}")
    for reference in made:
        imgfs.run("prefetch", reference)
    return made


def test_no_store(imgfs):
    for name in ("ls", "du", "gc", "verify"):
        failed(imgfs.run(f"store {name}", check=False), 3, "there is none")
    failed(imgfs.run("store rm", "alpine", check=False), 3)
    assert not os.path.exists(imgfs.store)
    empty = [program.BINARY, "store", "ls", "--store", ""]
    failed(run(*empty, check=False), 2, "--store")
    home = {"XDG_CACHE_HOME": imgfs.folder, "IMGFS_STORE": imgfs.folder + "/nothing"}
    done = run(program.BINARY, "store", "du", env=program.environment(**home))
    assert re.search(r"^layers +0$", done.stdout, re.M) and not os.path.exists(home["IMGFS_STORE"])


def test_ls(imgfs, two):
    found = imgfs.json("store ls")["images"]
    assert sorted(name for image in found for name in image["names"]) == sorted(two)
    for image in found:
        assert image["complete"] and not image["in_use"] and image["digest"].startswith("sha256:")
        assert abs(image["last_used"] - time.time()) < 120
        assert [layer["state"] for layer in image["layers"]] == ["whole", "whole"]
        assert sum(layer["size"] for layer in image["layers"]) <= image["disk"]
    text = imgfs.run("store ls", "-l").stdout
    assert text.count("complete") == 2 and text.count("  whole") == 4
    assert text.splitlines()[1].startswith(min(two))
    mount = imgfs.mount(two[0])
    assert named(imgfs, two[0])["in_use"] and not named(imgfs, two[1])["in_use"]
    assert "in use" in imgfs.run("store ls").stdout
    imgfs.umount(mount)
    assert not named(imgfs, two[0])["in_use"]


def test_ls_knows_what_is_missing(imgfs, two):
    for path in imgfs.layer_files("blob"):
        os.unlink(path)
    image = named(imgfs, two[0])
    assert not image["complete"] and {layer["state"] for layer in image["layers"]} == {"index"}
    mount = imgfs.mount(two[0])
    content_of(mount, "own0")
    assert [layer["state"] for layer in named(imgfs, two[0])["layers"]][0] == "index"
    imgfs.umount(mount)
    imgfs.run("prefetch", two[0])
    assert named(imgfs, two[0])["complete"]


def on_terminal(imgfs, columns, *words):
    window = Window(imgfs.command(*words), columns, 24, program.environment(TERM="xterm"))
    try:
        assert window.end() == 0
        return [line.rstrip("\r") for line in window.read().split("\n")][:-1]
    finally:
        window.close()


def test_ls_fits_the_window(imgfs, two):
    digest = named(imgfs, two[0])["digest"]
    pinned = f"{two[0].rsplit(':', 1)[0]}@{digest}"
    imgfs.run("ls", pinned)
    text = imgfs.run("store ls").stdout
    assert f"{pinned[:-52]}  " in text and digest not in text and pinned in named(imgfs, two[0])["names"]
    for columns in (20, 30, 40, 60, 80, 120):
        for words in (["store ls"], ["store ls", "-l"]):
            lines = on_terminal(imgfs, columns, *words)
            most = columns if columns >= 40 or len(words) == 1 else 39
            assert lines[0].startswith("IMAGE") and len(lines) == (4 if len(words) == 1 else 8), lines
            assert max(map(len, lines)) <= most and any(line.split()[0].endswith(":0") for line in lines), lines
        assert ("LAST USED" in lines[0]) == (columns >= 80) and ("complete" in lines[1]) == (columns >= 40), lines
    assert on_terminal(imgfs, 80, "store rm", *two) and on_terminal(imgfs, 80, "store rm", pinned)
    assert on_terminal(imgfs, 80, "store ls") == ["The store is empty."] and imgfs.run("store ls").stdout == ""


def test_rm_keeps_what_others_need(imgfs, two, registry):
    before = imgfs.json("store du")["total"]
    done = imgfs.run("store rm", two[0])
    freed = before - imgfs.json("store du")["total"]
    assert "removed" in done.stdout and (2 << 20) < freed < (3 << 20)
    with Traffic(registry) as traffic:
        mount = imgfs.mount(two[1], "--offline")
        assert content_of(mount, "common") == images.noise(3 << 20, "common")
        assert content_of(mount, "own1") == images.noise(2 << 20, "own1")
        imgfs.umount(mount)
    assert not traffic.ranges and not traffic.full
    failed(imgfs.run("store rm", two[0], check=False), 3, "no such image")
    imgfs.run("store rm", named(imgfs, two[1])["digest"])
    left = imgfs.json("store du")
    assert left["layers"] == left["images"] == left["chunks"] == left["blobs"] == 0
    assert not [path for path in imgfs.files() if "/profiles/" not in path and "/traces/" not in path]


def test_rm_by_digest_and_by_name(imgfs, two, registry):
    image = named(imgfs, two[0])
    other = two[0] + "-again"
    run("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests",
        f"docker://{two[0]}", f"docker://{other}")
    imgfs.run("ls", other)
    assert named(imgfs, other)["names"] == sorted([two[0], other])
    assert "has others" in imgfs.run("store rm", other).stdout
    assert named(imgfs, two[0])["complete"]
    imgfs.run("ls", other)
    failed(imgfs.run("store rm", image["digest"][:10], check=False), 3)
    assert imgfs.run("store rm", image["digest"].split(":")[1][:12]).stdout
    assert [name for i in imgfs.json("store ls")["images"] for name in i["names"]] == [two[1]]


def test_rm_goes_on_behind_one_that_fails(imgfs, two):
    mount = imgfs.mount(two[0])
    done = imgfs.run("store rm", two[0], two[1], "nope", check=False)
    assert done.returncode == 1 and "is mounted on" in done.stderr and "nope: the store has no such image" in done.stderr
    assert done.stdout.startswith(f"{two[1]}: removed")
    imgfs.umount(mount)
    assert imgfs.run("store rm", "nope", two[0], check=False).returncode == 3 and imgfs.json("store ls")["images"] == []


def test_what_is_mounted_stays(imgfs, two):
    mount = imgfs.mount(two[0])
    failed(imgfs.run("store rm", two[0], check=False), 1, "is mounted on", mount, "imgfs umount")
    age(imgfs)
    imgfs.run("store gc", "--max", "0")
    assert named(imgfs, two[0])["complete"]
    assert content_of(mount, "own0") == images.noise(2 << 20, "own0")
    assert imgfs.status(mount)["content"]["fetched_bytes"] == 0
    imgfs.umount(mount)
    imgfs.run("store rm", two[0])
    assert [name for i in imgfs.json("store ls")["images"] for name in i["names"]] == []


def test_gc_of_what_nobody_needs(imgfs, two, registry, scratch):
    """A tag that has moved on, layers without a manifest, and the litter of killed processes."""
    layout = images.Layout(scratch / "moved")
    layout.add_layer(images.tar_of({"moved": images.noise(1 << 20, "moved")}))
    repository, tag = two[0].rsplit(":", 1)
    registry.push(layout.write(), repository.split("/", 1)[1], tag=tag)
    imgfs.run("prefetch", two[0])
    orphan = f"{imgfs.store}/v1/layers/sha256/{'ab' * 32}"
    os.makedirs(orphan, mode=0o700)
    with open(f"{orphan}/blob", "wb") as file:
        file.write(bytes(1 << 20))
    with open(f"{imgfs.store}/v1/tmp/77-0", "wb") as file:
        file.write(bytes(1 << 20))
    assert len(imgfs.json("store ls")["images"]) == 3
    assert imgfs.json("store gc")["freed"] == 0, "young"
    age(imgfs)
    dry = imgfs.json("store gc", "-n")
    assert dry["dry_run"] and dry["images"] == 1 and os.path.exists(orphan)
    assert "would be freed" in imgfs.run("store gc", "-n").stdout
    done = imgfs.json("store gc")
    assert done["images"] == 1 and done["freed"] == dry["freed"] > (3 << 20)
    assert not os.path.exists(orphan) and not os.listdir(f"{imgfs.store}/v1/tmp")
    assert sorted(name for i in imgfs.json("store ls")["images"] for name in i["names"]) == sorted(two)
    assert all(image["complete"] for image in imgfs.json("store ls")["images"])
    assert imgfs.json("store gc")["freed"] == 0


def test_gc_by_age_and_size(imgfs, two):
    age(imgfs, 7200)
    imgfs.run("ls", two[1])
    assert imgfs.json("store gc", "--older-than", "1d")["images"] == 0
    assert imgfs.json("store gc", "-n", "--older-than", "1h")["images"] == 1
    total = imgfs.json("store du")["total"]
    made = imgfs.json("store gc", "--max", str(total - 1))
    assert made["fits"] and made["images"] == 0 and made["left"] == imgfs.json("store du")["total"]
    layers = named(imgfs, two[0])["layers"]
    assert [layer["state"] for layer in layers] == ["whole", "index"], "the layer used longest ago, but not its index"
    assert imgfs.json("store gc", "--older-than", "1h")["images"] == 1
    assert [name for i in imgfs.json("store ls")["images"] for name in i["names"]] == [two[1]]
    age(imgfs)
    made = imgfs.json("store gc", "--max", "0")
    assert made["images"] == 1 and imgfs.json("store ls")["images"] == []
    for wrong in ("1x", "", "-3d", "d"):
        failed(imgfs.run("store gc", f"--older-than={wrong}", check=False), 2, "--older-than")
    failed(imgfs.run("store gc", "--max", "much", check=False), 2, "not a number")


def rot(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"rotten bytes")


@pytest.mark.parametrize("what", ["blob", "data", "index", "document"])
def test_verify(imgfs, two, what):
    if what == "data":
        for path in imgfs.layer_files("blob"):
            os.unlink(path)
        imgfs.run("prefetch", two[0])
    done = imgfs.json("store verify")
    assert done["bad"] == 0 and done["documents"] == 4 and done["indexes"] == 5
    assert done["chunks" if what == "data" else "blobs"] > 0
    if what == "document":
        rot(glob.glob(f"{imgfs.store}/v1/documents/sha256/{named(imgfs, two[0])['digest'][7:]}")[0], 100)
    else:
        rot(max(imgfs.layer_files(what), key=lambda path: os.stat(path).st_blocks), 4096)
    before = imgfs.files()
    text = imgfs.run("store verify", check=False)
    failed(text, 6, "--repair")
    assert what.replace("data", "chunk") in text.stdout and imgfs.files() == before
    failed(imgfs.run("store verify", "--json", check=False), 6)
    assert imgfs.json("store verify", "--repair")["bad"] == 1
    assert imgfs.json("store verify")["bad"] == 0
    imgfs.run("prefetch", two[0])
    assert named(imgfs, two[0])["complete"]
    mount = imgfs.mount(two[0], "--offline")
    assert content_of(mount, "own0") == images.noise(2 << 20, "own0")
    assert content_of(mount, "common") == images.noise(3 << 20, "common")


def test_verify_published(imgfs, registry, scratch):
    """Chunks that a published index decoded, which lie apart."""
    reference = registry.push(images.small_image(scratch / "image"), f"verify-{os.urandom(4).hex()}")
    imgfs.run("index push", "--min-layer-size", "0", reference)
    fresh = type(imgfs)(scratch / "fresh")
    fresh.run("prefetch", "--trust-index", "any", reference)
    assert named(fresh, reference)["complete"]
    assert fresh.json("store verify")["bad"] == 0 and fresh.json("store verify")["chunks"] > 30
    rot(max(glob.glob(f"{fresh.store}/v1/published/*/data") + fresh.layer_files("data"), key=lambda path: os.stat(path).st_blocks), 1 << 20)
    failed(fresh.run("store verify", check=False), 6)
    assert fresh.json("store verify", "--repair")["bad"] == 1
    assert not named(fresh, reference)["complete"]
    fresh.run("prefetch", "--trust-index", "any", reference)
    assert named(fresh, reference)["complete"]
    age(fresh)
    assert fresh.json("store gc")["freed"] == 0
    fresh.run("store rm", reference)
    assert not [path for path in fresh.files() if "/profiles/" not in path and "/traces/" not in path]


def test_repair_under_a_mount(imgfs, two):
    for path in imgfs.layer_files("blob"):
        os.unlink(path)
    imgfs.run("prefetch", two[0])
    mount = imgfs.mount(two[0])
    assert content_of(mount, "own0") == images.noise(2 << 20, "own0")
    for path in imgfs.layer_files("data"):
        if os.stat(path).st_blocks:
            rot(path, 1 << 20)
    assert imgfs.json("store verify", "--repair")["bad"] == 2
    run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches 2>/dev/null || true")
    for name in ("own0", "common"):
        assert content_of(mount, name) in (images.noise(2 << 20, "own0"), images.noise(3 << 20, "common"))
    assert imgfs.json("store verify")["bad"] == 0


def test_gc_beside_everything(imgfs, two, registry):
    """Mounts, prefetches, rm and gc on one store, some of them killed: every byte that is read is right."""
    ends, wrong = time.monotonic() + 8, []
    words = [("prefetch", two[0]), ("prefetch", two[1]), ("store gc", "--max", "0"), ("store rm", two[0]),
             ("store rm", two[1]), ("store verify", "--repair"), ("cat", two[0], "/own0"), ("cat", two[1], "/common")]
    right = {"/own0": images.noise(2 << 20, "own0"), "/common": images.noise(3 << 20, "common")}

    def work(seed):
        chance = random.Random(seed)
        while time.monotonic() < ends:
            name, *arguments = chance.choice(words)
            if name == "store gc":
                for path in imgfs.files():
                    try:
                        os.utime(path, (time.time() - 3600,) * 2)
                    except FileNotFoundError:
                        pass
            with subprocess.Popen(imgfs.command(name, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=program.environment()) as process:
                if chance.random() < 0.2:
                    time.sleep(chance.random() * 0.2)
                    process.kill()
                out, err = process.communicate(timeout=60 * program.SLOWER)
            if process.returncode not in (0, 1, 3, -signal.SIGKILL):
                wrong.append((name, process.returncode, err))
            if name == "cat" and not right[arguments[1]].startswith(out):
                wrong.append((name, "other bytes"))
            if name == "cat" and process.returncode not in (0, -signal.SIGKILL):
                wrong.append((name, process.returncode, err))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, wrong
    for reference in two:
        imgfs.run("prefetch", reference)
    assert imgfs.json("store verify")["bad"] == 0
    assert all(image["complete"] for image in imgfs.json("store ls")["images"])
    assert not os.listdir(f"{imgfs.store}/v1/tmp")
    age(imgfs)
    imgfs.run("store gc", "--max", "0")
    assert not [path for path in imgfs.files() if "/profiles/" not in path and "/traces/" not in path]


def test_pipes_and_words(imgfs, two):
    """No terminal, a reader that leaves, names that are none."""
    done = subprocess.run(f"{shutil.which('bash')} -c 'set -o pipefail; {' '.join(imgfs.command('store ls', '-l'))} | head -1'",
                          shell=True, capture_output=True, check=False)
    assert done.stdout.startswith(b"IMAGE")
    failed(imgfs.run("store ls", "what", check=False), 2, "no operand")
    failed(imgfs.run("store rm", check=False), 2, "missing")
    failed(imgfs.run("store rm", "no such:name", check=False), 3, "no such image")
    assert imgfs.run("store rm", "-q", two[0]).stdout == ""
    assert json.loads(imgfs.run("store gc", "--json").stdout)["freed"] == 0


def test_two_platforms_of_one_name(registry, scratch, imgfs):
    """An image index leads to both; its name and its digest stand for both."""
    layout = images.Layout(scratch / "platforms")
    entries = []
    for machine in ("amd64", "arm64"):
        layout.layers, layout.diff_ids = [], []
        layout.add_layer(images.tar_of({machine: images.noise(1 << 20, machine)}))
        config = layout.blob(json.dumps({"architecture": machine, "os": "linux", "config": {},
                                         "rootfs": {"type": "layers", "diff_ids": layout.diff_ids}}).encode())
        manifest = layout.blob(json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "layers": layout.layers,
                                           "config": {"mediaType": images.CONFIG, **config}}).encode())
        entries.append({"mediaType": images.MANIFEST, **manifest, "platform": {"os": "linux", "architecture": machine}})
    kind = "application/vnd.oci.image.index.v1+json"
    index = layout.blob(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode())
    layout.write()
    with open(f"{layout.folder}/index.json", "w", encoding="ascii") as file:
        json.dump({"schemaVersion": 2, "manifests": [
            {"mediaType": kind, **index, "annotations": {"org.opencontainers.image.ref.name": "1"}}]}, file)
    reference = registry.push(f"{layout.folder}:1", f"platforms-{os.urandom(4).hex()}", more=["--all"])
    for remove in (reference, index["digest"], entries[0]["digest"]):
        for machine in ("amd64", "arm64"):
            imgfs.run("prefetch", "--platform", f"linux/{machine}", reference)
        found = imgfs.json("store ls")["images"]
        assert [image["names"] for image in found] == [[reference]] * 2 and all(image["complete"] for image in found)
        age(imgfs)
        assert imgfs.json("store gc")["freed"] == 0
        imgfs.run("store rm", remove)
        left = imgfs.json("store ls")["images"]
        assert [image["digest"] for image in left] == ([entries[1]["digest"]] if remove == entries[0]["digest"] else [])
    imgfs.run("ls", "--offline", "--platform", "linux/arm64", reference)


def test_a_full_disk_can_be_tidied(registry, scratch, imgfs):
    imgfs.store = os.fspath(scratch / "little")
    os.makedirs(imgfs.store)
    run("mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "imgfs-test", imgfs.store)
    try:
        one, other = pair(registry, scratch, f"full-{os.urandom(4).hex()}")
        imgfs.run("prefetch", one)
        imgfs.run("ls", other)
        subprocess.run(["dd", "if=/dev/zero", f"of={imgfs.store}/fill", "bs=64k"], stderr=subprocess.DEVNULL, check=False)
        assert imgfs.json("store ls")["images"]
        imgfs.run("store rm", one)
        assert imgfs.json("store verify")["bad"] == 0
        age(imgfs)
        assert imgfs.json("store gc", "--max", "0")["images"] >= 1
        assert imgfs.json("store ls")["images"] == []
    finally:
        run("umount", "-l", imgfs.store)
