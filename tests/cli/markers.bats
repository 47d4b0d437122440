#!/usr/bin/env bats
# Word text that holds '<s>' and '</s>' of its own: refused with number and place, left out or kept as --markers says, the
# same on any number of ranks, and by every command that reads text.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_text 600 >plain.txt
    sed 's/^/<s> /; s/$/ <\/s>/' plain.txt >marked.txt
    head -n 40 plain.txt >short.txt
    for markers in strip keep; do
        "$UNROLL" prepare --level word --markers $markers --train marked.txt --split 80,10,10 -o $markers.h5 >$markers.said
        train_words $markers
    done
    "$UNROLL" prepare --level word --train plain.txt --split 80,10,10 -o plain.h5
    train_words plain
}

train_words() {
    "$UNROLL" train --corpus "$1.h5" --run "run-$1" --max-steps 20 --hidden 12 --layers 1 --batch 8 --bptt 16 --lr 0.02 \
        --threads 1 2>"$1.log"
    cp "run-$1/latest" "$1-model.h5"
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT COMMAND ARGUMENT...: status, TEXT in the last line of stderr.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
}

refused_text() {
    refused 65 "$@"
    [[ "${stderr_lines[-1]}" == *"'--markers strip'"*"'--markers keep'"* ]]
    [ ! -e c.h5 ]
    [ -z "$(find . -maxdepth 1 -name '*.tmp')" ]
}

# digest ARGUMENT...: of the corpus that these options of prepare make.
digest() {
    "$UNROLL" prepare --level word -o digest.h5 "$@" | sed -n 's/.* digest //p'
}

@test "refused: how many, the first one's file and line, the remedy; nothing is left" {
    { cat short.txt; echo 'one </s> two'; echo '<s>'; } >late.txt
    refused_text "the text holds 600 '<s>' and 600 '</s>', the first in 'marked.txt' line 1," \
        prepare --level word --train marked.txt --split 80,10,10 -o c.h5
    refused_text "holds 1 '<s>' and 1 '</s>', the first in 'late.txt' line 41," prepare --level word --train late.txt -o c.h5
    refused_text "holds 2 '<s>' and 2 '</s>', the first in 'late.txt' line 41," \
        prepare --level word --train short.txt --valid late.txt --test short.txt late.txt -o c.h5
    # Behind --split the first place may lie in the validation text.
    { cat plain.txt; echo 'end </s>'; } >tail.txt
    refused_text "holds 1 '</s>', the first in 'tail.txt' line 601," prepare --level word --train tail.txt --split 80,10,10 -o c.h5
    printf 'a\r\n\r\n\xc2\x85<s>\xe2\x80\x83b' >spaces.txt
    refused_text "holds 1 '<s>', the first in 'spaces.txt' line 3," prepare --level word --train spaces.txt -o c.h5
}

@test "a marker is a whole word in its own case" {
    printf 'a</s> <s>b </S> < s> <S> << /s> <s></s> </ s>\n<unk> x\n' >words.txt
    "$UNROLL" prepare --level word --train words.txt -o words.h5 >said
    [ "$(grep -c markers said)" -eq 0 ]
    refused_text "holds 1 '<s>' and 1 '</s>', the first in 'words.txt' line 1," \
        prepare --level word --lowercase --train words.txt -o c.h5
}

@test "a marker cut by blocks of the reader is one" {
    for shift in 1 2 3 4; do
        { head -c $((1048576 - 1 - shift)) /dev/zero | tr '\0' ' '; echo; echo '</s> x <s>'; } >cut.txt
        refused_text "holds 1 '<s>' and 1 '</s>', the first in 'cut.txt' line 2," prepare --level word --train cut.txt -o c.h5
        { head -c $((65536 - 1 - shift)) /dev/zero | tr '\0' ' '; echo; echo '</s> x'; } >cut.txt
        refused 65 "holds 1 '</s>', the first in 'cut.txt' line 2," score --model plain-model.h5 cut.txt
    done
}

@test "stripped text is the text without them; kept, </s> is one more line end and <s> a word" {
    [ "$(digest --markers strip --train marked.txt --valid marked.txt)" = "$(digest --train plain.txt --valid plain.txt)" ]
    [ "$(digest --markers strip --train plain.txt)" = "$(digest --train plain.txt)" ]
    printf 'a b\n\nc' >bare.txt
    printf '<s> a </s> b </s>\n<s> </s>\n<s> c </s>' >full.txt
    [ "$(digest --markers strip --train full.txt)" = "$(digest --train bare.txt)" ]
    printf 'a b\n\n' >bare.txt
    printf 'a b </s>\n<s> </s>' >full.txt
    [ "$(digest --markers strip --train full.txt)" = "$(digest --train bare.txt)" ]
    printf 'q a\nb\n\nc d\n\n' >bare.txt # q stands for <s> and blank lines for doubled ends
    printf '<s> a </s> b </s>\nc d </s>\n' >full.txt
    "$UNROLL" prepare --level word --markers strip --train marked.txt --valid marked.txt -o full.h5
    "$UNROLL" prepare --level word --train plain.txt --valid plain.txt -o bare.h5
    "$UNROLL" train --corpus bare.h5 --run run-bare --max-steps 2 --hidden 8 --layers 1 --batch 8 --threads 1 2>log
    "$UNROLL" eval --model run-bare/latest --corpus bare.h5 >expected # bytes, too, are those of the text without them
    "$UNROLL" eval --model run-bare/latest --corpus full.h5 | cmp - expected
    tokens() { python3 -c 'import h5py, sys; print(list(h5py.File("digest.h5")["train/tokens"][:]))'; }
    digest --train bare.txt && bare=$(tokens)
    digest --markers keep --train full.txt && [ "$(tokens)" = "$bare" ]
    grep -qx "note: 600 '<s>' and 600 '</s>' of the text were left out (--markers strip)" strip.said
    grep -q "^note: 600 '<s>' and 600 '</s>' of the text were kept (--markers keep): '<s>' as a word, '</s>' as one more" keep.said
}

@test "<unk> in the text is an unknown word, and counted" {
    printf 'a <unk> b\n<unk> a b\n' >ptb.txt
    run -0 --separate-stderr "$UNROLL" prepare --level word --train ptb.txt --valid ptb.txt -o ptb.h5
    [[ "$output" == *"note: 4 '<unk>' of the text are among the unknown"* ]]
    awk '$1 == "train" { exit $4 != 2 }' <<<"$output"
    run -0 "$UNROLL" score --model plain-model.h5 ptb.txt
    [[ "$output" == *"(unknown "* ]]
}

@test "the corpus and the model remember what was done; those of text without markers are as before" {
    for markers in strip keep; do
        "$UNROLL" inspect $markers.h5 $markers-model.h5 >told
        [ "$(grep -c "markers *$markers" told)" -eq 2 ]
        "$UNROLL" verify $markers.h5 $markers-model.h5
        "$UNROLL" export --model $markers-model.h5 -o w.safetensors
        "$UNROLL" import w.safetensors -o again.h5
        "$UNROLL" inspect again.h5 | grep -q "markers *$markers"
    done
    "$UNROLL" prepare --level word --markers strip --train plain.txt --split 80,10,10 -o same.h5
    cmp same.h5 plain.h5
    ! "$UNROLL" inspect plain.h5 plain-model.h5 | grep -q markers
    python3 -c 'import h5py; f = h5py.File("same.h5", "a"); f.attrs["markers"] = b"shake"'
    refused 65 "cannot use corpus 'same.h5': 'markers' is neither strip nor keep" eval --model plain-model.h5 --corpus same.h5
}

@test "on any number of ranks: the same corpus, the same refusal" {
    for i in $(seq 56); do cat plain.txt; done >long.txt # 64 KiB and more for each of five ranks in each split
    lines=$(wc -l <long.txt)
    [ "$(stat -c %s long.txt)" -gt $((4 * 5 * 65536)) ]
    first=$((lines * 2 / 3))
    sed "$((lines - 5))s/\$/ <\/s>/; ${first}s/^/<s> /; $((lines * 7 / 10))s/^/<s> /" long.txt >far.txt
    sed "7s/^/<s> /" long.txt >near.txt
    for ranks in 2 3 5; do
        for text in "far.txt $first" "near.txt 7" "long.txt far.txt $first"; do
            read -ra words <<<"$text"
            files=("${words[@]:0:${#words[@]}-1}")
            status=0
            on $ranks "$UNROLL" prepare --level word --train "${files[@]}" --split 50,25,25 -o c.h5 2>said || status=$?
            [ $status -eq 65 ]
            [ "$(grep -c '^unroll:' said)" -eq 1 ]
            grep "the first in '${files[-1]}' line ${words[-1]}, but" said
            [ "$text" != "far.txt $first" ] || grep "holds 2 '<s>' and 1 '</s>'," said
            [ ! -e c.h5 ] && [ ! -e c.h5.tmp ]
        done
        for markers in strip keep; do
            "$UNROLL" prepare --level word --markers $markers --train far.txt --split 50,25,25 -o one.h5 >one.said
            on $ranks "$UNROLL" prepare --level word --markers $markers --train far.txt --split 50,25,25 -o many.h5 >many.said
            cmp one.h5 many.h5
            diff <(sed s/one.h5// one.said) <(sed s/many.h5// many.said)
        done
    done
}

@test "labelled texts: by line, by file of a class, under --split" {
    awk '{ print (NR % 2 ? "odd" : "even") "\t" $0 }' short.txt >labelled.txt
    sed '9s/$/ <\/s>/; 30s/\t/\t<s> /' labelled.txt >marked.tsv
    refused_text "holds 1 '<s>' and 1 '</s>', the first in 'marked.tsv' line 9," \
        prepare --labelled --train marked.tsv --split 50,25,25 -o c.h5
    refused_text "holds 1 '<s>' and 1 '</s>', the first in 'marked.tsv' line 9," \
        prepare --labelled --train labelled.txt --valid labelled.txt --test marked.tsv -o c.h5
    printf 'x y\nz </s>\n' >class.txt
    refused_text "holds 1 '</s>', the first in 'class.txt' line 2," prepare --class a=short.txt b=class.txt -o c.h5
    [ "$(digest --labelled --markers strip --train marked.tsv)" = "$(digest --labelled --train labelled.txt)" ]
    printf '<s>\tx y\n</s>\tz y\n' >names.tsv # a label is no word
    "$UNROLL" prepare --labelled --train names.tsv -o names.h5
    printf 'a\tx y\nb\t<s> </s>\n' >none.tsv
    refused 65 "line 2: it has no text" prepare --labelled --markers strip --train none.tsv -o c.h5
    on 3 "$UNROLL" prepare --labelled --markers keep --train marked.tsv --split 50,25,25 -o kept.h5 | grep "kept (--markers keep)"
}

@test "score: refused with the line, the lines before are scored; strip and keep" {
    { head -n 3 plain.txt; echo 'the lane </s>'; } >late.txt
    refused 65 "the text holds 1 '</s>', the first in 'late.txt' line 4, but" score --model plain-model.h5 late.txt
    [ "${#lines[@]}" -eq 3 ]
    refused 65 "the text holds 600 '<s>' and 600 '</s>', the first in 'standard input' line 1" score --model plain-model.h5 <marked.txt
    printf 'a\xff\n' | cat marked.txt - >broken.txt # what cannot be read to its end is not counted
    refused 65 "the text holds '<s>' or '</s>', the first in 'broken.txt' line 1" score --model plain-model.h5 broken.txt
    mkfifo pipe
    exec {held}<>pipe # nor is the end of a pipe waited for
    { head -n 2 plain.txt; echo '<s> x'; } >&$held
    run -65 --separate-stderr timeout 300 "$UNROLL" score --model plain-model.h5 pipe
    exec {held}>&-
    [[ "${stderr_lines[-1]}" == *"the text holds '<s>' or '</s>', the first in 'pipe' line 3"* ]]
    refused 65 "line 1; use '--markers strip', as with the text that the model learned from" score --model strip-model.h5 marked.txt
    refused 65 "use '--markers keep', as with" score --model keep-model.h5 marked.txt
    "$UNROLL" score --model plain-model.h5 plain.txt >bare 2>bare.said
    on 2 "$UNROLL" score --model plain-model.h5 --markers strip marked.txt >stripped 2>stripped.said
    cmp bare stripped
    [ "$(grep -vx "note: 600 '<s>' and 600 '</s>' of the text were left out (--markers strip)" stripped.said)" = "$(cat bare.said)" ]
    "$UNROLL" score --model keep-model.h5 --markers keep --per-token marked.txt >kept 2>said
    [ "$(grep -c $'\t</s>\t' kept)" -eq 1200 ]
    [ "$(grep -c $'\t<s>\t' kept)" -eq 600 ]
    grep -q "were kept (--markers keep)" said
    "$UNROLL" score --model plain-model.h5 --markers strip --per-token marked.txt >other.tsv
    run -0 "$UNROLL" score --model strip-model.h5 --markers strip --mix other.tsv marked.txt
    refused 65 "cannot mix with 'other.tsv': line 2 " score --model strip-model.h5 --markers keep --mix other.tsv marked.txt
}

@test "n-best lists: the texts come back as they were, scored without markers" {
    awk '{ print int(NR / 3) " ||| " $0 " ||| d= 1 ||| -2" }' short.txt >bare.moses
    awk '{ print int(NR / 3) " ||| <s> " $0 " </s> ||| d= 1 ||| -2" }' short.txt >full.moses
    refused 65 "the first in 'full.moses' line 1," score --model plain-model.h5 --nbest moses full.moses
    { head -n 2 bare.moses; tail -n 1 full.moses; } >late.moses
    refused 65 "holds '<s>' or '</s>', the first in 'late.moses' line 3," score --model plain-model.h5 --nbest moses late.moses
    [ "${#lines[@]}" -eq 2 ]
    "$UNROLL" score --model plain-model.h5 --nbest moses bare.moses >bare
    "$UNROLL" score --model plain-model.h5 --nbest moses --markers strip full.moses >full 2>said
    sed 's/<s> //; s/ <\/s>//' full | cmp - bare
    grep -q "40 '<s>' and 40 '</s>' of the text were left out" said
    grep -q ' </s> ' full
}

@test "classify, sample and eval treat text the same" {
    awk '{ print (NR % 2 ? "odd" : "even") "\t" $0 }' short.txt >labelled.txt
    "$UNROLL" prepare --labelled --train labelled.txt -o labelled.h5
    "$UNROLL" train --task classify --corpus labelled.h5 --run run-class --max-steps 4 --hidden 8 --batch 8 --threads 1 2>log
    "$UNROLL" classify --model run-class/latest short.txt >bare
    refused 65 "the first in 'marked.txt' line 1," classify --model run-class/latest marked.txt
    head -n 40 marked.txt | "$UNROLL" classify --markers strip --model run-class/latest >full 2>said
    cmp bare full
    grep -q "40 '<s>' and 40 '</s>' of the text were left out" said
    refused 65 "the first in '--prime' line 1, but" sample --model plain-model.h5 --prime '<s> the lane' --length 5
    "$UNROLL" sample --model plain-model.h5 --prime 'the lane' --length 5 >bare
    "$UNROLL" sample --model plain-model.h5 --prime '<s> the lane' --markers strip --length 5 >full 2>said
    [ "$(sed 's/<s> //' full)" = "$(cat bare)" ]
    grep -q "note: 1 '<s>' of the text were left out" said
    refused 78 "'--stop </s>' would never be met" sample --model plain-model.h5 --stop '</s>'
    # What an earlier version made of marked text has '<s>' in its vocabulary and no word of how.
    cp keep.h5 old.h5
    python3 -c 'import h5py; f = h5py.File("old.h5", "a"); del f.attrs["markers"]'
    cp keep-model.h5 m.h5
    run -0 --separate-stderr "$UNROLL" eval --model keep-model.h5 --corpus keep.h5
    [ -z "$stderr" ]
    run -0 --separate-stderr "$UNROLL" eval --model keep-model.h5 --corpus old.h5
    [[ "$stderr" == "note: "*"the numbers do not compare"* ]]
    "$UNROLL" train --corpus old.h5 --run run-old --max-steps 2 --hidden 8 --layers 1 --batch 8 --threads 1 2>log
    run -0 --separate-stderr "$UNROLL" eval --model run-old/latest --corpus old.h5
    [[ "$stderr" == "note: the vocabulary of 'old.h5' holds '<s>'"* ]]
}

@test "characters and bytes have no markers" {
    for level in char byte; do
        "$UNROLL" prepare --level $level --train marked.txt --split 80,10,10 -o $level.h5 >said
        ! grep -q markers said
        refused 78 "'--markers strip' has no meaning at level '$level'" prepare --level $level --markers strip --train marked.txt -o c.h5
    done
    train_words char
    "$UNROLL" score --model char-model.h5 marked.txt >scores
    [ "$(wc -l <scores)" -eq 600 ]
    refused 78 "'--markers keep' has no meaning at level 'char'" score --model char-model.h5 --markers keep marked.txt
}
