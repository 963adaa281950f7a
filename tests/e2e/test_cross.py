"""Another architecture: imgfs built for arm64 here, run under qemu-user, makes and reads the same index."""
import json
import os
import shutil
import subprocess

import pytest

from images import Layout, noise, tar_of
from imgfs import FLAVOUR, environment

SOURCE = os.environ["IMGFS_SOURCE"]

pytestmark = [
    pytest.mark.skipif(FLAVOUR != "release", reason="one flavour is enough"),
    pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-gcc") or not shutil.which("qemu-aarch64-static"),
                       reason="tools/packages cross is not installed"),
]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Runs imgfs for arm64: foreign(words...) gives its standard output."""
    build = tmp_path_factory.mktemp("arm64") / "build"
    made = subprocess.run([f"{SOURCE}/tools/cross", "arm64", build], capture_output=True, text=True, timeout=500, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    assert "ARM aarch64" in made.stdout

    def call(*words):
        return subprocess.run([build / "run", build / "imgfs", *words], env=environment(), capture_output=True,
                              timeout=120, check=True).stdout
    return call


def test_same_index_on_arm64(foreign, imgfs, scratch):
    content = noise(3 << 20)
    layout = Layout(scratch / "layout")
    layout.add_layer(tar_of({"a/big": content, "a/small": b"text\n"}))
    layout.add_layer(tar_of({"b": b"upper\n"}))
    reference = "oci:" + layout.write()
    common = ("-q", "--platform", "linux/amd64", "--store", os.fspath(scratch / "arm64-store"))
    foreign("index", "build", "--output", "none", *common, reference)
    imgfs.build(reference, "--output", "none")
    theirs = json.loads(foreign("index", "show", "--json", *common, reference))
    ours = imgfs.json("index show", reference)
    digests = [[layer["canonical_digest"] for layer in shown["layers"]] + [shown["image"]["canonical_digest"]]
               for shown in (theirs, ours)]
    assert digests[0] == digests[1]
    assert foreign("cat", *common, reference, "/a/big") == content
    assert foreign("cat", *common, reference, "/b") == b"upper\n"


def test_says_what_it_is(foreign):
    text = foreign("--version").decode()
    assert text.startswith("imgfs ") and "features: gzip=isa-l,zlib" in text
