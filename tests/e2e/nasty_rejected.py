"""nasty_rejected: images that must be refused, because no two readers could agree on them or because they lie.

The reason is a part of the message. containerd refuses most of them too; what it takes is noted.
"""
import hashlib

from nasty_case import Layer, rejected
from tarbytes import (GNU, base256, char, checksum, file, folder, gnu_long, gnu_sparse, hardlink, header, member, pax,
                      pax_sparse, record, schily, symlink, whiteout)

GOOD = file("good", "good")


# ---- whiteouts, links, parents, the root ----------------------------------------------------------------------------
@rejected("a whiteout names no file")
def whiteout_without_a_name():
    """".wh." hides nothing that could have a name."""
    return [[GOOD], [member(".wh.")]]


@rejected("a whiteout names no file")
def whiteout_of_dot():
    """".wh.." would hide the directory it lies in."""
    return [[folder("d"), file("d/f", "f")], [member("d/.wh..")]]


@rejected("a whiteout names no file")
def whiteout_of_dot_dot():
    """".wh..." would hide the directory above."""
    return [[folder("d"), file("d/f", "f")], [member("d/.wh...")]]


@rejected("hard link")
def link_to_nothing():
    """A hard link to a name that no layer has."""
    return [[GOOD], [hardlink("h", "nothing")]]


@rejected("hard link")
def link_to_a_later_file():
    """A hard link to a file that the same archive brings later."""
    return [[hardlink("h", "f"), file("f", "f")]]


@rejected("hard link")
def link_to_itself():
    """A hard link to its own name, which nothing has."""
    return [[hardlink("h", "h")]]


@rejected("hard link")
def link_to_a_directory():
    """A hard link to a directory of its own layer."""
    return [[folder("d"), hardlink("h", "d")]]


@rejected("hard link")
def link_to_a_lower_directory():
    """A hard link to a directory of a lower layer."""
    return [[folder("d")], [hardlink("h", "d")]]


@rejected("hard link to the root")
def link_to_the_root():
    """A hard link to the root."""
    return [[hardlink("h", "/")]]


@rejected("hard link")
def link_to_what_a_lower_layer_removed():
    """A hard link to a file that the layer between has removed."""
    return [[file("f", "f")], [whiteout("f")], [hardlink("h", "f")]]


@rejected("root of the layer is not a directory")
def root_is_a_symlink():
    """The root as a symlink: what follows would be written elsewhere (CVE-2021-29136; containerd ignores the entry)."""
    return [[symlink("./", "/etc"), file("passwd", "x")]]


@rejected("root of the layer is not a directory")
def root_is_a_file():
    """The root as a file (containerd ignores the entry)."""
    return [[file(".", "x")]]


@rejected("root of the layer is not a directory")
def root_is_a_device():
    """The root as a device, under a name that is cleaned to it (containerd ignores the entry)."""
    return [[char("a/..", 1, 3)]]


@rejected("symbolic links")
def parent_symlinks_in_a_circle():
    """An entry below symlinks that lead to each other."""
    return [[symlink("a", "b"), symlink("b", "a"), file("a/f", "f")]]


# ---- tar ------------------------------------------------------------------------------------------------------------
def tar_rule(name, reason, rule, *members, **more):

    def make():
        return [Layer(GOOD + b"".join(members), **more)]

    make.__name__, make.__doc__ = name, rule
    rejected(reason)(make)


def wrong_sum():
    block = header("f")
    return block[:148] + b"%06o\0 " % (checksum(block) + 1) + block[156:]


tar_rule("tar_sum", "the sum of the block is wrong", "A header whose sum is wrong.", wrong_sum())
tar_rule("tar_garbage", "the sum of the block is wrong", "Text instead of a header.", b"not a tar " * 200)
tar_rule("tar_cut_in_data",
         "ends inside a member",
         "The archive ends in the middle of a file.",
         header("f", size=5000) + b"x" * 700,
         ended=False)
tar_rule("tar_cut_in_header",
         "ends inside a member",
         "The archive ends in the middle of a header.",
         header("f")[:200],
         ended=False)
tar_rule("tar_zero_block_inside", "a block of zeroes inside", "One block of zeroes between two members.", bytes(512),
         file("f", "x"))
tar_rule("tar_type_unknown", "unknown member type", "A type that is not known: a volume label.", member("label", b"V"))
tar_rule("tar_type_of_directory_dump", "unknown member type", "GNU's directory of an incremental backup.",
         member("d/", b"D", b"Yf\0\0", magic=GNU))
tar_rule("tar_size_negative", "the size is negative", "A negative size.", header("f", size=base256(-512, 12)))
tar_rule("tar_size_beyond_all", "no number", "A size of more than 63 bits.", header("f", size=base256(2**64, 12)))
tar_rule("tar_octal_wrong", "no number", "A digit that is not octal.", header("f", mode=b"0000689\0"))
tar_rule("tar_owner_too_large", "negative or above 2^32-2",
         "An owner that is chown's \"no change\" (containerd takes it so).", file("f", "x", uid=base256(2**32 - 1, 8)))
tar_rule("tar_owner_negative", "negative or above 2^32-2", "A negative owner (containerd takes it).",
         file("f", "x", gid=base256(-2, 8)))
tar_rule("tar_name_empty", "name is empty", "A member without a name (containerd ignores it).", file("", "x"))
tar_rule("tar_name_too_long", "too long", "A name of 5000 bytes.", gnu_long("d/" * 2500 + "f"), file("f", "x"))
tar_rule("tar_component_too_long", "longer than 255", "A component of 256 bytes.", gnu_long("d/" + "n" * 256), file(
    "f", "x"))
tar_rule("tar_link_empty", "link target is empty", "A symlink to nothing.", member("l", b"2"))
tar_rule("tar_device_too_large", "no device has the numbers", "A device number that Linux has not (containerd mangles it).",
         char("c", 5000, 1))

tar_rule("pax_length_wrong", "PAX record is malformed", "A PAX record whose length is not its own.", pax(b"20 path=x\n"),
         file("f", "x"))
tar_rule("pax_no_newline", "PAX record is malformed", "A PAX record without its newline.", pax(b"9 path=xy"), file(
    "f", "x"))
tar_rule("pax_no_equals", "PAX record is malformed", "A PAX record without a value.", pax(b"8 pathx\n"), file("f", "x"))
tar_rule("pax_global_malformed", "PAX record is malformed", "A malformed record in a global header.",
         pax(b"99 a=b\n", kind=b"g"), file("f", "x"))
tar_rule("pax_nul_in_path", "path", "A PAX path that holds NUL.", pax(record("path", b"good\0bad")), file("f", "x"))
tar_rule("pax_nul_in_linkpath", "linkpath", "A PAX link target that holds NUL.", pax(record("linkpath", b"good\0bad")),
         symlink("l", "x"))
tar_rule("pax_size_negative", "size", "A negative PAX size.", pax(("size", "-1")), file("f", "x"))
tar_rule("pax_time_wrong", "mtime", "A PAX time that is no number.", pax(("mtime", "1e9")), file("f", "x"))
tar_rule("pax_too_long", "too long", "A PAX header of more than a megabyte.", pax(("comment", "x" * (1 << 20))),
         file("f", "x"))

tar_rule("xattr_without_a_name", "xattr", "An xattr without a name.", pax(("SCHILY.xattr.", "1")), file("f", "x"))
tar_rule("xattr_name_too_long", "xattr", "An xattr's name of 256 bytes.", pax(("SCHILY.xattr.user." + "n" * 251, "1")),
         file("f", "x"))
tar_rule("xattr_value_too_long", "xattr", "An xattr's value of more than 64 KiB.", schily(user_a=b"x" * 65537),
         file("f", "x"))
tar_rule("xattrs_too_many", "xattrs", "Two thousand xattrs on one file.",
         pax(*((f"SCHILY.xattr.user.{number}", "1") for number in range(2000))), file("f", "x"))
tar_rule("xattr_base64_wrong", "LIBARCHIVE.xattr", "A LIBARCHIVE.xattr that is not base64 (containerd knows none of them).",
         pax(("LIBARCHIVE.xattr.user.a", "!!!!")), file("f", "x"))

tar_rule("sparse_overlap", "sparse file", "Extents that overlap.", pax_sparse("1.0", "s", 100, [(0, 5), (3, 5)], b"x" * 10))
tar_rule("sparse_unsorted", "sparse file", "Extents out of order.", gnu_sparse("s", 100, [(50, 5), (3, 5)], b"x" * 10))
tar_rule("sparse_beyond_the_end", "sparse file", "An extent beyond the end of the file.",
         pax_sparse("0.1", "s", 100, [(98, 5)], b"x" * 5))
tar_rule("sparse_short", "sparse file", "Fewer stored bytes than the map has.",
         pax_sparse("0.0", "s", 100, [(0, 50)], b"x" * 5))
tar_rule("sparse_endless", "extents", "A map of more than a million extents (CVE-2025-58183).",
         pax_sparse("1.0", "s", 1 << 40, [(0, 0)] * ((1 << 20) + 1), b""))
tar_rule("sparse_directory", "no regular file", "A sparse map for a directory.",
         pax(("GNU.sparse.map", "0,1"), ("GNU.sparse.numblocks", "1")), folder("d"))
tar_rule("sparse_of_solaris", "SUN.holesdata",
         "Solaris' holes, which nothing here can read (containerd shows the file without its holes).",
         pax(("SUN.holesdata", " 0 1 ")), file("f", "x"))

# ---- blobs ----------------------------------------------------------------------------------------------------------
CONTENT = file("f", "".join(f"line {number}\n" for number in range(3000)))


def flip_middle(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1:]


def blob_rule(name, reason, rule, **more):

    def make():
        return [[GOOD], Layer(CONTENT, **more)]

    make.__name__, make.__doc__ = name, rule
    rejected(reason)(make)


blob_rule("gzip_corrupt",
          "gzip",
          "Damaged deflate data under its right digest.",
          damage=lambda data: data[:60] + b"\xff" * 60 + data[120:])
blob_rule("gzip_sum_wrong",
          "CRC",
          "A gzip member whose CRC is wrong.",
          damage=lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
blob_rule("gzip_length_wrong",
          "length",
          "A gzip member whose length is wrong.",
          damage=lambda data: data[:-4] + bytes([data[-4] ^ 1]) + data[-3:])
blob_rule("gzip_cut", "ends inside", "A gzip member that is cut.", damage=lambda data: data[:-100])
blob_rule(
    "gzip_garbage_behind",
    "padding",
    "Bytes behind gzip that are neither gzip nor zeroes (unpigz, and so containerd where it is installed, ignores them).",
    damage=lambda data: data + b"garbage")
blob_rule("zstd_corrupt",
          "zstd",
          "A zstd frame with a reserved block type.",
          compression="zstd",
          damage=lambda data: data[:9] + b"\xff" + data[10:])
blob_rule("zstd_cut", "ends inside", "A zstd frame that is cut.", compression="zstd", damage=lambda data: data[:-50])
blob_rule("diff_id_wrong",
          "DiffID",
          "A stream that does not have the DiffID of the config.",
          diff_id="sha256:" + hashlib.sha256(b"another").hexdigest())
blob_rule("blob_changed", "", "A blob with a changed byte.", spoil=flip_middle)
blob_rule("blob_replaced",
          "digest",
          "A valid layer of the same size under another's digest.",
          compression="none",
          spoil=lambda data: data.replace(b"line 1000\n", b"line 9999\n"))
blob_rule("blob_short", "descriptor says", "A blob that lacks its last byte.", spoil=lambda data: data[:-1])
blob_rule("blob_long", "descriptor says", "A blob with one byte too many.", spoil=lambda data: data + b"\0")
blob_rule("blob_unknown",
          "media type",
          "A compression that is not known (xz's magic).",
          damage=lambda data: b"\xfd7zXZ\0" + data,
          media_type="application/vnd.oci.image.layer.v1.tar+xz")


# ---- manifest and config --------------------------------------------------------------------------------------------
def document_rule(name, reason, rule, edit):

    def make():
        return [[GOOD], [file("f", "f")]]

    make.__name__, make.__doc__ = name, rule
    rejected(reason, edit=edit)(make)


def config_change(*path, value=None, drop=False):

    def edit(manifest, config):
        at = {"manifest": manifest, "config": config}
        for step in path[:-1]:
            at = at[step]
        if drop:
            del at[path[-1]]
        else:
            at[path[-1]] = value

    return edit


document_rule("diff_ids_too_few", "DiffIDs", "Fewer DiffIDs than layers.",
              lambda manifest, config: config["rootfs"]["diff_ids"].pop())
document_rule("diff_ids_too_many", "DiffIDs", "More DiffIDs than layers.",
              lambda manifest, config: config["rootfs"]["diff_ids"].append("sha256:" + "0" * 64))
document_rule("diff_ids_swapped", "DiffID", "The DiffIDs in the wrong order.",
              lambda manifest, config: config["rootfs"]["diff_ids"].reverse())
document_rule("diff_id_malformed", "digest", "A DiffID that is no digest.",
              config_change("config", "rootfs", "diff_ids", value=["sha256:12", "x"]))
document_rule("rootfs_type", "layers", "A root file system that is not made of layers.",
              config_change("config", "rootfs", "type", value="other"))
document_rule("manifest_and_index", "manifest", "A document that is manifest and index at once (CVE-2021-41190).",
              config_change("manifest", "manifests", value=[]))
document_rule("layer_size_wrong", "descriptor says", "A layer whose descriptor states another size.",
              lambda manifest, config: manifest["layers"][1].update(size=99999))
document_rule("layer_digest_malformed", "digest", "A digest that would be a path.",
              lambda manifest, config: manifest["layers"][1].update(digest="sha256:../../../etc/passwd"))
document_rule(
    "layer_encrypted", "encrypted", "A layer whose media type says that it is encrypted.", lambda manifest, config:
    manifest["layers"][1].update(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"))
document_rule("windows", "Windows", "An image for Windows.", lambda manifest, config: config.update({
    "os": "windows",
    "os.version": "10.0.1"
}))


@rejected("more than")
def layers_600():
    """Six hundred layers: more than any engine mounts."""
    return [[file(f"f{number}", "")] for number in range(600)]
