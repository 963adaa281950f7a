"""Fixtures of the end-to-end tests. tests/README.md says how to run them; ctest starts each file through tests/run."""
import glob
import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position,redefined-outer-name
import images  # noqa: E402
import imgfs as program  # noqa: E402
from containerd import Containerd  # noqa: E402
from processes import SCRATCH  # noqa: E402
from registry import Registry  # noqa: E402


def pytest_configure(config):
    if not SCRATCH:
        raise pytest.UsageError("start the tests through tests/run (or ctest): it gives them a world of their own")
    config.addinivalue_line("markers", "root: needs root (mounts for everyone, devices, containerd)")


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        if "containerd" in item.fixturenames or item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def scratch():
    """An empty folder; the wrapper removes it."""
    return pathlib.Path(tempfile.mkdtemp(prefix="case.", dir=SCRATCH))


@pytest.fixture(scope="session")
def registry():
    """docker-registry over plain http on loopback."""
    made = Registry(os.path.join(SCRATCH, "registry")).start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def registry_tls():
    """docker-registry with TLS (certificate of made.ca) and a password (registry.USER, registry.PASSWORD)."""
    made = Registry(os.path.join(SCRATCH, "registry-tls"), tls=True, password=True).start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def containerd():
    made = Containerd(os.path.join(SCRATCH, "containerd"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def real(registry):
    """real("python") -> the reference of a real image in the registry."""
    pushed = {}

    def get(name):
        if name not in pushed:
            pushed[name] = registry.push(f"{images.real_image(name)}:1", name)
        return pushed[name]

    return get


@pytest.fixture(scope="session")
def small(registry):
    """The reference of images.small_image in the registry."""
    return registry.push(images.small_image(os.path.join(SCRATCH, "small")), "small")


@pytest.fixture
def imgfs(scratch):
    """The program with a fresh store; everything it mounted is gone afterwards."""
    made = program.Imgfs(scratch / "imgfs")
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def no_sanitizer_report():
    """A report of any process of the program, a daemon's too, fails the test that caused it."""
    yield
    reports = glob.glob(program.SANITIZER_LOG + ".*")
    texts = []
    for path in reports:
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
        os.unlink(path)
    assert not texts, "sanitizer:\n" + "\n".join(texts)
