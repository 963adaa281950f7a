"""rows_growth: what grows with entries, layers and readers, and how fast: linear or better.

A row compares the largest with one in the middle; its bar is the ratio of the sizes and TOLERANCE. All points go to
bench.json ("growth") and are drawn.
"""
import os
import random

import generated
import machine
from measure import Group, Row, median

TOLERANCE = 1.15
ENTRIES = (10_000, 100_000, 1_000_000)
LAYERS, LAYERED = (1, 16, 127), 20_000
READERS, READ_FILES = (1, 10, 100), 10_000
LOOKUP_FOLDERS = 50  # all files of as many folders, whatever the tree: as many questions for folders, too
LARGEST = 64  # bytes of a file: names are what is measured


class Growth(Group):
    """Contenders are the sizes; each turn gives all figures for its size."""

    axis, sizes, keys = "", (), ()

    def contenders(self):
        return {str(size): self.turn(size) for size in self.sizes}

    def closure(self, wanted):
        return {str(size) for size in self.sizes}  # a curve has all its points

    def turn(self, size):
        def take():
            sample = self.take(size)
            self.seen.setdefault(size, []).append(sample)
            return sample

        return take

    def prepare(self, wanted):
        self.seen = {}

    def finish(self):
        seen = getattr(self, "seen", {})
        points = {key: [median([sample[key] for sample in seen[size]]) for size in sorted(seen)] for key in self.keys}
        self.curves = {self.axis: {"n": sorted(seen), **points}} if seen else {}


def build_and_mount(world, name, paths):
    """Index build into an empty store, a new mount on it, lookups, memory."""
    client = world.client()
    reference = world.registry.reference(name)
    try:
        build = machine.timed(*client.command("index build", reference), env={**os.environ, **world.env})
        sample = {"seconds": build, "build_s": build, "index_bytes": client.index_bytes(),
                  "tree_bytes": client.tree_bytes()}
        folder, sample["mount_s"] = client.timed_mount(reference)
        sample |= machine.memory_of(client.pid(folder))
        listed = world.path("growth", "list")
        with open(listed, "w", encoding="ascii") as file:
            file.write("".join(f"{path}\n" for path in paths))
        taken, _ = machine.seconds_of(world.probe(), "stat", listed, folder)
        sample["lookup_us"] = taken / len(paths) * 1e6
        return {**sample, "used_mib": machine.memory_of(client.pid(folder))["rss_mib"]}
    finally:
        world.remove(client)


def some_folders(size):
    """Files of LOOKUP_FOLDERS folders of a generated tree."""
    folders = {}
    for path, data in generated.entries(size, LARGEST):
        if data is not None:
            folders.setdefault(os.path.dirname(path), []).append(path)
    chosen = random.Random(1).sample(sorted(folders), LOOKUP_FOLDERS)
    return [path for folder in chosen for path in folders[folder]]


class Entries(Growth):
    name, axis, sizes = "growth-entries", "entries", ENTRIES
    keys = ("build_s", "mount_s", "lookup_us", "rss_mib", "index_bytes", "tree_bytes")

    def take(self, size):
        name = f"names{size}"
        self.world.add(name, self.world.many(size, LARGEST))
        sample = build_and_mount(self.world, name, some_folders(size))
        return {**sample, "bytes_per_entry": sample["tree_bytes"] / size}


class Layers(Growth):
    name, axis, sizes = "growth-layers", "layers", LAYERS
    keys = ("build_s", "mount_s", "lookup_us", "rss_mib", "index_bytes")

    def take(self, size):
        name = f"layers{size}"
        self.world.add(name, self.world.many(LAYERED, LARGEST, size))
        return build_and_mount(self.world, name, some_folders(LAYERED))


class Readers(Growth):
    """The same files from the store, cold, shared out among readers."""

    name, axis, sizes = "growth-readers", "readers", READERS
    keys = ("seconds", "rss_mib", "peak_mib")

    def prepare(self, wanted):
        super().prepare(wanted)
        name = "many100000"
        reference = self.world.add(name, self.world.many(100_000))
        self.client = self.world.client(self.world.indexed(name))
        self.folder, _ = self.client.timed_mount(reference)
        files = [path for path, data in generated.entries(100_000, 2048) if data]
        self.list = self.world.path("readers", "list")
        with open(self.list, "w", encoding="ascii") as file:
            file.write("".join(f"{path}\n" for path in random.Random(1).sample(files, READ_FILES)))
        machine.seconds_of(self.world.probe(), "small", self.list, self.folder)

    def take(self, size):
        machine.cold()
        taken, _ = machine.seconds_of(self.world.probe(), "readers", size, self.list, self.folder)
        return {"seconds": taken, **machine.memory_of(self.client.pid(self.folder))}

    def finish(self):
        super().finish()
        if getattr(self, "client", None):
            self.world.remove(self.client)


def linear(name, what, group, small, large, key, unit="s"):
    return Row(name, f"{what}: {large} against {small}", group, round(large / small * TOLERANCE, 2), str(small),
               ours=str(large), key=key, unit=unit, caches="warm", against=f"{small:,}")


E, L = ENTRIES, LAYERS
ROWS = [
    linear("growth-entries-build", "index build by entries", "growth-entries", E[1], E[2], "build_s"),
    linear("growth-entries-mount", "mount by entries", "growth-entries", E[1], E[2], "mount_s"),
    linear("growth-entries-memory", "RSS of the mount by entries", "growth-entries", E[1], E[2], "rss_mib", "MiB"),
    Row("growth-entries-lookup", f"one first lookup: {E[2]} entries against {E[1]}", "growth-entries", 2, str(E[1]),
        ours=str(E[2]), key="lookup_us", unit="us", caches="warm", against=f"{E[1]:,}"),
    Row("growth-mount-1m", "mount of 1,000,000 entries, index in the store", "growth-entries", 1.0, ours=str(E[2]),
        key="mount_s", caches="warm"),
    Row("growth-entry-bytes", "bytes of the merged index an entry, 1,000,000 entries", "growth-entries", 80, ours=str(E[2]),
        key="bytes_per_entry", unit="bytes", caches="warm"),
    linear("growth-layers-build", "index build by layers, the same tree", "growth-layers", L[1], L[2], "build_s"),
    linear("growth-layers-mount", "mount by layers, the same tree", "growth-layers", L[1], L[2], "mount_s"),
    linear("growth-layers-memory", "RSS by layers, the same tree", "growth-layers", L[1], L[2], "rss_mib", "MiB"),
    Row("growth-readers-10", "the same 10,000 files by 10 readers, against one", "growth-readers", TOLERANCE, "1", ours="10",
        against="1 reader"),
    Row("growth-readers-100", "the same 10,000 files by 100 readers, against one", "growth-readers", TOLERANCE, "1",
        ours="100", against="1 reader"),
]


def groups(world):
    return [Entries(world), Layers(world), Readers(world)]
