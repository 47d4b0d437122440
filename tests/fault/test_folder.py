#!/usr/bin/env python3
"""The run directory fails: full, read-only, vanished, taken over, or another one on each host; and a log that nobody can
read.

A small tmpfs stands for the disk, which needs root and the right to mount; without them those tests are skipped.
Oracles: the expected status and message, whole checkpoints, and that the run, once the fault is gone, ends in the bits
of the run that nothing happened to.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import harness


def can_mount():
    if os.geteuid() != 0:
        return False
    folder = pathlib.Path(os.environ.get("TMPDIR", "/tmp"), f"fault-mount-{os.getpid()}")
    folder.mkdir()
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True
    finally:
        folder.rmdir()


MAY_MOUNT = can_mount()
STEPS = 400  # of all runs here, with a checkpoint after every 10


class Folder(harness.Case):
    def options(self, **more):
        chosen = {"cell": "lstm", "max_steps": STEPS, "eval_every": 35, "checkpoint_every": 10, "log_every": 5,
                  "epochs": 99, **more}
        return harness.small(**chosen)

    def train(self, ranks, run, *more, **options):
        return harness.run(ranks, "train", "--corpus", self.corpus, "--run", run, *self.options(**options), *more)

    def reference(self):
        folder = harness.Case.shared / "reference"
        if not folder.exists():
            self.assertStatus(self.train(0, folder), 0)
        return folder

    def mount(self, *options):
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        if os.path.ismount(disk):
            subprocess.run(["umount", disk], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(["size=4m", *options]), "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], stderr=subprocess.DEVNULL, check=False)
        return disk

    def fill(self, disk, free):
        """Fills the disk but for `free` bytes. Nobody else writes there meanwhile."""
        filler = disk / "filler"
        with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                space = os.statvfs(disk)
                blocks = space.f_bavail - free // space.f_frsize
                if blocks <= 0:
                    break
                file.write(b"\0" * (blocks * space.f_frsize))
        return filler

    def start_with_stops(self, ranks, run, stops, *more, **how):
        """A job that stops itself (SIGSTOP to rank 0) in step 12, after its first checkpoint, and in those that follow."""
        stop = {"FAULT_DO": int(signal.SIGSTOP), "FAULT_AT": "forward", "FAULT_STEP": 12, "FAULT_RANK": 0,
                "FAULT_TIMES": stops}
        job = harness.Job(ranks, "train", "--corpus", self.corpus, "--run", run, *self.options(), *more,
                          program=harness.FAULTY, env=stop, **how)
        self.assertTrue(job.wait_stopped(), "the job has not stopped itself")
        self.assertEqual(harness.newest_step(run), 10)
        return job

    def full_disk(self, ranks, share, *more, words):
        """A run whose disk gets full, but for a share of a checkpoint, once it has saved something."""
        disk = self.mount()
        run = disk / "run"
        job = self.start_with_stops(ranks, run, 1, *more)
        filler = self.fill(disk, int((run / "latest").stat().st_size * share))
        job.signal(signal.SIGCONT, 0)
        result = job.wait()
        self.assertStatus(result, harness.IO, *words)
        self.assertGone(job)
        self.assertWhole(run, at_least=1)
        self.assertLess(harness.newest_step(run), STEPS)
        filler.unlink()
        self.assertStatus(self.train(3, run), 0)
        self.assertSameRun(run, self.reference())
        self.assertTidy(run)

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_full_disk_single_writer(self):
        """Training goes on and tries again; at the end the status says that the last steps are not saved."""
        for share in (0, 0.5, 0.99) if harness.LONG else (0, 0.99):
            self.full_disk(2, share, "--checkpoint-writer", "single",
                           words=["No space left on device", "training goes on", f"step {STEPS}/{STEPS}"])

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_full_disk_parallel_writer(self):
        for share in (0, 0.5, 0.99) if harness.LONG else (0.5,):
            self.full_disk(2, share, "--checkpoint-writer", "parallel", words=["cannot write"])

    def test_file_size_limit_parallel_writer(self):
        """Failing in the middle of a parallel file, which no look beforehand foresees: all ranks end, nothing hangs."""
        run = self.folder / "run"
        self.assertStatus(self.train(2, run, "--checkpoint-writer", "parallel", max_steps=10), 0)
        size = (run / "latest").stat().st_size
        for share in (0.1, 0.5, 0.95) if harness.LONG else (0.5,):
            limited = self.folder / "limited"
            limited.write_text(f'#!/bin/bash\ntrap "" XFSZ\nulimit -f {int(size * share) // 1024}\n'
                               f'exec {harness.UNROLL} "$@"\n')
            limited.chmod(0o755)
            job = harness.Job(2, "train", "--corpus", self.corpus, "--run", run, *self.options(),
                              "--checkpoint-writer", "parallel", program=str(limited), limit=60)
            job.pids()
            result = job.wait()
            self.assertStatus(result, 74)
            self.assertGone(job)
            self.assertWhole(run, at_least=1)
            self.assertEqual(harness.newest_step(run), 10)
        self.assertStatus(self.train(3, run), 0)
        self.assertSameRun(run, self.reference())
        self.assertTidy(run)

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_disk_that_gets_room_again(self):
        """A run that outlives a full disk ends as if nothing had happened, also in its record."""
        disk, log, stops = self.mount(), self.folder / "errors", 10
        run = disk / "run"
        job = self.start_with_stops(2, run, stops, errors=open(log, "w+b"))
        filler = self.fill(disk, 0)
        for _ in range(1, stops):  # to step 21, behind a checkpoint that failed
            job.signal(signal.SIGCONT, 0)
            self.assertTrue(job.wait_stopped())
        while b"training goes on" not in log.read_bytes() and not job.finished():
            time.sleep(0.01)
        filler.unlink()
        job.signal(signal.SIGCONT, 0)
        self.assertStatus(job.wait(), 0, "No space left on device", "training goes on")
        self.assertSameRun(run, self.reference())
        self.assertTidy(run)

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_full_disk_at_the_start(self):
        disk = self.mount()
        self.fill(disk, 0)
        result = self.train(2, disk / "run")
        self.assertStatus(result, (73, 74), "No space left on device")
        self.assertNotIn("training: step", result.text)

    def test_log_on_a_full_disk(self):
        for ranks in (0, 2):
            run = self.folder / f"run{ranks}"
            result = harness.run(ranks, "train", "--corpus", self.corpus, "--run", run, *self.options(),
                                 errors=open("/dev/full", "wb"))
            self.assertStatus(result, 0)
            self.assertSameRun(run, self.reference())

    # ---- read-only or vanished ----

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_read_only(self):
        """A new run and an old one: refused before the first step."""
        disk = self.mount()
        self.assertStatus(self.train(0, disk / "old", max_steps=10), 0)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for run in ("new", "old"):
            for ranks in (0, 3):
                result = self.train(ranks, disk / run)
                self.assertStatus(result, 73, "Read-only file system", run)
                self.assertNotIn("training: step", result.text)

    def test_no_folder(self):
        (self.folder / "file").write_text("not a folder\n")
        result = self.train(2, self.folder / "file" / "run")
        self.assertStatus(result, 73, "Not a directory")
        self.assertNotIn("training: step", result.text)

    def vanish(self, ranks, destroy, *words):
        """What happens to the directory of a run in progress ends it at the next checkpoint."""
        run, errors = self.folder / f"run{ranks}", open(self.folder / "errors", "w+b")
        options = self.options(max_steps=1000000, epochs=1000000, log_every=50)
        job = harness.Job(ranks, "train", "--corpus", self.corpus, "--run", run, *options, errors=errors, limit=60)
        job.pids()
        while not job.finished() and harness.newest_step(run) < 20:
            time.sleep(0.01)
        destroy(run)
        result = job.wait()
        self.assertStatus(result, 73, *words)
        self.assertGone(job)
        return run

    def test_vanished(self):
        """Deleted while the run goes on: nothing is written elsewhere, and nobody computes for a run that is lost."""
        def remove(run):
            moved = run.rename(run.with_suffix(".moved"))
            shutil.rmtree(moved)
        run = self.vanish(2, remove, "No such file or directory")
        self.assertFalse((run / "checkpoints").exists())

    def test_taken_over(self):
        """Another job holds the lock now (its host was cut off from this one's): the first one changes nothing more."""
        def take(run):
            (run / "theirs").write_text("host elsewhere\npid 1\ntoken 0123456789abcdef0123456789abcdef\n")
            (run / "theirs").rename(run / "lock")
        run = self.vanish(2, take, "lost the lock of the run directory", "elsewhere")
        newest = harness.newest_step(run)
        self.assertIn("elsewhere", (run / "lock").read_text())
        self.assertWhole(run, at_least=1)
        (run / "lock").unlink()
        self.assertEqual(harness.newest_step(run), newest)


class HostsOfTheirOwn(harness.Case):
    """Rank 1 sees a disk of its own where the run directory is, as on hosts that share no file system: a mount that only it
    sees. It must not wait for ever, nor write half of a file there."""

    options, train, reference = Folder.options, Folder.train, Folder.reference

    def apart(self, disk, when=1):
        """A program for Job that is `unroll-faulty`, on ranks from `when` on with another disk at `disk`."""
        disk.mkdir(exist_ok=True)
        program = self.folder / f"apart-{disk.name}"
        program.write_text(f'#!/bin/bash\n[ "$OMPI_COMM_WORLD_RANK" -lt {when} ] || exec unshare -m --propagation private '
                           f'bash -c \'mount -t tmpfs tmpfs "$0" && exec "$@"\' {disk} {harness.FAULTY} "$@"\n'
                           f'exec {harness.FAULTY} "$@"\n')
        program.chmod(0o755)
        return str(program)

    def on_hosts(self, disk, *more, ranks=2, when=1, run=None, **options):
        return harness.run(ranks, "train", "--corpus", self.corpus, "--run", run or disk / "run", *self.options(**options), *more,
                           program=self.apart(disk, when), env={"FAULT_PATIENCE": 1}, limit=60)

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_parallel_writer_is_refused(self):
        result = self.on_hosts(self.folder / "disk", "--checkpoint-writer", "parallel")
        self.assertStatus(result, 73, "folder not shared: rank 1 on host '", "does not see", "which rank 0 on host '",
                          "'--checkpoint-writer single'")
        self.assertNotIn("training: step", result.text)
        self.assertTidy(self.folder / "disk" / "run")

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_the_last_of_three_ranks(self):
        result = self.on_hosts(self.folder / "disk", "--checkpoint-writer", "parallel", ranks=3, when=2)
        self.assertStatus(result, 73, "folder not shared: rank 2 on host '")

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_directories_of_one_name(self):
        """A run is there on rank 0's disk and a directory on the other's: refused, and the run is as it was."""
        disk = self.folder / "disk"
        disk.mkdir()
        self.assertStatus(self.train(0, disk / "run", max_steps=20), 0)
        result = self.on_hosts(disk / "run", "--checkpoint-writer", "parallel", run=disk / "run")
        self.assertStatus(result, 73, "folder not shared: rank 1")
        self.assertStatus(self.train(0, disk / "run"), 0)
        self.assertSameRun(disk / "run", self.reference())

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_branch(self):
        """What is written to counts, not what is read."""
        self.assertStatus(self.train(0, self.folder / "old", max_steps=10), 0)
        disk = self.folder / "disk"
        result = self.on_hosts(disk, "--branch", disk / "new", "--checkpoint-writer", "parallel", run=self.folder / "old")
        self.assertStatus(result, 73, "folder not shared: rank 1", "/disk/new/")
        old = self.folder / "old"
        result = self.on_hosts(old, "--branch", self.folder / "new", "--checkpoint-writer", "parallel", run=old, max_steps=20)
        self.assertStatus(result, 0)

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_rank_0_alone_may_have_the_directory(self):
        """It is the only one that writes with the single writer, which `auto` takes for a checkpoint of this size."""
        whole = self.folder / "whole"
        self.assertStatus(self.train(0, whole, max_steps=40), 0)
        for writer in ("single", "auto"):
            disk = self.folder / writer
            self.assertStatus(self.on_hosts(disk, "--checkpoint-writer", writer, max_steps=40), 0)
            self.assertSameRun(disk / "run", whole)
            self.assertTidy(disk / "run")

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount a tmpfs")
    def test_lost_on_the_way(self):
        """A host loses the file system while the run goes on: the next checkpoint ends it, and does not hang. Lost in a
        step, or when the ranks have just seen that they share the folder: rank 1 stops itself there."""
        for place in ("forward", "folder seen"):
            with self.subTest(place):
                self.lose(place)

    def lose(self, place):
        disk, moved = self.folder / place.replace(" ", "-"), self.folder / f"moved-{place}"
        disk.mkdir()
        program = self.folder / "later"
        # rank 1 sees its own disk from the moment on that a file is there
        program.write_text(f'#!/bin/bash\n[ "$OMPI_COMM_WORLD_RANK" = 1 ] || exec {harness.FAULTY} "$@"\n'
                           f'exec unshare -m --propagation private bash -c \'(until [ -e "{moved}" ]; do sleep 0.05; done; '
                           f'mount -t tmpfs tmpfs {disk}; touch "{moved}.done") & exec {harness.FAULTY} "$@"\' - "$@"\n')
        program.chmod(0o755)
        stop = {"FAULT_DO": int(signal.SIGSTOP), "FAULT_AT": place, "FAULT_STEP": 19, "FAULT_RANK": 1, "FAULT_PATIENCE": 1}
        job = harness.Job(2, "train", "--corpus", self.corpus, "--run", disk / "run", *self.options(),
                          "--checkpoint-writer", "parallel", program=str(program), env=stop, limit=60)
        self.assertTrue(job.wait_stopped(1), "the job has not stopped itself")
        moved.touch()
        while not pathlib.Path(f"{moved}.done").exists():
            time.sleep(0.01)
        job.signal(signal.SIGCONT, 1)
        result = job.wait()
        self.assertStatus(result, 73, "folder not shared: rank 1")
        self.assertGone(job)
        self.assertEqual(harness.newest_step(disk / "run"), 10)
        self.assertWhole(disk / "run", at_least=1)
        self.assertTidy(disk / "run")


if __name__ == "__main__":
    harness.main()
