#!/usr/bin/env bats
# 'unroll prepare --vocab-from': new text for an old model, for 'eval', --init-from and --branch.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_text 300 >old.txt
    { make_text 80 | sed 's/lane/Zürich/; s/some/that/' && echo 'A Lane SUMS'; } >new.txt
    for level in char word; do
        make_model $level old.txt --max-steps 30 --hidden 16 --layers 1
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

refused() {
    says_error_alone "$1" "$2" "$UNROLL" prepare "${@:3}" -o refused.h5
    [ ! -e refused.h5 ]
}

vocabulary() {
    "$UNROLL" inspect "$1" --json | sed -n 's/.*"vocabulary": \({[^}]*}\).*/\1/p'
}

@test "the vocabulary is the old one, and what it lacks is unknown" {
    for from in run-word run-word/best.h5 word.h5; do
        run -0 "$UNROLL" prepare --vocab-from $from --train new.txt --split 80,10,10 -o new.h5
        [[ "${lines[0]}" == *"level word, vocabulary of "*" tokens (that of '"*"), digest "* ]]
        [[ "$output" == *"note: "*" of "*" tokens are not in the vocabulary and became <unk>"*"its own training text had no <unk>: its models know nothing of it"* ]]
        [[ "$output" == *"note: the vocabulary is lower-case: capitals are read as small letters"* ]]
        unknown=$(echo "$output" | sed -n 's/^note: \([0-9]*\) of .* are not in.*/\1/p')
        [ "$unknown" -eq "$(grep -o Zürich new.txt | wc -l)" ]
        [ "$(vocabulary new.h5)" = "$(vocabulary word.h5)" ]
        [ -n "$(vocabulary new.h5)" ]
    done
}

@test "eval takes it, and gives what score gives the text" {
    for level in char word; do
        "$UNROLL" prepare --vocab-from run-$level --test new.txt -o new.h5 # no training text is needed
        "$UNROLL" eval --model run-$level --corpus new.h5 --batch 1 --json >eval.json
        "$UNROLL" score --model run-$level --carry-state --json new.txt >score.json
        [ "$(field log_probability score.json | awk '{ s += $1 } END { printf "%.9f", s }')" = \
            "$(field log_probability eval.json | awk '{ printf "%.9f", $1 }')" ]
        # another text's own vocabulary is another, and the way out is named
        "$UNROLL" prepare --level $level --train new.txt --split 80,10,10 -o own.h5
        ends_with_error 65 "make the text fit by 'unroll prepare --vocab-from'" \
            "$UNROLL" eval --model run-$level --corpus own.h5
    done
}

@test "train goes on with it, from the model and in a branch" {
    "$UNROLL" prepare --vocab-from run-word --train new.txt --split 80,10,10 -o new.h5
    options=(--hidden 16 --layers 1 --batch 8 --bptt 16 --threads 1)
    run -0 --separate-stderr "$UNROLL" train --corpus new.h5 --run from --init-from run-word --max-steps 3 "${options[@]}"
    run -0 --separate-stderr "$UNROLL" train --corpus new.h5 --run run-word --branch branched --max-steps 33
    [[ "$stderr" == *"branching from 'run-word' at step 30 into 'branched'"* ]]
    "$UNROLL" prepare --level word --train new.txt --split 80,10,10 -o own.h5
    ends_with_error 76 "or make the text fit by 'unroll prepare --vocab-from'" \
        "$UNROLL" train --corpus own.h5 --run run-word --branch other --max-steps 33
    "$UNROLL" prepare --vocab-from run-word --test new.txt -o untrained.h5
    ends_with_error 65 "the corpus has no split 'train'" "$UNROLL" train --corpus untrained.h5 --run none "${options[@]}"
}

@test "the same file on any number of ranks" {
    "$UNROLL" prepare --vocab-from run-char --train new.txt --split 80,10,10 -o one.h5
    on 3 "$UNROLL" prepare --vocab-from run-char --train new.txt --split 80,10,10 -o three.h5
    cmp one.h5 three.h5
    run --separate-stderr on 2 "$UNROLL" prepare --vocab-from nowhere --train new.txt -o refused.h5
    [ "$status" -eq 66 ]
    [[ "$stderr" == *"cannot read 'nowhere'"* ]]
}

@test "markers are treated as those of the old text were" {
    sed 's/^/<s> /' old.txt >marked.txt
    "$UNROLL" prepare --level word --markers strip --train marked.txt --split 80,10,10 -o marked.h5
    sed 's/^/<s> /' new.txt >new-marked.txt
    run -0 "$UNROLL" prepare --vocab-from marked.h5 --test new-marked.txt -o new.h5
    [[ "$output" == *"were left out (--markers strip)"* ]]
    refused 78 "cannot use '--markers keep' with 'marked.h5'" --vocab-from marked.h5 --markers keep --test new-marked.txt
    refused 65 "the text holds 81 '<s>'" --vocab-from word.h5 --test new-marked.txt
}

@test "labels are those of the classifier" {
    awk '{ print (NR % 2 ? "odd" : "even") "\t" $0 }' old.txt >labelled.txt
    "$UNROLL" prepare --labelled --train labelled.txt --split 80,10,10 -o labelled.h5
    "$UNROLL" train --task classify --corpus labelled.h5 --run run-class --max-steps 3 --hidden 8 --batch 8 --threads 1
    awk '{ print (NR % 2 ? "even" : "odd") "\t" $0 }' new.txt >test.txt # in another order
    "$UNROLL" prepare --labelled --vocab-from run-class --test test.txt -o test.h5
    run -0 "$UNROLL" eval --model run-class --corpus test.h5
    [[ "$output" == *"texts           81"* ]]
    cp test.h5 said.h5
    on 2 "$UNROLL" prepare --vocab-from run-class --test test.txt -o test.h5 # needs not be said
    cmp test.h5 said.h5
    run -0 "$UNROLL" prepare --vocab-from labelled.h5 --no-labelled --test test.txt -o plain.h5
    [[ "$output" == *"note: the labels of 'labelled.h5' were not taken over (--no-labelled)"* ]]
    [[ "$("$UNROLL" inspect plain.h5)" != *labels* ]]
    refused 65 "'new.txt' line 1: no tab; write label, tab and text, as the vocabulary is a classifier's, or add --no-labelled" \
        --vocab-from run-class --test new.txt
    refused 65 "cannot take labels from 'run-word/best.h5': it has none" --vocab-from run-word --labelled --test test.txt
    "$UNROLL" prepare --vocab-from run-word --labelled --train labelled.txt --valid test.txt -o plain.h5 # those of the text
    echo $'neither\ta lane' >>test.txt
    refused 65 "has no label 'neither'" --labelled --vocab-from run-class --test test.txt
}

@test "a text of tokens serves, too" {
    awk 'BEGIN { print "<unk>"; print "</s>" } { for (i = 1; i <= NF; i++) if (!seen[$i]++) print $i }' old.txt >tokens
    run -0 "$UNROLL" prepare --vocab-from tokens --level word --test new.txt -o new.h5
    [[ "$output" == *"became <unk>"* ]]
    [[ "$("$UNROLL" prepare --vocab-from run-word --test old.txt -o new.h5)" == *"note: all "*" tokens are in the vocabulary"* ]]
    [[ "$output" != *"its own training text"* ]] # it has none
    refused 64 "missing option '--level': 'tokens' is a text" --vocab-from tokens --test new.txt
    printf 'lane\nNew York\n' >phrases # no text gives a word with a blank in it
    refused 65 "'phrases': entry 'New York' in line 2 is not one word; correct or remove it" --vocab-from phrases --level word --test new.txt
    printf '<unk>\nlane\nsome\nlane\n' >doubled
    refused 65 "'doubled': entry 'lane' in line 4 is there twice" --vocab-from doubled --level word --test new.txt
}

@test "what the old vocabulary says is not said otherwise" {
    for option in "--vocab-size 10" "--min-count 2" --lowercase --no-lowercase; do
        refused 78 "cannot use '${option%% *}' together with '--vocab-from'" --vocab-from run-word $option --train new.txt
    done
    refused 78 "cannot use '--level' together with '--vocab-from'" --vocab-from run-word --level word --train new.txt
    refused 64 "missing option '--train'" --vocab-from run-word
    refused 66 "cannot read 'nowhere'" --vocab-from nowhere --train new.txt
}
