#!/usr/bin/env bats
# What the help texts state, against what the program does: how weights start, what a start from another model copies, where the
# learning rate ends, what is said of classifiers.

bats_require_minimum_version 1.5.0
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus book 200
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# says COMMAND TEXT: the help of COMMAND, its lines joined, has TEXT in it.
says() {
    "$UNROLL" "$1" --help | tr -s ' \n' ' ' | grep -qF -- "$2"
}

start() {
    "$UNROLL" train --corpus book.h5 --run "$1" --hidden 12 --layers 1 --batch 4 --bptt 8 --dropout 0 --max-steps 1 --lr 0 \
        --threads 1 "${@:2}" 2>"$1.log"
}

@test "cosine's last step is at --lr-min: of two steps one trains" {
    says train "cosine: it falls to --lr-min, which the last step has (with --lr-min 0 that step changes nothing)"
    start once --schedule cosine --max-steps 2 --lr 0.01 --checkpoint-every 1 --keep 2 --log-every 1
    [ "$(lines_of train once/metrics.jsonl | field lr | paste -sd' ')" = "0.01 0" ]
    first=$("$UNROLL" inspect --json once/checkpoints/step-00000001.h5 | field parameters_digest)
    [ "$first" = "$("$UNROLL" inspect --json once/checkpoints/step-00000002.h5 | field parameters_digest)" ]
    # and so for the others that it names: step falls no lower
    start stepped --schedule step --lr-decay 100 --lr-step 1 --epochs 2 --max-steps 100000 --lr 0.01 --lr-min 0.009 --log-every 1
    [ "$(lines_of train stepped/metrics.jsonl | field lr | sort -u | paste -sd' ')" = "0.009 0.01" ]
}

@test "weights start as --init says" {
    says train "uniform: within 1/sqrt(hidden). orthogonal: recurrent weights orthogonal, biases 0, but 1 for lstm's forget gate."
    for init in uniform orthogonal auto; do
        for cell in lstm rnn-relu gru; do
            start "$init-$cell" --init $init --cell $cell
        done
    done
    python3 - <<'END'
import h5py, numpy as np
H = 12
def model(run):
    with h5py.File(f"{run}/latest") as f:
        return {name: f["model"][name][:] for name in f["model"]}
for init in ("uniform", "orthogonal", "auto"):
    for cell in ("lstm", "rnn-relu", "gru"):
        m = model(f"{init}-{cell}")
        rnn = {name: value for name, value in m.items() if name.startswith("rnn.")}
        for name in ("encoder.weight", "decoder.weight"):
            assert 0.09 < abs(m[name]).max() <= 0.1, (init, cell, name)
        assert not m["decoder.bias"].any()
        recurrent, bias = rnn["rnn.weight_hh_l0"], np.concatenate([rnn["rnn.bias_ih_l0"], rnn["rnn.bias_hh_l0"]])
        if init == "orthogonal":
            for block in recurrent.reshape(-1, H, H):
                assert abs(block @ block.T - np.eye(H)).max() < 1e-5
            assert sorted(set(bias)) == ([0, 1] if cell == "lstm" else [0])
            if cell == "lstm":
                assert (rnn["rnn.bias_ih_l0"][H:2 * H] == 1).all() and bias.sum() == H
        elif init == "auto" and cell == "rnn-relu":
            assert abs(recurrent - 0.9 * np.eye(H)).max() < 1e-6 and not bias.any()
            assert abs(rnn["rnn.weight_ih_l0"]).max() < 0.1
        else:
            bound = 1 / np.sqrt(H)
            for value in rnn.values():
                assert 0.7 * bound < abs(value).max() <= bound * (1 + 1e-6)
END
}

@test "--init-from copies what help names, and nothing else" {
    says train "Copied are its layers and, of every token that both vocabularies have, the embedding; between language models also output weights and bias."
    start from --lr 0.05 --max-steps 9 --seed 7
    tr -d e <book.txt | sed 's/$/#/' >other.txt # a vocabulary without one and with another
    "$UNROLL" prepare --level char --train other.txt --split 80,10,10 -o other.h5 >/dev/null
    start to --corpus other.h5 --init-from from/latest
    start alone --corpus other.h5
    python3 - <<'END'
import h5py
def read(run):
    with h5py.File(f"{run}/latest") as f:
        bytes_, offsets = f["vocab/bytes"][:].tobytes(), f["vocab/offsets"][:]
        words = [bytes_[a:b] for a, b in zip(offsets, offsets[1:])]
        return words, {name: f["model"][name][:] for name in f["model"]}
(known, old), (words, new), (_, drawn) = read("from"), read("to"), read("alone")
assert b"e" in known and b"e" not in words and b"#" in words
for name in new:
    for i in range(len(new[name])):
        if name.startswith("rnn."):
            expected = old[name][i]
        elif words[i] in known:
            expected = old[name][known.index(words[i])]
        else:
            expected = drawn[name][i]
        assert (new[name][i] == expected).all(), (name, i)
END
}

@test "what help says of classifiers is said where there are any" {
    says train "(default: 2, to classify 1)"
    says bench "(default: 2, to classify 1)"
    run -0 "$UNROLL" gradflow --help
    [[ "$output" != *classify* ]]
    # a model that import makes of an exported classifier classifies
    says import "'eval', 'score', 'sample' and 'classify'"
    awk 'BEGIN { for (i = 0; i < 60; i++) print (i % 2 ? "good\tw" i % 7 " shines" : "bad\tw" i % 5 " fails") }' >lines.tsv
    "$UNROLL" prepare --labelled --train lines.tsv --split 80,10,10 -o lines.h5 >/dev/null
    "$UNROLL" train --task classify --corpus lines.h5 --run lines --hidden 8 --max-steps 9 --batch 6 --threads 1 2>log
    "$UNROLL" export --model lines/latest -o lines.safetensors
    "$UNROLL" import lines.safetensors -o again.h5
    echo "w3 shines" | "$UNROLL" classify --model again.h5 >found
    echo "w3 shines" | "$UNROLL" classify --model lines/latest | cmp found -
}

@test "the state is zero before a sentence end is read, and so the same behind it" {
    says train "the state is set to zero before every sentence end that is read"
    # behind two line ends the model is where it is behind one, and not where it is behind none: the line end itself is read
    start alone-eos --reset-at eos --lr 0.05 --max-steps 20
    for prime in $'the\n' $'the lane\n\n' 'a'; do
        "$UNROLL" sample --model alone-eos/latest --prime "$prime" --length 1 --temperature 0 --per-token | cut -f 3
    done >found
    [ "$(sed -n 1p found)" = "$(sed -n 2p found)" ]
    [ "$(sed -n 1p found)" != "$(sed -n 3p found)" ]
}
