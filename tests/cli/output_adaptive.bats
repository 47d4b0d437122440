#!/usr/bin/env bats
# --output-layer adaptive on a small text of words: the same bits on any number of ranks and through kills; everything that
# is done with a model; cutoffs chosen and given; what is refused. The numbers: tests/unit/test_pytorch_adaptive.c (PyTorch),
# gradcheck, tests/bits.

bats_require_minimum_version 1.5.0

load refusal
load training

# make_words LINES: 12 words each of 900, by Zipf's law, each second one following from the one before it.
make_words() {
    awk -v lines="$1" 'BEGIN {
        x = 11
        for (i = 0; i < lines; i++) {
            line = ""
            for (k = 0; k < 12; k++) {
                x = (x * 75 + 74) % 65537
                n = k % 2 && x % 3 ? (n * 7 + 3) % 900 : int(exp(x / 65537 * log(900)))
                line = line (k ? " " : "") "w" n
            }
            print line
        }
    }'
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_words 2500 >text.txt
    "$UNROLL" prepare --level word --train text.txt --split 80,10,10 --min-count 1 -o text.h5
    # a list in another order than that of counts, and without them
    { printf '%s\n' '<unk>' '</s>'; tr ' ' '\n' <text.txt | sort -ru; } >list.txt
    "$UNROLL" prepare --level word --vocab-from list.txt --train text.txt --split 80,10,10 -o list.h5
    train adaptive --output-layer adaptive --cutoffs 60,300
    train full
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# train NAME OPTION...
train() {
    "$UNROLL" train --corpus text.h5 --run "$1" --hidden 24 --layers 1 --batch 12 --bptt 16 --lane-groups 6 --max-steps 60 \
        --eval-every 30 --lr 0.01 "${@:2}" 2>"$1.log"
}

# digest NAME: of all parameters.
digest() {
    "$UNROLL" inspect "$1" | sed -n '/^parameters/,$s/^  digest *//p'
}

@test "clusters are told, stored and kept" {
    grep "output layer: adaptive, clusters from rank 60,300 on, each 4 times narrower" adaptive.log
    "$UNROLL" inspect adaptive | grep -E "^  cutoffs +60,300$"
    "$UNROLL" inspect adaptive | grep -E "^  decoder.tail.1.1.weight +\[[0-9]+\]\[1\]$"
    "$UNROLL" inspect --json adaptive | grep '"cutoffs": *"60,300"'
    grep -E '"cutoffs": *"60,300", *"div": *4,' adaptive/metrics.jsonl
    grep -x 'cutoffs = "60,300"' adaptive/config.ini
    printf 'cutoffs = "60,300"\noutput-layer = "adaptive"\n' >options.ini
    train of-file --config options.ini
    [ "$(digest of-file)" = "$(digest adaptive)" ]
    [ "$(digest full)" != "$(digest adaptive)" ]
    ends_with_error 76 "--cutoffs was 60,300 and is now 60" "$UNROLL" train --run adaptive --cutoffs 60 --max-steps 90
    ends_with_error 76 "--div was 4 and is now 2" "$UNROLL" train --run adaptive --div 2 --max-steps 90
    "$UNROLL" train --run adaptive --branch branched --max-steps 70
    ends_with_error 76 "--cutoffs was 60,300 and is now 70,300" "$UNROLL" train --run adaptive --branch other --cutoffs 70,300 --max-steps 70
}

@test "clusters are chosen by cost, and a run keeps its own" {
    train auto --output-layer adaptive --max-steps 20
    grep -E "clusters from rank [0-9,]+ on \(chosen by cost\), each 4 times narrower" auto.log
    chosen=$("$UNROLL" inspect auto | sed -n 's/^  cutoffs *//p' | head -n 1)
    grep -x 'cutoffs = "auto"' auto/config.ini
    train named --output-layer adaptive --max-steps 20 --cutoffs "$chosen"
    [ "$(digest named)" = "$(digest auto)" ]
    "$UNROLL" train --run auto --max-steps 30
    "$UNROLL" train --run auto --branch auto-branch --max-steps 40
    [ "$("$UNROLL" inspect auto-branch | sed -n 's/^  cutoffs *//p' | head -n 1)" = "$chosen" ]
    "$UNROLL" plan --vocab-size 44000 --output-layer adaptive --hidden 256 --json >large
    "$UNROLL" plan --corpus text.h5 --output-layer adaptive --hidden 24
}

@test "the same weights and metrics on any number of ranks and threads, through kills, in both precisions" {
    for options in "--cutoffs 60,300 --dropout 0.3" "--cutoffs 500,700,890 --div 2 --precision bf16" \
        "--cutoffs 40,400 --optimizer sgd --lr 1"; do
        # shellcheck disable=SC2086
        train one --output-layer adaptive $options --max-steps 12 --eval-every 6 --checkpoint-every 4
        for ranks in 2 3 5; do
            # shellcheck disable=SC2086
            on $ranks "$UNROLL" train --corpus text.h5 --run many --hidden 24 --layers 1 --batch 12 --bptt 16 --lane-groups 6 \
                --max-steps 7 --eval-every 6 --lr 0.01 --checkpoint-every 4 --threads 2 --output-layer adaptive $options
            rm -r "$(dirname "$(readlink -f many/latest)")/$(basename "$(readlink -f many/latest)")"
            on $((ranks - 1)) "$UNROLL" train --run many --max-steps 12
            [ "$(digest many)" = "$(digest one)" ]
            cmp many/metrics.jsonl one/metrics.jsonl
            rm -r many
        done
        rm -r one
    done
}

@test "the order of counts is found for a list without counts, and travels" {
    "$UNROLL" train --corpus list.h5 --run listed --output-layer adaptive --cutoffs 60,300 --hidden 24 --batch 12 --bptt 16 \
        --max-steps 40 2>listed.log
    grep "by the order of counts, which is not the vocabulary's" listed.log
    "$UNROLL" inspect listed | grep -E "^  decoder.order +\["
    "$UNROLL" train --run listed --max-steps 50
    for kind in safetensors hdf5 text; do
        "$UNROLL" export --model listed --to $kind -o listed.$kind || continue
        [ $kind = text ] || "$UNROLL" import --from $kind listed.$kind --vocab-from listed/best.h5 -o again.h5
        [ "$(digest listed/best.h5)" = "$(digest again.h5)" ]
    done
    head -n 3 text.txt | "$UNROLL" score --model listed >scores
    head -n 3 text.txt | "$UNROLL" score --model again.h5 | cmp scores -
}

@test "weights from PyTorch, under names of others" {
    "$UNROLL" export --model adaptive -o ours.safetensors
    "$UNROLL" import ours.safetensors -o back.h5
    [ "$(digest back.h5)" = "$(digest adaptive/best.h5)" ]
    sed -i 's/decoder\.head/crit_sm.head/g; s/decoder\.tail/crit_sm.tail/g; s/"cutoffs"/"nocuts_"/; s/"output_layer"/"not_so_layer"/; s/"div"/"vid"/' \
        ours.safetensors
    "$UNROLL" import ours.safetensors --vocab-from adaptive/best.h5 -o named.h5 2>&1 | grep "'crit_sm.' is 'decoder.'"
    "$UNROLL" inspect named.h5 | grep -E "^  cutoffs +60,300$"
    [ "$(digest named.h5)" = "$(digest adaptive/best.h5)" ]
}

@test "evaluating, scoring and mixing are of the same probabilities" {
    loss=$("$UNROLL" eval --model adaptive/latest --corpus text.h5 --split valid --json | field loss)
    told=$(lines_of valid adaptive/metrics.jsonl | tail -n 1 | field loss)
    awk -v a="$loss" -v b="$told" 'BEGIN { exit (a - b) ^ 2 > 1e-12 }'
    head -n 5 text.txt >lines.txt
    "$UNROLL" score --model adaptive lines.txt >whole
    "$UNROLL" score --model adaptive --per-token lines.txt >own
    "$UNROLL" score --model full --per-token lines.txt >other
    "$UNROLL" score --model adaptive --per-token --mix other --lambda 0.3 lines.txt >found
    paste own other found | sed 1d | awk -F'\t' '{ p = log(0.3 * exp($3) + 0.7 * exp($6)); if ((p - $9) ^ 2 > 1e-10) exit 1 }
        END { exit NR < 50 }'
    awk '{ print "u1-" NR, $0 }' lines.txt >kaldi
    "$UNROLL" score --model adaptive --nbest kaldi kaldi >lattice
    [ "$(wc -l <lattice)" -eq 5 ]
    "$UNROLL" eval --model adaptive --corpus text.h5 --dynamic --lr 0.1 --json | field loss
    "$UNROLL" gradflow --model adaptive --corpus text.h5 --split valid --windows 2 --lags 8 --batch 4
}

@test "samples are drawn with the probabilities that score tells" {
    for options in "" "--temperature 0.5" "--top-k 5" "--top-p 0.5"; do
        # shellcheck disable=SC2086
        "$UNROLL" sample --model adaptive --length 30 --seed 4 $options >drawn
        [ -s drawn ]
    done
    "$UNROLL" sample --model adaptive --beam 4 --length 8 >found
    # what score tells of a sample
    "$UNROLL" sample --model adaptive --length 60 --seed 4 --stop-at-eos --count 3 --per-token >tokens
    "$UNROLL" sample --model adaptive --length 60 --seed 4 --stop-at-eos --count 3 | grep -v '^==>' | awk 'NR % 2' >lines
    "$UNROLL" score --model adaptive --per-token lines 2>notes | sed 1d >expected
    paste tokens expected | awk -F'\t' '$1 != $4 || $2 != $5 || ($3 - $6) ^ 2 > 1e-10 { exit 1 } END { exit NR < 6 }'
    # 20,000 draws from one distribution: none is off by five deviations, and each cluster has been met
    "$UNROLL" sample --model adaptive --prime w5 --length 1 --count 20000 --seed 9 --per-token |
        awk -F'\t' '{ count[$2]++; p[$2] = exp($3) } END {
            for (w in count) {
                n = 20000 * p[w]; sum += p[w]; d = count[w] - n
                if (n > 30) { met++; if (d * d > 25 * n) exit 1 }
            }
            exit sum > 1.00001 || sum < 0.95 || met < 50 || length(count) < 500
        }'
}

@test "refused: cutoffs that do not ascend or are above V, no width left, tied, too few words, a classifier" {
    ends_with_error 78 "they do not ascend" "$UNROLL" train --corpus text.h5 --run none --output-layer adaptive --cutoffs 300,60
    ends_with_error 64 "not whole numbers" "$UNROLL" train --corpus text.h5 --run none --output-layer adaptive --cutoffs 60,many
    ends_with_error 78 "a cluster begins behind its end" "$UNROLL" train --corpus text.h5 --run none --output-layer adaptive \
        --cutoffs 60,3000
    ends_with_error 78 "below 1 number" "$UNROLL" train --corpus text.h5 --run none --output-layer adaptive --cutoffs 60,300 \
        --hidden 8 --div 4
    ends_with_error 78 "cannot use '--tied' with --output-layer adaptive" "$UNROLL" train --corpus text.h5 --run none \
        --output-layer adaptive --tied
    ends_with_error 78 "with a vocabulary of 30: no clusters of so few words" "$UNROLL" bench --vocab-size 30 \
        --output-layer adaptive --hidden 8
    ends_with_error 78 "cannot use '--cutoffs'" "$UNROLL" train --corpus text.h5 --run none --cutoffs 60
    ends_with_error 78 "cannot use '--div'" "$UNROLL" train --corpus text.h5 --run none --output-layer sampled --div 2
    ends_with_error 78 "cannot use '--output-layer adaptive' with --task classify" "$UNROLL" train --corpus text.h5 --run none \
        --task classify --output-layer adaptive
    ends_with_error 76 "--output-layer was full and is now adaptive" "$UNROLL" train --run full --output-layer adaptive \
        --max-steps 90
    [ ! -e none ]
}
