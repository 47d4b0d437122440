#!/usr/bin/env bats
# Ranks that die, stop, are asked to stop, compute nonsense or are not what they should be.

bats_require_minimum_version 1.5.0

load faults

setup_file() {
    fault_setup_file
}

setup() {
    fault_setup
}

teardown() {
    # shellcheck disable=SC2046
    kill -KILL $(ranks) 2>/dev/null || true
}

# begin RANKS OPTION...: a run that would last long, in the background; $job is it, and it has begun to train.
begin() {
    local ranks=$1
    shift
    if [ "$ranks" -eq 0 ]; then
        "$UNROLL" train "${base[@]}" --run "$PWD/r" --max-steps 1000000 --log-every 5 "$@" >log 2>&1 &
    else
        mpirun -n "$ranks" "$UNROLL" train "${base[@]}" --run "$PWD/r" --max-steps 1000000 --log-every 5 "$@" >log 2>&1 &
    fi
    job=$!
    timeout 60 sh -c 'until grep -q " step 15/" log; do sleep 0.02; done' || { cat log; false; }
}

# ended STATUS...: the run in the background ends soon with one of these.
ended() {
    status=0
    timeout 20 tail --pid=$job -f /dev/null
    wait $job || status=$?
    is_one_of "$status" "$@" || { cat log; false; }
    all_gone
}

# goes_on: the stopped run, continued for some steps on another number of ranks, is the run that was never stopped.
goes_on() {
    local stopped end
    checkpoints_are_whole
    stopped=$(steps_of r)
    [ "$stopped" -ge 15 ]
    [ ! -e r/lock ]
    end=$((stopped + 4))
    on "$1" "$UNROLL" train "${base[@]}" --run r --max-steps $end --log-every 5 2>again.log
    on 0 "$UNROLL" train "${base[@]}" --run never-stopped --max-steps $end --log-every 5 2>/dev/null
    cmp never-stopped/metrics.jsonl r/metrics.jsonl
    [ "$(digest_of never-stopped/latest)" = "$(digest_of r/latest)" ]
}

@test "SIGKILL of a rank in the exchange of losses, in the reduction, and while a checkpoint is written" {
    for place in "MPI_Allgatherv 9 1" "MPI_Sendrecv 30 1" "pwrite 2 0" "fsync 2 0" "rename 2 0"; do
        read -r call number rank <<<"$place"
        path=
        [[ "$call" == MPI* ]] || path=r/checkpoints
        rm -rf r
        run injected 2 INJECT_RANK="$rank" INJECT_CALLS="$call" INJECT_PATH=$path INJECT_WHAT=KILL INJECT_AT="$number" --
        echo "$place: $status"
        [ "$status" -eq 137 ]
        all_gone
        recovers 3
    done
}

@test "SIGKILL of a rank in forward, backward and validation" {
    injected 2 INJECT_RANK=1 INJECT_CALLS=GOMP_parallel INJECT_COUNT=count -- 2>log
    for number in $(numbers_up_to "$(cat count)" 5); do
        [ -z "${UNROLL_TEST_LONG:-}" ] || [ $((number % 97)) -eq 0 ] || continue
        rm -rf r
        run injected 2 INJECT_RANK=1 INJECT_CALLS=GOMP_parallel INJECT_WHAT=KILL INJECT_AT=$((number + 3)) --
        [ "$status" -eq 137 ]
        all_gone
        recovers 1
    done
}

@test "USR1, USR2, TERM and INT end a run on one rank with 75" {
    for signal in USR1 USR2 TERM INT; do
        rm -rf r never-stopped
        set -m # else the shell lets the job ignore INT
        begin 0
        set +m
        kill -$signal $job
        ended 75
        grep -q "^unroll: stopped at step .* with a checkpoint: SIG$signal was received; run the same command again" log
        goes_on 2
    done
}

@test "a signal to one rank stops all at one step" {
    begin 3
    kill -TERM "$(ranks | tail -n 1)"
    ended 75
    [ "$(grep -c '^unroll: stopped' log)" -eq 1 ]
    goes_on 2
}

@test "a signal to all ranks, and one to mpirun" {
    begin 2
    # shellcheck disable=SC2046
    kill -USR2 $(ranks)
    ended 75
    goes_on 1
    rm -rf r never-stopped
    begin 2
    kill -USR1 $job # mpirun hands it on
    ended 75
    goes_on 3
}

@test "TERM to mpirun leaves a checkpoint before mpirun kills the ranks" {
    begin 2
    kill -TERM $job
    ended 1 75 143
    goes_on 1
}

@test "further signals while a checkpoint is written do no harm" {
    run injected 2 INJECT_RANK=0 INJECT_CALLS=pwrite,fsync,rename INJECT_PATH=r/checkpoints INJECT_WHAT=TERM INJECT_AT=1 \
        INJECT_EVER=1 --
    [ "$status" -eq 75 ]
    [[ "$output" == *"stopped at step 7 of 24"* ]]
    recovers 3
}

@test "a loss that is no number on one rank: all skip the step and go on" {
    run injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Allgatherv INJECT_WHAT=NAN INJECT_AT=5 -- --check-replicas 1
    [ "$status" -eq 0 ]
    [ "$(lines_of skip r/metrics.jsonl)" = '{"type": "skip", "step": 5, "not_finite": "loss"}' ]
    [ "$(lines_of train r/metrics.jsonl | tail -n 1 | field skipped | tr -d '}')" = 1 ]
}

@test "a gradient that is no number on one rank: all skip the step and go on" {
    run injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Sendrecv INJECT_WHAT=NAN INJECT_AT=7 -- --check-replicas 1
    [ "$status" -eq 0 ]
    [ "$(lines_of skip r/metrics.jsonl | field not_finite)" = gradient ]
}

@test "losses that stay no numbers end the run with 79" {
    run injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Allgatherv INJECT_WHAT=NAN INJECT_AT=9 INJECT_EVER=1 --
    [ "$status" -eq 79 ]
    [[ "$output" == *"unroll: diverged: the loss was not finite in 5 steps in a row, the last was 13"* ]]
    all_gone
    recovers 1
}

@test "a weight that is no number on one rank is found before it is saved" {
    on 2 "$UNROLL" train "${base[@]}" --run r --max-steps 9 2>log
    run injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Bcast INJECT_WHAT=FLIP INJECT_AT=1 --
    [ "$status" -eq 70 ]
    [[ "$output" == *"unroll: replicas differ: at step 12 rank 1 "*"nothing was saved"* ]]
    [ "$(readlink r/latest)" = checkpoints/step-00000009.h5 ]
    all_gone
    recovers 3
}

@test "--check-replicas finds a difference at its step" {
    on 2 "$UNROLL" train "${base[@]}" --run r --max-steps 9 2>log
    run injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Bcast INJECT_WHAT=FLIP INJECT_AT=1 -- --check-replicas 5
    [ "$status" -eq 70 ]
    [[ "$output" == *"unroll: replicas differ: at step 10 rank 1 "* ]]
}

@test "a rank that stands still is told with rank, step and phase" {
    injected 2 INJECT_RANK=1 INJECT_CALLS=MPI_Allgatherv INJECT_WHAT=STOP INJECT_AT=5 -- --stall-timeout 1 >log 2>&1 &
    job=$!
    timeout 30 sh -c 'until grep -q "made no progress" log; do sleep 0.05; done' || { cat log; false; }
    grep -q "^unroll: rank 0 has made no progress for 1.0 s at step 4 in phase 'exchange of losses'" log
    # shellcheck disable=SC2046
    kill -CONT $(ranks)
    wait $job
    grep -q "^unroll: rank 0 goes on after" log
    recovers
}

@test "mixed builds are refused" {
    cp "$UNROLL" unroll
    printf x >>unroll
    run timeout 60 mpirun -n 1 "$UNROLL" train "${base[@]}" --run r : -n 1 "$PWD/unroll" train "${base[@]}" --run r
    [ "$status" -eq 78 ]
    [[ "$output" == *"unroll: mixed builds: rank 1 runs another build"* ]]
    [ ! -e r ]
}

@test "who loses the lock or the directory writes nothing more" {
    begin 2 --checkpoint-every 20
    sed 's/^token .*/token 0/; s/^host .*/host thief/' r/lock >lock
    cp lock r/lock
    before=$(ls r/checkpoints)
    ended 73
    grep -q "^unroll: lost the lock of the run directory: .* held by .*'thief'" log
    cmp lock r/lock
    [ "$(ls r/checkpoints)" = "$before" ] || [ "$(ls r/checkpoints | wc -l)" -le 3 ]
    checkpoints_are_whole
    rm -rf r
    begin 2 --checkpoint-every 20
    rm -rf r
    ended 73
    grep -q "^unroll: lost the lock of the run directory\|^unroll: cannot create '" log
}
