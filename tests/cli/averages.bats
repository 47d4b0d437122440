#!/usr/bin/env bats
# Averages of weights: what is judged, kept, sampled and tested is the average; options that do not go together are refused.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    "$UNROLL" prepare --level char --train c.txt -o alone.h5 >/dev/null
    small=(--corpus c.h5 --hidden 16 --layers 1 --batch 10 --bptt 12 --threads 1 --eval-every 10)
    "$UNROLL" train "${small[@]}" --optimizer ntasgd --lr 8 --nonmono 2 --max-steps 600 --patience none --run nt \
        --json-summary nt.json 2>nt.log
    "$UNROLL" train "${small[@]}" --optimizer sgd --lr 8 --schedule constant --max-steps 600 --patience none --run plain 2>plain.log
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.h5 .
    cp -r "$BATS_FILE_TMPDIR"/{nt,plain} .
    small=(--corpus c.h5 --hidden 16 --layers 1 --batch 10 --bptt 12 --threads 1)
}

train() {
    "$UNROLL" train "${small[@]}" "$@"
}

@test "ntasgd is sgd until validation stalls; then its losses are those of the average" {
    since=$(lines_of average nt/metrics.jsonl | field since)
    [ "$(lines_of valid nt/metrics.jsonl | field averaged_since | sort -u)" = "$since" ]
    # training does not see the average: nothing in its lines differs
    diff <(lines_of train nt/metrics.jsonl) <(lines_of train plain/metrics.jsonl)
    diff <(lines_of valid nt/metrics.jsonl | grep -v averaged) \
        <(lines_of valid plain/metrics.jsonl | head -n "$((since / 10))")
    # the rule of awd-lstm-lm, on the losses of the run without averages
    python3 - plain/metrics.jsonl "$since" <<'END'
import json, sys
valid = [line for line in map(json.loads, open(sys.argv[1])) if line["type"] == "valid"]
losses = [line["loss"] for line in valid]
worse = [i for i in range(len(losses)) if i > 2 and losses[i] > min(losses[:i - 2])]
assert valid[worse[0]]["step"] == int(sys.argv[2]), (worse, sys.argv[2])
END
    # averages are better than the weights that they are of, and smoother
    [ "$(field valid_loss nt/metrics.jsonl)" \< "$(field valid_loss plain/metrics.jsonl)" ]
}

@test "log, summary, inspect and runs say since when weights are averages" {
    since=$(lines_of average nt/metrics.jsonl | field since)
    grep -q "averaging begins at step $since" "$BATS_FILE_TMPDIR/nt.log"
    grep -Eq "(last weights|last weights are the best), step 600, averaged since step $since" "$BATS_FILE_TMPDIR/nt.log"
    [ "$(field averaged_since "$BATS_FILE_TMPDIR/nt.json")" = "$since" ]
    [ "$(field best_averaged_since "$BATS_FILE_TMPDIR/nt.json")" = "$since" ]
    for file in latest best.h5; do
        "$UNROLL" verify "nt/$file"
        [ "$("$UNROLL" inspect --json "nt/$file" | field since_step)" = "$since" ]
    done
    [ "$("$UNROLL" inspect --json nt/latest | field weights_in_it)" = $((600 - since)) ]
    [ "$("$UNROLL" inspect --json nt/latest | field parameters_digest)" = "$(field parameters_digest "$BATS_FILE_TMPDIR/nt.json")" ]
    run -0 "$UNROLL" runs nt plain
    [[ "${lines[0]}" == *"averaged since"* ]]
    [ "$("$UNROLL" runs --json nt | field best_averaged_since)" = "$since" ]
    run -0 "$UNROLL" runs plain
    [[ "$output" != *averaged* ]]
}

@test "eval, sample and samples on the way use the average" {
    loss=$("$UNROLL" eval --model nt/latest --corpus c.h5 --split test --json | field loss)
    told=$(lines_of end nt/metrics.jsonl | field test_loss)
    awk -v a="$loss" -v b="$told" 'BEGIN { exit !(a - b < 1e-6 && b - a < 1e-6) }'
    train --average ema --max-steps 40 --sample-every 40 --sample-length 50 --run s 2>log
    "$UNROLL" sample --model s/latest --length 50 --seed 1 >sample
    [ "$(lines_of sample s/metrics.jsonl | python3 -c 'import json, sys; print(json.load(sys.stdin)["text"])')" = "$(cat sample)" ]
}

# With h5py: /model is the average of what /trained was.
@test "a run's checkpoints hold the averages of each other's weights" {
    train --average ema --average-decay 0.3 --max-steps 12 --checkpoint-every 1 --keep 20 --run e 2>log
    python3 - <<'END'
import h5py, numpy as np
name, a = "rnn.weight_hh_l0", None
for step in range(1, 13):
    with h5py.File(f"e/checkpoints/step-{step:08d}.h5", "r") as file:
        p, model, average = file["trained/" + name][:], file["model/" + name][:], dict(file["average"].attrs)
        assert "trained/decoder.bias" in file and average["count"] == step and average["began"] == 0
    keep = min(0.3, step / (9 + step))  # step - 1 are in it
    a = p if a is None else keep * a + (1 - keep) * p
    assert np.abs(a - model).max() < 1e-6, step
    assert step == 1 or np.abs(p - model).max() > 1e-5
with h5py.File("e/best.h5", "r") as file:
    assert "trained" not in file and file["average"].attrs["kind"] in (b"ema", "ema")
END
    train --average epochs --average-from 2 --epochs 4 --checkpoint-every epoch --keep 9 --run p 2>log
    python3 - <<'END'
import glob, h5py, numpy as np
seen = []
for path in sorted(glob.glob("p/checkpoints/*.h5")):
    with h5py.File(path, "r") as file:
        averaged = file["average"].attrs["count"] > 0
        seen.append(file["trained/encoder.weight" if averaged else "model/encoder.weight"][:])
        assert file["average"].attrs["count"] == max(len(seen) - 1, 0)
        assert len(seen) == 1 or np.abs(np.mean(seen[1:], axis=0) - file["model/encoder.weight"][:]).max() < 1e-6
assert len(seen) == 4
END
}

@test "a branch that averages alike goes on; another, and --init-from, start from the average" {
    train --optimizer ntasgd --lr 8 --nonmono 2 --max-steps 610 --patience none --eval-every 10 --run whole 2>log
    train --optimizer ntasgd --lr 8 --nonmono 2 --max-steps 610 --patience none --eval-every 10 --run nt --branch same 2>log
    [ "$(lines_of end whole/metrics.jsonl | field parameters_digest)" = "$(lines_of end same/metrics.jsonl | field parameters_digest)" ]
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --optimizer sgd --lr 1e-9 --schedule constant --max-steps 610 \
        --patience none --eval-every 10 --run nt --branch other
    [[ "$stderr" == *"starting from the average of the weights since step"* ]]
    awk -v a="$(lines_of valid other/metrics.jsonl | field loss | tail -n 1)" -v b="$(lines_of end nt/metrics.jsonl | field valid_loss)" \
        'BEGIN { exit !(a - b < 1e-4 && b - a < 1e-4) }'
    [ "$("$UNROLL" inspect --json other/latest | field since_step)" = "" ]
    train --optimizer sgd --lr 1e-9 --schedule constant --max-steps 10 --eval-every 10 --init-from nt/latest --run i 2>log
    awk -v a="$(lines_of valid i/metrics.jsonl | field loss)" -v b="$(lines_of end nt/metrics.jsonl | field valid_loss)" \
        'BEGIN { exit !(a - b < 1e-3 && b - a < 1e-3) }'
}

@test "an average that has not begun is told" {
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --optimizer ntasgd --lr 0.1 --max-steps 20 --eval-every 10 --run r
    [[ "$stderr" == *"averaging has not begun: all weights are as they were trained"* ]]
    [[ "$stderr" != *"averaged since"* ]]
}

@test "options that do not go together are refused, and another average on resume" {
    refuses() {
        run -78 --separate-stderr "$UNROLL" train "${small[@]}" --run r "${@:2}"
        [[ "$stderr" == *"$1"* ]]
    }
    refuses "which averages by itself; leave one out" --optimizer ntasgd --average ema
    refuses "cannot use '--nonmono' with --optimizer adam; leave it out, or add --optimizer ntasgd" --nonmono 3
    refuses "cannot use '--average-decay' without '--average ema'" --average epochs --average-decay 0.9
    refuses "cannot use '--average-from' without '--average epochs' or ema" --average-from 2
    refuses "the run would end before averaging begins; write at least 6" --optimizer ntasgd --patience 5
    refuses "corpus 'alone.h5' has no validation text" --optimizer ntasgd --corpus alone.h5
    run -76 --separate-stderr "$UNROLL" train --run nt --nonmono 3 --max-steps 700
    [[ "$stderr" == *"--nonmono was 2 and is now 3"* ]]
    run -76 --separate-stderr "$UNROLL" train --run plain --average ema --max-steps 700
    [[ "$stderr" == *"--average was none and is now ema"* ]]
}

@test "plan counts the average" {
    for kind in none ema; do
        "$UNROLL" plan --vocab-size 5000 --batch 20 --average $kind --json $kind.json >/dev/null
    done
    python3 - <<'END'
import json
none, ema = (json.load(open(f"{kind}.json"))["memory"] for kind in ("none", "ema"))
assert ema["optimizer"] - none["optimizer"] == none["parameters"], (none, ema)
assert ema["total"] - none["total"] == none["parameters"]  # values are evaluated where they lie
END
}
