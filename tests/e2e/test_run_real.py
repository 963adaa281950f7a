"""`imgfs run` with real applications out of a registry, lazily."""
import os

import pytest

from running import RUNTIMES, Runner, left_behind, needs_containers
from processes import wait_for


@pytest.fixture(autouse=True)
def possible():
    needs_containers()
    yield
    wait_for(lambda: not left_behind(), f"all is gone: {left_behind()}")


@pytest.mark.parametrize("name, says_what, share", [("python", "3.0\n", 0.6), ("node", "function\n", 0.4)])
def test_applications(real, scratch, name, says_what, share):
    """The image's own command gives its result; with an index at hand it fetches a part of the image only."""
    reference = real(name)
    runner = Runner(scratch / "imgfs", None, RUNTIMES[0], reference)
    runner.imgfs.build(reference, "--plain-http")
    runner.imgfs.keep_only_indexes()
    assert runner.out(options=["--plain-http"]) == says_what
    held = sum(os.stat(path).st_blocks * 512 for path in runner.imgfs.layer_files("data"))
    total = sum(layer["size"] for layer in runner.imgfs.json("inspect", reference, "--plain-http")["layers"])
    assert 0 < held < 3 * share * total  # data is kept uncompressed: about three times a blob
    for runtime in RUNTIMES:
        runner.runtime = runtime
        assert runner.out(options=["--plain-http", "--net", "none", "--read-only"]) == says_what
