#!/usr/bin/env bats
# 'unroll gradflow': table, CSV and HDF5 hold the same numbers, which no rank or thread changes; what it refuses.
# That the numbers are derivatives is the business of tests/unit/test_flow.c.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus book 200
    for cell in lstm gru; do
        "$UNROLL" train --corpus book.h5 --run $cell --cell $cell --max-steps 5 --hidden 8 --layers 2 --batch 4 \
            --bptt 10 --threads 1 >/dev/null
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" gradflow "${@:3}"
}

@test "new models of all cells side by side: table, CSV and HDF5 say the same" {
    "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 20 --threads 1 --csv all.csv -o all.h5 >table.txt
    grep -q "rnn-tanh *rnn-tanh *rnn-relu *rnn-relu *gru *gru *mingru *mingru$" table.txt
    grep -q "lag *lstm *lstm *lstm *lstm *sru *sru *sru *sru" table.txt
    grep -q " h_l0 *h_l1 *c_l0 *c_l1 *h_l0 *h_l1 *c_l0 *c_l1" table.txt
    grep -q "mogrifier *qrnn *qrnn *qrnn *qrnn *qrnn$" table.txt
    grep -q " h_l0 *h_l1 *c_l0 *c_l1 *p_l0$" table.txt
    python3 - <<'CHECK'
import csv, h5py
rows = list(csv.DictReader(open("all.csv")))
assert list(rows[0]) == ["cell", "layer", "quantity", "lag", "norm"]
assert len(rows) == (4 * 2 + 3 * 4 + 5) * 21, len(rows)
with h5py.File("all.h5") as f:
    assert f.attrs["format"] == b"unroll-gradflow" or f.attrs["format"] == "unroll-gradflow"
    assert sorted(f) == ["gru", "lstm", "mingru", "mogrifier", "qrnn", "rnn-relu", "rnn-tanh", "sru"]
    assert f["lstm"].attrs["hidden"] == 8 and f["lstm"].attrs["samples"] > 0
    for row in rows:
        norm = f[row["cell"]]["%s_l%s" % (row["quantity"], row["layer"])]
        assert norm.shape == (21,) and norm[int(row["lag"])] == float(row["norm"]), row
        alone = row["cell"] in ("qrnn", "sru") and row["layer"] == "1" and row["quantity"] == "h"  # reaches its own step only
        assert (norm[int(row["lag"])] > 0) == (row["lag"] == "0" if alone else row["quantity"] != "p" or row["lag"] > "0"), row
fading = [float(r["norm"]) for r in rows if r["cell"] == "rnn-tanh" and r["layer"] == "0"]
assert fading[1] > 10 * fading[10] > 100 * fading[20], fading
line = [l.split() for l in open("table.txt") if l.startswith("    20 ")][0]
assert line[1] == "%.2e" % [float(r["norm"]) for r in rows if r["lag"] == "20"][0]
CHECK
}

@test "checkpoints side by side; ranks and threads change no digit" {
    models="--model lstm/best.h5 gru/best.h5 --corpus book.h5 --lags 12 --windows 3 --batch 5"
    "$UNROLL" gradflow $models --threads 1 --csv alone.csv
    [ "$(wc -l <alone.csv)" -eq $((1 + 6 * 13)) ]
    on 2 "$UNROLL" gradflow $models --threads 2 --csv two.csv
    on 3 "$UNROLL" gradflow $models --threads 1 --csv three.csv
    on 7 "$UNROLL" gradflow $models --threads 1 --csv seven.csv
    cmp alone.csv two.csv
    cmp alone.csv three.csv
    cmp alone.csv seven.csv
    "$UNROLL" gradflow --corpus book.h5 --cell lstm --hidden 8 --lags 12 --windows 3 --batch 5 --threads 1 \
        --csv fresh.csv
    run ! cmp <(grep lstm alone.csv) <(grep lstm fresh.csv)
}

@test "the configuration of a run describes new models, and a short split is cut into fewer lanes" {
    "$UNROLL" gradflow --config gru/config.ini --lags 100 --batch 500 --threads 1 >short.txt
    grep -q "gru" short.txt
    run ! grep -q "lstm" short.txt
    run ! grep -q ": 500 lanes" short.txt
}

@test "train --gradflow-every adds lines to metrics.jsonl and changes nothing else, on any ranks and after a resume" {
    options="--corpus book.h5 --hidden 8 --layers 2 --batch 6 --bptt 15 --dropout 0.2 --eval-every 5 --threads 1"
    "$UNROLL" train $options --max-steps 12 --run plain >/dev/null
    "$UNROLL" train $options --max-steps 12 --run flow --gradflow-every 4 >/dev/null
    on 3 "$UNROLL" train $options --max-steps 12 --run three --gradflow-every 4 >/dev/null
    "$UNROLL" train $options --max-steps 8 --run parts --gradflow-every 4 >/dev/null
    on 2 "$UNROLL" train $options --max-steps 12 --run parts --gradflow-every 4 >/dev/null
    digest=$(field parameters_digest plain/metrics.jsonl)
    [ -n "$digest" ]
    [ "$(field parameters_digest flow/metrics.jsonl)" = "$digest" ]
    [ "$(lines_of gradflow flow/metrics.jsonl | field step | paste -sd' ')" = "0 4 8 12" ]
    cmp plain/metrics.jsonl <(grep -v gradflow flow/metrics.jsonl)
    cmp flow/metrics.jsonl three/metrics.jsonl
    cmp flow/metrics.jsonl parts/metrics.jsonl
    # the command finds the same in the checkpoint of the last step
    "$UNROLL" gradflow --model flow/latest --corpus book.h5 --lags 14 --windows 4 --batch 6 --threads 1 --csv end.csv
    lines_of gradflow flow/metrics.jsonl | tail -n 1 >end.json
    python3 -c '
import csv, json
line = json.load(open("end.json"))
for row in csv.DictReader(open("end.csv")):
    assert line[row["quantity"] + "_l" + row["layer"]][int(row["lag"])] == float(row["norm"]), row'
    run --separate-stderr "$UNROLL" train $options --bptt 900 --run long --gradflow-every 4
    echo "$status $stderr"
    [ "$status" -eq 78 ]
    [[ "$stderr" == *"cannot use '--gradflow-every': the validation text has "* ]]
}

@test "what cannot be followed is refused" {
    refused 78 "'--hidden' together with '--model'" --corpus book.h5 --model lstm/best.h5 --hidden 8
    refused 78 "both are of cell 'lstm'" --corpus book.h5 --model lstm/best.h5 lstm/latest
    refused 78 "use fewer --lags, at most " --corpus book.h5 --lags 60000
    refused 78 "'--lags'" --corpus book.h5 --lags 0
    refused 78 "'--windows'" --corpus book.h5 --windows 0
    refused 66 "no such file" --corpus none.h5
    refused 66 "none.h5" --corpus book.h5 --model none.h5
    refused 64 "'--corpus'" --lags 3
    refused 64 "unknown option '--bptt'" --corpus book.h5 --bptt 3
    "$UNROLL" prepare --level byte --train book.txt --split 80,20 -o bytes.h5 >/dev/null
    refused 65 "its vocabulary is not that of" --corpus bytes.h5 --model lstm/best.h5
    refused 65 "there is none" --corpus bytes.h5 --split test
    run --separate-stderr "$UNROLL" gradflow --corpus book.h5 --lags 5 --hidden 4 --csv none/x.csv
    [ "$status" -eq 73 ]
    run --separate-stderr "$UNROLL" gradflow --corpus book.h5 --lags 5 --hidden 4 -o none/x.h5
    [ "$status" -eq 73 ]
}
