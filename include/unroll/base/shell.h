/* Words of a command line, as a POSIX shell reads them. */
#ifndef UNROLL_BASE_SHELL_H
#define UNROLL_BASE_SHELL_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the word that stands for a text in a room of `size` bytes. */
#define SHELL_WORD(size) (4 * (size) + 3)

/* Whether nothing in a text means anything to a shell, so that it is a word as it stands; "" is none. */
bool shell_is_plain(const char *text);

/* The word that a shell reads as `text`: itself if nothing in it means anything to a shell, else in single quotes.
 * `size` is at least SHELL_WORD of the room that `text` needs. */
void shell_word(const char *text, char *word, size_t size);

#endif
