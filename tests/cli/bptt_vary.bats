#!/usr/bin/env bats
# --bptt-vary: windows whose lengths are drawn. An epoch has then as many steps as it happens to have, and whatever counts
# steps must know.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c 150
    awk 'BEGIN { for (i = 0; i < 40; i++) print i % 2 ? "good\ta fine day" : "bad\ta sad day" }' >l.txt
    "$UNROLL" prepare --labelled --train l.txt --split 80,10,10 -o l.h5 >/dev/null
    export OPTIONS="--corpus c.h5 --hidden 12 --batch 11 --lane-groups 5 --bptt 20 --bptt-vary --epochs 4 --lr 0.01 --log-every 1
        --patience none --seed 3"
    # shellcheck disable=SC2086 # words
    "$UNROLL" train $OPTIONS --run whole --threads 1 --schedule cosine --checkpoint-every epoch --keep 9 2>whole.log
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/* .
    # shellcheck disable=SC2206 # words
    options=($OPTIONS --schedule cosine --checkpoint-every epoch --keep 9)
}

digest_of() {
    "$UNROLL" inspect --json "$1/latest" | field parameters_digest | head -n 1
}

# same_run A B
same_run() {
    cmp "$1/metrics.jsonl" "$2/metrics.jsonl"
    [ "$(digest_of "$1")" = "$(digest_of "$2")" ]
}

# lengths RUN: the time steps of each step, one a line, by the targets that its 11 lanes had.
lengths() {
    lines_of train "$1/metrics.jsonl" | field tokens | awk '{ print ($1 - before) / 11; before = $1 }'
}

@test "lengths and epochs vary, and every token is learnt from in every epoch" {
    tokens=$(lines_of run whole/metrics.jsonl | field tokens_per_epoch)
    [ "$(lines_of end whole/metrics.jsonl | field tokens)" -eq $((4 * tokens)) ]
    lines_of valid whole/metrics.jsonl | field step >ends
    [ "$(wc -l <ends)" -eq 4 ]
    [ "$(awk '{ print $1 - before; before = $1 }' ends | sort -u | wc -l)" -gt 1 ]
    [ "$(lines_of valid whole/metrics.jsonl | field tokens | tr '\n' ' ')" = "$(seq "$tokens" "$tokens" $((4 * tokens)) | tr '\n' ' ')" ]
    [ "$(lengths whole | sort -n | tail -n 1 | cut -d . -f 1)" -gt 20 ]
    [ "$(lengths whole | awk '$1 > 40' | wc -l)" -eq 0 ]
    [ "$(lengths whole | sort -u | wc -l)" -gt 8 ]
}

@test "whatever counts steps has the right number of them" {
    steps=$(lines_of end whole/metrics.jsonl | field step)
    grep -q "new, $steps steps, about $(((steps + 2) / 4)) in an epoch" whole.log
    grep -q "windows of about 20 tokens, 5 to 40" whole.log
    # the cosine schedule is at its lowest in the last step, and nowhere else
    [ "$(lines_of train whole/metrics.jsonl | field lr | tail -n 1)" = 0 ]
    [ "$(lines_of train whole/metrics.jsonl | field lr | grep -cx 0)" -eq 1 ]
    # a checkpoint at the end of each epoch
    [ "$(find -L whole/checkpoints -name 'step-*.h5' | wc -l)" -eq 4 ]
    "$UNROLL" runs --json whole | grep -q "\"steps\": *$steps[,}]"
    for seen in 5 $((steps - 3)); do # of a run that is under way, too
        cp -rL whole part
        head -n "$seen" whole/metrics.jsonl >part/metrics.jsonl
        "$UNROLL" runs --json part | grep -q "\"steps\": *$steps[,}]"
        rm -r part
    done
}

@test "on 1 to 5 ranks and 1 to 3 threads a run is the same, in bf16 too" {
    for ranks in 1 2 3 4 5; do
        on "$ranks" "$UNROLL" train "${options[@]}" --run "r$ranks" --threads $((1 + ranks % 3)) 2>log
        same_run whole "r$ranks"
    done
    for order in tile pair; do
        for ranks in 1 3; do
            on "$ranks" "$UNROLL" train "${options[@]}" --precision bf16 --bf16-order $order --run "$order$ranks" --threads "$ranks" 2>log
        done
        same_run "${order}1" "${order}3"
    done
}

@test "stopped at every boundary, in the middle of epochs and at their ends, a run ends the same" {
    options+=(--hidden 6 --layers 1 --epochs 2 --schedule onecycle --average epochs --dropout-kind locked
        --eval-every 4 --threads 1)
    "$UNROLL" train "${options[@]}" --run all 2>log
    for stop in $(seq 80); do
        run "$UNROLL" train "${options[@]}" --run r --max-time 0.000001
        [ "$status" -eq 75 ] || break
    done
    [ "$status" -eq 0 ]
    [ "$stop" -gt 8 ]
    same_run all r
}

@test "killed in the middle of an epoch, a run goes on at its place, on other numbers of ranks" {
    first=$(lines_of valid whole/metrics.jsonl | field step | head -n 1)
    # in the first epoch, at its end, and in one that has another number of steps
    other=$(lines_of valid whole/metrics.jsonl | field step | awk -v first="$first" '$1 - before != first && !found { found = $1 } { before = $1 } END { print found }')
    for steps in $((first - 2)) "$first" $((other - 2)); do
        "$UNROLL" train "${options[@]}" --run "r$steps" --threads 1 --checkpoint-every 1 --max-time 1000 2>log &
        job=$!
        while kill -0 $job && [ "$(lines_of train "r$steps/metrics.jsonl" 2>/dev/null | wc -l)" -lt "$steps" ]; do sleep 0.01; done
        kill -KILL $job || true
        wait $job || true
        on 2 "$UNROLL" train "${options[@]}" --run "r$steps" --threads 1 2>log
        same_run whole "r$steps"
    done
}

@test "another --bptt-vary is another run: refused" {
    run -76 "$UNROLL" train "${options[@]}" --run whole --no-bptt-vary
    [[ "$output" == *"--bptt-vary was true and is now false"* ]]
    "$UNROLL" train "${options[@]}" --no-bptt-vary --run plain --max-steps 3 2>log
    run -76 "$UNROLL" train "${options[@]}" --run plain --max-steps 3
    [[ "$output" == *"--bptt-vary was false and is now true"* ]]
}

@test "a step's rate is in proportion to its length: clipped, and with decay that goes by the rate" {
    for optimizer in "sgd --lr 1 --weight-decay 0.01 --clip 0.1" "momentum --lr 1" "adamw --lr 0.25 --weight-decay 0.1"; do
        rate=${optimizer##*--lr }
        # shellcheck disable=SC2206 # words
        one=("${options[@]}" --bptt 64 --dropout 0.5 --schedule constant --max-steps 1 --threads 1 --optimizer $optimizer)
        "$UNROLL" train "${one[@]}" --run a 2>log
        length=$(lengths a)
        [ "$length" -ne 64 ]
        "$UNROLL" train "${one[@]}" --no-bptt-vary --bptt "$length" --run b \
            --lr "$(awk "BEGIN { printf \"%.20g\", ${rate%% *} * $length / 64 }")" 2>log
        [ "$(digest_of a)" = "$(digest_of b)" ]
        rm -r a b
    done
}

@test "validation has windows of --bptt" {
    "$UNROLL" train "${options[@]}" --lr 0 --epochs 1 --run a --threads 1 2>log
    "$UNROLL" train "${options[@]}" --lr 0 --epochs 1 --no-bptt-vary --run b --threads 1 2>log
    [ "$(lines_of end a/metrics.jsonl | field valid_loss)" = "$(lines_of end b/metrics.jsonl | field valid_loss)" ]
}

@test "a branch stands where its source does, or at the epoch's beginning if it cuts otherwise" {
    first=$(lines_of valid whole/metrics.jsonl | field step | head -n 1)
    tokens=$(lines_of run whole/metrics.jsonl | field tokens_per_epoch)
    "$UNROLL" train "${options[@]}" --run half --max-steps $((first + 3)) --threads 1 2>log
    branch() {
        "$UNROLL" train "${options[@]}" --run half --branch "$1" --epochs 2 --threads 1 --max-steps none "${@:2}" 2>log
        before=$(lines_of end half/metrics.jsonl | field tokens)
        echo $(($(lines_of end "$1/metrics.jsonl" | field tokens) - before))
    }
    [ "$(branch same)" -eq $((2 * tokens - $(lines_of end half/metrics.jsonl | field tokens))) ]
    [ "$(branch seed --seed 4)" -eq "$tokens" ]
    [ "$(branch plain --no-bptt-vary)" -eq "$tokens" ]
}

@test "a text that is shorter than a window is one window" {
    "$UNROLL" train "${options[@]}" --bptt 60000 --epochs 2 --batch 2 --lane-groups 2 --hidden 4 --layers 1 --threads 1 --run r 2>log
    [ "$(lines_of end r/metrics.jsonl | field step)" -eq 2 ]
}

@test "what it cannot go with is refused, with the reason" {
    run -78 "$UNROLL" train --task classify --corpus l.h5 --run r --bptt-vary
    [[ "$output" == *"'--bptt-vary' with --task classify"*"whole texts"* ]]
    run -78 "$UNROLL" train --corpus c.h5 --run r --bptt 4 --bptt-vary
    [[ "$output" == *"'--bptt-vary' with --bptt 4"*"use --bptt 5 to 65515"* ]]
    run -78 "$UNROLL" plan --bptt 65516 --bptt-vary
    [[ "$output" == *"use --bptt 5 to 65515"* ]]
    [ ! -e r ]
}

@test "plan counts the longest window" {
    "$UNROLL" plan --bptt 50 --bptt-vary --batch 20 --lane-groups 20 --threads 1 --json v.json >v.txt
    "$UNROLL" plan --bptt 70 --batch 20 --lane-groups 20 --threads 1 --json l.json >l.txt
    "$UNROLL" plan --bptt 50 --batch 20 --lane-groups 20 --threads 1 --json s.json >s.txt
    grep -q "windows *5 to 70 tokens long, about 50" v.txt
    [ "$(field workspace v.json | head -n 1)" = "$(field workspace l.json | head -n 1)" ]
    [ "$(field evaluator v.json | head -n 1)" = "$(field evaluator s.json | head -n 1)" ]
    [ "$(field window_max v.json)" = 70 ]
}
