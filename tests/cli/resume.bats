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
    [[ "$stderr" == *"--hidden was 16 and is now 24"* ]]
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

@test "a run that was killed before its first checkpoint begins again with its options" {
    train --run whole --dropout 0.4 --max-steps 6 2>log
    kill_after 3 "$UNROLL" train "${small[@]}" --dropout 0.4 --max-steps 100000000 --checkpoint-every 90000000 \
        --eval-every 90000000 --run "$PWD/r"
    [ -z "$(ls r/checkpoints)" ]
    for copy in other never must; do cp -a r $copy; done
    "$UNROLL" runs r | grep -q 'train --run r$'
    run -0 --separate-stderr "$UNROLL" train --run r --max-steps 6
    [[ "$stderr" == *"ended before its first checkpoint: it begins again"*"'r': begun again, 6 steps"* ]]
    same_run whole r
    # whether the corpus is named or not; what is given counts, whatever it is
    run -0 --separate-stderr on 2 "$UNROLL" train --corpus c.h5 --run other --max-steps 4 --hidden 20 --eval-every 2
    [[ "$stderr" == *"begun again, 4 steps"* ]]
    [ "$(sed -n 's/^\(hidden\|dropout\|lr\|batch\) = //p' other/config.ini | sort | xargs)" = "0.01 0.4 10 20" ]
    # it is a run
    run -73 --separate-stderr "$UNROLL" train --run never --resume never
    [[ "${stderr_lines[-1]}" == "unroll: 'never' holds a run already"* ]]
    grep -q '^max-steps = 100000000$' never/config.ini
    run -0 "$UNROLL" train --run must --resume must --max-steps 2
}

@test "options that somebody has put into a folder make no run" {
    mkdir mine
    echo 'hidden = 20' >mine/config.ini
    run -64 --separate-stderr "$UNROLL" train --run mine
    [[ "$stderr" == *"'mine' holds no run"* ]]
    run -0 --separate-stderr train --run mine --max-steps 2
    [[ "$stderr" == *"'mine': new, 2 steps"* ]]
    grep -q '^hidden = 16$' mine/config.ini
}

@test "a branch that was killed before its first checkpoint begins again from its source" {
    train --run r --max-steps 6 2>log
    "$UNROLL" train --run r --branch b --max-steps 8 --dropout 0.4 2>log
    cp -a b whole
    rm b/checkpoints/* b/latest b/best.h5
    sed -i '2,$d' b/metrics.jsonl # as a kill leaves it
    run -66 --separate-stderr "$UNROLL" train --run b
    [[ "$stderr" == *"cannot begin 'b' again: it is a branch from step 6"*"--run SOURCE --branch 'b'"* ]]
    run -0 --separate-stderr "$UNROLL" train --run r --branch b
    [[ "$stderr" == *"it begins again"*"branching from 'r' at step 6 into 'b'"* ]]
    same_run whole b
}

@test "limits below what the run has done are told, and refused to a branch" {
    epochs=0
    while [ "$epochs" -eq 0 ]; do # a slow machine needs more starts to come through an epoch
        run -75 train --run r --max-steps 100000000 --max-time 0.5
        epochs=$("$UNROLL" inspect --json r/latest | field epoch)
    done
    steps=$(steps_of r)
    told="the run has $steps steps already; --max-steps counts from its start; give at least $((steps + 1))"
    for limit in 1 "$steps"; do
        run -78 --separate-stderr train --run r --branch b --max-steps "$limit"
        [ "${stderr_lines[-1]}" = "unroll: cannot branch from 'r': $told" ]
        [ ! -e b ]
    done
    cp -a r by_epochs
    run -0 --separate-stderr train --run r --max-steps 2
    [[ "$stderr" == *"unroll: warning: $told"* ]]
    run -0 --separate-stderr train --run r --max-steps 2
    [[ "$stderr" == *"nothing to do"* && "$stderr" != *"warning"* ]]
    run -0 --separate-stderr train --run r --max-steps $((steps + 2))
    [[ "$stderr" == *"resuming 'r' at step $steps of $((steps + 2))"* && "$stderr" != *"already;"* ]]
    [ "$(steps_of r)" -eq $((steps + 2)) ]
    run -78 --separate-stderr "$UNROLL" train --run by_epochs --branch b --epochs 1 --batch 40 --bptt 1000
    [[ "$stderr" == *"--epochs counts from its start; give at least $((epochs + 1))" ]]
}

@test "another corpus is blamed before an option that it does not fit" {
    "$UNROLL" prepare --level char --train "$BATS_FILE_TMPDIR/c.txt" -o n.h5 >/dev/null
    train --run r --max-steps 6 --patience 3 --reset-at eos 2>log
    for patience in "" "--patience 3" "--patience auto"; do
        # shellcheck disable=SC2086 # words
        run -76 --separate-stderr on 2 "$UNROLL" train --corpus n.h5 --run r --max-steps 9 $patience
        [[ "$stderr" == *"cannot resume 'r' with corpus 'n.h5'"* && "$stderr" != *"--patience"* ]]
    done
    # a branch may have another; it was not asked for patience, and has none to act on
    "$UNROLL" prepare --train "$BATS_FILE_TMPDIR/c.txt" --vocab-from r -o n.h5 >/dev/null
    run -0 --separate-stderr "$UNROLL" train --corpus n.h5 --run r --branch b --max-steps 9
    run -78 --separate-stderr "$UNROLL" train --corpus n.h5 --run r --branch b2 --max-steps 9 --patience 3
    [[ "$stderr" == *"cannot use '--patience'"* ]]
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
