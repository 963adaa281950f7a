"""Every ordinary layer works lazily, whoever compressed it and whatever its media type says."""
import gzip
import os
import subprocess

import pytest

import images
from images import noise, tar_of
from registry import Traffic

MIB = 1 << 20
TEXT = b"".join(b"line %08d of a text that compresses well\n" % i for i in range(300_000))  # about 13 MB
CONTENT = {"data/noise": noise(6 * MIB, "layers"), "data/text": TEXT, "data/last": b"the end\n"}
TAR = tar_of(CONTENT)


def pipe(*command):
    def compress(data):
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return compress


def members(data):
    """A member for each MiB, as `cat a.gz b.gz` gives."""
    return b"".join(gzip.compress(data[i : i + MIB], 6, mtime=0) for i in range(0, len(data), MIB))


def with_extra_field(data):
    """FEXTRA, FNAME and FCOMMENT in the header (RFC 1952), as some tools write them."""
    plain = gzip.compress(data, 6, mtime=0)
    extra = b"AB\x04\x00wxyz"
    header = plain[:3] + bytes([0x04 | 0x08 | 0x10]) + plain[4:10]
    return header + len(extra).to_bytes(2, "little") + extra + b"layer.tar\0" + b"a comment\0" + plain[10:]


def frames(data):
    compress = pipe("zstd", "-q", "-3", "-c")
    return b"".join(compress(data[i : i + MIB]) for i in range(0, len(data), MIB))


def skippable(data):
    """A skippable frame between two frames (RFC 8878, 3.1.2)."""
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    compress = pipe("zstd", "-q", "-3", "-c")
    half = len(data) // 2
    return skipped + compress(data[:half]) + skipped + compress(data[half:]) + skipped


# name -> (compressor, lazy: a small piece costs a small part of the blob)
LAYERS = {
    "tar": (lambda data: data, True),
    "gzip-1": (pipe("gzip", "-n", "-1"), True),
    "gzip-9": (pipe("gzip", "-n", "-9"), True),
    "pigz": (pipe("pigz", "-n", "-p", "4"), True),
    "pigz-independent": (pipe("pigz", "-n", "-i", "-p", "4"), True),
    "igzip-0": (pipe("igzip", "-0", "-c"), True),
    "igzip-3": (pipe("igzip", "-3", "-c"), True),
    "bsdtar-gzip": (lambda data: gzip.compress(data, 3, mtime=1), True),
    "members": (members, True),
    "extra-field": (with_extra_field, True),
    "zero-padding": (lambda data: gzip.compress(data, 6, mtime=0) + bytes(4096), True),
    "stored": (lambda data: gzip.compress(data, 0, mtime=0), True),
    "zstd-frames": (frames, True),
    "zstd-skippable": (skippable, False),
    "zstd-one-frame": (pipe("zstd", "-q", "-3", "-c"), False),
    "zstd-long": (pipe("zstd", "-q", "--long=27", "-c"), False),
}
OCI = "application/vnd.oci.image.layer.v1.tar"
DOCKER = "application/vnd.docker.image.rootfs.diff.tar"


def image_of(folder, layers):
    """A layout whose layers are (tar, compressor, media type)."""
    layout = images.Layout(folder)
    for tar, compress, media_type in layers:
        layout.add_layer(tar, lambda data, c=compress: (c(data), ""))["mediaType"] = media_type
    return layout.write()


def check_contents(mount):
    for path, expected in CONTENT.items():
        with open(os.path.join(mount, path), "rb") as file:
            assert file.read() == expected, path


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, imgfs, registry, scratch):
    compress, lazy = LAYERS[name]
    media_type = OCI + {"t": "", "z": "+zstd"}.get(name[0], "+gzip")
    layout = image_of(scratch / "layout", [(TAR, compress, media_type)])
    reference = registry.push(layout, f"layers/{name}")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    mount = imgfs.mount(reference)
    blob = imgfs.json("inspect", reference)["layers"][0]["size"]
    with Traffic(registry) as small:
        with open(f"{mount}/data/noise", "rb", buffering=0) as file:
            assert os.pread(file.fileno(), 100, 3 * MIB) == CONTENT["data/noise"][3 * MIB : 3 * MIB + 100]
    if lazy:
        assert 0 < small.bytes <= blob / 3, f"{small.bytes} of {blob} bytes for 100"
    with Traffic(registry) as rest:
        check_contents(mount)
    assert small.bytes + rest.bytes <= blob * 1.05 + 65536, "bytes were fetched again"


@pytest.mark.parametrize("media_type", [DOCKER + ".gzip", OCI, OCI + "+zstd", DOCKER])
def test_media_type_is_a_hint(media_type, imgfs, scratch):
    """The magic decides: gzip under any name."""
    layout = image_of(scratch / "layout", [(TAR, LAYERS["gzip-1"][0], media_type)])
    check_contents(imgfs.mount(f"oci:{layout}"))


@pytest.mark.parametrize("tar", [b"", bytes(1024), bytes(10240)], ids=["no-bytes", "two-blocks", "ten-kilobytes"])
@pytest.mark.parametrize("packed", [False, True], ids=["tar", "gzip"])
def test_empty_layer(tar, packed, imgfs, scratch):
    compress = (lambda data: gzip.compress(data, mtime=0)) if packed else (lambda data: data)
    layers = [(TAR, LAYERS["gzip-1"][0], OCI + "+gzip"), (tar, compress, OCI + "+gzip" if packed else OCI)]
    check_contents(imgfs.mount(f"oci:{image_of(scratch / 'layout', layers)}"))


def test_go_compressed_by_a_push(imgfs, registry, scratch):
    """skopeo and buildah compress with Go's compress/flate while they push."""
    layout = image_of(scratch / "layout", [(TAR, LAYERS["tar"][0], OCI)])
    packed = scratch / "packed"
    command = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-compress", f"oci:{layout}", f"dir:{packed}"]
    subprocess.run(command, check=True)
    (blob,) = [path for path in packed.iterdir() if path.read_bytes()[:2] == b"\x1f\x8b"]
    reference = registry.push(image_of(scratch / "go", [(TAR, lambda _: blob.read_bytes(), OCI + "+gzip")]), "layers/go")
    imgfs.build(reference)
    imgfs.keep_only_indexes()
    check_contents(imgfs.mount(reference))


@pytest.mark.parametrize("damage", ["garbage-after", "cut", "bit"])
def test_a_broken_blob_is_refused(damage, imgfs, scratch):
    def compress(data):
        whole = gzip.compress(data, 1, mtime=0)
        if damage == "cut":
            return whole[:-20]
        if damage == "bit":
            return whole[:500_000] + bytes([whole[500_000] ^ 1]) + whole[500_001:]
        return whole + b"garbage"

    layout = image_of(scratch / "layout", [(TAR, compress, OCI + "+gzip")])
    done = imgfs.run("index build", f"oci:{layout}", check=False)
    assert done.returncode == 6, done
    assert not imgfs.layer_files("index")


def test_sha512(imgfs, scratch):
    """Blob digests and DiffIDs by the other algorithm of the OCI specification."""
    layout = images.Layout(scratch / "layout", "sha512")
    layout.add_layer(TAR)
    reference = f"oci:{layout.write()}"
    check_contents(imgfs.mount(reference))
    assert imgfs.run("index verify", reference).returncode == 0


def test_a_bomb_is_refused(imgfs, scratch):
    """5 GiB of zeroes in 160 KB: no layer is like that, and nobody should wait for its end."""
    zeroes = subprocess.run("head -c 5368709120 /dev/zero | zstd -q -19 --long=27 -c", shell=True, capture_output=True, check=True)
    layout = image_of(scratch / "bomb", [(TAR, lambda _: zeroes.stdout, OCI + "+zstd")])
    done = imgfs.run("index build", f"oci:{layout}", check=False)
    assert done.returncode == 6 and "times its size" in done.stderr, done
