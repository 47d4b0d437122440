/* Which of Unroll's two HDF5 formats a file is. */
#ifndef UNROLL_CLI_FILE_KIND_H
#define UNROLL_CLI_FILE_KIND_H

#include "unroll/base/status.h"

enum file_kind { FILE_CORPUS, FILE_CHECKPOINT };

/* By the file's attribute `format`; where damage hides that, by the format's name among the file's first and last
 * bytes, so that the reader of that format can say what is wrong. Missing: STATUS_NOINPUT; neither format:
 * STATUS_DATA. */
enum status file_kind(const char *path, enum file_kind *kind, struct error *e);

#endif
