"""nasty_links: hard links within and across layers, to what is removed and replaced (image-spec layer.md, "Hardlinks")."""
from nasty_case import GONE, case, is_dir, is_file, is_link
from tarbytes import MTIME, block, fifo, file, folder, hardlink, schily, symlink, whiteout

ACROSS = (
    "the spec allows a target outside the layer, so imgfs resolves it in the merged tree; containerd's overlay applier has only "
    "the layer's own directory and fails")
COUNT = "imgfs counts the names that the merged tree has; overlayfs shows the count of the layer's own inode"


@case({"a": is_file("x", nlink=3), "d/b": {"same_as": "a"}, "c": {"same_as": "a"}})
def link_in_one_layer():
    """Links of one layer share an inode, and its count is true."""
    return [[file("a", "x"), folder("d"), hardlink("d/b", "a"), hardlink("c", "a")]]


@case({"a": is_file("x", nlink=4), "d": {"same_as": "a"}})
def link_chain():
    """A link to a link is a link to the file."""
    return [[file("a", "x"), hardlink("b", "a"), hardlink("c", "b"), hardlink("d", "c")]]


SPELLINGS = {"b": "/a", "c": "./a", "e": "dir/../a", "dir/f": "a", "g": "../../a", "h": "//a"}


@case({"a": is_file("x", nlink=7, mode=0o640, owner=(1, 2)), "g": {"same_as": "a"}, "dir/f": {"same_as": "a"}})
def link_spellings():
    """A link's target is cleaned like a name, and is relative to the root wherever the link lies."""
    return [[
        file("a", "x", mode=0o640, uid=1, gid=2),
        folder("dir"), *(hardlink(name, target, mode=0o640, uid=1, gid=2) for name, target in SPELLINGS.items())
    ]]


@case({"d/f": is_file("x", nlink=2), "h": {"same_as": "d/f"}})
def link_through_a_symlink():
    """A symlink on the way to the target is followed."""
    return [[folder("d"), file("d/f", "x"), symlink("l", "d"), hardlink("h", "l/f")]]


@case({"l": is_link("a", nlink=2), "h": is_link("a", nlink=2, same_as="l"), "a": is_file("x", nlink=1)})
def link_to_a_symlink():
    """A link to a symlink is the symlink itself, with two names."""
    return [[file("a", "x"), symlink("l", "a"), hardlink("h", "l")]]


@case({
    "l": is_link("a", nlink=2, mtime=(MTIME + 5) * 10**9, owner=(3, 4)),
    "h": {
        "same_as": "l"
    },
    "a": is_file("x", mode=0o644, mtime=MTIME * 10**9)
})
def link_to_a_symlink_with_attributes():
    """The attributes of a link to a symlink are the symlink's, never those of what it leads to."""
    return [[file("a", "x"), symlink("l", "a"), hardlink("h", "l", mode=0o600, uid=3, gid=4, mtime=MTIME + 5)]]


@case({"p": {"type": "fifo", "nlink": 2}, "q": {"same_as": "p"}, "c": {"type": "block", "device": (7, 9), "same_as": "b"}})
def link_to_a_device():
    """A link to a fifo and to a device."""
    return [[fifo("p"), hardlink("q", "p"), block("b", 7, 9), hardlink("c", "b")]]


@case({"a": is_file("x", nlink=2), "b": {"same_as": "a"}, "c": is_file("after")})
def link_with_a_size():
    """The size of a link means nothing: no data follows."""
    return [[file("a", "x"), hardlink("b", "a", size=5000), file("c", "after")]]


@case({
    "a": is_file("x", nlink=2, mode=0o644, owner=(3, 4), mtime=(MTIME + 5) * 10**9, xattrs={
        "user.a": b"1",
        "user.b": b"2"
    }),
    "b": {
        "same_as": "a"
    }
})
def link_with_other_attributes():
    """A link whose header has attributes of its own: they are given to the file, as unpacking does."""
    return [[
        schily(user_a=b"1") + file("a", "x", mode=0o600),
        schily(user_b=b"2") + hardlink("b", "a", mode=0o644, uid=3, gid=4, mtime=MTIME + 5)
    ]]


@case({"a": is_file("x", nlink=2), "b": {"same_as": "a"}}, oracle="expect", why=ACROSS)
def link_across_layers():
    """A link to a file that a lower layer has."""
    return [[file("a", "x")], [hardlink("b", "a")]]


@case({"a": is_file("x", nlink=3), "d/c": {"same_as": "a"}}, oracle="expect", why=ACROSS)
def link_across_layers_in_a_chain():
    """A link to a link, each in a layer of its own."""
    return [[file("a", "x")], [hardlink("b", "a")], [folder("d"), hardlink("d/c", "b")]]


@case({"l": is_link("a", nlink=2), "h": {"same_as": "l"}}, oracle="expect", why=ACROSS)
def link_across_layers_to_a_symlink():
    """A link to a symlink that a lower layer has."""
    return [[file("a", "x"), symlink("l", "a")], [hardlink("h", "l")]]


@case({"real/f": is_file("x", nlink=2), "h": {"same_as": "real/f"}}, oracle="expect", why=ACROSS)
def link_across_layers_through_a_symlink():
    """The way to the target leads through a symlink of the lower layer."""
    return [[folder("real"), file("real/f", "x"), symlink("l", "real")], [hardlink("h", "l/f")]]


@case({"a": GONE, "b": is_file("x", nlink=1)}, differs={"b": {"nlink"}}, why=COUNT)
def link_of_a_removed_name():
    """A whiteout of one name leaves the other."""
    return [[file("a", "x"), hardlink("b", "a")], [whiteout("a")]]


@case({"a": GONE, "b": is_file("x", nlink=1)}, oracle="expect", why=ACROSS)
def link_then_target_removed():
    """A link to a lower file whose whiteout comes later in the same layer: renaming, as an archive."""
    return [[file("a", "x")], [hardlink("b", "a"), whiteout("a")]]


@case({"a": GONE, "b": is_file("x", nlink=1)}, oracle="expect", why=ACROSS)
def link_after_target_removed():
    """The same with the whiteout first: it acts on what is below, and so does the link."""
    return [[file("a", "x")], [whiteout("a"), hardlink("b", "a")]]


@case({"a": is_file("new", nlink=1), "b": is_file("old", nlink=1)}, oracle="expect", why=ACROSS)
def link_before_its_target_is_replaced():
    """A link to a lower file that the same layer replaces later."""
    return [[file("a", "old")], [hardlink("b", "a"), file("a", "new")]]


@case({"a": GONE, "b": is_file("x", nlink=1)}, oracle="expect", why=ACROSS)
def link_then_target_removed_above():
    """A link to a lower file that the layer above removes."""
    return [[file("a", "x")], [hardlink("b", "a")], [whiteout("a")]]


@case({"a": is_file("new", nlink=1), "b": is_file("old", nlink=1)}, differs={"b": {"nlink"}}, why=COUNT)
def link_broken_above():
    """Replacing one name above breaks only that name."""
    return [[file("a", "old"), hardlink("b", "a")], [file("a", "new")]]


@case({"a": is_file("new", nlink=1), "b": is_file("old", nlink=1)}, oracle="expect", why=ACROSS)
def link_across_layers_broken_above():
    """The same with the link in a layer of its own."""
    return [[file("a", "old")], [hardlink("b", "a")], [file("a", "new")]]


@case({"a": is_file("x", mode=0o4755, nlink=2), "b": {"same_as": "a", "mode": 0o4755}})
def link_with_changed_attributes_above():
    """Changed attributes of a linked file arrive as a full copy with its links."""
    return [[file("a", "x"), hardlink("b", "a")], [file("a", "x", mode=0o4755), hardlink("b", "a", mode=0o4755)]]


@case({"a": is_file("new", nlink=1), "b": is_file("old", nlink=1)})
def link_keeps_the_earlier_body():
    """A name that comes twice: a link made in between keeps the first body."""
    return [[file("a", "old"), hardlink("b", "a"), file("a", "new")]]


@case({"b": is_file("x", nlink=2), "a": {"same_as": "b"}})
def link_replaces_a_file():
    """A link over a file of the same layer and of a lower one."""
    return [[file("a", "lowest")], [file("b", "x"), file("a", "first"), hardlink("a", "b")]]


@case({"a": is_dir("f"), "b": is_file("x", nlink=1)}, differs={"b": {"nlink"}}, why=COUNT)
def link_replaced_by_a_directory():
    """A directory above one of two names."""
    return [[file("a", "x"), hardlink("b", "a")], [folder("a"), file("a/f", "f")]]
