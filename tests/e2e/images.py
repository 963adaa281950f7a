"""images: real images to test with, and OCI layouts made by hand.

The large ones come from the shared recipe (images/make, beside the source tree), which builds each once under
$IMAGES_WORK. Where the recipe is absent, the tests that need it are skipped.
"""
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile

import pytest

import trees
from processes import run

SHARED = os.environ.get("IMGFS_SHARED", "")
RECIPE = os.path.join(SHARED, "images", "make")
BUILT = os.environ.get("IMAGES_WORK", "/var/tmp/imgfs-images")
NEEDS = {"debian": ["debootstrap"], "python": ["debootstrap"], "node": ["debootstrap", "npm"]}
BUILD_S = 1800

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def real_image(name):
    """The OCI layout of a real image, built if it has not been yet; skips the test where that is not possible."""
    layout = os.path.join(BUILT, "oci", name)
    if os.path.isdir(layout):
        return layout
    if not os.path.exists(RECIPE):
        pytest.skip(f"the image {name} is not built, and its recipe ({RECIPE}) is not here")
    if os.geteuid() != 0:
        pytest.skip(f"the image {name} is not built, which takes root")
    missing = [tool for tool in ["buildah", "skopeo", *NEEDS[name]] if not shutil.which(tool)]
    if missing:
        pytest.skip(f"the image {name} can not be built without {', '.join(missing)}")
    copies = os.path.join(os.environ["IMGFS_TEST_DIR"], "made")
    done = subprocess.run([RECIPE, f"oci:{copies}", name], capture_output=True, text=True, timeout=BUILD_S, check=False)
    shutil.rmtree(copies, ignore_errors=True)
    assert done.returncode == 0, f"images/make {name}: {done.stderr[-2000:]}"
    return layout


def treediff(a, b):
    """Lines that say where two trees differ, by the shared treediff, or by trees.py where that is not here."""
    tool = os.path.join(SHARED, "tools", "treediff")
    if not os.path.exists(tool):
        return trees.differences(trees.snapshot(a), trees.snapshot(b))
    done = run(tool, "--max", "200", a, b, check=False, timeout=1200)
    *lines, count = done.stdout.strip().splitlines()
    assert re.search(r"\d+ differences$", count), done.stdout + done.stderr
    return lines


class Layout:
    """Writes an OCI layout with one image; layers are given as tar bytes."""

    def __init__(self, folder, algorithm="sha256"):
        self.folder, self.algorithm = os.fspath(folder), algorithm
        self.layers, self.diff_ids = [], []
        os.makedirs(os.path.join(self.folder, "blobs", algorithm), exist_ok=True)

    def digest(self, data):
        return hashlib.new(self.algorithm, data).hexdigest()

    def blob(self, data):
        with open(os.path.join(self.folder, "blobs", self.algorithm, self.digest(data)), "wb") as file:
            file.write(data)
        return {"digest": f"{self.algorithm}:{self.digest(data)}", "size": len(data)}

    def add_layer(self, tar, compress="gzip"):
        """compress: gzip, none, or a function from tar bytes to (blob bytes, media type suffix)."""
        self.diff_ids.append(f"{self.algorithm}:{self.digest(tar)}")
        if callable(compress):
            data, suffix = compress(tar)
        elif compress == "gzip":
            data, suffix = gzip.compress(tar, 6, mtime=0), "+gzip"
        else:
            data, suffix = tar, ""
        self.layers.append({"mediaType": LAYER + suffix, **self.blob(data)})
        return self.layers[-1]

    def write(self, name="1", config=None, history=(), annotations=None):
        """Finish the layout; "DIR:NAME" as imgfs and skopeo take it after oci:."""
        config = self.blob(json.dumps({
            "architecture": run("dpkg", "--print-architecture").stdout.strip(), "os": "linux", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids}, "history": list(history),
        }).encode())
        manifest = self.blob(json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, **config}, "layers": self.layers,
            **({"annotations": annotations} if annotations else {}),
        }).encode())
        entry = {"mediaType": MANIFEST, **manifest, "annotations": {"org.opencontainers.image.ref.name": name}}
        with open(os.path.join(self.folder, "index.json"), "w", encoding="ascii") as file:
            json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
        with open(os.path.join(self.folder, "oci-layout"), "w", encoding="ascii") as file:
            file.write('{"imageLayoutVersion": "1.0.0"}')
        self.manifest = manifest["digest"]
        return f"{self.folder}:{name}"


def tar_of(files, mtime=1_600_000_000):
    """A tar of {path: bytes} (regular files, 0644), parents included."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made = set()
        for path, data in files.items():
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                parent = "/".join(parts[:depth])
                if parent not in made:
                    made.add(parent)
                    entry = tarfile.TarInfo(parent)
                    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, mtime
                    tar.addfile(entry)
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, mtime
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def noise(size, seed=1):
    """Bytes that do not compress, the same for the same seed."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


def small_image(folder, files=None):
    """A layout with three layers: a few texts, one file of 8 MiB, and 64 of 64 KiB that change with their name."""
    layout = Layout(folder)
    layout.add_layer(tar_of({"etc/name": b"small\n", "etc/empty": b"", "bin/tool": b"#!/bin/sh\n"}))
    layout.add_layer(tar_of({"data/large": noise(8 << 20)}))
    layout.add_layer(tar_of(files or {f"data/many/{i:02}": noise(64 << 10, f"many{i}") for i in range(64)}))
    return layout.write()


def small_content(path):
    """What small_image put at a path."""
    if path == "data/large":
        return noise(8 << 20)
    if path.startswith("data/many/"):
        return noise(64 << 10, f"many{int(path.rsplit('/', 1)[1])}")
    return {"etc/name": b"small\n", "etc/empty": b"", "bin/tool": b"#!/bin/sh\n"}[path]
