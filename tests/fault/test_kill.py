#!/usr/bin/env python3
"""A run that was killed is the run that was not: SIGKILL at random moments, resumed on other numbers of ranks.

The run validates every 21 steps and saves every 13, has the plateau schedule, and ends by early stopping; the moments
fall into steps, validation, saving and start-up alike. Each job may pass some checkpoints before it is killed, so that
the test goes forward on any machine; one that was faster than its signal is undone. Compared with the uninterrupted
run: all of metrics.jsonl, and the parameters.
"""
import os
import random
import shutil
import signal
import time
import unittest

import harness

KILLS = 20 if harness.LONG else 5


class Kill(harness.Case):
    def options(self, **more):
        chosen = {"cell": "lstm", "max_steps": 9000, "epochs": 99, "eval_every": 21, "checkpoint_every": 13, "keep": 3,
                  "log_every": 2, "sample_every": 31, "sample_length": 20, "lr": 0.01, "schedule": "plateau", "lr_patience": 3, "patience": 8}
        chosen.update(more)
        return harness.small(**chosen)

    def wait_for_progress(self, job, folder, steps):
        """Until the newest checkpoint is `steps` steps on; False if the job ended before."""
        start = harness.newest_step(folder)
        while not job.finished():
            if harness.newest_step(folder) >= max(start, 0) + steps:
                return True
            time.sleep(0.002)
        return False

    def kill_and_resume(self, source, options, total, seconds):
        folder, before, killed, undone, last = self.folder / "killed", self.folder / "before", [], 0, None
        while len(killed) < KILLS:
            shutil.rmtree(before, ignore_errors=True)
            if folder.exists():
                shutil.copytree(folder, before, symlinks=True)
            ranks = source.choice([n for n in (1, 2, 3, 4) if n != last])
            whom = source.choice(["all", "mpirun", "rank"])
            left = total - max(harness.newest_step(folder), 0)
            share = max(left // (2 * (KILLS - len(killed))), 1)
            job = harness.Job(ranks, "train", "--corpus", self.corpus, "--run", folder, *options)
            job.pids()
            going = self.wait_for_progress(job, folder, source.randint(0, share))
            time.sleep(source.uniform(0, 10 * seconds / total))
            if going:
                job.signal(signal.SIGKILL, source.randrange(ranks) if whom == "rank" else whom)
            result = job.wait()
            self.assertGone(job)
            self.assertWhole(folder)
            if result.status == 0:  # it was faster than the signal
                undone += 1
                self.assertLess(undone, 10 * KILLS, killed)
                shutil.rmtree(folder)
                if before.exists():
                    before.rename(folder)
                continue
            killed.append((ranks, whom, harness.newest_step(folder)))
            self.assertNotIn("lines are missing", result.text)
            last = ranks
        result = harness.run(2, "train", "--corpus", self.corpus, "--run", folder, *options)
        self.assertStatus(result, 0)
        self.assertTidy(folder)
        return folder

    def kill(self, seed, **more):
        reference = self.folder / "reference"
        options = self.options(**more)
        begun = time.monotonic()
        self.assertStatus(harness.run(0, "train", "--corpus", self.corpus, "--run", reference, *options), 0)
        seconds = time.monotonic() - begun
        end = harness.records(reference, "end")[0]
        source = random.Random(seed)
        folder = self.kill_and_resume(source, options, end["step"], seconds)
        self.assertSameRun(folder, reference)
        for name in ("best.h5", "latest"):
            self.assertStatus(harness.run(0, "verify", folder / name), 0)
        return end

    def test_kill(self):
        end = self.kill(int(os.environ.get("UNROLL_TEST_SEED", "1")))
        self.assertEqual(end["why"], "no improvement")

    def test_kill_bf16(self):
        self.kill(4, precision="bf16", cell="gru", patience="none", max_steps=900)

    def test_kill_rows(self):
        """Rows that rest when the run is killed."""
        self.use_words()
        self.kill(5, cell="gru", patience="none", max_steps=400, optimizer="adamw", weight_decay=0.1,
                  output_layer="adaptive", schedule="cosine")

    def test_kill_lazy_rows(self):
        self.use_words()
        self.kill(6, cell="gru", patience="none", max_steps=400, sparse_update="lazy", output_layer="sampled",
                  samples=40, tied=True, schedule="cosine")

    def assertAverages(self, kind):
        """Some validations and kills were before averaging began, and some after."""
        lines = harness.records(self.folder / "reference", "valid")
        averaged = [line["step"] for line in lines if "averaged_since" in line]
        self.assertGreater(len(averaged), 3)
        self.assertEqual(harness.records(self.folder / "reference", "average")[0]["average"], kind)
        return averaged[0]

    def test_kill_ntasgd(self):
        self.kill(7, optimizer="ntasgd", nonmono=2, lr=8, schedule="constant", patience="none", max_steps=1500)
        self.assertGreater(self.assertAverages("updates"), 3 * 21)

    def test_kill_average_of_rows(self):
        self.use_words()
        self.kill(8, cell="gru", patience="none", max_steps=400, optimizer="adamw", weight_decay=0.1, average="ema",
                  average_decay=0.95, output_layer="adaptive", precision="bf16", schedule="onecycle")
        self.assertAverages("ema")

    def test_kill_average_of_epochs(self):
        self.kill(9, patience="none", max_steps=900, average="epochs", average_from=2, batch=24)
        self.assertAverages("epochs")

    def test_kill_awd(self):
        """Masks, windows and averages are those of the step, whoever computes it."""
        self.use_words()
        self.kill(10, layers=None, hidden="19,11,27", tied=True, dropout_input=0.3, dropout_output=0,
                  dropout_kind="locked", dropout_embedding=0.1, dropout_state=0.2, weight_drop=0.4, ar=2, tar=1,
                  bptt_vary=True, optimizer="ntasgd", nonmono=1, lr=8, schedule="constant", patience="none",
                  max_steps=500)
        self.assertAverages("updates")

    def test_kill_mogrifier(self):
        self.kill(11, cell="mogrifier", mogrify=3, mogrify_rank=5, layers=2, dropout_kind="locked", dropout_state=0.2,
                  weight_drop=0.4, precision="bf16", bf16_order="pair", patience="none", max_steps=300)

    def test_kill_qrnn(self):
        """Its state is wider than its outputs."""
        self.kill(12, cell="qrnn", layers=None, hidden="20,9", embedding=9, dropout_embedding=0.2, bptt_vary=True,
                  average="ema", schedule="onecycle", patience="none", max_steps=500)

    @unittest.skipUnless(harness.LONG, "long: make check-fault")
    def test_kill_sru(self):
        self.kill(13, cell="sru", layers=2, dropout_kind="locked", ar=1, average="epochs", patience="none",
                  max_steps=3000)

    @unittest.skipUnless(harness.LONG, "long: make check-fault")
    def test_kill_parallel_writer(self):
        self.kill(2, checkpoint_writer="parallel", cell="gru", optimizer="rmsprop", average="ema",
                  patience="none", max_steps=3000)

    @unittest.skipUnless(harness.LONG, "long: make check-fault")
    def test_kill_other_schedules(self):
        self.kill(3, schedule="cosine", cell="rnn-tanh", optimizer="momentum", patience="none", max_steps=5000, layers=2,
                  eval_every=None, checkpoint_every=9)


if __name__ == "__main__":
    harness.main()
