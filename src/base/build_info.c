#include "unroll/base/build_info.h"

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
