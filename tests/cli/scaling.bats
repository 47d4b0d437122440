#!/usr/bin/env bats
# Scaling experiments: tools/scaling-local runs real points, gaps included; tools/scaling-report finds the laws that made-up
# points follow, names slow hosts and links, and bears malformed files.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    python3 "$BATS_TEST_DIRNAME/../support/make_points.py" laws 0.04 0.07
}

setup() {
    tools="$BATS_TEST_DIRNAME/../../tools"
    cd "$BATS_TEST_TMPDIR"
    cp -r "$BATS_FILE_TMPDIR"/{laws,c.h5} .
    tiny=(--corpus c.h5 --batch 8 --bench-steps 2 --train-steps 20 --evaluations 4)
    model=(--hidden 8 --layers 1 --bptt 8 --lr 0.01)
}

# point FILE EXPRESSION: the value of an expression over a point `p`.
point() {
    python3 -c 'import json, sys; p = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

@test "a grid on this machine: bench with network and a real training a point, a gap where one fails, a report of all" {
    run -0 --separate-stderr "$tools/scaling-local" "${tiny[@]}" --ranks 1,2,9 --mode strong -o s -- "${model[@]}"
    echo "$stderr"
    [[ "$stderr" == *"3 of 3: strong, 9 ranks x 1 thread, exact"*"failed: bench ended with 78: unroll: cannot share"* ]]
    [[ "${stderr_lines[-1]}" == "3 points in 's', 1 with failures"* ]]
    [ "$(echo s/.*json)" = 's/.*json' ]
    two=s/strong-r002-t01-exact.json
    [ "$(point $two 'p["bench"]["ranks"], p["train"]["ranks"], p["train"]["steps"], p["failures"], p["batch"]')" = "(2, 2, 20, [], 8)" ]
    [ "$(point $two 'len(p["bench"]["network"]["by_rank"]), p["bench"]["model"]["hidden"], p["run"]')" = \
        "(2, 8, 'runs/strong-r002-t01-exact')" ]
    [ "$(lines_of valid s/runs/strong-r002-t01-exact/metrics.jsonl | wc -l)" -eq 4 ]
    cmp s/runs/strong-r00{1,2}-t01-exact/metrics.jsonl
    [ "$(point s/strong-r009-t01-exact.json '[f["status"] for f in p["failures"]], p["bench"], p["run"]')" = "([78, 78], None, None)" ]

    # Points that are there are not run again, and a wider grid adds to them.
    before=$(stat -c %Y.%i $two)
    run -0 --separate-stderr "$tools/scaling-local" "${tiny[@]}" --ranks 1,2 --mode strong,weak -o s -- "${model[@]}"
    [ "$(stat -c %Y.%i $two)" = "$before" ]
    [ "$(point s/weak-r002-t01-exact.json 'p["batch"], p["bench"]["model"]["batch"]')" = "(16, 16)" ]

    run -0 --separate-stderr "$tools/scaling-report" s
    echo "$output$stderr"
    [[ "$output" == *"| strong, 2 ranks x 1, exact | 8 | "* ]]
    [[ "$output" == *"| strong, 9 ranks x 1, exact | 8 | - | - |"* ]]
    [[ "$output" == *"- Strong: no law fitted: it needs 3 numbers of ranks"*"- Weak: no law fitted: "* ]]
    [[ "$output" == *"- Failed: strong, 9 ranks x 1, exact: train ended with 78: unroll: cannot share"* ]]
    [[ "$stderr" == "written: s/report/report.html" ]]
    for picture in scaling speedup efficiency time-to reduction imbalance strong-phases weak-phases; do
        [ -s s/report/$picture.svg ]
        ! command -v rsvg-convert >/dev/null || [ -s s/report/$picture.png ]
    done
}

@test "a program that hangs is stopped, with all it started, and its point is a gap" {
    cat >slow <<'END'
#!/bin/sh
case $1 in bench) sleep "$MARK" & sleep "$MARK" ;; *) exec "$REAL" "$@" ;; esac
END
    chmod +x slow
    mark=1000.$$$RANDOM
    limit=$((5 * PATIENCE)) # the training that follows must end within it
    run -0 --separate-stderr env MARK=$mark REAL="$UNROLL" "$tools/scaling-point" --mode strong --ranks 1 --unroll ./slow "${tiny[@]}" --limit $limit \
        -o s -- "${model[@]}"
    echo "$stderr"
    [[ "$stderr" == *"failed: bench ended with 124: stopped after $limit s"* ]]
    [ "$(point s/strong-r001-t01-exact.json 'p["bench"], p["train"]["steps"]')" = "(None, 20)" ]
    gone 10 "^sleep $mark"
}

@test "a tool that is told to end ends what it has started" {
    mark=1000.$$$RANDOM
    printf '#!/bin/sh\nsleep %s & sleep %s\n' $mark $mark >slow
    chmod +x slow
    "$tools/scaling-point" --mode strong --ranks 1 --unroll ./slow --train-steps 0 -o s 3>&- &
    tool=$!
    while kill -0 $tool && [ "$(processes_with "^sleep $mark" | wc -l)" -ne 2 ]; do sleep 0.1; done
    kill -TERM $tool
    ended=0
    wait $tool || ended=$?
    [ $ended -eq 143 ]
    gone 10 "^sleep $mark" # they have their signal, and need a processor to end
}

@test "the report finds the laws that points follow, and what lies beside them" {
    run -0 --separate-stderr "$tools/scaling-report" laws -o out
    echo "$output"
    [[ "$output" == *"| strong, exact | Amdahl | 0.0400 | 0.0000 | 2: +0.000  4: +0.000"* ]]
    [[ "$output" == *"| weak, exact | Gustafson | 0.0700 | 0.0000 |"* ]]
    [[ "$output" == *"| strong, fast | Amdahl | 0.0718 | 0.6708 |"*"16: +1.298"* ]]
    [[ "$output" == *"| strong, 16 ranks x 1, exact | 32 | 100000 | 10.00 | 0.62 | 16.00 | 5.120 | 3.072 | 1.536 | 1.32 |"* ]]
    [[ "$output" == *"- Slow host: n3 computes at 0.40 of the fastest host's speed, in 8 of 16 points on several hosts."* ]]
    [[ "$output" == *"- Slow link: n1 - n2, in 12 of 16 points on several hosts."* ]]
    [[ "$output" == *"- Strong, exact: fastest on 16 ranks, 100k tokens/s, 10.00 times those on 1, efficiency 0.62."* ]]
    grep -q '<h3>Time to validation perplexity 32.3 ' out/report.html
    run grep -cE 'https?:|src=|url\(' out/report.html
    [ "$output" -eq 0 ]
}

@test "time to a perplexity: the validation that first reaches it, on the clock of the steps" {
    run -0 --separate-stderr "$tools/scaling-report" laws -o out --no-files --perplexity 50
    # loss 4.605 - 0.02 sqrt(batch) k, a step of 160 ms on one rank: ln 50 is reached at k = 7 (strong), at k = 2 for 16 ranks (weak)
    [[ "$output" == *"| strong, 1 rank x 1, exact | 32 |"*" | 11.20 | 70 |"* ]]
    [[ "$output" == *"| weak, 16 ranks x 1, exact | 512 |"*" | 3.42 | 20 |"* ]]
    [ ! -e out/scaling.svg ]
    run -0 --separate-stderr "$tools/scaling-report" laws -o out --no-files --perplexity 2
    [[ "$output" == *"| strong, 1 rank x 1, exact | 32 |"*" | - | - |"* ]]
}

@test "malformed, foreign and half-written files are gaps" {
    echo '{"half' >laws/strong-r002-t01-exact.json
    echo '{"format": "unroll-scaling-point", "mode": "strong", "ranks": "two", "threads": 1, "reduction": "exact", "batch": 1}' \
        >laws/strong-r002-t01-fast.json
    echo '{"other": 1}' >laws/network.json
    python3 - <<'END'
import json
path = "laws/weak-r002-t01-exact.json"
p = json.load(open(path))
p["bench"] = {"tokens_per_second": None, "phases": 3, "network": [1]}
p["run"] = "runs/gone"
json.dump(p, open(path, "w"))
END
    printf 'x\n' >laws/runs/weak-r004-t01-exact/metrics.jsonl
    run -0 --separate-stderr "$tools/scaling-report" laws -o out --no-files
    echo "$output$stderr"
    [[ "$stderr" == *"'laws/strong-r002-t01-exact.json' is not JSON; left out"* ]]
    [[ "$stderr" == *"'laws/strong-r002-t01-fast.json' is no point of a scaling experiment"* ]]
    [[ "$stderr" == *"cannot open 'laws/runs/gone/metrics.jsonl'"* ]]
    [[ "$output" == *"- 2 files could not be read."* ]]
    [[ "$output" == *"| weak, 2 ranks x 1, exact | 64 | - |"* ]]
    [[ "$output" == *"| strong, exact | Amdahl | 0.0400 | 0.0000 | 4: +0.000  8:"* ]]
}

@test "each picture alone, and mistakes are told with their fix" {
    for what in scaling speedup efficiency time-to reduction imbalance strong-phases weak-phases; do
        "$tools/plot" $what laws -o $what.svg
    done
    grep -q '>weak, exact<' speedup.svg
    run -66 "$tools/scaling-report" nowhere
    [[ "$output" == "unroll: cannot open 'nowhere'"* ]]
    mkdir empty
    run -65 "$tools/scaling-report" empty
    [[ "$output" == *"holds no points"* ]]
    run -64 "$tools/scaling-report" laws --perplexity 0.5
    run -64 "$tools/scaling-local" -o s --ranks 1,x --unroll "$UNROLL"
    [[ "$output" == *"'1,x' of --ranks"* ]]
    run -64 "$tools/scaling-local" -o s --reduction slow --unroll "$UNROLL"
    [[ "$output" == *"'slow'"*"exact or fast"* ]]
    run -66 "$tools/scaling-local" -o s --unroll no/such/program
    run -66 "$tools/scaling-local" -o s --unroll "$UNROLL" --corpus none.h5
    run -73 "$tools/scaling-local" -o c.h5/s --unroll "$UNROLL"
    echo "not a corpus" >bad.h5
    run -65 "$tools/scaling-local" -o s --unroll "$UNROLL" --corpus bad.h5
    run -64 "$tools/plot" scaling laws laws -o x.svg
}

@test "what a sweep's folder holds: a line for each trial, whatever state it is in" {
    printf 'lr seed\n# a comment\n0.01 1\n\n0.01 2\n0.02 1\n' >table
    "$UNROLL" train --corpus c.h5 --run sweep/lr-0.01_seed-2 --lr 0.01 --seed 2 "${model[@]:0:6}" --batch 8 --max-steps 20 \
        --log-every 5 --eval-every 10 --threads 1 2>/dev/null
    mkdir sweep/lr-0.02_seed-1 && : >sweep/lr-0.02_seed-1/metrics.jsonl
    results() {
        "$tools/sweep" table sweep --report
        mapfile -t lines <sweep/results.tsv
        printf '%s\n' "${lines[@]}"
    }
    results
    [ "${#lines[@]}" -eq 4 ]
    [ "${lines[1]}" = "$(printf '0.01\t1\twaiting\t-\t-\t-\t-\t-\tlr-0.01_seed-1')" ]
    [[ "${lines[2]}" == "$(printf '0.01\t2\tmax steps\t20')"*"$(printf '\t20\t')"* ]]
    [ "${lines[3]}" = "$(printf '0.02\t1\tbegun\t-\t-\t-\t-\t-\tlr-0.02_seed-1')" ]
    # a short run without validation has its end only
    printf '{"type": "run"}\n{"type": "end", "step": 50, "why": "max steps", "test_loss": 2.5}\n' >sweep/lr-0.02_seed-1/metrics.jsonl
    results
    [ "${lines[3]}" = "$(printf '0.02\t1\tmax steps\t50\t-\t-\t-\t-\tlr-0.02_seed-1')" ]
    # and one shorter than --eval-every was validated in the end only; the test text is not looked at
    sed -i 's/"test_loss"/"valid_loss": 2.25, &/' sweep/lr-0.02_seed-1/metrics.jsonl
    results
    [ "${lines[3]}" = "$(printf '0.02\t1\tmax steps\t50\t2.250000\t50\t-\t-\tlr-0.02_seed-1')" ]
    run -66 "$tools/sweep" none sweep --report
    run -66 "$tools/sweep" table none --report
    [ ! -e none ]
    # a full disk leaves nothing half written
    rm sweep/results.tsv
    printf 'lr seed\n%s\n' "$(seq -f '%g 1' 400)" >table
    run -73 bash -c "trap '' XFSZ; ulimit -f 1; exec \"\$@\"" - "$tools/sweep" table sweep --report
    [[ "$output" == "unroll: cannot write 'sweep/results.tsv': File too large"* ]]
    [ -z "$(find sweep -name '*.tmp' -o -name results.tsv)" ]
}

# points EXPRESSION [STATEMENT]: makes the folder `few` of those points of `laws` for which the expression over a point `p`
# holds, after the statement.
points() {
    rm -rf few
    cp -r laws few
    python3 - "$1" "${2:-pass}" <<'END'
import glob, json, os, sys
for path in glob.glob("few/*.json"):
    p = json.load(open(path))
    if not eval(sys.argv[1]):
        os.remove(path)
        continue
    exec(sys.argv[2])
    json.dump(p, open(path, "w"))
END
}

@test "no law is fitted to less than three numbers of ranks, and no share of the work is above 1 or below 0" {
    points 'p["ranks"] <= 2 and p["reduction"] == "exact"'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    echo "$output"
    [[ "$output" != *Amdahl* ]] && [[ "$output" != *Gustafson* ]]
    [[ "$output" == *"- Strong: no law fitted: it needs 3 numbers of ranks with at most one thread a core; there are 2."* ]]
    [[ "$output" == *"- Weak: no law fitted: it needs 3"* ]]
    run grep -c "Dashed: Amdahl" out/report.html
    [ "$output" -eq 0 ]
    # more threads than cores do not count
    points 'p["ranks"] <= 4 and p["reduction"] == "exact" and p["mode"] == "strong"' 'p["oversubscribed"] = p["ranks"] == 4'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    [[ "$output" != *Amdahl* ]]
    # three are enough
    points 'p["ranks"] <= 4 and p["reduction"] == "exact"'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    [[ "$output" == *"| strong | Amdahl | 0.0400 | 0.0000 |"* ]]
    grep -q "Dashed: Amdahl" out/report.html
    # slower on more ranks: the nearest share is 1.875
    points 'p["ranks"] <= 4 and p["reduction"] == "exact" and p["mode"] == "strong"' \
        'p["bench"]["tokens_per_second"] = 10000.0 / (1.875 + (1 - 1.875) / p["ranks"])'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    [[ "$output" != *Amdahl* ]]
    [[ "$output" == *"- Strong: no law fitted: the nearest serial share would be 1.875, because more ranks are slower"* ]]
    # faster than in proportion
    points 'p["ranks"] <= 4 and p["reduction"] == "exact" and p["mode"] == "weak"' \
        'p["bench"]["tokens_per_second"] = 10000.0 * (p["ranks"] + 0.1 * (p["ranks"] - 1))'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    [[ "$output" != *Gustafson* ]]
    [[ "$output" == *"would be -0.100, because speed grows faster than the number of ranks"* ]]
    # what speed-ups are against is told where it is not one rank
    points 'p["ranks"] >= 2 and p["reduction"] == "exact" and p["mode"] == "strong"'
    run -0 --separate-stderr "$tools/scaling-report" few -o out --no-files
    [[ "$output" == *"- Strong: no point on one rank; speed-up and efficiency are against 2 ranks."* ]]
}

@test "experiments are read, and none of their points is written over" {
    local before
    before=$(find laws -type f -exec sha256sum {} +)
    mkdir out && ln laws/strong-r001-t01-exact.json out/report.html
    run -73 "$tools/scaling-report" laws -o out --no-files
    [[ "$output" == "unroll: cannot create 'out/report.html': it is 'laws/strong-r001-t01-exact.json', which the command reads"* ]]
    run -73 "$tools/plot" scaling laws -o laws/strong-r001-t01-exact.json
    printf 'lr\n0.01\n' >table
    mkdir own && ln table own/results.tsv
    run -73 "$tools/sweep" table own --report
    [[ "$output" == "unroll: cannot create 'own/results.tsv': it is 'table', which the command reads; choose another name" ]]
    mkdir -p s/runs/strong-r001-t01-exact && cp c.h5 s/runs/strong-r001-t01-exact/
    run -73 "$tools/scaling-local" -o s --ranks 1 --mode strong --unroll "$UNROLL" --corpus s/runs/strong-r001-t01-exact/c.h5
    [[ "$output" == *"cannot create 's/runs/strong-r001-t01-exact': "*"lies in it; choose another folder with -o"* ]]
    cmp c.h5 s/runs/strong-r001-t01-exact/c.h5
    cp c.h5 s/strong-r001-t01-exact.log
    run -73 "$tools/scaling-local" -o s --ranks 1 --mode strong --unroll "$UNROLL" --corpus s/strong-r001-t01-exact.log
    cmp c.h5 s/strong-r001-t01-exact.log
    [ "$(find laws -type f -exec sha256sum {} +)" = "$before" ]
}
