#!/usr/bin/env python3
"""No damage to a checkpoint goes unnoticed: flipped bits and cut files, tried in-process by damage.c; and what a run
does whose newest checkpoint is damaged.
"""
import os
import pathlib
import shutil
import subprocess

import harness


class Damage(harness.Case):
    def train(self, ranks, *more, **options):
        chosen = {"max_steps": 30, **options}
        return harness.run(ranks, "train", "--corpus", self.corpus, "--run", self.folder / "run",
                           *harness.small(cell="lstm", **chosen), *more)

    def every_damage(self, path):
        scratch = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else self.folder,
                               f"damage-{os.getpid()}.h5")
        try:
            done = subprocess.run(["timeout", str(600 * harness.PATIENCE), str(harness.PROGRAMS / "damage"), str(path), str(scratch),
                                   "1" if harness.LONG else "7"], capture_output=True, text=True, check=False)
        finally:
            scratch.unlink(missing_ok=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"[1-9]\d{3,} damages: 0 accepted, 0 crashes")

    def test_single_writer(self):
        self.assertStatus(self.train(0), 0)
        self.every_damage(self.folder / "run" / "latest")

    def test_parallel_writer(self):
        self.assertStatus(self.train(2, "--checkpoint-writer", "parallel"), 0)
        self.every_damage(self.folder / "run" / "latest")
        if harness.LONG:
            self.every_damage(self.folder / "run" / "best.h5")

    def test_resume_takes_the_one_before(self):
        """With a warning that names the damaged one; the run ends in the same bits as if nothing had happened."""
        run, reference = self.folder / "run", self.folder / "reference"
        self.assertStatus(self.train(0), 0)
        shutil.copytree(run, reference, symlinks=True)
        newest = harness.checkpoints(run)[-2]
        with open(newest, "r+b") as file:
            file.seek(newest.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 4]))
        self.assertStatus(harness.run(0, "verify", newest), 76, newest.name)
        self.assertStatus(self.train(2), 0, "unroll: warning", newest.name, "trying the one before")
        self.assertSameRun(run, reference)

    def test_nothing_left_to_resume(self):
        run = self.folder / "run"
        self.assertStatus(self.train(0), 0)
        record = (run / "metrics.jsonl").read_bytes()
        for path in (run / "checkpoints").glob("*.h5"):
            os.truncate(path, 4096)
        self.assertStatus(self.train(3), 76, "step-")
        self.assertEqual((run / "metrics.jsonl").read_bytes(), record)


if __name__ == "__main__":
    harness.main()
