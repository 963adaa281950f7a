"""containers: run an image's command with overlayfs and runc, and see when its first line comes.

The bundle is made from the image's config, with what `ctr run` gives a container: namespaces of its own, /proc, /dev,
/sys, the default capabilities, a writable root (an overlay whose upper directory is new).
"""
import ctypes
import json
import os
import shutil
import subprocess
import time

from measure import Skip

libc = ctypes.CDLL(None, use_errno=True)
CAPABILITIES = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE").split()]
MOUNTS = [
    ("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ("/run", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
]


def mount(source, target, kind, options=""):
    if libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), 0, options.encode() or None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind} on {target}: {os.strerror(error)}")


def umount(target):
    subprocess.run(["umount", "-l", target], check=False, stderr=subprocess.DEVNULL)


def spec(config):
    """An OCI runtime configuration for an image's config."""
    return {
        "ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": False}, "hostname": "bench",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": config.get("WorkingDir") or "/",
            "args": (config.get("Entrypoint") or []) + (config.get("Cmd") or []), "env": config.get("Env") or [],
            "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": True,
        },
        "mounts": [{"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in MOUNTS],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")]},
    }


def first_line(command, log, **more):
    """(seconds to the first line of output, the line). The process is waited for, but not counted."""
    with open(log, "ab") as errors:
        start = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                   **more)
        line = process.stdout.readline()
        taken = time.monotonic() - start
        process.stdout.read()
        code = process.wait(120)
    if code or not line:
        with open(log, encoding="utf-8", errors="replace") as file:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {code}: {file.read()[-600:]}")
    return taken, line.decode(errors="replace").strip()


class Runner:
    """Runs one image's command on trees that are given to it."""

    def __init__(self, folder, config):
        if not shutil.which("runc"):
            raise Skip("no runc")
        self.folder, self.config, self.count = folder, config, 0
        os.makedirs(folder, exist_ok=True)

    def run(self, lower):
        """A container on an overlay over lower (of overlayfs, top first): seconds from here to its first line."""
        self.count += 1
        bundle = os.path.join(self.folder, f"bundle{self.count}")
        upper, work, merged = (os.path.join(bundle, name) for name in ("upper", "work", "rootfs"))
        for path in (upper, work, merged):
            os.makedirs(path)
        with open(os.path.join(bundle, "config.json"), "w", encoding="ascii") as file:
            json.dump(spec(self.config), file)
        name = f"imgfs-bench-{os.path.basename(self.folder)}-{self.count}"
        start = time.monotonic()
        mount("overlay", merged, "overlay", f"lowerdir={lower},upperdir={upper},workdir={work}")
        prepared = time.monotonic() - start
        try:
            taken, _ = first_line(["runc", "--root", os.path.join(self.folder, "runc"), "run", "--bundle", bundle, name],
                                  os.path.join(self.folder, "runc.log"))
        finally:
            umount(merged)
            shutil.rmtree(bundle, ignore_errors=True)
        return prepared + taken
