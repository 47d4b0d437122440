"""Reads the files of `unroll gradflow` (the gradient by lag) and `unroll plan --json` (predicted speed)."""

import csv
import json
import os
import re

from tool import Mistake, as_text, import_h5py, warn


def read_gradflow(path):
    """{(cell, layer, quantity): [(lag, norm)]} of a file of `unroll gradflow`, CSV or HDF5."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise Mistake(66, "cannot open '%s': %s; make it with 'unroll gradflow'" % (path, error.strerror))
    curves = _gradflow_hdf5(path) if start == b"\x89HDF\r\n\x1a\n" else _gradflow_csv(path)
    if not curves:
        raise Mistake(65, "'%s' holds no gradient norms; it must be a file of 'unroll gradflow'" % path)
    return curves


def read_prediction(path):
    """[(ranks, tokens per second)] of strong scaling in a file of `unroll plan --nodes N --json`."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["prediction"]["strong"]
        return [(int(row["ranks"]), float(row["tokens_per_second"])) for row in rows]
    except OSError as error:
        raise Mistake(66, "cannot open '%s': %s; make it with 'unroll plan --nodes N --json FILE'" % (path, error.strerror))
    except (ValueError, KeyError, TypeError):
        raise Mistake(65, "'%s' holds no prediction; it must be a file of 'unroll plan --nodes N --json FILE'" % path)


def _gradflow_csv(path):
    curves, bad = {}, 0
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["cell", "layer", "quantity", "lag", "norm"]:
            raise Mistake(65, "'%s' is no table of 'unroll gradflow': its first line must be 'cell,layer,quantity,lag,norm'"
                          % path)
        for row in rows:
            try:
                cell, layer, quantity, lag, norm = row
                curves.setdefault((cell, int(layer), quantity), []).append((int(lag), float(norm)))
            except ValueError:
                bad += 1
    if bad:
        warn("%d lines of '%s' are no gradient norms; left out" % (bad, path))
    return curves


def _gradflow_hdf5(path):
    h5py = import_h5py()
    if h5py is None:
        raise Mistake(69, "cannot read '%s' without h5py; install python3-h5py, or use --csv of 'unroll gradflow'" % path)
    curves = {}
    try:
        with h5py.File(path, "r") as file:
            if as_text(file.attrs.get("format", "")) != "unroll-gradflow":
                raise Mistake(65, "'%s' is no file of 'unroll gradflow'; use its --csv or --hdf5 output" % path)
            for cell in file:
                for name in file[cell]:
                    match = re.match(r"([hc])_l(\d+)$", name)
                    if match:
                        curves[(cell, int(match.group(2)), match.group(1))] = list(enumerate(map(float, file[cell][name])))
    except (OSError, ValueError, TypeError) as error:
        raise Mistake(65, "cannot read '%s': %s" % (path, error))
    return curves


def is_gradflow(path):
    """Whether a file is one of `unroll gradflow`, by its beginning."""
    if path.endswith(".csv"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.readline().strip() == "cell,layer,quantity,lag,norm"
        except OSError:
            return False
    h5py = import_h5py()
    if h5py is None:
        return False
    try:
        with h5py.File(path, "r") as file:
            return as_text(file.attrs.get("format", "")) == "unroll-gradflow"
    except OSError:
        return False


def gradflow_files(run):
    """Files of `unroll gradflow` in a run's folder: CSV, and HDF5 where there is no CSV of the same name."""
    found = []
    for name in sorted(os.listdir(run.path)):
        path = os.path.join(run.path, name)
        stem, kind = os.path.splitext(path)
        twice = kind == ".h5" and stem + ".csv" in found
        if kind in (".csv", ".h5") and name not in ("best.h5", "latest") and not twice \
                and os.path.isfile(path) and is_gradflow(path):
            found.append(path)
    return found
