"""nasty: a family of small images, one for each rule of how layers become a tree.

CASES must mount, REJECTED must be refused; nasty_case.py says what a case is, and the files beside it hold the cases by
what they are about (importing them fills the two tables). write_layout(folder, case) makes an OCI layout with the case's
name as its tag; unmet(tree, case.expect) compares a mounted tree with what the case states.
"""
import errno
import gzip
import hashlib
import json
import os
import stat
import struct
import zlib

import nasty_archives  # noqa: F401
import nasty_attributes  # noqa: F401
import nasty_links  # noqa: F401
import nasty_paths  # noqa: F401
import nasty_rejected  # noqa: F401
import nasty_whiteouts  # noqa: F401
import tarbytes
from nasty_case import CASES, REJECTED  # noqa: F401

TAR = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


# ---- compression ----------------------------------------------------------------------------------------------------
def gzip_plain(data, level=6):
    return gzip.compress(data, level, mtime=0)


def gzip_members(data):
    """Many members, the last one empty."""
    parts = [data[at:at + 1000] for at in range(0, len(data), 1000)] + [b""]
    return b"".join(gzip_plain(part) for part in parts)


def gzip_extra(data):
    """Every optional header field: FTEXT, FHCRC, FEXTRA, FNAME, FCOMMENT."""
    head = b"\x1f\x8b\x08\x1f\0\0\0\0\0\xff" + struct.pack("<H", 8) + b"ZZ\x04\0abcd" + b"name\0" + b"comment\0"
    head += struct.pack("<H", zlib.crc32(head) & 0xffff)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    return head + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xffffffff)


def gzip_flushed(data):
    """One member with empty stored blocks inside, as parallel compressors write."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [data[at:at + 700] for at in range(0, len(data), 700)]
    return b"".join(deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH) for part in parts) + deflate.flush()


def zstd_frame(data):
    """A frame of raw and RLE blocks; needs no compressor."""
    out = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))  # one segment, content size in 4 bytes
    parts = [data[at:at + 1024] for at in range(0, len(data), 1024)] or [b""]
    for at, part in enumerate(parts):
        last, run = at == len(parts) - 1, len(part) > 1 and len(set(part)) == 1
        out += (last | (2 if run else 0) | len(part) << 3).to_bytes(3, "little") + (part[:1] if run else part)
    return out


def zstd_frames(data):
    """Many frames with skippable and empty ones between."""
    skippable = struct.pack("<II", 0x184D2A51, 5) + b"skip!"
    parts = [data[at:at + 3000] for at in range(0, len(data), 3000)]
    return skippable + (skippable + zstd_frame(b"")).join(zstd_frame(part) for part in parts) + skippable


COMPRESSIONS = {
    "none": ("", lambda data: data),
    "gzip": ("+gzip", gzip_plain),
    "gzip-stored": ("+gzip", lambda data: gzip_plain(data, 0)),
    "gzip-members": ("+gzip", gzip_members),
    "gzip-extra": ("+gzip", gzip_extra),
    "gzip-flushed": ("+gzip", gzip_flushed),
    "gzip-padded": ("+gzip", lambda data: gzip_plain(data) + bytes(1536)),
    "zstd": ("+zstd", zstd_frame),
    "zstd-frames": ("+zstd", zstd_frames),
}


# ---- the layout -----------------------------------------------------------------------------------------------------
def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put_blob(folder, data, spoil=None):
    """Store a blob; with `spoil`, under the digest of what it should have been."""
    digest = digest_of(data)
    path = os.path.join(folder, "blobs", *digest.split(":"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(spoil(data) if spoil else data)
    return digest


def put_layer(folder, layer):
    """(descriptor, DiffID)"""
    stream = layer.stream()
    suffix, compress = COMPRESSIONS[layer.compression]
    blob = compress(stream)
    if layer.damage:
        blob = layer.damage(blob)
    digest = put_blob(folder, blob, layer.spoil)
    return {"mediaType": layer.media_type or TAR + suffix, "digest": digest, "size": len(blob)}, \
        layer.diff_id or digest_of(stream)


def put_json(folder, value, media_type):
    data = json.dumps(value, indent=1).encode()
    return {"mediaType": media_type, "digest": put_blob(folder, data), "size": len(data)}


def write_layout(folder, one):
    """An OCI layout with the image of one case, tagged with its name; returns the manifest's digest."""
    folder = os.fspath(folder)
    os.makedirs(folder, exist_ok=True)
    layers, diff_ids = [], []
    for layer in one.layers:
        descriptor, diff_id = put_layer(folder, layer)
        layers.append(descriptor)
        diff_ids.append(diff_id)
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": None, "layers": layers}
    if one.edit:
        one.edit(manifest, config)
    manifest["config"] = put_json(folder, config, CONFIG)
    descriptor = put_json(folder, manifest, MANIFEST)
    descriptor["platform"] = {"architecture": "amd64", "os": "linux"}
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": one.name}
    for name, value in (("oci-layout", {
            "imageLayoutVersion": "1.0.0"
    }), ("index.json", {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor]
    })):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            json.dump(value, out)
    return descriptor["digest"]


# ---- what a case states ---------------------------------------------------------------------------------------------
KINDS = {
    "file": stat.S_ISREG,
    "dir": stat.S_ISDIR,
    "link": stat.S_ISLNK,
    "char": stat.S_ISCHR,
    "block": stat.S_ISBLK,
    "fifo": stat.S_ISFIFO
}


def read_whole(path):
    with open(path, "rb") as file:
        return file.read()


def read_xattrs(path):
    """An image without any may be mounted without them, which listxattr(2) calls "not supported"."""
    try:
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}


# How each stated fact is read from a tree: fact -> function of (root, path, stat).
FACTS = {
    "content": lambda root, path, st: read_whole(path),
    "sha256": lambda root, path, st: hashlib.sha256(read_whole(path)).hexdigest(),
    "size": lambda root, path, st: st.st_size,
    "target": lambda root, path, st: os.readlink(path),
    "mode": lambda root, path, st: stat.S_IMODE(st.st_mode),
    "owner": lambda root, path, st: (st.st_uid, st.st_gid),
    "mtime": lambda root, path, st: st.st_mtime_ns,
    "nlink": lambda root, path, st: st.st_nlink,
    "device": lambda root, path, st: (os.major(st.st_rdev), os.minor(st.st_rdev)),
    "names": lambda root, path, st: set(map(os.fsencode, os.listdir(path))),
    "xattrs": lambda root, path, st: read_xattrs(path),
    "type": lambda root, path, st: next(kind for kind, test in KINDS.items() if test(st.st_mode)),
    "same_as": None,  # another name of the same inode
}


def fact_holds(root, path, st, fact, wanted):
    if fact == "same_as":
        return os.path.samestat(st, os.lstat(os.path.join(root, os.fsencode(wanted)))), "another inode"
    got = FACTS[fact](root, path, st)
    if fact == "names":
        wanted = set(map(tarbytes.name_bytes, wanted))
    return got == wanted, repr(got)[:200]


def unmet(root, expect):
    """Lines that say which stated facts a tree does not show; none when all hold. {path: None}: nothing is there."""
    found, root = [], os.fsencode(root)
    for name, facts in expect.items():
        path = os.path.join(root, tarbytes.name_bytes(name))
        try:
            st = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            st = None
        if (st is None) != (facts is None):
            found.append(f"{name!r}: is {'missing' if st is None else 'there'}")
        elif facts is not None:
            for fact, wanted in facts.items():
                holds, got = fact_holds(root, path, st, fact, wanted)
                if not holds:
                    found.append(f"{name!r}: {fact}: {got}, not {wanted!r}"[:600])
    return found
