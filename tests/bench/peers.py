"""peers: containerd of this machine (pull, unpack to overlayfs, run) and SOCI in a Debian 13 root ($LAB).

Each start has an empty state of its own, and nothing outside the scratch folder is written: the Debian 13 root is bound
into it read-only, with folders of the scratch folder where its programs write. Certificates come with SSL_CERT_FILE.
"""
import json
import os
import shutil
import subprocess
import time

from containers import first_line, umount
from harness import Daemon, run, wait_for
from measure import Skip

CONFIG = """\
version = 2
root = "{top}/root"
state = "{top}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.restart"]
[debug]
  level = "warn"
[grpc]
  address = "{top}/sock"
[ttrpc]
  address = "{top}/sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{top}/opt"
{more}"""
SOCI = """\
[proxy_plugins.soci]
  type = "snapshot"
  address = "/run/soci.sock"
"""


class Containerd:
    """Debian's containerd with overlayfs, empty at each start."""

    def __init__(self, world, name):
        if not shutil.which("containerd") or not shutil.which("ctr"):
            raise Skip("no containerd")
        self.world, self.top = world, world.path(name)
        self.env = {**os.environ, **world.env}
        self.daemon, self.runs = None, 0

    def start(self):
        os.makedirs(self.top)
        config = os.path.join(self.top, "config.toml")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(top=self.top, more=""))
        self.daemon = Daemon(["containerd", "-c", config], os.path.join(self.top, "containerd.log"), env=self.env)
        wait_for(lambda: run(*self.ctr("version"), check=False).returncode == 0, "containerd answers")
        return self

    def ctr(self, *words):
        return ["ctr", "-a", f"{self.top}/sock", *words]

    def pull(self, reference):
        """Seconds to fetch and unpack."""
        start = time.monotonic()
        run(*self.ctr("images", "pull", reference), timeout=1800, env=self.env)
        return time.monotonic() - start

    def run(self, reference, command):
        """Seconds from `ctr run` to the container's first line."""
        self.runs += 1
        name = f"imgfs-bench-ctr-{os.path.basename(self.top)}-{self.runs}"
        words = self.ctr("run", "--rm", "--cgroup", f"/{name}", reference, name, *command)
        return first_line(words, os.path.join(self.top, "run.log"), env=self.env)[0]

    def lower(self, reference):
        """lowerdir of the unpacked image; its folders stay when containerd is stopped."""
        chain = run(*self.ctr("snapshots", "--snapshotter", "overlayfs", "ls")).stdout.splitlines()[1:]
        parents = {fields[1] for fields in map(str.split, chain) if len(fields) == 3}
        top = next(fields[0] for fields in map(str.split, chain) if fields[0] not in parents and fields[-1] == "Committed")
        # in one command: containerd's garbage collector may take the view right away
        view = run(*self.ctr("snapshots", "view", "--mounts", f"view-of-{reference}", top)).stdout
        options = json.loads(view)[0]["Options"]
        return next(option for option in options if option.startswith("lowerdir=")).removeprefix("lowerdir=")

    def stop(self, keep=False):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None
        if not keep:
            shutil.rmtree(self.top, ignore_errors=True)


class Soci:
    """containerd 1.7 and SOCI, in a Debian 13 root; restart() gives them an empty state."""

    def __init__(self, world):
        lab = os.environ.get("LAB", "")
        self.tree = os.path.join(lab, "trixie")
        if not lab or not os.path.exists(f"{self.tree}/usr/bin/soci-snapshotter-grpc"):
            raise Skip("no SOCI: LAB names no folder made by shared/peers/setup")
        self.world, self.root, self.daemons, self.count = world, world.path("soci", "root"), [], 0
        self.indexes, self.runs = {}, 0
        self._mount_root()

    def _mount_root(self):
        os.makedirs(self.root)
        run("mount", "--bind", self.tree, self.root)
        run("mount", "-o", "remount,ro,bind", self.root)
        run("mount", "-t", "proc", "proc", f"{self.root}/proc")
        for name in ("dev", "sys"):
            run("mount", "--rbind", f"/{name}", f"{self.root}/{name}")
        for name in ("run", "tmp", "var/lib", "var/log"):
            run("mount", "-t", "tmpfs", "bench", f"{self.root}/{name}")
        run("mount", "--bind", "/etc/hosts", f"{self.root}/etc/hosts")
        shutil.copy(self.world.registry.ca, f"{self.root}/tmp/ca.pem")
        os.makedirs(self.world.path("soci", "state"), exist_ok=True)
        run("mount", "--bind", self.world.path("soci", "state"), f"{self.root}/srv")

    def inside(self, *words):
        return ["chroot", self.root, "env", "SSL_CERT_FILE=/tmp/ca.pem", f"CONTAINERD_ADDRESS={self.top}/sock", "HOME=/tmp",
                "TMPDIR=/tmp",
                *map(str, words)]

    def restart(self):
        """Empty: no image, no content, no snapshot, no index."""
        self.stop()
        self.count += 1
        self.top = f"/srv/{self.count}"
        outside = f"{self.root}{self.top}"
        os.makedirs(f"{outside}/soci")
        shutil.rmtree(f"{self.root}/var/lib/soci-snapshotter-grpc", ignore_errors=True)
        for name in os.listdir(f"{self.root}/run"):
            if name.startswith("soci"):
                os.unlink(f"{self.root}/run/{name}")
        # the command soci has its database and content in a fixed place: on disk, as content of SOCI's own would be
        os.makedirs(f"{self.root}/var/lib/soci-snapshotter-grpc")
        run("mount", "--bind", f"{outside}/soci", f"{self.root}/var/lib/soci-snapshotter-grpc")
        with open(f"{outside}/config.toml", "w", encoding="ascii") as file:
            file.write(CONFIG.format(top=self.top, more=SOCI))
        log = self.world.path("soci", "log", f"soci{self.count}.log")
        self.daemons = [
            Daemon(self.inside("soci-snapshotter-grpc", "-address", "/run/soci.sock", "-log-level", "warn"), log),
            Daemon(self.inside("containerd", "-c", f"{self.top}/config.toml"), log + ".containerd"),
        ]
        wait_for(lambda: os.path.exists(f"{self.root}/run/soci.sock"), "SOCI listens")
        wait_for(lambda: run(*self.inside("ctr", "version"), check=False).returncode == 0, "containerd 1.7 answers")

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.daemons = []
        with open("/proc/self/mounts", encoding="utf-8") as table:
            points = [line.split()[1] for line in table]
        for point in reversed(points):
            if point.startswith(f"{self.root}/var/lib/soci-snapshotter-grpc"):
                umount(point)
        if self.count:
            shutil.rmtree(f"{self.root}/srv/{self.count}", ignore_errors=True)

    def pull(self, reference):
        run(*self.inside("ctr", "images", "pull", reference), timeout=1800)

    def create(self, reference):
        """Seconds to make the index of an image that was pulled."""
        start = time.monotonic()
        run(*self.inside("soci", "create", reference), timeout=1800)
        return time.monotonic() - start

    def index(self, reference):
        """Digest of the published index of an image; made and pushed when it is not there yet."""
        if reference not in self.indexes:
            try:
                self.restart()
                self.pull(reference)
                self.create(reference)
                run(*self.inside("soci", "push", reference), timeout=1800)
                listed = run(*self.inside("soci", "index", "list", "-q", "--ref", reference)).stdout
            finally:
                self.stop()
            self.indexes[reference] = listed.split()[0]
        return self.indexes[reference]

    def rpull(self, reference, index):
        start = time.monotonic()
        run(*self.inside("soci", "image", "rpull", "--soci-index-digest", index, reference), timeout=600)
        return time.monotonic() - start

    def run(self, reference, command):
        """Seconds from `soci run` to the container's first line."""
        self.runs += 1
        name = f"imgfs-bench-soci-{self.runs}"
        words = self.inside("soci", "run", "--rm", "--snapshotter", "soci", "--cgroup", f"/{name}", reference, name)
        return first_line([*words, *command], self.world.path("soci", "log", "run.log"))[0]


def make_lab(world):
    """Run shared/peers/setup into $LAB, or into the scratch folder, unless it was made before."""
    lab = os.environ.setdefault("LAB", world.path("lab", ""))
    tool = os.path.join(os.environ.get("IMGFS_SHARED", ""), "peers", "setup")
    if os.path.exists(os.path.join(lab, "trixie", "usr", "bin", "soci-snapshotter-grpc")) or not os.path.exists(tool):
        return
    world.say(f"making a Debian 13 root with SOCI in {lab}")
    os.makedirs(lab, exist_ok=True)
    with open(os.path.join(lab, "setup.log"), "wb") as log:
        subprocess.run([tool], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, timeout=3600)
