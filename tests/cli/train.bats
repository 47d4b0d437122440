#!/usr/bin/env bats
# 'unroll train' as its user meets it: what it leaves behind, what it says, what it refuses, and that ranks and threads do
# not matter.

bats_require_minimum_version 1.5.0

load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
    make_text 300 >novalid.txt
    "$UNROLL" prepare --level char --train novalid.txt -o novalid.h5 >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.h5 .
    small=(--corpus c.h5 --hidden 16 --batch 10 --bptt 12 --threads 1 --lr 0.01 --log-every 1 --patience none)
}

# refused STATUS TEXT OPTION...: no training happens, one line says why.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" train "${@:3}"
    [ -z "$output" ]
    [[ "$stderr" != *"training: step "* ]]
}

# in_80_columns: what is read has no longer line.
in_80_columns() {
    ! grep -E '.{81}'
}

@test "a run leaves its files, and the log begins with what computed it" {
    begun=$(date -u +%FT%TZ)
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --max-steps 30 --eval-every 10 --checkpoint-every 10 \
        --keep 2 --json-summary s.json
    [ -z "$output" ]
    [[ "${stderr_lines[0]}" == "unroll "*", arithmetic revision "*", BLIS kernel "* ]]
    [[ "${stderr_lines[1]}" == "corpus 'c.h5': "*" tokens to train on, vocabulary "*" (char)" ]]
    [[ "${stderr_lines[2]}" == "model: lstm, 2 x 16, embedding 16, "*" parameters" ]]
    [[ "${stderr_lines[3]}" == "computing: 1 rank x 1 thread, 10 lanes in "* ]]
    [[ "${stderr_lines[4]}" == "run directory 'r': new, 30 steps, "*" in an epoch" ]]
    [[ "${stderr_lines[5]}" == "training: step 1 of 30 runs" ]]
    # what computed it, for whoever asks later
    for key in compiler flags libraries blis kernel instructions version; do
        [ -n "$(lines_of start r/timing.jsonl | field $key)" ]
    done
    [[ "$(lines_of start r/timing.jsonl)" == *gcc*"Open MPI"*HDF5* || -n "$CC" ]]
    # of the steps, only the last has a line here: the log goes by time, and all are in metrics.jsonl
    [[ "$stderr" == *"epoch 1  step 30/30  loss "*" tokens/s"* ]]
    in_80_columns <<<"$stderr"
    [[ "$stderr" == *"validation loss "* ]]
    [ -f r/config.ini ]
    [ "$(readlink r/latest)" = checkpoints/step-00000030.h5 ]
    [ "$(ls r/checkpoints)" = "$(printf 'step-00000020.h5\nstep-00000030.h5')" ]
    [ ! -e r/lock ]
    [ -z "$(find . -name '*.tmp')" ]
    "$UNROLL" verify r/best.h5 r/checkpoints/*.h5
    for key in steps epochs tokens seconds tokens_per_second train_loss valid_loss valid_perplexity test_loss parameters \
        parameters_digest ranks threads exit_status; do
        grep -q "\"$key\": *[\"0-9]" s.json
    done
    [ "$(field steps s.json)" = 30 ]
    [ "$(field tokens s.json)" = 3600 ]
    [ "$(field exit_status s.json)" = 0 ]
    # the time of all checkpoints, which the end of the log gives as a share
    awk -v sum="$(lines_of checkpoint r/timing.jsonl | field seconds | awk '{ sum += $1 } END { print sum }')" \
        -v told="$(field checkpoint_seconds s.json)" 'BEGIN { exit !(sum > 0 && told > 0.99 * sum && told < 1.01 * sum) }'
    [[ "$stderr" == *"checkpoints took "*" % of this start's "* ]]
    # when and where: ISO 8601 sorts as time does
    times=$(printf '%s\n' "$begun" $(field time r/timing.jsonl) "$(date -u +%FT%TZ)")
    [ "$(wc -l <<<"$times")" -eq $((1 + 1 + 30 + 3 + 1 + 1)) ]
    [ "$(LC_ALL=C sort <<<"$times")" = "$times" ]
    [ "$(lines_of start r/timing.jsonl | field host)" = "$(uname -n)" ]
    [ "$(lines_of start r/timing.jsonl | field hosts)" = 1 ]
    [ "$(lines_of train r/metrics.jsonl | wc -l)" -eq 30 ]
    [ "$(lines_of train r/metrics.jsonl | field step | tr '\n' ' ')" = "$(seq -s ' ' 30) " ]
    [ "$(lines_of valid r/metrics.jsonl | field step | tr '\n' ' ')" = "10 20 30 " ]
    [ "$(lines_of end r/metrics.jsonl | field parameters_digest)" = "$(field parameters_digest s.json)" ]
    # it has learnt something: the uniform guess over the characters of the text is worse
    awk -v loss="$(field valid_loss s.json)" 'BEGIN { exit !(loss < log(20)) }'
}

@test "the digest of the summary is that of the last checkpoint, and best.h5 has the best loss" {
    run -0 "$UNROLL" train "${small[@]}" --run r --max-steps 40 --eval-every 8 --json-summary s.json
    [ "$("$UNROLL" inspect --json r/latest | field parameters_digest)" = "$(field parameters_digest s.json)" ]
    best=$(lines_of valid r/metrics.jsonl | grep '"best": *true' | tail -n 1)
    [ "$(field best_valid_loss s.json)" = "$(field loss <<<"$best")" ]
    run -0 --separate-stderr "$UNROLL" eval --model r/best.h5 --corpus c.h5 --split valid --json --threads 1
    [ "$(field loss <<<"$output")" = "$(field loss <<<"$best")" ]
}

# told WHICH FILE: the validation and test loss of the last or best weights, as the end of a log tells them.
told() {
    sed -n "/^$1 weights, step [0-9]*,.*:$/ { n; s/^  validation loss \([0-9.]*\) .*test loss \([0-9.]*\) .*/\1 \2/p }" "$2"
}

# measured MODEL: the same two by eval.
measured() {
    for split in valid test; do
        "$UNROLL" eval --model "$1" --corpus c.h5 --split $split --threads 1 | awk '$1 == "loss" { printf "%.4f\n", $2 }'
    done | paste -sd' '
}

@test "the end tells what the best weights are worth and what the last, where they are, and what to type next" {
    # a rate that makes the last weights worse than the best
    options=("${small[@]}" --lr 0.5 --schedule constant --max-steps 60 --eval-every 10)
    for ranks in 0 3; do
        on $ranks "$UNROLL" train "${options[@]}" --run "it's r$ranks" --json-summary s$ranks.json 2>log$ranks
    done
    cmp "it's r0/metrics.jsonl" "it's r3/metrics.jsonl"
    best=$(field best_step s0.json)
    [ "$best" -lt 60 ]
    grep -q "^last weights, step 60, in 'it's r0/latest':$" log0
    grep -q "^best weights, step $best, in 'it's r0/best.h5':$" log0
    # the result first, the commands last
    sed -n '/^finished/,$ s/^\([a-z]*\).*/\1/p' log0 | grep . | grep -v unroll | paste -sd' ' >order
    [ "$(cat order)" = "finished best last checkpoints next" ]
    grep -q "^finished (max steps): 60 steps, 7200 tokens in 0:0[0-9]:[0-9][0-9]$" log0
    [ "$(told last log0)" = "$(measured "it's r0/latest")" ]
    [ "$(told best log0)" = "$(measured "it's r0/best.h5")" ]
    [ "$(told best log0)" = "$(told best log3)" ]
    [ "$(told best log0)" != "$(told last log0)" ]
    for key in best_step best_valid_loss best_test_loss test_loss valid_loss; do
        [ -n "$(field $key s0.json)" ]
        [ "$(field $key s0.json)" = "$(field $key s3.json)" ]
        [ "$(field $key s0.json)" = "$(lines_of end "it's r0/metrics.jsonl" | field $key)" ]
    done
    [ "$(printf '%.4f %.4f' "$(field best_valid_loss s0.json)" "$(field best_test_loss s0.json)")" = "$(told best log0)" ]
    [ "$(field last_model s0.json)" = "it's r0/latest" ]
    [ "$(field best_model s0.json)" = "it's r0/best.h5" ]
    # each of the commands can be typed as it stands, also one that takes two lines
    for log in log0 log3; do
        sed -n '/^next:$/,$ s/^  //p' $log >commands
        [ "$(grep -c "^[^ ]" commands)" -eq 2 ]
        run -0 bash -e commands
        [[ "$output" == *"loss "*" nats per token"* ]]
        [[ "$(cat commands)" == *" eval --model "*" --split test"*" sample --model "*" --length 500" ]]
    done
    ln -s "$UNROLL" a-program-with-a-long-name
    long=$PWD/$(printf 'a run %0.s' 1 2 3 4 5 6 7 8 9)
    ./a-program-with-a-long-name train "${small[@]}" --run "$long" --max-steps 2 2>log
    grep -q '^  ./a-program-with-a-long-name eval --model .* \\$' log
    sed -n '/^next:$/,$ s/^  //p' log >commands
    run -0 bash -e commands
    # a run that has ended tells the same again
    run -0 --separate-stderr "$UNROLL" train "${options[@]}" --run "it's r0" --json-summary again.json
    [[ "$stderr" == *"nothing to do"*"next:"*" eval --model "* ]]
    [ "$(field best_test_loss again.json)" = "$(field best_test_loss s0.json)" ]
}

@test "last weights that are the best are told as such; best weights that cannot be read are no failure" {
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --max-steps 20 --eval-every 8 --json-summary s.json
    [[ "$stderr" == *"the last weights are the best, step 20, in 'r/best.h5' and 'r/latest':"*"test loss "* ]]
    [[ "$stderr" != *"best weights, "* ]]
    [ "$(field best_test_loss s.json)" = "$(field test_loss s.json)" ]
    long=$(printf 'long%.0s' 1 2 3 4 5 6)
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run "$long" --max-steps 2
    [[ "$stderr" == *"the last weights are the best, step 2,"$'\n'"  in '$long/best.h5'"$'\n'"  and '$long/latest':"* ]]
    [ "$(field best_step s.json)" = 20 ] # also considered when no validation was due
    "$UNROLL" train "${small[@]}" --run other --hidden 12 --max-steps 2 --eval-every 1 2>/dev/null
    rm -r r
    "$UNROLL" train "${small[@]}" --run r --max-steps 20 --eval-every 10 2>/dev/null
    for damage in "rm r/best.h5" "cp other/best.h5 r/best.h5" "truncate -s 3000 r/best.h5"; do
        $damage
        sed -i '$d' r/metrics.jsonl # as if killed before the last line
        run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --max-steps 20 --eval-every 10 --json-summary s.json
        [[ "$stderr" == *"warning: the weights of 'r/best.h5' are not tested: "* ]]
        [[ "$stderr" == *"last weights, step 20, in 'r/latest':"*"test loss "* ]]
        [[ "$stderr" != *"best weights, "* ]]
        grep -q '"best_test_loss": null' s.json
        [ "$(field exit_status s.json)" = 0 ]
    done
}

@test "the plateau schedule stops at --lr-min, says the rate that is used, and never keeps a run from saving" {
    # at such rates validations go up and down: 0.9, 0.45, and 0.4, which is 0.225 no more
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --lr 0.9 --lr-min 0.4 --schedule plateau --lr-decay 2 \
        --lr-patience 1 --max-steps 60 --eval-every 1
    [ "$(grep -o 'lr now .*' <<<"$stderr" | paste -sd,)" = "lr now 0.45,lr now 0.4" ]
    [ "$(lines_of train r/metrics.jsonl | field lr | uniq | paste -sd' ')" = "0.9 0.45 0.4" ]
    [ "$(lines_of valid r/metrics.jsonl | field lr_factor | uniq | paste -sd' ')" = "1 0.5 0.25" ]
    # 54 divisions by a million are below all numbers; 1100 by two as well, which test_schedule.c does
    options=("${small[@]}" --run m --schedule plateau --lr-decay 1000000 --lr-patience 1 --eval-every 1 --checkpoint-every 10)
    run -0 "$UNROLL" train "${options[@]}" --max-steps 70
    run -0 --separate-stderr "$UNROLL" train "${options[@]}" --max-steps 80
    [[ "$stderr" == *"resuming 'm' at step 70 of 80"* ]]
    "$UNROLL" verify m/latest
}

@test "ranks and threads do not matter: the same bits and the same metrics" {
    options=("${small[@]}" --cell gru --layers 2 --dropout 0.2 --batch 11 --max-steps 25 --eval-every 9 --clip 0.1)
    for way in "0 1" "1 2" "2 1" "3 1" "3 2"; do
        read -r ranks threads <<<"$way"
        on "$ranks" "$UNROLL" train "${options[@]}" --threads "$threads" --run "r$ranks$threads" --json-summary s.json 2>log
        field parameters_digest s.json >>digests
        [ "$(field ranks s.json)" = $((ranks > 0 ? ranks : 1)) ]
        cmp r01/metrics.jsonl "r$ranks$threads/metrics.jsonl"
    done
    [ "$(sort -u digests | wc -l)" -eq 1 ]
}

@test "the parallel writer gives the same files" {
    options=("${small[@]}" --max-steps 12)
    on 2 "$UNROLL" train "${options[@]}" --run single --checkpoint-writer single 2>log
    on 2 "$UNROLL" train "${options[@]}" --run parallel --checkpoint-writer parallel 2>log
    "$UNROLL" verify parallel/latest parallel/best.h5
    for group in model optimizer state vocab; do
        h5diff single/latest parallel/latest /$group
    done
    for run in single parallel; do
        python3 -c 'import h5py, sys; print(h5py.File(sys.argv[1])["model/rnn.weight_hh_l0"][:].sum())' $run/latest
    done >sums
    [ "$(sort -u sums | wc -l)" -eq 1 ]
}

@test "an epoch ends where the text ends; validation and checkpoints follow it" {
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --epochs 2 --batch 40 --bptt 50 --checkpoint-every epoch
    per_epoch=$(lines_of run r/metrics.jsonl | field steps_per_epoch)
    tokens=$(lines_of run r/metrics.jsonl | field tokens_per_epoch)
    [ "$(lines_of valid r/metrics.jsonl | field step | tr '\n' ' ')" = "$per_epoch $((2 * per_epoch)) " ]
    [ "$(lines_of end r/metrics.jsonl | field tokens)" -eq $((2 * tokens)) ]
    [ "$(ls r/checkpoints | wc -l)" -eq 2 ]
    [[ "$stderr" == *"epoch 2/2  step $((2 * per_epoch))/$((2 * per_epoch))"* ]]
}

@test "early stopping ends the run after validations without improvement" {
    # the first validation is the best, because nothing can be learnt at this rate
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run r --lr 0.000000000001 --schedule constant --max-steps 200 \
        --eval-every 5 --patience 3
    [ "$(lines_of end r/metrics.jsonl | field why)" = "no improvement" ]
    best=$(lines_of valid r/metrics.jsonl | grep '"best": *true' | field step | tail -n 1)
    [ "$(lines_of end r/metrics.jsonl | field step)" -eq $((best + 15)) ]
}

@test "--max-time stops with a checkpoint and 75, and the same command goes on" {
    options=("${small[@]}" --max-steps 40)
    run -0 "$UNROLL" train "${options[@]}" --run whole --json-summary whole.json
    run -75 --separate-stderr "$UNROLL" train "${options[@]}" --run r --max-time 0.000001 --json-summary s.json
    [[ "${stderr_lines[-1]}" == "unroll: stopped at step 1 of 40 with a checkpoint: --max-time"*"run the same command"* ]]
    [ "$(field exit_status s.json)" = 75 ]
    [ "$(field steps s.json)" = 1 ]
    [ -f r/checkpoints/step-00000001.h5 ]
    run -0 "$UNROLL" train "${options[@]}" --run r --json-summary s.json
    [ "$(field parameters_digest s.json)" = "$(field parameters_digest whole.json)" ]
    cmp r/metrics.jsonl whole/metrics.jsonl
}

@test "a second job on the directory gets 73 and is told who holds it" {
    "$UNROLL" train "${small[@]}" --run r --epochs 1000 2>log &
    first=$!
    until ! kill -0 $first || { [ -s r/lock ] && grep -q '^training: step ' log; }; do sleep 0.05; done
    refused 73 "process $first on host" "${small[@]}" --run r --epochs 1000
    kill -TERM $first
    wait $first || [ $? -eq 75 ]
    [ ! -e r/lock ]
}

@test "nobody is told to delete the lock of the own job: processes of one launch are told how to become ranks" {
    env SLURM_JOB_ID=77 SLURM_STEP_ID=3 PMIX_NAMESPACE=a.77 "$UNROLL" train "${small[@]}" --run r --epochs 1000 2>log &
    first=$!
    until [ -s r/lock ] && grep -q '^training: step ' log; do sleep 0.05; done
    # another job; another step of the job; another launch in the same job; the same launch, by PMIx and by Slurm
    SLURM_JOB_ID=78 SLURM_STEP_ID=3 refused 73 "remove that file" "${small[@]}" --run r
    SLURM_JOB_ID=77 SLURM_STEP_ID=4 refused 73 "another part of this same Slurm job" "${small[@]}" --run r
    [[ "$stderr" != *"remove"* ]]
    SLURM_JOB_ID=77 PMIX_NAMESPACE=b.77 refused 73 "another part of this same Slurm job" "${small[@]}" --run r
    PMIX_NAMESPACE=a.77 refused 73 "same launch as this one" "${small[@]}" --run r
    [[ "$stderr" == *"use 'srun --mpi=pmix' or 'mpirun'"* && "$stderr" != *"remove"* ]]
    kill -TERM $first
    wait $first || [ $? -eq 75 ]
    for launch in "SLURM_JOB_ID=77 SLURM_STEP_ID=3" "PMI_JOBID=kvs_5"; do
        env $launch "$UNROLL" train "${small[@]}" --run r --epochs 1000 2>log &
        first=$!
        until [ -s r/lock ] && grep -q '^training: step ' log; do sleep 0.05; done
        env $launch bash -c '"$0" train "$@"' "$UNROLL" "${small[@]}" --run r 2>error && false
        [[ "$(tail -n 1 error)" == *"in use"*"same launch"*"srun --mpi=pmix"* ]]
        ! grep -q remove error
        kill -TERM $first
        wait $first || [ $? -eq 75 ]
    done
}

@test "a directory that cannot be used is found before the first step" {
    touch file
    refused 73 "file" "${small[@]}" --run file/r --max-steps 5
    refused 73 "json-summary" "${small[@]}" --run r --max-steps 5 --json-summary nowhere/s.json
    [ ! -e r ]
    mkdir held
    mkdir held/metrics.jsonl
    refused 73 "metrics.jsonl" "${small[@]}" --run held --max-steps 5
    [ ! -e held/lock ]
}

@test "what does not fit together is refused" {
    refused 66 "nowhere.h5" --corpus nowhere.h5 --run r --max-steps 5
    refused 78 "--patience" "${small[@]}" --corpus novalid.h5 --run r --max-steps 5 --patience 2
    refused 78 "at most" "${small[@]}" --run r --batch 100000 --max-steps 5
    refused 66 "holds no checkpoint" "${small[@]}" --run r --max-steps 5 --resume must
}

@test "more ranks than lane groups are refused with the nearest number" {
    run on 3 "$UNROLL" train "${small[@]}" --run r --batch 2 --max-steps 5
    [ "$status" -eq 78 ]
    [[ "$output" == *" 2 "* ]]
    [ ! -e r/lock ]
}

@test "without validation text the plateau schedule is constant, and that is said" {
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --corpus novalid.h5 --run r --max-steps 5 --json-summary s.json
    [[ "$stderr" == *"warning: the corpus has no validation text"* ]]
    grep -q '"valid_loss": *null' s.json
    ! grep -q test_loss s.json
    [ ! -e r/best.h5 ]
}

@test "threads that share one core are told with the options that mend it" {
    command -v taskset >/dev/null || skip "no taskset"
    run -0 --separate-stderr taskset -c 0 "$UNROLL" train "${small[@]}" --run r --max-steps 2 --threads 2
    [[ "$stderr" == *"bound to 1 core"*"mpirun --map-by slot:PE=2 --bind-to core"*"srun --cpus-per-task=2"* ]]
    OMP_NUM_THREADS=many run -78 --separate-stderr "$UNROLL" train "${small[@]}" --run q --max-steps 2 --threads auto
    [[ "$stderr" == *"OMP_NUM_THREADS"* ]]
}

@test "losses that stay infinite end the run with 79 and keep no such parameters" {
    run -79 --separate-stderr "$UNROLL" train "${small[@]}" --run r --optimizer sgd --schedule constant --lr 1000000 --clip none --cell rnn-relu \
        --max-steps 50 --checkpoint-every 1 --eval-every 1
    [[ "$stderr" == *"was skipped: its "*" is not finite"* ]]
    [[ "${stderr_lines[-1]}" == "unroll: diverged"* ]]
    for file in r/checkpoints/*.h5 r/best.h5; do
        [ ! -e "$file" ] || "$UNROLL" verify "$file"
    done
}

@test "the log may be closed or full" {
    run -0 bash -c '"$0" "$@" 2>/dev/full' "$UNROLL" train "${small[@]}" --run r --max-steps 5
    run -0 bash -c '"$0" "$@" 2>&1 | head -n 1' "$UNROLL" train "${small[@]}" --run q --max-steps 5
    [ "$(steps_of q)" = 5 ]
}

@test "a run that was stopped says at which step its validation loss was" {
    run -75 --separate-stderr "$UNROLL" train "${small[@]}" --run r --max-steps 100000 --eval-every 7 --max-time 1 \
        --json-summary s.json
    python3 - <<'PY'
import json
summary = json.load(open("s.json"))
valid = [json.loads(line) for line in open("r/metrics.jsonl")]
valid = [record for record in valid if record["type"] == "valid"][-1]
assert summary["valid_step"] == valid["step"] <= summary["steps"], summary
assert summary["valid_loss"] == valid["loss"], (summary, valid)
PY
}

@test "the commands to type next work for a run whose name begins as an option" {
    run -0 --separate-stderr "$UNROLL" train "${small[@]}" --run=-r --max-steps 3
    next=$(grep ' sample ' <<<"$stderr")
    run -0 --separate-stderr bash -c "$next"
}
