"""Pictures as data: lines over axes and stacked bars, and those of training runs. chart_layout.py places what is in
them, chart_svg.py draws it."""

import os

import result_files
import run_files
import tool

THIN, PLAIN, DOTTED = "thin", "plain", "dotted"  # how a line is drawn: faint, solid, or solid with a dot at each point
BAR, BEST = "bar", "best"  # other things that a legend explains: a part of bars, the point of the best weights
COLOURS, DASHES = 8, 4
GREY = 7  # the colour of what would be perfect
MOST_POINTS = 300  # of a line; more than a picture can show


class Line:
    """Lines of one `group` have the same colour; lines of one name have one entry in the legend. `dash`: 0 is a solid
    line, 1 to DASHES - 1 are patterns. `best`: the point of the best weights, which gets a ring, or None."""

    def __init__(self, name, points, group, style=PLAIN, dash=0, best=None):
        self.name, self.points, self.group, self.style, self.dash, self.best = name, points, group, style, dash % DASHES, best


class Entry:
    """An entry of a legend: a sample and its meaning. `group`: None if it belongs to no line. `praise`: "best" for the
    best of several runs, or nothing."""

    def __init__(self, text, style, group=None, dash=0, praise=""):
        self.text, self.style, self.group, self.dash, self.praise = text, style, group, dash, praise


class Chart:
    """Lines over two axes. `zero`: the vertical axis starts there. `x_ticks`: the only places marked on the horizontal
    one. `keys`: entries below the legend that tell how lines are drawn. `praised`: names of the lines to call the
    best."""

    def __init__(self, title, unit, x, lines, note="", x_log=False, y_log=False, zero=False, x_ticks=None, keys=(), praised=()):
        self.title, self.unit, self.x, self.note = title, unit, x, note
        self.lines = [line for line in lines if line.points]
        self.x_log, self.y_log, self.zero, self.x_ticks, self.praised = x_log, y_log, zero, x_ticks, praised
        if x_log:
            self._keep(lambda x, y: x > 0)
        if y_log:
            self._keep(lambda x, y: y > 0)
        drawn = {line.style for line in self.lines} | ({BEST} if any(line.best for line in self.lines) else set())
        self.keys = [key for key in keys if key.style in drawn]

    def _keep(self, wanted):
        for line in self.lines:
            line.points = [point for point in line.points if wanted(*point)]
            line.best = line.best if line.best and wanted(*line.best) else None
        self.lines = [line for line in self.lines if line.points]

    def empty(self):
        return not self.lines

    def names(self):
        return {line.name for line in self.lines}

    def entries(self):
        """The legend: for each name the line that shows it best."""
        shown = {}
        for line in self.lines:
            if line.name not in shown or shown[line.name].style == THIN:
                shown[line.name] = line
        return [Entry(line.name, line.style, line.group, line.dash, "best" if line.name in self.praised else "")
                for line in shown.values()]


class Bars:
    """Stacked bars side by side: `rows` are [(name, {part: value})], `parts` [(part, name)] in the order of
    stacking."""

    keys = ()

    def __init__(self, title, unit, parts, rows, note=""):
        self.title, self.unit, self.note = title, unit, note
        self.rows = [(name, values) for name, values in rows if any(values.get(part, 0) > 0 for part, _ in parts)]
        self.parts = [(part, name) for part, name in parts if any(row.get(part, 0) > 0 for _, row in self.rows)]

    def empty(self):
        return not self.rows

    def names(self):
        return {name for name, _ in self.rows}

    def entries(self):
        return [Entry(name, BAR, number) for number, (_, name) in enumerate(self.parts)]

    def longest(self):
        return max(sum(max(0.0, row.get(part, 0.0)) for part, _ in self.parts) for _, row in self.rows)


def thin(points, keep_spikes=False, most=MOST_POINTS):
    """At most about `most` points: means of neighbours, or (keep_spikes) the lowest and highest of each bunch."""
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

def _of_runs(title, unit, runs, x, lines_of_run, **how):
    """A picture with a colour for each run; from the ninth run on colours repeat, dashed. lines_of_run(run): [(points,
    style, best)]."""
    lines = [Line(run.name, points, group, style, group // COLOURS, best) for group, run in enumerate(runs)
             for points, style, best in lines_of_run(run)]
    return Chart(title, unit, x, lines, praised=[run.name for run in run_files.best_runs(runs)], **how)


def _keys(runs, training=True):
    """What the styles of lines over steps mean."""
    best = runs[0].best() if len(runs) == 1 else None
    lowest = "best weights: " + ("validation loss %.4g at step %s" % (best["loss"], run_files.grouped(best["step"])) if best
                                 else "lowest validation loss")
    return ([Entry("training, mean since the point before", THIN)] if training else []) + [
        Entry("validation", DOTTED), Entry(lowest, BEST)]


def _validated(run, value, x_of=lambda line: run_files.number(line.get("step"))):
    """(points, style, best) of the validations. value(line): a float or None."""
    points, best, chosen = [], None, run.best() or {}
    for line in run.validated():
        point = (x_of(line), value(line))
        if None not in point:
            points.append(point)
            best = point if line["step"] == chosen.get("step") else best
    return points, DOTTED, best


def _loss(line):
    return run_files.number(line.get("loss"))


def _perplexity(line):
    loss = _loss(line)
    return run_files.perplexity(loss) if loss is not None else None


def _unit(runs, of_tokens, of_texts):
    """The unit of a picture of these runs: language models count tokens, classifiers texts."""
    kinds = {run.classifies() for run in runs}
    return of_tokens + ", of classifiers " + of_texts if len(kinds) > 1 else of_texts if True in kinds else of_tokens


def loss(runs):
    return _of_runs("Loss", _unit(runs, "nats per token", "nats per text"), runs, "step", lambda run: [
        (thin(run_files.points(run.train, "step", "loss")), THIN, None), _validated(run, _loss)], keys=_keys(runs))


def perplexity(runs):
    return _of_runs("Perplexity", "logarithmic", runs, "step", lambda run: [] if run.classifies() else [
        ([(step, run_files.perplexity(loss)) for step, loss in thin(run_files.points(run.train, "step", "loss"))], THIN, None),
        _validated(run, _perplexity)], y_log=True,
        keys=_keys(runs), note="The exponential of the loss. A guess among so many equally likely tokens would do as well.")


def accuracy(runs):
    """Only classifiers have one."""
    return _of_runs("Accuracy", "on validation texts", runs, "step", lambda run: [
        _validated(run, lambda line: run_files.number(line.get("accuracy")))], keys=_keys(runs, training=False))


def learning_rate(runs):
    return _of_runs("Learning rate", "", runs, "step", lambda run: [
        (thin(run_files.points(run.train, "step", "lr"), keep_spikes=True), PLAIN, None)], zero=True)


def gradient_norm(runs):
    return _of_runs("Gradient norm", "before clipping, logarithmic", runs, "step", lambda run: [
        (thin(run_files.points(run.train, "step", "grad_norm"), keep_spikes=True), PLAIN, None)], y_log=True,
        note=_skipped(runs))


def _skipped(runs):
    told = ["%s: %s skipped" % (run.name, tool.counted(len(run.skips), "step")) for run in runs if run.skips]
    return "Steps without update, because loss or gradient was not finite: " + "; ".join(told) + "." if told else ""


def speed(runs):
    return _of_runs("Speed", _unit(runs, "tokens per second", "texts per second"), runs, "step", lambda run: [
        (thin(run.speeds()), PLAIN, None)], zero=True)


def against_time(runs):
    """Validation perplexity over time in steps, crashes and repeated steps included."""
    return _of_runs("Validation perplexity over time", "logarithmic", runs, "seconds in training steps", lambda run: [
        ] if run.classifies() else [_validated(run, _perplexity, run.clock_of)], y_log=True,
        keys=_keys(runs, training=False),
        note="Steps done again after a crash count twice; validation and checkpoints do not count.")


def phases(runs):
    """Where the time of a step goes. Run directories have only the model's own phases; the rest is one part."""
    rows = [(run.name, {name: 1e3 * value for name, value in run.phase_seconds().items()}) for run in runs]
    parts = [part for part in run_files.PHASES if part[0] not in ("reduction", "optimizer", "other")]
    parts += [("rest", "reduction and optimizer"), ("other", "other")]
    return Bars("Time of a step", "milliseconds on rank 0", parts, rows)


def weights(name, states):
    """Root mean squares of a run's weight tensors over its checkpoints: as many as there are colours, by name."""
    tensors = sorted({tensor for state in states for tensor in state["rms"] if ".bias" not in tensor})
    curves = [(tensor, [(state["step"], state["rms"][tensor]) for state in states if tensor in state["rms"]])
              for tensor in tensors]
    return Chart("Weights of %s" % name if name else "Weights", "root mean square", "step of the checkpoint",
                 [Line(tensor, points, group, DOTTED) for group, (tensor, points) in enumerate(curves[:COLOURS])], zero=True)


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
    return Chart("Gradient by time lag while it learns" + (", " + name if name else ""), "norm, logarithmic",
                 "lag k in time steps", lines, y_log=True, note="Validation text, %s." % state)


def evenly(items, count):
    """`count` of the items at even distances, with the first and the last."""
    if count <= 0:
        return []
    if len(items) <= count:
        return items
    if count == 1:
        return items[-1:]
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


def gradflow(paths):
    """A line for each cell, layer and quantity of the files: cells by colour, layers by dashes, the cell state c
    faint."""
    found = [(path, key, points) for path in paths for key, points in sorted(result_files.read_gradflow(path).items())]
    keys = [key for _, key, _ in found]
    colours, lines = {}, []
    for path, (cell, layer, quantity), points in found:
        twice = keys.count((cell, layer, quantity)) > 1
        colour = colours.setdefault((cell, path if twice else None), len(colours))
        several = len({key[1] for key in keys if key[0] == cell}) > 1
        states = len({key[2] for key in keys if key[0] == cell}) > 1
        name = cell + (" %s" % quantity if states else "") + (", layer %d" % layer if several else "")
        lines.append(Line(name + (" (%s)" % path if twice else ""), sorted(points), colour,
                          PLAIN if quantity == "h" else THIN, layer))
    faint = any(line.style == THIN for line in lines)
    return Chart("Gradient by time lag", "norm, logarithmic", "lag k in time steps", lines, y_log=True,
                 note="How strongly the loss of a step depends on the state k steps before."
                      + (" Faint: the cell state c." if faint else ""))


def prediction(paths):
    """Speed-up over one rank that plans predict: a line for each file, by the name of the file."""
    found = [(os.path.splitext(os.path.basename(path))[0], result_files.read_prediction(path)) for path in paths]
    lines = [Line(name, [(ranks, rate / points[0][1]) for ranks, rate in points], group, DOTTED)
             for group, (name, points) in enumerate(found)]
    ranks = sorted({ranks for _, points in found for ranks, _ in points})
    lines.append(Line("perfect", [(n, n / ranks[0]) for n in ranks], GREY, PLAIN, 2))
    return Chart("Predicted speed-up, strong scaling", "logarithmic", "ranks", lines, x_log=True, y_log=True,
                 x_ticks=ranks)
