"""The training step of `unroll bench` in PyTorch: nn.Embedding, nn.LSTM / GRU / RNN, nn.Linear, cross entropy, clipping
by global norm, update. With `precision` bf16 the forward pass and its loss run under autocast to bfloat16; parameters,
their gradients and the update stay float32. Started by tools/compare-pytorch, which sets libraries and allocator by the
environment; options come as one JSON object.

It lives as long as its standard input: each line there is a number of steps to run, answered by one line of JSON. So
importing, allocating and warming up are paid once for many measurements.

With WORLD_SIZE in the environment it is one of several ranks of DistributedDataParallel over gloo; all must be given
the same lines, and the first answers.
"""

import json
import os
import statistics
import sys
import time

WINDOWS = 8  # different windows of tokens, used in turn, as bench does
ZIPF_OFFSET = 0.1  # bench_token in src/use/bench.c
REPETITIONS = 5  # REPETITIONS_GIVEN there


def build(torch, o):
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            dropout = o["dropout"]
            between = dropout if o["layers"] > 1 else 0.0
            self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
            self.encoder = nn.Embedding(o["vocab_size"], o["embedding"])
            sizes = (o["embedding"], o["hidden"], o["layers"])
            if o["cell"] == "lstm":
                self.rnn = nn.LSTM(*sizes, dropout=between)
            elif o["cell"] == "gru":
                self.rnn = nn.GRU(*sizes, dropout=between)
            else:
                self.rnn = nn.RNN(*sizes, nonlinearity=o["cell"].split("-")[1], dropout=between)
            self.decoder = nn.Linear(o["hidden"], o["vocab_size"])
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
            nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
            nn.init.zeros_(self.decoder.bias)
            if o["tied"]:
                self.decoder.weight = self.encoder.weight

        def forward(self, tokens, targets, state):
            output, state = self.rnn(self.drop(self.encoder(tokens)), state)
            logits = self.decoder(self.drop(output)).view(-1, o["vocab_size"])
            return nn.functional.cross_entropy(logits, targets.view(-1)), state

    return Model()


def optimizer_of(torch, o, parameters):
    optim, lr = torch.optim, o["lr"]
    return {
        "sgd": lambda: optim.SGD(parameters, lr),
        "momentum": lambda: optim.SGD(parameters, lr, momentum=0.9),
        "adagrad": lambda: optim.Adagrad(parameters, lr),
        "rmsprop": lambda: optim.RMSprop(parameters, lr, alpha=0.99),
        "adam": lambda: optim.Adam(parameters, lr),
        "adamw": lambda: optim.AdamW(parameters, lr, weight_decay=0.0),
    }[o["optimizer"]]()


def windows(torch, o, lanes):
    """Tokens with the frequencies of a text: probability proportional to 1 / (v + 0.1)."""
    V, T = o["vocab_size"], o["bptt"]
    generator = torch.Generator().manual_seed(1)
    u = torch.rand(WINDOWS * T + 1, lanes, generator=generator, dtype=torch.float64)
    text = (ZIPF_OFFSET * ((1 + V / ZIPF_OFFSET) ** u - 1)).long().clamp_(0, V - 1)
    return [(text[begin:begin + T].contiguous(), text[begin + 1:begin + T + 1].contiguous())
            for begin in range(0, WINDOWS * T, T)]


def peak_rss():
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def main():
    o = json.loads(sys.argv[1])
    import torch

    torch.set_num_threads(o["threads"])
    torch.manual_seed(1)
    torch.backends.mkldnn.enabled = o["mkldnn"]
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    lanes = o["batch"] // ranks
    model = build(torch, o)
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)
    parameters = list(model.parameters())
    optimizer = optimizer_of(torch, o, parameters)
    batches = windows(torch, o, lanes)
    state, losses, count = None, [], 0

    def step():
        nonlocal state, count
        tokens, targets = batches[count % WINDOWS]
        if count % WINDOWS == 0:
            state = None
        count += 1
        optimizer.zero_grad(set_to_none=ranks == 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=o.get("precision") == "bf16"):
            loss, state = model(tokens, targets, state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss.backward()
        if o["clip"]:
            torch.nn.utils.clip_grad_norm_(parameters, o["clip"])
        optimizer.step()
        losses.append(loss.item())

    def timed(steps):
        """Seconds a step: the median over repetitions, as many as `unroll bench` makes of them."""
        repetitions = (steps - 1) // 2 * 2 + 1 if steps < REPETITIONS else REPETITIONS
        times = []
        for i in range(repetitions):
            share = steps * (i + 1) // repetitions - steps * i // repetitions
            if ranks > 1:
                torch.distributed.barrier()
            begin = time.perf_counter()
            for _ in range(share):
                step()
            times.append((time.perf_counter() - begin) / share)
        return statistics.median(times)

    for line in sys.stdin:
        steps = int(line)
        seconds, peak = timed(steps), peak_rss()
        if ranks > 1:
            box = torch.tensor([seconds, float(peak)], dtype=torch.float64)
            torch.distributed.all_reduce(box, torch.distributed.ReduceOp.MAX)
            seconds, peak = box[0].item(), int(box[1].item())
        if rank == 0:
            print(json.dumps({
                "tokens_per_second": lanes * ranks * o["bptt"] / seconds,
                "ms_per_step": 1000 * seconds,
                "peak_rss_bytes": peak,
                "steps": steps,
                "loss_first": losses[0],
                "loss_last": losses[-1],
            }), flush=True)


if __name__ == "__main__":
    main()
