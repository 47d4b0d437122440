#!/usr/bin/env bats
# No command destroys what it reads: an output that is an input, by whatever name, is refused and the input stays as it was.
# "-" is standard output wherever a file may be written, or is refused.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus book 100
    "$UNROLL" train --corpus book.h5 --run run --layers 1 --hidden 8 --batch 4 --bptt 10 --max-steps 3
    "$UNROLL" export --model run/best.h5 -o model.safetensors
    "$UNROLL" bench --layers 1 --hidden 8 --vocab-size 20 --batch 2 --bptt 5 --steps 1 --json bench.json >/dev/null
    printf 'hidden = 8\n' >options.ini
    "$UNROLL" score --model run/best.h5 --per-token book.txt >tokens.tsv
    head -n 3 book.txt >short.txt
    printf 'a\tone two\nb\tthree four\na\tfive\nb\tsix\n' >labelled.tsv
    mkdir folder
    ln -s book.txt soft.txt
    ln book.txt hard.txt
    ln -s ../run/latest folder/newest.h5
    ln -s nothing.h5 folder/dangling.h5
    find . -type f -exec sha256sum {} + | sort >before.sums
    find . | sort >before.names
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# unharmed: no file has another content, none has gone or come.
unharmed() {
    sha256sum --quiet -c <(grep -v ' ./before' before.sums)
    find . | sort | diff <(grep -v '^./before' before.names) <(find . | sort | grep -v '^./before')
}

# refused STATUS TEXT COMMAND...: exit status, one line on stderr with TEXT in it, nothing harmed.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" "${@:3}"
    unharmed
}

@test "every output of every command against every input" {
    refused 73 "cannot create 'book.txt': it is 'book.txt', which --train reads; choose another name" \
        prepare --train book.txt -o book.txt
    refused 73 "which --valid reads" prepare --train short.txt --valid book.txt -o book.txt
    refused 73 "which --test reads" prepare --train short.txt --test soft.txt -o book.txt
    refused 73 "which --class reads" prepare --class a=short.txt b=book.txt -o book.txt
    refused 73 "which --train reads" prepare --labelled --train labelled.tsv -o labelled.tsv
    printf 'train = "short.txt"\noutput = "short.txt"\n' >prepare.ini
    run -73 "$UNROLL" prepare --config prepare.ini
    run -73 "$UNROLL" prepare --config prepare.ini -o prepare.ini
    rm prepare.ini
    refused 73 "which --model reads" export --model run/best.h5 -o run/best.h5
    refused 73 "which the command reads" import model.safetensors -o model.safetensors
    refused 73 "which --vocab-from reads" import model.safetensors --vocab-from book.h5 -o book.h5
    refused 73 "which --corpus reads" gradflow --corpus book.h5 --csv book.h5
    refused 73 "which --corpus reads" gradflow --corpus book.h5 -o book.h5
    refused 73 "which --model reads" gradflow --corpus book.h5 --model run/best.h5 --csv run/best.h5
    refused 73 "which --config reads" bench --config options.ini --json options.ini
    refused 73 "which --from reads" plan --nodes 2 --network 1us,1GB --from bench.json --json bench.json
    refused 73 "which --config reads" plan --config options.ini --json ./options.ini
    refused 73 "which --corpus reads" train --corpus book.h5 --run new --json-summary book.h5
    refused 73 "which --corpus reads" train --corpus book.h5 --run new --json=book.h5
    refused 73 "cannot use 'new/best.h5' for --json" train --corpus book.h5 --run new --json=new/best.h5
    refused 73 "which --init-from reads" train --corpus book.h5 --run new --init-from run/best.h5 --json-summary run/best.h5
}

@test "by other names: spellings, links, links to links, hard links, what is not there yet" {
    local name
    for name in ./book.txt "$PWD/book.txt" folder/../book.txt soft.txt hard.txt .//book.txt; do
        refused 73 "which --train reads" prepare --train book.txt -o "$name"
        refused 73 "which --train reads" prepare --train "$name" -o book.txt
    done
    refused 73 "which --model reads" export --model run/latest -o run/checkpoints/step-00000003.h5
    refused 73 "which --model reads" export --model run/latest -o folder/newest.h5
    refused 73 "which --model reads" export --model folder/newest.h5 -o run/latest
    refused 73 "are the same file" gradflow --corpus book.h5 --csv new.h5 -o ./new.h5
    refused 73 "are the same file" gradflow --corpus book.h5 --csv folder/nothing.h5 -o folder/dangling.h5
    refused 73 "are the same file" gradflow --corpus book.h5 --csv none/../new -o none/../new
}

@test "temporary names, too: book.txt.tmp is where book.txt is first written" {
    cp book.txt out.h5.tmp
    run --separate-stderr -73 "$UNROLL" prepare --train out.h5.tmp -o out.h5
    [[ "$stderr" == "unroll: cannot create 'out.h5': it is first written as 'out.h5.tmp', which is another file"* ]]
    run --separate-stderr -73 "$UNROLL" gradflow --corpus book.h5 --csv out.h5.tmp -o out.h5
    cmp book.txt out.h5.tmp
    rm out.h5.tmp
    unharmed
}

@test "the files of a run are its own, also before they are there" {
    refused 73 "cannot use 'new/best.h5' for --json-summary: it is one of the files of the run directory 'new'" \
        train --corpus book.h5 --run new --json-summary new/best.h5
    refused 73 "for --json-summary" train --corpus book.h5 --run run --json-summary ./run/metrics.jsonl
    refused 73 "for --json-summary" train --corpus book.h5 --run run --json-summary run/latest
    refused 73 "for --json-summary" train --corpus book.h5 --run run --branch new --json-summary new/checkpoints/x.json
    refused 73 "for --init-from" train --corpus book.h5 --run run --init-from run/best.h5
    refused 78 "it is --run itself" train --corpus book.h5 --run run --branch ./run
    refused 78 "it is --run itself" train --corpus book.h5 --run new --branch folder/../new
    # beside them there is room, and config.ini is there to be read
    cp -r run again
    run -0 "$UNROLL" train --config again/config.ini --run again --max-steps 4 --json-summary again/summary.json
    [ "$(field steps again/summary.json)" -eq 4 ]
    rm -r again
}

@test "the files of any run are its own, whatever the command reads" {
    before=$(find run -type f -exec sha256sum {} + | sort)
    for name in config.ini latest checkpoints/another.h5 metrics.jsonl; do
        refused 73 "it is one of the files of the run directory" export --model run -o "run/$name"
        refused 73 "it is one of the files of the run directory" gradflow --corpus book.h5 --csv "run/$name"
        refused 73 "it is one of the files of the run directory" train --corpus book.h5 --run other \
            --init-from run/best.h5 --json-summary "run/$name"
    done
    [ "$before" = "$(find run -type f -exec sha256sum {} + | sort)" ]
    "$UNROLL" export --model run -o run/weights.safetensors
    rm run/weights.safetensors
}

@test "shell redirection onto an input, or into the file that is written anyway" {
    local words
    for words in "score --model run/best.h5 short.txt" "classify --model run/best.h5 ./short.txt" \
        "inspect short.txt" "verify short.txt" "eval --corpus short.txt --model run/best.h5" \
        "sample --model short.txt" "score --model run/best.h5 --mix short.txt book.txt"; do
        cp short.txt kept.txt
        # shellcheck disable=SC2086
        run -73 bash -c '"$UNROLL" "$@" 2>&1 >>short.txt' sh $words
        [[ "$output" == "unroll: cannot write to 'standard output': it is "*"short.txt', which "*" reads; choose"* ]]
        cmp short.txt kept.txt
    done
    run -73 bash -c '"$UNROLL" score --model run/best.h5 <short.txt 2>&1 >>short.txt'
    [[ "$output" == *"it is 'standard input', which the command reads"* ]]
    run -73 bash -c '"$UNROLL" plan --json plan.json 2>&1 >plan.json'
    [[ "$output" == *"standard output"*"--json"*"same file"* ]]
    # what is no clash
    run -0 bash -c '"$UNROLL" score --model run/best.h5 <short.txt >scores'
    run -0 bash -c '"$UNROLL" plan --json /dev/stdout >plan.txt'
    run -0 bash -c '"$UNROLL" plan --json /dev/null >/dev/null'
    rm -f kept.txt scores plan.txt plan.json
}

@test "several ranks refuse with one voice" {
    run --separate-stderr on 2 "$UNROLL" prepare --train book.txt -o hard.txt
    [ "$status" -eq 73 ]
    [ "$(grep -c '^unroll: cannot create' <<<"$stderr")" -eq 1 ]
}

@test "- is standard output, alone there and whole" {
    "$UNROLL" export --model run/best.h5 -o - >whole
    cmp whole model.safetensors
    "$UNROLL" export --model run/best.h5 -o - | cmp - model.safetensors
    (echo before && "$UNROLL" export --model run/best.h5 -o -) | tail -c +8 | cmp - model.safetensors
    "$UNROLL" export --model run/best.h5 --to text -o weights.txt
    "$UNROLL" export --model run/best.h5 --to text -o - | cmp - weights.txt
    "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 4 --csv flow.csv >/dev/null
    "$UNROLL" gradflow --corpus book.h5 --hidden 8 --lags 4 --csv - | cmp - flow.csv
    "$UNROLL" plan --json - | python3 -c 'import json, sys; json.load(sys.stdin)["parameters"]'
    "$UNROLL" bench --layers 1 --hidden 8 --vocab-size 20 --batch 2 --bptt 5 --steps 1 --json - |
        python3 -c 'import json, sys; json.load(sys.stdin)["ms_per_step"]'
    "$UNROLL" train --corpus book.h5 --run dash --layers 1 --hidden 8 --max-steps 2 --json-summary - 2>/dev/null |
        python3 -c 'import json, sys; text = sys.stdin.read(); assert text[-1] == "\n"; json.loads(text)["steps"]'
    [ ! -e - ] && [ ! -e ./-.tmp ]
    run --separate-stderr bash -c '"$UNROLL" export --model run/best.h5 -o - >/dev/full'
    [ "$status" -eq 74 ]
    [[ "$stderr" == "unroll: cannot write 'standard output': No space left on device"* ]]
    rm -rf whole weights.txt flow.csv dash
}

@test "HDF5 needs a name, and there is one standard output" {
    unharmed() { :; }
    refused 78 "cannot write '-' for --output: an HDF5 file is not written from front to back" prepare --train book.txt -o -
    mkdir streams # this system's own are not for trying
    ln -s /proc/self/fd/1 streams/stdout
    ln -s /proc/self/fd/2 streams/stderr
    mkfifo streams/pipe
    for name in stdout stderr pipe; do
        run bash -c '"$UNROLL" import model.safetensors -o streams/'$name' 2>&1 >streams/all'
        [[ "$status $output" == "7"[38]" unroll: cannot "*"'streams/$name'"*"; "*"name"* ]]
        run bash -c '"$UNROLL" gradflow --corpus book.h5 -o streams/'$name' >streams/all 2>streams/errors'
        [[ "$status $(cat streams/errors)" == "7"[38]" unroll: cannot "*"'streams/$name'"*"; "*"name"* ]]
    done
    "$UNROLL" export --model run/best.h5 -o streams/stdout >streams/all
    cmp streams/all model.safetensors
    [ -L streams/stdout ] && [ -L streams/stderr ] && [ -p streams/pipe ]
    rm -r streams
    refused 78 "cannot write '-' for --output" import model.safetensors -o -
    refused 78 "cannot write '-' for --output" gradflow --corpus book.h5 -o -
    mkdir named
    (cd named && "$UNROLL" prepare --train ../book.txt -o ./- >/dev/null && "$UNROLL" verify ./-)
    rm -r named
}
