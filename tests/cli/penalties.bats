#!/usr/bin/env bats
# --ar and --tar: other weights, losses without them, the same bits on any ranks and through kills; nothing of them in
# evaluation; what is refused. The numbers themselves: tests/unit/test_reference.c, test_pytorch_awd.c and tests/bits.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus text
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

options="--corpus text.h5 --hidden 24 --layers 2 --batch 12 --bptt 16 --lane-groups 6 --max-steps 12 --eval-every 6 --log-every 1"

# train NAME OPTION...
train() {
    # shellcheck disable=SC2086
    "$UNROLL" train $options --run "$1" "${@:2}" 2>"$1.log"
}

# digest NAME: of all parameters.
digest() {
    "$UNROLL" inspect "$1" | sed -n '/^parameters/,$s/^  digest *//p'
}

@test "each changes the weights, the first step's loss is without it, and checkpoints and config.ini say it" {
    train none
    train ar --ar 2
    train tar --tar 1
    train both --ar 2 --tar 1
    run -0 sort -u <(for run in none ar tar both; do digest $run; done)
    [ ${#lines[@]} -eq 4 ]
    for run in ar tar both; do
        [ "$(lines_of train $run/metrics.jsonl | field loss | head -n 1)" = \
            "$(lines_of train none/metrics.jsonl | field loss | head -n 1)" ]
    done
    "$UNROLL" inspect both | grep -E "^  ar +2$"
    grep -x "tar = 1" both/config.ini
    run ! grep -E "\"t?ar\"" none/metrics.jsonl
    lines_of run both/metrics.jsonl | grep '"ar": *2'
}

@test "the same weights and metrics on any number of ranks, through kills, in both precisions" {
    for precision in float32 bf16; do
        train one --ar 2 --tar 1 --reset-at eos --precision $precision
        for ranks in 2 3 5; do
            # shellcheck disable=SC2086
            on $ranks "$UNROLL" train $options --run many --ar 2 --tar 1 --reset-at eos --precision $precision \
                --max-steps 7 --checkpoint-every 4 --threads 2
            rm "$(readlink -f many/latest)"
            on $((ranks - 1)) "$UNROLL" train --run many --max-steps 12
            [ "$(digest many)" = "$(digest one)" ]
            cmp many/metrics.jsonl one/metrics.jsonl
            rm -r many
        done
        rm -r one
    done
}

@test "other values are refused to a run that goes on" {
    train r --ar 2
    run -76 --separate-stderr "$UNROLL" train --run r --max-steps 14 --ar 1
    [[ "$stderr" == *"--ar was 2 and is now 1"* ]]
    run -76 --separate-stderr "$UNROLL" train --run r --max-steps 14 --tar 1
    [[ "$stderr" == *"--tar was 0 and is now 1"* ]]
}

@test "evaluation knows nothing of them, not even one that learns" {
    train plain --lr 0
    train still --lr 0 --ar 2 --tar 1
    for kind in --no-dynamic --dynamic; do
        "$UNROLL" eval --model plain/latest --corpus text.h5 $kind --json >plain.json
        "$UNROLL" eval --model still/latest --corpus text.h5 $kind --json >still.json
        [ "$(field loss plain.json)" = "$(field loss still.json)" ]
    done
}

refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
}

@test "what makes no sense is refused" {
    refused 78 "--ar" train --corpus text.h5 --run none --ar -1
    refused 78 "at least 0" train --corpus text.h5 --run none --tar -0.5
    refused 78 "'--ar' with --task classify" plan --task classify --ar 1
    refused 78 "'--tar' with --task classify" plan --task classify --tar 1
}
