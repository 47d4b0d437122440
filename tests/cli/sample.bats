#!/usr/bin/env bats
# 'unroll sample': text by the rules it was asked for, the same for the same seed, however many texts are written.

bats_require_minimum_version 1.5.0
load refusal
load weights

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 300); do
        printf 'Zeile %d: schöne Grüße, %d €\n' "$i" $((i * i % 97))
    done >book.txt
    for level in char word byte; do
        "$UNROLL" prepare --level $level --vocab-size 60 --train book.txt --split 80,10,10 -o $level.h5
        "$UNROLL" train --corpus $level.h5 --run run-$level --max-steps 60 --hidden 24 --layers 1 --batch 8 --bptt 16 \
            --lr 0.01 --threads 1
        cp run-$level/best.h5 $level-model.h5
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" sample "${@:3}"
}

@test "the length is in tokens, and the text is UTF-8" {
    "$UNROLL" sample --model char-model.h5 --length 400 --temperature 2 >text
    iconv -f UTF-8 -t UTF-32LE text | head -c 1600 | wc -c | grep -qx 1600
    [ "$(iconv -f UTF-8 -t UTF-32LE text | wc -c)" -le 1604 ] # a line end may be added
    [ "$(tail -c 1 text | od -An -c | tr -d ' ')" = '\n' ]
    grep -q '[öüß€]' text
    "$UNROLL" sample --model byte-model.h5 --length 400 >text
    [ "$(wc -c <text)" -eq 400 ]
}

@test "words stand apart by blanks, line ends end lines, unknown words are never written" {
    "$UNROLL" sample --model word-model.h5 --length 300 >text
    run ! grep -q -e '<unk>' -e '</s>' -e '  ' -e '^ ' -e ' $' text
    words=$(awk '{ n += NF } END { print n }' text) # wc -w counts only what the locale can print
    ends=$(wc -l <text)
    [ $((words + ends)) -ge 300 ] && [ $((words + ends)) -le 301 ]
}

@test "the same seed gives the same text, on any number of threads and ranks; another seed another" {
    for level in char word byte; do
        "$UNROLL" sample --model $level-model.h5 --length 200 --seed 7 --threads 1 >expected
        "$UNROLL" sample --model $level-model.h5 --length 200 --seed 7 --threads 2 >found 2>notes
        cmp expected found
        "$UNROLL" sample --model $level-model.h5 --length 200 --seed 8 --threads 1 >found
        run ! cmp -s expected found
    done
    mpirun -n 2 "$UNROLL" sample --model byte-model.h5 --length 200 --seed 7 --threads 1 >found 2>notes
    cmp expected found
}

@test "a text is the same however many are written" {
    "$UNROLL" sample --model char-model.h5 --length 80 --seed 5 --top-k 9 --top-p 0.9 >first
    "$UNROLL" sample --model char-model.h5 --length 80 --seed 5 --top-k 9 --top-p 0.9 --count 70 >many
    "$UNROLL" sample --model char-model.h5 --length 80 --seed 5 --top-k 9 --top-p 0.9 --count 3 --threads 2 >three 2>notes
    { echo '==> text 1 <=='; cat first; } | cmp -n "$(($(wc -c <first) + 15))" - many
    cmp -n "$(wc -c <three)" three many
    [ "$(grep -c '^==> text [0-9]* <==$' many)" -eq 70 ]
    [ "$(grep -n -A 1 '^==> text 66 <==$' many | tail -n 1)" != "$(grep -n -A 1 '^==> text 2 <==$' many | tail -n 1)" ]
}

@test "temperature 0 is greedy, and so is top-k 1" {
    "$UNROLL" sample --model char-model.h5 --length 100 --temperature 0 --seed 1 >expected
    "$UNROLL" sample --model char-model.h5 --length 100 --temperature 0 --seed 2 >found
    cmp expected found
    "$UNROLL" sample --model char-model.h5 --length 100 --top-k 1 --seed 3 >found
    cmp expected found
    "$UNROLL" sample --model char-model.h5 --length 100 --top-p 0.000001 --seed 4 >found
    cmp expected found
}

@test "a text goes on from its prime" {
    run -0 --separate-stderr "$UNROLL" sample --model char-model.h5 --prime 'Zeile 3: sch' --length 12 --temperature 0
    [ -z "$stderr" ]
    [[ "$output" == "Zeile 3: sch"* ]]
    run -0 --separate-stderr "$UNROLL" sample --model word-model.h5 --prime 'Zeile' --length 3 --temperature 0
    [[ "$output" == "Zeile "[!\ ]* ]]
    [ -z "$stderr" ]
    # what the prime holds matters, and a prime in two lines is two lines
    "$UNROLL" sample --model char-model.h5 --prime $'Zeile\n' --length 30 --temperature 0 >a
    "$UNROLL" sample --model char-model.h5 --prime $'Zeile' --length 31 --temperature 0 >b
    [ "$(head -n 1 a)" = Zeile ]
    run ! cmp -s a b
}

@test "a prime from a file or standard input is that of the command line" {
    printf 'Zeile 3: sch\nZeile 4' >prime
    for model in char word byte; do
        "$UNROLL" sample --model $model-model.h5 --prime "$(cat prime)" --length 20 --count 2 >wanted
        "$UNROLL" sample --model $model-model.h5 --prime-file prime --length 20 --count 2 | cmp - wanted
        "$UNROLL" sample --model $model-model.h5 --prime-file - --length 20 --count 2 <prime | cmp - wanted
        cat prime | "$UNROLL" sample --model $model-model.h5 --prime-file - --length 20 --count 2 | cmp - wanted
    done
    # a line end at its end is one, and at byte level a NUL is a byte
    printf 'Zeile\n' >ended
    "$UNROLL" sample --model char-model.h5 --prime $'Zeile\n' --length 20 >wanted
    "$UNROLL" sample --model char-model.h5 --prime-file ended --length 20 | cmp - wanted
    printf 'Zeile\0Zeile' >zero
    "$UNROLL" sample --model byte-model.h5 --prime-file zero --length 5 | head -c 11 | cmp - zero
    for _ in $(seq 12); do cat book.txt; done >long # more than any block
    [ "$(wc -c <long)" -gt 100000 ]
    "$UNROLL" sample --model word-model.h5 --prime-file long --length 1 2>notes | head -c "$(wc -c <long)" | cmp - long
    refused 78 "cannot use '--prime' together with '--prime-file'" --model char-model.h5 --prime a --prime-file prime
    refused 66 "cannot open 'nowhere'" --model char-model.h5 --prime-file nowhere
    refused 66 "it is a directory" --model char-model.h5 --prime-file .
    printf 'a\xffb' >bad
    refused 65 "cannot read 'bad' as UTF-8" --model char-model.h5 --prime-file bad
    printf 'Zeile \xe2\x98\x83' >snow
    run -0 --separate-stderr "$UNROLL" sample --model char-model.h5 --prime-file snow --length 5
    [ "$stderr" = "unroll: 1 of the 7 tokens of snow are unknown to the model and enter it as <unk>: '☃'" ]
}

@test "what the model does not know of a prime is said" {
    run -0 --separate-stderr "$UNROLL" sample --model char-model.h5 --prime 'Zeile ☃☃' --length 5
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ "$stderr" = "unroll: 2 of the 8 tokens of --prime are unknown to the model and enter it as <unk>: '☃'" ]
    [[ "$output" == 'Zeile ☃☃'* ]]
    refused 65 "--prime" --model char-model.h5 --prime $'a\xffb'
    run -0 --separate-stderr "$UNROLL" sample --model word-model.h5 --prime $'Zeile\nxyzzy schöne\tplugh xyzzy' --length 5
    [[ "$stderr" == "unroll: 3 of the 6 tokens "*": 'xyzzy' 'plugh'" ]]
    run -0 --separate-stderr "$UNROLL" sample --model char-model.h5 --prime 'ABCDEFGHIJKLMNOP' --length 5
    [[ "$stderr" == *": 'A' 'B' 'C' "*" ..." ]]
    run -0 --separate-stderr "$UNROLL" sample --model byte-model.h5 --prime $'\x01\x01' --length 5
    [[ "$stderr" == *": '\x01'" ]]
}

@test "a text ends at a line end, at a string, and not too early" {
    "$UNROLL" sample --model word-model.h5 --count 40 --stop-at-eos --seed 3 >lines
    [ "$(grep -c '^==> text [0-9]* <==$' lines)" -eq 40 ]
    [ "$(wc -l <lines)" -eq 119 ] # a heading, a line, and an empty line but after the last
    "$UNROLL" sample --model word-model.h5 --count 40 --stop-at-eos --min-length 12 --length 14 --seed 3 |
        grep -v -e '^==>' -e '^$' | awk 'NF < 11 || NF > 14 { exit 1 } { n[NF] = 1 } END { exit NR != 40 || !n[14] }'
    "$UNROLL" sample --model char-model.h5 --count 20 --stop 'e' --prime 'Zeile 3: s' --seed 3 |
        grep -v -e '^==>' -e '^$' | tr -d '\n' | sed 's/Zeile 3: s/\n/g' | sed 1d | grep -c '^[^e]*e$' >count
    [ "$(cat count)" -eq 20 ]
    "$UNROLL" sample --model char-model.h5 --stop 'e' --min-length 30 --seed 3 | tr -d '\n' >text
    [ "$(wc -m <text)" -ge 28 ] && [ "$(tail -c 1 text)" = e ]
    # the first text is the same as without an end, as far as it goes
    "$UNROLL" sample --model word-model.h5 --stop-at-eos --seed 3 >first
    "$UNROLL" sample --model word-model.h5 --length 100 --seed 3 | cmp -n "$(wc -c <first)" first -
    # a model that knows no line end
    tr -d '\n' <book.txt >endless.txt
    "$UNROLL" prepare --level char --train endless.txt --split 80,10,10 -o endless.h5
    "$UNROLL" train --corpus endless.h5 --run endless --max-steps 1 --hidden 4 --layers 1 --batch 4 --bptt 16 --threads 1
    refused 78 "has none" --model endless/best.h5 --stop-at-eos
}

@test "where a text ends is read as the model reads texts: in lower case, CR LF as a line end" {
    "$UNROLL" prepare --level char --lowercase --train book.txt --split 80,10,10 -o lower.h5
    "$UNROLL" train --corpus lower.h5 --run lower --max-steps 2 --hidden 8 --layers 1 --batch 8 --bptt 16 --threads 1
    for pair in 'e E' 'ü Ü' $'\n \r\n'; do
        "$UNROLL" sample --model lower --stop "${pair% *}" --length 3000 >small
        "$UNROLL" sample --model lower --stop "${pair#* }" --length 3000 >large
        cmp small large
        [ "$(wc -c <small)" -lt 2500 ]
    done
    "$UNROLL" sample --model lower --beam 3 --stop e >small
    "$UNROLL" sample --model lower --beam 3 --stop E >large
    cmp small large
}

@test "per token: what score says of the same text" {
    "$UNROLL" sample --model word-model.h5 --count 3 --stop-at-eos --seed 4 --temperature 2 --per-token >tokens
    awk -F'\t' 'NF != 3 { exit 1 } { n = $1 } END { exit n != 3 }' tokens
    "$UNROLL" sample --model word-model.h5 --count 3 --stop-at-eos --seed 4 --temperature 2 | grep -v '^==>' |
        awk 'NR % 2' >lines
    "$UNROLL" score --model word-model.h5 --per-token lines 2>notes | sed 1d >expected
    paste tokens expected |
        awk -F'\t' '$1 != $4 || $2 != $5 || ($3 - $6) ^ 2 > 1e-10 { exit 1 } END { exit NR < 6 }'
    "$UNROLL" sample --model char-model.h5 --length 40 --seed 4 --per-token --prime 'Zeile' >tokens
    [ "$(wc -l <tokens)" -eq 40 ]
    "$UNROLL" sample --model char-model.h5 --length 40 --seed 4 --per-token --prime 'Zeile' --threads 2 2>notes |
        cmp - tokens
}

@test "a first token that comes from counts is marked so, and told" {
    tr -d '\n' <book.txt >endless.txt
    for level in char byte; do
        "$UNROLL" prepare --level $level --train endless.txt --split 80,10,10 -o endless.h5
        "$UNROLL" train --corpus endless.h5 --run endless-$level --max-steps 20 --hidden 8 --layers 1 --batch 4 --bptt 16 --threads 1
        for options in '' '--beam 3'; do
            # shellcheck disable=SC2086 # none, or several words
            run -0 --separate-stderr "$UNROLL" sample --model endless-$level/best.h5 --count 3 --length 5 --per-token $options
            [[ "$stderr" == *"unroll: the model has no line end to begin behind: the first token comes from the counts"* ]]
            printf '%s\n' "${lines[@]}" >tokens
            awk -F'\t' '{ first = $1 != last; last = $1; if ((NF == 4) != first || (NF == 4 && $4 != "counts") || NF < 3) exit 1 }
                END { exit NR != 15 }' tokens
            # that of the counts: how often the training text has it
            all=$("$UNROLL" inspect --json endless.h5 | sed 's/.*"train": {"tokens": \([0-9]*\).*/\1/')
            IFS=$'\t' read -r _ token logp _ <tokens
            head -c $((8 * $(wc -c <endless.txt) / 10)) endless.txt >trained.txt
            awk -v p="$logp" -v n="$(tr -dc "$token" <trained.txt | wc -c)" -v all="$all" \
                -v ascii="$(printf %s "$token" | grep -c '^[a-zA-Z0-9]$')" 'BEGIN { exit ascii && (exp(p) / (n / all) - 1) ^ 2 > 0.01 }'
        done
        # behind a prime the model speaks
        run -0 --separate-stderr "$UNROLL" sample --model endless-$level/best.h5 --length 5 --per-token --prime Z
        [ -z "$stderr" ]
        [[ "$output" != *counts* ]]
    done
    run -0 --separate-stderr "$UNROLL" sample --model char-model.h5 --length 5 --per-token
    [ -z "$stderr" ]
    [[ "$output" != *counts* ]]
}

@test "where no counts are known the first token is drawn evenly, and that is said" {
    weights make plain.safetensors endless-char/best.h5
    size=$("$UNROLL" inspect endless-char/best.h5 | sed -n '/^vocabulary/,$s/^ *size *\([0-9]*\).*/\1/p')
    { echo '<unk>' && seq 1 $((size - 1)) | sed 's/^/w/'; } >list
    "$UNROLL" import plain.safetensors --level word --vocab-from list -o listed.h5
    run -0 --separate-stderr "$UNROLL" sample --model listed.h5 --length 3 --count 20 --per-token
    [[ "$stderr" == *"no line end to begin behind: the first token has no counts known: it is drawn evenly; give a --prime"* ]]
    [ "$(grep -c counts <<<"$output")" -eq 20 ]
    # nor does anyone know what their text held
    for from in listed.h5 "list --level word"; do
        # shellcheck disable=SC2086 # several words
        run -0 "$UNROLL" prepare --vocab-from $from --train book.txt -o listed-corpus.h5
        [[ "$output" == *"are not in the vocabulary and became <unk>"* ]]
        [[ "$output" != *"training text had no <unk>"* ]]
    done
}

@test "--min-length is about a text's end: without --stop-at-eos line ends come as they may, and help says so" {
    # a line end is the likeliest first token of some texts; only where it would be an end is it kept away
    "$UNROLL" sample --model word-model.h5 --length 30 --min-length 30 --seed 3 --temperature 2 --per-token >free
    grep -q $'\t</s>\t' free
    "$UNROLL" sample --model word-model.h5 --length 30 --min-length 1 --seed 3 --temperature 2 --per-token | cmp free -
    "$UNROLL" sample --model word-model.h5 --length 30 --min-length 30 --stop-at-eos --seed 3 --temperature 2 --per-token >kept
    [ "$(head -n 29 kept | grep -c $'\t</s>\t')" -eq 0 ]
    "$UNROLL" sample --help | tr -s ' \n' ' ' | grep -qF 'until then --stop is ignored, and --stop-at-eos draws no line end'
}

@test "a search finds what score likes, the better the wider, and the same on any number of threads" {
    for width in 1 4 30; do
        "$UNROLL" sample --model word-model.h5 --beam $width --stop-at-eos --prime 'Zeile' --threads 1 >best-$width
        "$UNROLL" score --model word-model.h5 best-$width 2>notes >score-$width
        "$UNROLL" sample --model word-model.h5 --beam $width --stop-at-eos --prime 'Zeile' --threads 2 2>notes |
            cmp - best-$width
    done
    paste score-1 score-4 score-30 | awk '{ exit !($1 <= $2 && $2 <= $3) }'
    "$UNROLL" sample --model char-model.h5 --beam 1 --length 50 >found
    "$UNROLL" sample --model char-model.h5 --temperature 0 --length 50 >expected
    cmp expected found
    # several: best first, with what the model says of them
    "$UNROLL" sample --model word-model.h5 --beam 8 --count 5 --stop-at-eos >many
    sed -n 's/^==> text [0-9]*, log-probability \(.*\) <==$/\1/p' many >totals
    sort -g -r -c totals
    grep -v '^==>' many | awk 'NR % 2' | "$UNROLL" score --model word-model.h5 2>notes | paste - totals |
        awk '($1 - $2) ^ 2 > 1e-9 { exit 1 } END { exit NR != 5 }'
    "$UNROLL" sample --model word-model.h5 --beam 8 --length-norm 1 --stop-at-eos >long
    [ "$(wc -w <long)" -ge "$(sed -n 2p many | wc -w)" ]
}

@test "text is seen as it is made, through a pipe too" {
    mkfifo pipe
    for attempt in 1 2 3 4 5; do # a reader that comes late finds more
        "$UNROLL" sample --model byte-model.h5 --length 3000 --threads 1 >pipe &
        dd if=pipe bs=4096 count=1 2>notes | wc -c >first
        wait $! || true
        [ "$(cat first)" -ge 3000 ] || break
    done
    [ "$(cat first)" -lt 3000 ]
}

@test "output comes while it is written, and a reader may leave" {
    run -0 bash -c "'$UNROLL' sample --model byte-model.h5 --length 1000000000 --threads 1 | head -c 3000 | wc -c"
    [ "$output" -eq 3000 ]
}

@test "missing files, wrong files, wrong values and a full disk" {
    refused 66 "none.h5" --model none.h5
    refused 76 "char.h5" --model char.h5
    refused 64 "--model"
    refused 78 "--temperature" --model char-model.h5 --temperature -1
    refused 78 "--top-p" --model char-model.h5 --top-p 0
    refused 78 "--count" --model char-model.h5 --count 0
    refused 78 "--min-length" --model char-model.h5 --min-length 9 --length 8
    refused 64 "--stop" --model char-model.h5 --stop ''
    refused 78 "--beam" --model char-model.h5 --beam 1025
    refused 78 "--beam" --model char-model.h5 --beam 2 --count 3
    refused 78 "--temperature" --model char-model.h5 --beam 2 --temperature 0.5
    refused 78 "--length-norm" --model char-model.h5 --length-norm 1
    refused 78 "--length-norm" --model char-model.h5 --beam 2 --length-norm -1
    if [ -w /dev/full ]; then
        for count in 1 2; do
            run -74 --separate-stderr bash -c "'$UNROLL' sample --model char-model.h5 --count $count >/dev/full"
            [[ "$stderr" == *"unroll: cannot write to standard output: "* ]]
        done
    fi
}
