"""window: a program in a terminal of a certain size, and what it drew there last."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

HOME = "\x1b[H"  # each frame begins with it
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"  # the other screen
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Window:
    def __init__(self, command, columns, lines, env):
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.text, self.status = "", None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.closerange(3, 256)
            # Whoever starts the tests in the background has these ignored.
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(command[0], command, env)

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def read(self):
        """What it has written by now, added to text."""
        while select.select([self.master], [], [], 0.02)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.master, 65536)
                if data:
                    self.text += data.decode("utf-8")
                    continue
            break
        return self.text

    def frame(self):
        """The lines of the last whole frame, without colours."""
        frames = self.read().split(HOME)[1:]
        whole = [frame for frame in frames if frame.endswith("\x1b[J") or "\x1b[J" in frame]
        return SEQUENCE.sub("", whole[-1].split("\x1b[J")[0]).split("\r\n") if whole else []

    def wait_for(self, *words, seconds=20):
        """Until a frame shows all of them; the frame."""
        end = time.monotonic() + seconds
        while True:
            frame = self.frame()
            if frame and all(any(word in line for line in frame) for word in words):
                return frame
            assert time.monotonic() < end, f"{words} never came:\n" + "\n".join(frame or [repr(self.text)])
            time.sleep(0.05)

    def end(self, seconds=20):
        """Its wait status; the terminal must be as it was."""
        end = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.read()
            if pid:
                self.status = status
            assert time.monotonic() < end, "it does not end"
            time.sleep(0.02)
        return self.status

    def is_given_back(self):
        now = termios.tcgetattr(self.slave)
        return now == self.before and self.read().rindex(LEAVE) > self.text.rindex(ENTER) and "\x1b[?25h" in self.text

    def close(self):
        if self.status is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)
