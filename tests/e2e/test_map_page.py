"""imgfs map, the picture and the page: well formed whatever an image calls its files; the page works in a real browser, at
any width, and without its script.
"""
import html
import html.parser
import json
import os
import re
import shutil

import pytest

from images import Layout, noise
from processes import run
from test_map import CHUNK, SVG, indexed, parse_svg, read  # pylint: disable=unused-import

# pylint: disable=redefined-outer-name

HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "a&amp;b \"quoted\" 'so'", "new\nline\ttab\x1b[31m",
           "\u202egnp.exe", "]]>", "-->", "\ufffe\uffff", "\\", "x" * 250]
HOSTILE_BYTES = [b"\xff\xfe\x80latin\xe9", b"\xed\xa0\x80surrogate", b"\xc0\xaf"]
CHROMIUM = shutil.which("chromium")


class Tags(html.parser.HTMLParser):
    """Which elements a page has, and its texts, as a browser would see them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.outside = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.outside += [(tag, k, v) for k, v in attrs if k in ("src", "href", "srcset", "action") or k.startswith("on")]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def hostile(scratch):
    """A layout whose files have names that would break out of a careless picture."""
    made = Layout(scratch / "hostile")
    names = [os.fsencode(name) for name in HOSTILE] + HOSTILE_BYTES
    files = {os.fsdecode(b"d/" + name.replace(b"/", b"\xe2\x88\x95")): noise(CHUNK, i) for i, name in enumerate(names)}
    tar = tar_of_bytes(files)
    made.add_layer(tar)
    made.names = [os.fsencode(path) for path in files]
    made.reference = "oci:" + made.write()
    return made


def tar_of_bytes(files):
    """As tar_of, for names that are no text: GNU headers have bytes."""
    import io  # pylint: disable=import-outside-toplevel
    import tarfile  # pylint: disable=import-outside-toplevel
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        entry = tarfile.TarInfo("d")
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def browser(scratch, *arguments, timeout=90):
    """What headless chromium says; skips where there is none."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    return run(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
               "--disable-background-networking", "--no-first-run", f"--user-data-dir={scratch}/browser",
               *arguments, timeout=timeout, env={**os.environ, "HOME": os.fspath(scratch)})


def test_hostile_names(hostile, imgfs, scratch):
    imgfs.build(hostile.reference)
    mount = imgfs.mount(hostile.reference, "--no-profile")
    for name in hostile.names:
        assert len(read(os.fsencode(mount), name)) == CHUNK
    seen = imgfs.json("map", mount)
    found = {bytes.fromhex(f["path_bytes"]) if "path_bytes" in f else f["path"].encode() for f in seen["files"]}
    assert found == {b"/" + name for name in hostile.names}
    top = parse_svg(imgfs.run("map", "-o", "-", mount).stdout)
    texts = [text.text or "" for text in top.iter(f"{SVG}text")]
    assert any("alert(1)" in text for text in texts) and not any(re.search(r"[\x00-\x1f\u202e]", text) for text in texts)
    page = scratch / "page.html"
    imgfs.run("map", "-o", page, mount)
    tags = Tags(page.read_text(encoding="utf-8"))
    assert tags.tags.count("script") == 2 and "img" not in tags.tags and not tags.outside
    assert any("<img src=x onerror=alert(2)>" in text for text in tags.texts)
    data = next(text for text in tags.texts if text.startswith('{'))
    assert "<" not in data and any("</script>" in f[2] or "∕script" in f[2] for f in json.loads(data)["layers"][0]["files"])
    assert any(r"new\012line\011tab\033[31m" in text for text in tags.texts)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", imgfs.run("map", mount).stdout)


def test_page_in_a_browser(indexed, imgfs, scratch):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/large")
    read(mount, "data/many/05")
    page = scratch / "map.html"
    imgfs.run("map", "-o", page, mount)
    tags = Tags(page.read_text(encoding="utf-8"))
    assert not tags.outside and "<table>" in page.read_text(encoding="utf-8")
    dom = browser(scratch, "--virtual-time-budget=2000", "--dump-dom", f"file://{page}#layer-1").stdout
    # The script ran: it marked the body, made layers into buttons, took their titles, and opened the named one.
    assert re.search(r'<body class="scripted">', dom)
    assert len(re.findall(r'<g class="layer"[^>]*role="button"', dom)) == 3 and "<title>layer" not in dom
    zoom = re.search(r'<section id="zoom"([^>]*)>(.*?)</section>', dom, re.S)
    assert "hidden" not in zoom.group(1) and "layer 1, sha256:" in zoom.group(2)
    height = re.search(r'<canvas id="cells"[^>]*height="(\d+)"', zoom.group(2))
    assert height and int(height.group(1)) > 0
    assert len(re.findall(r"<th[^>]*><button>", dom)) == 7
    # A pointer on the middle of the second bar, a click on the heading of "Read", a word in the filter.
    driven = scratch / "driven.html"
    driven.write_text(page.read_text(encoding="utf-8").replace("</body>", """<script>
        const bar = document.querySelectorAll('g.layer rect.frame')[1], box = bar.getBoundingClientRect();
        bar.dispatchEvent(new MouseEvent('mousemove', {bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + 5}));
        const heads = document.querySelectorAll('th button');
        heads[4].click(); heads[4].click();
        const filter = document.getElementById('filter');
        filter.value = 'LARGE';
        filter.dispatchEvent(new Event('input'));
        </script></body>"""), encoding="utf-8")
    dom = browser(scratch, "--virtual-time-budget=2000", "--dump-dom", f"file://{driven}").stdout
    tip = re.search(r'<div id="tip"([^>]*)>(.*?)</div></div>', dom, re.S)
    assert "hidden" not in tip.group(1) and re.search(r"layer 1, chunk 1[5-7]: \S+ KiB at \S+ MiB", tip.group(2)), tip.group(0)
    assert "in the store, read, fetched for " in tip.group(2) and "/data/large (read)" in tip.group(2)
    rows = re.findall(r"<tr( hidden=\"\")?><td>(\S+)</td>", dom)
    assert rows == [(' hidden=""', "/data/many/05"), ("", "/data/large")] and 'aria-sort="ascending"' in dom
    # And without the script it is a whole picture still.
    plain = page.read_text(encoding="utf-8")
    still = scratch / "still.html"
    still.write_text(re.sub(r"<script.*?</script>", "", plain, flags=re.S), encoding="utf-8")
    for name, width in (("map.html", 800), ("still.html", 1600)):
        picture = scratch / f"{name}-{width}.png"
        browser(scratch, f"--screenshot={picture}", f"--window-size={width},1000", f"file://{scratch / name}")
        assert picture.stat().st_size > 20000, "an empty page is smaller"


def test_a_picture_keeps_its_margin(indexed, imgfs, scratch):
    """With numbers of ten digits, too: the browser says how long the words are."""
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/large")
    page = imgfs.run("map", "-o", "-", "--format=html", mount).stdout
    page, n = re.subn(r">\d+ of \d+ reads?<", f">{2**32 - 1} of {2**32 - 1} reads<", page)
    page, k = re.subn(r">in \d+ requests?<", f">in {2**32 - 1} requests<", page)
    assert n == k == 1
    wide = scratch / "wide.html"
    wide.write_text(page.replace("</body>", """<pre id="boxes"></pre><script>
        const boxes = [...document.querySelectorAll('svg text:not(g[transform] text)')].map(text => [text.textContent, text.getBBox()])
            .map(([text, box]) => [text, box.x, box.y, box.x + box.width, box.y + box.height]);
        document.getElementById('boxes').textContent = JSON.stringify(boxes);
        </script></body>"""), encoding="utf-8")
    dom = browser(scratch, "--dump-dom", f"file://{wide}").stdout
    boxes = json.loads(html.unescape(re.search(r'<pre id="boxes">(.*?)</pre>', dom, re.S).group(1)))
    assert len(boxes) > 20
    for text, left, _, right, _ in boxes:
        assert left >= 27 and right <= 933, (text, left, right)
    figures = boxes[3:boxes.index(next(box for box in boxes if box[0] == "Layers"))]
    for one in figures:
        for other in figures:
            apart = one[3] <= other[1] or other[3] <= one[1] or one[4] <= other[2] + 6 or other[4] <= one[2] + 6
            assert one is other or apart, (one, other)


@pytest.mark.parametrize("width", [400, 800, 1600])
def test_paths_have_room_in_a_window_of_any_width(indexed, imgfs, scratch, width):
    mount = imgfs.mount(indexed, "--no-profile")
    read(mount, "data/large")
    page = scratch / "map.html"
    page.write_text(imgfs.run("map", "-o", "-", "--format=html", mount).stdout.replace("</body>", """<pre id="sizes"></pre><script>
        const all = document.documentElement;
        document.getElementById('sizes').textContent = JSON.stringify({
            path: document.querySelector('td').offsetWidth, window: innerWidth, page: all.scrollWidth,
            picture: document.querySelector('svg').getBoundingClientRect().width,
            table: document.querySelector('table').offsetWidth, shown: document.querySelector('section .scroll').clientWidth});
        </script></body>"""), encoding="utf-8")
    dom = browser(scratch, "--dump-dom", f"--window-size={width},900", f"file://{page}#layer-1").stdout
    sizes = json.loads(re.search(r'<pre id="sizes">(.*?)</pre>', dom, re.S).group(1))
    assert sizes["path"] >= 150 and sizes["picture"] >= 700, sizes
    assert sizes["page"] <= sizes["window"], "only the table and the picture scroll sideways"
    assert sizes["table"] > sizes["shown"] or sizes["window"] > 600, sizes


def test_hostile_names_in_a_browser(hostile, imgfs, scratch):
    imgfs.build(hostile.reference)
    mount = imgfs.mount(hostile.reference, "--no-profile")
    for name in hostile.names:
        read(os.fsencode(mount), name)
    page = scratch / "map.html"
    imgfs.run("map", "-o", page, mount)
    dom = browser(scratch, "--virtual-time-budget=2000", "--dump-dom", f"file://{page}#layer-0").stdout
    assert '<body class="scripted">' in dom and "<img" not in dom and dom.count("<script") == 2
