#!/usr/bin/env bats
# One run, killed again and again at random moments: one rank, all ranks, or mpirun, each time started again on another
# number of ranks. What it leaves is what the run leaves that nobody killed.

bats_require_minimum_version 1.5.0

load faults

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c 300
}

setup() {
    fault_setup
}

@test "killed at random moments, resumed on random numbers of ranks" {
    local kills=0 wanted=4 starts=0 job status ranks
    [ -z "${UNROLL_TEST_LONG:-}" ] || wanted=20
    options=("${base[@]}" --cell gru --lr 0.03 --lr-patience 1 --patience 40 --eval-every 31 --checkpoint-every 17
        --max-steps $((wanted * 250)))
    "$UNROLL" train "${options[@]}" --run whole 2>whole.log
    while [ $kills -lt $wanted ] && [ $starts -lt $((3 * wanted)) ]; do
        starts=$((starts + 1))
        ranks=$((RANDOM % 4 + 1))
        mpirun -n $ranks "$UNROLL" train "${options[@]}" --run "$PWD/r" 2>>log &
        job=$!
        sleep "$(awk -v x=$RANDOM 'BEGIN { print 0.5 + x / 32768 }')"
        # shellcheck disable=SC2046
        case $((RANDOM % 3)) in
        0) kill -KILL $job || true ;;
        1) kill -KILL $(ranks) || true ;;
        2) kill -KILL $(ranks | head -n 1) || true ;;
        esac 2>/dev/null
        status=0
        wait $job || status=$?
        all_gone
        [ $status -ne 0 ] || break
        kills=$((kills + 1))
    done
    echo "$kills kills in $starts starts"
    [ $kills -ge 3 ]
    on 2 "$UNROLL" train "${options[@]}" --run "$PWD/r" 2>last.log
    cmp whole/metrics.jsonl r/metrics.jsonl
    [ "$(digest_of whole/latest)" = "$(digest_of r/latest)" ]
    "$UNROLL" verify r/checkpoints/*.h5 r/best.h5
}
