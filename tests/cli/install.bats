#!/usr/bin/env bats
# 'make install' into a folder of its own, and programs built against what lies there: libunroll, shared and static.

bats_require_minimum_version 1.5.0

load training

# As built: the same flags, so that nothing is compiled anew.
install_into() {
    make -s -C "$BATS_TEST_DIRNAME/../.." -o all install BUILD="${UNROLL%/unroll}" "$@"
}

setup_file() {
    [ -z "${UNROLL_TEST_SHORT:-}" ] || skip "no library in a build with sanitizers"
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    install_into PREFIX="$BATS_FILE_TMPDIR/prefix"
    make_corpus char 300
    "$UNROLL" train --corpus char.h5 --run run --layers 2 --hidden 20 --batch 6 --bptt 9 --max-steps 20
    cp run/best.h5 model.h5
    head -n 100 char.txt >lines
    echo >>lines # an empty one
    echo 'Ä line with unknown characters ☃' >>lines
    { for _ in {1..40}; do cat char.txt; done | head -c 300000 | tr '\n' ' ' # longer than a pool of the scorer
      printf '\nand one behind it\n'; } >long
    [ "$(wc -c <long)" -gt 300000 ]
    echo nothing >not-a-model
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1 PKG_CONFIG_PATH=$BATS_FILE_TMPDIR/prefix/lib/pkgconfig
    flags="-std=c99 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror"
    tests=$BATS_TEST_DIRNAME
}

# same_scores TEXT COMMAND...: prints what 'unroll score' prints.
same_scores() {
    "${@:2}" >found
    "$UNROLL" score --model model.h5 "$1" 2>/dev/null | cmp - found
}

@test "what is installed stands where it should, and knows nothing of DESTDIR" {
    install_into DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/opt/unroll
    cd "$BATS_TEST_TMPDIR/stage"
    for file in bin/unroll include/unroll.h lib/libunroll.a lib/libunroll.so lib/pkgconfig/unroll.pc share/man/man1/unroll.1 \
        share/bash-completion/completions/unroll share/doc/unroll/README.md share/doc/unroll/tools/TROUBLE.md \
        share/doc/unroll/examples/score_lines.c \
        share/unroll/{report,plot,scaling-report,sweep,tensorboard,get-corpus,find-python,unroll_torch.py}; do
        [ -s "opt/unroll/$file" ]
    done
    run -0 opt/unroll/bin/unroll --version
    version=$(sed -n 's/^unroll \([0-9.]*\).*/\1/p' <<<"$output")
    [ -s "opt/unroll/share/modulefiles/unroll/$version" ]
    [ "$(find . -type f -o -type l | wc -l)" -eq "$(find opt/unroll -type f -o -type l | wc -l)" ]
    run ! grep -rIl "$BATS_TEST_TMPDIR" .
    grep -qx 'prefix=/opt/unroll' opt/unroll/lib/pkgconfig/unroll.pc
    run ! grep -rI '@[A-Z]*@' opt/unroll/lib/pkgconfig opt/unroll/share/modulefiles
}

@test "what was installed says how it is found, in lines that a shell takes" {
    install_into PREFIX="$BATS_TEST_TMPDIR/new" >said
    cat said
    [ "$(wc -l <said)" -eq 3 ]
    [ "$(grep -c '^  export ' said)" -eq 2 ]
    (
        unset PYTHONPATH LD_LIBRARY_PATH
        eval "$(grep '^  export ' said)"
        [ "$(command -v unroll)" = "$BATS_TEST_TMPDIR/new/bin/unroll" ]
        [ "$(pkg-config --variable=prefix unroll)" = "$BATS_TEST_TMPDIR/new" ]
        [[ "$LD_LIBRARY_PATH" == "$BATS_TEST_TMPDIR/new/lib:"* ]]
        [ -s "${PYTHONPATH%%:*}/unroll_torch.py" ]
    )
    # a package is not yet where it will be
    [ -z "$(install_into DESTDIR="$BATS_TEST_TMPDIR/stage" PREFIX=/opt/unroll)" ]
}

@test "tools run where they are installed, from an empty folder" {
    tools=$PWD/prefix/share/unroll
    run=$PWD/run
    mkdir "$BATS_TEST_TMPDIR/empty"
    cd "$BATS_TEST_TMPDIR/empty"
    unset UNROLL
    # every tool finds its modules
    for tool in report plot scaling-report sweep tensorboard get-corpus; do
        run -0 --separate-stderr "$tools/$tool" --help
        [[ "$output" == *[Uu]sage* ]]
    done
    [ -z "$(ls -A)" ]
    # report finds the program beside it, which writes the samples
    "$tools/report" "$run" -o report.html
    grep -q 'What the model writes' report.html
    "$tools/plot" loss "$run" -o loss.svg
    grep -q '<svg' loss.svg
    "$tools/tensorboard" "$run" -o events
    [ -s events/run/events.out.tfevents.unroll ]
    printf 'seed\n1\n2\n' >table
    mkdir runs
    cp -r "$run" runs/seed-1
    "$tools/sweep" table runs --report
    grep -qE '^1	max steps	20	' runs/results.tsv
    "$tools/get-corpus" "$run/../char.txt" -o text
    cmp text "$run/../char.txt"
    # and nothing is written beside the modules
    [ -z "$(find "$tools" -name '__pycache__')" ]
}

@test "the library shows its interface and nothing else" {
    run -0 bash -c "nm -D --defined-only prefix/lib/libunroll.so | awk '{ print \$3 }' | sort"
    shared=$output
    [ "$(grep -c '^unroll_' <<<"$shared")" -ge 7 ]
    run ! grep -v '^unroll_' <<<"$shared"
    run -0 bash -c "nm -g --defined-only prefix/lib/libunroll.a | awk 'NF == 3 { print \$3 }' | sort"
    [ "$output" = "$shared" ]
    [ "$(grep -c '^UNROLL_API' prefix/include/unroll.h)" -eq "$(wc -l <<<"$shared")" ]
    readelf -d prefix/lib/libunroll.so | grep -q 'SONAME.*\[libunroll.so.[0-9]*\]'
    # no name of ours is left open, and none is taken from a library beside those of the program
    run ! bash -c "readelf -d prefix/lib/libunroll.so | grep TEXTREL"
}

@test "the example, against the shared library: scores and text of the program" {
    # shellcheck disable=SC2046
    gcc $flags prefix/share/doc/unroll/examples/score_lines.c $(pkg-config --cflags --libs unroll) -o shared
    run ! ./shared model.h5
    export LD_LIBRARY_PATH=$PWD/prefix/lib
    same_scores lines ./shared model.h5 <lines
    same_scores long ./shared model.h5 <long
    "$UNROLL" sample --model model.h5 --prime 'the rank ' --length 80 >expected
    ./shared model.h5 --write 'the rank ' 80 | cmp expected -
    run -66 ./shared none.h5
    [[ "$output" == "score_lines: "*"'none.h5'"* ]]
}

@test "the example, against the static library" {
    # shellcheck disable=SC2046
    gcc $flags prefix/share/doc/unroll/examples/score_lines.c \
        $(pkg-config --static --cflags --libs unroll | sed 's/-lunroll/-l:libunroll.a/') -o static
    run ! bash -c "ldd static | grep libunroll"
    same_scores lines ./static model.h5 <lines
}

@test "every function and every mistake; many lines at once, two threads, names of the library's own" {
    # shellcheck disable=SC2046
    gcc $flags "$tests/library.c" $(pkg-config --static --cflags --libs unroll | sed 's/-lunroll/-l:libunroll.a/') \
        -lpthread -o static-all
    same_scores lines ./static-all model.h5 lines
    # shellcheck disable=SC2046
    gcc $flags "$tests/library.c" $(pkg-config --cflags --libs unroll) -lpthread -o shared-all
    LD_LIBRARY_PATH=$PWD/prefix/lib same_scores lines ./shared-all model.h5 lines
}

@test "inside an MPI program every rank computes for itself" {
    # shellcheck disable=SC2046
    mpicc -DWITH_MPI $flags "$tests/library.c" $(pkg-config --cflags --libs unroll) -lpthread -o with-mpi
    LD_LIBRARY_PATH=$PWD/prefix/lib same_scores lines on 2 ./with-mpi model.h5 lines
}

@test "a model trained in bf16 is computed in bf16" {
    "$UNROLL" train --corpus char.h5 --run run-bf16 --layers 2 --hidden 40 --batch 6 --bptt 9 --max-steps 20 \
        --precision bf16 --bf16-order pair
    # shellcheck disable=SC2046
    gcc $flags prefix/share/doc/unroll/examples/score_lines.c $(pkg-config --cflags --libs unroll) -o shared
    LD_LIBRARY_PATH=$PWD/prefix/lib ./shared run-bf16/best.h5 <lines >found
    "$UNROLL" score --model run-bf16/best.h5 lines 2>/dev/null | cmp - found
    run ! cmp -s found <("$UNROLL" score --model run-bf16/best.h5 --precision float32 lines 2>/dev/null)
}

@test "models at word and byte level" {
    for level in word byte; do
        "$UNROLL" prepare --level $level --train char.txt --split 80,10,10 -o $level.h5
        "$UNROLL" train --corpus $level.h5 --run run-$level --layers 1 --hidden 10 --batch 6 --bptt 9 --max-steps 3
        # shellcheck disable=SC2046
        gcc $flags prefix/share/doc/unroll/examples/score_lines.c $(pkg-config --cflags --libs unroll) -o shared
        LD_LIBRARY_PATH=$PWD/prefix/lib ./shared run-$level/best.h5 <lines >found
        "$UNROLL" score --model run-$level/best.h5 lines 2>/dev/null | cmp - found
    done
    # Markers: refused, or as the text was that the model learned from.
    sed 's/^/<s> /; s/$/ <\/s>/' lines >marked
    LD_LIBRARY_PATH=$PWD/prefix/lib run -65 ./shared run-word/best.h5 <marked
    [[ "$output" == *"the text holds "*" '<s>' and "*"'--markers strip'"* ]]
    for markers in strip keep; do
        sed 's/^/<s> /' char.txt >marked.txt
        "$UNROLL" prepare --level word --markers $markers --train marked.txt --split 80,10,10 -o $markers.h5
        "$UNROLL" train --corpus $markers.h5 --run run-$markers --layers 1 --hidden 10 --batch 6 --bptt 9 --max-steps 3
        LD_LIBRARY_PATH=$PWD/prefix/lib ./shared run-$markers/best.h5 <marked >found
        "$UNROLL" score --model run-$markers/best.h5 --markers $markers marked 2>/dev/null | cmp - found
    done
    "$UNROLL" sample --model run-byte/best.h5 --prime 'the rank' --length 80 >expected
    LD_LIBRARY_PATH=$PWD/prefix/lib ./shared run-byte --write 'the rank' 80 | head -c -1 | cmp expected -
    "$UNROLL" sample --model run-word/best.h5 --prime 'the rank ' --length 80 | tr -d '\n' >expected
    LD_LIBRARY_PATH=$PWD/prefix/lib ./shared run-word/best.h5 --write 'the rank ' 80 | tr -d '\n' | cmp expected -
}

@test "the module file sets the environment" {
    modulecmd=$(find /usr/lib /usr/share -name modulecmd.tcl 2>/dev/null | head -n 1)
    [ -n "$modulecmd" ] || skip "no Environment Modules; apt-get install environment-modules"
    run -0 env MODULEPATH="$PWD/prefix/share/modulefiles" "$modulecmd" bash load unroll
    eval "$output"
    [ "$(command -v unroll)" = "$PWD/prefix/bin/unroll" ]
    [[ ":$LD_LIBRARY_PATH:" == *":$PWD/prefix/lib:"* ]]
    [ "$(pkg-config --variable=prefix unroll)" = "$PWD/prefix" ]
}

@test "the program that the guide shows" {
    awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$BATS_TEST_DIRNAME/../../tools/GUIDE.md" >program.c
    mkdir -p runs/book
    cp model.h5 runs/book/best.h5
    # shellcheck disable=SC2046
    gcc $flags program.c $(pkg-config --cflags --libs unroll) -o program
    LD_LIBRARY_PATH=$PWD/prefix/lib ./program >found
    echo 'To be, or not to be' | "$UNROLL" score --model model.h5 2>/dev/null | cmp - found
}
