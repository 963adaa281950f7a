"""rows_data: one file of 1 GiB, read in order and at random.

In each round: a mount with an empty store reads the file from the registry; after caches were dropped it reads it from the
store; then again with every page cached. ext4 holds the same file.
"""
import os
import shutil
import subprocess

import generated
import machine
from measure import Group, Row, Skip
from rows_tree import Ext4
from world import Counted

RANDOM_READS = 200_000
MB = 1e6


def speed(taken, size):
    return {"seconds": taken, "mb_s": size / MB / taken}


class Data(Group):
    name = "data"
    after = {"store": ["registry"], "again": ["registry"], "random": ["registry"]}

    def __init__(self, world):
        super().__init__(world)
        self.client = self.ext4 = None

    def contenders(self):
        return {"curl": self.curl, "registry": self.registry, "store": self.store, "ext4": self.ext4_cold,
                "again": self.again, "ext4-again": self.ext4_again, "random": self.random, "ext4-random": self.ext4_random}

    def prepare(self, wanted):
        self.reference = self.world.large()
        (self.blob,) = generated.layers_of(self.world.large_layout)
        self.template = self.world.indexed("large")
        self.probe = self.world.probe()
        if any(name.startswith("ext4") for name in wanted):
            self.ext4 = Ext4(self.world, "data.ext4", 1300)
            self.file = os.path.join(self.ext4.folder, "large")
            with open(self.file, "wb") as out:
                command = f"gzip -dc '{self.blob}' | tail -c +513 | head -c {generated.LARGE}"
                subprocess.run(["sh", "-c", command], stdout=out, check=True, timeout=300)

    def begin_round(self):
        if self.client:
            self.world.remove(self.client)
            self.client = None

    def finish(self):
        self.begin_round()
        if self.ext4:
            self.ext4.remove()

    def read(self, path):
        return speed(*machine.seconds_of(self.probe, "read", path))

    def random_reads(self, path):
        self.read(path)
        taken, _ = machine.seconds_of(self.probe, "random", path, RANDOM_READS)
        return {"seconds": taken, "reads_s": RANDOM_READS / taken}

    def curl(self):
        if not shutil.which("curl") or not shutil.which("igzip"):
            raise Skip("no curl or no igzip")
        machine.cold()
        digest = os.path.basename(self.blob)
        url = f"https://{self.world.registry.host}/v2/large/blobs/sha256:{digest}"
        command = f"set -o pipefail; curl -sSf --cacert '{self.world.registry.ca}' {url} | igzip -dc"
        taken = machine.timed("bash", "-c", command)
        return speed(taken, generated.LARGE)

    def registry(self):
        self.client = self.world.client(self.template)
        self.mounted, _ = self.client.timed_mount(self.reference)
        machine.cold()
        with Counted(self.world.registry) as counted:
            sample = self.read(f"{self.mounted}/large")
        return {**sample, "bytes": counted.bytes, "requests": counted.requests}

    def store(self):
        machine.cold()
        return self.read(f"{self.mounted}/large")

    def again(self):
        self.read(f"{self.mounted}/large")
        return self.read(f"{self.mounted}/large")

    def random(self):
        return self.random_reads(f"{self.mounted}/large")

    def ext4_cold(self):
        machine.cold()
        return self.read(self.file)

    def ext4_again(self):
        self.read(self.file)
        return self.read(self.file)

    def ext4_random(self):
        return self.random_reads(self.file)


def row(name, what, bar, ours, other, caches, key="mb_s", unit="MB/s"):
    return Row(name, what, "data", bar, other, ours=ours, key=key, unit=unit, better="higher", caches=caches,
               against=other.removesuffix("-again").removesuffix("-random"))


ROWS = [
    row("read-registry", "1 GiB in order from the registry, against curl | igzip -dc", 0.8, "registry", "curl", "cold"),
    row("read-store", "1 GiB in order from the store, against ext4", 0.6, "store", "ext4", "cold"),
    row("read-again", "1 GiB in order again, against ext4", 0.95, "again", "ext4-again", "warm"),
    row("random-4k", "random reads of 4 KiB, against ext4", 0.95, "random", "ext4-random", "warm", "reads_s", "reads/s"),
]


def groups(world):
    return [Data(world)]
