#!/usr/bin/env bats
# The scripts that measure output layers for large vocabularies: that they ask for the right runs, and report what these
# gave. What they measure is for people.

bats_require_minimum_version 1.5.0

setup() {
    tools="$BATS_TEST_DIRNAME/../../tools"
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then skip "nothing here that is not tested elsewhere"; fi
    cd "$BATS_TEST_TMPDIR"
}

# A program that writes what `train` and `bench` would, and its options into the file asked. By --output-layer a run has
# a loss and a speed; validations stand at every tenth of 100 steps, and full learns half as fast as the others.
fake_unroll() {
    cat >unroll <<'TEXT'
#!/usr/bin/env python3
import json, os, sys
words = sys.argv[1:]
value = lambda name, other=None: words[words.index(name) + 1] if name in words else other
open("asked", "a").write(" ".join(words) + "\n")
layer = value("--output-layer", "full")
speed = {"full": 100.0, "adaptive": 500.0, "sampled": 800.0, "nce": 700.0}[layer] * (2 if "OMPI_COMM_WORLD_SIZE" in os.environ else 1)
if words[0] == "--version":
    print("unroll fake")
elif words[0] == "inspect":
    print(json.dumps({"vocabulary": {"size": 3000}, "train": {"tokens": 56000}}))
elif words[0] == "bench":
    json.dump({"tokens_per_second": speed / int(value("--vocab-size")) * 1000, "peak_rss_bytes": 3 << 20, "planned_bytes": 2 << 20},
              open(value("--json"), "w"))
elif words[0] == "train":
    os.makedirs(value("--run"), exist_ok=True)
    loss = {"full": 4.0, "adaptive": 4.01, "sampled": 4.2, "nce": 4.05}[layer]
    with open(value("--run") + "/metrics.jsonl", "w") as metrics, open(value("--run") + "/timing.jsonl", "w") as timing:
        for k in range(1, 11):
            seconds = 1.0 if layer == "full" else 0.3
            timing.write(json.dumps({"type": "train", "step": 10 * k, "seconds": seconds, "tokens_per_second": speed + k}) + "\n")
            metrics.write(json.dumps({"type": "train", "step": 10 * k, "loss": 9.0}) + "\n")
            metrics.write(json.dumps({"type": "valid", "step": 10 * k, "loss": max(loss, 5 - k * (0.1 if layer == "full" else 0.2))}) + "\n")
    json.dump({"exit_status": 0, "valid_loss": loss, "test_loss": loss + 0.5, "tokens_per_second": speed, "train_loss": 1.0,
               "parameters_digest": "0123456789abcdef"}, open(value("--json-summary"), "w"))
TEXT
    chmod +x unroll
    export UNROLL=$PWD/unroll
    echo text >text
}

@test "compare-outputs --words: perplexities, how far they are from the full softmax's, and bounds" {
    fake_unroll
    run -0 --separate-stderr "$tools/compare-outputs" --words text text text --seeds 1,2 --samples 50 --work runs --json out.json
    echo "$output"
    # e^4.5 = 90.02; 1.01 %, 22.1 % and 5.1 % above
    grep -qF '| full | 90.02, 90.02 | 90.02 | - | - | 54.60 | 100 | `0123456789ab` |' <<<"$output"
    grep -qF '| adaptive | 90.92, 90.92 | 90.92 | +1.01 % | within 2 % |' <<<"$output"
    grep -qF '| sampled | 109.95, 109.95 | 109.95 | +22.14 % | MORE THAN 6 % |' <<<"$output"
    grep -qF '| nce | 94.63, 94.63 | 94.63 | +5.13 % | within 6 % |' <<<"$output"
    [ "$(grep -c '^train ' asked)" -eq 8 ]
    [ "$(grep -c -- '--layers 2 --hidden 200 .*--epochs 8 ' asked)" -eq 8 ]
    [ "$(grep -c -- '--output-layer \(sampled\|nce\) --samples 50$' asked)" -eq 4 ]
    [ "$(grep -c -- '--output-layer' asked)" -eq 6 ]
    python3 -c 'import json; assert [x["layer"] for x in json.load(open("out.json"))] == ["full", "adaptive", "sampled", "nce"]'
    run -0 --separate-stderr "$tools/compare-outputs" --words text text text --output-layers adaptive --cutoffs 5,9 --work runs
    tail -n 1 asked | grep -q -- '--run runs/words-adaptive-seed1-cutoffs5_9 .*--output-layer adaptive --cutoffs 5,9$'
    sed -i '$d' asked
    # what is finished is not trained again
    run -0 --separate-stderr "$tools/compare-outputs" --words text text text --seeds 1,2 --samples 50 --work runs
    [ "$(grep -c '^train ' asked)" -eq 8 ]
}

@test "compare-outputs --docs: when a layer reaches 1.02 times the full softmax's perplexity" {
    fake_unroll
    run -0 --separate-stderr "$tools/compare-outputs" --docs text --work runs
    echo "$output"
    # The goal is 1.02 e^4 = 55.69, a loss of 4.0198: full has it at step 100, adaptive (4.01) at step 50, after 1.5 s.
    grep -qF '| output layer | validation perplexity | test | tokens/s | seconds | reaches 55.69 after | share of all of full |' <<<"$output"
    grep -qF '| full | 54.60 | 90.02 | 100 | 10 | 10 | 1.00 |' <<<"$output"
    grep -qF '| adaptive | 55.15 | 90.92 | 500 | 3 | 2 | 0.15 |' <<<"$output"
    # 2 epochs of 56000 tokens are 100 steps of 32 x 35; 40 validations
    [ "$(grep -c -- '--layers 1 --hidden 256 .*--epochs 2 --eval-every 2 --log-every 2 ' asked)" -eq 2 ]
    run -66 "$tools/compare-outputs" --docs none --megabytes 1 --work runs
    [[ "$output" == "unroll: cannot open 'none': "* ]]
    printf 'one two\nthree four\nfive' >text
    run -0 "$tools/compare-outputs" --docs text --megabytes 0.00002 --output-layers full --work runs
    [ "$(cat runs/docs2e-05.txt)" = $'one two\nthree four' ]
}

@test "compare-outputs: mistakes are told" {
    fake_unroll
    run -64 "$tools/compare-outputs" --seeds 1
    [[ "$output" == *"give --seeds, and --words, --docs or both"* ]]
    run -64 "$tools/compare-outputs" --docs text --output-layers full,half
    [[ "$output" == *"'full,half' of --output-layers"* ]]
    run -73 "$tools/compare-outputs" --docs text --json text
    [ "$(cat text)" = text ]
}

@test "benchmark --vocabulary: speeds against the first layer, ranks against one, memory, and a text" {
    fake_unroll
    printf '#!/bin/sh\nshift 2\nOMPI_COMM_WORLD_SIZE=2 exec "$@"\n' >two
    chmod +x two
    MPIRUN=./two run -0 --separate-stderr "$tools/benchmark" --vocabulary --unroll ./unroll --rounds 2 --vocab-sizes 1000,4000 \
        --ranks-at 4000 --optimizers sgd,adam --text text --json out.json
    echo "$output"
    for optimizer in sgd adam; do
        grep -qF "| tokens/s, $optimizer | full | adaptive | against full | sampled | against full | nce | against full |" <<<"$output"
        grep -qF "| ranks against one, $optimizer | full | adaptive | sampled | nce |" <<<"$output"
        grep -qF "| peak memory, MiB (planned), $optimizer | full |" <<<"$output"
    done
    [ "$(grep -cF '| V 1000 | 100 | 500 | 5.0 | 800 | 8.0 | 700 | 7.0 |' <<<"$output")" -eq 2 ]
    [ "$(grep -cF '| V 4000 | 25.0 | 125 | 5.0 | 200 | 8.0 | 175 | 7.0 |' <<<"$output")" -eq 2 ]
    [ "$(grep -cF '| text, V 3000 | 106 | 506 | 4.8 | 806 | 7.6 | 706 | 6.7 |' <<<"$output")" -eq 2 ]
    [ "$(grep -cF '| V 4000, 2 ranks | 2.00 | 2.00 | 2.00 | 2.00 |' <<<"$output")" -eq 2 ]
    [ "$(grep -cF '| V 1000 | 3 (2) | 3 (2) | 3 (2) | 3 (2) |' <<<"$output")" -eq 2 ]
    [ "$(grep -c '^bench ' asked)" -eq 48 ] && [ "$(grep -c '^train ' asked)" -eq 16 ]
    [ "$(grep -c '^bench .*--hidden 256 .*--batch 32 --bptt 35 .*--vocab-size 4000 .*--output-layer sampled --samples 1000 ' asked)" -eq 8 ]
    python3 -c 'import json; assert len(json.load(open("out.json"))["measurements"]) == 32'
    run -64 "$tools/benchmark" --vocabulary --unroll ./unroll --output-layers half
    [[ "$output" == *"'half' of --output-layers"* ]]
    run -64 "$tools/benchmark" --vocabulary --unroll ./unroll --rounds 0
    run -73 "$tools/benchmark" --vocabulary --unroll ./unroll --text text --json text
}

@test "benchmark --vocabulary and compare-outputs by the program itself" {
    seq 400 | sed 's/.*/the word & stands here , and &/' >text
    run -0 --separate-stderr "$tools/benchmark" --vocabulary --unroll "$UNROLL" --rounds 1 --vocab-sizes 2000 --ranks-at 2000 --steps 1 \
        --text text
    echo "$output" "$stderr"
    [ "$(grep -c '^| V 2000' <<<"$output")" -eq 3 ]
    [[ "$output" == *"| text, V "* ]]
    run -0 --separate-stderr "$tools/compare-outputs" --words text text text --docs text --max-steps 2 --work runs
    echo "$output" "$stderr"
    [ "$(grep -cE '^\| (full|adaptive|sampled|nce) ' <<<"$output")" -eq 6 ]
}
