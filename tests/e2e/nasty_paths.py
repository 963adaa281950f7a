"""nasty_paths: names, parents, the root, duplicates, and every type over every other."""
from nasty_case import GONE, IMPLIED, IMPLIED_WHY, Layer, case, is_dir, is_file, is_link
from tarbytes import (MTIME, block, char, fifo, file, folder, gnu_long, hardlink, member, pax, schily, symlink)

KINDS = {
    "file": lambda name: file(name, "content of a file"),
    "dir": lambda name: folder(name) + file(name + "/child", "child"),
    "link": lambda name: symlink(name, "target"),
    "char": lambda name: char(name, 1, 3),
    "block": lambda name: block(name, 7, 1),
    "fifo": fifo,
}
PAIRS = [(old, new) for old in KINDS for new in KINDS]
NEW_KINDS = {f"{old}-{new}": {"type": new} for old, new in PAIRS}


@case({**NEW_KINDS, "file-dir": is_dir("child"), "dir-file/child": GONE})
def types_over_types():
    """Every type over every other, in the layer above: the upper one is shown and nothing of the lower."""
    return [[KINDS[old](f"{old}-{new}") for old, new in PAIRS], [KINDS[new](f"{old}-{new}") for old, new in PAIRS]]


@case({**NEW_KINDS, "file-dir": is_dir("child"), "dir-file/child": GONE})
def types_over_types_in_one_layer():
    """Every type over every other in one archive: the last one is shown."""
    return [[file("target", "")] + [KINDS[old](f"{old}-{new}") + KINDS[new](f"{old}-{new}") for old, new in PAIRS]]


@case({"d": is_dir("new")})
def directory_file_directory():
    """What a file has hidden does not come back with a directory above it."""
    return [[folder("d"), file("d/old", "old")], [file("d", "file")], [folder("d"), file("d/new", "new")]]


@case({"d": is_dir("old", "new", mode=0o711, owner=(3, 4), mtime=(MTIME + 9) * 10**9, xattrs={"user.b": b"2"})})
def directory_over_directory():
    """A directory over a directory keeps the children and takes all attributes, the whole set of xattrs too."""
    return [[schily(user_a=b"1") + folder("d", 0o700), file("d/old", "old")],
            [schily(user_b=b"2") + folder("d", 0o711, uid=3, gid=4, mtime=MTIME + 9),
             file("d/new", "new")]]


# ---- parents --------------------------------------------------------------------------------------------------------
@case({
    "a": is_dir("b", mode=0o755, owner=(0, 0)),
    "a/b/c": is_dir("f"),
    "a/b/c/f": is_file("f")
},
      differs={
          "a": IMPLIED,
          "a/b": IMPLIED,
          "a/b/c": IMPLIED
      },
      why=IMPLIED_WHY)
def parents_missing():
    """Directories that no layer names are 0755, owned by root."""
    return [[file("a/b/c/f", "f")]]


@case({
    "d": is_dir("e", "f", mode=0o710, owner=(7, 8), mtime=MTIME * 10**9),
    "d/e": is_dir("g", "h", mode=0o1777)
},
      differs={
          "d": IMPLIED,
          "d/e": IMPLIED
      },
      why=IMPLIED_WHY)
def parents_of_lower_layers():
    """Directories that only lower layers name keep what those say, with a layer between."""
    return [[schily(user_a=b"1") + folder("d", 0o710, uid=7, gid=8),
             folder("d/e", 0o1777),
             file("d/e/g", "g")], [file("other", "o")], [file("d/f", "f"), file("d/e/h", "h")]]


@case({"d": is_dir("f", mode=0o700)})
def parent_after_its_child():
    """A directory's entry behind its children."""
    return [[file("d/f", "f"), folder("d", 0o700)]]


@case({"l": is_dir("f", mode=0o755), "d": is_dir("x")}, differs={"l": IMPLIED}, why=IMPLIED_WHY)
def parent_is_a_lower_symlink():
    """An entry below a symlink of a lower layer makes a directory that replaces the link, as overlayfs shows it."""
    return [[folder("d"), file("d/x", "x"), symlink("l", "d")], [file("l/f", "f")]]


@case({"l": is_dir("f", mode=0o750), "d": is_dir("x")})
def parent_replaces_a_lower_symlink():
    """The same with the directory named."""
    return [[folder("d"), file("d/x", "x"), symlink("l", "d")], [folder("l", 0o750), file("l/f", "f")]]


@case({"l": is_link("d"), "d": is_dir("f")})
def parent_is_a_symlink():
    """An entry below a symlink of the same layer lies where the link leads."""
    return [[folder("d"), symlink("l", "d"), file("l/f", "f")]]


@case({"a/l": is_link("/d/e"), "d/e": is_dir("f"), "m": is_link("a/../a/l"), "d/e/f": is_file("f")})
def parent_is_an_absolute_symlink():
    """Absolute targets and links to links are followed inside the root."""
    return [[folder("d"), folder("d/e"), folder("a"), symlink("a/l", "/d/e"), symlink("m", "a/../a/l"), file("m/f", "f")]]


@case({"l": is_link("../../.."), "d/l": is_link("../../../d"), "f": is_file("f"), "d": is_dir("l", "g")})
def parent_symlink_leads_out():
    """A symlink that leads out of the root ends at the root."""
    return [[folder("d"), symlink("l", "../../.."), symlink("d/l", "../../../d"), file("l/f", "f"), file("d/l/g", "g")]]


@case({"l": is_link("nowhere"), "nowhere": is_dir("f")}, differs={"nowhere": IMPLIED}, why=IMPLIED_WHY)
def parent_is_a_dangling_symlink():
    """A symlink of the same layer that leads nowhere: the directory is made there."""
    return [[symlink("l", "nowhere"), file("l/f", "f")]]


@case({"l": is_link("d"), "d": is_dir("f")}, differs={"d": IMPLIED}, why=IMPLIED_WHY)
def parent_symlink_to_a_lower_directory():
    """A symlink of this layer to a directory that only a lower layer names."""
    return [[folder("d")], [symlink("l", "d"), file("l/f", "f")]]


@case({"p": is_dir("f")},
      oracle="expect",
      why="imgfs lets the later entry win, as everywhere; containerd can not make a file below a file and fails")
def parent_is_a_file():
    """An entry below a file of the same layer replaces the file by a directory."""
    return [[file("p", "file"), file("p/f", "f")]]


@case({"p": is_dir("f")}, differs={"p": IMPLIED}, why=IMPLIED_WHY)
def parent_is_a_lower_file():
    """An entry below a file of a lower layer replaces it by a directory."""
    return [[file("p", "file")], [file("p/f", "f")]]


# ---- the root -------------------------------------------------------------------------------------------------------
@case({"": is_dir("f", mode=0o751, owner=(11, 12), mtime=MTIME * 10**9, xattrs={"user.root": b"1"})})
def root_with_attributes():
    """An entry for the root gives its attributes (containerd ignores it)."""
    return [[schily(user_root=b"1") + folder("./", 0o751, uid=11, gid=12), file("./f", "f")]]


@case({"": is_dir("f", "g", mode=0o700, owner=(2, 2), xattrs={})})
def root_of_two_layers():
    """The topmost entry for the root wins, spelled in any way."""
    return [[schily(user_root=b"1") + folder("./", 0o751, uid=1),
             file("f", "f")], [folder("/", 0o700, uid=2, gid=2), file("g", "g")]]


# ---- names ----------------------------------------------------------------------------------------------------------
@case({"": is_dir("a", "b", "c", "d", "e", "up", "f", "g"), "c": is_dir("x", "y", "z")})
def names_to_clean():
    """Absolute names, "..", ".", doubled and trailing slashes are cleaned, never above the root."""
    return [[
        file("/a", "a"),
        file("./b", "b"),
        folder("c//"),
        file("c/./x", "x"),
        file("//c//y", "y"),
        file("c/n/../z", "z"),
        folder("d/"),
        file("../../up", "up"),
        file("/../e", "e"),
        file("c/../../f", "f"),
        file("././//./g", "g")
    ]]


@case({"f": is_file("third"), "": is_dir("f")})
def names_spelled_differently():
    """One name in three spellings is one name: the last wins."""
    return [[file("f", "first"), file("./f", "second"), file("/f", "third")]]


BYTES = [
    b"\xff\xfe", b"caf\xc3\xa9", b"cafe\xcc\x81", b"new\nline", b"back\\slash", b" space ", b"-dash", b"...", b"..a",
    b"quote\"'", b"tab\t", b"\x01\x7f", b"CASE", b"case", b"%2e", b"*?[", b"\xed\xa0\x80", b"#", b"a:b"
]


@case({"": is_dir("dir", *BYTES), **{name: is_file(name) for name in BYTES}, b"dir/\xff": is_link(b"\xfe/\n")})
def names_of_any_bytes():
    """Names are bytes: not UTF-8, control characters, names that differ in case or normal form."""
    return [[file(name, name) for name in BYTES] + [folder("dir"), symlink(b"dir/\xff", b"\xfe/\n")]]


LONG = "n" * 255
DEEP = "/".join(["component-of-thirty-characters"] * 30)


@case(
    {
        LONG: is_file("1"),
        DEEP + "/pax": is_file("2"),
        DEEP + "/gnu": is_file("3"),
        "l": is_link("t" * 3000),
        "p" * 100 + "/" + "n" * 100: is_file("4"),
        "h": {
            "same_as": LONG
        },
        "m" * 100: is_file("5"),
        "k": is_link("u" * 1000)
    },
    differs={
        **{"/".join(DEEP.split("/")[:n]): IMPLIED
           for n in range(1, 31)}, "p" * 100: IMPLIED
    },
    why=IMPLIED_WHY)
def names_that_are_long():
    """Long names and targets in every dialect's way: PAX, GNU L and K, ustar prefix, a field without its NUL."""
    return [[
        file(LONG, "1"),
        file(DEEP + "/pax", "2"),
        gnu_long(DEEP + "/gnu"),
        member("short", data=b"3"),
        symlink("l", "t" * 3000),
        member("n" * 100, prefix="p" * 100, data=b"4"),
        hardlink("h", LONG),
        member("m" * 100, data=b"5"),
        gnu_long("u" * 1000, b"K"),
        member("k", b"2", link="short")
    ]]


@case({"pax": is_file("1"), "long": is_file("2"), "long2": is_file("3"), "header": is_file("4"), "kept": is_link("K")})
def names_from_several_places():
    """GNU L wins over PAX, PAX over the header, an empty one over nothing (as in containerd's reader, against GNU tar's)."""
    return [[
        pax(("path", "pax")),
        member("header1", data=b"1"),
        pax(("path", "pax2")),
        gnu_long("long"),
        member("h2", data=b"2"),
        gnu_long("long2"),
        pax(("path", "pax3")),
        member("header3", data=b"3"),
        pax(("path", "")),
        member("header", data=b"4"),
        pax(("linkpath", "pax")),
        gnu_long("K", b"K"),
        member("kept", b"2", link="h")
    ]]


# ---- duplicates -----------------------------------------------------------------------------------------------------
@case({"f": is_file("third", mode=0o600, mtime=(MTIME + 3) * 10**9, xattrs={})})
def duplicate_files():
    """Of a name that comes several times in one archive the last is shown, whole."""
    return [[
        file("f", "first"),
        schily(user_a=b"1") + file("f", "second, longer"),
        file("f", "third", mode=0o600, mtime=MTIME + 3)
    ]]


@case({"d": is_dir("x", "y", mode=0o700, mtime=(MTIME + 1) * 10**9)})
def duplicate_directories():
    """A directory that comes twice merges; the last one's attributes count."""
    return [[folder("d", 0o777), file("d/x", "x"), folder("d", 0o700, mtime=MTIME + 1), file("d/y", "y")]]


@case({"l": is_link("second"), "h": is_file("x", nlink=2)})
def duplicate_links():
    """Symlinks and hard links that come twice."""
    return [[file("f", "x"), symlink("l", "first"), symlink("l", "second"), hardlink("h", "f"), hardlink("h", "f")]]


# ---- many and large -------------------------------------------------------------------------------------------------
MANY = [f"entry-{number}" for number in range(5000)]


@case({"d": is_dir(*MANY), "d/entry-4999": is_file("4999"), "d/entry-0": is_file("0")})
def directory_of_5000():
    """A directory with 5000 entries."""
    return [[folder("d")] + [file("d/" + name, name[6:]) for name in MANY]]


STEPS = ["/".join(["d"] * depth) for depth in range(1, 101)]


@case({STEPS[-1]: is_dir("f"), STEPS[-1] + "/f": is_file("deep")})
def directories_100_deep():
    """A hundred directories, one in the other."""
    return [[folder(step) for step in STEPS] + [file(STEPS[-1] + "/f", "deep")]]


@case({
    "f0": is_file("0"),
    "f126": is_file("126"),
    "shared": is_file("126"),
    "d": is_dir(*(f"n{n}" for n in range(1, 127)))
})
def layers_127():
    """As many layers as container engines can mount; each replaces a file and adds to a directory."""

    def layer(number):
        own = [folder("d"), file(f"f{number}", str(number)), file("shared", str(number))]
        return own + ([file(f"d/n{number}", "")] if number else [])

    return [layer(number) for number in range(127)]


@case({"": is_dir("a", "b")})
def layers_without_entries():
    """Layers of end blocks only, at the bottom, between and on top."""
    return [[], [file("a", "a")], [], Layer(b"", "none"), [file("b", "b")], Layer(b"", "zstd"), []]
