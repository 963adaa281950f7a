"""harness: what the end-to-end tests (tests/e2e) lend: processes, registries, the program."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from imgfs import BINARY, Imgfs  # noqa: E402, F401
from processes import Daemon, free_port, listening, run, wait_for  # noqa: E402, F401
from registry import LOG_LAG_S, Registry  # noqa: E402, F401
