"""measure: rows and their bars, interleaved runs, and what follows from them.

A Group measures several contenders in the same runs: in each round every contender has its turn, so that whatever else
the machine does falls on all of them. A contender is a function without arguments that gives a sample: a dictionary with
the figure (usually "seconds") and whatever else was counted. A Row compares two contenders of a group, or one with a limit.
"""
import statistics
import time
import traceback

from machine import load


class Skip(Exception):
    """What the machine lacks, in a word."""


class Row:
    """ours and other name contenders; without other, the bar is a limit in the row's own unit.

    better: "lower" (the ratio must be at most the bar) or "higher" (at least). key and other_key name the figure; against
    names the counterpart for people.
    """

    def __init__(self, name, what, group, bar, other=None, ours="imgfs", key="seconds", other_key=None, unit="s",
                 better="lower", caches="cold", against=None):
        self.name, self.what, self.group, self.bar = name, what, group, bar
        self.ours, self.other, self.unit, self.better, self.caches = ours, other, unit, better, caches
        self.key, self.other_key = key, other_key or key
        self.against = against or other or "limit"

    def needs(self):
        return {self.ours} | ({self.other} if self.other else set())


class Group:
    """contenders: {name: function}, in the order of their turns. most: {name: rounds at the most}, for slow ones;
    often: {name: samples in one turn}, for quick ones.

    after: {name: names whose state it goes on from}, which then run too. prepare() may raise Skip; finish() always runs.
    """

    name = ""
    most = {}
    after = {}
    often = {}

    def __init__(self, world):
        self.world = world

    def prepare(self, wanted):
        """Before the first round; wanted: the contenders that will run."""

    def contenders(self):
        raise NotImplementedError

    def begin_round(self):
        """Before each round."""

    def finish(self):
        """After the last round."""

    def closure(self, wanted):
        found, todo = set(), list(wanted)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.after.get(name, ())
        return found


class Measured:
    """Samples of each contender, and why some have none."""

    def __init__(self):
        self.samples, self.skipped, self.loads = {}, {}, []


def measure(group, wanted, runs, say):
    """Run the wanted contenders of a group in turns."""
    measured, wanted = Measured(), group.closure(wanted)
    try:
        group.prepare(wanted)
        turns = [(name, turn) for name, turn in group.contenders().items() if name in wanted]
        for number in range(runs):
            measured.loads.append(load())
            group.begin_round()
            for name, turn in turns:
                for _ in range(group.often.get(name, 1)):
                    if name not in measured.skipped and number < group.most.get(name, runs):
                        take(measured, group, name, turn, say)
    except Skip as word:
        for name in wanted:
            measured.skipped.setdefault(name, str(word))
    except Exception as error:  # one group that fails must not take the others with it
        say(traceback.format_exc())
        for name in wanted:
            measured.skipped.setdefault(name, f"failed: {error}")
    finally:
        group.finish()
    return measured


def take(measured, group, name, turn, say):
    start = time.monotonic()
    try:
        sample = turn()
    except Skip as word:
        measured.skipped[name] = str(word)
        say(f"  {group.name} {name}: skipped: {word}")
        return
    except Exception as error:
        say(traceback.format_exc())
        measured.skipped[name] = f"failed: {str(error)[-300:]}"
        return
    measured.samples.setdefault(name, []).append(sample)
    shown = " ".join(f"{key}={value:.4g}" for key, value in sample.items() if isinstance(value, (int, float)))
    say(f"  {group.name} {name}: {shown} ({time.monotonic() - start:.1f} s in all)")


def median(values):
    return statistics.median(values)


def spread(values):
    """(largest - smallest) / median: 0 when all runs agree."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def figures(samples, key):
    return [sample[key] for sample in samples if key in sample]


def medians(samples):
    """The median of every number that was counted."""
    keys = [key for key, value in samples[0].items() if isinstance(value, (int, float))] if samples else []
    return {key: median(figures(samples, key)) for key in keys}


def passes(result, ratio):
    return ratio <= result["bar"] if result["better"] == "lower" else ratio >= result["bar"]


def judge(row, measured):
    """The row as bench.json has it."""
    result = {"name": row.name, "what": row.what, "bar": row.bar, "better": row.better, "unit": row.unit,
              "caches": row.caches, "against": row.against}
    word = next((f"{n}: {measured.skipped[n]}" for n in sorted(row.needs()) if n in measured.skipped), None)
    ours = figures(measured.samples.get(row.ours, []), row.key)
    other = figures(measured.samples.get(row.other, []), row.other_key) if row.other else []
    if ours:
        result |= {"ours": median(ours), "runs": len(ours), "spread": spread(ours),
                   "counted": medians(measured.samples[row.ours])}
    if other:
        result |= {"other": median(other), "other_runs": len(other), "other_spread": spread(other),
                   "other_counted": medians(measured.samples[row.other])}
    if not ours or (row.other and not other):
        return {**result, "result": "skipped", "word": word or "no sample"}
    if not row.other:
        result |= {"other": row.bar, "bar": 1}  # a limit is a counterpart that never changes
    ratio = result["ours"] / result["other"]
    best = min if row.better == "lower" else max  # of quiet moments, if there were any; the verdict is that of the medians
    result["best_ratio"] = best(ours) / (best(other) if other else row.bar)
    return {**result, "ratio": ratio, "result": "pass" if passes(result, ratio) else "miss"}


def distance(result):
    """How far from the bar, the same for both directions: 1 is the bar, below is better."""
    if result["better"] == "lower":
        return result["ratio"] / result["bar"]
    return result["bar"] / result["ratio"] if result["ratio"] else float("inf")


def quantity(value, unit):
    if unit == "s":
        return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
    if unit == "B":
        return f"{value / 1e6:.2f} MB"
    if unit == "MiB":
        return f"{value:.1f} MiB"
    if value >= 10_000:
        return f"{value / 1e3:.0f}k {unit}"
    return f"{value:.4g} {unit}"


def table(results):
    """The rows as text."""
    lines = [f"{'row':30} {'imgfs':>11} {'counterpart':>11} {'ratio':>8} {'bar':>8} {'':6} {'best':>7} n  spread  against"]
    for r in results:
        if r["result"] == "skipped":
            ours = quantity(r["ours"], r["unit"]) if "ours" in r else "-"
            lines.append(f"{r['name']:30} {ours:>11} {'-':>11} {'-':>8} {r['bar']:>8.4g} skip   {r['word'][:90]}")
            continue
        sign = "<=" if r["better"] == "lower" else ">="
        ours, other = quantity(r["ours"], r["unit"]), quantity(r["other"], r["unit"])
        lines.append(f"{r['name']:30} {ours:>11} {other:>11} {r['ratio']:>8.3f} {sign}{r['bar']:>6.4g} {r['result']:6} "
                     f"{r['best_ratio']:>7.3f} {r['runs']} {r['spread']:6.0%}  {r['against']}, {r['caches']}")
    return "\n".join(lines)
