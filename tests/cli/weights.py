#!/usr/bin/env python3
"""What tests/cli/weights.bats needs of Python: a reader and a writer of safetensors that share nothing with src/sys/safetensors.c,
and files made to harm.

  weights.py same M.h5 FILE             FILE (safetensors or text) holds the tensors of M.h5, bit for bit
  weights.py make FILE M.h5 [CHANGE]    safetensors of M.h5's tensors without metadata; CHANGE is Python over `tensors`
  weights.py make-hdf5 FILE M.h5 [CHANGE]
  weights.py make-real FILE M.h5 [CHANGE]  by the package safetensors; 69 if there is none
  weights.py torch FILE M.h5 KIND TEXT     a random PyTorch model of M.h5's vocabulary (characters) in FILE, as lstm, gru or rnn; prints
                                        the log-probability of each line of TEXT as 'score' means it
  weights.py hostile UNROLL M.h5        each of many broken files is refused with 65 in little memory
"""
import json
import os
import struct
import subprocess
import sys

import h5py
import numpy

MEMORY = 128 << 20
DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "uint16": "BF16", "int64": "I64"}  # NumPy has no bfloat16


def tensors_of(path):
    with h5py.File(path, "r") as file:
        return {name: file["model"][name][()] for name in file["model"]}


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length].decode("utf-8"))
    body = data[8 + length:]
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values())
    assert (8 + length) % 8 == 0, "the data are not aligned"
    tensors, covered = {}, 0
    for name, about in header.items():
        begin, end = about["data_offsets"]
        assert about["dtype"] == "F32" and begin == covered
        tensors[name] = numpy.frombuffer(body[begin:end], "<f4").reshape(about["shape"])
        covered = end
    assert covered == len(body)
    return tensors, metadata


def read_text(path):
    tensors = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = iter(file.read().split("\n")[:-1])
    for line in lines:
        if line.startswith("#"):
            continue
        name, *sizes = line.split(" ")
        if name in ("vocabulary", "labels"):
            for _ in range(int(sizes[0])):
                next(lines)
            continue
        shape = [int(size) for size in sizes]
        rows = [next(lines) for _ in range(shape[0] if len(shape) == 2 else 1)]
        tensors[name] = numpy.array([float(x) for row in rows for x in row.split(" ")], "f4").reshape(shape)
    return tensors


def assert_same(expected, found):
    assert list(sorted(expected)) == list(sorted(found)), (sorted(expected), sorted(found))
    for name, values in expected.items():
        assert values.shape == found[name].shape, (name, values.shape, found[name].shape)
        assert values.tobytes() == found[name].tobytes(), name


def same(checkpoint, path):
    with open(path, "rb") as file:
        is_text = file.read(1) == b"#"
    if is_text:
        assert_same(tensors_of(checkpoint), read_text(path))
        return
    tensors, metadata = read_safetensors(path)
    assert_same(tensors_of(checkpoint), tensors)
    assert metadata["format"] == "pt"
    try:
        from safetensors.numpy import load_file
    except ImportError:
        return
    assert_same(tensors_of(checkpoint), load_file(path))


def describe(tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": DTYPES[values.dtype.name], "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    return header, b"".join(values.tobytes() for values in tensors.values())


def pack(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def make(path, checkpoint, change=""):
    tensors = tensors_of(checkpoint)
    exec(change, {"tensors": tensors, "numpy": numpy})
    with open(path, "wb") as file:
        file.write(pack(*describe(tensors)))


def make_hdf5(path, checkpoint, change="", **options):
    tensors = tensors_of(checkpoint)
    exec(change, {"tensors": tensors, "numpy": numpy})
    with h5py.File(path, "w", libver=os.environ.get("LIBVER", "v108")) as file:
        for name, values in tensors.items():
            file[name] = values


def make_real(path, checkpoint, change=""):
    try:
        from safetensors.numpy import save_file
    except ImportError:
        sys.exit(69)
    tensors = tensors_of(checkpoint)
    exec(change, {"tensors": tensors, "numpy": numpy})
    save_file(tensors, path)


def vocabulary_of(path):
    with h5py.File(path, "r") as file:
        text, offsets = file["vocab/bytes"][()].tobytes(), [int(n) for n in file["vocab/offsets"][()]]
    return [text[begin:end].decode() for begin, end in zip(offsets, offsets[1:])]


def make_torch(path, checkpoint, kind, text):
    """Under the names that a beginner's module has, with an output layer without bias, in the precision of the last word."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self, words):
            super().__init__()
            self.embedding = torch.nn.Embedding(words, 7)
            self.rec = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[kind](7, 11, 2)
            self.fc = torch.nn.Linear(11, words, bias=False)

        def forward(self, tokens):
            return torch.log_softmax(self.fc(self.rec(self.embedding(tokens).unsqueeze(1))[0]), -1)

    torch.manual_seed(1)
    words = vocabulary_of(checkpoint)
    model = torch.nn.DataParallel(Model(len(words)))  # its names begin with "module."
    tensors = {name: values.numpy() for name, values in model.state_dict().items()}
    with open(path, "wb") as file:
        file.write(pack(*describe(tensors)))
    torch.save(model.state_dict(), path + ".pt")
    number = {word: i for i, word in enumerate(words)}
    with open(text, encoding="utf-8") as file, torch.no_grad():
        for line in file:
            tokens = torch.tensor([number["\n"]] + [number.get(letter, 0) for letter in line])
            logp = model.module(tokens[:-1])[:, 0].gather(1, tokens[1:, None]).double()
            print(f"{float(logp.sum()):.6f}")


# ---- files made to harm ----

def changed(header, name, **fields):
    new = json.loads(json.dumps(header))
    new[name].update(fields)
    return new


def hostile_files(tensors):
    header, body = describe(tensors)
    whole = pack(header, body)
    name = "encoder.weight"
    begin, end = header[name]["data_offsets"]
    shape = header[name]["shape"]
    text = json.dumps(header).encode()
    yield "empty", b""
    yield "no header", whole[:8]
    yield "header cut", whole[:len(text) // 2]
    yield "data cut", whole[:-4]
    yield "bytes behind", whole + b"\0" * 4
    for length in (0, 1, len(text) - 1, len(text) + 1, len(whole), 1 << 24, (1 << 24) + 1, 1 << 40, 1 << 63, (1 << 64) - 1):
        yield f"header length {length}", struct.pack("<Q", length) + text + body
    yield "not JSON", pack(b"hello, world", body)
    yield "an array", pack(b"[]", body)
    yield "garbage behind the header", pack(text + b" x", body)
    yield "not UTF-8", pack(text.replace(b"encoder", b"enc\xffder"), body)
    yield "a surrogate", pack(text.replace(b"encoder", b"enc\\ud800der"), body)
    yield "a null byte in a name", pack(text.replace(b"encoder", b"enc\\u0000der"), body)
    one = json.dumps({name: header[name]}).encode()[1:-1]
    yield "a tensor twice", pack(text[:-1] + b", " + one + b"}", body)
    yield "a field twice", pack(text.replace(b'"dtype": "F32"', b'"dtype": "F32", "dtype": "F32"', 1), body)
    yield "metadata twice", pack(b'{"__metadata__": {}, "__metadata__": {}, ' + text[1:], body)
    yield "metadata no object", pack(dict(header, __metadata__=[1]), body)
    yield "metadata with a number", pack(dict(header, __metadata__={"a": 1}), body)
    for kind in ("F16", "BF16", "F64", "I32", "U8", "", "F32 ", 7, None):
        yield f"dtype {kind}", pack(changed(header, name, dtype=kind), body)
    for bad in ([], [1], [1, 1, 1], [-1, -4], [1 << 62, 4], [1 << 33, 1 << 33], [shape[0] + 1, shape[1]],
                [shape[0], 1.0], ["4", "4"], None, {}, [[1], 2]):
        yield f"shape {bad}", pack(changed(header, name, shape=bad), body)
    for bad in ([begin, end + 4], [begin + 4, end + 4], [begin - 4, end - 4], [end, begin], [begin], [0, 1 << 62],
                [-(1 << 62), 1 << 62], [0, 1 << 64], [len(body), len(body) + end - begin], [0.0, 4.0], None, ["0", "4"]):
        yield f"offsets {bad}", pack(changed(header, name, data_offsets=bad), body)
    yield "an overlap", pack(changed(header, "decoder.bias",
                                     data_offsets=[begin, begin + header["decoder.bias"]["data_offsets"][1]
                                                   - header["decoder.bias"]["data_offsets"][0]]), body)
    yield "one more field", pack(changed(header, name, more=1), body)
    yield "a long name", pack({"x" * 5000: header[name]}, body)
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [len(body), len(body)]}
    yield "300 tensors", pack(dict(header, **{f"t{i}": nothing for i in range(300)}), body)
    yield "many values", pack(b'{"a": [' + b"0," * (7 << 20) + b"0]}", body)
    yield "deep", pack(b'{"a": ' + b"[" * (1 << 20) + b"]" * (1 << 20) + b"}", body)
    yield "deep objects", pack(b'{"a": ' * 100000 + b"1" + b"}" * 100000, body)
    yield "a long number", pack(b'{"a": ' + b"9" * (1 << 20) + b"}", body)
    yield "a long text", pack(b'{"__metadata__": {"a": "' + b"x" * (15 << 20) + b'}', body)
    yield "not finite", pack(header, body[:begin] + struct.pack("<f", float("nan")) + body[begin + 4:])
    vocabulary = {"format": "pt", "level": "char", "vocabulary": "<unk>\n" + "\n".join("abc")}
    yield "too small a vocabulary", pack(dict(header, __metadata__=vocabulary), body)
    for text in ("<unk>\na\na", "<unk>\n\\q", "<unk>\na\tmany", "<unk>\nab", "<unk>\n\n\n", "<unk>\n" * 5, ""):
        metadata = dict(vocabulary, vocabulary=text)
        yield f"vocabulary {text!r}", pack(dict(header, __metadata__=metadata), body)
    for text in ("one\t1\none\t2", "one", "\t1", "one\t1\ntwo\t1", "", "\n\n"):
        yield f"labels {text!r}", pack(dict(header, __metadata__={"task": "classify", "pool": "last", "labels": text}), body)
    yield "a huge vocabulary", pack(dict(header, __metadata__=dict(vocabulary, vocabulary="\n" * (4 << 20))), body)


def peak_of(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    with process.stdout:
        text = process.stdout.read()
    _, wait_status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    return process.returncode, text, usage.ru_maxrss << 10


def hostile(unroll, checkpoint):
    tensors = tensors_of(checkpoint)
    worst, failed = 0, 0
    for name, content in hostile_files(tensors):
        with open("hostile.safetensors", "wb") as file:
            file.write(content)
        del content  # a child's peak begins with its parent's memory
        vocab = [] if "vocabulary" in name else ["--vocab-from", checkpoint]
        status, text, peak = peak_of([unroll, "import", "hostile.safetensors", "-o", "hostile.h5", *vocab])
        worst = max(worst, peak)
        small = peak < MEMORY or "UNROLL_TEST_SHORT" in os.environ  # sanitizers need memory of their own
        good = (status == 65 and text.count("\n") == 1 and "hostile.safetensors" in text and small
                and not os.path.exists("hostile.h5") and not os.path.exists("hostile.h5.tmp"))
        if not good:
            failed += 1
            print(f"{name}: status {status}, peak {peak >> 20} MiB: {text[:500]}")
    print(f"peak of all {worst >> 20} MiB")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    verb = {"same": same, "make": make, "make-hdf5": make_hdf5, "make-real": make_real, "torch": make_torch, "hostile": hostile}[sys.argv[1]]
    verb(*sys.argv[2:])
