#!/usr/bin/env bats
# 'unroll inspect': what it says of corpora and checkpoints is what other programs find in them.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 200); do
        printf 'Line %d of the book says %d\n' "$i" $((i * i % 97))
    done >book.txt
    "$UNROLL" prepare --level word --lowercase --vocab-size 50 --train book.txt --split 80,10,10 -o book.h5 >prepared
    "$UNROLL" train --corpus book.h5 --run run --max-steps 12 --cell gru --hidden 8 --layers 2 --tied --batch 4 \
        --bptt 10 --threads 1 --json-summary summary.json
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# member FILE NAME: the first value of that name in a JSON text
member() {
    grep -o "\"$2\": *[^,}]*" "$1" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'
}

@test "a corpus" {
    "$UNROLL" inspect --json book.h5 >corpus.json
    [ "$(wc -l <corpus.json)" -eq 1 ]
    [ "$(member corpus.json format)" = unroll-corpus ]
    [ "$(member corpus.json level)" = word ]
    [ "$(member corpus.json lowercase)" = true ]
    [ "$(member corpus.json size)" = 50 ]
    grep -q "digest $(member corpus.json digest)" prepared
    for split in train valid test; do
        tokens=$(sed "s/.*\"$split\": {\"tokens\": \([0-9]*\).*/\1/" corpus.json)
        unknown=$(sed "s/.*\"$split\": {\"tokens\": [0-9]*, \"unknown\": \([0-9]*\).*/\1/" corpus.json)
        grep -q "^$split  *[0-9]*  *$tokens  *$unknown " prepared
    done
    run -0 --separate-stderr "$UNROLL" inspect book.h5
    [[ "$output" == *"level                word"* ]]
    [[ "$output" == *"digest               $(member corpus.json digest)"* ]]
}

@test "a checkpoint" {
    "$UNROLL" inspect --json run/latest >checkpoint.json
    [ "$(member checkpoint.json format)" = unroll-checkpoint ]
    [ "$(member checkpoint.json step)" = 12 ]
    [ "$(member checkpoint.json cell)" = gru ]
    [ "$(member checkpoint.json layers)" = 2 ]
    [ "$(member checkpoint.json tied)" = true ]
    [ "$(member checkpoint.json parameters)" = "$(member summary.json parameters)" ]
    [ "$(member checkpoint.json parameters_digest)" = "$(member summary.json parameters_digest)" ]
    [ "$(member checkpoint.json max-steps)" = 12 ]
    [ "$(member checkpoint.json version)" = "$("$UNROLL" --version | sed -n '1s/^unroll \([^ ]*\).*/\1/p')" ]
    [ "$(member checkpoint.json ranks)" = 1 ]
    grep -q '{"name": "decoder.weight", "shape": \[50, 8\], "tied_to": "encoder.weight"}' checkpoint.json
    grep -q '{"name": "rnn.weight_ih_l1", "shape": \[24, 8\]}' checkpoint.json
    run -0 --separate-stderr "$UNROLL" inspect run/latest
    [ -z "$stderr" ]
    [[ "$output" == *"cell                 gru"* ]]
    [[ "$output" == *"decoder.weight       [50][8]  tied to encoder.weight"* ]]
    [[ "$output" == *"digest               $(member summary.json parameters_digest)"* ]]
    [[ "$output" == *"max-steps            12"* ]]
}

@test "the digest is that of the values as h5py reads them" {
    "$UNROLL" inspect --json run/latest >checkpoint.json
    python3 - <<'END'
import json, h5py
facts = json.load(open("checkpoint.json"))
with h5py.File("run/latest", "r") as file:
    found = {}
    file["model"].visititems(lambda name, item: found.update({name: list(item.shape)}) if hasattr(item, "shape") else None)
    assert found == {t["name"]: t["shape"] for t in facts["tensors"]}, found
    assert file.attrs["parameters_digest"].decode() == facts["parameters_digest"]
END
    command -v xxh128sum >/dev/null || skip "no xxh128sum"
    python3 - >values <<'END'
import json, sys, h5py
with h5py.File("run/latest", "r") as file:
    for tensor in json.load(open("checkpoint.json"))["tensors"]:
        sys.stdout.buffer.write(file["model"][tensor["name"]][()].astype("<f4").tobytes())
END
    [ "$(xxh128sum values | cut -d' ' -f1)" = "$(member checkpoint.json parameters_digest)" ]
}

@test "several files, one object a line" {
    run -0 --separate-stderr "$UNROLL" inspect --json book.h5 run/best.h5
    [ "${#lines[@]}" -eq 2 ]
    [[ "${lines[0]}" == '{"file": "book.h5", "format": "unroll-corpus"'* ]]
    [[ "${lines[1]}" == '{"file": "run/best.h5", "format": "unroll-checkpoint"'* ]]
}

@test "missing and damaged files" {
    run -66 --separate-stderr "$UNROLL" inspect none.h5
    [[ "$stderr" == "unroll: "*"'none.h5'"* ]]
    run -65 --separate-stderr "$UNROLL" inspect book.txt
    [ -z "$output" ]
    head -c 5000 run/best.h5 >cut.h5
    run -76 --separate-stderr "$UNROLL" inspect --json cut.h5
    [ -z "$output" ]
    run -64 "$UNROLL" inspect
}
