#!/usr/bin/env bats
# --reset-at eos: sentences that know nothing of each other, in training, evaluation and scoring alike.

bats_require_minimum_version 1.5.0
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_text 300 >train.txt
    { echo; make_text 40; } >valid.txt # the empty first line is the sentence end that the first sentence stands behind
    "$UNROLL" prepare --level word --train train.txt --valid valid.txt -o book.h5 >/dev/null
    train reset --reset-at eos
    train plain
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

train() {
    "$UNROLL" train --corpus book.h5 --run "$1" --max-steps 60 --hidden 20 --layers 2 --dropout 0.2 --batch 5 --bptt 9 \
        --lr 0.02 --eval-every 20 --checkpoint-every 20 --threads 1 "${@:2}" 2>"$1.log"
}

# loss_by_eval MODEL: total loss of the validation split; one lane, since the split is shorter than 128 tokens a lane.
loss_by_eval() {
    "$UNROLL" eval --model "$1" --corpus short.h5 --split valid --json >eval.json
    awk -v l="$(field loss eval.json)" -v n="$(field tokens eval.json)" 'BEGIN { printf "%.5f\n", l * n }'
}

loss_by_score() {
    "$UNROLL" score --model "$1" lines.txt 2>/dev/null | awk '{ sum -= $1 } END { printf "%.5f\n", sum }'
}

@test "evaluating a text is scoring its lines, for a model trained so and for no other" {
    make_text 9 >lines.txt
    { echo; cat lines.txt; } >short.txt
    "$UNROLL" prepare --level word --train train.txt --valid short.txt -o short.h5 >/dev/null
    [ "$(loss_by_eval reset/best.h5)" = "$(loss_by_score reset/best.h5)" ]
    [ "$(loss_by_eval plain/best.h5)" != "$(loss_by_score plain/best.h5)" ]
}

# total FILE: of log_probability in JSON lines, to all digits.
total() {
    sed -E 's/.*"log_probability": ([-+.0-9eE]+).*/\1/' "$1" | awk '{ sum += $1 } END { printf "%.15g\n", sum }'
}

@test "eval --batch 1 is the sum of score, at every level, to ten digits; lanes cut sentences" {
    make_text 200 >held.txt
    for level in word char byte; do
        "$UNROLL" prepare --level $level --train train.txt --test held.txt -o $level.h5 >/dev/null
        "$UNROLL" train --corpus $level.h5 --run at-$level --max-steps 30 --hidden 20 --layers 2 --batch 5 --bptt 9 \
            --lr 0.02 --threads 1 --reset-at eos 2>log
        "$UNROLL" score --model at-$level/latest --format json held.txt >score.json 2>summary
        "$UNROLL" eval --model at-$level/latest --corpus $level.h5 --batch 1 --json >eval.json
        awk -v a="$(total score.json)" -v b="$(total eval.json)" 'BEGIN { exit !((a / b - 1) ^ 2 < 1e-20) }'
        [ "$(field tokens eval.json)" = "$(sed -n 's/^lines 200, tokens \([0-9]*\) .*/\1/p' summary)" ]
        grep -qF "perplexity per word $(printf %.6g "$(field perplexity_per_word eval.json)") ($(field words eval.json) words and line ends), bits per byte $(printf %.6f "$(field bits_per_byte eval.json)") ($(field bytes eval.json) bytes)" summary
        # five lanes: the first token is not predicted, and the second half of a sentence does not know the first
        "$UNROLL" eval --model at-$level/latest --corpus $level.h5 --json >eval.json
        [ "$(field lanes eval.json)" = 5 ]
        awk -v a="$(total score.json)" -v b="$(total eval.json)" 'BEGIN { exit !((a / b - 1) ^ 2 > 1e-10) }'
    done
}

@test "checkpoints say how they were trained, and score tells it" {
    [ "$("$UNROLL" inspect --json reset/latest | field reset_at | sort -u)" = eos ]
    run -0 "$UNROLL" inspect plain/latest
    [[ "$output" != *reset_at* ]]
    echo "the lane holds" >line.txt
    run -0 --separate-stderr "$UNROLL" score --model reset/best.h5 line.txt
    [[ "${stderr_lines[-1]}" == *"as the model was trained (--reset-at eos)" ]]
    run -0 --separate-stderr "$UNROLL" score --model plain/best.h5 line.txt
    [[ "${stderr_lines[-1]}" == *"(--reset-at none)" ]]
    [ "$(lines_of run reset/metrics.jsonl | field reset_at)" = eos ]
}

@test "the same bits on any number of ranks and threads, and after a resume" {
    for place in 2:1 3:2; do
        on "${place%:*}" "$UNROLL" train --corpus book.h5 --run "ranks-$place" --max-steps 60 --hidden 20 --layers 2 \
            --dropout 0.2 --batch 5 --bptt 9 --lr 0.02 --eval-every 20 --checkpoint-every 20 --threads "${place#*:}" \
            --reset-at eos
        cmp reset/metrics.jsonl "ranks-$place/metrics.jsonl"
    done
    train parts --reset-at eos --max-steps 30
    train parts --reset-at eos
    cmp reset/metrics.jsonl parts/metrics.jsonl
    [ "$(field parameters_digest reset/metrics.jsonl)" != "$(field parameters_digest plain/metrics.jsonl)" ]
}

@test "a run does not change its mind, and a text without sentence ends is refused" {
    run -76 train reset --reset-at none --max-steps 80
    [[ "$(cat reset.log)" == *"--reset-at was eos and is now none"* ]]
    printf 'abcabcabcabcabc' >one.txt
    "$UNROLL" prepare --level char --train one.txt -o one.h5 >/dev/null
    run -78 --separate-stderr "$UNROLL" train --corpus one.h5 --run one --reset-at eos
    [[ "$stderr" == *"cannot use '--reset-at eos'"*"no sentence end"* ]]
    run -78 --separate-stderr "$UNROLL" train --corpus book.h5 --run two --reset-at start
    [[ "$stderr" == *"start"* ]]
}
