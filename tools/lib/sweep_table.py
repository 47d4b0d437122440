"""The table of a sweep: which options of `unroll train` its trials have, and how far they go. The options of trial k are a
function of the table's seed, k and each option's name: no order of lines, number of workers or crash changes them."""

import hashlib
import math
import re

from tool import Mistake

KINDS = ("uniform", "log", "int", "choice", "fixed", "rungs")
EXTENTS = ("epochs", "max-steps")
SETTINGS = ("trials", "seed", "eta")  # of lines that begin with the word sweep
TRIALS = 32


def _chance(seed, trial, name):
    """A number in [0, 1) with 53 bits, as good as random."""
    digest = hashlib.sha256(("%d %d %s" % (seed, trial, name)).encode("utf-8")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0 ** 53


class Range:
    """An option and what it is drawn from."""

    def __init__(self, name, kind, words, where):
        self.name, self.kind, self.words, self.where = name, kind, words, where
        if kind == "choice":
            self._need(len(words) >= 1, "write one value or more")
            self._need(len(set(words)) == len(words), "it names a value twice; leave one out")
            return
        self._need(len(words) == 2 or (kind == "int" and len(words) == 3), "write the least and the greatest value%s"
                   % (", and if you like the step between values" if kind == "int" else ""))
        try:
            self.bounds = [(int if kind == "int" else float)(word) for word in words]
        except ValueError:
            self._need(False, "these are no %s" % ("whole numbers" if kind == "int" else "numbers"))
        self._need(all(map(math.isfinite, self.bounds)) and self.bounds[0] < self.bounds[1], "the first must be less than the second")
        self._need(kind != "log" or self.bounds[0] > 0, "logarithms need values above 0")
        self._need(kind != "int" or len(words) == 2 or self.bounds[2] >= 1, "a step is at least 1")

    def _need(self, condition, fix):
        if not condition:
            raise Mistake(65, "bad range '%s' of '%s' in %s: %s" % (" ".join(self.words), self.name, self.where, fix))

    def draw(self, seed, trial):
        """The value of a trial, as text. Four digits: what is read off a table gives the same run."""
        chance = _chance(seed, trial, self.name)
        if self.kind == "choice":
            return self.words[int(chance * len(self.words))]
        low, high = self.bounds[:2]
        if self.kind == "int":
            step = self.bounds[2] if len(self.bounds) == 3 else 1
            return "%d" % (low + step * int(chance * ((high - low) // step + 1)))
        if self.kind == "log":
            return "%.4g" % math.exp(math.log(low) + chance * (math.log(high) - math.log(low)))
        return "%.4g" % (low + chance * (high - low))

    def numbers(self):
        """Whether its values are numbers."""
        return self.kind != "choice" or all(re.match(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", word) for word in self.words)


class Table:
    """names    options that differ between trials       trials   how many
    ranges   [Range] of these; None where the table lists its trials one by one
    extent   the option that rungs are values of, or None: every trial goes as far as its options say
    rungs    its values, ascending; [None] without      fixed    [(option, value)] of all trials"""

    def __init__(self, path):
        self.path, self.ranges, self.fixed, self.lines = path, None, [], []
        self.extent, self.rungs, self.seed, self.eta = None, [None], 1, None
        rows = _read(path)
        if any(words[0] == "sweep" or (len(words) > 1 and words[1] in KINDS) for _, words in rows):
            self._read_ranges(rows)
        else:
            self._read_lines(rows)

    # --- a list: options, then a line of values for each trial ---

    def _read_lines(self, rows):
        self.names = rows[0][1]
        if len(rows) < 2:
            raise Mistake(65, "'%s' has no line of values; the first line names options, each further line has their values, "
                          "or each line has an option, a kind (%s) and values" % (self.path, ", ".join(KINDS)))
        for name in self.names:
            _check_name(name, "the first line of '%s'" % self.path)
        for place, values in rows[1:]:
            if len(values) != len(self.names):
                raise Mistake(65, "line %d of '%s' has %d values for %d options; write one for each"
                              % (place, self.path, len(values), len(self.names)))
        self.lines = [values for _, values in rows[1:]]
        for values in self.lines:
            if self.lines.count(values) > 1:
                raise Mistake(65, "'%s' has the line '%s' twice; its runs would be one" % (self.path, " ".join(values)))
        self.trials = len(self.lines)

    # --- ranges: a line for each option ---

    def _read_ranges(self, rows):
        self.ranges, self.trials, seen = [], TRIALS, {}
        for place, words in rows:
            where = "line %d of '%s'" % (place, self.path)
            if len(words) < 3:
                raise Mistake(65, "%s is '%s'; write an option, a kind (%s) and values" % (where, " ".join(words), ", ".join(KINDS)))
            name, kind, values = words[0], words[1], words[2:]
            key = " ".join(words[:2]) if name == "sweep" else name
            if key in seen:
                raise Mistake(65, "%s sets '%s' a second time: line %d has it too; remove one of them" % (where, key, seen[key]))
            seen[key] = place
            if name == "sweep":
                self._set(kind, values, where)
                continue
            _check_name(name, where)
            if kind not in KINDS:
                raise Mistake(65, "%s has no kind '%s'; write one of %s" % (where, kind, ", ".join(KINDS)))
            if kind == "fixed":
                self.fixed.append((name, " ".join(values)))
            elif kind == "rungs":
                self._set_rungs(name, values, where)
            else:
                self.ranges.append(Range(name, kind, values, where))
        if not self.ranges:
            raise Mistake(65, "'%s' has no range, so all its trials would be one; write one of %s" % (self.path, ", ".join(KINDS[:4])))
        self.names = [option.name for option in self.ranges]

    def _set(self, name, values, where):
        least = {"trials": 1, "seed": 0, "eta": 2}
        if name not in SETTINGS or len(values) != 1 or not re.match(r"\d{1,9}$", values[0]) or int(values[0]) < least[name]:
            raise Mistake(65, "bad setting 'sweep %s %s' in %s; write sweep trials, seed or eta and a number (trials from 1, eta "
                          "from 2 on)" % (name, " ".join(values), where))
        setattr(self, name, int(values[0]))

    def _set_rungs(self, name, values, where):
        numbers = [int(value) for value in values if re.match(r"[1-9]\d{0,14}$", value)]
        if name not in EXTENTS or self.extent or len(numbers) != len(values) or numbers != sorted(set(numbers)):
            raise Mistake(65, "bad rungs '%s %s' in %s; write epochs or max-steps once, and whole numbers that ascend"
                          % (name, " ".join(values), where))
        self.extent, self.rungs = name, numbers

    # --- what a trial is ---

    def of_ranges(self):
        return self.ranges is not None

    def share(self, rung):
        """One in so many trials goes on from a rung: eta, by default what the next rung is to this one, at least 2."""
        return self.eta or max(2, round(self.rungs[rung + 1] / self.rungs[rung]))

    def values(self, trial):
        """Of what differs, as text."""
        return [option.draw(self.seed, trial) for option in self.ranges] if self.of_ranges() else self.lines[trial]

    def name(self, trial):
        """The run's directory."""
        if self.of_ranges():
            return "trial-%04d" % trial
        return "_".join("%s-%s" % (name, re.sub(r"[^A-Za-z0-9.+-]", "-", value))
                        for name, value in zip(self.names, self.lines[trial]))

    def words(self, trial, rung):
        """Its options for `unroll train`."""
        pairs = self.fixed + list(zip(self.names, self.values(trial)))
        pairs += [(self.extent, "%d" % self.rungs[rung])] if self.extent else []
        return ["--%s=%s" % pair for pair in pairs]

    def told(self, trial):
        return " ".join("--%s %s" % pair for pair in zip(self.names, self.values(trial)))

    def identity(self):
        """What a sweep that goes on must have again, a line each: all but the number of trials, and but rungs above."""
        if not self.of_ranges():
            return ["list " + " ".join(self.names)]
        lines = ["%s %s %s" % (option.name, option.kind, " ".join(option.words)) for option in self.ranges]
        lines += ["%s fixed %s" % pair for pair in self.fixed] + ["sweep seed %d" % self.seed]
        return sorted(lines) + (["rungs of " + self.extent] if self.extent else [])


def _check_name(name, where):
    if not re.match(r"[a-z][a-z0-9-]*$", name):
        raise Mistake(65, "'%s' in %s is no option; write its name without dashes before it" % (name, where))
    if name in ("run", "json", "json-summary", "branch", "resume"):
        raise Mistake(65, "'%s' in %s is the sweep's own; leave it out" % (name, where))


def _read(path):
    """[(line, words)] of what counts."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = [(place, line.split()) for place, line in enumerate(file, 1) if line.strip() and line.strip()[0] != "#"]
    except (OSError, ValueError) as error:
        raise Mistake(66, "cannot read '%s': %s; write a table: an option, a kind (%s) and values in each line"
                      % (path, getattr(error, "strerror", None) or "it is no text", ", ".join(KINDS)))
    if not rows:
        raise Mistake(65, "'%s' is empty; write an option, a kind (%s) and values in each line" % (path, ", ".join(KINDS)))
    return rows
