"""Logins of the registry client: tokens, passwords, helpers, TLS, and who must never see a secret."""
import json
import os
import stat
import subprocess
import time

import pytest

from fake_registry import FakeRegistry, Reply, Tokens, redirect
from processes import run
from registry import make_certificates
from source_tool import (BLOB, BLOBS, FIRST, LENGTH, PART, QUICK, SECRET, TOOL, clean_environment, login, read_part,
                         secrets_in, tool)
from source_tool import fake, storage  # noqa: F401  pylint: disable=unused-import

# pylint: disable=redefined-outer-name

# ---- authorization

def test_anonymous_token(fake):
    fake.tokens = Tokens()
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 100_000, 8)
    assert got.out == BLOB and fake.tokens.issued == 1, got
    asked = fake.requests("token")[0]
    assert asked.query["service"] == ["fake"] and asked.query["scope"] == ["repository:app:pull"]


def test_token_with_password(fake, scratch):
    fake.tokens = Tokens(users={"reader": SECRET})
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.out == PART, got
    assert all(r.path == "/token" for r in fake.requests() if r.headers.get("Authorization", "").startswith("Basic"))


def test_tokens_that_expire(fake):
    """Renewed without a word, whenever it happens."""
    fake.tokens = Tokens()
    count = [0]

    def expire(_request):
        count[0] += 1
        if count[0] % 7 == 0:
            fake.tokens.expire()

    fake.on(BLOBS, expire)
    got = tool(*QUICK, "storm", fake.reference(), fake.digest, len(BLOB), 100_000, 1)
    assert got.out == BLOB and fake.tokens.issued > 4, got


def test_insufficient_scope(fake):
    fake.tokens = Tokens()
    wanted = "repository:app:pull,more"

    def stricter(request):
        shown = request.headers.get("Authorization", "")
        if not shown or any(wanted in r.query.get("scope", []) for r in fake.requests("token")):
            return None
        challenge = fake.tokens.challenge(fake, scope=wanted, error="insufficient_scope")
        return Reply(401, repeat=[("WWW-Authenticate", challenge)])

    fake.on(BLOBS, stricter)
    assert read_part(fake).out == PART
    assert fake.requests("token")[-1].query["scope"] == [wanted, "repository:app:pull"]


def test_401_for_ever(fake, scratch):
    fake.tokens = Tokens()
    fake.on(BLOBS, lambda _r: fake.tokens.refusal("Bearer old", fake))
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.status == 4 and len(fake.requests(BLOBS)) == 2 and fake.tokens.issued == 1, got
    assert SECRET not in got.err


def test_wrong_password(fake, scratch):
    fake.tokens = Tokens(users={"reader": "right"})
    got = tool(*QUICK, "--plain-http", "storm", fake.reference(), fake.digest, len(BLOB), 100_000, 8,
               env=login(scratch, fake.host))
    assert got.status == 4 and str(scratch) in got.error and SECRET not in got.err, got
    assert len(fake.requests("token")) == 1, "a wrong password is not tried again and again"


def test_new_password_is_picked_up(fake, scratch):
    fake.basic = ("reader", "new")
    env = clean_environment(**login(scratch, fake.host, password="old"))
    command = [TOOL, *QUICK, "--plain-http", "--denied-ms", "300", "watch", fake.reference(), fake.digest,
               str(len(BLOB)), str(FIRST), str(LENGTH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        def ask():
            process.stdin.write("again\n")
            process.stdin.flush()
            return process.stdout.readline()

        assert ask().startswith("error 4")
        login(scratch, fake.host, password="new")
        time.sleep(0.4)
        assert ask().startswith("ok")
        process.stdin.close()


def test_bare_401_is_followed_by_a_ping(fake):
    fake.tokens = Tokens()
    fake.on(BLOBS, lambda r: None if r.headers.get("Authorization") else Reply(401))
    assert read_part(fake).out == PART
    assert len(fake.requests("GET /v2/$")) == 1


def test_basic_needs_plain_http_or_tls(fake, scratch):
    """On loopback http is fallen back to, but then nothing secret is sent."""
    fake.basic = ("reader", SECRET)
    got = read_part(fake, env=login(scratch, fake.host))
    assert got.status == 4 and "--plain-http" in got.error and not secrets_in(fake), got
    assert read_part(fake, "--plain-http", env=login(scratch, fake.host)).out == PART


def test_no_login(fake):
    fake.basic = ("reader", SECRET)
    got = read_part(fake, "--plain-http")
    assert got.status == 4 and "podman login" in got.error and fake.host in got.error, got


def test_identity_token(fake, scratch):
    fake.tokens = Tokens(users={}, refresh=[SECRET])
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host, identitytoken=SECRET))
    assert got.out == PART and fake.requests("token")[0].method == "POST", got


def test_identity_token_where_post_is_unknown(fake, scratch):
    fake.tokens = Tokens(users={"<token>": SECRET}, post=False)
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host, identitytoken=SECRET))
    assert got.out == PART and [r.method for r in fake.requests("token")] == ["POST", "GET"], got


def test_realm_on_another_host_gets_no_credentials(fake, storage, scratch):
    """127.0.0.1 is another host than localhost; it is asked, but anonymously."""
    shared = Tokens(realm=f"http://127.0.0.1:{storage.port}/token")
    fake.tokens = storage.tokens = shared
    storage.on("token", shared.issue)
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.out == PART and len(storage.requests("token")) == 1 and not secrets_in(storage), got
    assert "withheld" in got.err
    storage.forget()
    storage.on("token", shared.issue)
    got = read_part(fake, "--plain-http", "--token-host", "127.0.0.1", env=login(scratch, fake.host))
    assert got.out == PART and len(secrets_in(storage)) == 1, got


def test_realm_on_another_port_gets_no_credentials(fake, storage, scratch):
    """Another port of the registry's host may be another user's server."""
    shared = Tokens(realm=f"{storage.url}/token")
    assert storage.host.split(":")[0] == fake.host.split(":")[0]
    fake.tokens = storage.tokens = shared
    storage.on("token", shared.issue)
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.out == PART and len(storage.requests("token")) == 1 and not secrets_in(storage), got
    assert "withheld" in got.err
    got = read_part(fake, "--plain-http", "--token-host", fake.host, env=login(scratch, fake.host))
    assert got.out == PART and not secrets_in(storage), got
    got = read_part(fake, "--plain-http", "--token-host", storage.host, env=login(scratch, fake.host))
    assert got.out == PART and len(secrets_in(storage)) == 1, got


def test_token_redirect_takes_no_credentials_along(fake, storage, scratch):
    fake.tokens = Tokens()
    storage.on("", fake.tokens.issue)
    fake.on("/token", redirect(f"http://{storage.host}/elsewhere"))
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.out == PART and len(storage.requests()) == 1 and not secrets_in(storage), got


@pytest.mark.parametrize("realm", ["http://169.254.169.254/token", "file:///etc/passwd", "/token", "", "http://[fe80::2]/"])
def test_realms_that_are_refused(fake, scratch, realm):
    fake.tokens = Tokens(realm=realm or "//")
    got = read_part(fake, "--plain-http", env=login(scratch, fake.host))
    assert got.status == 5 and SECRET not in got.err, got
    assert "must not send us to" in got.error or "not a usable http URL" in got.error, got  # refused, and not tried


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"token":""}', b'{"token":"a\\r\\nX: y"}', b"[]", b'{"token":5}',
                                    b" " * 70000 + b'{"token":"x"}'],
                         ids=["nothing", "no member", "empty", "another header", "a list", "a number", "too long"])
def test_answers_that_hold_no_token(fake, answer):
    fake.tokens = Tokens()
    fake.on("/token", Reply(200, answer))
    assert read_part(fake).status == 5


def test_token_server_that_is_down_for_a_moment(fake):
    fake.tokens = Tokens()
    fake.on("/token", Reply(503), times=2)
    assert read_part(fake).out == PART


# ---- credential helpers

def helper(folder, text, name="test"):
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    with open(folder / "config.json", "w", encoding="ascii") as file:
        json.dump({"credsStore": name}, file)
    return {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:{os.environ['PATH']}", "UNRELATED": "x"}


def test_helper(fake, scratch):
    fake.basic = ("reader", SECRET)
    answer = json.dumps({"ServerURL": "x", "Username": "reader", "Secret": SECRET})
    env = helper(scratch, f"cat > {scratch}/asked; env > {scratch}/env; echo '{answer}'")
    assert read_part(fake, "--plain-http", env=env).out == PART
    assert (scratch / "asked").read_text(encoding="ascii").strip() == fake.host
    assert "UNRELATED" not in (scratch / "env").read_text(encoding="ascii")


def test_helper_with_an_identity_token(fake, scratch):
    fake.tokens = Tokens(users={}, refresh=[SECRET])
    env = helper(scratch, "echo '" + json.dumps({"Username": "<token>", "Secret": SECRET}) + "'")
    assert read_part(fake, "--plain-http", env=env).out == PART


@pytest.mark.parametrize("text", [
    "echo 'credentials not found in native keychain'; exit 1", f"echo '{SECRET} broken'; exit 1", "head -c 200000 /dev/zero",
    "echo '[]'", "exec >&-; exit 0",
], ids=["none", "broken", "endless", "nonsense", "silent"])
def test_helpers_that_fail(fake, scratch, text):
    """A public image is still read; a private one is refused; nothing the helper said is shown."""
    env = helper(scratch, text)
    fake.tokens = Tokens()
    got = read_part(fake, "--plain-http", env=env)
    assert got.out == PART and SECRET not in got.err, got
    fake.tokens = Tokens(users={})
    assert read_part(fake, "--plain-http", env=env).status == 4


def test_missing_helper_and_wild_name(fake, scratch):
    env = helper(scratch, "exit 1")
    for name in ("not-there", "../../bin/sh", ""):
        (scratch / "config.json").write_text(json.dumps({"credsStore": name}), encoding="ascii")
        fake.tokens = Tokens()
        assert read_part(fake, "--plain-http", env=env).out == PART


# ---- TLS

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tls"))
    return make_certificates(folder), (f"{folder}/server.pem", f"{folder}/server.key")


def test_tls(certificates):
    ca, pair = certificates
    with FakeRegistry(certificate=pair) as fake:
        fake.digest = fake.add_blob(BLOB)
        assert read_part(fake, env={"SSL_CERT_FILE": ca}).out == PART
        got = read_part(fake)
        assert got.status == 5 and "certificate" in got.error, got


def test_tls_registry_must_not_name_a_plain_token_server(certificates, storage, scratch):
    ca, pair = certificates
    with FakeRegistry(certificate=pair) as fake:
        fake.digest = fake.add_blob(BLOB)
        fake.tokens = Tokens(realm=f"http://{storage.host}/token")
        got = read_part(fake, env={"SSL_CERT_FILE": ca, **login(scratch, fake.host)})
        assert got.status == 5 and not storage.requests(), got


def test_basic_over_tls(certificates, scratch):
    ca, pair = certificates
    with FakeRegistry(certificate=pair) as fake:
        fake.digest = fake.add_blob(BLOB)
        fake.basic = ("reader", SECRET)
        assert read_part(fake, env={"SSL_CERT_FILE": ca, **login(scratch, fake.host)}).out == PART


def test_an_expired_certificate(certificates, tmp_path):
    ca, pair = certificates
    folder = os.path.dirname(ca)
    expired = tmp_path / "expired.pem"
    run("openssl", "x509", "-req", "-in", f"{folder}/server.csr", "-CA", ca, "-CAkey", f"{folder}/ca.key",
        "-CAcreateserial", "-days", "-1", "-extfile", f"{folder}/extensions", "-out", expired)
    with FakeRegistry(certificate=(str(expired), pair[1])) as fake:
        fake.digest = fake.add_blob(BLOB)
        got = read_part(fake, env={"SSL_CERT_FILE": ca})
        assert got.status == 5 and "certificate" in got.error, got


def certs_d(folder, host, files):
    """~/.config/containers/certs.d/HOST with links to these files."""
    directory = folder / ".config/containers/certs.d" / host
    os.makedirs(directory)
    for name, path in files.items():
        os.symlink(path, directory / name)
    return {"HOME": str(folder)}


def test_authorities_of_one_host(certificates, scratch):
    ca, pair = certificates
    with FakeRegistry(certificate=pair) as fake, FakeRegistry(certificate=pair) as storage:
        fake.digest = fake.add_blob(BLOB)
        env = certs_d(scratch, fake.host, {"ca.crt": ca})
        assert read_part(fake, env=env).out == PART
        # what is trusted for the registry is not trusted for where it redirects to
        fake.on(BLOBS, redirect(f"https://127.0.0.1:{storage.port}/x"))
        got = read_part(fake, env=env)
        assert got.status == 5 and "certificate" in got.error and not storage.requests(), got


def test_client_certificate(certificates, scratch):
    ca, pair = certificates
    with FakeRegistry(certificate=pair, client_ca=ca) as fake:
        fake.digest = fake.add_blob(BLOB)
        assert read_part(fake, "--budget-ms", "1500", env={"SSL_CERT_FILE": ca}).status == 5
        env = certs_d(scratch, fake.host, {"ca.crt": ca, "me.cert": pair[0], "me.key": pair[1]})
        assert read_part(fake, env=env).out == PART


# ---- proxies

def test_proxy(fake):
    """The proxy of the environment is used for other hosts, and never for loopback."""
    got = tool(*QUICK, "--plain-http", "blob", "registry.example:5000/app:1", fake.digest, len(BLOB), FIRST, LENGTH,
               env={"http_proxy": f"http://127.0.0.1:{fake.port}"})
    assert got.out == PART, got
    assert fake.requests(BLOBS)[0].headers["Host"] == "registry.example:5000"
    assert read_part(fake, env={"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}).out == PART


@pytest.mark.parametrize("location", ["http://127.0.0.1:{}/x", "http://localhost:{}/x", "http://[::1]:{}/x",
                                      "http://10.0.0.1/x", "http://192.168.1.1/x", "http://2130706433:{}/x"])
def test_a_public_registry_must_not_send_us_home(fake, storage, location):
    fake.on(BLOBS, redirect(location.format(storage.port)))
    got = tool(*QUICK, "--plain-http", "blob", "registry.example:5000/app:1", fake.digest, len(BLOB), FIRST, LENGTH,
               env={"http_proxy": f"http://127.0.0.1:{fake.port}"})
    assert got.status == 5 and "network" in got.error and not storage.requests(), got
    assert len(fake.requests()) == 1, got
