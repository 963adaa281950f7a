"""A registry with TLS and a password, as private registries are."""
import base64
import json
import os
import stat

import pytest

import images
from images import small_content
from registry import PASSWORD, USER


@pytest.fixture(scope="module")
def private(registry_tls, tmp_path_factory):
    return registry_tls.push(images.small_image(tmp_path_factory.mktemp("layout")), "team/app")


def login(folder, host, **entry):
    """A docker config.json with one entry."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config.json", "w", encoding="ascii") as file:
        json.dump(entry or {"auths": {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}, file)
    return f"{folder}/config.json"


@pytest.fixture
def trust(registry_tls):
    return {"SSL_CERT_FILE": registry_tls.ca}


def test_a_mount_over_tls_with_a_password(private, registry_tls, imgfs, scratch, trust):
    login(scratch / "docker", registry_tls.host)
    mount = imgfs.mount(private, env={**trust, "DOCKER_CONFIG": str(scratch / "docker")})
    with open(f"{mount}/data/large", "rb") as file:
        assert file.read() == small_content("data/large")


def test_authfile(private, registry_tls, imgfs, scratch, trust):
    path = login(scratch / "docker", registry_tls.host)
    assert imgfs.run("cat", "--authfile", path, private, "/etc/name", env=trust).stdout == "small\n"


def test_podman_login_for_a_repository(private, registry_tls, imgfs, scratch, trust):
    """auth.json may name a repository's path; the longest match wins."""
    right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    wrong = base64.b64encode(b"other:wrong").decode()
    auths = {registry_tls.host: {"auth": wrong}, f"{registry_tls.host}/team": {"auth": right}}
    path = login(scratch / "podman", registry_tls.host, auths=auths)
    assert imgfs.run("cat", "--authfile", path, private, "/etc/name", env=trust).stdout == "small\n"


def test_credential_helper(private, registry_tls, imgfs, scratch, trust):
    helper = scratch / "docker-credential-test"
    answer = json.dumps({"ServerURL": registry_tls.host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\ncat > {scratch}/asked\necho '{answer}'\n", encoding="ascii")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    login(scratch / "docker", registry_tls.host, credHelpers={registry_tls.host: "test"})
    env = {**trust, "DOCKER_CONFIG": str(scratch / "docker"), "PATH": f"{scratch}:{os.environ['PATH']}"}
    assert imgfs.run("cat", private, "/etc/name", env=env).stdout == "small\n"
    assert (scratch / "asked").read_text(encoding="ascii").strip() == registry_tls.host


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_without_the_password(private, registry_tls, imgfs, scratch, trust, secret):
    env = dict(trust)
    if secret:
        auth = base64.b64encode(f"{USER}:{secret}".encode()).decode()
        login(scratch / "docker", registry_tls.host, auths={registry_tls.host: {"auth": auth}})
        env["DOCKER_CONFIG"] = str(scratch / "docker")
    done = imgfs.run("ls", private, check=False, env=env)
    assert done.returncode == 4, done
    assert len(done.stderr.strip().splitlines()) == 1 and registry_tls.host in done.stderr
    assert "wrong" not in done.stderr and USER not in done.stderr


def test_unknown_authority(private, imgfs):
    done = imgfs.run("ls", private, check=False)
    assert done.returncode == 5, done
    assert "certificate" in done.stderr.lower(), done.stderr


def test_plain_http_to_a_tls_port(private, imgfs, trust):
    done = imgfs.run("ls", "--plain-http", private, check=False, env=trust)
    assert done.returncode in (4, 5), done


def test_tls_to_a_plain_port_of_loopback(small, imgfs):
    """Loopback hosts may fall back to http without being asked to."""
    assert imgfs.run("cat", small, "/etc/name").stdout == "small\n"


def test_by_digest(small, imgfs, registry):
    digest = imgfs.json("inspect", small)["digest"]
    by_digest = f"{registry.host}/small@{digest}"
    assert imgfs.run("cat", by_digest, "/etc/name").stdout == "small\n"
    wrong = f"{registry.host}/small@sha256:{'0' * 64}"
    assert imgfs.run("cat", wrong, "/etc/name", check=False).returncode == 3
