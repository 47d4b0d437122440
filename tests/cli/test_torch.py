#!/usr/bin/env python3
"""tools/unroll_torch.py against Unroll itself: the same logits after every token for all cells, tied and not, and weights that
PyTorch changed on the way back. Needs Debian's python3-torch; without it the test is passed over (69)."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import torch
except ImportError:
    other = subprocess.run([ROOT / "tools/find-python", "torch", "h5py", "numpy"], stdout=subprocess.PIPE, text=True)
    if other.returncode:
        sys.exit(69)
    os.execv(other.stdout.strip(), [other.stdout.strip(), *sys.argv])
import h5py  # noqa: E402
import unroll_torch  # noqa: E402

UNROLL = os.path.abspath(os.environ.get("UNROLL", "build/unroll"))
BUILD = pathlib.Path(UNROLL).parent
TOLERANCE = 1e-5  # of float32: logits of size one, sums of some hundred terms
TEXT = "the rank carries a window.\nsome state follows that lane.\nthis gate sums the step.\n"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300 * int(os.environ.get("PATIENCE", "1")), **options)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def build_logits():
    # As the Makefile links a program; the sanitizers' flags are those of this build.
    flags = ["-fsanitize=address,undefined"] if "UNROLL_TEST_SHORT" in os.environ else []
    libs = run("make", "-s", "libs", cwd=ROOT).split()
    run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-fopenmp", *flags, f"-I{ROOT}/include", "-o", "logits",
        ROOT / "tests/cli/logits.c", BUILD / "libunroll.a", *libs)


def prepare(level):
    pathlib.Path("text.txt").write_text(TEXT * 30)
    run(UNROLL, "prepare", "--level", level, "--train", "text.txt", "--split", "80,10,10", "-o", f"{level}.h5")


def train(name, level, *options):
    run(UNROLL, "train", "--corpus", f"{level}.h5", "--run", name, "--batch", "4", "--bptt", "12", "--max-steps", "30",
        "--lr", "0.02", "--threads", "1", *options)
    return f"{name}/best.h5"


def largest_difference(path):
    """Between the logits of both sides after each of 60 random tokens, two line ends among them."""
    model = unroll_torch.load(path)
    draw = random.Random(7)
    tokens = [draw.randrange(len(model.tokens)) for _ in range(60)]
    tokens[20] = tokens[40] = model.tokens.index("\n")
    ours = torch.tensor([[float(x) for x in line.split()] for line in run("./logits", path, *tokens).splitlines()])
    with torch.no_grad():
        theirs, _ = model(torch.tensor(tokens).unsqueeze(1))
    assert ours.shape == theirs[:, 0].shape, (ours.shape, theirs.shape)
    assert ours.std() > 0.1, "an untrained model would agree with anything"
    return (ours - theirs[:, 0]).abs().max().item()


def check_scores(path, level):
    """`score` of a line, and the README's way to it in PyTorch."""
    model = unroll_torch.load(path)
    line = TEXT.splitlines()[0]
    printed = run(UNROLL, "score", "--model", path, "--per-token", "--format", "json", input=line + "\n")
    ours = [token["log_probability"] for token in json.loads(printed)["per_token"]]
    tokens = torch.tensor(model.encode("\n" + line + "\n")).unsqueeze(1)
    with torch.no_grad():
        logits, _ = model(tokens[:-1])
    theirs = logits.log_softmax(-1).gather(-1, tokens[1:].unsqueeze(-1)).flatten().tolist()
    assert len(ours) == len(theirs), (level, ours, theirs)
    assert max(abs(a - b) for a, b in zip(ours, theirs)) < TOLERANCE, (level, ours, theirs)


def check_way_back(path):
    """A step of PyTorch's optimizer, and the changed weights in Unroll."""
    model = unroll_torch.load(path)
    tokens = torch.tensor(model.encode(TEXT)).unsqueeze(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logits, _ = model(tokens[:-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten()).backward()
    optimizer.step()
    unroll_torch.save(model, "torch.h5")
    told = run(UNROLL, "import", "--from", "hdf5", "torch.h5", "--vocab-from", path, "-o", "back.h5")
    assert model.cell in told, told
    assert largest_difference("back.h5") < TOLERANCE
    again = unroll_torch.load("back.h5").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())
    with h5py.File(path) as trained, h5py.File("back.h5") as back:  # so that eval cuts texts as training did
        assert all(trained["progress"].attrs[name] == back["progress"].attrs[name] for name in ("batch", "bptt", "lane_groups"))


def check_classifier(pool):
    """Probabilities of all labels, for one text after the other."""
    lines = TEXT.splitlines()
    pathlib.Path("kinds.tsv").write_text("".join(f"{line.split()[0]}\t{line}\n" for line in lines) * 20)
    run(UNROLL, "prepare", "--labelled", "--level", "word", "--train", "kinds.tsv", "--split", "80,20", "-o", "kinds.h5")
    run(UNROLL, "train", "--task", "classify", "--pool", pool, "--corpus", "kinds.h5", "--run", f"kinds-{pool}",
        "--hidden", "12", "--batch", "6", "--max-steps", "20", "--threads", "1")
    path = f"kinds-{pool}/best.h5"
    model = unroll_torch.load(path)
    for line in lines:
        told = run(UNROLL, "classify", "--all", "--format", "json", "--model", path, input=line + "\n")
        ours = json.loads(told)["probabilities"]
        with torch.no_grad():
            logits, _ = model(torch.tensor(model.encode(line + "\n")).unsqueeze(1))
        theirs = dict(zip(model.labels, logits[0].softmax(-1).tolist()))
        assert ours.keys() == theirs.keys(), (ours, theirs)
        assert all(abs(ours[label] - theirs[label]) < TOLERANCE for label in ours), (pool, line, ours, theirs)


def main():
    build_logits()
    for level in ("char", "word", "byte"):
        prepare(level)
    for cell in unroll_torch.CELLS:
        for tied in (False, True):
            widths = ["--embedding", "20"] if tied else ["--embedding", "13"]
            path = train(f"{cell}-{tied}", "char", "--cell", cell, "--hidden", "20", *widths, *(["--tied"] if tied else []))
            difference = largest_difference(path)
            print(f"{cell}, {'tied' if tied else 'untied'}: logits differ by {difference:.1e}")
            assert difference < TOLERANCE, path  # a NaN is not below it
            check_way_back(path)
    for cell in unroll_torch.CELLS:
        path = train(f"{cell}-widths", "char", "--cell", cell, "--hidden", "20,9,13", "--embedding", "13", "--tied", "--reset-at",
                     "eos" if cell == "gru" else "none", "--dropout", "0.1", "--dropout-input", "0.3", "--dropout-hidden", "0")
        model = unroll_torch.load(path)
        assert isinstance(model.rnn, unroll_torch.Layers) and "rnn.weight_ih_l2" in model.state_dict()
        assert (model.drop_input.p, model.rnn.between, model.drop.p) == (0.3, 0.0, 0.1)
        difference = largest_difference(path)
        print(f"{cell}, widths by layer: logits differ by {difference:.1e}")
        assert difference < TOLERANCE, path
        check_way_back(path)
    for cell in ("lstm", "gru", "qrnn", "sru"):
        path = train(f"{cell}-reset", "char", "--cell", cell, "--hidden", "20", "--reset-at", "eos")
        assert unroll_torch.load(path).reset_token > 0
        assert largest_difference(path) < TOLERANCE, path
        check_way_back(path)
    path = train("mogrifier-rank", "char", "--cell", "mogrifier", "--mogrify", "4", "--mogrify-rank", "5", "--hidden", "20",
                 "--reset-at", "eos")
    assert "rnn.mogrify_r4_right_l1" in unroll_torch.load(path).state_dict()
    assert largest_difference(path) < TOLERANCE, path
    check_way_back(path)
    path = train("adaptive", "char", "--output-layer", "adaptive", "--cutoffs", "9,15", "--div", "2.5", "--hidden", "20")
    assert largest_difference(path) < TOLERANCE, path
    check_way_back(path)
    pathlib.Path("list.txt").write_text("<unk>\n\\n\n" + "".join(f"{c}\n" for c in sorted(set(TEXT) - {"\n"}, reverse=True)))
    run(UNROLL, "prepare", "--level", "char", "--vocab-from", "list.txt", "--train", "text.txt", "--split", "80,10,10", "-o",
        "listed.h5")  # ids are not in the order of counts
    path = train("reordered", "listed", "--output-layer", "adaptive", "--cutoffs", "9,15", "--hidden", "20")
    assert "decoder.order" in unroll_torch.load(path).state_dict()
    assert largest_difference(path) < TOLERANCE, path
    check_way_back(path)
    for layer, level, proposal in (("sampled", "listed", "log-uniform"), ("nce", "char", "unigram")):
        path = train(layer, level, "--output-layer", layer, "--proposal", proposal, "--samples", "6", "--hidden", "20")
        model = unroll_torch.load(path)  # computes as a full softmax, and keeps what is not trained
        assert model.output["output_layer"] == layer and model.output["samples"] == "6", model.output
        assert ("decoder.order" if level == "listed" else "decoder.counts") in model.state_dict()
        assert largest_difference(path) < TOLERANCE, path
        check_way_back(path)
    for pool in ("last", "mean", "max"):
        check_classifier(pool)
    for level in ("char", "word", "byte"):
        check_scores(train(level, level, "--hidden", "16", "--layers", "1"), level)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
