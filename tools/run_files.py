"""Reads what runs leave behind: run directories (metrics.jsonl, timing.jsonl, config.ini, checkpoints) and gradflow's files.

Files may be those of a run that still goes on, was killed, or was damaged: a last line without its end is left out, a line
that is no JSON object is left out with a warning, and a folder without any usable line is a Mistake.
"""

import argparse
import codecs
import contextlib
import csv
import errno
import json
import math
import os
import re
import stat
import subprocess
import sys

# The phases of a step in the order in which they are drawn, with their names for people.
PHASES = [("input_projection", "input projection"), ("recurrent_forward", "recurrent forward"),
          ("output_layer", "output layer"), ("recurrent_backward", "recurrent backward"),
          ("weight_gradients", "weight gradients"), ("reduction", "reduction"), ("optimizer", "optimizer"),
          ("other", "other")]


class Arguments(argparse.ArgumentParser):
    """A command line whose mistakes end with 64, as the program's do, and whose help keeps its lines."""

    def __init__(self, description, example):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
                         epilog="example: " + example)

    def error(self, message):
        raise Mistake(64, "%s; see '%s --help'" % (message, self.prog))


class Mistake(Exception):
    """What the user can mend: an exit status and a message that names cause, object and fix."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class NoSteps(Mistake):
    """A run directory that tells of no step yet: other runs can be shown without it."""

    def __init__(self, path):
        super().__init__(65, "'%s' holds no steps yet; wait for the first line of --log-every steps" % path)


# --- names of files: any bytes, of which Python makes half surrogates where they are no UTF-8 ---

def _escaped(letter):
    code = ord(letter)
    return "\\x%02x" % (code & 0xFF) if code < 0x100 or 0xDC80 <= code <= 0xDCFF else "\\u%04x" % code


def printable(text):
    """A text whose lines can be written anywhere: bytes that are no UTF-8, and control characters, as \\xff."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", lambda match: _escaped(match.group(0)), text)


def shown(name):
    """A name of a file as 'unroll runs' shows it, in one line."""
    named = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return printable("".join(named.get(letter, letter) for letter in name))


def _encode_shown(error):
    return "".join(map(_escaped, error.object[error.start:error.end])), error.end


codecs.register_error("shown", _encode_shown)
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="shown")


def warn(message):
    print("unroll: warning: " + printable(message), file=sys.stderr)


def run_main(main):
    """The frame of every tool: a Mistake becomes a message and an exit status."""
    try:
        main()
    except Mistake as mistake:
        print("unroll: " + printable(str(mistake)), file=sys.stderr)
        sys.exit(mistake.status)
    except BrokenPipeError:
        sys.exit(74)


def default_program():
    """The program that a tool calls: what UNROLL names, else the one that was built or installed with it, else PATH's."""
    here = os.path.dirname(os.path.abspath(__file__))
    beside = [os.path.normpath(os.path.join(here, *way)) for way in (("..", "build", "unroll"), ("..", "..", "bin", "unroll"))]
    return os.environ.get("UNROLL") or next(filter(os.path.exists, beside), "unroll")


# Files of a run directory, and of an experiment's folder: a page or a picture may lie beside them.
OWN = re.compile(r"(^|/)(checkpoints/.*|latest|lock|[^/]*\.(json|jsonl|ini|h5|log))$")


def refuse_input(output, inputs):
    """A Mistake if a file to write, or the name that it has until it is whole, is a file that is read, by whatever name or link,
    or one of those that a folder among `inputs` is made of. Beforehand, of every tool that writes a file."""
    for name in [] if output == "-" else [output, output + ".tmp"]:
        for path in filter(None, inputs):
            there = os.path.isfile(name) and os.path.isfile(path)
            if os.path.realpath(name) == os.path.realpath(path) or (there and os.path.samefile(name, path)):
                raise Mistake(73, "cannot create '%s': it is '%s', which the command reads; choose another name" % (name, path))
            inside = os.path.relpath(os.path.realpath(name), os.path.realpath(path))
            if os.path.isdir(path) and not inside.startswith("..") and OWN.search(inside):
                raise Mistake(73, "cannot create '%s': it is one of the files of '%s', which the command reads; choose another "
                                  "name" % (name, path))


def make_folder(path):
    """Of a tool that leaves several files there."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise Mistake(73, "cannot make '%s': %s; name another folder with -o" % (path, error.strerror))


def write_text(path, text):
    """The whole file or none: a temporary name, then a rename. "-" is standard output. refuse_input comes before."""
    if path == "-":
        sys.stdout.write(text)
    else:
        write_file(path, text.encode("utf-8", "shown"))


def write_file(path, content, what="file"):
    """The same of bytes. `what` the option -o names is for the message."""
    try:
        _replace(path, path + ".tmp", content)
    except OSError as error:
        raise Mistake(73, "cannot write '%s': %s; name another %s with -o" % (path, error.strerror, what))


def _replace(path, temporary, content):
    file = open(temporary, "wb")
    try:
        with file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:  # a disk that is full, and whoever is tired of waiting
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def open_regular(path):
    """A file to read bytes from. Never waits, as for a pipe in its place: what is no regular file is an OSError that says so."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return os.fdopen(descriptor, "rb")


def read_json(path):
    """The JSON object of a file, or None after a warning: what one broken file holds is a gap, no failure."""
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


def counted(count, what):
    """"1 rank", "2 ranks"."""
    return "%d %s%s" % (count, what, "" if count == 1 else "s")


def points(lines, x, y):
    """The pairs of two members, where both are numbers."""
    pairs = [(number(line.get(x)), number(line.get(y))) for line in lines]
    return [pair for pair in pairs if None not in pair]


class Run:
    """A run directory.

    facts    the line that says what is trained      starts   lines of timing.jsonl, one for each job
    train, valid, skips, gradflow, samples, end      lines of metrics.jsonl; end is None while the run is not finished
    timing   lines of timing.jsonl of the steps that count, each with "clock": seconds of all steps done until then, those
             included that a crash undid and that were done again
    redone   seconds of steps done twice             saved    lines about checkpoints written
    config   [(section, [(name, value)])]
    """

    def __init__(self, path):
        self.path = os.path.normpath(path)
        if self.path.startswith("-"):
            self.path = os.path.join(".", self.path)  # no option of whom it is named to
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
        """`folder` is the name as files bear it, `name` as it is shown."""
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
        """The line of the latest step; a short run without validation has no other than its end. None: no step yet."""
        lines = self.train + self.valid + ([self.end] if self.end else [])
        return max((line for line in lines if number(line.get("step")) is not None), key=lambda line: line["step"], default=None)

    def validated(self):
        """The lines of validation, and what the end tells of the last weights where --eval-every left them out."""
        end = self.end or {}
        told = number(end.get("step")) is None or number(end.get("valid_loss")) is None \
            or any(line.get("step") == end["step"] for line in self.valid)
        return self.valid + ([] if told else [dict(end, type="valid", loss=end["valid_loss"], accuracy=end.get("valid_accuracy"))])

    def best(self):
        """The line of the lowest validation loss, or None: its weights are those of best.h5."""
        lines = [line for line in self.validated() if number(line.get("loss")) is not None and number(line.get("step")) is not None]
        return min(lines, key=lambda line: line["loss"], default=None)

    def best_test(self, name):
        """test_loss or test_accuracy of the weights with the lowest validation loss; None if unknown: before they were tested,
        a run told it of its last weights only, which may be the same."""
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
        return "%s %s \N{MULTIPLICATION SIGN} %s" % (facts["cell"], facts["layers"], facts["hidden"])

    def phase_seconds(self):
        """Seconds of a step by phase over the whole run; what the phases of the model leave of a step is the reduction, the
        optimizer and the wait for other ranks."""
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
    """Those with the lowest validation loss among runs on the same text; a run without another to compare with is not one."""
    alike = {}
    for run in runs:
        if run.best():
            alike.setdefault((run.classifies(), run.facts.get("corpus_digest")), []).append(run)
    return [min(group, key=lambda run: run.best()["loss"]) for group in alike.values() if len(group) > 1]


def distinct_names(runs):
    """Names runs so that no two are called the same: the end of the path where the last part does not tell them apart."""
    for run in runs:
        parts = os.path.abspath(run.path).split(os.sep)
        for length in range(1, len(parts)):
            run.name_as("/".join(parts[-length:]))
            if all(other is run or os.path.abspath(other.path).split(os.sep)[-length:] != parts[-length:]
                   for other in runs):
                break
    return runs


def read_runs(paths):
    """Runs with names that tell them apart. A path twice is a Mistake: its line would hide itself. A run without steps is left
    out with a warning, and a Mistake if there is no other."""
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


def import_h5py():
    """h5py. Where this python3 lacks it the tool starts anew under one that has it (tools/find-python); None if there is none."""
    try:
        import h5py
        return h5py
    except ImportError:
        pass
    finder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "find-python")
    found = subprocess.run([finder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    python = found.stdout.strip()
    if found.returncode == 0 and os.environ.get("UNROLL_PYTHON") != python:
        os.environ["UNROLL_PYTHON"] = python  # once only
        os.execv(python, [python] + sys.argv)
    return None


def as_text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_checkpoint(path):
    """What the report tells of a checkpoint: {"step", "level", "build", "valid_loss", "rms": {tensor: root mean square}}; None
    if it cannot be read, or without h5py."""
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


# --- the gradient by lag ---

def read_gradflow(path):
    """{(cell, layer, quantity): [(lag, norm)]} of a file of `unroll gradflow`, CSV or HDF5."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise Mistake(66, "cannot open '%s': %s; make it with 'unroll gradflow'" % (path, error.strerror))
    curves = _gradflow_hdf5(path) if start == b"\x89HDF\r\n\x1a\n" else _gradflow_csv(path)
    if not curves:
        raise Mistake(65, "'%s' holds no gradient norms; it must be a file of 'unroll gradflow'" % path)
    return curves


def read_prediction(path):
    """[(ranks, tokens per second)] of strong scaling in a file of `unroll plan --nodes N --json`."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["prediction"]["strong"]
        return [(int(row["ranks"]), float(row["tokens_per_second"])) for row in rows]
    except OSError as error:
        raise Mistake(66, "cannot open '%s': %s; make it with 'unroll plan --nodes N --json FILE'" % (path, error.strerror))
    except (ValueError, KeyError, TypeError):
        raise Mistake(65, "'%s' holds no prediction; it must be a file of 'unroll plan --nodes N --json FILE'" % path)


def _gradflow_csv(path):
    curves, bad = {}, 0
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["cell", "layer", "quantity", "lag", "norm"]:
            raise Mistake(65, "'%s' is no table of 'unroll gradflow': its first line must be 'cell,layer,quantity,lag,norm'"
                          % path)
        for row in rows:
            try:
                cell, layer, quantity, lag, norm = row
                curves.setdefault((cell, int(layer), quantity), []).append((int(lag), float(norm)))
            except ValueError:
                bad += 1
    if bad:
        warn("%d lines of '%s' are no gradient norms; left out" % (bad, path))
    return curves


def _gradflow_hdf5(path):
    h5py = import_h5py()
    if h5py is None:
        raise Mistake(69, "cannot read '%s' without h5py; install python3-h5py, or use --csv of 'unroll gradflow'" % path)
    curves = {}
    try:
        with h5py.File(path, "r") as file:
            if as_text(file.attrs.get("format", "")) != "unroll-gradflow":
                raise Mistake(65, "'%s' is no file of 'unroll gradflow'; use its --csv or --hdf5 output" % path)
            for cell in file:
                for name in file[cell]:
                    match = re.match(r"([hc])_l(\d+)$", name)
                    if match:
                        curves[(cell, int(match.group(2)), match.group(1))] = list(enumerate(map(float, file[cell][name])))
    except (OSError, ValueError, TypeError) as error:
        raise Mistake(65, "cannot read '%s': %s" % (path, error))
    return curves


def is_gradflow(path):
    """Whether a file is one of `unroll gradflow`, by its head."""
    if path.endswith(".csv"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.readline().strip() == "cell,layer,quantity,lag,norm"
        except OSError:
            return False
    h5py = import_h5py()
    if h5py is None:
        return False
    try:
        with h5py.File(path, "r") as file:
            return as_text(file.attrs.get("format", "")) == "unroll-gradflow"
    except OSError:
        return False


def gradflow_files(run):
    """Files of `unroll gradflow` in a run's folder: CSV, and HDF5 where there is no CSV of the same name."""
    found = []
    for name in sorted(os.listdir(run.path)):
        path = os.path.join(run.path, name)
        stem, kind = os.path.splitext(path)
        twice = kind == ".h5" and stem + ".csv" in found
        if kind in (".csv", ".h5") and name not in ("best.h5", "latest") and not twice \
                and os.path.isfile(path) and is_gradflow(path):
            found.append(path)
    return found
