"""`tools/benchmark --cells`: training steps of other cells beside the LSTM, each as wide as the LSTM's parameters allow."""

import json
import subprocess
import sys

import bench
from tool import Mistake, counted

CELLS = ("lstm", "gru", "mingru", "qrnn", "sru", "mogrifier")
# Words as in setting C; and few lanes, where a recurrent product has two rows.
PLACES = {"C": bench.SETTINGS["C"], "2 lanes": dict(bench.SETTINGS["C"], vocab_size=65, batch=2, bptt=100)}


def add_arguments(parser):
    parser.add_argument("--cells", action="store_true", help="measure cells of as many parameters as the LSTM of setting C, "
                        "and at 2 lanes of 65 characters, instead")
    parser.add_argument("--cell-list", default=",".join(CELLS), metavar="LIST", help="the first one is what the others are "
                        "compared with (default: %(default)s)")


def as_wide(options, cell, width):
    return dict(options, cell=cell, hidden=width, embedding=width)


def parameters(unroll, options):
    model = {name: options[name] for name in ("cell", "layers", "hidden", "embedding", "vocab_size")}
    done = subprocess.run([unroll, "plan", "--json"] + bench.arguments(model), env=bench.environment(1),
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["parameters"]


def widest(unroll, options, cell, limit):
    """Options with the cell and the greatest width that takes no more parameters, and how many it takes."""
    low, high = 1, 4 * options["hidden"]
    while high - low > 1:
        middle = (low + high) // 2
        if parameters(unroll, as_wide(options, cell, middle)) <= limit:
            low = middle
        else:
            high = middle
    found = as_wide(options, cell, low)
    return found, parameters(unroll, found)


def choose(unroll, cells):
    """(options, parameters) by place and cell."""
    chosen = {}
    for place, options in PLACES.items():
        limit = parameters(unroll, dict(options, cell=cells[0]))
        for cell in cells:
            chosen[place, cell] = widest(unroll, options, cell, limit)
    return chosen


def measure_rounds(args, unroll, chosen, threads):
    """Lists over the rounds, by place, cell and number of threads."""
    found = {}
    for turn in range(args.rounds):
        print("round %d of %d" % (turn + 1, args.rounds), file=sys.stderr)
        for (place, cell), (options, _) in chosen.items():
            for n in threads:
                print("  %s: %s, %d x 1" % (place, cell, n), file=sys.stderr, flush=True)
                found.setdefault((place, cell, n), []).append(bench.run_bench(unroll, options, 1, n, args.steps))
    return found


def speed_table(found, chosen, place, cells, threads):
    header = ["%s: V %%(vocab_size)d, B %%(batch)d, T %%(bptt)d" % place % PLACES[place], "parameters"]
    for n in threads:
        header += [counted(n, "thread") + ", tokens/s", "against " + cells[0], "of sgemm"]
    rows = []
    for cell in cells:
        options, size = chosen[place, cell]
        row = ["%(cell)s %(layers)d x %(hidden)d" % options, "%.2f M" % (size / 1e6)]
        for n in threads:
            runs = found[place, cell, n]
            row += ["%.0f" % bench.median([run["tokens_per_second"] for run in runs]),
                    "%.2f" % bench.ratio(runs, found[place, cells[0], n]),
                    "%.2f" % bench.median([run["fraction_of_sgemm"] for run in runs])]
        rows.append(row)
    return bench.table(header, rows)


def run(args, unroll):
    cells, threads = bench.choose_words(args.cell_list, CELLS, "--cell-list"), bench.numbers(args.threads)
    if args.rounds < 1 or args.steps < 0 or not threads:
        raise Mistake(64, "nothing to measure; give --rounds and --threads of at least 1")
    host, chosen = bench.host(), choose(unroll, cells)
    found = measure_rounds(args, unroll, chosen, threads)
    print(bench.head_line(host, unroll, args.rounds))
    for place in PLACES:
        print("\n" + speed_table(found, chosen, place, cells, threads))
    if args.json:
        names = ("place", "cell", "threads")
        bench.write_json(args.json, {"host": host, "rounds": args.rounds, "measurements": [
            dict(zip(names, key), runs=value) for key, value in found.items()]})
