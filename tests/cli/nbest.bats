#!/usr/bin/env bats
# 'unroll score --nbest', --oov-penalty and --mix: what the model says of lists of hypotheses, of unknown words, and together
# with another model.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    for i in $(seq 300); do
        printf 'Line %d of the book says %d again\n' "$i" $((i * i % 97))
    done >book.txt
    for level in char word; do
        make_model $level book.txt --max-steps 60 --hidden 16 --layers 1 --lr 0.01
    done
    "$UNROLL" train --corpus word.h5 --run run-other --cell gru --max-steps 20 --hidden 12 --layers 1 --batch 8 --bptt 16 --threads 1
    cp run-other/best.h5 other-model.h5
    awk 'BEGIN {
        split("Line 3 of the book says 9 again|again 9 says book the of 3 Line|the book says xyzzy|Line 5 of|", text, "|")
        for (id = 1; id <= 60; id++)
            for (n = 1; n <= 1 + id % 7; n++)
                printf "%d ||| %s ||| d= %d tm= -1.5 -2 ||| %.3f\n", id, text[1 + (id + n) % 5], n, -n / 4
    }' >lists.moses
    awk -F' \\|\\|\\| ' '{ n = $1 == last ? n + 1 : 1; last = $1; printf "speaker-%d-%d%s%s\n", $1, n, $2 == "" ? "" : " ", $2 }' \
        lists.moses >lists.kaldi
    awk -F' \\|\\|\\| ' '{ print $2 }' lists.moses >texts
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT ARGUMENT...: exit status, TEXT in the last line of stderr, which is ours.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" score "${@:3}"
}

@test "every hypothesis comes back in its place with the score of its text" {
    for level in word char; do
        "$UNROLL" score --model $level-model.h5 texts >scores 2>summary
        "$UNROLL" score --model $level-model.h5 --nbest moses lists.moses >found 2>summary2
        grep -v '^perplexity per word' summary | cmp - summary2 # hypotheses are no text, whose words could be counted
        paste -d '#' scores lists.moses |
            awk -F'#' '{ split($2, f, " \\|\\|\\| "); printf "%s ||| %s ||| %s Unroll= %s ||| %s\n", f[1], f[2], f[3], $1, f[4] }' |
            cmp - found
        "$UNROLL" score --model $level-model.h5 --nbest kaldi <lists.kaldi >found 2>summary2
        paste -d ' ' <(cut -d ' ' -f 1 lists.kaldi) <(tr -d - <scores) | cmp - found
    done
}

@test "--weight puts each list's best first, --best prints nothing else" {
    "$UNROLL" score --model word-model.h5 texts >scores 2>notes
    # id, line, and score + 0.1 * log-probability, sorted; equals stay in order
    paste lists.moses scores |
        awk -F'\t' '{ split($1, f, " \\|\\|\\| "); printf "%d\t%.6f\t%d\t%s\n", f[1], f[4] + 0.1 * $2, NR, f[2] }' |
        sort -t "$(printf '\t')" -k 1,1n -k 2,2gr -k 3,3n >expected
    "$UNROLL" score --model word-model.h5 --nbest moses --weight 0.1 lists.moses 2>notes >found
    awk -F' \\|\\|\\| ' '{ print $1 "\t" $4 "\t" $2 }' found >ranked
    paste expected ranked | awk -F'\t' '$1 != $5 || $4 != $7 || ($2 - $6) ^ 2 > 1e-10 { exit 1 }'
    "$UNROLL" score --model word-model.h5 --nbest moses --weight 0.1 --best lists.moses 2>notes >best
    awk -F' \\|\\|\\| ' '$1 != last; { last = $1 }' found | cmp - best
    [ "$(wc -l <best)" -eq 60 ]
    # equals stay as they came
    printf '1 ||| the book ||| a= %s ||| -1\n' 1 2 3 >equal.moses
    "$UNROLL" score --model word-model.h5 --nbest moses --weight 0.1 equal.moses 2>notes | grep -o 'a= .' | paste -sd' ' >found
    [ "$(cat found)" = "a= 1 a= 2 a= 3" ]
    # kaldi: by the log-probability alone
    "$UNROLL" score --model word-model.h5 --nbest kaldi --best lists.kaldi 2>notes >best
    paste lists.moses scores | awk -F'\t' '{ split($1, f, " \\|\\|\\| ")
        if (f[1] != last || $2 > most) { most = $2; best[f[1]] = f[2] } last = f[1] }
        END { for (id = 1; id <= 60; id++) print "speaker-" id " " best[id] }' | cmp - best
}

@test "the same bytes on any number of ranks and threads, and for lists longer than a pool" {
    for i in $(seq 300); do sed "s/^/$i-/" lists.moses; done >many.moses
    [ "$(wc -l <many.moses)" -gt 65536 ]
    "$UNROLL" score --model word-model.h5 --nbest moses --weight 0.5 --threads 1 many.moses >expected 2>summary
    [ "$(wc -l <expected)" -eq "$(wc -l <many.moses)" ]
    for ranks in 2 3; do
        mpirun -n $ranks "$UNROLL" score --model word-model.h5 --nbest moses --weight 0.5 --threads 2 many.moses >found 2>notes
        cmp expected found
    done
    awk -F' \\|\\|\\| ' '{ print "one ||| " $2 " ||| " $3 " ||| " $4 }' lists.moses >one.moses
    for i in $(seq 100); do cat one.moses; done >long.moses
    "$UNROLL" score --model word-model.h5 --nbest moses --best long.moses 2>notes | wc -l | grep -qx 1
}

@test "what is no hypothesis is refused with its line, after those before it" {
    { head -n 3 lists.moses && echo '0 ||| only text'; } >bad.moses
    run -65 --separate-stderr "$UNROLL" score --model word-model.h5 --nbest moses bad.moses
    [ "${#lines[@]}" -eq 3 ]
    [[ "${stderr_lines[-1]}" == "unroll: cannot read line 4 of 'bad.moses' as a hypothesis: write 'id ||| text ||| features ||| score'"* ]]
    for line in '||| a ||| b ||| 1' '0 ||| a ||| b ||| x' '0 ||| a ||| b ||| nan' '0 ||| a ||| b |||' ''; do
        echo "$line" >bad.moses
        refused 65 "line 1" --model word-model.h5 --nbest moses bad.moses
    done
    for line in 'utterance text' '-1 text' 'utterance- text' 'utterance-x text' ''; do
        echo "$line" >bad.kaldi
        refused 65 "line 1" --model word-model.h5 --nbest kaldi bad.kaldi
    done
    printf 'u-1 a\xff\n' >bad.kaldi
    refused 65 "not UTF-8" --model word-model.h5 --nbest kaldi bad.kaldi
    refused 66 "none" --model word-model.h5 --nbest kaldi none
    refused 78 "--nbest" --model word-model.h5 --weight 1 texts
    refused 78 "--nbest" --model word-model.h5 --best texts
    refused 78 "--weight" --model word-model.h5 --nbest kaldi --weight 1 lists.kaldi
    refused 78 "--per-token" --model word-model.h5 --nbest moses --per-token lists.moses
}

@test "--oov-penalty takes so much off for every unknown word, and they are counted and marked" {
    printf 'says xyzzy again\nthe book\nfoo bar xyzzy\n' >oov
    "$UNROLL" score --model word-model.h5 oov >plain 2>notes
    grep -q 'unknown 4,' notes
    "$UNROLL" score --model word-model.h5 --oov-penalty 2.5 oov >found 2>notes
    paste plain found | awk '{ d = $1 - $2; w = NR == 1 ? 2.5 : NR == 2 ? 0 : 7.5; if ((d - w) ^ 2 > 1e-9) exit 1 } END { exit NR != 3 }'
    "$UNROLL" score --model word-model.h5 --oov-penalty 2.5 --per-token oov 2>notes | awk -F'\t' '{ s[$1] += $3 } END { for (i = 1; i <= 3; i++) print s[i] }' |
        paste - found | awk '($1 - $2) ^ 2 > 1e-8 { exit 1 }'
    "$UNROLL" score --model word-model.h5 --per-token --format json oov 2>notes | grep -o '"unknown": true' | wc -l | grep -qx 4
    "$UNROLL" score --model word-model.h5 --nbest kaldi --oov-penalty 2.5 <(sed 's/^/u-1 /' oov) 2>notes | cut -d ' ' -f 2 |
        paste - found | awk '($1 + $2) ^ 2 > 1e-9 { exit 1 } END { exit NR != 3 }'
    refused 78 "--oov-penalty" --model word-model.h5 --oov-penalty -1 oov
}

@test "--mix is p = lambda own + (1 - lambda) other, token by token" {
    head -n 20 book.txt | sed 's/again/xyzzy/' >text
    "$UNROLL" score --model word-model.h5 --per-token text >own 2>notes
    "$UNROLL" score --model other-model.h5 --per-token text >other 2>notes
    for lambda in 0.5 0.3 1 0; do
        "$UNROLL" score --model word-model.h5 --per-token --mix other --lambda $lambda text >found 2>notes
        paste own other found | sed 1d | awk -F'\t' -v lambda=$lambda '$2 != $8 { exit 1 } {
            p = log(lambda * exp($3) + (1 - lambda) * exp($6)); if ((p - $9) ^ 2 > 1e-10) exit 1 } END { exit NR < 100 }'
    done
    "$UNROLL" score --model word-model.h5 --mix other text >default 2>notes
    "$UNROLL" score --model word-model.h5 --mix other --lambda 0.5 text >found 2>notes
    cmp default found
    mpirun -n 2 "$UNROLL" score --model word-model.h5 --mix other --threads 1 text 2>notes | cmp - default
    # a file that is not about this text
    sed 's/$/\r/' other >dos
    "$UNROLL" score --model word-model.h5 --mix dos text 2>notes | cmp - default # CR LF is a line end
    head -n 51 other >short && refused 65 "ends after 50 tokens" --model word-model.h5 --mix short text
    { cat other && echo '21	a	-1'; } >long && refused 65 "behind the end" --model word-model.h5 --mix long text
    sed '7s/\t.*\t/\tother\t/' other >bad && refused 65 "line 7 is about another token" --model word-model.h5 --mix bad text
    sed '7s/^1/2/' other >bad && refused 65 "line 7 is about another token" --model word-model.h5 --mix bad text
    sed '7s/-.*/x/' other >bad && refused 65 "line 7 has no log-probability" --model word-model.h5 --mix bad text
    sed '7s/\t/ /g' other >bad && refused 65 "line 7 is not number, token" --model word-model.h5 --mix bad text
    refused 66 "none" --model word-model.h5 --mix none text
    refused 78 "--lambda" --model word-model.h5 --lambda 0.5 text
    refused 78 "--lambda" --model word-model.h5 --mix other --lambda 1.5 text
}

@test "--mix of a model that knows other words is refused: it is no distribution" {
    head -n 20 book.txt | sed 's/again/xyzzy/' >text
    "$UNROLL" score --model other-model.h5 --per-token text >other 2>notes
    "$UNROLL" score --model word-model.h5 --mix other text >expected 2>notes
    sed 's/book/nook/' book.txt >nook.txt
    "$UNROLL" prepare --level word --train nook.txt --split 80,10,10 -o nook.h5
    "$UNROLL" prepare --level word --vocab-size 20 --train book.txt --split 80,10,10 -o few.h5
    for corpus in nook few; do
        "$UNROLL" train --corpus $corpus.h5 --run run-$corpus --max-steps 2 --hidden 12 --layers 1 --batch 8 --bptt 16 --threads 1
        "$UNROLL" score --model run-$corpus/latest --per-token text >found 2>notes
        refused 65 "cannot mix with 'found': it is of vocabulary " --model word-model.h5 --mix found text
        [[ "$stderr" == *"do not add up to 1"*"the same training text with the same options" ]]
        # an earlier version's file names no vocabulary: words that one of the two does not know give it away
        sed 1d found >old
        refused 65 "so the two know different words" --model word-model.h5 --mix old text
        sed 1d other >old
        refused 65 "so the two know different words" --model run-$corpus/latest --mix old text
    done
    "$UNROLL" score --model char-model.h5 --per-token text >found 2>notes
    refused 65 "it is of vocabulary" --model word-model.h5 --mix found text
    # one of the same vocabulary is taken, with a notice
    sed 1d other >old
    "$UNROLL" score --model word-model.h5 --mix old text 2>notes | cmp - expected
    grep -q "unroll: 'old' does not say what vocabulary it is of" notes
    mpirun -n 2 "$UNROLL" score --model word-model.h5 --mix found --threads 1 text 2>notes && false
    [ "$(grep -c '^unroll: ' notes)" -eq 1 ]
    "$UNROLL" score --model other-model.h5 --per-token --format json text >found 2>notes
    refused 65 "line 1 is JSON" --model word-model.h5 --mix found text
    # what a penalty was taken from is no probability; a first line that says something else is refused
    "$UNROLL" score --model other-model.h5 --per-token --oov-penalty 2 text >found 2>notes
    refused 65 "write it without --oov-penalty" --model word-model.h5 --mix found text
    sed '1s/vocabulary ./vocabulary x/' other >found
    refused 65 "line 1 is damaged" --model word-model.h5 --mix found text
}

@test "a mixture is a distribution: over all tokens that can follow it sums to 1" {
    "$UNROLL" train --corpus char.h5 --run run-second --cell gru --max-steps 20 --hidden 12 --layers 1 --batch 8 --bptt 16 --threads 1
    # behind 'Li' each character of the vocabulary, one that is none of it, and the line end
    { grep -o . book.txt | LC_ALL=C sort -u | sed 's/^/Li/' && printf 'Li~\nLi\n'; } >text
    [ "$(wc -l <text)" -gt 20 ]
    "$UNROLL" score --model run-second/latest --per-token text >second 2>notes
    for options in '' '--mix second --lambda 0.3' '--mix second --lambda 0'; do
        # shellcheck disable=SC2086 # none, or several words
        "$UNROLL" score --model char-model.h5 --per-token $options text 2>notes |
            awk -F'\t' 'NR > 1 && ++at[$1] == 3 { sum += exp($3); n++ } END { exit !(n > 20 && (sum - 1) ^ 2 < 1e-9) }'
    done
}

@test "the feature is called as the user likes" {
    "$UNROLL" score --model word-model.h5 --nbest moses lists.moses | sed 's/ Unroll= / LSTM_2= /' >wanted
    "$UNROLL" score --model word-model.h5 --nbest moses --feature LSTM_2 lists.moses | cmp - wanted
    refused 64 "bad value '' for '--feature'" --model word-model.h5 --nbest moses --feature= lists.moses
    for name in 'a b' 'a=' 'a|b'; do
        refused 64 "bad value '$name' for '--feature'" --model word-model.h5 --nbest moses --feature="$name" lists.moses
    done
    refused 64 "bad value 'a\x09' for '--feature'" --model word-model.h5 --nbest moses --feature=$'a\t' lists.moses
    refused 64 "bad value '\xff' for '--feature'" --model word-model.h5 --nbest moses --feature=$'\xff' lists.moses
    refused 78 "cannot use '--feature' without '--nbest'" --model word-model.h5 --feature LSTM texts
    refused 78 "cannot use '--feature' with '--nbest kaldi'" --model word-model.h5 --nbest kaldi --feature LSTM lists.kaldi
}

@test "a feature that a hypothesis has already is not written a second time" {
    { head -n 2 lists.moses && sed -n '3s/ d= / LM0= -1 dLM1= 2 d= /p' lists.moses; } >again.moses
    refused 65 "cannot add a feature to line 3 of 'again.moses': it has 'LM0=' already; write '--feature OTHER'" \
        --model word-model.h5 --nbest moses --feature LM0 again.moses
    "$UNROLL" score --model word-model.h5 --nbest moses --feature LM1 again.moses >two
    [ "$(wc -l <two)" -eq 3 ]
    # its own default, too
    "$UNROLL" score --model word-model.h5 --nbest moses lists.moses >once.moses
    refused 65 "line 1 of 'once.moses': it has 'Unroll=' already" --model word-model.h5 --nbest moses --best once.moses
    "$UNROLL" score --model word-model.h5 --nbest moses --feature Second once.moses | grep -c ' Unroll= .* Second= '
}
