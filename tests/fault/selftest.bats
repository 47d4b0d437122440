#!/usr/bin/env bats
# unroll selftest in a program whose numbers are wrong in one place (faults.c): what differs is named, with status 70.

bats_require_minimum_version 1.5.0

load ../cli/training

setup() {
    faulty="$(dirname "$UNROLL")/tests/fault/unroll-faulty"
    [ -x "$faulty" ]
}

# wrong GROUP WRONG VARIABLE=VALUE...: with these faults so many checks of the group are wrong, and it is the first that is.
wrong() {
    local group=$1 count=$2
    shift 2
    run -70 --separate-stderr env "$@" "$faulty" selftest
    [ "$(grep DIFFERS <<<"$output" | head -n 1 | grep -cE "^$group +DIFFERS in $count of ")" -eq 1 ]
    [[ "$stderr" == "unroll: wrong bits in '$group': "*"; do not trust the bits of this build on this processor, and report it with"* ]]
    awk 'length > 80 { print; bad = 1 } END { exit bad }' <<<"$output"
}

@test "the program without a fault passes" {
    run -0 "$faulty" selftest
}

@test "the last bit of a product" {
    wrong products 125 FAULT_AT=product FAULT_STEP=-1
    [[ "$stderr" == *"rows times weights, float32, of 1 x 2 x 1: element 0, 0 is "*", plain C gives "* ]]
    [[ "$output" == *"lstm          ok"* ]]
}

@test "a number of a gradient, and the last bit of a weight or of an optimizer's memory" {
    wrong rnn-tanh 3 FAULT_AT=gradient FAULT_STEP=1 FAULT_DO=nan
    wrong rnn-tanh 3 FAULT_AT=bit FAULT_STEP=1
    [[ "$stderr" == *"'rnn-tanh' has digest "*", and should have "* ]]
    [[ "$output" == *"start values  ok"* ]]
    wrong rnn-tanh 3 FAULT_AT=slot FAULT_STEP=2
}

@test "one rank of several is named, with its host" {
    run -70 --separate-stderr on 2 env FAULT_AT=bit FAULT_STEP=1 FAULT_RANK=1 "$faulty" selftest
    [[ "$stderr" == *"unroll: wrong bits in 'rnn-tanh' on rank 1, host '"*"': 'rnn-tanh' has digest "* ]]
    ! grep DIFFERS <<<"$output"
}
