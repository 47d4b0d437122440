#!/usr/bin/env bats
# unroll gradcheck: a table with a line for each model, what narrows it down, and its exit status.

bats_require_minimum_version 1.5.0

# rows: how many models the table of $output has, all with the same bits.
rows() {
    grep -cE '^(rnn-tanh|rnn-relu|lstm|gru|mingru|qrnn|sru|mogrifier) .* same$' <<< "$output"
}

@test "every cell, 1 and 2 layers, tied and not, with and without dropout and resets" {
    run -0 --separate-stderr "$UNROLL" gradcheck
    [ -z "$stderr" ]
    [ "$(rows)" -eq 128 ]
    for cell in rnn-tanh rnn-relu lstm gru mingru qrnn sru mogrifier; do
        [ "$(grep -c "^$cell " <<< "$output")" -eq 16 ]
    done
    [[ "${lines[-1]}" == "128 models: all gradients hold" ]]
    ! grep -qiE 'nan|inf' <<< "$output"
}

@test "options narrow the table down" {
    run -0 "$UNROLL" gradcheck --cell gru --layers 3 --no-tied --dropout 0.5 --reset-at eos --threads 2 --seed 7
    [ "$(rows)" -eq 1 ]
    [[ "$output" == *"gru            3  no       0.5  eos "* ]]
    run -0 "$UNROLL" gradcheck --cell lstm --tied --layers 1
    [ "$(rows)" -eq 4 ]
}

@test "another seed checks other numbers, the same seed the same" {
    run -0 "$UNROLL" gradcheck --cell rnn-tanh --layers 1 --tied --dropout 0 --reset-at none --seed 1
    first=$output
    run -0 "$UNROLL" gradcheck --cell rnn-tanh --layers 1 --tied --dropout 0 --reset-at none --seed 1
    [ "$output" = "$first" ]
    run -0 "$UNROLL" gradcheck --cell rnn-tanh --layers 1 --tied --dropout 0 --reset-at none --seed 2
    [ "$output" != "$first" ]
}

@test "misuse is refused" {
    run -78 --separate-stderr "$UNROLL" gradcheck --layers 9
    [[ "$stderr" == *"--layers"* ]]
    run --separate-stderr "$UNROLL" gradcheck --cell lstn
    [ "$status" -ne 0 ]
    [[ "$stderr" == *"lstn"* ]]
    run -64 --separate-stderr "$UNROLL" gradcheck --hidden 5
    [[ "$stderr" == *"--hidden"* ]]
}

@test "a table that cannot be written is an I/O error" {
    [ -w /dev/full ] || skip "no /dev/full"
    run -74 --separate-stderr sh -c "'$UNROLL' gradcheck --cell rnn-tanh --layers 1 --tied --dropout 0 > /dev/full"
    [ -n "$stderr" ]
}

@test "classifiers with every way to pool" {
    run -0 "$UNROLL" gradcheck --task classify --layers 2
    [ "$(rows)" -eq 48 ]
    for pool in last mean max; do
        [ "$(grep -c " 2  $pool " <<< "$output")" -eq 16 ]
    done
}

@test "bf16, in both orders, against the same reference" {
    for order in tile pair; do
        run -0 --separate-stderr "$UNROLL" gradcheck --precision bf16 --bf16-order $order
        [ "$(rows)" -eq 128 ]
        [[ "${lines[-1]}" == "128 models: all gradients hold" ]]
        run -0 "$UNROLL" gradcheck --precision bf16 --bf16-order $order --task classify --layers 2
        [ "$(rows)" -eq 48 ]
    done
    run -78 --separate-stderr "$UNROLL" gradcheck --bf16-order pair
    [[ "$stderr" == *"add '--precision bf16'" ]]
}

@test "other output layers" {
    for layer in sampled nce; do
        run -0 "$UNROLL" gradcheck --output-layer $layer --cell lstm --layers 1
        [ "$(rows)" -eq 8 ]
    done
    run -0 "$UNROLL" gradcheck --output-layer nce --proposal unigram --precision bf16 --cell gru --layers 1 --dropout 0
    [ "$(rows)" -eq 4 ]
    run -0 "$UNROLL" gradcheck --output-layer adaptive --precision bf16 --cell rnn-relu --layers 1
    [ "$(rows)" -eq 4 ]
}
