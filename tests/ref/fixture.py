"""What the scripts of this folder share: how a fixture file is written that tests/support/fixture.h reads."""
import sys

import h5py
import numpy as np
import torch

IGNORE = -100  # of a target in PyTorch: a position without loss
NO_TARGET = np.uint32(0xFFFFFFFF)  # the same in a file


def put(group, name, values):
    group.create_dataset(name, data=values, track_times=False)


def put_attributes(group, **attributes):
    """int64, float64 and UTF-8 texts of a fixed length."""
    for name, value in attributes.items():
        if isinstance(value, str):
            data = value.encode()
            group.attrs.create(name, np.array(data, dtype=h5py.string_dtype("utf-8", len(data))))
        else:
            group.attrs[name] = np.float64(value) if isinstance(value, float) else np.int64(value)


def put_tokens(group, inputs, targets):
    """Tensors [T][B]."""
    put(group, "input", inputs.numpy().astype(np.uint32))
    put(group, "target", np.where(targets.numpy() == IGNORE, NO_TARGET, targets.numpy()).astype(np.uint32))


def draw_weights(parameters, scale):
    """Normal numbers that float32 holds exactly."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(parameter.normal_(0, scale).float().double())


def put_weights(group, named):
    for name, parameter in named.items():
        put(group, f"weights/{name}", parameter.detach().numpy().astype(np.float32))


def put_gradients(group, named, folder="grad"):
    for name, parameter in named.items():
        put(group, f"{folder}/{name}", parameter.grad.numpy())


def write(fill):
    """Calls fill(file) on the new file that the command line names; all is computed in double precision."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0].split('/')[-1]} FIXTURES.h5")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.double)
    with h5py.File(sys.argv[1], "w", libver="v108") as out:  # the format whose metadata carry checksums
        fill(out)
