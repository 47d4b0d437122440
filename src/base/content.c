/* Recognises a file by its first bytes, and writes the messages about it. */
#include "unroll/base/content.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/file.h"
#include "unroll/base/shell.h"

#define HDF5_GLANCE ((size_t)1 << 16) /* bytes looked at from either end */
#define COMMAND_TEXT 480

/* How many of the first bytes name a zip's first file. */
#define ZIP_NAME 256

struct magic {
    enum content content;
    size_t at, length;
    const char *bytes;
};

static const struct magic magics[] = {
    {CONTENT_HDF5, 0, 8, "\x89HDF\r\n\x1a\n"},
    {CONTENT_NUMPY, 0, 6, "\x93NUMPY"},
    {CONTENT_GGUF, 0, 4, "GGUF"},
    {CONTENT_PYTORCH, 0, 14, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19"}, /* torch.save before 1.6 */
    {CONTENT_PNG, 0, 8, "\x89PNG\r\n\x1a\n"},
    {CONTENT_JPEG, 0, 3, "\xff\xd8\xff"},
    {CONTENT_ELF, 0, 4,
     "\x7f"
     "ELF"},
    {CONTENT_SQLITE, 0, 16, "SQLite format 3"},
    {CONTENT_GZIP, 0, 2, "\x1f\x8b"},
    {CONTENT_BZIP2, 4, 6, "1AY&SY"},
    {CONTENT_XZ, 0, 6, "\xfd\x37zXZ\0"},
    {CONTENT_ZSTD, 0, 4, "\x28\xb5\x2f\xfd"},
    {CONTENT_LZ4, 0, 4, "\x04\x22\x4d\x18"},
    {CONTENT_COMPRESS, 0, 2, "\x1f\x9d"},
    {CONTENT_ZIP, 0, 4, "PK\3\4"},
    {CONTENT_TAR, 257, 5, "ustar"},
    {CONTENT_7Z, 0, 6, "7z\xbc\xaf\x27\x1c"},
    {CONTENT_RAR, 0, 6, "Rar!\x1a\x07"},
    {CONTENT_PDF, 0, 5, "%PDF-"},
    {CONTENT_UTF32, 0, 4, "\xff\xfe\0\0"},
    {CONTENT_UTF32, 0, 4, "\0\0\xfe\xff"},
    {CONTENT_UTF16, 0, 2, "\xff\xfe"},
    {CONTENT_UTF16, 0, 2, "\xfe\xff"},
    {CONTENT_WEIGHTS_TEXT, 0, 16, "# unroll-weights"},
};

/* How each is called, and the command that writes what it holds to standard output. */
static const struct {
    const char *says, *unpack;
} words[] = {
    [CONTENT_UNKNOWN] = {"it is of a kind that Unroll does not know", NULL},
    [CONTENT_DIRECTORY] = {"it is a directory", NULL},
    [CONTENT_EMPTY] = {"it is empty", NULL},
    [CONTENT_TEXT] = {"it is a text", NULL},
    [CONTENT_CORPUS] = {"it is a corpus of 'unroll prepare'", NULL},
    [CONTENT_CHECKPOINT] = {"it is a model, a checkpoint of Unroll", NULL},
    [CONTENT_HDF5] = {"it is an HDF5 file, but not of Unroll", NULL},
    [CONTENT_SAFETENSORS] = {"it is a safetensors file", NULL},
    [CONTENT_HDF5_WEIGHTS] = {"it is an HDF5 file with weights of another program", NULL},
    [CONTENT_WEIGHTS_TEXT] = {"it is what 'unroll export --to text' wrote, for people and awk", NULL},
    [CONTENT_PYTORCH] = {"it is PyTorch's own format, of torch.save", NULL},
    [CONTENT_PICKLE] = {"it is a pickle of Python", NULL},
    [CONTENT_NUMPY] = {"it is a file of NumPy", NULL},
    [CONTENT_KERAS] = {"it is a model of Keras", NULL},
    [CONTENT_GGUF] = {"it is a GGUF file, of llama.cpp", NULL},
    [CONTENT_PNG] = {"it is a picture, PNG", NULL},
    [CONTENT_JPEG] = {"it is a picture, JPEG", NULL},
    [CONTENT_ELF] = {"it is a program or a library, ELF", NULL},
    [CONTENT_SQLITE] = {"it is a database of SQLite", NULL},
    [CONTENT_OFFICE] = {"it is a document of an office program", NULL},
    [CONTENT_EPUB] = {"it is an electronic book, EPUB", NULL},
    [CONTENT_GZIP] = {"it is compressed with gzip", "zcat"},
    [CONTENT_BZIP2] = {"it is compressed with bzip2", "bzcat"},
    [CONTENT_XZ] = {"it is compressed with xz", "xzcat"},
    [CONTENT_ZSTD] = {"it is compressed with zstd", "zstdcat"},
    [CONTENT_LZ4] = {"it is compressed with lz4", "lz4cat"},
    [CONTENT_COMPRESS] = {"it is compressed with compress", "zcat"},
    [CONTENT_ZIP] = {"it is a zip archive", "unzip -p"},
    [CONTENT_TAR] = {"it is a tar archive", "tar -xOf"},
    [CONTENT_7Z] = {"it is a 7z archive", "7z x -so"},
    [CONTENT_RAR] = {"it is a rar archive", "unrar p -inul"},
    [CONTENT_PDF] = {"it is a PDF document", "pdftotext -layout -enc UTF-8"},
    [CONTENT_UTF32] = {"it begins like UTF-32", "iconv -f UTF-32 -t UTF-8"},
    [CONTENT_UTF16] = {"it begins like UTF-16", "iconv -f UTF-16 -t UTF-8"},
};

/* ---- recognising ---- */

static bool find(const char *bytes, size_t length, const char *name)
{
    return memmem(bytes, length, name, strlen(name)) != NULL;
}

/* A header's length, little-endian, and an object of JSON. */
static bool is_safetensors(const unsigned char *bytes, size_t length)
{
    uint64_t header = 0;
    for (int i = 7; i >= 0 && length > 9; i--)
        header = header << 8 | bytes[i];
    return length > 9 && header > 1 && header < (uint64_t)1 << 32 && bytes[8] == '{' &&
           (bytes[9] == '"' || bytes[9] == ' ' || bytes[9] == '}');
}

/* A pickle of protocol 2 to 5. The numbers of a corpus do not begin like one. */
static bool is_pickle(const unsigned char *bytes, size_t length)
{
    return length > 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5 && memchr("}]ccX(\x95\x8a", bytes[2], 8);
}

/* What stands first in a .docx, .xlsx or .pptx; its name begins at the 31st byte. */
static bool begins_office(const char *bytes, size_t length)
{
    static const char *const names[] = {"[Content_Types].xml", "_rels/", "word/", "xl/", "ppt/", "docProps/"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t letters = strlen(names[i]);
        if (length >= 30 + letters && memcmp(bytes + 30, names[i], letters) == 0)
            return true;
    }
    return false;
}

/* By the name of the first file inside. */
static enum content kind_of_zip(const char *bytes, size_t length)
{
    size_t glance = length < ZIP_NAME ? length : ZIP_NAME;
    /* its writer pads each file to 64 bytes with a field of its own, "FB" and many Z */
    if (find(bytes, glance, "data.pkl") || (find(bytes, glance, "FB") && find(bytes, glance, "ZZZZZZZZ")))
        return CONTENT_PYTORCH;
    if (find(bytes, glance, ".npy"))
        return CONTENT_NUMPY;
    if (find(bytes, glance, "mimetypeapplication/epub"))
        return CONTENT_EPUB;
    if (find(bytes, glance, "mimetypeapplication/vnd.oasis.opendocument") || begins_office(bytes, length))
        return CONTENT_OFFICE;
    bool keras = find(bytes, length, "keras_version") || find(bytes, glance, "model.weights.h5");
    return keras ? CONTENT_KERAS : CONTENT_ZIP;
}

/* The names of formats stand in attributes, near either end. */
static enum content kind_of_hdf5(const char *bytes, size_t length)
{
    if (find(bytes, length, CHECKPOINT_FORMAT))
        return CONTENT_CHECKPOINT;
    if (find(bytes, length, CORPUS_FORMAT))
        return CONTENT_CORPUS;
    if (find(bytes, length, "keras_version"))
        return CONTENT_KERAS;
    return find(bytes, length, "weight_ih_l0") ? CONTENT_HDF5_WEIGHTS : CONTENT_HDF5;
}

bool content_is_control(unsigned char byte)
{
    return byte == 0 || byte == 0x7f || (byte < 0x20 && !strchr("\t\n\v\f\r\033", byte));
}

static bool is_text(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (content_is_control(bytes[i]))
            return false;
    return true;
}

enum content content_of(const void *bytes, size_t length)
{
    if (length == 0)
        return CONTENT_EMPTY;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *magic = &magics[i];
        if (length < magic->at + magic->length ||
            memcmp((const char *)bytes + magic->at, magic->bytes, magic->length) != 0)
            continue;
        return magic->content == CONTENT_ZIP    ? kind_of_zip(bytes, length)
               : magic->content == CONTENT_HDF5 ? kind_of_hdf5(bytes, length)
                                                : magic->content;
    }
    if (is_safetensors(bytes, length))
        return CONTENT_SAFETENSORS;
    if (is_pickle(bytes, length))
        return CONTENT_PICKLE;
    return is_text(bytes, length < CONTENT_GLANCE ? length : CONTENT_GLANCE) ? CONTENT_TEXT : CONTENT_UNKNOWN;
}

static enum content content_of_open(int fd, off_t size)
{
    static const size_t room = HDF5_GLANCE;
    char bytes[HDF5_GLANCE];
    ssize_t have = pread(fd, bytes, room, 0);
    if (have < 0)
        return CONTENT_UNKNOWN;
    enum content content = content_of(bytes, (size_t)have);
    if (content == CONTENT_HDF5 && size > (off_t)room && (have = pread(fd, bytes, room, size - (off_t)room)) > 0)
        content = kind_of_hdf5(bytes, (size_t)have);
    return content;
}

enum content content_of_file(const char *path)
{
    struct stat about;
    enum content content = CONTENT_UNKNOWN;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd >= 0 && fstat(fd, &about) == 0 && S_ISDIR(about.st_mode))
        content = CONTENT_DIRECTORY;
    else if (fd >= 0 && S_ISREG(about.st_mode))
        content = content_of_open(fd, about.st_size);
    if (fd >= 0)
        (void)close(fd);
    return content;
}

bool content_is_html(const char *path)
{
    char bytes[512 + 1];
    if (file_read_text(path, bytes, sizeof bytes, NULL))
        return false;
    const char *at = strncmp(bytes, "\xef\xbb\xbf", 3) == 0 ? bytes + 3 : bytes;
    at += strspn(at, " \t\r\n");
    return strncasecmp(at, "<!doctype html", 14) == 0 || strncasecmp(at, "<html", 5) == 0;
}

/* ---- telling ---- */

const char *content_says(enum content content)
{
    return words[content].says;
}

const char *content_shell_name(const char *path)
{
    return shell_is_plain(path) && path[0] != '-' && strlen(path) <= 80 ? path : "FILE";
}

/* Unpacked, such a document is XML, which nobody wants to train on. */
static void advise_document(enum content content, const char *name, char text[COMMAND_TEXT])
{
    snprintf(text, COMMAND_TEXT, "save it as plain text, or: 'pandoc -t plain --wrap=none %s >TEXT'%s%s%s", name,
             content == CONTENT_OFFICE ? ", 'libreoffice --headless --convert-to txt " : "",
             content == CONTENT_OFFICE ? name : "", content == CONTENT_OFFICE ? "'" : "");
}

/* The command that writes to standard output what is packed in the file. */
static void unpack_text(enum content content, const char *name, char text[COMMAND_TEXT])
{
    snprintf(text, COMMAND_TEXT, "%s %s%s", words[content].unpack, name, content == CONTENT_PDF ? " -" : "");
}

enum status content_refuse_text(enum content content, const char *name, bool seekable, struct error *e)
{
    char command[COMMAND_TEXT], remedy[2 * COMMAND_TEXT] = "name a text";
    bool standard = strcmp(name, "standard input") == 0, archive = content >= CONTENT_ZIP && content <= CONTENT_PDF;
    if (content == CONTENT_UNKNOWN || content == CONTENT_TEXT || content == CONTENT_EMPTY)
        return STATUS_OK;
    const char *unpack = words[content].unpack, *verb = content >= CONTENT_UTF32 ? "convert" : "unpack";
    if (content >= CONTENT_PNG && content <= CONTENT_SQLITE && seekable)
        snprintf(remedy, sizeof remedy, "name a text, or use --level byte if its bytes are meant");
    if (content == CONTENT_OFFICE || content == CONTENT_EPUB)
        advise_document(content, standard ? "FILE" : content_shell_name(name), remedy);
    if (unpack)
        unpack_text(content, content_shell_name(name), command);
    if (unpack && standard && archive)
        snprintf(remedy, sizeof remedy, "unpack it first");
    else if (unpack && standard)
        snprintf(remedy, sizeof remedy, "%s it on the way: '... | %s | unroll ...'", verb, unpack);
    else if (unpack && seekable)
        snprintf(remedy, sizeof remedy, "%s it first: '%s >TEXT'", verb, command);
    else if (unpack)
        snprintf(remedy, sizeof remedy, "%s it on the way: '%s | unroll ...'", verb, command);
    return error_set(e, STATUS_DATA, "cannot read '%.200s' as text: %s; %.300s", name, words[content].says, remedy);
}

static const struct {
    const char *as, *instead;
} wants[] = {
    [WANTED_CORPUS] = {" as a corpus", "name a file that 'unroll prepare' made"},
    [WANTED_CHECKPOINT] = {" as a model", "name a checkpoint, such as best.h5 in a run directory"},
    [WANTED_SAFETENSORS] = {" as safetensors", "name weights as safetensors, or --from hdf5"},
    [WANTED_HDF5_WEIGHTS] = {" as weights in HDF5", "name weights in HDF5, or --from safetensors"},
    [WANTED_EITHER] = {"", "name a corpus or a checkpoint"},
};

/* What to do with weights of other programs. */
static void advise_weights(enum content content, const char *name, char text[COMMAND_TEXT])
{
    if (content == CONTENT_PYTORCH)
        snprintf(text, COMMAND_TEXT,
                 "python3 -c \"import torch, safetensors.torch as s; m = torch.load('%s', 'cpu'); "
                 "m = getattr(m, 'state_dict', lambda: m)(); "
                 "m = next((m[k] for k in ('model_state_dict', 'state_dict', 'model') if k in m), m); "
                 "s.save_file({k: v.float().clone() for k, v in m.items()}, 'w.safetensors')\" writes w.safetensors, "
                 "which 'unroll import' takes",
                 name);
    else if (content == CONTENT_WEIGHTS_TEXT)
        snprintf(text, COMMAND_TEXT, "export the model again with '--to safetensors'");
    else
        snprintf(text, COMMAND_TEXT, "'unroll import --from %s %s -o MODEL.h5' makes a model of it",
                 content == CONTENT_SAFETENSORS ? "safetensors" : "hdf5", name);
}

/* What to do with a file that is not what was wanted. */
static void advise(enum content content, enum content_wanted wanted, const char *path, char text[COMMAND_TEXT])
{
    const char *name = content_shell_name(path), *instead = wants[wanted].instead;
    if (content >= CONTENT_SAFETENSORS && content <= CONTENT_PYTORCH)
        advise_weights(content, name, text);
    else if (content == CONTENT_TEXT && wanted == WANTED_CORPUS)
        snprintf(text, COMMAND_TEXT, "'unroll prepare --train %s --split 90,5,5 -o CORPUS.h5' makes a corpus of it",
                 name);
    else if (content == CONTENT_OFFICE || content == CONTENT_EPUB)
        advise_document(content, name, text);
    else if (content == CONTENT_CHECKPOINT && wanted == WANTED_CORPUS)
        snprintf(text, COMMAND_TEXT, "%s, and the model as --model", instead);
    else if (content == CONTENT_CHECKPOINT)
        snprintf(text, COMMAND_TEXT, "use it as --model, without an import");
    else if (content == CONTENT_CORPUS && (wanted == WANTED_SAFETENSORS || wanted == WANTED_HDF5_WEIGHTS))
        snprintf(text, COMMAND_TEXT, "it holds text and no weights; name weights of a model");
    else if (content >= CONTENT_GZIP && content < CONTENT_PDF) {
        char command[COMMAND_TEXT];
        unpack_text(content, name, command);
        snprintf(text, COMMAND_TEXT, "unpack it first: '%.300s >FILE'", command);
    } else
        snprintf(text, COMMAND_TEXT, "%s", instead);
}

/* Whether this may be what was wanted after all. Then its own reader knows better what is wrong with it. */
static bool may_be(enum content content, enum content_wanted wanted)
{
    bool hdf5 = content == CONTENT_CORPUS || content == CONTENT_CHECKPOINT || content == CONTENT_HDF5_WEIGHTS;
    if (content == CONTENT_UNKNOWN || content == CONTENT_EMPTY)
        return true;
    if (content == CONTENT_HDF5)
        return wanted != WANTED_SAFETENSORS;
    return (wanted == WANTED_CORPUS && content == CONTENT_CORPUS) ||
           (wanted == WANTED_CHECKPOINT && content == CONTENT_CHECKPOINT) ||
           (wanted == WANTED_EITHER && hdf5 && content != CONTENT_HDF5_WEIGHTS) ||
           (wanted == WANTED_HDF5_WEIGHTS && hdf5 && content != CONTENT_CORPUS) ||
           (wanted == WANTED_SAFETENSORS && content == CONTENT_SAFETENSORS);
}

enum status content_explain(const char *path, enum content_wanted wanted, enum status status, struct error *e)
{
    char advice[COMMAND_TEXT];
    if (status != STATUS_DATA && status != STATUS_CHECKPOINT)
        return status;
    enum content content = content_of_file(path);
    if (may_be(content, wanted))
        return status;
    advise(content, wanted, path, advice);
    return error_set(e, status, "cannot use '%.100s'%s: %s; %s", path, wants[wanted].as, words[content].says, advice);
}
