"""nasty_attributes: modes, owners, times, devices and xattrs, at the edges of what they can say."""
from nasty_case import case, is_dir, is_file, is_link
from tarbytes import GNU, MTIME, base256, block, char, fifo, file, folder, libarchive, member, pax, record, schily, symlink

NS = 10**9


@case({
    "suid": is_file("x", mode=0o4755),
    "sgid": is_file("x", mode=0o2711),
    "all": is_file("x", mode=0o7777),
    "d": is_dir(mode=0o1777),
    "g": is_dir(mode=0o2775),
    "none": is_file("x", mode=0),
    "closed": is_dir("f", mode=0),
    "typed": is_file("x", mode=0o4711)
})
def modes():
    """setuid, setgid, sticky, no permission at all; type bits in the mode field mean nothing."""
    return [[
        file("suid", "x", mode=0o4755),
        file("sgid", "x", mode=0o2711),
        file("all", "x", mode=0o7777),
        folder("d", 0o1777),
        folder("g", 0o2775),
        file("none", "x", mode=0),
        folder("closed", 0),
        file("closed/f", "f"),
        file("typed", "x", mode=0o104711)
    ]]


@case({"a": is_file("x", mode=0o6755, owner=(1000, 1000))})
def setuid_of_another_owner():
    """The set-id bits outlive the change of owner."""
    return [[file("a", "x", mode=0o6755, uid=1000, gid=1000)]]


@case({"l": is_link("t", mode=0o777, owner=(5, 6), mtime=(MTIME + 7) * NS), "m": is_link("t", mode=0o777)})
def symlink_attributes():
    """A symlink has an owner and a time of its own; its mode means nothing."""
    return [[member("l", b"2", link="t", mode=0o600, uid=5, gid=6, mtime=MTIME + 7), member("m", b"2", link="t", mode=0)]]


LARGEST_ID = 2**32 - 2


@case({
    "octal": is_file("x", owner=(0o7777777, 0o7777777)),
    "binary": is_file("x", owner=(LARGEST_ID, 2**31)),
    "pax": is_file("x", owner=(3_000_000_000, LARGEST_ID)),
    "padded": is_file("x", owner=(8, 9)),
    "empty": is_file("x", owner=(0, 0))
})
def owners():
    """Owners in octal, base-256 and PAX up to 2^32-2; spaces around digits; an empty field is 0."""
    return [[
        file("octal", "x", uid=0o7777777, gid=0o7777777),
        file("binary", "x", uid=base256(LARGEST_ID, 8), gid=2**31),
        pax(("uid", "3000000000"), ("gid", str(LARGEST_ID))) + file("pax", "x"),
        file("padded", "x", uid=b"   10 \0", gid=b"11 "),
        file("empty", "x", uid=bytes(8), gid=b" " * 8)
    ]]


# ---- times ----------------------------------------------------------------------------------------------------------
@case({
    "zero": is_file("x", mtime=0),
    "empty": is_file("x", mtime=0),
    "half": is_file("x", mtime=MTIME * NS + NS // 2),
    "nano": is_file("x", mtime=MTIME * NS + 123456789),
    "cut": is_file("x", mtime=MTIME * NS + 999999999),
    "short": is_file("x", mtime=MTIME * NS + 10**7),
    "point": is_file("x", mtime=MTIME * NS),
    "d": is_dir(mtime=5 * NS + 1),
    "l": is_link("t", mtime=7 * NS + 250_000_000)
})
def times_below_a_second():
    """PAX times have any number of digits; what is below a nanosecond is cut off, never rounded up."""
    return [[
        file("zero", "x", mtime=0),
        file("empty", "x", mtime=bytes(12)),
        pax(("mtime", f"{MTIME}.5")) + file("half", "x"),
        pax(("mtime", f"{MTIME}.123456789")) + file("nano", "x"),
        pax(("mtime", f"{MTIME}.99999999999")) + file("cut", "x"),
        pax(("mtime", f"{MTIME}.01")) + file("short", "x"),
        pax(("mtime", f"{MTIME}.")) + file("point", "x"),
        pax(("mtime", "5.000000001")) + folder("d"),
        pax(("mtime", "7.25")) + symlink("l", "t")
    ]]


BEFORE = {"binary": -1, "day": -86400, "pax": -5, "half": -1.5, "quarter": -0.25, "old": -2208988800}


@case({name: is_file("x", mtime=int(seconds * NS))
       for name, seconds in BEFORE.items()} | {"cut": is_file("x", mtime=-NS - 1)},
      differs={name: {"mtime"}
               for name in [*BEFORE, "cut"]},
      why="the archive says when; containerd makes 1970 of all that is earlier")
def times_before_1970():
    """Negative times, in base-256 and PAX: fractions count forward from the second before, and are cut toward the past."""
    return [[
        file("binary", "x", mtime=-1),
        file("day", "x", mtime=-86400),
        pax(("mtime", "-5")) + file("pax", "x"),
        pax(("mtime", "-1.5")) + file("half", "x"),
        pax(("mtime", "-0.25")) + file("quarter", "x"),
        pax(("mtime", "-2208988800")) + file("old", "x"),
        pax(("mtime", "-1.0000000001")) + file("cut", "x")
    ]]


FUTURE = {"2038": 2**31, "2106": 2**32, "largest-octal": 8**11 - 1}


@case({name: is_file("x", mtime=seconds * NS) for name, seconds in FUTURE.items()})
def times_in_the_future():
    """Times beyond 32 bits of seconds, up to what octal can say."""
    return [[file(name, "x", mtime=seconds) for name, seconds in FUTURE.items()]]


BEYOND = {"octal": 8**11, "future": 2**40, "past": -2**40}


@case(
    {
        "octal": is_file("x", mtime=2**33 * NS - 1),
        "future": is_file("x", mtime=2**33 * NS - 1),
        "past": is_file("x", mtime=-2**33 * NS)
    },
    differs={name: {"mtime"}
             for name in BEYOND},
    why="an index has 34 bits for seconds, 1697 to 2242; containerd shows what the file system below it can store")
def times_beyond_all():
    """A time outside what an index can say is moved to the nearest that it can."""
    return [[
        file("octal", "x", mtime=8**11),
        pax(("mtime", str(2**40))) + file("future", "x"),
        pax(("mtime", str(-2**40))) + file("past", "x")
    ]]


@case({"a": is_file("x", mtime=MTIME * NS), "b": is_file("x", mtime=MTIME * NS)})
def times_of_access():
    """atime and ctime of an archive are not shown: only the time of modification is a file's own."""
    return [[
        pax(("atime", "99"), ("ctime", "98.5")) + file("a", "x"),
        member("b", data=b"x", magic=GNU, tail=b"%011o\0%011o\0" % (1, 2))
    ]]


# ---- devices --------------------------------------------------------------------------------------------------------
@case({
    "null": {
        "type": "char",
        "device": (1, 3),
        "mode": 0o666
    },
    "disk": {
        "type": "block",
        "device": (8, 17),
        "owner": (0, 6)
    },
    "large": {
        "type": "char",
        "device": (4095, 1048575)
    },
    "binary": {
        "type": "block",
        "device": (259, 300_000)
    },
    "pipe": {
        "type": "fifo",
        "mode": 0o600,
        "mtime": (MTIME + 1) * NS
    },
    "zero": {
        "type": "block",
        "device": (0, 0)
    },
    "one": {
        "type": "char",
        "device": (0, 1)
    }
})
def devices():
    """Devices and fifos with their numbers, owners and times; a block device 0:0 is one like any other."""
    return [[
        char("null", 1, 3, mode=0o666),
        block("disk", 8, 17, gid=6),
        char("large", 4095, 1048575),
        block("binary", 259, base256(300_000, 8)),
        fifo("pipe", mode=0o600, mtime=MTIME + 1),
        block("zero", 0, 0),
        char("one", 0, 1)
    ]]


@case({
    "d": is_dir("f"),
    "c": {
        "type": "char",
        "device": (1, 5)
    },
    "p": {
        "type": "fifo"
    },
    "l": is_link("t"),
    "d/f": is_file("after")
})
def sizes_that_mean_nothing():
    """Directories, devices, fifos and symlinks may state a size, even a negative one: no data follows."""
    return [[
        folder("d", size=3000),
        char("c", 1, 5, size=512),
        fifo("p", size=1),
        member("l", b"2", link="t", size=base256(-1, 12)),
        pax(("size", "4000")) + folder("d"),
        file("d/f", "after")
    ]]


# ---- xattrs ---------------------------------------------------------------------------------------------------------
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep, version 2
ANY_BYTES = bytes(range(256))


@case({
    "f": is_file("x", xattrs={
        "user.a": b"1",
        "user.empty": b"",
        "user.binary": ANY_BYTES,
        "user.line": b"a\n=b\n"
    }),
    "d": is_dir(xattrs={"user.d": b"2"}),
    "cap": is_file("x", xattrs={"security.capability": CAPABILITY}),
    "none": is_file("x", xattrs={})
})
def xattrs():
    """SCHILY.xattr: values are bytes, also NUL and newline, also none."""
    return [[
        schily(user_a=b"1", user_empty=b"", user_binary=ANY_BYTES, user_line=b"a\n=b\n") + file("f", "x"),
        schily(user_d=b"2") + folder("d"),
        schily(security_capability=CAPABILITY) + file("cap", "x", mode=0o755),
        file("none", "x")
    ]]


@case({
    "t": is_file("x", xattrs={"user.a": b"1"}),
    "l": is_link("x", xattrs={}),
    "p": {
        "type": "fifo",
        "xattrs": {}
    }
})
def xattrs_trusted():
    """trusted.* xattrs belong to the machine that made the image and are not shown."""
    return [[
        schily(trusted_t=b"\0\1", user_a=b"1") + file("t", "x"),
        schily(trusted_l=b"3") + symlink("l", "x"),
        schily(trusted_p=b"4") + fifo("p")
    ]]


NAMES = [f"user.name-{number:03}" for number in range(40)]


@case({
    "many": is_file("x", xattrs={name: name.encode()
                                 for name in NAMES}),
    "long": is_file("x", xattrs={"user." + "n" * 250: b"v" * 3000})
})
def xattrs_many_and_long():
    """Forty xattrs on one file; a name of 255 bytes and a value of 3000."""
    return [[
        pax(*(("SCHILY.xattr." + name, name) for name in NAMES)) + file("many", "x"),
        pax(("SCHILY.xattr.user." + "n" * 250, "v" * 3000)) + file("long", "x")
    ]]


@case({"f": is_file("x", xattrs={"user.largest": b"L" * 65536})},
      oracle="expect",
      why="the largest value Linux knows; the file system below containerd holds less")
def xattr_of_64k():
    """An xattr of 65536 bytes."""
    return [[schily(user_largest=b"L" * 65536) + file("f", "x")]]


@case(
    {
        "libarchive": is_file("x", xattrs={
            "user.a": b"\0bytes\xff",
            "user.b c=d%": b""
        }),
        "both": is_file("x", xattrs={"user.a": b"schily"}),
        "mixed": is_file("x", xattrs={
            "user.a": b"1",
            "user.b": b"2"
        })
    },
    differs={
        "libarchive": {"xattrs"},
        "mixed": {"xattrs"}
    },
    why=
    "LIBARCHIVE.xattr is what bsdtar writes beside SCHILY's: imgfs shows both, SCHILY's first; containerd knows only SCHILY's"
)
def xattrs_of_libarchive():
    """LIBARCHIVE.xattr: the name URL-encoded, the value in base64; where both spellings name one, SCHILY's value."""
    return [[
        pax(libarchive("user.a", b"\0bytes\xff"), libarchive("user.b c=d%", b"")) + file("libarchive", "x"),
        pax(libarchive("user.a", b"libarchive"),
            ("SCHILY.xattr.user.a", "schily"), libarchive("user.a", b"again")) + file("both", "x"),
        pax(("SCHILY.xattr.user.a", "1"), libarchive("user.b", b"2")) + file("mixed", "x")
    ]]


@case({"f": is_file("new", xattrs={}), "d": is_dir("x", xattrs={"user.new": b"2"})})
def xattrs_of_the_layer_above():
    """A file's or directory's xattrs come from one layer alone."""
    return [[schily(user_old=b"1") + file("f", "old"),
             schily(user_old=b"1") + folder("d"),
             file("d/x", "x")], [file("f", "new"), schily(user_new=b"2") + folder("d")]]


@case(
    {
        "d": is_dir("x", "new", xattrs={}),
        "f": is_file("new", xattrs={"user.a": b"1"}),
        "r": is_dir("x", xattrs={})
    },
    oracle="expect",
    why=
    "overlayfs's own xattrs are not the spec's way to hide: imgfs neither obeys nor shows them; overlayfs below containerd obeys"
)
def xattrs_of_overlayfs():
    """trusted.overlay.* and user.overlay.* of an archive are neither obeyed nor shown."""
    overlay = [("SCHILY.xattr.trusted.overlay.opaque", "y"), ("SCHILY.xattr.user.overlay.opaque", "y")]
    return [[folder("d"), file("d/x", "x"), file("f", "old"),
             folder("r"), file("r/x", "x")],
            [
                pax(*overlay) + folder("d"),
                file("d/new", "n"),
                pax(("SCHILY.xattr.trusted.overlay.redirect", "/d")) + folder("r"),
                pax(("SCHILY.xattr.user.a", "1"), ("SCHILY.xattr.user.overlay.metacopy", "")) + file("f", "new")
            ]]


@case({"f": is_file("x", mode=0o600, owner=(1, 2), xattrs={"user.second": b"2"})})
def xattrs_of_the_last_header():
    """Of two PAX headers before one member the second counts, whole."""
    return [[
        pax(("uid", "77"), ("SCHILY.xattr.user.first", "1")),
        pax(("gid", "2"), record("SCHILY.xattr.user.second", "2")),
        file("f", "x", mode=0o600, uid=1)
    ]]
