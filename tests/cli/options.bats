#!/usr/bin/env bats
# The command line as its user meets it: help, version, usage errors, and their exit status.

bats_require_minimum_version 1.5.0
load refusal

setup() {
    cd "$BATS_TEST_TMPDIR"
    commands=$("$UNROLL" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p') # walks the table
    [ "$(wc -w <<<"$commands")" -ge 10 ]
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" "${@:3}"
}

@test "--help lists every command, and each has help of its own" {
    run -0 --separate-stderr "$UNROLL" --help
    [ -z "$stderr" ]
    for command in $commands; do
        [[ "$output" == *"  $command "* ]]
    done
    for command in $commands; do
        run -0 --separate-stderr "$UNROLL" "$command" --help
        [ -z "$stderr" ]
        [[ "${lines[0]}" == "Usage: unroll $command"* ]]
        direct=$output
        run -0 "$UNROLL" help "$command"
        [ "$output" = "$direct" ]
    done
}

@test "help fits 80 columns and ends with an example whose options exist" {
    for command in "" $commands; do
        "$UNROLL" $command --help >help.txt
        [ "$(awk 'length > 79' help.txt)" = "" ]
    done
    for command in $commands; do
        "$UNROLL" "$command" --help >help.txt
        sed -n '/^Examples\?:$/,$p' help.txt >examples
        [ "$(wc -l <examples)" -ge 2 ]
        for option in $(tail -n +2 examples | grep -o -- ' unroll .*' | grep -oE -- ' --[a-z-]+| -o'); do
            grep -qE -- "^  (-o, )?(--\[no-\])?${option}[] [,]|^  --\[no-\]${option#--}|^  -o, ${option} " help.txt
        done
    done
}

@test "--version tells version, compiler, flags and libraries" {
    run -0 "$UNROLL" --version
    [[ "${lines[0]}" =~ ^unroll\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    [[ "$output" == *-fopenmp* ]]
    [[ "$output" == *HDF5\ 1.* ]]
    [[ "$output" == *BLIS* ]]
    [[ "$output" == *Open\ MPI* ]]
}

@test "a wrong command is 64 with a suggestion" {
    refused 64 "missing command"
    refused 64 "did you mean 'train'?" trian
    refused 64 "did you mean 'eval'?" evaluate
    refused 64 "see 'unroll --help'" qqqqqq
    refused 64 "the command comes first" --corpus c.h5 train
}

@test "wrong options are 64 with a suggestion" {
    refused 64 "did you mean '--hidden'?" train --corpus c --run r --hiden 3
    refused 64 "unknown option '--Version': did you mean '--version'?" --Version
    refused 64 "did you mean 'train'?" TRAIN
    refused 64 "did you mean '--run'?" train --corpus c --RUN r
    refused 64 "unknown option '--text': 'score' does not take it; the files that it reads stand behind the options, without one" score --text f
    refused 64 "missing value for '--run': it takes DIR; write '--run DIR'" train --corpus c --run
    refused 64 "missing value for '--run'" train --corpus c --run
    refused 64 "missing option '--corpus'" train --run r
    refused 64 "not a whole number" train --corpus c --run r --layers two
    refused 64 "missing argument 'FILE...'" verify
}

@test "values that are not allowed are 78 and name option, value and range" {
    refused 78 "bad value '9' for '--layers': out of range; write 1 to 8" train --corpus c --run r --layers 9
    refused 78 "did you mean 'lstm'?" train --corpus c --run r --cell lsmt
    refused 78 "make them equal" train --corpus c --run r --tied --embedding 3
    [ ! -e r ]
}

@test "names that other programs have get the right hint" {
    while read -r command typed meant; do
        refused 64 "unknown option '--$typed': '$command' does not take it; did you mean '--$meant'?" $command --$typed 3
    done <<'END'
train learning-rate lr
train num-layers layers
train save-every checkpoint-every
train output-dir run
train units hidden
train seq_len bptt
train GradClip clip
eval checkpoint model
sample max-new-tokens length
prepare out output
END
    refused 64 "it computes on processors" train --corpus c --run r --device cuda
    refused 64 "did you mean 'sample'?" generate
    printf 'batch_size = 3\n' >other.ini
    refused 78 "did you mean 'batch'?" train --corpus c --run r --config other.ini
}

@test "0 means 0, and not all, auto or none" {
    refused 78 "bad value '0' for '--top-k': out of range; write 'all', or 1 to" sample --model m --top-k 0
    refused 78 "write 'auto', or 1 to 4096" train --corpus c --run r --threads 0
    refused 78 "write 'none', 'auto', or 1 to" train --corpus c --run r --patience 0
    refused 78 "write 'hidden', or 1 to" plan --embedding 0
    printf 'max-steps = 0\n' >zero.ini
    refused 78 "'max-steps' in 'zero.ini' line 1: out of range; write 'none', or 1 to" \
        train --corpus c --run r --config zero.ini
}

@test "what refuses a value is named, also where it is the corpus, another option or the environment" {
    awk 'BEGIN { for (i = 0; i < 500; i++) print "a lane of text" }' >text
    "$UNROLL" prepare --train text --split 80,10,10 -o c.h5 >/dev/null
    bound() {
        local text=$1
        shift
        run -78 --separate-stderr "$UNROLL" "$@"
        echo "$*: $stderr"
        [[ "${stderr_lines[-1]}" == *"$text"* ]]
    }
    small=(train --corpus c.h5 --run r --hidden 8 --layers 1 --threads 1)
    bound "use at most 5999" "${small[@]}" --batch 6000
    bound "more than the 8 lanes of --batch; write 1 to 8" "${small[@]}" --batch 8 --lane-groups 9
    bound "a --bptt of at most 74, a --batch of at most 3," "${small[@]}" --batch 10 --bptt 200 --gradflow-every 5
    bound "fewer --lags, at most 748" gradflow --corpus c.h5 --lags 800 --hidden 8 --layers 1
    bound "above --lr, which is 0.1; write 0 to 0.1" "${small[@]}" --lr 0.1 --lr-min 0.2
    bound "write 'auto', or 0 to 1000000" "${small[@]}" --lr 1e7
    bound "write 1 to 1000000" "${small[@]}" --keep 1000001
    bound "use at most 3 ranks, or --lane-groups 4 or more" plan --lane-groups 3 --ranks 4
    bound "a beam of 3" sample --model m --beam 3 --count 4
    bound "bytes, at most 3999 fit" "${small[@]}" --run "$(printf 'x/%.0s' $(seq 2040))"
    OMP_NUM_THREADS=0 bound "set it to 1 to 8192" train --corpus c.h5 --run r --hidden 8
    [ ! -e r ]
}

@test "an INI file: faults name file and line, a missing one is 66" {
    printf '# a run\n[model]\nhiden = 3\n' >bad.ini
    refused 78 "unknown option 'hiden' in 'bad.ini' line 3: no command takes it; did you mean 'hidden'?" \
        train --corpus c --run r --config bad.ini
    refused 66 "'none.ini'" train --corpus c --run r --config none.ini
    printf 'corpus = "no such.h5"\n' >good.ini
    run -66 --separate-stderr "$UNROLL" train --run r --config good.ini # says first what it is
    [[ "${stderr_lines[-1]}" == "unroll: cannot open "*"'no such.h5'"* ]]
}

@test "missing input is 66 and names the file" {
    refused 66 "'none.h5'" eval --model none.h5 --corpus none.h5
    refused 66 "'none.h5'" sample --model none.h5
    refused 66 "'none.h5'" inspect none.h5
    run -66 "$UNROLL" verify none.h5
    [[ "$output" == *none.h5* ]]
    refused 66 "'none.txt'" prepare --train none.txt -o c.h5
    [ ! -e c.h5 ]
}

@test "several ranks say an error once" {
    run mpirun -n 3 "$UNROLL" train --corpus c --run r --layers 9
    [ "$status" -eq 78 ]
    [ "$(grep -c "bad value '9' for '--layers'" <<<"$output")" -eq 1 ]
}

@test "a full disk behind standard output is 74" {
    [ -c /dev/full ] || skip "no /dev/full"
    run --separate-stderr bash -c '"$UNROLL" --help >/dev/full'
    [ "$status" -eq 74 ]
    [[ "$stderr" == *"cannot write to standard output"* ]]
}

@test "--json is JSON on standard output, whatever the command; the older ways stay" {
    awk 'BEGIN { for (i = 0; i < 300; i++) print "a lane of text" }' >text
    "$UNROLL" prepare --train text --split 80,10,10 -o c.h5 >/dev/null
    small=(--hidden 8 --layers 1 --threads 1)
    is_json() {
        [ "$status" -eq 0 ]
        python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin.read().splitlines()]' <<<"$output"
        [[ "$output" == *"\"$1\""* ]]
    }
    train=(train --corpus c.h5 "${small[@]}" --batch 4 --max-steps 2)
    run --separate-stderr "$UNROLL" "${train[@]}" --run r --json
    is_json valid_loss
    run --separate-stderr "$UNROLL" plan "${small[@]}" --json --ranks 1
    is_json memory
    run --separate-stderr "$UNROLL" bench "${small[@]}" --batch 4 --steps 1 --json
    is_json gflops
    run --separate-stderr "$UNROLL" eval --model r --corpus c.h5 --json
    is_json loss
    run --separate-stderr "$UNROLL" inspect --json r c.h5
    is_json parameters_digest
    run --separate-stderr "$UNROLL" score --model r --json text
    is_json tokens
    [ "$output" = "$("$UNROLL" score --model r --format json text 2>/dev/null)" ]
    # into a file, by either spelling
    for option in --json=a.json "--json a.json"; do
        run -0 "$UNROLL" plan "${small[@]}" --ranks 1 $option
        [[ "$output" == *"memory, MiB"* ]]
        grep -q '"memory"' a.json
        rm a.json
    done
    for option in --json=b.json "--json b.json" "--json-summary b.json"; do
        run -0 "$UNROLL" train --run r --max-steps 3 $option
        grep -q '"valid_loss"' b.json
        rm b.json
    done
    printf 'json = true\n' >json.ini
    run --separate-stderr "$UNROLL" plan "${small[@]}" --ranks 1 --config json.ini
    is_json memory
}

@test "what stands without an option: the one that was meant" {
    printf 'A text\nof lines\n' >t.txt
    for i in 1 2 3 4 5 6; do cat t.txt; done >text.txt
    "$UNROLL" prepare --train text.txt -o c.h5
    mkdir r
    refused 64 "unexpected argument 'text.txt': 'prepare' takes options only; write '--train text.txt'" prepare text.txt -o n.h5
    refused 64 "write '--corpus c.h5'" train c.h5 --run r
    refused 64 "write '--run r'" train --corpus c.h5 r
    refused 64 "write '--config a.ini'" train --corpus c.h5 a.ini
    for command in sample eval export; do
        refused 64 "write '--model r'" $command r
    done
    refused 64 "write '--corpus c.h5'" eval --model r c.h5
    refused 64 "write '--corpus c.h5'" plan c.h5
    refused 64 "see 'unroll bench --help'" bench some
    refused 64 "unexpected argument 'Welt': put a text of several words in quotes: --prime 'Hallo Welt'" sample --prime Hallo Welt
    refused 64 "write '--prime Hallo'" sample --model r Hallo
    refused 64 "unexpected argument 'General': there is no file 'Der'; a text comes from standard input: echo '...' | unroll score ..." score --model r Der General kommt
    refused 64 "too many files at 'text.txt'" score --model r t.txt text.txt
}

@test "the first example is a plain command" {
    "$UNROLL" --help | grep -qx '  unroll train --corpus book.h5 --run runs/book'
    "$UNROLL" train --help | grep -A 2 -x 'Examples:' | tail -n 2 >found
    printf '  %s\n' 'unroll train --corpus book.h5 --run runs/book' 'mpirun -n 2 unroll train --corpus book.h5 --run runs/book --threads 1' | diff - found
    refused 64 "for example: unroll train --corpus" train --corpus c
}
