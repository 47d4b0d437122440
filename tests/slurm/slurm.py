"""What the tests on a Slurm cluster share: submitting the job scripts, and waiting for what becomes of them.

Each file runs as `tests/slurm/cluster python3 tests/slurm/test_X.py`, which tools/run-tests does (kind `slurm`): four nodes
n1..n4, whose shared folder is that of the test. Slurm's waits are short there, but a machine may be busy: every wait is for
an event, with a limit far beyond what it takes.
"""
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fault"))
import harness  # noqa: E402

JOBS = ROOT / "jobs"
HOSTS = ROOT / "tests" / "slurm" / "hosts"
CLUSTER = ROOT / "tests" / "slurm" / "cluster"
TEMPLATES = ("train.sbatch", "train-mpirun.sbatch")
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")  # of a job
MANY = 1000000


def command(*words, **how):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **how)
    if done.returncode:
        raise AssertionError(f"{words[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def hosts(*words):
    return command(HOSTS, *words)


def wait_for(what, condition, seconds=90):
    """The first true value of condition(), for which an idle machine needs far less than so many seconds."""
    seconds *= harness.PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still no: {what}")
        time.sleep(0.1)


def idle(nodes=4):
    """Waits for a cluster that has ended all its jobs."""
    wait_for("idle cluster", lambda: command("sinfo", "-h", "-p", "main", "-t", "idle", "-o", "%D") == str(nodes))


def ranks_on(host):
    """Processes of `unroll train` on a host."""
    spaces = {}
    for pid, _ in harness.processes():
        try:
            program, _, options = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")
            if program.endswith(b"/unroll") and options.startswith(b"train\0"):
                spaces.setdefault(os.readlink(f"/proc/{pid}/ns/net"), []).append(pid)
        except OSError:
            continue
    keeper = pathlib.Path(os.environ["HOSTS"], host, "keeper").read_text().strip()
    return spaces.get(os.readlink(f"/proc/{keeper}/ns/net"), [])


class Job:
    """A job script that was submitted in `folder`, with a run directory of its own."""

    def __init__(self, folder, template, corpus, *options, sbatch=(), run="run", **settings):
        self.folder = pathlib.Path(folder)
        self.run = self.folder / run
        variables = {"UNROLL": harness.UNROLL, "CORPUS": corpus, "RUN": self.run, "RANKS_PER_NODE": 1, "THREADS": 1,
                     "BIND": "no", **settings}
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        self.id = command("sbatch", "--parsable", *sbatch, JOBS / template, *options, cwd=self.folder,
                          env=environment)
        self.path = self.folder / f"unroll-{self.id}.log"

    def log(self):
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    def events(self):
        """What the script tells, a line an event, without the time."""
        return re.findall(r"^job: \S+ \S+ \d+\.(\d+): (.*)$", self.log(), re.MULTILINE)

    def detail(self, key, of=None):
        text = command("scontrol", "show", "job", of or self.id, "-o")
        found = re.search(rf"(?:^| ){key}=(\S*)", text)
        return found.group(1) if found else ""

    def state(self):
        return self.detail("JobState")

    def wait_for(self, what, condition, seconds=90):
        def reached():
            over = self.state() in ENDS  # asked first: what ended the job may have come about since
            value = condition()
            if over and not value:
                raise AssertionError(f"the job has ended without: {what}")
            return value

        try:
            return wait_for(what, reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{command('squeue')}\n{self.log()[-6000:]}") from None

    def wait_events(self, words, count=1, seconds=90):
        """Until the script has told that event so many times."""
        self.wait_for(f"event '{words}', {count} times",
                      lambda: sum(words in event for _, event in self.events()) >= count, seconds)

    def wait_step(self, step, seconds=90):
        """Until a checkpoint of that step or a later one is there; its step."""
        return self.wait_for(f"checkpoint of step {step}",
                             lambda: harness.newest_step(self.run) >= step and harness.newest_step(self.run), seconds)

    def wait_end(self, seconds=90):
        """(state, exit status) in the end; a job that is requeued has not ended."""
        self.wait_for("end of the job", lambda: self.state() in ENDS, seconds)
        return self.state(), int(self.detail("ExitCode").partition(":")[0])


class Case(harness.Case):
    """One test after the other on the same cluster; the run without Slurm is the measure of all."""

    def setUp(self):
        super().setUp()
        idle()

    def tearDown(self):
        subprocess.run(["scancel", "--state=RUNNING"], check=False)
        subprocess.run(["scancel", "--state=PENDING"], check=False)
        super().tearDown()

    def job(self, template, *options, **how):
        return Job(self.folder, template, self.corpus, *options, **how)

    def endless(self, template, cell="gru", every=2000, sbatch=(), **how):
        """A job that trains until it is told, through a file of options that each start reads, where to end."""
        options = harness.small(cell=cell, max_steps=None, epochs=MANY, checkpoint_every=every, eval_every=every,
                                log_every=500)
        self.end_at(MANY)
        job = self.job(template, "--config", self.folder / "run.ini", *options, sbatch=sbatch, **how)
        job.options = options
        return job

    def end_at(self, steps):
        new = self.folder / "run.new"
        new.write_text(f"max-steps = {steps}\n")
        new.rename(self.folder / "run.ini")

    def end_soon(self, job):
        """The next start ends a few steps beyond the newest checkpoint; those are the options for a local run."""
        last = harness.newest_step(job.run) + 5
        self.end_at(last)
        return ["--max-steps", last, *job.options]

    def assertEnd(self, job, state="COMPLETED", status=0, seconds=90):
        self.assertEqual(job.wait_end(seconds), (state, status), job.log()[-6000:])

    def assertLikeLocal(self, job, options):
        """The same bits as a run on one rank, without MPI and without Slurm, that nothing disturbed."""
        local = self.folder / "local"
        result = harness.run(0, "train", "--corpus", self.corpus, "--run", local, *options)
        self.assertStatus(result, 0)
        self.assertSameRun(job.run, local)
        self.assertWhole(job.run, at_least=1)
        self.assertTidy(job.run)


class Array(Case):
    """Job arrays."""

    def submit(self, script, *options, sbatch=(), **settings):
        variables = {"UNROLL": harness.UNROLL, "CORPUS": self.corpus, "BIND": "no", **settings}
        environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        return command("sbatch", "--parsable", *sbatch, script, *options, cwd=self.folder, env=environment)

    def wait_done(self, job, seconds=150):
        """Until Slurm has none of a job's tasks left to run; (state, exit status) of each."""
        wait_for(f"end of job {job}", lambda: not command("squeue", "-h", "-j", job, "-t", "PD,R,CG,S,RQ", "-o", "%i"), seconds)
        told = command("scontrol", "show", "job", job, "-o").splitlines()
        return [tuple(word.partition("=")[2] for word in line.split() if word.startswith(("JobState=", "ExitCode=")))
                for line in told]

    def logs(self):
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))
