"""rows_index: making an index, and what an upgrade fetches.

    build     imgfs index build of python into an empty store, from the registry
    soci      soci create, of an image that containerd 1.7 has pulled
    hash      gzip -dc | sha256sum of its layers, one after the other, from local files
    upgrade   start python, then python-next in the same store, indexes known: bytes of the second start
    estimate  compressed bytes of the chunks that hold files which the app opens in python-next and python does not have
"""
import os
import re
import shutil
import subprocess

import generated
import machine
from containers import Runner
from measure import Group, Row, Skip
from world import Counted

OLD, NEW = "python", "python-next"


class Build(Group):
    name = "index"
    most = {"soci": 3, "imgfs": 3, "hash": 3}

    def __init__(self, world):
        super().__init__(world)
        self.soci = None

    def contenders(self):
        return {"imgfs": self.imgfs, "hash": self.hash, "soci": self.soci_create}

    def prepare(self, wanted):
        self.reference = self.world.image(OLD)
        self.layers = generated.layers_of(self.world.layout(OLD))
        if "soci" in wanted:
            self.soci = self.world.find_soci()
            if self.soci:
                self.soci.restart()
                self.soci.pull(self.reference)

    def finish(self):
        if self.soci:
            self.soci.stop()

    def imgfs(self):
        client = self.world.client()
        machine.cold()
        try:
            with Counted(self.world.registry) as counted:
                taken = machine.timed(*client.command("index build", self.reference), env={**os.environ, **self.world.env})
            return {"seconds": taken, "bytes": counted.bytes, "requests": counted.requests,
                    "index_bytes": client.index_bytes()}
        finally:
            self.world.remove(client)

    def hash(self):
        machine.cold()
        return {"seconds": sum(machine.timed("bash", "-c", f"set -o pipefail; gzip -dc '{layer}' | sha256sum")
                               for layer in self.layers)}

    def soci_create(self):
        if not self.soci:
            raise Skip(self.world.soci_word)
        machine.cold()
        return {"seconds": self.soci.create(self.reference)}


def chunks_and_files(dump):
    """From `imgfs index dump --layer N`: [(stream offset, length, blob bytes)] and {path: (offset, size, digest)}."""
    chunks, files = [], {}
    for line in dump.splitlines():
        if line.startswith("chunk "):
            stream, blob = re.search(r" stream=(\d+)\+(\d+) ", line), re.search(r" blob=\d+\+(\d+) ", line)
            chunks.append((int(stream[1]), int(stream[2]), int(blob[1])))
        elif found := re.match(r"(/.*?) file .* size=(\d+) .*?data=\d+\+\d+@\d+:(\d+).* sha256=([0-9a-f]+)", line):
            files[found[1]] = (int(found[3]), int(found[2]), found[4])
    return chunks, files


def compressed_bytes(chunks, ranges):
    """Blob bytes of the chunks that hold any of the ranges (offset, size) of the stream."""
    return sum(blob for start, length, blob in chunks
               if any(start < at + size and at < start + length for at, size in ranges))


class Upgrade(Group):
    name = "upgrade"
    most = {"upgrade": 3, "estimate": 1}

    def contenders(self):
        return {"upgrade": self.upgrade, "estimate": self.estimate}

    def prepare(self, wanted):
        self.references = {name: self.world.image(name) for name in (OLD, NEW)}
        self.stores = {name: self.world.indexed(name) for name in (OLD, NEW)}
        self.runner = Runner(self.world.path("upgrade", ""), generated.config_of(self.world.layout(OLD)))
        self.command = self.runner.config["Cmd"]

    def both_indexes(self):
        """A client whose store knows both images and holds no bytes of theirs."""
        client = self.world.client(self.stores[OLD])
        shutil.copytree(self.stores[NEW], client.store, dirs_exist_ok=True)
        return client

    def upgrade(self):
        client = self.both_indexes()
        try:
            old, _ = client.timed_mount(self.references[OLD])
            self.runner.run(old)
            client.umount(old)
            machine.cold()
            with Counted(self.world.registry) as counted:
                new, mounted = client.timed_mount(self.references[NEW])
                ran = self.runner.run(new)
            return {"seconds": mounted + ran, "bytes": counted.bytes, "requests": counted.requests}
        finally:
            self.world.remove(client)

    def opened(self, client, folder):
        """Paths in the image of files that the app opens, symlinks resolved."""
        if not shutil.which("strace"):
            raise Skip("no strace")
        log = self.world.path("upgrade", "strace")
        words = ["strace", "-f", "-y", "-qq", "-e", "trace=open,openat,execve", "-o", log, "chroot", folder, *self.command]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=300)
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        found = set(re.findall(r" = \d+<" + re.escape(folder) + r"(/[^>]+)>", text))
        for path in re.findall(r'execve\("([^"]+)".* = 0$', text, re.M):
            real = os.path.realpath(f"{folder}/{path}")
            found.add(real.removeprefix(folder))
        return found

    def dumps(self, client, name):
        """(chunks, files) of each layer of an image, the lowest first."""
        layers = client.json("inspect", self.references[name])["layers"]
        return [chunks_and_files(client.run("index dump", "--layer", str(i), self.references[name]).stdout)
                for i in range(len(layers))]

    def estimate(self):
        client = self.both_indexes()
        try:
            folder, _ = client.timed_mount(self.references[NEW])
            opened = self.opened(client, folder)
            known = {digest for _, files in self.dumps(client, OLD) for _, _, digest in files.values()}
            total = changed = 0
            seen = set()
            for chunks, files in reversed(self.dumps(client, NEW)):  # the upper layer hides a path of those below
                mine = {path: files[path] for path in opened & set(files) - seen}
                seen |= set(files)
                ranges = [(at, size) for at, size, digest in mine.values() if digest not in known and size]
                changed += len(ranges)
                total += compressed_bytes(chunks, ranges)
            return {"bytes": total, "changed_files": changed, "opened_files": len(opened)}
        finally:
            self.world.remove(client)


ROWS = [
    Row("index-soci", "imgfs index build of python from the registry, against soci create of a local copy", "index", 0.40,
        "soci"),
    Row("index-hash", "imgfs index build of python, against gzip -dc | sha256sum of its layers", "index", 1.0, "hash"),
    Row("upgrade", "python-next after python: bytes, against chunks that hold changed files the app opens", "upgrade", 1.3,
        "estimate", ours="upgrade", key="bytes", unit="B"),
]


def groups(world):
    return [Build(world), Upgrade(world)]
