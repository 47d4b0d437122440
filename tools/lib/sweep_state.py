"""What a sweep has done and who does what: the folder RUNS/.sweep, which all workers share, on any hosts.

    table              what the table said when the sweep began, and the options of all runs
    claims/T.R.G       who takes trial T to rung R; G counts those who took it over. Made whole by one call that fails where
                       it is there: one of two who want it gets it, and no claim is ever changed or removed. Its time is
                       renewed while its holder lives.
    log.jsonl          a line for what became of a claim: result, failed, stopped, crashed

A claim without a result belongs to whoever holds it; if that one is gone or has stopped, to the next who asks. Training
itself is safe without all this: a run directory has a lock of its own, and a run that was finished is finished at once, so
even a line that is lost costs no training."""

import contextlib
import fcntl
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import uuid

import run_files
import tool
from tool import Mistake

RENEW = 10  # seconds from one sign of life to the next
ABANDONED = 180  # seconds without one; more than a file system of a network shows old times
LIVE = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "CONFIGURING", "RESIZING")  # jobs of Slurm that hold claims


# --- which job comes next: asynchronous successive halving (Li et al. 2020, algorithm 2) ---

def promotable(table, rung, results):
    """The trials of a rung that are good enough to go on, the best first."""
    ranked = sorted((loss, trial) for (trial, at), loss in results.items() if at == rung)
    return [trial for _, trial in ranked[:len(ranked) // table.share(rung)]]


def next_job(table, results, claimed, failed):
    """(trial, rung), or None if there is nothing to begin now. `results`: {(trial, rung): loss}; `claimed`: (trial, rung) that
    someone has begun; `failed`: trials."""
    for rung in reversed(range(len(table.rungs) - 1)):
        for trial in promotable(table, rung, results):
            if (trial, rung + 1) not in claimed:
                return trial, rung + 1
    for trial in range(table.trials):
        if (trial, 0) not in claimed:
            return trial, 0
    # The rest are too few for one in so many; the best goes to the end, so that there is a whole run.
    if all(job in results or job[0] in failed for job in claimed):
        for rung in range(len(table.rungs) - 1):
            ranked = sorted((loss, trial) for (trial, at), loss in results.items() if at == rung and trial not in failed)
            if ranked and not any(at > rung for _, at in claimed if _ not in failed):
                return ranked[0][1], rung + 1
    return None


# --- who I am ---

def _start_of(pid):
    """When a process began, in ticks since the boot; None if it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
    except OSError:
        return None


def _text_of(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def myself():
    job = os.environ.get("SLURM_JOB_ID", "")
    array = os.environ.get("SLURM_ARRAY_JOB_ID", "")
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_of(os.getpid()) or "",
            "boot": _text_of("/proc/sys/kernel/random/boot_id"), "space": os.readlink("/proc/self/ns/pid"),
            "job": job, "task": "%s_%s" % (array, os.environ.get("SLURM_ARRAY_TASK_ID", "")) if array else job,
            "restart": int(os.environ.get("SLURM_RESTART_COUNT") or 0), "token": uuid.uuid4().hex}


def job_is_over(holder):
    """Whether Slurm says that the job, or that start of it, has ended; False where it cannot be asked."""
    if not holder.get("job") or not shutil.which("scontrol"):
        return False
    asked = subprocess.run(["scontrol", "show", "job", str(holder["task"]), "-o"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           stdin=subprocess.DEVNULL, universal_newlines=True)
    found = dict(re.findall(r"\b(JobState|Restarts)=(\w+)", asked.stdout))
    if asked.returncode or "JobState" not in found:
        return False
    return found["JobState"] not in LIVE or int(found.get("Restarts", 0)) > int(holder.get("restart", 0))


# Options of `train` that change no result: a start may have its own.
OF_A_START = ("corpus", "threads", "keep", "log-every", "checkpoint-every", "checkpoint-writer", "check-replicas", "stall-timeout",
              "max-time", "sample-every", "sample-length", "gradflow-every")


def options_of_all(words):
    """Those of the command line that all trials must have alike, a line each, in an order of their own."""
    groups = []
    for word in words:
        if word.startswith("--") or not groups:
            groups.append([])
            groups[-1] += word.split("=", 1) if word.startswith("--") else [word]
        else:
            groups[-1].append(word)
    return sorted(" ".join(group) for group in groups if group[0].lstrip("-") not in OF_A_START)


class Claim:
    def __init__(self, trial, rung, generation, ended_job=""):
        self.trial, self.rung, self.generation, self.ended_job = trial, rung, generation, ended_job

    def job(self):
        return self.trial, self.rung


class State:
    """Files of a sweep. `changes` of others are seen when it reads anew."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, ".sweep")
        self.claims = os.path.join(self.folder, "claims")
        self.log = os.path.join(self.folder, "log.jsonl")
        self.self = myself()
        self.held, self.guard = {}, threading.Lock()  # {path of a claim: Claim} of this process

    def exists(self):
        return os.path.isdir(self.claims)

    def begin(self, table, options=()):
        """Makes the folder, or checks that it is of this table and of these options of all trials; None: of any, and only a
        folder that is there."""
        try:
            os.makedirs(self.claims, exist_ok=True)
        except OSError as error:
            raise Mistake(73, "cannot make '%s': %s; name another folder for the runs" % (self.claims, error.strerror))
        path, lines = os.path.join(self.folder, "table"), table.identity() + options_of_all(options or ())
        if options is None and not os.path.exists(path):
            return
        own = "%s.%s.tmp" % (path, self.self["token"])
        tool.write_file(own, "".join(line + "\n" for line in lines).encode("utf-8", "shown"),
                        advice="free some space, or name another folder for the runs")
        with contextlib.suppress(FileExistsError):
            os.link(own, path)  # one of two who begin
        if options is not None and self._has_nothing():
            os.replace(own, path)  # what it began with was mistaken, such as a name of an option
        with contextlib.suppress(FileNotFoundError):
            os.remove(own)
        with open(path, encoding="utf-8", errors="replace") as file:
            before = file.read().splitlines()
        if options is None:
            before = [line for line in before if not line.startswith("-")]
        changed = [line for line in before + lines if (line in before) != (line in lines)]
        if changed:
            what = "the options behind --" if changed[0].startswith("-") else "the table"
            raise Mistake(78, "'%s' has runs of another sweep: '%s' is not in %s of both; use those that they began with (trials may "
                          "be added, and rungs above), or another folder" % (os.path.dirname(self.folder), changed[0], what))

    def _has_nothing(self):
        """Whether somebody has begun, and all have given up before any run was there."""
        results, failed, newest, given_up = self.view()
        runs = glob.glob(os.path.join(glob.escape(os.path.dirname(self.folder)), "*", "config.ini"))
        return bool(newest) and not results and not failed and not runs and all(job + (newest[job],) in given_up for job in newest)

    # --- the log ---

    @contextlib.contextmanager
    def locked(self):
        """Alone among all workers, for a moment: lines and files of results are written one after the other."""
        with open(os.path.join(self.folder, "lock"), "ab") as file:
            with contextlib.suppress(OSError):  # a file system without locks; a claim needs none
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write(self, kind, claim, **facts):
        line = dict({"type": kind, "trial": claim.trial, "rung": claim.rung, "generation": claim.generation}, **facts)
        data = (json.dumps(line) + "\n").encode("utf-8")
        try:
            with self.locked():
                descriptor = os.open(self.log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    size = os.fstat(descriptor).st_size
                    if size and os.pread(descriptor, 1, size - 1) != b"\n":
                        data = b"\n" + data  # somebody was killed, or the disk full, in the middle of a line
                    while data:
                        data = data[os.write(descriptor, data):]
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise Mistake(74, "cannot write '%s': %s" % (self.log, error.strerror))

    def lines(self):
        return run_files.read_lines(self.log) if os.path.exists(self.log) else []

    # --- claims ---

    def _newest(self):
        """{(trial, rung): the newest generation}."""
        found = {}
        for name in os.listdir(self.claims):
            match = re.match(r"(\d+)\.(\d+)\.(\d+)$", name)
            if match:
                trial, rung, generation = map(int, match.groups())
                found[trial, rung] = max(generation, found.get((trial, rung), 0))
        return found

    def _path(self, trial, rung, generation):
        return os.path.join(self.claims, "%d.%d.%d" % (trial, rung, generation))

    def _holder(self, path):
        with contextlib.suppress(OSError, ValueError):
            with open(path, encoding="utf-8") as file:
                holder = json.load(file)
                return holder if isinstance(holder, dict) else {}
        return {}

    def _age(self, path):
        """Seconds since a claim was renewed, both times by the file system's clock."""
        clock = os.path.join(self.folder, "clock.%s" % self.self["token"])
        with open(clock, "wb"):
            os.utime(clock)
        now = os.stat(clock).st_mtime
        os.remove(clock)
        return now - os.stat(path).st_mtime

    def _is_gone(self, path, holder):
        """Whether the holder of a claim has ended. ('', a job of Slurm) to tell the run's own lock, or None: it may live."""
        mine = self.self
        if holder.get("token") == mine["token"]:
            with self.guard:  # whoever makes a claim holds it before anyone may ask
                return None if path in self.held else ""
        if holder.get("host") == mine["host"]:
            if holder.get("boot") != mine["boot"]:
                return ""
            if holder.get("space") == mine["space"]:
                # of this process an earlier sweep: its threads are gone
                started = _start_of(int(holder.get("pid", 0)))
                return None if started and started == holder.get("started") else ""
        age = self._age(path)
        if age > 2 * RENEW and job_is_over(holder):
            return str(holder["job"])
        return "" if age > ABANDONED else None

    def _take(self, trial, rung, generation, ended_job=""):
        """A claim, or None if somebody else was first."""
        path = self._path(trial, rung, generation)
        own = os.path.join(self.folder, "claim.%s.%d" % (self.self["token"], threading.get_ident()))
        claim = Claim(trial, rung, generation, ended_job)
        try:
            with open(own, "w", encoding="utf-8") as file:
                json.dump(self.self, file)
            with self.guard:
                os.link(own, path)  # with its content, in one step; fails if it is there
                self.held[path] = claim
        except FileExistsError:
            return None
        except OSError as error:
            raise Mistake(73, "cannot create '%s': %s; free some space, or name another folder for the runs" % (path, error.strerror))
        finally:
            with contextlib.suppress(OSError):
                os.remove(own)
        return claim

    def view(self):
        """(results {(trial, rung): loss}, failed {trial: line}, newest claims, generations that were given up). Claims are read
        before what came of them."""
        results, failed, given_up, newest = {}, {}, set(), self._newest()
        for line in self.lines():
            job = line.get("trial"), line.get("rung")
            if line["type"] == "result" and run_files.number(line.get("loss")) is not None:
                results[job] = float(line["loss"])
            elif line["type"] == "failed":
                failed[job[0]] = line
            elif line["type"] in ("stopped", "crashed"):
                given_up.add(job + (line.get("generation"),))
        return results, failed, newest, given_up

    def take(self, table):
        """A claim on what comes next. None: nothing now; the sweep is at its end unless somebody else is still at work, which
        the second value tells."""
        while True:
            results, failed, newest, given_up = self.view()
            open_jobs = sorted(job for job in newest if job not in results and job[0] not in failed and job[0] < table.trials
                               and job[1] < len(table.rungs))
            busy = False
            for job in open_jobs:
                path = self._path(*job, newest[job])
                gone = "" if job + (newest[job],) in given_up else self._is_gone(path, self._holder(path))
                if gone is None:
                    busy = True
                    continue
                results, failed = self.view()[:2]  # it may have come to its end before it went
                claim = self._take(*job, newest[job] + 1, gone) if job not in results and job[0] not in failed else None
                if claim:
                    return claim, True
                busy = True
            wanted = next_job(table, results, {job for job in newest if job[0] < table.trials}, failed)
            if wanted is None:
                return None, busy
            claim = self._take(*wanted, 0)
            if claim:
                return claim, True

    def release(self, claim):
        with self.guard:
            self.held = {path: held for path, held in self.held.items() if held is not claim}

    def renew(self):
        """A sign of life for all claims of this process."""
        with self.guard:
            held = list(self.held)
        for path in held:
            with contextlib.suppress(OSError):
                os.utime(path)

    def crashes(self, claim):
        return sum(1 for line in self.lines() if line["type"] == "crashed" and (line["trial"], line["rung"]) == claim.job())
