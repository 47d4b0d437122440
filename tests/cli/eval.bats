#!/usr/bin/env bats
# 'unroll eval': what it prints, that it agrees with training and with every number of ranks and threads, what it refuses.

bats_require_minimum_version 1.5.0

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
    local status_wanted=$1 text=$2
    shift 2
    run --separate-stderr "$UNROLL" eval "$@"
    echo "$* -> $status: $stderr"
    [ "$status" -eq "$status_wanted" ]
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ "${stderr_lines[0]}" == "unroll: "*"$text"* ]]
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
    [ "$(echo "$output" | awk '{ print $1 }' | paste -sd' ')" = "split tokens unknown loss perplexity bits" ]
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

@test "a failure on all ranks is told once" {
    run -65 --separate-stderr mpirun -n 3 "$UNROLL" eval --model run/best.h5 --corpus run/best.h5
    [ "$(echo "$stderr" | grep -c '^unroll: ')" -eq 1 ]
}
