#!/usr/bin/env bats
# The example at the end of each command's help, run as it stands, one after another in the order of the table: what one writes
# the next may read. The text is real: the beginning of the King James Bible, or without it the README.

bats_require_minimum_version 1.5.0

examples() {
    for command in $("$UNROLL" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p'); do
        "$UNROLL" "$command" --help | sed -n '$s/^  //p'
    done
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    mkdir bin
    ln -s "$UNROLL" bin/unroll
    root=$BATS_TEST_DIRNAME/../..
    "$root/tools/get-corpus" kjv -o all.txt 2>/dev/null || cat "$root/README.md" >all.txt
    head -c 12000 all.txt >book.txt
    # Two kinds of real text, for commands that tell kinds apart.
    if "$UNROLL" prepare --help | grep -q -- --labelled; then
        { head -n 100 "$root/README.md" | sed 's/^/words\t/'; head -n 100 "$root/src/cli/main.c" | sed 's/^/code\t/'; } |
            grep '	.*[a-z]' >kinds.tsv
        "$UNROLL" prepare --labelled --level word --lowercase --train kinds.tsv --split 80,20 -o kinds.h5
        "$UNROLL" train --task classify --corpus kinds.h5 --run runs/reviews --hidden 16 --layers 1 --epochs 1
    fi
}

@test "every command's example works" {
    cd "$BATS_FILE_TMPDIR"
    export PATH=$PWD/bin:$PATH OMP_NUM_THREADS=1
    examples >examples
    [ "$(wc -l <examples)" -ge 10 ]
    while read -r example; do
        echo "\$ $example"
        timeout $((120 * ${PATIENCE:-1})) bash -o pipefail -c "$example" >out 2>err </dev/null || {
            echo "status $?"
            cat out err
            false
        }
        [ -s out ] || [ -s err ]
    done <examples
    [ -s again.h5 ]
    grep -q '"loss": *[0-9]' runs/book/metrics.jsonl
}
