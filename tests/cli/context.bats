#!/usr/bin/env bats
# 'unroll score --context' and '--carry-state': lines behind other text, with the numbers that the same text gives as one.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_text 300 >book.txt
    for level in char word; do
        make_model $level book.txt --max-steps 40 --hidden 8 --layers 2 --lr 0.01
    done
    "$UNROLL" train --corpus char.h5 --run run-reset --cell gru --reset-at eos --max-steps 20 --hidden 12 --layers 1 --batch 8 \
        --bptt 16 --threads 1
    tr -d '\n' <book.txt >endless.txt
    "$UNROLL" prepare --level char --train endless.txt --split 80,10,10 -o endless.h5
    "$UNROLL" train --corpus endless.h5 --run run-endless --max-steps 20 --hidden 12 --layers 1 --batch 8 --bptt 16 --threads 1
    { tail -n 40 book.txt | rev; echo; echo 'a lane ☃ sums'; } >lines.txt
    head -n 7 book.txt >before.txt
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

refused() {
    says_error_alone "$1" "$2" "$UNROLL" score "${@:3}"
}

# same A B: to 1e-10 of what they are.
same() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a < 0 && (d < 0 ? -d : d) <= -1e-10 * a) }'
}

sum() {
    field log_probability "$@" | awk '{ sum += $1 } END { printf "%.17g", sum }'
}

@test "with the state carried over lines the sum is that of eval --batch 1" {
    for level in char word; do
        "$UNROLL" prepare --vocab-from $level-model.h5 --test lines.txt -o lines-$level.h5
        "$UNROLL" eval --model $level-model.h5 --corpus lines-$level.h5 --batch 1 --json >eval.json
        run -0 --separate-stderr "$UNROLL" score --model $level-model.h5 --carry-state --json lines.txt
        [ "${stderr_lines[-1]}" = "each line behind those before it, in one lane on one rank" ]
        echo "$output" >carried.json
        same "$(sum carried.json)" "$(field log_probability eval.json)"
        run ! same "$("$UNROLL" score --model $level-model.h5 --json lines.txt 2>alone | sum)" "$(sum carried.json)"
        on 3 "$UNROLL" score --model $level-model.h5 --carry-state --json lines.txt --threads 2 2>notes | cmp - carried.json
    done
}

@test "without line ends in the vocabulary, or one at the end, the sum is another, and help says so" {
    "$UNROLL" prepare --vocab-from run-endless --test lines.txt -o lines-endless.h5
    "$UNROLL" eval --model run-endless --corpus lines-endless.h5 --batch 1 --json >eval.json
    run ! same "$("$UNROLL" score --model run-endless --carry-state --json lines.txt 2>notes | sum)" "$(field log_probability eval.json)"
    head -c -1 lines.txt >open.txt
    "$UNROLL" prepare --vocab-from char-model.h5 --test open.txt -o open.h5
    "$UNROLL" eval --model char-model.h5 --corpus open.h5 --batch 1 --json >eval.json
    run ! same "$("$UNROLL" score --model char-model.h5 --carry-state --json open.txt 2>notes | sum)" "$(field log_probability eval.json)"
    "$UNROLL" score --help | tr -s ' \n' ' ' |
        grep -F "If the vocabulary has line ends and the text ends with one, the sum is that of 'eval --batch 1'"
}

@test "a line longer than what is held at once carries on, and is carried on from" {
    for _ in $(seq 1500); do tail -n 9 book.txt | tr '\n' ' '; done >long.txt
    { echo && head -n 3 book.txt; } >>long.txt
    [ "$(head -n 1 long.txt | wc -c)" -gt 262144 ]
    "$UNROLL" prepare --vocab-from char-model.h5 --test long.txt -o long.h5
    "$UNROLL" eval --model char-model.h5 --corpus long.h5 --batch 1 --json >eval.json
    "$UNROLL" score --model char-model.h5 --carry-state --json long.txt >carried.json
    same "$(sum carried.json)" "$(field log_probability eval.json)"
    # and as a context
    "$UNROLL" score --model char-model.h5 --context long.txt lines.txt | head -n 1 >first
    head -n 1 lines.txt | cat long.txt - | "$UNROLL" score --model char-model.h5 --carry-state | tail -n 1 | cmp - first
}

@test "every line is scored behind the context, as if it alone followed" {
    for model in char-model.h5 word-model.h5 run-endless; do
        "$UNROLL" score --model $model --context before.txt --per-token lines.txt >all
        run -0 --separate-stderr "$UNROLL" score --model $model --context before.txt lines.txt
        [ "${stderr_lines[-1]}" = "each line behind the text of 'before.txt', whose tokens do not count" ]
        [ "${#lines[@]}" -eq "$(wc -l <lines.txt)" ]
        for line in 1 17 41 42; do
            sed -n ${line}p lines.txt | cat before.txt - | "$UNROLL" score --model $model --carry-state | tail -n 1 >wanted
            [ "$(cat wanted)" = "${lines[line - 1]}" ]
        done
        "$UNROLL" score --model $model --context - --per-token lines.txt <before.txt | cmp - all
        on 3 "$UNROLL" score --model $model --context before.txt --per-token --threads 2 lines.txt 2>notes | cmp - all
    done
    # nothing before is nothing
    : >empty
    "$UNROLL" score --model char-model.h5 lines.txt >alone
    "$UNROLL" score --model char-model.h5 --context empty lines.txt | cmp - alone
}

@test "both together: the text goes on from the context" {
    cat before.txt lines.txt | "$UNROLL" score --model word-model.h5 --carry-state | tail -n 42 >wanted
    "$UNROLL" score --model word-model.h5 --carry-state --context before.txt lines.txt | cmp - wanted
}

@test "a model that empties its state at line ends sees no context" {
    "$UNROLL" score --model run-reset lines.txt >alone
    for how in --carry-state "--context before.txt"; do
        run -0 --separate-stderr "$UNROLL" score --model run-reset $how lines.txt
        [ "${stderr_lines[-1]}" = "each line alone, whatever is before it: a model of --reset-at eos" ]
        echo "$output" | cmp - alone
    done
}

@test "with another model's numbers for the same text, and for hypotheses" {
    "$UNROLL" score --model word-model.h5 --carry-state --per-token lines.txt >other
    "$UNROLL" score --model word-model.h5 --carry-state lines.txt >own
    "$UNROLL" score --model word-model.h5 --carry-state --mix other --lambda 0 lines.txt >mixed
    paste own mixed | awk '{ d = $1 - $2; if (d > 1e-4 || d < -1e-4) exit 1 }'
    head -n 4 lines.txt | awk '{ print "1 ||| " $0 " ||| d= 1 ||| -2" }' |
        "$UNROLL" score --model word-model.h5 --context before.txt --nbest moses | sed 's/.*Unroll= \([^ ]*\) .*/\1/' >lists
    "$UNROLL" score --model word-model.h5 --context before.txt lines.txt | head -n 4 | cmp - lists
}

@test "what does not go together is refused" {
    refused 78 "cannot use '--carry-state' together with '--nbest': no hypothesis follows another" \
        --model word-model.h5 --nbest moses --carry-state lines.txt
    refused 78 "there is one standard input" --model word-model.h5 --context - </dev/null
    refused 66 "cannot open 'nowhere'" --model word-model.h5 --context nowhere lines.txt
    printf 'a\xff\n' >bad
    refused 65 "cannot read 'bad' as UTF-8" --model word-model.h5 --context bad lines.txt
    echo 'a <s> b' >marked
    refused 65 "the text holds 1 '<s>', the first in 'marked' line 1" --model word-model.h5 --context marked lines.txt
    run --separate-stderr on 2 "$UNROLL" score --model word-model.h5 --context bad lines.txt
    [ "$status" -eq 65 ]
    [[ "$stderr" == *"cannot read 'bad' as UTF-8"* ]]
}
