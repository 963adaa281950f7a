"""containerd: a private instance, whose view of an image is what imgfs is compared with."""
import os
import re

from processes import Daemon, run, wait_for

CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.restart"]
[debug]
  level = "warn"
[grpc]
  address = "{folder}/sock"
[ttrpc]
  address = "{folder}/sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


def overlay_works_in(folder):
    """overlayfs can not stand on every file system (not on another overlay)."""
    parts = [os.path.join(folder, name) for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        os.makedirs(part, exist_ok=True)
    options = "lowerdir={},upperdir={},workdir={}".format(*parts[:3])
    works = run("mount", "-t", "overlay", "probe", "-o", options, parts[3], check=False).returncode == 0
    if works:
        run("umount", parts[3])
    return works


class Containerd:
    def __init__(self, folder):
        self.folder = os.fspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        if not overlay_works_in(self.folder):
            run("mount", "-t", "tmpfs", "imgfs-test", self.folder)
        config = os.path.join(self.folder, "config.toml")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=self.folder))
        self.daemon = Daemon(["containerd", "-c", config], os.path.join(self.folder, "containerd.log"))
        wait_for(lambda: self._answers() or not self.daemon.alive(), "containerd answers")
        assert self.daemon.alive(), f"containerd ended: {self.daemon.output()[-2000:]}"

    def _answers(self):
        return self.ctr("version", check=False).returncode == 0

    def ctr(self, *arguments, **more):
        return run("ctr", "-a", f"{self.folder}/sock", *arguments, **more)

    def pull(self, reference):
        self.ctr("images", "pull", "--plain-http", reference, timeout=900)

    def try_pull(self, reference):
        """None, or what containerd says against the image."""
        done = self.ctr("images", "pull", "--plain-http", reference, check=False)
        return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]

    def mount(self, reference, folder):
        os.makedirs(folder, exist_ok=True)
        self.ctr("images", "mount", reference, folder)
        return folder

    def umount(self, folder):
        self.ctr("images", "unmount", "--rm", folder)

    def remove(self, reference):
        self.ctr("images", "rm", "--sync", reference, check=False)

    def version(self):
        return re.search(r"Version: *(\S+)", self.ctr("version").stdout).group(1)

    def stop(self):
        self.daemon.stop()
