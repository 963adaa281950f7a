"""What the kernel asks the daemon for: exact numbers of upcalls for each kind of system call.

Warm, everything is zero: names, attributes, missing names, targets, listings and data stay in the kernel for as long as
it has memory. Numbers come from the daemon's counters, which count every message it reads.
"""
import contextlib
import io
import os
import tarfile

import pytest

from images import Layout, noise, tar_of

BIG = 8 << 20
MANY = 50
NOT_CAUSED_BY_US = ("forget", "batch_forget", "interrupt")  # sent when the kernel likes
SPARSE = b"\1" * 4096


def entry_of(name, kind=tarfile.REGTYPE, **fields):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, 0o755, 1_600_000_000
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def more_kinds(xattrs):
    """A symlink, and on demand two files with extended attributes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry_of("link", tarfile.SYMTYPE, linkname="dir/sub/file"))
        if xattrs:
            headers = {"SCHILY.xattr.user.colour": "green", "SCHILY.xattr.user.size": "very large"}
            tar.addfile(entry_of("marked", pax_headers=headers))
            holes = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": f"65536,{len(SPARSE)}",
                     "GNU.sparse.size": "1048576", "GNU.sparse.numblocks": "1", "GNU.sparse.name": "sparse"}
            tar.addfile(entry_of("sparse", size=len(SPARSE), pax_headers=holes), io.BytesIO(SPARSE))
    return out.getvalue()


def write_image(folder, xattrs=False):
    layout = Layout(folder)
    files = {"dir/sub/file": b"text\n", "dir/other": b"more\n", "big": noise(BIG)}
    files.update({f"many/{i:03}": b"x" for i in range(MANY)})
    layout.add_layer(tar_of(files))
    layout.add_layer(more_kinds(xattrs))
    return "oci:" + layout.write()


@pytest.fixture
def mounted(imgfs, scratch):
    """mounted(options...) -> the folder, with an image that has no xattr at all."""
    return lambda *options, xattrs=False: imgfs.mount(write_image(scratch / "image", xattrs), *options)


@pytest.fixture
def upcalls(imgfs):
    """with upcalls(folder, lookup=1): exactly these happen inside, and no others."""

    def counts(folder):
        return imgfs.status(folder)["upcalls"]

    @contextlib.contextmanager
    def exactly(folder, **expected):
        before = counts(folder)
        yield
        after = counts(folder)
        caused = {k: after[k] - before[k] for k in after if after[k] != before[k] and k not in NOT_CAUSED_BY_US}
        assert caused == expected

    return exactly


def read_all(path, size=1 << 20):
    """Without open(), which asks every file whether it is a terminal."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(handle, size), b""))
    finally:
        os.close(handle)


def test_stat_of_a_path(mounted, upcalls):
    folder = mounted()
    with upcalls(folder, lookup=3):
        os.stat(f"{folder}/dir/sub/file")
    with upcalls(folder):
        for _ in range(10):
            os.stat(f"{folder}/dir/sub/file")
            os.lstat(f"{folder}/dir/sub")
    with upcalls(folder, lookup=1):
        os.stat(f"{folder}/dir/other")


def test_missing_name(mounted, upcalls):
    folder = mounted()
    with upcalls(folder, lookup=2):
        assert not os.path.exists(f"{folder}/dir/nothing")
    with upcalls(folder):
        for _ in range(10):
            assert not os.path.exists(f"{folder}/dir/nothing")
            assert not os.path.lexists(f"{folder}/dir/nothing")


def test_open_is_asked_for_once_a_mount(mounted, upcalls):
    folder = mounted()
    os.stat(f"{folder}/dir/sub/file")
    os.stat(f"{folder}/dir/other")
    with upcalls(folder, open=1, flush=1):
        os.close(os.open(f"{folder}/dir/sub/file", os.O_RDONLY))
    with upcalls(folder):
        for name in ("dir/sub/file", "dir/other"):
            os.close(os.open(f"{folder}/{name}", os.O_RDONLY))


def test_reading_again_after_reopening(mounted, upcalls):
    folder = mounted()
    assert read_all(f"{folder}/dir/sub/file") == b"text\n"
    with upcalls(folder):
        assert read_all(f"{folder}/dir/sub/file") == b"text\n"
    with upcalls(folder, lookup=1, read=1):
        assert read_all(f"{folder}/dir/other") == b"more\n"
    assert read_all(f"{folder}/big") == noise(BIG)
    with upcalls(folder):
        assert read_all(f"{folder}/big", 4096) == noise(BIG)


def test_writing_is_refused_without_asking(mounted, upcalls):
    folder = mounted()
    os.stat(f"{folder}/dir/other")
    with upcalls(folder):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT):
            with pytest.raises(OSError, match="Read-only"):
                os.open(f"{folder}/dir/other", flags)
        with pytest.raises(OSError, match="Read-only"):
            os.unlink(f"{folder}/dir/other")


def test_xattrs_of_a_tree_without_any(mounted, upcalls):
    """One question for each of the two calls, in the whole life of the mount."""
    folder = mounted()
    names = ["dir/sub/file", "dir/other", "dir", "big"]
    for name in names:
        os.stat(f"{folder}/{name}")
    with upcalls(folder, getxattr=1):
        for name in names * 3:
            with pytest.raises(OSError, match="not supported"):
                os.getxattr(f"{folder}/{name}", "user.colour")
    with upcalls(folder, listxattr=1):
        for name in names * 3:
            with pytest.raises(OSError, match="not supported"):
                os.listxattr(f"{folder}/{name}")


def test_xattrs_of_a_tree_with_some(mounted, upcalls):
    folder = mounted(xattrs=True)
    os.stat(f"{folder}/marked")
    os.stat(f"{folder}/big")
    with upcalls(folder, getxattr=2):
        assert os.getxattr(f"{folder}/marked", "user.colour") == b"green"
        with pytest.raises(OSError, match="No data"):
            os.getxattr(f"{folder}/big", "user.colour")
    with upcalls(folder, listxattr=2):
        assert sorted(os.listxattr(f"{folder}/marked")) == ["user.colour", "user.size"]
        assert os.listxattr(f"{folder}/big") == []


def test_listing_twice(mounted, upcalls):
    folder = mounted()
    expected = sorted(f"{i:03}" for i in range(MANY))
    assert sorted(os.listdir(f"{folder}/many")) == expected
    with upcalls(folder):
        for _ in range(5):
            assert sorted(os.listdir(f"{folder}/many")) == expected


def test_stat_after_a_listing(mounted, upcalls):
    folder = mounted()
    with os.scandir(f"{folder}/many") as entries:
        names = sorted(entry.name for entry in entries)
    assert len(names) == MANY
    with upcalls(folder):
        for name in names[:8]:
            assert os.lstat(f"{folder}/many/{name}").st_size == 1


def test_opendir_is_asked_for_once_a_mount(mounted, imgfs):
    folder = mounted()
    for name in ("", "dir", "many"):
        os.listdir(f"{folder}/{name}")
    assert imgfs.status(folder)["upcalls"]["opendir"] == 1
    assert imgfs.status(folder)["upcalls"]["releasedir"] == 0


def test_readlink_twice(mounted, upcalls):
    folder = mounted()
    with upcalls(folder, lookup=1, readlink=1):
        assert os.readlink(f"{folder}/link") == "dir/sub/file"
    with upcalls(folder):
        for _ in range(5):
            assert os.readlink(f"{folder}/link") == "dir/sub/file"
    os.stat(f"{folder}/link")
    with upcalls(folder):
        os.stat(f"{folder}/link")


def test_statfs_is_answered(mounted, upcalls):
    folder = mounted()
    with upcalls(folder, statfs=1):
        info = os.statvfs(folder)
    assert info.f_namemax == 255
    assert BIG < info.f_blocks * info.f_frsize < BIG + (1 << 20)
    assert info.f_files == 1 + 3 + 3 + MANY + 1  # root, directories, files, link
    assert (info.f_bfree, info.f_ffree) == (0, 0)
    assert info.f_flag & os.ST_RDONLY


def test_holes(mounted, upcalls):
    folder = mounted(xattrs=True)
    path = f"{folder}/sparse"
    assert os.stat(path).st_size == 1 << 20
    assert os.stat(path).st_blocks * 512 == len(SPARSE)
    handle = os.open(path, os.O_RDONLY)
    with upcalls(folder, lseek=4):
        assert os.lseek(handle, 0, os.SEEK_DATA) == 65536
        assert os.lseek(handle, 65536, os.SEEK_HOLE) == 65536 + len(SPARSE)
        assert os.lseek(handle, 0, os.SEEK_HOLE) == 0
        with pytest.raises(OSError, match="No such device or address"):
            os.lseek(handle, 70000, os.SEEK_DATA)
    os.close(handle)
    assert read_all(path) == b"\0" * 65536 + SPARSE + b"\0" * ((1 << 20) - 65536 - len(SPARSE))


def test_a_tree_without_holes_asks_once(mounted, imgfs):
    folder = mounted()
    handle = os.open(f"{folder}/big", os.O_RDONLY)
    for _ in range(3):
        assert os.lseek(handle, 0, os.SEEK_HOLE) == BIG
        assert os.lseek(handle, 5, os.SEEK_DATA) == 5
    os.close(handle)
    assert imgfs.status(folder)["upcalls"]["lseek"] == 1


@pytest.mark.root
@pytest.mark.parametrize("kib", [128, 1024])
def test_size_of_a_request(mounted, imgfs, kib):
    """A sequential read comes in requests of the read-ahead window."""
    folder = mounted("-o", f"read_ahead={kib}")
    os.stat(f"{folder}/big")
    before = imgfs.status(folder)["upcalls"]["read"]
    assert read_all(f"{folder}/big") == noise(BIG)
    reads = imgfs.status(folder)["upcalls"]["read"] - before
    # A first window is smaller; a processor that is late with the next one costs a few more.
    assert reads <= BIG // (kib << 10) * 1.25 + 4
    assert reads >= BIG // (1 << 20)
