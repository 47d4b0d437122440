#!/usr/bin/env python3
"""Makes tests/ref/test_time.h5: losses of every token of a text under a neural cache (Grave et al. 2017), under dynamic
evaluation by root mean squares (Krause et al. 2018), and both, for tests/unit/test_pytorch_test_time.c to match. Written
down from the papers' formulas, position by position and parameter by parameter; gradients are PyTorch's.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_test_time.py tests/ref/test_time.h5

    /CASE              attributes: the model's fields
        weights/NAME   float32
        train, test    uint32, tokens of the two splits
        how/WAY        attributes lanes, bptt, train_lanes, windows, lr, decay, epsilon (lr 0: no learning), cache, theta,
                       lambda (cache 0: none)
            loss       float64 [positions of test], in the text's order
            root/NAME  float64, root mean squares of gradients, where it learns
"""
import math

import numpy as np
import torch

import fixture

WAYS = {
    "cache": dict(lanes=1, bptt=9, cache=20, theta=0.7, **{"lambda": 0.2}),
    "long": dict(lanes=1, bptt=50, cache=1000, theta=0.1, **{"lambda": 0.6}),
    "alike": dict(lanes=1, bptt=7, cache=33, theta=0.0, **{"lambda": 0.1}),
    "lanes": dict(lanes=3, bptt=8, cache=16, theta=0.5, **{"lambda": 0.3}),
    "rms": dict(lanes=1, bptt=5, train_lanes=4, lr=0.002, decay=0.02, epsilon=0.001),
    "clipped": dict(lanes=2, bptt=6, train_lanes=5, windows=7, lr=0.01, decay=0.9, epsilon=0.0001),
    "both": dict(lanes=1, bptt=5, train_lanes=4, lr=0.003, decay=0.01, epsilon=0.001, cache=30, theta=0.5, **{"lambda": 0.25}),
}
USUAL = dict(train_lanes=1, windows=0, lr=0.0, decay=0.0, epsilon=1.0, cache=0, theta=0.0, **{"lambda": 0.0})


class Model(torch.nn.Module):
    def __init__(self, vocab, embedding, hidden, layers, tied):
        super().__init__()
        self.encoder = torch.nn.Embedding(vocab, embedding)
        self.rnn = torch.nn.LSTM(embedding, hidden, layers)
        self.decoder = torch.nn.Linear(hidden, vocab)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, tokens, state):
        outputs, state = self.rnn(self.encoder(tokens), state)
        return outputs, torch.log_softmax(self.decoder(outputs), 2), tuple(part.detach() for part in state)


def lanes_of(tokens, lanes):
    """Inputs and targets [T][lanes]; lanes are of one length here."""
    positions = len(tokens) - 1
    assert positions % lanes == 0
    length = positions // lanes
    return (torch.tensor(tokens[:-1]).view(lanes, length).t().contiguous(),
            torch.tensor(tokens[1:]).view(lanes, length).t().contiguous())


def windows_of(tokens, lanes, bptt):
    inputs, targets = lanes_of(tokens, lanes)
    for start in range(0, len(inputs), bptt):
        yield inputs[start:start + bptt], targets[start:start + bptt]


def mean_loss(log_p, targets):
    return -log_p.gather(2, targets.unsqueeze(2)).mean()


def statistics(model, tokens, way):
    """sqrt(MS) of every parameter."""
    squares = [torch.zeros_like(parameter) for parameter in model.parameters()]
    state, count = None, 0
    for inputs, targets in windows_of(tokens, way["train_lanes"], way["bptt"]):
        if way["windows"] and count == way["windows"]:
            break
        _, log_p, state = model(inputs, state)
        model.zero_grad()
        mean_loss(log_p, targets).backward()
        for square, parameter in zip(squares, model.parameters()):
            square += parameter.grad ** 2
        count += 1
    return [torch.sqrt(square / count) for square in squares]


def learn(model, trained, roots, way):
    average = sum(root.mean() for root in roots) / len(roots)
    with torch.no_grad():
        for parameter, start, root in zip(model.parameters(), trained, roots):
            norm = torch.clamp(root / average, max=1 / way["decay"])
            parameter += way["decay"] * (start - parameter) * norm - way["lr"] * parameter.grad / (root + way["epsilon"])


def mixed(history, output, log_p, target, way):
    """-ln of the mixture; `history` is a list of (h_i, x_(i+1))."""
    lately = history[-way["cache"]:] if way["cache"] else []
    p = math.exp(log_p[target])
    if lately:
        weights = [math.exp(way["theta"] * float(output @ h)) for h, _ in lately]
        total = sum(weights)
        assert abs(sum(sum(w for w, (_, x) in zip(weights, lately) if x == word) / total for word in range(len(log_p))) - 1) < 1e-12
        cached = sum(w for w, (_, x) in zip(weights, lately) if x == target) / total
        p = (1 - way["lambda"]) * p + way["lambda"] * cached
    return -math.log(p)


def evaluate(model, train, test, way):
    trained = [parameter.detach().clone() for parameter in model.parameters()]
    roots = statistics(model, train, way) if way["lr"] else None
    losses, history, state = [[] for _ in range(way["lanes"])], [[] for _ in range(way["lanes"])], None
    for inputs, targets in windows_of(test, way["lanes"], way["bptt"]):
        outputs, log_p, state = model(inputs, state)
        for t in range(len(inputs)):
            for lane in range(way["lanes"]):
                target = int(targets[t][lane])
                losses[lane].append(mixed(history[lane], outputs[t][lane].detach(), log_p[t][lane].detach(), target, way))
                history[lane].append((outputs[t][lane].detach(), target))
        if roots:
            model.zero_grad()
            mean_loss(log_p, targets).backward()
            learn(model, trained, roots, way)
    with torch.no_grad():
        for parameter, start in zip(model.parameters(), trained):
            parameter.copy_(start)
    return [loss for lane in losses for loss in lane], roots


def fill(out):
    for name, tied in (("untied", False), ("tied", True)):
        torch.manual_seed(11)
        fields = dict(vocab=30, embedding=12 if tied else 9, hidden=12, layers=2)
        group = out.create_group(name)
        fixture.put_attributes(group, cell="lstm", tied=tied, **fields)
        model = Model(tied=tied, **fields)
        fixture.draw_weights(model.parameters(), 0.5)
        named = dict(model.named_parameters())
        fixture.put_weights(group, named)
        train = [int(x) for x in torch.randint(0, 30, (281,))]
        test = [int(x) for x in torch.randint(0, 30, (121,))]
        fixture.put(group, "train", np.array(train, dtype=np.uint32))
        fixture.put(group, "test", np.array(test, dtype=np.uint32))
        for key, given in WAYS.items():
            way = {**USUAL, **given}
            losses, roots = evaluate(model, train, test, way)
            place = group.create_group(f"how/{key}")
            fixture.put_attributes(place, **way)
            fixture.put(place, "loss", np.array(losses))
            for parameter, root in zip(named, roots or []):
                fixture.put(place, f"root/{parameter}", root.numpy())
            print(name, key, sum(losses) / len(losses))


if __name__ == "__main__":
    fixture.write(fill)
