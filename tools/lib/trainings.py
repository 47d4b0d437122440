"""Trainings that several tools make: two recipes on real texts, and running them. What is finished is not trained
again, and what was stopped goes on."""

import json
import os
import subprocess
import sys

import launch
import tool
from tool import Mistake

UNROLL = tool.default_program()
# Of tinyshakespeare at char level, and of War and Peace at word level; and where they end.
SHAKESPEARE = ("--cell lstm --layers 2 --hidden 128 --embedding 128 --dropout 0 --batch 50 --bptt 50 --optimizer adam "
               "--lr 0.002 --schedule constant --clip 5 --patience none").split()
SHAKESPEARE_END = ["--max-steps", "1000"]
WORDS = ("--cell lstm --layers 2 --hidden 200 --embedding 200 --dropout 0.4 --batch 20 --bptt 35 --optimizer adam "
         "--lr 0.002 --clip 5 --schedule plateau --patience none").split()
WORDS_END = ["--epochs", "8"]
SEEDS = (1, 2, 3)


def command_of(arguments, ranks=1):
    return (["mpirun", "-n", str(ranks)] if ranks > 1 else []) + [UNROLL] + arguments


def unroll(arguments, ranks=1, **options):
    """Runs the program; one that was stopped is a Mistake with 75."""
    command = command_of(arguments, ranks)
    print("$", " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, env=launch.environment("launch_crowded"), **options)
    if done.returncode == 75:
        raise Mistake(75, "stopped with a checkpoint; the same command goes on from there")
    if done.returncode:
        raise Mistake(70, "'%s' ended with %d" % (" ".join(command[:6]), done.returncode))
    return done


def train(work, name, corpus, options, ranks=1):
    """The summary of a run; trains it unless it is there and finished."""
    path = os.path.join(work, name + ".json")
    summary = read_summary(path)
    if not summary or summary["exit_status"] != 0:
        unroll(["train", "--corpus", corpus, "--run", os.path.join(work, name), "--json-summary", path] + options,
               ranks)
        summary = read_summary(path)
    return summary


def read_summary(path):
    """None if there is none."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def prepare_shakespeare(work, text):
    """The corpus."""
    corpus = os.path.join(work, "shakespeare.h5")
    unroll(["prepare", "--level", "char", "--train", text, "--split", "90,5,5", "-o", corpus], stdout=sys.stderr)
    return corpus


def prepare_words(work, train_text, valid_text, test_text):
    corpus = os.path.join(work, "words.h5")
    unroll(["prepare", "--level", "word", "--vocab-size", "10000", "--train", train_text, "--valid", valid_text,
            "--test", test_text, "-o", corpus], stdout=sys.stderr)
    return corpus
