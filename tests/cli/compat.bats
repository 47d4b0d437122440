#!/usr/bin/env bats
# What earlier revisions wrote loads, evaluates to the same digits and goes on: tests/compat.

bats_require_minimum_version 1.5.0

@test "corpora and checkpoints of before the first arithmetic revision evaluate alike, and go on" {
    cd "$BATS_TEST_DIRNAME/../compat"
    ./record >"$BATS_TEST_TMPDIR/found"
    # Losses to their last digit; sums of 30 float32 logarithms, and what 20 more steps come to, as arithmetic may change.
    awk 'BEGIN { may["score"] = 2e-5; may["resumed-valid-loss"] = 2e-4; may["classify"] = 2e-6 }
        NR == FNR { if ($2 != "") { value[$1, $2] = $NF; known++ } next }
        { found++; d = $NF - value[$1, $2]; d = d < 0 ? -d : d; limit = $2 in may ? may[$2] : 1.01e-6 }
        !(($1, $2) in value) || !(d <= limit) { print "found: " $0; print "expected: " value[$1, $2]; bad = 1 }
        END { if (found != known || found < 30) { print found " facts, expected " known; bad = 1 } exit bad }
    ' expected "$BATS_TEST_TMPDIR/found"
}
