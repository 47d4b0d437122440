"""Where things stand in a picture (charts.py): ranges and marks of axes, places of points and bars, room for texts.
chart_svg.py draws what is placed here. Lengths are units of the picture, pixels where it is shown at its own size."""

import math

SMALL, PLAIN, LARGE = 12, 13, 17  # sizes of letters: at axes and in notes; in legends; of titles
RIGHT, TOP, BOTTOM = 12, 8, 36  # around the box of a picture with axes
ROW, BAR = 40, 16  # of stacked bars
SWATCH, GAP, LEGEND_ROW, NOTE_ROW = 28, 16, 20, 17
MOST_MARKS = 6

# --- texts ---

# Widths of ASCII from the space on in hundredths of the size, those of the widest font that a reader is likely to have
# (DejaVu Sans), and of other letters.
WIDTHS = (32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34,
          34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63,
          61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28,
          97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84)
OF_LETTERS, OF_IDEOGRAPHS, OF_SUPERSCRIPTS, BOLD = 90, 105, 53, 1.12


def text_width(text, size):
    """An upper bound of the width of a text in any usual font."""
    def width(letter):
        place = ord(letter) - 32
        return WIDTHS[place] if 0 <= place < len(WIDTHS) else OF_SUPERSCRIPTS if 0x2070 <= ord(letter) < 0x2080 \
            else OF_LETTERS if ord(letter) < 0x1100 or letter == MINUS else OF_IDEOGRAPHS
    return size * sum(map(width, text)) / 100


def wrapped(text, size, width):
    """The lines of a text; a word that is longer than a line is cut."""
    lines = [""]
    for word in text.split():
        joined = (lines[-1] + " " + word).strip()
        if text_width(joined, size) <= width:
            lines[-1] = joined
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = lines[-1] or word
        while text_width(lines[-1], size) > width and len(lines[-1]) > 1:
            fits = next(n for n in range(len(lines[-1]) - 1, 0, -1) if n == 1 or text_width(lines[-1][:n], size) <= width)
            lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
    return lines


def shortened(text, size, width):
    """The text, or as much of it as fits."""
    return text if text_width(text, size) <= width else wrapped(text, size, width - size)[0] + "\N{HORIZONTAL ELLIPSIS}"


def flow(widths, width, gap=GAP):
    """[(row, x)] of things side by side: in one row if they fit, else in columns."""
    columns = int((width + gap) // (max(widths) + gap))
    if sum(widths) + gap * (len(widths) - 1) > width and columns > 1:
        return [(number // columns, number % columns * (width + gap) / columns) for number in range(len(widths))]
    places, row, x = [], 0, 0.0
    for wanted in widths:
        if x > 0 and x + wanted > width:
            row, x = row + 1, 0.0
        places.append((row, x))
        x += wanted + gap
    return places


# --- numbers at an axis ---

SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ZERO}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}"
                            "\N{SUPERSCRIPT THREE}\N{SUPERSCRIPT FOUR}\N{SUPERSCRIPT FIVE}\N{SUPERSCRIPT SIX}"
                            "\N{SUPERSCRIPT SEVEN}\N{SUPERSCRIPT EIGHT}\N{SUPERSCRIPT NINE}")
MINUS = "\N{MINUS SIGN}"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
NEAR = 1e-9
MOST_EXPONENT = 708.0  # of e: beyond it, and below its negative, a double ends


def _exponent(value):
    return math.floor(math.log10(value) + NEAR)


def _power(exponent):
    return "10" + str(exponent).translate(SUPERSCRIPT)


def _digits(step):
    """Digits behind the point that neighbours need to differ."""
    digits = max(0, -_exponent(step))
    return digits + (1 if abs(step * 10 ** digits - round(step * 10 ** digits)) > 1e-6 else 0)


def labels(values, step=None):
    """Labels for the marks of an axis, all in one notation: 0.002, 15, 2.5k, 3M, 2 times 10 to the power of -7, or
    powers of ten. `step`: the distance between neighbours; None if distances differ."""
    sizes = [abs(value) for value in values if value]
    low, high = (min(sizes), max(sizes)) if sizes else (1.0, 1.0)
    plain = low >= (1e-4 if step is None else 0.0) * (1 - NEAR) and high >= 1e-3 * (1 - NEAR)
    if step is None and high >= 999 * low and not (low >= 1e-3 * (1 - NEAR) and high <= 1e4 * (1 + NEAR)) \
            and all(abs(size / 10.0 ** _exponent(size) - 1) < 1e-6 for size in sizes):
        texts = [_power(_exponent(abs(value))) if value else "0" for value in values]
    elif not plain:
        texts = [_scientific(value, high if step else abs(value), step) for value in values]
    else:
        factor, unit = next(((factor, unit) for factor, unit in UNITS
                             if high >= 1e4 * (1 - NEAR) and low >= factor * (1 - NEAR)), (1.0, ""))
        texts = [("%.6g" % (value / factor) if step is None else "%.*f" % (_digits(step / factor), value / factor)) + unit
                 if value else "0" for value in values]
    return [text.replace("-", MINUS) for text in texts]


def _scientific(value, of, step):
    """With the power of ten of the value `of`."""
    if not value:
        return "0"
    exponent = _exponent(of)
    factor = value / 10.0 ** exponent
    digits = _digits(step / 10.0 ** exponent) if step else 0 if abs(factor - round(factor)) < 1e-6 else 1
    return "%.*f\N{MIDDLE DOT}%s" % (digits, factor, _power(exponent))


def label_of(value):
    """The label of a single number."""
    return labels([value])[0]


# --- axes ---

def spread(low, high, log, margin):
    """A range with a margin on both sides, never empty."""
    if log:
        a, b = math.log(low), math.log(high)
        if b - a < 1e-9:
            a, b = a - 0.3, b + 0.3
        room = margin * (b - a)
        return math.exp(max(a - room, -MOST_EXPONENT)), math.exp(min(b + room, MOST_EXPONENT))
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        room = 0.1 * abs(high) or 1.0
        return low - room, high + room
    return low - margin * (high - low), high + margin * (high - low)


def marks(low, high, log=False, most=MOST_MARKS):
    """[(value, label)] of round numbers within a range."""
    if log and high / low > 4:
        values = _log_marks(low, high, most)
        return list(zip(values, labels(values)))
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - NEAR)
    values = [0.0 if k == 0 else k * step for k in range(first, int(math.floor(high / step + NEAR)) + 1)]
    return list(zip(values, labels(values, step)))


def _log_marks(low, high, most):
    a, b = math.ceil(math.log10(low) - NEAR), math.floor(math.log10(high) + NEAR)
    if b - a >= 3:
        stride = -(-(b - a + 1) // most)
        return [10.0 ** e for e in range(a, b + 1) if (e - b) % stride == 0]
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0 ** e for e in range(a - 1, b + 1) for factor in factors]
        values = [value for value in values if low <= value <= high]
        if len(values) <= most:
            break
    return values


class Axis:
    """A range and its marks. place() is that of a value, between the places of the ends."""

    def __init__(self, low, high, log, values=None):
        self.low, self.high, self.log = low, high, log
        self.marks = [(value, "%.12g" % value) for value in values] if values else marks(low, high, log)
        self.start, self.end = 0.0, 1.0

    def place(self, value):
        bent = math.log if self.log else float
        return self.start + (self.end - self.start) * (bent(value) - bent(self.low)) / (bent(self.high) - bent(self.low))


def x_axis(chart):
    values = [x for line in chart.lines for x, _ in line.points] + list(chart.x_ticks or [])
    return Axis(*spread(min(values), max(values), chart.x_log, 0.05 if chart.x_ticks else 0), chart.x_log, chart.x_ticks)


def y_axis(chart):
    values = [y for line in chart.lines for _, y in line.points]
    low, high = min(values), max(values)
    ends = (0.0, high * 1.06 if high > 0 else 1.0) if chart.zero else spread(low, high, chart.y_log, 0.04)
    return Axis(*ends, chart.y_log)


class LinesPlan:
    """Lines over two axes. left, right, top, bottom: the box that holds them. x_marks: [(place, label, anchor)],
    without a label where it would run into the one before; y_marks: [(place, label)]."""

    def __init__(self, chart, width, height):
        self.width, self.height = width, height
        self.x, self.y = x_axis(chart), y_axis(chart)
        self.left = round(14 + max([3 * 0.66 * SMALL] + [text_width(label, SMALL) for _, label in self.y.marks]))
        self.right, self.top, self.bottom = width - RIGHT, TOP, height - BOTTOM
        self.x.start, self.x.end, self.y.start, self.y.end = self.left, self.right, self.bottom, self.top
        self.y_marks = [(self.y.place(value), label) for value, label in self.y.marks]
        self.x_marks, taken = [], -math.inf
        for value, label in self.x.marks:
            place, room = self.x.place(value), text_width(label, SMALL)
            if not self.left - 1 <= place <= self.right + 1:
                continue
            at_end = place + room / 2 > width
            start = place - room if at_end else place - room / 2
            self.x_marks.append((place, label if start > taken + 4 else "", "end" if at_end else "middle"))
            taken = start + room if start > taken + 4 else taken

    def point(self, point):
        return self.x.place(point[0]), self.y.place(point[1])


class BarsPlan:
    """Stacked bars that lie, each under its row's name and total. rows: [(name, total, its text, top,
    [(number of the part, value, x, width)])]."""

    def __init__(self, bars, width):
        self.width, self.height = width, ROW * len(bars.rows)
        self.rows = []
        for row, (name, values) in enumerate(bars.rows):
            parts, start = [], 0.0
            for number, (part, _) in enumerate(bars.parts):
                value = max(0.0, values.get(part, 0.0))
                if value > 0:
                    parts.append((number, value, start * width / bars.longest(), value * width / bars.longest()))
                start += value
            total = "%.3g" % start
            self.rows.append((shortened(name, PLAIN, width - GAP - text_width(total, SMALL)), start, total, ROW * row, parts))
