"""A worker of a sweep: takes one trial after another, trains it as far as its rung says, and notes what came of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import run_files
import sweep_state
import tool
from tool import Mistake

STOPPED, IN_USE, IO = 75, 73, 74
OF_ALL = (64, 66, 69)  # what no trial could do: the sweep ends
OWN = range(64, 80)  # statuses of the program; others are crashes
WITH_END = ("cosine", "onecycle")  # schedules whose shape depends on where they end


class Orders:
    """What all workers of this process share: whether to stop, and why."""

    def __init__(self, args, table, state):
        self.args, self.table, self.state = args, table, state
        self.stop, self.mistake = threading.Event(), None
        self.children, self.guard = set(), threading.Lock()
        self.deadline = time.monotonic() + args.max_time if args.max_time else None

    def left(self):
        """Seconds for training; None: any."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def ask_to_stop(self, mistake=None):
        """Trainings end with a checkpoint; asked again, at once."""
        again = self.stop.is_set()
        self.mistake = self.mistake or mistake
        self.stop.set()
        with self.guard:
            for child in self.children:
                with contextlib.suppress(OSError):
                    child.send_signal(signal.SIGKILL if again and mistake is None else signal.SIGUSR1)

    def run(self, command, log, ended_job=""):
        """The status of a command, whose words go to the log. Signals reach it from here alone."""
        with open(log, "ab") as file:
            file.write(("$ " + " ".join(command) + "\n").encode("utf-8", "shown"))
            file.flush()
            with self.guard:
                if self.stop.is_set():
                    return STOPPED
                try:
                    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                                             env=dict(os.environ, UNROLL_ENDED_JOB=ended_job) if ended_job else None)
                except OSError as error:
                    raise Mistake(69, "cannot start '%s': %s; name the program with UNROLL" % (command[0], error.strerror))
                self.children.add(child)
            status = child.wait()
            with self.guard:
                self.children.discard(child)
        return status if status >= 0 else 128 - status

    def pause(self, seconds):
        left = self.left()
        self.stop.wait(seconds if left is None else max(0.0, min(seconds, left)))


def schedule_of(path):
    """The schedule of a run, as its config.ini has it."""
    options = dict(pair for _, pairs in run_files.read_config(os.path.join(path, "config.ini")) for pair in pairs)
    return options.get("schedule")


def folder_of(runs, table, trial, rung):
    """The run directory in which a trial comes to a rung. That of the first rung goes on, unless its schedule has an end of
    its own: then each rung is a run from the beginning, for a run that goes on would have the rates of a shorter one."""
    path = os.path.join(runs, table.name(trial))
    if rung > 0 and schedule_of(path) in WITH_END:
        return "%s_%s-%d" % (path, table.extent, table.rungs[rung])
    return path


def last_words(log):
    """What the program said when it failed."""
    with contextlib.suppress(OSError), open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 20000))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.startswith("unroll: ")]
        return lines[-1][len("unroll: "):] if lines else ""
    return ""


class Worker(threading.Thread):
    def __init__(self, orders):
        super().__init__(daemon=True)
        self.orders, self.table, self.state = orders, orders.table, orders.state

    def run(self):
        try:
            self._work()
        except Mistake as mistake:
            self.orders.ask_to_stop(mistake)
        except OSError as error:  # of the folder that workers share: a full disk, a file system that went
            self.orders.ask_to_stop(Mistake(74, "cannot work in '%s': %s; when that is mended, the same command goes on"
                                            % (error.filename or self.state.folder, error.strerror)))
        except BaseException as error:  # a thread's own would be lost
            self.orders.ask_to_stop(Mistake(70, "a worker failed: %r" % error))
            raise

    def _work(self):
        orders, idle = self.orders, None
        while not orders.stop.is_set():
            left = orders.left()
            if left is not None and left < 1:
                return orders.ask_to_stop(Mistake(STOPPED, ""))
            claim, more = self.state.take(self.table)
            if claim:
                idle = None
                try:
                    self._train(claim)
                finally:
                    self.state.release(claim)
            elif more:
                idle = idle or time.monotonic()
                if orders.args.idle and time.monotonic() - idle > orders.args.idle:
                    return None
                orders.pause(2)  # others are at work, and what they find may have this worker go on
            else:
                return None
        return None

    # --- one claim ---

    def _command(self, path, claim, summary):
        args, left = self.orders.args, self.orders.left()
        words = args.launcher.split() + [args.program, "train", "--run=" + path, "--json-summary=" + summary]
        words += self.table.words(claim.trial, claim.rung)
        if args.threads:
            words.append("--threads=%d" % args.threads)
        if left is not None:
            words.append("--max-time=%.0f" % max(1.0, left))
        return words + args.options

    def _start(self, path, claim, log):
        """The run's status: of its summary, since a launcher may end with another."""
        summary = os.path.join(self.state.folder, "summary.%s.%d" % (self.state.self["token"], threading.get_ident()))
        status = self.orders.run(self._command(path, claim, summary), log, claim.ended_job)
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(summary, encoding="utf-8") as file:
                status = int(json.load(file)["exit_status"])
        with contextlib.suppress(OSError):
            os.remove(summary)
        return status

    def _train(self, claim):
        runs, orders = os.path.dirname(self.state.folder), self.orders
        path = folder_of(runs, self.table, claim.trial, claim.rung)
        log = os.path.join(runs, self.table.name(claim.trial) + ".log")
        while True:
            status = self._start(path, claim, log)
            busy = status == IN_USE and os.path.exists(os.path.join(path, "lock"))
            if not busy or orders.stop.is_set():
                break
            orders.pause(2)  # of a worker that was killed the training lives on
            left = orders.left()
            if left is not None and left < 1:
                break
        if busy:
            status = STOPPED
        if status == 0:
            return self._note_result(claim, path, log)
        if status == STOPPED:
            return self.state.write("stopped", claim)
        words = last_words(log)
        if status in OF_ALL or (status == 76 and re.search("with other options|with corpus", words)):
            self.state.write("stopped", claim)
            raise Mistake(status, "%s (%s; see '%s')" % (words or "the first training failed", self.table.name(claim.trial), log))
        if status not in OWN or status == IO:
            return self._note_crash(claim, status, words, log)
        return self._note_failure(claim, status, words, log)

    def _tell(self, claim, text):
        extent = ", %s %d" % (self.table.extent, self.table.rungs[claim.rung]) if self.table.extent else ""
        print("%s%s: %s" % (self.table.name(claim.trial), extent, tool.printable(text)), file=sys.stderr, flush=True)

    def _note_result(self, claim, path, log):
        try:
            run = run_files.Run(path)
            best = run.best()
        except Mistake:
            run = best = None
        if not best:
            return self._note_failure(claim, 65, "no validation loss: the corpus has no validation text, or it was never "
                                      "finite", log)
        seconds = run.timing[-1]["clock"] if run.timing else None
        self.state.write("result", claim, loss=best["loss"], at_step=best["step"], step=run.last_step()["step"], seconds=seconds,
                         run=os.path.basename(path))
        return self._tell(claim, "validation loss %.4f  %s" % (best["loss"], self.table.told(claim.trial)))

    def _note_failure(self, claim, status, words, log):
        self.state.write("failed", claim, status=status, message=words, log=os.path.basename(log))
        self._tell(claim, "failed with status %d: %s  %s" % (status, words, self.table.told(claim.trial)))

    def _note_crash(self, claim, status, words, log):
        """A rank, a host or a file system is lost: the trial is tried again, here or elsewhere. What ends this process too,
        such as the end of a job, is told a moment later: then it is no crash of the trial."""
        self.orders.pause(3)
        if self.orders.stop.is_set():
            return self.state.write("stopped", claim)
        if self.state.crashes(claim) >= self.orders.args.retries:
            return self._note_failure(claim, status, words or "it crashed", log)
        self._tell(claim, "crashed with status %d; it is tried again" % status)
        return self.state.write("crashed", claim, status=status)


def work(orders, jobs):
    """Runs the workers until all is done, or a signal or Mistake stops them. Returns the Mistake, or None."""
    def stop(number, frame):
        del number, frame
        orders.ask_to_stop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(name, stop)
    workers = [Worker(orders) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    renewed = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.join(0.2 / len(workers))
        if time.monotonic() - renewed > sweep_state.RENEW:
            orders.state.renew()
            renewed = time.monotonic()
    if orders.mistake:
        return orders.mistake
    return Mistake(STOPPED, "") if orders.stop.is_set() else None
