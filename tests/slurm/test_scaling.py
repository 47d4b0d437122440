#!/usr/bin/env python3
"""From a job array to a picture: an array of four points with the report job behind it by dependency, and a sweep that ends
in one table."""
import json
import os

import slurm
from slurm import JOBS, ROOT, command, harness

TOOLS = ROOT / "tools"


class Array(slurm.Case):
    def submit(self, script, *options, sbatch=(), **settings):
        variables = {"UNROLL": harness.UNROLL, "CORPUS": self.corpus, "BIND": "no", **settings}
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        return command("sbatch", "--parsable", *sbatch, script, *options, cwd=self.folder, env=environment)

    def wait_done(self, job, seconds=150):
        """Until Slurm has none of a job's tasks left to run; (state, exit status) of each."""
        slurm.wait_for(f"end of job {job}", lambda: not command("squeue", "-h", "-j", job, "-t", "PD,R,CG,S,RQ", "-o", "%i"), seconds)
        told = command("scontrol", "show", "job", job, "-o").splitlines()
        return [tuple(word.partition("=")[2] for word in line.split() if word.startswith(("JobState=", "ExitCode=")))
                for line in told]

    def logs(self):
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def scales(self, mode, **settings):
        """Points 0 to 3; the last one has more ranks than lanes, or than the cluster has CPUs: it fails."""
        array = self.submit(JOBS / f"{mode}-scaling.sbatch", "--hidden", "12", "--layers", "1", "--bptt", "8", "--lane-groups", "8",
                            sbatch=["--nodes=4", "--array=0-3"], DIR="s", RANKS="1 2 4 9", RANKS_PER_NODE=1, BATCH=8,
                            BENCH_STEPS=2, TRAIN_STEPS=16, **settings)
        # Slurm runs a copy of the tool in another folder, where its modules are not.
        report = self.submit(TOOLS / "scaling-report", "s", sbatch=[f"--dependency=afterany:{array}", "--output=report.log"],
                             PYTHONPATH=TOOLS / "lib")
        self.assertEqual(self.wait_done(array), 4 * [("COMPLETED", "0:0")], self.logs())
        self.assertEqual(self.wait_done(report), [("COMPLETED", "0:0")], self.logs())
        points = {}
        for path in self.folder.glob("s/*.json"):
            point = json.loads(path.read_text())
            points[point["ranks"]] = point
        self.assertEqual(sorted(points), [1, 2, 4, 9])
        for ranks in (1, 2, 4):
            bench = points[ranks]["bench"]
            self.assertEqual((points[ranks]["failures"], bench["ranks"], points[ranks]["train"]["steps"]), ([], ranks, 16))
            self.assertEqual([host["name"] for host in bench["network"]["hosts"]], [f"n{k + 1}" for k in range(ranks)])
        self.assertEqual([failure["what"] for failure in points[9]["failures"]], ["bench", "train"])
        log = (self.folder / "report.log").read_text()
        self.assertIn(f"| {mode}, 4 ranks x 1, exact | {8 if mode == 'strong' else 32} | ", log)
        self.assertIn(f"- Failed: {mode}, 9 ranks x 1, exact: train ended with ", log)
        for picture in ("scaling.svg", "speedup.png", "time-to.svg", "reduction.svg"):
            self.assertGreater((self.folder / "s" / "report" / picture).stat().st_size, 1000)
        page = (self.folder / "s" / "report" / "report.html").read_text()
        self.assertIn("<h3>Efficiency <small>", page)
        if mode == "strong":  # the same mathematics on any number of nodes
            lines = [(self.folder / "s" / points[ranks]["run"] / "metrics.jsonl").read_bytes() for ranks in (1, 2, 4)]
            self.assertEqual(lines[0], lines[1])
            self.assertEqual(lines[0], lines[2])

    def test_strong_scaling_and_its_report(self):
        self.scales("strong")

    def test_weak_scaling_under_mpirun(self):
        self.scales("weak", LAUNCH="mpirun")

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

    def test_sweep(self):
        (self.folder / "table").write_text("lr seed\n# a comment\n0.01 1\n0.01 2\n0.02 1\n")
        options = harness.small(lr=None)
        job = self.submit(JOBS / "sweep.sbatch", *options, sbatch=["--array=1-4"], TABLE="table", RUNS="sweep", RANKS_PER_NODE=1,
                          THREADS=1)
        ended = self.wait_done(job)
        # The table has no fourth line of values.
        self.assertEqual(sorted(ended), 3 * [("COMPLETED", "0:0")] + [("FAILED", "64:0")], self.logs())
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
