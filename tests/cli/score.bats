#!/usr/bin/env bats
# 'unroll score': a log-probability for each line, the same digits however the lines come and wherever they are computed.

bats_require_minimum_version 1.5.0
load refusal

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 300); do
        printf 'Line %d of the book says %d again\n' "$i" $((i * i % 97))
    done >book.txt
    for level in char word byte; do
        "$UNROLL" prepare --level $level --min-count 1 --train book.txt --split 80,10,10 -o $level.h5
        "$UNROLL" train --corpus $level.h5 --run run-$level --max-steps 40 --hidden 16 --layers 1 --batch 8 --bptt 16 \
            --threads 1
        cp run-$level/best.h5 $level-model.h5
    done
    printf 'Line 3 of the book\n\nsays xyzzy again Line 5\nthe end' >lines.txt
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
}

# refused STATUS TEXT ARGUMENT...: exit status, TEXT in the one line of stderr that is ours, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" score "${@:3}"
}

@test "a line of output for each line of input, and counts and perplexities on stderr" {
    run -0 --separate-stderr "$UNROLL" score --model word-model.h5 lines.txt
    [ "${#lines[@]}" -eq 4 ]
    for line in "${lines[@]}"; do
        [[ "$line" =~ ^-[0-9]+\.[0-9]{6}$ ]]
    done
    # 5 + 0 + 5 + 2 words of which "xyzzy" and "end" are unknown, and 4 line ends
    [[ "${stderr_lines[0]}" == "lines 4, tokens 16 (unknown 2, end 4), natural log-probability "* ]]
    total=$(printf '%s\n' "${lines[@]}" | awk '{ s += $1 } END { print s }')
    awk -v total="$total" -v found="$(echo "$stderr" | sed -n 's/^perplexity \([^,]*\),.*/\1/p')" \
        'BEGIN { exit !((found / exp(-total / 16) - 1) ^ 2 < 1e-8) }'
    [[ "${stderr_lines[1]}" == *", without end tokens "*", without unknown tokens "* ]]
}

@test "tokens sum to their line, in both formats" {
    for level in char word byte; do
        "$UNROLL" score --model $level-model.h5 lines.txt >totals 2>summary
        "$UNROLL" score --model $level-model.h5 --per-token lines.txt 2>summary2 >tokens
        cmp summary summary2
        awk -F'\t' 'NF != 3 { exit 1 } { s[$1] += $3; n = $1 } END { for (i = 1; i <= n; i++) print s[i] }' tokens |
            paste - totals | awk '($1 - $2) ^ 2 > 1e-6 { exit 1 } END { exit NR != 4 }'
        "$UNROLL" score --model $level-model.h5 --format json lines.txt 2>summary2 >lines.json
        cmp summary summary2
        sed 's/.*"log_probability": \([^,]*\),.*/\1/' lines.json | paste - totals |
            awk '($1 - $2) ^ 2 > 1e-11 { exit 1 } END { exit NR != 4 }'
    done
    "$UNROLL" score --model word-model.h5 --per-token lines.txt 2>summary | cut -f 1-2 | sed 1d >tokens
    printf '1\tLine\n1\t3\n1\tof\n1\tthe\n1\tbook\n1\t</s>\n2\t</s>\n3\tsays\n3\t<unk>\n3\tagain\n3\tLine\n3\t5\n3\t</s>\n' >expected
    printf '4\tthe\n4\t<unk>\n4\t</s>\n' >>expected
    cmp tokens expected
}

@test "json is json, with tokens in it" {
    "$UNROLL" score --model word-model.h5 --format json --per-token lines.txt 2>summary |
        python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert [l["line"] for l in lines] == [1, 2, 3, 4]
assert [l["tokens"] for l in lines] == [6, 1, 6, 3]
assert [l["unknown"] for l in lines] == [0, 0, 1, 1]
assert [t["token"] for t in lines[2]["per_token"]] == ["says", "<unk>", "again", "Line", "5", "</s>"]
for l in lines:
    assert abs(sum(t["log_probability"] for t in l["per_token"]) - l["log_probability"]) < 1e-9
'
    "$UNROLL" score --model char-model.h5 --per-token lines.txt 2>summary | grep -c -F '\n' >count
    [ "$(cat count)" -eq 4 ]
}

@test "per token, the first line names columns and vocabulary" {
    for level in char word byte; do
        digest=$("$UNROLL" inspect --json $level.h5 | sed 's/.*"vocabulary": {[^}]*"digest": "\([0-9a-f]*\)".*/\1/')
        "$UNROLL" score --model $level-model.h5 --per-token lines.txt 2>summary | head -n 1 >head
        printf '# line\ttoken of vocabulary %s\tlog-probability\n' "$digest" | cmp - head
    done
    "$UNROLL" score --model word-model.h5 --per-token --oov-penalty 2.5 lines.txt 2>summary | head -n 1 >head
    [[ "$(cat head)" == *$'\tlog-probability - 2.5 for <unk>' ]]
    run -0 --separate-stderr "$UNROLL" score --model word-model.h5 lines.txt
    [[ "$output" != *"#"* ]]
}

@test "words and bytes of what was scored, whatever the level" {
    printf 'Line 3 of  the  book\r\n\nagain' >mixed.txt # 6 words, 3 line ends; 28 bytes and the line end that is missing
    for level in char word byte; do
        "$UNROLL" score --model $level-model.h5 mixed.txt 2>summary >scores
        awk '{ s -= $1 } END { printf "perplexity per word %.4g of 9, %.4f of 29\n", exp(s / 9), s / log(2) / 29 }' scores >expected
        sed -nE 's/^perplexity per word ([^ ]*) \(([0-9]+) words and line ends\), bits per byte ([0-9.]+) \(([0-9]+) bytes.*/\1 \2 \3 \4/p' summary |
            while read -r p words bits bytes; do printf 'perplexity per word %.4g of %d, %.4f of %d\n' "$p" "$words" "$bits" "$bytes"; done |
            cmp - expected
    done
    grep -q 'too few bits' summary # the carriage return is unknown
    "$UNROLL" score --model char-model.h5 book.txt 2>&1 >/dev/null | grep '^perplexity per word' >summary
    run ! grep -q 'too few bits' summary
    # nothing is told of a text that was not scored to its end
    printf 'the book\nsays \xff\n' >bad.txt
    run -65 --separate-stderr "$UNROLL" score --model word-model.h5 bad.txt
    [[ "$stderr" != *"per word"* ]]
    run -0 --separate-stderr "$UNROLL" score --model word-model.h5 </dev/null
    [[ "$stderr" != *"per word"* ]]
}

@test "json tells every byte from every other" {
    python3 -c 'import sys; sys.stdout.buffer.write(bytes(b for b in range(256)) * 40 + b"\n")' >all.bin
    "$UNROLL" prepare --level byte --train all.bin --split 80,10,10 -o all.h5
    "$UNROLL" train --corpus all.h5 --run all --max-steps 1 --hidden 4 --layers 1 --batch 4 --bptt 16 --threads 1
    python3 -c 'import sys; sys.stdout.buffer.write(bytes(b for b in range(256) if b != 10))' |
        "$UNROLL" score --model all/latest --format json --per-token 2>notes >found
    "$UNROLL" sample --model all/latest --length 2000 --temperature 5 --per-token 2>notes >drawn
    python3 - found drawn <<'END'
import json, sys
line = json.load(open(sys.argv[1], encoding="utf-8"))
expected = [chr(b) if b < 128 else f"\\x{b:02x}" for b in range(256) if b != 10] + ["\n"]
found = [token["token"] for token in line["per_token"]]
assert found == expected, found
assert len(set(found)) == 256
drawn = {row.split("\t")[1] for row in open(sys.argv[2], encoding="utf-8").read().split("\n") if row}
assert len(drawn) > 200 and all(len(token) in (1, 2, 4) for token in drawn)
END
}

@test "the same digits from a file, a pipe, line by line, and on any number of ranks and threads" {
    cat book.txt lines.txt | shuf --random-source=book.txt >many.txt
    printf '%s ' $(seq 500) >>many.txt
    for level in char word; do
        "$UNROLL" score --model $level-model.h5 --format json --per-token --threads 1 many.txt >expected 2>notes
        "$UNROLL" score --model $level-model.h5 --format json --per-token --threads 2 - <many.txt >found 2>notes
        cmp expected found
        for ranks in 2 3; do
            mpirun -n $ranks "$UNROLL" score --model $level-model.h5 --format json --per-token --threads 1 many.txt \
                >found 2>notes
            cmp expected found
        done
        "$UNROLL" score --model $level-model.h5 many.txt >expected 2>notes
        head -n 20 many.txt | while IFS= read -r line; do
            printf '%s\n' "$line" | "$UNROLL" score --model $level-model.h5 2>notes
        done >found
        cmp <(head -n 20 expected) found
    done
}

@test "CR LF, a byte order mark and a missing last line end change nothing" {
    "$UNROLL" score --model char-model.h5 lines.txt >expected 2>notes
    { printf '\xef\xbb\xbf' && sed 's/$/\r/' lines.txt && echo; } >crlf.txt
    sed -i '$ d' crlf.txt && printf 'the end\r\n' >>crlf.txt
    "$UNROLL" score --model char-model.h5 crlf.txt >found 2>notes
    cmp expected found
}

@test "capitals are lowered for a model whose vocabulary has none" {
    "$UNROLL" prepare --level word --min-count 1 --lowercase --train book.txt --split 80,10,10 -o lower.h5
    "$UNROLL" train --corpus lower.h5 --run lower --max-steps 1 --hidden 4 --layers 1 --batch 4 --bptt 16 --threads 1
    printf 'Line 3 OF the Book\n' | "$UNROLL" score --model lower/best.h5 >found 2>notes
    printf 'line 3 of the book\n' | "$UNROLL" score --model lower/best.h5 >expected 2>notes
    cmp expected found
    grep -q 'unknown 0,' notes
}

@test "a line longer than what is held in memory is scored in pieces" {
    { printf 'Line 1\n' && head -c 300000 /dev/zero | tr '\0' 'o' && printf '\nLine 1\n'; } >long.txt
    "$UNROLL" score --model char-model.h5 --per-token long.txt >tokens 2>notes
    grep -q '^lines 3, tokens 300015 ' notes
    awk -F'\t' '{ n[$1]++ } END { exit !(n[1] == 7 && n[2] == 300001 && n[3] == 7) }' tokens
    cmp <(grep ^1 tokens | cut -f 2-) <(grep ^3 tokens | cut -f 2-)
    # after so many equal characters the state stands still: were it lost between two pieces, others would follow
    [ "$(sed -n '1000,300000p' tokens | sort -u | wc -l)" -eq 1 ]
}

@test "text that is none is refused with its line, after the lines before it" {
    printf 'the book\nsays \xff\n' >bad.txt
    run -65 --separate-stderr "$UNROLL" score --model word-model.h5 bad.txt
    [ "${#lines[@]}" -eq 1 ]
    [[ "$stderr" == *"unroll: cannot read 'bad.txt' as UTF-8: invalid byte 0xff in line 2;"* ]]
    run -0 --separate-stderr "$UNROLL" score --model byte-model.h5 bad.txt
    [ "${#lines[@]}" -eq 2 ]
    printf 'the\0book\n' >nul.txt
    refused 65 "NUL byte in line 1" --model char-model.h5 nul.txt
    mpirun -n 2 "$UNROLL" score --model word-model.h5 bad.txt >found 2>notes && false
    [ "$(grep -c '^unroll: ' notes)" -eq 1 ]
}

@test "nothing in, nothing out" {
    run -0 --separate-stderr "$UNROLL" score --model word-model.h5 </dev/null
    [ -z "$output" ]
    [[ "${stderr_lines[0]}" == "lines 0, tokens 0 "* ]]
}

@test "missing files, wrong files and a full disk" {
    refused 66 "none.txt" --model word-model.h5 none.txt
    refused 66 "directory" --model word-model.h5 "$BATS_FILE_TMPDIR"
    refused 66 "none.h5" --model none.h5 lines.txt
    refused 76 "word.h5" --model word.h5 lines.txt
    if [ -w /dev/full ]; then
        run -74 --separate-stderr bash -c "'$UNROLL' score --model word-model.h5 book.txt >/dev/full"
        [[ "$stderr" == *"unroll: cannot write to standard output: "* ]]
    fi
}

@test "what the model was trained on scores higher than the same words shuffled" {
    "$UNROLL" train --corpus word.h5 --run longer --max-steps 300 --hidden 32 --layers 1 --batch 8 --bptt 16 \
        --lr 0.01 --threads 1
    printf 'Line 3 of the book says 9 again\nagain the 9 of book Line says 3\n' |
        "$UNROLL" score --model longer/best.h5 2>notes >found
    awk 'NR == 1 { a = $1 } NR == 2 { exit !(a > $1 + 5) }' found
}

@test "counts of a part of the text say so" {
    { yes 'Line 3 of the book' | head -n 5000; echo 'the </s> end'; } >late.txt
    run -65 --separate-stderr "$UNROLL" score --model word-model.h5 late.txt
    [[ "$stderr" == *"not read to its end; of its first 5000 lines:"*"lines 5000, "* ]]
    run -0 --separate-stderr "$UNROLL" score --model word-model.h5 lines.txt
    [[ "$stderr" != *"not read to its end"* ]]
}
