"""tarbytes: tar members byte by byte, so that a test can place anything an archive may hold.

Every function returns the bytes of one or more whole members (header blocks, data, padding); a layer is their
concatenation. Names may be bytes, or text that stands for bytes as os.fsencode has it. Fields take an int (octal, or
base-256 where octal does not fit) or the raw bytes of the field.
"""
import base64
import os
import urllib.parse

MTIME = 1_600_000_000  # where a test does not care
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
END = bytes(1024)


def name_bytes(name):
    return name if isinstance(name, bytes) else os.fsencode(name)


def field(value, width):
    """A number field, or what the test gave instead of a number."""
    if isinstance(value, bytes):
        return value.ljust(width, b"\0")
    if 0 <= value < 8**(width - 1):
        return b"%0*o\0" % (width - 1, value)
    return base256(value, width)


def base256(value, width):
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    raw[0] |= 0x80
    return bytes(raw)


def checksum(block, signed=False):
    filled = block[:148] + b" " * 8 + block[156:]
    return sum(byte - 256 if signed and byte > 127 else byte for byte in filled)


def header(name,
           kind=b"0",
           *,
           mode=0o644,
           uid=0,
           gid=0,
           size=0,
           mtime=MTIME,
           link=b"",
           magic=USTAR,
           device=(0, 0),
           prefix=b"",
           tail=None,
           signed=False):
    """One header block. `tail` replaces all behind the device numbers (from offset 345)."""
    block = name_bytes(name)[:100].ljust(100, b"\0") + field(mode, 8) + field(uid, 8) + field(gid, 8)
    block += field(size, 12) + field(mtime, 12) + b" " * 8 + kind + name_bytes(link)[:100].ljust(100, b"\0") + magic
    if magic == V7:
        block += bytes(80)
    else:
        block += b"root".ljust(32, b"\0") * 2 + field(device[0], 8) + field(device[1], 8)
    block += name_bytes(prefix).ljust(155, b"\0") if tail is None else tail
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % (checksum(block, signed) & 0o777777) + block[156:]


def padded(data):
    return data + bytes(-len(data) % 512)


def member(name, kind=b"0", data=b"", **more):
    """A header and its data; the size is the data's unless it is given."""
    more.setdefault("size", len(data))
    return header(name, kind, **more) + padded(data)


def record(key, value):
    """One PAX record, with its own length in front."""
    body = b" " + name_bytes(key) + b"=" + name_bytes(value) + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def pax(*pairs, kind=b"x"):
    """An extended header of (key, value) pairs; bytes among them are taken as they are."""
    return member("pax_global_header" if kind == b"g" else "PaxHeaders/x", kind,
                  b"".join(p if isinstance(p, bytes) else record(*p) for p in pairs))


def gnu_long(name, kind=b"L"):
    return member("././@LongLink", kind, name_bytes(name) + b"\0", mode=0, mtime=0, magic=GNU)


def with_long_names(name, link):
    """PAX records for what the header's 100 bytes can not hold."""
    long = [(key, value) for key, value in (("path", name), ("linkpath", link)) if len(name_bytes(value)) > 100]
    return pax(*long) if long else b""


def file(name, content="", **more):
    return with_long_names(name, b"") + member(name, b"0", name_bytes(content), **more)


def folder(name, mode=0o755, **more):
    return with_long_names(name, b"") + member(name, b"5", mode=mode, **more)


def symlink(name, target, **more):
    return with_long_names(name, target) + member(name, b"2", link=target, mode=0o777, **more)


def hardlink(name, target, **more):
    return with_long_names(name, target) + member(name, b"1", link=target, **more)


def char(name, major, minor, **more):
    return member(name, b"3", device=(major, minor), **more)


def block(name, major, minor, **more):
    return member(name, b"4", device=(major, minor), **more)


def fifo(name, **more):
    return member(name, b"6", **more)


def whiteout(path, kind=b"0", **more):
    """The mark that hides `path` of lower layers."""
    parent, name = os.path.split(path)
    return member(os.path.join(parent, ".wh." + name), kind, **more)


def opaque(path, kind=b"0", **more):
    return member(os.path.join(path, ".wh..wh..opq"), kind, **more)


def schily(**values):
    """SCHILY.xattr records; `user_a` stands for user.a, the value is raw bytes."""
    return pax(*[("SCHILY.xattr." + name.replace("_", ".", 1), value) for name, value in values.items()])


def libarchive(name, value):
    """A LIBARCHIVE.xattr record: URL-encoded name, base64 without padding."""
    return record("LIBARCHIVE.xattr." + urllib.parse.quote(name, safe="."), base64.b64encode(value).rstrip(b"="))


def gnu_sparse(name, size, extents, data, **more):
    """Old GNU: four entries in the header, more in blocks of 21 behind it."""
    entries = [field(off, 12) + field(length, 12) for off, length in extents]
    tail = bytes(41) + b"".join(entries[:4]).ljust(96, b"\0") + (b"\1" if len(entries) > 4 else b"\0") + field(size, 12)
    out, rest = header(name, b"S", size=len(data), magic=GNU, tail=tail, **more), entries[4:]
    while rest:
        now, rest = rest[:21], rest[21:]
        out += (b"".join(now).ljust(504, b"\0") + (b"\1" if rest else b"\0")).ljust(512, b"\0")
    return out + padded(data)


def pax_sparse(version, name, size, extents, data):
    """PAX 0.0 (pairs of records), 0.1 (one record) or 1.0 (text in front of the data)."""
    if version == "1.0":
        numbers = [len(extents)] + [number for extent in extents for number in extent]
        head = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name),
                   ("GNU.sparse.realsize", str(size)))
        return head + member("GNUSparseFile.0/f", data=padded(b"".join(b"%d\n" % n for n in numbers)) + data)
    records = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(extents)))]
    if version == "0.1":
        records += [("GNU.sparse.name", name), ("GNU.sparse.map", ",".join(f"{off},{length}" for off, length in extents))]
        return pax(*records) + member("GNUSparseFile.0/f", data=data)
    for off, length in extents:
        records += [("GNU.sparse.offset", str(off)), ("GNU.sparse.numbytes", str(length))]
    return pax(*records) + member(name, data=data)
