"""What a sweep has found: all trials, the best at each rung, what each option does to the validation loss, and pictures.
The test text is never looked at: whoever chooses by it has none left."""

import os

import charts
import run_files
import tool
from tool import Mistake

FEW = 5  # trials of a rung from which an option's effect is told


class Trial:
    """state    waiting, begun, why its run ended, or "failed N"
    losses   {rung: validation loss}        run   run_files.Run of the last rung, or None"""

    def __init__(self, number, table):
        self.number, self.table, self.name, self.values = number, table, table.name(number), table.values(number)
        self.losses, self.line, self.failure, self.run, self.state = {}, {}, None, None, "waiting"

    def rung(self):
        return max(self.losses, default=None)

    def read(self, runs):
        """Looks at its run directory."""
        path = os.path.join(runs, self.line.get("run", self.name))
        if os.path.exists(os.path.join(path, "metrics.jsonl")):
            self.state = "begun"
            try:
                self.run = run_files.Run(path)
            except Mistake:
                pass
        if self.run and self.run.end:
            self.state = self.run.end.get("why", "finished")
        if self.failure:
            self.state = "failed %d" % self.failure["status"]

    def best(self):
        """(loss, step): where it came to a rung, there; else where its run stands."""
        if self.losses:
            return self.losses[self.rung()], self.line.get("at_step")
        best = self.run.best() if self.run else None
        return (best["loss"], best["step"]) if best else None

    def seconds(self):
        return self.run.timing[-1]["clock"] if self.run and self.run.timing else None


def read_trials(table, state, runs):
    trials = [Trial(number, table) for number in range(table.trials)]
    for line in state.lines() if state.exists() else []:
        if not isinstance(line.get("trial"), int) or not 0 <= line["trial"] < len(trials):
            continue
        trial = trials[line["trial"]]
        if line["type"] == "result" and run_files.number(line.get("loss")) is not None:
            trial.losses[line["rung"]] = line["loss"]
            if line["rung"] == trial.rung():
                trial.line = line
        elif line["type"] == "failed":
            trial.failure = line
    for trial in trials:
        trial.read(runs)
    return trials


def results_text(table, trials):
    """Tab-separated, a line a trial: its options, state, steps, loss, speed, directory."""
    texts = any(trial.run and trial.run.classifies() for trial in trials)
    lines = [table.names + ["state", "steps", "valid_loss", "at_step", "seconds",
                            "texts_per_second" if texts else "tokens_per_second", "run"]]
    for trial in trials:
        best, seconds = trial.best(), trial.seconds()
        rates = sorted(rate for _, rate in trial.run.speeds()) if trial.run else []
        lines.append(trial.values + [trial.state, "%d" % trial.run.last_step()["step"] if trial.run else "-"]
                     + (["%.6f" % best[0], "%d" % best[1]] if best else ["-", "-"])
                     + ["%.0f" % seconds if seconds is not None else "-", "%.0f" % rates[len(rates) // 2] if rates else "-",
                        trial.line.get("run", trial.name)])
    return "".join("\t".join(line) + "\n" for line in lines)


# --- the best, and effects ---

def at_rung(trials, rung):
    """Those with a result there, the best first."""
    return sorted((trial for trial in trials if rung in trial.losses), key=lambda trial: (trial.losses[rung], trial.number))


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def told_rung(table, rung):
    return tool.counted(table.rungs[rung], "epoch" if table.extent == "epochs" else "step") if table.extent else "all"


def best_table(table, trials):
    rows = []
    for rung in range(len(table.rungs)):
        found = at_rung(trials, rung)
        if found:
            rows.append([told_rung(table, rung), "%d" % len(found), "%.4f" % found[0].losses[rung], found[0].name,
                         "`%s`" % table.told(found[0].number)])
    return markdown(["after", "trials", "best validation loss", "run", "options"], rows) if rows else ""


def ranks(values):
    """Ranks from 0, ties share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    result, begin = [0.0] * len(values), 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for k in range(begin, end + 1):
            result[order[k]] = (begin + end) / 2
        begin = end + 1
    return result


def rank_correlation(xs, ys):
    """Spearman's; None where one side does not vary."""
    xs, ys = ranks(xs), ranks(ys)
    middle = (len(xs) - 1) / 2
    above = sum((x - middle) * (y - middle) for x, y in zip(xs, ys))
    below = (sum((x - middle) ** 2 for x in xs) * sum((y - middle) ** 2 for y in ys)) ** 0.5
    return above / below if below > 0 else None


def _numbers(column):
    try:
        return [float(value) for value in column]
    except ValueError:
        return None


def means(column, losses):
    """[(what, mean loss)]: of each value where there are few, else of the thirds of the trials by value."""
    numbers = _numbers(column)
    distinct = sorted(set(column), key=float if numbers else None)
    if len(distinct) <= 6 or numbers is None:
        groups = [(value, [loss for other, loss in zip(column, losses) if other == value]) for value in distinct]
    else:
        pairs = sorted(zip(numbers, losses))
        cuts = [len(pairs) * k // 3 for k in range(4)]
        groups = [("%.3g to %.3g" % (pairs[a][0], pairs[b - 1][0]), [loss for _, loss in pairs[a:b]])
                  for a, b in zip(cuts, cuts[1:])]
    return [(name, sum(group) / len(group)) for name, group in groups]


def effects(table, trials, rung):
    """[(option, rank correlation or None, means)] among the trials of a rung; the strongest first."""
    found = at_rung(trials, rung)
    losses = [trial.losses[rung] for trial in found]
    rows = []
    for place, name in enumerate(table.names if len(found) >= FEW else []):
        column = [trial.values[place] for trial in found]
        numbers = _numbers(column)
        rows.append((name, rank_correlation(numbers, losses) if numbers else None, means(column, losses)))
    return sorted(rows, key=lambda row: -max(mean for _, mean in row[2]) + min(mean for _, mean in row[2]))


def effect_tables(table, trials):
    text = ""
    for rung in range(len(table.rungs)):
        rows = [[name, "-" if correlation is None else "%+.2f" % correlation,
                 ", ".join("%s: %.4f" % mean for mean in groups)] for name, correlation, groups in effects(table, trials, rung)]
        if rows:
            text += "\n" + markdown(["option, after " + told_rung(table, rung), "rank correlation with loss",
                                     "mean validation loss by value"], rows)
    return text


def failure_table(trials):
    rows = [[trial.name, "%s" % trial.failure["status"], trial.failure.get("message") or "-", "`%s`" % trial.table.told(trial.number)]
            for trial in trials if trial.failure]
    return "\n" + markdown(["failed", "status", "message", "options"], rows) if rows else ""


def report(table, trials):
    return best_table(table, trials) + effect_tables(table, trials) + failure_table(trials)


# --- pictures ---

def curves(table, trials):
    """Validation loss over the steps: a colour for each rung to which trials came, the best of all above them."""
    shown = [trial for trial in trials if trial.run]
    best = min((trial for trial in shown if trial.best()), key=lambda trial: (-(trial.rung() or 0), trial.best()[0]), default=None)
    lines = []
    for trial in shown:
        points = [(line["step"], line["loss"]) for line in trial.run.validated()
                  if run_files.number(line.get("loss")) is not None and run_files.number(line.get("step")) is not None]
        rung = trial.rung() or 0
        if trial is best:
            lines.append(charts.Line(trial.name, points, 0, charts.DOTTED))
        else:
            lines.append(charts.Line("to " + told_rung(table, rung) if table.extent else "others", points, 1 + rung, charts.THIN))
    texts = any(trial.run.classifies() for trial in shown)
    return charts.Chart("Validation loss of the trials", "nats per %s, logarithmic" % ("text" if texts else "token"), "step", lines,
                        x_log=True, y_log=True, praised=[best.name] if best else [])


def effect_pictures(table, trials):
    """{option: picture}: a dot for each trial of the first rung; those that went on in other colours."""
    pictures, found = {}, at_rung(trials, 0)
    for place, option in enumerate(table.ranges or []):
        if not option.numbers() or len(found) < FEW:
            continue
        lines = [charts.Line("went on to " + told_rung(table, trial.rung()) if trial.rung() else "ended there",
                             [(float(trial.values[place]), trial.losses[0])], trial.rung(), charts.DOTTED)
                 for trial in sorted(found, key=lambda trial: trial.rung())]
        pictures[option.name] = charts.Chart("Effect of --%s" % option.name, "validation loss after %s" % told_rung(table, 0),
                                             option.name, lines, x_log=option.kind == "log")
    return pictures
