#!/usr/bin/env python3
"""Makes tests/ref/adaptive.h5: what PyTorch's nn.AdaptiveLogSoftmaxWithLoss computes behind an LSTM, for
tests/unit/test_pytorch_adaptive.c to match: the loss, every gradient, and the log-probabilities of the whole vocabulary.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_adaptive.py tests/ref/adaptive.h5

    /CASE             attributes hidden, vocab, cutoffs (text), div, reordered, lanes, bptt
        weights/NAME  float32, decoder.order included where ids are reordered
        input, target uint32 [T][B]; target 4294967295 is a position without loss
        loss          float64 [1], the sum over the targets
        grad/NAME     float64, of that sum
        log_prob      float64 [B][V], by id, after the last step
"""
import sys

import h5py
import numpy as np
import torch

NO_TARGET = 0xFFFFFFFF
B, T = 3, 7

CASES = [  # name, hidden, vocabulary, cutoffs, div, reordered
    ("three", 33, 60, [10, 25, 40], 3.0, False),
    ("one", 16, 40, [17], 4.0, False),
    ("reordered", 20, 50, [8, 30], 2.5, True),
    ("blocks", 9, 2700, [1100, 1300], 2.0, False),  # several blocks of classes in head and tail
    ("narrow", 18, 30, [5, 29], 4.0, True),  # the last cluster has one word, of one number
]


def put(group, name, values):
    group.create_dataset(name, data=values, track_times=False)


def put_case(out, number, name, hidden, vocab, cutoffs, div, reordered):
    torch.manual_seed(700 + number)
    generator = torch.Generator().manual_seed(800 + number)
    group = out.create_group(name)
    text = ",".join(map(str, cutoffs)).encode()
    group.attrs.create("cutoffs", np.array(text, dtype=h5py.string_dtype("utf-8", len(text))))
    group.attrs["div"] = np.float64(div)
    for key, value in dict(hidden=hidden, vocab=vocab, reordered=reordered, lanes=B, bptt=T).items():
        group.attrs[key] = np.int64(value)
    order = [0, 1] + (list(reversed(range(2, vocab))) if reordered else list(range(2, vocab)))
    rank = {token: place for place, token in enumerate(order)}

    encoder, rnn = torch.nn.Embedding(vocab, hidden), torch.nn.LSTM(hidden, hidden)
    decoder = torch.nn.AdaptiveLogSoftmaxWithLoss(hidden, vocab, cutoffs, div, head_bias=True)
    named = {f"{part}.{key}": parameter for part, module in dict(encoder=encoder, rnn=rnn, decoder=decoder).items()
             for key, parameter in module.named_parameters()}
    with torch.no_grad():
        for parameter in named.values():
            parameter.copy_(parameter.normal_(0, 0.4).float().double())
    for key, parameter in named.items():
        put(group, f"weights/{key}", parameter.detach().numpy().astype(np.float32))
    if reordered:
        put(group, "weights/decoder.order", np.array(order, dtype=np.float32))

    inputs = torch.randint(0, vocab, (T, B), generator=generator)
    clusters = [0] + cutoffs + [vocab]  # targets from each in turn, so that all are met
    targets = np.array([[order[int(torch.randint(clusters[k], clusters[k + 1], (), generator=generator))]
                         for b in range(B) for k in [(t * B + b) % (len(cutoffs) + 1)]] for t in range(T)])
    output = rnn(encoder(inputs))[0]
    there = np.ones((T, B), dtype=bool)
    there[2][1] = there[T - 1][0] = False
    result = decoder(output[torch.from_numpy(there)], torch.tensor([rank[x] for x in targets[there]]))
    loss = -result.output.sum()
    loss.backward()
    by_rank = decoder.log_prob(output[-1]).detach().numpy()
    put(group, "input", inputs.numpy().astype(np.uint32))
    put(group, "target", np.where(there, targets, NO_TARGET).astype(np.uint32))
    put(group, "loss", np.array([loss.item()]))
    for key, parameter in named.items():
        put(group, f"grad/{key}", parameter.grad.numpy())
    put(group, "log_prob", by_rank[:, [rank[token] for token in range(vocab)]])


def main(path):
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.double)
    with h5py.File(path, "w", libver="v108") as out:  # the format whose metadata carry checksums
        for number, case in enumerate(CASES):
            put_case(out, number, *case)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_adaptive.py ADAPTIVE.h5")
    main(sys.argv[1])
