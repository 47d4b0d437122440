#!/usr/bin/env bats
# 'unroll prepare' under mpirun: the same bytes, words on the terminal, refusals and statuses as one rank alone.

bats_require_minimum_version 1.5.0
load training

# 700 KB: words of several scripts, long and empty lines, CR LF here and there, no line end at the end.
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    awk 'BEGIN {
        split("the of lane Straße Ärger мир ночь 言葉 世界 naïve state 🙂 a Gate", word); x = 5
        for (i = 0; i < 9000; i++) {
            line = ""; x = (x * 1103 + 12345) % 65536; words = i % 97 == 0 ? 600 : int(x / 7) % 14
            for (k = 0; k < words; k++) {
                x = (x * 1103 + 12345) % 65536; w = word[1 + int(x / 5) % 14]
                line = line (k ? (k % 50 == 49 ? "\302\240" : " ") : "") w (x % 11 ? "" : int(x / 300))
            }
            printf "%s%s", line, i % 7 == 0 ? "\r\n" : "\n"
        }
        printf "the end"
    }' >text.txt
    [ "$(stat -c %s text.txt)" -gt 600000 ]
    head -n 250 text.txt >short.txt
    tail -n 4000 text.txt >other.txt
    { printf '\xef\xbb\xbf'; cat other.txt; } >marked.txt
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# the_same ARGUMENT...: on $many ranks file, output and status are those of one.
many=3
the_same() {
    local ranks wanted=0 status
    rm -f one.h5 many.h5
    "$UNROLL" prepare "$@" -o one.h5 >one.txt 2>one.err || wanted=$?
    for ranks in $many; do
        status=0
        on $ranks "$UNROLL" prepare "$@" -o many.h5 >many.txt 2>many.err || status=$?
        sed -i 's/many/one/' many.txt
        grep '^unroll:' many.err | sed 's/many/one/' >many.said || true
        echo "$ranks ranks: $* -> $status, $wanted: $(cat many.said one.err)"
        [ $status -eq $wanted ]
        [ ! -e many.h5.tmp ]
        cmp one.err many.said
        cmp one.txt many.txt
        [ $wanted -ne 0 ] || cmp one.h5 many.h5
        rm -f many.h5
    done
}

@test "characters, words and bytes, cut by percents and from files of their own" {
    many="2 3 4"
    the_same --level char --train text.txt --split 90,5,5
    the_same --level word --train text.txt --split 50,30,20 --vocab-size 60
    the_same --level word --lowercase --min-count 3 --train text.txt marked.txt --valid short.txt --test other.txt
    the_same --level char --lowercase --train short.txt text.txt short.txt --test marked.txt --vocab-size 30
    the_same --level byte --train text.txt other.txt --split 80,20
    on 3 "$UNROLL" prepare --level word --train text.txt -o whole.h5
    "$UNROLL" verify whole.h5
}

@test "a single line, and a text shorter than a share" {
    tr -d '\r\n' <text.txt >line.txt
    many=5
    the_same --level word --train line.txt --split 60,40
    the_same --level char --train line.txt
    the_same --level char --train short.txt
    printf 'a b\n' >tiny.txt
    the_same --level word --train tiny.txt
}

# spoil BYTES OFFSET: text.txt with other bytes there, as bad.txt.
spoil() {
    cp text.txt bad.txt
    printf "$1" | dd of=bad.txt bs=1 seek="$2" conv=notrunc status=none
}

@test "what is not UTF-8 is refused with the same byte offset, or replaced as often" {
    local at
    for at in 100 520000; do
        spoil '\xff' $at
        the_same --level char --train bad.txt
        grep -q "invalid byte" one.err
        spoil 'x\x00y' $at
        the_same --level word --train bad.txt --split 90,10
        grep -q "NUL byte at byte offset" one.err
    done
    spoil '\xe4\xb8' 300001
    printf '\xf0\x9f' >>bad.txt
    # where shares of two ranks meet, a run of bytes that continue nothing
    printf '\x80\x80\x80\x80\x80\x80\x80\x80\x80\xf0\x9f\x99\x80\x80' |
        dd of=bad.txt bs=1 seek=$(($(stat -c %s bad.txt) / 2 - 5)) conv=notrunc status=none
    the_same --level char --train bad.txt --invalid replace
    grep -q "were replaced by U+FFFD" one.txt
    the_same --level word --train bad.txt --invalid replace
    iconv -f UTF-8 -t UTF-16 other.txt >wide.txt
    the_same --train wide.txt
    grep -q "UTF-16" one.err
    the_same --train text.txt --valid wide.txt
}

@test "other failures are everyone's" {
    the_same --train absent.txt
    the_same --level word --train short.txt --split 1,98,1
    { head -c 400000 /dev/zero | tr '\0' 'a'; cat text.txt; } >long.txt
    the_same --level word --train text.txt long.txt
    grep -q "word of more than" one.err
    mkdir -p folder
    run on 3 "$UNROLL" prepare --train text.txt -o folder
    [ "$status" -eq 73 ]
    # no space: the limit on the size of files stands for the full disk; MPI's own files are smaller
    head -c 15000000 /dev/zero | tr '\0' 'a' >large.txt
    run on 3 bash -c \
        'trap "" XFSZ; ulimit -f 20000; exec "$UNROLL" prepare --train large.txt -o full.h5'
    echo "$status $output"
    [ "$status" -eq 74 ]
    [[ "$output" == *"cannot write 'full.h5.tmp': file size limit (ulimit -f) reached"* ]]
    [ ! -e full.h5 ]
    [ ! -e full.h5.tmp ]
}
