"""fake_registry: a registry that says whatever a test wants it to say.

    fake = FakeRegistry().start()
    digest = fake.add_blob(b"...")
    fake.on("GET .*/blobs/", lambda request: Reply(503), times=2)
    ...
    fake.log                # every request, with its headers
    fake.stop()

Without hooks it is an honest registry: manifests and blobs by digest, tags, HEAD, closed single ranges. A hook sees each
request whose "METHOD path" its pattern finds; what it returns is sent instead, None passes on to the next hook and at
last to the honest answer. Everything runs in threads of the test's process; stop() and start() keep port and contents.
"""
import base64
import dataclasses
import hashlib
import http.server
import json
import os
import re
import secrets
import socket
import ssl
import threading
import time
import urllib.parse

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
PIECE = 65536


@dataclasses.dataclass
class Request:
    """One request as it was received."""

    method: str
    path: str  # without the query
    query: dict  # name -> list of values
    headers: object  # email.message.Message: names in any case
    body: bytes
    at: float  # time.monotonic()

    @property
    def range(self):
        """(first, last) of a closed single range, or None."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(match[1]), int(match[2])) if match else None

    @property
    def digest(self):
        return self.path.rsplit("/", 1)[-1]


@dataclasses.dataclass
class Reply:
    """An answer, and how it goes wrong."""

    status: int = 200
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)
    length: object = "right"  # the Content-Length: "right", None (no such header), or a number
    repeat: list = dataclasses.field(default_factory=list)  # more header lines, as (name, value)
    delay_s: float = 0  # before the status line
    cut: int = None  # close the connection after so many bytes of the body
    stall_after: int = None  # say nothing more after so many bytes of the body
    bytes_per_s: int = None  # trickle
    raw: bytes = None  # exactly these bytes instead of all of the above, then close


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def error(status, code, message="", **more):
    """The JSON that the distribution specification gives to errors."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()
    return Reply(status, body, {"Content-Type": "application/json"}, **more)


def redirect(location, status=307):
    return Reply(status, b"", {"Location": location})


def slice_of(data, request):
    """The honest answer to a request for data, with or without a range."""
    wanted = request.range
    if wanted is None:
        return Reply(200, data)
    first, last = wanted
    if first > last or last >= len(data):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    return Reply(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"})


class Hook:
    def __init__(self, pattern, action, times):
        self.pattern, self.action, self.left = re.compile(pattern), action, times


class FakeRegistry:
    """certificate: (certificate file, key file) to speak TLS. client_ca: clients must show a certificate of this CA."""

    def __init__(self, certificate=None, client_ca=None):
        self.certificate, self.client_ca, self.name, self.port = certificate, client_ca, "localhost", 0
        self.blobs, self.manifests, self.types, self.tags = {}, {}, {}, {}
        self.log, self.hooks = [], []
        self.lock, self.down = threading.Lock(), threading.Event()
        self.server = self.thread = None
        self.basic = None  # (user, password) that every request must show
        self.tokens = None  # a Tokens object: bearer tokens are wanted

    # ---- contents

    def add_blob(self, data, algorithm="sha256"):
        digest = digest_of(data, algorithm)
        self.blobs[digest] = data
        return digest

    def add_manifest(self, document, name="app", tag=None, media_type=OCI_MANIFEST):
        """bytes or a JSON value; returns the digest."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = digest_of(data)
        self.manifests[digest], self.types[digest] = data, media_type
        if tag:
            self.tags[name, tag] = digest
        return digest

    def add_layout(self, folder, name="app", tag="1"):
        """An OCI layout directory with one image; its blobs are read into memory."""
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
            top = json.load(file)["manifests"][0]
        self._add_from_layout(folder, top)
        self.tags[name, tag] = top["digest"]
        return top["digest"]

    def _add_from_layout(self, folder, descriptor):
        digest = descriptor["digest"]
        with open(os.path.join(folder, "blobs", *digest.split(":")), "rb") as file:
            data = file.read()
        kind = descriptor.get("mediaType", "")
        if "manifest" not in kind and "index" not in kind:
            self.blobs[digest] = data
            return
        self.manifests[digest], self.types[digest] = data, kind
        document = json.loads(data)
        for child in [document.get("config"), *document.get("layers", []), *document.get("manifests", [])]:
            if child:
                self._add_from_layout(folder, child)

    # ---- what a test does with it

    def on(self, pattern, action, times=None):
        """Answer the next `times` requests (None: all) whose "METHOD path" the pattern finds. action: Reply or function."""
        hook = Hook(pattern, action if callable(action) else lambda _request: action, times)
        with self.lock:
            self.hooks.append(hook)
        return hook

    def requests(self, pattern=""):
        with self.lock:
            return [r for r in self.log if re.search(pattern, f"{r.method} {r.path}")]

    def forget(self):
        """No hooks, an empty log."""
        with self.lock:
            self.hooks.clear()
            self.log.clear()

    @property
    def host(self):
        return f"{self.name}:{self.port}"

    @property
    def url(self):
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    def reference(self, name="app", tag="1"):
        return f"{self.host}/{name}:{tag}"

    def start(self):
        self.down.clear()
        self.server = Server(self, ("127.0.0.1", self.port))
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Close the port and every connection."""
        if not self.server:
            return
        self.down.set()
        self.server.shutdown()
        self.server.server_close()
        self.server.close_connections()
        self.thread.join()
        self.server = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- answers

    def answer(self, request):
        with self.lock:
            self.log.append(request)
            hooks = list(self.hooks)
        for hook in hooks:
            reply = self._ask_hook(hook, request)
            if reply is not None:
                return reply
        if self.tokens and request.path == "/token":
            return self.tokens.issue(request)
        return self._refusal(request) or self.honest(request)

    def _ask_hook(self, hook, request):
        if not hook.pattern.search(f"{request.method} {request.path}"):
            return None
        with self.lock:
            if hook.left == 0:
                return None
            if hook.left is not None:
                hook.left -= 1
        return hook.action(request)

    def _refusal(self, request):
        shown = request.headers.get("Authorization", "")
        if self.basic:
            right = base64.b64encode(":".join(self.basic).encode()).decode()
            if shown != f"Basic {right}":
                return error(401, "UNAUTHORIZED", "authentication required",
                             repeat=[("WWW-Authenticate", 'Basic realm="fake"')])
        if self.tokens:
            return self.tokens.refusal(shown, self)
        return None

    def honest(self, request):
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", request.path)
        if not match:
            return Reply(200, b"{}") if request.path == "/v2/" else error(404, "NAME_UNKNOWN", "no such path")
        name, kind, what = match.groups()
        if kind == "blobs":
            data = self.blobs.get(what)
            return error(404, "BLOB_UNKNOWN", "blob unknown") if data is None else slice_of(data, request)
        digest = self.tags.get((name, what), what)
        if digest not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return Reply(200, self.manifests[digest],
                     {"Content-Type": self.types[digest], "Docker-Content-Digest": digest})


class Tokens:
    """A token server, at /token of the registry or of another one.

    users: name -> password (None: anonymous tokens for everybody). refresh: identity tokens that are traded by POST.
    realm: the URL in the challenge (None: the registry's own /token).
    """

    def __init__(self, users=None, refresh=(), realm=None, life_s=300, post=True):
        self.users, self.refresh, self.realm, self.life_s, self.post = users, refresh, realm, life_s, post
        self.good, self.issued = {}, 0  # token -> time.monotonic() at which it ends

    def expire(self):
        """No token is good any more."""
        self.good.clear()

    def challenge(self, registry, **more):
        realm = self.realm or f"{registry.url}/token"
        params = {"realm": realm, "service": "fake", "scope": "repository:app:pull", **more}
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in params.items())

    def refusal(self, shown, registry):
        if shown.startswith("Bearer ") and self.good.get(shown[7:], 0) > time.monotonic():
            return None
        more = {"error": "invalid_token"} if shown else {}
        return error(401, "UNAUTHORIZED", "authentication required",
                     repeat=[("WWW-Authenticate", self.challenge(registry, **more))])

    def _knows(self, request):
        if request.method == "POST":
            form = urllib.parse.parse_qs(request.body.decode())
            return form.get("refresh_token", [""])[0] in self.refresh
        if self.users is None:
            return True
        shown = request.headers.get("Authorization", "")
        user, _, password = base64.b64decode(shown[6:]).decode().partition(":")
        return shown.startswith("Basic ") and self.users.get(user) == password

    def issue(self, request):
        if request.method == "POST" and not self.post:
            return Reply(404, b"404 page not found")
        if not self._knows(request):
            return error(401, "UNAUTHORIZED", "incorrect username or password")
        token = secrets.token_urlsafe(24)
        self.good[token] = time.monotonic() + self.life_s
        self.issued += 1
        body = json.dumps({"token": token, "expires_in": int(self.life_s)}).encode()
        return Reply(200, body, {"Content-Type": "application/json"})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False
    request_queue_size = 128

    def __init__(self, registry, address):
        self.registry, self.connections, self.lock = registry, set(), threading.Lock()
        self.context = None
        if registry.certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*registry.certificate)
        if registry.client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(registry.client_ca)
        super().__init__(address, Handler)

    def process_request_thread(self, request, client_address):
        with self.lock:
            self.connections.add(request)
        try:
            first = request.recv(1, socket.MSG_PEEK)
            if not self.context and first == b"\x16":  # TLS knocks on a plain port
                return
            secured = self.context.wrap_socket(request, server_side=True) if self.context else request
            try:
                self.finish_request(secured, client_address)
            finally:
                if self.context:
                    secured.close()
        except (OSError, ssl.SSLError):
            pass  # the client went away, or does not trust us
        finally:
            with self.lock:
                self.connections.discard(request)
            self.shutdown_request(request)

    def close_connections(self):
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def _serve(self):
        parts = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, parts.path, urllib.parse.parse_qs(parts.query), self.headers, body,
                          time.monotonic())
        self._send(self.server.registry.answer(request))

    do_GET = do_HEAD = do_POST = _serve

    def _send(self, reply):
        down = self.server.registry.down
        if reply.delay_s and down.wait(reply.delay_s):
            return
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in [*reply.headers.items(), *reply.repeat]:
            self.send_header(name, value)
        self._send_length(reply)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(reply, down)

    def _send_length(self, reply):
        if reply.length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(reply.body) if reply.length == "right" else reply.length))

    def _send_body(self, reply, down):
        body = reply.body if reply.cut is None else reply.body[: reply.cut]
        end = len(body) if reply.stall_after is None else min(reply.stall_after, len(body))
        piece = PIECE if reply.bytes_per_s is None else max(1, reply.bytes_per_s // 20)
        for at in range(0, end, piece):
            self.wfile.write(body[at : min(at + piece, end)])
            if reply.bytes_per_s is not None and down.wait(0.05):
                return
        self.wfile.flush()
        if reply.stall_after is not None:
            down.wait(120)
        if len(body) != len(reply.body) or reply.stall_after is not None or reply.length not in ("right", None):
            self.close_connection = True
