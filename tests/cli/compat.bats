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

@test "their runs go on with the options that they hold, in the words of then" {
    cd "$BATS_TEST_DIRNAME/../compat"
    local found expected
    for model in lstm gru rnn-tanh rnn-relu tied classifier; do
        run="$BATS_TEST_TMPDIR/$model" # moved: its config.ini names a corpus and a run of before, relative
        mkdir -p "$run/checkpoints"
        cp $model.h5 "$run/checkpoints/step-00000020.h5"
        "$UNROLL" inspect $model.h5 | sed -n '/^options/,/^$/s/^  \([a-z0-9-]*\)  *\(.*\)/\1 = "\2"/p' >"$run/config.ini"
        grep -q '^max-time = "none"' "$run/config.ini"
        grep -q '^run = "'$model'"' "$run/config.ini"
        "$UNROLL" train --run "$run" --max-steps 40 --json-summary "$run.json" 2>"$run.log" || { cat "$run.log"; false; }
        [ ! -e $model ]
        grep -q "resuming '$run' at step 20 of 40" "$run.log"
        found=$(sed -n 's/.*"valid_loss": *\([0-9.]*\).*/\1/p' "$run.json" | head -n 1)
        expected=$(awk -v model=$model '$1 == model && $2 == "resumed-valid-loss" { print $3 }' expected)
        awk -v a="$found" -v b="$expected" 'BEGIN { d = a - b; exit !(a != "" && d <= 2e-4 && d >= -2e-4) }'
    done
}
