#!/usr/bin/env python3
"""Files made to harm: what h5py can write that a corpus or a checkpoint never holds. Every command that opens one refuses it,
with the status of its kind and the reason, within 256 MiB.

Starting points are a real corpus and a real checkpoint, copied object by object with h5py: the copies themselves would
pass every check but the digests, so each case must be refused for its own reason, and before its data is read.
"""
import ctypes
import ctypes.util
import os
import resource
import shutil
import struct
import subprocess
import sys

import harness

import h5py

MEMORY = 256 << 20
HUGE = 1 << 40


def peak_of(command):
    """Status, text and peak resident bytes of a command that is given less address space than harm needs."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, env=dict(os.environ, OMP_NUM_THREADS="1"),
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60)))
    with process.stdout:
        text = process.stdout.read()
    _, wait_status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    return process.returncode, text, usage.ru_maxrss << 10


def rewrite(source, target, change):
    """A copy made with h5py in the file format's newest version, and then changed."""
    with h5py.File(source, "r") as old, h5py.File(target, "w", libver="latest") as new:
        for name, value in old.attrs.items():
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)
        for name in old:
            old.copy(name, new)
        change(new)


def replace(path, **options):
    """Another dataset at the place of one: created with `options` for h5py's create_dataset."""
    def change(file):
        attributes = dict(file[path].attrs)
        del file[path]
        dataset = file.create_dataset(path, **options)
        for name, value in attributes.items():
            dataset.attrs[name] = value
    return change


def link_soft(path):
    def change(file):
        file.move(path, path + "-moved")
        file[path] = h5py.SoftLink("/" + path + "-moved")
    return change


def link_external(path, other):
    def change(file):
        del file[path]
        file[path] = h5py.ExternalLink(str(other), "/" + path)
    return change


def store_external(path, other):
    def change(file):
        old = file[path]
        shape, dtype = old.shape, old.dtype
        replace(path, shape=shape, dtype=dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])(file)
    return change


def virtual(path, other):
    def change(file):
        shape, dtype = file[path].shape, file[path].dtype
        layout = h5py.VirtualLayout(shape=shape, dtype=dtype)
        layout[...] = h5py.VirtualSource(str(other), path, shape=shape, dtype=dtype)
        del file[path]
        file.create_virtual_dataset(path, layout)
    return change


def cycle(path):
    def change(file):
        file[path]["again"] = file["/"]
    return change


def missing(path):
    def change(file):
        del file[path]
    return change


def extra(path):
    def change(file):
        file[path] = [1.0, 2.0]
    return change


def of_type(path, dtype):
    def change(file):
        data = file[path][...]
        replace(path, data=data.astype(dtype))(file)
    return change


def edit(path, function):
    """Other values in place: what is left of the digests is the caller's affair."""
    def change(file):
        data = file[path][...]
        function(data)
        file[path][...] = data
    return change


def swap_first(data):
    data[1], data[2] = data[2], data[1]


def last_beyond(data):
    data[-1] = 1 << 50


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(data):
    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_128bits.restype = Hash
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    result = library.XXH3_128bits(data, len(data))
    return f"{result.high:016x}{result.low:016x}"


def attributes_digest(attributes):
    """As src/train/checkpoint_attrs.c says."""
    text = b""
    for name in sorted(attributes):
        value = attributes[name]
        if isinstance(value, (bytes, str)):
            text += name.encode() + b"\0s" + (value if isinstance(value, bytes) else value.encode()) + b"\0"
        elif value.dtype.kind == "f":
            text += name.encode() + b"\0f" + struct.pack("<d", value)
        else:
            text += name.encode() + b"\0i" + struct.pack("<q", value)
    return xxh3_128(text)


def say(group, name, value):
    """Another value of an attribute, and a true digest over all of them: only what it says can be wrong."""
    def change(file):
        attributes = {key: kept for key, kept in file[group].attrs.items() if key != "xxh3_128"}
        if attributes_digest(attributes) != file[group].attrs["xxh3_128"].decode():
            raise RuntimeError("this test does not know how the digest is made")
        attributes[name] = type(attributes[name])(value)
        file[group].attrs.modify(name, attributes[name])
        digest = attributes_digest(attributes).encode()
        file[group].attrs.modify("xxh3_128", digest)
    return change


class Hostile(harness.Case):
    def refused(self, status, reason, commands, name):
        for command in commands:
            with self.subTest(case=name, command=command[0]):
                got, text, peak = peak_of([harness.UNROLL, *map(str, command)])
                if os.environ.get("UNROLL_TEST_SHOW"):
                    print(name, command[0], got, peak >> 20, text.strip(), file=sys.stderr)
                self.assertEqual(got, status, text)
                self.assertRegex(text, reason)
                self.assertLess(peak, MEMORY)

    def test_checkpoints(self):
        run = self.folder / "run"
        trained = harness.run(0, "train", "--corpus", self.corpus, "--run", run, *harness.small(cell="lstm", max_steps=12))
        self.assertStatus(trained, 0)
        good = harness.checkpoints(run)[-2]  # the last is best.h5
        raw = self.folder / "raw.bin"
        raw.write_bytes(bytes(1 << 20))
        weight = "model/rnn.weight_hh_l0"
        cases = {
            "external link": (link_external(weight, good), r"link"),
            "external link to a group": (link_external("model", good), r"link"),
            "soft link": (link_soft(weight), r"link"),
            "external storage": (store_external(weight, raw), r"another file"),
            "virtual dataset": (virtual(weight, good), r"virtual dataset"),
            "filter": (replace(weight, shape=(64, 16), dtype="<f4", chunks=(16, 16), compression="gzip"),
                       r"chunk|filter|contiguous"),
            "huge shape": (replace(weight, shape=(HUGE, 16), dtype="<f4", chunks=(64, 16)), r"chunk|shape|filter|size"),
            "huge contiguous shape": (replace(weight, shape=(HUGE // 64, 64), dtype="<f4"), r"shape|beyond|size|bytes"),
            "another rank": (replace(weight, shape=(4,), dtype="<f4", data=[1, 2, 3, 4]), r"\[4\]\[1\] where"),
            "another type": (of_type(weight, "<f8"), r"float64"),
            "big-endian": (of_type(weight, ">f4"), r"type"),
            "strings of any length": (replace(weight, shape=(2,), dtype=h5py.string_dtype()), r"type|shape"),
            "cycle": (cycle("model"), r"second link"),
            "missing tensor": (missing(weight), r"is missing"),
            "missing group": (missing("progress"), r"is missing"),
            "extra tensor": (extra("model/more"), r"more|unexpected"),
            "vocabulary out of order": (edit("vocab/offsets", swap_first), r"offset|digest|vocab"),
            "vocabulary out of range": (edit("vocab/offsets", last_beyond), r"offset|digest|vocab"),
            "flipped weights": (edit(weight, lambda data: data.__imul__(2)), r"digest"),
            "a factor of 0": (say("progress", "lr_factor", 0.0), r"'lr_factor' is 0, it must be above 0"),
            "a factor below 0": (say("progress", "lr_factor", -0.5), r"'lr_factor' is -0.5"),
            "a factor that is none": (say("progress", "lr_factor", float("nan")), r"'lr_factor' is -?nan"),
            "a count below 0": (say("progress", "stalls", -1), r"'stalls' is -1, it must be 0 or more"),
            "more groups than lanes": (say("progress", "lane_groups", 99), r"'lane_groups' is 99, it must be 13"),
            "dropout of 1": (say("model", "dropout", 1.0), r"--dropout"),
            "no layers": (say("model", "layers", 0), r"--layers"),
        }
        for name, (change, reason) in cases.items():
            bad = self.folder / "bad.h5"
            rewrite(good, bad, change)
            self.refused(76, reason, [("verify", bad), ("inspect", bad), ("sample", "--model", bad, "--length", 3),
                                      ("score", "--model", bad, os.devnull),
                                      ("eval", "--model", bad, "--corpus", self.corpus)], name)
            only = self.folder / "resumed"
            shutil.rmtree(only, ignore_errors=True)
            (only / "checkpoints").mkdir(parents=True)
            for kept in ("config.ini", "metrics.jsonl"):
                shutil.copy(run / kept, only / kept)
            bad.rename(only / "checkpoints" / good.name)
            self.refused(76, reason, [("train", "--corpus", self.corpus, "--run", only, "--resume", "must",
                                       *harness.small(cell="lstm", max_steps=20))], name)

    def test_corpora(self):
        raw = self.folder / "raw.bin"
        raw.write_bytes(bytes(1 << 20))
        tokens = "train/tokens"
        cases = {
            "external link": (link_external(tokens, self.corpus), r"link"),
            "soft link": (link_soft(tokens), r"link"),
            "external storage": (store_external(tokens, raw), r"another file"),
            "virtual dataset": (virtual(tokens, self.corpus), r"virtual dataset"),
            "filter": (replace(tokens, shape=(4096,), dtype="<u2", chunks=(64,), compression="gzip"),
                       r"chunk|filter|contiguous"),
            "huge shape": (replace(tokens, shape=(HUGE,), dtype="<u2"), r"shape|beyond|size|bytes|cut"),
            "another rank": (replace(tokens, shape=(64, 64), dtype="<u2"), r"shape|dimension"),
            "another type": (of_type(tokens, "<i8"), r"type"),
            "cycle": (cycle("train"), r"second link"),
            "missing tokens": (missing(tokens), r"has no dataset"),
            "missing vocabulary": (missing("vocab"), r"has no "),
            "vocabulary out of order": (edit("vocab/offsets", swap_first), r"offset|digest|vocab"),
            "vocabulary out of range": (edit("vocab/offsets", last_beyond), r"offset|digest|vocab"),
            "tokens beyond the vocabulary": (edit(tokens, lambda data: data.fill(65535)), r"token|digest"),
        }
        for name, (change, reason) in cases.items():
            bad = self.folder / "bad.h5"
            rewrite(self.corpus, bad, change)
            shutil.rmtree(self.folder / "never", ignore_errors=True)
            opened = [("inspect", bad)] if not name.startswith("tokens") else []  # `inspect` reads no tokens
            self.refused(65, reason, [("verify", bad), *opened,
                                      ("train", "--corpus", bad, "--run", self.folder / "never",
                                       *harness.small(cell="lstm", max_steps=3))], name)


if __name__ == "__main__":
    harness.main()
