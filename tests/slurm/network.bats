#!/usr/bin/env bats
# Without Slurm: training over mpirun across four hosts, of which one has a slow link and another is slow. The parameters are
# those of one rank at home; `bench --network` names link and host, and so does the report of a scaling experiment.

bats_require_minimum_version 1.5.0
load ../cli/training

hosts=$BATS_TEST_DIRNAME/hosts

setup() {
    cd "$BATS_TEST_TMPDIR"
    local status=0
    "$hosts" run 1 true >why 2>&1 || status=$?
    [ $status -ne 69 ] || skip "$(cat why)"
    [ $status -eq 0 ]
}

# Runs `unroll` with four ranks on four hosts. The link of n3 is slow, and so is n2: what its rank computes takes four times as
# long. A clock interrupts it: when it has not looked for messages since the last time, it has computed, and has to sleep.
slowed() {
    cat >slow.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
static volatile sig_atomic_t looked;
static timer_t timer;
int poll(struct pollfd *files, nfds_t count, int patience)
{
    looked = 1;
    return ((int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll"))(files, count, patience);
}
int epoll_wait(int file, struct epoll_event *event, int most, int patience)
{
    looked = 1;
    return ((int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait"))(file, event, most, patience);
}
static void arm(void)
{
    timer_settime(timer, 0, &(struct itimerspec){.it_value = {0, 500000}}, NULL);
}
static void tick(int signal)
{
    (void)signal;
    if (!looked)
        nanosleep(&(struct timespec){0, 1500000}, NULL);
    looked = 0;
    arm();
}
__attribute__((constructor)) static void begin(void)
{
    sigaction(SIGRTMAX, &(struct sigaction){.sa_handler = tick, .sa_flags = SA_RESTART}, NULL);
    timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX}, &timer);
    arm();
}
C
    gcc -shared -fPIC -o slow.so slow.c -ldl
    cat >slowed <<'INSIDE'
hosts=$1
shift
for host in n1 n2 n4; do
    "$hosts" rate $host 1gbit || exit
done
"$hosts" rate n3 50mbit || exit
mpirun -H n1,n2,n3,n4 -n 4 bash -c '[ "$(hostname)" != n2 ] || export LD_PRELOAD=$PWD/slow.so; exec "$@"' rank "$@"
INSIDE
    timeout --kill-after=5 $((240 * PATIENCE)) "$hosts" run 4 bash slowed "$hosts" "$UNROLL" "$@"
}

@test "training across four hosts, one with a slow link and one slow, ends in the bits of one rank" {
    make_corpus book 100
    options="--corpus book.h5 --layers 1 --hidden 32 --batch 8 --bptt 16 --max-steps 12 --log-every 1 --threads 1"
    on 0 "$UNROLL" train $options --run alone
    slowed train $options --run spread
    [ "$(steps_of alone)" -eq 12 ]
    cmp alone/metrics.jsonl spread/metrics.jsonl
}

# measured: slow link and slow host are what they are, in b.json, out and report.
measured() {
    slowed bench --layers 1 --hidden 128 --vocab-size 100 --batch 32 --bptt 32 \
        --threads 1 --steps 9 --network --json b.json >out || return
    cat out
    rm -rf grid
    mkdir grid
    python3 - <<'PYTHON' || return
import json
bench = json.load(open("b.json"))
network = bench["network"]
assert network["slow_links"] == ["n3"] and "n2" in network["slow_hosts"], network
speeds = {host["name"]: host["speed"] for host in network["hosts"]}
assert all(speeds["n2"] < speed / 2 for name, speed in speeds.items() if name != "n2"), speeds
assert list(speeds) == ["n1", "n2", "n3", "n4"], speeds
for pair in network["pairs"]:
    assert pair["slow"] == ("n3" in pair["hosts"]), pair
    assert pair["throughput"] < 12e6 or "n3" not in pair["hosts"], pair  # 50 Mbit/s, and what its bucket held
assert network["imbalance"] > 1.3, network["imbalance"]
assert network["inside_hosts"] is None and network["between_hosts"]["pairs"] == 6, network
json.dump({"format": "unroll-scaling-point", "mode": "strong", "ranks": 4, "threads": 1, "reduction": "exact", "batch": 32,
           "oversubscribed": True, "bench": bench, "train": None, "run": None, "failures": []},
          open("grid/strong-r004-t01-exact.json", "w"))
PYTHON
    "$BATS_TEST_DIRNAME/../../tools/scaling-report" grid --no-files >report || return
    cat report
}

@test "slow link and slow host are named" {
    # What others do on this machine now and then makes another host or link the slow one, but not every time; where nobody can
    # measure, nobody can judge. How measurements are judged: tests/unit/test_network.c.
    local try=1 load
    until measured; do
        read -r load _ </proc/loadavg
        if [ $try -eq 4 ]; then
            [ "${load%.*}" -le $(($(nproc) + 4)) ] || skip "others keep this machine busy: load $load"
            return 1
        fi
        try=$((try + 1))
    done
    grep -q '^network of 4 ranks on 4 hosts$' out
    grep -q '^  slow link      n3$' out
    grep -q '^  slow host      n2:' out
    [ "$(grep -c '^  slow link' out)" -eq 1 ]
    grep -q '^  slowest pair   ranks .*(n3)' out
    grep -q 'Slow host: n2' report
    grep -q 'Slow link: n3' report
}
