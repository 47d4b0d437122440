"""Writes a text of a large vocabulary, and the list of its words: word v, of V, comes with the probability that bench
gives to token v (include/unroll/use/bench.h), whatever the length of the text, so that most words never come.

    make_vocabulary.py WORDS TOKENS TEXT LIST

`unroll prepare --level word --vocab-from LIST --train TEXT --split 98,1,1` makes the corpus. The same arguments give
the same files.
"""
import random
import sys

words, tokens, text, listing = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
OFFSET = 0.1  # BENCH_ZIPF_OFFSET
draw = random.Random(1)


def word(token):
    """Tokens 0 and 1 are an unknown word and a line's end."""
    return "<unk> " if token == 0 else "\n" if token == 1 else f"w{token:x} "


with open(listing, "w", encoding="ascii") as out:
    out.write("<unk>\n</s>\n")
    out.writelines(word(v).strip() + "\n" for v in range(2, words))
with open(text, "w", encoding="ascii") as out:
    for _ in range(tokens):
        out.write(word(int(OFFSET * ((1 + words / OFFSET) ** draw.random() - 1))))
    out.write("\n")
