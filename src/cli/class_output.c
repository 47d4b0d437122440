/* Macro-F1 and the confusion matrix of a classifier, as text and as JSON. */
#include "unroll/cli/class_output.h"

#include <stdio.h>
#include <string.h>

#define MATRIX_MAX 12 /* labels of a matrix that is printed */

struct quality {
    int64_t texts, taken, right; /* of the label; taken for it; both */
    double precision, recall, f1;
};

static struct quality quality_of(const struct labels *labels, const int64_t *confusion, int label)
{
    struct quality q = {0};
    int64_t L = labels->count;
    for (int64_t i = 0; i < L; i++) {
        q.texts += confusion[label * L + i];
        q.taken += confusion[i * L + label];
    }
    q.right = confusion[label * L + label];
    q.precision = q.taken ? (double)q.right / (double)q.taken : 0;
    q.recall = q.texts ? (double)q.right / (double)q.texts : 0;
    q.f1 = q.texts + q.taken ? 2.0 * (double)q.right / (double)(q.texts + q.taken) : 0;
    return q;
}

double class_macro_f1(const struct labels *labels, const int64_t *confusion)
{
    double sum = 0;
    int met = 0;
    for (int label = 0; label < labels->count; label++) {
        struct quality q = quality_of(labels, confusion, label);
        sum += q.f1;
        met += q.texts + q.taken > 0;
    }
    return sum / met;
}

static const char *name_of(const struct labels *labels, int label, char room[LABEL_BYTES_MAX + 1])
{
    size_t length;
    const char *text = labels_text(labels, label, &length);
    memcpy(room, text, length);
    room[length] = '\0';
    return room;
}

void class_output_print(const struct labels *labels, const int64_t *confusion)
{
    char name[LABEL_BYTES_MAX + 1];
    int64_t L = labels->count;
    printf("\n%-20s %9s %9s %9s %9s\n", "label", "texts", "precision", "recall", "F1");
    for (int label = 0; label < L; label++) {
        struct quality q = quality_of(labels, confusion, label);
        printf("%-20s %9lld %9.4f %9.4f %9.4f\n", name_of(labels, label, name), (long long)q.texts, q.precision,
               q.recall, q.f1);
    }
    if (L > MATRIX_MAX) {
        printf("\nconfusion: --json prints the %lld x %lld matrix\n", (long long)L, (long long)L);
        return;
    }
    printf("\nconfusion: rows are labels, columns what their texts were taken for\n%-20s", "");
    for (int label = 0; label < L; label++)
        printf(" %9.9s", name_of(labels, label, name));
    printf("\n");
    for (int label = 0; label < L; label++) {
        printf("%-20s", name_of(labels, label, name));
        for (int64_t i = 0; i < L; i++)
            printf(" %9lld", (long long)confusion[label * L + i]);
        printf("\n");
    }
}

void class_output_json(const struct labels *labels, const int64_t *confusion, struct json *json)
{
    char name[LABEL_BYTES_MAX + 1];
    int64_t L = labels->count;
    json_put_double(json, "macro_f1", class_macro_f1(labels, confusion));
    json_array_begin(json, "labels");
    for (int label = 0; label < L; label++) {
        struct quality q = quality_of(labels, confusion, label);
        json_object_begin(json, NULL);
        json_put_string(json, "label", name_of(labels, label, name));
        json_put_int(json, "texts", q.texts);
        json_put_double(json, "precision", q.precision);
        json_put_double(json, "recall", q.recall);
        json_put_double(json, "f1", q.f1);
        json_object_end(json);
    }
    json_array_end(json);
    json_array_begin(json, "confusion");
    for (int label = 0; label < L; label++) {
        json_array_begin(json, NULL);
        for (int64_t i = 0; i < L; i++)
            json_put_int(json, NULL, confusion[label * L + i]);
        json_array_end(json);
    }
    json_array_end(json);
}
