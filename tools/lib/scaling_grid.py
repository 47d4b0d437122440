"""The points of a scaling experiment: how each is run, and the file it leaves. tools/scaling-local runs a whole grid on
one machine; tools/scaling-point one point, in a job of an array.

A point is a number of ranks, threads and a way of summing gradients, under `strong` (the same work shared by more
ranks) or `weak` scaling (as much work for each). In the folder of an experiment it leaves

    strong-r004-t01-exact.json       the point: {"format": "unroll-scaling-point", "mode", "ranks", "threads", "reduction",
                                     "batch", "oversubscribed", "bench": what `bench --json` says or null, "train": the
                                     training's summary or null, "run": its folder or null, "failures": [{"what", "status",
                                     "message"}]}
    runs/strong-r004-t01-exact/      the training's run directory
    strong-r004-t01-exact.log        what the programs said

If a program of a point fails or takes too long, the point's file says so, and the other points run all the same.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import run_files
import tool
from tool import Mistake, counted

FORMAT = "unroll-scaling-point"
MODES = ("strong", "weak")
REDUCTIONS = ("exact", "fast")
REPORT_OPTION = {"bench": "--json", "train": "--json-summary"}


class Point:
    def __init__(self, mode, ranks, threads, reduction):
        self.mode, self.ranks, self.threads, self.reduction = mode, ranks, threads, reduction

    def name(self):
        return "%s-r%03d-t%02d-%s" % (self.mode, self.ranks, self.threads, self.reduction)

    def __str__(self):
        return "%s, %s x %s, %s" % (self.mode, counted(self.ranks, "rank"), counted(self.threads, "thread"), self.reduction)


def add_options(parser):
    """Options that are the same for all points of an experiment."""
    parser.add_argument("--unroll", default=tool.default_program(), metavar="PROGRAM",
                        help="(default: as built or installed with this tool)")
    parser.add_argument("--corpus", metavar="FILE", help="real text to train on; without it only the bench runs")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the experiment's folder")
    parser.add_argument("--batch", type=int, default=32, metavar="N",
                        help="lanes: of all ranks together under strong, of each rank under weak scaling (default: %(default)s)")
    parser.add_argument("--bench-steps", type=int, default=0, metavar="N", help="timed steps (default: some seconds)")
    parser.add_argument("--train-steps", type=int, default=200, metavar="N",
                        help="steps of the training; 0: none (default: %(default)s)")
    parser.add_argument("--evaluations", type=int, default=8, metavar="N",
                        help="validations during the training, for time to a perplexity (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="of each program (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="also run the points that are there already")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of the model, for bench and train: -- --hidden 512")


def check_options(args):
    if not os.access(args.unroll, os.X_OK):
        raise Mistake(66, "cannot run '%s': no such program; run 'make' first, or name it with --unroll" % args.unroll)
    if args.corpus and not os.path.exists(args.corpus):
        raise Mistake(66, "cannot open '%s': no such file; make it with 'unroll prepare'" % args.corpus)
    for name in ("batch", "evaluations"):
        if getattr(args, name) < 1:
            raise Mistake(64, "bad value '%d' of --%s; write a number of at least 1" % (getattr(args, name), name))
    tool.make_folder(args.output)
    args.unroll = os.path.abspath(args.unroll)


def vocabulary(args):
    """The --vocab-size of the corpus, so that bench times the model that is trained."""
    if not args.corpus or "--vocab-size" in args.options:
        return []
    done = subprocess.run([args.unroll, "inspect", "--json", args.corpus], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)
    try:
        return ["--vocab-size", str(json.loads(done.stdout)["vocabulary"]["size"])]
    except (ValueError, KeyError, TypeError):
        raise Mistake(65, "cannot read '%s': %s" % (args.corpus, done.stderr.strip() or "it is no corpus"))


def run_program(command, env, limit, log):
    """Runs it: (exit status, the last line that it printed). Whatever it started ends with it."""
    log.write("$ %s\n" % " ".join(map(shlex.quote, command)))
    log.flush()
    start = log.tell()
    try:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    except OSError as error:
        return 127, "cannot run '%s': %s" % (command[0], error.strerror)
    try:
        status = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        status = 124
    except BaseException:
        end_session(process)
        raise
    if status == 124:
        end_session(process)
    with open(log.name, encoding="utf-8", errors="replace") as file:
        file.seek(start)
        said = [line.strip() for line in file if line.strip()]
    told = [line for line in said if line.startswith("unroll: ")]
    message = "stopped after %g s" % limit if status == 124 else (told or said or ["it said nothing"])[-1]
    return (128 - status if status < 0 else status), message


def end_with_signals():
    """On TERM and HUP the tool ends, and with it all programs that it has started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def end_session(process):
    """Sends TERM to the launcher, which passes it to its ranks; 5 s later KILL."""
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=seconds)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def refuse_corpus(args, outputs, run):
    """A point replaces its folder and its files, so the corpus must not be one of them."""
    corpus = os.path.realpath(args.corpus or ".")
    for output in outputs:
        tool.refuse_input(output, [args.corpus])
    if args.corpus and corpus.startswith(os.path.realpath(run) + os.sep):
        raise Mistake(73, "cannot create '%s': '%s', which the command reads, lies in it; choose another folder with -o"
                      % (run, args.corpus))


def run_point(args, point, launcher, env, oversubscribed=False):
    """Runs a point and writes its file. True if all went well, False if something failed, None if the file was there
    already."""
    path = os.path.join(args.output, point.name() + ".json")
    if os.path.exists(path) and not args.again:
        return None
    batch = args.batch * (point.ranks if point.mode == "weak" else 1)
    run = os.path.join("runs", point.name())
    refuse_corpus(args, [path, os.path.join(args.output, point.name() + ".log")], os.path.join(args.output, run))
    shutil.rmtree(os.path.join(args.output, run), ignore_errors=True)
    common = ["--batch", str(batch), "--threads", str(point.threads), "--reduction", point.reduction] + args.options
    result = {"format": FORMAT, "mode": point.mode, "ranks": point.ranks, "threads": point.threads,
              "reduction": point.reduction, "batch": batch, "oversubscribed": oversubscribed, "bench": None, "train": None,
              "run": None, "failures": []}
    with open(os.path.join(args.output, point.name() + ".log"), "w", encoding="utf-8", errors="shown") as log:
        def program(what, words):
            report = os.path.join(args.output, ".%s.%s.json" % (point.name(), what))  # where all nodes see it
            status, message = run_program(launcher + [args.unroll] + words + [REPORT_OPTION[what], report], env, args.limit, log)
            value = run_files.read_json(report) if os.path.exists(report) else None
            if os.path.exists(report):
                os.remove(report)
            if status != 0:
                result["failures"].append({"what": what, "status": status, "message": message})
            return value if status == 0 else None

        bench = ["bench", "--network"] + common + vocabulary(args)
        result["bench"] = program("bench", bench + (["--steps", str(args.bench_steps)] if args.bench_steps else []))
        if args.corpus and args.train_steps > 0:
            every = max(1, args.train_steps // args.evaluations)
            result["train"] = program("train", [
                "train", "--corpus=" + args.corpus, "--run=" + os.path.join(args.output, run), "--resume", "never", "--max-steps",
                str(args.train_steps), "--eval-every", str(every), "--log-every", str(max(1, every // 5)), "--checkpoint-every",
                str(max(args.train_steps, 1000)), "--keep", "1"] + common)
            result["run"] = run if os.path.exists(os.path.join(args.output, run, "metrics.jsonl")) else None
    tool.write_text(path, json.dumps(result, indent=1) + "\n")
    for failure in result["failures"]:
        print("  failed: %s ended with %d: %s" % (failure["what"], failure["status"], failure["message"]), file=sys.stderr)
    return not result["failures"]


def numbers(text, option):
    try:
        values = [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise Mistake(64, "bad value '%s' of %s; write numbers with commas between, such as 1,2,4" % (text, option))
    return sorted(set(values))


def choices(text, option, known):
    values = text.replace(",", " ").split()
    for value in values:
        if value not in known:
            raise Mistake(64, "bad value '%s' of %s; write %s" % (value, option, " or ".join(known)))
    if not values:
        raise Mistake(64, "bad value '' of %s; write %s" % (option, " or ".join(known)))
    return [value for value in known if value in values]
