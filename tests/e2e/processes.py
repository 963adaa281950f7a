"""processes: programs that a test starts, and the small waits around them."""
import contextlib
import os
import signal
import socket
import subprocess
import time

SCRATCH = os.environ.get("IMGFS_TEST_DIR")  # tests/run makes it and removes it
START_S = 20


def run(*command, check=True, timeout=300, **more):
    """Run to its end; text in and out. The error shows what the command said."""
    words = [os.fspath(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(condition, what, seconds=START_S):
    """Until the condition gives something true; returns it."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Daemon:
    """A process in a session of its own whose output goes to a log file; stop() leaves nothing of it."""

    def __init__(self, command, log, **more):
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [os.fspath(c) for c in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, **more
            )

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, how=signal.SIGTERM, seconds=10):
        if self.alive():
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(seconds)
        return self.process.returncode
