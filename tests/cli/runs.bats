#!/usr/bin/env bats
# 'unroll runs': what it says of runs is what they said themselves, whatever became of them; and it disturbs none.

bats_require_minimum_version 1.5.0

load training
load refusal

small=(--layers 1 --hidden 8 --batch 4 --bptt 10 --dropout 0 --threads 1)

train() {
    "$UNROLL" train --corpus "$1.h5" --run "$2" "${small[@]}" "${@:3}" 2>"${2##*/}.log"
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus char 200
    "$UNROLL" prepare --level word --train char.txt --split 80,10,10 -o word.h5 >/dev/null
    awk '{ print (NR % 3 ? "odd" : "even") "\t" $0 }' char.txt >labelled.txt
    "$UNROLL" prepare --level word --labelled --train labelled.txt --split 80,10,10 -o class.h5 >/dev/null
    for lr in 0.001 0.03 0.01; do
        train char grid/lr-$lr --lr $lr --max-steps 40 --eval-every 7 --log-every 5 --json-summary "$PWD/lr-$lr.json"
    done
    train word others/word --max-steps 5
    train class others/class --task classify --max-steps 5
    run -75 train char stopped --max-steps 1000000 --max-time 1 --patience none
    train char killed --max-steps 30 --log-every 10 --checkpoint-every 10
    # as a kill leaves it: the lock of a process that is gone, and no word of an end
    sed -i '/"end"/d' killed/metrics.jsonl
    sed -i '/"stop"/d; /"cores"/d' killed/timing.jsonl
    sleep 0 &
    gone=$!
    wait $gone
    printf 'host %s\npid %d\nstarted 1\nboot %s\nspace %s\njob -\nrestart -\nlaunch -\ntoken 0123456789abcdef\n' "$(uname -n)" \
        "$gone" "$(cat /proc/sys/kernel/random/boot_id)" "$(readlink /proc/self/ns/pid)" >killed/lock
    run -79 train char diverged --optimizer sgd --schedule constant --lr 1000000 --clip none --cell rnn-relu --max-steps 1000 \
        --log-every 1
    mkdir -p waiting/checkpoints
    cp grid/lr-0.01/config.ini waiting
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

teardown() {
    [ -z "${trainer:-}" ] || kill -KILL "$trainer" 2>/dev/null || true
    umount full 2>/dev/null || true
}

refused() {
    says_error_alone "$1" "$2" "$UNROLL" runs "${@:3}"
}

# column TITLE: of a table on standard input, whose cells hold no blanks, a value a line.
column() {
    awk -v title="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == title) at = i; next } { print $at }'
}

# state RUN
state() {
    "$UNROLL" runs --json "$1" 2>/dev/null | field state
}

@test "the best is first, with what differs and nothing else" {
    "$UNROLL" runs grid >table
    cat table
    [ "$(wc -l <table)" -eq 4 ]
    head -n 1 table | grep -qE '^run +lr +best loss +perplexity +at step +state +steps +time +started +host$'
    for lr in 0.001 0.03 0.01; do
        printf '%.4f grid/lr-%s %s %.2f %d finished 40\n' "$(field best_valid_loss lr-$lr.json)" $lr $lr \
            "$(awk -v loss="$(field best_valid_loss lr-$lr.json)" 'BEGIN { print exp(loss) }')" "$(field best_step lr-$lr.json)"
    done | sort -n | awk '{ print $2, $3, $1, $4, $5, $6, $7 }' >expected
    sed 1d table | awk '{ print $1, $2, $3, $4, $5, $6, $7 }' | diff expected -
    "$UNROLL" runs grid/* | diff table -
    "$UNROLL" runs . | grep -c grid/lr- | grep -qx 3
    (cd grid && "$UNROLL" runs | sed 1d | awk '{ print "grid/" $1, $2, $3 }') | diff <(awk '{ print $1, $2, $3 }' expected) -
}

@test "JSON: an object a line, in the same order, with everything" {
    "$UNROLL" runs --json grid >runs.jsonl
    [ "$(wc -l <runs.jsonl)" -eq 3 ]
    [ "$(field run runs.jsonl)" = "$("$UNROLL" runs grid | column run)" ]
    python3 - <<'PYTHON'
import json, math
for line in open("runs.jsonl"):
    run = json.loads(line)
    summary = json.load(open(run["run"].replace("grid/", "") + ".json"))
    facts = json.loads(open(run["run"] + "/metrics.jsonl").readline())
    for mine, its in (("best_valid_loss", "best_valid_loss"), ("best_step", "best_step"), ("best_test_loss", "best_test_loss"),
                      ("step", "steps"), ("parameters", "parameters"), ("ranks", "ranks"), ("threads", "threads"),
                      ("exit_status", "exit_status")):
        assert run[mine] == summary[its], (mine, run[mine], summary[its])
    assert abs(math.log(run["best_valid_perplexity"]) - run["best_valid_loss"]) < 1e-9
    assert abs(run["seconds"] - summary["seconds"]) < 0.5
    assert run["corpus_digest"] == facts["corpus_digest"] and run["vocab"] == facts["vocab"]
    assert (run["state"], run["why"], run["task"], run["steps"]) == ("finished", "max steps", "lm", 40)
    assert "lr-" + run["options"]["lr"] in run["run"] and run["options"]["hidden"] == "8"
    assert run["holder"] is None and run["gaps"] == []
    start = json.loads(open(run["run"] + "/timing.jsonl").readline())
    assert (run["host"], run["started"]) == (start["host"], start["time"])
PYTHON
    "$UNROLL" runs grid >table
    while read -r path started; do
        grep -q "^$path .*  $(date -d "$started" '+%Y-%m-%d %H:%M')  $(field host runs.jsonl | head -n 1)\$" table
    done < <(paste -d ' ' <(field run runs.jsonl) <(field started runs.jsonl))
}

@test "losses of other corpora and tasks do not compare: a table each" {
    "$UNROLL" runs others grid >tables
    cat tables
    [ "$(grep -c '^run ' tables)" -eq 3 ]
    grep -qE "^language models on corpus 'word.h5' \([0-9a-f]{8}\), vocabulary [0-9]+:" tables
    grep -q "^classifiers on corpus 'class.h5'" tables
    awk '/^classifiers/ { on = 1 } on && NF == 0 { exit } on' tables >classes
    grep -qE '^run +best loss +accuracy ' classes
    "$UNROLL" runs --json others/class >class.json
    [ "$(field best_valid_accuracy class.json)" = "$(lines_of valid others/class/metrics.jsonl | tail -n 1 | field accuracy)" ] ||
        [ "$(field best_valid_accuracy class.json)" = "$(lines_of end others/class/metrics.jsonl | field valid_accuracy)" ]
    [ "$(field task class.json)" = classify ]
}

@test "what became of them" {
    [ "$(state stopped)" = stopped ]
    [ "$(state killed)" = killed ]
    [ "$(state diverged)" = diverged ]
    [ "$(state waiting)" = 'not begun' ]
    "$UNROLL" runs --json killed >killed.json
    [ "$(field step killed.json)" = 30 ]
    run -0 --separate-stderr "$UNROLL" runs stopped killed waiting
    [[ "${lines[-1]}" == *"unroll train --run "@(stopped|killed) ]]
    [ -z "$stderr" ]
    steps=$("$UNROLL" runs --json stopped | field step)
    [ "$steps" -eq "$(steps_of stopped)" ]
    grep -qE "^stopped .* stopped +$steps/1000000 " <<<"$output"
    # ended by another failure
    cp -r stopped failed
    sed -i 's/"exit_status": 75/"exit_status": 74/' failed/timing.jsonl
    "$UNROLL" runs failed | grep -q 'failed (74)'
    # by versions that did not say how they ended
    cp -r stopped old
    sed -i '/"stop"/d; s/, "run_seconds": [^,}]*//' old/timing.jsonl
    [ "$(state old)" = stopped ]
    sed -i '/"cores"/d' old/timing.jsonl
    [ "$(state old)" = stopped ]
    expected=$(lines_of train old/timing.jsonl | field seconds | awk '{ sum += $1 } END { print sum }')
    awk -v a="$expected" -v b="$("$UNROLL" runs --json old | field seconds)" 'BEGIN { exit a > 0 && (a - b) ^ 2 < 1e-6 ? 0 : 1 }'
}

@test "how each goes on that has not finished, and how many more there are" {
    mkdir -p many
    for i in 1 2 3; do cp -r stopped many/$i; done
    "$UNROLL" runs many | sed -n '/^to go on with/,$p' | sed '1d; s/.*unroll train/unroll train/' |
        diff <(printf 'unroll train --run many/%d\n' 1 2 3) -
    for i in 4 5 6 7 8; do cp -r stopped many/$i; done
    "$UNROLL" runs many >said
    [ "$(grep -c 'train --run many/' said)" -eq 6 ]
    [ "$(tail -n 1 said)" = "  ... and 2 more" ]
    rm -r many
}

@test "a run that goes on is told, and not disturbed" {
    "$UNROLL" train --corpus char.h5 --run going "${small[@]}" --max-steps 100000000 --patience none 2>/dev/null 3>&- &
    trainer=$!
    until [ -s going/metrics.jsonl ] && [ -e going/best.h5 ]; do
        kill -0 $trainer
        sleep 0.1
    done
    kill -STOP $trainer
    find going -printf '%p %i %s %T@\n' | sort >before
    [ "$(state going)" = running ]
    "$UNROLL" runs going >table
    "$UNROLL" runs --json going >going.json
    find going -printf '%p %i %s %T@\n' | sort | diff before -
    kill -CONT $trainer
    kill -USR1 $trainer
    code=0
    wait $trainer || code=$?
    [ "$code" -eq 75 ]
    cat table
    grep -qE "^running: going on host [^ ]+, process $trainer, since [0-9: -]{16}$" table
    [ "$(field process going.json)" = $trainer ]
    run ! grep -q 'unroll train --run' table
    [ "$(state going)" = stopped ]
}

@test "gaps have reasons, and half a line is none" {
    cp -r grid/lr-0.01 damaged
    printf '{"type": "train", "step": 45, "lo' >>damaged/metrics.jsonl
    run -0 --separate-stderr "$UNROLL" runs damaged
    [ -z "$stderr" ]
    [[ "$output" == *finished* ]]
    sed -i '$d' damaged/metrics.jsonl # the half line
    sed -i '$d' damaged/metrics.jsonl # the end
    printf '{"type": "valid", "step": 41, }\n\377\376 not text\n' >>damaged/metrics.jsonl
    printf 'nonsense\n' >damaged/config.ini
    rm damaged/timing.jsonl damaged/best.h5
    run -0 --separate-stderr "$UNROLL" runs damaged
    [[ "$stderr" == *"run 'damaged': config.ini: "*"line 1"* ]]
    [[ "$stderr" == *"run 'damaged': metrics.jsonl: 2 lines are damaged"* ]]
    [[ "$stderr" == *"run 'damaged': it has no timing.jsonl"* ]]
    lowest=$(lines_of valid damaged/metrics.jsonl | field loss | sort -g | head -n 1)
    [ "$(sed -n 2p <<<"$output" | awk '{ print $2 }')" = "$(printf %.4f "$lowest")" ]
    "$UNROLL" runs --json damaged 2>/dev/null | grep -q '"gaps": \["config.ini: '
    rm damaged/metrics.jsonl
    run -0 --separate-stderr "$UNROLL" runs damaged grid
    [[ "$stderr" == *"it has no metrics.jsonl"* ]]
    [[ "$output" == *"of no known corpus:"* ]]
}

@test "a long record is read from its end" {
    mkdir -p long
    cp grid/lr-0.01/config.ini long
    sed '/"stop"/d' grid/lr-0.01/timing.jsonl >long/timing.jsonl
    head -n 1 grid/lr-0.01/metrics.jsonl >long/metrics.jsonl
    truncate -s 200G long/metrics.jsonl || skip "no file of 200 GB here"
    printf '\n{"type": "valid", "step": 8, "loss": 1.25, "best": true}\n' >>long/metrics.jsonl
    for i in $(seq 2000); do
        printf '{"type": "train", "step": %d, "epoch": 1, "tokens": 1000, "loss": 2.25, "grad_norm": 0.25, "lr": 0.01}\n' $((10 * i))
    done >>long/metrics.jsonl
    timeout $((20 * PATIENCE)) "$UNROLL" runs --json long >long.json 2>/dev/null
    [ "$(field best_valid_loss long.json)" = 1.25 ]
    [ "$(field best_step long.json)" = 8 ]
    [ "$(field step long.json)" = 20000 ]
    grep -q '"gaps": \[\]' long.json # what lies before is no text of lines
    rm -r long
}

@test "tables fit a terminal" {
    for columns in 80 60 30; do
        script -qec "stty cols $columns; TERM=xterm '$UNROLL' runs grid others stopped" /dev/null </dev/null |
            tr -d '\r' >screen
        cat screen
        # what does not fit even so is the run's name, its loss and its state, and sentences
        awk -v most=$columns '/^(run|grid|lr|others|stopped) / && length > most && most > 30 { exit 1 }' screen
        grep -q '^left out for the width: .*host' screen
        grep -q 'finished' screen
        grep -q 'best loss' screen
    done
}

@test "no run: where to look" {
    mkdir -p empty foreign
    echo '{"type": "other", "step": 3}' >foreign/metrics.jsonl
    refused 66 "cannot find a run in 'empty'" empty
    refused 66 "cannot open 'missing'" missing
    refused 65 "cannot look for runs in 'char.txt'" char.txt
    ends_with_error 66 "cannot find a run in 'foreign'" "$UNROLL" runs foreign
    run -0 --separate-stderr "$UNROLL" runs char.txt empty foreign grid
    [ "$(wc -l <<<"$output")" -eq 4 ]
    [[ "$stderr" == *"'char.txt'"*"no folder"* ]]
    [[ "$stderr" == *"'foreign'"*"of another program"* ]]
    ends_with_error 66 "cannot open 'missing'" "$UNROLL" runs grid missing
    [ "$(wc -l <<<"$output")" -eq 4 ]
    mkdir -p a/b/c/d
    cp -r grid/lr-0.01 a/b/run
    cp -r grid/lr-0.01 a/b/c/d/run
    ln -sfn b/run a/link
    [ "$("$UNROLL" runs --json a | wc -l)" -eq 1 ]
}

@test "ranks say it once" {
    on 3 "$UNROLL" runs --json grid >ranks.jsonl
    "$UNROLL" runs --json grid | diff ranks.jsonl -
}

@test "a name with control characters moves no cursor" {
    cp -r grid/lr-0.01 "$BATS_TEST_TMPDIR/"$'a\033[2Jb'
    run -0 "$UNROLL" runs "$BATS_TEST_TMPDIR"
    [[ "$output" != *$'\033'* ]]
    [[ "$output" == *'a\x1b[2Jb'* ]]
}

@test "what is no regular file in a run is told, and not waited for" {
    for file in metrics.jsonl timing.jsonl config.ini lock; do
        for kind in mkfifo mkdir; do
            rm -rf odd
            cp -r grid/lr-0.01 odd
            rm -f odd/$file
            $kind odd/$file
            run -0 --separate-stderr timeout $((20 * PATIENCE)) "$UNROLL" runs odd
            echo "$file $kind: $output $stderr"
            [[ "$output" == *"finished"* ]]
            [ $file = lock ] || [[ "$stderr" == *"run 'odd': $file: "*"'odd/$file': it is no regular file; check the name"* ]]
        done
    done
    cp -r stopped odd-lock && mkfifo odd-lock/lock
    ends_with_error 73 "cannot take 'odd-lock/lock': it is no regular file; remove it" timeout $((20 * PATIENCE)) "$UNROLL" train \
        --run odd-lock
    rm odd-lock/lock odd-lock/config.ini && mkfifo odd-lock/config.ini
    ends_with_error 65 "'odd-lock/config.ini': it is no regular file" timeout $((20 * PATIENCE)) "$UNROLL" train --run odd-lock
    # but options may come out of a pipe
    run -0 timeout $((20 * PATIENCE)) "$UNROLL" train --corpus char.h5 --run piped "${small[@]}" --config <(echo max-steps = 1)
}

@test "a run whose last step could not be saved has failed, and is gone on with" {
    cp -r grid/lr-0.01 unsaved
    rm -r unsaved/checkpoints unsaved/latest && mkdir unsaved/checkpoints
    sed -i 's/"exit_status": 0/"exit_status": 74/' unsaved/timing.jsonl
    "$UNROLL" runs unsaved >told
    cat told
    grep -q '^unsaved .* failed (74) ' told
    grep -q 'unroll train --run unsaved$' told
    "$UNROLL" train --corpus char.h5 --run unsaved "${small[@]}" --lr 0.01 --max-steps 40 --eval-every 7 --log-every 5 2>log
    [ "$(state unsaved)" = finished ]
    cmp unsaved/metrics.jsonl grid/lr-0.01/metrics.jsonl
    # nothing goes on where the last step is saved and only best.h5 is not
    cp -r grid/lr-0.01 unsaved-best
    sed -i 's/"exit_status": 0/"exit_status": 74/' unsaved-best/timing.jsonl
    "$UNROLL" runs unsaved-best >told
    grep -q '^unsaved-best .* failed (74) ' told
    run ! grep -q 'unroll train --run' told
}

@test "a disk that is full at the last checkpoint" {
    mkdir full
    mount -t tmpfs -o size=600k tmpfs full 2>/dev/null || skip "needs the right to mount"
    make_text 2000 >long.txt
    "$UNROLL" prepare --level char --train long.txt --split 80,10,10 -o long.h5 >/dev/null
    command=("$UNROLL" train --corpus long.h5 --run full/r --layers 1 --hidden 64 --batch 8 --bptt 20 --threads 1 --epochs 9 --max-steps 6
        --eval-every 3)
    code=0
    "${command[@]}" 2>log || code=$?
    "$UNROLL" runs full >told
    mount -o remount,size=20m full
    "${command[@]}" 2>>log || code+=" $?"
    after=$(state full/r)
    umount full
    cat log told
    [ "$code" = 74 ]
    grep -q '^full/r .* failed (74) ' told
    grep -q 'unroll train --run full/r$' told
    [ "$after" = finished ]
}

@test "a status of 0 is never a failure, whatever has become of metrics.jsonl" {
    for damage in ': >' 'rm' 'rm odd/metrics.jsonl; mkdir' "sed -i 's/\"end\"/\"en/'" "sed -i /\"end\"/d"; do
        rm -rf odd
        cp -r grid/lr-0.01 odd
        eval "$damage odd/metrics.jsonl"
        run -0 --separate-stderr "$UNROLL" runs odd
        echo "$damage: $output $stderr"
        grep -q '^odd .* finished ' <<<"$output"
        [[ "$stderr" == *"run 'odd': "*"metrics.jsonl"* ]]
        [ "${#stderr_lines[@]}" -eq 1 ]
    done
    [ "$(id -u)" -eq 0 ] || {
        chmod 0 odd/metrics.jsonl
        [ "$(state odd)" = finished ]
    }
}

@test "killed before its first checkpoint is killed" {
    cp -r killed early
    rm -rf early/checkpoints early/latest early/best.h5
    mkdir early/checkpoints
    sed -i '2,$d' early/metrics.jsonl
    sed -i '/"start"/!d' early/timing.jsonl
    [ "$(state early)" = killed ]
    "$UNROLL" runs early | grep -q 'unroll train --run early$'
    rm early/lock
    [ "$(state early)" = killed ]
    : >early/timing.jsonl
    [ "$(state early)" = 'not begun' ]
}
