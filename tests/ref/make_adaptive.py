#!/usr/bin/env python3
"""Makes tests/ref/adaptive.h5: what PyTorch's nn.AdaptiveLogSoftmaxWithLoss computes behind an LSTM, for
tests/unit/test_pytorch_adaptive.c to match: the loss, every gradient, and the log-probabilities of the whole vocabulary.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_adaptive.py tests/ref/adaptive.h5

    /CASE             attributes cell, output_layer, layers, embedding, hidden, vocab, cutoffs (text), div, reordered, lanes, bptt
        weights/NAME  float32, decoder.order included where ids are reordered
        input, target uint32 [T][B]; target 4294967295 is a position without loss
        loss          float64 [1], the sum over the targets
        grad/NAME     float64, of that sum
        log_prob      float64 [B][V], by id, after the last step
"""
import numpy as np
import torch

from fixture import IGNORE, draw_weights, put, put_attributes, put_gradients, put_tokens, put_weights, write

B, T = 3, 7

CASES = [  # name, hidden, vocabulary, cutoffs, div, reordered
    ("three", 33, 60, [10, 25, 40], 3.0, False),
    ("one", 16, 40, [17], 4.0, False),
    ("reordered", 20, 50, [8, 30], 2.5, True),
    ("blocks", 9, 2700, [1100, 1300], 2.0, False),  # several blocks of classes in head and tail
    ("narrow", 18, 30, [5, 29], 4.0, True),  # the last cluster has one word, of one number
]


def put_case(out, number, name, hidden, vocab, cutoffs, div, reordered):
    torch.manual_seed(700 + number)
    generator = torch.Generator().manual_seed(800 + number)
    group = out.create_group(name)
    put_attributes(group, cell="lstm", output_layer="adaptive", layers=1, embedding=hidden, hidden=hidden, vocab=vocab,
                   cutoffs=",".join(map(str, cutoffs)), div=div, reordered=reordered, lanes=B, bptt=T)
    order = [0, 1] + (list(reversed(range(2, vocab))) if reordered else list(range(2, vocab)))
    rank = {token: place for place, token in enumerate(order)}

    encoder, rnn = torch.nn.Embedding(vocab, hidden), torch.nn.LSTM(hidden, hidden)
    decoder = torch.nn.AdaptiveLogSoftmaxWithLoss(hidden, vocab, cutoffs, div, head_bias=True)
    named = {f"{part}.{key}": parameter for part, module in dict(encoder=encoder, rnn=rnn, decoder=decoder).items()
             for key, parameter in module.named_parameters()}
    draw_weights(named.values(), 0.4)
    put_weights(group, named)
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
    put_tokens(group, inputs, torch.from_numpy(np.where(there, targets, IGNORE)))
    put(group, "loss", np.array([loss.item()]))
    put_gradients(group, named)
    put(group, "log_prob", by_rank[:, [rank[token] for token in range(vocab)]])


def fill(out):
    for number, case in enumerate(CASES):
        put_case(out, number, *case)


if __name__ == "__main__":
    write(fill)
