#!/usr/bin/env python3
"""Pages of tools/report and tools/scaling-report in a real browser (Debian's chromium): no script fails, nothing is fetched,
nothing sticks out at the width of a phone, every picture has its lines inside its frame, no text lies over another, no table
is cut on a screen, the pointer reads values off, and all text can be read in light and dark. Ends with 69 where there is no
chromium."""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

UNROLL = os.path.abspath(os.environ.get("UNROLL", "build/unroll"))
TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FIRST = """<script>
window.failures = [];
window.addEventListener('error', (event) => failures.push(String(event.message || event.target)), true);
</script>"""

# Runs in the page: what a reader would trip over.
PROBE = """<script>
const look = () => {
  document.querySelectorAll('details').forEach((folded) => { folded.open = true; });
  const found = { failures, width: document.documentElement.scrollWidth, inner: innerWidth, pictures: 0, outside: [], overlapping: [],
      tables: [], faint: [],
      fetched: performance.getEntriesByType('resource').map((entry) => entry.name), values: [] };
  const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map((v) => { const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { for (let n = node; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor;
      if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
  for (const node of document.querySelectorAll('h1, h2, h3, small, p, th, td, li, pre, summary, footer, svg text')) {
    const style = getComputedStyle(node), a = light(node instanceof SVGElement ? style.fill : style.color),
        b = light(ground(node));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.faint.push(node.tagName + ' ' + node.textContent.slice(0, 20) + ' ' + contrast.toFixed(2));
  }
  for (const svg of document.querySelectorAll('figure > svg')) {
    const frame = svg.getBoundingClientRect();
    found.pictures++;
    if (frame.width < 200 || frame.height < 40) found.outside.push('a picture of ' + frame.width + ' x ' + frame.height);
    for (const part of svg.querySelectorAll('polyline, text, rect, circle')) {
      const box = part.getBoundingClientRect();
      if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
        found.outside.push(svg.getAttribute('aria-label') + ': ' + part.tagName + ' ' + part.textContent);
    }
    const texts = [...svg.querySelectorAll('text')].map((node) => [node.textContent, node.getBoundingClientRect()]);
    texts.forEach(([text, a], i) => texts.slice(0, i).forEach(([other, b]) => {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
        found.overlapping.push(text + ' and ' + other); }));
  }
  for (const table of document.querySelectorAll('.table')) {
    const name = table.closest('section') ? table.closest('section').querySelector('h2').textContent : 'summary';
    found.tables.push([name, table.getBoundingClientRect().width, table.scrollWidth > table.clientWidth + 1]);
  }
  for (const svg of document.querySelectorAll('svg[data-x]')) {
    const frame = svg.getBoundingClientRect();
    svg.dispatchEvent(new PointerEvent('pointermove', { clientX: frame.left + frame.width * 0.6, clientY: frame.top + 50 }));
    const figure = svg.closest('figure');
    found.values.push([figure.querySelector('h3').textContent, figure.querySelector('output').textContent,
        [...figure.querySelectorAll('.value')].map((value) => value.textContent)]);
    svg.dispatchEvent(new PointerEvent('pointerleave'));
    if (figure.querySelector('output').textContent) found.failures.push('values stay after the pointer has left');
  }
  parent.postMessage(JSON.stringify(found), '*');
};
addEventListener('load', () => setTimeout(look, 50));
</script>"""

# The page at the widths of a phone and of a screen, and what it tells.
OUTER = """<body>%s<pre id="told"></pre><script>
const told = {};
addEventListener('message', (event) => { const frame = [...document.querySelectorAll('iframe')].find((f) =>
    f.contentWindow === event.source); told[frame.width] = JSON.parse(event.data);
    document.getElementById('told').textContent = JSON.stringify(told); });
for (const frame of document.querySelectorAll('iframe')) frame.srcdoc = frame.dataset.page;
</script>"""
WIDTHS = (360, 390, 1400)


def browse(page, dark=False):
    """What the probe finds in a page, by width."""
    page = page.replace("<head>", "<head>" + FIRST, 1).replace("</body>", PROBE + "</body>")
    frames = "".join('<iframe width="%d" height="800" data-page="%s"></iframe>' % (width, html.escape(page, quote=True))
                     for width in WIDTHS)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "outer.html")
        pathlib.Path(path).write_text(OUTER % frames, encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
                   "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage", "--no-first-run",
                   "--user-data-dir=" + os.path.join(folder, "profile"), "--virtual-time-budget=5000", "--dump-dom",
                   "--blink-settings=preferredColorScheme=%d" % (0 if dark else 1), "file://" + path]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120 * int(os.environ.get("PATIENCE", "1")))
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout.decode("utf-8", "replace"), re.S)
    if not told or not told.group(1):
        raise AssertionError("the browser told nothing; it said: " + done.stderr.decode("utf-8", "replace")[-2000:])
    return json.loads(html.unescape(told.group(1)))


class Page(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        pathlib.Path("text").write_text("the cat sat on a mat & <the> dog ran.\n" * 400)
        cls.run_unroll("prepare", "--level", "char", "--train", "text", "--split", "80,10,10", "-o", "c.h5")
        for name, cell in (("a-run-with-a-rather-long-name-of-its-own", "gru"), ("b", "lstm")):
            cls.run_unroll("train", "--corpus", "c.h5", "--run", name, "--cell", cell, "--hidden", "8", "--batch", "8", "--bptt",
                           "10", "--threads", "1", "--max-steps", "60", "--log-every", "5", "--eval-every", "20",
                           "--checkpoint-every", "20", "--keep", "5", "--schedule", "constant")
        rows = ["%s,%d,h,%d,%.3g" % (cell, layer, lag, 0.9 ** lag) for cell in ("gru", "lstm") for layer in (0, 1)
                for lag in range(20)]
        pathlib.Path("b/flow.csv").write_text("\n".join(["cell,layer,quantity,lag,norm"] + rows) + "\n")
        subprocess.run([TOOLS / "report", "a-run-with-a-rather-long-name-of-its-own", "b", "-o", "page.html"], check=True,
                       env=dict(os.environ, UNROLL=UNROLL))
        cls.page = pathlib.Path("page.html").read_text(encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    @staticmethod
    def run_unroll(*arguments):
        subprocess.run([UNROLL, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def check(self, told):
        self.assertEqual(sorted(told), sorted(map(str, WIDTHS)))
        for width, found in told.items():
            self.assertEqual(found["failures"], [], width)
            self.assertEqual(found["fetched"], [], width)
            self.assertLessEqual(found["width"], found["inner"], "the page is wider than a window of %s" % width)
            self.assertEqual(found["outside"], [], width)
            self.assertEqual(found["overlapping"], [], width)
            self.assertEqual(found["faint"], [], width)
            self.assertGreaterEqual(found["pictures"], 9)
            for title, place, values in found["values"]:
                self.assertRegex(place, r"^(step|seconds|lag) [\d.]+", title)
                self.assertTrue(all(values) or "time" in title, (title, values))

    def test_light(self):
        told = browse(self.page)
        self.check(told)
        # Two runs do not stretch a table over the whole width, and on a wide screen none is cut.
        tables = told["1400"]["tables"]
        self.assertEqual([name for name, _, _ in tables], ["summary", "Configuration", "Configuration"])
        self.assertLess(tables[0][1], 1000)
        self.assertFalse(any(cut for _, _, cut in tables), tables)
        # What is read off is the line's value: the learning rate does not change in these runs.
        rates = next(values for title, _, values in told["1400"]["values"] if title.startswith("Learning rate"))
        for rate in rates:
            self.assertAlmostEqual(float(rate), 0.002, delta=0.00002)

    def test_dark(self):
        self.check(browse(self.page, dark=True))

    def test_scaling(self):
        make_points = pathlib.Path(__file__).resolve().parents[1] / "support" / "make_points.py"
        subprocess.run([sys.executable, make_points, "points", "0.04", "0.07"], check=True)
        subprocess.run([TOOLS / "scaling-report", "points", "--no-files"], check=True, stdout=subprocess.DEVNULL)
        for width, found in browse(pathlib.Path("points/report/report.html").read_text(encoding="utf-8")).items():
            for name in ("failures", "fetched", "outside", "overlapping", "faint"):
                self.assertEqual(found[name], [], width)
            self.assertLessEqual(found["width"], found["inner"], width)
            self.assertEqual(found["pictures"], 8)
            if width == "1400":
                self.assertEqual([name for name, _, cut in found["tables"] if cut], [])
                self.assertIn("Points", [name for name, _, _ in found["tables"]])

    def test_files(self):
        """Pictures that stand alone, with the fonts of a browser: what tests/cli/test_charts.py computes with widths of its own."""
        figures = []
        for what in ("loss", "lr", "phases"):
            for runs in (["b"], ["a-run-with-a-rather-long-name-of-its-own", "b"]):
                subprocess.run([TOOLS / "plot", what, *runs, "-o", "picture.svg"], check=True)
                text = pathlib.Path("picture.svg").read_text(encoding="utf-8")
                figures.append("<figure>%s</figure>" % text[text.index("<svg"):])
        found = browse("<!DOCTYPE html><html><head></head><body>%s</body></html>" % "".join(figures))["1400"]
        self.assertEqual(found["pictures"], 6)
        for name in ("failures", "fetched", "outside", "overlapping", "faint"):
            self.assertEqual(found[name], [])

    def test_the_probe_sees_what_is_wrong(self):
        """A probe that passes everything would be worth nothing."""
        bad = self.page.replace("<main>", '<main><div style="width: 900px">wide</div><p style="color: #ccc">faint</p>'
                                '<script>undefinedName()</script><img src="http://unroll.invalid/x.png">')
        bad = bad.replace('class="tick" text-anchor="end" x="', 'class="tick" text-anchor="end" x="-', 1)
        bad = bad.replace('<text class="name"', '<text x="100" y="100">one</text><text x="104" y="101">two</text>'
                          '<text class="name"', 1)
        found = browse(bad)["360"]
        self.assertGreater(found["width"], found["inner"])
        self.assertTrue(any("undefinedName" in failure for failure in found["failures"]), found["failures"])
        self.assertTrue(any("faint" in text for text in found["faint"]))
        self.assertEqual(len(found["fetched"]), 1)
        self.assertEqual(len(found["outside"]), 1)
        self.assertEqual(found["overlapping"], ["two and one"])


if __name__ == "__main__":
    if not CHROMIUM:
        print("no chromium here; tools/install-deps --dev installs it")
        sys.exit(69)
    unittest.main()
