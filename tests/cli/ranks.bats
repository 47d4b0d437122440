#!/usr/bin/env bats
# Ranks that find different things: options, commands, files. Nothing of it may go unnoticed; the message comes once and
# names what differs, where.

bats_require_minimum_version 1.5.0
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    export SMALL="--hidden 8 --layers 1 --batch 8 --bptt 8 --threads 1"
    # shellcheck disable=SC2086 # words
    for seed in 1 2; do
        "$UNROLL" train --corpus c.h5 --run "r$seed" $SMALL --seed "$seed" --max-steps 2 >/dev/null 2>&1
    done
    awk 'BEGIN { for (i = 0; i < 40; i++) print i % 2 ? "good\ta fine day" : "bad\ta sad day" }' >l.txt
    "$UNROLL" prepare --labelled --train l.txt --split 80,10,10 -o l.h5 >/dev/null
    for seed in 1 2; do
        "$UNROLL" train --task classify --corpus l.h5 --run "k$seed" --hidden 4 --batch 4 --threads 1 --seed "$seed" \
            --max-steps 2 >/dev/null 2>&1
    done
    # Rank 0 works in folder A, the others in B, as on hosts with disks of their own.
    printf '#!/bin/bash\n[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ] && cd A || cd B\nexec "$@"\n' >apart
    # What rank 0 is told in the first argument, and what the others are in the second.
    printf '#!/bin/bash\nfirst=$1 others=$2; shift 2\n[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ] && o=$first || o=$others\nexec "$@" $o\n' >told
    chmod +x apart told
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    rm -rf A B run
    mkdir A B
    host=$(uname -n)
}

# differ RANKS NAME FIRST OTHER COMMAND...: rank 0 is told FIRST, the others OTHER; they refuse with 78 and say so once.
differ() {
    local ranks=$1 name=$2 first=$3 other=$4
    shift 4
    run on "$ranks" ./told "--$name=$first" "--$name=$other" "$UNROLL" "$@"
    echo "$output"
    [ "$status" -eq 78 ]
    [ "$(grep -c '^unroll: ' <<<"$output")" -eq 1 ]
    [[ "$output" == *"different options: '--$name' is '$first' on rank 0, host '$host', and '$other' on rank 1, host '$host'"* ]]
}

@test "options of train that differ between ranks are refused by name" {
    local train="train --corpus c.h5 --run run $SMALL"
    # shellcheck disable=SC2086 # words
    {
        differ 2 dropout 0 0.5 $train --max-steps 3
        differ 2 cell lstm gru $train --max-steps 3
        differ 3 lr 0.1 0.2 $train --max-steps 3
        differ 2 checkpoint-every 5 7 $train --max-steps 3
        differ 2 log-every 5 7 $train --max-steps 3
        differ 2 clip 1 2 $train --max-steps 3
        differ 2 stall-timeout 500 600 $train --max-steps 3
        differ 2 checkpoint-writer single parallel $train --max-steps 3
    }
    [ ! -e run ]
}

@test "an option that only one rank is given is named as such" {
    run on 2 ./told "--init-from=r1/latest" "--threads=1" "$UNROLL" train --corpus c.h5 --run run --hidden 8 --layers 1 --batch 8 \
        --threads 1
    echo "$output"
    [ "$status" -eq 78 ]
    [[ "$output" == *"'--init-from' is 'r1/latest' on rank 0"*" and '(not given)' on rank 1"* ]]
}

@test "options of the other commands, too" {
    differ 2 split valid test eval --model r1/latest --corpus c.h5
    differ 2 oov-penalty 1 2 score --model r1/latest c.txt
    differ 2 format tsv json classify --model k1/latest c.txt
    differ 2 min-count 1 2 prepare --train c.txt --split 80,10,10 -o out.h5
    differ 2 lags 4 5 gradflow --corpus c.h5 --layers 1
    differ 2 seed 4 5 sample --model r1/latest
    differ 2 steps 1 2 bench --hidden 8
    differ 2 cell gru lstm gradcheck
    [ ! -e out.h5 ]
}

@test "a configuration file that was edited on one host only is noticed; one with another name is not" {
    printf 'corpus = "../c.h5"\nrun = "../run"\nhidden = 8\nlayers = 1\nbatch = 8\nbptt = 8\nmax-steps = 3\n' |
        tee A/run.ini A/a.ini >B/run.ini
    cp A/a.ini B/b.ini
    echo 'weight-decay = 0.1' >>B/run.ini
    run on 2 ./apart "$UNROLL" train --config run.ini
    [ "$status" -eq 78 ]
    [[ "$output" == *"'--weight-decay' is '0' on rank 0"*"and '0.1' on rank 1"* ]]
    [ ! -e run ]
    run on 2 bash -c '[ -e ../B ] || { ./apart "$UNROLL" train --config "$([ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ] && echo a || echo b).ini"; }'
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a command line that only one rank cannot read ends all, once, with rank and host" {
    printf 'hidden = 8\n' >A/run.ini
    run on 2 ./apart "$UNROLL" train --config run.ini --corpus ../c.h5 --run ../run
    [ "$status" -eq 66 ]
    [ "$(grep -c '^unroll: ' <<<"$output")" -eq 1 ]
    [[ "$output" == *"'run.ini'"*"(rank 1 on host '$host')"* ]]
    echo 'hidden = many' >B/run.ini
    run on 3 ./apart "$UNROLL" eval --config run.ini --corpus ../c.h5 --model ../r1/latest
    [ "$status" -eq 0 ] # eval has no such option
    run on 3 ./apart "$UNROLL" train --config run.ini --corpus ../c.h5 --run ../run
    [ "$status" -eq 78 ]
    [ "$(grep -c '^unroll: ' <<<"$output")" -eq 1 ]
    [[ "$output" == *"'many'"*"(rank 1 on host '$host')"* ]]
}

@test "ranks that run different commands are refused" {
    run on 2 ./told eval score bash -c '"$UNROLL" "$0" --model r1/latest $([ "$0" = score ] || echo --corpus c.h5)'
    echo "$output"
    [ "$status" -eq 78 ]
    [[ "$output" == *"rank 0 on host '$host' runs 'eval', rank 1 on host '$host' 'score'"* ]]
}

# other_file COMMAND...: run apart, it is refused for what it reads.
other_file() {
    run on 2 ./apart "$UNROLL" "$@"
    echo "$output"
    [ "$status" -eq 78 ]
    [ "$(grep -c '^unroll: ' <<<"$output")" -eq 1 ]
    [[ "$output" == *"files differ: "*"on rank 0, host '$host'"*"on rank 1, host '$host'"* ]]
}

@test "models that differ between ranks are refused, copies are not" {
    cp r1/latest A/m.h5
    cp r2/latest B/m.h5
    other_file eval --model m.h5 --corpus ../c.h5
    other_file score --model m.h5 ../c.txt
    other_file sample --model m.h5
    other_file gradflow --model m.h5 --corpus ../c.h5 --lags 4
    cp k1/latest A/k.h5
    cp k2/latest B/k.h5
    other_file classify --model k.h5 ../c.txt
    other_file eval --model k.h5 --corpus ../l.h5
    cp A/m.h5 B/m.h5
    run -0 --separate-stderr on 2 ./apart "$UNROLL" eval --model m.h5 --corpus ../c.h5
    local both=$output
    run -0 --separate-stderr "$UNROLL" eval --model r1/latest --corpus c.h5
    [ "$both" = "$output" ]
}

@test "texts that differ between ranks are refused, copies are not, whatever their dates" {
    make_text 9000 | tee A/t.txt >B/t.txt
    touch -d '2001-01-01' B/t.txt
    on 2 ./apart "$UNROLL" prepare --train t.txt --split 80,10,10 -o ../same.h5
    on 0 "$UNROLL" prepare --train A/t.txt --split 80,10,10 -o alone.h5
    cmp same.h5 alone.h5
    printf X | dd of=B/t.txt bs=1 seek=200000 conv=notrunc 2>/dev/null
    other_file prepare --train t.txt --split 80,10,10 -o ../other.h5
    echo more >>B/t.txt
    other_file prepare --train ../c.txt --valid t.txt --test ../c.txt -o ../other.h5
    [ ! -e other.h5 ]
}

@test "commands that make no use of several ranks print once" {
    once() { # PATTERN ARGUMENTS...
        local pattern=$1
        shift
        run on 3 "$UNROLL" "$@"
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$(grep -cE -- "$pattern" <<<"$output")" -eq 1 ]
    }
    once 'c.h5: whole' verify c.h5
    once 'unroll-corpus' inspect --json c.h5
    once "wrote '" export --model r1/latest -o w.safetensors
    once 'gru' import w.safetensors --cell gru -o again.h5 || once 'lstm' import w.safetensors -o again.h5
    once '^Usage' --help
    once '^Usage' train --help
    once '^Usage' help score
    once '^unroll [0-9]' --version
    once 'gradients hold' gradcheck --cell gru --layers 1 --dropout 0 --no-tied --reset-at none
    printf x | dd of=A/bad.h5 2>/dev/null
    run on 3 "$UNROLL" verify A/bad.h5
    [ "$status" -eq 65 ]
    [ "$(grep -c 'not whole,' <<<"$output")" -eq 1 ]
}

@test "files of their own for each rank are refused rather than passed over" {
    run on 2 bash -c '"$UNROLL" verify "r$((${OMPI_COMM_WORLD_RANK:-$PMI_RANK} + 1))/latest"'
    echo "$output"
    [ "$status" -eq 78 ]
    [[ "$output" == *"'FILE' is 'r1/latest' on rank 0"* ]]
}

# What a step of Slurm with several tasks shows its processes where no MPI protocol is spoken; tests/slurm has the real one.
@test "a process that is alone among several is refused with the remedy" {
    step() { env -u OMPI_COMM_WORLD_SIZE SLURM_STEP_NUM_TASKS=3 SLURM_PROCID="$1" "$UNROLL" "${@:2}"; }
    for command in "eval --model r1/latest --corpus c.h5" "train --corpus c.h5 --run run" "sample --model r1/latest" \
        "verify c.h5"; do
        # shellcheck disable=SC2086 # words
        run step 0 $command
        [ "$status" -eq 78 ]
        [[ "$output" == *"3 processes were started but MPI sees only one"*"srun --mpi=pmix"* ]]
        # shellcheck disable=SC2086 # words
        run step 1 $command
        [ "$status" -eq 78 ]
        [ "$output" = "" ]
    done
    [ ! -e run ]
    SLURM_STEP_NUM_TASKS=1 "$UNROLL" verify c.h5
    SLURM_STEP_NUM_TASKS=3 on 1 "$UNROLL" verify c.h5
}
