"""rows_tree: names and small files, against EROFS from a file and ext4.

One generated image of 100,000 entries; the same tree in a folder on ext4 (the scratch folder's file system if that is
ext4, else a loop device) and in an EROFS image that is mounted without a loop device.
"""
import os
import random
import shutil

import generated
import machine
from containers import libc, umount
from harness import run
from measure import Group, Row, Skip
from world import Counted

ENTRIES, SMALL = 100_000, 10_000


def file_system_of(folder):
    return run("stat", "-f", "-c", "%T", folder).stdout.strip()


class Ext4:
    """A folder on ext4."""

    def __init__(self, world, name, mib):
        self.folder, self.loop = world.path(name, "tree"), False
        os.makedirs(self.folder)
        world.notes["ext4"] = "folder"
        if file_system_of(world.folder) == "ext2/ext3":
            return
        if not shutil.which("mkfs.ext4"):
            raise Skip("no ext4: the scratch folder is not on one, and there is no mkfs.ext4")
        image = world.path(name, "image")
        run("truncate", "-s", f"{mib}M", image)
        run("mkfs.ext4", "-q", "-N", "300000", image)
        if run("mount", "-o", "loop", image, self.folder, check=False).returncode:
            raise Skip("no ext4: no loop device")
        self.loop, world.notes["ext4"] = True, "loop"

    def remove(self):
        if self.loop:
            umount(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def mount_erofs(image, folder):
    """From the file itself where the kernel can (6.12), else with a loop device; says which."""
    if libc.mount(os.fsencode(image), os.fsencode(folder), b"erofs", 1, None) == 0:
        return "file"
    if run("mount", "-t", "erofs", "-o", "loop,ro", image, folder, check=False).returncode:
        raise Skip("no EROFS in this kernel")
    return "loop"


def find_and_du(folder):
    find, du = machine.timed("find", folder), machine.timed("du", "-s", folder)
    return {"seconds": find + du, "find_s": find, "du_s": du}


class Tree(Group):
    name = "tree"
    often = {"mount": 3}

    def __init__(self, world):
        super().__init__(world)
        self.client = self.ext4 = self.erofs = None
        self.erofs_word = "no mkfs.erofs"

    def contenders(self):
        found = {"mount": self.mount}
        for caches in ("cold", "warm"):
            for name in ("imgfs", "ext4", "erofs"):
                found[f"walk-{name}-{caches}"] = self.turn(find_and_du, name, caches)
                if name != "erofs" or caches == "cold":
                    found[f"small-{name}-{caches}"] = self.turn(self.small, name, caches)
        # warm follows cold of the same tree and work, so that it was just read
        order = ["mount"] + [f"{work}-{name}-{caches}" for work in ("walk", "small") for name in ("imgfs", "ext4", "erofs")
                             for caches in ("cold", "warm")]
        return {name: found[name] for name in order if name in found}

    def turn(self, work, name, caches):
        def take():
            folder = self.folders.get(name)
            if not folder:
                raise Skip(self.erofs_word)
            if caches == "cold":
                machine.cold()
            else:
                work(folder)
            return work(folder)

        return take

    def prepare(self, wanted):
        layout = self.world.many(ENTRIES)
        self.reference = self.world.add(f"many{ENTRIES}", layout)
        self.store = self.world.indexed(f"many{ENTRIES}")
        self.folders, self.list = {}, self.world.path("tree", "list")
        if wanted == {"mount"}:
            return
        files = [path for path, data in generated.entries(ENTRIES, 2048) if data]
        random.Random(1).shuffle(files)
        with open(self.list, "w", encoding="ascii") as file:
            file.write("".join(f"{path}\n" for path in files[:SMALL]))
        self.probe = self.world.probe()
        if any("ext4" in name or "erofs" in name for name in wanted):
            self.ext4 = Ext4(self.world, "tree.ext4", 1024)
            generated.write_tree(self.ext4.folder, generated.entries(ENTRIES, 2048))
            self.folders["ext4"] = self.ext4.folder
        if any("erofs" in name for name in wanted) and shutil.which("mkfs.erofs"):
            self.make_erofs()
        self.client = self.world.client(self.store)
        self.folders["imgfs"], _ = self.client.timed_mount(self.reference)
        if any("small" in name for name in wanted):
            self.small(self.folders["imgfs"])  # every chunk is stored from here on

    def make_erofs(self):
        image = self.world.path("tree.erofs", "image")
        run("mkfs.erofs", image, self.ext4.folder, timeout=600)
        self.erofs = self.world.path("tree.erofs", "mnt")
        os.makedirs(self.erofs)
        try:
            self.world.notes["erofs"] = mount_erofs(image, self.erofs)
            self.folders["erofs"] = self.erofs
        except Skip as word:
            self.erofs_word = str(word)

    def small(self, folder):
        taken, size = machine.seconds_of(self.probe, "small", self.list, folder)
        return {"seconds": taken, "read_bytes": size}

    def mount(self):
        """From the start of the process to a listing, tag looked up in the registry, index in the store."""
        client = self.world.client(self.store)
        try:
            with Counted(self.world.registry) as counted:
                _, taken = client.timed_mount(self.reference)
            return {"seconds": taken, "requests": counted.requests, "bytes": counted.bytes}
        finally:
            self.world.remove(client)

    def finish(self):
        if self.erofs:
            umount(self.erofs)
        if self.ext4:
            self.ext4.remove()
        if self.client:
            self.world.remove(self.client)


ROWS = [
    Row("mount-100k", "mount, index in the store, 100,000 entries: process start to ls", "tree", 0.030, ours="mount",
        caches="warm"),
    Row("walk-cold", "find, then du, 100,000 entries, against EROFS from a file", "tree", 2, "walk-erofs-cold",
        ours="walk-imgfs-cold", against="EROFS"),
    Row("walk-warm", "find, then du, 100,000 entries, against ext4", "tree", 1.2, "walk-ext4-warm", ours="walk-imgfs-warm",
        caches="warm", against="ext4"),
    Row("small-cold", "open, read, close of 10,000 small files, chunks stored, against ext4", "tree", 2, "small-ext4-cold",
        ours="small-imgfs-cold", against="ext4"),
    Row("small-warm", "open, read, close of 10,000 small files, against ext4", "tree", 1.2, "small-ext4-warm",
        ours="small-imgfs-warm", caches="warm", against="ext4"),
]


def groups(world):
    return [Tree(world)]
