/* What the configuration of `prepare` asks for, however the text is read. */
#include <math.h>
#include <string.h>

#include "prepare_private.h"

bool prepare_is_labelled(const struct prepare_config *config)
{
    return config->labelled || config->classes > 0;
}

bool prepare_has_percents(const struct prepare_config *config)
{
    return config->percent[SPLIT_TRAIN] != 0 || config->percent[SPLIT_VALID] != 0 || config->percent[SPLIT_TEST] != 0;
}

enum status prepare_check(const struct prepare_config *config, struct error *e)
{
    const double *percent = config->percent;
    char names[LEVEL_NAMES];
    bool other = config->files[SPLIT_VALID] + config->files[SPLIT_TEST] > 0;
    if (config->files[SPLIT_TRAIN] < 1 && config->classes < 1 && !(config->vocab && other))
        return error_set(e, STATUS_CONFIG, "no training text; name it with '--train FILE'%s",
                         config->labelled ? ", or a class's with '--class NAME=FILE'" : "");
    for (int i = 0; i < config->classes; i++) {
        size_t name = strcspn(config->class[i], "=");
        if (name == 0 || name > LABEL_BYTES_MAX || !config->class[i][name] || !config->class[i][name + 1])
            return error_set(e, STATUS_CONFIG, "bad value '%.200s' for '--class': write NAME=FILE", config->class[i]);
    }
    bool utf8 = level_kind(config->level)->utf8;
    if (config->lowercase && !utf8)
        return error_set(e, STATUS_CONFIG, "'--lowercase' has no meaning for bytes; use --level %s",
                         level_names(true, names));
    if (config->normal != NORMAL_NONE && !utf8)
        return error_set(e, STATUS_CONFIG, "'--normalise %s' has no meaning for bytes; use --level %s",
                         normal_name(config->normal), level_names(true, names));
    enum status status = markers_check(config->markers, config->level, e);
    if (status || !prepare_has_percents(config))
        return status;
    if (config->files[SPLIT_VALID] || config->files[SPLIT_TEST])
        return error_set(e, STATUS_CONFIG, "'--split' and files for validation or test exclude each other; use either");
    double sum = percent[SPLIT_TRAIN] + percent[SPLIT_VALID] + percent[SPLIT_TEST];
    if (!(percent[SPLIT_TRAIN] > 0) || !(percent[SPLIT_VALID] >= 0) || !(percent[SPLIT_TEST] >= 0) ||
        !(fabs(sum - 100) < 1e-6))
        return error_set(e, STATUS_CONFIG,
                         "'--split %g,%g,%g' is not three shares of 100 percent; use for example 90,5,5",
                         percent[SPLIT_TRAIN], percent[SPLIT_VALID], percent[SPLIT_TEST]);
    return STATUS_OK;
}

enum status prepare_vocab(const struct prepare_config *config, const struct tally *tally, int64_t tokens,
                          struct prepare_report *report, struct vocab **vocab, struct error *e)
{
    report->distinct = tally_entries(tally);
    report->min_count = config->min_count;
    if (config->min_count == PREPARE_MIN_COUNT_AUTO) {
        bool words = level_kind(config->level)->rare && config->vocab_size == 0 && !prepare_is_labelled(config);
        report->single = words ? tally_single(tally) : 0;
        report->min_count = words && 2 * report->single < tokens ? 2 : 1;
    }
    enum status status = tally_vocab(tally, config->level, config->vocab_size, report->min_count, vocab, e);
    if (!status)
        vocab_set_normal(*vocab, config->normal, NULL);
    return status;
}

enum status prepare_text_changed(enum split split, struct error *e)
{
    return error_set(e, STATUS_IO, "the text of split '%s' changed while it was read; try again when it is complete",
                     split_name(split));
}
