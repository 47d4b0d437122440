#!/usr/bin/env bats
# The scripts that measure speed, and what bf16 does to losses: that they run and report. What they measure is for
# people.

bats_require_minimum_version 1.5.0

setup() {
    tools="$BATS_TEST_DIRNAME/../../tools"
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then skip "nothing here that is not tested elsewhere"; fi
    cd "$BATS_TEST_TMPDIR"
}

@test "tools/benchmark prints tables and writes JSON" {
    run -0 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --settings AH --threads 1 --ranks 2 --rounds 1 \
        --steps 1 --json b.json
    [[ "$output" == *"| A: lstm 2x128, V 65, B 50, T 50 |"* ]]
    [[ "$output" == *"| H: rnn-tanh 1x100, V 8000, B 1, T 25 |"*"| - |"* ]] # one lane has no two ranks
    [[ "$output" == *"nothing exchanged"* ]]
    [[ "$output" == *"exact costs"* ]]
    [[ "$output" == *"recurrent forward"* ]]
    python3 -c 'import json
measured = json.load(open("b.json"))["measurements"]
assert {(m["setting"], m["ranks"], m["reduction"]) for m in measured} == {
    ("A", 1, "exact"), ("A", 2, "exact"), ("A", 2, "apart"), ("A", 1, "fast"), ("A", 2, "fast"), ("H", 1, "exact")}, measured
assert all(run["ranks"] == m["ranks"] and run["steps"] == 1 for m in measured if m["reduction"] != "apart"
           for run in m["runs"])'
}

@test "tools/benchmark compares precisions, round by round" {
    run -0 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --precision float32,bf16 --bf16-order tile,pair \
        --settings AH --threads 1 --ranks 2 --rounds 1 --steps 1 --no-reduction --json b.json
    [ "$(grep -c "^| A: lstm" <<<"$output")" -eq 4 ] # all precisions side by side, and each alone
    [[ "$output" == *"| 1 thread: float32 | bf16 (tile, "*") | ratio | bf16 (pair, "*") | ratio | 2 ranks: "* ]]
    [[ "$output" == *"In bf16 (pair, "* ]]
    [[ "$output" == *"| milliseconds of a step, 1 thread |"*"| A, float32 |"*"| A, bf16 (tile, "* ]]
    python3 -c 'import json
runs = [run for m in json.load(open("b.json"))["measurements"] if m["reduction"] == "exact" for run in m["runs"]]
asked = [(m["vocab_size"], run["ranks"], m.get("precision", "float32"), m.get("bf16_order", "-"))
         for run in runs for m in [run["model"]]]
kinds = (("float32", "-"), ("bf16", "tile"), ("bf16", "pair"))
assert sorted(asked) == sorted((*place, *kind) for kind in kinds for place in ((65, 1), (65, 2), (8000, 1))), asked'
}

@test "tools/benchmark --cells gives each cell the LSTM's parameters" {
    run -0 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --cells --cell-list lstm,sru --threads 1 --rounds 1 \
        --steps 1 --json b.json
    [[ "$output" == *"| lstm 2 x 650 | 19.78 M | "*" | 1.00 | "* ]]
    [[ "$output" == *"| sru 2 x 758 | 19.78 M | "* ]]
    [[ "$output" == *"| sru 2 x 916 | 6.84 M | "* ]]
    python3 -c 'import json
measured = json.load(open("b.json"))["measurements"]
assert [(m["place"], m["cell"]) for m in measured] == [
    ("C", "lstm"), ("C", "sru"), ("2 lanes", "lstm"), ("2 lanes", "sru")], measured
assert all(run["model"]["cell"] == m["cell"] for m in measured for run in m["runs"])'
}

@test "tools/benchmark: mistakes are told" {
    run -66 --separate-stderr "$tools/benchmark" --unroll no/such/program
    [[ "$stderr" == "unroll: cannot run 'no/such/program'"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --settings AX
    [[ "$stderr" == *"'X'"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --threads one
    [[ "$stderr" == *"'one'"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --precision float32,bf17
    [[ "$stderr" == *"'float32,bf17' of --precision"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --precision bf16 --bf16-order pair,pair
    [[ "$stderr" == *"'pair,pair' of --bf16-order"* ]]
}

@test "tools/compare-pytorch without PyTorch is 69, and says what to install" {
    run -69 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --python false
    [[ "$stderr" == *"python3-torch"*"--python"* ]]
    run -0 "$tools/compare-pytorch" --help
    [[ "$output" == *"--vocab-size"* ]]
}

@test "tools/compare-pytorch compares a model of one's own" {
    python=$("$tools/find-python" torch) || skip "no PyTorch"
    run -0 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --python "$python" --cell gru --layers 1 \
        --hidden 24 --vocab-size 50 --batch 4 --bptt 5 --dropout 0.1 --tied --optimizer adam --clip 0 --threads 1 \
        --ranks 0 --pairs 1 --seconds 0.1 --no-tuning --json c.json
    [[ "$output" == *"| model: gru 1x24, V 50, B 4, T 5; float32 | 1 x 1 |"*"malloc keeps memory"* ]]
    python3 -c 'import json
result = json.load(open("c.json"))
assert result["ratio"] > 0 and result["pytorch_peak_rss_bytes"] > result["unroll_peak_rss_bytes"], result
assert abs(result["pairs"][0]["pytorch"]["loss_first"] - result["pairs"][0]["unroll"]["loss_first"]) < 0.3, result'
}

@test "tools/compare-pytorch compares bf16 with autocast" {
    python=$("$tools/find-python" torch) || skip "no PyTorch"
    run -0 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --python "$python" --cell lstm --layers 1 \
        --hidden 32 --vocab-size 50 --batch 4 --bptt 5 --threads 1 --ranks 0 --pairs 1 --seconds 0.1 --no-tuning \
        --precision float32,bf16 --bf16-order pair --json c.json
    [[ "$output" == *"| model: lstm 1x32, V 50, B 4, T 5; float32 | 1 x 1 |"* ]]
    [[ "$output" == *"| model: lstm 1x32, V 50, B 4, T 5; bf16 (pair, "*") | 1 x 1 |"* ]]
    python3 -c 'import json
plain, half = (json.loads(line)["pairs"][0] for line in open("c.json"))
assert half["unroll"]["model"]["bf16_order"] == "pair", half
for side in ("unroll", "pytorch"):  # the same start, rounded
    assert 0 < abs(plain[side]["loss_first"] - half[side]["loss_first"]) < 0.02, (side, plain, half)'
}

@test "tools/compare-pytorch that is cut keeps its rows, and searches known set-ups no more" {
    python=$("$tools/find-python" torch) || skip "no PyTorch"
    printf '#!/bin/sh\n[ "${OMPI_COMM_WORLD_SIZE:-1}" = 1 ] || exit 71\nexec "%s" "$@"\n' "$UNROLL" >fails-on-two-ranks
    chmod +x fails-on-two-ranks
    compare() {
        "$tools/compare-pytorch" --unroll ./fails-on-two-ranks --python "$python" --settings A --threads 1 \
            --pairs 1 --seconds 0.1 --tune-seconds 0.1 --setups setups.json --json c.json "$@"
    }
    run -71 --separate-stderr compare --ranks 2
    [[ "$stderr" == *"  PyTorch with "* ]]
    [[ "${lines[-1]}" == "| A: lstm 2x128, V 65, B 50, T 50; float32 | 1 x 1 |"* ]]
    [ "$(wc -l <c.json)" -eq 1 ]
    run -0 --separate-stderr compare --ranks 0
    [[ "$stderr" != *"  PyTorch with "* ]]
    [ "$(wc -l <c.json)" -eq 2 ]
}

@test "tools/compare-pytorch --onednn compares layers, without PyTorch" {
    [ -e /usr/include/dnnl.hpp ] || skip "no oneDNN"
    run -0 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --python false --onednn 128 --threads 1 \
        --pairs 1 --seconds 0.2
    [[ "${lines[-1]}" == "| 128, B 50, T 50; float32 | 1 |"* ]]
    run -0 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --python false --onednn 128 --threads 1 \
        --pairs 1 --seconds 0.2 --precision bf16
    [[ "${lines[-1]}" == "| 128, B 50, T 50; bf16 ("*") | 1 |"* ]]
    run -64 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --onednn 100
    [[ "$stderr" == *"'100' of --onednn"* ]]
}

@test "tools/compare-precisions compares losses by seed, and trains only what is not finished" {
    seq 1 8000 >text
    compare() {
        "$tools/compare-precisions" --shakespeare text --words text text text --max-steps 2 --work runs "$@"
    }
    run -0 --separate-stderr compare --seeds 1,2 --bf16-order tile,pair --json q.json
    [ "$(grep -c "^| shakespeare | \|^| words | " <<<"$output")" -eq 6 ]
    [[ "$output" == *"| shakespeare | float32 | "*"| shakespeare | bf16 (tile) | "*"| words | bf16 (pair) | "* ]]
    [[ "${lines[-1]}" == "means of bf16 and float32 differ by 0."*" % at most: within 0.3 %" ]]
    python3 -c 'import json
kinds = json.load(open("q.json"))
digests = {run["parameters_digest"] for kind in kinds for run in kind["runs"]}
assert len(kinds) == 6 and len(digests) == 12, (len(kinds), digests)'

    sed -i 's/"exit_status": 0/"exit_status": 75/' runs/words-bf16-pair-seed2-steps2.json # as of a run that was stopped
    run -0 --separate-stderr compare --seeds 1,2 --bf16-order pair
    [ "$(grep -c '^\$ .* train ' <<<"$stderr")" -eq 1 ]
    run -64 --separate-stderr "$tools/compare-precisions" --seeds 1
    [[ "$stderr" == *"--shakespeare"* ]]
}
