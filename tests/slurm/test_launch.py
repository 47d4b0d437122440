#!/usr/bin/env python3
"""How ranks are started: by a launcher that speaks MPI's protocol, by one that does not, and one process among many tasks."""
import slurm
from slurm import harness

SCRIPT = """#!/bin/bash
#SBATCH --output={log} --ntasks=4 --nodes=2
cd {folder}
{command}
echo "status $?"
"""


class Launch(slurm.Case):
    def script(self, command):
        """The log of a batch script of four tasks on two nodes that runs `command`."""
        log = self.folder / "launch.log"
        log.unlink(missing_ok=True)
        path = self.folder / "launch.sbatch"
        path.write_text(SCRIPT.format(log=log, folder=self.folder, command=command))
        slurm.command("sbatch", path)
        return slurm.wait_for("end of the script", lambda: log.exists() and "status " in (text := log.read_text()) and text)

    def launched(self, launcher, *words):
        return self.script(" ".join([launcher, str(harness.UNROLL), *map(str, words)]))

    def train(self, launcher):
        return self.launched(launcher, "train", "--corpus", self.corpus, "--run", self.folder / "run",
                             *harness.small(max_steps=4))

    def test_no_protocol(self):
        """Each task would be a run of its own."""
        log = self.train("srun --mpi=none")
        self.assertIn("status 78", log)
        self.assertEqual(log.count("4 processes were started but MPI sees only one"), 1)
        self.assertIn("srun --mpi=pmix", log)
        self.assertNotIn("lock", log)
        self.assertFalse((self.folder / "run").exists())
        for words in (["verify", self.corpus], ["selftest"]):
            self.assertIn("status 78", self.launched("srun --mpi=none", *words))

    def test_protocols(self):
        for launcher in ("srun --mpi=pmix", "mpirun -n 4"):
            with self.subTest(launcher=launcher):
                log = self.train(launcher)
                self.assertIn("status 0", log)
                self.assertEqual(log.count("finished (max steps)"), 1, log)
                slurm.command("rm", "-r", self.folder / "run")
                log = self.launched(launcher, "verify", self.corpus)
                self.assertIn("status 0", log)
                self.assertEqual(log.count("whole"), 1, log)

    def test_one_process_among_tasks(self):
        """In the batch script itself, or fewer ranks than the job has tasks."""
        for launcher in ("", "mpirun -n 1", "srun --mpi=pmix -n 1 -N 1", "srun --mpi=none -n 1 -N 1"):
            with self.subTest(launcher=launcher):
                self.assertIn("status 0", self.launched(launcher, "verify", self.corpus))
        self.assertIn("status 0", self.train("mpirun -n 2"))


if __name__ == "__main__":
    harness.main()
