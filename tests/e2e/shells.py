"""shells: an interactive bash or zsh on a terminal, into which a test types."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

QUIET_S = 0.25  # a shell that has said nothing for so long waits for more
SHOW = "show() { printf '<%s>' \"$@\"; printf 'END\\n'; }\n"


class Shell:
    """type() sends keys and waits for silence; words() is the line as the shell reads it."""

    def __init__(self, command, setup, env, columns=200):
        self.reader, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.type(SHOW + setup + "echo rea''dy\n", until="ready")

    def type(self, keys, until=None, seconds=20):
        """What it said to these keys: up to a text, or until it is silent."""
        os.write(self.reader, os.fsencode(keys))
        said, end, last = b"", time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            if select.select([self.reader], [], [], 0.05)[0]:
                said += os.read(self.reader, 65536)
                last = time.monotonic()
            elif time.monotonic() - last > QUIET_S and (until is None or until.encode() in said):
                break
        return said.decode(errors="surrogateescape")

    def words(self):
        """The line typed so far, as words; it is gone then."""
        said = self.type("\x01show \x05\n", until="END")
        found = re.findall(r"^<(.*)>END", said.replace("\r", ""), re.M)
        assert found, said
        return found[-1].split("><")

    def complete(self, typed):
        """The words after a TAB behind what is typed."""
        self.type(typed + "\t")
        return self.words()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        os.close(self.reader)
