#!/usr/bin/env bats
# What train says of how it goes, and when it stops by itself. The rules on made-up histories: tests/unit/test_advice.c.

bats_require_minimum_version 1.5.0

load refusal
load training

# A text by chance alone, which can be learnt by heart only: 13 steps an epoch.
make_noise() {
    awk 'BEGIN {
        x = 7
        for (i = 0; i < 60; i++) {
            line = ""
            for (k = 0; k < 40; k++) { x = (x * 1103 + 12345) % 65536; line = line substr("abcdefgh", 1 + int(x / 7) % 8, 1) }
            print line
        }
    }'
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus plain 300
    make_noise >noise.txt
    "$UNROLL" prepare --level char --train noise.txt --split 80,10,10 -o noise.h5 >/dev/null
    "$UNROLL" prepare --level char --train plain.txt -o novalid.h5 >/dev/null
    awk '{ print (NR % 2 ? "odd" : "even") "\t" $0 }' noise.txt >lines.txt
    "$UNROLL" prepare --labelled --train lines.txt --split 80,20 -o lines.h5 >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    noise=(--corpus "$BATS_FILE_TMPDIR/noise.h5" --layers 1 --hidden 48 --batch 8 --bptt 20 --dropout 0 --lr 0.02
        --schedule constant --log-every 10 --threads 1)
    plain=(--corpus "$BATS_FILE_TMPDIR/plain.h5" --layers 1 --hidden 16 --batch 8 --bptt 16 --dropout 0 --log-every 10
        --threads 1)
}

# of_run NAME: the value in r/config.ini.
of_run() {
    sed -n "s/^$1 = //p" r/config.ini
}

# advice FILE MEMBER: of a summary.
advice() {
    python3 -c 'import json, sys; a = json.load(open(sys.argv[1]))["advice"]; print(a and a[sys.argv[2]])' "$@"
}

# says_before_next TEXT: TEXT is on the last lines before the next commands.
says_before_next() {
    grep -B 6 '^next:$' <<<"$stderr" | grep -qF -- "$1"
}

@test "overfitting is said once when it is seen, and in the end with what helps; the run stops, and goes on when told" {
    run -0 --separate-stderr "$UNROLL" train "${noise[@]}" --run r --epochs 25 --json-summary s.json
    [ "$(grep -c '^overfits from step ' <<<"$stderr")" -eq 1 ]
    [ "$(of_run patience)" = 10 ]
    best=$(lines_of valid r/metrics.jsonl | grep '"best": *true' | field step | tail -n 1)
    [ "$(lines_of end r/metrics.jsonl | field step)" -eq $((best + 130)) ]
    [[ "$stderr" == *"stopped by --patience: 10 validations in a row were not better than step $best's"* ]]
    [[ "$stderr" == *"run the same command with --patience none"* ]]
    says_before_next "  overfits from step $best: "
    says_before_next "higher --dropout (it is 0)"
    [ "$(advice s.json kind)" = overfitting ]
    [ "$(grep -c '.\{81\}' <(grep -A 2 '^advice:\|^stopped by' <<<"$stderr"))" -eq 0 ]
    # nothing to do, and how there would be
    run -0 --separate-stderr "$UNROLL" train --run r --json-summary s.json
    [[ "$stderr" == *"nothing to do; add --patience none to go on"* ]]
    [ "$(advice s.json kind)" = overfitting ]
    # it goes on as the run that would not have stopped
    run -0 --separate-stderr "$UNROLL" train "${noise[@]}" --run r --epochs 25 --patience none
    [ "$(grep -c '^overfits from step ' <<<"$stderr")" -eq 0 ] # it was said
    [[ "$stderr" != *"stopped by"* ]]
    says_before_next "  overfits from step $best: "
    "$UNROLL" train "${noise[@]}" --run whole --epochs 25 --patience none 2>whole.log
    cmp r/metrics.jsonl whole/metrics.jsonl
    [ "$(grep '^  overfits' whole.log)" = "$(grep '^  overfits' <<<"$stderr")" ]
}

@test "a rate that is too high, too low or zero is named, and the status stays 0" {
    while IFS='|' read -r rate kind text; do
        run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --run "r$rate" --schedule constant --lr "$rate" --epochs 3 \
            --json-summary s.json
        [ "$(grep -c "^unroll: warning: $text" <<<"$stderr")" -eq 1 ]
        says_before_next "  $text"
        says_before_next " without --lr"
        [ "$(advice s.json kind)" = "rate $kind" ]
        [ "$(field exit_status s.json)" = 0 ]
    done <<<"10|too high|training loss
0|zero|the learning rate is 0: nothing is learnt
1e-9|too low|nothing is learnt: training loss "
}

@test "weights that are worth nothing are called so, and the next command is another run" {
    run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --run r --schedule constant --lr 1000 --epochs 3
    [[ "$stderr" == *"these weights are of no use"* ]]
    grep -A 9 '^next:$' <<<"$stderr" >next
    ! grep -E ' (eval|sample) ' next
    grep -qE 'train --config r/config.ini .*--run r-2 --lr 100$' next
    # it is a command, and its rate that of the new run
    sed -n '2,$s/^ *//p' next >command
    run -0 --separate-stderr sh command
    grep -q '^lr = 100$' r-2/config.ini
    # the same when there is nothing to do
    run -0 --separate-stderr "$UNROLL" train --run r
    grep -qE -- '--run r-3 --lr 100$' <<<"$stderr"
    # what was good before it diverged is of use
    run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --run good --lr 0.01 --epochs 3
    [[ "$stderr" != *"of no use"* && "$stderr" == *" sample --model good/best.h5 "* ]]
}

@test "the same without validation text, and to classify" {
    run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --corpus "$BATS_FILE_TMPDIR/novalid.h5" --run r --lr 10 --epochs 2
    [[ "$stderr" == *"warning: the corpus has no validation text (prepare it with --split 90,5,5):"$'\n'"  the plateau "* ]]
    [ "$(of_run patience)" = '"none"' ]
    says_before_next "training loss "
    run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --corpus "$BATS_FILE_TMPDIR/novalid.h5" --run short --max-steps 60
    says_before_next "still learning: training loss fell by "
    says_before_next "a higher --max-steps; and validation text"
    classify=(--task classify --corpus "$BATS_FILE_TMPDIR/lines.h5" --layers 1 --hidden 16 --batch 8 --log-every 10 --threads 1)
    run -0 --separate-stderr "$UNROLL" train "${classify[@]}" --run c --lr 30 --epochs 20 --clip none --schedule constant
    says_before_next "training loss "
    grep -q '^patience = 10$' c/config.ini
}

@test "a run that ends too early is told so, a healthy one nothing" {
    run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --run early --lr 0.01 --epochs 1 --eval-every 8 \
        --json-summary s.json
    says_before_next "still learning: validation loss fell by "
    says_before_next "the same command with a higher --epochs"
    [ "$(advice s.json kind)" = unfinished ]
    for schedule in constant plateau cosine; do
        run -0 --separate-stderr "$UNROLL" train "${plain[@]}" --run $schedule --schedule $schedule --lr 0.01 --epochs 12 \
            --json-summary s.json
        [ "$(advice s.json kind)" = None ]
        [[ "$stderr" != *advice:* && "$stderr" != *"overfits"* ]]
    done
}

# 13 steps an epoch, a validation each: 10 of them are less than an epoch.
@test "--patience auto: validations that make an epoch, none where the schedule has an end; a number on any ranks" {
    while read -r wanted options; do
        # shellcheck disable=SC2086 # words
        run -75 on 0 "$UNROLL" train "${noise[@]}" --run r $options --max-time 0.001
        [ "$(of_run patience)" = "$wanted" ]
        rm -r r
    done <<<'10 --epochs 9
13 --eval-every 1
10 --eval-every 2 --patience auto
10 --schedule plateau
"none" --schedule cosine
"none" --schedule step
"none" --patience none
4 --patience 4'
    run -75 on 2 "$UNROLL" train "${noise[@]}" --run r --eval-every 1 --max-time 0.001
    [ "$(of_run patience)" = 13 ]
    # a branch with another schedule has its own
    run -75 on 0 "$UNROLL" train --run r --branch b --schedule cosine --max-time 0.001
    grep -q '^patience = "none"' b/config.ini
    refused "${noise[@]}" --corpus "$BATS_FILE_TMPDIR/novalid.h5"
}

# refused OPTIONS...: --patience needs validation text; by itself it does not ask for any.
refused() {
    ends_with_error 78 "--patience" "$UNROLL" train "$@" --run n --patience 3
}

@test "runs that began without --patience go on without" {
    for before in 's/^patience = .*/patience = "none"/' '/^patience = /d'; do
        rm -rf r
        "$UNROLL" train "${noise[@]}" --run r --epochs 3 2>/dev/null
        sed -i "$before" r/config.ini
        "$UNROLL" train --run r --epochs 25 2>/dev/null
        [ "$(of_run patience)" = '"none"' ]
        [ "$(lines_of end r/metrics.jsonl | field epoch)" = 25 ]
    done
    # its checkpoints alone: whoever goes on with them says all
    rm -rf r
    "$UNROLL" train "${noise[@]}" --run r --epochs 3 2>/dev/null
    rm r/config.ini
    "$UNROLL" train "${noise[@]}" --run r --epochs 25 2>/dev/null
    [ "$(lines_of end r/metrics.jsonl | field epoch)" = 25 ]
    [ "$(of_run patience)" = '"none"' ]
    # and one that began with it, with it
    rm -rf r
    "$UNROLL" train "${noise[@]}" --run r --epochs 3 2>/dev/null
    "$UNROLL" train --run r --epochs 25 2>/dev/null
    [ "$(lines_of end r/metrics.jsonl | field why)" = "no improvement" ]
}
