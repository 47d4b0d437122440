# The hosts that the cluster's tests run on: do they have a network of their own, and does nothing of them stay behind?

source "$BATS_TEST_DIRNAME/../support/launch.bash"
hosts=$BATS_TEST_DIRNAME/hosts

setup() {
    cd "$BATS_TEST_TMPDIR"
    export TMPDIR=$BATS_TEST_TMPDIR/temporary
    mkdir "$TMPDIR"
    local status=0
    "$hosts" run 1 true >why 2>&1 || status=$?
    [ $status -ne 69 ] || skip "$(cat why)"
    [ $status -eq 0 ]
}

# What a world could leave behind here.
belongings() {
    ip -o link | sed 's/ .*//'
    ls "$TMPDIR"
    grep "$TMPDIR" /proc/mounts || true
    [ ! -e /dev/shm/"$$".mark ]
}

@test "hosts have names, addresses and shared memory of their own" {
    "$hosts" run 3 bash -c "
        \$0 on n2 sh -c 'hostname; ip -o -4 addr show eth0; echo x >/dev/shm/x; ls /dev/shm; echo \$TMPDIR | grep -c n2/tmp' &&
        \$0 on n3 ls /dev/shm && \$0 on n1 \$0 rsh n3 hostname '&&' echo done" "$hosts" >out
    cat out
    [ "$(sed -n 1p out)" = n2 ]
    grep -q '10.77.0.2/24' out
    [ "$(sed -n 3,4p out)" = "$(printf 'x\n1')" ]
    [ "$(sed -n '5,$p' out)" = "$(printf 'n3\ndone')" ]
}

@test "a link is limited, cut and mended, a host crashes" {
    cat >inside <<'INSIDE'
answers() { "$1" on n1 timeout 1 bash -c "</dev/tcp/$2/7000" 2>/dev/null; }
"$1" on n2 python3 -c "
import socket
server = socket.create_server(('', 7000))
while True:
    connection, _ = server.accept()
    connection.sendall(bytes(int(connection.recv(9) or 0)))
    connection.close()" &
until answers "$1" n2; do sleep 0.05; done
# A machine that others use may make one try late, but not all.
soon() { for _ in {1..30}; do "$@" && return; done; false; }
took() { "$1" on n1 python3 -c "
import socket, time
link, begun = socket.create_connection(('n2', 7000)), time.monotonic()
link.sendall(b'2000000')
while link.recv(65536): pass
print(time.monotonic() - begun)"; }
free() { took "$1" | awk '{ exit !($1 < 0.5) }'; }
soon free "$1" && echo free
"$1" rate n2 20mbit && echo "limited $(took "$1")"
"$1" rate n2 none && soon free "$1" && echo free
"$1" cut n2; answers "$1" n2 || echo cut
"$1" mend n2; soon answers "$1" n2 && echo mended
"$1" cut n1 n2; answers "$1" n2 || echo lost
"$1" mend n1; soon answers "$1" n2 && echo found
"$1" crash n2; kill -0 $! 2>/dev/null || echo crashed
INSIDE
    "$hosts" run 2 bash inside "$hosts" >out
    cat out
    # 2 MB through 20 Mbit/s need 0.7 s at the least, after what the bucket held
    awk '/^limited/ && $2 < 0.6 { bad = 1 } END { exit bad }' out
    [ "$(cut -d ' ' -f 1 out | tr '\n' ' ')" = "free limited free cut mended lost found crashed " ]
}

@test "ranks on several hosts find each other" {
    timeout $((60 * PATIENCE)) "$hosts" run 3 "$hosts" on n1 mpirun -H n1,n2,n3 -n 3 sh -c 'hostname' >out
    [ "$(sort out | tr '\n' ' ')" = "n1 n2 n3 " ]
}

@test "nothing is left behind, whether the command ends, fails, or whoever started it is killed" {
    belongings >before
    "$hosts" run 2 true
    ! "$hosts" run 2 sh -c 'touch /dev/shm/$1.mark
        sh -c "sleep 1000; :" mark-fail & "$0" on n2 sh -c "touch /dev/shm/$1.mark; sleep 1000" mark-fail & exit 3' \
        "$hosts" $$
    gone 10 mark-fail
    belongings | diff before -
    for signal in TERM HUP KILL; do
        "$hosts" run 2 sh -c '"$0" on n1 sh -c "touch \$0; sleep 1000" "$1" & sleep 1000' "$hosts" \
            "$PWD/mark-$signal" &
        until [ -e mark-$signal ]; do sleep 0.05; done
        kill -$signal $!
        wait $! || true
        gone 10 "mark-$signal"
        [ $signal = KILL ] || belongings | diff before - # after KILL an empty folder stays
    done
}
