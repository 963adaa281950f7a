"""referrers_registry: a registry that can be written to and that knows the referrers API; a second implementation
beside Debian's docker-registry, which has no such API.

    registry = ReferrersRegistry().start()
    skopeo copy ... docker://{registry.host}/app:1
    registry.misbehave("referrers", "html")
    registry.traffic        # every request as (method, path, status, bytes of the answer's body)
    registry.stop()

Distribution-spec 1.1: uploads in one piece and in parts (POST, PATCH, PUT), blobs with ranges, manifests by tag and
digest with ETag and If-Match, referrers with artifactType, annotations, filter and pages. Contents, hooks, logins and
tokens are those of FakeRegistry, which see. One namespace holds all blobs; tags belong to their repository.
"""
import json
import re
import secrets
import time
import urllib.parse

import fake_registry
from fake_registry import OCI_INDEX, FakeRegistry, Reply, Request, Tokens, digest_of, error, redirect

# Routes that can be made to misbehave: what "METHOD path" looks like.
ROUTES = {
    "referrers": r"GET .*/referrers/",
    "tag": r"GET .*/manifests/sha256-",
    "tag-put": r"PUT .*/manifests/sha256-",
    "manifest-put": r"PUT .*/manifests/sha256:",
    "blob-head": r"HEAD .*/blobs/",
    "upload": r"POST .*/blobs/uploads/",
    "upload-put": r"PUT .*/blobs/uploads/",
}
HTML = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
HANG_S = 60


def bad_reply(how):
    """One way to go wrong: 404, 500, any other status, html, login, garbage, hang."""
    if how == "html":
        return Reply(200, HTML, {"Content-Type": "text/html"})
    if how == "login":
        return redirect("/login", 302)
    if how == "garbage":
        return Reply(200, b'{"schemaVersion":2,"manifests":[{', {"Content-Type": OCI_INDEX})
    if how == "hang":
        return Reply(delay_s=HANG_S)
    status = int(how)
    return Reply(404, b"404 page not found\n") if status == 404 else error(status, "UNSUPPORTED", f"it is {status}")


class ScopedTokens(Tokens):
    """Tokens that are good for what they were asked for; rights: what the login may at most ("pull", "push")."""

    def __init__(self, rights=("pull", "push"), **more):
        super().__init__(**more)
        self.rights, self.actions, self.asked = set(rights), {}, []

    def needed(self, request):
        return {"pull"} if request.method in ("GET", "HEAD") else {"pull", "push"}

    def check(self, request, registry):
        name = re.match(r"/v2/(.+?)/(?:manifests|blobs|referrers)/", request.path)
        shown, needed = request.headers.get("Authorization", ""), self.needed(request)
        token = shown[7:] if shown.startswith("Bearer ") else None
        if self.good.get(token, 0) > time.monotonic() and needed <= self.actions[token]:
            return None
        scope = f"repository:{name[1] if name else 'app'}:{','.join(sorted(needed))}"
        more = {"error": "insufficient_scope"} if token in self.good else {}
        challenge = self.challenge(registry, scope=scope, **more)
        return error(401, "UNAUTHORIZED", "authentication required", repeat=[("WWW-Authenticate", challenge)])

    def issue(self, request):
        scopes = request.query.get("scope", [])
        reply = super().issue(request)
        self.asked.append(scopes)
        if reply.status == 200:
            wanted = {action for scope in scopes for action in scope.split(":")[2].split(",")}
            self.actions[json.loads(reply.body)["token"]] = wanted & self.rights
        return reply


class ReferrersRegistry(FakeRegistry):
    """referrers_api: False makes it one without; page: entries of a page of referrers (None: all in one)."""

    def __init__(self, referrers_api=True, page=None, **more):
        super().__init__(**more)
        self.referrers_api, self.page, self.filters = referrers_api, page, True
        self.absolute_locations = True  # of uploads
        self.upload_host = None  # the URL of another registry that takes the uploads
        self.uploads, self.traffic = {}, []

    def start(self):
        super().start()
        self.server.RequestHandlerClass = Handler
        return self

    def misbehave(self, route, how, times=None):
        """Answer a route (of ROUTES) badly: see bad_reply."""
        return self.on(ROUTES[route], bad_reply(how), times)

    def forget(self):
        super().forget()
        with self.lock:
            self.traffic.clear()

    def counted(self, pattern=""):
        """Traffic whose "METHOD path" the pattern finds."""
        with self.lock:
            return [t for t in self.traffic if re.search(pattern, f"{t[0]} {t[1]}")]

    # ---- answers

    def answer(self, request):
        reply = super().answer(request)
        with self.lock:
            self.traffic.append((request.method, request.path, reply.status, len(reply.body)))
        return reply

    def _refusal(self, request):
        if isinstance(self.tokens, ScopedTokens):
            return self.tokens.check(request, self)
        return super()._refusal(request)

    def honest(self, request):
        if request.path == "/login":
            return bad_reply("html")
        for pattern, action in (
            (r"/v2/(.+)/blobs/uploads/(.*)", self._upload),
            (r"/v2/(.+)/referrers/([^/]+)", self._referrers),
            (r"/v2/(.+)/manifests/([^/]+)", self._manifest),
            (r"/v2/(.+)/tags/(list)", self._tags),
        ):
            match = re.fullmatch(pattern, request.path)
            if match:
                return action(request, *match.groups())
        reply = super().honest(request)
        if reply.status < 300 and "/blobs/" in request.path:
            reply.headers.update({"Docker-Content-Digest": request.digest, "Content-Type": "application/octet-stream"})
        return reply

    def _tags(self, request, name, _):
        tags = sorted(tag for repository, tag in self.tags if repository == name)
        return Reply(200, json.dumps({"name": name, "tags": tags}).encode(), {"Content-Type": "application/json"})

    # ---- blobs

    def _location(self, path):
        base = self.upload_host or (self.url if self.absolute_locations else "")
        return f"{base}{path}?state={secrets.token_hex(4)}"

    def _upload(self, request, name, number):
        if request.method == "POST":
            return self._upload_begin(request, name)
        if number not in self.uploads:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        self.uploads[number] += request.body
        where = {"Location": self._location(f"/v2/{name}/blobs/uploads/{number}"),
                 "Range": f"0-{max(0, len(self.uploads[number]) - 1)}"}
        if request.method == "PATCH":
            return Reply(202, headers=where)
        if request.method == "PUT":
            return self._upload_end(request, name, self.uploads.pop(number))
        return Reply(204, headers=where)

    def _upload_begin(self, request, name):
        mounted = request.query.get("mount", [""])[0]
        if mounted in self.blobs:
            return Reply(201, headers={"Location": f"/v2/{name}/blobs/{mounted}", "Docker-Content-Digest": mounted})
        number = secrets.token_hex(8)
        self.uploads[number] = b""
        return Reply(202, headers={"Location": self._location(f"/v2/{name}/blobs/uploads/{number}"), "Range": "0-0"})

    def _upload_end(self, request, name, data):
        digest = request.query.get("digest", [""])[0]
        if digest_of(data) != digest:
            return error(400, "DIGEST_INVALID", "the content does not have this digest")
        self.blobs[digest] = data
        return Reply(201, headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    # ---- manifests

    def _manifest(self, request, name, what):
        digest = self.tags.get((name, what), what)
        if request.method == "PUT":
            return self._manifest_put(request, name, what)
        if digest not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return Reply(200, self.manifests[digest], {
            "Content-Type": self.types[digest], "Docker-Content-Digest": digest, "ETag": f'"{digest}"'})

    def _manifest_put(self, request, name, what):
        before = self.tags.get((name, what))
        wanted = request.headers.get("If-Match")
        if wanted and wanted != f'"{before}"':
            return error(412, "PRECONDITION", "the tag has moved")
        digest, media_type = digest_of(request.body), request.headers.get("Content-Type", "")
        document = json.loads(request.body)
        if what.startswith("sha256:") and what != digest:
            return error(400, "DIGEST_INVALID", "the content does not have this digest")
        if document.get("mediaType", media_type) != media_type:
            return error(400, "MANIFEST_INVALID", "two media types")
        missing = [d["digest"] for d in [document.get("config"), *document.get("layers", [])]
                   if d and d["digest"] not in self.blobs]
        if missing:
            return error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown: {missing[0]}")
        self.manifests[digest], self.types[digest] = request.body, media_type
        if not what.startswith("sha256:"):
            self.tags[name, what] = digest
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        if self.referrers_api and document.get("subject"):
            headers["OCI-Subject"] = document["subject"]["digest"]
        return Reply(201, headers=headers)

    # ---- referrers

    def descriptor(self, digest):
        """As lists of referrers show it."""
        document = json.loads(self.manifests[digest])
        found = {"mediaType": self.types[digest], "digest": digest, "size": len(self.manifests[digest]),
                 "artifactType": document.get("artifactType") or document.get("config", {}).get("mediaType")}
        if document.get("annotations"):
            found["annotations"] = document["annotations"]
        return found

    def _referrers(self, request, name, subject):
        if not self.referrers_api:
            return bad_reply("404")
        found = [self.descriptor(digest) for digest, data in sorted(self.manifests.items())
                 if json.loads(data).get("subject", {}).get("digest") == subject]
        headers, wanted = {"Content-Type": OCI_INDEX}, request.query.get("artifactType")
        if wanted and self.filters:
            found = [entry for entry in found if entry["artifactType"] in wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        if self.page:
            first = int(request.query.get("first", ["0"])[0])
            if first + self.page < len(found):
                query = urllib.parse.urlencode({**({"artifactType": wanted[0]} if wanted else {}),
                                                "first": first + self.page})
                headers["Link"] = f'</v2/{name}/referrers/{subject}?{query}>; rel="next"'
            found = found[first : first + self.page]
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return Reply(200, json.dumps(body).encode(), headers)


class Handler(fake_registry.Handler):
    """All methods, and bodies that come in chunks."""

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def _serve(self):
        parts = urllib.parse.urlsplit(self.path)
        request = Request(self.command, parts.path, urllib.parse.parse_qs(parts.query), self.headers, self._body(),
                          time.monotonic())
        self._send(self.server.registry.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _send_length(self, reply):
        if reply.status != 204:
            super()._send_length(reply)
