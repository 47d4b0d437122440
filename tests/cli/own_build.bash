# Shared by the tests that change the program's sources: a copy of them, and the program built from it. Load after training.

# copy_sources: into the folder at hand, with a corpus text.h5.
copy_sources() {
    local top="$BATS_TEST_DIRNAME/../.."
    cp -r "$top/Makefile" "$top/src" "$top/include" .
    mkdir -p tests tools
    if [ -d /usr/lib/ccache ]; then
        export PATH=/usr/lib/ccache:$PATH
    fi
    export OMP_NUM_THREADS=1
    make_corpus text 60
}

# build_copy: build/unroll of the folder at hand. Warnings stop nothing: -O0 has others than the build that is tested.
build_copy() {
    make -j2 OPT=-O0 CI= WERROR= BUILD=build build/unroll >build.log 2>&1 || { tail -n 20 build.log; return 1; }
}
