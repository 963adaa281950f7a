"""What is written to registries and layouts, and who refers to a manifest: against Debian's docker-registry, which has
no referrers API, and against referrers_registry, which has one and can be made to misbehave.

Exit statuses are those of `imgfs help exit-codes`: 4 access denied, 5 network, 6 integrity, 7 store.
"""
import json
import os
import secrets
import subprocess
import time
import urllib.request

import pytest

import images
from fake_registry import OCI_INDEX, OCI_MANIFEST, FakeRegistry, Reply, digest_of, error, redirect
from processes import run
from referrers_registry import ROUTES, ReferrersRegistry, ScopedTokens
from registry import PASSWORD, USER, make_certificates
from source_tool import QUICK, TOOL, Result, clean_environment, login, secrets_in, tool

# pylint: disable=redefined-outer-name

TYPE = "application/vnd.imgfs.test.v1"
SUBJECT = digest_of(b"a manifest that need not exist")
TAG = SUBJECT.replace(":", "-")


class Artifact:
    """A manifest that refers to a subject, its blobs, and the descriptor that lists get."""

    def __init__(self, text, subject=SUBJECT, artifact_type=TYPE):
        self.subject = subject
        self.blobs = [b"{}", text.encode()]
        config, layer = ({"mediaType": kind, "digest": digest_of(blob), "size": len(blob)} for kind, blob in
                         zip(("application/vnd.oci.empty.v1+json", "text/plain"), self.blobs))
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type, "config": config,
            "layers": [layer], "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 30},
            "annotations": {"text": text}}).encode()
        self.digest = digest_of(self.manifest)
        self.descriptor = {"mediaType": OCI_MANIFEST, "digest": self.digest, "size": len(self.manifest),
                           "artifactType": artifact_type, "annotations": {"text": text}}


def put(*arguments, content=b"", env=None):
    command = [TOOL, *map(str, arguments)]
    done = subprocess.run(command, input=content, capture_output=True, timeout=120, check=False,
                          env=clean_environment(**(env or {})))
    return Result(done)


def put_blob(reference, content, *options, digest=None, **more):
    return put(*options, "blob-put", reference, digest or digest_of(content), content=content, **more)


def put_manifest(reference, artifact, *options, **more):
    return put(*options, "manifest-put", reference, artifact.digest, OCI_MANIFEST, artifact.subject,
               json.dumps(artifact.descriptor), content=artifact.manifest, **more)


def publish(reference, artifact, **more):
    for blob in artifact.blobs:
        assert put_blob(reference, blob, **more).status == 0
    got = put_manifest(reference, artifact, **more)
    assert got.status == 0, got


def listed(reference, *arguments, subject=SUBJECT, **more):
    """(digests in order, result)"""
    got = tool("-v", "referrers", reference, subject, *arguments, **more)
    assert got.status == 0, got
    entries = [e for line in got.out.splitlines() for e in json.loads(line)["manifests"] or []]
    return [e["digest"] for e in entries], got


@pytest.fixture
def second():
    with ReferrersRegistry() as made:
        yield made


@pytest.fixture
def without():
    """Without the referrers API."""
    with ReferrersRegistry(referrers_api=False) as made:
        yield made


def store(registry, artifact):
    """Into a ReferrersRegistry, past the client."""
    for blob in artifact.blobs:
        registry.add_blob(blob)
    registry.add_manifest(artifact.manifest)


def store_list(registry, entries, **more):
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **more}
    registry.add_manifest(document, "app", TAG, OCI_INDEX)


def fallback_list(registry):
    return json.loads(registry.manifests[registry.tags["app", TAG]])


@pytest.fixture(params=["second", "docker-registry", "docker-registry with TLS and htpasswd"])
def target(request, scratch):
    """(reference, environment) of a registry to push to."""
    name = f"push-{secrets.token_hex(8)}"
    if request.param == "second":
        return request.getfixturevalue("second").reference(), {}
    if request.param == "docker-registry":
        return request.getfixturevalue("registry").reference(name), {}
    tls = request.getfixturevalue("registry_tls")
    env = {**login(scratch / "login", tls.host, USER, PASSWORD), "SSL_CERT_FILE": tls.ca}
    return tls.reference(name), env


# ---- honest registries

def test_publish_and_find(target):
    reference, env = target
    first, other = Artifact("first"), Artifact("second")
    assert listed(reference, env=env)[0] == []
    for artifact in (first, other, first):
        publish(reference, artifact, env=env)
    assert sorted(listed(reference, TYPE, env=env)[0]) == sorted([first.digest, other.digest])
    assert tool("manifest", reference, first.digest, env=env).out == first.manifest
    layer = first.blobs[1]
    assert tool("small", reference, digest_of(layer), len(layer), env=env).out == layer
    assert listed(reference, subject=first.digest, env=env)[0] == []


@pytest.mark.parametrize("size", [0, 1, 30_000_000])
def test_blobs(target, size):
    reference, env = target
    content = os.urandom(size)
    got = put_blob(reference, content, env=env)
    assert got.out == b"sent\n", got
    again = put_blob(reference, content, env=env)
    assert again.out == b"there\n", again
    if size:
        assert tool("blob", reference, digest_of(content), size, env=env).out == content


def test_what_is_there_is_not_sent(second):
    second.add_blob(b"text")
    assert put_blob(second.reference(), b"text").out == b"there\n"
    assert [t[0] for t in second.traffic] == ["HEAD"]


def test_requests_of_a_push(second, without):
    artifact = Artifact("text")
    publish(second.reference(), artifact)
    assert [t[0] for t in second.traffic] == ["HEAD", "POST", "PUT"] * 2 + ["PUT"]
    publish(without.reference(), artifact)
    assert [t[0] for t in without.traffic[6:]] == ["PUT", "GET", "PUT", "GET"]
    assert listed(without.reference())[0] == [artifact.digest]


def test_skopeo_pushes_and_pulls(second, scratch):
    """The double is a registry for others too."""
    layout = images.small_image(scratch / "image")
    run("skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}",
        f"docker://{second.reference()}")
    run("skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--src-tls-verify=false",
        f"docker://{second.reference()}", f"oci:{scratch}/back:1")
    with open(scratch / "back" / "index.json", encoding="utf-8") as file:
        digest = json.load(file)["manifests"][0]["digest"]
    assert tool("head", second.reference()).out.decode().strip() == digest
    assert second.counted("PATCH .*/uploads/"), "skopeo sends in parts"
    publish(second.reference(), Artifact("text", subject=digest))
    assert len(listed(second.reference(), subject=digest)[0]) == 1


def test_with_a_real_client(registry):
    """The tag that oras, cosign and others would look for holds an image index."""
    reference, artifact = registry.reference("real-client"), Artifact("text")
    publish(reference, artifact)
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.reference('real-client', TAG)}")
    assert json.loads(raw.stdout)["manifests"] == [artifact.descriptor]


# ---- listing

@pytest.mark.parametrize("how", ["404", "html", "500", "503", "400", "401", "403", "429", "login", "garbage", "hang"])
def test_an_api_that_misbehaves(second, how):
    """One request to the API, one for the fallback tag, and never an error."""
    artifact = Artifact("text")
    store_list(second, [artifact.descriptor])
    second.misbehave("referrers", how)
    begin = time.monotonic()
    found, got = listed(second.reference())
    assert found == [artifact.digest] and time.monotonic() - begin < 5, got
    assert [t[1].split("/")[3] for t in second.counted("GET .*/(referrers|manifests)/")][-2:] == ["referrers", "manifests"]
    if how not in ("401", "hang"):
        assert len(second.traffic) == 2, second.traffic
    assert ("index.referrers" in got.err) == (how != "404"), got


@pytest.mark.parametrize("tag", ["404", "html", "500", "login", "garbage", "hang"])
@pytest.mark.parametrize("api", ["404", "html", "hang"])
def test_neither_api_nor_tag(second, api, tag):
    second.misbehave("referrers", api)
    second.misbehave("tag", tag)
    begin = time.monotonic()
    found, got = listed(second.reference())
    assert found == [] and "pages: 0" in got.err and time.monotonic() - begin < 7, got
    assert ("index.referrers" in got.err) == ((api, tag) != ("404", "404"))


def test_an_image_under_the_tag_is_no_list(without):
    without.add_manifest({"schemaVersion": 2, "config": {}, "layers": []}, "app", TAG)
    found, got = listed(without.reference())
    assert found == [] and "no OCI image index" in got.err, got


def test_one_request(second):
    store(second, Artifact("text"))
    assert len(listed(second.reference(), TYPE)[0]) == 1 and len(second.traffic) == 1
    query = second.requests()[0].query
    assert query == {"artifactType": [TYPE]}
    second.filters = False
    assert len(listed(second.reference(), "application/x+y&z")[0]) == 1, "whoever asks filters"
    assert second.requests()[1].query == {"artifactType": ["application/x+y&z"]}


def test_an_empty_list(second):
    second.on(ROUTES["referrers"], Reply(200, b'{"schemaVersion":2,"manifests":null}'))
    assert listed(second.reference())[0] == [] and len(second.traffic) == 1


def test_pages(second):
    second.page = 2
    for i in range(9):
        store(second, Artifact(f"text {i}"))
    found, got = listed(second.reference(), TYPE)
    assert len(set(found)) == 6 and "pages: 3" in got.err and len(second.traffic) == 3, got


@pytest.mark.parametrize("link", ["https://example.com/v2/app/referrers/x", "http://127.0.0.1:1/v2/", "ftp://x/", "//[/"])
def test_pages_elsewhere(second, link):
    """Another host, another scheme, nonsense: the first page is what there is."""
    body = json.dumps({"schemaVersion": 2, "manifests": [Artifact("text").descriptor]}).encode()
    second.on(ROUTES["referrers"], Reply(200, body, {"Link": f'<{link}>; rel="next"'}))
    assert len(listed(second.reference())[0]) == 1 and len(second.traffic) == 1


def test_a_second_page_that_fails(second):
    second.page = 1
    for i in range(3):
        store(second, Artifact(f"text {i}"))
    second.on(ROUTES["referrers"], lambda r: Reply(500) if "first" in r.query else None)
    found, got = listed(second.reference())
    assert len(found) == 1 and "index.referrers" in got.err and len(second.traffic) == 2, got


def test_too_long_a_page(second):
    second.on(ROUTES["referrers"], Reply(200, b'{"manifests":[' + b" " * (5 << 20) + b"]}"))
    found, got = listed(second.reference())
    assert found == [] and "longer" in got.err, got


def test_the_api_at_another_host(second):
    """A registry that has moved redirects this route as any other."""
    store(second, Artifact("text"))
    with FakeRegistry() as old:
        old.on("referrers", lambda r: redirect(f"{second.url}{r.path}"))
        assert len(listed(old.reference())[0]) == 1


def test_callers_error_is_passed_on(second):
    store(second, Artifact("text"))
    got = tool("referrers", second.reference(), SUBJECT, TYPE, "refuse")
    assert got.status == 1 and "does not like" in got.error and "pages: 1" in got.err, got


def test_offline(second):
    second.stop()
    got = tool("referrers", second.reference(), SUBJECT)
    assert got.status == 5 and "refused" in got.error, got


def test_interrupted(second):
    second.misbehave("referrers", "hang")
    begin = time.monotonic()
    got = tool("--interrupt-ms", "500", "referrers", second.reference(), SUBJECT)
    assert got.status == 5 and "interrupted" in got.error and time.monotonic() - begin < 2, got


# ---- the fallback tag

def test_foreign_entries_stay(without):
    foreign = [{"mediaType": "text/x", "digest": digest_of(b"1"), "size": 9007199254740993, "x-more": [1.5, None, {"ä": "\t"}]},
               {"digest": digest_of(b"2"), "platform": {"os": "plan9"}}]
    store_list(without, foreign, annotations={"of": "somebody"}, unknown=[True])
    first, other = Artifact("first"), Artifact("second")
    for artifact in (first, other, first):
        publish(without.reference(), artifact)
    got = fallback_list(without)
    assert got["manifests"] == [first.descriptor, other.descriptor, *foreign]
    assert got["annotations"] == {"of": "somebody"} and got["unknown"] == [True]


@pytest.mark.parametrize("document", [{"schemaVersion": 2, "config": {}, "layers": []}, {"manifests": {}},
                                      {"mediaType": OCI_MANIFEST, "manifests": []}])
def test_a_tag_of_somebody_else_is_left_alone(without, document):
    held = without.add_manifest(document, "app", TAG, "application/json")
    artifact = Artifact("text")
    for blob in artifact.blobs:
        without.add_blob(blob)
    got = put_manifest(without.reference(), artifact)
    assert got.status == 6 and TAG in got.error and "left as it is" in got.error, got
    assert without.tags["app", TAG] == held and not without.counted(ROUTES["tag-put"])


@pytest.mark.parametrize("answer", [Reply(201), Reply(412), Reply(503)], ids=["lost", "If-Match", "503"])
def test_another_writer(without, answer):
    artifact = Artifact("text")
    store_list(without, [Artifact("other").descriptor])
    without.on(ROUTES["tag-put"], answer, times=2)
    publish(without.reference(), artifact)
    assert [e["digest"] for e in fallback_list(without)["manifests"]] == [artifact.digest, Artifact("other").digest]
    puts = without.requests(ROUTES["tag-put"])
    assert len(puts) == 3 and puts[0].headers["If-Match"].startswith('"sha256:')


def test_other_writers_for_ever(without):
    artifact = Artifact("text")
    for blob in artifact.blobs:
        without.add_blob(blob)
    without.on(ROUTES["tag-put"], Reply(201))
    got = put_manifest(without.reference(), artifact)
    assert got.status == 5 and "other writers" in got.error and len(without.counted(ROUTES["tag-put"])) < 10, got


def test_many_writers_one_after_another(registry):
    reference, artifacts = registry.reference("writers"), [Artifact(f"text {i}") for i in range(6)]
    for artifact in artifacts:
        publish(reference, artifact)
    assert listed(reference)[0] == [a.digest for a in reversed(artifacts)]


# ---- refusals

@pytest.mark.parametrize("reply", [error(403, "DENIED", "no"), error(405, "UNSUPPORTED", "read-only"), Reply(401)],
                         ids=["403", "405", "401"])
@pytest.mark.parametrize("route", ["upload", "upload-put", "manifest-put"])
def test_denied(second, route, reply):
    second.on(ROUTES[route], reply)
    artifact = Artifact("text")
    for blob in artifact.blobs:
        second.add_blob(blob)
    if route == "manifest-put":
        got = put_manifest(second.reference(), artifact)
    else:
        got = put_blob(second.reference(), b"new")
    assert got.status == 4 and f"{second.host}/app does not let you push" in got.error, got
    assert len(second.counted(ROUTES[route])) == 1


def test_denied_without_a_login(registry_tls):
    got = put_blob(registry_tls.reference("denied"), b"text", env={"SSL_CERT_FILE": registry_tls.ca})
    assert got.status == 4 and "does not let you push" in got.error and "podman login" in got.error, got


def test_a_head_that_is_refused_says_nothing(second):
    for status in (403, 404, 405, 302):
        second.forget()
        second.on(ROUTES["blob-head"], Reply(status, headers={"Location": "/login"}))
        assert put_blob(second.reference(), str(status).encode()).out == b"sent\n"


def test_no_such_repository(second):
    second.on(ROUTES["upload"], error(404, "NAME_UNKNOWN", "no project"))
    got = put_blob(second.reference(), b"text")
    assert got.status == 3 and "no project" in got.error, got


# ---- tokens

def test_scopes(second, scratch):
    env = login(scratch / "login", second.host)
    second.tokens = ScopedTokens(users={"reader": "hunter2-secret"})
    artifact = Artifact("text")
    for blob in artifact.blobs:
        assert put_blob(second.reference(), blob, "--plain-http", env=env).status == 0
    assert put_manifest(second.reference(), artifact, "--plain-http", env=env).status == 0
    assert all(scopes[0] == "repository:app:pull,push" for scopes in second.tokens.asked), second.tokens.asked
    assert len(second.tokens.asked) == 3, "one token a process"
    second.tokens.asked.clear()
    got = tool("--plain-http", "referrers", second.reference(), SUBJECT, env=env)
    assert got.status == 0 and artifact.digest in got.out.decode(), got
    assert second.tokens.asked == [["repository:app:pull"]]


def test_a_token_that_is_not_enough(second, scratch):
    """The first one is for reading only; the refusal names no error."""
    env = login(scratch / "login", second.host)
    second.tokens = ScopedTokens(users={"reader": "hunter2-secret"})
    second.tokens.rights = {"pull"}

    def widen(_request):
        second.tokens.rights = {"pull", "push"}

    second.on(ROUTES["upload"], widen)
    assert put_blob(second.reference(), b"text", "--plain-http", env=env).out == b"sent\n"
    assert len(second.tokens.asked) == 2 and len(second.counted(ROUTES["upload"])) == 2


def test_a_login_that_may_only_read(second, scratch):
    env = login(scratch / "login", second.host)
    second.tokens = ScopedTokens(rights=("pull",), users={"reader": "hunter2-secret"})
    manifest = second.add_manifest({"schemaVersion": 2, "layers": []}, "app", "1")
    got = put("--plain-http", "blob-put", second.reference(), digest_of(b"text"), "then-head", content=b"text", env=env)
    assert got.status == 4 and "does not let you push" in got.error, got
    assert len(second.counted(ROUTES["upload"])) <= 3
    assert got.out.decode().strip() == manifest, "what may be read can still be read"


# ---- uploads

def test_relative_location(second):
    second.absolute_locations = False
    assert put_blob(second.reference(), b"text").out == b"sent\n"
    assert set(second.requests(ROUTES["upload-put"])[0].query) == {"state", "digest"}


def test_upload_to_another_host(second, scratch):
    """It gets the content, and no credentials."""
    env = login(scratch / "login", second.host)
    second.basic = ("reader", "hunter2-secret")
    with ReferrersRegistry() as storage:
        storage.uploads = second.uploads
        second.upload_host = storage.url
        assert put_blob(second.reference(), b"text", "--plain-http", env=env).out == b"sent\n"
        assert storage.blobs[digest_of(b"text")] == b"text" and not secrets_in(storage)
        assert len(storage.traffic) == 1


@pytest.mark.parametrize("location", [None, "", "ftp://x/y", "http://user@localhost/", "http://169.254.169.254/latest"])
def test_upload_to_nowhere(second, location):
    second.on(ROUTES["upload"], Reply(202, headers={} if location is None else {"Location": location}))
    got = put_blob(second.reference(), b"text", *QUICK)
    assert got.status == 5 and "digest" not in second.requests()[-1].query, got


def test_upload_does_not_leave_encryption(scratch):
    folder = os.fspath(scratch)
    ca = make_certificates(folder)
    with ReferrersRegistry() as plain, \
            ReferrersRegistry(certificate=(f"{folder}/server.pem", f"{folder}/server.key")) as second:
        second.upload_host = plain.url
        got = put_blob(second.reference(), b"text", env={"SSL_CERT_FILE": ca})
        assert got.status == 5 and "unencrypted" in got.error and not plain.traffic, got


@pytest.mark.parametrize("status", [307, 308])
def test_redirected_pushes(second, status):
    with FakeRegistry() as old:
        old.on("", lambda r: redirect(f"{second.url}{r.path}", status))
        got = put_blob(old.reference(), b"text")
        assert got.out == b"sent\n" or got.out == b"there\n", got


def test_a_redirect_that_would_read(second):
    second.on(ROUTES["upload"], redirect("/login", 302))
    got = put_blob(second.reference(), b"text")
    assert got.status == 5 and "redirect refused" in got.error, got


@pytest.mark.parametrize("reply", [Reply(503), Reply(404), Reply(202), Reply(raw=b"")], ids=["503", "404", "202", "cut"])
def test_an_upload_that_breaks_is_begun_anew(second, reply):
    second.on(ROUTES["upload-put"], reply, times=2)
    assert put_blob(second.reference(), b"text" * 100_000).out == b"sent\n"
    assert len(second.counted(ROUTES["upload"])) in (2, 3)  # libcurl itself repeats what a kept connection lost
    assert second.blobs[digest_of(b"text" * 100_000)] == b"text" * 100_000


def test_uploads_that_break_for_ever(second):
    second.on(ROUTES["upload-put"], Reply(503))
    begin = time.monotonic()
    got = put_blob(second.reference(), b"text")
    assert got.status == 5 and "503" in got.error and time.monotonic() - begin < 25, got
    assert len(second.counted(ROUTES["upload"])) < 6


def test_a_registry_that_takes_its_time(second):
    """What was sent has to be stored before it is answered."""
    second.on(ROUTES["upload-put"], lambda r: time.sleep(1.5))
    assert put_blob(second.reference(), b"text", "--first-byte-ms", "500").out == b"sent\n"
    assert len(second.counted(ROUTES["upload"])) == 1


def test_an_interrupted_upload(second):
    second.on(ROUTES["upload-put"], Reply(delay_s=60))
    begin = time.monotonic()
    got = put_blob(second.reference(), b"text" * 1_000_000, "--interrupt-ms", "700")
    assert got.status == 5 and "interrupted" in got.error and time.monotonic() - begin < 3, got


def test_a_registry_that_stores_something_else(second):
    second.on("^PUT", Reply(201, headers={"Docker-Content-Digest": SUBJECT}))
    assert put_blob(second.reference(), b"text").status == 6
    assert put_manifest(second.reference(), Artifact("text")).status == 6


def test_content_of_another_digest(second):
    got = put_blob(second.reference(), b"text", digest=SUBJECT)
    assert got.status == 6 and SUBJECT in got.error and not second.traffic, got


def test_a_descriptor_of_something_else(without):
    artifact = Artifact("text")
    for blob in artifact.blobs:
        without.add_blob(blob)
    artifact.descriptor["size"] += 1
    got = put_manifest(without.reference(), artifact)
    assert got.status == 1 and "descriptor" in got.error, got


# ---- layouts

def test_layout(scratch):
    folder = scratch / "image"
    images.small_image(folder)
    before = tool("head", f"oci:{folder}").out
    with open(f"{folder}/index.json", encoding="utf-8") as file:
        entries = json.load(file)["manifests"]
    artifacts = [Artifact(text, subject=before.decode().strip()) for text in ("first", "second")]
    for artifact in [*artifacts, artifacts[0]]:
        publish(f"oci:{folder}", artifact)
    found, _ = listed(f"oci:{folder}", subject=artifacts[0].subject)
    assert found == [entries[0]["digest"], *(a.digest for a in artifacts)]
    assert tool("head", f"oci:{folder}").out == before, "an artifact is no image"
    assert put_blob(f"oci:{folder}", artifacts[0].blobs[1]).out == b"there\n"
    assert not [name for _, _, names in os.walk(folder) for name in names if name.startswith(".imgfs")]


def test_new_layout(scratch):
    folder = scratch / "new"
    assert tool("layout-create", folder).status == 0
    publish(f"oci:{folder}", Artifact("text"))
    assert tool("layout-create", folder).status == 0, "a layout already"
    assert listed(f"oci:{folder}")[0] == [Artifact("text").digest]
    (scratch / "full").mkdir()
    (scratch / "full" / "file").write_text("text")
    got = tool("layout-create", scratch / "full")
    assert got.status == 2 and "holds other files" in got.error, got


def test_many_writers_of_a_layout(scratch):
    folder = scratch / "new"
    assert tool("layout-create", folder).status == 0
    artifacts = [Artifact(f"text {i}") for i in range(12)]
    running = [subprocess.Popen([TOOL, "manifest-put", f"oci:{folder}", a.digest, OCI_MANIFEST, SUBJECT,
                                 json.dumps(a.descriptor)], stdin=subprocess.PIPE) for a in artifacts]
    for process, artifact in zip(running, artifacts):
        process.communicate(artifact.manifest)
        assert process.returncode == 0
    assert sorted(listed(f"oci:{folder}")[0]) == sorted(a.digest for a in artifacts)


@pytest.mark.root
def test_read_only_layout(scratch):
    folder = scratch / "new"
    assert tool("layout-create", folder).status == 0
    run("mount", "--bind", folder, folder)
    run("mount", "-o", "remount,bind,ro", folder)
    got = put_blob(f"oci:{folder}", b"text")
    assert got.status == 7 and "can not be written to" in got.error and "Read-only" in got.error, got
    run("umount", folder)


def test_sources_of_bytes_stay_readable(second):
    """The double serves ranges too."""
    second.add_blob(b"0123456789")
    url = f"{second.url}/v2/app/blobs/{digest_of(b'0123456789')}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=2-4"})) as answer:
        assert answer.status == 206 and answer.read() == b"234"
