#!/usr/bin/env python3
"""The files of tools/plot, by their geometry: no text lies over data, over another text or beyond the edge, an axis has one
notation, the legend tells training from validation, the best weights and the best run are marked, and PNG and PDF come out in
the size asked for."""
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS / "lib"))
import chart_layout  # noqa: E402
import chart_svg  # noqa: E402

plot = importlib.util.module_from_spec(importlib.util.spec_from_loader(
    "plot", importlib.machinery.SourceFileLoader("plot", str(TOOLS / "plot"))))
plot.__spec__.loader.exec_module(plot)

PHASES = {"input_projection": 1, "recurrent_forward": 2, "output_layer": 3, "recurrent_backward": 2, "weight_gradients": 4}


def make_run(name, best_step=60, lowest=1.5, rate=0.001, corpus="c", task="lm"):
    """A run of 100 steps whose validation is lowest at a step."""
    folder = pathlib.Path(name)
    folder.mkdir(parents=True)
    lines = [{"type": "run", "task": task, "cell": "gru", "layers": 1, "hidden": 8, "corpus_digest": corpus}]
    timing = [{"type": "start", "step": 0, "ranks": 1, "threads": 1}]
    for step in range(5, 101, 5):
        lines.append({"type": "train", "step": step, "loss": 1 + 3 * math.exp(-step / 30), "grad_norm": 0.5 + 1 / step,
                      "lr": rate * (1 - step / 100)})
        timing.append({"type": "train", "step": step, "seconds": 0.1, "tokens_per_second": 12345 + step,
                       "phases": {phase: 0.005 * share for phase, share in PHASES.items()}})
        if step % 20 == 0:
            lines.append({"type": "valid", "step": step, "loss": lowest + ((step - best_step) / 100) ** 2,
                          "accuracy": 0.5 + step / 1000})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in timing))
    return name


class Drawing:
    """What stands in an SVG file and where: texts [(class, text, (left, top, right, bottom))], bars [(left, top, right, bottom)],
    lines [(class, points)] and dots [(class, x, y)]."""

    def __init__(self, text):
        self.root = ElementTree.fromstring(text.encode("utf-8"))
        self.width, self.height = float(self.root.get("width")), float(self.root.get("height"))
        self.style = self.root.find("{*}style").text
        self.texts, self.bars, self.lines, self.dots = [], [], [], []
        self._walk(self.root, 0.0, 0.0)

    def _walk(self, node, x, y):
        moved = re.match(r"translate\((\S+) (\S+)\)", node.get("transform", ""))
        x, y = (x + float(moved.group(1)), y + float(moved.group(2))) if moved else (x, y)
        kind, name = node.get("class", ""), node.tag.split("}")[1]
        if name == "text":
            size = {"title": chart_layout.LARGE * chart_layout.BOLD, "entry": chart_layout.PLAIN, "row": chart_layout.PLAIN}.get(
                kind, chart_layout.SMALL)
            width = chart_layout.text_width(node.text, size)
            left = x + float(node.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[node.get("text-anchor")] * width
            base = y + float(node.get("y"))
            self.texts.append((kind, node.text, (left, base - 0.75 * size, left + width, base + 0.2 * size)))
        elif name == "rect" and kind.startswith("bar"):
            left, top = x + float(node.get("x")), y + float(node.get("y"))
            self.bars.append((left, top, left + float(node.get("width")), top + float(node.get("height"))))
        elif name == "polyline":
            pairs = [pair.split(",") for pair in node.get("points").split()]
            self.lines.append((kind, [(x + float(a), y + float(b)) for a, b in pairs]))
        elif name == "circle":
            self.dots.append((kind, x + float(node.get("cx")), y + float(node.get("cy"))))
        for child in node:
            self._walk(child, x, y)

    def covered(self):
        """Boxes of all that is no text, lines in short pieces."""
        boxes = list(self.bars) + [(x - 2, y - 2, x + 2, y + 2) for _, x, y in self.dots]
        for _, points in self.lines:
            for (a, b), (c, d) in zip(points, points[1:]):
                for k in range(21):
                    x, y = a + (c - a) * k / 20, b + (d - b) * k / 20
                    boxes.append((x - 0.5, y - 0.5, x + 0.5, y + 0.5))
        return boxes

    def words(self, *kinds):
        return [text for kind, text, _ in self.texts if kind in kinds]


def meet(a, b):
    return a[0] < b[2] - 0.1 and b[0] < a[2] - 0.1 and a[1] < b[3] - 0.1 and b[1] < a[3] - 0.1


class Charts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        make_run("one")
        make_run("two", best_step=80, lowest=1.25, rate=0.0005)
        cls.eight = [make_run("sweep/hidden-128-dropout-0.%d-lr-0.00%d" % (n, n), lowest=1.3 + n / 10) for n in range(1, 9)]
        make_run("classes", task="classify")
        rows = ["%s,%d,%s,%d,%.3g" % (cell, layer, state, lag, base ** lag) for cell, base in (("lstm", 0.9), ("rnn-tanh", 0.5))
                for layer in (0, 1) for state in ("h", "c") for lag in range(40)]
        pathlib.Path("flow.csv").write_text("\n".join(["cell,layer,quantity,lag,norm"] + rows) + "\n")
        for name, share in (("fast", 0.9), ("slow", 0.6)):
            strong = [{"ranks": 2 ** k, "tokens_per_second": 1e4 * (2 ** k) ** share} for k in range(14)]
            pathlib.Path(name + ".json").write_text(json.dumps({"prediction": {"strong": strong}}))
        many = [{"ranks": n, "tokens_per_second": 1e4 * n} for n in range(1, 41)]
        pathlib.Path("many.json").write_text(json.dumps({"prediction": {"strong": many}}))
        subprocess.run([sys.executable, SUPPORT / "make_points.py", "points", "0.04", "0.07"], check=True)

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    @staticmethod
    def plot(what, *inputs):
        """What tools/plot writes into an SVG file."""
        return Drawing(chart_svg.standalone(plot.chart_of(what, inputs)))

    def command(self, *arguments, to):
        done = subprocess.run([TOOLS / "plot", *arguments, "-o", to], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""), arguments)
        return pathlib.Path(to).read_bytes()

    def pictures(self):
        """All kinds, of one, two and eight runs."""
        for what in ("loss", "perplexity", "lr", "gradnorm", "speed", "time", "phases"):
            for runs in (["one"], ["one", "two"], self.eight):
                yield [what] + runs
        yield ["accuracy", "classes"]
        yield ["loss", "one", "classes"]
        yield ["gradflow", "flow.csv"]
        yield ["prediction", "fast.json", "slow.json"]
        yield ["prediction", "many.json"]
        for what in ("scaling", "speedup", "efficiency", "time-to", "reduction", "imbalance", "strong-phases", "weak-phases"):
            yield [what, "points"]

    def test_no_text_lies_over_anything(self):
        for arguments in self.pictures():
            drawing = self.plot(*arguments)
            covered = drawing.covered()
            self.assertTrue(covered and drawing.words("title"), arguments)
            for number, (kind, text, box) in enumerate(drawing.texts):
                told = (arguments, kind, text, box)
                self.assertTrue(0 <= box[0] and box[2] <= drawing.width + 0.5 and 0 <= box[1] and box[3] <= drawing.height, told)
                self.assertFalse([other for other in covered if meet(box, other)], told)
                self.assertFalse([other for _, other, taken in drawing.texts[:number] if meet(box, taken)], told)

    def test_this_test_sees_a_legend_over_a_bar(self):
        drawing = self.plot("phases", "one")
        kind, text, box = next(entry for entry in drawing.texts if entry[0] == "entry")
        up = box[1] - drawing.bars[0][1]
        self.assertTrue(any(meet((box[0], box[1] - up, box[2], box[3] - up), other) for other in drawing.covered()))

    def test_an_axis_has_one_notation(self):
        forms = {"power": r"(−?)10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", "scientific": r"−?[\d.]+·10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", "k": r"−?[\d.]+k", "M": r"−?[\d.]+M",
                 "G": r"−?[\d.]+G", "plain": r"−?\d+(\.\d+)?"}
        dice = random.Random(1)
        ranges = [(0.0, 0.00105), (0.0, 0.0005), (0, 10000), (0, 12000), (1e-4, 5e-3), (4e3, 2e5)]
        ranges += [(low, low * 10 ** dice.uniform(0.01, 6)) for low in (10 ** dice.uniform(-13, 10) for _ in range(400))]
        ranges += [(0.0, 10 ** dice.uniform(-13, 11)) for _ in range(200)] + [(-3.0, 2.0), (-3e-5, 2e-5)]
        for low, high in ranges:
            for log in (False, True) if low > 0 else (False,):
                marks = chart_layout.marks(low, high, log)
                labels = [label for value, label in marks if value]
                used = {next((form for form, pattern in forms.items() if re.fullmatch(pattern, label)), label) for label in labels}
                self.assertLessEqual(len(used), 1, (low, high, log, labels))
                self.assertEqual(len(set(labels)), len(labels), (low, high, log, labels))
                if not log:  # numbers beside each other have the same power of ten
                    self.assertLessEqual(len({label.split("·")[-1] for label in labels if "·" in label}), 1, labels)
                for value, label in marks:
                    self.assertAlmostEqual(self.number(label), value, delta=1e-3 * abs(value) + 1e-300, msg=(low, high, labels))

    @staticmethod
    def number(label):
        plain = label.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-"))
        parts = re.fullmatch(r"(-?[\d.]+)([kMG]?)(?:·10(\S+))?", plain)
        if "10" in label and re.search("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]", label) and "·" not in label:
            return 10.0 ** int(plain[2:])
        return float(parts.group(1)) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[parts.group(2)] * 10.0 ** int(parts.group(3) or 0)

    def test_numbers_at_the_end_of_doubles_are_drawn(self):
        make_run("huge", lowest=800.0)
        self.assertTrue(self.plot("perplexity", "huge").words("tick"))
        for low, high in ((1.0, 1e308), (1e-307, 1.0), (1e-307, 1e308)):
            self.assertTrue(chart_layout.marks(*chart_layout.spread(low, high, True, 0.04), log=True))

    def test_marks_in_the_picture_of_a_rate(self):
        ticks = self.plot("lr", "two").words("tick")
        self.assertIn("4·10⁻⁴", ticks)
        self.assertFalse([text for text in ticks if text.startswith("0.")])
        ticks = self.plot("lr", "one").words("tick")
        self.assertIn("0.0008", ticks)
        self.assertFalse([text for text in ticks if "·" in text])

    def test_the_file_tells_training_from_validation(self):
        for runs in (["one"], ["one", "two"]):
            drawing = self.plot("loss", *runs)
            entries = drawing.words("entry")
            self.assertIn("training, mean since the point before", entries)
            self.assertIn("validation", entries)
            # and shows it as it is drawn: faint as the runs' lines of training, dotted as those of validation
            grey = [kind for kind, _ in drawing.lines if not re.search(r"s\d", kind)]
            self.assertEqual(grey, ["line thin", "line dotted"])
        self.assertNotIn("validation", self.plot("lr", "one").words("entry"))

    def test_the_best_is_marked(self):
        drawing = self.plot("loss", "one", "two")
        self.assertEqual(drawing.words("entry")[:2], ["one", "two (best)"])
        rings = {kind: (x, y) for kind, x, y in drawing.dots if kind.startswith("best s")}
        self.assertEqual(sorted(rings), ["best s0", "best s1"])
        for number, step in ((0, 60), (1, 80)):
            places = [(x, y) for kind, x, y in drawing.dots if kind == "dot s%d" % number]
            self.assertEqual(rings["best s%d" % number], places[step // 20 - 1])
        # of one run the legend says the value; of runs on other texts, or of other kinds, none is the best
        self.assertIn("best weights: validation loss 1.5 at step 60", self.plot("loss", "one").words("entry"))
        self.assertEqual(len([kind for kind, _, _ in self.plot("accuracy", "classes").dots if kind == "best s0"]), 1)
        make_run("other", lowest=0.5, corpus="d")
        for runs in (["one", "other"], ["one", "classes"]):
            self.assertFalse([text for text in self.plot("loss", *runs).words("entry") if "(best)" in text])
        page = self.report("one", "two", "other")
        self.assertIn("<th>one</th><th>two <strong>best</strong></th><th>other</th>", page)
        self.assertEqual(page.count("</svg>two <strong>best</strong>"), page.count("</svg>two "))
        self.assertNotIn("<strong>", self.report("one"))

    def report(self, *runs):
        subprocess.run([TOOLS / "report", *runs, "-o", "page.html", "--samples", "0"], check=True)
        return pathlib.Path("page.html").read_text(encoding="utf-8")

    def test_file_and_page_show_the_same(self):
        """One renderer: entries, notes and numbers of lines, dots and bars."""
        page = self.report("one", "two")
        for what, title in (("loss", "Loss"), ("perplexity", "Perplexity"), ("lr", "Learning rate"), ("phases", "Time of a step")):
            drawing = self.plot(what, "one", "two")
            figure = re.search(r"<h3>%s <small>.*?</figure>" % title, page, re.S).group(0)
            listed = [re.sub(r"<.*?>", "", item) for item in re.findall(r"</svg>(.*?)</li>", figure)]
            self.assertEqual([re.sub("^two best", "two (best)", item).strip() for item in listed], drawing.words("entry"))
            for kind, count in (("line ", len(drawing.lines)), ("dot", len([dot for dot in drawing.dots if "dot" in dot[0]])),
                                ("best", len([dot for dot in drawing.dots if "best" in dot[0]]))):
                self.assertEqual(figure.count('class="' + kind), count, (what, kind))
            self.assertEqual(len(drawing.words("note")), 1 if '<p class="note">' in figure else 0)

    def test_files_stand_alone_on_white(self):
        text = self.command("loss", "one", to="out.svg").decode("utf-8")
        drawing = Drawing(text)
        self.assertNotIn("var(", drawing.style)
        ground = drawing.root.find("{*}rect")
        self.assertEqual((ground.get("width"), ground.get("height"), ground.get("fill")), ("100%", "100%", "#ffffff"))
        self.assertNotRegex(text.replace("http://www.w3.org/2000/svg", "", 1), r"https?:|href|url\(|@import|prefers-color-scheme")
        # each class that is used has a rule: nothing is drawn in a reader's default black
        for kind, _ in drawing.lines:
            self.assertIn("." + kind.split()[-1], drawing.style)

    def test_names_from_anywhere_are_text(self):
        name = make_run("a <b> & 'c' \u4e2d\u6587" + " and a name that is longer than any picture is wide" * 3)
        for what in ("loss", "phases"):
            drawing = self.plot(what, name)
            self.assertTrue(any(text.startswith("a <b> & 'c' \u4e2d\u6587") for text in drawing.words("entry", "row")))
            for kind, text, box in drawing.texts:
                self.assertLessEqual(box[2], drawing.width, text)

    @unittest.skipUnless(shutil.which("rsvg-convert"), "no rsvg-convert; install librsvg2-bin")
    def test_png_and_pdf(self):
        drawing = self.plot("loss", "one")
        for options, width in (([], 1280), (["--width", "333"], 333)):
            png = self.command("loss", "one", *options, to="out.png")
            self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
            size = struct.unpack(">II", png[16:24])
            self.assertEqual(size[0], width)
            self.assertAlmostEqual(size[1], width * drawing.height / drawing.width, delta=1)
        self.assertEqual(self.command("phases", "one", "two", to="out.pdf")[:5], b"%PDF-")

    def test_scaling_report_does_without_a_converter(self):
        os.makedirs("bin", exist_ok=True)
        os.symlink(os.path.realpath(sys.executable), "bin/python3")
        done = subprocess.run([TOOLS / "scaling-report", "points", "-o", "without"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, universal_newlines=True, env=dict(os.environ, PATH=os.path.abspath("bin")))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("no rsvg-convert here; install librsvg2-bin"), 1, done.stderr)
        self.assertTrue(os.path.exists("without/weak-phases.svg"))
        self.assertFalse([name for name in os.listdir("without") if name.endswith(".png")])


if __name__ == "__main__":
    unittest.main()
