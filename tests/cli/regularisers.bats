#!/usr/bin/env bats
# What is dropped in training: units at each place, locked or not, words, states and recurrent weights.

bats_require_minimum_version 1.5.0

load training
load refusal

all=(--dropout 0.3 --dropout-input 0 --dropout-hidden 0.2 --dropout-kind locked --dropout-embedding 0.1
    --dropout-state 0.2 --weight-drop 0.4)
small=(--corpus text.h5 --layers 2 --hidden 24 --batch 8 --bptt 16 --max-steps 12 --eval-every 6)

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus text
    "$UNROLL" train --run one "${small[@]}" "${all[@]}" --threads 1
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

digest() {
    "$UNROLL" inspect --json "$1/latest" | field parameters_digest
}

@test "the run says what it drops, and so does its checkpoint" {
    grep -qx 'dropout-input = 0' one/config.ini
    grep -qx 'dropout-output = "dropout"' one/config.ini
    grep -qx 'weight-drop = 0.4' one/config.ini
    "$UNROLL" inspect --json one/latest >about.json
    [ "$(field dropout_input about.json)" = 0 ]
    [ "$(field dropout_hidden about.json)" = 0.2 ]
    [ "$(field dropout_kind about.json)" = locked ]
    [ "$(field dropout_embedding about.json)" = 0.1 ]
    [ "$(field dropout_state about.json)" = 0.2 ]
    [ "$(field weight_drop about.json)" = 0.4 ]
    [ -z "$(field dropout_output about.json)" ] # it is that of --dropout
}

@test "killed, on other ranks and threads: the same bits" {
    rm -rf two
    on 3 "$UNROLL" train --run two "${small[@]}" "${all[@]}" --max-steps 5 --threads 1
    on 2 "$UNROLL" train --run two --max-steps 12 --threads 2
    [ "$(digest one)" = "$(digest two)" ]
    cmp one/metrics.jsonl two/metrics.jsonl
}

@test "each alone changes what is learnt" {
    local seen="" option
    for option in "--dropout 0" "--dropout-input 0" "--dropout-hidden 0" "--dropout-output 0" "--dropout-kind locked" \
        "--dropout-embedding 0.2" "--dropout-state 0.2" "--weight-drop 0.2" "--dropout 0.2"; do
        rm -rf alone
        # shellcheck disable=SC2086
        "$UNROLL" train --run alone "${small[@]}" --dropout 0.2 --max-steps 3 --threads 1 $option
        seen="$seen$(digest alone) $(tail -n 1 alone/metrics.jsonl | field valid_loss)"$'\n'
    done
    [ "$(printf '%s' "$seen" | cut -d' ' -f1 | sort -u | wc -l)" -eq 9 ]
    [ "$(printf '%s' "$seen" | cut -d' ' -f2 | sort -u | wc -l)" -eq 9 ]
}

@test "an option that says what --dropout says changes nothing" {
    rm -rf plain said
    "$UNROLL" train --run plain "${small[@]}" --dropout 0.2 --threads 1
    "$UNROLL" train --run said "${small[@]}" --dropout 0.1 --dropout-input 0.2 --dropout-hidden 0.2 --dropout-output 0.2 \
        --dropout-kind element --dropout-embedding 0 --dropout-state 0 --weight-drop 0 --threads 1
    [ "$(digest plain)" = "$(digest said)" ]
    "$UNROLL" inspect --json plain/latest >about.json
    ! grep -qE 'dropout_|weight_drop' about.json
}

@test "other values do not resume" {
    local option
    for option in "--dropout-input 0.1" "--dropout-hidden 0.1" "--dropout-output 0.1" "--dropout-kind element" \
        "--dropout-embedding 0" "--dropout-state 0.1" "--weight-drop 0.3"; do
        # shellcheck disable=SC2086
        run -76 "$UNROLL" train --run one $option --max-steps 20
        [[ $output == *"${option% *} was "*" and is now ${option#* }"* ]]
    done
    "$UNROLL" train --run one --branch other --weight-drop 0 --dropout-input dropout --max-steps 14
    "$UNROLL" inspect --json other/latest >about.json
    [ -z "$(field weight_drop about.json)" ]
    [ -z "$(field dropout_input about.json)" ]
}

@test "what the model has no place for is refused" {
    run -78 "$UNROLL" train --corpus text.h5 --run bad --cell mingru --weight-drop 0.5
    [[ $output == *"cannot use '--weight-drop' with --cell mingru, which has no recurrent weights"* ]]
    run -78 "$UNROLL" plan --corpus text.h5 --cell mingru --dropout-state 0.5
    [[ $output == *"cannot use '--dropout-state' with --cell mingru"* ]]
    run -78 "$UNROLL" train --corpus text.h5 --run bad --layers 1 --dropout-hidden 0.5
    [[ $output == *"nothing lies between layers"* ]]
    run -78 "$UNROLL" train --corpus text.h5 --run bad --weight-drop 1
    [ ! -e bad ]
}

@test "models go out and come back with what they were trained with; evaluation drops nothing" {
    "$UNROLL" export --model one/latest --to safetensors -o one.safetensors
    "$UNROLL" import one.safetensors -o back.h5
    "$UNROLL" inspect --json back.h5 >about.json
    [ "$(field dropout_input about.json)" = 0 ]
    [ "$(field dropout_kind about.json)" = locked ]
    [ "$(field weight_drop about.json)" = 0.4 ]
    "$UNROLL" eval --model one/latest --corpus text.h5 --split test --json >was.json
    "$UNROLL" eval --model back.h5 --corpus text.h5 --split test --json >is.json
    [ "$(field loss was.json)" = "$(field loss is.json)" ]
}

# told VALUE: one.safetensors, its metadata saying that value of dropout_input, as lied.safetensors.
told() {
    python3 - "$1" <<'EOF'
import struct, sys
with open("one.safetensors", "rb") as file:
    length, = struct.unpack("<Q", file.read(8))
    header, data = file.read(length), file.read()
lied = header.replace(b'"dropout_input": "0"', b'"dropout_input": "%s"' % sys.argv[1].encode()).rstrip()
assert lied != header.rstrip()
lied = lied.ljust(-(-len(lied) // 8) * 8)
with open("lied.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(lied)) + lied + data)
EOF
}

@test "a file that says what is no probability is refused; what is no number is as if not said" {
    "$UNROLL" export --model one/latest --to safetensors -o one.safetensors
    for value in -1 1 2; do
        told $value
        run -78 "$UNROLL" import lied.safetensors -o lied.h5
        [[ $output == *"value out of range for '--dropout-input': $value; use 0 or more, below 1"* ]]
        [ ! -e lied.h5 ]
    done
    told nan
    "$UNROLL" import lied.safetensors -o lied.h5
}

@test "gradients hold with all of them" {
    run -0 "$UNROLL" gradcheck --cell lstm --dropout 0.3 "${all[@]:2}"
    [[ "${lines[-1]}" == "8 models: all gradients hold" ]]
    run -0 "$UNROLL" gradcheck --cell gru --layers 2 --no-tied --weight-drop 0.3 --precision bf16
    run -0 "$UNROLL" gradcheck --cell mogrifier --layers 2 --no-tied --dropout-state 0.3 --weight-drop 0.3
    run -0 "$UNROLL" gradcheck --cell rnn-tanh --task classify --layers 2 --dropout-kind locked --dropout-embedding 0.2
}

@test "bench and plan know what they take" {
    "$UNROLL" bench --layers 2 --hidden 40 --vocab-size 50 --batch 4 --bptt 5 --steps 2 "${all[@]}" --json bench.json
    grep -q '"weight_drop": *0.4' bench.json
    grep -q '"dropout_kind": *"locked"' bench.json
    "$UNROLL" plan --vocab-size 50 --layers 2 --hidden 256 --batch 8 --bptt 20 --json=plain.json
    "$UNROLL" plan --vocab-size 50 --layers 2 --hidden 256 --batch 8 --bptt 20 --weight-drop 0.4 --dropout-state 0.2 --json=dropped.json
    ! cmp -s plain.json dropped.json
}
