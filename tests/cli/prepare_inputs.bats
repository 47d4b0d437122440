#!/usr/bin/env bats
# What 'unroll prepare' reads: standard input, pipes, folders and what is packed give the corpus of the plain text.

bats_require_minimum_version 1.5.0
load training
load refusal

setup() {
    cd "$BATS_TEST_TMPDIR"
    for i in $(seq 400); do
        printf 'In the beginning was the word %d,\r\nund am Anfang war die Straße %d.\n' $i $((i % 7))
    done >text
    gzip -k text
    xz -k text
    zstd -q text
    mkdir out
}

digest() {
    "$UNROLL" prepare "$@" -o out/c.h5 >said || return
    sed -n 's/.* digest //p' said
    [ "$(ls out)" = c.h5 ]
}

refused() {
    says_error_alone "$1" "$2" "$UNROLL" prepare -o out/c.h5 "${@:3}"
    [ -z "$(ls out)" ]
}

@test "packed texts, standard input and pipes are the plain text" {
    local file wanted
    for level in char word byte; do
        wanted=$(digest --level $level --train text --split 80,10,10)
        for file in text.gz text.xz text.zst; do
            [ "$(digest --level $level --train $file --split 80,10,10)" = "$wanted" ]
        done
        [ "$(digest --level $level --train - --split 80,10,10 <text)" = "$wanted" ]
        [ "$(cat text | digest --level $level --train - --split 80,10,10)" = "$wanted" ]
        [ "$(digest --level $level --train <(cat text) --split 80,10,10)" = "$wanted" ]
    done
    wanted=$(digest --train text --split 80,10,10)
    [ "$(digest --train - --split 80,10,10 <text.zst)" = "$wanted" ]
    { cat text.gz && head -c 512 /dev/zero; } >padded.gz # as tape drives do
    [ "$(digest --train padded.gz --split 80,10,10)" = "$wanted" ]
    mv text.xz plain.name # what it is counts, not only its name
    [ "$(digest --train plain.name --split 80,10,10)" = "$wanted" ]
    digest --level byte --train plain.name --split 80,10,10 # but for bytes, which may be meant
    grep -q "^train  *$(($(stat -c %s plain.name) * 80 / 100)) " said
    [ "$(digest --train text --valid text --test text)" = "$(digest --train text.gz --valid - --test text.zst <text)" ]
}

@test "labelled texts, too, and the file of a class" {
    sed 's/^I/a\tI/; s/^u/b\tu/' text >labelled
    gzip -k labelled
    [ "$(digest --labelled --train labelled --split 80,10,10)" = "$(digest --labelled --train - --split 80,10,10 <labelled.gz)" ]
    mkdir folder && cp text.gz folder/
    [ "$(digest --class a=text b=labelled)" = "$(digest --class a=folder b=- <labelled)" ]
}

@test "a folder is its files, in the order of their paths" {
    mkdir -p folder/b folder/.hidden folder/empty
    printf 'one\n' >folder/b.txt # '.' stands before '/'
    printf 'two\n' >folder/b/x
    gzip -c text >folder/b/y.gz
    printf 'three\n' >folder/c
    ln -s ../text folder/d
    ln -s .. folder/up
    touch folder/nothing folder/.secret
    printf 'hidden\n' >folder/.hidden/x
    { printf 'one\ntwo\n' && cat text && printf 'three\n' && cat text; } >whole
    [ "$(digest --train folder --split 80,10,10)" = "$(digest --train whole --split 80,10,10)" ]
    "$UNROLL" prepare --train folder/ --split 80,10,10 -o folder/c.h5 >folder/log
    "$UNROLL" prepare --train folder --split 80,10,10 -o folder/c.h5 >folder/log # its own output and its log are none of it
    grep "digest $(digest --train whole --split 80,10,10)" folder/log
    grep -x "note: 1 folder held 5 texts; left out: 2 hidden, [12] empty, 1 link to a folder" folder/log # or is the log one?
    rm out/c.h5
    refused 65 "'folder/c.h5' as text: it is a corpus" --train folder
    refused 65 "cannot use 'folder/empty': the folder holds no files with text" --train folder/empty
}

@test "what of a folder is left out is said, and an empty packed file is empty" {
    mkdir -p folder/none
    cp text folder/
    [ "$(digest --train folder --split 80,10,10)" = "$(digest --train text --split 80,10,10)" ]
    "$UNROLL" prepare --train folder --split 80,10,10 -o out/c.h5 | grep -x "note: 1 folder held 1 text"
    ln -s gone folder/broken
    ln -s round folder/round
    ln -s none folder/link
    mkfifo folder/pipe
    gzip -c </dev/null >folder/e.gz
    xz -c </dev/null >folder/e.xz
    [ "$(digest --train folder --split 80,10,10)" = "$(digest --train text --split 80,10,10)" ]
    on 2 "$UNROLL" prepare --train folder --split 80,10,10 -o out/c.h5 >many
    grep -x "note: 1 folder held 1 text; left out: 2 empty, 2 links that lead nowhere," many
    grep -x "      1 link to a folder, 1 pipe, socket or device" many
    rm folder/text out/c.h5
    refused 65 "cannot use 'folder': the folder holds no files with text" --train folder
    refused 65 "cannot use 'folder/e.gz': it holds no text" --train folder/e.gz
}

@test "what is wrong with a text is told by its own name, and place" {
    { cat text && printf 'late \xff\n'; } >bad
    gzip -k bad
    zstd -q text -o some.zst
    refused 65 "cannot read 'bad.gz' as UTF-8: invalid byte 0xff at byte offset $(($(stat -c %s text) + 5))" --train some.zst bad.gz
    refused 65 "it stands in line 801" --train some.zst bad.gz
    refused 65 "cannot read 'standard input' as UTF-8" --train - <bad
    printf '<s> a b\n' >marked
    xz -k marked
    refused 65 "the first in 'marked.xz' line 1" --level word --train text.gz --valid marked.xz
    head -c 500 text.gz >cut.gz
    refused 65 "cannot unpack 'cut.gz': gzip says 'stdin: unexpected end of file'" --train cut.gz
    head -c 500 text.xz >cut.xz
    refused 65 "cannot unpack 'cut.xz': xz says" --train cut.xz
    head -c 500 text.zst >cut.zst
    refused 65 "cannot unpack 'cut.zst': zstd says" --train cut.zst
    refused 65 "cannot unpack 'cut.zst': zstd says 'Read error (39) : premature end'" --train cut.zst
    cp text named.zst
    refused 65 "cannot unpack 'named.zst': zstd says 'unsupported format'" --train named.zst
    for file in gz xz zst; do # something foreign between two texts: the second one is not lost in silence
        { cat text.$file && printf XXXXXXXX && cat text.$file; } >mid.$file
        refused 65 "cannot unpack 'mid.$file': " --train mid.$file
    done
    refused 65 "cannot unpack 'mid.gz': gzip says 'stdin: decompression OK, trailing garbage ignored'" --train mid.gz
    cp text named.gz
    refused 65 "cannot unpack 'named.gz': gzip says" --train named.gz
    refused 65 "cannot use 'standard input': it holds no text" --train - </dev/null
    refused 78 "standard input can be read once only" --train - --valid - <text
    says_error_alone 69 "there is no program 'zstd' in PATH; install it (Debian's package zstd)" \
        env PATH=/nowhere "$UNROLL" prepare --train text.zst -o out/c.h5
    for file in text text.zst; do # the program's own complaint would blame the file
        says_error_alone 74 "cannot write 'out/c.h5.text.tmp'" \
            bash -c 'ulimit -f 8 && exec "$@"' - "$UNROLL" prepare --train - -o out/c.h5 <$file
    done
    [ -z "$(ls out)" ]
}

@test "several ranks: rank 0 reads standard input, and all what came of it" {
    for i in 1 2 3 4 5; do cat text; done >long
    mkdir folder && cp text.gz long folder/
    gzip -k long
    wanted=$(cat long | digest --train - folder --split 80,10,10)
    cat long.gz | on 3 "$UNROLL" prepare --train - folder --split 80,10,10 -o out/many.h5 >many
    grep "digest $wanted" many
    cmp out/c.h5 out/many.h5
    [ "$(ls out)" = "c.h5
many.h5" ]
}

@test "a signal leaves nothing behind while standard input is awaited" {
    mkfifo pipe
    env --default-signal=INT "$UNROLL" prepare --train - -o out/c.h5 <pipe 3>&- &
    pid=$!
    exec 4>pipe
    until [ -e out/c.h5.text.tmp ]; do sleep 0.02; done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    exec 4>&-
    [ $status -eq 143 ]
    [ -z "$(ls out)" ]
}
