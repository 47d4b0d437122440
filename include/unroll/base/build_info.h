/* What this program was built from: for --version, the first line of every log and the checkpoints. The Makefile passes the
 * facts to build_info.c alone, so that a new revision recompiles one file. All strings are constants. */
#ifndef UNROLL_BASE_BUILD_INFO_H
#define UNROLL_BASE_BUILD_INFO_H

const char *build_version(void);   /* "0.1.0" */
const char *build_revision(void);  /* `git describe`, or "" outside a repository */
const char *build_compiler(void);  /* "gcc 12.2.0" */
const char *build_flags(void);     /* the compiler's flags that change the code */
const char *build_libraries(void); /* "Open MPI 4.1.4, HDF5 1.10.8, ...": the versions compiled against */

#endif
