#!/usr/bin/env bats
# A run that was killed is the run that was not: resumed, extended, branched, and refused where it would be another run.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    make_corpus other 500
    sed 's/the/THE/' c.txt >upper.txt
    "$UNROLL" prepare --level char --train upper.txt --split 80,10,10 -o upper.h5 >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.h5 .
    small=(--corpus c.h5 --hidden 16 --batch 10 --bptt 12 --threads 1 --lr 0.01 --log-every 1)
}

train() {
    "$UNROLL" train "${small[@]}" "$@"
}

# same_run A B: the same parameters at the end, and the same record of how they came about.
same_run() {
    cmp "$1/metrics.jsonl" "$2/metrics.jsonl"
    for run in "$1" "$2"; do
        "$UNROLL" inspect --json "$run/latest" | field parameters_digest
    done >digests
    [ "$(sort -u digests | wc -l)" -eq 1 ]
}

# kill_after STEPS COMMAND... --run RUN: kills the command with SIGKILL once its metrics show so many steps more.
kill_after() {
    local steps=$1 metrics=${*: -1}/metrics.jsonl job
    steps=$((steps + $(lines_of train "$metrics" 2>/dev/null | wc -l)))
    shift
    setsid "$@" 2>killed.log &
    job=$!
    while kill -0 $job && [ "$(lines_of train "$metrics" 2>/dev/null | wc -l)" -lt "$steps" ]; do sleep 0.01; done
    kill -KILL -- "-$job" 2>/dev/null || kill -KILL "$job"
    wait "$job" || true
    # ranks of their own process groups notice the end of mpirun by themselves
    gone 30 "--run $PWD/"
}

@test "killed and resumed on other numbers of ranks, a run is the run that was not killed" {
    options=("${small[@]}" --cell gru --layers 2 --dropout 0.1 --batch 11 --max-steps 2000 --patience none --eval-every 60
        --checkpoint-every 25)
    "$UNROLL" train "${options[@]}" --run "$PWD/whole" 2>log
    kill_after 36 mpirun -n 2 "$UNROLL" train "${options[@]}" --run "$PWD/r"
    [ ! -e r/checkpoints/step-00002000.h5 ]
    kill_after 65 mpirun -n 3 "$UNROLL" train "${options[@]}" --run "$PWD/r"
    grep -q "resuming" killed.log
    kill_after 40 "$UNROLL" train "${options[@]}" --run "$PWD/r"
    on 1 "$UNROLL" train "${options[@]}" --run "$PWD/r" 2>log
    grep -q "took over the lock" log
    same_run whole r
}

@test "stopped at every boundary, a run ends the same: epochs, validations, plateau, early stopping" {
    options=(--run r --batch 40 --bptt 50 --epochs 3 --eval-every 4 --lr 0.3 --lr-patience 1 --patience 4 --warmup 3
        --checkpoint-every epoch)
    train "${options[@]/#r/whole}" 2>log
    grep -q '"lr_factor": *0' whole/metrics.jsonl # the plateau schedule has acted
    for stop in $(seq 80); do
        run train "${options[@]}" --max-time 0.000001
        [ "$status" -eq 75 ] || break
    done
    [ "$status" -eq 0 ]
    [ "$stop" -gt 8 ]
    same_run whole r
}

@test "a finished run does nothing and says so" {
    train --run r --max-steps 6 --json-summary s.json 2>log
    cp -a r before
    run -0 --separate-stderr train --run r --max-steps 6
    [[ "$stderr" == *"'r' is finished (max steps) at step 6: nothing to do"* ]]
    diff -r r before
    run -0 train --run r --max-steps 6 --json-summary again.json
    [ "$(field valid_loss s.json)" = "$(field valid_loss again.json)" ]
    [ "$(field test_loss s.json)" = "$(field test_loss again.json)" ]
    [ "$(field parameters_digest s.json)" = "$(field parameters_digest again.json)" ]
}

@test "killed after the last step, a run makes its end good" {
    train --run r --max-steps 6 2>log
    cp r/metrics.jsonl whole
    sed -i '$d' r/metrics.jsonl
    run -0 train --run r --max-steps 6
    cmp r/metrics.jsonl whole
}

@test "more epochs extend a run to what it would have been with them from the start" {
    options=(--batch 40 --bptt 50)
    train "${options[@]}" --run whole --epochs 3 2>log
    train "${options[@]}" --run r --epochs 1 2>log
    train "${options[@]}" --run r --epochs 3 2>log
    same_run whole r
    # the end of the shorter run falls between validations, and leaves no trace
    train --run whole2 --max-steps 20 --eval-every 15 2>log
    train --run r2 --max-steps 10 --eval-every 15 2>log
    train --run r2 --max-steps 20 --eval-every 15 2>log
    same_run whole2 r2
}

@test "changed mathematics is refused with both values, and --branch begins a new run" {
    train --run r --max-steps 6 2>log
    cp -a r before
    run -76 --separate-stderr train --run r --max-steps 9 --lr 0.02
    [[ "$stderr" == *"--lr was 0.01 and is now 0.02"*"--branch"* ]]
    run -76 --separate-stderr train --run r --max-steps 9 --clip 1 --seed 5
    [[ "$stderr" == *"--clip was 5 and is now 1"* && "$stderr" == *"--seed was 1 and is now 5"* ]]
    diff -r r before
    run -0 --separate-stderr train --run r --branch new --max-steps 9 --lr 0.02
    [[ "$stderr" == *"branching from 'r' at step 6 into 'new'"* ]]
    diff -r r before
    [ "$(lines_of train new/metrics.jsonl | field step | tr '\n' ' ')" = "7 8 9 " ]
    [ "$(lines_of run new/metrics.jsonl | field branched_from)" = 6 ]
    # the branch is a run like any other: the same command goes on with it
    run -0 --separate-stderr train --run r --branch new --max-steps 9 --lr 0.02
    [[ "$stderr" == *"'new' is finished"* ]]
    # without a change it is the same run
    train --run r --branch same --max-steps 12 2>log
    train --run whole --max-steps 12 2>log
    diff <(lines_of train same/metrics.jsonl) <(lines_of train whole/metrics.jsonl | tail -n 6)
    # other lanes, another optimizer
    run -0 train --run r --branch lanes --max-steps 9 --batch 7 --optimizer sgd
    # another model
    run -76 --separate-stderr train --run r --branch bigger --hidden 24
    [[ "$stderr" == *"--hidden 16"* ]]
}

@test "another corpus is refused" {
    train --run r --max-steps 6 2>log
    run -76 --separate-stderr train --run r --max-steps 9 --corpus upper.h5
    [[ "$stderr" == *"vocabulary"* ]]
    run -76 --separate-stderr train --run r --max-steps 9 --corpus other.h5
    [[ "$stderr" == *"digest"* ]]
}

@test "a damaged checkpoint is told, and the one before is used" {
    options=(--max-steps 20 --checkpoint-every 5 --keep 3)
    train "${options[@]}" --run whole 2>log
    train "${options[@]}" --run r --max-steps 17 2>log
    printf x | dd of=r/checkpoints/step-00000017.h5 bs=1 seek=9000 conv=notrunc 2>/dev/null
    run -0 --separate-stderr train "${options[@]}" --run r
    [[ "$stderr" == *"warning: "*"step-00000017.h5"*"trying the one before"* ]]
    [[ "$stderr" == *"resuming 'r' at step 15 of 20"* ]]
    same_run whole r
    truncate -s 3000 r/checkpoints/*.h5
    run -76 --separate-stderr train "${options[@]}" --run r
    [[ "${stderr_lines[-1]}" == "unroll: "*"step-000000"* ]]
}

@test "--resume says what to do with a directory in use" {
    train --run r --max-steps 6 2>log
    run -73 --separate-stderr train --run r --max-steps 9 --resume never
    [[ "$stderr" == *"'r' holds a run of 6 steps"* ]]
    run -0 train --run r --max-steps 9 --resume must
    run -66 train --run fresh --max-steps 9 --resume must
    run -0 train --run fresh --max-steps 9 --resume never
}

@test "what a killed job left half-written goes" {
    train --run r --max-steps 6 2>log
    echo half >r/checkpoints/step-00000009.h5.tmp
    echo half >r/best.h5.tmp
    echo '{"type":"train","st' >>r/metrics.jsonl
    train --run r --max-steps 9 2>log
    train --run whole --max-steps 9 2>log
    [ -z "$(find r -name '*.tmp')" ]
    same_run whole r
}

# of NAME: a fact of r's newest checkpoint.
of() {
    "$UNROLL" inspect --json r/latest | field "$1"
}

@test "another BLIS kernel on resume is recorded and not worth a word" {
    BLIS_ARCH_TYPE=3 train --run r --max-steps 6 2>log # 3 is BLIS's number for haswell
    [ "$(of kernel)" = haswell ] || skip "another processor, or a BLIS with another number for haswell"
    [ "$(of arithmetic)" -ge 1 ]
    run -0 --separate-stderr train --run r --max-steps 9
    ! grep -E 'another|exactness|warning' <<<"$stderr"
}

@test "a checkpoint of another arithmetic revision is gone on with, and that is said" {
    local now
    now=$("$UNROLL" --version | sed -n 's/^arithmetic: revision //p')
    local gru=(--corpus "$BATS_TEST_DIRNAME/../compat/plays.h5" --cell gru --layers 2 --hidden 12 --embedding 8 --batch 4
        --bptt 16 --dropout 0.1 --lr 0.01 --eval-every 10 --threads 1 --seed 3)
    mkdir -p r/checkpoints
    cp "$BATS_TEST_DIRNAME"/../compat/gru.h5 r/checkpoints/step-00000020.h5 # written before there were revisions
    [ "$("$UNROLL" inspect --json r/checkpoints/*.h5 | field arithmetic)" -eq 0 ]
    "$UNROLL" inspect r/checkpoints/*.h5 | grep -E '^  arithmetic +0$'
    run -0 --separate-stderr "$UNROLL" train "${gru[@]}" --run r --branch b --max-steps 22
    [[ "$stderr" == *"branches from was computed by arithmetic revision 0, the run itself is by $now:"* ]]
    run -0 --separate-stderr "$UNROLL" train "${gru[@]}" --run r --max-steps 22
    [[ "$stderr" == *"so far was computed by arithmetic revision 0, from now on by $now: its bits are no longer"* ]]
    [ "$(of arithmetic)" -eq "$now" ]
    run -0 --separate-stderr "$UNROLL" train "${gru[@]}" --run r --max-steps 24
    [[ "$stderr" == *"unroll 0."*", arithmetic revision $now, "* ]]
    [[ "$stderr" != *"another arithmetic"* ]]
}
