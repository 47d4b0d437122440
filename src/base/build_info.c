/* Facts that the Makefile passes about the build, and the check of UNROLL_ARCH. */
#include "unroll/base/build_info.h"

#include <stdlib.h>
#include <string.h>

#include "unroll/base/arithmetic.h"

/* The Makefile defines these for this file alone. */
#ifndef BUILD_VERSION
#error "compile with make: it passes -DBUILD_VERSION and the like to this file"
#endif

const char *build_version(void)
{
    return BUILD_VERSION;
}

const char *build_revision(void)
{
    return BUILD_REVISION;
}

const char *build_compiler(void)
{
    return BUILD_COMPILER;
}

const char *build_flags(void)
{
    return BUILD_FLAGS;
}

const char *build_libraries(void)
{
    return BUILD_LIBRARIES;
}

int build_arithmetic(void)
{
    return ARITHMETIC_REVISION;
}

#if defined __AVX512F__
#define INSTRUCTIONS "avx512f"
#define LEVEL "x86-64-v4"
#elif defined __AVX2__
#define INSTRUCTIONS "avx2"
#define LEVEL "x86-64-v3"
#elif defined __x86_64__
#define INSTRUCTIONS "sse2"
#define LEVEL "x86-64"
#elif defined __aarch64__
#define INSTRUCTIONS "neon"
#define LEVEL "aarch64"
#else
#define INSTRUCTIONS "portable"
#define LEVEL "none"
#endif

const char *build_instructions(void)
{
    return INSTRUCTIONS;
}

enum status build_check_arch(struct error *e)
{
    const char *wanted = getenv("UNROLL_ARCH");
    if (!wanted || !*wanted || strcmp(wanted, LEVEL) == 0)
        return STATUS_OK;
    return error_set(
        e, STATUS_CONFIG,
        "cannot compute as UNROLL_ARCH says, for '%.50s': this program was built for %s; build it with 'make "
        "ARCH=portable', or unset the variable",
        wanted, LEVEL);
}

bool build_is_lowered(void)
{
    const char *wanted = getenv("UNROLL_ARCH");
    return wanted && strcmp(wanted, "x86-64-v3") == 0;
}
