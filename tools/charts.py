"""Pictures as data: lines over axes and stacked bars, and those of training runs. chart_svg.py draws them into HTML pages,
chart_gnuplot.py into SVG and PNG files."""

import math
import os

import run_files

THIN, PLAIN, DOTTED = "thin", "plain", "dotted"  # how a line is drawn: faint, firm, or firm with a dot at each point
DASHES = 4
MOST_POINTS = 300  # of a line; more than a picture can show


class Line:
    """Lines of one `group` share a colour, lines of one name an entry of the legend. `dash`: 0 is a firm line, and up to
    DASHES - 1 are patterns."""

    def __init__(self, name, points, group, style=PLAIN, dash=0):
        self.name, self.points, self.group, self.style, self.dash = name, points, group, style, dash % DASHES


class Chart:
    """Lines over two axes. `zero`: the vertical axis starts there. `x_ticks`: the only places marked on the horizontal one.
    `key`: the corner where gnuplot puts the legend."""

    def __init__(self, title, unit, x, lines, note="", x_log=False, y_log=False, zero=False, x_ticks=None,
                 key="top right"):
        self.title, self.unit, self.x, self.note = title, unit, x, note
        self.lines = [line for line in lines if line.points]
        self.x_log, self.y_log, self.zero, self.x_ticks, self.key = x_log, y_log, zero, x_ticks, key
        if x_log:
            self._keep(lambda x, y: x > 0)
        if y_log:
            self._keep(lambda x, y: y > 0)

    def _keep(self, wanted):
        for line in self.lines:
            line.points = [point for point in line.points if wanted(*point)]
        self.lines = [line for line in self.lines if line.points]

    def empty(self):
        return not self.lines

    def names(self):
        return {line.name for line in self.lines}

    def entries(self):
        """The legend: for each name the line that shows it best."""
        best = {}
        for line in self.lines:
            if line.name not in best or best[line.name].style == THIN:
                best[line.name] = line
        return list(best.values())

    def x_range(self):
        values = [x for line in self.lines for x, _ in line.points] + list(self.x_ticks or [])
        return spread(min(values), max(values), self.x_log, 0.05 if self.x_ticks else 0)

    def y_range(self):
        values = [y for line in self.lines for _, y in line.points]
        low, high = min(values), max(values)
        if self.zero:
            return 0.0, (high * 1.06 if high > 0 else 1.0)
        return spread(low, high, self.y_log, 0.04)

    def ticks(self):
        """Those of both axes: [(value, label)]."""
        x = ([(value, label_of(value)) for value in self.x_ticks] if self.x_ticks
             else ticks(*self.x_range(), self.x_log))
        return x, ticks(*self.y_range(), self.y_log)


class Bars:
    """Stacked bars side by side: `rows` are [(name, {part: value})], `parts` [(part, name)] in the order of stacking."""

    def __init__(self, title, unit, parts, rows, note=""):
        self.title, self.unit, self.note = title, unit, note
        self.rows = [(name, values) for name, values in rows if any(values.get(part, 0) > 0 for part, _ in parts)]
        self.parts = [(part, name) for part, name in parts if any(row.get(part, 0) > 0 for _, row in self.rows)]

    def empty(self):
        return not self.rows

    def names(self):
        return {name for name, _ in self.rows}

    def longest(self):
        return max(sum(max(0.0, row.get(part, 0.0)) for part, _ in self.parts) for _, row in self.rows)


# --- axes ---

def spread(low, high, log, margin):
    """A range with a margin on both sides, never empty."""
    if log:
        a, b = math.log(low), math.log(high)
        if b - a < 1e-9:
            a, b = a - 0.3, b + 0.3
        return math.exp(a - margin * (b - a)), math.exp(b + margin * (b - a))
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        room = 0.1 * abs(high) or 1.0
        return low - room, high + room
    return low - margin * (high - low), high + margin * (high - low)


def ticks(low, high, log=False, most=6):
    if log and high / low > 4:
        return log_ticks(low, high, most)
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    values = [0.0 if k == 0 else k * step for k in range(first, int(math.floor(high / step + 1e-9)) + 1)]
    return [(value, label_of(value, step)) for value in values]


def log_ticks(low, high, most):
    a, b = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if b - a >= 3:
        stride = -(-(b - a + 1) // most)
        exponents = [e for e in range(a, b + 1) if (e - b) % stride == 0]
        return [(10.0 ** e, label_of(10.0 ** e)) for e in exponents]
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0 ** e for e in range(a - 1, b + 1) for factor in factors]
        values = [value for value in values if low <= value <= high]
        if len(values) <= most:
            break
    return [(value, label_of(value)) for value in values]


SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ZERO}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}"
                            "\N{SUPERSCRIPT THREE}\N{SUPERSCRIPT FOUR}\N{SUPERSCRIPT FIVE}\N{SUPERSCRIPT SIX}"
                            "\N{SUPERSCRIPT SEVEN}\N{SUPERSCRIPT EIGHT}\N{SUPERSCRIPT NINE}")
MINUS = "\N{MINUS SIGN}"


def label_of(value, step=None):
    """A number as it stands at an axis: 0.002, 15, 2.5k, 3M, 10 to the power of -7. `step` says how many digits tell
    neighbours apart."""
    size = abs(value)
    if size == 0:
        return "0"
    for limit, factor, unit in ((1e9, 1e-9, "G"), (1e6, 1e-6, "M"), (1e4, 1e-3, "k")):
        if size >= limit * (1 - 1e-9):
            return label_of(value * factor, step * factor if step else None) + unit
    if size < 1e-3:
        exponent = math.floor(math.log10(size) + 1e-9)
        factor = value / 10.0 ** exponent
        power = "10" + str(exponent).translate(SUPERSCRIPT)
        if abs(factor - 1) < 1e-6:
            return power
        digits = 0 if step is None else max(0, exponent - math.floor(math.log10(step) + 1e-9))
        return "%.*f\N{MIDDLE DOT}%s" % (digits if step else (0 if abs(factor - round(factor)) < 1e-6 else 1), factor,
                                        power)
    digits = 6 if step is None else max(0, -math.floor(math.log10(step) + 1e-9))
    if step is not None and abs(step * 10 ** digits - round(step * 10 ** digits)) > 1e-6:
        digits += 1
    text = "%.*f" % (digits, value)
    if step is None and "." in text:
        text = "%.4g" % value
    return text.replace("-", MINUS)


def thin(points, keep_spikes=False, most=MOST_POINTS):
    """At most about `most` points: means of neighbours, or the lowest and highest of each bunch where spikes matter."""
    if len(points) <= most:
        return points
    bunches = most // 2 if keep_spikes else most
    result = []
    for k in range(bunches):
        bunch = points[k * len(points) // bunches:(k + 1) * len(points) // bunches]
        if keep_spikes:
            ends = {bunch.index(min(bunch, key=lambda p: p[1])), bunch.index(max(bunch, key=lambda p: p[1]))}
            result += [bunch[i] for i in sorted(ends)]
        else:
            result.append((bunch[-1][0], sum(y for _, y in bunch) / len(bunch)))
    return result


# --- runs ---

def _over_runs(runs, lines_of_run):
    return [line for group, run in enumerate(runs) for line in lines_of_run(group, run)]


def _exp(points):
    return [(x, math.exp(min(y, 700.0))) for x, y in points]


def _counted(runs, of_tokens, of_texts):
    """The unit of a picture of these runs: language models count tokens, classifiers texts."""
    kinds = {run.classifies() for run in runs}
    return of_tokens + ", of classifiers " + of_texts if len(kinds) > 1 else of_texts if True in kinds else of_tokens


def loss(runs):
    return Chart("Loss", _counted(runs, "nats per token", "nats per text"), "step", _over_runs(runs, lambda group, run: [
        Line(run.name, thin(run_files.points(run.train, "step", "loss")), group, THIN),
        Line(run.name, run_files.points(run.validated(), "step", "loss"), group, DOTTED)]),
        note="Faint: training, the mean since the line before. Dots: validation.")


def perplexity(runs):
    return Chart("Perplexity", "logarithmic", "step", _over_runs(runs, lambda group, run: [] if run.classifies() else [
        Line(run.name, _exp(thin(run_files.points(run.train, "step", "loss"))), group, THIN),
        Line(run.name, _exp(run_files.points(run.validated(), "step", "loss")), group, DOTTED)]), y_log=True,
        note="The exponential of the loss: as many equally likely tokens. Faint: training. Dots: validation.")


def accuracy(runs):
    """Of classifiers."""
    return Chart("Accuracy", "on validation texts", "step", _over_runs(runs, lambda group, run: [
        Line(run.name, run_files.points(run.validated(), "step", "accuracy"), group, DOTTED)]), key="bottom right")


def learning_rate(runs):
    return Chart("Learning rate", "", "step", _over_runs(runs, lambda group, run: [
        Line(run.name, thin(run_files.points(run.train, "step", "lr"), keep_spikes=True), group)]), zero=True)


def gradient_norm(runs):
    return Chart("Gradient norm", "before clipping, logarithmic", "step", _over_runs(runs, lambda group, run: [
        Line(run.name, thin(run_files.points(run.train, "step", "grad_norm"), keep_spikes=True), group)]), y_log=True,
        note=_skipped(runs))


def _skipped(runs):
    told = ["%s: %d step%s skipped" % (run.name, len(run.skips), "" if len(run.skips) == 1 else "s")
            for run in runs if run.skips]
    return "Not finite, nothing updated: " + "; ".join(told) + "." if told else ""


def speed(runs):
    return Chart("Speed", _counted(runs, "tokens per second", "texts per second"), "step", _over_runs(runs, lambda group, run: [
        Line(run.name, thin(run_files.points(run.timing, "step", "tokens_per_second")), group)]), zero=True,
        key="bottom right")


def against_time(runs):
    """Validation perplexity over time in steps, crashes and repeated steps included."""
    def points(run):
        timed = [(run.clock_at(step), value) for step, value in run_files.points(run.validated(), "step", "loss")]
        return [(clock, math.exp(min(value, 700.0))) for clock, value in timed if clock is not None]
    return Chart("Validation perplexity over time", "logarithmic", "seconds in training steps", _over_runs(
        runs, lambda group, run: [] if run.classifies() else [Line(run.name, points(run), group, DOTTED)]), y_log=True,
        note="Steps done again after a crash count twice; validation and checkpoints do not count.")


def phases(runs):
    """Where the time of a step goes. In run directories what the model's own phases leave is one part."""
    rows = [(run.name, {name: 1e3 * value for name, value in run.phase_seconds().items()}) for run in runs]
    parts = [part for part in run_files.PHASES if part[0] not in ("reduction", "optimizer", "other")]
    parts += [("rest", "reduction and optimizer"), ("other", "other")]
    return Bars("Time of a step", "milliseconds on rank 0", parts, rows)


def weights(name, states):
    """Root mean squares of a run's weight tensors over its checkpoints. The largest change first, eight at most."""
    tensors = sorted({tensor for state in states for tensor in state["rms"] if ".bias" not in tensor})
    curves = [(tensor, [(state["step"], state["rms"][tensor]) for state in states if tensor in state["rms"]])
              for tensor in tensors]
    return Chart("Weights of %s" % name if name else "Weights", "root mean square", "step of the checkpoint",
                 [Line(tensor, points, group, DOTTED) for group, (tensor, points) in enumerate(curves[:8])], zero=True,
                 key="bottom right")


def gradflow_of_run(run, name):
    """What `train --gradflow-every` logged of the hidden state of the last layer: a line for each of some steps."""
    states = [key for key in (run.gradflow[-1] if run.gradflow else {}) if key.startswith("h_l")]
    if not states:
        return Chart("", "", "", [])
    state = max(states, key=lambda key: (len(key), key))
    shown = evenly(run.gradflow, 6)
    lines = [Line("step %s" % line.get("step"), [(lag, norm) for lag, norm in enumerate(line.get(state) or [])
                                                 if run_files.number(norm) is not None], group)
             for group, line in enumerate(shown)]
    return Chart("Gradient by time lag while it learns" + (", " + name if name else ""), "norm", "lag k in time steps", lines,
                 y_log=True, key="bottom left", note="Validation text, %s." % state)


def evenly(items, count):
    """`count` of the items, the first and the last among them."""
    if count <= 0:
        return []
    if len(items) <= count:
        return items
    if count == 1:
        return items[-1:]
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


def gradflow(paths):
    """A line for each cell, layer and quantity of the files: cells by colour, layers by dashes, the cell state c faint."""
    found = [(path, key, points) for path in paths for key, points in sorted(run_files.read_gradflow(path).items())]
    keys = [key for _, key, _ in found]
    colours, lines = {}, []
    for path, (cell, layer, quantity), points in found:
        twice = keys.count((cell, layer, quantity)) > 1
        colour = colours.setdefault((cell, path if twice else None), len(colours))
        several = len({key[1] for key in keys if key[0] == cell}) > 1
        states = len({key[2] for key in keys if key[0] == cell}) > 1
        name = cell + (" %s" % quantity if states else "") + (", layer %d" % layer if several else "")
        lines.append(Line(name + (" (%s)" % path if twice else ""), sorted(points), colour,
                          THIN if quantity == "c" else PLAIN, layer))
    faint = any(line.style == THIN for line in lines)
    return Chart("Gradient by time lag", "norm", "lag k in time steps", lines, y_log=True, key="bottom left",
                 note="How much the loss of a step says about the state k steps before."
                      + (" Faint: the cell state c." if faint else ""))


def prediction(paths):
    """Speed-up over one rank that plans predict: a line for each file, by the name of the file."""
    found = [(os.path.splitext(os.path.basename(path))[0], run_files.read_prediction(path)) for path in paths]
    lines = [Line(name, [(ranks, rate / points[0][1]) for ranks, rate in points], group, DOTTED)
             for group, (name, points) in enumerate(found)]
    ranks = sorted({ranks for _, points in found for ranks, _ in points})
    lines.append(Line("perfect", [(n, n / ranks[0]) for n in ranks], len(lines), PLAIN, 2))
    return Chart("Predicted speed-up, strong scaling", "logarithmic", "ranks", lines, x_log=True, y_log=True,
                 x_ticks=ranks, key="top left")
