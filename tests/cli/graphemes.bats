#!/usr/bin/env bats
# --level grapheme and --normalise nfc: what they make of a text, and that a model brings every other text into the same form.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    # accents composed and apart, a family, a skin tone, a flag, Hangul in jamo
    python3 - <<'END'
import unicodedata
words = ["café", "naïve", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44b\U0001f3fd", "\U0001f1ea\U0001f1fa", "한국", "Ärger"]
x, lines = 1, []
for i in range(5000):
    line = []
    for k in range(1 + i % 5):
        x = (x * 1103 + 12345) % 65536
        line.append(words[x // 11 % 7])
    lines.append(" ".join(line) + "\n")
composed = "".join(lines)
mixed = "".join(unicodedata.normalize("NFD", line) if i % 3 else line for i, line in enumerate(lines))
open("composed", "w").write(composed)
open("apart", "w").write(unicodedata.normalize("NFD", composed))
open("mixed", "w").write(mixed)
END
    "$UNROLL" prepare --level grapheme --normalise nfc --train mixed --split 90,5,5 -o graphemes.h5 >graphemes.said
    "$UNROLL" prepare --level char --normalise nfc --train mixed --split 90,5,5 -o chars.h5 >chars.said
    for kind in graphemes chars; do
        "$UNROLL" train --corpus $kind.h5 --run run-$kind --max-steps 8 --hidden 12 --layers 1 --batch 8 --bptt 16 2>$kind.log
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
}

vocabulary() {
    "$UNROLL" prepare --train mixed -o c.h5 "$@" >said
    sed -n 's/.*vocabulary of \([0-9]*\) .*/\1/p' said
}

@test "what becomes of the vocabulary" {
    # <unk>, 11 letters, line end and blank, and: man, woman, girl, joiner, hand, skin, E, U, 2 syllables
    [ "$(vocabulary --level char --normalise nfc)" = 24 ]
    [ "$(vocabulary --level char)" = 34 ] # 2 accents, 6 jamo, i and A without theirs
    [ "$(vocabulary --level grapheme --normalise nfc)" = 19 ] # family, hand, flag
    [ "$(vocabulary --level grapheme)" = 24 ] # 5 letters and syllables twice
    [ "$(vocabulary --level word --normalise nfc)" = 9 ]
    [ "$(vocabulary --level word)" = 13 ] # 4 words twice
    # each family, hand and flag is one of the texts
    python3 - graphemes.h5 <<'END'
import sys, h5py
f = h5py.File(sys.argv[1], "r")
blob, offsets = f["vocab/bytes"][:].tobytes(), f["vocab/offsets"][:]
tokens = [blob[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]
assert {"\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44b\U0001f3fd", "\U0001f1ea\U0001f1fa", "é", "한"} < set(tokens)
text = "".join("".join(tokens[i] for i in f[split + "/tokens"][:]) for split in ("train", "valid", "test"))
assert text == open("composed").read()
assert f.attrs["version"] == 2 and f.attrs["level"] == b"grapheme" and f.attrs["normalise"] == b"nfc" and f.attrs["unicode"]
END
}

@test "equivalent texts make the same tokens, on any number of ranks" {
    for options in "--level char" "--level grapheme" "--level word --lowercase" "--level grapheme --lowercase"; do
        # shellcheck disable=SC2086
        for text in composed apart mixed; do
            "$UNROLL" prepare $options --normalise nfc --train $text -o $text.h5 >/dev/null
            on 3 "$UNROLL" prepare $options --normalise nfc --train $text -o many.h5 >/dev/null
            cmp $text.h5 many.h5
        done
        [ "$("$UNROLL" inspect composed.h5 | grep digest)" = "$("$UNROLL" inspect apart.h5 | grep digest)" ]
        [ "$("$UNROLL" inspect composed.h5 | grep digest)" = "$("$UNROLL" inspect mixed.h5 | grep digest)" ]
    done
    # cut by percents in the same places, though lines are long
    tr '\n' ' ' <mixed >long
    for level in char grapheme; do
        "$UNROLL" prepare --level $level --normalise nfc --train long mixed --split 50,30,20 -o one.h5 >one
        on 4 "$UNROLL" prepare --level $level --normalise nfc --train long mixed --split 50,30,20 -o many.h5 >many
        cmp one.h5 many.h5
    done
}

@test "a model takes other texts as it took its own" {
    head -n 20 composed >lines.composed
    head -n 20 apart >lines.apart
    for kind in graphemes chars; do
        model=run-$kind/best.h5
        "$UNROLL" score --model $model --per-token lines.composed >first 2>first.said
        "$UNROLL" score --model $model --per-token lines.apart >second 2>second.said
        cmp first second
        grep "(unknown 0," second.said
        printf 'caf\u00e9 \U0001f44b\U0001f3fd' >prime
        "$UNROLL" sample --model $model --length 20 --prime "$(cat prime)" >first 2>first.said
        "$UNROLL" sample --model $model --length 20 --prime "$(printf 'cafe\u0301 \U0001f44b\U0001f3fd')" >second 2>second.said
        cmp <(tail -c 30 first) <(tail -c 30 second)
        [ ! -s first.said ] && [ ! -s second.said ]
        "$UNROLL" verify $model $kind.h5
        "$UNROLL" inspect $model | grep -A 2 'level' | grep 'normalise  *nfc'
        "$UNROLL" export --model $model -o w.safetensors
        "$UNROLL" import w.safetensors -o again.h5
        "$UNROLL" score --model again.h5 --per-token lines.apart 2>/dev/null | cmp - <("$UNROLL" score --model $model --per-token lines.apart 2>/dev/null)
    done
    # where a text stops may be typed in either form
    stop=$("$UNROLL" sample --model run-graphemes/best.h5 --length 2000 --top-k 18 | grep -o "$(printf '.\u00e9')" | head -n 1)
    for end in "$stop" "$(python3 -c 'import sys, unicodedata; print(unicodedata.normalize("NFD", sys.argv[1]))' "$stop")"; do
        "$UNROLL" sample --model run-graphemes/best.h5 --length 2000 --top-k 18 --stop "$end" >stopped
        [ "$(tail -c $(printf %s "$stop" | wc -c) < <(head -c -1 stopped))" = "$stop" ]
        [ "$(wc -c <stopped)" -lt 2000 ]
    done
    "$UNROLL" sample --model run-graphemes/best.h5 --length 5 --prime "$(printf 'caf\u00e9 q\u0301\U0001f9d1\u200d\U0001f680 q\u0301')" 2>said >/dev/null
    grep "3 of the 9 tokens of --prime are unknown .* '$(printf 'q\u0301')' '$(printf '\U0001f9d1\u200d\U0001f680')'\$" said
}

@test "what does not fit is refused" {
    "$UNROLL" prepare --level char --train composed --split 90,5,5 -o plain.h5 >/dev/null
    refused 65 "its tokens are of level char and those of 'run-chars/best.h5' of level char nfc" \
        eval --model run-chars/best.h5 --corpus plain.h5
    refused 65 "of level char nfc and those of 'run-graphemes/best.h5' of level grapheme nfc" \
        eval --model run-graphemes/best.h5 --corpus chars.h5
    refused 78 "'--normalise nfc' has no meaning for bytes" prepare --level byte --normalise nfc --train composed -o c.h5
    refused 78 "'--lowercase' has no meaning for bytes" prepare --level byte --lowercase --train composed -o c.h5
    # what knows neither is of version 1, as ever
    python3 - <<'END'
import h5py
f = h5py.File("plain.h5", "r")
assert f.attrs["version"] == 1 and "normalise" not in f.attrs and "unicode" not in f.attrs
END
}

@test "entries of a list that no text can give are refused" {
    printf '<unk>\nab\n' >list.two
    printf '<unk>\ne\u0301\n\u00e9\n' >list.twice
    printf 'caf\u00e9\nne\u0301\n' >list.apart
    printf '<unk>\n\\n\n \n\u00e9\n\U0001f44b\U0001f3fd\nf\n' >list.good
    from() {
        refused 65 "$2" prepare --vocab-from "$1" --train composed -o c.h5 "${@:3}"
    }
    from list.two "'list.two': entry 'ab' in line 2 is not one grapheme cluster; correct or remove it" --level grapheme
    from list.two "'list.two': entry 'ab' in line 2 is not one character; correct or remove it" --level char
    [[ "$stderr" != *damaged* ]]
    for level in grapheme word; do
        from list.twice "in line 2 is not in form nfc, as the text will be; bring the list into that form" --level $level --normalise nfc
    done
    from list.apart "entry 'ne$(printf '\u0301')' in line 2 is not in form nfc" --level word --normalise nfc
    from <(cat list.two) "not a regular file" --level grapheme
    "$UNROLL" prepare --vocab-from list.apart --level word --train composed -o c.h5 >/dev/null
    "$UNROLL" prepare --vocab-from list.good --level grapheme --normalise nfc --train mixed -o one.h5 >/dev/null
    on 2 "$UNROLL" prepare --vocab-from list.good --level grapheme --normalise nfc --train composed -o two.h5 >/dev/null
    [ "$("$UNROLL" inspect one.h5 | grep '^  digest')" = "$("$UNROLL" inspect two.h5 | grep '^  digest')" ]
}

@test "rules of another version of Unicode are told" {
    cp chars.h5 other.h5
    python3 -c 'import h5py, numpy; h5py.File("other.h5", "r+").attrs["unicode"] = numpy.bytes_("9.0.0")'
    "$UNROLL" train --corpus other.h5 --run run-other --max-steps 2 --hidden 8 --layers 1 --batch 8 --bptt 16 2>/dev/null
    "$UNROLL" inspect run-other/best.h5 | grep 'unicode  *9.0.0'
    run -0 --separate-stderr on 2 "$UNROLL" score --model run-other/best.h5 composed
    [ "$(grep -c "^note: the text of 'run-other/best.h5' followed Unicode 9.0.0, and this program follows" <<<"$stderr")" -eq 1 ]
    run -0 --separate-stderr "$UNROLL" score --model run-chars/best.h5 composed
    [[ "$stderr" != *Unicode* ]]
}

@test "labelled texts" {
    sed 's/^/a\t/' mixed >one.tsv
    sed 's/^/b\t/' apart >two.tsv
    sed 's/^/a\t/' composed >first.tsv
    sed 's/^/b\t/' composed >second.tsv
    for level in char word grapheme; do
        "$UNROLL" prepare --labelled --level $level --normalise nfc --train one.tsv two.tsv -o one.h5 >/dev/null
        "$UNROLL" prepare --labelled --level $level --normalise nfc --train first.tsv second.tsv -o two.h5 >/dev/null
        [ "$("$UNROLL" inspect one.h5 | grep '^  digest')" = "$("$UNROLL" inspect two.h5 | grep '^  digest')" ]
    done
    printf 'a\tx\nb\t\n' >none.tsv
    refused 65 "line 2: it has no text" prepare --labelled --level grapheme --normalise nfc --train none.tsv -o c.h5
}
