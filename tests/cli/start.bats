#!/usr/bin/env bats
# What ranks open when a run starts: each the corpus, once; folders and the run directory are rank 0's.

bats_require_minimum_version 1.5.0
load training

@test "ranks behind the first open nothing but the corpus, and list no folder" {
    cd "$BATS_TEST_TMPDIR"
    strace -o probe true 2>/dev/null || skip "no strace, or it may not trace here"
    make_corpus book 300
    for round in start resume; do
        rm -f trace.*
        on 4 strace -ff -y -o trace -e trace=openat,getdents64,uname "$UNROLL" train --corpus book.h5 --run run --hidden 8 \
            --layers 1 --batch 8 --bptt 10 --epochs 1 --threads 1 >/dev/null 2>&1
        ranks=0
        for trace in $(grep -l 'book\.h5' trace.*); do
            # behind what the loader and MPI open: from the last time on that a host's name is asked for before the corpus
            awk '/^uname\(/ && !corpus { own = ""; next } /book\.h5/ { corpus = 1 } { own = own $0 "\n" }
                END { printf "%s", own }' "$trace" >own.txt
            # files of HDF5's and the system's own that depend on the host are not meant
            grep -v ENOENT own.txt | grep -o 'openat([^,]*, "[^"]*' | sed 's/.*"//' | grep -v '^/' >opened.txt || true
            echo "$trace: $(paste -sd' ' opened.txt)"
            if grep -q run/ opened.txt; then
                continue
            fi
            [ "$(cat opened.txt)" = book.h5 ]
            # folders of the kernel's about this process are not meant either
            run ! grep -q 'getdents64([0-9]*</[^p]' own.txt
            ranks=$((ranks + 1))
        done
        [ $ranks -eq 3 ]
    done
}
