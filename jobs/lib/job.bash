# What the job scripts share: where ranks and threads run, how much time a start has, and what happens when it ends.
# Sourced by them; they set `script`, the file that sbatch was given, and the settings at their top.
#
# shellcheck disable=SC2153,SC2154 # script, CORPUS
#
# A *start* is one run of the script; Slurm counts the restarts of a job in SLURM_RESTART_COUNT. Every event of a start
# is one line of the log that begins with `job:`.

# shellcheck source=jobs/lib/launch.bash
source "$(dirname "${BASH_SOURCE[0]}")/launch.bash" || exit 78

start=${SLURM_RESTART_COUNT:-0}
# The job's name for Slurm's commands. (The number of an array's last task is also that of the whole array.)
job=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
summary=unroll-$SLURM_JOB_ID.$start.json # of this start; that of the last one is kept as unroll-JOB.json

say() {
    printf 'job: %(%F %T)T %s.%s: %s\n' -1 "$SLURM_JOB_ID" "$start" "$*"
}

# give_up STATUS WORDS...: cause, object, fix.
give_up() {
    say "${*:2}"
    exit "$1"
}

# ---- before the start ----

# What Slurm knows of an object: `detail job ID Key`, `detail node NAME Key`.
detail() {
    scontrol show "$1" "$2" -o 2>/dev/null | tr ' ' '\n' | sed -n "s/^$3=//p" | head -n 1
}

# How many CPUs each node gives us at the least: SLURM_JOB_CPUS_PER_NODE is like 8(x3),4.
cpus_per_node() {
    tr ',' '\n' <<<"${SLURM_JOB_CPUS_PER_NODE:-1}" | sed 's/(.*//' | sort -n | head -n 1
}

# What this node has, for callers' variables: $node, its name; $cpus_given, the CPUs that each node gives us; $per_core,
# the CPUs of a core, 2 where Slurm counts hardware threads.
look_at_node() {
    local cores
    node=${SLURMD_NODENAME:-$(hostname -s)}
    cpus_given=$(cpus_per_node)
    cores=$(($(detail node "$node" Sockets) * $(detail node "$node" CoresPerSocket)))
    per_core=$(($(detail node "$node" CPUTot) / (cores > 0 ? cores : 1)))
    [ $per_core -ge 1 ] || per_core=1
}

# Binds the threads of a rank to cores, unless BIND is `no`. Without a task plugin Slurm binds no ranks, and OpenMP's
# places would be the same cores for all ranks of a node; BIND=auto is `no` then.
bind_threads() {
    if [ "$BIND" = auto ] && scontrol show config | grep -q '^TaskPlugin *= *\(task/none\|(null)\)'; then
        BIND=no
    fi
    [ "$BIND" = no ] || export OMP_PLACES=cores OMP_PROC_BIND=close
}

# Nodes, ranks, threads: $nodes, $RANKS_PER_NODE, $ranks, $THREADS and $cpus, the CPUs of a rank as Slurm counts them.
arrange() {
    local node cpus_given per_core
    nodes=${SLURM_JOB_NUM_NODES:-1}
    look_at_node
    RANKS_PER_NODE=${RANKS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-numa}}
    case $RANKS_PER_NODE in
    numa) RANKS_PER_NODE=$(lscpu -p=NODE | grep -v '^#' | sort -u | wc -l) ;;
    socket) RANKS_PER_NODE=$(detail node "$node" Sockets) ;;
    esac
    [ "$RANKS_PER_NODE" -le "$cpus_given" ] || RANKS_PER_NODE=$cpus_given
    cpus=${SLURM_CPUS_PER_TASK:-$((cpus_given / RANKS_PER_NODE))}
    THREADS=${THREADS:-$((cpus / per_core > 0 ? cpus / per_core : 1))}
    ranks=$((nodes * RANKS_PER_NODE))
    export OMP_NUM_THREADS=$THREADS
    bind_threads
}

# seconds_of [D-][HH:]MM:SS
seconds_of() {
    local days=0 clock=$1 seconds=0 part
    [[ $clock != *-* ]] || { days=${clock%%-*} && clock=${clock#*-}; }
    for part in ${clock//:/ }; do
        seconds=$((seconds * 60 + 10#$part))
    done
    echo $((days * 86400 + seconds))
}

# The time that this start has for training, in $max_time: the job's limit less the margin. None: no limit.
budget() {
    local left
    max_time=()
    left=$(squeue -h -j "$job" -o %L)
    [[ $left == *[0-9]:[0-9]* ]] || return 0 # UNLIMITED, INVALID
    left=$(($(seconds_of "$left") - MARGIN))
    [ $left -gt 0 ] || give_up 78 "the time limit is not longer than MARGIN, $MARGIN s; raise --time or lower MARGIN"
    max_time=(--max-time "$left")
}

# With SCRATCH, sbcast copies the corpus to every node, and the ranks read that copy. Its name is in $corpus.
stage() {
    corpus=$CORPUS
    [ -n "$SCRATCH" ] || return 0
    corpus=$SCRATCH/unroll-$SLURM_JOB_ID-$(basename "$CORPUS")
    sbcast --force "$CORPUS" "$corpus" || give_up 74 "cannot copy '$CORPUS' to '$SCRATCH' of all nodes; is it there?"
}

unstage() {
    [ -z "$SCRATCH" ] || srun --mpi=none --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 rm -f "$corpus"
}

# A job that was killed leaves its lock in the run directory. Slurm knows whether it has ended.
look_at_lock() {
    local holder
    holder=$(sed -n 's/^job \([0-9][0-9]*\)$/\1/p' "$RUN/lock" 2>/dev/null)
    if [ -n "$holder" ] && [ "$holder" != "$SLURM_JOB_ID" ]; then
        case $(detail job "$holder" JobState) in
        RUNNING | COMPLETING | SUSPENDED | STOPPED | CONFIGURING | RESIZING) ;;
        *) export UNROLL_ENDED_JOB=$holder ;;
        esac
    fi
}

count() {
    if [ "$1" -eq 1 ]; then echo "1 $2"; else echo "$1 $2s"; fi
}

# A line that says what starts where.
announce() {
    local time=${max_time[1]:+${max_time[1]} s}
    say "start $start on $(count "$nodes" node) ($SLURM_JOB_NODELIST), $(count "$ranks" rank) x" \
        "$(count "$THREADS" thread), ${time:-no time limit}"
    newest_before=$(readlink "$RUN/latest" || true)
}

# ---- after it ----

# Whether this start is still the job: it was not cancelled, and not started elsewhere while this node was cut off.
still_ours() {
    [ -z "$ended_by_slurm" ] && [ "$(detail job "$job" JobState)" = RUNNING ] &&
        [ "$(detail job "$job" Restarts)" = "$start" ]
}

# The log of this job: the rest of its line in Slurm's words, for a path may have spaces.
log_path() {
    scontrol show job "$job" | sed -n 's/^ *StdOut=//p' | head -n 1
}

# follow_up: the same script as another job that waits for this one, with this job's shape, log and options.
follow_up() {
    local option options=(--dependency="afterany:$SLURM_JOB_ID" --open-mode=append --nodes="$SLURM_JOB_NUM_NODES"
        --partition="$SLURM_JOB_PARTITION" --job-name="$SLURM_JOB_NAME" --output="$(log_path)"
        --time="$(squeue -h -j "$job" -o %l)")
    for option in account:SLURM_JOB_ACCOUNT qos:SLURM_JOB_QOS ntasks-per-node:SLURM_NTASKS_PER_NODE \
        cpus-per-task:SLURM_CPUS_PER_TASK; do
        local value=${option#*:}
        [ -z "${!value:-}" ] || options+=(--"${option%%:*}=${!value}")
    done
    # Slurm's variables of this job must not become options of the next.
    env -u SLURM_NTASKS -u SLURM_NPROCS -u SLURM_MEM_PER_NODE -u SLURM_ARRAY_JOB_ID -u SLURM_ARRAY_TASK_ID \
        sbatch --parsable "${options[@]}" "$script" "$@"
}

# again WHY OPTIONS...: the job goes back to the queue, or another follows it. Ends this start.
again() {
    local why=$1 next
    shift
    still_ours || give_up "$status" "$why; Slurm has ended this start: nothing to do"
    if [ "$CHAIN" = 1 ]; then
        next=$(follow_up "$@") || give_up "$status" "$why; the follow-up job was refused; submit it by hand"
        say "$why; job $next goes on"
        exit "$status"
    fi
    say "$why; requeued"
    local refused=0
    scontrol requeue "$job" || refused=$?
    # Above 128 it was granted: Slurm ends what the job runs, and may reach scontrol before its answer does.
    [ $refused -eq 0 ] || [ $refused -gt 128 ] ||
        give_up "$status" "requeueing was refused; submit the job again, with CHAIN=1"
    sleep 60 # Slurm ends this shell
    exit "$status"
}

# Neither the run itself nor Slurm ended this start: a rank, a node or the network is lost. The job goes back to the
# queue, up to RETRIES times in a row without a new checkpoint.
crashed() {
    local counter=unroll-$SLURM_JOB_ID.crashes count=0
    if [ "$(readlink "$RUN/latest")" = "$newest_before" ]; then
        count=$(cat "$counter" 2>/dev/null || echo 0)
    fi
    echo $((++count)) >"$counter"
    if [ $count -gt "$RETRIES" ]; then
        rm -f "$counter"
        give_up $((status ? status : 70)) "crashed, status $status; not queued again (RETRIES=$RETRIES); see above"
    fi
    again "crashed, status $status" "$@"
}

# conclude OPTIONS...: decides what happens after this start. The status of srun or mpirun is not enough: both may end
# with 0 when Slurm or a broken network has ended the ranks. The run's summary has its own status. If the run did not
# begin, the status of the program tells why.
conclude() {
    local verdict
    verdict=$(sed -n 's/.*"exit_status": *\([0-9]*\).*/\1/p' "$summary" 2>/dev/null | tail -n 1)
    if [ -n "$verdict" ]; then
        status=$verdict
        mv -f "$summary" "unroll-$SLURM_JOB_ID.json"
        unstage
    elif ! still_ours; then
        give_up "$status" "Slurm has ended this start"
    elif [ "$status" -lt 64 ] || [ "$status" -gt 79 ]; then
        crashed "$@"
    fi
    case $status in
    0) say "finished" ;;
    75) again "stopped with a checkpoint" "$@" ;;
    *) say "failed with status $status" ;;
    esac
    exit "$status"
}
