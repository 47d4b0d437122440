/* What a file is, judged by its first bytes. Messages use this where another kind of file was expected: they say what
 * the file is, and which command helps. Nothing else depends on it. */
#ifndef UNROLL_BASE_CONTENT_H
#define UNROLL_BASE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "unroll/base/status.h"

/* The attribute `format` of Unroll's own files. */
#define CORPUS_FORMAT "unroll-corpus"
#define CHECKPOINT_FORMAT "unroll-checkpoint"

#define CONTENT_GLANCE 4096 /* bytes that tell; a tar's mark stands in the 257th */

enum content {
    CONTENT_UNKNOWN,
    CONTENT_DIRECTORY,
    CONTENT_EMPTY,
    CONTENT_TEXT, /* printable ASCII or UTF-8 */
    CONTENT_CORPUS,
    CONTENT_CHECKPOINT,
    CONTENT_HDF5, /* neither of the two */
    CONTENT_SAFETENSORS,
    CONTENT_HDF5_WEIGHTS, /* under PyTorch's names */
    CONTENT_WEIGHTS_TEXT, /* of 'unroll export --to text' */
    CONTENT_PYTORCH,      /* torch.save: a zip with a pickle inside, or a pickle of its own */
    CONTENT_PICKLE,       /* of Python; what is in it is unknown */
    CONTENT_NUMPY,
    CONTENT_KERAS,
    CONTENT_GGUF,
    CONTENT_PNG,
    CONTENT_JPEG,
    CONTENT_ELF,
    CONTENT_SQLITE,
    CONTENT_OFFICE, /* .docx, .odt and their like: a zip of XML */
    CONTENT_EPUB,
    CONTENT_GZIP, /* from here on a command unpacks it to text or whatever it holds */
    CONTENT_BZIP2,
    CONTENT_XZ,
    CONTENT_ZSTD,
    CONTENT_LZ4,
    CONTENT_COMPRESS,
    CONTENT_ZIP,
    CONTENT_TAR,
    CONTENT_7Z,
    CONTENT_RAR,
    CONTENT_PDF,
    CONTENT_UTF32, /* from here on a text that iconv converts, by its byte order mark */
    CONTENT_UTF16
};

/* By the first bytes, CONTENT_GLANCE of them where there are so many. */
enum content content_of(const void *bytes, size_t length);
/* By the file's first bytes, and for HDF5 by the format's name among its first and last; CONTENT_UNKNOWN if it
 * cannot be read. */
enum content content_of_file(const char *path);

/* Whether a byte is one of ASCII that stands in no text: NUL, and control characters but for white space and escape. */
bool content_is_control(unsigned char byte);

/* Whether a file begins as HTML does, or may so after white space; false if it cannot be read. */
bool content_is_html(const char *path);

/* "it is compressed with gzip"; for messages. */
const char *content_says(enum content content);

/* What stands in place of `path` in a command: itself if a shell takes it as it is, else "FILE". */
const char *content_shell_name(const char *path);

/* The message for a file or stream that cannot be read as text: if `content` tells why, STATUS_DATA with it in `e`,
 * else STATUS_OK. `name` is the path, or "standard input". `seekable`: the file is read twice, so the message suggests
 * no pipe. */
enum status content_refuse_text(enum content content, const char *name, bool seekable, struct error *e);

/* What a command wanted. */
enum content_wanted { WANTED_CORPUS, WANTED_CHECKPOINT, WANTED_SAFETENSORS, WANTED_HDF5_WEIGHTS, WANTED_EITHER };

/* The file at `path` could not be used as `wanted`: `status`, told in `e`. If it is something else that is known,
 * `e` gets a text that says what it is and what to do with it. Returns `status`. */
enum status content_explain(const char *path, enum content_wanted wanted, enum status status, struct error *e);

#endif
