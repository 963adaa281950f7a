"""nasty_whiteouts: marks that hide what lower layers have, in every order and shape (image-spec layer.md)."""
from nasty_case import GONE, IMPLIED, IMPLIED_WHY, Layer, case, is_dir, is_file, is_link
from tarbytes import MTIME, char, file, folder, fifo, hardlink, member, opaque, symlink, whiteout

LATER = MTIME + 100
SAME_LAYER = (
    "the spec: whiteouts act on lower layers only, so imgfs keeps what this layer brings; containerd's overlay applier "
    "makes a device of the whiteout and fails when the name is taken")


def below(*members):
    """A lower layer: a directory d with two files, and two files beside it."""
    return [
        folder("d"),
        file("d/x", "lower x"),
        file("d/y", "lower y"),
        file("a", "lower a"),
        file("b", "lower b"), *members
    ]


@case({"a": GONE, "b": is_file("lower b"), ".wh.a": GONE})
def whiteout_of_a_file():
    """A whiteout hides the file of that name, and is not shown itself."""
    return [below(), [whiteout("a")]]


@case({"d": GONE, "a": is_file("lower a")})
def whiteout_of_a_directory():
    """A whiteout hides a directory with all that is in it."""
    return [below(), [whiteout("d")]]


@case({"d": is_dir("y")})
def whiteout_in_a_directory():
    """A whiteout hides one name in a directory that the layer names too."""
    return [below(), [folder("d"), whiteout("d/x")]]


@case({"d": is_dir("y", mtime=MTIME * 10**9)}, differs={"d": IMPLIED}, why=IMPLIED_WHY)
def whiteout_in_a_directory_not_named():
    """A whiteout in a directory that only lower layers name leaves the directory as it is."""
    return [below(), [whiteout("d/x")]]


@case({"l": GONE, "d": is_dir("x", "y")})
def whiteout_of_a_symlink():
    """A whiteout of a symlink hides the link, not what it points to."""
    return [below(symlink("l", "d")), [whiteout("l")]]


@case({"a": is_file("new", mtime=LATER * 10**9)})
def whiteout_before_its_file():
    """A whiteout and then a file of that name: the file is shown."""
    return [below(), [whiteout("a"), file("a", "new", mtime=LATER)]]


@case({"a": is_file("new")}, oracle="expect", why=SAME_LAYER)
def whiteout_after_its_file():
    """A file and then its whiteout: the same as the other order."""
    return [below(), [file("a", "new"), whiteout("a")]]


@case(
    {"d": is_dir("new")},
    oracle="expect",
    why=
    "the spec: the lower directory is hidden with its children; containerd shows them, as its second entry replaces the mark"
)
def whiteout_before_its_directory():
    """A whiteout and then a directory of that name: only the new children are shown."""
    return [below(), [whiteout("d"), folder("d"), file("d/new", "n")]]


@case({"d": is_dir("new")}, oracle="expect", why=SAME_LAYER)
def whiteout_after_its_directory():
    """A directory, its child, and then the whiteout: the same as the other order."""
    return [below(), [folder("d"), file("d/new", "n"), whiteout("d")]]


@case({"d": is_dir("new")}, oracle="expect", why=SAME_LAYER)
def whiteout_between_directory_and_child():
    """A whiteout between a directory and its child hides the lower children only."""
    return [below(), [folder("d"), whiteout("d"), file("d/new", "n")]]


@case({"d": is_dir("new")}, oracle="expect", why=SAME_LAYER)
def whiteout_and_child_without_directory():
    """A whiteout of a directory and an entry below it: an opaque directory that is implied."""
    return [below(), [whiteout("d"), file("d/new", "n")]]


@case({"d": is_dir("new")}, oracle="expect", why=SAME_LAYER)
def child_and_whiteout_without_directory():
    """The same with the whiteout last."""
    return [below(), [file("d/new", "n"), whiteout("d")]]


@case({"d": is_dir("x", "y"), "d/x": is_file("new")}, oracle="expect", why=SAME_LAYER)
def whiteout_after_its_file_in_a_directory():
    """Below the root as at the root."""
    return [below(), [folder("d"), file("d/x", "new"), whiteout("d/x")]]


@case({"a": is_link("b")})
def whiteout_before_its_symlink():
    """A whiteout and then a symlink of that name."""
    return [below(), [whiteout("a"), symlink("a", "b")]]


@case({"": is_dir("a", "b", "d")})
def whiteout_of_nothing():
    """A whiteout of a name that no layer has is fine."""
    return [below(), [whiteout("nothing")]]


GHOST = "overlayfs lists a whiteout that lies in a directory of one layer alone, but finds nothing under that name"


@case(
    {
        "missing": is_dir("too"),
        "missing/too": is_dir()
    },
    oracle="expect",
    why="the spec is silent; containerd makes the parents of any entry before it looks at its name, and imgfs follows; " +
    GHOST)
def whiteout_of_nothing_in_nowhere():
    """A whiteout implies the directories that it stands in, as any entry does."""
    return [below(), [whiteout("missing/too/x")]]


@case({"new": is_dir("f")}, oracle="expect", why=GHOST)
def whiteout_in_a_new_directory():
    """A whiteout in a directory that no lower layer has."""
    return [below(), [folder("new"), whiteout("new/x"), file("new/f", "f")]]


@case({"": is_dir("d")})
def whiteouts_of_any_type():
    """A whiteout is known by its name alone: typed as directory, symlink or device."""
    return [
        below(file("c", "c"), file("e", "e")),
        [whiteout("a", b"5"),
         whiteout("b", b"2", link="d"),
         whiteout("c", b"6"),
         whiteout("e", b"3", device=(1, 3))]
    ]


@case({"a": GONE, "after": is_file("after")})
def whiteout_with_content():
    """The data of a whiteout is skipped."""
    return [below(), [whiteout("a", data=b"x" * 700), file("after", "after")]]


@case({"a": GONE, "d": is_dir("y")})
def whiteout_with_odd_names():
    """A whiteout's name is cleaned like any other."""
    return [below(), [folder("d"), member("./.wh.a"), member("/d//./.wh.x")]]


@case({"d": is_dir("y")}, differs={"d": IMPLIED}, why=IMPLIED_WHY)
def whiteout_below_a_symlink_of_its_layer():
    """A whiteout whose parent is a symlink of the same layer acts where the link leads."""
    return [below(), [symlink("l", "d"), whiteout("l/x")]]


@case({"": is_dir("a", "b", "d")})
def whiteouts_only():
    """A layer of nothing but whiteouts, then one that brings a name back."""
    return [below(), [whiteout("a"), whiteout("b"), whiteout("d")], [file("a", "third"), file("b", "third"), folder("d")]]


@case({"d": is_dir("back"), "d/back": is_file("back")})
def whiteout_then_directory_in_the_next_layer():
    """What was hidden does not come back with a directory of a later layer."""
    return [below(), [whiteout("d")], [folder("d"), file("d/back", "back")]]


@case({"d": is_file("file"), "d/x": GONE})
def whiteout_then_file_then_directory():
    """Directory, whiteout, directory, file: each layer sees only what the ones below left."""
    return [below(), [whiteout("d")], [folder("d"), file("d/z", "z")], [file("d", "file")]]


@case(
    {"": is_dir("a", "b", "d")},
    differs={
        ".wh..wh.plnk": {"path"},
        ".wh..wh.plnk/12.34": {"path"}
    },
    why=
    "no name that begins with .wh. can be part of a tree; containerd makes the parents of any entry before it looks at its name"
)
def aufs_leftovers():
    """Names that begin with .wh..wh. are AUFS's own: never shown, and they hide nothing."""
    return [
        below(),
        [folder(".wh..wh.plnk"),
         file(".wh..wh.plnk/12.34", "x"),
         file(".wh..wh.aufs", ""),
         folder(".wh..wh.orph")]
    ]


@case({".wh": is_file("1"), "wh.a": is_file("2"), ".whx": is_file("3"), "a.wh.b": is_file("4"), ".w": is_file("5")})
def names_like_whiteouts():
    """Only the prefix .wh. makes a whiteout."""
    return [[file(".wh", "1"), file("wh.a", "2"), file(".whx", "3"), file("a.wh.b", "4"), file(".w", "5")]]


# ---- opaque marks ---------------------------------------------------------------------------------------------------
@case({"d": is_dir("new"), "d/new": is_file("n")})
def opaque_first():
    """An opaque mark hides all lower children of its directory."""
    return [below(), [folder("d"), opaque("d"), file("d/new", "n")]]


@case({"d": is_dir("new", "more")})
def opaque_between():
    """An opaque mark between siblings hides none of them."""
    return [below(), [folder("d"), file("d/new", "n"), opaque("d"), file("d/more", "m")]]


@case({"d": is_dir("x", "sub"), "d/x": is_file("new"), "d/sub": is_dir("f")})
def opaque_last():
    """An opaque mark behind the children is the same as one before them."""
    return [
        below(folder("d/sub"), file("d/sub/lower", "l")),
        [folder("d"), file("d/x", "new"),
         folder("d/sub"), file("d/sub/f", "f"),
         opaque("d")]
    ]


@case({"d": is_dir("new", mode=0o700)})
def opaque_before_its_directory():
    """An opaque mark in front of its directory's own entry."""
    return [below(), [opaque("d"), folder("d", 0o700), file("d/new", "n")]]


@case({"d": is_dir("new", mode=0o750, owner=(5, 6))}, differs={"d": IMPLIED}, why=IMPLIED_WHY)
def opaque_without_its_directory():
    """An opaque mark in a directory that only lower layers name: their attributes stay."""
    return [[folder("d", 0o750, uid=5, gid=6), file("d/x", "x")], [opaque("d"), file("d/new", "n")]]


@case({"new": is_dir("f"), "d": is_dir("x", "y")})
def opaque_of_a_new_directory():
    """An opaque mark in a directory that no lower layer has changes nothing."""
    return [below(), [folder("new"), opaque("new"), file("new/f", "f")]]


@case(
    {
        "": is_dir("new"),
        "new": is_file("n")
    },
    oracle="expect",
    why="the spec knows no exception for the root; overlayfs can not make its own root opaque, so containerd shows all below"
)
def opaque_root():
    """An opaque mark at the root hides every lower layer."""
    return [below(), [file("new", "n"), member(".wh..wh..opq")]]


@case({"d": is_dir("c")})
def opaque_in_every_layer():
    """Three layers, each opaque: only the last one's children."""
    return [below(), [folder("d"), opaque("d"), file("d/b", "b")], [folder("d"), file("d/c", "c"), opaque("d")]]


@case({"d": is_dir("new"), "d/new": is_dir("inner")})
def opaque_hides_deeply():
    """An opaque mark hides lower entries below the directories that the layer brings again."""
    return [[folder("d"), folder("d/new"),
             file("d/new/old", "old"),
             folder("d/gone"),
             file("d/gone/f", "f")], [folder("d"), opaque("d"),
                                      folder("d/new"), file("d/new/inner", "i")]]


@case({"d": is_dir("n1", "n2")})
def opaque_of_any_type():
    """An opaque mark is known by its name alone, and may come twice."""
    return [below(), [folder("d"), file("d/n1", "1"), opaque("d", b"5"), file("d/n2", "2"), opaque("d")]]


@case({"d": is_file("file")})
def opaque_and_then_a_file():
    """A directory that was opaque, replaced by a file above."""
    return [below(), [folder("d"), opaque("d")], [file("d", "file")]]


@case({"d": is_dir("new")}, differs={"d": IMPLIED}, why=IMPLIED_WHY)
def opaque_below_a_symlink_of_its_layer():
    """An opaque mark whose parent is a symlink of the same layer acts where the link leads."""
    return [below(), [symlink("l", "d"), opaque("l"), file("l/new", "n")]]


# ---- what is a whiteout to overlayfs only ---------------------------------------------------------------------------
@case({"a": GONE, "new": GONE})
def devices_like_overlay_whiteouts():
    """A character device 0:0 is overlayfs's own whiteout: never shown."""
    return [below(), [char("a", 0, 0), char("new", 0, 0)]]


@case({"same": is_file("x"), "pipe": {"type": "fifo"}, "other": {"type": "file", "nlink": 2, "same_as": "same"}})
def layer_twice():
    """The same layer twice gives the same tree as once."""
    layer = [file("same", "x"), fifo("pipe"), hardlink("other", "same")]
    return [layer, Layer(b"".join(layer))]
