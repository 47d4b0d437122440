#!/usr/bin/env bats
# Whatever micro-kernel BLIS takes, the parameters are the same bits: those that add as a plain chain of fused multiply-adds are
# used, the others are replaced by our own, and the log says so.

bats_require_minimum_version 1.5.0

load training

@test "every kernel of BLIS that runs here gives the same parameters" {
    cd "$BATS_TEST_TMPDIR"
    corpus="$BATS_TEST_DIRNAME/../compat/plays.h5"
    kernels=""
    # Sub-configurations have numbers, which differ between versions of BLIS; what a host cannot run ends at once.
    for number in $(seq 0 35); do
        BLIS_ARCH_TYPE=$number "$UNROLL" train --corpus "$corpus" --run "r$number" --hidden 40 --layers 1 --batch 4 \
            --bptt 120 --lane-groups 1 --max-steps 3 --threads 1 >out 2>log || continue
        kernel=$(sed -n 's/.* kernel \([^,]*\), .*/\1/p' log | head -n 1)
        replaced=$(grep -c "kernel '$kernel' does not add in the order of k.*Unroll's own is used" log || true)
        kernels+=" $kernel:$replaced"
        digest=$("$UNROLL" inspect --json "r$number/latest" | field parameters_digest)
        [ "${first:=$digest}" = "$digest" ]
    done
    echo "kernels, and whether they were replaced:$kernels"
    case $(uname -m) in
    x86_64) [[ "$kernels" == *" haswell:0"* ]] ;;
    aarch64) [[ "$kernels" == *" cortexa57:0"* ]] ;;
    esac
    [[ "$kernels" == *" generic:"* ]]
    [[ "$kernels" == *":1"* ]]
}
