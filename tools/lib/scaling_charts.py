"""Evaluates the points of a scaling experiment (scaling_grid.py): speed-ups, fits, verdicts and pictures."""

import glob
import math
import os

import chart_layout
import charts
import run_files
import scaling_grid
import tool
from charts import Bars, Chart, Line
from run_files import number
from tool import Mistake, counted


class Experiment:
    """points: [Point] in the order of their names. series: {(mode, threads, reduction): [points with a bench]} by
    ranks."""

    def __init__(self, folder):
        self.folder = folder
        if not os.path.isdir(folder):
            raise Mistake(66, "cannot open '%s': no such folder; make it with 'tools/scaling-local'" % folder)
        self.points, self.left_out = [], 0
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json"))):
            value = run_files.read_json(path)
            if value is None:
                self.left_out += 1
            elif value.get("format") == scaling_grid.FORMAT:
                try:
                    self.points.append(Measured(path, value))
                except (KeyError, TypeError, ValueError) as error:
                    tool.warn("'%s' is no point of a scaling experiment: %r is bad; left out" % (path, error.args[0]))
                    self.left_out += 1
        if not self.points:
            raise Mistake(65, "'%s' holds no points; make them with 'tools/scaling-local' or jobs/strong-scaling.sbatch" % folder)
        self.series = {}
        for point in sorted(self.points, key=lambda point: (point.mode, point.threads, point.reduction, point.ranks)):
            if point.rate:
                self.series.setdefault(point.key(), []).append(point)
        for points in self.series.values():
            for point in points:
                point.base = points[0]
        self.numbers = {key: place for place, key in enumerate(self.series)}

    def name(self, key):
        """The name of a series: what differs between series."""
        mode, threads, reduction = key
        words = [mode]
        if len({other[1] for other in self.series}) > 1:
            words.append(counted(threads, "thread"))
        if len({other[2] for other in self.series}) > 1:
            words.append(reduction)
        return ", ".join(words)

    def ranks(self):
        return sorted({point.ranks for points in self.series.values() for point in points})

    def runs(self):
        """Points whose training has validations with times. Classifiers have no perplexity and are left out."""
        return [point for point in self.points if point.training and point.training.valid and point.training.timing
                and not point.training.classifies()]

    def common_perplexity(self):
        """The lowest perplexity that all trainings reach, rounded up to three digits; None without trainings."""
        best = [min(loss for _, loss in run_files.points(point.training.valid, "step", "loss")) for point in self.runs()]
        if not best:
            return None
        value = run_files.perplexity(max(best))
        unit = 10.0 ** (math.floor(math.log10(value)) - 2)
        return math.ceil(value / unit - 1e-9) * unit


class Measured:
    """One point. rate: tokens/s or None; phases, network: dictionaries, maybe empty; training: a run_files.Run or
    None."""

    def __init__(self, path, value):
        self.path = path
        self.mode, self.reduction = value["mode"], value["reduction"]
        self.ranks, self.threads, self.batch = int(value["ranks"]), int(value["threads"]), int(value["batch"])
        if self.mode not in scaling_grid.MODES or self.reduction not in scaling_grid.REDUCTIONS:
            raise ValueError("mode or reduction")
        if self.ranks < 1 or self.threads < 1:
            raise ValueError("ranks or threads")
        self.oversubscribed = bool(value.get("oversubscribed"))
        self.failures = [failure for failure in value.get("failures") or [] if isinstance(failure, dict)]
        self.bench = value.get("bench") if isinstance(value.get("bench"), dict) else {}
        rate = number(self.bench.get("tokens_per_second"))
        self.rate = rate if rate and rate > 0 else None
        self.milliseconds = number(self.bench.get("ms_per_step"))
        phases = self.bench.get("phases") if isinstance(self.bench.get("phases"), dict) else {}
        self.phases = {name: 1e3 * number(seconds) for name, seconds in phases.items() if number(seconds) is not None}
        self.network = self.bench.get("network") if isinstance(self.bench.get("network"), dict) else {}
        total = self.network.get("sum") if isinstance(self.network.get("sum"), dict) else {}
        self.sum = {name: 1e3 * number(total.get(name)) for name in ("seconds", "model_seconds", "bound_seconds")
                    if number(total.get(name)) is not None}
        self.base = self
        self.training = None
        if isinstance(value.get("run"), str):
            try:
                self.training = run_files.Run(os.path.join(os.path.dirname(path), value["run"]))
            except Mistake as mistake:
                tool.warn("%s; its training is left out" % mistake)

    def key(self):
        return self.mode, self.threads, self.reduction

    def name(self):
        return "%s, %s x %d, %s" % (self.mode, counted(self.ranks, "rank"), self.threads, self.reduction)

    def times(self):
        """The number of ranks over that of the series' first point."""
        return self.ranks / self.base.ranks

    def speedup(self):
        """Tokens per second over those of the first point; under weak scaling this is the scaled speed-up."""
        return self.rate / self.base.rate if self.rate else None

    def imbalance(self):
        return number(self.network.get("imbalance"))


# --- fits ---

LEAST_POINTS = 3  # for a law: the first, to which the others are relative, one to fit the law, one to test it


class Fit:
    """Amdahl's law, 1 / (s + (1 - s) / n), under strong and Gustafson's, n - s (n - 1), under weak scaling: the serial
    share s by least squares (Amdahl: on the time of a step; Gustafson: on the speed-up), and by how much each measured
    speed-up lies above the fitted one. Points with more threads than cores do not count.

    If there is no fit, `serial` is None and `why` has the reason: too few points (a law of one number goes through any
    one point beside the first), or a serial share below 0 or above 1."""

    def __init__(self, points):
        self.law = "Amdahl" if points[0].mode == "strong" else "Gustafson"
        self.base = points[0].ranks
        used = [(point.times(), point.speedup()) for point in points if not point.oversubscribed and point.times() > 1]
        self.serial, self.why = None, ""
        if len(used) < LEAST_POINTS - 1:
            self.why = "it needs %d numbers of ranks with at most one thread a core; there are %d" % (
                LEAST_POINTS, len(used) + 1)
        else:
            if self.law == "Amdahl":
                pairs = [(1 - 1 / n, 1 / speedup - 1 / n) for n, speedup in used]
            else:
                pairs = [(n - 1, n - speedup) for n, speedup in used]
            serial = sum(a * b for a, b in pairs) / sum(a * a for a, _ in pairs)
            if 0 <= serial <= 1:
                self.serial = serial
            else:
                self.why = "the nearest serial share would be %.3f, %s" % (
                    serial, "because speed grows faster than the number of ranks" if serial < 0 else
                    "because more ranks are slower than one")
        self.residuals = [(round(n * self.base), speedup - self.at(n)) for n, speedup in used] if self.serial is not None else []

    def at(self, n):
        if self.law == "Amdahl":
            share = self.serial + (1 - self.serial) / n
            return 1 / share if share > 0 else math.inf
        return n - self.serial * (n - 1)

    def rms(self):
        return math.sqrt(sum(residual ** 2 for _, residual in self.residuals) / len(self.residuals))


def fits(experiment):
    """[(name, Fit)] of all series."""
    return [(experiment.name(key), Fit(points)) for key, points in experiment.series.items()]


# --- verdicts ---

def verdicts(experiment):
    """Sentences for the top of the report: slow hosts and links, the fastest number of ranks, what failed."""
    told = []
    for what, member in (("host", "slow_hosts"), ("link", "slow_links")):
        counts = {}
        measured = [point for point in experiment.points if len(point.network.get("hosts") or []) > 1]
        for point in measured:
            for name in point.network.get(member) or []:
                counts[name] = counts.get(name, 0) + 1
        for name, count in sorted(counts.items()):
            told.append("Slow %s: %s%s, in %d of %d points on several hosts."
                        % (what, name, speed_of_host(measured, name) if what == "host" else "", count, len(measured)))
    for key, points in experiment.series.items():
        if len(points) > 1 and key[0] == "strong":
            fastest = max(points, key=lambda point: point.rate)
            told.append("%s: fastest on %s, %s tokens/s, %.2f times those on %d, efficiency %.2f."
                        % (experiment.name(key).capitalize(), counted(fastest.ranks, "rank"),
                           chart_layout.label_of(float("%.3g" % fastest.rate)), fastest.speedup(), points[0].ranks,
                           fastest.speedup() / fastest.times()))
    for key, points in experiment.series.items():
        if points[0].ranks > 1:
            told.append("%s: no point on one rank; speed-up and efficiency are against %d ranks."
                        % (experiment.name(key).capitalize(), points[0].ranks))
    told += ["%s: no law fitted: %s." % (name.capitalize(), fit.why) for name, fit in fits(experiment) if fit.why]
    crowded = sorted({point.ranks * point.threads for point in experiment.points if point.oversubscribed})
    if crowded:
        told.append("More threads than cores: the points with %s threads in all; they do not show how the program "
                    "scales." % ", ".join(map(str, crowded)))
    for point in experiment.points:
        for failure in point.failures:
            told.append("Failed: %s: %s ended with %s: %s" % (point.name(), failure.get("what", "?"), failure.get("status", "?"),
                                                           failure.get("message", "?")))
    if experiment.left_out:
        told.append("%s could not be read." % counted(experiment.left_out, "file"))
    return told


def speed_of_host(points, name):
    """How fast a host computes against the fastest one, in the last point that has it."""
    for point in reversed(points):
        speeds = {host.get("name"): number(host.get("speed")) for host in point.network["hosts"] if isinstance(host, dict)}
        known = [speed for speed in speeds.values() if speed]
        if speeds.get(name) and known:
            return " computes at %.2f of the fastest host's speed" % (speeds[name] / max(known))
    return ""


# --- pictures ---

def _against_ranks(experiment, title, unit, lines, **how):
    return Chart(title, unit, "ranks", lines, x_log=True, x_ticks=experiment.ranks(), **how)


def _lines(experiment, value, style=charts.DOTTED):
    """A line for each series; points without a value are gaps in it."""
    return [Line(experiment.name(key), [(point.ranks, value(point)) for point in points if value(point) is not None],
                 experiment.numbers[key], style) for key, points in experiment.series.items()]


def speed(experiment):
    ideal = [Line("proportional to ranks", [(point.ranks, point.times() * points[0].rate) for point in points], charts.GREY,
                  charts.PLAIN, 2) for points in experiment.series.values() if len(points) > 1]
    return _against_ranks(experiment, "Speed", "tokens per second, logarithmic",
                          _lines(experiment, lambda point: point.rate) + ideal, y_log=True)


def speedup(experiment):
    times = sorted({point.times() for points in experiment.series.values() for point in points})
    lines = _lines(experiment, lambda point: point.speedup())
    if times[-1] > 1:
        base = experiment.ranks()[0]
        lines.append(Line("perfect", [(base * n, n) for n in times], charts.GREY, charts.PLAIN, 2))
    note = ""
    for key, points in experiment.series.items():
        fit = Fit(points)
        if fit.serial is not None:
            note = "Dashed: Amdahl's law fitted to strong, Gustafson's to weak scaling, where the work grows with the ranks."
            last = points[-1].times()
            curve = [(points[0].ranks * n, fit.at(n)) for n in (last ** (k / 30) for k in range(31))]
            lines.append(Line(experiment.name(key), curve, experiment.numbers[key], charts.THIN, 1))
    return _against_ranks(experiment, "Speed-up", "logarithmic", lines, y_log=True,
                          note=note)


def efficiency(experiment):
    lines = _lines(experiment, lambda point: point.speedup() / point.times())
    return _against_ranks(experiment, "Efficiency", "speed-up by ranks", lines, zero=True)


def phases(experiment, mode):
    chosen = {key: points for key, points in experiment.series.items() if key[0] == mode}
    rows = [(", ".join(experiment.name(key).split(", ")[1:] + [counted(point.ranks, "rank")]), point.phases)
            for key, points in chosen.items() for point in points]
    return Bars("Time of a step, %s scaling" % mode, "milliseconds, mean over ranks", run_files.PHASES, rows,
                note="The reduction includes waiting for slower ranks.")


def strong_phases(experiment):
    return phases(experiment, "strong")


def weak_phases(experiment):
    return phases(experiment, "weak")


def reduction(experiment):
    """The distance between the first two lines is waiting for other ranks, not the network."""
    several = len({key[1:] for key in experiment.series}) > 1
    modes = {key[0] for key in experiment.series}
    lines = []
    for key, points in experiment.series.items():
        if key[0] == "weak" and "strong" in modes:
            continue
        dash = len({line.dash for line in lines}) if several else 0
        tail = " (%s)" % experiment.name(key) if several else ""
        far = [point for point in points if point.ranks > 1]
        for group, (name, value) in enumerate((
                ("in the step, with waiting", lambda point: point.phases.get("reduction")),
                ("the sum alone", lambda point: point.sum.get("seconds")),
                ("model of this exchange", lambda point: point.sum.get("model_seconds")),
                ("lower bound of any sum", lambda point: point.sum.get("bound_seconds")))):
            lines.append(Line(name + tail, [(point.ranks, value(point)) for point in far if value(point)], group,
                              charts.DOTTED if group < 2 else charts.PLAIN, dash))
    return _against_ranks(experiment, "Reduction", "milliseconds, logarithmic", lines, y_log=True,
                          note="Model and bound: latency and bandwidth as measured between these ranks (bench --network).")


def imbalance(experiment):
    lines = _lines(experiment, lambda point: point.imbalance())
    return _against_ranks(experiment, "Imbalance", "slowest rank by mean, computing", lines)


def seconds_to(experiment, perplexity=None):
    """Seconds of a point's training to a validation perplexity, by ranks; by default the lowest that all reach."""
    perplexity = perplexity or experiment.common_perplexity() or 1.0
    keys = list(dict.fromkeys(point.key() for point in experiment.runs()))
    lines = []
    for place, key in enumerate(sorted(keys)):
        found = [(point.ranks, point.training.time_to(perplexity)) for point in experiment.runs() if point.key() == key]
        lines.append(Line(experiment.name(key), sorted((ranks, time[0]) for ranks, time in found if time),
                          experiment.numbers.get(key, place), charts.DOTTED))
    chart = _against_ranks(experiment, "Time to validation perplexity %.4g" % perplexity, "seconds in training steps", lines,
                           zero=True)
    if not chart.x_ticks:
        chart.x_ticks = sorted({x for line in chart.lines for x, _ in line.points})
    return chart


PICTURES = {"scaling": speed, "speedup": speedup, "efficiency": efficiency, "time-to": seconds_to, "reduction": reduction,
            "imbalance": imbalance, "strong-phases": strong_phases, "weak-phases": weak_phases}
