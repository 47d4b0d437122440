"""What the tools that measure speed share: the settings A to H, running `unroll bench`, medians, tables."""

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

import launch
import tool
from tool import Mistake


def setting(cell, layers, hidden, vocab_size, batch, bptt):
    return dict(cell=cell, layers=layers, embedding=hidden, hidden=hidden, tied=False, vocab_size=vocab_size,
                batch=batch, bptt=bptt, dropout=0.0, optimizer="sgd", clip=5.0)


# From character models to the sizes of the papers: A, B char-rnn; C, D Zaremba et al. 2014; G, H Mikolov et al. 2010.
SETTINGS = {
    "A": setting("lstm", 2, 128, 65, 50, 50),
    "B": setting("lstm", 2, 512, 65, 50, 50),
    "C": setting("lstm", 2, 650, 10000, 20, 35),
    "D": setting("lstm", 2, 1500, 10000, 20, 35),
    "E": setting("lstm", 1, 1024, 10000, 64, 64),
    "F": setting("gru", 1, 512, 10000, 32, 35),
    "G": setting("rnn-tanh", 1, 100, 8000, 32, 25),
    "H": setting("rnn-tanh", 1, 100, 8000, 1, 25),
}


def describe(options):
    return "%s %dx%d, V %d, B %d, T %d" % (options["cell"], options["layers"], options["hidden"], options["vocab_size"],
                                          options["batch"], options["bptt"])


# ---- precisions: options that stand beside a setting's; none of them is float32 ----

ORDERS = ("tile", "pair", "host")


def add_precisions(parser):
    parser.add_argument("--precision", default="float32", metavar="LIST",
                        help="float32, bf16, or float32,bf16 in one run (default: %(default)s)")
    parser.add_argument("--bf16-order", default="host", metavar="LIST",
                        help="of bf16: host, this machine's fastest; tile; pair; or several (default: %(default)s)")


def precisions(args):
    """A dict of options for each precision, and for each order of bf16."""
    chosen = []
    for name in choose_words(args.precision, ("float32", "bf16"), "--precision"):
        chosen += [{}] if name == "float32" else [{"precision": "bf16", "bf16_order": order}
                                                  for order in choose_words(args.bf16_order, ORDERS, "--bf16-order")]
    return chosen


def choose_words(text, known, option):
    words = text.split(",")
    if len(set(words)) < len(words) or not set(words) <= set(known):
        raise Mistake(64, "bad value '%s' of %s; choose from %s" % (text, option, ",".join(known)))
    return words


def is_bf16(options):
    return options.get("precision") == "bf16"


def precision_of(options, result):
    """The precision as a person reads it, with what `unroll bench` says of order and unit."""
    if not is_bf16(options):
        return "float32"
    order = result.get("model", options)["bf16_order"]
    return "bf16 (%s)" % ", ".join([order, result["unit"]] if "unit" in result else [order])


def step_flops(options, bptt):
    """6 for each weight and token, as `unroll bench` counts them."""
    gates = {"lstm": 4, "gru": 3}.get(options["cell"], 1)
    H, below = options["hidden"], options["embedding"] + (options["layers"] - 1) * options["hidden"]
    weights = gates * H * (below + options["layers"] * H) + options["vocab_size"] * H
    return 6.0 * weights * options["batch"] * bptt


def find_unroll(path):
    if not os.access(path, os.X_OK):
        raise Mistake(66, "cannot run '%s': no such program; run 'make' first, or name it with --unroll" % path)
    return os.path.abspath(path)


def version_of(unroll):
    """Its first line of --version."""
    done = subprocess.run([unroll, "--version"], env=environment(1), stdout=subprocess.PIPE, universal_newlines=True)
    return done.stdout.split("\n")[0]


def arguments(options):
    """The options as the program takes them."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [flag] if value else []
        elif not (name == "clip" and value == 0):
            words += [flag, "%.17g" % value if isinstance(value, float) else str(value)]
        else:
            words += ["--clip", "none"]
    return words


def launcher(ranks, threads):
    """mpirun with each rank on cores of its own; $MPIRUN replaces it (`-n RANKS` is appended)."""
    if ranks == 1:
        return []
    default = "mpirun --map-by slot:PE=%d" % threads
    return shlex.split(os.environ.get("MPIRUN", default)) + ["-n", str(ranks)]


def environment(threads):
    return launch.environment("launch_here", OMP_NUM_THREADS=str(threads))


def run_json(command, env, path, what):
    """Runs a command that writes a JSON object to `path`, and returns it; ends the tool if the command fails."""
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise Mistake(70 if done.returncode < 0 else done.returncode,
                      "%s failed with status %d: %s" % (what, done.returncode, " ".join(map(shlex.quote, command))))
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def run_bench(unroll, options, ranks, threads, steps=0, reduction="exact"):
    """One `unroll bench`: its JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bench.json")
        command = launcher(ranks, threads) + [unroll, "bench"] + arguments(options)
        command += ["--threads", str(threads), "--reduction", reduction, "--json", path]
        if steps:
            command += ["--steps", str(steps)]
        return run_json(command, environment(threads), path, "'unroll bench'")


def median(values):
    return statistics.median(values)


def ratio(above, below, key="tokens_per_second"):
    """The median of the ratios within rounds."""
    return median([a[key] / b[key] for a, b in zip(above, below)])


def processor():
    """The name of the processor, "" if the kernel does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return ""


def host():
    """What the figures were measured on."""
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}


def head_line(host, unroll, rounds):
    """What was measured, on what: `host` as it was before."""
    return ("%s, %d cores; %s; medians of %d rounds; load before: %.1f" %
            (host["processor"] or "?", host["cores"], version_of(unroll), rounds, host["load"]))


def table_head(header):
    """The first column to the left, numbers to the right."""
    return table_row(header) + "\n|---|" + "---:|" * (len(header) - 1)


def table_row(cells):
    return "| " + " | ".join(cells) + " |"


def table(header, rows):
    """A Markdown table."""
    return "\n".join([table_head(header)] + [table_row(row) for row in rows])


def refuse_input(path, inputs):
    """Checks the file for --json, which may be None. It cannot be standard output, where the table goes."""
    if path == "-":
        raise Mistake(78, "cannot write '-' for --json: standard output has the table; name a file")
    tool.refuse_input(path or "-", inputs)


def write_json(path, value):
    tool.write_text(path, json.dumps(value, indent=1) + "\n")


def append_json(path, value):
    """Appends one line of JSON."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise Mistake(73, "cannot write '%s': %s; name another file with --json" % (path, error.strerror))


def choose_settings(text):
    chosen = [name for name in text.replace(",", "").upper()]
    unknown = [name for name in chosen if name not in SETTINGS]
    if unknown or not chosen:
        raise Mistake(64, "unknown setting '%s'; use letters of %s" % ("".join(unknown), "".join(SETTINGS)))
    return chosen


def numbers(text):
    try:
        values = [int(word) for word in text.split(",") if word]
    except ValueError:
        values = []
    if any(value < 1 for value in values):
        values = []
    if not values and text not in ("", "0"):
        raise Mistake(64, "bad value '%s'; write numbers with commas between, such as 1,2" % text)
    return values
