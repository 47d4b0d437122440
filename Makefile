# Unroll: a trainer for recurrent neural network language models on CPU clusters.
# `make help` lists the targets and variables; `make info` shows what would be built with what.

BUILD   ?= build
OBJCOPY ?= objcopy
CC      := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
PREFIX  ?= /usr/local
DESTDIR ?=

VERSION := 0.1.0
ABI     := 0# of libunroll.so: grows when a program linked against the last one could not use the new one

# --- another processor ----------------------------------------------------------------------------------------------
# CC=aarch64-linux-gnu-gcc SYSROOT=DIR builds for a system whose root folder, with the libraries, is DIR.
SYSROOT    ?=
MULTIARCH  := $(subst -pc-,-,$(subst -unknown-,-,$(shell $(CC) -dumpmachine 2>/dev/null)))
CROSS      := $(if $(filter-out $(shell uname -m)-%,$(MULTIARCH)),$(MULTIARCH)-)
PKG_CONFIG := $(if $(SYSROOT),env PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
                  PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(MULTIARCH)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig) pkg-config
ifneq ($(CROSS),)
LD      := $(CROSS)ld
AR      := $(CROSS)ar
OBJCOPY := $(CROSS)objcopy
endif

# --- libraries -----------------------------------------------------------------------------------------------------
# BLIS_CFLAGS and BLIS_LIBS may be given for a BLIS elsewhere; the others come from pkg-config (PKG_CONFIG_PATH).
known       = $(firstword $(foreach name,$(1),$(shell $(PKG_CONFIG) --exists $(name) 2>/dev/null && echo $(name))) $(1))
MPI        ?= openmpi
ifeq ($(MPI),mpich)
MPI_NAME   := MPICH
PKG_MPI    := mpich
PKG_HDF5   := hdf5-mpich
export MPIRUN ?= mpirun.mpich
else
MPI_NAME   := Open MPI
PKG_MPI    := $(call known,ompi-c ompi)
PKG_HDF5   := $(call known,hdf5-openmpi hdf5_openmpi)
endif
PKGS       := $(PKG_MPI) $(PKG_HDF5) libutf8proc jansson inih
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
BLIS_DEBIAN := $(SYSROOT)/usr/include/$(MULTIARCH)/blis-openmp
ifneq ($(wildcard $(BLIS_DEBIAN)),)
BLIS_CFLAGS ?= -I$(BLIS_DEBIAN)
BLIS_LIBS   ?= -L$(SYSROOT)/usr/lib/$(MULTIARCH)/blis-openmp -Wl,-rpath,/usr/lib/$(MULTIARCH)/blis-openmp -lblis
else
BLIS_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags blis 2>/dev/null)
BLIS_LIBS   ?= $(shell $(PKG_CONFIG) --libs blis 2>/dev/null || echo -lblis)
endif

# --- instruction sets ----------------------------------------------------------------------------------------------
ARCH   ?= $(if $(CROSS),,native)
# ARCH=portable: one file has the program once for each of these; at its start it runs the highest that the host supports.
LEVELS := x86-64-v3 x86-64-v4
MARCH  := $(if $(filter portable,$(ARCH)),$(firstword $(LEVELS)),$(ARCH))
ifneq ($(and $(filter portable,$(ARCH)),$(filter-out x86_64-%,$(MULTIARCH))),)
$(error ARCH=portable is for x86-64 and its levels $(LEVELS); this compiler builds for '$(MULTIARCH)')
endif

# --- flags ---------------------------------------------------------------------------------------------------------
OPT      := $(if $(DEBUG),-O0 -g3,-O3 -g)
WARN     := -Wall -Wextra -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wwrite-strings -Wvla
WARN     += -Wno-psabi # vectors of 64 bytes stay inside one library
WARN     += $(if $(CI)$(WERROR),-Werror)
# Hidden, so that no name of ours replaces the same name inside a library.
CODE     := -std=gnu11 $(OPT) $(MARCH:%=-march=%) -fopenmp -fno-math-errno -ffp-contract=off -fvisibility=hidden -fPIC \
            $(SANITIZE)
CFLAGS_ALL := $(CODE) $(SYSROOT:%=--sysroot=%) $(WARN) -D_GNU_SOURCE= -Iinclude \
              $(patsubst -I%,-isystem %,$(PKG_CFLAGS) $(BLIS_CFLAGS)) $(CFLAGS)
LIBS     := $(BLIS_LIBS) $(PKG_LIBS) -lm

# --- sources -------------------------------------------------------------------------------------------------------
LIB_SRC    := $(filter-out src/cli/main.c src/cli/start.c,$(wildcard src/*/*.c))
LIB_OBJ    := $(LIB_SRC:%.c=$(BUILD)/%.o)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
MPI_TESTS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/mpi/test_*.c))
FAULT_TESTS := $(addprefix $(BUILD)/tests/fault/,unroll-faulty damage)

# libunroll exports only the functions of <unroll.h>. Not with sanitizers, whose library must come first.
# ARCH=portable: one for each level, among which the dynamic linker chooses (ld.so(8), glibc-hwcaps).
LIB     := $(BUILD)/$(if $(filter portable,$(ARCH)),levels/$(MARCH)/)lib
SONAME  := libunroll.so.$(VERSION)
BETTER  := $(if $(filter portable,$(ARCH)),$(filter-out $(MARCH),$(LEVELS)))
LIBRARY := $(if $(SANITIZE),,$(LIB)/$(SONAME) $(LIB)/libunroll.a $(BETTER:%=$(BUILD)/levels/%/lib/$(SONAME)))

.DEFAULT_GOAL := all
.PHONY: all help tests deps check check-all check-unit check-mpi check-cli check-bits check-fault check-readme check-slurm check-platforms fuzz libs demo asan lint format install clean info FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/unroll $(LIBRARY) ## build the program and libunroll (the default)

help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-19s%s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo "  BUILD=build    where everything is built         CC=gcc           the compiler"
	@echo "  ARCH=native    -march=; portable: one program for $(LEVELS)"
	@echo "  DEBUG=1        -O0 -g3                           CFLAGS=          more flags"
	@echo "  OPT='-O3 -g'   level of optimisation             SYSROOT=         cross builds"
	@echo "  V=1            show the commands                 MPI=openmpi      or mpich"
	@echo "  WERROR=1       warnings are errors, also CI=true PREFIX=, DESTDIR= for install"
	@echo "  JOBS=          test files at a time, by default as many as cores"
	@echo "Tested with:"
	@echo "  Debian 12, x86-64: gcc 12, clang 14         Open MPI 4.1, HDF5 1.10, BLIS 0.9"
	@echo "  Debian 13, x86-64: gcc 13 and 14, clang 19  Open MPI 5.0, HDF5 1.14, BLIS 1.1"
	@echo "                     MPI tests and digests with MPICH 4.2"
	@echo "  Debian 12, arm64: cross build; unit tests and digests by qemu's emulation"

# Short lines unless V=1; the full command line stands in `make info`.
Q   := $(if $(V),,@)
SAY := @printf '  %-5s %s\n'

# --- build ---------------------------------------------------------------------------------------------------------
# With sanitizers one more object is linked in.
KEEP := $(if $(SANITIZE),$(BUILD)/tests/support/keep_modules.o)

ifeq ($(ARCH),portable)
PROGRAM := $(BUILD)/src/cli/start.o $(LEVELS:%=$(BUILD)/levels/%/level.o)
else
PROGRAM := $(BUILD)/src/cli/main.o $(KEEP) $(BUILD)/libunroll.a
endif

$(BUILD)/unroll: $(PROGRAM) $(BUILD)/program
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(PROGRAM) $(LIBS)

# A make of its own builds each level, up to one object that exports only its main, under a name such as main_x86_64_v3.
$(BUILD)/levels/%/level.o: FORCE
	@$(MAKE) --no-print-directory ARCH=$* BUILD=$(BUILD)/levels/$* $@

ifeq ($(ARCH),portable)
$(LIBRARY): $(BUILD)/levels/%: $(LEVELS:%=$(BUILD)/levels/%/level.o) FORCE
	@$(MAKE) --no-print-directory ARCH=$(firstword $(subst /, ,$*)) BUILD=$(BUILD)/levels/$(firstword $(subst /, ,$*)) $@
endif

MAIN := main_$(subst -,_,$(ARCH))
$(BUILD)/level.o: $(BUILD)/src/cli/main.o $(KEEP) $(LIB_OBJ) $(BUILD)/sources
	$(SAY) LINK $@
	$(Q)$(LD) -r -o $@ $(filter %.o,$^)
	$(Q)$(OBJCOPY) --redefine-sym main=$(MAIN) --keep-global-symbol=$(MAIN) $@

$(BUILD)/libunroll.a: $(LIB_OBJ) $(BUILD)/sources
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

# What the functions of <unroll.h> need, taken out of the archive of everything.
$(BUILD)/lib/$(SONAME): $(BUILD)/src/use/library.o $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -shared -Wl,-soname,libunroll.so.$(ABI) -Wl,-z,defs -Wl,--as-needed -o $@ $^ $(LIBS)

# One object, whose inner names are no longer global: they cannot clash with those of a program.
$(BUILD)/lib/libunroll.a: $(BUILD)/src/use/library.o $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	@rm -f $@
	$(SAY) AR $@
	$(Q)$(LD) -r -o $(@:.a=.o) $^
	$(Q)$(OBJCOPY) --localize-hidden $(@:.a=.o)
	$(Q)$(AR) rcs $@ $(@:.a=.o)

# The start is built for any host of the architecture, so that it can say what the host lacks.
$(BUILD)/src/cli/start.o: OWN_FLAGS = -march=x86-64

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CFLAGS_ALL) $(OWN_FLAGS) -MMD -MP -c -o $@ $<

# Facts about the build go into one file, so that a new revision recompiles only that file.
REVISION      := $(shell git describe --always --dirty --tags 2>/dev/null)
COMPILER      := $(notdir $(CC)) $(shell $(CC) -dumpfullversion 2>/dev/null || $(CC) -dumpversion)
version_of     = $(shell $(PKG_CONFIG) --modversion $(1) 2>/dev/null)
LIBRARIES     := $(MPI_NAME) $(call version_of,$(PKG_MPI)), HDF5 $(call version_of,$(PKG_HDF5)), \
                 jansson $(call version_of,jansson), inih $(call version_of,inih), utf8proc $(call version_of,libutf8proc)
$(BUILD)/src/base/build_info.o: $(BUILD)/revision
$(BUILD)/src/base/build_info.o: OWN_FLAGS = -DBUILD_VERSION='"$(VERSION)"' -DBUILD_REVISION='"$(REVISION)"' \
	-DBUILD_COMPILER='"$(COMPILER)"' -DBUILD_FLAGS='"$(strip $(CODE) $(CFLAGS))"' -DBUILD_LIBRARIES='"$(strip $(LIBRARIES))"'

# Each of these files changes only when its text changes; then make rebuilds what depends on it.
$(BUILD)/flags: TEXT = $(CC) $(CFLAGS_ALL)
$(BUILD)/revision: TEXT = $(VERSION) $(REVISION) $(COMPILER) $(LIBRARIES)
$(BUILD)/sources: TEXT = $(LIB_OBJ)
$(BUILD)/program: TEXT = $(PROGRAM)
$(BUILD)/flags $(BUILD)/revision $(BUILD)/sources $(BUILD)/program: FORCE
	@mkdir -p $(@D)
	@$(if $(PKG_LIBS),,echo "unroll: libraries are missing: pkg-config does not find all of '$(PKGS)'; run tools/install-deps" >&2; exit 69)
	@echo '$(TEXT)' | cmp -s - $@ || echo '$(TEXT)' >$@

$(BUILD)/tests/unit/%: tests/unit/%.c $(KEEP) $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	$(SAY) TEST $<
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -Itests $(LDFLAGS) -o $@ $< $(KEEP) $(BUILD)/libunroll.a $(LIBS) -lcmocka

# The reference of elementary functions.
$(BUILD)/tests/unit/test_arithmetic $(BUILD)/tests/unit/test_vmath: LIBS += -lmpfr -lgmp

$(BUILD)/tests/unit/test_sampler: LDFLAGS += -Wl,--wrap=gemm_rows # it counts them
$(BUILD)/tests/mpi/test_step: LDFLAGS += -Wl,--wrap=reducer_norm2 # each rank has another
$(BUILD)/tests/unit/test_rundir: LDFLAGS += -Wl,--wrap=nanosleep # it takes no time

$(BUILD)/tests/mpi/%: tests/mpi/%.c $(KEEP) $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	$(SAY) TEST $<
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -Itests $(LDFLAGS) -o $@ $< $(KEEP) $(BUILD)/libunroll.a $(LIBS)

# The program with injected faults: calls between its rooms pass through tests/fault/faults.c.
FAULT_PLACES := model_train layer_forward layer_backward comm_exchange comm_alltoallv optimizer_update model_forward \
                h5_write checkpoint_verify file_commit gemm_rows shared_folder_check \
                comm_barrier_asleep build_version build_arithmetic option_table_digest
$(BUILD)/tests/fault/unroll-faulty: tests/fault/faults.c $(BUILD)/src/cli/main.o $(KEEP) $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	$(SAY) TEST $<
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS) $(FAULT_PLACES:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

$(BUILD)/tests/fault/%: tests/fault/%.c $(KEEP) $(BUILD)/libunroll.a
	@mkdir -p $(@D)
	$(SAY) TEST $<
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS) -o $@ $< $(KEEP) $(BUILD)/libunroll.a $(LIBS)

# --- tests ---------------------------------------------------------------------------------------------------------
JOBS      ?=
RUN_TESTS = BUILD=$(BUILD) tools/run-tests $(JOBS:%=-j %)
ifeq ($(ARCH),portable) # test programs hold the library for the first level; what runs beside them shall compute alike
RUN_TESTS := UNROLL_ARCH=$(MARCH) $(RUN_TESTS)
endif

deps: ## install what is missing (tools/install-deps)
	@tools/install-deps --quiet

tests: all $(UNIT_TESTS) $(MPI_TESTS) $(FAULT_TESTS) ## build all test programs

# A fresh make finds the libraries that `deps` has just installed.
# As many compilers as cores, unless -j was given.
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
check: deps ## install what is missing, build, run the tests (minutes)
	@$(MAKE) --no-print-directory $(PARALLEL) tests
	@$(RUN_TESTS) floors unit mpi cli bits fault fuzz $(MORE)

check-all: deps ## check, all targets below that begin with check-, and fuzz (hours; root)
	@$(MAKE) --no-print-directory $(PARALLEL) tests
	@UNROLL_TEST_LONG=1 FUZZ_SECONDS=$(FUZZ_SECONDS) $(RUN_TESTS) \
	    floors format unit mpi cli bits all-bits fault fuzz slurm platforms

check-unit: all $(UNIT_TESTS) ## tests of single rooms
	@$(RUN_TESTS) unit

check-mpi: all $(MPI_TESTS) ## programs on 1 to 4 ranks; with MPI=mpich digests, too
	@$(RUN_TESTS) mpi $(if $(filter mpich,$(MPI)),bits)

check-cli: all ## the command line
	@$(RUN_TESTS) cli

check-bits: ## digests of record by every compiler, level and ISA (an hour)
	@BUILD=$(BUILD) tools/run-tests $(JOBS:%=-j %) all-bits

check-fault: all $(FAULT_TESTS) ## faults and failures, with the long loops (half an hour)
	@UNROLL_TEST_LONG=1 $(RUN_TESTS) fault

TEXTS ?=
check-readme: all ## every block of all pages (*.md) in full (TEXTS= their texts)
	@UNROLL_TEST_LONG=1 TEXTS=$(TEXTS) $(RUN_TESTS) tests/cli/test_readme.py

check-slurm: all ## job scripts on a Slurm cluster of its own (root)
	@$(RUN_TESTS) slurm

PLATFORMS ?=
check-platforms: ## make demo and make check on fresh systems (root; PLATFORMS=)
	@BUILD=$(BUILD) tools/check-platforms $(PLATFORMS)

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan: ## a part of the tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE="$(ASAN)" tests
	@BUILD=$(BUILD)/asan tools/run-tests $(JOBS:%=-j %) --asan unit mpi cli

FUZZ_SECONDS ?= 600
fuzz: ## libFuzzer (clang) on loaders of files, FUZZ_SECONDS=600 each
	@BUILD=$(BUILD) tests/fuzz/run $(FUZZ_SECONDS)

libs: # for scripts that link programs of their own
	@echo $(LIBS)

demo: ## from a real text to new text, with a crash on the way
	@tools/demo

# --- upkeep --------------------------------------------------------------------------------------------------------
lint: ## include rules, shellcheck and clang-tidy (those that are installed)
	@tools/lint

format: ## lay out the C code anew (clang-format 14)
	@tools/format

# Every @NAME@ becomes the value of the variable.
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' -e 's|@LIBS@|$(strip $(LIBS))|g'
PLACE := $(DESTDIR)$(PREFIX)
# The tools that users call, and the modules of tools/lib that these import.
TOOLS   := report plot scaling-report sweep tensorboard get-corpus find-python
MODULES := $(filter-out $(addprefix tools/lib/,bench.py bench_vocabulary.py launch.py pytorch_step.py),$(wildcard tools/lib/*.py))
install: all ## program, libunroll, man page, tools under $(DESTDIR)$(PREFIX)
	install -d $(PLACE)/bin $(PLACE)/include $(PLACE)/lib/pkgconfig $(PLACE)/share/unroll/lib \
	    $(PLACE)/share/doc/unroll/examples $(PLACE)/share/modulefiles/unroll $(PLACE)/share/man/man1 \
	    $(PLACE)/share/bash-completion/completions
	install -m 755 $(BUILD)/unroll $(PLACE)/bin/
	install -m 644 include/unroll.h $(PLACE)/include/
	install -m 644 $(LIB)/libunroll.a $(PLACE)/lib/
	install -m 755 $(LIB)/$(SONAME) $(PLACE)/lib/
	ln -sf $(SONAME) $(PLACE)/lib/libunroll.so.$(ABI)
	$(foreach level,$(BETTER),install -D -m 755 $(BUILD)/levels/$(level)/lib/$(SONAME) \
	    $(PLACE)/lib/glibc-hwcaps/$(level)/libunroll.so.$(ABI);)
	ln -sf libunroll.so.$(ABI) $(PLACE)/lib/libunroll.so
	$(FILL) tools/unroll.pc.in >$(PLACE)/lib/pkgconfig/unroll.pc
	$(FILL) tools/modulefile.in >$(PLACE)/share/modulefiles/unroll/$(VERSION)
	$(BUILD)/unroll help --man >$(PLACE)/share/man/man1/unroll.1
	$(BUILD)/unroll help --completion >$(PLACE)/share/bash-completion/completions/unroll
	install -m 755 $(TOOLS:%=tools/%) $(PLACE)/share/unroll/
	install -m 644 tools/unroll_torch.py $(PLACE)/share/unroll/
	install -m 644 $(MODULES) $(PLACE)/share/unroll/lib/
	install -m 644 README.md LICENSE $(PLACE)/share/doc/unroll/
	$(foreach page,$(wildcard jobs/*.md src/*.md tests/*.md tools/*.md tools/pictures/*.svg),install -D -m 644 $(page) \
	    $(PLACE)/share/doc/unroll/$(page);)
	install -m 644 tools/examples/score_lines.c $(PLACE)/share/doc/unroll/examples/
ifeq ($(DESTDIR),) # with DESTDIR a package is made, which will be installed elsewhere
	@echo 'Add to your shell (tools: $(PREFIX)/share/unroll/report and others; modules: module use $(PREFIX)/share/modulefiles):'
	@echo '  export PATH=$(PREFIX)/bin:$$PATH LD_LIBRARY_PATH=$(PREFIX)/lib:$$LD_LIBRARY_PATH'
	@echo '  export PKG_CONFIG_PATH=$(PREFIX)/lib/pkgconfig:$$PKG_CONFIG_PATH PYTHONPATH=$(PREFIX)/share/unroll:$$PYTHONPATH'
endif

clean: ## remove what was built
	rm -rf $(BUILD)

info: ## version, compiler, flags and libraries of the build
	@echo 'version    $(VERSION) $(REVISION)'
	@echo 'compiler   $(CC) ($(COMPILER))'
	@echo 'flags      $(CFLAGS_ALL)'
	@echo 'libraries  $(strip $(LIBRARIES))'
	@echo 'link       $(LIBS)'
	@echo 'build in   $(BUILD)'

-include $(shell find $(BUILD) \( -path $(BUILD)/asan -o -path $(BUILD)/levels -o -path $(BUILD)/platforms -o \
    -path $(BUILD)/bits -o -path $(BUILD)/compare \) -prune -o -name '*.d' -print 2>/dev/null)
