# How the program refuses: an exit status, and one line of its own that names the cause. Files give them a name of their own,
# `refused`, with the command or more that must hold.

# ends_with_error STATUS TEXT COMMAND...: exit status, TEXT in the last line of standard error.
ends_with_error() {
    local status_wanted=$1 text=$2
    shift 2
    run --separate-stderr "$@"
    echo "$* -> $status: $stderr"
    [ "$status" -eq "$status_wanted" ]
    [[ "${stderr_lines[-1]}" == "unroll: "*"$text"* ]]
}

# says_error_alone STATUS TEXT COMMAND...: the same, and that line is all there is, on either stream.
says_error_alone() {
    ends_with_error "$@"
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
}
