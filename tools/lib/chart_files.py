"""Writes pictures (charts.py) into files: SVG, and by librsvg's rsvg-convert PNG and PDF made from it."""

import os
import subprocess

import chart_svg
import tool
from tool import Mistake

KINDS = (".svg", ".png", ".pdf")
PNG_WIDTH = 1280  # pixels: twice the picture's own size, for dense screens and for print
MOST_WIDTH = 20000


def kind_of(path):
    """The end of the file's name; a Mistake if it is no kind of picture."""
    kind = os.path.splitext(path)[1].lower()
    if kind not in KINDS:
        raise Mistake(64, "cannot draw '%s': pictures are .svg, .png or .pdf; choose one of these" % path)
    return kind


def write(chart, path, width=PNG_WIDTH):
    """Writes the picture; the name's end says what. `width`: pixels of a PNG; its height follows."""
    kind = kind_of(path)
    if chart.empty():
        raise Mistake(65, "nothing to draw for '%s': no such numbers there" % chart.title)
    content = chart_svg.standalone(chart).encode("utf-8", "shown")
    if kind != ".svg":
        content = _converted(content, path, ["--format=" + kind[1:]] + (["--width=%d" % width] if kind == ".png" else []))
    tool.write_file(path, content)


def _converted(svg, path, options):
    try:
        done = subprocess.run(["rsvg-convert", "--keep-aspect-ratio"] + options, input=svg, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    except OSError:
        raise Mistake(69, "cannot draw '%s': no rsvg-convert here; install librsvg2-bin (Fedora: librsvg2-tools), or write .svg"
                      % path)
    if done.returncode != 0 or not done.stdout:
        raise Mistake(70, "rsvg-convert failed on '%s': %s" % (path, done.stderr.decode("utf-8", "replace").strip()))
    return done.stdout
