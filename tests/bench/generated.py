"""generated: images made here, always the same, large enough to measure; kept beside the real ones.

many(n)   n entries: folders of about 100 files of a few hundred bytes to 2 KiB, one layer
large()   one file of 1 GiB made of real programs and texts where an image with some is there, one layer
stacked   many(10,000) cut into layers
"""
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import zlib

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
BLOCK = 512
IN_FOLDER = 99  # files of a folder
MTIME = 1_600_000_000
LARGE = 1 << 30


def header(name, size, kind, mode):
    """One ustar header; much faster than tarfile's."""
    raw = bytearray(BLOCK)
    encoded = name.encode()
    raw[: len(encoded)] = encoded
    raw[100:148] = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, MTIME)
    raw[148:156] = b" " * 8
    raw[156] = ord(kind)
    raw[257:265] = b"ustar\x0000"
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def entries(n, largest):
    """(path, bytes or None for a folder) of n entries, parents first."""
    count = folder = 0
    while count < n:
        if folder % 32 == 0:
            top = f"d{folder // 32:04}"
            yield top, None
            count += 1
        here = f"{top}/sub{folder % 32:02}"
        yield here, None
        count += 1
        for i in range(min(IN_FOLDER, n - count)):
            seed = f"{folder}.{i}".encode()
            size = zlib.crc32(seed) % (largest + 1)
            yield f"{here}/file{i:02}.txt", hashlib.shake_128(seed).hexdigest(size // 2 + 1).encode()[:size]
            count += 1
        folder += 1


def tar_blocks(listed):
    """A tar of entries, block by block."""
    for path, data in listed:
        if data is None:
            yield header(path + "/", 0, "5", 0o755)
        else:
            yield header(path, len(data), "0", 0o644) + data + b"\0" * (-len(data) % BLOCK)
    yield b"\0" * (2 * BLOCK)


class Layout:
    """Writes an OCI layout, streaming its layers."""

    def __init__(self, folder):
        self.folder, self.layers, self.diff_ids = folder, [], []
        os.makedirs(os.path.join(folder, "blobs", "sha256"))

    def _blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs", "sha256", digest), "wb") as file:
            file.write(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def add_layer(self, blocks, level=6):
        """blocks: an iterator over the bytes of a tar; gzip does its work beside ours."""
        path, stream = os.path.join(self.folder, "layer.new"), hashlib.sha256()
        with open(path, "wb") as out:
            process = subprocess.Popen(["gzip", "-n", f"-{level}"], stdin=subprocess.PIPE, stdout=out)
            for block in gathered(blocks):
                stream.update(block)
                process.stdin.write(block)
            process.stdin.close()
            if process.wait():
                raise RuntimeError("gzip failed")
        with open(path, "rb") as file:
            blob = hashlib.file_digest(file, "sha256").hexdigest()
        os.rename(path, os.path.join(self.folder, "blobs", "sha256", blob))
        size = os.path.getsize(os.path.join(self.folder, "blobs", "sha256", blob))
        self.diff_ids.append(f"sha256:{stream.hexdigest()}")
        self.layers.append({"mediaType": LAYER, "digest": f"sha256:{blob}", "size": size})

    def write(self):
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        config = self._blob(json.dumps({"architecture": machine, "os": "linux", "config": {}, "history": [],
                                        "rootfs": {"type": "layers", "diff_ids": self.diff_ids}}).encode())
        manifest = self._blob(json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": self.layers,
                                          "config": {"mediaType": CONFIG, **config}}).encode())
        entry = {"mediaType": MANIFEST, **manifest, "annotations": {"org.opencontainers.image.ref.name": "1"}}
        with open(os.path.join(self.folder, "index.json"), "w", encoding="ascii") as file:
            json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
        with open(os.path.join(self.folder, "oci-layout"), "w", encoding="ascii") as file:
            file.write('{"imageLayoutVersion": "1.0.0"}')


def gathered(blocks, least=1 << 20):
    parts, size = [], 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if size >= least:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def kept(folder, make):
    """A layout at a folder, made once."""
    if not os.path.isdir(folder):
        fresh = f"{folder}.{os.getpid()}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        layout = Layout(fresh)
        make(layout)
        layout.write()
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        os.rename(fresh, folder)
    return folder


def make_many(n, largest=2048, layers=1):
    """What kept() calls: n entries in a number of layers."""

    def make(layout):
        listed = list(entries(n, largest)) if layers > 1 else entries(n, largest)
        for i in range(layers):
            part = listed[i * n // layers: (i + 1) * n // layers] if layers > 1 else listed
            layout.add_layer(tar_blocks(part), level=1 if n > 200_000 else 6)

    return make


def large_bytes(sources):
    """Blocks of LARGE bytes: what the layers of real images hold, or text that compresses as much."""
    left = LARGE
    for source in sources:
        with gzip.open(source, "rb") as file:
            while left and (block := file.read(min(left, 1 << 20))):
                left -= len(block)
                yield block
    number = 0
    while left:
        block = hashlib.shake_128(str(number).encode()).hexdigest(1 << 15).encode()[:left]
        left -= len(block)
        number += 1
        yield block


def make_large(sources):
    def make(layout):
        def blocks():
            # 1 GiB does not end a block early: no padding is needed
            yield header("large", LARGE, "0", 0o644)
            yield from large_bytes(sources)
            yield b"\0" * (2 * BLOCK)

        layout.add_layer(blocks())

    return make


def document(layout, digest):
    with open(os.path.join(layout, "blobs", *digest.split(":")), encoding="utf-8") as file:
        return json.load(file)


def manifest_of(layout, name="1"):
    """The manifest of this name (others may lie beside it)."""
    with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
        found = json.load(file)["manifests"]
    (entry,) = [m for m in found if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == name]
    return document(layout, entry["digest"])


def config_of(layout):
    """What the image's config says of its container."""
    return document(layout, manifest_of(layout)["config"]["digest"]).get("config", {})


def layers_of(layout):
    """Paths of the gzip layers of a layout, the largest first."""
    found = manifest_of(layout)["layers"]
    found = [layer for layer in found if layer["mediaType"].endswith("gzip")]
    return [os.path.join(layout, "blobs", *layer["digest"].split(":")) for layer in sorted(found, key=lambda l: -l["size"])]


def write_tree(folder, listed):
    """The same entries as files."""
    for path, data in listed:
        full = os.path.join(folder, path)
        if data is None:
            os.makedirs(full, exist_ok=True)
            os.chmod(full, stat.S_IRWXU | 0o055)
        else:
            with open(full, "wb") as file:
                file.write(data)
