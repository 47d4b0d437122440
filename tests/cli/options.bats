#!/usr/bin/env bats
# The command line as its user meets it: help, version, usage errors, and their exit status.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
    commands=$("$UNROLL" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p') # walks the table
    [ "$(wc -w <<<"$commands")" -ge 10 ]
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout.
refused() {
    local status_wanted=$1 text=$2
    shift 2
    run --separate-stderr "$UNROLL" "$@"
    echo "$* -> $status: $stderr"
    [ "$status" -eq "$status_wanted" ]
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ "${stderr_lines[0]}" == "unroll: "* ]]
    [[ "${stderr_lines[0]}" == *"$text"* ]]
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
        [ "$(tail -n 2 help.txt | head -n 1)" = "Example:" ]
        for option in $(tail -n 1 help.txt | grep -o -- ' unroll .*' | grep -oE -- ' --[a-z-]+| -o'); do
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
