#!/usr/bin/env python3
"""What users ask of a job that runs: to end, to write a checkpoint and go on later, to share its run directory."""
import slurm
from slurm import harness


class Requests(slurm.Case):
    def test_scancel(self):
        """It ends for good, with a checkpoint of its last step; the same command goes on."""
        job = self.endless("train.sbatch", sbatch=["--nodes=2"])
        job.wait_step(2000)
        slurm.command("scancel", job.id)
        self.assertEqual(job.wait_end()[0], "CANCELLED")
        slurm.idle()
        self.assertIn(f"stopped at step {harness.newest_step(job.run)} ", job.log())
        self.assertIn("SIGTERM was received", job.log())
        self.assertNotIn("requeued", job.log())
        self.assertNotIn("finished", job.log())
        self.assertWhole(job.run, at_least=1)
        self.assertTidy(job.run)
        self.goes_on(job, "train.sbatch")

    def test_scancel_under_mpirun(self):
        """mpirun has no time for a checkpoint then: the last one counts. The lock that stays is known to be nobody's."""
        job = self.endless("train-mpirun.sbatch", sbatch=["--nodes=2"])
        job.wait_step(2000)
        slurm.command("scancel", job.id)
        self.assertEqual(job.wait_end()[0], "CANCELLED")
        slurm.idle()
        self.assertNotIn("requeued", job.log())
        self.assertNotIn("finished", job.log())
        self.assertWhole(job.run, at_least=1)
        self.goes_on(job, "train-mpirun.sbatch", "--exclude=" + job.detail("BatchHost"))

    def goes_on(self, job, template, *sbatch):
        options = self.end_soon(job)
        again = self.job(template, *options, sbatch=["--nodes=1", *sbatch])
        self.assertEnd(again)
        self.assertLikeLocal(again, options)

    def asked(self, template, *words):
        """A checkpoint, and back into the queue."""
        job = self.endless(template, sbatch=["--nodes=2"])
        job.wait_step(2000)
        slurm.command("scancel", *words, job.id)
        job.wait_events("stopped with a checkpoint; requeued")
        self.assertIn(f"stopped at step {harness.newest_step(job.run)} ", job.log())
        options = self.end_soon(job)
        self.assertEnd(job)
        self.assertLikeLocal(job, options)

    def test_signal_to_the_ranks(self):
        self.asked("train.sbatch", "--signal=USR1")

    def test_signal_to_the_script(self):
        self.asked("train-mpirun.sbatch", "--batch", "--signal=USR1")

    def test_two_jobs_on_one_run_directory(self):
        """The second fails and says who was first, which nothing disturbs."""
        job = self.endless("train.sbatch", sbatch=["--nodes=1"])
        job.wait_step(2000)
        for template in slurm.TEMPLATES:
            second = self.job(template, *harness.small(), sbatch=["--nodes=1"])
            self.assertEnd(second, "FAILED", 73)
            self.assertRegex(second.log(), rf"run directory in use: .* \(Slurm job {job.id}\)")
            self.assertEqual(second.events()[-1], ("0", "failed with status 73"))
        slurm.command("scancel", "--signal=USR1", job.id)
        job.wait_events("requeued")
        options = self.end_soon(job)
        self.assertEnd(job)
        self.assertLikeLocal(job, options)


if __name__ == "__main__":
    harness.main()
