#!/usr/bin/env bats
# A run directory is all that is needed to go on with a run or to use its model, wherever it lies now; and nothing else becomes
# one. Options in several files.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c 300
    make_corpus other 200
    options=(--corpus c.h5 --hidden 16 --layers 1 --batch 10 --bptt 12 --threads 1 --lr 0.01 --log-every 1)
    "$UNROLL" train "${options[@]}" --run whole --max-steps 30 --eval-every 10 2>log
    "$UNROLL" train "${options[@]}" --run five --max-steps 5 --eval-every 10 2>log
}

# A folder with the corpus and a run of five steps at `old`, which then moves to `new/e`.
setup() {
    cd "$BATS_TEST_TMPDIR"
    cp "$BATS_FILE_TMPDIR"/*.h5 "$BATS_FILE_TMPDIR"/c.txt .
    cp -a "$BATS_FILE_TMPDIR/five" old
    sed -i "s,$BATS_FILE_TMPDIR,$BATS_TEST_TMPDIR," old/config.ini # as if it had been made here
}

move() {
    mkdir new
    mv old new/e
}

# goes_on RUN ARGUMENT...: train with the arguments ends well and makes RUN the run that was never moved.
goes_on() {
    local run=$1
    shift
    run -0 --separate-stderr "$UNROLL" train "$@"
    [[ "$stderr" == *"resuming '$run' at step 5 of 30"* ]]
    [ ! -e old ]
    cmp "$run/metrics.jsonl" "$BATS_FILE_TMPDIR/whole/metrics.jsonl"
    [ "$("$UNROLL" inspect --json "$run/latest" | field parameters_digest)" = \
        "$("$UNROLL" inspect --json "$BATS_FILE_TMPDIR/whole/latest" | field parameters_digest)" ]
}

# refused STATUS TEXT ARGUMENT...: the last line on stderr has the text.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
}

ini() {
    sed -n "s/^$2 = //p" "$1/config.ini"
}

@test "the run's directory alone goes on with it, with the options that it holds" {
    move
    goes_on new/e --run new/e --max-steps 30
    run -0 --separate-stderr "$UNROLL" train --run new/e
    [[ "$stderr" == *"'new/e' is finished (max steps) at step 30"* ]]
}

@test "so does its config.ini, from any folder and on ranks" {
    move
    cd new
    run -0 --separate-stderr timeout 60 mpirun -n 2 "$UNROLL" train --config e/config.ini --max-steps 20
    [[ "$stderr" == *"resuming 'e' at step 5 of 20"* ]]
    cd e
    run -0 --separate-stderr "$UNROLL" train --config config.ini --max-steps 30
    [[ "$stderr" == *"resuming '.' at step 20 of 30"* ]]
    cmp metrics.jsonl "$BATS_FILE_TMPDIR/whole/metrics.jsonl"
    [ ! -e ../../old ]
    [ "$(find ../.. -name checkpoints | wc -l)" -eq 1 ]
}

@test "an old config.ini, with a relative corpus and the place of then, is read as one of today" {
    sed -i -e "s,^corpus = .*,corpus = \"c.h5\"\nrun = \"old\"," -e '$a resume = "never"' -e '$a json-summary = "old.json"' \
        -e '$a branch = "b"' old/config.ini
    cp old/config.ini template.ini
    move
    goes_on new/e --config new/e/config.ini --max-steps 30
    [ ! -e b ] && [ ! -e old.json ]
    # and one that lies by itself is a file of options like any other
    sed -i '/^branch\|^resume/d' template.ini
    run -0 "$UNROLL" train --config template.ini --run fresh --max-steps 2
    cmp <(head -n 2 fresh/metrics.jsonl) <(head -n 2 new/e/metrics.jsonl)
    [ -e old.json ] && [ ! -e old ]
}

@test "config.ini means the same wherever it is read: absolute paths, nothing of one start" {
    mkdir sub
    cd sub
    "$UNROLL" train --corpus ../c.h5 --init-from ../old --hidden 16 --layers 1 --threads 1 --max-steps 1 --run r \
        --json-summary s.json --max-time 900 2>log
    [ "$(ini r corpus)" = "\"$PWD/../c.h5\"" ]
    [ "$(ini r init-from)" = "\"$PWD/../old/latest\"" ] || [ "$(ini r init-from)" = "\"$PWD/../old/best.h5\"" ]
    [ "$(ini r json-summary)" = "\"$PWD/s.json\"" ]
    ! grep -E '^(run|branch|config|resume) =' r/config.ini
    ! grep -F "$BATS_TEST_TMPDIR" r/metrics.jsonl
    cd ..
    rm sub/s.json
    run -0 "$UNROLL" train --run sub/r --max-steps 2
    [ ! -e sub/s.json ] # it was asked for by the first start
    run -0 "$UNROLL" plan --config sub/r/config.ini
}

@test "a run's config.ini is a file of options like any other for a new run" {
    sed -i -e '/^max-time/d' -e '$a max-time = 0.0001' old/config.ini
    run -75 --separate-stderr "$UNROLL" train --config old/config.ini --run fresh
    [ "$(ini fresh hidden) $(ini fresh lr) $(ini fresh max-steps)" = "16 0.01 5" ]
    run -0 "$UNROLL" train --run fresh # the time was that start's
    cmp fresh/metrics.jsonl old/metrics.jsonl
}

@test "what is given overrides what the directory holds, within the rules of a run" {
    move
    refused 76 "--lr was 0.01 and is now 0.5" train --run new/e --max-steps 9 --lr 0.5
    refused 76 "--optimizer was adam and is now sgd" train --run new/e --optimizer sgd
    printf 'max-steps = 7\nkeep = 9\n' >more.ini
    run -0 --separate-stderr "$UNROLL" train --run new/e --config more.ini --keep 3
    [[ "$stderr" == *"at step 5 of 7"* ]]
    [ "$(ini new/e keep)" = 3 ]
    # how far: either of the two alone, as for a new run
    run -0 --separate-stderr "$UNROLL" train --run new/e --epochs 1
    [ "$(ini new/e max-steps)" = '"none"' ]
    run -0 "$UNROLL" train --run new/e --max-steps 90
    [ "$(ini new/e epochs)" = 1000000 ]
}

@test "a branch takes the options of its source, and then has its own" {
    move
    run -0 --separate-stderr "$UNROLL" train --run new/e --branch b --max-steps 8 --optimizer sgd
    [[ "$stderr" == *"branching from 'new/e' at step 5 into 'b'"* ]]
    [ "$(ini b lr)" = 1 ] # sgd's own, not adam's
    [ "$(ini b hidden)" = 16 ]
    run -0 --separate-stderr "$UNROLL" train --run new/e --branch b # the branch's own options now, not its source's
    [[ "$stderr" == *"'b' is finished (max steps) at step 8"* ]]
    run -0 --separate-stderr "$UNROLL" train --config new/e/config.ini --branch b2 --max-steps 8 --lr 0.02
    [[ "$stderr" == *"branching from 'new/e' at step 5 into 'b2'"* ]]
    mv b b2 new
    run -0 --separate-stderr "$UNROLL" train --run new/b --max-steps 9
    [[ "$stderr" == *"resuming 'new/b' at step 8 of 9"* ]]
    run -0 --separate-stderr "$UNROLL" train --config new/b2/config.ini --max-steps 9
    [[ "$stderr" == *"resuming 'new/b2' at step 8 of 9"* ]]
    [ ! -e b ] && [ ! -e b2 ]
}

@test "a corpus that has moved is named by --corpus, if it is the same" {
    move
    mv c.h5 d.h5
    refused 66 "say where the corpus is now with --corpus FILE" train --run new/e --max-steps 30
    refused 66 "--corpus FILE" train --config new/e/config.ini --max-steps 30
    refused 76 "use the corpus that the run began with" train --run new/e --max-steps 30 --corpus other.h5
    goes_on new/e --run new/e --max-steps 30 --corpus d.h5
    [ "$(ini new/e corpus)" = "\"$PWD/d.h5\"" ]
    mkdir empty
    for run in empty none; do
        refused 64 "missing option '--corpus': '$run' holds no run" train --run $run
    done
    refused 64 "missing option '--run'" train --corpus c.h5
}

@test "--model takes a run directory: best.h5, else latest" {
    "$UNROLL" train --run old --max-steps 12 2>log
    move
    echo "the lane holds" >lines
    run -0 --separate-stderr "$UNROLL" eval --model new/e --corpus c.h5 --json
    [ "$(field model <<<"$output")" = new/e/best.h5 ]
    rm new/e/best.h5
    run -0 --separate-stderr "$UNROLL" eval --model new/e/ --corpus c.h5 --json
    [ "$(field model <<<"$output")" = new/e/latest ]
    cmp <("$UNROLL" score --model new/e lines) <("$UNROLL" score --model new/e/latest lines)
    cmp <("$UNROLL" sample --model new/e --length 9) <("$UNROLL" sample --model new/e/latest --length 9)
    [ "$("$UNROLL" inspect --json new/e | field file)" = new/e/latest ]
    [ "$("$UNROLL" verify new/e c.h5 | head -n 1)" = "new/e/latest: whole checkpoint" ]
    run -0 "$UNROLL" export --model new/e -o m.st
    run -0 "$UNROLL" import m.st --vocab-from new/e -o again.h5
    run -0 "$UNROLL" gradflow --model new/e --corpus c.h5 --lags 3
    run -0 --separate-stderr "$UNROLL" train --corpus c.h5 --run t --init-from new/e --hidden 16 --layers 1 --max-steps 1
    [[ "$stderr" == *"starting from 'new/e/latest' (step 12)"* ]]
    refused 66 "cannot find a model in 'new': it has neither best.h5 nor latest" score --model new lines
    refused 66 "cannot find a model in '.'" inspect .
    refused 76 "cannot classify with 'new/e/latest'" classify --model new/e lines
}

@test "no directory of other things becomes a run's" {
    train=(train --corpus c.h5 --hidden 16 --layers 1 --batch 10 --threads 1 --max-steps 1)
    mkdir -p empty home/.cache project/checkpoints logged
    echo text >project/checkpoints/other
    echo text >project/notes
    echo "from the shell" >logged/train.log
    echo "max-steps = 1" >logged/my.ini
    find / -maxdepth 1 >before
    for folder in / /dev /dev/null /proc "$PWD" . home project c.h5; do
        refused 73 "cannot use '$folder' as a run directory: it " "${train[@]}" --run $folder
        refused 73 "cannot use '$folder' as a run directory: it " "${train[@]}" --run old --branch $folder
    done
    cmp <(find / -maxdepth 1) before
    [ "$(find home project | wc -l)" -eq 6 ]
    for folder in empty logged new/deep; do
        run -0 "$UNROLL" "${train[@]}" --run $folder
    done
    echo text >empty/notes # beside a run anything may lie
    run -0 "$UNROLL" train --run empty --max-steps 2
}

@test "a start that is refused leaves no directory behind" {
    small=(train --corpus c.h5 --hidden 16 --layers 1 --batch 10 --threads 1)
    echo text >text
    cp -a old damaged
    truncate -s 3000 damaged/checkpoints/*.h5
    mkdir mine
    find . -type d | sort >before
    none_left() {
        find . -type d | sort | diff before -
        [ -z "$(find . -name lock -o -name '*.tmp')" ]
    }
    for run in a a/b/c mine mine/x; do
        to=(--run $run)
        refused 66 "none.h5" "${small[@]}" "${to[@]}" --corpus none.h5
        refused 65 "'text'" "${small[@]}" "${to[@]}" --corpus text
        refused 66 "none.h5" "${small[@]}" "${to[@]}" --init-from none.h5
        refused 78 "--init-from" "${small[@]}" "${to[@]}" --init-from old --cell gru
        refused 66 "holds no checkpoint" "${small[@]}" "${to[@]}" --resume must
        refused 71 "out of memory" "${small[@]}" "${to[@]}" --hidden 65536 --layers 8
        refused 78 "no labels" "${small[@]}" "${to[@]}" --task classify
        refused 78 "--batch '1000000' is too large" "${small[@]}" "${to[@]}" --batch 1000000
        refused 73 "--json-summary" "${small[@]}" "${to[@]}" --json-summary nowhere/s.json
        none_left
    done
    refused 66 "cannot branch from 'mine'" "${small[@]}" --run mine --branch a/b
    refused 76 "cannot branch from 'old'" train --run old --branch a/b --hidden 20
    refused 76 "damaged" train --run damaged --branch a/b
    none_left
    run timeout 60 mpirun -n 3 "$UNROLL" "${small[@]}" --run a/b --lane-groups 2
    [ "$status" -eq 78 ]
    printf '#!/bin/sh\nexec "$@" --seed "$OMPI_COMM_WORLD_RANK"\n' >seeded
    chmod +x seeded
    run timeout 60 mpirun -n 2 ./seeded "$UNROLL" "${small[@]}" --run a/b
    [ "$status" -eq 78 ]
    none_left
}

@test "outputs without a place are refused before the work, and nothing of them stays" {
    mkdir out
    refused 73 "cannot write '--csv nowhere/a.csv'" gradflow --corpus c.h5 --hidden 8 --lags 4 --threads 1 -o out/a.h5 \
        --csv nowhere/a.csv
    refused 73 "cannot write '--output nowhere/a.h5'" gradflow --corpus c.h5 -o nowhere/a.h5 --csv out/a.csv
    refused 73 "cannot write '--json nowhere/a.json'" bench --hidden 8 --steps 1000000000 --json nowhere/a.json
    refused 66 "none.h5" export --model none.h5 -o out/a
    refused 65 "'c.txt'" prepare --labelled --train c.txt -o out/a.h5
    refused 65 "'c.txt'" import c.txt -o out/a.h5
    [ -z "$(ls out)" ]
}

@test "files of options: the later override the earlier, flags all, whatever their place" {
    printf 'lr = 0.01\nbatch = 4\nkeep = 5\n' >one.ini
    printf 'corpus = "c.h5"\nhidden = 16\nlayers = 1\nthreads = 1\nmax-steps = 1\nlr = 0.02\n[eval]\nsplit = "valid"\n' >two.ini
    "$UNROLL" train --config one.ini --config two.ini --run a 2>log
    [ "$(ini a lr) $(ini a batch) $(ini a keep) $(ini a hidden)" = "0.02 4 5 16" ]
    "$UNROLL" train --config two.ini --config=one.ini --run b 2>log
    [ "$(ini b lr)" = 0.01 ]
    "$UNROLL" train --lr 0.03 --config one.ini --keep 7 --config two.ini --run c 2>log
    [ "$(ini c lr) $(ini c keep)" = "0.03 7" ]
    # a list is replaced, not lengthened
    printf 'train = ["none1.txt", "none2.txt"]\noutput = "o.h5"\n' >three.ini
    make_text 20 >t.txt
    printf 'train = "t.txt"\n' >four.ini
    run -0 "$UNROLL" prepare --config three.ini --config four.ini
    [ -s o.h5 ]
    # the file of a command that takes files, too
    printf 'per-token = true\n' >five.ini
    printf 'format = "json"\n' >six.ini
    echo "the lane" >lines
    run -0 "$UNROLL" score --model old --config five.ini --config six.ini lines
    [[ "${lines[0]}" == *'"tokens"'* ]]
    printf 'lr = 1\nlr = 2\n' >twice.ini
    refused 78 "'lr' in 'twice.ini' line 2 is set a second time: line 1 has it too" train --config one.ini --config twice.ini --run d
    refused 66 "'none.ini'" train --config one.ini --config none.ini --run d
    many=()
    for i in $(seq 65); do many+=(--config one.ini); done
    refused 64 "more than 64 files" train "${many[@]}" --run d
    run -0 "$UNROLL" train "${many[@]:4}" --config two.ini --run d
}
