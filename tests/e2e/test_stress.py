"""Many readers at once over a cold mount: right bytes, and no race that the thread sanitizer sees."""
import os
import random
import threading

from images import small_content
from registry import Traffic

READERS = 12
FILES = ["data/large", "etc/name", "bin/tool", *[f"data/many/{i:02}" for i in range(64)]]


def read_at_random(mount, seed, wrong):
    choose = random.Random(seed)
    for _ in range(150):
        path = choose.choice(FILES)
        expected = CONTENT[path]
        offset = choose.randrange(len(expected))
        with open(os.path.join(mount, path), "rb", buffering=0) as file:
            size = choose.choice([1, 4096, 100_000, 1 << 20])
            if os.pread(file.fileno(), size, offset) != expected[offset : offset + size]:
                wrong.append((path, offset, size))
        if choose.random() < 0.2:
            folder = os.path.join(mount, choose.choice(["", "etc", "data", "data/many"]))
            for name in os.listdir(folder):
                os.lstat(os.path.join(folder, name))


CONTENT = {path: small_content(path) for path in FILES}


def test_many_readers(small, imgfs, registry):
    imgfs.build(small)
    imgfs.keep_only_indexes()
    mount = imgfs.mount(small)
    wrong = []
    with Traffic(registry) as traffic:
        threads = [threading.Thread(target=read_at_random, args=(mount, seed, wrong)) for seed in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    assert not any(thread.is_alive() for thread in threads), "readers hang"
    assert wrong == []
    layers = sum(layer["size"] for layer in imgfs.json("inspect", small)["layers"])
    assert traffic.bytes <= layers * 1.02, "chunks were fetched more than once"
    imgfs.umount(mount)


def test_readers_of_one_chunk_share_a_flight(small, imgfs, registry):
    imgfs.build(small)
    imgfs.keep_only_indexes()
    mount = imgfs.mount(small)
    barrier, wrong = threading.Barrier(READERS), []

    def read_one():
        barrier.wait(30)
        with open(f"{mount}/data/large", "rb", buffering=0) as file:
            if os.pread(file.fileno(), 4096, 4 << 20) != CONTENT["data/large"][4 << 20 : (4 << 20) + 4096]:
                wrong.append(1)

    with Traffic(registry) as traffic:
        threads = [threading.Thread(target=read_one) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong and traffic.ranges
    assert traffic.bytes <= 2 << 20, f"{traffic.bytes} bytes for one page"


def test_umount_and_mount_again_under_load(small, imgfs):
    for _ in range(3):
        mount = imgfs.mount(small)
        wrong = []
        threads = [threading.Thread(target=read_at_random, args=(mount, seed, wrong)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert wrong == []
        imgfs.umount(mount)
