"""chart: bench.svg, for people. One bar a row, on a logarithmic scale relative to its bar; below, how things grow."""
import math
from xml.sax.saxutils import escape

from measure import distance, quantity

WIDTH, LABELS, PLOT, LINE = 1180, 330, 430, 22
TEXT_AT = LABELS + PLOT + 14
DECADES = 1.5  # to either side of the bar
COLOURS = {"pass": "#2e8b57", "miss": "#c0392b", "skipped": "#b8b8b8"}
CURVES = ("#1f5fa8", "#c0392b", "#2e8b57", "#b8860b", "#6a3d9a", "#555555")
CURVE_H, CURVE_W = 240, 350
BELOW = 0.6  # decades that a curve may fall below its first point


def text(x, y, words, size=12, anchor="start", colour="#222", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def line(x1, y1, x2, y2, colour="#ddd", width=1, dash=""):
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dashes}/>'


def place(value):
    """x of a distance from the bar: 1 is in the middle, left of it is better."""
    power = max(-DECADES, min(DECADES, math.log10(value))) if value > 0 else -DECADES
    return LABELS + PLOT * (power + DECADES) / (2 * DECADES)


def scale(top, bottom):
    parts = []
    for value, label in ((0.1, "10 x better"), (0.5, ""), (1, "the bar"), (2, ""), (10, "10 x worse")):
        strong = value == 1
        parts.append(line(place(value), top, place(value), bottom, "#444" if strong else "#ddd", 2 if strong else 1))
        if label:
            parts.append(text(place(value), top - 6, label, 11, "middle", "#444"))
    return parts


def figure(result):
    """The row in words."""
    if result["result"] == "skipped":
        return result["word"][:64]
    sign = "≤" if result["better"] == "lower" else "≥"
    ours = quantity(result["ours"], result["unit"])
    if result["against"] == "limit":
        return f"{ours}  ({sign} {quantity(result['other'], result['unit'])})"
    other = quantity(result["other"], result["unit"])
    return f"{ours} / {other} = {result['ratio']:.3g}  ({sign} {result['bar']:g} of {result['against']})"


def bar(result, y):
    parts = [text(LABELS - 8, y + 15, f"{result['name']} ({result['caches']})", 12, "end")]
    colour = COLOURS[result["result"]]
    if result["result"] != "skipped":
        x, middle = place(distance(result)), place(1)
        left, width = min(x, middle), max(abs(x - middle), 1.5)
        parts.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{width:.1f}" height="{LINE - 7}" fill="{colour}"/>')
        wide = result["spread"] > 0.3
        words = figure(result) + (f"  ±{result['spread']:.0%}" if wide else "")
        parts.append(text(TEXT_AT, y + 15, words, 12))
    else:
        parts.append(text(TEXT_AT, y + 15, figure(result), 12, colour="#777"))
    return parts


def curve(axis, points, left, top):
    """One small log-log plot: each figure relative to its first point, and the line of linear growth."""
    sizes = points["n"]
    parts = [text(left, top - 8, f"growth with {axis}", 13, weight="bold")]
    if len(sizes) < 2:
        return parts
    reach = math.log10(sizes[-1] / sizes[0])
    across, down = CURVE_W - 130, CURVE_H - 40

    def at(size, value):
        power = min(max(math.log10(value), -BELOW), reach) if value > 0 else -BELOW
        x = left + across * math.log10(size / sizes[0]) / reach
        return x, top + down - down * (power + BELOW) / (reach + BELOW)

    parts.append(f'<rect x="{left}" y="{top}" width="{across}" height="{down}" fill="none" stroke="#ccc"/>')
    parts.append(line(*at(sizes[0], 1), *at(sizes[-1], sizes[-1] / sizes[0]), "#999", 1, "5,4"))
    parts.append(text(left + across - 4, top + 14, "linear", 10, "end", "#777"))
    for size in sizes:
        parts.append(text(at(size, 1)[0], top + down + 14, short(size), 10, "middle", "#555"))
    for number, key in enumerate(key for key in points if key != "n"):
        values, colour = points[key], CURVES[number % len(CURVES)]
        if not values[0]:
            continue
        places = [at(size, value / values[0]) for size, value in zip(sizes, values)]
        shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{shape}" fill="none" stroke="{colour}" stroke-width="2"/>')
        words = f"{key} x{values[-1] / values[0]:.3g}"
        parts.append(text(left + across + 8, top + 14 + 15 * number, words, 11, colour=colour))
    return parts


def short(size):
    for unit, name in ((1_000_000, " M"), (1_000, " k")):
        if size >= unit:
            return f"{size / unit:g}{name}"
    return str(size)


def draw(document):
    """bench.svg as text."""
    rows, curves, machine = document["rows"], document["growth"], document["machine"]
    top = 92
    bottom = top + LINE * len(rows)
    height = bottom + (CURVE_H + 60 if curves else 20)
    passed = sum(row["result"] == "pass" for row in rows)
    missed = sum(row["result"] == "miss" for row in rows)
    title = f"imgfs {str(machine['revision'])[:10]}: {passed} of {len(rows)} rows pass, {missed} miss"
    where = (f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['time']}, "
             f"load {machine['load_before'][0]} to {machine['load_after'][0]}, medians of up to {document['runs']} runs")
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
             'font-family="DejaVu Sans, Verdana, sans-serif">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>', text(16, 28, title, 18, weight="bold"),
             text(16, 50, where, 12, colour="#555"), *scale(top, bottom)]
    for number, row in enumerate(rows):
        parts += bar(row, top + LINE * number)
    for number, (axis, points) in enumerate(curves.items()):
        parts += curve(axis, points, 24 + (CURVE_W + 30) * number, bottom + 50)
    return "\n".join([*parts, "</svg>"]) + "\n"
