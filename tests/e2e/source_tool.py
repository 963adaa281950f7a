"""source_tool: the registry client alone, driven by tests/tools/source_tool against a FakeRegistry."""
import base64
import json
import os
import random
import subprocess

import pytest

from fake_registry import FakeRegistry

TOOL = os.path.join(os.environ.get("IMGFS_TEST_TOOLS", "."), "source_tool")
BLOB = random.Random(1).randbytes(3_000_000)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
FIRST, LENGTH = 1_000_000, 500_000  # the range that most cases read
PART = BLOB[FIRST : FIRST + LENGTH]
BLOBS = "GET .*/blobs/"
QUICK = ["--budget-ms", "8000", "--first-byte-ms", "700", "--stall-ms", "700", "--resolve-ms", "4000"]
SECRET = "hunter2-secret"


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr.decode(errors="replace")
        self.error = next((line[7:] for line in self.err.splitlines() if line.startswith("error: ")), "")

    def stat(self, name):
        line = next(line for line in self.err.splitlines() if line.startswith("stats: "))
        return int(dict(word.split("=") for word in line[7:].split())[name])

    def __repr__(self):
        return f"exit {self.status}, {len(self.out)} bytes, {self.err}"


def clean_environment(**more):
    """Nothing of the user's logins, proxies or certificates."""
    dropped = ("DOCKER_", "REGISTRY_", "XDG_", "SSL_CERT")
    env = {k: v for k, v in os.environ.items() if not k.startswith(dropped) and not k.lower().endswith("_proxy")}
    return {**env, "HOME": "/nonexistent", **more}


def tool(*arguments, env=None, timeout=60):
    command = [TOOL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=timeout, check=False,
                          env=clean_environment(**(env or {})))
    return Result(done)


@pytest.fixture
def fake():
    with FakeRegistry() as made:
        made.digest = made.add_blob(BLOB)
        made.config = made.add_blob(CONFIG)
        made.manifest = made.add_manifest({"schemaVersion": 2, "layers": []}, "app", "1")
        yield made


@pytest.fixture
def storage():
    """Another origin: where redirects lead."""
    with FakeRegistry() as made:
        yield made


def read_part(fake, *options, first=FIRST, length=LENGTH, **more):
    return tool(*QUICK, *options, "blob", fake.reference(), fake.digest, len(BLOB), first, length, **more)


def login(folder, host, user="reader", password=SECRET, **entry):
    os.makedirs(folder, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    with open(f"{folder}/config.json", "w", encoding="ascii") as file:
        json.dump({"auths": {host: entry or {"auth": auth}}}, file)
    return {"DOCKER_CONFIG": str(folder)}


def secrets_in(fake):
    """Requests that carry anything secret, in headers, query or body."""
    return [r for r in fake.requests() if r.headers.get("Authorization") or r.headers.get("Cookie")
            or SECRET in str(r.query) or SECRET.encode() in r.body]
