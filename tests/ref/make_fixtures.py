#!/usr/bin/env python3
"""Makes tests/ref/fixtures.h5: what PyTorch computes for small models, for tests/unit/test_pytorch.c to match.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_fixtures.py tests/ref/fixtures.h5

Everything is computed in double precision from weights that float32 holds exactly. One group per case:

    /CASE                     attributes cell, layers, embedding, hidden, vocab, tied, lanes, bptt
    /CASE/weights/NAME        float32, under the names of PyTorch's word_language_model example
    /CASE/window0, window1    two consecutive windows from a zero state, the second with the carried state
        input, target         uint32 [T][B]; target 4294967295 is a position without loss
        loss                  float64 [1], the mean over the targets
        grad/NAME             float64, of that mean
        state/h_l0 ...        float64 [B][H], after the window
    /CASE/OPTIMIZER           attributes steps, lr, clip and the optimizer's own settings; state carried all along
        input, target         uint32 [steps * T][B]
        loss                  float64 [steps], the mean before each update
        norm                  float64 [steps], the gradient's norm before clipping
        final/NAME            float64, the parameters after the last update

    /classify-CELL-POOL       a classifier of texts: attributes cell, pool, layers, embedding, hidden, vocab, labels, lanes, bptt
        weights/NAME          float32
        input, target         uint32 [T][B]; each lane begins with its text, whose last token has the label as target
        loss                  float64 [1], the mean over the texts
        probability           float64 [B][labels]
        grad/NAME             float64, of that mean

Names with a tied second copy (decoder.weight) are stored once, as encoder.weight.
"""
import pathlib
import sys

import numpy as np
import torch

from fixture import IGNORE, draw_weights, put, put_attributes, put_gradients, put_tokens, put_weights, write

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import unroll_torch  # MinGRU is no module of PyTorch's

CASES = {  # name: (cell, layers, embedding, hidden, tied)
    "rnn-tanh": ("rnn-tanh", 2, 9, 11, False),
    "rnn-relu": ("rnn-relu", 2, 9, 11, False),
    "lstm": ("lstm", 2, 9, 11, False),
    "gru": ("gru", 2, 9, 11, False),
    "lstm-tied": ("lstm", 2, 10, 10, True),
    "mingru": ("mingru", 2, 9, 11, False),
}
V, B, T = 20, 3, 7
LABELS, TEXTS = 4, (5, 7, 1)  # of the classifiers; tokens of each lane's text

ADAM = ("adam", 10, dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0), torch.optim.Adam)
OTHERS = [
    ("sgd", 3, dict(lr=0.5, momentum=0.0, weight_decay=0.01), torch.optim.SGD),
    ("momentum", 3, dict(lr=0.1, momentum=0.9, weight_decay=0.0), torch.optim.SGD),
    ("adagrad", 3, dict(lr=0.05, eps=1e-10, weight_decay=0.0), torch.optim.Adagrad),
    ("rmsprop", 3, dict(lr=0.005, alpha=0.99, eps=1e-8, weight_decay=0.001), torch.optim.RMSprop),
    ("adamw", 3, dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1), torch.optim.AdamW),
]
CLIP = 0.3  # below the norms of most steps, above some


class Model(torch.nn.Module):
    """PyTorch's word_language_model without dropout."""

    def __init__(self, cell, layers, embedding, hidden, tied):
        super().__init__()
        self.encoder = torch.nn.Embedding(V, embedding)
        if cell == "lstm":
            self.rnn = torch.nn.LSTM(embedding, hidden, layers)
        elif cell == "gru":
            self.rnn = torch.nn.GRU(embedding, hidden, layers)
        elif cell == "mingru":
            self.rnn = unroll_torch.MinGRU(embedding, hidden, layers)
        else:
            self.rnn = torch.nn.RNN(embedding, hidden, layers, nonlinearity=cell.split("-")[1])
        self.decoder = torch.nn.Linear(hidden, V)
        if tied:
            self.decoder.weight = self.encoder.weight
        self.double()
        scale = 0.2 if cell == "rnn-relu" else 0.35  # the state of rnn-relu would grow from window to window with more
        draw_weights(self.parameters(), scale)

    def forward(self, tokens, state):
        output, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(output), state


def mean_loss(model, tokens, targets, state):
    logits, state = model(tokens, state)
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), ignore_index=IGNORE)
    return loss, state


def detached(state):
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def draw(generator, steps):
    """Inputs and targets [steps][B]: a stream of tokens and the same stream one later, a few positions without loss."""
    stream = torch.randint(0, V, (steps + 1, B), generator=generator)
    inputs, targets = stream[:-1], stream[1:].clone()
    targets[steps - 1, 0] = IGNORE
    targets[steps // 2, B - 1] = IGNORE
    return inputs, targets


def put_state(group, state):
    parts = dict(zip("hc", state)) if isinstance(state, tuple) else {"h": state}
    for letter, part in parts.items():
        for layer in range(part.shape[0]):
            put(group, f"state/{letter}_l{layer}", part[layer].detach().numpy())


def put_windows(group, model, generator):
    inputs, targets = draw(generator, 2 * T)
    state = None
    for index in range(2):
        window = group.create_group(f"window{index}")
        part = slice(index * T, (index + 1) * T)
        model.zero_grad()
        loss, state = mean_loss(model, inputs[part], targets[part], state)
        loss.backward()
        state = detached(state)
        put_tokens(window, inputs[part], targets[part])
        put(window, "loss", np.array([loss.item()]))
        put_gradients(window, dict(model.named_parameters()))
        put_state(window, state)


def put_training(group, model, generator, name, steps, settings, kind):
    """Trains a copy of the model."""
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = kind(model.parameters(), **settings)
    inputs, targets = draw(generator, steps * T)
    run = group.create_group(name)
    losses, norms, state = [], [], None
    for step in range(steps):
        part = slice(step * T, (step + 1) * T)
        optimizer.zero_grad()
        loss, state = mean_loss(model, inputs[part], targets[part], state)
        loss.backward()
        state = detached(state)
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        optimizer.step()
    put_tokens(run, inputs, targets)
    put(run, "loss", np.array(losses))
    put(run, "norm", np.array(norms))
    for key, parameter in model.named_parameters():
        put(run, f"final/{key}", parameter.detach().numpy())
    run.attrs["steps"] = np.int64(steps)
    run.attrs["clip"] = CLIP
    for key, value in settings.items():
        if key == "betas":
            run.attrs["beta1"], run.attrs["beta2"] = value
        else:
            run.attrs[{"eps": "epsilon"}.get(key, key)] = float(value)
    model.load_state_dict(weights)


class Classifier(torch.nn.Module):
    """Embedding, recurrent layers, and a linear layer on what is pooled from the outputs of each text."""

    def __init__(self, cell, pool):
        super().__init__()
        self.lm = Model(cell, 2, 9, 11, False)
        self.decoder = torch.nn.Linear(11, LABELS).double()
        draw_weights(self.decoder.parameters(), 0.5)
        self.pool = pool

    def named(self):
        """Parameters under the names of a checkpoint."""
        yield "encoder.weight", self.lm.encoder.weight
        for name, parameter in self.lm.rnn.named_parameters():
            yield f"rnn.{name}", parameter
        yield "decoder.weight", self.decoder.weight
        yield "decoder.bias", self.decoder.bias

    def forward(self, tokens, lengths):
        output = self.lm.rnn(self.lm.encoder(tokens))[0]
        texts = [output[:length, lane] for lane, length in enumerate(lengths)]
        pooled = {"last": lambda h: h[-1], "mean": lambda h: h.mean(0), "max": lambda h: h.max(0).values}[self.pool]
        return self.decoder(torch.stack([pooled(text) for text in texts]))


def put_classifier(out, cell, pool, seed):
    torch.manual_seed(300 + seed)
    generator = torch.Generator().manual_seed(400 + seed)
    model = Classifier(cell, pool)
    group = out.create_group(f"classify-{cell}-{pool}")
    put_attributes(group, cell=cell, pool=pool, layers=2, embedding=9, hidden=11, vocab=V, labels=LABELS,
                   lanes=B, bptt=T)
    put_weights(group, dict(model.named()))
    inputs = torch.randint(0, V, (T, B), generator=generator)
    labels = torch.randint(0, LABELS, (B,), generator=generator)
    targets = torch.full((T, B), IGNORE)
    for lane, length in enumerate(TEXTS):
        targets[length - 1, lane] = labels[lane]
    logits = model(inputs, TEXTS)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    put_tokens(group, inputs, targets)
    put(group, "loss", np.array([loss.item()]))
    put(group, "probability", torch.softmax(logits, 1).detach().numpy())
    put_gradients(group, dict(model.named()))


def fill(out):
    put_attributes(out, format="unroll-fixtures", made_with=f"PyTorch {torch.__version__}")
    for number, (name, (cell, layers, embedding, hidden, tied)) in enumerate(CASES.items()):
        torch.manual_seed(100 + number)
        generator = torch.Generator().manual_seed(200 + number)
        model = Model(cell, layers, embedding, hidden, tied)
        group = out.create_group(name)
        put_attributes(group, cell=cell, layers=layers, embedding=embedding, hidden=hidden, vocab=V, tied=tied, lanes=B,
                       bptt=T)
        put_weights(group, dict(model.named_parameters()))
        put_windows(group, model, generator)
        for training in [ADAM] + (OTHERS if name == "lstm" else []):
            put_training(group, model, generator, *training)
    for number, (cell, pool) in enumerate((cell, pool) for cell in ("lstm", "gru", "mingru") for pool in ("last", "mean", "max")):
        put_classifier(out, cell, pool, number)


if __name__ == "__main__":
    write(fill)
