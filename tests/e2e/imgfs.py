"""imgfs: the program under test, with a store of its own.

IMGFS_FLAVOUR chooses the binary: release, asan or tsan. Sanitizer reports of all its processes, daemons included, go to
files in IMGFS_TEST_DIR that conftest.py looks for after every test.
"""
import glob
import json
import os
import signal
import subprocess

from processes import SCRATCH, Daemon, run, wait_for

FLAVOUR = os.environ.get("IMGFS_FLAVOUR", "release")
BINARY = os.environ.get({"release": "IMGFS", "asan": "IMGFS_ASAN", "tsan": "IMGFS_TSAN"}[FLAVOUR], "imgfs")
SLOWER = {"release": 1, "asan": 4, "tsan": 10}[FLAVOUR]  # for time bounds, never for what must be right
SANITIZER_LOG = os.path.join(SCRATCH or "/tmp", "sanitizer.log")


def environment(**more):
    """Of a user without credentials and settings, with sanitizers that report to files."""
    settings = ("XDG_", "DOCKER_", "REGISTRY_", "SSL_CERT", "http", "IMGFS_STORE", "IMGFS_CONFIG")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(settings)}
    kept["HOME"] = SCRATCH or "/nonexistent"
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
        kept[name] = ":".join(filter(None, [kept.get(name), f"log_path={SANITIZER_LOG}"]))
    return {**kept, **more}


def mount_of(folder):
    """The line of /proc/self/mounts whose mount point is this folder, or None."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as table:
        lines = [line.split() for line in table]
    return next((line for line in reversed(lines) if line[1] == os.fspath(folder)), None)


def processes_of(text):
    """Ids of live processes of the program whose command line holds the text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.fsencode(BINARY) in words[:1] and any(os.fsencode(text) in word for word in words):
            found.append(int(pid))
    return found


class Imgfs:
    def __init__(self, folder, store=None):
        self.folder = os.fspath(folder)
        self.store = os.fspath(store or os.path.join(self.folder, "store"))
        self.mounts, self.daemons = [], []
        os.makedirs(self.folder, exist_ok=True)

    def command(self, name, *arguments):
        """name may be two words: "index build"."""
        return [BINARY, *name.split(), "--store", self.store, *map(os.fspath, arguments)]

    def run(self, name, *arguments, check=True, env=None, timeout=120, **more):
        """imgfs NAME --store STORE ARGUMENTS... to its end."""
        words = self.command(name, *arguments)
        return run(*words, check=check, timeout=timeout * SLOWER, env=environment(**(env or {})), **more)

    def json(self, name, *arguments, **more):
        return json.loads(self.run(name, "--json", *arguments, **more).stdout)

    def build(self, reference, *options):
        """Both kinds of index for every layer and the image, by reading the blobs once."""
        return self.run("index build", *options, reference, timeout=600)

    def new_folder(self, name="mnt"):
        folder = os.path.join(self.folder, f"{name}{len(self.mounts)}")
        os.makedirs(folder, exist_ok=True)
        return folder

    def mount(self, reference, *options, folder=None, env=None, timeout=600):
        """Mount with a daemon in the background; the folder."""
        folder = folder or self.new_folder()
        self.run("mount", *options, reference, folder, env=env, timeout=timeout)
        assert mount_of(folder), "imgfs mount returned, and nothing is mounted"
        self.mounts.append(folder)
        return folder

    def mount_foreground(self, reference, *options, folder=None, env=None, seconds=600):
        """Mount with -f: (folder, Daemon), whose log is what it says on standard error."""
        folder = folder or self.new_folder()
        log = os.path.join(self.folder, f"imgfs{len(self.daemons)}.log")
        daemon = Daemon(self.command("mount", "-f", *options, reference, folder), log, env=environment(**(env or {})))
        self.daemons.append(daemon)
        self.mounts.append(folder)
        wait_for(lambda: mount_of(folder) or not daemon.alive(), "mounted", seconds * SLOWER)
        assert daemon.alive(), f"imgfs mount ended: {daemon.output()}"
        os.listdir(folder)
        return folder, daemon

    def umount(self, folder):
        self.run("umount", folder)
        assert not mount_of(folder), "imgfs umount returned, and the mount is still there"
        self.mounts.remove(folder)

    def status(self, folder):
        """What `imgfs status --json` says of one mount, reads up to now included."""
        (found,) = self.json("status", folder)["mounts"]
        return found

    def layer_files(self, *names):
        """Paths of files of these names (index, blob, data, map) of all layers in the store (fetch/STORE.md)."""
        return sorted(path for name in names for path in glob.glob(f"{self.store}/v1/layers/*/*/{name}"))

    def keep_only_indexes(self):
        """Remove kept blobs and chunks: what a machine has that was only given the indexes."""
        for path in self.layer_files("blob", "data", "map"):
            os.unlink(path)
        assert self.layer_files("index"), "the store has no layer index"

    def files(self):
        return sorted(os.path.join(top, name) for top, _, names in os.walk(self.store) for name in names)

    def stop(self):
        for folder in reversed(self.mounts):
            subprocess.run(["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)
        for daemon in self.daemons:
            daemon.stop(signal.SIGTERM)
