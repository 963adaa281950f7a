"""imgfs cp: what lands where, what is kept, what is in the way, and what is left when it goes wrong."""
import os
import signal
import stat
import subprocess
import time

import pytest

import images
import imgfs as program
from fake_registry import FakeRegistry, Reply
from images import Layout, small_content
from mounting import NOBODY, open_to_all  # noqa: F401
from processes import Daemon, run, wait_for
from published import World
from tarbytes import END, char, file, folder, hardlink, pax_sparse, symlink

# pylint: disable=redefined-outer-name,unused-import

EXIT_OTHER, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_DENIED, EXIT_NETWORK, EXIT_INTEGRITY = 1, 2, 3, 4, 5, 6
MTIME = 1_600_000_000


def members():
    return b"".join([
        folder("etc", 0o755), file("etc/name", "name\n", mode=0o640, uid=7, gid=8), file("etc/set-id", "s", mode=0o4755),
        folder("etc/closed", 0o500), file("etc/closed/in", "in", mode=0o400), symlink("etc/link", "name"),
        symlink("etc/away", "/../../../../tmp"), symlink("etc/lost", "nowhere"), hardlink("etc/other", "etc/name", mode=0o640, uid=7, gid=8),
        symlink("lib", "usr/lib"), folder("usr"), folder("usr/lib"), file("usr/lib/a.so", "so"), symlink("usr/lib/up", ".."),
        folder("dev"), char("dev/null", 1, 3), folder("a:"), file("a:/b", "colon"),
        pax_sparse("1.0", "sparse", 3 << 20, [(1 << 20, 4096)], b"x" * 4096),
    ])


@pytest.fixture
def image(scratch):
    layout = Layout(scratch / "layout")
    layout.add_layer(members() + END)
    return "oci:" + layout.write()


@pytest.fixture
def dest(scratch):
    made = scratch / "dest"
    made.mkdir()
    return made


def copy(imgfs, *words, check=True, **more):
    return imgfs.run("cp", *map(str, words), check=check, **more)


def fails(done, status, *words):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("imgfs: warn ")]
    assert done.returncode == status and len(lines) == 1, (done.returncode, done.stderr)
    for word in words:
        assert word in lines[0], done.stderr


def listed(path):
    return sorted(os.path.relpath(os.path.join(top, name), path)
                  for top, dirs, names in os.walk(path) for name in dirs + names)


ETC = ["away", "closed", "closed/in", "link", "lost", "name", "other", "set-id"]


# ---- what lands where


def test_file_lands_under_its_name_or_the_one_given(imgfs, image, dest):
    copy(imgfs, f"{image}:/etc/name", dest)
    copy(imgfs, f"{image}:/etc/name", dest / "new")
    copy(imgfs, f"{image}:/etc/name", f"{dest}/set-id/../third", check=False)
    copy(imgfs, f"{image}:/etc/set-id", f"{dest}/new")
    assert listed(dest) == ["name", "new"]
    assert (dest / "name").read_text() == "name\n" and (dest / "new").read_text() == "s"
    done = imgfs.run("cp", f"{image}:/etc/name", "relative", cwd=dest)
    assert done.stderr == "" and (dest / "relative").read_text() == "name\n"


def test_directory_lands_as_cp_does_it(imgfs, image, dest):
    copy(imgfs, f"{image}:/etc", dest)
    copy(imgfs, "-r", f"{image}:/etc", dest / "new")
    copy(imgfs, "-R", f"{image}:/etc/", f"{dest}/slash/")
    copy(imgfs, f"{image}:/etc/.", dest / "slash")
    for name in ("etc", "new", "slash"):
        assert listed(dest / name) == ETC, name
    copy(imgfs, f"{image}:/etc/.", dest / "dot")
    copy(imgfs, f"{image}:/", dest / "dot")
    assert {"name", "etc", "usr", "sparse"} <= set(os.listdir(dest / "dot"))


def test_several_sources_need_a_directory(imgfs, image, dest):
    copy(imgfs, f"{image}:/etc/name", f"{image}:/usr/lib", f"{image}:/sparse", dest)
    assert listed(dest) == ["lib", "lib/a.so", "lib/up", "name", "sparse"]
    fails(copy(imgfs, f"{image}:/etc", f"{image}:/usr", dest / "no", check=False), EXIT_OTHER, "no such directory")
    fails(copy(imgfs, f"{image}:/etc", f"{image}:/usr", dest / "name", check=False), EXIT_OTHER, "not a directory")
    assert not (dest / "no").exists()


def test_sources_of_several_images(imgfs, image, small, dest):
    copy(imgfs, f"{image}:/etc/set-id", f"{small}:/etc/name", f"{image}:/usr/lib/a.so", dest, check=True)
    assert (dest / "name").read_bytes() == small_content("etc/name") and listed(dest) == ["a.so", "name", "set-id"]


def test_patterns_are_matched_in_the_image(imgfs, image, dest):
    copy(imgfs, f"{image}:/etc/*e*", dest)
    assert {"name", "set-id", "closed", "other"} <= set(listed(dest)) and "lost" not in listed(dest)
    fails(copy(imgfs, f"{image}:/etc/*.none", dest, check=False), EXIT_NOT_FOUND, "/etc/*.none")


def test_two_sources_of_one_name(imgfs, image, small, dest):
    done = copy(imgfs, f"{image}:/etc/name", f"{small}:/etc/name", dest, check=False)
    fails(done, EXIT_OTHER, "/etc/name", "another source lands as 'name'")
    assert (dest / "name").read_text() == "name\n"


@pytest.mark.root
def test_devices_and_fifos_are_written_to(imgfs, image, dest):
    os.mknod(dest / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    copy(imgfs, f"{image}:/etc/name", dest / "null")
    assert stat.S_ISCHR(os.lstat(dest / "null").st_mode)
    os.mkfifo(dest / "fifo")
    with subprocess.Popen(["cat", dest / "fifo"], stdout=subprocess.PIPE) as reader:
        copy(imgfs, f"{image}:/etc/name", dest / "fifo")
        assert reader.communicate(timeout=30)[0] == b"name\n"
    assert stat.S_ISFIFO(os.lstat(dest / "fifo").st_mode)
    fails(copy(imgfs, f"{image}:/etc", dest / "null", check=False), EXIT_OTHER, "is a directory")


def test_to_standard_output(imgfs, image):
    def shown(path):
        return subprocess.run(imgfs.command("cp", f"{image}:{path}", "-"), capture_output=True, check=True).stdout

    assert shown("/etc/link") == b"name\n"
    assert shown("/sparse") == bytes(1 << 20) + b"x" * 4096 + bytes((2 << 20) - 4096)
    fails(copy(imgfs, f"{image}:/etc", "-", check=False), EXIT_OTHER, "is a directory", "export")
    fails(copy(imgfs, f"{image}:/etc/name", f"{image}:/sparse", "-", check=False), EXIT_USAGE, "one file at a time")
    done = subprocess.run(["sh", "-c", '"$@" >/dev/full', "sh", *imgfs.command("cp", f"{image}:/sparse", "-")],
                          capture_output=True, text=True, check=False)
    fails(done, EXIT_OTHER, "No space left")


def test_a_path_may_hold_a_colon(imgfs, image, dest):
    copy(imgfs, f"{image}:/a:/b", dest)
    assert (dest / "b").read_text() == "colon"


def test_wrong_words(imgfs, image, dest):
    fails(copy(imgfs, check=False), EXIT_USAGE, "source")
    fails(copy(imgfs, f"{image}:/etc", check=False), EXIT_USAGE, "destination")
    fails(copy(imgfs, image, dest, check=False), EXIT_USAGE, "REF:PATH")
    fails(copy(imgfs, image, "/etc/name", dest, check=False), EXIT_USAGE, f"'{image}:/etc/name'")
    fails(copy(imgfs, f"{image}:etc/name", dest, check=False), EXIT_USAGE, "REF:PATH")
    fails(copy(imgfs, f"{image}:/etc", f"{image}:/new", check=False), EXIT_USAGE, "read-only")
    fails(copy(imgfs, dest, f"{image}:/new", check=False), EXIT_USAGE, "read-only")
    fails(copy(imgfs, "-LP", f"{image}:/etc", dest, check=False), EXIT_USAGE, "-L and -P")
    fails(copy(imgfs, "-fn", f"{image}:/etc", dest, check=False), EXIT_USAGE, "-f and -n")
    fails(copy(imgfs, f"{image}:/nope", dest, check=False), EXIT_NOT_FOUND, "/nope", "no such file")
    fails(copy(imgfs, f"{image}:/etc/name", dest / "no" / "x", check=False), EXIT_OTHER, "no such directory")
    fails(copy(imgfs, f"{image}:/etc/name", f"{dest}/no/", check=False), EXIT_OTHER, "no such directory")
    assert listed(dest) == []
    done = copy(imgfs, f"{image}:/nope", f"{image}:/etc/name", dest, check=False)
    fails(done, EXIT_NOT_FOUND, "/nope")
    assert listed(dest) == ["name"]


# ---- what is kept


def test_modes_follow_the_umask(imgfs, image, dest):
    done = copy(imgfs, f"{image}:/etc", f"{image}:/dev", dest, umask=0o027)
    assert "devices left out: 1" in done.stderr and len(done.stderr.splitlines()) == 1
    modes = {name: stat.S_IMODE(os.lstat(dest / "etc" / name).st_mode) for name in ("name", "set-id", "closed", "closed/in")}
    assert modes == {"name": 0o640, "set-id": 0o750, "closed": 0o500, "closed/in": 0o400}
    there = os.lstat(dest / "etc/name")
    assert there.st_uid == os.geteuid() and abs(there.st_mtime - time.time()) < 300 and there.st_nlink == 1
    assert listed(dest / "dev") == []


@pytest.mark.root
def test_archive_keeps_it(imgfs, image, dest):
    done = copy(imgfs, "-a", f"{image}:/etc", f"{image}:/dev", dest, umask=0o077)
    assert done.stderr == ""
    there = os.lstat(dest / "etc/name")
    assert (there.st_uid, there.st_gid, there.st_mtime, there.st_nlink) == (7, 8, MTIME, 2)
    assert os.path.samefile(dest / "etc/name", dest / "etc/other")
    assert stat.S_IMODE(os.lstat(dest / "etc/set-id").st_mode) == 0o4755
    assert os.lstat(dest / "etc/closed").st_mtime == MTIME
    assert os.lstat(dest / "dev/null").st_rdev == os.makedev(1, 3)


def test_sparse_files_stay_sparse(imgfs, image, dest):
    copy(imgfs, f"{image}:/sparse", dest)
    there = os.stat(dest / "sparse")
    assert there.st_size == 3 << 20 and there.st_blocks * 512 < 1 << 20
    assert (dest / "sparse").read_bytes() == bytes(1 << 20) + b"x" * 4096 + bytes((2 << 20) - 4096)


@pytest.mark.root
def test_plain_user_is_told_once_what_is_lost(imgfs, image, scratch, open_to_all):
    world = scratch / "user"
    world.mkdir()
    os.chown(world, NOBODY, NOBODY)
    run("chmod", "-R", "a+rX", image[4:].rsplit(":", 1)[0])
    env = program.environment(HOME=os.fspath(world), IMGFS_STORE=os.fspath(world / "store"))

    def as_user(*words):
        return run(program.BINARY, "cp", *words, user=NOBODY, group=NOBODY, extra_groups=[], cwd=world, env=env, check=False)

    done = as_user("-a", f"{image}:/", "root")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "owner not kept" in done.stderr and "devices left out: 1" in done.stderr
    # Somebody else's rights must not become this user's gift.
    assert stat.S_IMODE(os.lstat(world / "root/etc/set-id").st_mode) == 0o755
    assert os.lstat(world / "root/etc/name").st_mtime == MTIME
    quiet = as_user("-aq", f"{image}:/", "again")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    fails(as_user(f"{image}:/etc/name", "/"), EXIT_DENIED, "/name", "Permission denied")


# ---- symlinks


def test_symlinks_that_are_named_are_followed(imgfs, image, dest):
    copy(imgfs, f"{image}:/lib", f"{image}:/etc/link", dest)
    assert (dest / "lib/a.so").read_text() == "so" and not (dest / "lib").is_symlink()
    assert (dest / "link").read_text() == "name\n" and not (dest / "link").is_symlink()
    copy(imgfs, "-P", f"{image}:/lib", dest / "as-link")
    assert os.readlink(dest / "as-link") == "usr/lib"
    copy(imgfs, "-a", f"{image}:/lib", dest / "archive")
    assert os.readlink(dest / "archive") == "usr/lib"
    copy(imgfs, "-a", f"{image}:/lib/", dest / "slash")
    assert (dest / "slash/a.so").read_text() == "so"


def test_dereference_stays_in_the_image_and_ends(imgfs, image, dest):
    done = copy(imgfs, "-L", f"{image}:/etc", dest, check=False)
    # /tmp is not in the image; "lost" leads nowhere
    assert done.returncode == EXIT_NOT_FOUND and len(done.stderr.splitlines()) == 2, done.stderr
    assert (dest / "etc/link").read_text() == "name\n" and not (dest / "etc/link").is_symlink()
    assert listed(dest / "etc") == sorted(set(ETC) - {"away", "lost"})
    done = copy(imgfs, "-L", f"{image}:/usr", dest, check=False)
    fails(done, EXIT_OTHER, "/usr/lib/up", "lies in")
    assert listed(dest / "usr") == ["lib", "lib/a.so"]


def test_never_through_a_symlink_below_the_destination(imgfs, image, dest, scratch):
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (dest / "etc").symlink_to(outside)
    fails(copy(imgfs, f"{image}:/etc", dest, check=False), EXIT_OTHER, "dest/etc", "in the way")
    assert listed(outside) == ["file"] and (dest / "etc").is_symlink()
    (dest / "name").symlink_to(outside / "file")
    copy(imgfs, f"{image}:/etc/name", dest)
    assert (outside / "file").read_text() == "mine" and not (dest / "name").is_symlink()
    copy(imgfs, "-f", f"{image}:/etc", dest)
    assert listed(dest / "etc") == ETC and listed(outside) == ["file"]
    link = scratch / "link"
    link.symlink_to(dest)  # the user's own word
    copy(imgfs, f"{image}:/sparse", link)
    assert (dest / "sparse").exists()


@pytest.mark.root
def test_a_hostile_pair_of_sources(imgfs, dest, scratch):
    """One source leaves a symlink to the outside, the next has a directory of that name."""
    outside = scratch / "outside"
    outside.mkdir()
    layout = Layout(scratch / "hostile")
    layout.add_layer(b"".join([folder("1"), symlink("1/x", os.fspath(outside)), folder("2"), folder("2/x"),
                               file("2/x/evil", "evil"), folder("3"), file("3/x", "file")]) + END)
    reference = "oci:" + layout.write()
    fails(copy(imgfs, "-a", f"{reference}:/1/.", f"{reference}:/2/.", dest, check=False), EXIT_OTHER, "in the way")
    assert listed(outside) == []
    again = scratch / "again"
    copy(imgfs, "-a", f"{reference}:/1", again)
    fails(copy(imgfs, "-a", f"{reference}:/2/.", again, check=False), EXIT_OTHER, "in the way")
    copy(imgfs, "-a", f"{reference}:/3/.", again)
    assert (again / "x").read_text() == "file" and listed(outside) == []


# ---- what is in the way


def test_files_are_replaced_and_kept_with_no_clobber(imgfs, image, dest):
    (dest / "name").write_text("mine")
    os.link(dest / "name", dest / "mine")
    copy(imgfs, "-n", f"{image}:/etc/.", dest)
    assert (dest / "name").read_text() == "mine" and (dest / "other").read_text() == "name\n"
    copy(imgfs, f"{image}:/etc/name", dest)
    assert (dest / "name").read_text() == "name\n" and (dest / "mine").read_text() == "mine"
    (dest / "usr").write_text("a file")
    fails(copy(imgfs, f"{image}:/usr", dest, check=False), EXIT_OTHER, "dest/usr", "not a directory is in the way")
    copy(imgfs, "-f", f"{image}:/usr", dest)
    assert listed(dest / "usr") == ["lib", "lib/a.so", "lib/up"]
    (dest / "sparse" / "d").mkdir(parents=True)
    fails(copy(imgfs, "-f", f"{image}:/sparse", dest, check=False), EXIT_OTHER, "dest/sparse", "a directory is in the way")
    assert not [name for name in listed(dest) if "imgfs-cp" in name]


def test_hard_links_over_themselves(imgfs, image, dest):
    for _ in range(2):
        copy(imgfs, "-a", f"{image}:/etc", dest, check=False)
        assert listed(dest / "etc") == ETC and os.path.samefile(dest / "etc/name", dest / "etc/other")


# ---- when it goes wrong


@pytest.fixture
def cold(scratch, imgfs):
    """(registry, reference) of the small image: its indexes are here, and no byte of a file."""
    fake = FakeRegistry().start()
    fake.add_layout(images.small_image(scratch / "small").rsplit(":", 1)[0], "small")
    imgfs.build(fake.reference("small"))
    imgfs.keep_only_indexes()
    fake.log.clear()
    yield fake, fake.reference("small")
    fake.stop()


def flip(request, fake):
    reply = fake.honest(request)
    reply.body = bytes(byte ^ 1 for byte in reply.body[:64]) + reply.body[64:]
    return reply


def test_wrong_bytes_leave_no_file(imgfs, cold, dest):
    fake, reference = cold
    fake.on("GET .*/blobs/", lambda request: flip(request, fake))
    done = copy(imgfs, "-q", f"{reference}:/data/large", dest, check=False)
    assert done.returncode == EXIT_INTEGRITY and "/data/large" in done.stderr, done.stderr
    assert listed(dest) == []


def test_without_network_it_ends_and_leaves_no_file(imgfs, cold, dest):
    fake, reference = cold
    digest = imgfs.json("inspect", reference)["digest"]
    fake.stop()
    started = time.monotonic()
    done = copy(imgfs, "-q", "--read-budget", 3, f"{reference.rsplit(':', 1)[0]}@{digest}:/data", dest, check=False)
    assert done.returncode == EXIT_NETWORK and len(done.stderr.splitlines()) == 1, done.stderr
    assert listed(dest) == ["data", "data/many"]
    assert time.monotonic() - started < 20 * program.SLOWER


def test_a_full_disk_ends_it(imgfs, cold, dest):
    _, reference = cold
    run("mount", "-t", "tmpfs", "-o", "size=4m", "none", dest)
    try:
        fails(copy(imgfs, f"{reference}:/data", dest, check=False), EXIT_OTHER, "No space left")
        assert not [name for name in listed(dest) if "imgfs-cp" in name or name == "data/large"]
    finally:
        run("umount", dest)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_half_file_and_can_go_on(imgfs, cold, dest, how):
    fake, reference = cold
    fake.on("GET .*/blobs/", lambda request: Reply(
        206, fake.honest(request).body, headers=fake.honest(request).headers, bytes_per_s=200_000))
    daemon = Daemon(imgfs.command("cp", f"{reference}:/data", dest), f"{imgfs.folder}/cp.log", env=program.environment())
    wait_for(lambda: [name for name in listed(dest) if "imgfs-cp" in name], "a file is being written", 20 * program.SLOWER)
    started = time.monotonic()
    daemon.process.send_signal(how)
    daemon.process.wait(20 * program.SLOWER)
    assert time.monotonic() - started < 3 * program.SLOWER
    assert daemon.process.returncode in (-how, 128 + how) and "interrupted" in daemon.output()
    assert not [name for name in listed(dest) if "imgfs-cp" in name]
    fake.hooks.clear()
    copy(imgfs, "-n", f"{reference}:/data", dest)
    assert (dest / "data/large").read_bytes() == small_content("data/large")
    assert len(listed(dest)) == 67


# ---- what it costs


def test_a_directory_takes_few_requests(imgfs, cold, dest):
    """64 files of 64 KiB: 4 MiB of one layer, 17 chunks, in a few ranges, and nothing else."""
    fake, reference = cold
    copy(imgfs, f"{reference}:/data/many", dest)
    ranges = fake.requests("GET .*/blobs/")
    assert len(ranges) <= 6, [r.range for r in ranges]
    assert sum(last - first + 1 for first, last in (r.range for r in ranges)) < (5 << 20)
    for name in os.listdir(dest / "many"):
        assert (dest / "many" / name).read_bytes() == small_content(f"data/many/{name}")


def test_with_a_published_index_no_layer_is_streamed(scratch, dest):
    world = World(scratch)
    try:
        world.publish()
        node = world.node()
        world.registry.traffic.clear()
        node.run("cp", *world.trusting(), f"{world.reference}:/data/many/07", dest)
        assert (dest / "07").read_bytes() == small_content("data/many/07")
        assert sum(t[3] for t in world.registry.traffic) < 2 << 20
    finally:
        world.stop()
