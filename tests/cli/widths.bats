#!/usr/bin/env bats
# Layers of different widths: --hidden with one number for each.

bats_require_minimum_version 1.5.0

load training
load refusal

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus text
    "$UNROLL" train --corpus text.h5 --run one --hidden 41,29,19 --tied --batch 8 --bptt 16 --max-steps 12 --threads 1
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

digest() {
    "$UNROLL" inspect --json "$1/latest" | field parameters_digest
}

@test "each layer has its width, and the embedding that of the top one" {
    run -0 "$UNROLL" inspect one
    [[ $output == *"rnn.weight_ih_l0     [164][19]"* ]]
    [[ $output == *"rnn.weight_hh_l0     [164][41]"* ]]
    [[ $output == *"rnn.weight_ih_l1     [116][41]"* ]]
    [[ $output == *"rnn.weight_ih_l2     [76][29]"* ]]
    grep -qx 'hidden = "41,29,19"' one/config.ini
    grep -qx 'layers = 3' one/config.ini
    run -0 "$UNROLL" plan --corpus text.h5 --hidden 41,29,19 --tied
    [[ $output == *"hidden 41,29,19"* ]]
}

@test "killed, on other ranks and threads: the same bits" {
    rm -rf two
    on 3 "$UNROLL" train --corpus text.h5 --run two --hidden 41,29,19 --tied --batch 8 --bptt 16 --max-steps 5 --threads 1
    on 2 "$UNROLL" train --run two --max-steps 12 --threads 2
    [ "$(digest one)" = "$(digest two)" ]
}

@test "equal widths are one number" {
    rm -rf equal number
    "$UNROLL" train --corpus text.h5 --run equal --hidden 20,20 --batch 8 --bptt 16 --max-steps 3 --threads 1
    "$UNROLL" train --corpus text.h5 --run number --hidden 20 --batch 8 --bptt 16 --max-steps 3 --threads 1
    [ "$(digest equal)" = "$(digest number)" ]
    "$UNROLL" train --run number --hidden 20,20 --max-steps 4
}

@test "other widths do not resume, and the message has them all" {
    run -76 "$UNROLL" train --run one --hidden 41,28,19 --max-steps 20
    [[ $output == *"--hidden was 41,29,19 and is now 41,28,19"* ]]
    run -78 "$UNROLL" train --run one --layers 2 --max-steps 20
    [[ $output == *"cannot use '--layers 2' with --hidden of 3 layers"* ]]
    run -78 "$UNROLL" gradflow --corpus text.h5 --hidden 10,20 --layers 3 --csv flow.csv
    [[ $output == *"cannot use '--layers 3' with --hidden of 2 layers"* ]]
}

@test "bad widths" {
    run -64 "$UNROLL" train --corpus text.h5 --run bad --hidden 20,x
    [[ $output == *"bad value '20,x' for '--hidden': not whole numbers; write them as in 512,512,256"* ]]
    run -78 "$UNROLL" train --corpus text.h5 --run bad --hidden 20,0
    run -78 "$UNROLL" train --corpus text.h5 --run bad --hidden 20,99999999
    run -78 "$UNROLL" train --corpus text.h5 --run bad --hidden 1,2,3,4,5,6,7,8,9
    run -78 "$UNROLL" train --corpus text.h5 --run bad --hidden 20,30 --embedding 20 --tied
    [[ $output == *"--embedding is 20 but --hidden of the top layer is 30"* ]]
    [ ! -e bad ]
}

@test "weights go out and come back" {
    "$UNROLL" export --model one/latest --to safetensors -o one.safetensors
    "$UNROLL" import one.safetensors -o back.h5
    "$UNROLL" eval --model one/latest --corpus text.h5 --split test --json >was.json
    "$UNROLL" eval --model back.h5 --corpus text.h5 --split test --json >is.json
    [ "$(field loss was.json)" = "$(field loss is.json)" ]
    run -0 "$UNROLL" inspect back.h5
    [[ $output == *"41,29,19"* ]]
}

@test "what follows gradients, samples and speed takes them" {
    "$UNROLL" gradflow --corpus text.h5 --cell gru --hidden 10,20 --csv flow.csv
    "$UNROLL" sample --model one --length 20
    "$UNROLL" bench --hidden 40,24 --vocab-size 50 --batch 4 --bptt 5 --steps 2 --json bench.json
    grep -q '"widths": *"40,24"' bench.json
}
