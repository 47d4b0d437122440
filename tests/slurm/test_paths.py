#!/usr/bin/env python3
"""All job scripts where every path has spaces and an apostrophe: scripts, tools, program, corpus, runs, working folder."""
import json
import os
import shutil

import slurm
from slurm import ROOT, command, harness

NAME = "it's  a folder"  # two spaces: words that are joined again have one


class Paths(slurm.Case):
    def setUp(self):
        super().setUp()
        self.whole = self.folder
        self.folder = self.whole / NAME
        self.ours = self.folder / "Unroll's own"
        self.ours.mkdir(parents=True)
        for part in ("jobs", "tools"):
            shutil.copytree(ROOT / part, self.ours / part)
        self.program = self.folder / "the program's" / "unroll"
        self.program.parent.mkdir()
        self.program.symlink_to(harness.UNROLL)
        self.corpus = self.folder / "our corpus's.h5"
        shutil.copy(slurm.Case.shared / "corpus.h5", self.corpus)

    def tearDown(self):
        self.folder = self.whole
        super().tearDown()

    def script(self, name):
        return str(self.ours / "jobs" / name)

    def trains(self, template, **settings):
        options = harness.small(cell="lstm")
        job = self.job(self.script(template), *options, sbatch=["--nodes=2"], run="a run's/of ours", UNROLL=self.program,
                       **settings)
        self.assertEnd(job)
        self.assertEqual([event for _, event in job.events()][-1], "finished")
        self.assertLikeLocal(job, options)

    def test_train(self):
        self.trains("train.sbatch", SCRATCH="/dev/shm")

    def test_train_under_mpirun(self):
        self.trains("train-mpirun.sbatch")

    def test_chain(self):
        """The job that follows is submitted by the script's path, with its options and its log."""
        job = self.endless(self.script("train.sbatch"), every=5000, run="a run's/of ours", UNROLL=self.program, CHAIN=1,
                           MARGIN=53, sbatch=["--nodes=2", "--time=1", "--signal=B:USR1@1", f"--output={NAME}'s log",
                                              "--job-name=it's a name"])
        job.path = self.folder / f"{NAME}'s log"
        job.wait_events("stopped with a checkpoint", 1)
        options = self.end_soon(job)
        self.assertEnd(job, "FAILED", 75)
        (_, told), = [event for event in job.events() if "goes on" in event[1]]
        job.id = told.split()[-3]
        self.assertEnd(job)
        self.assertEqual([event for _, event in job.events()][-1], "finished")
        self.assertLikeLocal(job, options)

    def submit(self, script, *options, sbatch=(), **settings):
        variables = {"UNROLL": self.program, "CORPUS": self.corpus, "BIND": "no", **settings}
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        return command("sbatch", "--parsable", *sbatch, self.script(script), *options, cwd=self.folder, env=environment)

    def wait_done(self, job):
        slurm.wait_for(f"end of job {job}", lambda: not command("squeue", "-h", "-j", job, "-t", "PD,R,CG,S,RQ", "-o", "%i"), 150)
        logs = "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))
        told = command("scontrol", "show", "job", job, "-o").splitlines()
        self.assertEqual([" ExitCode=0:0 " in line for line in told], len(told) * [True], logs)

    def test_sweep(self):
        (self.folder / "a table's").write_text("lr seed\n0.01 1\n0.02 1\n")
        options = harness.small(lr=None)
        self.wait_done(self.submit("sweep.sbatch", *options, sbatch=["--array=1-2"], TABLE="a table's", RUNS="the sweep's runs",
                                   RANKS_PER_NODE=1, THREADS=1))
        rows = [line.split("\t") for line in (self.folder / "the sweep's runs" / "results.tsv").read_text().splitlines()]
        self.assertEqual([row[:4] for row in rows[1:]], [["0.01", "1", "max steps", "40"], ["0.02", "1", "max steps", "40"]])

    def scales(self, mode, **settings):
        self.wait_done(self.submit(f"{mode}-scaling.sbatch", "--hidden", "12", "--layers", "1", "--bptt", "8",
                                   sbatch=["--nodes=2", "--array=0-1"], DIR="the points' folder", RANKS="1 2", RANKS_PER_NODE=1,
                                   BATCH=8, BENCH_STEPS=2, TRAIN_STEPS=16, **settings))
        points = [json.loads(path.read_text()) for path in sorted(self.folder.glob("the points' folder/*.json"))]
        self.assertEqual([(point["ranks"], point["failures"], point["train"]["steps"]) for point in points],
                         [(1, [], 16), (2, [], 16)])

    def test_strong_scaling(self):
        self.scales("strong")

    def test_weak_scaling_under_mpirun(self):
        self.scales("weak", LAUNCH="mpirun")


if __name__ == "__main__":
    harness.main()
