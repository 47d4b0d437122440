# Shared by the tests that train. Small runs: a made-up text, a model of a few thousand parameters, seconds at most.

# shellcheck source=tests/support/launch.bash
source "${BASH_SOURCE[0]%/*}/../support/launch.bash"

# make_text LINES: text with something to learn in it, the same every time.
make_text() {
    awk -v lines="$1" 'BEGIN {
        split("the a this that some", article); split("lane window step rank state gate", noun)
        split("carries resets follows sums holds", verb); x = 7
        for (i = 0; i < lines; i++) {
            line = ""
            for (k = 0; k < 3; k++) {
                x = (x * 1103 + 12345) % 65536; a = article[1 + int(x / 7) % 5]
                x = (x * 1103 + 12345) % 65536; n = noun[1 + int(x / 7) % 6]
                x = (x * 1103 + 12345) % 65536; v = verb[1 + int(x / 7) % 5]
                line = line (k == 0 ? a " " n : " " v " " a " " n)
            }
            print line "."
        }
    }'
}

# make_corpus NAME [LINES]: NAME.h5 at character level with all three splits.
make_corpus() {
    make_text "${2:-600}" >"$1.txt"
    "$UNROLL" prepare --level char --train "$1.txt" --split 80,10,10 -o "$1.h5" >/dev/null
}

# make_model LEVEL TEXT OPTION...: LEVEL.h5 of TEXT, and LEVEL-model.h5, what a training on it with these options found best.
make_model() {
    local level=$1 text=$2
    shift 2
    "$UNROLL" prepare --level "$level" --train "$text" --split 80,10,10 -o "$level.h5"
    "$UNROLL" train --corpus "$level.h5" --run "run-$level" --batch 8 --bptt 16 --threads 1 "$@"
    cp "run-$level/best.h5" "$level-model.h5"
}

# on RANKS COMMAND...: under mpirun, or for 0 without a launcher. Time is limited, so that a hang is a failure.
on() {
    local ranks=$1
    shift
    if [ "$ranks" -eq 0 ]; then
        timeout --kill-after=5 $((120 * PATIENCE)) "$@"
    else
        timeout --kill-after=5 $((120 * PATIENCE)) mpirun -n "$ranks" "$@"
    fi
}

# field NAME FILE...: the value of a member of JSON objects, a line each.
field() {
    local name=$1
    shift
    sed -n "s/.*\"$name\": *\"\{0,1\}\([^,\"}]*\).*/\1/p" "$@"
}

# lines_of TYPE FILE: the lines of that type in a metrics.jsonl.
lines_of() {
    grep "\"type\": *\"$1\"" "$2"
}

steps_of() {
    "$UNROLL" inspect --json "$1/latest" | field step | head -n 1
}
