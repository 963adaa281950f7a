"""nasty_case: what one case of the nasty images is, and the two tables of them.

A case is a function whose docstring is the rule and whose result is the list of layers, bottom first; a layer is a list
of members (tarbytes.py) or a Layer.

What containerd shows for the same image is the oracle. `differs` names the facts in which it shows something else: path
-> kinds of facts as in trees.py, or "path" where only one of the two has it. oracle="expect" says that containerd
refuses the image, or shows a tree so different that only the stated facts are checked. Both need a `why`. The root's own
attributes are never compared with containerd: it ignores an archive's entry for the root.
"""
import dataclasses
import typing

import tarbytes

# containerd gives directories that an archive does not name the time of unpacking.
IMPLIED = frozenset({"mtime"})
IMPLIED_WHY = "containerd gives a directory that the archive does not name the time of unpacking; imgfs invents no time"


@dataclasses.dataclass
class Layer:
    members: bytes
    compression: str = "gzip"
    media_type: str = ""  # "": what fits the compression
    ended: bool = True  # two blocks of zeroes behind the members
    diff_id: str = ""  # "": the true one
    damage: typing.Callable = None  # what is done to the blob before its digest is taken
    spoil: typing.Callable = None  # and after: what is stored under that digest

    def stream(self):
        return self.members + (tarbytes.END if self.ended else b"")


@dataclasses.dataclass
class Case:
    name: str
    rule: str
    make: typing.Callable
    expect: dict = dataclasses.field(default_factory=dict)
    oracle: str = "containerd"
    differs: dict = dataclasses.field(default_factory=dict)
    why: str = ""
    reason: str = ""  # REJECTED: part of the message
    edit: typing.Callable = None  # changes (manifest, config) before they are written

    @property
    def layers(self):
        return [layer if isinstance(layer, Layer) else Layer(b"".join(layer)) for layer in self.make()]


CASES, REJECTED = {}, {}


def case(expect, **more):
    """Decorator: the function below is a case that must mount."""

    def add(make):
        name = make.__name__.replace("_", "-")
        assert name not in CASES and make.__doc__
        CASES[name] = Case(name, make.__doc__, make, expect, **more)
        assert not (CASES[name].differs or CASES[name].oracle == "expect") or CASES[name].why, name
        return make

    return add


def rejected(reason, **more):
    """Decorator: the function below is an image that must be refused."""

    def add(make):
        name = make.__name__.replace("_", "-")
        assert name not in REJECTED and make.__doc__
        REJECTED[name] = Case(name, make.__doc__, make, reason=reason, **more)
        return make

    return add


# ---- short forms of facts -------------------------------------------------------------------------------------------
GONE = None


def is_file(content, **more):
    return {"type": "file", "content": tarbytes.name_bytes(content), **more}


def is_dir(*names, **more):
    return {"type": "dir", "names": set(names), **more}


def is_link(target, **more):
    return {"type": "link", "target": tarbytes.name_bytes(target), **more}
