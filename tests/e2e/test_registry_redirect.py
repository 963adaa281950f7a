"""Redirects of the registry client: where they may lead, what goes along, how long they are remembered."""
import datetime
import time

import pytest

from fake_registry import FakeRegistry, Reply, redirect, slice_of
from registry import make_certificates
from source_tool import BLOB, BLOBS, PART, QUICK, SECRET, login, read_part, secrets_in, tool
from source_tool import fake, storage  # noqa: F401  pylint: disable=unused-import

# pylint: disable=redefined-outer-name


def serve_at(storage, path="/store"):
    storage.on(f"GET {path}", lambda request: slice_of(BLOB, request))
    return f"http://{storage.host}{path}"


def test_redirect_takes_no_credentials_along(fake, storage, scratch):
    fake.basic = ("reader", SECRET)
    fake.on(BLOBS, lambda r: redirect(serve_at(storage)) if r.headers.get("Authorization") else None)
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.out == PART and not secrets_in(storage), got


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_statuses(fake, storage, status):
    fake.on(BLOBS, redirect(serve_at(storage), status))
    assert read_part(fake).out == PART


def test_relative_redirect_keeps_the_authorization(fake, scratch):
    """It stays at the registry, which wants to know who asks there too."""
    fake.basic = ("reader", SECRET)
    fake.on("GET /artifacts/x", lambda r: slice_of(BLOB, r) if r.headers.get("Authorization") else Reply(403))
    fake.on(BLOBS, lambda r: redirect("/artifacts/x?sig=1") if r.headers.get("Authorization") else None)
    for _ in range(2):
        assert read_part(fake, "--plain-http", env=login(scratch, fake.host)).out == PART


def test_redirect_is_remembered(fake, storage):
    fake.on(BLOBS, redirect(serve_at(storage)))
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 100_000, 8)
    assert got.out == BLOB
    assert len(fake.requests(BLOBS)) == 1 and len(storage.requests()) == 30


def test_redirect_is_forgotten_in_time(fake, storage):
    """30 s before the end of a signed URL; a URL about to end is not kept at all."""
    def signed(_request):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        return redirect(serve_at(storage) + f"?X-Amz-Date={now}&X-Amz-Expires=31&X-Amz-Signature=s")
    fake.on(BLOBS, signed)
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 100_000, 1)
    assert got.out == BLOB and len(fake.requests(BLOBS)) < 5
    fake.forget()
    fake.on(BLOBS, lambda _r: redirect(serve_at(storage) + f"?Expires={int(time.time()) + 20}&Signature=s"))
    assert tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 1_000_000, 1).out == BLOB
    assert len(fake.requests(BLOBS)) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_stale_redirect(fake, storage, status):
    """The signed URL has ended: the registry is asked once more, by one caller for all."""
    fake.on(BLOBS, redirect(serve_at(storage)))
    storage.hooks.insert(0, storage.on("", Reply(status), times=1))
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 300_000, 4)
    assert got.out == BLOB and len(fake.requests(BLOBS)) == 2, got


def test_redirect_that_stays_stale(fake, storage):
    fake.on(BLOBS, redirect(f"http://{storage.host}/store?X-Amz-Signature={SECRET}"))
    storage.on("", Reply(403))
    got = read_part(fake)
    assert got.status == 5 and "403" in got.error and SECRET not in got.err, got
    assert len(fake.requests(BLOBS)) == 2 and len(storage.requests()) == 2


def test_401_of_a_redirect_target_gets_nothing(fake, storage, scratch):
    fake.basic = ("reader", SECRET)
    fake.on(BLOBS, lambda r: redirect(f"http://{storage.host}/x") if r.headers.get("Authorization") else None)
    storage.on("", Reply(401, headers={"WWW-Authenticate": 'Basic realm="give me"'}))
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.status == 5 and not secrets_in(storage), got


def test_redirect_loop(fake):
    fake.on(BLOBS, lambda r: redirect(r.path))
    got = read_part(fake)
    assert got.status == 5 and "redirect" in got.error and len(fake.requests(BLOBS)) == 6, got


@pytest.mark.parametrize("location", [
    "file:///etc/passwd", "ftp://localhost/x", "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/",
    "http://0.0.0.0:1/", "http://user:pass@localhost/", "", "//", "http://2852039166/", "gopher://x", "http://[::ffff:a9fe:a9fe]/",
])
def test_redirects_that_are_refused(fake, location):
    fake.on(BLOBS, redirect(location))
    begin = time.monotonic()
    got = read_part(fake)
    assert got.status == 5 and time.monotonic() - begin < 2, got
    assert "redirect refused" in got.error or "network" in got.error, got


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tls"))
    return make_certificates(folder), (f"{folder}/server.pem", f"{folder}/server.key")


def test_tls_registry_must_not_redirect_to_http(certificates, storage):
    ca, pair = certificates
    with FakeRegistry(certificate=pair) as fake:
        fake.digest = fake.add_blob(BLOB)
        fake.on(BLOBS, redirect(serve_at(storage)))
        got = read_part(fake, env={"SSL_CERT_FILE": ca})
        assert got.status == 5 and "unencrypted" in got.error and not storage.requests(), got
