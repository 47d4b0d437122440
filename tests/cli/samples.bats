#!/usr/bin/env bats
# train --sample-every: what the model writes while it learns is what 'unroll sample' writes with the checkpoint of the step,
# and nothing else of the run changes. What is logged is harmless, and the tools that read runs take it.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_text 150 | sed 's/lane/Grüße €/; s/window/a\\b\tc/' >text.txt
    for level in char word byte; do
        "$UNROLL" prepare --level $level --train text.txt --split 80,20 -o $level.h5 >/dev/null
    done
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.h5 .
    small=(--hidden 16 --layers 2 --batch 6 --bptt 12 --dropout 0.2 --threads 1 --lr 0.01 --log-every 5 --keep 9)
}

# refused STATUS TEXT OPTION...: no training happens, one line says why.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" train "${@:3}"
    [ -z "$output" ]
}

# as_printed RUN LENGTH SEED: each sample of RUN's metrics.jsonl is what `sample` prints with the checkpoint of its step.
as_printed() {
    python3 - "$@" <<'CHECK'
import json, os, subprocess, sys
run, length, seed = sys.argv[1:]
lines = [json.loads(line) for line in open(run + "/metrics.jsonl", encoding="utf-8")]
samples = [line for line in lines if line["type"] == "sample"]
assert samples
for line in samples:
    assert list(line) == ["type", "step", "text"], line
    out = subprocess.run([os.environ["UNROLL"], "sample", "--model", "%s/checkpoints/step-%08d.h5" % (run, line["step"]),
                          "--length", length, "--seed", seed], stdout=subprocess.PIPE, check=True).stdout
    # bytes that are no UTF-8 stand as \xHH; `sample` ends the last line
    wanted = out.decode("utf-8", "backslashreplace")
    assert line["text"] in (wanted, wanted[:-1]), (line, wanted)
CHECK
}

@test "a sample is what 'sample' prints with the checkpoint of the step and the run's seed, at each level" {
    for level in char word byte; do
        "$UNROLL" train --corpus $level.h5 --run $level "${small[@]}" --seed 5 --max-steps 24 --checkpoint-every 8 \
            --sample-every 8 --sample-length 90 2>$level.log
        [ "$(lines_of sample $level/metrics.jsonl | field step | paste -sd' ')" = "8 16 24" ]
        as_printed $level 90 5
    done
    # bytes of the first steps are anything, and so are those of a text that breaks off
    grep -q 'x[89a-f]' <(lines_of sample byte/metrics.jsonl)
    # 200 tokens unless told; another seed, another text
    "$UNROLL" train --corpus char.h5 --run usual "${small[@]}" --max-steps 8 --checkpoint-every 8 --sample-every 8 2>log
    as_printed usual 200 1
}

@test "nothing else changes, on any ranks, and after a resume" {
    options=(--corpus char.h5 "${small[@]}" --eval-every 10 --checkpoint-every 7)
    "$UNROLL" train "${options[@]}" --max-steps 20 --run plain 2>log
    "$UNROLL" train "${options[@]}" --max-steps 20 --run samples --sample-every 5 2>log
    on 3 "$UNROLL" train "${options[@]}" --max-steps 20 --run three --sample-every 5 2>log
    "$UNROLL" train "${options[@]}" --max-steps 10 --run parts --sample-every 5 2>log
    on 2 "$UNROLL" train --max-steps 20 --run parts 2>log # as config.ini has it
    [ "$(lines_of sample samples/metrics.jsonl | field step | paste -sd' ')" = "5 10 15 20" ]
    cmp plain/metrics.jsonl <(grep -v '"sample"' samples/metrics.jsonl)
    cmp samples/metrics.jsonl three/metrics.jsonl
    cmp samples/metrics.jsonl parts/metrics.jsonl
}

@test "with 'epoch' samples come at the end of each; what is refused" {
    "$UNROLL" train --corpus word.h5 --run epochs "${small[@]}" --batch 16 --epochs 3 --checkpoint-every epoch \
        --sample-every epoch --sample-length 12 2>log
    steps=$(($(lines_of end epochs/metrics.jsonl | field step) / 3))
    [ "$(lines_of sample epochs/metrics.jsonl | field step | paste -sd' ')" = "$steps $((2 * steps)) $((3 * steps))" ]
    grep -qx 'sample-every = "epoch"' epochs/config.ini
    as_printed epochs 12 1
    refused 78 "bad value '0' for '--sample-every': out of range; write 'never', 'epoch', or 1 to " \
        --corpus char.h5 --run no --sample-every 0
    refused 78 "bad value '0' for '--sample-length'" --corpus char.h5 --run no --sample-every 5 --sample-length 0
    refused 78 "write 1 to 10000" --corpus char.h5 --run no --sample-every 5 --sample-length 10001
    refused 78 "cannot use '--sample-length' without '--sample-every'" --corpus char.h5 --run no --sample-length 50
    refused 78 "cannot use '--sample-every' with --task classify: a classifier writes no text" \
        --corpus char.h5 --run no --task classify --sample-every 5
    "$UNROLL" prepare --level char --min-count 1000000 --train "$BATS_FILE_TMPDIR/text.txt" -o unknown.h5 >/dev/null
    refused 78 "'unknown.h5' has no entry but '<unk>', which is never written" --corpus unknown.h5 --run no "${small[@]}" \
        --sample-every 5
    [ ! -e no ]
}

@test "the log shows samples within 80 columns, with nothing in them that a terminal would obey" {
    printf '\033[2J\a\r\t\302\233\377\n' >controls.txt
    for _ in $(seq 9); do cat controls.txt controls.txt >twice.txt && mv twice.txt controls.txt; done
    for level in char byte; do
        text=controls.txt
        [ $level = byte ] || { iconv -c -f UTF-8 -t UTF-8 controls.txt >text.txt && text=text.txt; }
        "$UNROLL" prepare --level $level --train $text --split 80,20 -o controls.h5 >/dev/null
        "$UNROLL" train --corpus controls.h5 --run $level "${small[@]}" --max-steps 10 --sample-every 10 --sample-length 400 \
            2>log
        sed -n '/^sample at step 10:$/,/^[^ ]*finished/p' log | grep '^  | ' >sample
        [ "$(wc -l <sample)" -ge 5 ]
        [ "$(wc -L <sample)" -le 80 ]
        [ -z "$(tr -d '\n -~' <sample)" ]
        grep -q 'x1b.*x07' sample
    done
    # long lines are cut between words
    "$UNROLL" train --corpus word.h5 --run words "${small[@]}" --max-steps 400 --sample-every 400 --sample-length 150 2>log
    grep '^  | ' log >sample
    [ "$(wc -L <sample)" -le 80 ] && [ "$(wc -L <sample)" -gt 60 ]
    cmp <(cut -c5- sample | tr -s ' \n' ' ') \
        <("$UNROLL" sample --model words/latest --length 150 | expand | tr -s ' \n' ' ')
}

@test "weights that have gone astray give no sample, and the run ends as it would" {
    options=(--corpus char.h5 "${small[@]}" --cell rnn-relu --optimizer sgd --lr 1e6 --clip none --max-steps 30)
    run -79 "$UNROLL" train "${options[@]}" --run plain
    run -79 "$UNROLL" train "${options[@]}" --run astray --sample-every 1
    [[ "$output" == *"unroll: warning: no sample at step 1: the weights give no finite probabilities"* ]]
    [ "$(lines_of sample astray/metrics.jsonl | head -n 1)" = '{"type": "sample", "step": 1, "text": null}' ]
    cmp plain/metrics.jsonl <(grep -v '"sample"' astray/metrics.jsonl)
}

@test "the memory of samples is planned" {
    "$UNROLL" plan --threads 1 --ranks 2 --json without.json
    "$UNROLL" plan --threads 1 --ranks 2 --sample-every 10 --json with.json
    python3 -c '
import json
a, b = (json.load(open(name)) for name in ("without.json", "with.json"))
more = b["memory"]["evaluator"] - a["memory"]["evaluator"]
assert more > a["memory"]["parameters"] / 3 and b["memory"]["total"] - a["memory"]["total"] == more, more
assert a["memory_of_others"] == b["memory_of_others"]'
}

@test "tools that read runs take samples, and the page shows them" {
    tools=${BATS_TEST_DIRNAME%/tests/cli}/tools
    for seed in 1 2; do
        "$UNROLL" train --corpus byte.h5 --run runs/lr-0.01_seed-$seed "${small[@]}" --seed $seed --max-steps 20 \
            --eval-every 10 --sample-every 5 --sample-length 60 2>log
    done
    run -0 --separate-stderr "$tools/report" runs/lr-0.01_seed-{1,2} -o page.html --samples 2
    [ -z "$stderr" ]
    [ "$(grep -c 'Step 5<small>while it learned' page.html)" -eq 2 ]
    [ "$(grep -c 'Step 20<small>while it learned' page.html)" -eq 2 ]
    run -0 --separate-stderr "$tools/plot" loss runs/lr-0.01_seed-{1,2} -o loss.svg
    [ -z "$stderr" ]
    printf 'lr seed\n0.01 1\n0.01 2\n' >table
    run -0 --separate-stderr "$tools/sweep" table runs --report
    [ -z "$stderr" ]
    [ "$(grep -c '	max steps	20	' runs/results.tsv)" -eq 2 ]
}
