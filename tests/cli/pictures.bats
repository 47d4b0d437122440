#!/usr/bin/env bats
# tools/report and tools/plot: what they make of real runs, of runs that still go on or were damaged, and what they refuse.
# How the page looks in a browser is tested in test_page.py.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    common=(--corpus c.h5 --hidden 12 --batch 8 --bptt 10 --threads 1 --log-every 5 --eval-every 20 --checkpoint-every 20 --keep 9)
    on 2 "$UNROLL" train "${common[@]}" --run one --cell gru --max-steps 60 2>/dev/null
    on 1 "$UNROLL" train "${common[@]}" --run two --cell rnn-tanh --lr 0.01 --max-steps 80 2>/dev/null
    printf 'cell,layer,quantity,lag,norm\n' >flow.csv
    for lag in 0 1 2 3 4 5 6 7; do
        printf 'gru,0,h,%d,%s\nlstm,0,h,%d,%s\nlstm,0,c,%d,%s\n' $lag 1e-$lag $lag 0.$((9 - lag)) $lag 0.$((9 - lag))
    done >>flow.csv
}

setup() {
    tools="$BATS_TEST_DIRNAME/../../tools"
    cd "$BATS_TEST_TMPDIR"
    cp -r "$BATS_FILE_TMPDIR"/{one,two,c.h5,flow.csv} .
}

# refused STATUS TEXT COMMAND...: one line says why, and there is no output file.
refused() {
    ends_with_error "$@"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ ! -e out.html ] && [ ! -e out.svg ] && [ ! -e out.png ]
}

@test "the report shows every run, its curves, samples and options, and needs nothing else" {
    cp flow.csv two/
    run -0 --separate-stderr "$tools/report" one two -o out.html --samples 2 --length 60
    echo "$stderr"
    [ -z "$output$stderr" ]
    for title in Loss Perplexity "Validation perplexity over time" "Learning rate" "Gradient norm" Speed "Time of a step" \
        "Gradient by time lag of two" "Weights of one" "Weights of two"; do
        grep -q "<h3>$title <small>" out.html
    done
    [ "$(grep -c '<summary>Step ' out.html)" -eq 4 ]
    grep -q '<summary>Step 20<small>validation perplexity' out.html
    grep -q '<summary>Step 80<small>validation perplexity' out.html
    text=$("$UNROLL" sample --model two/checkpoints/step-00000080.h5 --length 60 --temperature 0.8 --seed 1 --threads 1 | head -n 1)
    grep -qF "$(python3 -c 'import html, sys; print(html.escape(sys.argv[1]))' "$text")" out.html
    grep -q '<tr class="differs"><th>cell</th><td>gru</td><td>rnn-tanh</td></tr>' out.html
    grep -q '<th>ranks × threads</th><td>2 × 1</td><td>1 × 1</td>' out.html
    run grep -cE 'https?:|src=|url\(|<link|@import' out.html
    [ "$output" -eq 0 ]
}

@test "the numbers in the report are those of the run" {
    run -0 "$tools/report" one -o out.html --samples 0
    python3 - <<'EOF'
import json, math, re
page = open("out.html").read()
valid = [l for l in map(json.loads, open("one/metrics.jsonl")) if l["type"] == "valid"]
best = min(l["loss"] for l in valid)
assert "<th>best validation perplexity</th><td>%.4g</td>" % math.exp(best) in page, best
# The loss picture's dots stand where the axes say: back from the places to the numbers.
svg = re.search(r'aria-label="Loss, nats per token, against step" data-x="0 (\S+) (\S+)" data-y="0 (\S+) (\S+)" data-box="(\d+) '
                r'(\d+) (\d+) (\d+)">(.*?)</svg>', page, re.S)
x0, x1, y0, y1, left, right, top, bottom = map(float, svg.groups()[:8])
dots = re.findall(r'class="dot s0" cx="(\S+)" cy="(\S+)"', svg.group(9))
assert len(dots) == len(valid), dots
for (cx, cy), line in zip(dots, valid):
    x = x0 + (float(cx) - left) / (right - left) * (x1 - x0)
    y = y0 + (bottom - float(cy)) / (bottom - top) * (y1 - y0)
    assert abs(x - line["step"]) < 0.005 * (x1 - x0) and abs(y - line["loss"]) < 0.005 * (y1 - y0), (x, y, line)
EOF
}

@test "every picture comes as SVG, with the names of what is in it" {
    for what in loss perplexity lr gradnorm speed time phases; do
        "$tools/plot" $what one two -o $what.svg
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' $what.svg
        grep -q '>one<' $what.svg
        grep -qE '>two( .best.)?<' $what.svg
    done
    "$tools/plot" gradflow flow.csv -o flow.svg
    for name in gru 'lstm h' 'lstm c'; do
        grep -q ">$name<" flow.svg
    done
    [ "$(echo ./*.tmp)" = './*.tmp' ]
}

@test "what plans predict stands in one picture, and other files are refused" {
    for batch in 2 8; do
        "$UNROLL" bench --hidden 8 --layers 1 --bptt 5 --batch $batch --threads 1 --steps 2 --json $batch.json >/dev/null
    done
    "$UNROLL" plan --hidden 8 --layers 1 --bptt 5 --batch 32 --lane-groups 16 --nodes 16 --from 2.json 8.json \
        --network 1us,10GB --json fast.json >/dev/null
    "$UNROLL" plan --hidden 8 --layers 1 --bptt 5 --batch 32 --lane-groups 16 --nodes 16 --from 2.json 8.json \
        --network 500us,1Gbit --json slow.json >/dev/null
    "$tools/plot" prediction fast.json slow.json -o out.svg
    for name in fast slow perfect 16; do
        grep -q ">$name<" out.svg
    done
    run -65 "$tools/plot" prediction 2.json -o out.svg
    [[ "$output" == "unroll: '2.json' holds no prediction; "*"plan --nodes"* ]]
    run -66 "$tools/plot" prediction none.json -o out.svg
}

@test "gradient norms of the same cell in two files are told apart, and come from HDF5 too" {
    grep -v ,c, flow.csv >other.csv
    "$tools/plot" gradflow flow.csv other.csv -o out.svg
    grep -q '(flow.csv)<' out.svg
    grep -q '(other.csv)<' out.svg
    python3 - <<'EOF'
import h5py
with h5py.File("flow.h5", "w") as f:
    f.attrs["format"] = "unroll-gradflow"
    f["gru/h_l0"] = [10.0 ** -k for k in range(8)]
    f["gru/h_l1"] = [9.0 ** -k for k in range(8)]
EOF
    "$tools/plot" gradflow flow.h5 -o flow.svg
    grep -q '>gru, layer 1<' flow.svg
    mv flow.h5 one/
    run -0 "$tools/report" one -o page.html --samples 0
    grep -q 'Gradient by time lag' page.html
}

@test "a run that still goes on, was damaged, or lacks files is shown as far as it goes" {
    head -c 1000 one/metrics.jsonl >cut && mv cut one/metrics.jsonl # ends inside a line, as while it is written
    rm one/timing.jsonl one/config.ini
    run -0 --separate-stderr "$tools/report" one -o page.html --samples 1 --length 10
    echo "$stderr"
    [ -z "$stderr" ]
    grep -q 'not finished' page.html
    run grep -c 'Time of a step' page.html
    [ "$output" -eq 0 ]

    sed -i '3s/.*/{"type": "train", "loss/; 5s/.*/[1]/' two/metrics.jsonl
    printf 'no checkpoint' >two/checkpoints/step-00000040.h5
    run -0 --separate-stderr "$tools/report" two -o page.html --samples 9 --length 10
    echo "$stderr"
    [[ "$stderr" == *"line 3 of 'two/metrics.jsonl' is no line of a run, nor are 1 others; left out"* ]]
    [[ "$stderr" == *"no sample of 'two/checkpoints/step-00000040.h5'"* ]]
    [ "$(grep -c '<summary>Step ' page.html)" -eq 3 ]

    run -0 --separate-stderr "$tools/report" two -o page.html --unroll no/such/program
    [[ "$stderr" == *"cannot run 'no/such/program'"*"run 'make'"* ]]
}

@test "numbers that are none leave gaps, and spikes stay visible in long runs" {
    python3 - <<'EOF'
import json, os
os.mkdir("long")
with open("long/metrics.jsonl", "w") as f:
    for step in range(1, 20001):
        line = {"type": "train", "step": step, "loss": 3.0, "grad_norm": 77.0 if step == 12345 else 1.0, "lr": 0.1}
        if step % 100 == 0:
            line["loss"] = None
            line["lr"] = "high"
        f.write(json.dumps(line) + "\n")
        if step % 5000 == 0:
            f.write(json.dumps({"type": "skip", "step": step, "not_finite": "loss"}) + "\n")
EOF
    "$tools/report" long -o page.html
    grep -q 'Steps without update, because loss or gradient was not finite: long: 4 steps skipped' page.html
    [ "$(wc -c <page.html)" -lt 60000 ]
    python3 - <<'EOF'
import re
page = open("page.html").read()
svg = re.search(r'aria-label="Gradient norm.*?</svg>', page, re.S).group(0)
top = float(re.search(r'data-y="1 \S+ (\S+)"', svg).group(1))
assert 77 < top < 100, top  # the axis reaches up to the spike
EOF
}

@test "a run killed and resumed: what was done twice counts as time, not as steps" {
    mkdir killed
    cp one/metrics.jsonl killed/
    cat >killed/timing.jsonl <<'EOF'
{"type": "start", "step": 0, "ranks": 2, "threads": 1}
{"type": "train", "step": 20, "seconds": 10, "tokens_per_second": 100, "phases": {"input_projection": 6}}
{"type": "train", "step": 40, "seconds": 10, "tokens_per_second": 100, "phases": {"input_projection": 6}}
{"type": "start", "step": 20, "ranks": 1, "threads": 1}
{"type": "train", "step": 40, "seconds": 20, "tokens_per_second": 50, "phases": {"input_projection": 12}}
{"type": "train", "step": 60, "seconds": 20, "tokens_per_second": 50, "phases": {"input_projection": 12}}
EOF
    "$tools/report" killed -o page.html
    grep -q '<th>time in steps</th><td>0:01:00 (0:00:10 of them twice)</td>' page.html
    grep -q '<th>ranks × threads</th><td>2 × 1, 1 × 1</td>' page.html
    grep -q '<title>input projection: 500, 60 %</title>' page.html # 30 s in 60 steps
}

@test "mistakes are told with their fix" {
    refused 66 "'none/metrics.jsonl'" "$tools/report" none -o out.html
    mkdir empty && : >empty/metrics.jsonl
    refused 65 "holds no steps yet" "$tools/report" empty -o out.html
    refused 64 "named twice" "$tools/report" one ./one -o out.html
    refused 64 "required: -o" "$tools/report" one
    refused 73 "cannot write 'no/such/out.html'" "$tools/report" one -o no/such/out.html --samples 0
    refused 64 "invalid choice: 'gain'" "$tools/plot" gain one -o out.svg
    refused 64 "cannot draw 'out.gif': pictures are .svg, .png or .pdf; choose one of these" "$tools/plot" loss one -o out.gif
    refused 64 "bad value '0' of --width" "$tools/plot" loss one -o out.png --width 0
    refused 73 "cannot write 'no/such/out.svg'" "$tools/plot" loss one -o no/such/out.svg
    refused 66 "cannot open 'none.csv'" "$tools/plot" gradflow none.csv -o out.svg
    printf 'a,b\n1,2\n' >bad.csv
    refused 65 "cell,layer,quantity,lag,norm" "$tools/plot" gradflow bad.csv -o out.svg
    head -n 1 flow.csv >bad.csv
    refused 65 "holds no gradient norms" "$tools/plot" gradflow bad.csv -o out.svg
    rm two/timing.jsonl
    refused 65 "nothing to draw" "$tools/plot" speed two -o out.svg
    mkdir bin && ln -s "$(command -v python3)" /usr/bin/env bin/
    refused 69 "install librsvg2-bin" env PATH="$PWD/bin" "$tools/plot" loss two -o out.png
    env PATH="$PWD/bin" "$tools/plot" loss two -o two.svg
    [ -s two.svg ] && [ ! -e out.png ]
}

@test "a test result stands beside the weights that it belongs to" {
    for run in best last; do
        mkdir $run
        cat >$run/metrics.jsonl <<'EOF'
{"type": "run", "cell": "lstm", "layers": 1, "hidden": 8, "parameters": 900}
{"type": "train", "step": 10, "loss": 0.6, "grad_norm": 1, "lr": 0.1}
{"type": "valid", "step": 10, "loss": 0.5, "perplexity": 1.6, "best": true}
EOF
    done
    # as it is written now, best and last apart; and by a version that tested the last weights only, which were the best
    cat >>best/metrics.jsonl <<'EOF'
{"type": "valid", "step": 20, "loss": 0.9, "perplexity": 2.5, "best": false}
{"type": "end", "step": 20, "why": "epochs", "valid_loss": 0.9, "test_loss": 1, "best_step": 10, "best_valid_loss": 0.5, "best_test_loss": 0.75}
EOF
    cat >>last/metrics.jsonl <<'EOF'
{"type": "end", "step": 10, "why": "epochs", "valid_loss": 0.5, "test_loss": 0.25}
EOF
    run -0 "$tools/report" best last -o page.html --samples 0
    grep -q '<th>best validation perplexity</th><td>1.649</td><td>1.649</td>' page.html
    grep -q '<th>test perplexity, best weights</th><td>2.117</td><td>1.284</td>' page.html
    grep -q '<th>test perplexity, last weights</th><td>2.718</td><td>1.284</td>' page.html
    # and of a run of that version whose last weights were not: not known
    sed -i 's/, "best_step.*}/}/' best/metrics.jsonl
    run -0 "$tools/report" best last -o page.html --samples 0
    grep -q '<th>test perplexity, best weights</th><td>-</td><td>1.284</td>' page.html
}

@test "classifiers show accuracy instead of perplexity, and gradients logged while a model learns are drawn" {
    mkdir classes
    cat >classes/metrics.jsonl <<'EOF'
{"type": "run", "task": "classify", "cell": "lstm", "layers": 1, "hidden": 8, "parameters": 900}
{"type": "train", "step": 10, "loss": 0.6, "grad_norm": 1, "lr": 0.1}
{"type": "valid", "step": 10, "loss": 0.5, "accuracy": 0.7125, "best": true}
{"type": "valid", "step": 20, "loss": 0.9, "accuracy": 0.6125, "best": false}
{"type": "end", "step": 20, "why": "epochs", "valid_loss": 0.9, "test_loss": 0.8, "test_accuracy": 0.65, "best_step": 10, "best_valid_loss": 0.5, "best_test_loss": 0.6, "best_test_accuracy": 0.75}
EOF
    for step in 5 10 15; do
        echo "{\"type\": \"gradflow\", \"step\": $step, \"h_l0\": [1, 0.5, 0.2$step], \"c_l0\": [1, 0.5, null]}"
    done >>one/metrics.jsonl
    run -0 "$tools/report" one classes -o page.html --samples 0
    grep -q '<th>validation accuracy</th><td>-</td><td>0.7125</td>' page.html
    grep -q '<th>test accuracy, best weights</th><td>-</td><td>0.7500</td>' page.html
    grep -q '<th>test accuracy, last weights</th><td>-</td><td>0.6500</td>' page.html
    grep -q '<h3>Accuracy <small>' page.html
    grep -q '<h3>Gradient by time lag while it learns, one <small>' page.html
    grep -q '</svg>step 15 <b' page.html
    run -65 "$tools/plot" perplexity classes -o x.svg
    "$tools/plot" accuracy classes -o accuracy.svg
}

@test "no tool destroys what it reads" {
    local before
    ln flow.csv hard.svg
    ln -s flow.csv soft.svg
    ln -s ../best.h5 two/checkpoints/link.html
    before=$(find one two flow.csv -type f -exec sha256sum {} +)
    refused 73 "cannot create 'one/metrics.jsonl': it is one of the files of 'one', which the command reads; choose another name" \
        "$tools/report" one -o one/metrics.jsonl
    refused 73 "of 'two', which the command reads" "$tools/report" one two -o ./one/../two/best.h5
    refused 73 "of 'one', which the command reads" "$tools/report" one -o one/checkpoints/page.html
    refused 73 "of 'two', which the command reads" "$tools/report" two -o two/checkpoints/link.html
    cp "$UNROLL" program
    refused 73 "cannot create 'program': it is 'program', which the command reads" "$tools/report" one --unroll program -o program
    refused 73 "cannot create 'hard.svg': it is 'flow.csv', which the command reads" "$tools/plot" gradflow flow.csv -o hard.svg
    refused 73 "it is 'flow.csv', which the command reads" "$tools/plot" gradflow flow.csv -o soft.svg
    mv flow.csv out.svg.tmp
    refused 73 "cannot create 'out.svg.tmp': it is 'out.svg.tmp'" "$tools/plot" gradflow out.svg.tmp -o out.svg
    mv out.svg.tmp flow.csv
    [ "$(find one two flow.csv -type f -exec sha256sum {} +)" = "$before" ]
    for figures in benchmark benchmark-commands compare-pytorch; do
        run -73 "$tools/$figures" --unroll program --json program
        [[ "$output" == "unroll: cannot create 'program': it is '$PWD/program', which the command reads; choose another name" ]]
        run -78 "$tools/$figures" --unroll "$UNROLL" --json -
    done
    echo '{}' >setups
    run -73 "$tools/compare-pytorch" --unroll "$UNROLL" --json ./setups --setups setups
    # beside them there is room, and a page goes to standard output
    "$tools/report" one --samples 0 -o one/report.html
    "$tools/report" one --samples 0 -o one/report.html
    "$tools/report" one --samples 0 -o - | cmp - one/report.html
}

@test "a short run without validation is shown by its end, and one without steps costs no other" {
    make_text 200 >t.txt
    "$UNROLL" prepare --level char --train t.txt --test t.txt -o short.h5 >/dev/null
    "$UNROLL" train --corpus short.h5 --run short --hidden 8 --batch 4 --bptt 5 --max-steps 50 --threads 1 2>/dev/null
    [ "$(lines_of train short/metrics.jsonl | wc -l)$(lines_of valid short/metrics.jsonl | wc -l)" = 00 ]
    mkdir begun && head -n 1 short/metrics.jsonl >begun/metrics.jsonl
    loss=$(lines_of end short/metrics.jsonl | field test_loss)
    told=$(awk -v loss="$loss" 'BEGIN { printf "%.4g", exp(loss) }')
    run -0 --separate-stderr "$tools/report" short -o page.html --samples 0
    [ -z "$stderr" ]
    grep -q '<th>state</th><td>finished: max steps</td>' page.html
    run -0 --separate-stderr "$tools/report" one begun short -o page.html --samples 0
    [ "$stderr" = "unroll: warning: 'begun/metrics.jsonl' holds no steps yet; wait for the first line of --log-every steps; left out" ]
    grep -q '<th>steps</th><td>60</td><td>50</td>' page.html
    grep -q '<th>tokens</th><td>[0-9][^<]*</td><td>[0-9]' page.html
    grep -q "<th>test perplexity, last weights</th><td>[0-9.]*</td><td>$told</td>" page.html
    grep -q '<th>state</th><td>finished: max steps</td><td>finished: max steps</td>' page.html
    run -0 --separate-stderr "$tools/plot" loss one begun short -o loss.svg
    [[ "$stderr" == *"'begun/metrics.jsonl' holds no steps yet"*"run 'short' has no numbers for 'Loss'; left out" ]]
    grep -q '>one<' loss.svg
    refused 65 "nothing to draw for 'Loss'" "$tools/plot" loss short -o out.svg
    # one that validated in the end only
    cp -r short ended && sed -i 's/"test_loss"/"valid_loss": 1.5, &/' ended/metrics.jsonl
    "$tools/report" ended -o page.html --samples 0
    grep -q '<th>best validation perplexity</th><td>4.482</td>' page.html
    grep -q '<th>at step</th><td>50</td>' page.html
    "$tools/plot" loss ended -o loss.svg
    refused 65 "'begun/metrics.jsonl' holds no steps yet" "$tools/report" begun -o out.html
}

@test "classifiers count texts, wherever a tool counts" {
    mkdir classes
    cat >classes/metrics.jsonl <<'EOF'
{"type": "run", "task": "classify", "cell": "lstm", "layers": 1, "hidden": 8, "parameters": 900}
{"type": "train", "step": 10, "tokens": 320, "loss": 0.6, "grad_norm": 1, "lr": 0.1}
{"type": "valid", "step": 10, "tokens": 320, "loss": 0.5, "accuracy": 0.7125, "best": true}
EOF
    printf '{"type": "start", "step": 0, "ranks": 1}\n{"type": "train", "step": 10, "seconds": 2, "tokens_per_second": 160}\n' \
        >classes/timing.jsonl
    "$tools/report" classes -o page.html --samples 0
    grep -q '<th>texts</th><td>320</td>' page.html
    grep -q '<th>texts/s, median</th><td>160</td>' page.html
    grep -q '<h3>Speed <small>texts per second' page.html
    grep -q '<h3>Loss <small>nats per text' page.html
    run grep -c 'okens' page.html
    [ "$output" -eq 0 ]
    "$tools/report" one classes -o both.html --samples 0
    grep -q '<th>tokens</th><td>[0-9][^<]*</td><td>-</td>' both.html
    grep -q '<th>texts</th><td>-</td><td>320</td>' both.html
    grep -q '<h3>Loss <small>nats per token, of classifiers nats per text' both.html
    "$tools/plot" speed classes -o speed.svg
    grep -q 'Speed, texts per second' speed.svg
    mkdir sweep && cp -r classes sweep/lr-1
    printf 'lr\n1\n2\n' >table
    "$tools/sweep" table sweep --report
    [ "$(head -n 1 sweep/results.tsv | cut -f 7)" = texts_per_second ]
    # the summary has both names
    printf 'good\tthe lane carries\nbad\ta step rests\ngood\tthe gate carries\nbad\ta rank rests\n' >labelled.tsv
    "$UNROLL" prepare --labelled --level char --train labelled.tsv -o labelled.h5 >/dev/null
    "$UNROLL" train --task classify --corpus labelled.h5 --run labelled --hidden 4 --batch 2 --max-steps 4 --threads 1 \
        --json-summary s.json 2>/dev/null
    [ "$(field texts s.json)" -gt 0 ] && [ "$(field texts s.json)" = "$(field tokens s.json)" ]
    [ "$(field texts_per_second s.json)" = "$(field tokens_per_second s.json)" ]
    "$UNROLL" train --corpus c.h5 --run lm --hidden 4 --batch 2 --max-steps 1 --threads 1 --json=s.json 2>/dev/null
    [ -n "$(field tokens s.json)" ] && [ -z "$(field texts s.json)$(field texts_per_second s.json)" ]
}

@test "names that are no UTF-8, or move a cursor, are shown as 'unroll runs' shows them" {
    local odd=$'o\xff' moving=$'m\033[2Jb' name
    mv one "$odd" && mv two "$moving"
    "$UNROLL" runs "$odd" | grep -qF 'o\xff '
    run -0 --separate-stderr "$tools/report" "$odd" "$moving" -o page.html --samples 1 --length 20
    [ -z "$stderr" ]
    "$tools/report" "$odd" --samples 0 -o - >alone.html
    for what in loss speed phases; do
        "$tools/plot" $what "$odd" "$moving" -o $what.svg
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' $what.svg
    done
    for name in 'o\xff' 'm\x1b[2Jb'; do
        grep -qF "$name" page.html
        grep -qF "$name" loss.svg
    done
    grep -qF '<h1>Training run o\xff<' alone.html
    "$tools/plot" loss "$odd" -o "$odd.svg"
    [ -s "$odd.svg" ]
    "$tools/tensorboard" "$odd" "$moving" -o events
    [ -s "events/$odd/events.out.tfevents.unroll" ]
    rm "$odd/metrics.jsonl"
    for name in 'report -o x.html' 'plot loss -o x.svg' tensorboard; do
        # shellcheck disable=SC2086
        ends_with_error 66 "cannot open 'o\\xff/metrics.jsonl'" "$tools/"$name "$odd"
    done
    ends_with_error 66 "cannot open 'm\\x1b/metrics.jsonl'" "$tools/report" $'m\033' -o x.html
    mkdir "$odd-sweep" && mv "$moving" "$odd-sweep/lr-1" && printf 'lr\n1\n' >"$odd.table"
    "$tools/sweep" "$odd.table" "$odd-sweep" --report
    grep -q 'max steps' "$odd-sweep/results.tsv"
    ends_with_error 66 "cannot read 'o\\xff.none'" "$tools/sweep" "$odd.none" "$odd-sweep"
}

@test "a run whose name begins like an option keeps its samples" {
    mv one ./-run
    run -0 --separate-stderr "$tools/report" ./-run -o page.html --samples 2 --length 20
    echo "$stderr"
    [ -z "$stderr" ]
    [ "$(grep -c '<summary>Step ' page.html)" -eq 2 ]
    run -0 --separate-stderr "$tools/report" -o page.html --samples 1 --length 20 -- -run
    [ -z "$stderr" ]
    [ "$(grep -c '<summary>Step ' page.html)" -eq 1 ]
}

@test "a full disk leaves no temporary file behind" {
    python3 "$BATS_TEST_DIRNAME/../support/make_points.py" points 0.04 0.07
    for command in "report one --samples 0 -o full/out.html" "plot loss one -o full/out.svg" "tensorboard one -o full/events" \
        "scaling-report points --no-files -o full/scaling"; do
        rm -rf full && mkdir full
        # shellcheck disable=SC2086
        run -73 bash -c "trap '' XFSZ; ulimit -f 1; exec \"\$@\"" - "$tools/"$command
        echo "$command: $output"
        [[ "$output" == "unroll: cannot write 'full/"*"File too large"* ]]
        [ -z "$(find full -type f)" ]
    done
}

@test "what is no regular file in a run is told, and not waited for" {
    local limit=$((20 * PATIENCE))
    for file in timing.jsonl metrics.jsonl; do
        rm one/$file && mkfifo one/$file
        ends_with_error 66 "cannot open 'one/$file': it is no regular file" timeout $limit "$tools/report" one -o out.html
    done
    rm two/config.ini && mkfifo two/config.ini two/flow.csv two/checkpoints/step-00000001.h5
    run -0 --separate-stderr timeout $limit "$tools/report" two -o page.html --samples 0
    [ -z "$stderr" ]
}
