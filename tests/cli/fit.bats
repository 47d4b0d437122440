#!/usr/bin/env bats
# What nobody gives fits the text: lanes, epochs and the interval of validations follow from its length. They are written down as
# numbers, so that the run stays what it is. The rules: tests/unit/test_fit.c.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c 300 # 80 of 100 of it are 10489 characters
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    begun="$BATS_TEST_TMPDIR/run"
    options=(train --corpus c.h5 --run "$begun" --hidden 8 --layers 1 --threads 1 --bptt 4)
}

# of_run NAME: the value in config.ini.
of_run() {
    sed -n "s/^$1 = //p" "$begun/config.ini"
}

# All of them on every number of ranks; said once, and written down as numbers.
@test "batch, epochs and validations fit the text, on any ranks" {
    for ranks in 0 2 3; do
        begun="$BATS_TEST_TMPDIR/run$ranks"
        options[4]=$begun
        run -75 --separate-stderr on $ranks "$UNROLL" "${options[@]}" --max-time 0.01
        [[ "$stderr" == *"to fit "*" training tokens: --batch 8 ("*" steps an epoch) --epochs 20"* ]]
        [ "$(grep -c "to fit" <<<"$stderr")" -eq 1 ]
        [ "$(of_run batch)" = 8 ]
        [ "$(of_run epochs)" = 20 ]
        [ "$(of_run eval-every)" = '"epoch"' ]
    done
}

@test "what is given stays, and lane groups have their lanes" {
    run -75 --separate-stderr "$UNROLL" "${options[@]}" --batch 12 --epochs 10 --max-time 0.01
    [[ "$stderr" != *"to fit"* ]]
    [ "$(of_run batch)" = 12 ]
    [ "$(of_run epochs)" = 10 ]
    rm -r "$begun"
    "$UNROLL" "${options[@]}" --lane-groups 20 --max-steps 2 2>/dev/null
    [ "$(of_run batch)" = 20 ]
}

@test "a long text is validated within its epochs, whatever their number" {
    make_text 55000 >long.txt # 1.9 million characters, for 8 epochs
    "$UNROLL" prepare --level char --train long.txt --valid c.txt -o long.h5 >/dev/null
    for epochs in auto 1 30; do
        run -75 --separate-stderr "$UNROLL" "${options[@]}" --corpus long.h5 --bptt 64 --epochs $epochs --max-time 0.01
        [[ "$stderr" == *"to validate a long text within its epochs: --eval-every "* ]]
        steps=$(sed -n 's/.*"steps_per_epoch": *\([0-9]*\).*/\1/p' "$begun/metrics.jsonl")
        [ "$(of_run eval-every)" -eq $(((steps + 1) / 2)) ]
        rm -r "$begun"
    done
    # but for a rule that waits for the losses of epochs
    run -75 --separate-stderr "$UNROLL" "${options[@]}" --corpus long.h5 --bptt 64 --optimizer ntasgd --max-time 0.01
    [ "$(of_run eval-every)" = '"epoch"' ]
}

@test "a run goes on with the numbers that it began with" {
    printf 'batch = "auto"\nepochs = "auto"\neval-every = "auto"\n' >auto.ini
    run -75 --separate-stderr "$UNROLL" "${options[@]}" --config auto.ini --max-time 0.01
    [[ "$stderr" == *"to fit "* ]]
    run -75 --separate-stderr "$UNROLL" train --run "$begun" --max-time 0.01
    [[ "$stderr" != *"to fit "* ]]
    [[ "$stderr" == *"resuming "* ]]
    run -75 --separate-stderr "$UNROLL" "${options[@]}" --config auto.ini --max-time 0.01
    [[ "$stderr" == *"resuming "* ]]
    [ "$(of_run batch)" = 8 ]
    [ "$(of_run epochs)" = 20 ]
}

@test "a corpus that is not there is refused once, as ever" {
    run -66 --separate-stderr "$UNROLL" train --corpus no.h5 --run "$begun"
    [[ "$stderr" == *"cannot open corpus 'no.h5': no such file; run 'unroll prepare' first"* ]]
    [ ! -e "$begun" ]
}

@test "a text of few words has no more lanes than it has to predict" {
    echo "one line here and there without end" >few.txt
    "$UNROLL" prepare --level word --min-count 1 --train few.txt -o few.h5 >/dev/null
    run -0 --separate-stderr "$UNROLL" "${options[@]}" --corpus few.h5 --max-steps 2
    [[ "$stderr" == *"to fit 8 training tokens: --batch 7 (1 step an epoch)"* ]]
}
