#!/usr/bin/env bats
# --precision bf16 and --bf16-order: what options, config.ini, checkpoints, exports and reports say, and which precision a
# command computes in. The arithmetic itself: tests/unit and tests/bits.

bats_require_minimum_version 1.5.0

load refusal
load training
load weights

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus text
    for order in tile pair; do
        train $order --precision bf16 --bf16-order $order
    done
    train plain
    host=$("$UNROLL" bench --hidden 8 --vocab-size 9 --steps 1 --precision bf16 --json - | field bf16_order)
    export host # the order that is fastest here, by bench's default
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# train NAME OPTION...
train() {
    "$UNROLL" train --corpus text.h5 --run "$1" --hidden 40 --batch 6 --bptt 20 --lane-groups 3 --max-steps 8 "${@:2}" 2>"$1.log"
}

# digest NAME: of all parameters.
digest() {
    "$UNROLL" inspect "$1" | sed -n '/^parameters/,$s/^  digest *//p'
}

loss() {
    "$UNROLL" eval --corpus text.h5 --json --model "$@" | field loss
}

# use MODEL OPTION...: what commands print of it.
use() {
    loss "$@"
    head -n 5 text.txt | "$UNROLL" score --per-token --model "$@"
    "$UNROLL" sample --per-token --length 40 --model "$@"
    "$UNROLL" gradflow --corpus text.h5 --lags 5 --model "$@" | tail -n +3
}

other() {
    [ "$1" = tile ] && echo pair || echo tile
}

@test "three mathematics, three results" {
    [ "$(digest tile)" != "$(digest plain)" ]
    [ "$(digest pair)" != "$(digest plain)" ]
    [ "$(digest tile)" != "$(digest pair)" ]
}

@test "config.ini spells both out; the log says what computes, and of float32 nothing" {
    for order in tile pair; do
        grep -x 'precision = "bf16"' $order/config.ini
        grep -x "bf16-order = \"$order\"" $order/config.ini
        grep -xE "precision: bf16 in $order order, (emulated|by [A-Z0-9_]+)" $order.log
        grep -E "^  expect .* the speed of float32" $order.log
    done
    grep -x 'precision = "float32"' plain/config.ini
    run ! grep -i bf16 plain.log
    run ! grep -E 'precision|bf16' plain/metrics.jsonl
    [ "$(field precision tile/metrics.jsonl)" = bf16 ]
    [ "$(field bf16_order pair/metrics.jsonl)" = pair ]
    [ -n "$(field unit pair/timing.jsonl)" ]
}

@test "the default order is tile on every host, and 'host' is written down as what it stands for" {
    train default --precision bf16
    [ "$(digest default)" = "$(digest tile)" ]
    train host --precision bf16 --bf16-order host
    grep -x "bf16-order = \"$host\"" host/config.ini
    [ "$(digest host)" = "$(digest "$host")" ]
    run ! grep -a '"host"' host/config.ini
    # what the other order would gain is said where it would gain, and only there
    if grep "bf16-order host" "$host.log"; then false; fi
    if ! grep "float32 is faster here" tile.log; then grep -e "--bf16-order host" "$(other "$host").log"; fi
}

@test "misuse is refused" {
    refused() { says_error_alone "$@"; }
    refused 78 "cannot use '--bf16-order' with --precision float32" "$UNROLL" train --corpus text.h5 --run no --bf16-order pair
    refused 78 "cannot use '--bf16-order' with --precision float32" "$UNROLL" bench --hidden 8 --bf16-order tile
    refused 78 "cannot use '--bf16-order' with --precision float32" "$UNROLL" plan --bf16-order host
    refused 78 "no such choice" "$UNROLL" train --corpus text.h5 --run no --precision fp16
    refused 78 "no such choice" "$UNROLL" train --corpus text.h5 --run no --precision bf16 --bf16-order trained
    refused 78 "its products are of float32" "$UNROLL" eval --model plain --corpus text.h5 --bf16-order pair
    refused 78 "its products are of float32" "$UNROLL" sample --model tile --precision float32 --bf16-order pair
    [ ! -e no ]
}

@test "a run goes on in its own precision and order, and in no other" {
    train whole --precision bf16 --bf16-order pair --max-steps 12
    cp -r pair going
    "$UNROLL" train --run going --max-steps 12
    [ "$(digest going)" = "$(digest whole)" ]
    cp -r pair again
    "$UNROLL" train --run again --max-steps 12 --precision bf16 --bf16-order host # "the same command": host chose before
    [ "$(digest again)" = "$(digest whole)" ]
    cp -r tile again2
    "$UNROLL" train --run again2 --max-steps 9 --bf16-order host
    grep -x 'bf16-order = "tile"' again2/config.ini

    ends_with_error 76 "--precision was bf16 and is now float32" "$UNROLL" train --run pair --max-steps 12 --precision float32
    ends_with_error 76 "--bf16-order was pair and is now tile" "$UNROLL" train --run pair --max-steps 12 --bf16-order tile
    ends_with_error 76 "--precision was float32 and is now bf16" "$UNROLL" train --run plain --max-steps 12 --precision bf16
    [[ "$stderr" == *"--branch NEWDIR"* ]]
}

@test "ranks and threads are no matter, nor is where it was stopped" {
    for order in tile pair; do
        on 2 "$UNROLL" train --corpus text.h5 --run ranks-$order --hidden 40 --batch 6 --bptt 20 --lane-groups 3 --max-steps 5 \
            --precision bf16 --bf16-order $order --threads 1
        on 3 "$UNROLL" train --run ranks-$order --max-steps 8 --threads 2
        [ "$(digest ranks-$order)" = "$(digest $order)" ]
    done
}

@test "a processor's unit and its emulation give the same bits" {
    for order in tile pair; do
        for how in emulate unit; do # where there is no unit both are emulation
            UNROLL_BF16=$how train $how-$order --precision bf16 --bf16-order $order
            [ "$(digest $how-$order)" = "$(digest $order)" ]
            UNROLL_BF16=$how use $order/latest >$how
        done
        cmp emulate unit
        [ "$(field unit emulate-$order/timing.jsonl)" = emulation ]
    done
}

@test "a branch converts, and says so" {
    "$UNROLL" train --run plain --branch to-bf16 --precision bf16 --bf16-order pair --max-steps 10 2>branch.log
    grep "converting: the run so far was computed in float32, the branch is in bf16 in pair order" branch.log
    [ "$("$UNROLL" inspect --json to-bf16 | field precision | head -n 1)" = bf16 ]
    "$UNROLL" train --run tile --branch to-pair --bf16-order pair --max-steps 10 2>branch.log
    grep "was computed in bf16 in tile order, the branch is in bf16 in pair order" branch.log
    "$UNROLL" train --run pair --branch to-float32 --precision float32 --max-steps 10 2>branch.log
    grep "was computed in bf16 in pair order, the branch is in float32" branch.log
    run ! grep -E "bf16|precision" <("$UNROLL" inspect to-float32 | sed -n '/^model/,/^$/p')
    "$UNROLL" train --run pair --branch alike --max-steps 10 2>branch.log
    run ! grep converting branch.log
    grep -x 'bf16-order = "pair"' alike/config.ini
    "$UNROLL" train --run tile --branch here --bf16-order host --max-steps 10
    grep -x "bf16-order = \"$host\"" here/config.ini
}

@test "--init-from takes weights of either precision" {
    train from-bf16 --init-from tile
    run ! grep -E "bf16|precision" from-bf16/metrics.jsonl
    train from-plain --init-from plain --precision bf16
    [ "$(field precision from-plain/metrics.jsonl)" = bf16 ]
}

@test "checkpoints say both, those of float32 neither; older ones mean float32" {
    python3 - <<'EOF'
import h5py
for name, expected in ("tile", "tile"), ("pair", "pair"), ("plain", None):
    with h5py.File(f"{name}/latest", "r") as file:
        about = file["model"].attrs
        said = [about[key].decode() if key in about else None for key in ("precision", "bf16_order")]
        assert said == ["bf16" if expected else None, expected], dict(about)
        assert all(file["model"][key].dtype == "float32" for key in file["model"])
EOF
    "$UNROLL" inspect pair | grep -E "^  precision +bf16$"
    "$UNROLL" inspect pair | grep -E "^  bf16_order +pair$"
    old="$BATS_TEST_DIRNAME/../compat/lstm.h5"
    run ! grep -E "^  (precision|bf16_order)" <("$UNROLL" inspect "$old")
    "$UNROLL" sample --model "$old" --length 30 >a
    "$UNROLL" sample --model "$old" --length 30 --precision float32 >b
    cmp a b
}

@test "export and import carry both; weights of float32 say neither" {
    for order in tile pair; do
        "$UNROLL" export --model $order/latest --to safetensors -o $order.safetensors
        weights same "$(realpath $order/latest)" $order.safetensors
        "$UNROLL" import --from safetensors $order.safetensors -o $order-again.h5
        "$UNROLL" inspect $order-again.h5 | grep -E "^  bf16_order +$order$"
        [ "$(loss $order-again.h5)" = "$(loss $order/latest)" ]
    done
    "$UNROLL" export --model plain/latest --to safetensors -o plain.safetensors
    python3 - <<'EOF'
import json
def facts(name):
    with open(f"{name}.safetensors", "rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
assert facts("pair")["precision"] == "bf16" and facts("pair")["bf16_order"] == "pair", facts("pair")
assert "precision" not in facts("plain") and "bf16_order" not in facts("plain"), facts("plain")
EOF
}

@test "what uses a model computes as it was trained, or as it is told" {
    # the same weights without the words that say bf16 are a model in float32
    "$UNROLL" export --model pair/latest --to safetensors -o whole.safetensors
    python3 - <<'EOF'
import json
with open("whole.safetensors", "rb") as file:
    data = file.read()
length = int.from_bytes(data[:8], "little")
header = json.loads(data[8:8 + length])
del header["__metadata__"]["precision"], header["__metadata__"]["bf16_order"]
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("stripped.safetensors", "wb").write(len(text).to_bytes(8, "little") + text + data[8 + length:])
EOF
    "$UNROLL" import --from safetensors stripped.safetensors -o stripped.h5
    use pair/latest >bf16
    use pair/latest --precision float32 >told
    use stripped.h5 >float32
    cmp told float32
    run ! cmp bf16 float32
    use stripped.h5 --precision bf16 --bf16-order pair >back
    cmp back bf16
    use pair/latest --precision bf16 --bf16-order tile >tile-told
    use stripped.h5 --precision bf16 >tile-default
    cmp tile-told tile-default
    run ! cmp tile-told bf16
    use stripped.h5 --precision bf16 --bf16-order host >host-told
    if [ "$host" = tile ]; then cmp host-told tile-told; else cmp host-told bf16; fi
    # the configuration file of a run says what that was trained in, and nothing of another model
    [ "$(loss plain/latest)" = "$(loss plain/latest --config pair/config.ini)" ]
}

@test "a classifier, too" {
    cp "$BATS_TEST_DIRNAME/../compat/lines.h5" .
    "$UNROLL" train --task classify --corpus lines.h5 --run classes --hidden 130 --max-steps 8 --precision bf16 --bf16-order pair
    make_text 20 >texts
    "$UNROLL" classify --all --format json --model classes/latest texts >a
    "$UNROLL" classify --all --format json --model classes/latest --precision float32 texts >b
    "$UNROLL" classify --all --format json --model classes/latest --precision bf16 --bf16-order tile texts >c
    run ! cmp a b
    run ! cmp a c
}

@test "plan and bench tell the unit, and memory holds" {
    for order in tile pair; do
        "$UNROLL" plan --precision bf16 --bf16-order $order --hidden 64 --vocab-size 65 --json=p.json >plan
        grep -xE "precision +bf16 in $order order, (emulated|by [A-Z0-9_]+)" plan
        grep -E "^ +expect .* the speed of float32" plan
        [ "$(field precision p.json)" = bf16 ]
        [ "$(field bf16_order p.json)" = $order ]
        [[ "$(field unit p.json)" =~ ^(AMX|AVX512_BF16|emulation)$ ]]
        [ -z "${UNROLL_TEST_SHORT:-}" ] || continue # AddressSanitizer takes memory of its own
        "$UNROLL" bench --precision bf16 --bf16-order $order --hidden 650 --batch 20 --bptt 35 --optimizer momentum \
            --steps 1 --threads 1 --json b.json
        python3 -c 'import json
b = json.load(open("b.json"))
assert (b["model"]["precision"], b["model"]["bf16_order"]) == ("bf16", "'$order'"), b
assert abs(b["planned_bytes"] / b["peak_rss_bytes"] - 1) < 0.1, b'
    done
    "$UNROLL" plan --hidden 64 --vocab-size 65 --json=p.json >plan
    run ! grep precision plan
    [ "$(field unit p.json)" = float32 ]
    # a measurement in one precision predicts no run in the other
    ends_with_error 78 "cannot predict with '--precision' as given" "$UNROLL" plan --nodes 2 --network 1us,1GB \
        --from b.json --precision float32
}
