"""Draws pictures (charts.py) as SVG, where chart_layout.py says: figures of HTML pages, which follow the reader's light
or dark setting, and files that stand alone, on a white ground of their own, with title, legend and notes in them."""

import html
import re

import chart_layout as layout
import charts
import tool

WIDTH, HEIGHT = 380, 222  # of a figure: about as wide as a phone; there the text keeps its size
FILE_WIDTH, FILE_HEIGHT, MARGIN = 640, 330, 16  # of a file: all of it, the part with axes, around all
DASHES = ("", "6 3", "2 3", "8 3 2 3")

LIGHT = {"page": "#f6f5f1", "card": "#fffefb", "text": "#21201c", "soft": "#6d6a62", "line": "#e3e0d8", "strong": "#b9b5aa",
         "c0": "#2166ac", "c1": "#d1600a", "c2": "#1b8a5a", "c3": "#b3409a", "c4": "#b8860b", "c5": "#2aa1c0", "c6": "#8a5a3c",
         "c7": "#737373"}
DARK = {"page": "#171716", "card": "#1f1f1d", "text": "#e9e7e0", "soft": "#a19d92", "line": "#34332f", "strong": "#5d5b54",
        "c0": "#6cacf0", "c1": "#f29a4e", "c2": "#4cc38f", "c3": "#e085cd", "c4": "#e3be55", "c5": "#66d0ea", "c6": "#cf9f7f",
        "c7": "#a8a8a8"}
FONTS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

# Colours by name, as in LIGHT and DARK: pages define them as variables of CSS, files stand alone and hold values.
STYLE = """
.chart text { fill: var(--soft); font-size: %dpx; font-variant-numeric: tabular-nums; }
.chart text.row, .chart text.entry { fill: var(--text); font-size: %dpx; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .axis { stroke: var(--strong); stroke-width: 1; }
.chart .line { fill: none; stroke: var(--soft); stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.chart .line.thin { stroke-width: 1.2; opacity: 0.55; }
.chart .line.dotted { stroke-width: 1.6; }
.chart .dot { fill: var(--soft); }
.chart .best { fill: var(--card); stroke: var(--soft); stroke-width: 2; }
.chart .bar { stroke: var(--card); stroke-width: 1; }
""" % (layout.SMALL, layout.PLAIN) + "".join(
    ".chart .line.s%d, .chart .best.s%d { stroke: var(--c%d); } .chart .dot.s%d, .chart .bar.s%d { fill: var(--c%d); }\n"
    % ((number,) * 6) for number in range(charts.COLOURS))
FILE_STYLE = """
.chart text { font-family: %s; }
.chart text.title { fill: var(--text); font-size: %dpx; font-weight: bold; }
""" % (FONTS, layout.LARGE)


def variables(colours):
    return " ".join("--%s: %s;" % colour for colour in colours.items())


def _with_values(style, colours):
    return re.sub(r"var\(--(\w+)\)", lambda name: colours[name.group(1)], style)


def escape(text):
    return html.escape(tool.printable(str(text)), quote=True)


def _colour(group):
    """The class that colours what belongs to a group; None: to no one."""
    return " s%d" % (group % charts.COLOURS) if group is not None else ""


def _dot(kind, group, x, y):
    return '<circle class="%s%s" cx="%.1f" cy="%.1f" r="%s"/>' % (kind, _colour(group), x, y, "4.2" if kind == "best" else "2.6")


def _polyline(style, group, dash, places, more=""):
    return '<polyline class="line %s%s"%s%s points="%s"/>' % (
        style, _colour(group), more, ' stroke-dasharray="%s"' % DASHES[dash] if dash else "",
        " ".join("%.1f,%.1f" % place for place in places))


def _text(kind, x, y, text, anchor="start"):
    return '<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>' % (kind, anchor, x, y, escape(text))


# --- the picture itself ---

def _axes(chart, plan):
    out = []
    for place, label in plan.y_marks:
        out.append('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>' % (plan.left, plan.right, place, place))
        out.append(_text("tick", plan.left - 7, place + 4, label, "end"))
    out.append('<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>' % (plan.left, plan.right, plan.bottom, plan.bottom))
    for place, label, anchor in plan.x_marks:
        out.append('<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>' % (place, place, plan.bottom, plan.bottom + 4))
        if label:
            out.append(_text("tick", min(place, plan.width - 2), plan.bottom + 17, label, anchor))
    out.append(_text("name", plan.right, plan.height - 4, chart.x, "end"))
    return out


def _lines(chart, plan):
    """Faint lines lie below the others, and the points of the best weights above all."""
    entries = [entry.text for entry in chart.entries()]
    out, best = _axes(chart, plan), []
    for line in sorted(chart.lines, key=lambda line: line.style != charts.THIN):
        places = [plan.point(point) for point in line.points]
        out.append(_polyline(line.style, line.group, line.dash, places, ' data-entry="%d"' % entries.index(line.name)))
        if line.style == charts.DOTTED or len(places) == 1:
            out += [_dot("dot", line.group, *place) for place in places]
        if line.best:
            best.append(_dot("best", line.group, *plan.point(line.best)))
    return out + best


def _bars(bars, plan):
    out = []
    for name, total, told, top, parts in plan.rows:
        out.append(_text("row", 0, top + 14, name))
        out.append(_text("tick", plan.width, top + 14, told, "end"))
        for number, value, x, width in parts:
            out.append('<rect class="bar%s" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s: %.3g, %.0f %%</title></rect>'
                       % (_colour(number), x, top + 20, width, layout.BAR, escape(bars.parts[number][1]), value,
                          100 * value / total))
    return out


def _swatch(entry):
    """A sample of what an entry of the legend stands for, 22 wide and 10 high."""
    if entry.style == charts.BAR:
        return '<rect class="bar%s" x="5" y="0" width="11" height="10"/>' % _colour(entry.group)
    if entry.style == charts.BEST:
        return _dot("best", entry.group, 11, 5)
    return _polyline(entry.style, entry.group, entry.dash, [(1, 5), (21, 5)]) + (
        _dot("dot", entry.group, 11, 5) if entry.style == charts.DOTTED else "")


def _spoken(chart):
    """What the picture shows, for those who cannot see it."""
    against = [] if isinstance(chart, charts.Bars) else ["against " + chart.x]
    return escape(", ".join(text for text in [chart.title, chart.unit] + against if text))


def _plan(chart, width, height):
    return layout.BarsPlan(chart, width) if isinstance(chart, charts.Bars) else layout.LinesPlan(chart, width, height)


def _picture(chart, plan):
    return (_bars if isinstance(chart, charts.Bars) else _lines)(chart, plan)


# --- a figure of a page ---

def figure(chart):
    """The picture with its heading, legend and note, or nothing if there is nothing to draw. What the page's script
    reads values off by stands in attributes."""
    if chart.empty():
        return ""
    plan = _plan(chart, WIDTH, HEIGHT)
    content, told, value = _picture(chart, plan), "", ""
    if isinstance(plan, layout.LinesPlan):
        told = ' data-x="%d %r %r" data-y="%d %r %r" data-box="%d %d %d %d"' % (
            plan.x.log, plan.x.low, plan.x.high, plan.y.log, plan.y.low, plan.y.high, plan.left, plan.right, plan.top,
            plan.bottom)
        content.append('<line class="guide" y1="%d" y2="%d"/>' % (plan.top, plan.bottom))
        value = ' <b class="value"></b>'
    legend = "".join('<ul class="legend%s">%s</ul>\n' % (kind, "".join(_item(entry, more) for entry in entries))
                     for kind, entries, more in (("", chart.entries(), value), (" keys", chart.keys, "")) if entries)
    return ('<figure>\n<figcaption><h3>%s <small>%s</small></h3><output></output></figcaption>\n'
            '<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s"%s>\n%s\n</svg>\n%s%s</figure>'
            % (escape(chart.title), escape(chart.unit), plan.width, plan.height, _spoken(chart), told, "\n".join(content), legend,
               '<p class="note">%s</p>\n' % escape(chart.note) if chart.note else ""))


def _item(entry, more):
    return '<li><svg class="chart swatch" viewBox="0 0 22 10" aria-hidden="true">%s</svg>%s%s%s</li>' % (
        _swatch(entry), escape(entry.text), ' <strong>%s</strong>' % escape(entry.praise) if entry.praise else "", more)


# --- a file of its own ---

def standalone(chart):
    """The text of an SVG file: heading, picture, legend and note below each other."""
    inner = FILE_WIDTH - 2 * MARGIN
    plan = _plan(chart, inner, FILE_HEIGHT)
    out, y = [], MARGIN
    for kind, size, step, text in (("title", layout.LARGE, 21, chart.title), ("unit", layout.PLAIN, layout.NOTE_ROW, chart.unit)):
        for line in layout.wrapped(text, size * (layout.BOLD if kind == "title" else 1), inner) if text else []:
            y += step
            out.append(_text(kind, 0, y - MARGIN - 4, line))
    y += 8
    out.append('<g class="picture" transform="translate(0 %d)">\n%s\n</g>' % (y - MARGIN, "\n".join(_picture(chart, plan))))
    y += plan.height + 12
    for entries in filter(None, (chart.entries(), chart.keys)):
        rows = _legend_rows(entries, inner, y - MARGIN)
        out += [text for _, text in rows]
        y += layout.LEGEND_ROW * (rows[-1][0] + 1)
    for line in layout.wrapped(chart.note, layout.SMALL, inner) if chart.note else []:
        y += layout.NOTE_ROW
        out.append(_text("note", 0, y - MARGIN, line))
    height = y + MARGIN
    style = _with_values(STYLE + FILE_STYLE, dict(LIGHT, card="#ffffff"))
    return ('<?xml version="1.0" encoding="utf-8"?>\n<svg class="chart" xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'viewBox="0 0 %d %d" role="img">\n<title>%s</title>\n<style>%s</style>\n'
            '<rect width="100%%" height="100%%" fill="#ffffff"/>\n<g transform="translate(%d %d)">\n%s\n</g>\n</svg>\n'
            % (FILE_WIDTH, height, FILE_WIDTH, height, _spoken(chart), style, MARGIN, MARGIN, "\n".join(out)))


def _legend_rows(entries, width, top):
    """[(row, an entry of the legend drawn there)]."""
    texts = [entry.text + (" (%s)" % entry.praise if entry.praise else "") for entry in entries]
    longest = width - layout.SWATCH
    texts = [layout.wrapped(text, layout.PLAIN, longest) for text in texts]
    places = layout.flow([layout.SWATCH + max(layout.text_width(line, layout.PLAIN) for line in lines) for lines in texts], width)
    drawn, extra, last = [], 0, 0
    for entry, lines, (row, x) in zip(entries, texts, places):
        last = row + extra
        y = top + layout.LEGEND_ROW * last
        drawn.append((last, '<g transform="translate(%.1f %.1f)">%s</g>' % (x, y + 3, _swatch(entry))))
        for number, line in enumerate(lines):
            drawn.append((last + number, _text("entry", x + layout.SWATCH, y + 12 + layout.LEGEND_ROW * number, line)))
        extra += len(lines) - 1
    return drawn
