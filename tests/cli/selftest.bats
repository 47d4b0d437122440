#!/usr/bin/env bats
# unroll selftest: what computes here, and that it computes what it should. That it notices what is wrong:
# tests/fault/selftest.bats.

bats_require_minimum_version 1.5.0

load training

@test "all is well, and what computes is named" {
    run -0 --separate-stderr on 0 "$UNROLL" selftest
    [ -z "$stderr" ]
    [ "$(grep -c '^.* ok ' <<<"$output")" -ge 10 ]
    ! grep DIFFERS <<<"$output" || false
    for fact in processor instructions compiler BLIS MPI HDF5 'arithmetic    revision'; do
        grep -E "^$fact +[^ ]" <<<"$output"
    done
    for group in products gradients bf16 functions schedules rnn-tanh rnn-relu lstm gru mingru qrnn sru mogrifier optimizers; do
        grep -E "^$group +ok +[1-9]" <<<"$output"
    done
    grep -E "^BLIS .*kernel [a-z0-9]+(, replaced by our own)?$" <<<"$output"
    [[ "${lines[-1]}" == "the bits of arithmetic revision "[1-9]* ]]
    awk 'length > 80 { print; bad = 1 } END { exit bad }' <<<"$output"
}

@test "the same on several threads, and once for all ranks" {
    run -0 --separate-stderr "$UNROLL" selftest --threads 2
    [[ "${lines[-1]}" == "the bits of arithmetic revision "[1-9]* ]]
    run -0 --separate-stderr on 2 "$UNROLL" selftest
    [ "$(grep -c '^lstm ' <<<"$output")" -eq 1 ]
    [[ "${lines[-1]}" == "the bits of arithmetic revision "[1-9]*" on 2 ranks" ]]
}

@test "what it compares with is what it prints" {
    run -0 --separate-stderr "$UNROLL" selftest --print
    cmp "$BATS_TEST_DIRNAME/../../src/use/selftest_digests.h" - <<<"$output"
}

@test "misuse is refused" {
    run -64 --separate-stderr "$UNROLL" selftest something
    run -64 --separate-stderr "$UNROLL" selftest --corpus c.h5
    run -78 --separate-stderr "$UNROLL" selftest --threads 5000
}
