# Shared by the tests of faults. What holds after every one of them: the status is an allowed one, all ranks are gone, every
# checkpoint that has its name is whole, nothing dumped core, and the run, started again, ends as if nothing had happened.

load ../cli/training

# Once for a file: corpus, the library that makes calls fail, and the run without faults.
fault_setup_file() {
    cd "$BATS_FILE_TMPDIR"
    make_corpus c 300
    # shellcheck disable=SC2046
    cc -Wall -O1 -shared -fPIC -o inject.so "$BATS_TEST_DIRNAME/inject.c" $(pkg-config --cflags ompi-c) -ldl
    on 1 "$UNROLL" train "${base[@]}" --run whole 2>whole.log
}

# The run of all tests here; $BATS_FILE_TMPDIR/c.h5 is its corpus.
base=(--corpus "$BATS_FILE_TMPDIR/c.h5" --hidden 12 --batch 10 --bptt 9 --threads 1 --lr 0.01 --dropout 0.1 --log-every 1
    --max-steps 24 --checkpoint-every 6 --eval-every 8)

fault_setup() {
    cd "$BATS_TEST_TMPDIR"
}

# injected RANKS VARIABLE=VALUE... -- OPTION...: trains in ./r with the faults that tests/fault/inject.c describes.
injected() {
    local ranks=$1 variables=()
    shift
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    shift
    if [ "$ranks" -eq 0 ]; then
        timeout --kill-after=5 $((60 * PATIENCE)) env "${variables[@]}" LD_PRELOAD="$BATS_FILE_TMPDIR/inject.so" \
            "$UNROLL" train "${base[@]}" --run "$PWD/r" "$@"
    else
        timeout --kill-after=5 $((60 * PATIENCE)) mpirun -n "$ranks" env "${variables[@]}" LD_PRELOAD="$BATS_FILE_TMPDIR/inject.so" \
            "$UNROLL" train "${base[@]}" --run "$PWD/r" "$@"
    fi
}

# all_gone: no rank is left within 10 seconds.
all_gone() {
    gone 10 "--run $PWD/r"
    [ -z "$(find . -name 'core*')" ]
}

# ranks: the processes of the run in ./r.
ranks() {
    processes_with "^[^ ]*/unroll train .*--run $PWD/r( |\$)"
}

checkpoints_are_whole() {
    local file
    for file in r/checkpoints/step-*.h5 r/best.h5; do
        [ ! -e "$file" ] || "$UNROLL" verify "$file" >/dev/null
    done
}

# recovers [RANKS]: started again without faults, the run ends as the one that had none.
recovers() {
    checkpoints_are_whole
    on "${1:-0}" "$UNROLL" train "${base[@]}" --run r 2>recover.log || {
        cat recover.log
        return 1
    }
    cmp "$BATS_FILE_TMPDIR/whole/metrics.jsonl" r/metrics.jsonl
    [ "$(digest_of r/latest)" = "$(digest_of "$BATS_FILE_TMPDIR/whole/latest")" ]
    [ -z "$(find r -name '*.tmp')" ]
}

digest_of() {
    "$UNROLL" inspect --json "$1" | field parameters_digest
}

# is_one_of STATUS ALLOWED...
is_one_of() {
    local status=$1 allowed
    shift
    for allowed; do
        [ "$status" -ne "$allowed" ] || return 0
    done
    echo "status $status is none of: $*"
    return 1
}

# numbers_up_to N SOME: all numbers 1..N in a long run, else about SOME of them, spread evenly.
numbers_up_to() {
    if [ -n "${UNROLL_TEST_LONG:-}" ] || [ "$1" -le "$2" ]; then
        seq "$1"
    else
        seq 1 $((($1 + $2 - 1) / $2)) "$1"
    fi
}
