#!/usr/bin/env python3
"""Writes the texts of the digests of record into a folder: make_texts.py FOLDER. Integers alone, so the same everywhere."""
import pathlib
import sys

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"  # with blank, full stop, line end and <unk>: 66
PAIRS = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]

COMMON = "the and to you in of we he are The that for not your our noble Marcius gods people honours Come, war".split()


class Numbers:
    """Knuth's linear congruential generator (MMIX), of which the upper half is used."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 32) * n >> 32

    def often_small(self, n):
        """The minimum of three: words of a text are of unequal frequency."""
        return min(self.below(n) for _ in range(3))


def letters(lines, seed):
    """Lines of words over LETTERS, of 300 words in all."""
    numbers = Numbers(seed)
    lexicon = ["".join(LETTERS[numbers.below(len(LETTERS))] for _ in range(1 + k % 7)) for k in range(300)]
    return [" ".join(lexicon[numbers.often_small(300)] for _ in range(3 + numbers.below(6))) + "." for _ in range(lines)]


def word(k):
    return PAIRS[k % 70] + PAIRS[k // 70 % 70] + PAIRS[k // 4900 % 70]


def words(lines, seed, begin=0):
    """Lines of 12 words; each third one walks through a list of 10500, so that all of them come."""
    numbers = Numbers(seed)
    return [" ".join(word((begin + line * 4 + k // 3) % 10500 if k % 3 == 2 else numbers.often_small(10500))
                     for k in range(12)) for line in range(lines)]


def main():
    folder = pathlib.Path(sys.argv[1])
    texts = {"letters.txt": letters(600, 1), "letters-valid.txt": letters(30, 2), "letters-lines.txt": letters(12, 3),
             "words.txt": words(2700, 4), "words-valid.txt": words(40, 5, 3), "words-lines.txt": words(8, 6, 70)}
    # hypotheses of four sentences, as a Moses decoder writes them
    texts["nbest.txt"] = [f"{k // 3} ||| {line} ||| LM0= -{k} ||| -{k % 4}.25" for k, line in enumerate(letters(12, 7))]
    numbers = Numbers(8)  # of tests/compat/lines.h5, and some unknown
    texts["classify.txt"] = [" ".join(COMMON[numbers.below(len(COMMON))] for _ in range(1 + k)) for k in range(15)]
    for name, lines in texts.items():
        (folder / name).write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
