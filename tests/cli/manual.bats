#!/usr/bin/env bats
# The manual page and bash's completion, both made from the tables of commands and options.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
    commands=$("$UNROLL" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
    [ "$(wc -w <<<"$commands")" -ge 10 ]
}

# options_of COMMAND: "--name" a line, as the command's help has them.
options_of() {
    "$UNROLL" "$1" --help | sed -nE 's/^  (-[a-z], )?--(\[no-\])?([a-z0-9-]+).*/--\3/p'
}

@test "the page holds every command, option, explanation and status of --help" {
    "$UNROLL" help --man >unroll.1
    tr -s ' \n' ' ' <unroll.1 | sed 's/\\f[BIR]//g; s/\\-/-/g; s/\\&//g; s/\\e/\\/g' >plain
    for command in $commands; do
        grep -qx ".SH unroll $command" unroll.1
        "$UNROLL" "$command" --help >help.txt
        for option in $(options_of "$command"); do
            sed -n "/^.SH unroll $command\$/,/^.SH/p" unroll.1 | sed 's/\\-/-/g' | grep -qE -- "--(\[no-\])?${option#--}"
        done
        example=$(tail -n 1 help.txt)
        grep -qF -- "${example#  }" plain
    done
    for status in $("$UNROLL" --help | sed -n '/^Exit status/,$p' | grep -oE '\b(0|[67][0-9])\b'); do
        grep -qx ".B $status" unroll.1
    done
}

@test "man reads the page without a complaint" {
    "$UNROLL" help --man >unroll.1
    if command -v mandoc >/dev/null; then
        run mandoc -T lint -W error unroll.1
        echo "$output"
        [ "$status" -eq 0 ]
    fi
    command -v groff >/dev/null || skip "no groff"
    groff -man -Tascii -ww -P -cbou unroll.1 >page 2>complaints
    [ ! -s complaints ]
    grep -q 'recurrent layers' page
    grep -q '^UNROLL(1)' page
}

# complete_line WORD...: what is offered for the last word, sorted; "=" stands alone, as bash has it.
complete_line() {
    # shellcheck disable=SC2034
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _unroll
    printf '%s\n' "${COMPREPLY[@]}" | sort
}

@test "completion offers commands, every option, choices, files and folders" {
    "$UNROLL" help --completion >completion
    bash -n completion
    if command -v shellcheck >/dev/null; then
        shellcheck -s bash completion
    fi
    compopt() { :; }
    # shellcheck source=/dev/null
    . ./completion
    for command in $commands; do
        complete_line unroll "$command" | grep -qx "$command"
        [ "$(complete_line unroll "$command" -- | grep -v '^--no-')" = "$({ options_of "$command"; echo --help; } | sort)" ]
    done
    [ "$(complete_line unroll tra)" = train ]
    [ "$(complete_line unroll help sam)" = sample ]
    expected=$(printf '%s\n' gru lstm mingru mogrifier qrnn rnn-relu rnn-tanh sru)
    [ "$(complete_line unroll train --cell '')" = "$expected" ]
    [ "$(complete_line unroll train --cell =)" = "$expected" ]
    [ "$(complete_line unroll train --cell = ls)" = lstm ]
    [ "$(complete_line unroll sample --top-k '')" = all ]
    [ -z "$(complete_line unroll train --hidden '')" ]
    complete_line unroll train --ti | grep -qx -- --tied
    complete_line unroll train --no-ti | grep -qx -- --no-tied
    mkdir folder
    touch book.h5 bread
    [ "$(complete_line unroll eval --model b)" = "$(printf 'book.h5\nbread')" ]
    [ "$(complete_line unroll train --run '')" = folder ]
    [ "$(complete_line unroll verify bo)" = book.h5 ]
    [ "$(complete_line unroll prepare -o br)" = bread ]
    [ -z "$(complete_line unroll no-such-command --)" ]
}
