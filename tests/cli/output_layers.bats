#!/usr/bin/env bats
# An output layer is one row and one file: with both added (output_temperature.c) the program chooses it by
# --output-layer. Builds the program in a copy of the sources.

bats_require_minimum_version 1.5.0

load training
load own_build

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    copy_sources
    cp "$BATS_TEST_DIRNAME/output_temperature.c" src/nn/temperature.c
    sed -i 's/^\(#define OUTPUT_TABLE_LM(row) .*\)/\1 row(temperature)/' include/unroll/nn/output.h
    build_copy
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# train PROGRAM NAME OPTION...
train() {
    local program=$1 name=$2
    shift 2
    "$program" train --corpus text.h5 --run "$name" --hidden 8 --batch 4 --bptt 8 --max-steps 3 "$@"
}

# digest PROGRAM NAME: of all parameters.
digest() {
    "$1" inspect "$2" | sed -n '/^parameters/,$s/^  digest *//p'
}

@test "another output layer is one row and one file" {
    build/unroll train --help | tr '\n' ' ' | grep -E -e "--output-layer KIND .*\(full, .*or +temperature; +default: +full\)"
    train build/unroll warm --output-layer temperature
    grep -xE 'output-layer *= *"temperature"' warm/config.ini
    build/unroll inspect warm | grep -E "output_layer +temperature"
    train build/unroll warm --max-steps 6
    run -76 train build/unroll warm --max-steps 9 --output-layer full
    [[ "$output" == *"--output-layer was temperature and is now full"* ]]
    build/unroll sample --model warm --length 20
    build/unroll export --model warm -o warm.safetensors
    build/unroll import warm.safetensors -o back.h5
    build/unroll inspect back.h5 | grep -E "output_layer +temperature"
}

@test "files say no output layer while it is the full softmax" {
    train build/unroll full
    run ! grep output_layer <(build/unroll inspect full)
    train "$UNROLL" plain
    [ "$(digest build/unroll full)" = "$(digest "$UNROLL" plain)" ]
    train build/unroll hot --output-layer temperature # as many steps: another layer, other weights
    [ "$(digest build/unroll hot)" != "$(digest "$UNROLL" plain)" ]
}

@test "a program without it refuses its files" {
    run ! "$UNROLL" inspect warm
    [[ "$output" == *"unknown output layer 'temperature'"* || "$output" == *"'output_layer'"* ]]
}
