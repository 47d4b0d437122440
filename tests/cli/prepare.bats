#!/usr/bin/env bats
# 'unroll prepare' as its user meets it: what it prints, what it refuses, and that it leaves nothing half-written.

bats_require_minimum_version 1.5.0
load refusal

setup() {
    cd "$BATS_TEST_TMPDIR"
    for i in $(seq 40); do
        printf 'In the beginning was the word %d,\nand the word was with lane %d.\n' $i $((i % 3))
    done >book.txt
}

# refused STATUS TEXT ARGUMENT...: exit status, exactly one line on stderr with TEXT in it, nothing on stdout, no output.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" prepare "${@:3}"
    nothing_left
}

nothing_left() {
    [ ! -e c.h5 ]
    [ -z "$(find . -name '*.tmp')" ]
}

# row SPLIT: the numbers that were printed for a split.
row() {
    printf '%s\n' "${lines[@]}" | awk -v split_name="$1" '$1 == split_name { print $2, $3, $4, $5 }'
}

# in_python EXPRESSION: True for the corpus c.h5 as h5py sees it; `text(split)` is the split's tokens as texts.
in_python() {
    run python3 - "$1" <<'END'
import sys, h5py
f = h5py.File("c.h5", "r")
blob, offsets = f["vocab/bytes"][:].tobytes(), f["vocab/offsets"][:]
words = [blob[offsets[i]:offsets[i + 1]].decode("utf8", "surrogateescape") for i in range(len(offsets) - 1)]
def text(split):
    return [words[i] for i in f[split + "/tokens"][:]]
print(eval(sys.argv[1]))
END
    echo "$1: $output"
    [ "$output" = True ]
}

@test "characters: one file cut by position" {
    run -0 --separate-stderr "$UNROLL" prepare --level char --train book.txt --split 90,5,5 -o c.h5
    [ -z "$stderr" ]
    size=$(stat -c %s book.txt)
    [[ "${lines[0]}" == "wrote 'c.h5': level char, vocabulary of "* ]]
    train=$((size * 90 / 100)) valid=$((size * 95 / 100))
    [ "$(row train)" = "$train $train 0 0.000" ]
    [ "$(row valid | cut -d' ' -f1)" = $((valid - train)) ]
    [ "$(row test | cut -d' ' -f1)" = $((size - valid)) ]
    in_python '"".join(text("train") + text("valid") + text("test")) == open("book.txt").read()'
    in_python 'f["train/tokens"].dtype == "uint16" and f["train/tokens"].chunks is None and words[0] == "<unk>"'
    in_python 'f.attrs["format"] == b"unroll-corpus" and f.attrs["level"] == b"char"'
}

@test "words: separate files, a limited vocabulary, the share of unknowns" {
    printf 'and the stranger was\n' >valid.txt
    run -0 "$UNROLL" prepare --level word --vocab-size 5 --train book.txt --valid valid.txt -o c.h5
    [[ "${lines[0]}" == *"vocabulary of 5 tokens ("* ]]
    [ "$(row valid)" = "21 5 2 40.000" ]
    in_python 'words == ["<unk>", "the", "was", "word", "</s>"]' # most frequent first, ties by first appearance
    in_python 'text("valid") == ["<unk>", "the", "<unk>", "was", "</s>"]'
    run -0 "$UNROLL" prepare --level word --min-count 2 --lowercase --train book.txt -o c.h5
    in_python '"in" in words and "In" not in words and f.attrs["lowercase"] == 1'
}

@test "bytes: whatever the file holds" {
    printf '\xef\xbb\xbf\xff\x00\r\n' >bytes.bin
    run -0 "$UNROLL" prepare --level byte --train bytes.bin -o c.h5
    [ "$(row train)" = "7 7 0 0.000" ]
    in_python 'f["vocab/bytes"][:].tobytes() == b"<unk>\xef\xbb\xbf\xff\x00\r\n"'
}

@test "several training files are one text, and so is their concatenation" {
    cp book.txt more.txt
    cat book.txt more.txt >both.txt
    run -0 "$UNROLL" prepare --train both.txt -o c.h5
    digest=${lines[0]##* }
    run -0 "$UNROLL" prepare --train book.txt --train more.txt -o d.h5
    [ "${lines[0]##* }" = "$digest" ]
    cmp c.h5 d.h5
}

@test "CR LF, byte order mark and invalid bytes: read, replaced, counted" {
    printf '\xef\xbb\xbfone\r\ntwo\r\n' >dos.txt
    run -0 "$UNROLL" prepare --train dos.txt -o c.h5
    [[ "$output" == *"note: 2 line ends CR LF were read as LF"* ]]
    in_python '"".join(text("train")) == "one\ntwo\n"'
    printf 'a\xffb\x00c\n' >bad.txt
    run -0 "$UNROLL" prepare --invalid replace --train bad.txt -o c.h5
    [[ "$output" == *"note: 2 invalid bytes or sequences were replaced by U+FFFD"* ]]
    in_python '"".join(text("train")) == "a\ufffdb\ufffdc\n"'
}

@test "a line of 100 MB" {
    head -c 100000000 /dev/zero | tr '\0' 'a' >line.txt
    run -0 "$UNROLL" prepare --train line.txt -o c.h5
    [ "$(row train)" = "100000000 100000000 0 0.000" ]
    rm c.h5
    refused 65 "word of more than 32768 bytes near byte offset 0; use --level char" --level word --train line.txt -o c.h5
}

@test "bad input is refused, and nothing is left behind" {
    printf 'good\xe9 bad' >latin.txt
    printf 'a\x00b' >nul.txt
    printf 'a' >short.txt
    iconv -f UTF-8 -t UTF-16 book.txt >wide.txt
    : >empty.txt
    refused 65 "cannot use 'empty.txt': the file is empty" --train empty.txt -o c.h5
    refused 65 "cannot read 'latin.txt' as UTF-8: invalid byte 0xe9 at byte offset 4" --train latin.txt -o c.h5
    refused 65 "at byte offset 4" --train book.txt --test latin.txt -o c.h5
    refused 65 "cannot read 'nul.txt' as text: NUL byte at byte offset 1" --train nul.txt -o c.h5
    refused 65 "begins like UTF-16" --train wide.txt -o c.h5
    refused 65 "split 'train' has 1 tokens, too few" --train short.txt -o c.h5
    refused 65 "split 'valid' has 0 tokens, too few" --level word --train nul.txt --invalid replace --split 50,25,25 -o c.h5
    refused 66 "cannot open 'absent.txt': No such file or directory" --train absent.txt -o c.h5
    refused 78 "'--lowercase' has no meaning for bytes" --level byte --lowercase --train book.txt -o c.h5
}

@test "output that cannot be written" {
    mkdir folder
    refused 73 "cannot create 'nowhere/c.h5': No such file or directory" --train book.txt -o nowhere/c.h5
    refused 73 "cannot create 'folder': it is a directory" --train book.txt -o folder
    refused 73 "cannot create '/dev/full': it is not a regular file" --train book.txt -o /dev/full
    refused 73 "cannot create 'book.txt': it is 'book.txt', which --train reads" --train book.txt -o book.txt
    run -0 "$UNROLL" prepare --train book.txt -o fine.h5
    cp fine.h5 before.h5
    head -c 2000000 /dev/zero | tr '\0' 'a' >long.txt
    # No space: the limit on the size of files stands for the full disk.
    run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 100; exec "$UNROLL" prepare --train long.txt -o fine.h5'
    echo "$status $stderr"
    [ "$status" -eq 74 ]
    [[ "$stderr" == "unroll: cannot write 'fine.h5.tmp': file size limit (ulimit -f) reached;"* ]]
    nothing_left
    cmp fine.h5 before.h5
}

@test "only one process makes a corpus at a time, and a stale temporary file is no obstacle" {
    echo stale >c.h5.tmp
    exec {held}>>c.h5.tmp
    flock -n $held
    run --separate-stderr "$UNROLL" prepare --train book.txt -o c.h5
    [ "$status" -eq 73 ]
    [[ "$stderr" == *"cannot create 'c.h5': another process is making it"* ]]
    exec {held}>&-
    run -0 "$UNROLL" prepare --train book.txt -o c.h5
    [ -e c.h5 ]
    [ ! -e c.h5.tmp ]
}

@test "under mpirun one corpus is made, and an error is everyone's" {
    run -0 "$UNROLL" prepare --train book.txt -o c.h5
    run -0 timeout $((60 * ${PATIENCE:-1})) mpirun -n 3 "$UNROLL" prepare --train book.txt -o d.h5
    [ "$(grep -c wrote <<<"$output")" -eq 1 ]
    cmp c.h5 d.h5
    run timeout $((60 * ${PATIENCE:-1})) mpirun -n 2 "$UNROLL" prepare --train absent.txt -o e.h5
    [ "$status" -eq 66 ]
}

@test "words that occur once train <unk> where nothing else decides about the vocabulary" {
    printf 'one %s\n' {a,b,c}{1..9} >rare.txt # 27 of 81 tokens occur once
    run -0 "$UNROLL" prepare --level word --train rare.txt -o c.h5
    [[ "${lines[0]}" == *"vocabulary of 3 tokens (29 distinct in the training text)"* ]]
    [[ "$output" == *"note: 27 words that occur once, 33.3 % of the training text, became <unk>,"*"--min-count 1" ]]
    in_python 'f["vocab/counts"][0] == 27'
    for how in "--min-count 1" "--vocab-size 100"; do
        run -0 "$UNROLL" prepare --level word --train rare.txt $how -o c.h5
        [[ "${lines[0]}" == *"vocabulary of 30 tokens"* && "$output" != *"occur once"* ]]
    done
    run -0 "$UNROLL" prepare --level char --train rare.txt -o c.h5
    [[ "$output" != *"occur once"* ]]
    sed 's/ /\tone /' rare.txt >labelled.txt # words of classifiers are dropped while they train
    { cat labelled.txt && sed 's/^one/two/' labelled.txt; } >two.txt
    run -0 "$UNROLL" prepare --labelled --train labelled.txt two.txt -o c.h5
    [[ "$output" != *"occur once"* ]]
    printf '%s\n' {a..z}{1..9} >once.txt # half of the tokens: to leave them out would leave nothing to learn
    run -0 "$UNROLL" prepare --level word --train once.txt -o c.h5
    [[ "${lines[0]}" == *"vocabulary of 236 tokens"* && "$output" == *"note: 234 words occur once, 50.0 %"* ]]
}

@test "a corpus without validation text says so, and a page of HTML that its tags are learnt" {
    printf 'some text\n%.0s' {1..50} >t
    "$UNROLL" prepare --train t -o a.h5 | grep -A 1 '^note: no validation text: train cannot tell its best weights;' | grep -q -- '--split 90,5,5 or --valid FILE'
    "$UNROLL" prepare --train t --split 90,5,5 -o b.h5 >said
    "$UNROLL" prepare --vocab-from a.h5 --test t -o c.h5 >>said
    run -1 grep -e validation -e HTML said
    { printf '\xef\xbb\xbf \n<!doctype HTML><p>'; cat t; } >page
    { printf '<html lang="de">'; cat t; } >page2
    "$UNROLL" prepare --train page page2 t --split 90,5,5 -o d.h5 >said
    [ "$(grep -c "^note: 'page2\?' looks like HTML: its tags are learnt, too" said)" -eq 2 ]
}
