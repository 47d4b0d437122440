#!/usr/bin/env bats
# unroll bench: numbers that belong together, alone and over ranks. Nothing here depends on how fast the machine is.

bats_require_minimum_version 1.5.0

small="--layers 2 --hidden 48 --vocab-size 101 --batch 6 --bptt 7 --steps 1 --threads 1"

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# consistent FILE RANKS: what must hold for any machine.
consistent() {
    python3 - "$1" "$2" <<'EOF'
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
    [ -z "$(grep -v -e "threads waited" -e "give this process cores" <<<"$stderr")" ] # of a busy machine it may speak
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

@test "the network: pairs, hosts and the sum of gradients" {
    run -0 --separate-stderr "$UNROLL" bench $small --network --json one.json
    [[ "$output" == *"network of 1 rank on 1 host"* ]]
    run -0 --separate-stderr mpirun -n 3 "$UNROLL" bench $small --network --json three.json
    [ "$(grep -c "network of 3 ranks on 1 host" <<<"$output")" -eq 1 ]
    [[ "$output" == *"slowest pair   ranks "*"($(hostname))"* ]]
    [[ "$output" == *"gradient sum"*"no sum takes less than"* ]]
    consistent three.json 3
    python3 - <<'EOF'
import json, socket
one, three = (json.load(open(f"{name}.json"))["network"] for name in ("one", "three"))
assert one["pairs"] == [] and one["between_hosts"] is one["inside_hosts"] is one["slowest_pair"] is None, one
assert one["imbalance"] == 1 and one["hosts"][0]["ranks"] == 1, one
assert sorted(pair["ranks"] for pair in three["pairs"]) == [[0, 1], [0, 2], [1, 2]], three
for pair in three["pairs"]:
    assert pair["latency"] >= pair["latency_min"] > 0 and pair["start_up"] >= pair["latency"], pair
    assert pair["bandwidth"] > 0 and pair["throughput"] > 0 and not pair["slow"], pair
    assert pair["hosts"] == [socket.gethostname()] * 2, pair
assert three["between_hosts"] is None and three["inside_hosts"]["pairs"] == 3, three
assert three["slow_links"] == three["slow_hosts"] == [], three
assert [rank["lanes"] for rank in three["by_rank"]] == [2, 2, 2] and three["ranks_per_host"] == 3, three
assert all(rank["compute_seconds"] > 0 and rank["sgemm_gflops"] > 0 for rank in three["by_rank"]), three
sums = three["sum"]
assert sums["seconds"] >= sums["seconds_min"] > 0 and sums["model_seconds"] > sums["bound_seconds"] > 0, sums
whole = 4 * (2 * 101 * 48 + 112 + 2 * 4 * 48 * (2 * 48 + 2))  # 112: 101 biases, padded
rows = (whole - sums["bytes"]) / (4 * 48)  # of the embedding, which no token of the window touches
assert 101 - 6 * 7 <= rows < 101 and rows == int(rows), sums
EOF
}

@test "the plan holds: peak memory of a larger model" {
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then skip "AddressSanitizer takes memory of its own"; fi
    run -0 "$UNROLL" bench --hidden 650 --batch 20 --bptt 35 --optimizer momentum --steps 1 --threads 1 --json b.json
    python3 -c 'import json
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
