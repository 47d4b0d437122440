#!/usr/bin/env bats
# System calls and allocations that fail, at every place of a run: no half file, no hang, and an honest status.

bats_require_minimum_version 1.5.0

load faults

setup_file() {
    fault_setup_file
}

setup() {
    fault_setup
}

# each_call WRITER WHAT CALLS SOME [EVER]: makes the 1st, 2nd, ... of the calls on the run directory fail, in a run that is
# short but writes two checkpoints; recovering makes it longer.
each_call() {
    local writer=$1 what=$2 calls=$3 some=$4 ever=${5:+INJECT_EVER=1} total number
    rm -rf r
    injected 0 INJECT_CALLS="$calls" INJECT_PATH="$PWD/r/" INJECT_COUNT=count -- --checkpoint-writer "$writer" \
        --max-steps 7 2>log
    total=$(cat count)
    [ "$total" -gt 5 ]
    for number in $(numbers_up_to "$total" "$some"); do
        rm -rf r
        status=0
        injected 0 INJECT_CALLS="$calls" INJECT_PATH="$PWD/r/" INJECT_WHAT="$what" INJECT_AT="$number" $ever -- \
            --checkpoint-writer "$writer" --max-steps 7 2>log || status=$?
        echo "call $number of $total ($calls, $what): status $status"
        case $what in
        SHORT | EINTR) [ "$status" -eq 0 ] ;;
        *) is_one_of "$status" 0 71 73 74 || { cat log; false; } ;;
        esac
        [ "$status" -eq 0 ] || grep -q "^unroll: cannot \|^unroll: lost \|^unroll: checkpoint \|^unroll: out of memory" log || { cat log; false; }
        recovers || { cat log; false; }
    done
}

@test "EIO once in the calls of the single writer" {
    each_call single EIO open,pwrite,fsync,close,rename,symlink,unlink,mkdir,ftruncate 8
}

@test "EIO for ever" {
    each_call single EIO pwrite,fsync,rename 4 ever
}

@test "a full disk once and for ever" {
    each_call single ENOSPC pwrite,open 4
    each_call single ENOSPC pwrite 3 ever
}

@test "interrupted and short writes are carried on" {
    each_call single EINTR pwrite,write,fsync,open,rename 4
    each_call single SHORT pwrite,write 4
}

@test "EIO in the calls of the parallel writer" {
    each_call parallel EIO pwrite,write,fsync,rename 4
}

@test "with the single writer training goes on, and the next checkpoint is tried" {
    # fails while the first checkpoint is written, works again after
    run injected 0 INJECT_CALLS=pwrite INJECT_PATH=step-00000006 INJECT_WHAT=ENOSPC INJECT_AT=1 --
    [ "$status" -eq 0 ]
    [[ "$output" == *"warning: cannot write '"*"step-00000006.h5.tmp': No space left"*"training goes on and tries again"* ]]
    [ ! -e r/checkpoints/step-00000006.h5 ]
    [ "$(readlink r/latest)" = checkpoints/step-00000024.h5 ]
    recovers
}

@test "a disk that is full to the end gives 74, and the last whole checkpoint stays" {
    run injected 0 INJECT_CALLS=pwrite INJECT_PATH=/step-0 INJECT_WHAT=ENOSPC INJECT_AT=1 INJECT_EVER=1 \
        INJECT_AFTER="$PWD/r/checkpoints/step-00000012.h5" --
    [ "$status" -eq 74 ]
    [[ "$output" == *"finished"* ]]
    [ "$(readlink r/latest)" = checkpoints/step-00000012.h5 ]
    recovers 2
}

@test "no memory, at every allocation of start, checkpoint and resume" {
    injected 0 INJECT_CALLS=malloc INJECT_COUNT=count -- --max-steps 7 --checkpoint-every 3 2>log
    for number in $(numbers_up_to "$(cat count)" 8); do
        rm -rf r
        run injected 0 INJECT_CALLS=malloc INJECT_WHAT=ENOMEM INJECT_AT="$number" -- --max-steps 7 --checkpoint-every 3
        echo "allocation $number: $status, ${lines[-1]}"
        is_one_of "$status" 0 71
        [ "$status" -eq 0 ] || [[ "$output" == *"out of memory"* ]]
        checkpoints_are_whole
    done
    rm -rf r
    on 0 "$UNROLL" train "${base[@]}" --run r --max-steps 7 2>log
    cp -a r half
    injected 0 INJECT_CALLS=malloc INJECT_COUNT=count -- --max-steps 9 2>log
    for number in $(numbers_up_to "$(cat count)" 8); do
        rm -rf r
        cp -a half r
        run injected 0 INJECT_CALLS=malloc INJECT_WHAT=ENOMEM INJECT_AT="$number" -- --max-steps 9
        echo "allocation $number of resume: $status, ${lines[-1]}"
        is_one_of "$status" 0 71
    done
    recovers
}

@test "no memory on one rank ends all ranks with 71" {
    injected 2 INJECT_RANK=1 INJECT_CALLS=malloc INJECT_COUNT=count -- 2>log
    for number in $(numbers_up_to "$(cat count)" 5); do
        rm -rf r
        run injected 2 INJECT_RANK=1 INJECT_CALLS=malloc INJECT_WHAT=ENOMEM INJECT_AT="$number" --
        echo "allocation $number: $status"
        is_one_of "$status" 0 71 || { echo "$output"; false; }
        all_gone
    done
    recovers 2
}
