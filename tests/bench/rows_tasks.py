"""rows_tasks: what people do with images, with imgfs and with the tools that copy the whole image first.

The image lies in a registry; nothing of it is here, caches are cold. imgfs finds a published index that it trusts.

    cat      one file of python           imgfs cat                    skopeo copy, umoci unpack, cat
    list     all paths of python          imgfs find                   skopeo copy, umoci unpack, find
    take     a folder of python           imgfs cp -a                  skopeo copy, umoci unpack, cp -a
    diff     python against python-next   imgfs diff                   the same for both, diff -rq --no-dereference
    run      python's first line          imgfs run                    podman run
"""
import os
import shutil

import generated
import machine
from containers import first_line
from measure import Group, Row, Skip
from world import Counted

IMAGE, NEXT = "python", "python-next"
FILE, FOLDER = "/usr/bin/python3.11", "/usr/lib/python3.11"
PODMAN = ["--cgroup-manager", "cgroupfs", "--runtime", "runc"]
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", "host"]


class Tasks(Group):
    name = "tasks"
    most = {"copy-cat": 3, "copy-list": 3, "copy-take": 3, "copy-diff": 1, "podman": 3}

    def contenders(self):
        imgfs = {"cat": ["cat", FILE], "list": ["find"], "take": ["cp"], "diff": ["diff"], "run": ["run"]}
        return {**{name: lambda words=words: self.imgfs(*words) for name, words in imgfs.items()},
                "copy-cat": self.copy_cat, "copy-list": self.copy_list, "copy-take": self.copy_take,
                "copy-diff": self.copy_diff, "podman": self.podman}

    def prepare(self, wanted):
        self.references = {name: self.world.image(name) for name in (IMAGE, NEXT)}
        self.trust = [self.world.published(name) for name in (IMAGE, NEXT)][0]
        self.config = generated.config_of(self.world.layout(IMAGE))
        self.environment = {**os.environ, **self.world.env}

    def measured(self, task):
        """task(folder) from cold caches, in an empty folder."""
        folder = self.world.path("tasks", "")
        machine.cold()
        try:
            with Counted(self.world.registry) as counted:
                seconds = task(folder)
            return {"seconds": seconds, "bytes": counted.bytes, "requests": counted.requests}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # ---- imgfs

    def imgfs(self, name, *more):
        client, reference = self.world.client(), self.references[IMAGE]
        operands = {"cp": [f"{reference}:{FOLDER}"], "diff": [reference, self.references[NEXT]]}.get(name, [reference, *more])

        def task(folder):
            options = ["-a"] if name == "cp" else []
            words = client.command(name, *self.trust, *options, *operands, *([f"{folder}/taken"] if name == "cp" else []))
            if name == "run":
                return first_line(words, os.path.join(folder, "log"), env=self.environment)[0]
            return machine.timed(*words, env=self.environment)

        try:
            return self.measured(task)
        finally:
            self.world.remove(client)

    # ---- copy the image, unpack it, and then do it

    def unpack(self, folder, image=IMAGE):
        for tool in ("skopeo", "umoci"):
            if not shutil.which(tool):
                raise Skip(f"no {tool}")
        layout = f"{folder}/{image}.oci"
        return (machine.timed("skopeo", "copy", "-q", f"docker://{self.references[image]}", f"oci:{layout}:1",
                              env=self.environment)
                + machine.timed("umoci", "unpack", "--image", f"{layout}:1", f"{folder}/{image}", env=self.environment))

    def after_copy(self, *words):
        """words with FOLDER and ROOT in it, of the unpacked tree."""
        def task(folder):
            unpacked = self.unpack(folder)
            return unpacked + machine.timed(*(w.format(root=f"{folder}/{IMAGE}/rootfs", folder=folder) for w in words))
        return self.measured(task)

    def copy_cat(self):
        return self.after_copy("cat", "{root}" + FILE)

    def copy_list(self):
        return self.after_copy("find", "{root}")

    def copy_take(self):
        return self.after_copy("cp", "-a", "{root}" + FOLDER, "{folder}/taken")

    def copy_diff(self):
        def task(folder):
            both = self.unpack(folder) + self.unpack(folder, NEXT)
            compare = 'diff -rq --no-dereference "$0" "$1"; [ $? -le 1 ]'
            return both + machine.timed("bash", "-c", compare, f"{folder}/{IMAGE}/rootfs", f"{folder}/{NEXT}/rootfs")
        return self.measured(task)

    def podman(self):
        if not shutil.which("podman"):
            raise Skip("no podman")

        def task(folder):
            words = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", *PODMAN, "run", "--rm", "-q", *LIMITS,
                     self.references[IMAGE]]
            return first_line(words, os.path.join(folder, "log"), env=self.environment)[0]
        return self.measured(task)


def groups(world):
    return [Tasks(world)]


def rows_of(task, what, other, against):
    return [Row(f"task-{task}", what, "tasks", 1.0, other, ours=task, against=against),
            Row(f"task-{task}-bytes", f"{what}: bytes from the registry", "tasks", 1.0, other, ours=task, key="bytes", unit="B",
                against=against)]


COPY = "skopeo copy + umoci unpack"
ROWS = [row for rows in (
    rows_of("cat", "one file of python, index published", "copy-cat", COPY),
    rows_of("list", "all paths of python, index published", "copy-list", COPY),
    rows_of("take", f"{FOLDER} of python with owners, index published", "copy-take", COPY),
    rows_of("diff", "python against python-next, indexes published", "copy-diff", COPY),
    rows_of("run", "python's first line, index published", "podman", "podman run"),
) for row in rows]
