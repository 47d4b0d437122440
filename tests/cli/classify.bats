#!/usr/bin/env bats
# Labelled texts: preparing, training (any number of ranks, killed and resumed), evaluating, classifying; and what is refused.

bats_require_minimum_version 1.5.0
load refusal
load training

# make_reviews TEXTS: label, tab and text; one word in five tells the label, the others nothing.
make_reviews() {
    awk -v texts="$1" 'BEGIN {
        split("good bad odd", label); split("shines glows warms,fails bores drags,turns twists puzzles", telling, ","); x = 5
        for (i = 0; i < texts; i++) {
            l = 1 + i % 3; split(telling[l], word); line = ""
            x = (x * 1103 + 12345) % 65536; length_ = 3 + int(x / 7) % 14
            for (k = 0; k < length_; k++) {
                x = (x * 1103 + 12345) % 65536
                if (k % 5 == 1) line = line word[1 + int(x / 7) % 3] " "
                else line = line "w" int(x / 7) % 40 " "
            }
            print label[l] "\t" line
        }
    }'
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_reviews 400 >reviews.tsv
    "$UNROLL" prepare --labelled --train reviews.tsv --split 80,10,10 -o reviews.h5 >prepared
    train_on 0 run
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# train_on RANKS DIR OPTION...: 75 steps of a small classifier.
train_on() {
    on "$1" "$UNROLL" train --task classify --corpus reviews.h5 --run "$2" --hidden 18 --batch 13 --epochs 3 --lr 0.02 \
        --dropout 0.2 --word-dropout 0.1 --checkpoint-every 10 --log-every 5 --threads 1 "${@:3}" 2>"$2.log"
}

# refused STATUS TEXT COMMAND ARGUMENT...: exit status, TEXT in the message, nothing on stdout.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
    [ -z "$output" ]
    [[ "$stderr" == "unroll: "* ]]
}

@test "prepare keeps texts and labels, and inspect and verify know them" {
    grep -q "^3 labels" prepared
    [ "$(awk '/^(train|valid|test)/ { n += $NF } END { print n }' prepared)" -eq 400 ]
    run -0 "$UNROLL" inspect --json reviews.h5
    [[ "$output" == *'"labels": {"good": '* ]]
    run -0 "$UNROLL" verify reviews.h5 run/latest run/best.h5
    run -0 "$UNROLL" inspect run/latest
    [[ "$output" == *"task "*"classify"*"pool "*"mean"*"labels: training texts"*"good "* ]]
}

@test "one file a class is the same corpus as labelled lines in that order" {
    for label in good bad odd; do
        grep "^$label" reviews.tsv | cut -f 2 >"$label.txt"
    done
    { sed 's/^/good\t/' good.txt; sed 's/^/bad\t/' bad.txt; sed 's/^/odd\t/' odd.txt; } >sorted.tsv
    "$UNROLL" prepare --labelled --train sorted.tsv --split 90,0,10 -o sorted.h5 >/dev/null
    "$UNROLL" prepare --class good=good.txt bad=bad.txt --class odd=odd.txt --split 90,0,10 -o classes.h5 >/dev/null
    [ "$("$UNROLL" inspect --json sorted.h5 | field digest)" = "$("$UNROLL" inspect --json classes.h5 | field digest)" ]
    # each label is dealt out in these shares, wherever its texts stand
    "$UNROLL" inspect --json classes.h5 | grep -q '"labels": {"good": 12[01], "bad": 1[12][019], "odd": 1[12][019]}'
}

@test "bad lines are told by number" {
    printf 'a\tx\nb y\n' >no-tab.tsv
    refused 65 "'no-tab.tsv' line 2: no tab" prepare --labelled --train no-tab.tsv -o c.h5
    printf 'a\tx\nb' >cut.tsv
    refused 65 "'cut.tsv' line 2: no tab" prepare --labelled --train cut.tsv -o c.h5
    printf 'a\tx\nb\t \nb\ty\n' >empty.tsv
    refused 65 "'empty.tsv' line 2: it has no text" prepare --labelled --train empty.tsv -o c.h5
    printf 'a\tx\n\ty\n' >no-label.tsv
    refused 65 "'no-label.tsv' line 2: '' is no label" prepare --labelled --train no-label.tsv -o c.h5
    printf 'a\tx\na\ty\n' >one.tsv
    refused 65 "one label only, 'a'" prepare --labelled --train one.tsv -o c.h5
    printf 'a\tx\nb\ty\n' >two.tsv
    printf 'a\tx\nc\ty\n' >other.tsv
    refused 65 "'other.tsv' line 2: no training text has its label 'c'" prepare --labelled --train two.tsv --test other.tsv -o c.h5
    printf 'a\tx\nb\ty\nb\tz\xff\n' >latin.tsv
    refused 65 "invalid byte 0xff at byte offset 11; it stands in line 3" prepare --labelled --train latin.tsv -o c.h5
    printf 'x\n\ny\n' >gap.txt
    refused 65 "'gap.txt' line 2: it has no text" prepare --class a=two.tsv --class b=gap.txt -o c.h5
    refused 78 "write NAME=FILE" prepare --class two.tsv -o c.h5
    refused 66 "none.txt" prepare --class a=none.txt b=two.tsv -o c.h5
    refused 64 "--train" prepare --labelled -o c.h5
    refused 73 "which --train reads" prepare --labelled --train two.tsv -o two.tsv
    [ ! -e c.h5 ]
}

@test "a classifier learns, and tells accuracy" {
    [[ "$(cat run.log)" == *"classifying: "*" texts to train on, 3 labels"*"test loss "*"accuracy "* ]]
    awk -v a="$(lines_of end run/metrics.jsonl | field test_accuracy)" 'BEGIN { exit !(a > 0.9) }'
    [ "$(lines_of valid run/metrics.jsonl | grep -c '"accuracy"')" -eq 3 ]
}

@test "the end tells both accuracies of the best weights and of the last" {
    # a rate at which the last epochs spoil what the first have learnt
    train_on 0 spoilt --epochs 6 --lr 0.3 --schedule constant --json-summary s.json
    [ "$(field best_step s.json)" -lt "$(field steps s.json)" ]
    for which in best:best.h5 last:latest; do
        for split in valid test; do
            field accuracy < <("$UNROLL" eval --model "spoilt/${which#*:}" --corpus reviews.h5 --split $split --json --threads 1)
        done | awk '{ printf "%.4f\n", $1 }' | paste -sd' ' >measured
        sed -n "/^${which%:*} weights, step .*:$/ { n; s/.*  accuracy \([0-9.]*\), test loss .*  accuracy \([0-9.]*\)$/\1 \2/p }" \
            spoilt.log >told
        [ -s told ]
        cmp told measured
    done
    [ "$(lines_of end spoilt/metrics.jsonl | field best_test_accuracy)" = "$(field best_test_accuracy s.json)" ]
    grep -q "^  echo 'a text' | .* classify --model spoilt/best.h5$" spoilt.log
}

@test "the same bits on any number of ranks and threads" {
    for place in 2:1 3:2 5:1; do
        train_on "${place%:*}" "ranks-$place" --threads "${place#*:}"
        cmp run/metrics.jsonl "ranks-$place/metrics.jsonl"
    done
    for pool in last max; do
        train_on 0 "$pool" --pool $pool --cell gru --epochs 1
        train_on 3 "$pool-3" --pool $pool --cell gru --epochs 1
        cmp "$pool/metrics.jsonl" "$pool-3/metrics.jsonl"
    done
}

@test "a run that was killed, more than once and on other ranks, is the run that was not" {
    train_on 0 whole --epochs 40
    for _ in 1 2; do
        "$UNROLL" train --task classify --corpus reviews.h5 --run killed --hidden 18 --batch 13 --epochs 40 --lr 0.02 \
            --dropout 0.2 --word-dropout 0.1 --checkpoint-every 10 --log-every 5 --threads 1 2>killed.log & pid=$!
        before=$(readlink killed/latest || true)
        while kill -0 $pid && [ "$(readlink killed/latest || true)" = "$before" ]; do sleep 0.02; done
        kill -KILL $pid
        wait $pid || true
    done
    step=$(steps_of killed)
    [ "$step" -ge 20 ] && [ "$step" -lt 1000 ]
    run -75 train_on 2 killed --epochs 40 --max-time 0.01
    train_on 3 killed --epochs 40
    cmp whole/metrics.jsonl killed/metrics.jsonl
    cmp <("$UNROLL" inspect --json whole/latest | field parameters_digest) \
        <("$UNROLL" inspect --json killed/latest | field parameters_digest)
}

@test "eval: accuracy, macro-F1 and confusion matrix, on any number of ranks" {
    run -0 "$UNROLL" eval --model run/latest --corpus reviews.h5
    [[ "$output" == *"accuracy "*"macro-F1 "*"label "*"confusion: "* ]]
    "$UNROLL" eval --model run/latest --corpus reviews.h5 --json >expected
    [ "$(field accuracy expected)" = "$(lines_of end run/metrics.jsonl | field test_accuracy)" ]
    for place in 2:1 3:2 7:1; do
        on "${place%:*}" "$UNROLL" eval --model run/latest --corpus reviews.h5 --json --threads "${place#*:}" >found 2>notes
        cmp expected found
    done
    python3 - expected <<'P'
import json, sys
r = json.load(open(sys.argv[1]))
c, n = r["confusion"], len(r["labels"])
assert sum(map(sum, c)) == r["texts"]
assert abs(sum(c[i][i] for i in range(n)) / r["texts"] - r["accuracy"]) < 1e-12
f1 = [2 * c[i][i] / (sum(c[i]) + sum(row[i] for row in c)) for i in range(n)]
assert abs(sum(f1) / n - r["macro_f1"]) < 1e-12
P
}

@test "classify says what eval counts, line by line, on any number of ranks" {
    make_reviews 400 | awk 'NR % 3 == 0' >some.tsv
    cut -f 2 some.tsv >some.txt
    "$UNROLL" prepare --labelled --train reviews.tsv --test some.tsv -o some.h5 >/dev/null
    train_on 0 for-some --corpus some.h5 --epochs 1
    "$UNROLL" classify --model for-some/latest some.txt >labels
    [ "$(wc -l <labels)" -eq "$(wc -l <some.txt)" ]
    right=$(paste <(cut -f 1 some.tsv) labels | awk '$1 == $2' | wc -l)
    "$UNROLL" eval --model for-some/latest --corpus some.h5 --json >eval.json
    awk -v a="$(field accuracy eval.json)" -v r="$right" -v n="$(wc -l <labels)" 'BEGIN { exit !((a - r / n) ^ 2 < 1e-20) }'
    for ranks in 1 2 3; do
        on $ranks "$UNROLL" classify --model for-some/latest --all some.txt >"all-$ranks" 2>notes
    done
    cmp all-1 all-2
    cmp all-1 all-3
    awk -F'\t' 'NF != 6 || ($2 + $4 + $6 - 1) ^ 2 > 1e-10 || $2 < $4 || $4 < $6 { exit 1 }' all-1
    cmp <(cut -f 1,2 all-1) labels
    run -0 "$UNROLL" classify --model for-some/latest --all --format json some.txt
    [ "$(field label <<<"${lines[4]}")" = "$(sed -n 5p labels | cut -f 1)" ]
}

@test "classify tells lines before a bad one, and knows words it has not met" {
    printf 'shines\n\nbores\n' >gap.txt
    run -65 --separate-stderr "$UNROLL" classify --model run/latest gap.txt
    [ "${#lines[@]}" -eq 1 ]
    [[ "$stderr" == *"'gap.txt' line 2: it has no text"* ]]
    run -0 "$UNROLL" classify --model run/latest <<<"words never met before"
    [[ "$output" =~ ^(good|bad|odd)$'\t'[01]\.[0-9]{6}$ ]]
    run -0 "$UNROLL" classify --model run/latest </dev/null
    [ -z "$output" ]
}

@test "how many lines were cut at --bptt is said, by classify and by eval" {
    make_reviews 60 >some.tsv
    cut -f 2 some.tsv >some.txt
    train_on 0 cut-at-six --bptt 6 --epochs 1
    run -0 --separate-stderr "$UNROLL" classify --model cut-at-six/latest some.txt
    cut=$(awk 'NF > 6' some.txt | wc -l) first=$(awk 'NF > 6 { print NR; exit }' some.txt)
    [ "$cut" -gt 5 ]
    [ "${stderr_lines[0]}" = "unroll: $cut of 60 lines, line $first the first, were classified by their first 6 tokens, as many as the model read of a text in training (--bptt)" ]
    # as if only they stood there
    printf '%s\n' "${lines[@]}" >expected
    cut -d ' ' -f 1-6 some.txt | "$UNROLL" classify --model cut-at-six/latest 2>notes | cmp - expected
    [ ! -s notes ]
    run -0 --separate-stderr "$UNROLL" classify --model run/latest some.txt
    [ -z "$stderr" ]
    # eval counts the line end, which a text of six words has no room for either
    "$UNROLL" prepare --labelled --train reviews.tsv --test some.tsv -o some.h5 >/dev/null
    train_on 0 cut-in-eval --corpus some.h5 --bptt 6 --epochs 1
    run -0 "$UNROLL" eval --model cut-in-eval/latest --corpus some.h5
    [ "${lines[2]}" = "cut             $(awk 'NF > 5' some.txt | wc -l) texts longer than the 6 tokens of training (--bptt), of which the first count" ]
    run -0 "$UNROLL" eval --model cut-in-eval/latest --corpus some.h5 --json
    [ "$(field cut <<<"$output")" -eq "$(awk 'NF > 5' some.txt | wc -l)" ]
    run -0 "$UNROLL" eval --model run/latest --corpus reviews.h5
    [[ "$output" != *"cut "* ]]
}

@test "a language model of labelled texts has words and bytes, of the texts alone" {
    "$UNROLL" train --corpus reviews.h5 --run words --max-steps 3 --hidden 8 --layers 1 --batch 5 --bptt 10 --threads 1
    "$UNROLL" eval --model words/latest --corpus reviews.h5 --batch 1 --split train --json >eval.json
    [ "$(field words eval.json)" = "$(field tokens eval.json)" ]
    [ "$(field unknown eval.json)" = 0 ]
    # each text joined by single blanks, and a line end
    [ "$(field bytes eval.json)" -lt "$(cut -f 2 reviews.tsv | wc -c)" ]
    [ "$(field bytes eval.json)" -gt $(($(cut -f 2 reviews.tsv | wc -c) * 7 / 10)) ]
    # what <unk> hides is not known
    "$UNROLL" prepare --labelled --vocab-size 20 --train reviews.tsv --split 80,10,10 -o few.h5 >/dev/null
    "$UNROLL" train --corpus few.h5 --run few --max-steps 3 --hidden 8 --layers 1 --batch 5 --bptt 10 --threads 1
    run -0 "$UNROLL" eval --model few/latest --corpus few.h5
    [[ "$output" == *"per byte        not known: "* ]]
    "$UNROLL" eval --model few/latest --corpus few.h5 --json >eval.json
    grep -q '"bytes": null, "bits_per_byte": null}' eval.json
}

@test "a language model of the same texts, and a classifier that starts from it" {
    "$UNROLL" train --corpus reviews.h5 --run lm --max-steps 20 --hidden 18 --layers 1 --batch 5 --bptt 10 --threads 1
    run -0 train_on 0 from --init-from lm/best.h5 --epochs 1
    [[ "$(cat from.log)" == *"starting from 'lm/best.h5' (step "*"): its layers, and the vectors of "* ]]
    train_on 3 from-3 --init-from lm/best.h5 --epochs 1
    cmp from/metrics.jsonl from-3/metrics.jsonl
    train_on 0 scratch --epochs 1
    [ "$(lines_of end from/metrics.jsonl | field parameters_digest)" != \
      "$(lines_of end scratch/metrics.jsonl | field parameters_digest)" ]
    run -78 train_on 0 other --init-from lm/best.h5 --layers 2
    [[ "$(cat other.log)" == *"cannot use '--init-from lm/best.h5'"*"--layers 1"*"--layers 2"* ]]
    run -66 train_on 0 other --init-from none.h5
    run -76 train_on 0 lm --branch other # a branch takes everything, which has other shapes
    [[ "$(cat lm.log)" == *"use --init-from"* || "$(cat lm.log)" == *"--init-from instead"* ]]
}

@test "what is of the other task is refused" {
    [ -e lm/best.h5 ] || "$UNROLL" train --corpus reviews.h5 --run lm --max-steps 2 --hidden 18 --layers 1 --batch 5 --threads 1
    refused 76 "use 'unroll classify'" score --model run/latest /dev/null
    refused 76 "use 'unroll classify'" sample --model run/latest
    refused 76 "is a classifier" eval --model run/latest --corpus reviews.h5 --dynamic
    refused 76 "train one with --task classify" classify --model lm/best.h5 /dev/null
    make_text 50 >plain.txt
    "$UNROLL" prepare --level word --train plain.txt -o plain.h5 >/dev/null
    run -78 train_on 0 none --corpus plain.h5
    [[ "$(cat none.log)" == *"has no labels"* ]]
    refused 65 "vocabulary" eval --model run/latest --corpus plain.h5 --split train
    refused 78 "--tied" train --task classify --corpus reviews.h5 --run none --tied
    refused 78 "--reset-at" train --task classify --corpus reviews.h5 --run none --reset-at eos
    refused 78 "--word-dropout" train --corpus reviews.h5 --run none --word-dropout 0.1
    refused 78 "--pool" train --task classify --corpus reviews.h5 --run none --pool first
    run -76 train_on 0 run --pool last
    [[ "$(cat run.log)" == *"--pool was mean and is now last"* ]]
}

@test "a report on a classifier shows its accuracy and asks for no samples" {
    run -0 --separate-stderr "$BATS_TEST_DIRNAME/../../tools/report" run -o report.html --unroll "$UNROLL"
    [[ "$stderr" != *"no sample"* ]]
    grep -q "test accuracy" report.html
    grep -q "Accuracy" report.html
}

@test "texts longer than --bptt are cut, and plan and bench know classifiers" {
    train_on 0 short --bptt 4 --epochs 1
    grep -q "training texts are longer than --bptt 4 tokens" short.log
    run -0 "$UNROLL" plan --task classify --labels 45 --bptt 100 --threads 1
    [[ "$output" == *"classify, 45 labels, pool mean"*"bytes on each rank for every text"* ]]
    run -0 "$UNROLL" bench --task classify --hidden 16 --bptt 8 --vocab-size 50 --steps 1 --threads 1
    [[ "$output" == *"classify, 2 labels"* ]]
}

@test "eval of a classifier cuts nothing into lanes, and refuses to be told how many" {
    run -78 --separate-stderr "$UNROLL" eval --model run/latest --corpus reviews.h5 --batch 7
    [[ "$stderr" == *"cannot use '--batch' with 'run/latest': it is a classifier"* ]]
}
