#!/usr/bin/env python3
"""Sweeps as job arrays: workers share a folder, one that is lost or out of time costs no trial, and what is found is what one
machine finds."""
import json
import pathlib
import sys

import slurm
from slurm import JOBS, ROOT, command, harness, hosts

sys.path.insert(0, str(ROOT / "tools" / "lib"))
from sweep_table import Table  # noqa: E402

SEARCH = "lr log 0.001 0.1\ndropout uniform 0 0.5\nmax-steps rungs 40 120\nsweep trials 6\n"


class Sweep(slurm.Array):
    def sweep(self, table, *options, tasks=3, sbatch=(), **settings):
        (self.folder / "table").write_text(table)
        return self.submit(JOBS / "sweep.sbatch", *options, sbatch=[f"--array=1-{tasks}", *sbatch], TABLE="table", RUNS="sweep",
                           RANKS_PER_NODE=1, THREADS=1, **settings)

    def lines(self, kind):
        path = self.folder / "sweep" / ".sweep" / "log.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in found if line["type"] == kind]

    def results(self):
        found = {}
        for line in self.lines("result"):
            self.assertNotIn((line["trial"], line["rung"]), found)
            found[line["trial"], line["rung"]] = line["loss"]
        return found

    def claims(self):
        """{task of the array: (trial, rung)} of those at work."""
        found, done = {}, [(line["trial"], line["rung"], line["generation"]) for kind in ("result", "stopped", "failed")
                           for line in self.lines(kind)]
        for path in sorted(pathlib.Path(self.folder, "sweep", ".sweep", "claims").glob("*")):
            trial, rung, generation = map(int, path.name.split("."))
            if (trial, rung, generation) not in done:
                found[json.loads(path.read_text())["task"]] = (trial, rung)
        return found

    def assertLikeLocal(self, trial, steps, *options):
        lr, dropout = Table(str(self.folder / "table")).values(trial)
        local = self.folder / f"local-{trial}"
        result = harness.run(0, "train", "--corpus", self.corpus, "--run", local, "--lr", lr, "--dropout", dropout, "--max-steps", steps,
                             *options)
        self.assertStatus(result, 0)
        self.assertSameRun(self.folder / "sweep" / f"trial-{trial:04d}", local)

    def test_a_search_on_three_nodes(self):
        options = harness.small(lr=None, dropout=None, max_steps=None)
        job = self.sweep(SEARCH, *options)
        self.assertEqual(self.wait_done(job), 3 * [("COMPLETED", "0:0")], self.logs())
        results = self.results()
        self.assertEqual({trial for trial, rung in results if rung == 0}, set(range(6)))
        last = [trial for trial, rung in results if rung == 1]
        self.assertTrue(2 <= len(last) <= 6)
        for trial in range(6):
            self.assertLikeLocal(trial, 120 if trial in last else 40, *options)
        self.assertGreaterEqual(self.logs().count("| 40 steps | 6 | "), 1, self.logs())
        self.assertTrue((self.folder / "sweep" / "sweep.svg").exists())

    def loses(self, end):
        """Three workers with endless trials; what `end` does to one of them, by its task and node; the others finish all."""
        steps = self.folder / "run.ini"
        steps.write_text(f"max-steps = {slurm.MANY}\n")
        options = harness.small(lr=None, dropout=None, max_steps=None, checkpoint_every=2000, eval_every=2000, log_every=500)
        job = self.sweep("lr log 0.001 0.1\ndropout uniform 0 0.5\nsweep trials 4\n", "--config", steps, *options)
        slurm.wait_for("three workers with checkpoints", lambda: (self.folder / "sweep" / ".sweep" / "claims").exists() and len(
            [trial for trial, _ in self.claims().values()
             if harness.newest_step(self.folder / "sweep" / f"trial-{trial:04d}") > 0]) == 3, 120)
        task, (trial, _) = sorted(self.claims().items())[0]
        newest = harness.newest_step(self.folder / "sweep" / f"trial-{trial:04d}")
        end(task)
        steps.write_text("max-steps = 10\n")  # beyond that they are: whoever begins anew ends there, whoever goes on at once
        return job, task, trial, newest

    def finish(self, job, lost, trial, newest):
        """The other two workers are asked to stop, and go on with what the file says now; all trials come to their end, that of
        the lost worker from its checkpoint."""
        for task in sorted(set(self.claims()) - {lost}):
            command("scancel", "--batch", "--signal=USR1", task)
        self.wait_done(job)
        self.assertEqual(set(self.results()), {(at, 0) for at in range(4)}, self.logs())
        self.assertEqual(self.lines("failed"), [], self.logs())
        told = [line for line in self.lines("result") if line["trial"] == trial]
        self.assertGreaterEqual(told[0]["generation"], 1)
        self.assertGreaterEqual(told[0]["step"], newest)

    def test_a_task_that_is_cancelled(self):
        """Its trial goes to another worker."""
        job, lost, trial, newest = self.loses(lambda task: command("scancel", task))
        slurm.wait_for("end of the task", lambda: not command("squeue", "-h", "-j", lost, "-t", "R,CG", "-o", "%i"))
        self.finish(job, lost, trial, newest)

    def test_a_node_that_is_lost(self):
        """Nothing of the worker is left but its claim and the run's lock; Slurm says that they are nobody's."""
        def crash(task):
            node = command("squeue", "-h", "-j", task, "-o", "%N")
            hosts("crash", node)
            self.addCleanup(command, slurm.CLUSTER, "boot", node)
        job, lost, trial, newest = self.loses(crash)
        self.finish(job, lost, trial, newest)

    def test_a_task_that_runs_out_of_time_goes_back_alone(self):
        """Its number is also that of the array: only its own start is queued again."""
        (self.folder / "table").write_text("seed\n1\n2\n")
        steps = self.folder / "run.ini"
        steps.write_text(f"max-steps = {slurm.MANY}\n")
        options = harness.small(max_steps=None, epochs=slurm.MANY, checkpoint_every=5000, eval_every=5000, log_every=1000)
        job = self.submit(JOBS / "sweep.sbatch", "--config", steps, *options, sbatch=["--array=1-2", "--time=1"], TABLE="table",
                          RUNS="sweep", RANKS_PER_NODE=1, THREADS=1, MARGIN=53)
        slurm.wait_for("two tasks requeued", lambda: self.logs().count("stopped with a checkpoint; requeued") == 2, 120)
        steps.write_text("max-steps = 10\n")
        self.assertEqual(self.wait_done(job), 2 * [("COMPLETED", "0:0")], self.logs())
        self.assertEqual(self.logs().count("requeued"), 2, self.logs())
        self.assertEqual(self.logs().count(": finished\n"), 2, self.logs())

    def test_a_list(self):
        (self.folder / "table").write_text("lr seed\n# a comment\n0.01 1\n0.01 2\n0.02 1\n")
        options = harness.small(lr=None)
        job = self.submit(JOBS / "sweep.sbatch", *options, sbatch=["--array=1-4"], TABLE="table", RUNS="sweep", RANKS_PER_NODE=1,
                          THREADS=1)
        # The fourth worker finds nothing to do.
        self.assertEqual(self.wait_done(job), 4 * [("COMPLETED", "0:0")], self.logs())
        rows = [line.split("\t") for line in (self.folder / "sweep" / "results.tsv").read_text().splitlines()]
        self.assertEqual(rows[0][:4], ["lr", "seed", "state", "steps"])
        self.assertEqual([row[:4] for row in rows[1:]], [[lr, seed, "max steps", "40"] for lr, seed in
                                                        (("0.01", "1"), ("0.01", "2"), ("0.02", "1"))])
        self.assertEqual(len({row[4] for row in rows[1:]}), 3)
        local = self.folder / "local"
        self.assertStatus(harness.run(0, "train", "--corpus", self.corpus, "--run", local, "--lr", "0.01", "--seed", "2", *options), 0)
        self.assertSameRun(self.folder / "sweep" / "lr-0.01_seed-2", local)


if __name__ == "__main__":
    harness.main()
