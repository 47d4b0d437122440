#!/usr/bin/env bats
# A cell is one row and one file: without both the program builds and knows nothing of it. Builds the program in a copy of the
# sources.

bats_require_minimum_version 1.5.0

load training
load own_build

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    copy_sources
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# The files of src and include that name a cell in a word of its own. Some may: digests of record, which a program writes, the
# self-test's trials, which look their cell up by name, the rounds that any cell may have, which say whose they are, and
# recipes, which are refused without their cell.
naming() {
    grep -rliE "(^|[^a-z])$1([^a-z]|$)" src include | grep -vE '^src/(use/selftest_(digests\.h|trials\.c)|nn/mogrify(_reference)?\.[ch]|cli/recipes\.c)$'
}

# lacks NAME NUMBER: the program without that cell.
lacks() {
    [ "$(naming "$1" | sort | tr '\n' ' ')" = "include/unroll/nn/cell.h src/nn/cell_$1.c " ]
    cp -p include/unroll/nn/cell.h "src/nn/cell_$1.c" .
    rm "src/nn/cell_$1.c"
    sed -i "/^ *row($2, $1)/d" include/unroll/nn/cell.h
    run naming "$1"
    [ -z "$output" ]
    build_copy
    build/unroll train --help | tr '\n' ' ' | grep -E "recurrent +cell +\([^)]*lstm"
    ! build/unroll train --help | grep -E "(^|[^a-z])$1([^a-z]|$)" || false
    run -78 build/unroll bench --cell "$1"
    build/unroll train --corpus text.h5 --run "run-$1" --cell lstm --hidden 8 --batch 4 --bptt 8 --max-steps 3
    build/unroll gradcheck --cell lstm --layers 1 --dropout 0
    build/unroll selftest
    mv cell.h include/unroll/nn/
    mv "cell_$1.c" src/nn/
    touch include/unroll/nn/cell.h
}

@test "without the minimal gated cell" {
    lacks mingru MINGRU
    run -78 build/unroll bench --recipe reviews
    grep "bad value 'mingru' for cell of recipe 'reviews': no such choice; write one of rnn-tanh, " <<< "$output"
    build/unroll bench --recipe reviews --cell gru --steps 1 --threads 1
}

@test "without the quasi-recurrent cell" {
    lacks qrnn QRNN
}

@test "without the simple recurrent unit" {
    lacks sru SRU
}

@test "without the Mogrifier, which alone has rounds: their engine has nothing to do, and their options are of no cell" {
    lacks mogrifier MOGRIFIER
    build/unroll train --help | tr '\n' ' ' | grep -E -- "--mogrify N +of none:"
    run -78 build/unroll bench --cell lstm --mogrify 3
    grep "choose a cell that has some: none" <<< "$output"
}

@test "without the GRU" {
    lacks gru GRU
}
