#!/usr/bin/env bats
# --output-layer sampled and nce: four different digests, the same on any number of ranks and through kills; validation on
# a part of the text; constants in files; scores without normalisation; what is refused. The numbers themselves:
# tests/unit/test_samples.c, test_pytorch_sampled.c and tests/bits.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_text 600 >text.txt
    "$UNROLL" prepare --level char --train text.txt --split 80,10,10 -o text.h5
    # a list in another order than that of counts, and without them
    "$UNROLL" inspect text.h5 >/dev/null
    printf '%s\n' '<unk>' z y w v u t s r p o n m l k i h g f e d c b a ' ' . '\n' >list.txt
    "$UNROLL" prepare --level char --vocab-from list.txt --train text.txt --split 80,10,10 -o list.h5
    for layer in full sampled nce; do
        train $layer --output-layer $layer
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# train NAME OPTION...
train() {
    "$UNROLL" train --corpus text.h5 --run "$1" --hidden 24 --batch 12 --bptt 16 --lane-groups 6 --max-steps 12 \
        --eval-every 6 "${@:2}" 2>"$1.log"
}

# digest NAME: of all parameters.
digest() {
    "$UNROLL" inspect "$1" | sed -n '/^parameters/,$s/^  digest *//p'
}

@test "output layers and proposals give different weights" {
    train unigram --output-layer sampled --proposal unigram
    train fewer --output-layer sampled --samples 3
    train adaptive --output-layer adaptive --cutoffs 9
    run -0 sort -u <(for run in full sampled nce unigram fewer adaptive; do digest $run; done)
    [ ${#lines[@]} -eq 6 ]
    grep -E "output layer: sampled, [0-9]+ samples a step, proposal log-uniform" sampled.log
    grep "from which no perplexity follows" nce.log
    "$UNROLL" inspect nce | grep -E "^  samples +[0-9]+$"
}

@test "the same weights and metrics on any number of ranks, through kills, in both precisions" {
    for options in "sampled --proposal unigram --tied" "nce --samples 5 --precision bf16" "sampled --samples 20 --dropout 0.3"; do
        # shellcheck disable=SC2086
        train one --output-layer $options --checkpoint-every 4
        for ranks in 2 3 5; do
            on $ranks "$UNROLL" train --corpus text.h5 --run many --hidden 24 --batch 12 --bptt 16 --lane-groups 6 \
                --max-steps 7 --eval-every 6 --checkpoint-every 4 --threads 2 --output-layer $options
            rm -r "$(dirname "$(readlink -f many/latest)")/$(basename "$(readlink -f many/latest)")"
            on $((ranks - 1)) "$UNROLL" train --run many --max-steps 12
            [ "$(digest many)" = "$(digest one)" ]
            rm -r many
        done
        rm -r one
    done
}

@test "all words as samples are the full softmax" {
    size=$("$UNROLL" inspect full | sed -n 's/^  size *//p' | head -n 1)
    train all --output-layer sampled --samples "$size" --log-every 1
    train each --output-layer full --log-every 1
    paste <(lines_of train all/metrics.jsonl | field loss) <(lines_of train each/metrics.jsonl | field loss) |
        awk '{ if (($1 - $2) ^ 2 > 1e-8) exit 1 } END { exit NR != 12 }'
}

@test "validation on a part of the text, and on all of it at the end" {
    train part --output-layer nce --eval-tokens 100
    grep -E "validation on the way: 192 of [0-9]+ tokens, the first 16 of each of 12 lanes" part.log
    at_end=$(lines_of end part/metrics.jsonl | field valid_loss)
    on_the_way=$(lines_of valid part/metrics.jsonl | tail -n 1 | field loss)
    [ "$at_end" != "$on_the_way" ]
    whole=$("$UNROLL" eval --model part/latest --corpus text.h5 --split valid --json | field loss)
    awk -v a="$at_end" -v b="$whole" 'BEGIN { exit (a - b) ^ 2 > 1e-12 }'
    run ! grep "on the way" full.log
    train part-of-full --eval-tokens 100
    grep "on the way" part-of-full.log
    [ "$(digest part-of-full)" = "$(digest full)" ]
    on 3 "$UNROLL" train --corpus text.h5 --run part-3 --hidden 24 --batch 12 --bptt 16 --lane-groups 6 --max-steps 12 \
        --eval-every 6 --output-layer nce --eval-tokens 100
    cmp part/metrics.jsonl part-3/metrics.jsonl
}

@test "the order of counts is found for a list without counts, and travels" {
    "$UNROLL" train --corpus list.h5 --run listed --output-layer sampled --samples 6 --hidden 16 --max-steps 4 2>listed.log
    grep "by the order of counts, which is not the vocabulary's" listed.log
    "$UNROLL" inspect listed | grep -E "^  decoder.order +\[27\]$"
    "$UNROLL" train --run listed --max-steps 8
    "$UNROLL" export --model listed -o listed.safetensors
    "$UNROLL" import listed.safetensors -o again.h5
    [ "$(digest listed)" = "$(digest again.h5)" ]
    "$UNROLL" train --run listed --branch branched --max-steps 12 --samples 4
    "$UNROLL" inspect branched | grep -E "^  decoder.order +\[27\]$"
    "$UNROLL" train --corpus list.h5 --run begun --init-from listed/best.h5 --output-layer nce --proposal unigram --hidden 16 \
        --max-steps 2
    "$UNROLL" inspect begun | grep -E "^  decoder.counts +\[27\]$"
    "$UNROLL" verify listed/best.h5
}

@test "nce without normalisation, and how far its normaliser is from one" {
    "$UNROLL" eval --model nce --corpus text.h5 | grep -E "^log normaliser  mean -?[0-9.]+, standard deviation [0-9.]+$"
    "$UNROLL" eval --model nce --corpus text.h5 --json | grep log_normaliser_mean
    run ! grep normaliser <("$UNROLL" eval --model sampled --corpus text.h5)
    head -n 3 text.txt >lines.txt
    "$UNROLL" score --model nce lines.txt >normalised
    "$UNROLL" score --model nce --unnormalised lines.txt >unnormalised 2>notes
    run ! cmp normalised unnormalised
    grep "^unnormalised: logits" notes
    run -78 "$UNROLL" score --model sampled --unnormalised lines.txt
    [[ "$output" == *"its output layer is sampled"* ]]
    run -78 "$UNROLL" score --model nce --unnormalised --mix other.tsv lines.txt
    [[ "$output" == *"a mixture is of probabilities"* ]]
}

@test "learning while evaluating is by the full softmax" {
    "$UNROLL" eval --model nce --corpus text.h5 --dynamic --lr 0.1 --json | field loss
    run ! grep normaliser <("$UNROLL" eval --model nce --corpus text.h5 --dynamic --lr 0.1)
}

@test "refused: samples above the vocabulary, samples of the full softmax, a classifier" {
    run -78 train none --output-layer sampled --samples 2000
    grep "value out of range for '--samples': 2000, but the vocabulary has" none.log
    run -78 train none --samples 5
    grep "cannot use '--samples' with --output-layer full, which draws no samples" none.log
    run -78 train none --proposal unigram
    grep "cannot use '--proposal'" none.log
    run -78 "$UNROLL" bench --vocab-size 30 --output-layer nce --samples 31 --hidden 8
    [[ "$output" == *"the vocabulary has 30 entries"* ]]
    run -78 train none --task classify --output-layer sampled
    grep "cannot use '--output-layer sampled' with --task classify" none.log
    run -76 train full --output-layer sampled
    run -76 train full --branch none --output-layer sampled
    grep "cannot branch from 'full' with another model: --output-layer was full and is now sampled" full.log
    run -76 train sampled --branch none --output-layer sampled --proposal unigram
    grep -e "another model: --proposal was log-uniform and is now unigram;" sampled.log
    [ ! -e none ]
}
