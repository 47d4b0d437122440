#!/usr/bin/env python3
"""The job scripts from submission to a finished model: over several nodes, and over several starts."""
import slurm
from slurm import harness


class Train(slurm.Case):
    def trains(self, template, nodes, **settings):
        options = harness.small(cell="lstm")
        job = self.job(template, *options, sbatch=[f"--nodes={nodes}"], **settings)
        self.assertEnd(job)
        self.assertEqual([event for _, event in job.events()][-1], "finished")
        self.assertIn(f": {nodes * settings.get('RANKS_PER_NODE', 1)} ranks x 1 thread, ", job.log())
        self.assertLikeLocal(job, options)

    def test_two_nodes(self):
        self.trains("train.sbatch", 2, RANKS_PER_NODE=2)

    def test_four_nodes(self):
        self.trains("train.sbatch", 4)

    def test_mpirun_on_two_nodes(self):
        self.trains("train-mpirun.sbatch", 2, RANKS_PER_NODE=2)

    def test_mpirun_on_four_nodes(self):
        self.trains("train-mpirun.sbatch", 4)

    def requeues(self, template, restarts, **settings):
        """A run that is too long for one start: the job queues itself again until, told so, it has come far enough."""
        job = self.endless(template, every=5000, sbatch=["--nodes=2", "--time=1", "--signal=B:USR1@1"], MARGIN=53,
                           **settings)
        job.wait_events("stopped with a checkpoint", restarts)
        return job, self.end_soon(job)

    def stops_in_time(self, template, restarts):
        job, options = self.requeues(template, restarts)
        self.assertEnd(job)
        events = job.events()
        self.assertEqual([event for _, event in events if not event.startswith("start ")],
                         restarts * ["stopped with a checkpoint; requeued"] + ["finished"])
        self.assertEqual([start for start, event in events if event.startswith("start ")],
                         [str(start) for start in range(restarts + 1)])
        self.assertEqual(int(job.detail("Restarts")), restarts)
        self.assertLikeLocal(job, options)

    def test_time_limit(self):
        self.stops_in_time("train.sbatch", 3)

    def test_time_limit_under_mpirun(self):
        self.stops_in_time("train-mpirun.sbatch", 1)

    def test_chain(self):
        """Another job instead of a requeue, with the first one's shape, log, options and local copy of the corpus."""
        job, options = self.requeues("train.sbatch", 1, CHAIN=1, SCRATCH="/dev/shm")
        self.assertEnd(job, "FAILED", 75)
        (_, told), = [event for event in job.events() if "goes on" in event[1]]
        self.assertRegex(told, r"^stopped with a checkpoint; job \d+ goes on$")
        job.id = told.split()[-3]
        self.assertEnd(job)
        self.assertEqual((job.detail("NumNodes"), job.detail("TimeLimit"), job.detail("Dependency")),
                         ("2", "00:01:00", "(null)"))
        self.assertEqual([event for _, event in job.events()][-1], "finished")
        self.assertLikeLocal(job, options)
        self.assertEqual(job.log().count("corpus '/dev/shm/unroll-"), 2)
        for host in ("n1", "n2"):
            self.assertEqual(slurm.hosts("on", host, "find", "/dev/shm", "-name", "unroll*"), "")


if __name__ == "__main__":
    harness.main()
