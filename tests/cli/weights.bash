# Shared by the tests of weights that come from elsewhere or go there. After refusal.bash.

# weights COMMAND...: of tests/cli/weights.py, which makes such files and shares nothing with the program.
weights() {
    python3 "${BASH_SOURCE[0]%/*}/weights.py" "$@"
}

# writes_nothing STATUS TEXT COMMAND...: COMMAND is refused with exactly one line on stderr, and its output is not there.
writes_nothing() {
    rm -f refused
    says_error_alone "$@" -o refused
    [ ! -e refused ] && [ ! -e refused.tmp ]
}
