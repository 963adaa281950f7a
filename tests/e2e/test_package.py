"""The Debian package: built from this tree, clean for lintian, and at work on a bare Debian that has nothing else."""
import json
import os
import re
import shutil
import subprocess

import pytest

from images import Layout, real_image, tar_of
from imgfs import FLAVOUR

SOURCE = os.environ["IMGFS_SOURCE"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(FLAVOUR != "release", reason="one flavour is enough"),
    pytest.mark.skipif(not shutil.which("lintian") or not shutil.which("dh"), reason="tools/packages package is not installed"),
]


def call(*words, seconds=120, check=True, **more):
    done = subprocess.run([os.fspath(word) for word in words], capture_output=True, text=True, timeout=seconds, check=False,
                          **more)
    assert not check or done.returncode == 0, f"{words}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package's path; tools/package fails where lintian finds something."""
    out = tmp_path_factory.mktemp("package") / "out"
    call(f"{SOURCE}/tools/package", out, seconds=400)
    (made,) = [path for path in out.glob("imgfs_*.deb")]
    return made


@pytest.fixture(scope="module")
def bare(tmp_path_factory, package):
    """bare(COMMAND...) runs in a minimal Debian 12 with the package installed, and nothing else that imgfs brought."""
    root = tmp_path_factory.mktemp("bare")
    layout = real_image("debian")
    with open(f"{layout}/index.json", encoding="utf-8") as file:
        (entry,) = json.load(file)["manifests"]
    def blob(digest):
        return f"{layout}/blobs/{digest.replace(':', '/')}"
    with open(blob(entry["digest"]), encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    for layer in layers:
        call("tar", "-xzf", blob(layer["digest"]), "-C", root, "--numeric-owner")
    shutil.copy("/etc/resolv.conf", root / "etc")
    shutil.copy(package, root / "imgfs.deb")
    for source in ("/proc", "/dev", "/sys"):
        call("mount", "--rbind", source, f"{root}{source}")

    def inside(*words, **more):
        return call("chroot", root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
                    "LC_ALL=C", *words, **more)
    if inside("apt-get", "update", check=False).returncode:
        pytest.skip("the bare system reaches no Debian archive")
    inside("apt-get", "install", "-y", "-q", "--no-install-recommends", "/imgfs.deb", seconds=300)
    inside.root = root
    return inside


def test_contents(package):
    listed = {line.split()[-1].lstrip(".") for line in call("dpkg", "-c", package).stdout.splitlines()}
    assert {"/usr/bin/imgfs", "/usr/lib/systemd/system/imgfs@.service", "/usr/share/doc/imgfs/sbom.spdx.json",
            "/usr/share/man/man1/imgfs-ls.1.gz", "/usr/share/man/man5/imgfs.conf.5.gz", "/usr/share/man/man8/mount.imgfs.8.gz",
            "/usr/share/bash-completion/completions/imgfs", "/usr/share/zsh/vendor-completions/_imgfs",
            "/usr/share/fish/vendor_completions.d/imgfs.fish"} <= listed
    control = call("dpkg", "-f", package).stdout
    assert re.search(r"^Version: [0-9.]+\+deb", control, re.M)
    assert "fuse3" in re.search(r"^Depends: (.*)", control, re.M).group(1)


def test_units_are_valid(package, scratch):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    call("dpkg", "-x", package, scratch)
    units = scratch / "usr/lib/systemd/system"
    (units / "imgfs@x.service").write_bytes((units / "imgfs@.service").read_bytes())
    for name in ("imgfs@x.service", "imgfs-store-gc.service", "imgfs-store-gc.timer"):
        done = call("systemd-analyze", "verify", "--man=no", units / name, check=False)
        wrong = [line for line in done.stderr.splitlines() if name in line and "not executable" not in line]
        assert not wrong, wrong


def test_works_on_a_bare_system(bare):
    version = bare("imgfs", "--version").stdout
    assert f"imgfs {package_version()}" in version and "libfuse" in version
    layout = Layout(bare.root / "layout")
    layout.add_layer(tar_of({"etc/hello": b"hello\n"}))
    layout.write()
    assert bare("imgfs", "cat", "oci:/layout", "/etc/hello").stdout == "hello\n"
    (bare.root / "mnt").mkdir(exist_ok=True)
    bare("mount", "-t", "imgfs", "oci:/layout", "/mnt")
    try:
        assert bare("cat", "/mnt/etc/hello").stdout == "hello\n"
    finally:
        bare("imgfs", "umount", "/mnt")


def package_version():
    with open(f"{SOURCE}/CMakeLists.txt", encoding="utf-8") as file:
        return re.search(r"^project\(imgfs VERSION ([0-9.]+)", file.read(), re.M).group(1)


def test_purge_leaves_nothing(bare):
    bare("apt-get", "purge", "-y", "-q", "imgfs")
    left = call("find", bare.root / "usr", bare.root / "etc", "-name", "*imgfs*").stdout
    assert left == ""
