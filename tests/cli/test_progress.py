#!/usr/bin/env python3
"""What a person sees of training on a terminal, a pseudo-terminal here, and does there: the line that rewrites itself, how long
the run takes, and Ctrl-C. In a plain log, and under mpirun on a terminal, short lines."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time
import unittest

UNROLL = os.path.abspath(os.environ.get("UNROLL", "build/unroll"))
PATIENCE = int(os.environ.get("PATIENCE", "1"))
ERASE = "\r\x1b[K"
STEPS = 10 ** 7
CTRL_C = b"\x03"


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, columns, *command):
        self.text = ""
        self.process, self.keyboard = pty.fork()
        if self.process == 0:
            os.environ["TERM"] = "xterm"
            time.sleep(0.2 if columns != 80 else 0)  # until it has its size
            os.execvp(command[0], command)
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        """What came next, "" at the end."""
        if not select.select([self.keyboard], [], [], 60 * PATIENCE)[0]:
            raise AssertionError("silence after:\n" + self.text)
        try:
            new = os.read(self.keyboard, 65536).decode()
        except OSError:
            new = ""
        self.text += new
        return new

    def wait_for(self, pattern):
        end = time.monotonic() + 60 * PATIENCE
        while not re.search(pattern, self.text):
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern} for a long time in:\n" + self.text[-2000:])
            if not self.read():
                raise AssertionError(f"no {pattern} in:\n" + self.text)

    def type(self, keys):
        os.write(self.keyboard, keys)

    def end(self):
        while self.read():
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        os.close(self.keyboard)
        return status

    def rewritten(self):
        """What stood in the line that rewrites itself, one after another."""
        return [part.split("\r\n")[0] for part in self.text.split(ERASE)[1:]]


class Progress(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        text = "".join(f"this step carries window {k * k % 97} over lane {k % 13}.\n" for k in range(3000))
        pathlib.Path("text").write_text(text)
        pathlib.Path("long").write_text("so many words. " * 200000)
        for source, corpus in ((["--split", "80,10,10"], "c.h5"), (["--valid", "long"], "long.h5")):
            subprocess.run([UNROLL, "prepare", "--level", "char", "--train", "text", *source, "-o", corpus], check=True,
                           stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    def command(self, run, **options):
        chosen = {"corpus": "c.h5", "run": run, "hidden": 16, "layers": 1, "threads": 1, "epochs": 10 ** 6, "max_steps": STEPS,
                  "eval_every": STEPS, "checkpoint_every": STEPS, "patience": "none", **options}
        return [UNROLL, "train"] + [word for name, value in chosen.items()
                                    for word in ("--" + name.replace("_", "-"), str(value))]

    def lines_of(self, kind, run):
        lines = [json.loads(line) for line in pathlib.Path(run, "timing.jsonl").read_text().splitlines()]
        return [line for line in lines if line["type"] == kind]

    def stopped(self, run):
        self.assertEqual(subprocess.run([UNROLL, "verify", f"{run}/latest"], stdout=subprocess.DEVNULL).returncode, 0)
        self.assertEqual([p.name for p in pathlib.Path(run).rglob("*") if p.name == "lock" or p.suffix == ".tmp"], [])

    def test_a_line_that_rewrites_itself(self):
        screen = Screen(80, *self.command("narrow"))
        screen.wait_for(r"about \d+:\d\d:\d\d for 10000000 steps(, or less: --patience may end it)?\r\n\r\x1b\[K(.*\r\x1b\[K){2}")
        screen.type(CTRL_C)
        screen.wait_for("again to stop without a checkpoint\r\n")
        self.assertEqual(screen.end(), 75)
        lines = screen.rewritten()
        self.assertIn("training: step 1 of 10000000 runs", lines[0])
        steps = [line for line in lines if re.fullmatch(
            r"(epoch \d+  )?step \d+/10000000  loss \d+\.\d{4}  \d+ tokens/s  \d+:\d\d:\d\d left", line)]
        self.assertGreaterEqual(len(steps), 3, screen.text)
        self.assertEqual([line for line in lines if len(line) > 79 and not line.startswith("unroll: ")], [])
        self.assertIn(ERASE + "stopping after this step; again to stop without a checkpoint\r\n", screen.text)
        self.assertRegex(screen.text, r"(\r\x1b\[K|\r\n)unroll: stopped at step \d+ of 10000000 with a checkpoint: SIGINT was "
                         r"received; run the same command again to go on\r\n$")
        self.stopped("narrow")
        forecast, = self.lines_of("forecast", "narrow")
        self.assertAlmostEqual(forecast["seconds"], forecast["elapsed"] + forecast["left"], delta=1e-3)
        self.assertEqual(forecast["steps"], STEPS)

    def test_it_never_goes_back(self):
        # what validations and checkpoints say takes its place, again and again
        screen = Screen(80, *self.command("forth", eval_every=40, checkpoint_every=25))
        screen.wait_for(r"(?s)(writing a checkpoint.*loss \S+  .*){3}writing best.h5.*loss \S+  ")
        screen.wait_for(r"(?s)(  step \d+  validation loss .*){4}writing .*loss \S+  ")
        screen.type(CTRL_C)
        self.assertEqual(screen.end(), 75)
        steps = [int(step) for step in re.findall(r"\x1b\[K(?:epoch \d+  )?step (\d+)/", screen.text)]
        self.assertGreater(len(steps), 8, screen.text)
        self.assertEqual(steps, sorted(steps), screen.text)

    def test_a_wide_one_tells_more(self):
        screen = Screen(140, *self.command("wide", max_steps="none"))
        screen.wait_for(r"epoch \d+/1000000  step \d+/\d+  loss \S+  perplexity \S+  norm \S+  lr \S+  \d+ tokens/s  \S+ left")
        screen.type(CTRL_C)
        self.assertEqual(screen.end(), 75)

    def test_evaluations_show_life_and_stop(self):
        # one lane, and windows of one token: such a validation takes minutes
        screen = Screen(80, *self.command("valid", corpus="long.h5", batch=1, bptt=1, eval_every=2))
        screen.wait_for(r"step 2/10000000  validation: \d+ % done")
        screen.type(CTRL_C)
        screen.wait_for("stopping within this evaluation; again to stop without a checkpoint\r\n")
        self.assertEqual(screen.end(), 75)
        self.assertIn("unroll: stopped at step 2 of 10000000 with a checkpoint", screen.text)
        self.assertNotIn('"valid"', pathlib.Path("valid/metrics.jsonl").read_text())
        self.stopped("valid")
        # that of the end: all is saved by then
        screen = Screen(80, *self.command("end", corpus="long.h5", batch=1, bptt=1, max_steps=3))
        screen.wait_for(r"step 3/3  validation: \d+ % done")
        screen.type(CTRL_C)
        self.assertEqual(screen.end(), 75)
        self.assertIn("unroll: stopped at step 3 of 3 with a checkpoint", screen.text)
        self.assertNotIn("next:", screen.text)
        self.stopped("end")
        # and it is made good by the next start, which is where the last has stopped
        screen = Screen(80, *self.command("end", corpus="long.h5", batch=1, bptt=1, max_steps=3))
        screen.wait_for("resuming 'end' at step 3 of 3")
        screen.wait_for(r"step 3/3  validation: \d+ % done")
        screen.type(CTRL_C)
        self.assertEqual(screen.end(), 75)

    def test_a_plain_log(self):
        with open("log", "w") as log:
            process = subprocess.Popen(self.command("plain", corpus="long.h5", batch=8, log_every=1, eval_every=500),
                                       stderr=log, stdout=subprocess.PIPE, text=True)
            end = time.monotonic() + 60 * PATIENCE
            while "about " not in pathlib.Path("log").read_text():
                self.assertTrue(time.monotonic() < end and process.poll() is None, pathlib.Path("log").read_text())
                time.sleep(0.05)
        process.terminate()
        self.assertEqual(process.communicate()[0], "")  # what is said while it trains is no result
        self.assertEqual(process.returncode, 75)
        text = pathlib.Path("log").read_text()
        lines = text.splitlines()
        self.assertNotIn("\r", text)
        begin = lines.index("training: step 1 of 10000000 runs")
        self.assertRegex(lines[begin - 1], r"^run directory 'plain': new, 10000000 steps, \d+ in an epoch$")
        # by time, however often metrics.jsonl has a line
        steps = [line for line in lines if " tokens/s" in line]
        self.assertLess(len(steps), 9, text)
        self.assertGreater(len(pathlib.Path("plain/metrics.jsonl").read_text().splitlines()), 100)
        self.assertEqual([line for line in lines if len(line) > 80 and not line.startswith("unroll: ")], [])
        self.assertNotIn("kill -USR1", text)
        # it foretells the validations, too: here they are most of the work, 3 million tokens each 500 steps of 512
        forecast, = self.lines_of("forecast", "plain")
        seen = [line["seconds"] for line in self.lines_of("train", "plain") if line["step"] <= forecast["step"]]
        self.assertGreater(forecast["left"], 2 * (STEPS - forecast["step"]) * sum(seen) / len(seen))

    def test_mpirun_on_a_terminal(self):
        screen = Screen(80, "mpirun", "-n", "2", *self.command("ranks"))
        screen.wait_for(r"to stop with one: kill -USR1 \d+\r\n")
        screen.wait_for(r"step \d+/10000000  loss \S+  \d+ tokens/s")
        self.assertNotIn(ERASE, screen.text)
        words = re.search(r"kill -USR1 (\d+)", screen.text)
        subprocess.run(["kill", "-USR1", words[1]], check=True)
        self.assertEqual(screen.end(), 75)
        self.assertIn("SIGUSR1 was received", screen.text)
        self.stopped("ranks")


if __name__ == "__main__":
    unittest.main()
