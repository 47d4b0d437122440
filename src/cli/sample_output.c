/* Prints texts, token by token, as `unroll sample` makes them. */
#include "unroll/cli/sample_output.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unroll/base/arithmetic.h"
#include "unroll/cli/escape.h"
#include "unroll/use/spelling.h"

void sample_output_init(struct sample_output *output, const struct vocab *vocab, const char *prime, size_t length,
                        bool per_token, bool several)
{
    struct stat about;
    *output = (struct sample_output){
        .vocab = vocab, .prime = prime, .prime_length = length, .per_token = per_token, .several = several};
    output->at_once = fstat(STDOUT_FILENO, &about) != 0 || !S_ISREG(about.st_mode);
}

bool sample_output_ends_with_word(const char *text, size_t length)
{
    return length > 0 && !memchr(" \t\n", text[length - 1], 3);
}

void sample_output_begin(struct sample_output *output, const char *note)
{
    output->text++;
    output->first = true;
    if (output->per_token)
        return;
    if (output->several)
        printf("%s==> text %lld%s <==\n", output->text > 1 ? "\n" : "", (long long)output->text, note);
    size_t length = output->prime_length; /* as it was given, so that what is unknown to the model can be read */
    fwrite(output->prime, 1, length, stdout);
    output->line_open = length > 0 && output->prime[length - 1] != '\n';
    output->word_before = sample_output_ends_with_word(output->prime, length);
}

void sample_output_token(struct sample_output *output, uint32_t token, float logp)
{
    if (output->per_token) {
        size_t length;
        const char *text = vocab_text(output->vocab, token, &length);
        printf("%lld\t", (long long)output->text);
        escape_put(stdout, text, length);
        printf("\t%.6f%s\n", arithmetic_nan(logp), output->first && output->counts_first ? "\tcounts" : "");
        output->first = false;
        return;
    }
    struct spelling spelling = spelling_of(output->vocab, token, &output->word_before);
    if (spelling.blank)
        putchar(' ');
    fwrite(spelling.bytes, 1, spelling.length, stdout);
    output->line_open = spelling.length == 0 || spelling.bytes[spelling.length - 1] != '\n';
}

void sample_output_end(struct sample_output *output)
{
    if (output->line_open && level_kind(output->vocab->level)->utf8)
        putchar('\n');
    output->line_open = false;
}

void sample_output_flush(const struct sample_output *output)
{
    if (output->at_once)
        fflush(stdout);
}
