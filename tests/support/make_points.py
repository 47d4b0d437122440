"""Writes the points of a scaling experiment that follows laws exactly, for tests of tools/scaling-report.

    make_points.py DIR SERIAL_STRONG SERIAL_WEAK

Strong points of 1 to 16 ranks follow Amdahl's law, weak ones Gustafson's. The trainings reach lower perplexities in
step with their tokens. On 8 ranks and more host n3 is slow, and from 4 the link n1 - n2.
"""
import json
import math
import os
import sys

folder, strong, weak = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
RATE = 10000.0
os.makedirs(os.path.join(folder, "runs"))
for mode in ("strong", "weak"):
    for reduction in ("exact", "fast"):
        for n in (1, 2, 4, 8, 16):
            speedup = 1 / (strong + (1 - strong) / n) if mode == "strong" else n - weak * (n - 1)
            speedup *= 1 if reduction == "exact" or n == 1 else 0.9
            batch = 32 * (n if mode == "weak" else 1)
            rate = RATE * speedup
            step = batch * 50 / rate
            hosts = [{"name": "n%d" % (k + 1), "ranks": 1, "speed": 40.0 if k == 2 and n >= 8 else 100.0, "slow": k == 2 and n >= 8,
                      "slow_link": False} for k in range(min(n, 4))]
            reduce_seconds = 0 if n == 1 else step * 0.02 * n
            network = {"hosts": hosts, "slow_hosts": ["n3"] if n >= 8 else [], "slow_links": ["n1 - n2"] if n >= 4 else [],
                       "imbalance": 1 + 0.02 * n, "sum": {"bytes": 1000000, "seconds": reduce_seconds * 0.6,
                       "seconds_min": reduce_seconds * 0.5, "model_seconds": reduce_seconds * 0.5,
                       "bound_seconds": reduce_seconds * 0.3}}
            phases = {"input_projection": 0.2, "recurrent_forward": 0.15, "output_layer": 0.1, "recurrent_backward": 0.2,
                      "weight_gradients": 0.25, "optimizer": 0.02, "other": 0.08}
            left = step - reduce_seconds
            phases = {name: share * left for name, share in phases.items()}
            phases["reduction"] = reduce_seconds
            name = "%s-r%03d-t01-%s" % (mode, n, reduction)
            run = os.path.join(folder, "runs", name)
            os.makedirs(run)
            with open(os.path.join(run, "metrics.jsonl"), "w") as metrics, open(os.path.join(run, "timing.jsonl"), "w") as timing:
                for k in range(1, 11):
                    tokens = k * 10 * batch * 50
                    print(json.dumps({"type": "valid", "step": 10 * k, "tokens": tokens, "loss":
                                      math.log(100) - 0.02 * k * math.sqrt(batch)}), file=metrics)
                    print(json.dumps({"type": "train", "step": 10 * k, "seconds": 10 * step, "tokens_per_second": rate}),
                          file=timing)
            point = {"format": "unroll-scaling-point", "mode": mode, "ranks": n, "threads": 1, "reduction": reduction,
                     "batch": batch, "oversubscribed": False, "failures": [], "train": {"exit_status": 0}, "run": "runs/" + name,
                     "bench": {"tokens_per_second": rate, "ms_per_step": 1e3 * step, "phases": phases, "network": network,
                               "model": {"cell": "lstm", "layers": 2, "hidden": 512, "vocab_size": 65, "bptt": 50,
                                         "optimizer": "adam"}}}
            with open(os.path.join(folder, name + ".json"), "w") as file:
                json.dump(point, file)
