"""nasty_archives: tar dialects, sparse files, and what lies around a tar: its end, its compression, its media type."""
import functools
import hashlib
import random

from nasty_case import Layer, case, is_dir, is_file, is_link
from tarbytes import (GNU, MTIME, V7, base256, file, folder, gnu_long, gnu_sparse, hardlink, header, member, padded, pax,
                      pax_sparse, symlink)


def basics(magic):
    """A directory, a file, links and an empty file in one dialect."""
    return [
        folder("d/", magic=magic),
        file("d/f", "content", magic=magic, mode=0o640, uid=3, gid=4),
        symlink("l", "d/f", magic=magic),
        hardlink("h", "d/f", magic=magic, mode=0o640, uid=3, gid=4),
        file("empty", "", magic=magic)
    ]


BASICS = {
    "": is_dir("d", "l", "h", "empty"),
    "d/f": is_file("content", mode=0o640, owner=(3, 4), nlink=2, mtime=MTIME * 10**9),
    "l": is_link("d/f"),
    "h": {
        "same_as": "d/f"
    },
    "empty": is_file("")
}


# ---- dialects -------------------------------------------------------------------------------------------------------
@case(BASICS)
def dialect_v7():
    """No magic at all."""
    return [basics(V7)]


@case(BASICS)
def dialect_ustar():
    """POSIX ustar."""
    return [basics(b"ustar\x0000")]


@case(BASICS)
def dialect_gnu():
    """GNU tar's own magic."""
    return [basics(GNU)]


STAR_TAIL = b"p".ljust(131, b"\0") + b"%011o\0%011o\0" % (1, 2) + bytes(8) + b"tar\0"


@case({"p/f": is_file("x")}, differs={"p": {"mtime"}}, why="containerd gives implied directories the time of unpacking")
def dialect_star():
    """star's header: a shorter prefix and two times behind it."""
    return [[header("f", size=1, tail=STAR_TAIL) + padded(b"x")]]


@case({
    "usr/share/f": is_file("x"),
    "g": is_file("y")
},
      differs={
          "usr": {"mtime"},
          "usr/share": {"mtime"}
      },
      why="containerd gives implied directories the time of unpacking")
def dialect_of_old_go():
    """GNU headers of Go before 1.8 have a prefix where GNU tar has times; many old images are made of them."""
    return [[
        header("f", size=1, magic=GNU, prefix="usr/share") + padded(b"x"),
        header("g", size=1, magic=GNU, tail=b"%011o\0%011o\0" % (5, 6)) + padded(b"y")
    ]]


@case({b"\xe4\xf6\xfc": is_file("x")})
def checksum_of_signed_bytes():
    """The sum of a header may be over signed bytes, as old systems wrote it."""
    return [[member(b"\xe4\xf6\xfc", data=b"x", signed=True)]]


@case({"old": is_file("x"), "olddir": is_dir("f"), "newdir": is_file("y")})
def type_of_old_archives():
    """Type NUL is a regular file, or a directory where its name ends in a slash; type '0' is always a file."""
    return [[
        member("old", b"\0", b"x"),
        member("olddir/", b"\0", mode=0o755),
        file("olddir/f", "f"),
        member("newdir/", b"0", b"y")
    ]]


@case({"f": is_file("contiguous")},
      oracle="expect",
      why="POSIX lets a contiguous file be read as a regular one; containerd refuses the type")
def type_contiguous():
    """Type '7' is a regular file."""
    return [[member("f", b"7", b"contiguous")]]


@case({
    "pax": is_file("abc"),
    "long": is_file("abc"),
    "binary": is_file("xyz"),
    "after": is_file("after"),
    "empty": is_file("")
})
def sizes():
    """A PAX size wins over the header's and means the file, never the long name between; base-256 sizes of any value."""
    return [[
        pax(("size", "3")),
        header("pax", size=4000) + padded(b"abc"),
        pax(("size", "3")),
        gnu_long("long"),
        header("short", size=0) + padded(b"abc"),
        header("binary", size=base256(3, 12)) + padded(b"xyz"),
        header("empty", size=bytes(12)),
        file("after", "after")
    ]]


@case({"f": is_file("x", owner=(0, 0)), "": is_dir("f", "g"), "g": is_file("y", owner=(0, 0))})
def global_headers():
    """A global PAX header is checked and not applied, as in containerd, and is no file."""
    return [[
        pax(("uid", "5"), ("comment", "made by git"), kind=b"g"),
        file("f", "x"),
        pax(("path", "all"), ("gid", "6"), kind=b"g"),
        file("g", "y")
    ]]


@case({"f": is_file("x"), "caf\xe9": is_file("y")})
def records_without_a_meaning():
    """Unknown PAX keys, comments, hdrcharset: checked and skipped; names stay bytes."""
    return [[
        pax(("hdrcharset", "BINARY"), ("comment", "x"), ("VENDOR.key", "a=b\nc")) + file("f", "x"),
        pax(("hdrcharset", "ISO-IR 10646 2000 UTF-8"), ("path", "caf\xe9")) + file("g", "y")
    ]]


# ---- sparse files ---------------------------------------------------------------------------------------------------
FEW = [(4096, 3), (1_000_000, 4)]
MANY = [(number * 10_000, 5) for number in range(60)]


def sparse_bytes(size, extents, data):
    whole, at = bytearray(size), 0
    for off, length in extents:
        whole[off:off + length] = data[at:at + length]
        at += length
    return bytes(whole)


FEW_DATA, MANY_DATA = b"abcdefg", b"".join(b"%05d" % number for number in range(60))
FEW_FILE = is_file(sparse_bytes(1_000_004, FEW, FEW_DATA), size=1_000_004)
MANY_FILE = is_file(sparse_bytes(700_000, MANY, MANY_DATA), size=700_000)
HOLE_FILE = is_file(bytes(300_000), size=300_000)


@case({
    "few": FEW_FILE,
    "many": MANY_FILE,
    "hole": HOLE_FILE,
    "after": is_file("after")
},
      oracle="expect",
      why="the spec says only that writers should not use them; GNU tar reads them, containerd refuses the type")
def sparse_old_gnu():
    """Sparse files of type 'S', with the map in the header and in blocks behind it."""
    return [[
        gnu_sparse("few", 1_000_004, FEW, FEW_DATA),
        gnu_sparse("many", 700_000, MANY + [(700_000, 0)], MANY_DATA),
        gnu_sparse("hole", 300_000, [(300_000, 0)], b""),
        file("after", "after")
    ]]


def sparse_pax(version):
    return [[
        pax_sparse(version, "few", 1_000_004, FEW, FEW_DATA),
        pax_sparse(version, "many", 700_000, MANY + [(700_000, 0)], MANY_DATA),
        pax_sparse(version, "hole", 300_000, [(300_000, 0)], b""),
        file("after", "after")
    ]]


PAX_FILES = {
    "few": FEW_FILE,
    "many": MANY_FILE,
    "hole": HOLE_FILE,
    "after": is_file("after"),
    "": is_dir("few", "many", "hole", "after")
}


@case(PAX_FILES)
def sparse_pax_0_0():
    """Sparse files whose map is pairs of PAX records."""
    return sparse_pax("0.0")


@case(PAX_FILES)
def sparse_pax_0_1():
    """Sparse files whose map is one PAX record."""
    return sparse_pax("0.1")


@case(PAX_FILES)
def sparse_pax_1_0():
    """Sparse files whose map stands in front of the data."""
    return sparse_pax("1.0")


@case({"f": is_file("lower content, longer"), "s": FEW_FILE})
def sparse_over_file():
    """A sparse file replaces a plain one, and a plain one a sparse one."""
    return [[file("s", "plain"), pax_sparse("1.0", "f", 1_000_004, FEW, FEW_DATA)],
            [pax_sparse("0.1", "s", 1_000_004, FEW, FEW_DATA),
             file("f", "lower content, longer")]]


# ---- the end of the archive -----------------------------------------------------------------------------------------
@case({"f": is_file("x")})
def end_missing():
    """No end blocks."""
    return [Layer(file("f", "x"), ended=False)]


@case({"f": is_file("x" * 10)})
def end_in_the_padding():
    """An archive that ends with the last byte of data."""
    return [Layer(file("f", "x" * 10)[:522], ended=False)]


@case({"f": is_file("x")})
def end_of_one_block():
    """One block of zeroes instead of two."""
    return [Layer(file("f", "x") + bytes(512), ended=False)]


@case({"": is_dir("f")})
def end_and_more():
    """What follows the end blocks is ignored, whatever it is."""
    return [Layer(file("f", "x") + bytes(1024) + file("g", "not shown") + b"garbage" * 999, ended=False)]


@case({"f": is_file("x")})
def end_of_many_blocks():
    """Archives padded to a record of 10 KiB, and a megabyte of zeroes."""
    return [Layer(file("f", "x").ljust(10240, b"\0"), ended=False), Layer(bytes(1 << 20), ended=False)]


@case({"f": is_file("x")})
def end_after_a_long_name():
    """A PAX header that describes nothing, at the end."""
    return [[file("f", "x"), pax(("path", "nothing"))]]


@case({"": is_dir("f"), "f": is_file("x")})
def empty_streams():
    """Layers of no bytes at all, below their compression: an empty tar."""
    return [
        Layer(b"", "gzip", ended=False), [file("f", "x")],
        Layer(b"", "zstd", ended=False),
        Layer(b"", "gzip-members", ended=False)
    ]


@case({"f": is_file("x")}, oracle="expect", why="a tar may be empty, and so may a blob; containerd unpacks it, but does not pull it")
def empty_blob():
    """A layer blob of no bytes: an empty tar."""
    return [[file("f", "x")], Layer(b"", "none", ended=False)]


# ---- compression and media types ------------------------------------------------------------------------------------
NOISE = random.Random(1).randbytes(200_000)
TEXT = "".join(f"line {number}\n" for number in range(20_000))
COMPRESSED = {"noise": is_file(NOISE), "text": is_file(TEXT)}


def compressed(compression, media_type=""):
    return [Layer(file("noise", NOISE) + file("text", TEXT), compression, media_type)]


GZIP_KINDS = {
    "gzip-stored": "gzip of stored blocks only",
    "gzip-members": "gzip of many members, as pigz and bgzip write",
    "gzip-extra": "a gzip header with every optional field",
    "gzip-flushed": "gzip with empty stored blocks inside",
    "gzip": "plain gzip",
    "none": "plain tar",
    "zstd": "one zstd frame",
    "zstd-frames": "many zstd frames, skippable ones between"
}


def add_compressions():
    for compression, rule in GZIP_KINDS.items():

        def make(compression=compression):
            return compressed(compression)

        make.__name__, make.__doc__ = "layer_of_" + compression.replace("-", "_"), f"A layer of {rule}."
        case(COMPRESSED)(make)


add_compressions()


@case(COMPRESSED,
      oracle="expect",
      why="zeroes behind gzip are padding to gzip(1) and to imgfs; Go's reader takes them for a wrong header")
def layer_of_gzip_padded():
    """Gzip followed by zeroes."""
    return compressed("gzip-padded")


OCI, DOCKER = "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"


@case(COMPRESSED)
def media_types_of_docker():
    """Docker's media types in an OCI manifest."""
    return compressed("gzip", DOCKER + ".gzip") + compressed("none", DOCKER)


@case(COMPRESSED,
      oracle="expect",
      why="the media type is a hint to imgfs, which looks at the bytes; containerd trusts the suffix")
def media_types_that_lie():
    """gzip called zstd, zstd called gzip, tar called gzip, gzip called tar."""
    return (compressed("gzip", OCI + "+zstd") + compressed("zstd", OCI + "+gzip") + compressed("none", OCI + "+gzip") +
            compressed("gzip", OCI))


@case({"x": is_file("1"), "y": is_file("2"), "z": is_file("3")})
def compressions_mixed():
    """Layers of one image, each compressed in its own way."""
    return [Layer(file("x", "1"), "zstd"), Layer(file("y", "2"), "none"), Layer(file("z", "3"), "gzip-members")]


# ---- large ----------------------------------------------------------------------------------------------------------
@functools.cache
def large_noise():
    return random.Random(2).randbytes(6 << 20)


@functools.cache
def large_text():
    return b"".join(b"%07d the quick brown fox\n" % number for number in range(200_000))


def large_files():
    return file("d/noise", large_noise()) + file("small", "between") + file("d/text", large_text())


LARGE = {
    "d/noise": {
        "type": "file",
        "size": 6 << 20,
        "sha256": hashlib.sha256(large_noise()).hexdigest()
    },
    "d/text": {
        "type": "file",
        "size": len(large_text()),
        "sha256": hashlib.sha256(large_text()).hexdigest()
    },
    "small": is_file("between")
}


@case(LARGE)
def file_of_many_chunks_gzip():
    """Files that span many chunks of gzip, noise and text."""
    return [[folder("d"), large_files()]]


@case(LARGE)
def file_of_many_chunks_stored():
    """The same in stored blocks."""
    return [Layer(folder("d") + large_files(), "gzip-stored")]


@case(LARGE)
def file_of_many_chunks_members():
    """The same in thousands of gzip members."""
    return [Layer(folder("d") + large_files(), "gzip-members")]


@case(LARGE)
def file_of_many_chunks_zstd():
    """The same in many zstd frames."""
    return [Layer(folder("d") + large_files(), "zstd-frames")]


@case(LARGE)
def file_of_many_chunks_tar():
    """The same, not compressed."""
    return [Layer(folder("d") + large_files(), "none")]
