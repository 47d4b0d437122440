#!/usr/bin/env python3
"""Faults that strike ranks: killed in each phase of a step, asked to stop by signals or the clock, stopped dead, with
numbers that are none, and other programs than the others. unroll-faulty (faults.c) makes a fault strike at a known
place of a known step on one rank.

Oracles: the expected status and message; all ranks are gone within ten seconds; every checkpoint there is whole; the
run goes on from there, on another number of ranks, and ends in the bits of the run that nothing happened to.
"""
import signal
import subprocess
import time

import harness
from harness import FAULTY, LONG, PATIENCE

MANY = 1000000


class Ranks(harness.Case):
    reference = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = harness.Case.shared / "reference"
        cls.options = harness.small(cell="lstm", layers=2, max_steps=40, eval_every=6, checkpoint_every=10, log_every=5,
                                    keep=3)
        result = harness.run(0, "train", "--corpus", cls.corpus, "--run", cls.reference, *cls.options, program=FAULTY)
        if result.status:
            raise RuntimeError(result.text)

    def start(self, ranks, *more, options=None, run=None, **how):
        how.setdefault("program", FAULTY)
        return harness.Job(ranks, "train", "--corpus", self.corpus, "--run", run or self.folder / "run",
                           *(self.options if options is None else options), *more, **how)

    def fault(self, do, at, step, rank, times=1):
        return {"FAULT_DO": do, "FAULT_AT": at, "FAULT_STEP": step, "FAULT_RANK": rank, "FAULT_TIMES": times}

    def goes_on(self, ranks):
        """Resumes without faults and ends like the reference."""
        result = self.start(ranks).wait()
        self.assertStatus(result, 0)
        self.assertSameRun(self.folder / "run", self.reference)
        self.assertTidy(self.folder / "run")
        return result

    # ---- 1: SIGKILL of one rank ----

    def kill_at(self, place, step, rank, ranks, resumed_on, *more, newest):
        with self.subTest(place=place, rank=rank, ranks=ranks):
            folder = self.folder / "run"
            job = self.start(ranks, *more, env=self.fault(int(signal.SIGKILL), place, step, rank))
            job.pids()
            result = job.wait()
            self.assertStatus(result, 137)
            self.assertGone(job)
            self.assertWhole(folder)
            self.assertEqual(harness.newest_step(folder), newest)
            self.goes_on(resumed_on)
            subprocess.run(["rm", "-rf", folder], check=True)

    def test_killed_in_a_step(self):
        self.kill_at("forward", 23, 1, 2, 3, newest=20)
        self.kill_at("backward", 23, 0, 2, 1, newest=20)
        self.kill_at("reduction", 33, 1, 3, 2, newest=30)
        self.kill_at("update", 15, 1, 2, 1, newest=10)
        if LONG:
            for rank in range(4):
                for place in ("forward", "backward", "reduction", "update"):
                    self.kill_at(place, 27, rank, 4, 1 + rank % 3, newest=20)

    def test_killed_in_validation(self):
        self.kill_at("validation", 17, 1, 2, 1, newest=10)
        if LONG:
            self.kill_at("validation", 17, 0, 3, 2, newest=10)
            self.kill_at("validation", 11, 2, 3, 1, newest=10)

    def test_killed_in_a_checkpoint(self):
        """Rank 0 writes: at each stage of it the checkpoint before is there, after the renaming the new one is."""
        stages = [("contents", 10), ("half-written", 10), ("written", 10), ("renaming", 10)]
        for place, newest in stages if LONG else stages[1:4:2]:
            self.kill_at(place, 19, 0, 2, 3, newest=newest)
        # The newest counts from the renaming on, whatever `latest` says.
        self.kill_at("renamed", 19, 0, 2, 1, newest=10)

    def test_killed_in_a_parallel_checkpoint(self):
        parallel = ("--checkpoint-writer", "parallel")
        self.kill_at("contents", 19, 1, 2, 1, *parallel, newest=10)
        if LONG:
            self.kill_at("contents", 19, 0, 3, 2, *parallel, newest=10)
            self.kill_at("written", 19, 0, 3, 2, *parallel, newest=10)

    # ---- 2: signals ----

    def begun(self, job, folder, step=1):
        """Waits until the run has taken steps, which timing.jsonl or metrics.jsonl tell."""
        end = time.monotonic() + 60 * PATIENCE
        while time.monotonic() < end and not job.finished():
            try:
                if any(record["step"] >= step for record in harness.records(folder, "train")):
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.005)
        self.fail("the run did not begin:\n" + job.wait().text)

    def stops(self, ranks, number, whom, resumed_on, status=75, again=False):
        """A long run that is asked to stop leaves a checkpoint of the step at which it stopped."""
        folder = self.folder / f"{signal.Signals(number).name}-{whom}"
        options = harness.small(cell="gru", max_steps=MANY, checkpoint_every=MANY, eval_every=MANY, log_every=1,
                                epochs=MANY)
        with self.subTest(signal=signal.Signals(number).name, whom=whom, ranks=ranks):
            job = self.start(ranks, options=options, run=folder, program=harness.UNROLL)
            job.pids()
            self.begun(job, folder)
            job.signal(number, whom)
            for _ in range(5 if again else 0):
                time.sleep(0.01)
                job.signal(number, whom)
            result = job.wait()
            self.assertStatus(result, status)
            self.assertGone(job)
            step = harness.newest_step(folder)
            if status == 75:
                self.assertStatus(result, 75, f"stopped at step {step} ", f"{signal.Signals(number).name} was received")
                self.assertTidy(folder)
                self.assertWhole(folder, at_least=1)
                self.assertEqual(harness.records(folder, "train")[-1]["step"], step)
            elif self.assertWhole(folder):
                step = max(step, 1)
            # It goes on and is the run that was never stopped.
            options = harness.small(cell="gru", max_steps=step + 5, checkpoint_every=MANY, eval_every=MANY, log_every=1,
                                    epochs=MANY)
            self.assertStatus(self.start(resumed_on, options=options, run=folder).wait(), 0)
            whole = self.folder / "whole"
            self.assertStatus(self.start(0, options=options, run=whole).wait(), 0)
            self.assertSameRun(folder, whole)
            subprocess.run(["rm", "-rf", whole], check=True)

    def test_signal_to_one_rank(self):
        self.stops(3, signal.SIGUSR1, 1, 2)
        self.stops(2, signal.SIGTERM, 0, 1)
        if LONG:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
                self.stops(4, number, 3, 2)

    def test_signal_to_all_ranks(self):
        self.stops(2, signal.SIGINT, "all", 3, again=True)
        if LONG:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
                self.stops(3, number, "all", 1, again=True)

    def test_signal_to_mpirun(self):
        """USR1 and USR2 are forwarded; on TERM and INT mpirun gives its ranks a second, and has a status of its own."""
        self.stops(2, signal.SIGUSR2, "mpirun", 1, again=True)
        if LONG:
            self.stops(3, signal.SIGUSR1, "mpirun", 1)
        self.stops(2, signal.SIGTERM, "mpirun", 1, status=(75, 1, 143))
        if LONG:
            self.stops(2, signal.SIGINT, "mpirun", 3, status=(75, 1, 130))

    def test_signal_without_mpi(self):
        self.stops(0, signal.SIGTERM, 0, 2, again=True)

    def test_signal_while_saving(self):
        """The checkpoint in progress is ended first; the signal is obeyed at the same step, also if more follow."""
        for place in ("half-written", "written", "renamed") if LONG else ("half-written",):
            folder = self.folder / "run"
            result = self.start(2, env=self.fault(int(signal.SIGUSR1), place, 19, 0)).wait()
            self.assertStatus(result, 75, "SIGUSR1 was received")
            self.assertIn(harness.newest_step(folder), (20, 21))
            self.goes_on(3)
            subprocess.run(["rm", "-rf", folder], check=True)

    def test_second_signal_while_saving(self):
        """Asked to stop, and asked again while the checkpoint of the stop is written."""
        again = self.fault(int(signal.SIGTERM), "written", 0, 0, MANY)
        result = self.start(2, env=again).wait()
        self.assertStatus(result, 75, "SIGTERM was received")
        self.assertWhole(self.folder / "run", at_least=1)
        while result.status == 75:  # every checkpoint brings the next signal
            result = self.start(3, env=again).wait()
            self.assertStatus(result, (75, 0))
        self.assertSameRun(self.folder / "run", self.reference)

    # ---- 3: the clock ----

    def test_max_time(self):
        folder = self.folder / "run"
        options = harness.small(cell="lstm", max_steps=MANY, epochs=MANY, checkpoint_every=MANY, eval_every=MANY)
        result = self.start(2, "--max-time", 2, options=options).wait()
        self.assertStatus(result, 75, "--max-time is over", "run the same command again")
        self.assertGreater(harness.newest_step(folder), 0)
        self.assertWhole(folder, at_least=1)
        self.assertTidy(folder)

    # ---- 9: a rank that stands still ----

    def test_stopped_rank(self):
        """The others notice, name the phase and end the job; the run goes on from its last checkpoint."""
        for place, phase in [("reduction", "reduction"), ("forward", "exchange of losses")][:2 if LONG else 1]:
            job = self.start(2, "--stall-timeout", 4 * PATIENCE, limit=60, env=self.fault(int(signal.SIGSTOP), place, 23, 1))
            job.pids()
            result = job.wait()
            self.assertStatus(result, 74, "--stall-timeout")
            self.assertRegex(result.text, r"rank 0 on host '[^']+' has made no progress .*at step 23 in phase '" + phase + "'")
            self.assertGone(job)
            self.assertWhole(self.folder / "run", at_least=2)
            self.goes_on(2)
            subprocess.run(["rm", "-rf", self.folder / "run"], check=True)

    def test_rank_stopped_beside_the_steps(self):
        """While it validates, and while rank 0 writes a checkpoint, alone or with all ranks."""
        for place, step, rank, phase, more in [
                ("validation", 17, 1, "validation", []),
                ("half-written", 19, 0, "checkpoint", []),
                ("contents", 19, 1, "checkpoint", ["--checkpoint-writer", "parallel"])][:3 if LONG else 2]:
            with self.subTest(place=place):
                job = self.start(2, "--stall-timeout", 4 * PATIENCE, *more, limit=60,
                                 env=self.fault(int(signal.SIGSTOP), place, step, rank))
                job.pids()
                result = job.wait()
                self.assertStatus(result, 74)
                self.assertRegex(result.text, f"rank {1 - rank} on .* no progress .*at step {step + 1} in phase '{phase}'")
                self.assertGone(job)
                self.goes_on(1)
                subprocess.run(["rm", "-rf", self.folder / "run"], check=True)

    # ---- 11: other programs ----

    def two_programs(self, *variables):
        """Two ranks: the program, and another build of it that has these variables in its environment."""
        train = ["train", "--corpus", str(self.corpus), "--run", str(self.folder / "run"), *self.options]
        choose = 'if [ $OMPI_COMM_WORLD_RANK = 0 ]; then exec "$0" "$@"; fi; exec env $OTHER "$@"'
        command = ["timeout", str(60 * PATIENCE), "env", "OTHER=" + " ".join([*variables, FAULTY]), "mpirun", "-n", "2", "bash", "-c", choose,
                   harness.UNROLL, *train]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def test_builds_of_two_kinds(self):
        """They work in one job, and nothing is said of it."""
        done = self.two_programs()
        self.assertEqual(done.returncode, 0, done.stderr)
        said = done.stderr.replace(str(self.folder), "").replace(harness.UNROLL, "").replace(FAULTY, "")
        self.assertNotRegex(said, "build|different|another")
        self.assertSameRun(self.folder / "run", self.reference)

    def test_other_programs(self):
        """Another version, arithmetic or table of options on rank 1: told before anything is written."""
        host = r"'[^']+'"
        for variable, text in [
            ("FAULT_VERSION=9.8.7", rf"versions .* rank 0 on host {host} is [0-9.]+, rank 1 on host {host} is 9\.8\.7; "),
            ("FAULT_ARITHMETIC=0", rf"arithmetic: rank 0 on host {host} computes by .*revision [1-9]\d*, rank 1 on host {host} by 0; "),
            ("FAULT_OPTIONS=fedcba", rf"options: .* rank 0 on host {host} .*digest [0-9a-f]{{12}}, .* rank 1 .* fedcba; "),
        ]:
            with self.subTest(variable=variable):
                done = self.two_programs(variable)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertRegex(done.stderr, "unroll: different " + text)
                self.assertFalse((self.folder / "run").exists())

    # ---- 8: numbers that are none ----

    def spoil(self, place, what, ranks, *more, step=23, times=1):
        folder = self.folder / f"{place}-{what}-{ranks}-{times}"
        fault = self.fault(what, place, step, max(ranks - 1, 0), times)
        result = self.start(ranks, *more, run=folder, env=fault).wait()
        return folder, result

    def test_one_bad_step_is_skipped(self):
        spoils = [("gradient", "nan"), ("loss", "inf"), ("gradient", "inf"), ("loss", "nan")]
        for place, what in spoils if LONG else spoils[:2]:
            with self.subTest(place=place, what=what):
                folder, result = self.spoil(place, what, 2)
                self.assertStatus(result, 0, "not finite")
                skips = harness.records(folder, "skip")
                self.assertEqual([skip["step"] for skip in skips], [24])
                self.assertEqual(harness.records(folder, "train")[-1]["skipped"], 1)
                self.assertWhole(folder, at_least=3)

    def test_many_bad_steps_end_the_run(self):
        for place in ("gradient", "loss") if LONG else ("gradient",):
            folder, result = self.spoil(place, "nan", 3, times=MANY)
            self.assertStatus(result, 79, "diverged", "not finite in 5 steps in a row")
            self.assertEqual(len(harness.records(folder, "skip")), 5)
            self.assertEqual(harness.newest_step(folder), 20)
            self.assertWhole(folder, at_least=2)
            self.assertTidy(folder)

    def test_bad_state(self):
        """A carried state that is not finite: the step is skipped, its lane starts anew, the run goes on."""
        folder, result = self.spoil("state", "nan", 2)
        self.assertStatus(result, 0, "not finite")
        self.assertEqual([skip["step"] for skip in harness.records(folder, "skip")], [25])

    def test_bad_weight(self):
        """A parameter that is not finite is never saved, on all ranks or on one, and whether losses show it or not."""
        for what in ("nan", "inf") if LONG else ("nan",):
            folder, result = self.spoil("weight", what, 2, step=27)
            self.assertStatus(result, 79, "diverged", "not finite in 5 steps in a row")
            self.assertEqual([skip["step"] for skip in harness.records(folder, "skip")], [29, 30, 31, 32, 33])
            self.assertEqual(harness.newest_step(folder), 20)
            self.assertWhole(folder, at_least=2)
        folder, result = self.spoil("weight", "nan", 0, step=23)
        self.assertStatus(result, 79, "diverged", "not finite in 5 steps in a row")
        self.assertEqual(harness.newest_step(folder), 20)
        folder, result = self.spoil("unused weight", "nan", 0, step=25)
        self.assertStatus(result, 79, "diverged: parameters are not finite at step 30, they were not saved")
        self.assertEqual(harness.newest_step(folder), 20)

    def test_replicas_that_differ(self):
        """One bit on one rank, which no loss would show: rank and step are named, nothing is saved."""
        for place in ("bit", "slot"):
            folder, result = self.spoil(place, "nan", 3, step=23)
            self.assertStatus(result, 70, "replicas differ", "at step 24 rank 2")  # before best.h5 is written
            self.assertEqual(harness.newest_step(folder), 20)
            self.assertWhole(folder, at_least=2)
        folder, result = self.spoil("bit", "nan", 4, "--check-replicas", 1, step=31)
        self.assertStatus(result, 70, "replicas differ", "at step 32 rank 3")


if __name__ == "__main__":
    harness.main()
