#!/usr/bin/env bats
# 'unroll eval': what it prints, that it agrees with training and with every number of ranks and threads, what it refuses.

bats_require_minimum_version 1.5.0
load refusal

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 200); do
        printf 'line %d of the book says %d\n' "$i" $((i * i % 97))
    done >book.txt
    "$UNROLL" prepare --level char --train book.txt --split 80,10,10 -o book.h5
    "$UNROLL" train --corpus book.h5 --run run --max-steps 30 --hidden 16 --layers 1 --batch 7 --bptt 20 \
        --threads 1 --json-summary summary.json
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" eval "${@:3}"
}

# member FILE NAME: a number of a JSON object
member() {
    sed -E "s/.*\"$2\": *([-+.0-9eE]+).*/\1/" "$1"
}

@test "the loss of a split is the one that training reported" {
    "$UNROLL" eval --model run/latest --corpus book.h5 --split valid --json >valid.json
    [ "$(member valid.json loss)" = "$(member summary.json valid_loss)" ]
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split test --json >test.json
    [ "$(member test.json loss)" = "$(member summary.json test_loss)" ]
}

@test "the test split is the default, and perplexity and bits follow from the loss" {
    run -0 --separate-stderr "$UNROLL" eval --model run/best.h5 --corpus book.h5
    [[ "${lines[0]}" == "split "*" test" ]]
    [ "$(echo "$output" | awk '{ print $1 }' | paste -sd' ')" = "split lanes tokens unknown loss perplexity bits per per" ]
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --json >test.json
    loss=$(member test.json loss)
    awk -v l="$loss" -v p="$(member test.json perplexity)" -v b="$(member test.json bits_per_token)" \
        'BEGIN { exit !((p / exp(l) - 1) ^ 2 < 1e-20 && (b - l / log(2)) ^ 2 < 1e-20) }'
    [[ "$output" == *"loss            $(printf %.6f "$loss") nats per token"* ]]
}

@test "dynamic evaluation: the same digits on any number of ranks and threads; with rate 0 those of plain evaluation" {
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --dynamic --lr 0.5 --threads 1 --json >expected
    for ranks in 2 3; do
        mpirun -n $ranks "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --dynamic --lr 0.5 --threads 1 \
            --json >found 2>notes
        cmp expected found
    done
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --dynamic --lr 0.5 --threads 3 --json >found 2>notes
    cmp expected found
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --json >plain
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --dynamic --lr 0 --json >found
    [ "$(member found dynamic_lr)" = 0 ]
    sed 's/ "dynamic_lr": 0,//' found | cmp plain -
    run -0 --separate-stderr "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --dynamic --lr 0.5
    [[ "$output" == *"dynamic         learning rate 0.5"* ]]
    awk -v a="$(member expected loss)" -v b="$(member plain loss)" 'BEGIN { exit !(a < b - 0.05) }' # it learns
    refused 78 "--lr" --model run/best.h5 --corpus book.h5 --lr 0.5
    refused 78 "--lr" --model run/best.h5 --corpus book.h5 --dynamic --lr -1
}

@test "without a test split the validation split is the default" {
    "$UNROLL" prepare --level char --train book.txt --split 90,10 -o two.h5
    "$UNROLL" train --corpus two.h5 --run two --max-steps 1 --hidden 4 --layers 1 --batch 4 --bptt 20 --threads 1
    run -0 "$UNROLL" eval --model two/best.h5 --corpus two.h5
    [[ "${lines[0]}" == "split "*" valid" ]]
    refused 65 "test split" --model two/best.h5 --corpus two.h5 --split test
    "$UNROLL" prepare --level char --train book.txt -o one.h5
    "$UNROLL" train --corpus one.h5 --run one --max-steps 1 --hidden 4 --layers 1 --batch 4 --bptt 20 --threads 1
    refused 65 "--split train" --model one/latest --corpus one.h5
    run -0 "$UNROLL" eval --model one/latest --corpus one.h5 --split train
}

@test "every number of ranks and threads gives the same digits" {
    for split in train test; do
        "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split $split --json --threads 1 >expected
        "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split $split --json --threads 2 >found 2>notes
        cmp expected found
        for shape in 2:1 3:2 9:1; do # nine ranks are more than there are lane groups
            mpirun -n ${shape%:*} "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split $split --json \
                --threads ${shape#*:} >found 2>notes
            cmp expected found
        done
    done
}

@test "what cannot be evaluated is refused" {
    refused 66 "none.h5" --model none.h5 --corpus book.h5
    refused 66 "none.h5" --model run/best.h5 --corpus none.h5
    refused 76 "book.h5" --model book.h5 --corpus book.h5
    refused 65 "best.h5" --model run/best.h5 --corpus run/best.h5
    refused 64 "--corpus" --model run/best.h5
    "$UNROLL" prepare --level word --train book.txt --split 80,10,10 -o words.h5
    refused 65 "level word" --model run/best.h5 --corpus words.h5
    sed s/book/fook/ book.txt >fook.txt
    "$UNROLL" prepare --level char --train fook.txt --split 80,10,10 -o fook.h5
    refused 65 "vocabulary" --model run/best.h5 --corpus fook.h5
}

@test "lanes: those of training, fewer in a short split, or those asked for" {
    run -0 --separate-stderr "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train
    [[ "${lines[1]}" == "lanes           7" ]]
    head -n 4 book.txt >four.txt # some 100 characters
    "$UNROLL" prepare --level char --train book.txt --test four.txt -o short.h5
    "$UNROLL" train --corpus short.h5 --run short --max-steps 30 --hidden 16 --layers 1 --batch 7 --bptt 20 --threads 1
    run -0 --separate-stderr "$UNROLL" eval --model short/latest --corpus short.h5
    [[ "${lines[1]}" == "lanes           1: the split is too short for the 7 of training" ]]
    "$UNROLL" eval --model short/latest --corpus short.h5 --json >rule.json
    [ "$(member rule.json lanes)" = 1 ]
    [ "$(member rule.json tokens)" = $(($(wc -c <four.txt) - 1)) ]
    "$UNROLL" eval --model short/latest --corpus short.h5 --batch 7 --json >seven.json
    [ "$(member seven.json lanes)" = 7 ]
    awk -v a="$(member seven.json loss)" -v b="$(member rule.json loss)" 'BEGIN { exit !(a != b) }'
    run -0 --separate-stderr "$UNROLL" eval --model short/latest --corpus short.h5 --batch 7
    [[ "${lines[1]}" == "lanes           7" ]]
    # in one lane that is asked for, the first token has a loss, too
    "$UNROLL" eval --model short/latest --corpus short.h5 --batch 1 --json >one.json
    [ "$(member one.json tokens)" = "$(wc -c <four.txt)" ]
    # as trained is as without: a long split's lanes are those of training
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --json >expected
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --batch 7 --json | cmp expected -
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --batch trained --json | cmp expected -
    # a run's own configuration says what it was trained with, not what to evaluate with
    "$UNROLL" eval --config short/config.ini --model short/latest --corpus short.h5 --json | cmp rule.json -
}

@test "any lanes give the same digits on any number of ranks; what is out of bounds is refused by its bound" {
    for batch in 1 3 40; do
        "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --batch $batch --json --threads 1 >expected
        [ "$(member expected lanes)" = $batch ]
        for ranks in 2 3; do
            mpirun -n $ranks "$UNROLL" eval --model run/best.h5 --corpus book.h5 --split train --batch $batch --json \
                --threads 1 >found 2>notes
            cmp expected found
        done
    done
    tokens=$("$UNROLL" eval --model run/best.h5 --corpus book.h5 --json --batch 1 | sed -E 's/.*"tokens": ([0-9]+).*/\1/')
    run -0 "$UNROLL" eval --model run/best.h5 --corpus book.h5 --batch $((tokens - 1)) --json
    refused 78 "write --batch 1 to $((tokens - 1))" --model run/best.h5 --corpus book.h5 --batch "$tokens"
    refused 78 "--batch" --model run/best.h5 --corpus book.h5 --batch 0
    refused 78 "--batch" --model run/best.h5 --corpus book.h5 --batch -1
    refused 78 "--batch" --model run/best.h5 --corpus book.h5 --batch 1048577
    "$UNROLL" eval --model run/best.h5 --corpus book.h5 --batch 2 --dynamic --json >found
    [ "$(member found lanes)" = 2 ]
    # more lanes than in training are in groups of their own, so that more ranks take part
    "$UNROLL" train --corpus book.h5 --run lone --max-steps 1 --hidden 4 --layers 1 --batch 1 --bptt 20 --threads 1
    run -78 --separate-stderr mpirun -n 2 "$UNROLL" eval --model lone/latest --corpus book.h5 --dynamic --threads 1
    "$UNROLL" eval --model lone/latest --corpus book.h5 --batch 4 --dynamic --json >expected
    mpirun -n 2 "$UNROLL" eval --model lone/latest --corpus book.h5 --batch 4 --dynamic --threads 1 --json 2>notes | cmp expected -
}

@test "words and bytes are those of the text, at every level" {
    { sed -n 41,60p book.txt && printf 'a\u00a0b\u2003c  d\n\n'; } >held.txt # two blanks beyond ASCII
    { cat book.txt && printf 'abcd\u00a0\u2003\n'; } >train.txt
    words=$(($(tr -s '\302\240\342\200\203 ' ' ' <held.txt | wc -w) + $(wc -l <held.txt)))
    for level in char word byte; do
        "$UNROLL" prepare --level $level --train train.txt --test held.txt -o $level.h5
        "$UNROLL" train --corpus $level.h5 --run level-$level --max-steps 9 --hidden 8 --layers 1 --batch 4 --bptt 9 --threads 1
        "$UNROLL" eval --model level-$level/latest --corpus $level.h5 --batch 1 --json >$level.json
        [ "$(member $level.json words)" = $words ]
        [ "$(member $level.json bytes)" = "$(wc -c <held.txt)" ]
        awk -v n="$(member $level.json tokens)" -v l="$(member $level.json loss)" -v w=$words -v b="$(wc -c <held.txt)" \
            -v p="$(member $level.json perplexity_per_word)" -v bits="$(member $level.json bits_per_byte)" \
            'BEGIN { exit !((p / exp(n * l / w) - 1) ^ 2 < 1e-20 && (bits - n * l / b / log(2)) ^ 2 < 1e-20) }'
    done
    # of words the perplexity per word is the perplexity; of bytes the bits per byte are those per token
    [ "$(member word.json perplexity_per_word)" = "$(member word.json perplexity)" ]
    awk -v a="$(member byte.json bits_per_byte)" -v b="$(member byte.json bits_per_token)" 'BEGIN { exit !((a - b) ^ 2 < 1e-24) }'
    # what is only read is not counted
    "$UNROLL" eval --model level-word/latest --corpus word.h5 --json >most.json
    [ "$(member most.json words)" = $((words - 1)) ]
    [ "$(member most.json bytes)" = $(($(wc -c <held.txt) - $(head -n 1 held.txt | cut -d ' ' -f 1 | wc -c))) ]
    # <unk> does not say what it stands for
    run -0 --separate-stderr "$UNROLL" eval --model level-word/latest --corpus word.h5
    [[ "$output" == *"bytes; too few: <unk> does not spell what it stands for" ]]
    run -0 --separate-stderr "$UNROLL" eval --model run/best.h5 --corpus book.h5
    [[ "$output" != *"too few"* ]]
}

@test "json tells names of files apart that are not UTF-8" {
    cp run/best.h5 $'caf\xe9.h5' && cp book.h5 $'caf\xe8.h5'
    "$UNROLL" eval --model $'caf\xe9.h5' --corpus $'caf\xe8.h5' --json |
        python3 -c 'import json, sys; d = json.load(sys.stdin); assert (d["model"], d["corpus"]) == ("caf\\xe9.h5", "caf\\xe8.h5"), d'
    "$UNROLL" inspect --json $'caf\xe8.h5' | grep -qF '"file": "caf\\xe8.h5"'
}

@test "a failure on all ranks is told once" {
    run -65 --separate-stderr mpirun -n 3 "$UNROLL" eval --model run/best.h5 --corpus run/best.h5
    [ "$(echo "$stderr" | grep -c '^unroll: ')" -eq 1 ]
}

@test "vocabularies of the same size: the first entry that differs is named" {
    sed 's/k/q/g' book.txt >other.txt
    "$UNROLL" prepare --level char --train other.txt --split 80,10,10 -o other.h5
    refused 65 "its vocabulary has as many entries as that of 'run/best.h5', but not the same: entry " --model run/best.h5 --corpus other.h5
    [[ "$stderr" == *" is 'q', and 'k' in the model; make the text fit by 'unroll prepare --vocab-from'" ]]
}
