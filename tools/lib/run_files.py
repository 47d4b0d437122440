"""Reads what runs leave behind: run directories (metrics.jsonl, timing.jsonl, config.ini, checkpoints).

Files may be those of a run that still goes on, was killed, or was damaged: a last line without its end is left out, a
line that is no JSON object is left out with a warning, and a folder without any usable line is a Mistake.
"""

import json
import math
import os
import re

from tool import Mistake, as_text, import_h5py, open_regular, shown, warn

# The phases of a step in the order in which they are drawn, with their names for people.
PHASES = [("input_projection", "input projection"), ("recurrent_forward", "recurrent forward"),
          ("output_layer", "output layer"), ("recurrent_backward", "recurrent backward"),
          ("weight_gradients", "weight gradients"), ("reduction", "reduction"), ("optimizer", "optimizer"),
          ("other", "other")]


class NoSteps(Mistake):
    """A run directory without any step yet: other runs can be shown without it."""

    def __init__(self, path):
        super().__init__(65, "'%s' holds no steps yet; wait for the first line of --log-every steps" % path)


def read_json(path):
    """The JSON object of a file, or None after a warning: a broken file must not stop the others from being shown."""
    try:
        with open_regular(path) as file:
            value = json.loads(file.read().decode("utf-8"))
    except OSError as error:
        warn("cannot read '%s': %s; left out" % (path, error.strerror))
        return None
    except ValueError:
        warn("'%s' is not JSON; left out" % path)
        return None
    if not isinstance(value, dict):
        warn("'%s' holds no JSON object; left out" % path)
        return None
    return value


def read_lines(path):
    """The JSON objects of a .jsonl file with a "type", in order."""
    try:
        with open_regular(path) as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        raise Mistake(66, "cannot open '%s': %s; name a run directory of 'unroll train'" % (path, error.strerror))
    found, bad = [], []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line.decode("utf-8"))
        except ValueError:
            value = None
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            found.append(value)
        elif line.strip() and number < len(lines):  # the last one may be half written
            bad.append(number)
    if bad:
        warn("line %d of '%s' is no line of a run%s; left out"
             % (bad[0], path, "" if len(bad) == 1 else ", nor are %d others" % (len(bad) - 1)))
    return found


def number(value):
    """A float, or None for whatever is not a finite number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def grouped(value):
    """A count with narrow spaces between thousands."""
    return "{:,}".format(int(value)).replace(",", "\N{NARROW NO-BREAK SPACE}")


def perplexity(loss):
    """e^loss, or as much of it as a double holds."""
    return math.exp(min(loss, 700.0))


def points(lines, x, y):
    """The pairs of two members, where both are numbers."""
    pairs = [(number(line.get(x)), number(line.get(y))) for line in lines]
    return [pair for pair in pairs if None not in pair]


class Run:
    """A run directory.

    facts    the line that says what is trained      starts   lines of timing.jsonl, one for each job
    train, valid, skips, gradflow, samples, end      lines of metrics.jsonl; end is None while the run is not finished
    timing   lines of timing.jsonl of the steps that count, each with "clock": seconds of all steps done until then,
             also those that a crash undid
    redone   seconds of steps done twice             saved    lines about checkpoints written
    config   [(section, [(name, value)])]
    """

    def __init__(self, path):
        self.path = os.path.normpath(path)
        if self.path.startswith("-"):
            self.path = os.path.join(".", self.path)  # else a program would take it for an option
        self.name_as(os.path.basename(os.path.abspath(path)))
        lines = read_lines(os.path.join(path, "metrics.jsonl"))
        by_type = {kind: [line for line in lines if line["type"] == kind]
                   for kind in ("run", "train", "valid", "skip", "gradflow", "sample", "end")}
        self.facts = (by_type["run"] or [{}])[0]
        self.train, self.valid, self.skips = by_type["train"], by_type["valid"], by_type["skip"]
        self.gradflow, self.samples = by_type["gradflow"], by_type["sample"]
        self.end = (by_type["end"] or [None])[-1]
        if self.last_step() is None:
            raise NoSteps(os.path.join(path, "metrics.jsonl"))
        self.config = read_config(os.path.join(path, "config.ini"))
        self._read_timing()

    def name_as(self, name):
        """`folder` is the name as the file system has it, `name` as it is shown."""
        self.folder, self.name = name, shown(name)

    def _read_timing(self):
        path = os.path.join(self.path, "timing.jsonl")
        self.starts, self.timing, self.saved, self.redone, clock = [], [], [], 0.0, 0.0
        for line in read_lines(path) if os.path.exists(path) else []:
            step, seconds = number(line.get("step")), number(line.get("seconds"))
            if step is None:
                continue
            if line["type"] == "start":
                undone = [old for old in self.timing if old["step"] > step]
                self.redone += sum(old["seconds"] for old in undone)
                self.timing = self.timing[:len(self.timing) - len(undone)]
                self.saved = [old for old in self.saved if old["step"] <= step]
                self.starts.append(line)
            elif line["type"] == "train" and seconds is not None:
                clock += seconds
                self.timing.append(dict(line, clock=clock))
            elif line["type"] == "checkpoint" and seconds is not None:
                self.saved.append(line)

    def last_step(self):
        """The line of the latest step (of a short run without validation the last line of all); None: no step yet."""
        lines = self.train + self.valid + ([self.end] if self.end else [])
        return max((line for line in lines if number(line.get("step")) is not None), key=lambda line: line["step"], default=None)

    def validated(self):
        """The lines of validation; if the last weights had none, because of --eval-every, also that of the end."""
        end = self.end or {}
        told = number(end.get("step")) is None or number(end.get("valid_loss")) is None \
            or any(line.get("step") == end["step"] for line in self.valid)
        return self.valid + ([] if told else [dict(end, type="valid", loss=end["valid_loss"], accuracy=end.get("valid_accuracy"))])

    def best(self):
        """The line of the lowest validation loss, or None: its weights are those of best.h5."""
        lines = [line for line in self.validated() if number(line.get("loss")) is not None and number(line.get("step")) is not None]
        return min(lines, key=lambda line: line["loss"], default=None)

    def best_test(self, name):
        """test_loss or test_accuracy of the best weights; None if unknown: runs of earlier versions tested only the
        last weights, which may be the best ones."""
        end = self.end or {}
        if "best_step" not in end and self._ended_with_best():
            return number(end.get(name))
        return number(end.get("best_" + name))

    def _ended_with_best(self):
        losses = [number(line.get("loss")) for line in self.valid]
        last = number((self.end or {}).get("valid_loss"))
        return last is not None and all(loss is None or last <= loss for loss in losses)

    def classifies(self):
        return self.facts.get("task") == "classify"

    def speeds(self):
        """[(step, tokens, or texts of a classifier, a second)]"""
        return points(self.timing, "step", "tokens_per_second")

    def clock_at(self, step):
        """Seconds of training until a step, between two lines in proportion; None before and after what was timed."""
        before = (0.0, 0.0)
        for line in self.timing:
            here = (float(line["step"]), line["clock"])
            if here[0] >= step:
                share = (step - before[0]) / (here[0] - before[0]) if here[0] > before[0] else 1.0
                return before[1] + share * (here[1] - before[1])
            before = here
        return None

    def clock_of(self, line):
        """The same at a line's step."""
        step = number(line.get("step"))
        return self.clock_at(step) if step is not None else None

    def time_to(self, perplexity):
        """(seconds, step) at which validation first was at or below a perplexity, or None."""
        for line in self.valid:
            loss, step = number(line.get("loss")), number(line.get("step"))
            if loss is not None and step is not None and loss <= math.log(perplexity):
                seconds = self.clock_at(step)
                return None if seconds is None else (seconds, int(step))
        return None

    def model(self):
        """What is trained, in a few words."""
        facts = self.facts
        if not all(key in facts for key in ("cell", "layers", "hidden")):
            return "?"
        return "%s %s \N{MULTIPLICATION SIGN} %s" % (facts["cell"], facts["layers"], facts.get("widths") or facts["hidden"])

    def phase_seconds(self):
        """Seconds of a step by phase over the whole run. "rest" is what the phases of the model do not cover: the
        reduction, the optimizer and waiting for other ranks."""
        steps, last = 0, 0
        sums = {}
        for line in self.timing:
            phases = line.get("phases")
            if isinstance(phases, dict):
                known = 0.0
                for name, value in phases.items():
                    value = number(value) or 0.0
                    sums[name] = sums.get(name, 0.0) + value
                    known += value
                sums["rest"] = sums.get("rest", 0.0) + max(0.0, line["seconds"] - known)
                steps += int(line["step"]) - last
            last = int(line["step"])
        return {name: value / steps for name, value in sums.items()} if steps > 0 else {}

    def checkpoints(self):
        """[(step, path)] of what is there, oldest first."""
        folder = os.path.join(self.path, "checkpoints")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = [(int(match.group(1)), os.path.join(folder, match.group(0)))
                 for match in (re.match(r"step-(\d+)\.h5$", name) for name in names) if match]
        return sorted((step, path) for step, path in found if os.path.isfile(path))


def best_runs(runs):
    """For each text with several runs, the run with the lowest validation loss."""
    alike = {}
    for run in runs:
        if run.best():
            alike.setdefault((run.classifies(), run.facts.get("corpus_digest")), []).append(run)
    return [min(group, key=lambda run: run.best()["loss"]) for group in alike.values() if len(group) > 1]


def distinct_names(runs):
    """Gives each run a name of its own: the last part of its path, or as many parts as it takes to tell them apart."""
    for run in runs:
        parts = os.path.abspath(run.path).split(os.sep)
        for length in range(1, len(parts)):
            run.name_as("/".join(parts[-length:]))
            if all(other is run or os.path.abspath(other.path).split(os.sep)[-length:] != parts[-length:]
                   for other in runs):
                break
    return runs


def read_runs(paths):
    """Reads runs and gives them distinct names. A path twice is a Mistake. A run without steps is left out with a
    warning; if there is no other, it is a Mistake."""
    seen = set()
    for path in paths:
        if os.path.realpath(path) in seen:
            raise Mistake(64, "'%s' is named twice; name each run once" % path)
        seen.add(os.path.realpath(path))
    runs, without = [], []
    for path in paths:
        try:
            runs.append(Run(path))
        except NoSteps as mistake:
            without.append(mistake)
    if not runs and without:
        raise without[0]
    for mistake in without:
        warn("%s; left out" % mistake)
    return distinct_names(runs)


def read_config(path):
    """[(section, [(name, value)])] of a config.ini; nothing if there is none."""
    sections = []
    try:
        with open_regular(path) as file:
            for line in file.read().decode("utf-8", "replace").split("\n"):
                option = re.match(r"\s*([\w-]+)\s*=\s*(.*?)\s*$", line)
                if line.startswith("# "):
                    sections.append((line[2:].strip(), []))
                elif option:
                    if not sections:
                        sections.append(("Options", []))
                    value = option.group(2)
                    quoted = re.match(r'"(.*)"$', value)
                    sections[-1][1].append((option.group(1), quoted.group(1) if quoted else value))
    except OSError:
        pass
    return [section for section in sections if section[1]]


def read_checkpoint(path):
    """What the report shows of a checkpoint: {"step", "level", "build", "valid_loss", "rms": {tensor: root mean
    square}}; None if it cannot be read, or without h5py."""
    h5py = import_h5py()
    if h5py is None:
        return None
    try:
        with h5py.File(path, "r") as file:
            model = file["model"]
            rms = {}
            for name in model:
                values = model[name][()].astype("f8")
                rms[name] = math.sqrt(float((values * values).mean())) if values.size else 0.0
            return {"step": int(file.attrs["step"]), "level": as_text(file["vocab"].attrs["level"]),
                    "build": {name: as_text(value) for name, value in file["build"].attrs.items() if name != "xxh3_128"},
                    "valid_loss": number(float(file["progress"].attrs.get("valid_loss", math.nan))), "rms": rms}
    except (OSError, KeyError, ValueError, TypeError) as error:
        warn("cannot read checkpoint '%s': %s; left out" % (path, error))
        return None
