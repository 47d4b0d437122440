#!/usr/bin/env bats
# A command that is interrupted leaves no temporary file, and its status is that of the signal; training writes a checkpoint
# and ends with 75. A file size limit is an error with a cause.
#
# No test depends on time: tests/fault/inject.c stops the process at the moment that is meant, and only then comes the signal.

bats_require_minimum_version 1.5.0
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus book 100
    "$UNROLL" train --corpus book.h5 --run run --layers 1 --hidden 8 --batch 4 --bptt 10 --max-steps 3
    "$UNROLL" export --model run/best.h5 -o model.safetensors
    # shellcheck disable=SC2046
    cc -Wall -O1 -shared -fPIC -o inject.so "$BATS_TEST_DIRNAME/../fault/inject.c" $(pkg-config --cflags ompi-c) -ldl
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    ulimit -c 0
    rm -rf out
    mkdir out
}

# state PID: as /proc tells it, R S T ...; nothing if it is gone.
state() {
    sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null
}

# halted COMMAND...: starts it; it stops itself before the file in out/ is synced, under its temporary name. $pid. The shell
# has INT and QUIT ignored for what runs in the background.
halted() {
    env --default-signal=INT,QUIT INJECT_CALLS=fsync INJECT_PATH=/out/ INJECT_WHAT=STOP INJECT_AT=1 \
        LD_PRELOAD="$PWD/inject.so" "$@" >log 2>&1 3>&- &
    pid=$!
    until [ "$(state $pid)" = T ]; do
        [ -n "$(state $pid)" ] || { cat log; return 1; }
        sleep 0.01
    done
    [ -n "$(find out -name '*.tmp')" ]
}

# interrupted SIGNAL COMMAND...: the status is that of the signal, and nothing is left.
interrupted() {
    local signal=$1 status=0
    shift
    halted "$@"
    kill -"$signal" $pid
    kill -CONT $pid
    wait $pid || status=$?
    echo "$signal $*: status $status, left: $(ls out)"
    [ $status -eq $((128 + $(kill -l "$signal"))) ]
    [ -z "$(ls out)" ]
}

@test "every command that makes a file, and every signal" {
    local signal
    for signal in INT TERM HUP PIPE QUIT USR1 USR2 XCPU ALRM ABRT; do
        interrupted $signal "$UNROLL" prepare --train book.txt -o out/c.h5
    done
    for signal in INT TERM HUP PIPE; do
        interrupted $signal "$UNROLL" export --model run/best.h5 -o out/weights
        interrupted $signal "$UNROLL" import model.safetensors -o out/model.h5
    done
    interrupted TERM "$UNROLL" export --model run/best.h5 --to text -o out/weights
    interrupted INT "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 4 -o out/flow.h5
    interrupted HUP "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 4 --csv out/flow.csv
    interrupted TERM "$UNROLL" plan --json out/plan.json
    interrupted PIPE "$UNROLL" bench --layers 1 --hidden 8 --vocab-size 20 --batch 2 --bptt 5 --steps 1 --json out/b.json
    interrupted INT "$UNROLL" prepare --labelled --split 50,0,50 --train <(:) --class a=book.txt b=book.txt -o out/c.h5 ||
        interrupted INT "$UNROLL" prepare --class a=book.txt b=book.txt --split 50,0,50 -o out/c.h5
}

@test "what was ignored at the start stays ignored" {
    halted nohup "$UNROLL" prepare --train book.txt -o out/c.h5
    kill -HUP $pid
    kill -CONT $pid
    wait $pid
    [ "$(ls out)" = c.h5 ]
}

# together: three ranks make out/c.h5; rank 1 stops itself whenever it touches the file, while rank 0, whose file it is,
# waits for it. $pid is mpirun, $rank the rank that stands.
together() {
    env --default-signal=INT,QUIT mpirun -n 3 env INJECT_RANK=1 INJECT_CALLS=open,pwrite,fsync,close INJECT_PATH=/out/ \
        INJECT_WHAT=STOP INJECT_AT=1 INJECT_EVER=1 LD_PRELOAD="$PWD/inject.so" \
        "$UNROLL" prepare --train book.txt -o "$PWD/out/c.h5" >log 2>&1 3>&- &
    pid=$!
    rank=
    while [ -z "$rank" ]; do
        [ -n "$(state $pid)" ] || { cat log; return 1; }
        for rank in $(processes_with "unroll prepare .*-o $PWD/out/c.h5") ""; do
            [ -z "$rank" ] || [ "$(state "$rank")" != T ] || break
        done
        sleep 0.01
    done
    [ "$(ls out)" = c.h5.tmp ]
}

@test "several ranks: mpirun is told, or a rank dies" {
    local way status
    for way in INT TERM HUP rank; do
        together
        if [ $way = rank ]; then kill -KILL "$rank"; else kill -$way $pid; fi
        status=0
        wait $pid || status=$?
        echo "$way: $status, left: $(ls out)"
        [ $status -ne 0 ]
        gone 10 "-o $PWD/out/c.h5"
        [ -z "$(ls out)" ]
    done
}

@test "what a killed command left is written over by the next" {
    local name
    halted "$UNROLL" prepare --train book.txt -o out/c.h5
    kill -KILL $pid
    wait $pid || [ $? -eq 137 ]
    [ "$(ls out)" = c.h5.tmp ]
    "$UNROLL" prepare --train book.txt -o out/c.h5
    [ "$(ls out)" = c.h5 ]
    cp out/c.h5 whole.h5
    for name in weights plan.json; do
        printf 'left %099999d' 1 >out/$name.tmp
    done
    "$UNROLL" export --model run/best.h5 -o out/weights
    cmp out/weights model.safetensors
    "$UNROLL" plan --json out/plan.json >/dev/null
    python3 -m json.tool out/plan.json >/dev/null
    [ -z "$(find out -name '*.tmp')" ]
}

@test "training: HUP and the limit of CPU time end it with a checkpoint, nohup lets it go on" {
    local base=(--corpus book.h5 --layers 1 --hidden 8 --batch 4 --bptt 10 --checkpoint-every 1000000 --patience none)
    local signal
    for signal in HUP XCPU; do
        env INJECT_CALLS=rename INJECT_PATH=/metrics.jsonl INJECT_WHAT=STOP INJECT_AT=1 LD_PRELOAD="$PWD/inject.so" \
            "$UNROLL" train "${base[@]}" --run out/$signal --max-steps 1000000 >log 2>&1 3>&- &
        pid=$!
        until [ "$(state $pid)" = T ]; do sleep 0.01; done
        kill -$signal $pid
        kill -CONT $pid
        status=0
        wait $pid || status=$?
        [ $status -eq 75 ]
        grep -q "SIG$signal.* was received" log
        "$UNROLL" verify out/$signal/latest
        [ -z "$(find out -name '*.tmp')" ]
    done
    # the real limit: a second of the processor, hard after ten minutes
    status=0
    bash -c 'ulimit -S -t 1; ulimit -H -t 600; exec "$@"' sh "$UNROLL" train "${base[@]}" --run out/limit \
        --max-steps 100000000 >log 2>&1 || status=$?
    [ $status -eq 75 ]
    grep -q "SIGXCPU (limit of CPU time) was received" log
    env INJECT_CALLS=rename INJECT_PATH=/metrics.jsonl INJECT_WHAT=STOP INJECT_AT=1 LD_PRELOAD="$PWD/inject.so" \
        nohup "$UNROLL" train "${base[@]}" --run out/nohup --max-steps 5 >log 2>&1 3>&- &
    pid=$!
    until [ "$(state $pid)" = T ]; do sleep 0.01; done
    kill -HUP $pid
    kill -CONT $pid
    wait $pid
    [ "$(steps_of out/nohup)" -eq 5 ]
}

# stands: waits until $pid has stopped itself.
stands() {
    until [ "$(state $pid)" = T ]; do
        [ -n "$(state $pid)" ] || { cat log; return 1; }
        sleep 0.01
    done
}

@test "training: the first INT is answered at once, the next ends it without checkpoint, temporary file or lock" {
    # stops itself at each call that the writing of a checkpoint makes
    local run=(train --corpus book.h5 --layers 1 --hidden 8 --batch 4 --bptt 10 --threads 1 --checkpoint-every 4)
    "$UNROLL" "${run[@]}" --run out/r --max-steps 4
    env --default-signal=INT INJECT_CALLS=open,pwrite,write,fsync,close,rename INJECT_PATH=step-00000008 INJECT_WHAT=STOP INJECT_AT=1 INJECT_EVER=1 \
        LD_PRELOAD="$PWD/inject.so" "$UNROLL" "${run[@]}" --run out/r --max-steps 1000 >log 2>&1 3>&- &
    pid=$!
    stands
    [ -n "$(find out/r -name '*.tmp')" ] && [ -e out/r/lock ]
    kill -INT $pid
    kill -CONT $pid
    until grep -qx "stopping after this checkpoint; again to stop without a checkpoint" log; do sleep 0.01; done
    stands # it goes on
    kill -INT $pid
    kill -CONT $pid # at once: a launcher has handed the same one on
    sleep 0.05
    stands
    sleep 0.3
    kill -INT $pid
    kill -CONT $pid
    status=0
    wait $pid || status=$?
    cat log
    [ $status -eq 130 ]
    [ "$(grep -c "^stopping " log)" -eq 1 ]
    grep -qx "stopped without a checkpoint; the same command goes on from the newest there is" log
    [ "$(ls out/r)" = "$(printf '%s\n' best.h5 checkpoints config.ini latest metrics.jsonl timing.jsonl)" ]
    [ "$(ls out/r/checkpoints)" = step-00000004.h5 ]
    # the next start finds nothing to speak of
    "$UNROLL" "${run[@]}" --run out/r --max-steps 8 2>log
    ! grep -q "lock" log
    [ "$(steps_of out/r)" -eq 8 ]
    # TERM and USR1 may come as often as they like
    env INJECT_CALLS=pwrite,fsync INJECT_PATH=step-00000012 INJECT_WHAT=STOP INJECT_AT=1 \
        LD_PRELOAD="$PWD/inject.so" "$UNROLL" "${run[@]}" --run out/r --max-steps 1000 >log 2>&1 3>&- &
    pid=$!
    stands
    for signal in TERM USR1 TERM; do kill -$signal $pid; done
    kill -CONT $pid
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ]
    [ "$(steps_of out/r)" -eq 12 ]
}

# limited BLOCKS COMMAND...: under `ulimit -f`, in blocks of 1024 bytes.
limited() {
    local blocks=$1
    shift
    run --separate-stderr bash -c 'ulimit -f "$1"; shift; exec "$@"' sh "$blocks" "$@"
    echo "$*: $status $stderr"
}

@test "a file size limit is told, with 74" {
    head -c 2000000 /dev/zero | tr '\0' 'a' >long.txt
    seq 3000 >lines.txt
    limited 100 "$UNROLL" prepare --train long.txt -o out/c.h5
    [ "$status" -eq 74 ]
    [ "$stderr" = "unroll: cannot write 'out/c.h5.tmp': file size limit (ulimit -f) reached; raise it, or choose another file system" ]
    limited 1 "$UNROLL" export --model run/best.h5 -o out/weights
    [ "$status" -eq 74 ]
    [[ "$stderr" == "unroll: cannot write 'out/weights.tmp': file size limit (ulimit -f) reached; "* ]]
    limited 1 "$UNROLL" export --model run/best.h5 --to text -o out/weights
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"file size limit (ulimit -f) reached"* ]]
    limited 4 "$UNROLL" import model.safetensors -o out/model.h5
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"file size limit (ulimit -f) reached"* ]]
    limited 4 "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 60 -o out/flow.h5
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"file size limit (ulimit -f) reached"* ]]
    limited 1 bash -c '"$UNROLL" score --model run/best.h5 lines.txt >out/scores'
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"cannot write to standard output: file size limit (ulimit -f) reached"* ]]
    limited 8 "$UNROLL" train --corpus book.h5 --run out/run --layers 1 --hidden 8 --batch 4 --bptt 10 --max-steps 2
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"file size limit (ulimit -f) reached"* ]]
    # of ranks, which else would need large files in shared memory
    run --separate-stderr on 2 env OMPI_MCA_btl=self,tcp bash -c 'ulimit -f 100; exec "$@"' sh "$UNROLL" \
        prepare --train long.txt -o out/c.h5
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"file size limit (ulimit -f) reached"* ]]
    [ -z "$(find out -name '*.tmp')" ]
    rm long.txt lines.txt
}
