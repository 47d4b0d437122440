# What strong-scaling.sbatch and weak-scaling.sbatch share: which point a task of the array runs, and where its ranks
# go. Sourced after job.bash; the scripts set MODE, RANKS, THREADS, REDUCTIONS, RANKS_PER_NODE, BIND, LAUNCH, MPI and
# what run_point gives to tools/scaling-point.
#
# shellcheck disable=SC2154 # set in job.bash and by the scripts

# The grid, ranks first: point I is ${points[I]}, `RANKS THREADS REDUCTION`.
list_points() {
    local n t how
    points=()
    for how in $REDUCTIONS; do
        for t in $THREADS; do
            for n in $RANKS; do
                points+=("$n $t $how")
            done
        done
    done
}

# launcher_of RANKS THREADS: in $command, on as few nodes as hold them.
launcher_of() {
    local n=$1 t=$2 node per_core cpus_given per_node
    look_at_node
    per_node=${RANKS_PER_NODE:-$((cpus_given / (t * per_core)))}
    [ "$per_node" -ge 1 ] || per_node=1
    nodes=$(((n + per_node - 1) / per_node))
    [ $nodes -le "$SLURM_JOB_NUM_NODES" ] || nodes=$SLURM_JOB_NUM_NODES # ranks that do not fit fail there; the JSON says why
    if [ "$LAUNCH" = mpirun ]; then
        place_of "$per_node" "$t"
        command="mpirun -n $n ${place[*]}"
    else
        command="srun --mpi=$MPI --nodes=$nodes --ntasks=$n --cpus-per-task=$((t * per_core))"
        [ "$nodes" -eq 1 ] || command+=" --ntasks-per-node=$per_node"
        [ "$BIND" = no ] || command+=" --cpu-bind=cores"
    fi
}

# run_point RANKS THREADS REDUCTION OPTIONS...: runs one point, and writes its JSON to $DIR even if it fails.
run_point() {
    local n=$1 t=$2 how=$3 given=()
    shift 3
    launcher_of "$n" "$t"
    say "$MODE scaling, $n ranks x $t threads, $how, on $nodes of $SLURM_JOB_NUM_NODES nodes ($SLURM_JOB_NODELIST)"
    [ -z "$CORPUS" ] || given+=(--corpus "$CORPUS")
    "$TOOLS/scaling-point" --launcher "$command" --unroll "$(command -v "$UNROLL")" --mode "$MODE" --ranks "$n" \
        --threads "$t" --reduction "$how" --batch "$BATCH" --bench-steps "$BENCH_STEPS" --train-steps "$TRAIN_STEPS" \
        --limit "$LIMIT" "${given[@]}" -o "$DIR" -- "$@" || give_up $? "the point could not be run, see above"
}

# run_points OPTIONS...: the point of this task; without an array all points, one after the other.
run_points() {
    local last point
    list_points
    last=$((${#points[@]} - 1))
    bind_threads
    if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
        [ "$SLURM_ARRAY_TASK_MAX" -ge $last ] || say "not all points have a task; submit with --array=0-$last"
        if [ "$SLURM_ARRAY_TASK_ID" -gt $last ]; then
            say "no such point; --array=0-$last is enough"
            return 0
        fi
        points=("${points[$SLURM_ARRAY_TASK_ID]}")
    fi
    for point in "${points[@]}"; do
        # shellcheck disable=SC2086 # three words
        run_point $point "$@"
    done
}
