#!/usr/bin/env python3
"""Makes tests/ref/awd.h5: what an AWD-LSTM (Merity, Keskar and Socher 2018, "Regularizing and Optimizing LSTM Language
Models") computes in PyTorch, for tests/unit/test_pytorch_awd.c to match. Cells are written out step by step from their
formulas, regularisers from the paper's: dropout of units, locked for a window or not, of words where they are embedded, of
the state that the recurrent weights read, of these weights; penalties on the top layer's outputs. Masks are drawn by a
plain re-implementation of Philox (philox.py) and of the draws of include/unroll/nn/dropout.h; gradients are PyTorch's.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_awd.py tests/ref/awd.h5

    /CASE             attributes: the members of struct model_config that are not zero, lanes, bptt, seed, step
        weights/NAME  float32
        input, target uint32 [T][B]; target 4294967295 is a position without loss
        loss          float64 [1], the sum over the targets
        penalty       float64 [1], what --ar and --tar add to it
        grad/NAME     float64, of both together
"""
import numpy as np
import torch

import philox
from fixture import IGNORE, draw_weights, put, put_attributes, put_gradients, put_tokens, put_weights, write

V, B, T, SEED, STEP = 13, 3, 7, 2**40 + 17, 5

LSTM = dict(cell="lstm", layers=2, embedding=5, hidden=5, widths="7,5", tied=True)
GRU = dict(cell="gru", layers=2, embedding=5, hidden=4, widths="7,4")
ALL = dict(dropout=0.2, dropout_input=0.3, dropout_hidden=0.25, dropout_output=0.4, dropout_embedding=0.3,
           dropout_state=0.35, weight_drop=0.4, ar=2.0, tar=1.0)

CASES = {
    "widths": LSTM,
    "dropout": dict(LSTM, dropout=0.4),
    "input": dict(LSTM, dropout_input=0.4),
    "hidden": dict(LSTM, dropout_hidden=0.4),
    "output": dict(LSTM, dropout_output=0.4),
    "locked": dict(LSTM, dropout=0.4, dropout_kind="locked"),
    "locked-input": dict(LSTM, dropout_input=0.4, dropout_kind="locked"),
    "locked-hidden": dict(LSTM, dropout_hidden=0.4, dropout_kind="locked"),
    "locked-output": dict(LSTM, dropout_output=0.4, dropout_kind="locked"),
    "embedding": dict(LSTM, dropout_embedding=0.4),
    "state": dict(LSTM, dropout_state=0.4),
    "weight": dict(LSTM, weight_drop=0.4),
    "ar": dict(LSTM, ar=2.0),
    "tar": dict(LSTM, tar=1.0),
    "ar-dropped": dict(LSTM, ar=2.0, tar=1.0, dropout_output=0.4),
    "all": dict(LSTM, layers=3, widths="7,4,5", dropout_kind="locked", **ALL),
    "all-element": dict(LSTM, **ALL),
    "all-reset": dict(LSTM, dropout_kind="locked", reset_token=1, **ALL),
    "gru-embedding": dict(GRU, dropout_embedding=0.4),
    "gru-state": dict(GRU, dropout_state=0.4),
    "gru-weight": dict(GRU, weight_drop=0.4),
    "gru-all": dict(GRU, dropout_kind="locked", **ALL),
    "gru-equal": dict(cell="gru", layers=2, embedding=5, hidden=6, **ALL),
}


# ---- masks ----


def mask(p, what, rows, units, time=0):
    return torch.tensor(philox.keep(p, SEED, what, STEP, rows, units, time), dtype=torch.get_default_dtype())


def mask_of_units(p, locked, site, units):
    """[T][B][units]"""
    return torch.stack([mask(p, philox.DROPOUT + site, B, units, 0 if locked else time) for time in range(T)])


# ---- the model ----


def lstm(x, h, c, w_ih, w_hh, b_ih, b_hh, read):
    """Hochreiter and Schmidhuber (1997) with forget gates; `read` is what W_hh sees of h."""
    i, f, g, o = (x @ w_ih.T + b_ih + read @ w_hh.T + b_hh).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru(x, h, c, w_ih, w_hh, b_ih, b_hh, read):
    """Cho et al. (2014) in cuDNN's form; the last h itself is kept by z, whatever W_hh sees of it."""
    r_x, z_x, n_x = (x @ w_ih.T + b_ih).chunk(3, -1)
    r_h, z_h, n_h = (read @ w_hh.T + b_hh).chunk(3, -1)
    z = torch.sigmoid(z_x + z_h)
    return (1 - z) * torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h) + z * h, c


def run_layer(cell, layer, x, weights, about, fresh):
    """Outputs [T][B][H] of inputs [T][B][.] from a zero state."""
    w_ih, w_hh, b_ih, b_hh = weights
    H = w_hh.shape[1]
    h = c = torch.zeros(B, H)
    state_mask = torch.ones(B, H)
    if about.get("dropout_state"):
        state_mask = mask(about["dropout_state"], philox.DROPPED_STATE + layer, B, H)
    if about.get("weight_drop"):
        w_hh = w_hh * mask(about["weight_drop"], philox.DROPPED_WEIGHT + layer, len(w_hh), H)
    outputs = []
    for t in range(T):
        h, c = h * ~fresh[t][:, None], c * ~fresh[t][:, None]
        h, c = cell(x[t], h, c, w_ih, w_hh, b_ih, b_hh, h * state_mask)
        outputs.append(h)
    return torch.stack(outputs)


def forward(named, about, tokens):
    """The top layer's outputs before and after dropout, and logits."""
    locked, p = about.get("dropout_kind") == "locked", about.get("dropout", 0.0)
    layers = about["layers"]
    fresh = (tokens == about["reset_token"]) if "reset_token" in about else torch.zeros_like(tokens, dtype=torch.bool)
    vectors = named["encoder.weight"]
    if about.get("dropout_embedding"):
        vectors = vectors * mask(about["dropout_embedding"], philox.DROPPED_WORD, 1, V).T
    x = vectors[tokens]
    for site in range(layers + 1):
        place = "input" if site == 0 else "output" if site == layers else "hidden"
        if site > 0:
            weights = [named[f"rnn.{name}_l{site - 1}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            x = h = run_layer(dict(lstm=lstm, gru=gru)[about["cell"]], site - 1, x, weights, about, fresh)
        here = about.get(f"dropout_{place}", p)
        if here:
            x = x * mask_of_units(here, locked, site, x.shape[-1])
    return h, x, x @ named.get("decoder.weight", named["encoder.weight"]).T + named["decoder.bias"], fresh


def penalty_of(h, y, targets, fresh, about):
    """For the sum of losses: each position with a target has its part. Where all have, and the state is never reset, it is
    what Merity et al. add to the mean."""
    ar, tar = about.get("ar", 0.0), about.get("tar", 0.0)
    counts = (targets != IGNORE)[:, :, None]
    later = counts[1:] & ~fresh[1:, :, None]
    own = ar * (y.square() * counts).sum() / y.shape[-1]
    change = tar * ((h[1:] - h[:-1]).square() * later).sum() / h.shape[-1] * T / (T - 1)
    if counts.all() and later.all():
        mean = ar * y.square().mean() + tar * (h[1:] - h[:-1]).square().mean()
        assert torch.allclose(own + change, mean * T * B, rtol=1e-12, atol=0)
    return own + change


def put_case(out, number, name, about):
    torch.manual_seed(900 + number)
    generator = torch.Generator().manual_seed(950 + number)
    gates, E, top = dict(lstm=4, gru=3)[about["cell"]], about["embedding"], about["hidden"]
    widths = [int(width) for width in about.get("widths", "").split(",") if width] or [top] * about["layers"]
    shapes = {"encoder.weight": (V, E)}
    for layer, (H, inputs) in enumerate(zip(widths, [E] + widths)):
        shapes.update({f"rnn.weight_ih_l{layer}": (gates * H, inputs), f"rnn.weight_hh_l{layer}": (gates * H, H),
                       f"rnn.bias_ih_l{layer}": (gates * H,), f"rnn.bias_hh_l{layer}": (gates * H,)})
    shapes["decoder.bias"] = (V,)
    if not about.get("tied"):
        shapes["decoder.weight"] = (V, top)
    named = {key: torch.empty(shape, requires_grad=True) for key, shape in shapes.items()}
    draw_weights(named.values(), 0.5)

    tokens = torch.randint(0, V, (T + 1, B), generator=generator)
    inputs, targets = tokens[:-1], tokens[1:].clone()
    if name.startswith("all"):  # elsewhere all positions count
        targets[2, 1] = targets[T - 1, 0] = IGNORE
    if "reset_token" in about:
        inputs[3, 0] = inputs[5, 2] = inputs[0, 1] = about["reset_token"]
    h, y, logits, fresh = forward(named, about, inputs)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
    penalty = penalty_of(h, y, targets, fresh, about)
    (loss + penalty).backward()

    group = out.create_group(name)
    put_attributes(group, vocab=V, lanes=B, bptt=T, seed=SEED, step=STEP, **about)
    put_weights(group, named)
    put_tokens(group, inputs, targets)
    put(group, "loss", np.array([loss.item()]))
    put(group, "penalty", np.array([penalty.item()]))
    put_gradients(group, named)


def check_cells():
    """The written-out cells against PyTorch's own."""
    for cell, module in ((lstm, torch.nn.LSTMCell(5, 4)), (gru, torch.nn.GRUCell(5, 4))):
        x, h, c = torch.randn(3, 5), torch.randn(3, 4), torch.randn(3, 4)
        own = cell(x, h, c, module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh, h)[0]
        theirs = module(x, (h, c))[0] if cell is lstm else module(x, h)
        assert torch.allclose(own, theirs, rtol=1e-12, atol=1e-14)


def fill(out):
    check_cells()
    for number, (name, about) in enumerate(CASES.items()):
        put_case(out, number, name, about)


if __name__ == "__main__":
    write(fill)
