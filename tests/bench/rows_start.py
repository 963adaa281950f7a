"""rows_start: how soon a container's first line comes; and what imgfs needs for it in bytes and in memory.

One group an image. In each round, on the same machine state:

    overlay     warm: an overlay on containerd's unpacked layers + runc, run once before (the limit)
    imgfs       index published in the registry, store empty, caches cold: mount + overlay + runc
    again       the same mount, a second container: warm
    new-mount   a new mount on that store: mount + overlay + runc, pages of the store cached
    stored      as imgfs, but the index lies in the store
    profile     as stored, with a recorded profile
    first       no index anywhere, store empty, caches cold
    soci        its index in the registry, nothing pulled, caches cold: rpull + run
    containerd  nothing pulled, caches cold: pull + run

Bytes and requests are those of the registry's log, or of the line.
"""

import generated
import machine
from containers import Runner
from harness import BINARY, run
from measure import Group, Row, Skip
from peers import Containerd
from world import Counted, Line

RTT_MS, MBIT = 20, 200
IMAGES = ("python", "node")


class Start(Group):
    most = {"containerd": 3, "first": 3}
    often = {"overlay": 2, "again": 2}
    after = {"again": ["imgfs"], "new-mount": ["imgfs"]}

    def __init__(self, world, image):
        super().__init__(world)
        self.image, self.name = image, f"start-{image}"
        self.mounted = self.client = self.soci = self.kept = None
        self.numbers = 0

    def contenders(self):
        return {"overlay": self.overlay, "imgfs": self.published, "again": self.again, "new-mount": self.new_mount,
                "stored": self.stored, "profile": self.profile, "first": self.first, "soci": self.soci_start,
                "containerd": self.containerd}

    def prepare(self, wanted):
        layout = self.world.layout(self.image)
        self.reference = self.world.image(self.image)
        self.config = generated.config_of(layout)
        self.command = (self.config.get("Entrypoint") or []) + self.config["Cmd"]
        self.runner = Runner(self.world.path(self.name, ""), self.config)
        if wanted & {"imgfs"}:
            self.trust = self.world.published(self.image)
        if wanted & {"stored", "profile"}:
            self.world.indexed(self.image)
        if "overlay" in wanted:
            self.unpack()
        if "soci" in wanted:
            self.find_soci()

    def unpack(self):
        """The same tree as overlayfs has it, warm."""
        self.kept = Containerd(self.world, f"{self.name}.unpacked")
        try:
            self.kept.start().pull(self.reference)
            self.lower = self.kept.lower(self.reference)
        finally:
            self.kept.stop(keep=True)
        self.runner.run(self.lower)

    def find_soci(self):
        """Its index is made and pushed before the rounds; without SOCI its turn is skipped."""
        self.soci = self.world.find_soci()
        try:
            self.soci_index = self.soci.index(self.reference) if self.soci else None
        except AssertionError as error:
            self.world.soci_word, self.soci = f"SOCI has no index: {str(error)[-200:]}", None

    def begin_round(self):
        self.drop_client()

    def finish(self):
        self.drop_client()
        if self.soci:
            self.soci.stop()

    def drop_client(self):
        if self.client:
            self.world.remove(self.client)
            self.client = None

    # ---- imgfs

    def start(self, client, *options, reference=None):
        """Mount, run, and what the daemon took for it."""
        folder, mounted = client.timed_mount(reference or self.reference, *options)
        ran = self.runner.run(folder)
        self.mounted, status = folder, client.status(folder)
        return {"seconds": mounted + ran, "mount_s": mounted, "run_s": ran, "upcalls": status["upcalls_total"],
                "fetches": status["content"]["fetches"], **machine.memory_of(status["pid"])}

    def cold_start(self, client, *options):
        machine.cold()
        with Counted(self.world.registry) as counted:
            sample = self.start(client, *options)
        return {**sample, "bytes": counted.bytes, "requests": counted.requests}

    def published(self):
        self.client = self.world.client()
        return self.cold_start(self.client, *self.trust)

    def again(self):
        return {"seconds": self.runner.run(self.mounted)}

    def new_mount(self):
        self.client.umount(self.mounted)
        sample = self.start(self.client, *self.trust)
        self.client.umount(self.mounted)
        return sample

    def with_store(self, store, *options):
        client = self.world.client(store)
        try:
            return self.cold_start(client, *options)
        finally:
            self.world.remove(client)

    def stored(self):
        return self.with_store(self.world.indexed(self.image))

    def profile(self):
        """A first start records; what it fetched is thrown away, its profile stays."""
        if run(BINARY, "profile", "--help", check=False).returncode:
            raise Skip("no imgfs profile yet")
        client = self.world.client(self.world.indexed(self.image))
        try:
            self.start(client)
            client.umount(self.mounted)
            client.keep_only_indexes()
            return self.cold_start(client)
        finally:
            self.world.remove(client)

    def first(self):
        return self.with_store(None, "--index", "none")

    # ---- counterparts

    def overlay(self):
        return {"seconds": self.runner.run(self.lower)}

    def containerd(self):
        self.numbers += 1
        peer = Containerd(self.world, f"{self.name}.{self.numbers}").start()
        try:
            machine.cold()
            with Counted(self.world.registry) as counted:
                pulled = peer.pull(self.reference)
                ran = peer.run(self.reference, self.command)
            warm = peer.run(self.reference, self.command)
        finally:
            peer.stop()
        return {"seconds": pulled + ran, "pull_s": pulled, "run_s": ran, "ctr_warm_s": warm, "bytes": counted.bytes,
                "requests": counted.requests}

    def soci_start(self):
        if not self.soci:
            raise Skip(self.world.soci_word)
        self.soci.restart()
        machine.cold()
        with Counted(self.world.registry) as counted:
            pulled = self.soci.rpull(self.reference, self.soci_index)
            ran = self.soci.run(self.reference, self.command)
        warm = self.soci.run(self.reference, self.command)
        self.soci.stop()
        return {"seconds": pulled + ran, "rpull_s": pulled, "run_s": ran, "soci_warm_s": warm, "bytes": counted.bytes,
                "requests": counted.requests}


class Wan(Start):
    """The same start over a line."""

    most = {}
    often = {}
    after = {}

    def __init__(self, world, image):
        super().__init__(world, image)
        self.name = f"wan-{image}"

    def contenders(self):
        return {"imgfs": self.published, "stored": self.stored, "profile": self.profile, "soci": self.soci_start}

    def over_line(self, start):
        """start(reference over the line) between two cold caches, and what went over it."""
        machine.cold()
        with Line(self.world.registry, self.world.folder, RTT_MS, MBIT) as line:
            sample = start(self.reference.replace(self.world.registry.host, line.host))
        return {**sample, "bytes": line.bytes, "connections": line.connections}

    def cold_start(self, client, *options):
        return self.over_line(lambda reference: self.start(client, *options, reference=reference))

    def published(self):
        return self.with_store(None, *self.trust)

    def soci_start(self):
        if not self.soci:
            raise Skip(self.world.soci_word)
        self.soci.restart()

        def start(reference):
            pulled = self.soci.rpull(reference, self.soci_index)
            ran = self.soci.run(reference, self.command)
            return {"seconds": pulled + ran, "rpull_s": pulled, "run_s": ran}

        sample = self.over_line(start)
        self.soci.stop()
        return sample


def idle_mount(world, image):
    """Memory of a mount that nobody has used."""
    client = world.client(world.indexed(image))
    try:
        folder, _ = client.timed_mount(world.registry.reference(image))
        return machine.memory_of(client.pid(folder))
    finally:
        world.remove(client)


class Memory(Group):
    """Idle, and first contact with one layer that holds one large file."""

    name = "memory"

    def contenders(self):
        return {"idle": self.idle, "peak-large": self.peak_large}

    def idle(self):
        self.world.image("python")
        return idle_mount(self.world, "python")

    def peak_large(self):
        reference = self.world.large()
        client = self.world.client()
        try:
            folder, taken = client.timed_mount(reference, "--index", "none")
            return {"seconds": taken, **machine.memory_of(client.pid(folder))}
        finally:
            self.world.remove(client)


def rows_of(image):
    group, line = f"start-{image}", f"wan-{image}"
    known = "mount + first line, index published, store empty"
    rows = [
        Row(f"start-{image}-limit", f"{image}: {known}, against a warm overlayfs run", group, 2.5, "overlay"),
        Row(f"start-{image}-soci", f"{image}: {known}, against SOCI", group, 0.35, "soci"),
        Row(f"start-{image}-pull", f"{image}: {known}, against containerd pull + run", group, 0.10, "containerd"),
        Row(f"start-{image}-stored", f"{image}: the same with the index in the store, against warm overlayfs", group, 2.5,
            "overlay", ours="stored"),
        Row(f"start-{image}-profile", f"{image}: with a recorded profile, against without", group, 0.85, "stored",
            ours="profile"),
        Row(f"first-{image}", f"{image}: first contact, no index anywhere, against containerd pull + run", group, 0.40,
            "containerd", ours="first"),
        Row(f"warm-{image}-again", f"{image}: second run in the same mount, against overlayfs on ext4", group, 1.15,
            "overlay", ours="again", caches="warm"),
        Row(f"warm-{image}-new-mount", f"{image}: new mount on the same store, mount included, against overlayfs", group,
            1.15, "overlay", ours="new-mount", caches="warm"),
        Row(f"wan-{image}-profile", f"{image}: over the line with a recorded profile, against without", line, 0.85, "stored",
            ours="profile"),
        Row(f"wan-{image}-soci", f"{image}: {known}, {RTT_MS} ms, {MBIT} Mbit/s, against SOCI", line, 0.45, "soci"),
    ]
    if image == "python":
        rows += [
            Row("wan-python-bytes", "python: bytes over the line, index included", line, 55e6, key="bytes", unit="B"),
            Row("memory-started", "RSS after python's app has started", group, 40, key="rss_mib", unit="MiB"),
        ]
    rows.append(Row(f"memory-first-{image}", f"peak RSS from first contact to the first line, {image}", group, 128,
                    ours="first", key="peak_mib", unit="MiB"))
    return rows


def groups(world):
    return [*(Start(world, image) for image in IMAGES), *(Wan(world, image) for image in IMAGES), Memory(world)]


ROWS = [row for image in IMAGES for row in rows_of(image)] + [
    Row("memory-idle", "RSS of an idle mount, python", "memory", 8, ours="idle", key="rss_mib", unit="MiB", caches="warm"),
    Row("memory-first-large", "peak RSS in first contact, one layer of 1 GiB", "memory", 128, ours="peak-large",
        key="peak_mib", unit="MiB", caches="warm"),
]
