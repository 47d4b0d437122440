#!/usr/bin/env python3
"""Makes tests/ref/cells.h5: the cells that PyTorch lacks, written in it from the papers' formulas, for
tests/unit/test_pytorch_cells.c to match: loss, every gradient, the states that are carried.

Run by hand (Debian: python3-torch, python3-h5py), never by the build or the tests:

    python3 tests/ref/make_cells.py tests/ref/cells.h5

    /CASE             attributes: the model's stored fields, lanes, bptt
        weights/NAME  float32
        window0 ...   consecutive windows, the first from a zero state, the others with the carried state as a constant;
                      one of a classifier
            input, target  uint32 [T][B]; target 4294967295 is a position without loss
            loss           float64 [1], the sum over the targets
            grad/NAME      float64, of that sum
            state/h_l0 ... float64 [B][width], after the window

The QRNN multiplies inputs side by side, [x_t, x_(t-1)], as the paper's convolution does, and PyTorch differentiates; Unroll
adds two projections. Before the first row of a window stands the carried projection p. A sentence that begins inside
a window has no row before it.
"""
import torch

from fixture import IGNORE, draw_weights, put, put_attributes, put_gradients, put_tokens, put_weights, write

V, B, T, WINDOWS, EOS = 15, 3, 7, 2, 4
LABELS, TEXTS = 4, (5, 7, 1)  # of classifiers; tokens of each lane's text

CASES = [  # name, cell, embedding, widths, more attributes
    ("qrnn", "qrnn", 9, (11, 11), {}),
    ("qrnn-tied", "qrnn", 10, (10, 10), {"tied": True}),
    ("qrnn-eos", "qrnn", 9, (11, 11), {"reset_token": EOS}),
    ("qrnn-widths", "qrnn", 8, (35, 13, 8), {"tied": True, "reset_token": EOS}),
    ("sru", "sru", 9, (11, 11), {}),
    ("sru-tied", "sru", 10, (10, 10), {"tied": True}),
    ("sru-eos", "sru", 9, (11, 11), {"reset_token": EOS}),
    ("sru-widths", "sru", 8, (35, 13, 8), {"tied": True, "reset_token": EOS}),
] + [(f"{cell}-classify-{pool}", cell, 5, (7, 7), {"labels": LABELS, "pool": pool})
     for cell in ("qrnn", "sru") for pool in ("last", "mean", "max")] + [
    ("mogrifier", "mogrifier", 9, (11, 11), {"mogrify": 5, "mogrify_rank": 4}),
    ("mogrifier-tied", "mogrifier", 10, (10, 10), {"mogrify": 2, "tied": True}),
    ("mogrifier-one-eos", "mogrifier", 9, (11, 11), {"mogrify": 1, "reset_token": EOS}),
    ("mogrifier-eos", "mogrifier", 9, (11, 11), {"mogrify": 4, "mogrify_rank": 3, "reset_token": EOS}),
    ("mogrifier-widths", "mogrifier", 8, (12, 9, 8), {"mogrify": 3, "mogrify_rank": 7, "tied": True, "reset_token": EOS}),
    ("mogrifier-classify-last", "mogrifier", 5, (7, 7), {"mogrify": 5, "labels": LABELS, "pool": "last"})]


def qrnn(x, p, layer, state, fresh):
    """Bradbury et al. (2017), equations 2 to 4, filters two wide in the first layer; outputs and the state after them."""
    weight, bias = p[f"rnn.weight_ih_l{layer}"], p[f"rnn.bias_ih_l{layer}"]
    H, outputs, c, before = len(bias) // 3, [], state["c"], torch.zeros_like(x[0])
    for t in range(len(x)):
        c = c * ~fresh[t]
        gates = x[t] @ weight[:3 * H].T + bias
        if layer == 0:
            filters = torch.cat([weight[:3 * H], weight[3 * H:]], 1)
            gates = torch.cat([x[t], before * ~fresh[t]], 1) @ filters.T + bias
            if t == 0:
                gates = gates + state["p"] * ~fresh[t]
        z, f, o = torch.tanh(gates[:, :H]), torch.sigmoid(gates[:, H:2 * H]), torch.sigmoid(gates[:, 2 * H:])
        c = f * c + (1 - f) * z
        outputs.append(o * c)
        before = x[t]
    after = {"h": outputs[-1], "c": c}
    if layer == 0:
        after["p"] = before @ weight[3 * H:].T
    return torch.stack(outputs), after


def sru(x, p, layer, state, fresh):
    """Lei et al. (2018), equations 1 to 4, with a projection of the highway's input."""
    weight, bias = p[f"rnn.weight_ih_l{layer}"], p[f"rnn.bias_ih_l{layer}"]
    v_f, v_r = p[f"rnn.weight_c_l{layer}"].chunk(2)
    outputs, c = [], state["c"]
    for t in range(len(x)):
        c = c * ~fresh[t]
        u, f, r, highway = (x[t] @ weight.T + bias).chunk(4, 1)
        f, r = torch.sigmoid(f + v_f * c), torch.sigmoid(r + v_r * c)
        c = f * c + (1 - f) * u
        outputs.append(r * c + (1 - r) * highway)
    return torch.stack(outputs), {"h": outputs[-1], "c": c}


def mogrifier(x, p, layer, state, fresh):
    """Melis, Kocisky and Blunsom (2020), equations 1 and 2, then an LSTM's step."""
    w_ih, w_hh = p[f"rnn.weight_ih_l{layer}"], p[f"rnn.weight_hh_l{layer}"]
    bias, rounds = p[f"rnn.bias_ih_l{layer}"] + p[f"rnn.bias_hh_l{layer}"], []
    for i in range(1, 20):
        name = f"rnn.mogrify_{'q' if i % 2 else 'r'}{i}"
        if f"{name}_left_l{layer}" in p:
            rounds.append(p[f"{name}_left_l{layer}"] @ p[f"{name}_right_l{layer}"])
        elif f"{name}_l{layer}" in p:
            rounds.append(p[f"{name}_l{layer}"])
    outputs, h, c = [], state["h"], state["c"]
    for t in range(len(x)):
        h, c, xi = h * ~fresh[t], c * ~fresh[t], x[t]
        for i, matrix in enumerate(rounds, 1):
            if i % 2:
                xi = 2 * torch.sigmoid(h @ matrix.T) * xi
            else:
                h = 2 * torch.sigmoid(xi @ matrix.T) * h
        i, f, g, o = (xi @ w_ih.T + h @ w_hh.T + bias).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), {"h": h, "c": c}


def add_rounds(shapes, layer, inputs, H, mogrify, rank):
    for i in range(1, mogrify + 1):
        rows, columns = (inputs, H) if i % 2 else (H, inputs)
        name = f"rnn.mogrify_{'q' if i % 2 else 'r'}{i}"
        if rank:
            shapes[f"{name}_left_l{layer}"], shapes[f"{name}_right_l{layer}"] = (rows, rank), (rank, columns)
        else:
            shapes[f"{name}_l{layer}"] = (rows, columns)


def parameters(cell, embedding, widths, tied, labels, mogrify, rank):
    shapes = {"encoder.weight": (V, embedding)}
    for layer, (inputs, H) in enumerate(zip((embedding, *widths), widths)):
        blocks = {"qrnn": 3 if layer else 6, "sru": 4, "mogrifier": 4}[cell]
        shapes[f"rnn.weight_ih_l{layer}"] = (blocks * H, inputs)
        shapes[f"rnn.bias_ih_l{layer}"] = ((3 if cell == "qrnn" else 4) * H,)
        if cell == "sru":
            shapes[f"rnn.weight_c_l{layer}"] = (2 * H,)
        if cell == "mogrifier":
            shapes[f"rnn.weight_hh_l{layer}"], shapes[f"rnn.bias_hh_l{layer}"] = (4 * H, H), (4 * H,)
            add_rounds(shapes, layer, inputs, H, mogrify, rank)
    shapes["decoder.weight"], shapes["decoder.bias"] = (labels or V, widths[-1]), (labels or V,)
    named = {name: torch.nn.Parameter(torch.empty(shape)) for name, shape in shapes.items() if not (tied and name == "decoder.weight")}
    draw_weights(named.values(), 0.35)
    return named


def run(cell, widths, p, inputs, states, reset_token):
    """The top layer's outputs, and the states after the window."""
    x, after = p["encoder.weight"][inputs], []
    fresh = (inputs == reset_token).unsqueeze(-1) if reset_token else torch.zeros(*inputs.shape, 1, dtype=torch.bool)
    for layer in range(len(widths)):
        x, state = {"qrnn": qrnn, "sru": sru, "mogrifier": mogrifier}[cell](x, p, layer, states[layer], fresh)
        after.append({letter: part.detach() for letter, part in state.items()})
    return x, after


def put_case(out, number, name, cell, embedding, widths, more):
    torch.manual_seed(900 + number)
    generator = torch.Generator().manual_seed(950 + number)
    labels, group = more.get("labels", 0), out.create_group(name)
    layers = {"widths": ",".join(map(str, widths))} if len(set(widths)) > 1 else {}
    put_attributes(group, cell=cell, layers=len(widths), embedding=embedding, hidden=widths[-1], vocab=V, lanes=B, bptt=T, **layers, **more)
    p = parameters(cell, embedding, widths, more.get("tied", False), labels, more.get("mogrify", 0), more.get("mogrify_rank", 0))
    put_weights(group, p)
    states = [{"h": torch.zeros(B, H), "c": torch.zeros(B, H), "p": torch.zeros(B, 3 * H)} for H in widths]
    stream = torch.randint(0, V, (WINDOWS * T + 1, B), generator=generator)
    stream[T + 2, 1] = stream[T, 0] = EOS  # inside a window, and at its beginning
    for window in range(1 if labels else WINDOWS):
        inputs, targets = stream[window * T:window * T + T], stream[window * T + 1:window * T + T + 1].clone()
        targets[T - 1, 0] = targets[T // 2, B - 1] = IGNORE
        outputs, states = run(cell, widths, p, inputs, states, more.get("reset_token", 0))
        if labels:
            targets = torch.full((T, B), IGNORE)
            for lane, length in enumerate(TEXTS):
                targets[length - 1, lane] = torch.randint(0, LABELS, (), generator=generator)
            texts = [outputs[:length, lane] for lane, length in enumerate(TEXTS)]
            pool = {"last": lambda h: h[-1], "mean": lambda h: h.mean(0), "max": lambda h: h.max(0).values}[more["pool"]]
            outputs = torch.stack([pool(text) for text in texts])
        logits = outputs @ p.get("decoder.weight", p["encoder.weight"]).T + p["decoder.bias"]
        goals = targets.T[targets.T != IGNORE] if labels else targets.reshape(-1)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), goals, ignore_index=IGNORE, reduction="sum")
        for parameter in p.values():
            parameter.grad = None
        loss.backward()
        part = group.create_group(f"window{window}")
        put_tokens(part, inputs, targets)
        put(part, "loss", loss.detach().numpy().reshape(1))
        put_gradients(part, p)
        for layer, state in enumerate(states if not labels else []):
            for letter, values in state.items():
                put(part, f"state/{letter}_l{layer}", values.numpy())


def fill(out):
    put_attributes(out, format="unroll-fixtures", made_with=f"PyTorch {torch.__version__}")
    for number, case in enumerate(CASES):
        put_case(out, number, *case)


if __name__ == "__main__":
    write(fill)
