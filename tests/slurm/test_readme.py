#!/usr/bin/env python3
"""The blocks of jobs/README.md that need a Slurm, between those that do not: tests/cli/test_readme.py, on the test's cluster."""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import slurm  # noqa: E402
import test_readme  # noqa: E402


def jobs_done():
    """Waits for the jobs that a block has submitted; all must have ended well."""
    slurm.wait_for("end of the jobs", lambda: not slurm.command("squeue", "-h"), seconds=300)
    jobs = slurm.command("scontrol", "-o", "show", "job")
    assert all("JobState=COMPLETED" in job for job in jobs.splitlines() if job.startswith("JobId=")), jobs


if __name__ == "__main__":
    os.environ.update(RANKS_PER_NODE="1", THREADS="1", BIND="no")  # four nodes on one machine
    test_readme.main(["jobs/README.md"], jobs_done)
