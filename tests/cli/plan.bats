#!/usr/bin/env bats
# unroll plan: what a run needs, told without a corpus.

bats_require_minimum_version 1.5.0
load refusal

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# value FILE EXPRESSION: of a JSON file, with the object called `p`.
value() {
    python3 -c 'import json, sys; p = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# refused STATUS TEXT ARGUMENT...: one line on stderr with TEXT in it, nothing on stdout, no file.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" plan --json p.json "${@:3}"
    [ ! -e p.json ]
}

@test "memory adds up, and both forms say the same" {
    run -0 --separate-stderr "$UNROLL" plan --hidden 650 --batch 20 --bptt 35 --ranks 2 --threads 1 --json p.json
    [ -z "$stderr" ]
    [ "$(value p.json 'sum(v for k, v in p["memory"].items() if k != "total") == p["memory"]["total"]')" = True ]
    [ "$(value p.json 'p["memory_of_others"]["checkpoint"]')" = 0 ]
    [ "$(value p.json 'p["parameters"]')" = 19780400 ]
    [ "$(value p.json 'p["flops_per_step"] == 700 * 6 * (4 * 4 * 650 * 650 + 10000 * 650)')" = True ]
    # and for each row of the embedding, which may rest, the step that it was updated in
    [ "$(value p.json '0 <= p["memory"]["optimizer"] - 2 * p["memory"]["parameters"] < 6 * 10000')" = True ]
    [[ "$output" == *"parameters   19780400"* ]]
    total=$(value p.json '"%.1f" % (p["memory"]["total"] / 2**20)')
    [[ "$output" == *"total"*"$total"* ]]
    [[ "$output" == *"2 of 1 thread, 10 lanes each; at most 10"* ]]
}

@test "ranks need memory for gradients and a wire; one suggestion is made" {
    "$UNROLL" plan --batch 12 --bptt 64 --lane-groups 12 --ranks 4 --threads 1 --json p.json
    [ "$(value p.json 'sum(s["suggested"] for s in p["splits"])')" = 1 ]
    [ "$(value p.json 'all(s["ranks"] * s["threads"] == 4 for s in p["splits"])')" = True ]
    [ "$(value p.json 'p["wire_bytes_per_step"] == [s for s in p["splits"] if s["ranks"] == 4][0]["wire_bytes_per_step"] > 0')" = True ]
    "$UNROLL" plan --batch 12 --bptt 64 --threads 1 --json q.json
    [ "$(value q.json 'p["wire_bytes_per_step"]')" = 0 ]
}

@test "options of train change what they should" {
    "$UNROLL" plan --optimizer sgd --threads 1 --json sgd.json
    [ "$(value sgd.json 'p["memory"]["optimizer"] < 6 * 10000')" = True ]
    # of a checkpoint nothing is in memory but the states of all lanes: h and c, two layers
    [ "$(value sgd.json 'p["memory"]["checkpoint"]')" = $((32 * 4 * 256 * 4)) ]
    "$UNROLL" plan --optimizer sgd --threads 1 --tied --json tied.json
    [ "$(value tied.json 'p["memory"]["gradients"] - p["memory"]["parameters"]')" = 10240000 ]
    # the configuration of a run serves, too
    printf '[train]\nhidden = 100\nepochs = 3\n[plan]\nranks = 2\n' >run.ini
    "$UNROLL" plan --config run.ini --threads 1 --json ini.json
    [ "$(value ini.json 'p["ranks"]')" = 2 ]
}

@test "every optimizer has a plan; one that averages takes memory for the average" {
    for optimizer in sgd ntasgd momentum adagrad rmsprop adam adamw; do
        "$UNROLL" plan --optimizer $optimizer --threads 1 --json $optimizer.json
    done
    [ "$(value ntasgd.json 'p["memory"]["optimizer"] >= 4 * p["parameters"]')" = True ]
    "$UNROLL" bench --optimizer ntasgd --hidden 8 --layers 1 --vocab-size 20 --steps 1 --threads 1 >bench.txt
}

@test "what train would refuse is refused, with what would do" {
    refused 78 "use at most 2 ranks" --batch 2 --ranks 3
    refused 78 "--lane-groups 8 or more" --batch 16 --lane-groups 4 --ranks 8
    refused 78 "'--tied'" --tied --embedding 3
    refused 78 "write 1 to 4" --batch 4 --lane-groups 5
    refused 78 "too large: a rank takes at most 1073741823 tokens at once" --batch 1048576 --bptt 65535
    refused 64 "--vocab-size" --vocabsize 5
}

@test "no array of tokens x vocabulary" {
    "$UNROLL" plan --vocab-size 200000 --hidden 256 --batch 64 --bptt 64 --threads 1 --json p.json
    [ "$(value p.json 'p["memory"]["workspace"] < 64 * 64 * 200000 * 4 / 2')" = True ]
}

@test "a report that cannot be written is an error" {
    run -73 --separate-stderr "$UNROLL" plan --threads 1 --json no/such/folder/p.json
    [[ "$stderr" == *"no/such/folder"* ]]
}

@test "a report to standard output follows the text, and replaces nothing" {
    ln -s /proc/self/fd/1 link
    "$UNROLL" plan --threads 1 --json link | tail -n 1 | python3 -m json.tool >/dev/null
    "$UNROLL" plan --threads 1 --json link >both
    [ -L link ]
    [[ "$(head -n 1 both)" == "model "* ]]
    tail -n 1 both | python3 -m json.tool >/dev/null
    [ "$(ls)" = $'both\nlink' ]
}

@test "many ranks are predicted from steps of one" {
    small="--cell gru --layers 1 --hidden 32 --vocab-size 50 --bptt 8 --steps 1 --threads 1"
    "$UNROLL" bench $small --batch 8 --json 8.json >/dev/null
    "$UNROLL" bench $small --batch 2 --json 2.json >/dev/null
    run -0 --separate-stderr "$UNROLL" plan --nodes 1000 --network 30us,1Gbit --batch 1024 --lane-groups 1024 \
        --from 8.json 2.json --json p.json
    [ -z "$stderr" ]
    [[ "$output" == *"steps of 2 and 8 lanes on one rank of 1 thread"* ]]
    [[ "$output" == *"strong scaling: 1024 lanes in all, on at most 1024 ranks"* ]]
    [[ "$output" == *"weak scaling: 8 lanes for each rank"* ]]
    [ "$(grep -c "on 1000 ranks a step is" <<<"$output")" -eq 2 ]
    [[ "$output" == *"model        gru, 1 layer, embedding 32, hidden 32, vocabulary 50"* ]]
    python3 - <<'EOF'
import json, math
plan, bench = json.load(open("p.json")), json.load(open("8.json"))
p = plan["prediction"]
assert plan["ranks"] == 1000 and plan["ranks_max"] == p["strong_ranks_max"] == 1024, plan
link = p["between_nodes"]
assert math.isclose(link["latency"], 30e-6) and math.isclose(link["start_up"], 30e-6) and link["bandwidth"] == 125e6, p
assert p["measured_lanes"] == [2, 8] and p["ranks_per_node"] == p["threads"] == 1, p
for rows in p["strong"], p["weak"]:
    assert [row["ranks"] for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000], rows
    assert rows[0]["efficiency"] == 1 and rows[0]["sum_seconds"] == 0, rows[0]
    for row in rows:
        parts = sum(row[name + "_seconds"] for name in ("computing", "update", "losses", "sum"))
        assert math.isclose(row["step_seconds"], parts, rel_tol=1e-9), row
        assert math.isclose(row["tokens_per_second"], row["batch"] * 8 / parts, rel_tol=1e-9), row
        assert row["bound_seconds"] <= row["sum_seconds"], row
first = p["weak"][0]  # what bench measured itself
assert math.isclose(first["step_seconds"], bench["ms_per_step"] / 1000, rel_tol=1e-9), first
EOF
    # the wire of two hosts, as bench --network tells it
    mpirun -n 2 "$UNROLL" bench $small --network --json two.json >/dev/null
    run -0 "$UNROLL" plan --nodes 2 --ranks-per-node 2 --network 1us,1GB --from 8.json two.json --json q.json
    [ "$(value q.json 'p["prediction"]["inside_nodes"] == {k: json.load(open("two.json"))["network"]["inside_hosts"][k] for k in ("latency", "start_up", "bandwidth")}')" = True ]
}

@test "predictions that cannot be made are refused" {
    refused 78 "without a measured step; run 'unroll bench' on one rank" --nodes 4
    refused 66 "no/such.json" --nodes 4 --from no/such.json
    "$UNROLL" bench --layers 1 --hidden 16 --vocab-size 20 --batch 4 --bptt 3 --steps 1 --threads 1 --json b.json >/dev/null
    refused 78 "add --network LATENCY,BANDWIDTH" --nodes 4 --from b.json
    refused 64 "no LATENCY,BANDWIDTH with units" --nodes 4 --from b.json --network 30us
    refused 78 "'--hidden' as given" --nodes 4 --from b.json --network 1us,1GB --hidden 17
    refused 78 "at most 1048576 ranks in all" --nodes 1000000 --ranks-per-node 2 --from b.json --network 1us,1GB
    refused 78 "--lane-groups 1 to 4" --nodes 2 --lane-groups 5 --from b.json --network 1us,1GB
    echo '{"ranks": 1}' >x.json
    refused 65 "added_floats_per_second" --nodes 2 --from x.json --network 1us,1GB
}

@test "a corpus says vocabulary, labels and lanes as train takes them; what is assumed is said" {
    for i in {1..900}; do echo "line $i of a text"; done >text
    "$UNROLL" prepare --train text --split 90,5,5 -o c.h5 | tee prepared
    "$UNROLL" plan --hidden 8 --threads 1 >said
    grep -qx 'vocabulary   10000, assumed: --vocab-size or --corpus says it' said
    grep -qx 'lanes        32, assumed: --batch or --corpus says it' said
    "$UNROLL" plan --hidden 8 --threads 1 --corpus c.h5 --json q.json >said
    [ "$(value q.json 'p["vocabulary_assumed"]')" = False ]
    grep -q "vocabulary of $(value q.json 'p["vocabulary"]') tokens" prepared
    run -1 grep assumed said
    "$UNROLL" train --corpus c.h5 --run r --hidden 8 --max-steps 1 --threads 1 2>log
    grep -q -- "--batch $(sed -n 's/^step  *\([0-9]*\) lanes.*/\1/p' said) (" log
    "$UNROLL" plan --config r/config.ini --threads 1 >of_run # the same run
    diff said of_run
    "$UNROLL" plan --corpus c.h5 --vocab-size 50 --batch 4 --hidden 8 --threads 1 | grep -q 'vocabulary 50'
    refused 66 "cannot open corpus 'absent.h5': no such file" --corpus absent.h5
    refused 78 "cannot use '--corpus' together with '--nodes'" --corpus c.h5 --nodes 2
    mv c.h5 d.h5
    run -0 --separate-stderr "$UNROLL" plan --config r/config.ini --threads 1
    [[ "$output" == *"vocabulary   10000, assumed"* && -z "$stderr" ]]
    printf '%s\n' {a,b,c}$'\t'text >labelled
    "$UNROLL" prepare --train labelled --labelled -o l.h5
    "$UNROLL" plan --task classify --corpus l.h5 --threads 1 | grep -q 'classify, 3 labels'
}
