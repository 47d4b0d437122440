"""Prints the numbers of PyTorch in tests/unit/test_average.c: averages of six weights over 40 updates by SGD.

The gradient of weight i in update t (from 1) is (i + 1) / 4 (p - 1 / (i + 1)) + ((7 t + 3 i) mod 11 - 5) / 8, the rate 0.3,
the start (i - 2) / 4. In float32; run by hand: /usr/bin/python3 tests/ref/make_averages.py
"""
import torch
from torch.optim.swa_utils import AveragedModel

UPDATES, RATE, EPOCH, BEFORE, DECAY = 40, 0.3, 7, 16, 0.75


class Weights(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter((torch.arange(6, dtype=torch.float32) - 2) / 4)


def gradient(p, t):
    i = torch.arange(6, dtype=torch.float32)
    noise = torch.tensor([((7 * t + 3 * k) % 11 - 5) / 8 for k in range(6)], dtype=torch.float32)
    return (i + 1) / 4 * (p - 1 / (i + 1)) + noise


def train(make_optimizer, average=None, every=1):
    model = Weights()
    optimizer = make_optimizer(model.parameters())
    averaged = average(model) if average else None
    for t in range(1, UPDATES + 1):
        model.p.grad = gradient(model.p.detach(), t)
        optimizer.step()
        if averaged and t % every == 0:
            averaged.update_parameters(model)
    return (averaged.module.p if averaged else optimizer.state[model.p]["ax"]).detach()


def tell(name, values):
    print(name, ", ".join(f"{float(value):.9g}f" for value in values))


def sgd(parameters):
    return torch.optim.SGD(parameters, RATE)


tell("epochs ", train(sgd, AveragedModel, EPOCH))
tell("ema    ", train(sgd, lambda model: AveragedModel(model, avg_fn=lambda a, p, n: (
    lambda d: d * a + (1 - d) * p)(min(DECAY, (1 + float(n)) / (10 + float(n)))))))
# mu is 1 / (updates - t0) in the update after: with t0 = BEFORE - 1 the update BEFORE + 1 begins the mean and none is lost
tell("updates", train(lambda parameters: torch.optim.ASGD(parameters, RATE, lambd=0, t0=BEFORE - 1)))
