"""tree: what the checkers share: the project's files, C without comments, and how a finding is reported.

A checker is a program with one optional argument, the root of the tree (default: this source tree). It prints one line
a finding, `path:line: what`, and exits 1 if there was one, 77 (skip) when it can not check here.
"""
import os
import re
import sys

ROOMS = ["index", "fetch", "fs", "tools", "tests"]  # a room may include its own headers and those of rooms to its left
SKIP = 77
NOT_OURS = re.compile(r"^(\.git|build.*|__pycache__|\.pytest_cache)$")


def root():
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else here


def files(*suffixes):
    """Paths below the root, relative to it, in order; all files without suffixes."""
    top, found = root(), []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if not NOT_OURS.match(f))
        for name in names:
            if not suffixes or name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, name), top))
    return sorted(found)


def text(path):
    with open(os.path.join(root(), path), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments(source, keep_strings=True):
    """The same text with comments (and strings) blanked: lines and columns stay where they are."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'" and keep_strings:
            return token
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(blank, source)


class Findings:
    def __init__(self):
        self.count = 0

    def add(self, path, line, what):
        self.count += 1
        print(f"{path}:{line}: {what}")

    def exit(self):
        sys.exit(1 if self.count else 0)
