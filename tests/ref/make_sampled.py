#!/usr/bin/env python3
"""Makes tests/ref/sampled.h5: what PyTorch computes for sampled output layers, for tests/unit/test_pytorch_sampled.c to
match. Samples are drawn here by a plain re-implementation of Philox, of TensorFlow's candidate samplers and of the
geometric tries of include/unroll/nn/proposal.h; losses are the plain formulas of tf.nn.sampled_softmax_loss and
tf.nn.nce_loss without accidental hits; gradients are PyTorch's.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_sampled.py tests/ref/sampled.h5

    /CASE             attributes cell, output_layer, proposal, layers, embedding, hidden, vocab, tied, reordered, samples, seed,
                      step, lanes, bptt
        weights/NAME  float32, constants included
        input, target uint32 [T][B]; target 4294967295 is a position without loss
        id            uint32 [samples], ascending
        tries         float64 [1]
        count         float64 [vocab], the expected counts of all ids
        loss          float64 [1], the sum over the targets
        grad/NAME     float64, of that sum
"""
import math

import numpy as np
import torch

from fixture import IGNORE, draw_weights, put, put_attributes, put_gradients, put_tokens, put_weights, write

WHAT = 69  # RNG_SAMPLES
MASK = 0xFFFFFFFF
V, B, T, H, SEED, STEP = 30, 3, 7, 10, 2**40 + 17, 5

CASES = [  # name, layer, proposal, samples, tied, reordered
    ("sampled", "sampled", "log-uniform", 8, False, False),
    ("sampled-tied", "sampled", "unigram", 9, True, False),
    ("sampled-most", "sampled", "log-uniform", 22, False, True),
    ("sampled-all", "sampled", "unigram", 30, False, False),
    ("nce", "nce", "unigram", 8, False, False),
    ("nce-ordered", "nce", "log-uniform", 9, True, True),
    ("nce-most", "nce", "unigram", 29, False, False),
]


def philox(seed, what, step, lane, unit):
    """Salmon et al. (2011), Philox4x32-10; the counter is {unit, what << 16, lane, step}."""
    x, key = [unit, what << 16, lane, step], [seed & MASK, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [b >> 32 ^ x[1] ^ key[0], b & MASK, a >> 32 ^ x[3] ^ key[1], a & MASK]
        key = [key[0] + 0x9E3779B9 & MASK, key[1] + 0xBB67AE85 & MASK]
    return x


def uniform(lane, number):
    x = philox(SEED, WHAT, STEP, lane, number // 2)
    high, low = x[2 * (number % 2) : 2 * (number % 2) + 2]
    return ((high << 32 | low) >> 11) / 2**53


def probabilities(proposal, order, counts):
    if proposal == "unigram":
        weights = [max(count, 1) ** 0.75 for count in counts]
        return [weight / sum(weights) for weight in weights]
    p = [0.0] * V
    for rank, token in enumerate(order):
        p[token] = math.log((rank + 2) / (rank + 1)) / math.log(V + 1)  # LogUniformSampler::Probability
    return p


def one(proposal, order, p, number):
    """One try."""
    u = uniform(0, number)
    if proposal == "log-uniform":
        return order[int(math.exp(u * math.log(V + 1))) - 1]  # LogUniformSampler::Sample
    below = 0
    for token in range(V):
        below += p[token]
        if below > u:
            return token
    return V - 1


def draw(proposal, order, p, samples):
    """Ids and tries."""
    if samples == V:
        return list(range(V)), math.inf
    ids, tries = [], 0
    while samples <= V // 2 and len(ids) < samples:
        token = one(proposal, order, p, tries)
        tries += 1
        if token not in ids:
            ids.append(token)
    if len(ids) < samples:
        clocks = sorted((-math.log(1 - uniform(1, token)) / p[token], token) for token in range(V))
        rest = 1.0
        for place, (_, token) in enumerate(clocks[:samples]):
            tries += 1 + (math.floor(math.log(1 - uniform(2, place)) / math.log(1 - rest)) if place else 0)
            rest -= p[token]
            ids.append(token)
    return sorted(ids), tries


def expected(p, samples, tries):
    """ExpectedCountHelper of range_sampler.cc."""
    if math.isinf(tries):
        return 1.0
    return p * samples if tries == samples else -math.expm1(tries * math.log1p(-p))


def row_loss(layer, weight, bias, count, ids, y, target):
    log_count = torch.log(count)
    own = weight[target] @ y + bias[target] - log_count[target]
    noise = torch.stack([weight[i] @ y + bias[i] - log_count[i] for i in ids if i != target] or [torch.tensor(-1e300)])
    if layer == "sampled":
        return torch.logsumexp(torch.cat([own[None], noise]), 0) - own
    return torch.nn.functional.softplus(-own) + torch.nn.functional.softplus(noise).sum()


def put_case(out, number, name, layer, proposal, samples, tied, reordered):
    torch.manual_seed(500 + number)
    generator = torch.Generator().manual_seed(600 + number)
    group = out.create_group(name)
    put_attributes(group, cell="lstm", output_layer=layer, proposal=proposal, layers=1, embedding=H, hidden=H, vocab=V,
                   tied=tied, reordered=reordered, samples=samples, seed=SEED, step=STEP, lanes=B, bptt=T)
    order = [0, 1] + (list(reversed(range(2, V))) if reordered else list(range(2, V)))
    counts = [float(1000 // (rank + 1) if rank < 27 else 0) for rank in range(V)]
    p = probabilities(proposal, order, counts)
    ids, tries = draw(proposal, order, p, samples)
    count = torch.tensor([expected(of_token, samples, tries) for of_token in p])

    encoder, rnn, decoder = torch.nn.Embedding(V, H), torch.nn.LSTM(H, H), torch.nn.Linear(H, V)
    if tied:
        decoder.weight = encoder.weight
    named = {"encoder.weight": encoder.weight, "decoder.weight": decoder.weight, "decoder.bias": decoder.bias}
    named.update((f"rnn.{key}", parameter) for key, parameter in rnn.named_parameters())
    draw_weights(named.values(), 0.5)
    if tied:
        del named["decoder.weight"]
    put_weights(group, named)
    if reordered:
        put(group, "weights/decoder.order", np.array(order, dtype=np.float32))
    if proposal == "unigram":
        put(group, "weights/decoder.counts", np.array(counts, dtype=np.float32))

    inputs = torch.randint(0, V, (T, B), generator=generator)
    targets = [[int(torch.randint(0, V, (), generator=generator)) for _ in range(B)] for _ in range(T)]
    targets[0][1] = targets[3][2] = ids[0]  # an accidental hit, twice
    targets[6][0] = None
    output = rnn(encoder(inputs))[0]
    loss = sum(row_loss(layer, decoder.weight, decoder.bias, count, ids, output[t, b], targets[t][b])
               for t in range(T) for b in range(B) if targets[t][b] is not None)
    loss.backward()
    put_tokens(group, inputs, torch.tensor([[IGNORE if x is None else x for x in row] for row in targets]))
    put(group, "id", np.array(ids, dtype=np.uint32))
    put(group, "tries", np.array([float(tries)]))
    put(group, "count", count.numpy())
    put(group, "loss", np.array([loss.item()]))
    put_gradients(group, named)


def fill(out):
    for number, case in enumerate(CASES):
        put_case(out, number, *case)


if __name__ == "__main__":
    write(fill)
