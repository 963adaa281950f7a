"""selftest: the scoreboard itself, in seconds: arithmetic, a tiny image measured for real (as root), JSON and SVG."""
import json
import math
import os
import sys
import tempfile
import xml.dom.minidom

import chart
import generated
import machine
import measure
import rows_index

CHECKS = []


def check(condition, what):
    CHECKS.append(what)
    if not condition:
        print(f"selftest: {what}", file=sys.stderr)
        sys.exit(1)


class Fake(measure.Group):
    """Contenders whose figures are known."""

    name = "fake"
    most = {"b": 2}
    after = {"c": ["a"]}

    def __init__(self):
        super().__init__(None)
        self.turns = []

    def contenders(self):
        return {"a": self.give("a", [1.0, 9.0, 2.0]), "b": self.give("b", [4.0, 4.0]), "c": self.give("c", [8.0, 8.0, 8.0]),
                "lacking": self.lacking, "broken": self.broken}

    def give(self, name, values):
        values = iter(values)

        def turn():
            self.turns.append(name)
            return {"seconds": next(values), "bytes": 10}

        return turn

    def lacking(self):
        raise measure.Skip("no such thing")

    def broken(self):
        raise RuntimeError("it broke")


def row(name, bar, other="b", ours="a", better="lower"):
    return measure.Row(name, name, "fake", bar, other, ours=ours, better=better)


def arithmetic():
    group, said = Fake(), []
    measured = measure.measure(group, {"b", "c", "lacking", "broken"}, 3, said.append)
    check(group.turns == ["a", "b", "c", "a", "b", "c", "a", "c"], "turns are taken in rounds, with what they go on from")
    check(any("it broke" in text for text in said), "a failure is told")
    results = [measure.judge(r, measured) for r in (
        row("pass", 0.5), row("miss", 0.49), row("higher", 0.5, better="higher"), row("higher-miss", 0.51, better="higher"),
        row("limit", 2.0, other=None), row("limit-miss", 1.9, other=None), row("skip", 1, other="lacking"),
        row("failed", 1, ours="broken"))]
    expected = ["pass", "miss", "pass", "miss", "pass", "miss", "skipped", "skipped"]
    check([r["result"] for r in results] == expected, f"verdicts: {[r['result'] for r in results]}")
    check(results[0]["ratio"] == 0.5 and results[0]["ours"] == 2.0 and results[0]["other"] == 4.0, "the ratio is of medians")
    check(results[0]["runs"] == 3 and results[0]["other_runs"] == 2 and results[0]["spread"] == 4.0, "runs and spread")
    check(results[0]["best_ratio"] == 0.25 and results[2]["best_ratio"] == 2.25, "the best of each side, in its direction")
    check(results[6]["word"] == "lacking: no such thing", "a skip has its word")
    check(results[7]["word"] == "broken: failed: it broke", "a failure is no silent pass")
    check(measure.distance(results[2]) == 1.0 and math.isclose(measure.distance(results[0]), 1.0), "distance 1 is the bar")
    return results


def estimator():
    dump = ("/a b file 0644 0:0 1.0 size=100 data=0+100@0:50 sha256=aa\n"
            "/c file 0644 0:0 1.0 size=10 data=0+10@0:400 sha256=bb\n"
            "chunk 0 stream=0+100 blob=0+11 gzip x\nchunk 1 stream=100+100 blob=11+13 gzip x\n"
            "chunk 2 stream=200+300 blob=24+17 g\n")
    chunks, files = rows_index.chunks_and_files(dump)
    check(files == {"/a b": (50, 100, "aa"), "/c": (400, 10, "bb")}, f"files of a dump: {files}")
    check(rows_index.compressed_bytes(chunks, [(50, 100)]) == 24, "a range takes the chunks that it touches")
    check(rows_index.compressed_bytes(chunks, [(50, 50), (60, 2)]) == 11, "and each of them once")
    check(rows_index.compressed_bytes(chunks, []) == 0, "no range takes none")


def generator():
    listed = list(generated.entries(1000, 64))
    check(len(listed) == 1000 and len({path for path, _ in listed}) == 1000, "as many entries as asked for")
    check(listed == list(generated.entries(1000, 64)), "always the same")
    return listed


def document_of(results):
    return {"machine": {**machine.facts(os.environ["IMGFS_SOURCE"], os.environ["IMGFS"]), "load_after": machine.load()},
            "runs": 3, "rows": results, "samples": {},
            "growth": {"entries": {"n": [10, 100, 1000], "build_s": [0.1, 0.9, 8.0], "rss_mib": [4, 4, 5]}}}


def files(document, folder):
    """Both are written, and can be read by others."""
    import bench

    bench.write(folder, document)
    with open(os.path.join(folder, "bench.json"), encoding="utf-8") as file:
        read = json.load(file)
    check([r["name"] for r in read["rows"]] == [r["name"] for r in document["rows"]], "every row is in the JSON")
    check(read["machine"]["cores"] and read["machine"]["kernel"] and read["machine"]["revision"], "so is the machine")
    drawn = xml.dom.minidom.parse(os.path.join(folder, "bench.svg"))
    words = " ".join(node.firstChild.data for node in drawn.getElementsByTagName("text"))
    check(all(r["name"] in words for r in document["rows"]), "every row is in the chart")
    colours = {node.getAttribute("fill") for node in drawn.getElementsByTagName("rect")}
    check(set(chart.COLOURS.values()) - {chart.COLOURS["skipped"]} <= colours, "passes and misses have their colours")
    names = [r.name for r in bench.all_rows()]
    check(len(names) == len(set(names)), "no row has another's name")
    groups = {g.name for module in bench.MODULES for g in module.groups(None)}
    check({r.group for r in bench.all_rows()} <= groups, "every row has its group")


def tiny(listed):
    """A real mount of a tiny image: a row with our program and a folder."""
    if os.geteuid() != 0:
        print("selftest: without root nothing was mounted")
        return []
    import world as worlds

    world = worlds.World(lambda text: None)
    folder, layout = world.path("tiny", "tree"), world.path("tiny", "layout")
    os.makedirs(folder)
    generated.write_tree(folder, listed)
    made = generated.kept(layout, generated.make_many(1000, 64))
    client = worlds.Client(world.path("tiny", "client"), {})
    try:
        mounted, taken = client.timed_mount(f"oci:{made}:1")
        with open(world.path("tiny", "list"), "w", encoding="ascii") as file:
            file.write("".join(f"{path}\n" for path, data in listed if data is not None))
        size = sum(len(data) for _, data in listed if data)
        for probe in ("small", "stat"):
            for place in (mounted, folder):
                _, got = machine.seconds_of(world.probe(), probe, world.path("tiny", "list"), place)
                check(got == (size if probe == "small" else 0), f"probe {probe} reads {got} of {size} bytes")
        measured = measure.Measured()
        measured.samples["imgfs"] = [{"seconds": taken, **machine.memory_of(client.pid(mounted))}]
        return [measure.judge(measure.Row("tiny", "mount of 1,000 entries", "fake", 60), measured)]
    finally:
        client.stop()


def main():
    results = arithmetic()
    estimator()
    results += tiny(generator())
    with tempfile.TemporaryDirectory() as folder:
        files(document_of(results), folder)
    print(measure.table(results))
    print(f"selftest: {len(CHECKS)} checks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
