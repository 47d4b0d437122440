#!/usr/bin/env python3
"""From a job array to a picture: an array of four points with the report job behind it by dependency."""
import json

import slurm
from slurm import JOBS, ROOT, command, harness

TOOLS = ROOT / "tools"


class Scaling(slurm.Array):
    def scales(self, mode, **settings):
        """Points 0 to 3; the last one has more ranks than lanes, or than the cluster has CPUs: it fails."""
        array = self.submit(JOBS / f"{mode}-scaling.sbatch", "--hidden", "12", "--layers", "1", "--bptt", "8", "--lane-groups", "8",
                            sbatch=["--nodes=4", "--array=0-3"], DIR="s", RANKS="1 2 4 9", RANKS_PER_NODE=1, BATCH=8,
                            BENCH_STEPS=2, TRAIN_STEPS=16, **settings)
        # Slurm runs a copy of the tool in another folder, where its modules are not.
        report = self.submit(TOOLS / "scaling-report", "s", sbatch=[f"--dependency=afterany:{array}", "--output=report.log"],
                             PYTHONPATH=TOOLS / "lib")
        self.assertEqual(self.wait_done(array), 4 * [("COMPLETED", "0:0")], self.logs())
        self.assertEqual(self.wait_done(report), [("COMPLETED", "0:0")], self.logs())
        points = {}
        for path in self.folder.glob("s/*.json"):
            point = json.loads(path.read_text())
            points[point["ranks"]] = point
        self.assertEqual(sorted(points), [1, 2, 4, 9])
        for ranks in (1, 2, 4):
            bench = points[ranks]["bench"]
            self.assertEqual((points[ranks]["failures"], bench["ranks"], points[ranks]["train"]["steps"]), ([], ranks, 16))
            self.assertEqual([host["name"] for host in bench["network"]["hosts"]], [f"n{k + 1}" for k in range(ranks)])
        self.assertEqual([failure["what"] for failure in points[9]["failures"]], ["bench", "train"])
        log = (self.folder / "report.log").read_text()
        self.assertIn(f"| {mode}, 4 ranks x 1, exact | {8 if mode == 'strong' else 32} | ", log)
        self.assertIn(f"- Failed: {mode}, 9 ranks x 1, exact: train ended with ", log)
        for picture in ("scaling.svg", "speedup.png", "time-to.svg", "reduction.svg"):
            self.assertGreater((self.folder / "s" / "report" / picture).stat().st_size, 1000)
        page = (self.folder / "s" / "report" / "report.html").read_text()
        self.assertIn("<h3>Efficiency <small>", page)
        if mode == "strong":  # the same mathematics on any number of nodes
            lines = [(self.folder / "s" / points[ranks]["run"] / "metrics.jsonl").read_bytes() for ranks in (1, 2, 4)]
            self.assertEqual(lines[0], lines[1])
            self.assertEqual(lines[0], lines[2])

    def test_strong_scaling_and_its_report(self):
        self.scales("strong")

    def test_weak_scaling_under_mpirun(self):
        self.scales("weak", LAUNCH="mpirun")


if __name__ == "__main__":
    harness.main()
