"""The wrapper tests/run keeps its promise: nothing of a test outlives it, however it ends."""
import os
import signal
import subprocess
import time

import pytest

from processes import SCRATCH, wait_for

RUN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "run")


def alive(mark):
    """Whether a process with this word in its command line is there."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    return True
        except OSError:
            continue
    return False


@pytest.fixture
def mark(request):
    """A number of seconds to sleep that no other process uses."""
    return f"9999.{os.getpid()}{abs(hash(request.node.name)) % 10000}"


@pytest.fixture
def inside(scratch):
    """Start a shell command through the wrapper, with folders of its own."""

    def start(command, *options):
        environment = {**os.environ, "IMGFS_TEST_SCRATCH": str(scratch)}
        words = [RUN, *options, "--", "sh", "-c", command]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    return start


def test_status_and_folder(inside, scratch):
    ran = inside("test -d $IMGFS_TEST_DIR && test $IMGFS_TEST_DIR != " + SCRATCH + " && exit 3")
    assert ran.wait(30) == 3
    assert os.listdir(scratch) == []


def test_a_daemon_that_detached_is_killed(inside, scratch, mark):
    ran = inside(f"setsid sleep {mark} & sleep 0.2; mkdir $IMGFS_TEST_DIR/m && mount -t tmpfs none $IMGFS_TEST_DIR/m")
    ran.wait(30)
    assert not alive(mark)
    assert os.listdir(scratch) == []


def test_a_timeout(inside, scratch, mark):
    started = time.monotonic()
    assert inside(f"sleep {mark}", "--timeout", "1").wait(60) == 124
    assert time.monotonic() - started < 30
    assert not alive(mark) and os.listdir(scratch) == []


@pytest.mark.root
def test_a_wrapper_that_is_killed(inside, scratch, mark):
    ran = inside(f"setsid sleep {mark} & sleep {mark}")
    wait_for(lambda: alive(mark), "the test runs")
    ran.send_signal(signal.SIGKILL)
    ran.wait(30)
    wait_for(lambda: not alive(mark), "everything is killed with it", 10)
    assert len(os.listdir(scratch)) == 1, "what a killed wrapper can not remove"
    assert inside("true").wait(30) == 0
    assert os.listdir(scratch) == [], "the next one removes it"


def test_logs_of_a_failure_are_shown(inside):
    ran = inside("echo the-reason > $IMGFS_TEST_DIR/daemon.log; exit 1")
    assert "the-reason" in ran.communicate(timeout=30)[0]
