"""Draws charts (charts.py) with gnuplot into SVG and PNG files that stand alone: white ground, the pages' colours."""

import os
import re
import subprocess
import tempfile

import charts
from run_files import Mistake

COLOURS = ("#2166ac", "#d1600a", "#1b8a5a", "#b3409a", "#b8860b", "#2aa1c0", "#8a5a3c", "#737373")
DASHES = ("solid", "(9,5)", "(3,4)", "(12,4,3,4)")
TEXT, SOFT, GRID = "#21201c", "#6d6a62", "#e3e0d8"
FONT = "DejaVu Sans"  # measured with this one; the files name others, too
WEB_FONTS = "system-ui, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
WIDTH, HEIGHT = 640, 380
MOST_INSIDE = 4  # entries of a legend inside the picture; more stand below it


def quoted(text):
    """A string of gnuplot's: nothing in it is special."""
    return "'%s'" % str(text).replace("'", "''").replace("\n", " ")


def _colour(group):
    return COLOURS[group % len(COLOURS)]


def _data(number, rows):
    lines = [" ".join("%.9g" % value for value in row) for row in rows]
    return ["$data%d << END" % number] + lines + ["END"]


def _frame(chart, height):
    title = chart.title + (", " + chart.unit if chart.unit else "")
    return ["set encoding utf8", "set border 1 linecolor '%s' linewidth 1" % SOFT, "set tics nomirror scale 0.5",
            "set tics textcolor '%s'" % SOFT, "set tmargin 3.2", "set rmargin 3",
            "set label 1 %s at screen 0.018, screen %.3f left font '%s,16' textcolor '%s' noenhanced" % (
                quoted(title), 1 - 18 / height, FONT, TEXT)]


def _axis(name, axis_range, axis_ticks, log):
    marks = ", ".join("%s %.12g" % (quoted(label), value) for value, label in axis_ticks)
    return ["set %srange [%.12g:%.12g]" % ((name,) + axis_range), "set %stics (%s)" % (name, marks)] \
        + (["set logscale %s" % name] if log else [])


def _lines_script(chart, height):
    """Faint lines lie below the others; the legend keeps the chart's order."""
    x_ticks, y_ticks = chart.ticks()
    script, plots, entries = [], [], chart.entries()
    for number, line in enumerate(sorted(chart.lines, key=lambda line: line.style != charts.THIN)):
        script += _data(number, line.points)
        plots.append("$data%d using 1:2 with %s notitle" % (number, _style(line)))
    plots += ["keyentry with %s title %s" % (_style(line), quoted(line.name)) for line in entries]
    key = chart.key + " opaque" if len(entries) <= MOST_INSIDE else "below left width 1 maxcols 2"
    return script + _frame(chart, height) + [
        "set grid ytics linecolor '%s' linetype 1 linewidth 1" % GRID, "set border 1", "set ytics scale 0",
        "set key %s noenhanced reverse Left samplen 2 spacing 1.15 textcolor '%s'" % (key, TEXT),
        "set xlabel %s offset 0,0.3 textcolor '%s' noenhanced" % (quoted(chart.x), SOFT)] \
        + _axis("x", chart.x_range(), x_ticks, chart.x_log) + _axis("y", chart.y_range(), y_ticks, chart.y_log) \
        + ["plot " + ", \\\n     ".join(plots)]


def _style(line):
    colour = ("#90" if line.style == charts.THIN else "#") + _colour(line.group)[1:]
    dots = line.style == charts.DOTTED or len(line.points) == 1
    return "%s linewidth %s linecolor rgb '%s' dashtype %s" % (
        "linespoints pointtype 7 pointsize 0.45" if dots else "lines", "1.3" if line.style == charts.THIN else "2", colour,
        DASHES[line.dash])


def _bars_script(bars, height):
    """Lying bars, the first row on top."""
    script, plots = [], []
    count = len(bars.rows)
    starts = [0.0] * count
    for number, (part, name) in enumerate(bars.parts):
        boxes = []
        for row, (_, values) in enumerate(bars.rows):
            value = max(0.0, values.get(part, 0.0))
            middle = count - row
            boxes.append((starts[row], middle, starts[row], starts[row] + value, middle - 0.33, middle + 0.33))
            starts[row] += value
        script += _data(number, boxes)
        plots.append("$data%d using 1:2:3:4:5:6 with boxxyerror fillstyle solid 1 border linecolor rgb '#ffffff' "
                     "fillcolor rgb '%s' title %s noenhanced" % (number, _colour(number), quoted(name)))
    rows = [(count - row, name) for row, (name, _) in enumerate(bars.rows)]
    return script + _frame(bars, height) + [
        "set grid xtics linecolor '%s' linetype 1 linewidth 1" % GRID, "set border 0", "set ytics scale 0",
        "set ytics noenhanced textcolor '%s'" % TEXT,
        "set key below center horizontal reverse Left samplen 0.8 spacing 1.2 textcolor '%s'" % TEXT] \
        + _axis("x", (0.0, bars.longest() * 1.02), charts.ticks(0.0, bars.longest() * 1.02), False) \
        + _axis("y", (0.4, count + 0.6), rows, False) + ["plot " + ", \\\n     ".join(plots)]


def draw(chart, path):
    """Writes the picture: .svg or .png, by the name's end."""
    kind = os.path.splitext(path)[1].lower()
    if kind not in (".svg", ".png"):
        raise Mistake(64, "cannot draw '%s': pictures are .svg or .png; choose one of these" % path)
    if chart.empty():
        raise Mistake(65, "nothing to draw for '%s': no such numbers there" % chart.title)
    bars = isinstance(chart, charts.Bars)
    entries = 0 if bars else len(chart.entries())
    height = 130 + 36 * len(chart.rows) if bars else HEIGHT + (12 * entries if entries > MOST_INSIDE else 0)
    scale = 2 if kind == ".png" else 1
    size = "size %d,%d" % (scale * WIDTH, scale * height)
    if kind == ".svg":
        terminal = "set terminal svg %s dynamic font '%s,13' background '#ffffff'" % (size, FONT)
    else:
        terminal = "set terminal pngcairo %s font '%s,12' fontscale 1.85 linewidth %d pointscale %d background '#ffffff'" % (
            size, FONT, scale, scale)
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "picture" + kind)
        script = [terminal, "set output %s" % quoted(target)] + (_bars_script if bars else _lines_script)(chart, height)
        try:
            done = subprocess.run(["gnuplot", "-"], input="\n".join(script + ["unset output", ""]).encode(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError:
            raise Mistake(69, "cannot draw '%s': no gnuplot here; install gnuplot-nox" % path)
        if done.returncode != 0 or not os.path.exists(target):
            raise Mistake(70, "gnuplot failed on '%s': %s" % (path, done.stderr.decode("utf-8", "replace").strip()))
        with open(target, "rb") as file:
            content = file.read()
    _put(path, _for_the_web(content.decode("utf-8"), chart).encode("utf-8") if kind == ".svg" else content)


def _for_the_web(svg, chart):
    """Fonts that any reader has, the picture's name, and no trailing spaces."""
    svg = re.sub(r'font-family="[^"]*"', 'font-family="%s"' % WEB_FONTS, svg)
    svg = re.sub(r"<title>Gnuplot</title>", "<title>%s</title>" % chart.title.replace("&", "&amp;").replace("<", "&lt;"),
                 svg, count=1)
    svg = re.sub(r"<desc>Produced by[^<]*</desc>\n?", "", svg)
    return "\n".join(line.rstrip() for line in svg.split("\n"))


def _put(path, content):
    try:
        with open(path + ".tmp", "wb") as file:
            file.write(content)
        os.replace(path + ".tmp", path)
    except OSError as error:
        raise Mistake(73, "cannot write '%s': %s; name another file with -o" % (path, error.strerror))
