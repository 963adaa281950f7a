"""containers: what the tests of `imgfs run` share: an image with a config of one's own, and what must be gone afterwards."""
import contextlib
import glob
import hashlib
import json
import os
import shutil

import pytest

from imgfs import BINARY, SLOWER, Imgfs, environment
from images import CONFIG, MANIFEST, real_image
from processes import SCRATCH, run

RUNTIMES = [name for name in ("crun", "runc") if shutil.which(name)]
RUN_S = 60 * SLOWER


def blob(folder, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{folder}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def read_blob(folder, descriptor):
    with open(f"{folder}/blobs/{descriptor['digest'].replace(':', '/')}", "rb") as file:
        return json.load(file)


def with_config(folder, **config):
    """oci:DIR:NAME of Debian with another config (the OCI fields: Env, Cmd, Entrypoint...)."""
    source, folder = real_image("debian"), os.fspath(folder)
    os.makedirs(f"{folder}/blobs/sha256")
    for path in glob.glob(f"{source}/blobs/sha256/*"):
        with contextlib.suppress(OSError):
            os.link(path, f"{folder}/blobs/sha256/{os.path.basename(path)}")
            continue
        shutil.copy(path, f"{folder}/blobs/sha256")
    with open(f"{source}/index.json", encoding="utf-8") as file:
        manifest = read_blob(source, json.load(file)["manifests"][0])
    old = read_blob(source, manifest["config"])
    manifest["config"] = {"mediaType": CONFIG, **blob(folder, json.dumps({**old, "config": config}).encode())}
    entry = {"mediaType": MANIFEST, **blob(folder, json.dumps(manifest).encode()),
             "annotations": {"org.opencontainers.image.ref.name": "1"}}
    with open(f"{folder}/index.json", "w", encoding="ascii") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
    with open(f"{folder}/oci-layout", "w", encoding="ascii") as file:
        file.write('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}:1"


def left_behind():
    """Folders of runs, mounts, records and processes of ours that are still there."""
    with open("/proc/self/mounts", encoding="utf-8") as table:
        mounts = [line for line in table if "imgfs-run." in line]
    found = [path for top in (os.environ["TMPDIR"], "/var/tmp", "/tmp") for path in glob.glob(f"{top}/imgfs-run.*")
             if os.stat(path).st_ctime > STARTED]
    return found + mounts + live("imgfs-run.")


STARTED = os.stat(SCRATCH).st_ctime if SCRATCH else 0


def live(text):
    """Command lines of live processes that hold a text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode(errors="replace")
            if text in words and int(pid) != os.getpid():
                found.append(f"{pid} {words}")
    return found


class Runner:
    """imgfs run with one store, one runtime and one image."""

    def __init__(self, folder, store, runtime, reference):
        self.imgfs, self.runtime, self.reference = Imgfs(folder, store), runtime, reference

    def words(self, *words, options=(), reference=None):
        return self.imgfs.command("run", "--runtime", self.runtime, *options, reference or self.reference, *words)

    def __call__(self, *words, options=(), reference=None, status=0, **more):
        env = environment(**more.pop("env", {}))
        done = run(*self.words(*words, options=options, reference=reference), check=False, timeout=RUN_S, env=env, **more)
        assert done.returncode == status, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def out(self, *words, **more):
        return self(*words, **more).stdout


def needs_containers():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not RUNTIMES:
        pytest.skip("neither crun nor runc is installed")


__all__ = ["BINARY", "RUNTIMES", "RUN_S", "Runner", "left_behind", "live", "needs_containers", "with_config"]
