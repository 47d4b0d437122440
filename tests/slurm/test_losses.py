#!/usr/bin/env python3
"""What is taken from a job while it runs: its nodes by a job that matters more, a node that crashes, the network."""
import hashlib
import os
import signal

import slurm
from slurm import harness


def picture(folder):
    """All that can be seen of a folder: names, inodes, times, contents."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        entry = path.lstat()
        what = os.readlink(path) if path.is_symlink() else \
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        seen[str(path.relative_to(folder))] = (entry.st_ino, entry.st_size, entry.st_mtime_ns, what)
    return seen


class Losses(slurm.Case):
    def tearDown(self):
        for host in ("n1", "n2", "n3", "n4"):
            slurm.hosts("mend", host)
        super().tearDown()

    # ---- preemption ----

    def preempted(self, template):
        """Slurm asks first: nothing is lost but the time."""
        job = self.endless(template, sbatch=["--nodes=2", "--partition=low"])
        job.wait_step(2000)
        slurm.command("sbatch", "--partition=high", "--nodes=4", "--exclusive", "--output=/dev/null",
                      "--wrap=sleep 2")
        job.wait_events("requeued")
        stopped = harness.newest_step(job.run)
        options = self.end_soon(job)
        self.assertIn(f"stopped at step {stopped} ", job.log())
        self.assertEnd(job)
        self.assertEqual([event for _, event in job.events() if not event.startswith("start ")],
                         ["Slurm asks for the end: USR1 goes to the ranks", "stopped with a checkpoint; requeued",
                          "finished"])
        self.assertIn(f"at step {stopped} of", job.log())
        self.assertLikeLocal(job, options)

    def test_preemption(self):
        self.preempted("train.sbatch")

    def test_preemption_under_mpirun(self):
        self.preempted("train-mpirun.sbatch")

    # ---- a node crashes ----

    def crashes(self, template, host):
        """The job goes on with the nodes that are left."""
        job = self.endless(template, sbatch=["--nodes=2-4"])
        job.wait_step(2000)
        slurm.hosts("crash", host)
        options = self.end_soon(job)
        self.assertEnd(job)
        self.assertRegex(job.log(), r"(?m)^job: .*: start 0 on 4 nodes \(n\[1-4\]\)")
        self.assertRegex(job.log(), r"(?m)^job: .*: start 1 on 3 nodes \(")
        self.assertEqual([event for event in job.events() if "finished" in event], [("1", "finished")])
        self.assertLikeLocal(job, options)
        slurm.command(slurm.CLUSTER, "boot", host)
        return job

    def test_node_crashes(self):
        """The one with the script, srun and rank 0, which holds the lock of the run directory."""
        job = self.crashes("train.sbatch", "n1")
        self.assertIn("took over the lock", job.log())

    def test_node_crashes_under_mpirun(self):
        job = self.crashes("train-mpirun.sbatch", "n3")
        self.assertRegex(job.log(), "crashed, status .*; requeued")

    # ---- a rank is killed, as for want of memory ----

    def test_rank_killed(self):
        """Without --wait srun leaves the others to hang for ever. The job ends with the status, or goes on if asked."""
        for retries in (1, 0):
            job = self.endless("train.sbatch", sbatch=["--nodes=2"], WAIT=2, RETRIES=retries, run=f"run{retries}")
            job.wait_step(2000)
            os.kill(slurm.ranks_on("n2")[0], signal.SIGKILL)
            if retries == 0:
                self.assertEnd(job, "FAILED", 137)
                self.assertIn("crashed, status 137; not queued again", job.log())
                continue
            job.wait_events("crashed, status 137; requeued")
            options = self.end_soon(job)
            self.assertEnd(job)
            self.assertLikeLocal(job, options)
            slurm.idle()

    # ---- a node is cut off ----

    def cut_off(self, template):
        """Its ranks live on while the job has been started elsewhere. They are held still, so that they wake up, at
        whatever they were doing, when the run directory is another's: they must not touch it any more."""
        job = self.endless(template, every=200, sbatch=["--nodes=1"], RANKS_PER_NODE=2)
        job.wait_step(200)
        host = job.detail("BatchHost")
        slurm.hosts("cut", host)
        job.wait_step(harness.newest_step(job.run) + 400)  # they do live on
        earlier = slurm.ranks_on(host)
        self.assertEqual(len(earlier), 2)
        for pid in earlier:
            os.kill(pid, signal.SIGSTOP)
        job.wait_for("second start", lambda: "took over the lock" in job.log())
        self.assertIn("it was an earlier start of this Slurm job", job.log())
        other = job.detail("BatchHost")
        self.assertNotEqual(other, host)
        later = slurm.ranks_on(other)
        newest = harness.newest_step(job.run)
        job.wait_step(newest + 400)
        for pid in later:
            os.kill(pid, signal.SIGSTOP)
        before = picture(job.run)
        for pid in earlier:
            os.kill(pid, signal.SIGCONT)
        slurm.wait_for("end of the earlier ranks", lambda: not any(map(harness.alive, earlier)))
        self.assertEqual(picture(job.run), before)
        self.assertIn("lost the lock of the run directory", job.log())
        for pid in later:
            os.kill(pid, signal.SIGCONT)
        slurm.hosts("mend", host)
        slurm.command("scancel", "--batch", "--signal=USR1", job.id)
        job.wait_events("stopped with a checkpoint; requeued")
        options = self.end_soon(job)
        self.assertEnd(job)
        self.assertLikeLocal(job, options)

    def test_cut_off_node(self):
        self.cut_off("train.sbatch")

    def test_cut_off_node_under_mpirun(self):
        self.cut_off("train-mpirun.sbatch")


if __name__ == "__main__":
    harness.main()
