"""imgfs.conf: defaults of the machine and of the user, for registries and repositories, and `imgfs config`."""
import base64
import json
import os
import subprocess

import pytest

from imgfs import BINARY, SLOWER, environment, mount_of
from mounting import NOBODY, image, open_to_all, options_of  # noqa: F401
from processes import run
from registry import PASSWORD, USER, Registry

# pylint: disable=redefined-outer-name,unused-import


@pytest.fixture
def user(scratch):
    """user(text) writes ~/.config/imgfs/imgfs.conf; user.run(words...) runs imgfs with it, without --store."""
    folder = scratch / "home" / ".config" / "imgfs"
    folder.mkdir(parents=True)

    class User:
        path = folder / "imgfs.conf"
        home = scratch / "home"

        def __call__(self, text):
            self.path.write_text(text)
            self.path.chmod(0o644)

        def run(self, *words, env=None, **more):
            return run(BINARY, *words, check=False, timeout=120 * SLOWER, env=environment(**{"HOME": os.fspath(self.home), **(env or {})}), **more)

        def json(self, *words, **more):
            done = self.run("config", "--json", *words, **more)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        def values(self, *words, **more):
            return {row["key"]: row["value"] for row in self.json(*words, **more)["settings"]}

    return User()


def failed(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_nothing_set(user):
    done = user.run("config")
    assert done.stdout.splitlines() == [f"file           {user.path} (not there)", "file           /etc/imgfs/imgfs.conf (not there)", "nothing is set"]
    assert user.values() == {}


def test_config_shows_what_counts(user, scratch):
    user("[default]\nstore = /user\nplatform = linux/arm64\n[registry h.io]\nplain-http = yes\n[repository h.io/a/*]\nstore = ~/a\n")
    assert user.values() == {"store": "/user", "platform": "linux/arm64"}
    assert user.values("h.io/a/b:1") == {"store": f"{user.home}/a", "platform": "linux/arm64", "plain-http": "yes"}
    assert user.values("h.io/a/b", "--store", "/typed")["store"] == "/typed"
    assert user.values("h.io/a/b", env={"IMGFS_STORE": "/env"})["store"] == "/env"
    found = user.json("h.io/a/b")
    assert found["reference"] == "h.io/a/b:latest" and found["files"][0] == {"path": os.fspath(user.path), "there": True}
    assert found["settings"][0] == {"key": "store", "value": f"{user.home}/a", "file": os.fspath(user.path), "line": 7, "section": "repository h.io/a/*"}
    lines = user.run("config", "h.io/x").stdout.splitlines()
    assert lines[0] == "reference      h.io/x:latest"
    assert lines[4].split() == ["KEY", "VALUE", "FROM"]
    assert lines[5].split() == ["store", "/user", f"{user.path}:2", "[default]"]
    assert user.values("--config", "none") == {}
    other = scratch / "other.conf"
    other.write_text("[default]\nfill = idle\n")
    assert user.values(env={"IMGFS_CONFIG": os.fspath(other)}) == {"fill": "idle"}
    assert user.values("--config", other, env={"IMGFS_CONFIG": "none"}) == {"fill": "idle"}


def test_keys(user):
    listed = [line.split()[0] for line in user.run("config", "--keys").stdout.splitlines()]
    assert listed == [row["key"] for row in json.loads(user.run("config", "--keys", "--json").stdout)]
    common = subprocess.run([BINARY, "mount", "--help"], capture_output=True, text=True, check=True).stdout
    for key in listed:
        assert key == "mount-options" or f"--{key}" in common, key


@pytest.mark.parametrize("words", [["ls"], ["cat"], ["mount"], ["config"], ["store", "du"]])
def test_broken_file(user, image, scratch, words):
    """What would use the file says what is wrong with it; what ends a mount does not care."""
    user("[default]\nstore = /x\nplatfrom = linux/amd64\n")
    operands = {"cat": [image, "/x"], "mount": [image, scratch], "store": [], "config": []}.get(words[0], [image])
    failed(user.run(*words, *operands), 2, f"{user.path}:3: unknown key 'platfrom', did you mean 'platform'?")
    failed(user.run("umount", scratch), 3, "nothing is mounted")
    assert user.run("status").returncode == 0
    assert user.run(*words, *operands, "--config", "none", "--store", scratch / "store").returncode != 2


def test_file_of_others(user, image):
    user("[default]\ntrust-index = any\n")
    user.path.chmod(0o666)
    failed(user.run("ls", image), 4, os.fspath(user.path), "chmod go-w")


@pytest.mark.root
def test_file_of_another_user(user, image):
    user("[default]\ntrust-index = any\n")
    os.chown(user.path, NOBODY, NOBODY)
    failed(user.run("ls", image), 4, f"belongs to user {NOBODY}")


def test_store_and_platform(user, image, scratch):
    user(f"[default]\nstore = ~/own\nplatform = linux/s390x\n[repository oci:{scratch}/*]\nplatform = linux/amd64\n")
    done = user.run("ls", image)
    assert done.returncode == 0, done.stderr
    assert os.path.isdir(user.home / "own" / "v1") and not os.path.exists(user.home / ".cache")
    assert f"{user.home}/own" in user.run("store", "du").stdout
    user("[default]\nstore = ~/own\nplatform = linux/s390x\n")
    failed(user.run("ls", image), 3, "linux/s390x")


@pytest.mark.root
def test_system_file(user, scratch):
    """/etc/imgfs/imgfs.conf, in this mount namespace only."""
    system = scratch / "etc" / "imgfs"
    system.mkdir(parents=True)
    (system / "imgfs.conf").write_text("[default]\nstore = /system\nfill = full\n[registry h.io]\nstore = /system-h\n")
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={system.parent}:/etc", "overlay", "/etc")
    try:
        user("[default]\nstore = /user\n")
        assert user.values() == {"store": "/user", "fill": "full"}
        assert user.values("h.io/a") == {"store": "/system-h", "fill": "full"}
        assert user.values(env={"HOME": "/nonexistent"}) == {"store": "/system", "fill": "full"}
    finally:
        run("umount", "-l", "/etc")


def test_registry_with_a_login(user, image, scratch):
    """plain-http and authfile for one registry, found out of its reference."""
    registry = Registry(scratch / "private", password=True).start()
    try:
        reference = registry.push(image[4:], "team/small")
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (user.path.parent / "login.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        user(f"[default]\nstore = {scratch}/store\n")
        failed(user.run("ls", reference), 4)
        user(f"[default]\nstore = {scratch}/store\n[repository {registry.host}/team/*]\nauthfile = login.json\nplain-http = yes\n")
        done = user.run("cat", reference, "/etc/name")
        assert (done.returncode, done.stdout) == (0, "small\n"), done.stderr
        failed(user.run("ls", reference.replace("team/", "other/")), 4)
    finally:
        registry.stop()


def test_trust(user, image, scratch, registry):
    """A key for one registry; a trust file shuts what the key would open; the command line opens it again."""
    reference = registry.push(image[4:], "conf-trust")
    folder = user.path.parent
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "publish.key")
    run("openssl", "pkey", "-in", folder / "publish.key", "-pubout", "-out", folder / "publish.pem")
    done = user.run("index", "push", "--store", scratch / "pusher", "--sign-key", folder / "publish.key", reference)
    assert done.returncode == 0, done.stderr

    def uses_index(*words):
        done = user.run("inspect", "--json", "--store", scratch / "store", *words, reference)
        assert done.returncode == 0, done.stderr
        return "published_index" in json.loads(done.stdout)

    assert not uses_index()
    user(f"[default]\nindex = none\n[registry {registry.host}]\ntrust-key = publish.pem\n")
    assert uses_index() and not uses_index("--index", "none")
    (folder / "trust").write_text(f"{registry.host} none\n")
    assert not uses_index() and uses_index("--trust-index", "any")
    os.unlink(folder / "trust")
    (folder / "publish.pem").chmod(0o666)
    failed(user.run("ls", reference), 4, f"{user.path}:4: trust-key", "chmod go-w")


@pytest.mark.root
def test_mount(user, image, scratch):
    folder = scratch / "mnt"
    folder.mkdir()
    user(f"[default]\nstore = {scratch}/store\nmount-options = noexec,noallow_other\nfill = idle\nread-budget = 5\non-error = wait\nno-profile = yes\n")
    done = user.run("mount", "-o", "exec", image, folder)
    assert done.returncode == 0, done.stderr
    try:
        assert not {"noexec", "allow_other"} & options_of(os.fspath(folder))
        assert os.path.isdir(scratch / "store" / "v1")
    finally:
        assert user.run("umount", folder).returncode == 0
    assert user.run("mount", image, folder).returncode == 0
    try:
        assert "noexec" in options_of(os.fspath(folder))
    finally:
        assert user.run("umount", folder).returncode == 0
    failed(user.run("mount", "--fill", "never", image, folder), 2, "--fill")
    assert not mount_of(folder)
