#!/usr/bin/env bats
# ARCH=portable: one program with the code for AVX2 and that for AVX-512, chosen at its start. Builds it, for about a
# minute, and beside it the AVX2 program alone, from the same objects. Either set of instructions gives the same bits: in
# runs of its own, in a run that begins with one and goes on with the other, and in a job of ranks with both.

bats_require_minimum_version 1.5.0

load training

setup_file() {
    export BUILD="$BATS_FILE_TMPDIR/build"
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then return; fi
    cd "$BATS_TEST_DIRNAME/../.."
    unset MAKEFLAGS MAKELEVEL
    make -j2 ARCH=portable BUILD="$BUILD" >/dev/null
    make -j2 ARCH=x86-64-v3 BUILD="$BUILD/levels/x86-64-v3" >/dev/null
    cd "$BATS_FILE_TMPDIR"
    make_corpus c
}

setup() {
    if [ -n "${UNROLL_TEST_SHORT:-}" ]; then skip "the code of either set of instructions is tested elsewhere"; fi
    portable="$BUILD/unroll"
    only_v3="$BUILD/levels/x86-64-v3/unroll"
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR/c.h5" .
}

has_avx512() {
    grep -q 'avx512f.* avx512vl' /proc/cpuinfo
}

# Names the test in the log of tools/run-tests, too.
need_avx512() {
    has_avx512 || skip "not run: this host has no AVX-512"
}

# train PROGRAM RUN OPTION...: wider than a block of k.
train() {
    "$1" train --corpus c.h5 --run "$2" --hidden 400 --layers 1 --batch 10 --bptt 12 --max-steps 10 --threads 1 "${@:3}"
}

# mixed PROGRAM ARGUMENT...: two ranks, the first with AVX-512, the second with AVX2.
mixed() {
    # shellcheck disable=SC2016 # each rank looks at its own number
    on 2 sh -c 'UNROLL_ARCH=x86-64-v$((4 - ${OMPI_COMM_WORLD_RANK:-$PMI_RANK})) exec "$@"' sh "$@"
}

# of RUN NAME: a member of what its last checkpoint says.
of() {
    "$portable" inspect --json "$1/latest" | field "$2"
}

@test "without a word the best set of instructions computes, and log and checkpoint name it" {
    unset UNROLL_ARCH
    best=avx2
    if has_avx512; then best=avx512f; fi
    run -0 --separate-stderr train "$portable" r
    [[ "$stderr" == *"BLIS kernel "*", $best"* ]]
    [ "$(of r instructions)" = $best ]
}

# same RUN RUN: the same metrics and parameters.
same() {
    cmp "$1/metrics.jsonl" "$2/metrics.jsonl"
    [ "$(of "$1" parameters_digest)" = "$(of "$2" parameters_digest)" ]
}

@test "the lower one, forced, gives the bits of a program built for it alone" {
    export UNROLL_ARCH=x86-64-v3
    for cell in lstm gru rnn-tanh; do
        run -0 --separate-stderr train "$portable" portable-$cell --cell $cell
        [[ "$stderr" == *"kernel haswell, avx2"* ]]
        train "$only_v3" v3-$cell --cell $cell
        same portable-$cell v3-$cell
    done
}

@test "either set of instructions gives the same bits" {
    need_avx512
    for cell in lstm gru rnn-tanh rnn-relu; do
        UNROLL_ARCH=x86-64-v3 train "$portable" v3-$cell --cell $cell
        UNROLL_ARCH=x86-64-v4 train "$portable" v4-$cell --cell $cell
        [ "$(of v3-$cell instructions)" = avx2 ]
        [ "$(of v4-$cell instructions)" = avx512f ]
        same v3-$cell v4-$cell
    done
}

@test "a run that was killed under AVX2 goes on with AVX-512, on other ranks, and ends in the bits of one that was not" {
    need_avx512
    options=(--corpus c.h5 --hidden 400 --layers 1 --batch 10 --bptt 12 --max-steps 100 --checkpoint-every 10
        --eval-every 25 --log-every 1 --lane-groups 7 --threads 1)
    UNROLL_ARCH=x86-64-v3 "$portable" train --run whole "${options[@]}" 2>log
    UNROLL_ARCH=x86-64-v3 "$portable" train --run killed "${options[@]}" 2>log 3>&- &
    while kill -0 $! && [ ! -e killed/latest ]; do sleep 0.02; done
    kill -KILL $!
    wait $! || status=$?
    [ "$status" -eq 137 ]
    [ "$(of killed step)" -lt 100 ]
    [ "$(of killed instructions)" = avx2 ]
    UNROLL_ARCH=x86-64-v4 on 3 "$portable" train --run killed "${options[@]}" 2>log
    [ "$(of killed instructions)" = avx512f ]
    same killed whole
}

@test "a job whose ranks use different instructions gives the bits of one whose ranks do not" {
    need_avx512
    options=(train --corpus c.h5 --hidden 400 --layers 1 --batch 10 --bptt 12 --max-steps 20 --lane-groups 5 --threads 1)
    UNROLL_ARCH=x86-64-v3 "$portable" "${options[@]}" --run whole
    mixed "$portable" "${options[@]}" --run mixed
    same mixed whole
    for file in eval gradflow; do
        words=($file --model whole/latest --corpus c.h5 --split valid --threads 1)
        UNROLL_ARCH=x86-64-v4 "$portable" "${words[@]}" >$file.v4
        mixed "$portable" "${words[@]}" >$file.mixed
        cmp $file.v4 $file.mixed
    done
}

@test "each passes its self-test" {
    for arch in x86-64-v3 x86-64-v4; do
        if [ $arch = x86-64-v4 ] && ! has_avx512; then continue; fi
        UNROLL_ARCH=$arch run -0 "$portable" selftest
        [[ "${lines[-1]}" == "the bits of arithmetic revision "* ]]
    done
}

@test "the gradients of each hold" {
    for arch in x86-64-v3 x86-64-v4; do
        if [ $arch = x86-64-v4 ] && ! has_avx512; then continue; fi
        UNROLL_ARCH=$arch run -0 "$portable" gradcheck --layers 2 --no-tied
        [[ "${lines[-1]}" == *": all gradients hold" ]]
    done
}

@test "bench, too, takes ranks with different instructions" {
    need_avx512
    small=(bench --hidden 16 --vocab-size 50 --batch 4 --bptt 5 --steps 1 --threads 1)
    run -0 --separate-stderr mixed "$portable" "${small[@]}"
    [ -z "$stderr" ]
}

@test "what cannot be had is refused" {
    UNROLL_ARCH=avx9 run -78 --separate-stderr "$portable" --version
    [[ "$stderr" == "unroll: bad value 'avx9' of the environment's UNROLL_ARCH;"* ]]
    UNROLL_ARCH=x86-64-v4 run -78 --separate-stderr "$only_v3" bench
    [[ "$stderr" == *"'x86-64-v4': this program was built for x86-64-v3; build it with 'make ARCH=portable'"* ]]
    UNROLL_ARCH= run -0 "$portable" --version
}

@test "libunroll is installed for each set of instructions, and the dynamic linker takes the best" {
    make -s -C "$BATS_TEST_DIRNAME/../.." -o all install ARCH=portable BUILD="$BUILD" PREFIX="$PWD/prefix"
    train "$portable" r
    # shellcheck disable=SC2046
    gcc prefix/share/doc/unroll/examples/score_lines.c \
        $(PKG_CONFIG_PATH=$PWD/prefix/lib/pkgconfig pkg-config --cflags --libs unroll) -o score_lines
    export LD_LIBRARY_PATH=$PWD/prefix/lib
    chosen=$PWD/prefix/lib/libunroll.so.0
    if has_avx512; then chosen=$PWD/prefix/lib/glibc-hwcaps/x86-64-v4/libunroll.so.0; fi
    ldd score_lines | grep -F "$chosen"
    head -n 20 "$BATS_FILE_TMPDIR/c.txt" >lines
    ./score_lines r/best.h5 <lines >found
    "$portable" score --model r/best.h5 lines 2>/dev/null | cmp - found
    LD_LIBRARY_PATH='' # the first level, in the program itself
    # shellcheck disable=SC2046
    gcc prefix/share/doc/unroll/examples/score_lines.c $(PKG_CONFIG_PATH=$PWD/prefix/lib/pkgconfig pkg-config --static \
        --cflags --libs unroll | sed 's/-lunroll/-l:libunroll.a/') -o static
    UNROLL_ARCH=x86-64-v3 ./static r/best.h5 <lines >found
    UNROLL_ARCH=x86-64-v3 "$portable" score --model r/best.h5 lines 2>/dev/null | cmp - found
}
