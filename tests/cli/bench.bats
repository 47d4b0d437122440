#!/usr/bin/env bats
# unroll bench: numbers that belong together, alone and over ranks. Nothing here depends on how fast the machine is.

bats_require_minimum_version 1.5.0

small="--layers 2 --hidden 48 --vocab-size 101 --batch 6 --bptt 7 --steps 1 --threads 1"

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# consistent FILE RANKS: what must hold for any machine.
consistent() {
    /usr/bin/python3 - "$1" "$2" <<'EOF'
import json, math, sys
b = json.load(open(sys.argv[1]))
names = ("input_projection recurrent_forward output_layer recurrent_backward weight_gradients reduction optimizer "
         "other").split()
assert list(b["phases"]) == names, b["phases"]
assert all(seconds >= 0 for seconds in b["phases"].values()), b["phases"]
assert math.isclose(sum(b["phases"].values()), b["ms_per_step"] / 1000, rel_tol=1e-9), b
assert math.isclose(b["tokens_per_second"] * b["ms_per_step"] / 1000, 6 * 7, rel_tol=1e-9), b
assert math.isclose(b["gflops"], b["tokens_per_second"] * 6 * (4 * 4 * 48 * 48 + 101 * 48) / 1e9, rel_tol=1e-9), b
assert math.isclose(b["fraction_of_sgemm"], b["gflops"] / b["sgemm_gflops"], rel_tol=1e-9), b
assert b["allocations"] == 0, b
assert b["ranks"] == int(sys.argv[2]) and b["threads"] == 1 and b["steps"] == 1, b
assert b["peak_rss_bytes"] > 1 << 20 and b["planned_bytes"] > 1 << 20, b
EOF
}

@test "one rank: all numbers, as text and as JSON" {
    run -0 --separate-stderr "$UNROLL" bench $small --json b.json
    [ -z "$stderr" ]
    consistent b.json 1
    [[ "$output" == *"of the sgemm's"* ]]
    [[ "$output" == *"allocations    0 in the timed steps"* ]]
    [[ "$output" == *"recurrent_backward"* ]]
}

@test "ranks give the same losses as one, and one report" {
    "$UNROLL" bench $small --json one.json
    for ranks in 2 3; do
        run -0 --separate-stderr mpirun -n $ranks "$UNROLL" bench $small --json many.json
        [ "$(grep -c 'of the sgemm' <<<"$output")" -eq 1 ]
        consistent many.json $ranks
        for key in loss_first loss_last; do
            [ "$(grep -o "\"$key\": [0-9.]*" one.json)" = "$(grep -o "\"$key\": [0-9.]*" many.json)" ]
        done
    done
    mpirun -n 2 "$UNROLL" bench $small --reduction fast --json fast.json
    consistent fast.json 2
}

@test "the plan holds: peak memory of a larger model" {
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then skip "AddressSanitizer takes memory of its own"; fi
    run -0 "$UNROLL" bench --hidden 650 --batch 20 --bptt 35 --optimizer momentum --steps 1 --threads 1 --json b.json
    /usr/bin/python3 -c 'import json
b = json.load(open("b.json"))
assert abs(b["planned_bytes"] / b["peak_rss_bytes"] - 1) < 0.1, b'
}

@test "what train would refuse is refused" {
    run -78 --separate-stderr mpirun -n 3 "$UNROLL" bench --batch 2 --vocab-size 65 --threads 1
    [ "$(grep -c "use at most 2 ranks" <<<"$stderr")" -eq 1 ]
    run -78 --separate-stderr "$UNROLL" bench --tied --embedding 3
    [[ "$stderr" == *"--tied"* ]]
    run -79 --separate-stderr "$UNROLL" bench $small --optimizer momentum --lr 1e6 --clip none --cell rnn-relu
    [[ "$stderr" == *"not finite"*"--lr"* ]]
    run -64 --separate-stderr "$UNROLL" bench --corpus x.h5
    [ ! -e b.json ]
}
