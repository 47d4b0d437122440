#!/usr/bin/env bats
# What changes a model's probabilities while it is tested: the neural cache and dynamic evaluation, of 'eval' and 'score',
# and how they add up with --mix. Their numbers: tests/unit/test_pytorch_test_time.c and test_cache.c.

bats_require_minimum_version 1.5.0
load refusal

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for i in $(seq 300); do
        printf 'Line %d of the book says %d again\n' $((i % 13)) $((i * i % 97))
    done >book.txt
    sed -n 271,300p book.txt >held.txt
    head -n 270 book.txt >train.txt
    "$UNROLL" prepare --level word --train train.txt --test held.txt -o book.h5
    "$UNROLL" train --corpus book.h5 --run run --max-steps 60 --hidden 16 --layers 1 --batch 8 --bptt 16 --threads 1
    "$UNROLL" train --corpus book.h5 --run sentences --max-steps 9 --hidden 9 --layers 1 --batch 8 --bptt 16 --threads 1 --reset-at eos
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
}

# refused STATUS TEXT COMMAND ARGUMENT...: exit status, TEXT in the one line of stderr that is ours, nothing on stdout.
refused() {
    says_error_alone "$1" "$2" "$UNROLL" "${@:3}"
}

# member FILE NAME: a number of a JSON object
member() {
    sed -E "s/.*\"$2\": *([-+.0-9eE]+).*/\1/" "$1"
}

evaluate() {
    "$UNROLL" eval --model run --corpus book.h5 --json "$@" 2>notes
}

@test "a cache reads the split in one lane, unless more are asked for; with a share of 0 it is the model" {
    evaluate --cache 50 --theta 1 --lambda 0.1 >cached
    [ "$(member cached lanes)" = 1 ]
    [ "$(member cached cache)" = 50 ]
    evaluate --batch 1 >plain
    awk -v a="$(member cached loss)" -v b="$(member plain loss)" 'BEGIN { exit !(a != b) }'
    evaluate --cache 50 --theta 1 --lambda 0 | sed -E 's/ "cache": 50, "cache_theta": 1, "cache_lambda": 0,//' | cmp plain -
    for lanes in 3 trained; do
        evaluate --cache 50 --lambda 0 --batch $lanes | sed -E 's/ "cache": 50, "cache_theta": [0-9.]*, "cache_lambda": 0,//' >found
        evaluate --batch $lanes | cmp found -
    done
    run -0 --separate-stderr "$UNROLL" eval --model run --corpus book.h5 --cache 50 --theta 1 --lambda 0.2
    [[ "$output" == *"cache           50 positions, theta 1, lambda 0.2"* ]]
    # a run's own configuration does not say how to test it
    "$UNROLL" eval --config run/config.ini --model run --corpus book.h5 --cache 50 --theta 1 --lambda 0.1 --json 2>notes | cmp cached -
}

@test "the same digits on any number of ranks and threads" {
    for how in "--cache 40 --batch 4" "--dynamic --rms --lr 0.01 --batch 4" "--dynamic --rms --cache 40 --bptt 5 --batch 3"; do
        evaluate $how --threads 1 >expected
        evaluate $how --threads 3 | cmp expected -
        for ranks in 2 3; do
            mpirun -n $ranks "$UNROLL" eval --model run --corpus book.h5 --json $how --threads 1 >found 2>notes
            cmp expected found
        done
    done
    mpirun -n 2 "$UNROLL" eval --model run --corpus book.h5 --json --cache 40 --threads 1 --per-token two.tsv >found 2>notes
    evaluate --cache 40 --per-token one.tsv | cmp found -
    cmp one.tsv two.tsv
}

@test "dynamic evaluation by root mean squares: with rate and decay 0 the model; it learns; statistics of some windows" {
    evaluate --dynamic --rms --lr 0 --rms-decay 0 --batch 1 >nothing
    evaluate --batch 1 >plain
    [ "$(member nothing loss)" = "$(member plain loss)" ]
    evaluate --dynamic --rms --lr 0.01 --rms-decay 0 --batch 1 --bptt 5 >learned
    awk -v a="$(member learned loss)" -v b="$(member plain loss)" 'BEGIN { exit !(a < b - 0.02) }'
    # the whole way back each time: what was learnt is lost in a window
    evaluate --dynamic --rms --lr 0 --rms-decay 1e6 --batch 1 >back
    [ "$(member back loss)" = "$(member plain loss)" ]
    evaluate --dynamic --rms --lr 0.01 --rms-windows 2 --batch 1 >few
    evaluate --dynamic --rms --lr 0.01 --batch 1 >all
    awk -v a="$(member few loss)" -v b="$(member all loss)" 'BEGIN { exit !(a != b) }'
    grep -qF '"rms_windows": "all"' all
    evaluate --dynamic --rms --lr 0.01 --rms-windows 100000 --batch 1 >many
    [ "$(member many loss)" = "$(member all loss)" ]
    run -0 --separate-stderr "$UNROLL" eval --model run --corpus book.h5 --dynamic --rms
    [[ "$output" == *"dynamic         learning rate 0.0002, root mean squares, decay 0.002, epsilon 2e-05"* ]]
    "$UNROLL" prepare --vocab-from run/latest --test held.txt -o held.h5
    refused 65 "training split" eval --model run --corpus held.h5 --dynamic --rms
}

@test "score with a cache: running text has the numbers of eval, lines alone a cache of their own, a context its tokens" {
    evaluate --cache 50 --theta 1 --per-token eval.tsv >cached
    "$UNROLL" score --model run --carry-state --cache 50 --theta 1 --per-token held.txt >score.tsv 2>summary
    cmp eval.tsv score.tsv
    grep -qF "cache of the last 50 positions, of the line and what was read before it: theta 1, lambda 0.1" summary
    awk -F '\t' -v loss="$(member cached loss)" 'NR > 1 { s -= $3; n++ } END { exit !((s / n / loss - 1) ^ 2 < 1e-10) }' score.tsv
    "$UNROLL" score --model run --cache 50 --theta 1 --per-token held.txt >alone.tsv 2>summary
    grep -qF "cache of the last 50 positions, of the line alone" summary
    mpirun -n 3 "$UNROLL" score --model run --cache 50 --theta 1 --per-token --threads 1 held.txt 2>summary | cmp alone.tsv -
    sed -n 5p held.txt | "$UNROLL" score --model run --cache 50 --theta 1 --per-token 2>summary | sed 1d | cut -f 2- >fifth
    grep -P '^5\t' alone.tsv | cut -f 2- | cmp fifth -
    # behind a context a line is as in running text
    head -n 4 held.txt >context.txt
    sed -n 5p held.txt | "$UNROLL" score --model run --cache 50 --theta 1 --per-token --context context.txt 2>summary | sed 1d | cut -f 2- >fifth
    grep -P '^5\t' score.tsv | cut -f 2- | cmp fifth -
    mpirun -n 2 "$UNROLL" score --model run --cache 50 --per-token --context context.txt --threads 1 held.txt >two 2>summary
    "$UNROLL" score --model run --cache 50 --per-token --context context.txt held.txt 2>summary | cmp two -
    "$UNROLL" score --model run --cache 50 --cache-lambda 0 held.txt >found 2>summary
    "$UNROLL" score --model run held.txt 2>summary | cmp found -
}

@test "the cache goes across line ends at which a state is reset" {
    "$UNROLL" score --model sentences --carry-state --per-token held.txt >plain.tsv 2>summary
    "$UNROLL" score --model sentences --carry-state --cache 100 --per-token held.txt >score.tsv 2>summary
    "$UNROLL" eval --model sentences --corpus book.h5 --cache 100 --per-token eval.tsv >found 2>notes
    cmp eval.tsv score.tsv
    [ "$(sed -n 2p plain.tsv)" = "$(sed -n 2p score.tsv)" ] # the cache is empty
    "$UNROLL" score --model sentences --cache 100 --per-token held.txt >alone.tsv 2>summary
    [ "$(grep -cP '^9\t' alone.tsv)" = "$(grep -cP '^9\t' score.tsv)" ]
    ! cmp -s <(grep -P '^9\t' alone.tsv) <(grep -P '^9\t' score.tsv)
}

@test "mixtures: each model brings its own cache, and one that learned on the way is mixed in by what eval wrote" {
    "$UNROLL" eval --model sentences --corpus book.h5 --dynamic --rms --cache 20 --per-token other.tsv >found 2>notes
    "$UNROLL" score --model run --carry-state --cache 50 --per-token held.txt >own.tsv 2>summary
    "$UNROLL" score --model run --carry-state --cache 50 --mix other.tsv --lambda 0.3 --per-token held.txt >mixed.tsv 2>summary
    paste own.tsv other.tsv mixed.tsv | sed 1d | awk -F '\t' '
        { p = 0.3 * exp($3) + 0.7 * exp($6); if ((log(p) - $9) ^ 2 > 4e-12) exit 1; n++ } END { exit n < 100 }'
    [ "$(sed 1d mixed.tsv | wc -l)" = "$(sed 1d own.tsv | wc -l)" ]
}

@test "what makes no sense is refused" {
    refused 78 "--lambda" eval --model run --corpus book.h5 --cache 50 --lambda 1
    refused 78 "--lambda" eval --model run --corpus book.h5 --cache 50 --lambda -0.1
    refused 78 "--theta" eval --model run --corpus book.h5 --cache 50 --theta -1
    refused 78 "--cache" eval --model run --corpus book.h5 --cache 0
    refused 78 "--cache" eval --model run --corpus book.h5 --cache 1000001
    refused 78 "without '--cache'" eval --model run --corpus book.h5 --theta 1
    refused 78 "without '--cache'" eval --model run --corpus book.h5 --lambda 0.1
    refused 78 "without '--cache'" score --model run --theta 1 held.txt
    refused 78 "without '--cache'" score --model run --cache-lambda 0.1 held.txt
    refused 78 "without '--dynamic'" eval --model run --corpus book.h5 --rms
    refused 78 "without '--dynamic'" eval --model run --corpus book.h5 --bptt 5
    refused 78 "without '--rms'" eval --model run --corpus book.h5 --dynamic --rms-decay 0.1
    refused 78 "--rms-epsilon" eval --model run --corpus book.h5 --dynamic --rms --rms-epsilon 0
    refused 78 "--per-token" eval --model run --corpus book.h5 --per-token x.tsv --batch 2
    refused 78 "--unnormalised" score --model run --cache 50 --unnormalised held.txt
    "$UNROLL" prepare --class a=train.txt b=held.txt --split 80,10,10 -o classes.h5
    "$UNROLL" train --task classify --corpus classes.h5 --run classes --max-steps 2 --hidden 4 --layers 1 --batch 4 --threads 1
    refused 76 "classif" eval --model classes/latest --corpus classes.h5 --cache 50
    refused 76 "classif" eval --model classes/latest --corpus classes.h5 --dynamic --rms
}
