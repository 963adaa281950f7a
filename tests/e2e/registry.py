"""registry: Debian's docker-registry on a loopback port of its own, plain, with TLS, or with a password."""
import glob
import json
import os
import time

from processes import Daemon, free_port, listening, run, wait_for

LOG_LAG_S = 0.3  # a line is written a moment after its answer was sent
USER, PASSWORD = "reader", "correct horse"

CONFIG = """\
version: 0.1
log: {{level: info, formatter: json, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: 127.0.0.1:{port}
  secret: only-for-this-test
{tls}{auth}"""


def make_certificates(folder):
    """A CA of our own and a certificate for localhost and 127.0.0.1; the path of the CA's certificate."""
    extensions = os.path.join(folder, "extensions")
    with open(extensions, "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    ca, ca_key, key, request, certificate = (
        os.path.join(folder, name) for name in ("ca.pem", "ca.key", "server.key", "server.csr", "server.pem")
    )
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=imgfs test CA")
    run("openssl", "req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
        "-extfile", extensions, "-out", certificate)
    return ca


class Registry:
    """start() and stop() may alternate: the port, the folder and what was pushed stay."""

    def __init__(self, folder, tls=False, password=False):
        self.folder, self.port, self.daemon = os.fspath(folder), free_port(), None
        self.host = f"localhost:{self.port}"
        self.password = password
        os.makedirs(self.folder, exist_ok=True)
        self.ca = make_certificates(self.folder) if tls else None
        self.log = os.path.join(self.folder, "registry.access")
        self.config = os.path.join(self.folder, "config.yml")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=self.folder, port=self.port, tls=self._tls(), auth=self._auth()))

    def _tls(self):
        if not self.ca:
            return ""
        return f"  tls: {{certificate: {self.folder}/server.pem, key: {self.folder}/server.key}}\n"

    def _auth(self):
        if not self.password:
            return ""
        users = os.path.join(self.folder, "htpasswd")
        with open(users, "w", encoding="ascii") as file:
            file.write(run("htpasswd", "-Bbn", USER, PASSWORD).stdout.strip() + "\n")
        return f"auth:\n  htpasswd: {{realm: test, path: {users}}}\n"

    def start(self):
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        self.daemon = Daemon(["docker-registry", "serve", self.config], self.log, env=environment)
        wait_for(lambda: listening(self.port) or not self.daemon.alive(), "docker-registry listens")
        assert self.daemon.alive(), f"docker-registry ended: {self.daemon.output()[-2000:]}"
        return self

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def reference(self, name, tag="1"):
        return f"{self.host}/{name}:{tag}"

    def push(self, layout, name, tag="1", more=()):
        """Push an OCI layout (DIR or DIR:NAME) as it is; returns the reference."""
        credentials = ["--dest-creds", f"{USER}:{PASSWORD}"] if self.password else []
        run("skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", *credentials,
            *more, f"oci:{layout}", f"docker://{self.reference(name, tag)}", timeout=900)
        return self.reference(name, tag)

    def requests(self):
        """Every answered request as (method, path, status, body bytes), oldest first."""
        found = []
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry.get("msg") == "response completed":
                    found.append((entry["http.request.method"], entry["http.request.uri"],
                                  entry["http.response.status"], entry.get("http.response.written", 0)))
        return found

    def blob_file(self, digest):
        """Where the registry keeps a blob: to change it behind its back."""
        algorithm, text = digest.split(":")
        found = glob.glob(f"{self.folder}/data/docker/registry/v2/blobs/{algorithm}/{text[:2]}/{text}/data")
        assert found, f"{digest} is not in the registry"
        return found[0]


class Traffic:
    """What a registry answered while the block ran: with Traffic(registry) as t: ...; t.bytes, t.full, t.ranges."""

    def __init__(self, registry):
        self.registry = registry

    def __enter__(self):
        self.before = len(self.registry.requests())
        return self

    def __exit__(self, *_):
        time.sleep(LOG_LAG_S)
        blobs = [r for r in self.registry.requests()[self.before:] if "/blobs/" in r[1] and r[0] == "GET"]
        self.bytes = sum(r[3] for r in blobs)
        self.ranges = [r for r in blobs if r[2] == 206]
        self.full = [r for r in blobs if r[2] == 200]
