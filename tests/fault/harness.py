"""What the fault tests share: small corpora, jobs under mpirun that can be killed rank by rank, and oracles.

Every test file is a program of its own, run by tools/run-tests (kind `fault`), which sets UNROLL, the path of the
program, and an Open MPI that puts up with more ranks than cores. UNROLL_TEST_LONG=1 (make check-fault) asks for the
long loops. Names of tests may follow: `UNROLL=build/unroll tests/fault/test_kill.py Kill.test_kill`.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

UNROLL = os.path.abspath(os.environ.get("UNROLL", "build/unroll"))
PROGRAMS = pathlib.Path(UNROLL).parent / "tests" / "fault"
FAULTY = str(PROGRAMS / "unroll-faulty")  # the program with faults on request: faults.c
LONG = bool(os.environ.get("UNROLL_TEST_LONG"))
PATIENCE = int(os.environ.get("PATIENCE", "1"))  # limits are so many times as long: the machine is busy
LIMIT = 180  # seconds for one command on an idle machine

USAGE, DATA, NOINPUT, UNAVAILABLE, INTERNAL, OS, CANTCREATE, IO, STOPPED, CHECKPOINT, CONFIG, DIVERGED = (
    64, 65, 66, 69, 70, 71, 73, 74, 75, 76, 78, 79)


class Result:
    """How a command ended: exit status (killed by 9: 137, as the shell says it) and what it printed."""

    def __init__(self, status, out, errors):
        self.status = status if status >= 0 else 128 - status
        self.out = out
        self.errors = errors
        self.text = out + errors


def processes():
    """All processes as (pid, parent)."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(entry), int(fields[1])


def state(pid):
    """As ps shows it: R, S, T, ...; Z if there is no such process any more."""
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


def alive(pid):
    return state(pid) != "Z"


def rank_of(pid):
    with contextlib.suppress(OSError):
        for variable in pathlib.Path("/proc", str(pid), "environ").read_bytes().split(b"\0"):
            if variable.startswith(b"OMPI_COMM_WORLD_RANK="):
                return int(variable.partition(b"=")[2])
    return None


class Job:
    """A command that runs: on `ranks` ranks under mpirun, or, with ranks 0, alone and without MPI."""

    def __init__(self, ranks, *arguments, program=UNROLL, env=None, limit=LIMIT, errors=None):
        command = [program, *map(str, arguments)]
        variables = {name: str(value) for name, value in (env or {}).items()}
        if variables:  # for the program only: mpirun itself must not meet the faults
            command = ["env", *(f"{name}={value}" for name, value in variables.items()), *command]
        if ranks:
            command = ["mpirun", "-n", str(ranks), *command]
        self.ranks = ranks
        self.out = tempfile.TemporaryFile()
        self.errors = errors or tempfile.TemporaryFile()
        self.process = subprocess.Popen(["timeout", "--kill-after=5", str(limit * PATIENCE), *command], stdin=subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.errors)
        self.known = {}

    def launcher(self):
        """Process id of mpirun (of the program, without ranks); None if it is not there yet or no longer."""
        for pid, parent in processes():
            if parent == self.process.pid:
                return pid
        return None

    def pids(self):
        """{rank: process id} of all ranks, once all are there."""
        while len(self.known) < max(self.ranks, 1) and not self.finished():
            launcher = self.launcher()
            for pid, parent in processes() if self.ranks else ():
                rank = rank_of(pid) if parent == launcher else None
                if rank is not None:
                    self.known[rank] = pid
            if launcher and self.ranks == 0:
                self.known = {0: launcher}
            time.sleep(0.01)
        return self.known

    def signal(self, number, whom):
        """Sends a signal to a rank's number, to "all" ranks, or to "mpirun"."""
        pids = self.pids()
        targets = [self.launcher()] if whom == "mpirun" else list(pids.values()) if whom == "all" else [pids.get(whom)]
        for pid in targets:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def wait_stopped(self, rank=0):
        """Until a rank has got SIGSTOP; False if the job has ended without."""
        pid = self.pids().get(rank)
        while pid and not self.finished():
            if state(pid) == "T":
                return True
            time.sleep(0.01)
        return False

    def finished(self):
        return self.process.poll() is not None

    def wait(self):
        status = self.process.wait()
        texts = []
        for file in (self.out, self.errors):
            try:
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
            except (OSError, ValueError):  # not a file that can be read, such as /dev/full
                texts.append("")
            file.close()
        return Result(status, *texts)

    def survivors(self, seconds=10):
        """Ranks that are still alive after `seconds` of an idle machine; they are killed then."""
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end and any(map(alive, self.known.values())):
            time.sleep(0.02)
        left = [pid for pid in self.known.values() if alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left


def run(ranks, *arguments, **how):
    return Job(ranks, *arguments, **how).wait()


def write_text(path, lines=900, seed=3):
    """Sentences of few words whose order has some structure, so that a small model has something to learn."""
    source = random.Random(seed)
    words = "the a cat dog sat ran on mat log big red and then it was not so many of them went to sea".split()
    with open(path, "w") as text:
        for _ in range(lines):
            start = source.randrange(len(words))
            text.write(" ".join(words[(start + i * i) % len(words)] for i in range(source.randint(3, 9))) + ".\n")


def write_words(path, lines=700, size=1500, seed=7):
    """Sentences of many words, of which a few are frequent and most come once or twice."""
    source = random.Random(seed)
    with open(path, "w") as text:
        for _ in range(lines):
            text.write(" ".join(f"w{int(size ** source.random())}" for _ in range(source.randint(3, 9))) + ".\n")


class Case(unittest.TestCase):
    """A test in a temporary folder of its own, with one corpus for all tests of a file."""

    maxDiff = 2000
    shared = None

    @classmethod
    def setUpClass(cls):
        if Case.shared is None:
            Case.shared = pathlib.Path(tempfile.mkdtemp(prefix="fault-"))
            write_text(Case.shared / "text.txt")
            result = run(0, "prepare", "--level", "char", "--train", Case.shared / "text.txt", "--split", "90,5,5",
                         "-o", Case.shared / "corpus.h5")
            if result.status:
                raise RuntimeError(result.text)
        cls.corpus = Case.shared / "corpus.h5"

    def use_words(self):
        """In place of the corpus of characters one of so many words that a step has gradients for few of them."""
        self.corpus = Case.shared / "words.h5"
        if not self.corpus.exists():
            write_words(Case.shared / "words.txt")
            self.assertStatus(run(0, "prepare", "--level", "word", "--train", Case.shared / "words.txt", "--split",
                                  "90,5,5", "--min-count", 1, "-o", self.corpus), 0)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=self._testMethodName + "-", dir=Case.shared))

    def tearDown(self):
        cores = [entry for entry in list(pathlib.Path(".").glob("core*")) + list(self.folder.rglob("core*"))
                 if entry.is_file()]
        self.assertEqual(cores, [], "a core file was left")
        shutil.rmtree(self.folder, ignore_errors=True)

    def assertStatus(self, result, expected, *words):
        """Exit status and words of the message."""
        allowed = expected if isinstance(expected, tuple) else (expected,)
        self.assertIn(result.status, allowed, result.text[-3000:])
        for word in words:
            if word not in result.text:
                self.fail(f"'{word}' is not in:\n{result.text[-3000:]}")

    def assertGone(self, job, seconds=10):
        self.assertEqual(job.survivors(seconds), [], "ranks were left behind")

    def assertSameRun(self, folder, reference):
        """The same record, byte for byte, and the same parameters."""
        ours, theirs = (pathlib.Path(f, "metrics.jsonl").read_bytes() for f in (folder, reference))
        if ours != theirs:
            for number, (a, b) in enumerate(zip(ours.split(b"\n"), theirs.split(b"\n")), 1):
                self.assertEqual(a, b, f"line {number} of metrics.jsonl")
            self.assertEqual(len(ours), len(theirs), "length of metrics.jsonl")
        self.assertEqual(digest_of(folder), digest_of(reference))

    def assertWhole(self, folder, at_least=0):
        """Every checkpoint there passes `verify`; no temporary file is left in a folder that nobody writes to."""
        files = checkpoints(folder)
        self.assertGreaterEqual(len(files), at_least)
        if files:
            self.assertStatus(run(0, "verify", *files), 0)
        return files

    def assertTidy(self, folder):
        left = [str(path) for path in pathlib.Path(folder).rglob("*.tmp")] + \
               [str(path) for path in pathlib.Path(folder).glob("lock*")]
        self.assertEqual(left, [], "temporary files were left")


def checkpoints(folder):
    """Checkpoints of a run directory, oldest first, and best.h5."""
    folder = pathlib.Path(folder)
    return sorted((folder / "checkpoints").glob("*.h5")) + [path for path in [folder / "best.h5"] if path.exists()]


def newest_step(folder):
    """Step of the checkpoint that `latest` names; -1 if there is none."""
    try:
        return int(os.readlink(pathlib.Path(folder, "latest")).rpartition("-")[2].partition(".")[0])
    except (OSError, ValueError):
        return -1


def records(folder, kind=None):
    """Lines of metrics.jsonl, all or those of a type."""
    lines = [json.loads(line) for line in pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if kind is None or line["type"] == kind]


def digest_of(folder):
    """parameters_digest of a run's newest checkpoint."""
    result = run(0, "inspect", "--json", pathlib.Path(folder, "latest"))
    if result.status:
        raise AssertionError(result.text)
    return json.loads(result.text)["parameters_digest"]


def small(**options):
    """Options of a run that takes a second: dropout, a batch that few rank counts divide, a ragged last window."""
    chosen = {"layers": 1, "hidden": 12, "dropout": 0.2, "batch": 13, "bptt": 11, "lr": 0.01, "max-steps": 40,
              "eval-every": 10, "checkpoint-every": 10, "log-every": 5, "patience": "none", "threads": 1}
    chosen.update({name.replace("_", "-"): value for name, value in options.items()})
    flags = []
    for name, value in chosen.items():
        flags += [f"--{name}"] if value is True else [] if value is None else [f"--{name}", str(value)]
    return flags


def main():
    """Runs the tests of the calling file: the exit status is the verdict. Arguments: names of tests."""
    try:
        unittest.main(verbosity=2, failfast=False, module="__main__")
    finally:
        if Case.shared:
            shutil.rmtree(Case.shared, ignore_errors=True)
        sys.stdout.flush()
