#!/usr/bin/env bats
# The scripts that measure speed: that they run and report. What they measure is for people.

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

@test "tools/benchmark: mistakes are told" {
    run -66 --separate-stderr "$tools/benchmark" --unroll no/such/program
    [[ "$stderr" == "unroll: cannot run 'no/such/program'"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --settings AX
    [[ "$stderr" == *"'X'"* ]]
    run -64 --separate-stderr "$tools/benchmark" --unroll "$UNROLL" --threads one
    [[ "$stderr" == *"'one'"* ]]
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
    run -64 --separate-stderr "$tools/compare-pytorch" --unroll "$UNROLL" --onednn 100
    [[ "$stderr" == *"'100' of --onednn"* ]]
}
