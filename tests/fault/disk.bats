#!/usr/bin/env bats
# Disks that are really full or really read-only: a small tmpfs of our own, in a mount namespace of our own.

bats_require_minimum_version 1.5.0

load faults

setup_file() {
    fault_setup_file
}

setup() {
    fault_setup
    unshare --mount true 2>/dev/null || skip "no right to mount"
}

# on_small_disk BYTES COMMAND: with a tmpfs of that size on ./disk; the command is a line for bash.
on_small_disk() {
    mkdir -p disk kept
    unshare --mount bash -c "mount -t tmpfs -o size=$1 none disk && $2"
}

size_of_checkpoint() {
    stat -L -c %s "$BATS_FILE_TMPDIR/whole/latest"
}

# fill RANKS PERCENT WRITER: lets a run of one checkpoint go on where only so much of the next one fits. The directory,
# `log` and `status` come back.
fill() {
    local ranks=$1 percent=$2 writer=$3 launch= room
    room=$(($(size_of_checkpoint) * percent / 100 / 4096 * 4096))
    [ "$percent" -gt 0 ] || room=16384 # for the lock and the like
    [ "$ranks" -eq 0 ] || launch="mpirun -n $ranks"
    rm -rf r kept
    "$UNROLL" train "${base[@]}" --run r --max-steps 7 2>log
    # all of the free space but this is taken
    on_small_disk 4M "cp -a r disk/ && free=\$((\$(stat -f -c '%a * %S' disk))) &&
        head -c \$((free - $room)) /dev/zero >disk/ballast
        cd disk
        timeout --kill-after=5 60 $launch '$UNROLL' train ${base[*]} --keep 9 --checkpoint-writer $writer --run \"\$PWD/r\" >../log 2>&1
        echo \$? >../status
        rm ballast
        cp -a r ../kept/"
    rm -rf r
    mv kept/r r
    status=$(cat status)
}

@test "a disk with room for 0, 50 and 99 % of a checkpoint: training goes on, 74 at the end, nothing is lost" {
    for writer in single parallel; do
        for percent in 0 50 99; do
            fill 0 $percent $writer
            echo "$writer, $percent %: $status"
            [ "$status" -eq 74 ] || { cat log; false; }
            grep -q "training goes on and tries again\|^unroll: cannot write '.*metrics.jsonl'" log || { cat log; false; }
            [ -z "$(find r -name '*.tmp')" ]
            recovers 2
        done
    done
}

@test "the same with two ranks that write together" {
    for percent in 0 50 99; do
        fill 2 $percent parallel
        echo "$percent %: $status"
        [ "$status" -eq 74 ] || { cat log; false; }
        recovers 1
    done
}

@test "a parallel write that fails on one rank ends all ranks with 74" {
    run injected 2 INJECT_RANK=1 INJECT_CALLS=pwrite,write INJECT_PATH=.h5.tmp INJECT_WHAT=EIO INJECT_AT=2 INJECT_EVER=1 -- \
        --checkpoint-writer parallel
    echo "$status: $output"
    [ "$status" -eq 74 ]
    all_gone
    checkpoints_are_whole
    recovers 3
}

@test "a read-only file system is found before the first step" {
    run unshare --mount bash -c "mkdir -p ro && mount -t tmpfs -o ro none ro && '$UNROLL' train ${base[*]} --run ro/r"
    [ "$status" -eq 73 ]
    [[ "${lines[-1]}" == "unroll: cannot create 'ro/r"*"Read-only file system"* ]]
    [[ "$output" != *" step 1/"* ]]
    on 0 "$UNROLL" train "${base[@]}" --run r --max-steps 7 2>log
    run unshare --mount bash -c "mount --bind r r && mount -o remount,bind,ro r && '$UNROLL' train ${base[*]} --run r"
    [ "$status" -eq 73 ]
    [[ "${lines[-1]}" == *"Read-only file system"* ]]
    recovers
}
