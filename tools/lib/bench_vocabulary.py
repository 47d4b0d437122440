"""`tools/benchmark --vocabulary`: training steps of each output layer, by size of the vocabulary."""

import json
import os
import subprocess
import sys
import tempfile

import bench
from tool import Mistake

LAYERS = ("full", "adaptive", "sampled", "nce")
SAMPLES = 1000
MODEL = dict(cell="lstm", layers=1, embedding=256, hidden=256, batch=32, bptt=35, dropout=0.0, clip=5.0)
SLOW = 3  # timed steps of the full softmax where a step takes seconds
SLOW_VOCABULARY = 100000
TEXT_STEPS = {"full": 20}  # of a training on text; the others take 100
TEXT_VOCABULARY = 44000


def add_arguments(parser):
    parser.add_argument("--vocabulary", action="store_true", help="measure output layers by size of the vocabulary instead")
    parser.add_argument("--vocab-sizes", default="44000,267000,793000", metavar="LIST", help="(default: %(default)s)")
    parser.add_argument("--output-layers", default=",".join(LAYERS), metavar="LIST", help="the first one is what the others are "
                        "compared with (default: %(default)s)")
    parser.add_argument("--ranks-at", default="267000", metavar="LIST", help="sizes at which ranks are measured, too (default: "
                        "%(default)s)")
    parser.add_argument("--optimizers", default="sgd", metavar="LIST", help="such as sgd,adam (default: %(default)s)")
    parser.add_argument("--text", metavar="FILE", help="also train on it, at %d words, such as that of tools/get-corpus docs"
                        % TEXT_VOCABULARY)


def options_of(layer, V, optimizer):
    options = dict(MODEL, vocab_size=V, optimizer=optimizer)
    if layer != "full":
        options["output_layer"] = layer
    if layer in ("sampled", "nce"):
        options["samples"] = min(SAMPLES, V // 4)
    return options


def measure(args, unroll, layer, V, optimizer, ranks):
    print("  %s, V %d, %s, %d x 1" % (layer, V, optimizer, ranks), file=sys.stderr, flush=True)
    steps = args.steps or (SLOW if layer == "full" and V > SLOW_VOCABULARY else 0)
    return bench.run_bench(unroll, options_of(layer, V, optimizer), ranks, 1, steps)


# ---- a text ----

def prepare(unroll, text, folder):
    """No validation text: the trainings only take steps."""
    corpus = os.path.join(folder, "corpus.h5")
    done = subprocess.run([unroll, "prepare", "--level", "word", "--vocab-size", str(TEXT_VOCABULARY), "--train", text, "-o", corpus],
                          env=bench.environment(1), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True,
                          check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise Mistake(done.returncode, "cannot prepare '%s'; see above" % text)
    return corpus


def train(args, unroll, corpus, layer, optimizer):
    """Training tokens a second: the median of parts of the training, without the first."""
    print("  %s, text, %s" % (layer, optimizer), file=sys.stderr, flush=True)
    steps = max(5, args.steps or TEXT_STEPS.get(layer, 100))
    options = options_of(layer, TEXT_VOCABULARY, optimizer)
    del options["vocab_size"]
    if "samples" in options:
        options["samples"] = min(SAMPLES, vocabulary_of(unroll, corpus) // 4)
    with tempfile.TemporaryDirectory() as folder:
        command = [unroll, "train", "--corpus", corpus, "--run", folder + "/run", "--threads", "1", "--max-steps", str(steps),
                   "--log-every", str(steps // 5), "--schedule", "constant"]
        summary = bench.run_json(command + bench.arguments(options) + ["--json-summary", folder + "/summary"],
                                 bench.environment(1), folder + "/summary", "'unroll train'")
        with open(folder + "/run/timing.jsonl", encoding="utf-8") as file:
            lines = [line for line in map(json.loads, file) if line["type"] == "train"]
    return {"tokens_per_second": bench.median([line["tokens_per_second"] for line in lines[1:]]),
            "train_loss": summary["train_loss"], "steps": steps}


def vocabulary_of(unroll, corpus):
    done = subprocess.run([unroll, "inspect", "--json", corpus], env=bench.environment(1), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["vocabulary"]["size"]


# ---- tables ----

def speed(runs):
    value = bench.median([run["tokens_per_second"] for run in runs])
    return "%.0f" % value if value >= 100 else "%.1f" % value


def speed_table(found, layers, places, optimizer):
    """Rows: sizes and the text; columns: layers. `places` are pairs of a size, or "text", and a number of ranks."""
    header = ["tokens/s, " + optimizer, layers[0]] + [word for layer in layers[1:] for word in (layer, "against " + layers[0])]
    rows = []
    for place, name in places:
        runs = [found[place, layer, optimizer] for layer in layers]
        row = [name, speed(runs[0])]
        for mine in runs[1:]:
            row += [speed(mine), "%.1f" % bench.ratio(mine, runs[0])]
        rows.append(row)
    return bench.table(header, rows)


def ranks_table(found, layers, places, optimizer):
    header = ["ranks against one, " + optimizer] + list(layers)
    rows = [["%s, %d ranks" % (name, place[1])] + ["%.2f" % bench.ratio(found[place, layer, optimizer], found[(place[0], 1), layer, optimizer])
                                                   for layer in layers] for place, name in places]
    return bench.table(header, rows)


def memory_table(found, layers, places, optimizer):
    header = ["peak memory, MiB (planned), " + optimizer] + list(layers)
    rows = []
    for place, name in places:
        row = [name]
        for layer in layers:
            peak, planned = (bench.median([run[key] for run in found[place, layer, optimizer]]) / 2**20
                             for key in ("peak_rss_bytes", "planned_bytes"))
            row.append("%.0f (%.0f)" % (peak, planned))
        rows.append(row)
    return bench.table(header, rows)


def measure_rounds(args, unroll, layers, optimizers, sizes, ranks, corpus):
    """Lists over the rounds, by place, layer and optimizer."""
    found = {}
    places = [(V, 1) for V in sizes]
    places += [(V, n) for V in bench.numbers(args.ranks_at) if V in sizes for n in ranks]
    for turn in range(args.rounds):
        print("round %d of %d" % (turn + 1, args.rounds), file=sys.stderr)
        for place in sorted(places):
            for optimizer in optimizers:
                for layer in layers:
                    found.setdefault((place, layer, optimizer), []).append(measure(args, unroll, layer, place[0], optimizer, place[1]))
        for optimizer in optimizers if corpus else []:
            for layer in layers:
                found.setdefault(("text", layer, optimizer), []).append(train(args, unroll, corpus, layer, optimizer))
    return found, places


def run(args, unroll):
    layers = bench.choose_words(args.output_layers, LAYERS, "--output-layers")
    optimizers = [word for word in args.optimizers.split(",") if word]
    sizes, ranks = bench.numbers(args.vocab_sizes), [n for n in bench.numbers(args.ranks) if n > 1]
    if args.rounds < 1 or args.steps < 0 or not optimizers or not (sizes or args.text):
        raise Mistake(64, "nothing to measure; give --rounds, --vocab-sizes and --optimizers")
    host = bench.host()
    with tempfile.TemporaryDirectory() as folder:
        corpus = prepare(unroll, args.text, folder) if args.text else None
        text = [("text", "text, V %d" % vocabulary_of(unroll, corpus))] if corpus else []
        found, places = measure_rounds(args, unroll, layers, optimizers, sizes, ranks, corpus)
    print(bench.head_line(host, unroll, args.rounds))
    print("LSTM 1 x %(hidden)d, %(batch)d lanes, windows of %(bptt)d, one thread for each rank." % MODEL)
    ones = [(place, "V %d" % place[0]) for place in places if place[1] == 1]
    more = [(place, "V %d" % place[0]) for place in places if place[1] > 1]
    for optimizer in optimizers:
        print("\n" + speed_table(found, layers, ones + text, optimizer))
        if more:
            print("\n" + ranks_table(found, layers, more, optimizer))
        if ones:
            print("\n" + memory_table(found, layers, ones, optimizer))
    if args.json:
        names = ("place", "layer", "optimizer")
        bench.write_json(args.json, {"host": host, "rounds": args.rounds, "measurements": [
            dict(zip(names, key), runs=value) for key, value in found.items()]})
