# How tests and tools start ranks on this machine, with any MPI. Only this file sets the variables of launchers.
# Sourced; tools in Python read the environment that it leaves (tools/lib/launch.py).
#
# Measured behaviour of Open MPI 4.1.4 and 5.0.7 on which tests rely:
#   - The exit status is that of the first rank whose status is not 0, also after MPI_Abort; 128 + signal if a signal ended it. The
#     other ranks get CONT, TERM and KILL. USR1 and USR2 to mpirun go to all ranks.
#   - TERM, INT or HUP to mpirun: the ranks get TERM, and KILL a second later (4.1) or a quarter of a second later (5.0); mpirun
#     ends with 1.
#   - KILL to mpirun: 4.1's ranks end; those of 5.0 end when they next communicate, and one rank alone never does.
#   - output: 5.0 may print stderr of all before stdout, and mixes half lines of a rank's streams (sys/terminal.h).
#   - 5.0 has no --quiet, and crashes on a second program after `:`.
#   - ranks are children of mpirun, in process groups of their own, and have OMPI_COMM_WORLD_RANK and _SIZE.
# MPICH 4.2's mpirun (make check-mpi MPI=mpich): ranks have PMI_RANK and PMI_SIZE and are children of hydra_pmi_proxy;
# any number is started. USR1, TERM and INT go to all ranks, which take their time; the status is theirs, or the bare
# number of a signal that ended one.

# Tests multiply their time limits by it. tools/run-tests sets it; it is higher on a busy machine.
: "${PATIENCE:=1}"

# launch_here: ranks as mpirun places them, each on cores of its own. Two variables with one meaning are for 4.1 and
# 5.0.
launch_here() {
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # containers
    export OMPI_MCA_plm_rsh_agent=false # all ranks are here: no ssh needed
    # Containers often forbid reading another process's memory, and Open MPI then complains.
    export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_smsc=^cma
    # No network but our own is needed; 5.0 complains of an address that has no neighbours.
    export OMPI_MCA_btl_tcp_if_include=lo
}

# launch_crowded: the same with any number of ranks, more than there are cores, unbound, who wait without spinning.
launch_crowded() {
    launch_here
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
    export OMPI_MCA_mpi_yield_when_idle=1
    export OMPI_MCA_orte_abort_timeout=5 # seconds that mpirun waits for ranks that it has told to end
}

# launch_bound: after launch_crowded; options of mpirun say where ranks go.
launch_bound() {
    unset OMPI_MCA_hwloc_base_binding_policy PRTE_MCA_hwloc_default_binding_policy
}

# launch_over AGENT NETWORK: mpirun starts ranks on other hosts by AGENT, in the manner of ssh, over that network.
launch_over() {
    export OMPI_MCA_plm_rsh_agent=$1 PRTE_MCA_plm_ssh_agent=$1
    export OMPI_MCA_btl_tcp_if_include=$2 OMPI_MCA_oob_tcp_if_include=$2 PRTE_MCA_prte_if_include=$2
    unset OMPI_MCA_btl_vader_backing_directory OMPI_MCA_btl_sm_backing_directory # a folder of this host
}

# processes_with PATTERN: the ids of processes whose command line, words parted by spaces, matches the extended regular
# expression.
processes_with() {
    local folder words
    for folder in /proc/[0-9]*; do
        { mapfile -d '' -t words <"$folder/cmdline"; } 2>/dev/null || continue # it may be gone
        [[ ! ${words[*]} =~ $1 ]] || echo "${folder#/proc/}"
    done
}

# gone SECONDS PATTERN: waits until no process matches, so many seconds if the machine is idle.
gone() {
    local end=$((SECONDS + $1 * PATIENCE))
    while [ -n "$(processes_with "$2")" ]; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}
