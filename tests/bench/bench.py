"""bench: measure the rows that are asked for, and write what was found. tests/bench/run starts it in a world of its own."""
import argparse
import json
import os
import signal
import sys

import chart
import harness
import machine
import measure
import peers
import rows_data
import rows_growth
import rows_index
import rows_start
import rows_tasks
import rows_tree
import world as worlds

MODULES = (rows_start, rows_index, rows_tree, rows_data, rows_growth, rows_tasks)


def arguments(words):
    parser = argparse.ArgumentParser("bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[""])
    parser.add_argument("--out", default="bench")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--make-lab", action="store_true")
    return parser.parse_args(words)


def all_rows():
    return [row for module in MODULES for row in module.ROWS]


def chosen(names):
    return [row for row in all_rows() if any(row.name.startswith(name) for name in names)]


def run_rows(world, rows, runs, found, curves, samples):
    """One group after the other. Fills in results by name, curves of growth, and every sample; yields after each group."""
    for group in (g for module in MODULES for g in module.groups(world)):
        mine = [row for row in rows if row.group == group.name]
        if not mine:
            continue
        world.say(f"{group.name}: {', '.join(row.name for row in mine)}")
        wanted = set().union(*(row.needs() for row in mine))
        measured = measure.measure(group, wanted, runs, world.say)
        found |= {row.name: measure.judge(row, measured) for row in mine}
        curves |= getattr(group, "curves", {})
        samples[group.name] = {"samples": measured.samples, "loads": measured.loads}
        world.say(measure.table([found[row.name] for row in mine]))
        yield


def write(folder, document):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "bench.json"), "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "bench.svg"), "w", encoding="utf-8") as file:
        file.write(chart.draw(document))


def say(text):
    print(text, flush=True)


def main():
    options = arguments(sys.argv[1:])
    rows = chosen(options.only)
    if options.list:
        for row in rows:
            print(f"{row.name:28} {'<=' if row.better == 'lower' else '>='} {row.bar:<8g} {row.caches:5} {row.what}")
        return 0
    if not rows:
        print(f"bench: no row begins with {' or '.join(options.only)}; see --list", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs = 1 if options.quick else options.runs
    facts = machine.facts(os.environ["IMGFS_SOURCE"], harness.BINARY)
    folder = os.path.join(os.environ.get("BENCH_STARTED_IN", "."), options.out)
    world, found, curves, samples, results = worlds.World(say), {}, {}, {}, []
    try:
        world.start()
        if options.make_lab:
            peers.make_lab(world)
        for _ in run_rows(world, rows, runs, found, curves, samples):
            results = [found[row.name] for row in rows if row.name in found]
            facts["load_after"] = machine.load()
            write(folder, {"machine": {**facts, **world.notes}, "runs": runs, "rows": results, "growth": curves,
                           "samples": samples})
    finally:
        world.stop()
    say("\n" + measure.table(results))
    missed = sum(result["result"] == "miss" for result in results)
    skipped = sum(result["result"] == "skipped" for result in results)
    say(f"{len(results)} rows, {missed} missed, {skipped} skipped; {folder}/bench.json, {folder}/bench.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
