"""world: a scratch folder with registries, images, stores and a line, all of which end with it.

The harness of the end-to-end tests (tests/e2e) is used for registries, processes and the program.
"""
import contextlib
import glob
import json
import os
import shutil
import subprocess
import time

import generated
import machine
import peers
from harness import LOG_LAG_S, Daemon, Imgfs, Registry, free_port, listening, run, wait_for
from measure import Skip

HOST = "registry.bench"  # not localhost, which containerd and SOCI would speak plain http to
SHARED = os.environ.get("IMGFS_SHARED", "")
BUILT = os.environ.get("IMAGES_WORK", "/var/tmp/imgfs-images")
BUILD_S = 3600


class NamedRegistry(Registry):
    """With TLS, under HOST, which only this mount namespace knows."""

    def __init__(self, folder):
        super().__init__(folder, tls=True)
        self.host = f"{HOST}:{self.port}"
        extensions = os.path.join(self.folder, "extensions")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        inside = {name: os.path.join(self.folder, name) for name in ("server.csr", "ca.pem", "ca.key", "server.pem")}
        run("openssl", "x509", "-req", "-in", inside["server.csr"], "-CA", inside["ca.pem"], "-CAkey", inside["ca.key"],
            "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", inside["server.pem"])


class Counted:
    """What a registry answered while the block ran: bytes and requests."""

    def __init__(self, registry):
        self.registry = registry

    def __enter__(self):
        self.before = len(self.registry.requests())
        return self

    def __exit__(self, *_):
        time.sleep(LOG_LAG_S)
        all_of_it = [r for r in self.registry.requests()[self.before:] if r[1] != "/v2/"]
        self.requests = len(all_of_it)
        self.bytes = sum(r[3] for r in all_of_it)


class Line:
    """shared/tools/wan in front of a registry for the time of a block; afterwards .bytes and .connections."""

    def __init__(self, registry, folder, rtt_ms, mbit):
        self.port, self.stats = free_port(), os.path.join(folder, f"line{time.monotonic_ns()}.json")
        self.host = f"{HOST}:{self.port}"
        tool = os.path.join(SHARED, "tools", "wan")
        if not os.path.exists(tool):
            raise Skip("no shared/tools/wan")
        self.words = ["/usr/bin/python3", tool, "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{registry.port}",
                      "--rtt-ms", rtt_ms, "--mbit", mbit, "--stats", self.stats]

    def __enter__(self):
        self.daemon = Daemon(list(map(str, self.words)), self.stats + ".log")
        wait_for(lambda: listening(self.port), "the line is there")
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        with open(self.stats, encoding="ascii") as file:
            found = json.load(file)
        self.bytes, self.connections = found["bytes_down"], found["connections"]


class World:
    def __init__(self, say):
        self.folder, self.say = os.environ["IMGFS_TEST_DIR"], say
        # records of mounts that were killed go with the folder
        os.environ["IMGFS_RUNTIME_DIR"] = os.path.join(self.folder, "mounts")
        os.makedirs(os.environ["IMGFS_RUNTIME_DIR"], mode=0o700)
        self.clients, self.pushed, self.templates = [], {}, {}
        self.registry = self.plain = None
        self._key = self._probe = self._soci = None
        self.soci_word = ""
        self.notes = {}  # what bench.json says of the machine besides

    def path(self, *parts):
        """A path in the scratch folder, whose folder exists."""
        full = os.path.join(self.folder, *parts)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def start(self):
        """Both registries over the same blobs, and the name of one of them."""
        self.registry = NamedRegistry(self.path("tls", "")).start()
        self.plain = Registry(self.path("plain", ""))
        with open(self.plain.config, encoding="ascii") as file:
            config = file.read().replace(f"{self.plain.folder}/data", f"{self.registry.folder}/data")
        with open(self.plain.config, "w", encoding="ascii") as file:
            file.write(config)
        self.plain.start()
        hosts = self.path("hosts")
        with open("/etc/hosts", encoding="utf-8") as old, open(hosts, "w", encoding="utf-8") as new:
            new.write(old.read() + f"\n127.0.0.1 {HOST}\n")
        run("mount", "--bind", hosts, "/etc/hosts")
        return self

    @property
    def env(self):
        """For programs that speak to the registry with TLS."""
        return {"SSL_CERT_FILE": self.registry.ca}

    @property
    def key(self):
        """(private, public) of whoever publishes indexes here."""
        if not self._key:
            private, public = self.path("publish.key"), self.path("publish.pem")
            run("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
            run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
            self._key = private, public
        return self._key

    def stop(self):
        for client in self.clients:
            client.stop()
        for registry in (self.registry, self.plain):
            if registry:
                registry.stop()

    # ---- images

    def layout(self, name):
        """The OCI layout of a real image (shared/images/make), built if it is not there yet."""
        layout = os.path.join(BUILT, "oci", name)
        if os.path.isdir(layout):
            return layout
        recipe = os.path.join(SHARED, "images", "make")
        if not os.path.exists(recipe):
            raise Skip(f"image {name}: not built, and no recipe")
        self.say(f"building the image {name}")
        done = subprocess.run([recipe, f"oci:{self.path('made', '')}", name], capture_output=True, text=True,
                              timeout=BUILD_S, check=False)
        if done.returncode:
            raise Skip(f"image {name}: {done.stderr.strip()[-200:]}")
        return layout

    def image(self, name):
        """name:1 in the registry; its reference there."""
        if name not in self.pushed:
            self.plain.push(f"{self.layout(name)}:1", name)
            self.pushed[name] = True
        return self.registry.reference(name)

    def many(self, n, largest=2048, layers=1):
        """The layout of a generated image of n entries."""
        folder = os.path.join(BUILT, "bench", f"many{n}.{largest}.{layers}")
        return generated.kept(folder, generated.make_many(n, largest, layers))

    def large(self):
        """The image with one file of 1 GiB, in the registry."""
        try:
            sources = generated.layers_of(self.layout("python"))
        except Skip:
            sources = []
        kind = "real" if sources else "text"
        self.large_layout = generated.kept(os.path.join(BUILT, "bench", f"large.{kind}"), generated.make_large(sources))
        return self.add("large", self.large_layout)

    def probe(self):
        """probe.c, compiled."""
        if not self._probe:
            self._probe = machine.compile_probe(self.folder)
        return self._probe

    def find_soci(self):
        """SOCI with a root of its own, shared by all rows; None with soci_word where there is none."""
        if self._soci is None:
            try:
                self._soci = peers.Soci(self)
            except Skip as word:
                self._soci, self.soci_word = False, str(word)
        return self._soci or None

    def add(self, name, layout):
        """Push a layout that was made here; its reference."""
        if name not in self.pushed:
            self.plain.push(f"{layout}:1", name)
            self.pushed[name] = True
        return self.registry.reference(name)

    # ---- the program

    def client(self, store=None):
        """imgfs with an empty store, or with a copy of one."""
        folder = self.path("clients", str(len(self.clients)))
        made = Client(folder, self.env)
        if store:
            shutil.copytree(store, made.store)
        self.clients.append(made)
        return made

    def indexed(self, name):
        """A store that holds the indexes of name:1 and nothing else; copy it."""
        if name not in self.templates:
            client = self.client()
            client.run("index build", self.registry.reference(name), timeout=3600)
            client.keep_only_indexes()
            self.templates[name] = client.store
        return self.templates[name]

    def published(self, name):
        """Publish the signed index of name:1; options of a mount that trusts it."""
        mark = f"published {name}"
        if mark not in self.templates:
            client = self.client(self.indexed(name))
            client.run("index push", "--sign-key", self.key[0], self.registry.reference(name), timeout=3600)
            self.templates[mark] = True
        return ["--trust-key", self.key[1]]

    def remove(self, client):
        """A client that is not needed any more, with its mounts and its store."""
        client.stop()
        if client in self.clients:
            self.clients.remove(client)
        shutil.rmtree(client.folder, ignore_errors=True)
        os.makedirs(client.folder, exist_ok=True)


class Client(Imgfs):
    """imgfs as the rows use it: quick, with the environment of this world."""

    count = 0

    def __init__(self, folder, env):
        Client.count += 1
        super().__init__(f"{folder}.{Client.count}")
        self.env = env

    def run(self, name, *arguments, env=None, **more):
        return super().run(name, *arguments, env={**self.env, **(env or {})}, **more)

    def timed_mount(self, reference, *options):
        """(folder, seconds from the start of the process to a listing of the root)."""
        folder = self.new_folder()
        words = self.command("mount", *options, reference, folder)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "DOCKER_", "REGISTRY_"))}
        environment |= {"HOME": self.folder, **self.env}
        errors = os.path.join(self.folder, "mount.err")
        with open(errors, "wb") as file:
            start = time.monotonic()
            code = subprocess.call(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
            if code == 0:
                os.listdir(folder)
            taken = time.monotonic() - start
        if code:
            with open(errors, encoding="utf-8", errors="replace") as file:
                raise RuntimeError(f"imgfs mount: {file.read()[-500:]}")
        self.mounts.append(folder)
        return folder, taken

    def pid(self, folder):
        return self.status(folder)["pid"]

    def stop(self):
        """Unmount, and wait for the daemons; those of a mount that is in use are killed by the namespace."""
        for folder in reversed(self.mounts):
            with contextlib.suppress(AssertionError):
                self.run("umount", folder, check=False, timeout=30)
            subprocess.run(["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)
        self.mounts.clear()
        super().stop()

    def index_bytes(self):
        """Bytes of all index files of the store."""
        found = glob.glob(f"{self.store}/v1/layers/*/*/index") + glob.glob(f"{self.store}/v1/images/*/index")
        return sum(os.path.getsize(path) for path in found)

    def tree_bytes(self):
        """Bytes of the merged indexes of the store: what a mount maps."""
        return sum(os.path.getsize(path) for path in glob.glob(f"{self.store}/v1/images/*/index"))
