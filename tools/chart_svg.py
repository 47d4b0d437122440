"""Draws charts (charts.py) as inline SVG for HTML pages. Colours and fonts come from the page's style sheet (html_page.py),
so that a picture follows the reader's light or dark setting."""

import html
import math

import charts

WIDTH, HEIGHT = 380, 222  # about as wide as a phone: there the text keeps its size
RIGHT, TOP, BOTTOM = 12, 8, 36
LETTER = 7  # width of one at the axes, at most
COLOURS = 8
DASHES = ("", "6 3", "2 3", "8 3 2 3")

ROW, BAR = 40, 16  # of stacked bars


def escape(text):
    return html.escape(str(text), quote=True)


def _scale(low, high, log, start, end):
    """A function from values to places."""
    if log:
        low, high = math.log(low), math.log(high)
    factor = (end - start) / (high - low)
    return lambda value: start + factor * ((math.log(value) if log else value) - low)


def _spoken(chart, *more):
    """What the picture shows, for those who cannot see it."""
    return escape(", ".join(text for text in (chart.title, chart.unit) + more if text))


def _path(points):
    return " ".join("%.1f,%.1f" % point for point in points)


def lines_svg(chart):
    x_range, y_range = chart.x_range(), chart.y_range()
    x_ticks, y_ticks = chart.ticks()
    left = 12 + LETTER * max(3, max(len(label) for _, label in y_ticks))
    x_of = _scale(*x_range, chart.x_log, left, WIDTH - RIGHT)
    y_of = _scale(*y_range, chart.y_log, HEIGHT - BOTTOM, TOP)
    names = [entry.name for entry in chart.entries()]
    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="%s" data-x="%d %r %r" data-y="%d %r %r" data-box="%d %d %d %d">'
           % (WIDTH, HEIGHT, _spoken(chart, "against " + chart.x), chart.x_log, *x_range,
              chart.y_log, *y_range, left, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM)]
    for value, label in y_ticks:
        out.append('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>'
                   % (left, WIDTH - RIGHT, y_of(value), y_of(value)))
        out.append('<text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>'
                   % (left - 7, y_of(value) + 4, escape(label)))
    out.append('<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>'
               % (left, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM))
    for value, label in x_ticks:
        if not left - 1 <= x_of(value) <= WIDTH - RIGHT + 1:
            continue
        out.append('<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>'
                   % (x_of(value), x_of(value), HEIGHT - BOTTOM, HEIGHT - BOTTOM + 4))
        out.append('<text class="tick" text-anchor="%s" x="%.1f" y="%d">%s</text>'
                   % ("end" if x_of(value) > WIDTH - RIGHT - 8 else "middle", min(x_of(value), WIDTH - 2),
                      HEIGHT - BOTTOM + 17, escape(label)))
    out.append('<text class="name" text-anchor="end" x="%d" y="%d">%s</text>'
               % (WIDTH - RIGHT, HEIGHT - 4, escape(chart.x)))
    for line in sorted(chart.lines, key=lambda line: line.style != charts.THIN):
        places = [(x_of(x), y_of(y)) for x, y in line.points]
        out.append('<polyline class="line %s s%d" data-entry="%d"%s points="%s"/>'
                   % (line.style, line.group % COLOURS, names.index(line.name),
                      ' stroke-dasharray="%s"' % DASHES[line.dash] if line.dash else "", _path(places)))
        if line.style == charts.DOTTED or len(places) == 1:
            out += ['<circle class="dot s%d" cx="%.1f" cy="%.1f" r="2.6"/>' % (line.group % COLOURS, *place)
                    for place in places]
    out.append('<line class="guide" y1="%d" y2="%d"/>' % (TOP, HEIGHT - BOTTOM))
    return "\n".join(out + ["</svg>"])


def bars_svg(bars):
    """Lying bars: a row's name and its total above each."""
    height = ROW * len(bars.rows) + 6
    x_of = _scale(0, bars.longest(), False, 0, WIDTH)
    out = ['<svg viewBox="0 0 %d %d" role="img" aria-label="%s">' % (WIDTH, height,
                                                                  _spoken(bars))]
    for place, (name, values) in enumerate(bars.rows):
        top = ROW * place
        total = sum(max(0.0, values.get(part, 0.0)) for part, _ in bars.parts)
        out.append('<text class="row" x="0" y="%d">%s</text>' % (top + 14, escape(name)))
        out.append('<text class="tick" text-anchor="end" x="%d" y="%d">%.3g</text>' % (WIDTH, top + 14, total))
        start = 0.0
        for number, (part, part_name) in enumerate(bars.parts):
            value = max(0.0, values.get(part, 0.0))
            if value > 0:
                out.append('<rect class="bar s%d" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s: %.3g, %.0f %%</title>'
                           '</rect>' % (number % COLOURS, x_of(start), top + 20, x_of(value), BAR, escape(part_name), value,
                                        100 * value / total))
            start += value
    return "\n".join(out + ["</svg>"])


def _line_swatch(line):
    return ('<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><polyline class="line %s s%d"%s points="1,5 21,5"/>'
            '%s</svg>' % (line.style, line.group % COLOURS,
                          ' stroke-dasharray="%s"' % DASHES[line.dash] if line.dash else "",
                          '<circle class="dot s%d" cx="11" cy="5" r="2.6"/>' % (line.group % COLOURS)
                          if line.style == charts.DOTTED else ""))


def figure(chart):
    """The picture with its heading, legend and note, or nothing if there is nothing to draw."""
    if chart.empty():
        return ""
    if isinstance(chart, charts.Bars):
        legend = ['<li><svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><rect class="bar s%d" x="5" y="0" width="11" '
                  'height="10"/></svg>%s</li>' % (number % COLOURS, escape(name))
                  for number, (_, name) in enumerate(chart.parts)]
        picture = bars_svg(chart)
    else:
        legend = ['<li>%s%s <b class="value"></b></li>' % (_line_swatch(line), escape(line.name))
                  for line in chart.entries()]
        picture = lines_svg(chart)
    return ('<figure>\n<figcaption><h3>%s <small>%s</small></h3><output></output></figcaption>\n%s\n<ul class="legend">%s</ul>\n'
            '%s</figure>' % (escape(chart.title), escape(chart.unit), picture, "".join(legend),
                             '<p class="note">%s</p>\n' % escape(chart.note) if chart.note else ""))
