#!/usr/bin/env bats
# Threads on cores that are not theirs alone: they sleep instead of spinning, and it is told. Two threads share one core here; what is
# measured is the CPU time that they use, which does not depend on what else the machine does.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    "$UNROLL" train --corpus c.h5 --run m --hidden 16 --layers 1 --max-steps 5 --threads 1 2>/dev/null
    make_text 3000 | tr '\n' ' ' >long.txt # one line
}

setup() {
    command -v taskset >/dev/null || skip "no taskset"
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/{c.h5,m,long.txt} .
    unset OMP_WAIT_POLICY
    core=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')
}

teardown() {
    [ -z "${busy:-}" ] || kill "$busy"
}

# cpu_time COMMAND...: seconds of CPU time that it took, on one core.
cpu_time() {
    local TIMEFORMAT='%U %S'
    { time taskset -c "$core" timeout 300 "$@" >out 2>err </dev/null; } 2>spent
    awk '{ print $1 + $2 }' spent
}

# not_more NAME TWO ONE TIMES: what two threads took is at most so many times what one took, half a second aside.
not_more() {
    echo "$1: one thread $3 s of CPU time, two threads $2 s"
    awk -v two="$2" -v one="$3" -v times="$4" 'BEGIN { exit !(two <= times * one + 0.5) }'
}

@test "two threads on one core use the CPU time of one, large models and small" {
    for sizes in "32 1 8 16 400" "16 2 2 40 300" "128 1 50 20 15"; do
        read -r hidden layers batch bptt steps <<<"$sizes"
        for threads in 1 2; do
            time[threads]=$(UNROLL_TEAM_SHARE=0 cpu_time "$UNROLL" train --corpus c.h5 --run "$hidden-$threads" \
                --hidden "$hidden" --layers "$layers" --batch "$batch" --bptt "$bptt" --max-steps "$steps" \
                --eval-every 1000 --threads $threads)
            grep -q "finished (max-steps)" err || grep . err
        done
        not_more "train $sizes" "${time[2]}" "${time[1]}" 1.5
        cmp "$hidden-1/metrics.jsonl" "$hidden-2/metrics.jsonl"
    done
}

@test "also where every step of time is shared out, however small" {
    for threads in 1 2; do
        time[threads]=$(UNROLL_TEAM_SHARE=1 cpu_time "$UNROLL" train --corpus c.h5 --run "r$threads" --hidden 48 --layers 1 \
            --batch 8 --bptt 16 --max-steps 400 --eval-every 1000 --threads $threads)
    done
    not_more train "${time[2]}" "${time[1]}" 4 # thousands of changes from thread to thread a second
    cmp r1/metrics.jsonl r2/metrics.jsonl
}

@test "score, eval and sample, too: one long line is no reason to wait" {
    for command in "score --model m/latest long.txt" "eval --model m/latest --corpus c.h5 --split train" \
        "sample --model m/latest --length 20000 --seed 3"; do
        for threads in 1 2; do
            # shellcheck disable=SC2086 # words
            time[threads]=$(UNROLL_TEAM_SHARE=0 cpu_time "$UNROLL" $command --threads $threads)
            mv out "out-$threads"
        done
        not_more "$command" "${time[2]}" "${time[1]}" 1.5
        cmp out-1 out-2
    done
}

@test "training that waited for cores says so, in the log, in timing.jsonl and in the summary" {
    taskset -c "$core" sh -c 'while :; do :; done' &
    busy=$!
    run -75 --separate-stderr taskset -c "$core" "$UNROLL" train --corpus c.h5 --run r --hidden 128 --epochs 100000 \
        --patience none --max-time 8 --threads 2 --json-summary s.json
    [[ "$stderr" == *"unroll: warning: threads waited "*" s ("*" % of the time) for cores others used:"$'\n'"  use fewer --threads, or give this process cores of its own"* ]]
    python3 - <<'PY'
import json
line = [json.loads(line) for line in open("r/timing.jsonl")][-1]
assert line["type"] == "cores" and line["rank"] == 0 and line["waited_share"] > 0.1, line
assert line["waited_seconds"] > 2 and line["host"], line
assert json.load(open("s.json"))["waited_for_cores"] == line["waited_share"]
PY
}

@test "OpenMP's places hold for the team" {
    [ "$(nproc --all)" -gt 1 ] || skip "one core only"
    other=$(taskset -cp $$ | sed 's/.*[-,]//')
    OMP_PROC_BIND=true OMP_PLACES="{$core},{$other}" "$UNROLL" train --corpus c.h5 --run r --hidden 128 --threads 2 \
        2>/dev/null &
    busy=$!
    # the team's second thread may run on the other place alone
    for _ in $(seq 600); do
        grep -hs Cpus_allowed_list "/proc/$busy/task/"*/status | grep -qP "\t$other$" && return
        kill -0 "$busy"
        sleep 0.1
    done
    false
}
