"""What a module imports, read from its text and from what this machine's python3 compiles of it: the same as the
interpreter's own parser says, for some hundred modules of its standard library.
"""
import ast
import collections
import os
import py_compile
import sys
import sysconfig

import pytest

from processes import run

TOOL = os.path.join(os.environ.get("IMGFS_TEST_TOOLS", "."), "python_imports")
MODULES = 300  # of about 700; seconds
# the compiled form of later ones is not known
compiled_is_known = pytest.mark.skipif(sys.version_info >= (3, 15), reason="compiled by a Python after 3.14")
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
ENDS_BLOCK = (ast.Raise, ast.Return, ast.Continue, ast.Break)

FORMS = """\
'''import not_this'''
import a, b.c as d
from e import f, g as h; from .. import i
from .j.k import (  # a comment
    l,
    m as n,
)
from o import *
from typing import TYPE_CHECKING
import typing
text = "\\
import not_this"
if TYPE_CHECKING:
    import not_this
else:
    import p
if typing.TYPE_CHECKING:
    from . import not_this
try:
    import q
except ImportError:
    q = None
def function():
    import not_this
class Class:
    import not_this
@property
async def later():
    from not_this import neither
for x in q:
    with x:
        from . import r
import \\
    s.t
"""
FORMS_HAVE = [
    (0, "a"), (0, "b.c"), (0, "e"), (0, "e.f"), (0, "e.g"), (2, ""), (2, "i"), (1, "j.k"), (1, "j.k.l"), (1, "j.k.m"), (0, "o"),
    (0, "typing"), (0, "typing.TYPE_CHECKING"), (0, "typing"), (0, "p"), (0, "q"), (1, ""), (1, "r"), (0, "s.t"),
]


def tool(paths):
    """path -> [(level, name), ...], all in one run."""
    found = collections.defaultdict(list)
    for line in run(TOOL, *paths, timeout=60).stdout.splitlines():
        level, name, path = line.split("\t")
        found[path].append((int(level), name))
    return found


# ---- what the interpreter's parser says


def names_in(node):
    if isinstance(node, ast.Import):
        return [(0, alias.name) for alias in node.names]
    of = node.module or ""
    taken = [alias.name for alias in node.names if alias.name != "*"]
    return [(node.level, of)] + [(node.level, f"{of}.{name}" if of else name) for name in taken]


def is_type_checking(test):
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def is_known(test):
    """Whether the compiler may leave code out for it."""
    if isinstance(test, ast.UnaryOp):
        return is_known(test.operand)
    if isinstance(test, ast.BoolOp):
        return any(map(is_known, test.values))
    return isinstance(test, ast.Constant) or is_type_checking(test) or getattr(test, "id", None) == "__debug__"


def imports_in(nodes, certain=False):
    """The statements outside of functions and classes; certain: only those that every compiler keeps."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from imports_in(node.orelse, certain)
        elif certain and isinstance(node, ENDS_BLOCK):
            return
        elif certain and isinstance(node, (ast.If, ast.While)) and is_known(node.test):
            continue
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            for block in blocks_of(node):
                yield from imports_in(block, certain)


def blocks_of(node):
    """In the order of the text."""
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        yield getattr(node, name, [])


def begins_line(node, lines):
    """What the text's reader looks at: lines that begin with an import."""
    before = lines[node.lineno - 1][:node.col_offset].split()
    return not before or before[0] in (b"import", b"from")


# ---- the modules


def library():
    """Paths of a bounded number of modules, from everywhere in the library."""
    paths = []
    for folder, folders, files in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        paths += [os.path.join(folder, name) for name in sorted(files) if name.endswith(".py")]
    return paths[:: max(1, len(paths) // MODULES)][:MODULES]


class Modules:
    """Each one's text, its tree, what the tool says of the text, and of what the compiler makes of it."""

    def __init__(self, folder, paths):
        self.trees, self.texts, compiled = {}, {}, {}
        for number, path in enumerate(paths):
            with open(path, "rb") as file:
                self.texts[path] = file.read()
            self.trees[path] = ast.parse(self.texts[path], path).body
            compiled[path] = py_compile.compile(path, os.path.join(folder, f"{number}.pyc"), doraise=True)
        of_code = tool(compiled.values())
        self.of_text = tool(paths)
        self.of_code = {path: of_code[compiled[path]] for path in paths}


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    paths = library()
    if len(paths) < MODULES // 2:
        pytest.skip(f"python {sys.version_info.major}.{sys.version_info.minor} has no library of text here")
    return Modules(tmp_path_factory.mktemp("compiled"), paths)


def flat(nodes):
    return [name for node in nodes for name in names_in(node)]


def test_text_is_read_as_the_parser_does(modules):
    total = 0
    for path, tree in modules.trees.items():
        lines = modules.texts[path].split(b"\n")
        expected = flat(node for node in imports_in(tree) if begins_line(node, lines))
        assert modules.of_text[path] == expected, path
        total += len(expected)
    assert total > 5 * MODULES


@compiled_is_known
def test_compiled_modules_are_read_as_the_parser_does(modules):
    total = uncertain = 0
    for path, tree in modules.trees.items():
        every, got = set(flat(imports_in(tree))), set(modules.of_code[path])
        certain = set(flat(imports_in(tree, certain=True)))
        assert certain <= got <= every, f"{path}: missing {certain - got}, too many {got - every}"
        total += len(every)
        uncertain += len(every - certain)
    assert total > 5 * MODULES and uncertain < total // 20


@compiled_is_known
def test_every_form(scratch):
    source, code = scratch / "forms.py", scratch / "forms.pyc"
    source.write_text(FORMS, encoding="utf-8")
    py_compile.compile(os.fspath(source), os.fspath(code), doraise=True)
    found = tool([source, code])
    assert found[os.fspath(source)] == FORMS_HAVE
    assert found[os.fspath(code)] == FORMS_HAVE


@compiled_is_known
def test_broken_files_are_no_error(scratch):
    code = py_compile.compile(os.__file__, os.fspath(scratch / "os.pyc"), doraise=True)
    with open(code, "rb") as file:
        whole = file.read()
    paths = []
    for size in range(0, len(whole), 97):
        paths.append(scratch / f"{size}.pyc")
        paths[-1].write_bytes(whole[:size])
    expected, found = tool([code])[code], tool(paths)
    assert (0, "sys") in expected
    for path in paths:
        assert found[os.fspath(path)] in ([], expected)
