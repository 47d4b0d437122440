#!/usr/bin/env bats
# --recipe: what it sets, what comes before it, what a run remembers of it, and how it goes on.

bats_require_minimum_version 1.5.0

load training
load refusal

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    "$UNROLL" prepare --level word --train c.txt --split 80,10,10 -o words.h5 >/dev/null
    "$UNROLL" prepare --level byte --train c.txt --split 80,10,10 -o bytes.h5 >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.h5 .
    small=(--hidden 16 --layers 1 --batch 10 --bptt 12 --threads 1)
}

# value NAME RUN: of the run's config.ini.
value() {
    sed -n "s/^$1 = //p" "$2/config.ini"
}

@test "a run by a recipe is that of the options that its config.ini spells out" {
    "$UNROLL" train --corpus c.h5 --run a --recipe char-small "${small[@]}" --epochs 2 2>log
    grep -qF 'recipe char-small, which reached a validation loss of 1.407 nats on tinyshakespeare (90 : 5 : 5): --layers 2' log
    run ! grep -q warning log
    [ "$(value recipe a)" = '"char-small"' ]
    [ "$(value schedule a)" = '"cosine"' ]
    [ "$(value layers a) $(value hidden a) $(value epochs a)" = "1 16 2" ]
    grep -v '^recipe\|^$\|^#' a/config.ini >options.ini
    "$UNROLL" train --config options.ini --run b
    cmp a/metrics.jsonl b/metrics.jsonl
    "$UNROLL" train --corpus c.h5 --run c "${small[@]}" --epochs 2
    run ! cmp -s a/metrics.jsonl c/metrics.jsonl
}

@test "a run goes on by its recipe named again, by another start, and not by another recipe" {
    run -75 "$UNROLL" train --corpus c.h5 --run a --recipe char-small "${small[@]}" --epochs 3 --max-time 0.000001s
    run -0 "$UNROLL" train --run a --recipe char-small --max-time none # neither sizes nor epochs are those of the recipe
    [ "$(value hidden a) $(value epochs a)" = "16 3" ]
    "$UNROLL" train --corpus c.h5 --run b --recipe char-small "${small[@]}" --epochs 3
    cmp a/metrics.jsonl b/metrics.jsonl
    run -0 "$UNROLL" train --run a --epochs 3
    ends_with_error 76 "--recipe was char-small and is now char-large" "$UNROLL" train --run a --recipe char-large
    ends_with_error 76 "--recipe was char-small and is now none" "$UNROLL" train --run a --recipe none
    "$UNROLL" train --corpus c.h5 --run plain "${small[@]}" --epochs 1
    ends_with_error 76 "--recipe was none and is now char-small" "$UNROLL" train --run plain --recipe char-small
    # without config.ini the checkpoint has the say
    rm a/config.ini
    run -0 "$UNROLL" train --corpus c.h5 --run a --recipe char-small "${small[@]}" --epochs 3
}

@test "a branch takes the recipe before the options of its source" {
    "$UNROLL" train --corpus c.h5 --run a --recipe char-small "${small[@]}" --embedding 16 --epochs 1
    "$UNROLL" train --run a --branch b --max-steps 180
    [ "$(value recipe b) $(value weight-drop b)" = '"char-small" 0.025' ]
    "$UNROLL" train --run a --branch d --recipe word-small --layers 1 --hidden 16 --no-tied --embedding 16 --max-steps 180
    [ "$(value recipe d) $(value weight-drop d) $(value bptt d)" = '"word-small" 0.4 40' ]
}

@test "a recipe for other texts: a warning that says which" {
    "$UNROLL" train --corpus words.h5 --run a --recipe char-small "${small[@]}" --epochs 1 2>log
    grep -q "^unroll: warning: recipe 'char-small' is for characters, and 'words.h5' is a text at level word" log
    "$UNROLL" train --corpus c.h5 --run b --recipe word-small "${small[@]}" --epochs 1 2>log
    grep -q "^unroll: warning: recipe 'word-small' is for words, and 'c.h5' is a text at level char" log
    run -0 --separate-stderr "$UNROLL" plan --corpus words.h5 --recipe char-small
    [[ "$stderr" == "unroll: warning: recipe 'char-small' is for characters, and 'words.h5' "* ]]
    run -0 --separate-stderr "$UNROLL" plan --corpus words.h5 --recipe word-small
    [ -z "$stderr" ]
    "$UNROLL" train --corpus bytes.h5 --run c --recipe char-small "${small[@]}" --epochs 1 2>log
    run ! grep -q warning log
    ends_with_error 78 "has no labels" "$UNROLL" train --corpus c.h5 --run d --recipe reviews
}

@test "help, completion, plan and bench know recipes; unknown names are refused" {
    names="none, char-small, char-large, word-small, word-awd or reviews"
    for command in train plan bench; do
        "$UNROLL" "$command" --help | tr -s '\n ' ' ' | grep -qF -- "$names"
        ends_with_error 78 "did you mean 'char-small'?" "$UNROLL" "$command" --recipe char-smal --run a --corpus c.h5
    done
    "$UNROLL" help --completion | grep -qF -- "--recipe) values='none char-small char-large word-small word-awd reviews' ;;"
    "$UNROLL" plan --recipe word-awd --hidden 32 | grep -q '^model .*32'
    "$UNROLL" bench --recipe char-small --hidden 16 --steps 1 --threads 1 | grep -q '^training .*bptt 100'
}

@test "the page of recipes has a row for each" {
    page="$BATS_TEST_DIRNAME/../../tools/README.md"
    for name in char-small char-large word-small word-awd reviews; do
        grep -q "^| \`$name\` | " "$page"
    done
}
