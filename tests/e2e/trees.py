"""trees: what two directory trees show to a program that reads them, and where they differ.

The same questions as the shared treediff tool (which test_tree.py uses for the whole real images), as values a test can
look at.
"""
import errno
import hashlib
import os
import stat


def walk(root):
    """Every path below the root with its lstat, as bytes relative to the root (b"" is the root itself).

    None for a name that is listed and not there: an overlay does that with a whiteout in a directory of its own.
    """
    root, found, todo = os.fsencode(root), {}, [b""]
    while todo:
        path = todo.pop()
        try:
            found[path] = os.lstat(os.path.join(root, path))
        except FileNotFoundError:
            found[path] = None
            continue
        if stat.S_ISDIR(found[path].st_mode):
            todo += [os.path.join(path, name) for name in os.listdir(os.path.join(root, path))]
    return found


def file_digest(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def xattrs(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # an image without any: the mount says so once, and is not asked again
            return {}
        raise
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def link_groups(tree):
    groups = {}
    for path, st in tree.items():
        if st and not stat.S_ISDIR(st.st_mode):
            groups.setdefault(st.st_ino, []).append(path)
    return {path: tuple(sorted(group)) for group in groups.values() for path in group}


def facts(root, path, st, groups):
    """All that can be asked about one path."""
    if st is None:
        return {"type": "listed, not there"}
    full = os.path.join(os.fsencode(root), path) if path else os.fsencode(root)
    found = {
        "type": stat.S_IFMT(st.st_mode), "mode": stat.S_IMODE(st.st_mode), "owner": (st.st_uid, st.st_gid),
        "mtime": st.st_mtime_ns, "xattrs": xattrs(full),
    }
    if not stat.S_ISDIR(st.st_mode):
        found.update({"nlink": st.st_nlink, "links": groups[path]})
    if stat.S_ISLNK(st.st_mode):
        found.update({"target": os.readlink(full), "size": st.st_size})
    elif stat.S_ISREG(st.st_mode):
        found.update({"size": st.st_size, "content": file_digest(full)})
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        found["device"] = (os.major(st.st_rdev), os.minor(st.st_rdev))
    return found


def snapshot(root):
    tree = walk(root)
    groups = link_groups(tree)
    return {os.fsdecode(path): facts(root, path, st, groups) for path, st in tree.items()}


def differences(a, b):
    """Lines "/path: what: of A != of B" for two snapshots; none when they are the same."""
    found = []
    for path in sorted(a.keys() | b.keys()):
        if path not in a or path not in b:
            found.append(f"/{path}: only in {'A' if path in a else 'B'}")
            continue
        for what in sorted(a[path].keys() | b[path].keys()):
            x, y = a[path].get(what), b[path].get(what)
            if x != y:
                found.append(f"/{path}: {what}: {x!r} != {y!r}")
    return found
