"""imgfs export: the same bytes every time, read back by other programs to the same tree, and never half an archive.

test_take_nasty.py does the reading back for every case of the nasty family, test_take_real.py for a whole real image;
here are parts of an image, and the ways in which an archive can not be written.
"""
import hashlib
import os
import pty
import signal
import subprocess
import tarfile

import pytest

import images
import imgfs as program
from fake_registry import FakeRegistry, Reply
from images import Layout, small_content
from processes import Daemon, wait_for
from published import World
from tarbytes import END, file, folder, hardlink, symlink

# pylint: disable=redefined-outer-name

EXIT_OTHER, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_INTEGRITY = 1, 2, 3, 6


@pytest.fixture
def image(scratch):
    layout = Layout(scratch / "layout")
    layout.add_layer(b"".join([
        folder("b"), file("b/z", "z"), file("b/a", "a"), folder("a"), symlink("link", "b"), file("b-c", "between"),
        hardlink("a/a-link-to-a", "b/a"), folder("n" * 120), file("n" * 120 + "/f", "long"),
    ]) + END)
    return "oci:" + layout.write()


def archive(imgfs, *words):
    return subprocess.run(imgfs.command("export", *words), capture_output=True, check=True).stdout


def fails(done, status, *words):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
    assert done.returncode == status and len(lines) == 1, (done.returncode, done.stderr)
    for word in words:
        assert word in lines[0], done.stderr


# ---- what is in it


def test_order_and_names(imgfs, image, scratch):
    """Each directory before what is in it, names in byte order; the first name of an inode has the data."""
    imgfs.run("export", "-o", scratch / "a.tar", image)
    with tarfile.open(scratch / "a.tar") as tar:
        found = [(m.name, m.linkname) for m in tar.getmembers()]
    long = "n" * 120
    assert found == [(".", ""), ("a", ""), ("a/a-link-to-a", ""), ("b", ""), ("b/a", "a/a-link-to-a"), ("b/z", ""),
                     ("b-c", ""), ("link", "b"), (long, ""), (f"{long}/f", "")]


def test_part(imgfs, image, scratch):
    def names(*words):
        (scratch / "part.tar").write_bytes(archive(imgfs, *words))
        with tarfile.open(scratch / "part.tar") as tar:
            return [m.name for m in tar.getmembers()]

    assert names(image, "/b") == names(image, "b/") == names(image, "//./b/.") == ["b", "b/a", "b/z"]
    assert names(image, "/b/z") == ["b/z"] and names(image, "/link") == ["link"]
    assert names(image, "/b/a") == ["b/a"]  # its other name is not in this archive: it has the data
    with tarfile.open(scratch / "part.tar") as tar:
        assert tar.extractfile("b/a").read() == b"a"
    fails(imgfs.run("export", image, "/nope", check=False), EXIT_NOT_FOUND, "/nope")
    fails(imgfs.run("export", image, "/b/../a", check=False), EXIT_USAGE, "'..'")


def test_the_same_bytes_from_every_store(scratch):
    """Indexed here, or a stranger's published index on an empty machine, from another registry and at another time."""
    world = World(scratch)
    try:
        ours = archive(world.publisher, world.reference)
        world.publish()
        theirs = archive(world.node(), *world.trusting(), world.reference)
        layout = archive(world.node(), "oci:" + world.layout)
        assert hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest() == hashlib.sha256(layout).digest()
    finally:
        world.stop()


# ---- where it goes


def test_not_to_a_terminal(imgfs, image):
    reader, writer = pty.openpty()
    done = subprocess.run(imgfs.command("export", image), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    os.close(reader)
    fails(done, EXIT_USAGE, "terminal", "-o FILE")


def test_to_a_file(imgfs, image, scratch):
    out = scratch / "out"
    out.mkdir()
    (out / "a.tar").write_text("old")
    imgfs.run("export", image, "-o", out / "a.tar", umask=0o027)
    assert (out / "a.tar").read_bytes() == archive(imgfs, image) and os.listdir(out) == ["a.tar"]
    assert os.stat(out / "a.tar").st_mode & 0o777 == 0o640
    assert imgfs.run("export", image, "-o", "/dev/null").stdout == ""
    assert subprocess.run(imgfs.command("export", image, "-o", "-"), capture_output=True, check=True).stdout == archive(
        imgfs, image)
    fails(imgfs.run("export", image, "-o", out / "no" / "a.tar", check=False), EXIT_OTHER, "No such file")
    fails(imgfs.run("export", image, "-o", out, check=False), EXIT_OTHER, "Is a directory")
    fails(imgfs.run("export", image, "-o", "/dev/full", check=False), EXIT_OTHER, "No space left")
    assert os.listdir(out) == ["a.tar"]


def test_wrong_words(imgfs, image):
    fails(imgfs.run("export", check=False), EXIT_USAGE, "reference")
    fails(imgfs.run("export", image, "/a", "/b", check=False), EXIT_USAGE, "one path")
    fails(imgfs.run("export", "--read-budget", "0", image, check=False), EXIT_USAGE, "--read-budget")


def test_a_reader_that_goes_away(imgfs, small):
    command = " ".join(imgfs.command("export", small)) + " | head -c 100 >/dev/null; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=program.environment())
    assert done.stdout.strip() == "141" and done.stderr == ""


# ---- when it goes wrong


@pytest.fixture
def cold(scratch, imgfs):
    """(registry, reference) of the small image: its indexes are here, and no byte of a file."""
    fake = FakeRegistry().start()
    fake.add_layout(images.small_image(scratch / "small").rsplit(":", 1)[0], "small")
    imgfs.build(fake.reference("small"))
    imgfs.keep_only_indexes()
    yield fake, fake.reference("small")
    fake.stop()


def flip(request, fake):
    reply = fake.honest(request)
    reply.body = bytes(byte ^ 1 for byte in reply.body[:64]) + reply.body[64:]
    return reply


def test_wrong_bytes_leave_no_archive(imgfs, cold, scratch):
    fake, reference = cold
    fake.on("GET .*/blobs/", lambda request: flip(request, fake))
    out = scratch / "out"
    out.mkdir()
    done = imgfs.run("export", "-q", "-o", out / "a.tar", reference, check=False)
    assert done.returncode == EXIT_INTEGRITY and "not the image's" in done.stderr and os.listdir(out) == []
    done = subprocess.run(imgfs.command("export", "-q", reference), capture_output=True, check=False)
    assert done.returncode == EXIT_INTEGRITY and not done.stdout.endswith(bytes(1024))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(imgfs, cold, scratch, how):
    fake, reference = cold
    fake.on("GET .*/blobs/", lambda request: Reply(
        206, fake.honest(request).body, headers=fake.honest(request).headers, bytes_per_s=200_000))
    out = scratch / "out"
    out.mkdir()
    daemon = Daemon(imgfs.command("export", "-o", out / "a.tar", reference), f"{imgfs.folder}/export.log",
                    env=program.environment())
    wait_for(lambda: os.listdir(out), "the archive is being written", 20 * program.SLOWER)
    daemon.process.send_signal(how)
    daemon.process.wait(5 * program.SLOWER)
    assert daemon.process.returncode in (-how, 128 + how) and "interrupted" in daemon.output()
    assert os.listdir(out) == []


def test_bytes_of_every_file(imgfs, small, scratch):
    imgfs.run("export", "-o", scratch / "a.tar", small)
    with tarfile.open(scratch / "a.tar") as tar:
        for name in ("etc/name", "etc/empty", "data/large", "data/many/63"):
            assert tar.extractfile(name).read() == small_content(name), name
