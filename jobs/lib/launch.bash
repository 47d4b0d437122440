# How job scripts start ranks, by srun or by any mpirun: the one place that knows how launchers differ. Sourced by
# job.bash.
#
# What was measured, where the scripts rely on it:
#   - srun, mpirun of Open MPI 4.1 and 5.0 and MPICH's mpiexec pass USR1 to all ranks. TERM is no substitute: mpirun kills its
#     ranks a second later (4.1) or a quarter of a second later (5.0).
#   - The exit status is that of a rank: for srun the highest, for mpirun the first that is not 0. After TERM to mpirun itself it
#     is always 1. So job.bash first reads the summary that the run writes (conclude).
#   - When mpirun is killed, ranks of Open MPI 4.1 end at once, those of 5.0 when they next communicate; Slurm ends both.

# place_of PER_NODE THREADS: in $place, the options of mpirun for so many ranks a node, each with cores of its own for
# its threads, or unbound with BIND=no.
place_of() {
    if mpirun --version 2>/dev/null | grep -qi hydra; then
        place=(-ppn "$1" -bind-to "core:$2")
        [ "$BIND" != no ] || place=(-ppn "$1" -bind-to none)
    else
        place=(--map-by "ppr:$1:node:PE=$2" --bind-to core)
        [ "$BIND" != no ] || place=(--map-by "ppr:$1:node" --bind-to none)
    fi
}

# launch COMMAND...: runs srun or mpirun, and sets $status. USR1 is passed on, and all ranks end with a checkpoint.
# Slurm sends TERM only together with KILL for everything: it is not passed on, only noted.
launcher=
asked=
ended_by_slurm=
pass_on() {
    [ -n "$asked" ] || say "Slurm asks for the end: USR1 goes to the ranks"
    asked=yes
    [ -z "$launcher" ] || kill -USR1 "$launcher" 2>/dev/null
}
trap pass_on USR1
trap 'ended_by_slurm=yes' TERM

launch() {
    "$@" &
    launcher=$!
    [ -z "$asked" ] || kill -USR1 $launcher
    while :; do
        wait $launcher # a signal ends the waiting, not the launcher
        status=$?
        kill -0 $launcher 2>/dev/null || break
    done
    launcher=
}
