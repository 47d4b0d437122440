#!/usr/bin/env python3
"""tools/sweep: draws that depend on nothing but seed, trial and option; the rule of successive halving; real sweeps that are
killed, share a folder, meet failures, and end in what an undisturbed run gives."""
import collections
import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools" / "lib"), str(ROOT / "tests" / "fault")]
import harness  # noqa: E402
import sweep_results  # noqa: E402
import sweep_state  # noqa: E402
import sweep_worker  # noqa: E402
import tool  # noqa: E402
from sweep_table import Table  # noqa: E402

SWEEP = ROOT / "tools" / "sweep"
SMALL = "layers fixed 1\nhidden fixed 8\nbatch fixed 8\nbptt fixed 8\nlog-every fixed 20\ncheckpoint-every fixed 20\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(harness.tempfile.mkdtemp())

    def tearDown(self):
        harness.shutil.rmtree(self.folder)

    def table(self, text):
        path = self.folder / "table"
        path.write_text(text)
        return Table(str(path))


class Tables(Case):
    def test_draws_depend_on_seed_trial_and_name_alone(self):
        lines = ["lr log 0.001 0.1", "dropout uniform 0 0.5", "layers int 1 3", "hidden int 64 256 64", "cell choice lstm gru"]
        table = self.table("\n".join(lines) + "\nsweep trials 50\n")
        turned = self.table("\n".join(reversed(lines)) + "\nbatch choice 8 16\nsweep trials 70\n")
        for trial in range(50):
            drawn, again = (dict(zip(t.names, t.values(trial))) for t in (table, turned))
            self.assertEqual(drawn, {name: again[name] for name in drawn})
        # pinned: what a published table and seed gave, it gives for ever
        self.assertEqual(table.values(0), ["0.01304", "0.1605", "1", "192", "gru"])
        self.assertNotEqual(table.values(0), self.table("\n".join(lines) + "\nsweep seed 2\n").values(0))

    def test_draws_have_their_distributions(self):
        table = self.table("lr log 0.001 0.1\ndropout uniform 0 0.5\nlayers int 1 3\nhidden int 64 250 64\ncell choice lstm gru\n")
        drawn = list(zip(*(table.values(trial) for trial in range(6000))))
        for column, share in zip(drawn[:2], ((0.001, 0.1), (0.0, 0.5))):
            numbers = sorted(map(float, column))
            self.assertTrue(share[0] <= numbers[0] and numbers[-1] <= share[1])
        for middle, column in ((0.01, drawn[0]), (0.25, drawn[1])):  # 5 deviations
            self.assertAlmostEqual(sum(float(value) < middle for value in column) / 6000, 0.5, delta=5 * 0.5 / 6000 ** 0.5)
        for column, values in ((drawn[2], "1 2 3"), (drawn[3], "64 128 192"), (drawn[4], "lstm gru")):
            counts, values = collections.Counter(column), values.split()
            self.assertEqual(sorted(counts), sorted(values))
            for value in values:
                self.assertAlmostEqual(counts[value] / 6000, 1 / len(values), delta=5 * 0.5 / 6000 ** 0.5)
        # and options are drawn apart
        self.assertLess(abs(sweep_results.rank_correlation(list(map(float, drawn[0])), list(map(float, drawn[1])))), 5 / 6000 ** 0.5)

    def test_mistakes_name_the_line(self):
        for text, words in (("lr log 0 1\n", "above 0"), ("lr log 2 1\n", "less than the second"), ("lr log x 1\n", "no numbers"),
                            ("layers int 1.5 3\n", "no whole numbers"), ("lr gauss 0 1\nx log 1 2\n", "line 1 of"),
                            ("lr log 1 2\nlr log 1 2\n", "line 1 has it too"), ("lr log 1 2\nx y 2\n", "no kind 'y'"),
                            ("lr log 1 2\nepochs rungs 3 1\n", "ascend"), ("lr log 1 2\nlayers rungs 1 3\n", "epochs or max-steps"),
                            ("lr log 1 2\nsweep eta 1\n", "bad setting"), ("lr log 1 2\nsweep tries 1\n", "bad setting"),
                            ("batch fixed 3\n", "no range"), ("cell choice a a\n", "twice"), ("run choice a b\n", "sweep's own"),
                            ("lr log 1 2\n--cell choice a b\n", "without dashes"), ("lr seed\n0.1\n", "1 values for 2"),
                            ("lr\n0.1\n0.1\n", "twice"), ("lr\n", "no line of values"), ("# none\n", "empty")):
            with self.assertRaises(tool.Mistake) as raised:
                self.table(text)
            self.assertIn(words, str(raised.exception))
            self.assertEqual(raised.exception.status, 65)

    def test_a_list_of_trials(self):
        table = self.table("lr seed\n# a comment\n0.01 1\n\n0.01 2\n0.02 1\n")
        self.assertEqual([table.name(trial) for trial in range(3)], ["lr-0.01_seed-1", "lr-0.01_seed-2", "lr-0.02_seed-1"])
        self.assertEqual(table.words(1, 0), ["--lr=0.01", "--seed=2"])
        self.assertEqual((table.trials, table.rungs), (3, [None]))

    # --- the rule ---

    def run_through(self, table, workers, loss_of, rng):
        """All jobs in the order in which they began, with so many workers whose trainings end in random order."""
        results, claimed, failed, running, order = {}, set(), {}, [], []
        while True:
            job = sweep_state.next_job(table, results, claimed, failed) if len(running) < workers else None
            if job:
                self.assertNotIn(job, claimed)
                self.assertTrue(job[1] == 0 or (job[0], job[1] - 1) in results)
                claimed.add(job)
                running.append(job)
                order.append(job)
            elif running:
                ended = running.pop(rng.randrange(len(running)))
                loss = loss_of(*ended)
                if loss is None:
                    failed[ended[0]] = {}
                else:
                    results[ended] = loss
            else:
                return order, results, claimed

    def test_successive_halving(self):
        table = self.table("lr log 0.001 0.1\nepochs rungs 1 3 9 27\nsweep trials 60\n")
        for workers in (1, 2, 7):
            rng = random.Random(workers)
            quality = list(range(60))
            rng.shuffle(quality)
            order, results, _ = self.run_through(table, workers, lambda trial, rung: quality[trial] - 0.1 * rung, rng)
            self.assertEqual(len(order), len(set(order)))  # none repeated
            counts = [sum(rung == at for _, at in order) for rung in range(4)]
            self.assertEqual(counts[0], 60)  # none lost
            for rung in range(3):
                # every trial that belongs to the best third in the end has gone on, and not many more have
                best = sorted((results[job], job[0]) for job in results if job[1] == rung)
                for _, trial in best[:counts[rung] // 3]:
                    self.assertIn((trial, rung + 1), results)
                self.assertLessEqual(counts[rung + 1], 2 * (counts[rung] // 3) + 2)
            self.assertIn((quality.index(0), 3), results)  # the best of all has come to the end

    def test_promotions_come_before_new_trials(self):
        table = self.table("lr log 0.001 0.1\nmax-steps rungs 10 20 40\nsweep trials 9\nsweep eta 2\n")
        order, _, _ = self.run_through(table, 1, lambda trial, rung: trial, random.Random(1))
        self.assertEqual(order[:6], [(0, 0), (1, 0), (0, 1), (2, 0), (3, 0), (1, 1)])
        self.assertEqual(order[6], (0, 2))

    def test_few_trials_still_come_to_the_end_and_failures_do_not_stop_others(self):
        table = self.table("lr log 0.001 0.1\nepochs rungs 1 3 9\nsweep trials 4\n")
        order, _, _ = self.run_through(table, 1, lambda trial, rung: trial, random.Random(1))
        self.assertEqual(sorted(order), [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (3, 0)])
        order, results, _ = self.run_through(table, 2, lambda trial, rung: None if trial in (0, 2) else trial, random.Random(1))
        self.assertEqual(sorted(order), [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0)])
        # the only one that went on fails there: the next best goes
        order, _, _ = self.run_through(table, 1, lambda trial, rung: None if (trial, rung) == (0, 1) else trial, random.Random(1))
        self.assertEqual(sorted(order), [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0)])
        one = self.table("lr log 0.001 0.1\nsweep trials 2\n")
        self.assertEqual(self.run_through(one, 3, lambda trial, rung: trial, random.Random(1))[0], [(0, 0), (1, 0)])

    # --- what is found ---

    def test_rank_correlation(self):
        self.assertAlmostEqual(sweep_results.rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]), 1)
        self.assertAlmostEqual(sweep_results.rank_correlation([1, 2, 3, 4], [5, 4, 3, -9]), -1)
        # by hand: ranks 0 1.5 1.5 3 and 1 0 2 3
        self.assertAlmostEqual(sweep_results.rank_correlation([1, 2, 2, 3], [4, 1, 5, 6]), 3 / (4.5 * 5) ** 0.5)
        self.assertIsNone(sweep_results.rank_correlation([2, 2, 2], [1, 2, 3]))
        self.assertEqual(sweep_results.ranks([3, 1, 1, 7]), [2, 0.5, 0.5, 3])

    def test_means_by_value_and_by_thirds(self):
        self.assertEqual(sweep_results.means(["lstm", "gru", "lstm"], [1.0, 5.0, 2.0]), [("gru", 5.0), ("lstm", 1.5)])
        column, losses = [str(k) for k in range(9)], [float(k // 3) for k in range(9)]
        self.assertEqual(sweep_results.means(column, losses), [("0 to 2", 0.0), ("3 to 5", 1.0), ("6 to 8", 2.0)])


class Claims(Case):
    """Who may take what: two states are two workers."""

    def workers(self, text="lr log 0.001 0.1\nepochs rungs 1 3\nsweep trials 3\n"):
        table = self.table(text)
        states = [sweep_state.State(str(self.folder / "runs")) for _ in range(2)]
        for state in states:
            state.begin(table)
        return table, states

    def test_each_claim_is_held_by_one_while_it_lives(self):
        table, (a, b) = self.workers()
        jobs = [state.take(table)[0].job() for state in (a, b, a)]
        self.assertEqual(jobs, [(0, 0), (1, 0), (2, 0)])
        self.assertEqual(b.take(table), (None, True))  # the others are at work
        # a worker of this host that is gone, with another one's process number
        for path in pathlib.Path(a.claims).iterdir():
            holder = json.loads(path.read_text())
            if path.name == "1.0.0":
                path.write_text(json.dumps(dict(holder, started="1")))
        claim, _ = a.take(table)
        self.assertEqual((claim.job(), claim.generation), ((1, 0), 1))
        self.assertEqual(a.take(table), (None, True))

    def test_a_claim_that_was_stopped_goes_to_the_next_who_asks(self):
        table, (a, b) = self.workers()
        first, _ = a.take(table)
        a.write("stopped", first)
        a.release(first)
        again, _ = b.take(table)
        self.assertEqual((again.job(), again.generation), ((0, 0), 1))
        b.write("result", again, loss=1.5)
        b.release(again)
        self.assertEqual(a.take(table)[0].job(), (1, 0))

    def test_a_claim_of_another_host_is_abandoned_after_minutes_only(self):
        table, (a, b) = self.workers()
        a.take(table)
        path = pathlib.Path(a.claims, "0.0.0")
        path.write_text(json.dumps(dict(json.loads(path.read_text()), host="elsewhere")))
        os.utime(path, (time.time() - sweep_state.ABANDONED + 60,) * 2)
        self.assertEqual(b.take(table)[0].job(), (1, 0))
        os.utime(path, (time.time() - sweep_state.ABANDONED - 60,) * 2)
        claim, _ = b.take(table)
        self.assertEqual((claim.job(), claim.generation), ((0, 0), 1))

    def test_nobody_gets_what_another_has(self):
        """Eight threads of two workers ask at once, for trials and for promotions."""
        table, states = self.workers("lr log 0.001 0.1\nepochs rungs 1 2\nsweep trials 40\n")
        taken, start = [], threading.Barrier(8)

        def ask(state):
            start.wait()
            while True:
                claim, more = state.take(table)
                if claim:
                    taken.append((claim.job(), claim.generation))
                    state.write("result", claim, loss=float(claim.trial))
                    state.release(claim)
                elif not more:
                    return

        threads = [threading.Thread(target=ask, args=(states[k % 2],)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(taken)), len(taken))
        self.assertEqual({generation for _, generation in taken}, {0})
        self.assertEqual({trial for (trial, rung), _ in taken if rung == 0}, set(range(40)))
        self.assertTrue({(trial, 1) for trial in range(20)} <= {job for job, _ in taken})

    def test_half_a_line_of_the_log_is_passed_over_and_closed(self):
        table, (a, b) = self.workers()
        claim, _ = a.take(table)
        with open(a.log, "a") as file:
            file.write('{"type": "result", "trial": 0, "ru')
        b.write("result", claim, loss=2.0)
        self.assertEqual(b.view()[0], {(0, 0): 2.0})

    def test_another_table_is_refused_more_trials_and_rungs_are_not(self):
        self.workers()
        state = sweep_state.State(str(self.folder / "runs"))
        state.begin(self.table("epochs rungs 1 3 9\nlr log 0.001 0.1\nsweep trials 30\n"))
        for text in ("lr log 0.001 0.2\nepochs rungs 1 3\n", "lr log 0.001 0.1\nmax-steps rungs 1 3\n",
                     "lr log 0.001 0.1\nepochs rungs 1 3\nsweep seed 2\n", "lr log 0.001 0.1\nepochs rungs 1 3\nbatch fixed 3\n"):
            with self.assertRaises(tool.Mistake) as raised:
                state.begin(self.table(text))
            self.assertEqual(raised.exception.status, 78)

    def test_a_disk_that_is_full_is_told_and_leaves_no_claim(self):
        table = self.table("lr log 0.001 0.1\nsweep trials 3\n")
        state = sweep_state.State(str(self.folder / "runs"))
        state.begin(table)

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with unittest.mock.patch("json.dump", full), self.assertRaises(tool.Mistake) as raised:
            state.take(table)
        self.assertEqual(raised.exception.status, 73)
        self.assertIn("free some space", str(raised.exception))
        self.assertEqual(sorted(path.name for path in (self.folder / "runs" / ".sweep").iterdir()), ["claims", "table"])
        told = []
        orders = unittest.mock.Mock(table=table, state=state, ask_to_stop=told.append)
        orders.stop.is_set.return_value, orders.left.return_value = False, None
        with unittest.mock.patch.object(state, "take", full):
            sweep_worker.Worker(orders).run()
        self.assertEqual((told[0].status, "the same command goes on" in str(told[0])), (74, True))
        self.assertIsNotNone(state.take(table)[0])

    def test_other_options_of_all_trials_are_refused_those_of_a_start_are_not(self):
        table = self.table("lr log 0.001 0.1\nsweep trials 3\n")
        state = sweep_state.State(str(self.folder / "runs"))
        state.begin(table, None)  # a report of nothing begins nothing
        state.begin(table, ["--corpus", "a.h5", "--batch", "8", "--tied"])
        state.begin(table, ["--tied", "--threads=3", "--batch=8", "--corpus", "/scratch/a.h5", "--keep", "9"])
        state.begin(table, None)
        for options in ([], ["--batch", "8"], ["--batch", "4", "--tied"], ["--tied", "--batch", "8", "--seed", "2"]):
            with self.assertRaises(tool.Mistake) as raised:
                state.begin(table, options)
            self.assertEqual(raised.exception.status, 78)
            self.assertIn("options behind --", str(raised.exception))


class Sweeps(harness.Case):
    """Real trainings, of the shared small corpus."""

    def sweep(self, table, *options, runs="runs", status=0, behind=("--corpus",)):
        path = self.folder / "table"
        path.write_text(table)
        behind = ["--corpus", self.corpus] if behind == ("--corpus",) else list(behind)
        done = subprocess.run([SWEEP, path, self.folder / runs, *map(str, options), "--", *map(str, behind)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=self.environment(), check=False,
                              timeout=harness.LIMIT * harness.PATIENCE)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def environment(self):
        return {**os.environ, "UNROLL": harness.UNROLL}

    def log(self, runs="runs", kind="result"):
        lines = [json.loads(line) for line in (self.folder / runs / ".sweep" / "log.jsonl").read_text().splitlines()]
        return [line for line in lines if line["type"] == kind]

    def results(self, runs="runs"):
        found = {}
        for line in self.log(runs):
            self.assertNotIn((line["trial"], line["rung"]), found)  # none repeated
            found[line["trial"], line["rung"]] = line["loss"]
        return found

    def assertLikeOne(self, run, *options):
        """A trial that went on from rung to rung is the run that was trained at once."""
        alone = self.folder / "alone"
        harness.shutil.rmtree(alone, ignore_errors=True)
        result = harness.run(0, "train", "--corpus", self.corpus, "--run", alone, "--layers", 1, "--hidden", 8, "--batch", 8, "--bptt", 8,
                             "--log-every", 20, "--checkpoint-every", 20, *options)
        self.assertStatus(result, 0)
        self.assertSameRun(self.folder / "runs" / run, alone)

    SEARCH = SMALL + "lr log 0.001 0.1\ndropout uniform 0 0.5\nmax-steps rungs 40 80 160\nsweep trials 6\nsweep eta 2\n"

    def test_a_sweep(self):
        done = self.sweep(self.SEARCH + "eval-every fixed 20\n", "-j", 2)
        results = self.results()
        self.assertEqual({trial for trial, rung in results if rung == 0}, set(range(6)))
        best = min((loss, trial) for (trial, rung), loss in results.items() if rung == 2)[1]
        table = Table(str(self.folder / "table"))
        lr, dropout = table.values(best)
        self.assertLikeOne("trial-%04d" % best, "--lr", lr, "--dropout", dropout, "--eval-every", 20, "--max-steps", 160)
        self.assertIn("| 40 steps | 6 |", done.stdout)
        self.assertIn("| lr | ", done.stdout)
        self.assertNotIn("test", done.stdout)
        rows = [line.split("\t") for line in (self.folder / "runs" / "results.tsv").read_text().splitlines()]
        self.assertEqual(rows[0], "lr dropout state steps valid_loss at_step seconds tokens_per_second run".split())
        self.assertEqual([row[:2] for row in rows[1:]], [table.values(trial) for trial in range(6)])
        self.assertEqual(rows[1 + best][3], "160")
        for name in ("sweep", "effect-lr", "effect-dropout"):
            self.assertIn("<svg", (self.folder / "runs" / (name + ".svg")).read_text())
        # again: nothing is left to do, nothing is trained
        times = [path.stat().st_mtime_ns for path in sorted(self.folder.glob("runs/*/metrics.jsonl"))]
        self.assertEqual(self.sweep(self.SEARCH + "eval-every fixed 20\n").stdout, done.stdout)
        self.assertEqual(self.results(), results)
        self.assertEqual([path.stat().st_mtime_ns for path in sorted(self.folder.glob("runs/*/metrics.jsonl"))], times)
        self.assertEqual(self.sweep(self.SEARCH + "eval-every fixed 20\n", "--report").stdout, done.stdout)
        # more trials and a rung above
        self.sweep((self.SEARCH + "eval-every fixed 20\n").replace("trials 6", "trials 8").replace("80 160", "80 160 200"))
        more = self.results()
        self.assertEqual({job: more[job] for job in results}, results)
        self.assertEqual(len({trial for trial, _ in more}), 8)
        self.assertTrue(any(rung == 3 for _, rung in more))

    def test_rungs_of_a_schedule_with_an_end_are_runs_of_their_own(self):
        self.sweep(SMALL + "lr log 0.001 0.1\nmax-steps rungs 40 80\nsweep trials 2\nsweep eta 2\nschedule choice cosine\n")
        best = min((loss, trial) for (trial, rung), loss in self.results().items() if rung == 0)[1]
        lr = Table(str(self.folder / "table")).values(best)[0]
        for run, steps in (("trial-%04d" % best, 40), ("trial-%04d_max-steps-80" % best, 80)):
            self.assertLikeOne(run, "--lr", lr, "--schedule", "cosine", "--max-steps", steps)

    def test_killed_sweeps_go_on(self):
        """With one worker the order of trials is certain: a sweep that is killed again and again, trainings and all or the tool
        alone, comes to the same runs and losses as one that was not."""
        self.sweep(self.SEARCH, runs="whole")
        rng = random.Random(5)
        path = self.folder / "table"
        for kill in range(12):
            before = len(self.log()) if (self.folder / "runs" / ".sweep" / "log.jsonl").exists() else 0
            tool_ = subprocess.Popen([SWEEP, path, self.folder / "runs", "--", "--corpus", self.corpus], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment())
            wanted = before + rng.randrange(2)
            end = time.monotonic() + harness.LIMIT * harness.PATIENCE
            while tool_.poll() is None and time.monotonic() < end:
                children = [pid for pid, parent in harness.processes() if parent == tool_.pid]
                if children and (not (self.folder / "runs" / ".sweep" / "log.jsonl").exists() or len(self.log()) >= wanted):
                    break
                time.sleep(0.005)
            else:
                break
            time.sleep(rng.random() * 0.2)
            os.kill(tool_.pid, signal.SIGKILL)
            if kill % 2:
                for pid in children:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            tool_.wait()
        self.sweep(self.SEARCH)
        self.assertEqual(self.results(), self.results("whole"))
        for run in sorted(self.folder.glob("whole/trial-*/")):
            if run.is_dir():
                self.assertSameRun(self.folder / "runs" / run.name, run)

    def test_a_stop_is_75_with_checkpoints(self):
        table = SMALL + "lr log 0.001 0.1\nsweep trials 3\nepochs fixed 100000\n"
        path = self.folder / "table"
        path.write_text(table)
        for name in (signal.SIGUSR1, signal.SIGINT):
            tool_ = subprocess.Popen([SWEEP, path, self.folder / "runs", "-j", "2", "--", "--corpus", self.corpus],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     env=self.environment())
            seen = [harness.newest_step(self.folder / "runs" / ("trial-000%d" % k)) for k in (0, 1)]
            end = time.monotonic() + harness.LIMIT * harness.PATIENCE
            while any(harness.newest_step(self.folder / "runs" / ("trial-000%d" % k)) <= seen[k] for k in (0, 1)):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
            tool_.send_signal(name)
            errors = tool_.communicate(timeout=harness.LIMIT * harness.PATIENCE)[1]
            self.assertEqual(tool_.returncode, 75, errors)
        self.assertEqual(len(self.log(kind="stopped")), 4)
        self.assertFalse(list(self.folder.glob("runs/trial-*/lock")))
        self.sweep(table, "--max-time", 3, status=75)

    def test_two_tools_share_a_folder(self):
        path = self.folder / "table"
        path.write_text(self.SEARCH)
        tools = [subprocess.Popen([SWEEP, path, self.folder / "runs", "-j", "2", "--threads", "1", "--", "--corpus", self.corpus],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  env=self.environment()) for _ in range(3)]
        for tool_ in tools:
            errors = tool_.communicate(timeout=harness.LIMIT * harness.PATIENCE)[1]
            self.assertEqual(tool_.returncode, 0, errors)
        results = self.results()
        self.assertEqual({trial for trial, rung in results if rung == 0}, set(range(6)))
        self.assertEqual(self.log(kind="failed") + self.log(kind="crashed"), [])

    def test_failures_are_reported_and_stop_nothing(self):
        # --lr-min above --lr is 78; a rate of 1e6 diverges
        done = self.sweep(SMALL + "lr-min choice 0 0.5\nseed int 1 1000\nmax-steps fixed 40\nlr fixed 0.01\nsweep trials 8\n")
        table = Table(str(self.folder / "table"))
        bad = [trial for trial in range(8) if table.values(trial)[0] == "0.5"]
        self.assertTrue(0 < len(bad) < 8)
        self.assertEqual([(line["trial"], line["status"]) for line in self.log(kind="failed")], [(trial, 78) for trial in bad])
        self.assertIn("| trial-%04d | 78 | bad value '0.5' for '--lr-min'" % bad[0], done.stdout)
        self.assertEqual(len(self.results()), 8 - len(bad))
        self.assertIn("failed 78", (self.folder / "runs" / "results.tsv").read_text())
        # all fail: the status is theirs
        done = self.sweep(SMALL + "lr choice 0.01 0.02\nlr-min fixed 0.5\nmax-steps fixed 40\nsweep trials 2\n", runs="none", status=78)
        self.assertIn("all trials failed", done.stderr)

    def test_what_no_trial_can_do_ends_the_sweep(self):
        done = self.sweep("lr log 0.001 0.1\nhiden fixed 8\n", status=64)
        self.assertIn("did you mean '--hidden'?", done.stderr)
        self.assertEqual(len(self.log(kind="stopped")), 1)
        # nothing was trained, so the mistake can be mended
        self.sweep("lr log 0.001 0.1\nhidden fixed 8\nmax-steps fixed 3\nsweep trials 1\n",
                   behind=["--corpus", self.corpus, "--batc", "4"], status=64)
        self.sweep("lr log 0.001 0.1\nhidden fixed 8\nmax-steps fixed 3\nsweep trials 1\n",
                   behind=["--corpus", self.corpus, "--batch", "4"])
        done = self.sweep("lr log 0.001 0.1\nhidden fixed 9\nmax-steps fixed 3\nsweep trials 1\n",
                          behind=["--corpus", self.corpus, "--batch", "4"], status=78)
        self.assertIn("has runs of another sweep", done.stderr)
        self.sweep("lr log 0.001 0.1\nhidden fixed 8\n", runs="b", status=66, behind=["--corpus", self.folder / "none.h5"])
        # other options than those that the trials began with
        table = SMALL + "lr log 0.001 0.1\nmax-steps rungs 20 40\nsweep trials 3\n"
        self.sweep(table.replace("20 40", "20"), runs="c")
        done = self.sweep(table, runs="c", status=78, behind=["--corpus", self.corpus, "--seed", 5])
        self.assertIn("'--seed 5' is not in the options behind -- of both", done.stderr)
        self.sweep(table, runs="c")

    def test_a_crash_is_tried_again(self):
        """The program is a script here, which dies by a signal the first two times."""
        broken = self.folder / "broken"
        broken.write_text('#!/bin/bash\necho x >>"%s/tries"\n[ $(wc -l <"%s/tries") -gt 2 ] || kill -9 $$\nexec "%s" "$@"\n'
                          % (self.folder, self.folder, harness.UNROLL))
        broken.chmod(0o755)
        path = self.folder / "table"
        path.write_text(SMALL + "lr choice 0.01\nmax-steps fixed 20\nsweep trials 1\n")
        for retries, status in ((1, 137), (2, 0)):
            (self.folder / "tries").write_text("")
            done = subprocess.run([SWEEP, path, self.folder / ("runs-%d" % retries), "--retries", str(retries), "--", "--corpus",
                                   self.corpus], capture_output=True, text=True, env={**os.environ, "UNROLL": str(broken)},
                                  check=False, timeout=harness.LIMIT * harness.PATIENCE)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn("crashed with status 137; it is tried again", done.stderr)

    def test_a_list_and_options_of_the_tool(self):
        (self.folder / "table").write_text("lr seed\n0.01 1\n0.01 2\n0.02 1\n")
        listed = subprocess.run([SWEEP, self.folder / "table", "x", "--list"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(listed.splitlines()[1], "lr-0.01_seed-2\t--lr 0.01 --seed 2")
        self.sweep("lr seed\n0.01 1\n0.01 2\n0.02 1\n", "-j", 2, behind=["--corpus", self.corpus, *harness.small(lr=None)])
        rows = [line.split("\t") for line in (self.folder / "runs" / "results.tsv").read_text().splitlines()]
        self.assertEqual([row[:4] for row in rows[1:]], [[lr, seed, "max steps", "40"] for lr, seed in
                                                        (("0.01", "1"), ("0.01", "2"), ("0.02", "1"))])
        local = self.folder / "local"
        self.assertStatus(harness.run(0, "train", "--corpus", self.corpus, "--run", local, "--lr", "0.01", "--seed", "2",
                                      *harness.small(lr=None)), 0)
        self.assertSameRun(self.folder / "runs" / "lr-0.01_seed-2", local)
        for options, status, words in ((["-j", "0"], 64, "--jobs"), (["--max-time", "x"], 64, "--max-time")):
            self.assertIn(words, self.sweep("lr\n1\n", *options, status=status).stderr)
        os.link(self.folder / "table", self.folder / "linked")
        (self.folder / "own").mkdir()
        os.link(self.folder / "table", self.folder / "own" / "results.tsv")
        self.assertIn("which the command reads", self.sweep("lr\n1\n", runs="own", status=73).stderr)


if __name__ == "__main__":
    harness.main()
