"""published: nodes that share a registry, what was asked of it, keys, and published indexes that lie.

A published index (index/WIRE.md) is an artifact manifest, a form of the merged tree, and a form of each layer. `Forged`
takes an honest one out of a registry, lets a test change any part, names all parts anew, and publishes the result the way
somebody would who may push: unsigned, with the old signature, or signed with a key by openssl from the documented text.
"""
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import time
import urllib.request

import images
import imgfs as program
from images import small_content
from processes import run
from referrers_registry import ReferrersRegistry
from registry import LOG_LAG_S, Registry

TYPE = "application/vnd.imgfs.index.v1"
TREE = "application/vnd.imgfs.tree.v1"
FORM = "application/vnd.imgfs.layer.v1"
PROFILE = "application/vnd.imgfs.profile.v1"
LAYER_OF = "vnd.imgfs.layer"
SIGNATURE = "vnd.imgfs.signature."
NAMED = "vnd.imgfs.index"  # an annotation that binds
TOOL = os.path.join(os.environ.get("IMGFS_TEST_TOOLS", "."), "form_tool")

# index/wire_priv.h: where things stand in a form
VERSION, HEAD_LEN, FORM_LEN = 8, 12, 16
CANONICAL = 24 + 4 + 4 + 8 + 8 + 64 + 64
TABLE_XXH3 = CANONICAL + 32
FORM_CHUNKS = TABLE_XXH3 + 8  # n_chunks, group_chunks
TREE_PART = FORM_CHUNKS + 8
DIGESTS_PART = TREE_PART + 40
HEAD, GROUP = 304, 44
IMAGE_HEAD, LAYER_ROW, HEAD_ROW = 80, 152, 48
COLUMNS_OF_ROWS = 11  # index/wire_group.c
STREAM_LEN, BLOB_GAP, BLOB_LEN, WINDOW_LEN, CODEC = 0, 1, 2, 3, 7
# index/wire_tree_priv.h
NAMES, ATTRIBUTES, SIZES_LOW, SIZES_HIGH = 1, 3, 8, 9


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def form_tool(*words, data):
    done = subprocess.run([TOOL, *map(str, words)], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- keys


class Key:
    """kind: ed25519 or p256."""

    def __init__(self, folder, kind="ed25519", name="key"):
        self.kind = kind
        self.private, self.public = (os.path.join(folder, f"{name}.{end}") for end in ("key", "pem"))
        options = {"ed25519": ["-algorithm", "ed25519"],
                   "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}[kind]
        run("openssl", "genpkey", *options, "-out", self.private)
        os.chmod(self.private, 0o600)
        run("openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public)

    @property
    def id(self):
        der = subprocess.run(["openssl", "pkey", "-pubin", "-in", self.public, "-outform", "DER"], capture_output=True,
                             check=True).stdout
        return hashlib.sha256(der).hexdigest()[:16]

    def _with_files(self, statement, *command):
        path = f"{self.private}.statement"
        with open(path, "w", encoding="ascii") as file:
            file.write(statement)
        return subprocess.run([*command, path], capture_output=True, check=False)

    def sign(self, statement):
        words = ["openssl", "dgst", "-sha256", "-sign", self.private]
        if self.kind == "ed25519":
            words = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in"]
        done = self._with_files(statement, *words)
        assert done.returncode == 0, done.stderr
        return base64.b64encode(done.stdout).decode()

    def verifies(self, statement, signature):
        path = f"{self.private}.signature"
        with open(path, "wb") as file:
            file.write(base64.b64decode(signature))
        words = ["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", path]
        if self.kind == "ed25519":
            words = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", self.public, "-sigfile", path, "-in"]
        return self._with_files(statement, *words).returncode == 0


def statement_of(manifest):
    """What a signature covers: fetch/TRUST.md, "What is signed"."""
    tree = next(part for part in manifest["layers"] if part["mediaType"] == TREE)
    lines = ["imgfs-index-statement-1", f"subject {manifest['subject']['digest']}",
             f"image {tree['digest']} {tree['size']}"]
    lines += [f"layer {part['annotations'][LAYER_OF]} {part['digest']} {part['size']}"
              for part in manifest["layers"] if part["mediaType"] == FORM]
    lines += [f"profile {part['digest']} {part['size']}" for part in manifest["layers"] if part["mediaType"] == PROFILE]
    return "".join(line + "\n" for line in lines)


# ---- registries


def requests_of(registry):
    """(method, path without the query, status, bytes of the body), oldest first."""
    if isinstance(registry, Registry):
        return [(method, path.split("?")[0], status, size) for method, path, status, size in registry.requests()]
    return registry.counted()


class Asked:
    """What a registry was asked while the block ran: with Asked(registry) as asked: ..."""

    def __init__(self, registry):
        self.registry = registry

    def __enter__(self):
        self.before = len(requests_of(self.registry))
        return self

    def __exit__(self, *_):
        if isinstance(self.registry, Registry):
            time.sleep(LOG_LAG_S)
        self.all = [r for r in requests_of(self.registry)[self.before:] if r[1] not in ("/v2/", "/token")]

    @property
    def answered(self):
        """Without those that were sent to log in."""
        return [r for r in self.all if r[2] != 401]

    def of(self, digest):
        return [r for r in self.answered if r[1].endswith("/blobs/" + digest)]

    @property
    def bytes(self):
        return sum(r[3] for r in self.answered)

    def uploads(self):
        return [r for r in self.answered if r[0] in ("POST", "PUT", "PATCH")]


def get(registry, name, digest, kind="blobs"):
    """A blob or manifest, past imgfs."""
    if not isinstance(registry, Registry):
        return (registry.blobs if kind == "blobs" else registry.manifests)[digest]
    request = urllib.request.Request(f"http://{registry.host}/v2/{name}/{kind}/{digest}", headers={
        "Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


# ---- nodes


class Node(program.Imgfs):
    """A machine: a store of its own."""

    def push(self, reference, *options, **more):
        """Publish; the artifact's digest."""
        done = self.run("index push", *options, reference, timeout=600, **more)
        return re.search(r"^index (sha256:[0-9a-f]{64})$", done.stdout, re.M)[1]

    def mount_verbose(self, reference, *options, **more):
        """(mount, daemon) in the foreground with -v."""
        return self.mount_foreground(reference, "-v", *options, **more)

    def states(self, reference, *options, **more):
        """What inspect says of each layer."""
        return [layer["state"] for layer in self.json("inspect", *options, reference, **more)["layers"]]

    def published_files(self, name):
        top = os.path.join(self.store, "v1", "published")
        return sorted(os.path.join(top, d, name) for d in (os.listdir(top) if os.path.isdir(top) else [])
                      if os.path.exists(os.path.join(top, d, name)))


def read_tree(mount):
    """Every regular file's bytes, read in order: {path: bytes}."""
    found = {}
    for top, _, names in os.walk(mount):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, mount)] = file.read()
    return found


# ---- a world of one registry with images.small_image


NAME, LARGE, MANY = "app", "data/large", "data/many/07"
FILES = {"etc/name": b"small\n", LARGE: images.noise(8 << 20), **{f"data/many/{i:02}": small_content(f"data/many/{i:02}")
                                                                   for i in range(64)}}


class World:
    """A registry with an image, a publisher with a key, and nodes that know nothing yet."""

    def __init__(self, folder, referrers_api=True):
        self.folder, self.nodes = folder, []
        self.registry = ReferrersRegistry(referrers_api=referrers_api).start()
        self.layout = images.small_image(folder / "image")
        self.digest = self.registry.add_layout(self.layout.rsplit(":", 1)[0], NAME)
        self.reference = self.registry.reference(NAME)
        self.pinned = f"{self.registry.host}/{NAME}@{self.digest}"
        self.key, self.stranger = Key(folder, name="trusted"), Key(folder, name="stranger")
        self.publisher = self.node("publisher")

    def node(self, name="node"):
        made = Node(self.folder / f"{name}{len(self.nodes)}")
        self.nodes.append(made)
        return made

    def publish(self, *options):
        """Signed with the trusted key."""
        return self.publisher.push(self.reference, "--sign-key", self.key.private, *options)

    def unpublish(self, artifact):
        """An attacker who can push can delete, too."""
        del self.registry.manifests[artifact]

    def trusting(self):
        return ["--trust-key", self.key.public]

    def stop(self):
        for node in self.nodes:
            node.stop()
        self.registry.stop()


def layer_blobs(world):
    layers = json.loads(world.registry.manifests[world.digest])["layers"]
    return [layer["digest"] for layer in layers]


def honest(mount):
    """The whole image, and nothing else."""
    seen = read_tree(mount)
    return {path: seen.get(path) for path in FILES} == FILES and set(seen) == {*FILES, "etc/empty", "bin/tool"}


def shows_the_image(world, *options, reference=None, used=None, word=None):
    """Mount on an empty machine: the right tree, never a failure; and whether what was published was used (`used`)."""
    node = world.node()
    world.registry.traffic.clear()
    mount, daemon = node.mount_verbose(reference or world.pinned, *options)
    streamed = [t for t in world.registry.traffic if t[1].rsplit("/", 1)[-1] in layer_blobs(world)]
    log = daemon.output()
    assert honest(mount), log
    if used is not None:
        assert ("index.used" in log) == bool(used) and bool(streamed) == (not used), (streamed, log)
    if used:
        assert f"index={used}" in log, log
    if word:
        assert word in log, log
    return node, mount, log


# ---- lies


def varints(data, n):
    """The first n numbers, and the rest."""
    found, at = [], 0
    for _ in range(n):
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        found.append(value)
    return found, data[at:]


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


class LayerForm:
    """The form of a layer, part by part; bytes() names the parts in its head."""

    def __init__(self, data):
        head_len, form_len = struct.unpack_from("<IQ", data, HEAD_LEN)
        assert form_len == len(data)
        self.head = bytearray(data[:HEAD])
        self.rows = [struct.unpack_from("<QI", data, at) for at in range(HEAD, head_len, GROUP)]
        at, self.groups = head_len, []
        for _, length in self.rows:
            self.groups.append(data[at : at + length])
            at += length
        tree_len, = struct.unpack_from("<Q", data, TREE_PART)
        self.tree, self.digests = data[at : at + tree_len], data[at + tree_len :]

    def chunks(self, group):
        """(columns of numbers, SHA-256s, XXH3s) of the chunks of a group."""
        length, = struct.unpack_from("<I", self.groups[group])
        raw = form_tool("unpack", data=self.groups[group][4 : 4 + length])
        n_chunks, per_group = struct.unpack_from("<II", self.head, FORM_CHUNKS)
        n = min(per_group, n_chunks - group * per_group)
        numbers, rest = varints(raw, n * COLUMNS_OF_ROWS)
        columns = [numbers[i * n : (i + 1) * n] for i in range(COLUMNS_OF_ROWS)]
        return columns, [rest[i * 32 : i * 32 + 32] for i in range(n)], [rest[n * 32 + i * 8 :][:8] for i in range(n)]

    def set_chunks(self, group, columns, sha256s, xxh3s):
        length, = struct.unpack_from("<I", self.groups[group])
        raw = b"".join(varint(v) for column in columns for v in column) + b"".join(sha256s) + b"".join(xxh3s)
        packed = form_tool("pack", data=raw)
        self.groups[group] = struct.pack("<I", len(packed)) + packed + self.groups[group][4 + length :]

    def head_bytes(self):
        head = bytearray(self.head)
        rows = b"".join(struct.pack("<QI", off, len(part)) + hashlib.sha256(part).digest()
                        for (off, _), part in zip(self.rows, self.groups))
        total = len(head) + len(rows) + sum(map(len, self.groups)) + len(self.tree) + len(self.digests)
        struct.pack_into("<IQ", head, HEAD_LEN, len(head) + len(rows), total)
        for at, part in ((TREE_PART, self.tree), (DIGESTS_PART, self.digests)):
            struct.pack_into("<Q32s", head, at, len(part), hashlib.sha256(part).digest())
        return bytes(head) + rows

    def bytes(self):
        return self.head_bytes() + b"".join(self.groups) + self.tree + self.digests


class ImageForm:
    """The form of a merged tree: rows of layers, heads of their forms, tree."""

    def __init__(self, data):
        self.begin = bytearray(data[:IMAGE_HEAD])
        self.n_layers, _, heads_len, tree_len = struct.unpack_from("<IIQQ", data, IMAGE_HEAD - 24)
        at = IMAGE_HEAD + self.n_layers * LAYER_ROW
        self.layers, self.tree = bytearray(data[IMAGE_HEAD:at]), data[at + heads_len :]
        assert len(self.tree) == tree_len
        rows, at = [data[at + i * HEAD_ROW :][:HEAD_ROW] for i in range(self.n_layers)], at + self.n_layers * HEAD_ROW
        self.heads = []  # (SHA-256 of the form, its length, its head) by layer
        for row in rows:
            digest, form_len, head_len, _ = struct.unpack("<32sQII", row)
            self.heads.append((digest, form_len, data[at : at + head_len]))
            at += head_len

    def bytes(self):
        heads = b"".join(struct.pack("<32sQII", d, length, len(head), 0) for d, length, head in self.heads)
        heads += b"".join(head for _, _, head in self.heads)
        begin = bytearray(self.begin)
        struct.pack_into("<QQ", begin, IMAGE_HEAD - 16, len(heads), len(self.tree))
        struct.pack_into("<Q", begin, FORM_LEN, len(begin) + len(self.layers) + len(heads) + len(self.tree))
        return bytes(begin + self.layers) + heads + self.tree


class Forged:
    """An honest artifact of a ReferrersRegistry, to be changed and published again."""

    def __init__(self, registry, artifact):
        self.registry = registry
        self.manifest = json.loads(registry.manifests[artifact])
        parts = self.manifest["layers"]
        self.image = ImageForm(registry.blobs[next(p["digest"] for p in parts if p["mediaType"] == TREE)])
        self.forms = {p["annotations"][LAYER_OF]: LayerForm(registry.blobs[p["digest"]])
                      for p in parts if p["mediaType"] == FORM}
        self.manifest.pop("annotations", None)

    def form(self, number=0):
        """Of the layers that have one, bottom first."""
        return list(self.forms.values())[number]

    def _put_forms(self):
        """Into the registry; heads of the image form and descriptors follow."""
        for part in self.manifest["layers"]:
            if part["mediaType"] != FORM:
                continue
            data, old = self.forms[part["annotations"][LAYER_OF]].bytes(), bytes.fromhex(part["digest"][7:])
            new = hashlib.sha256(data).digest()
            head = self.forms[part["annotations"][LAYER_OF]].head_bytes()
            self.image.heads = [(new, len(data), head) if h[0] == old else h for h in self.image.heads]
            part.update({"digest": self.registry.add_blob(data), "size": len(data)})

    def write(self, key=None, annotations=None):
        """All parts and the manifest, which nothing points to but its subject; the digest."""
        self._put_forms()
        tree = next(p for p in self.manifest["layers"] if p["mediaType"] == TREE)
        data = self.image.bytes()
        tree.update({"digest": self.registry.add_blob(data), "size": len(data)})
        signatures = {SIGNATURE + key.id: key.sign(statement_of(self.manifest))} if key else {}
        if annotations or signatures:
            self.manifest["annotations"] = {**(annotations or {}), **signatures}
        return self.registry.add_manifest(self.manifest)
