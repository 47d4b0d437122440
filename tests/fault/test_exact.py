#!/usr/bin/env python3
"""The number of ranks and threads is never a hyperparameter: the same run gives the same bits on any of them.

Every run has dropout, a batch that few rank counts divide, and a ragged last window in each epoch; 200 steps are one
and a half epochs. Compared are the whole of metrics.jsonl, byte for byte, and the digest of the final parameters.
"""
import itertools
import unittest

import harness

CELLS = ["rnn-tanh", "rnn-relu", "lstm", "gru"]
LATER = ["mingru", "qrnn", "sru", "mogrifier"]
PLACES = list(itertools.product([1, 2, 3, 4, 5, 8], [1, 2, 3]))  # ranks x threads


def output(result):
    """What was printed, without the advice about too many ranks on a host."""
    return result.out, [line for line in result.errors.splitlines() if not line.startswith("unroll: ")]


class Exact(harness.Case):
    def train(self, name, ranks, threads, **options):
        folder = self.folder / name
        result = harness.run(ranks, "train", "--corpus", self.corpus, "--run", folder,
                             *harness.small(threads=threads, max_steps=200, eval_every=40, checkpoint_every=150,
                                            log_every=1, sample_every=25, sample_length=30, **options))
        self.assertStatus(result, 0)
        return folder

    def compare(self, places, **options):
        model = "-".join(str(options[name]) for name in sorted(options) if options[name] is not None)
        reference = self.train(f"{model}-reference", 1, 1, **options)
        self.assertEqual([record["step"] for record in harness.records(reference, "train")], list(range(1, 201)))
        samples = [record["text"] for record in harness.records(reference, "sample")]
        lengths = [len(text.split()) + text.count("\n") if self.corpus.name == "words.h5" else len(text) for text in samples]
        self.assertEqual(lengths, [30] * 8)
        for ranks, threads in places:
            with self.subTest(ranks=ranks, threads=threads, **options):
                self.assertSameRun(self.train(f"{model}-r{ranks}t{threads}", ranks, threads, **options),
                                   reference)

    def test_few(self):
        """Each cell, and each number of ranks and threads, at least once."""
        places = {"rnn-tanh": [(2, 1), (5, 2)], "rnn-relu": [(3, 3), (1, 2)], "lstm": [(8, 1), (3, 2)],
                  "gru": [(4, 1), (1, 3)], "mingru": [(2, 2)], "qrnn": [(3, 2)], "sru": [(5, 1)], "mogrifier": [(4, 2)]}
        for index, cell in enumerate(CELLS + LATER):
            self.compare(places[cell], cell=cell, layers=1 + index % 2, tied=index in (1, 2) or None,
                         optimizer=["adam", "sgd"][index // 2 % 2], lr=[0.01, 0.1][index // 2 % 2])

    def test_bf16(self):
        """Every cell, in both orders."""
        for index, cell in enumerate(CELLS + LATER):
            for order in ("tile", "pair"):
                places = PLACES[index::7] if harness.LONG else [(3, 2), (4, 1)][index % 2:][:1]
                self.compare(places, cell=cell, layers=1 + index % 2, hidden=35, precision="bf16", bf16_order=order)

    def test_awd(self):
        """All regularisers of AWD-LSTM together, of every cell, with windows that vary and averages."""
        self.use_words()
        drops = {"dropout_input": 0.3, "dropout_output": 0, "dropout_kind": "locked", "dropout_embedding": 0.1,
                 "ar": 2, "tar": 1, "bptt_vary": True, "layers": None}
        recurrent = {"dropout_state": 0.2, "weight_drop": 0.4}
        narrow = {"hidden": "19,11,27", "tied": True, "optimizer": "ntasgd", "nonmono": 1, "lr": 8}
        models = [{"cell": "lstm", **narrow, **recurrent},
                  {"cell": "mogrifier", "mogrify": 3, "mogrify_rank": 5, "hidden": "17,40", "embedding": 11,
                   "average": "ema", "precision": "bf16", "bf16_order": "pair", "schedule": "onecycle", **recurrent},
                  {"cell": "qrnn", **narrow, "precision": "bf16"},
                  {"cell": "sru", "hidden": "40,17", "average": "epochs", "sparse_update": "lazy"},
                  # ranks of several nodes, each of which packs rows as wide as no tile: 33 and 27
                  {"cell": "gru", "hidden": "12,33", "output_layer": "adaptive", "cutoffs": 50, "div": 1.2, **recurrent}]
        for index, options in enumerate(models):
            places = PLACES[index::6] if harness.LONG else [[(3, 2), (4, 1), (2, 2), (5, 1), (3, 1)][index]]
            self.compare(places, **{**drops, **options})

    def test_rows(self):
        """Rows that a step has no gradient for: each way of theirs is the same on all places, and another."""
        self.use_words()
        models = [{"optimizer": "adam"}, {"optimizer": "adamw", "weight_decay": 0.1, "output_layer": "adaptive"},
                  {"optimizer": "momentum", "output_layer": "sampled", "samples": 40, "tied": True, "lr": 0.1},
                  {"optimizer": "rmsprop", "output_layer": "nce", "samples": 30, "precision": "bf16"}]
        for index, options in enumerate(models):
            options = {"cell": "gru", "lr": 0.01, **options}
            digests = set()
            for update in ("exact", "lazy"):
                reference = self.train(f"{index}-{update}", 1, 1, sparse_update=update, **options)
                digests.add(harness.digest_of(reference))
                for ranks, threads in PLACES[index::4] if harness.LONG else [[(3, 2), (4, 1), (2, 1), (5, 1)][index]]:
                    with self.subTest(ranks=ranks, threads=threads, update=update, **options):
                        self.assertSameRun(self.train(f"{index}-{update}-r{ranks}t{threads}", ranks, threads,
                                                      sparse_update=update, **options), reference)
            self.assertEqual(len(digests), 2)

    @unittest.skipUnless(harness.LONG, "long: make check-fault")
    def test_all(self):
        """All cells, depths, tyings and optimizers; each meets a third of all places, each cell every place often."""
        models = itertools.product(CELLS + LATER, [1, 2], [None, True], [("adam", 0.01), ("sgd", 0.1)])
        for index, (cell, layers, tied, (optimizer, lr)) in enumerate(models):
            self.compare(PLACES[index % 3::3], cell=cell, layers=layers, tied=tied, optimizer=optimizer, lr=lr)

    def test_groups_of_several_lanes(self):
        """Lane groups of unequal size, wider than a kernel's block, with an epoch's end and clipping on the way."""
        places = PLACES if harness.LONG else [(2, 3), (5, 1)]
        self.compare(places, cell="lstm", layers=2, hidden=70, embedding=20, batch=29, lane_groups=9, bptt=17, clip=0.2)

    def test_evaluation_and_scores(self):
        """`eval` and `score` print the same bytes on any number of ranks and threads."""
        model = self.train("model", 2, 1, cell="gru") / "best.h5"
        text = self.folder / "lines.txt"
        harness.write_text(text, lines=41, seed=8)
        with open(text, "a") as more:
            more.write("\n" + "the cat sat on the mat and " * 40 + "\nx\n")
        places = PLACES if harness.LONG else [(1, 2), (2, 1), (3, 3), (5, 1)]
        commands = [["eval", "--model", model, "--corpus", self.corpus, "--split", "valid"],
                    ["eval", "--model", model, "--corpus", self.corpus, "--split", "train"],
                    ["score", "--model", model, "--per-token", text], ["score", "--model", model, text]]
        for command in commands:
            expected = harness.run(0, *command, "--threads", 1)
            self.assertStatus(expected, 0)
            for ranks, threads in places:
                with self.subTest(command=command[0], ranks=ranks, threads=threads):
                    result = harness.run(ranks, *command, "--threads", threads)
                    self.assertStatus(result, 0)
                    self.assertEqual(output(result), output(expected))

    def test_fast_reduction_is_the_same_curve(self):
        """The plain allreduce follows the same curve, if not the same bits: what is compared above is no constant."""
        loss = []
        for ranks, reduction in [(1, "exact"), (3, "fast")]:
            folder = self.train(f"{reduction}{ranks}", ranks, 1, cell="lstm", reduction=reduction)
            loss.append(harness.records(folder, "end")[0]["valid_loss"])
        self.assertAlmostEqual(loss[0], loss[1], places=2)


if __name__ == "__main__":
    harness.main()
