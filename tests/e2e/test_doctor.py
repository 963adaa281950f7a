"""`imgfs doctor`: machines that lack something, and registries that stop half-way."""
import base64
import json
import os
import pty
import re
import shutil
import signal
import subprocess

import pytest

from fake_registry import FakeRegistry, Reply, Tokens, error
from imgfs import BINARY, SLOWER, environment, mount_of, processes_of
from mounting import NOBODY, device_for_all, image, open_to_all  # noqa: F401
from processes import free_port, run, wait_for
from registry import PASSWORD, USER, Registry

# pylint: disable=redefined-outer-name,unused-import


class Doctor:
    """imgfs doctor of one user with a home of their own."""

    def __init__(self, home, **who):
        self.home, self.who = home, who
        home.mkdir(mode=0o700)

    def environment(self, **more):
        return environment(**{"HOME": os.fspath(self.home), "XDG_RUNTIME_DIR": os.fspath(self.home), "IMGFS_STORE": f"{self.home}/store",
                              "TMPDIR": os.fspath(self.home), "PATH": os.environ["PATH"], **more})

    def run(self, *words, before=(), env=None):
        command = [*before, BINARY, "doctor", *words]
        return run(*command, check=False, timeout=60 * SLOWER, env=self.environment(**(env or {})), cwd=self.home, **self.who)

    def json(self, *words, **more):
        done = self.run("--json", *words, **more)
        assert done.stderr == "", done.stderr
        found = json.loads(done.stdout)
        assert done.returncode == (0 if found["works"] else 1)
        assert found["works"] == all(row["level"] != "fail" for row in found["findings"])
        assert all(("hint" in row) == (row["level"] != "ok") for row in found["findings"]), found
        return found["findings"]

    def finds(self, level, name, *words, arguments=(), **more):
        """One finding of this level and name, with these words in its text or hint; all findings."""
        rows = self.json(*arguments, **more)
        texts = [row["text"] + " " + row.get("hint", "") for row in rows if (row["level"], row["name"]) == (level, name)]
        assert any(all(word in text for word in words) for text in texts), (level, name, words, rows)
        return rows


@pytest.fixture
def root(scratch):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return Doctor(scratch / "root")


@pytest.fixture
def user(scratch, open_to_all, device_for_all):
    if os.geteuid() != 0:
        return Doctor(scratch / "user")
    made = Doctor(scratch / "user", user=NOBODY, group=NOBODY, extra_groups=[])
    os.chown(made.home, NOBODY, NOBODY)
    return made


@pytest.fixture
def anybody(scratch):
    return Doctor(scratch / "home")


def levels(rows):
    return {row["name"]: row["level"] for row in rows}


# ---- the machine


@pytest.mark.root
def test_all_well(root):
    rows = root.finds("ok", "mounting", "works; FUSE protocol 7.")
    assert levels(rows)["fuse device"] == levels(rows)["store"] == levels(rows)["certificates"] == "ok"
    assert not mount_of(root.home) and [name for name in os.listdir(root.home) if name.startswith("imgfs-doctor")] == []
    done = root.run()
    assert done.returncode == 0 and "images can be mounted here" in done.stdout.splitlines()[-1]
    assert re.match(r"ok    kernel            Linux \d", done.stdout)
    quiet = root.run("-q")
    assert quiet.returncode == 0 and not re.search("^ok ", quiet.stdout, re.M)


def test_plain_user(user):
    if not os.path.exists("/etc/mtab"):
        pytest.skip("there is no /etc/mtab")
    rows = user.finds("ok", "mounting", "through fusermount3")
    assert levels(rows)["fusermount3"] == "ok" and levels(rows)["other users"] in ("ok", "warn")
    assert not [name for name in os.listdir(user.home) if name.startswith("imgfs-doctor")]


def changed(script, *words):
    """A command in a mount namespace of its own that a shell script has changed before."""
    return ["unshare", "-m", "sh", "-c", f"{script} && exec \"$@\"", "sh", *words]


NO_DEVICE = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"


@pytest.mark.root
def test_no_device(root):
    rows = root.finds("fail", "fuse device", "/dev/fuse: No such file", "modprobe fuse", "--device /dev/fuse", before=changed(NO_DEVICE))
    assert "mounting" not in levels(rows)
    done = root.run(before=changed(NO_DEVICE))
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "images can not be mounted here; commands that mount nothing work"
    done = root.run(before=changed(NO_DEVICE), env={"SSL_CERT_FILE": "/nonexistent"})
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "lines with 'fail' say what does not work here"


@pytest.mark.root
def test_device_that_is_closed(user, scratch):
    device = scratch / "closed"
    os.mknod(device, 0o020600, os.makedev(10, 229))
    run("mount", "--bind", device, "/dev/fuse")
    try:
        user.finds("fail", "fuse device", "can not be opened: Permission denied", "chmod 0666")
    finally:
        run("umount", "-l", "/dev/fuse")


@pytest.mark.root
def test_no_fusermount(user, root):
    user.finds("fail", "fusermount3", "apt install fuse3", env={"PATH": "/nonexistent"})
    root.finds("ok", "fusermount3", "root does not", env={"PATH": "/nonexistent"})


@pytest.mark.root
def test_fusermount_without_rights(user, scratch):
    folder = scratch / "bin"
    folder.mkdir(mode=0o755)
    shutil.copy("/bin/true", folder / "fusermount3")
    user.finds("fail", "fusermount3", "not set-user-id root", "chmod u+s", env={"PATH": os.fspath(folder)})


@pytest.mark.root
def test_what_fusermount_says(user):
    """The one test that counts: here the helper itself refuses."""
    rows = user.json(before=["sh", "-c", "chmod 500 . && exec \"$@\"", "sh"], env={"TMPDIR": "/proc"})
    assert levels(rows)["mounting"] == "fail"


def test_no_runtime(anybody):
    rows = anybody.finds("warn", "container runtime", "crun nor runc", env={"PATH": "/nonexistent"})
    assert levels(rows)["mount -t imgfs"] in ("ok", "warn")


@pytest.mark.root
def test_dead_mount(root, image, scratch):
    folder = scratch / "mnt"
    folder.mkdir()
    run(BINARY, "mount", image, folder, env=root.environment(), timeout=60 * SLOWER)
    (pid,) = processes_of(image)
    try:
        root.finds("ok", "runtime directory", "live mount", env={"XDG_RUNTIME_DIR": ""})
        os.kill(pid, signal.SIGSTOP)
        root.finds("warn", "stuck mount", os.fspath(folder), "imgfs umount --lazy")
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not processes_of(image), "it is dead")
        root.finds("warn", "dead mount", os.fspath(folder), f"imgfs umount {folder}")
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def test_store(anybody, scratch):
    (scratch / "file").write_text("")
    anybody.finds("fail", "store", os.fspath(scratch / "file"), "--store", arguments=["--store", scratch / "file"])
    (scratch / "open").mkdir(mode=0o777)
    (scratch / "open").chmod(0o777)
    anybody.finds("fail", "store", f"chmod 700 {scratch}/open", arguments=["--store", scratch / "open"])


def test_store_that_is_not_there_is_not_made(anybody, image, scratch):
    store = scratch / "a" / "b" / "store"
    anybody.finds("ok", "store", f"{store}, on ", "made when it is first used", arguments=["--store", store])
    anybody.finds("ok", "layout", "layers", arguments=["--store", store, image])
    (scratch / "empty").mkdir(mode=0o700)
    anybody.finds("ok", "store", "made when it is first used", arguments=["--store", scratch / "empty"])
    assert not os.path.exists(scratch / "a") and not os.listdir(scratch / "empty")
    anybody.finds("fail", "store", "can not be made", "in /proc", arguments=["--store", "/proc/x/store"])


@pytest.mark.root
def test_store_on_a_small_or_read_only_disk(root, scratch):
    disk = scratch / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", disk)
    try:
        for made in ("v1", "v1/tmp"):
            (disk / made).mkdir(mode=0o700)
        rows = root.finds("ok", "store", "on tmpfs", arguments=["--store", disk])
        assert levels(rows)["room"] == "warn"
        run("mount", "-o", "remount,ro", disk)
        root.finds("warn", "store", "no file can be made: Read-only file system", "not kept", arguments=["--store", disk])
    finally:
        run("umount", disk)


def test_runtime_directory(anybody, scratch):
    (scratch / "theirs").mkdir()
    (scratch / "theirs").chmod(0o755)
    anybody.finds("fail", "runtime directory", os.fspath(scratch / "theirs"), "0700", env={"IMGFS_RUNTIME_DIR": os.fspath(scratch / "theirs")})
    for place in ("/proc/x", f"{scratch}/no/where"):
        anybody.finds("fail", "runtime directory", f"{place}: no directory can be made", env={"IMGFS_RUNTIME_DIR": place})
    anybody.finds("ok", "runtime directory", f"{scratch}/new, 0 live mounts", env={"IMGFS_RUNTIME_DIR": f"{scratch}/new"})
    assert not os.path.exists(scratch / "new")


def test_broken_settings(anybody):
    folder = anybody.home / ".config" / "imgfs"
    folder.mkdir(parents=True)
    (folder / "imgfs.conf").write_text("[default]\nstoer = /x\n")
    (folder / "trust").write_text("h.io maybe\n")
    anybody.finds("fail", "imgfs.conf", f"{folder}/imgfs.conf:2: unknown key 'stoer'", "--config none")
    anybody.finds("fail", "trust", f"{folder}/trust:1:")
    (folder / "imgfs.conf").write_text(f"[default]\nstore = {anybody.home}/configured\n")
    (folder / "trust").write_text("h.io none\n")
    rows = anybody.finds("ok", "store", f"{anybody.home}/configured", env={"IMGFS_STORE": ""})
    assert levels(rows)["imgfs.conf"] == "ok"


def test_certificates(anybody, scratch):
    empty = scratch / "empty.pem"
    empty.write_text("")
    only = {"SSL_CERT_FILE": os.fspath(empty), "SSL_CERT_DIR": os.fspath(scratch)}
    anybody.finds("fail", "certificates", "no authority is known", "unset $SSL_CERT_FILE", env=only)
    anybody.finds("fail", "certificates", "/nonexistent: No such file", "$SSL_CERT_FILE", env={"SSL_CERT_FILE": "/nonexistent"})
    empty.write_text("no certificate")
    anybody.finds("fail", "certificates", "no authority is known", env={"SSL_CERT_FILE": os.fspath(empty)})
    empty.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    anybody.finds("fail", "certificates", "1 of 1 certificates can not be read", env={"SSL_CERT_FILE": os.fspath(empty)})
    system = "/etc/ssl/certs/ca-certificates.crt"
    if os.path.exists(system):
        count = run("grep", "-c", "BEGIN CERT", system).stdout.strip()
        anybody.finds("ok", "certificates", f"{count} in {system}", env={"SSL_CERT_FILE": system})


def test_credentials(anybody, scratch):
    anybody.finds("ok", "credentials", "none")
    docker = anybody.home / ".docker"
    docker.mkdir()
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    login = docker / "config.json"
    login.write_text(json.dumps({"auths": {"h.io": {"auth": secret}, "x.io": {}}, "credHelpers": {"y.io": "nothere"}, "credsStore": "there"}))
    login.chmod(0o600)
    tools = scratch / "tools"
    tools.mkdir()
    (tools / "docker-credential-there").write_text(f"#!/bin/sh\ntouch {scratch}/was-run\n")
    (tools / "docker-credential-there").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    anybody.finds("ok", "credentials", f"{login} (1 login)", env=path)
    anybody.finds("ok", "credential helper", f"{tools}/docker-credential-there", env=path)
    anybody.finds("warn", "credential helper", "'docker-credential-nothere'", "install", env=path)
    assert not os.path.exists(scratch / "was-run")
    everything = anybody.run("--json").stdout + anybody.run().stdout
    assert secret not in everything and PASSWORD not in everything
    login.chmod(0o644)
    anybody.finds("warn", "credentials", "can be read by others", "chmod 600")
    login.write_text("{")
    anybody.finds("warn", "credentials", f"{login} is no JSON object")
    anybody.finds("warn", "credentials", "/nonexistent: No such file", "asks for a login", env={"REGISTRY_AUTH_FILE": "/nonexistent"})
    anybody.finds("warn", "credentials", f"{login} is no JSON", "asks for a login", arguments=["--authfile", login])


def test_certificates_are_believed_as_the_client_does(anybody, registry_tls, image, scratch):
    """What doctor calls broken is what keeps `ls` from working, and the other way round."""
    reference = registry_tls.push(image[4:], "bundles")
    login = scratch / "login.json"
    login.write_text(json.dumps({"auths": {registry_tls.host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}))
    with open(registry_tls.ca, encoding="ascii") as file:
        good = file.read()
    bad = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    bundle = scratch / "bundle.pem"
    for text, works in ((good, True), (good + good, True), (good + bad, False), (bad + good, False), ("text", False), ("", False)):
        bundle.write_text(text)
        env = {"SSL_CERT_FILE": os.fspath(bundle)}
        anybody.finds("ok" if works else "fail", "certificates", os.fspath(bundle), env=env)
        done = run(BINARY, "ls", "--authfile", login, reference, check=False, timeout=60 * SLOWER, env=anybody.environment(**env))
        assert (done.returncode == 0) == works, (text, done.stderr)
        if works:
            shutil.rmtree(anybody.home / "store")


def test_broken_login_file(anybody, fake, scratch):
    """It is in the way of a registry that asks for a login, and only there."""
    (scratch / "broken").write_text("{")
    env = {"REGISTRY_AUTH_FILE": os.fspath(scratch / "broken")}
    rows = anybody.finds("warn", "login", arguments=[fake.reference()], env=env)
    assert steps(rows) == STEPS and levels(rows)["credentials"] == "warn"
    assert run(BINARY, "ls", fake.reference(), env=anybody.environment(**env), timeout=60 * SLOWER).stdout
    fake.tokens = Tokens()
    shutil.rmtree(anybody.home / "store")
    rows = anybody.finds("fail", "login", arguments=[fake.reference()], env=env)
    assert steps(rows) == STEPS[:5]
    assert run(BINARY, "ls", fake.reference(), env=anybody.environment(**env), check=False, timeout=60 * SLOWER).returncode != 0


@pytest.mark.root
def test_credentials_of_root_are_no_concern(user):
    """/run/containers, where root's podman makes it, is closed to others."""
    closed = "mkdir -p /run/containers && mount -t tmpfs -o mode=0700 none /run/containers"
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = [*changed(closed, *become), BINARY, "doctor", "--json"]
    done = run(*command, check=False, timeout=60 * SLOWER, env=user.environment(), cwd=user.home)
    found = {row["name"]: row for row in json.loads(done.stdout)["findings"]}
    assert found["credentials"]["text"].startswith("none"), found["credentials"]


def test_proxies_without_their_password(anybody):
    env = {"https_proxy": "http://me:geheim@proxy.h.io:3128", "no_proxy": "localhost"}
    rows = anybody.finds("ok", "proxy", "https_proxy=proxy.h.io:3128", env=env)
    assert "geheim" not in json.dumps(rows)
    done = anybody.run("registry.invalid/a:1", env={**env, "https_proxy": f"http://me:geheim@127.0.0.1:{free_port()}"})
    assert done.returncode == 1 and "through the proxy http://127.0.0.1" in done.stdout and "geheim" not in done.stdout


def test_nothing_is_sent_without_a_reference(anybody):
    fake = FakeRegistry().start()
    try:
        anybody.run(env={"http_proxy": f"http://{fake.host}", "https_proxy": f"http://{fake.host}"})
        assert fake.log == []
    finally:
        fake.stop()


# ---- the way to a registry

STEPS = ["reference", "name", "connection", "protocol", "login", "manifest", "platform", "ranges", "referrers", "trust"]


def steps(rows):
    names = [row["name"] for row in rows]
    return names[names.index("reference"):]


@pytest.fixture
def fake(image):
    made = FakeRegistry().start()
    made.add_layout(image[4:].rsplit(":", 1)[0])
    yield made
    made.stop()


def test_the_whole_way(anybody, fake):
    rows = anybody.json(fake.reference())
    assert steps(rows) == STEPS
    found = {row["name"]: row for row in rows}
    assert found["ranges"] == {"level": "ok", "name": "ranges", "text": "parts of layers can be fetched"}
    assert "under a tag" in found["referrers"]["text"] and "http, not encrypted; asks for no login" in found["protocol"]["text"]
    done = anybody.run(fake.reference())
    assert "this image can be mounted here" in done.stdout.splitlines()[-1]


def test_a_real_registry_with_tls_and_a_login(anybody, registry_tls, image):
    reference = registry_tls.push(image[4:], "doctor")
    rows = anybody.finds("fail", "protocol", "certificate", "certs.d", "SSL_CERT_FILE", arguments=[reference])
    assert steps(rows) == STEPS[:4]
    ca = {"SSL_CERT_FILE": registry_tls.ca}
    rows = anybody.finds("fail", "manifest", "login", arguments=[reference], env=ca)
    assert steps(rows) == STEPS[:6]
    login = anybody.home / "login.json"
    for password, level in ((PASSWORD, "ok"), ("wrong", "fail")):
        login.write_text(json.dumps({"auths": {registry_tls.host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}}))
        login.chmod(0o600)
        rows = anybody.finds(level, "manifest", arguments=["--authfile", login, reference], env=ca)
        found = {row["name"]: row["text"] for row in rows}
        assert found["login"] == f"{login}, user {USER}" and "https; asks for a login: Basic" in found["protocol"]
        assert password not in json.dumps(rows).replace(reference, "")
    assert steps(rows) == STEPS[:6]
    wrong = anybody.finds("warn", "protocol", "status 400", arguments=["--plain-http", reference])
    assert levels(wrong)["manifest"] == "fail"


def test_dead_registry(anybody):
    rows = anybody.finds("fail", "connection", "Connection refused", "firewall", arguments=[f"localhost:{free_port()}/a:1"])
    assert steps(rows) == STEPS[:3]
    rows = anybody.finds("fail", "name", "registry.invalid", "spelling", arguments=["registry.invalid/a:1"])
    assert steps(rows) == STEPS[:2]
    rows = anybody.finds("fail", "reference", arguments=["UPPER/case"])
    assert steps(rows) == STEPS[:1]


def test_no_such_image(anybody, fake):
    rows = anybody.finds("fail", "manifest", "tag", arguments=[fake.reference("app", "nope")])
    assert steps(rows) == STEPS[:6]
    rows = anybody.finds("fail", "platform", "linux/s390x", "there is: linux/arm64", arguments=["--platform", "linux/s390x", index_of(fake)])
    assert steps(rows) == STEPS[:7]
    rows = anybody.finds("ok", "platform", "there is an image for linux/arm64", arguments=["--platform", "linux/arm64", index_of(fake)])
    assert steps(rows) == STEPS


def index_of(fake):
    """An image index with one entry, for linux/arm64."""
    digest = fake.tags[("app", "1")]
    entry = {"mediaType": fake.types[digest], "digest": digest, "size": len(fake.manifests[digest]), "platform": {"os": "linux", "architecture": "arm64"}}
    fake.add_manifest({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}, "app", "index",
                      "application/vnd.oci.image.index.v1+json")
    return fake.reference("app", "index")


def test_registries_that_can_do_less(anybody, fake):
    fake.on("GET .*/blobs/", lambda request: Reply(200, fake.blobs[request.digest]))
    rows = anybody.finds("warn", "ranges", "it sends all", "whole layers", arguments=[fake.reference()])
    assert steps(rows) == STEPS
    fake.on("GET .*/referrers/", lambda request: Reply(500))
    anybody.finds("warn", "referrers", "--index", arguments=[fake.reference()])
    fake.on("GET .*/referrers/", lambda request: Reply(200, b'{"schemaVersion":2,"manifests":[]}', {"Content-Type": "application/vnd.oci.image.index.v1+json"}))


def test_tokens(anybody, fake):
    fake.tokens = Tokens(users={"me": "right"})
    anybody.finds("ok", "protocol", "asks for a login: Bearer, ", arguments=[fake.reference()])
    anybody.finds("fail", "manifest", arguments=[fake.reference()])


def test_no_registry(anybody, fake):
    fake.on("GET /v2/$", lambda request: Reply(404, b"<html>", {"Content-Type": "text/html"}))
    anybody.finds("warn", "protocol", "status 404", "web site", arguments=[fake.reference()])
    fake.on("(HEAD|GET) .*/manifests/", lambda request: error(429, "TOOMANYREQUESTS", "slow down"))
    anybody.finds("fail", "manifest", "limit", arguments=[fake.reference()])


def test_settings_of_the_registry_are_used(anybody, image, scratch):
    registry = Registry(scratch / "private", password=True).start()
    try:
        reference = registry.push(image[4:], "small")
        folder = anybody.home / ".config" / "imgfs"
        folder.mkdir(parents=True)
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "login.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        (folder / "login.json").chmod(0o600)
        (folder / "imgfs.conf").write_text(f"[registry {registry.host}]\nauthfile = login.json\n")
        anybody.finds("ok", "login", f"{folder}/login.json", arguments=[reference])
    finally:
        registry.stop()


def test_layout(anybody, image):
    anybody.finds("ok", "layout", image, "layers", arguments=[image])
    anybody.finds("fail", "layout", "nope", arguments=[image.rsplit(":", 1)[0] + ":nope"])


# ---- how it looks


def test_on_a_terminal(anybody):
    reader, writer = pty.openpty()
    command = ["sh", "-c", "stty cols 60 && exec \"$@\"", "sh", BINARY, "doctor"]
    with subprocess.Popen(command, stdin=writer, stdout=writer, env=anybody.environment(TERM="xterm", PATH="/bin")) as process:
        os.close(writer)
        text = b""
        try:
            while piece := os.read(reader, 65536):
                text += piece
        except OSError:
            pass
        process.wait(60 * SLOWER)
    os.close(reader)
    assert b"\033[32mok  \033[0m  kernel" in text and b"\033[33mwarn\033[0m" in text
    lines = re.sub(r"\033\[\d*m", "", text.decode()).replace("\r", "").splitlines()
    for line in lines:
        assert len(line) <= 60 or " " not in line[24:], line  # a long path stays whole


def test_usage(anybody):
    assert anybody.run("a", "b").returncode == 2
    assert "--json" in anybody.run("--help").stdout
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "doctor"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=anybody.environment())
    assert done.returncode == 1 and "No space left" in done.stderr
