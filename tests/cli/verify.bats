#!/usr/bin/env bats
# 'unroll verify': one line for each file, and the status of the worst.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 200); do
        printf 'line %d of the book says %d\n' "$i" $((i * i % 97))
    done >book.txt
    "$UNROLL" prepare --level char --train book.txt --split 80,10,10 -o book.h5
    "$UNROLL" train --corpus book.h5 --run run --max-steps 3 --hidden 8 --layers 1 --batch 4 --bptt 20 --threads 1
    cp run/checkpoints/step-*.h5 step.h5
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/{book.h5,book.txt,step.h5,run} .
}

# flip FILE OFFSET: another byte there, in a copy named broken.h5
flip() {
    cp -L "$1" broken.h5
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %x $((byte ^ 16)))" | dd of=broken.h5 bs=1 seek="$2" conv=notrunc status=none
}

@test "whole files" {
    run -0 --separate-stderr "$UNROLL" verify book.h5 step.h5 run/best.h5 run/latest
    [ "${lines[0]}" = "book.h5: whole corpus" ]
    [ "${lines[1]}" = "step.h5: whole checkpoint" ]
    [ "${lines[2]}" = "run/best.h5: whole checkpoint" ]
    [ "${lines[3]}" = "run/latest: whole checkpoint" ]
    [ "${#lines[@]}" -eq 4 ]
    [ -z "$stderr" ]
}

@test "one changed byte anywhere is noticed" {
    for file in step.h5:76 book.h5:65; do
        name=${file%:*}
        size=$(stat -L -c %s $name)
        for i in $(seq 25); do
            flip $name $((i * size / 26))
            run --separate-stderr "$UNROLL" verify broken.h5
            echo "$name $((i * size / 26)): $status $output $stderr"
            # a byte that belongs to nothing may change: then every byte that belongs to something is still right
            if [ "$status" -eq 0 ]; then
                skip_free=$((${skip_free:-0} + 1))
                continue
            fi
            [ "$status" -eq ${file#*:} ]
            [[ "$output" == "broken.h5: not whole, "* ]]
        done
    done
    [ "${skip_free:-0}" -le 2 ]
}

@test "a file cut short is noticed" {
    for file in step.h5:76 book.h5:65; do
        name=${file%:*}
        for part in 1 2 3; do
            head -c $(($(stat -L -c %s $name) * part / 4)) $name >broken.h5
            run -${file#*:} --separate-stderr "$UNROLL" verify broken.h5
            [[ "$output" == "broken.h5: not whole, "* ]]
        done
    done
}

@test "what is no file of ours" {
    : >empty.h5
    mkdir folder
    run -65 "$UNROLL" verify book.txt
    run -65 "$UNROLL" verify empty.h5
    run -66 --separate-stderr "$UNROLL" verify none.h5
    [[ "$output" == "none.h5: missing, "* ]]
    run --separate-stderr "$UNROLL" verify folder
    [ "$status" -ne 0 ]
    run -64 "$UNROLL" verify
}

@test "the worst of several decides, and all are told" {
    head -c 5000 step.h5 >cut.h5
    run -76 --separate-stderr "$UNROLL" verify none.h5 cut.h5 book.h5 book.txt
    [ "${#lines[@]}" -eq 4 ]
    [[ "${lines[0]}" == "none.h5: missing, "* ]]
    [[ "${lines[1]}" == "cut.h5: not whole, "* ]]
    [ "${lines[2]}" = "book.h5: whole corpus" ]
    [[ "${lines[3]}" == "book.txt: not whole, "* ]]
    [[ "$stderr" == "unroll: 3 of 4 files not whole"* ]]
    run -65 "$UNROLL" verify none.h5 book.txt step.h5
    run -66 "$UNROLL" verify none.h5 step.h5
}
