#!/usr/bin/env python3
"""Event files of tools/tensorboard, read by a reader that shares nothing with it: another way to compute the check sums, and the
wire format decoded here and by protoc where that is installed. Their values are those of metrics.jsonl and timing.jsonl."""
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

UNROLL = os.path.abspath(os.environ.get("UNROLL", "build/unroll"))
TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "tensorboard"
NAME = "events.out.tfevents.unroll"


def crc32c(data):
    """Bit by bit, highest first, on mirrored bytes: the definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= int("{:08b}".format(byte)[::-1], 2) << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x1EDC6F41 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    return int("{:032b}".format(crc ^ 0xFFFFFFFF)[::-1], 2)


def unmask(masked):
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


def records(path, checked=20):
    """Check sums of the first and last ones."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,), (of_length,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<I", data, at + 8)
        body = data[at + 12:at + 12 + length]
        (of_body,) = struct.unpack_from("<I", data, at + 12 + length)
        assert len(body) == length
        if len(found) < checked or at + 2000 > len(data):
            assert unmask(of_length) == crc32c(data[at:at + 8])
            assert unmask(of_body) == crc32c(body)
        at += 16 + length
        found.append(body)
    return found


def fields(data):
    """{number: [value]} of a message."""
    at, found = 0, {}

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        elif key & 7 == 1:
            (value,), at = struct.unpack_from("<d", data, at), at + 8
        elif key & 7 == 5:
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        else:
            length = varint()
            value, at = data[at:at + length], at + length
            assert len(value) == length
        found.setdefault(key >> 3, []).append(value)
    return found


def read(path):
    """[(tag, step, wall time, value field)] behind the first event, which must say the version."""
    events = [fields(body) for body in records(path)]
    assert events[0][3] == [b"brain.Event:2"]
    found = []
    for event in events[1:]:
        value = fields(fields(event[5][0])[1][0])
        found.append((value[1][0].decode(), event[2][0], event[1][0], value))
    return found


def as_float(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class TensorBoard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.here = pathlib.Path(cls.folder.name)
        text = "".join("the rank of line %d waits for %d\n" % (i, i * i % 31) for i in range(150))
        (cls.here / "text.txt").write_text(text)
        (cls.here / "labelled.txt").write_text("".join("%s\t%s\n" % ("odd" if i % 2 else "even", line)
                                                       for i, line in enumerate(text.splitlines())))
        for more in (["--level", "char", "--train", "text.txt", "-o", "char.h5"],
                     ["--level", "word", "--labelled", "--train", "labelled.txt", "-o", "class.h5"]):
            cls.unroll("prepare", "--split", "80,10,10", *more)
        small = ["--layers", "1", "--hidden", "8", "--batch", "4", "--bptt", "10", "--threads", "1", "--log-every", "5"]
        cls.unroll("train", "--corpus", "char.h5", "--run", "runs/char", "--max-steps", "40", "--eval-every", "7", *small)
        cls.unroll("train", "--corpus", "class.h5", "--run", "runs/class", "--task", "classify", "--max-steps", "10",
                   "--eval-every", "5", *small)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def unroll(cls, *words):
        subprocess.run([UNROLL, *words], cwd=cls.here, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def convert(self, *words, status=0):
        done = subprocess.run([sys.executable, str(TOOL), *words], cwd=self.here, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def lines(self, run, name="metrics.jsonl"):
        return [json.loads(line) for line in (self.here / run / name).read_text().splitlines()]

    def copy_of_char(self, name):
        shutil.copytree(str(self.here / "runs" / "char"), str(self.here / name))
        return self.here / name

    def values(self, run, events):
        """Compares all scalars with what the run says."""
        lines, timing = self.lines(run), self.lines(run, "timing.jsonl")
        expected = []
        classifies = "task" in lines[0]
        speed = "speed/texts_per_second" if classifies else "speed/tokens_per_second"
        for line in lines:
            if line["type"] == "train":
                expected += [("train/" + name, line["step"], line[name]) for name in ("loss", "lr", "grad_norm")]
            elif line["type"] == "valid":
                expected += [("valid/" + name, line["step"], line[name])
                             for name in ("loss", "accuracy" if classifies else "perplexity")]
        expected += [(speed, line["step"], line["tokens_per_second"]) for line in timing if line["type"] == "train"]
        found = {(tag, step): value[2][0] for tag, step, _, value in events if 2 in value}
        self.assertGreater(len(expected), 10)
        for tag, step, value in expected:
            self.assertAlmostEqual(found[(tag, step)], as_float(value), delta=1e-6 * abs(value), msg=tag)
        end = lines[-1]
        if "valid_loss" in end:
            self.assertEqual(found[("valid/loss", end["step"])], as_float(end["valid_loss"]))
        self.assertEqual(found[("test/loss", end["step"])], as_float(end["test_loss"]))
        if "best_step" in end:
            self.assertEqual(found[("test/loss", end["best_step"])], as_float(end["best_test_loss"]))
        return found

    def test_check_sums_by_known_vectors(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720, B.4
        self.assertEqual(crc32c(b"\xff" * 32), 0x62A8AB43)

    def test_scalars_are_those_of_the_run(self):
        self.convert("runs/char", "runs/class")
        for run in ("runs/char", "runs/class"):
            self.values(run, read(self.here / run / "tensorboard" / NAME))
        self.convert("runs/char", "runs/class", "-o", "out")
        for name in ("char", "class"):
            mine = self.here / "runs" / name / "tensorboard" / NAME
            self.assertEqual(mine.read_bytes(), (self.here / "out" / name / NAME).read_bytes())
        # a run directory holds a folder more; the run goes on all the same
        self.unroll("train", "--run", "runs/char", "--max-steps", "40")

    def test_options_are_hparams(self):
        self.convert("runs/char", "-o", "hparams")
        tag, step, _, value = read(self.here / "hparams" / "char" / NAME)[0]
        self.assertEqual((tag, step), ("_hparams_/session_start_info", 0))
        plugin = fields(fields(value[9][0])[1][0])
        self.assertEqual(plugin[1], [b"hparams"])
        session = fields(fields(plugin[2][0])[3][0])
        found = {}
        for entry in session[1]:
            pair = fields(entry)
            found[pair[1][0].decode()] = [(number, values[0]) for number, values in fields(pair[2][0]).items()][0]
        self.assertEqual(found["hidden"], (2, 8.0))
        self.assertEqual(found["cell"], (3, b"lstm"))
        self.assertEqual(found["tied"], (4, 0))

    def test_times_are_those_of_the_clock(self):
        """A second for each step from 10:00 UTC; validation lies between two lines of timing.jsonl: the time of the first."""
        run = self.copy_of_char("timed")
        lines = [dict(line, time="2026-11-26T10:00:%02dZ" % line["step"]) if line["type"] in ("start", "train") else line
                 for line in self.lines("timed", "timing.jsonl")]
        (run / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.convert("timed")
        when = {(tag, step): seconds for tag, step, seconds, _ in read(run / "tensorboard" / NAME)}
        begun = 1795687200.0
        self.assertEqual(when[("_hparams_/session_start_info", 0)], begun)
        for step in range(5, 41, 5):
            self.assertEqual(when[("train/loss", step)], begun + step)
        self.assertEqual(when[("valid/loss", 7)], begun + 5)
        self.assertEqual(when[("valid/loss", 35)], begun + 35)

    def test_times_of_runs_of_old_end_when_their_record_was_changed(self):
        run = self.copy_of_char("old")
        lines = self.lines("old", "timing.jsonl")
        for line in lines:
            line.pop("time", None)
            if line["type"] == "train":
                line["seconds"] = 100.0
        (run / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.utime(run / "metrics.jsonl", (1e9, 1e9))
        self.convert("old")
        when = {(tag, step): seconds for tag, step, seconds, _ in read(run / "tensorboard" / NAME)}
        self.assertEqual(when[("train/loss", 40)], 1e9)
        self.assertEqual(when[("train/loss", 5)], 1e9 - 700)
        self.assertEqual(when[("_hparams_/session_start_info", 0)], 1e9 - 800)

    def test_samples_are_text(self):
        run = self.copy_of_char("sampled")
        lines = (run / "metrics.jsonl").read_text().splitlines(True)
        at = next(i for i, line in enumerate(lines) if '"valid"' in line) + 1
        lines.insert(at, json.dumps({"type": "sample", "step": 7, "text": "\u00e4hnlich <b>\n"}) + "\n")
        (run / "metrics.jsonl").write_text("".join(lines))
        self.convert("sampled")
        tag, step, _, value = next(event for event in read(run / "tensorboard" / NAME) if event[0] == "sample")
        tensor = fields(value[8][0])
        self.assertEqual((step, tensor[1], tensor[8]), (7, [7], ["```\n\u00e4hnlich <b>\n```".encode()]))
        self.assertEqual(fields(fields(value[9][0])[1][0])[1], [b"text"])

    def test_a_run_that_grows(self):
        run = self.copy_of_char("growing")
        path = run / "tensorboard" / NAME
        whole = {name: (run / name).read_text().splitlines(True) for name in ("metrics.jsonl", "timing.jsonl")}

        def until(step):
            for name, lines in whole.items():
                (run / name).write_text("".join(line for line in lines if json.loads(line).get("step", 0) <= step
                                                and '"end"' not in line))

        # As this test has written the files anew, their times would be new: of versions that say the time they are not.
        start = json.loads(whole["timing.jsonl"][0])
        whole["timing.jsonl"][0] = json.dumps(dict(start, time="2026-11-26T10:00:00Z")) + "\n"
        until(20)
        self.convert("growing")
        first, inode = path.read_bytes(), os.stat(path).st_ino
        path.write_bytes(first[:-5])  # killed in the middle of the last record
        for name, lines in whole.items():
            (run / name).write_text("".join(lines))
        self.convert("growing")
        self.assertTrue(path.read_bytes().startswith(first))
        self.assertGreater(path.stat().st_size, len(first))
        self.assertEqual(os.stat(path).st_ino, inode)  # a reader that has it open sees what is new
        self.values("growing", read(path))
        until(10)  # as a crash leaves a run that goes back to its checkpoint
        self.convert("growing")
        self.assertNotEqual(os.stat(path).st_ino, inode)
        self.assertTrue(first.startswith(path.read_bytes()))
        for name, lines in whole.items():
            (run / name).write_text("".join(lines))
        self.convert("growing", "--follow", "1000")  # which ends as the run has
        self.assertEqual([entry.name for entry in path.parent.iterdir()], [NAME])

    def test_protoc_reads_the_same(self):
        protoc = shutil.which("protoc")
        if not protoc:
            self.skipTest("no protoc; apt-get install protobuf-compiler")
        (self.here / "event.proto").write_text("""syntax = "proto3";
            message Event { double wall_time = 1; int64 step = 2; oneof what { string file_version = 3; Summary summary = 5; } }
            message Summary { message Value { string tag = 1; float simple_value = 2; } repeated Value value = 1; }\n""")
        self.convert("runs/char", "-o", "protoc")
        path = self.here / "protoc" / "char" / NAME
        bodies, events = records(path), read(path)
        for body, (tag, step, _, value) in list(zip(bodies[1:], events))[1:4]:
            shown = subprocess.run([protoc, "--decode=Event", "event.proto"], input=body, cwd=self.here, check=True,
                                   stdout=subprocess.PIPE).stdout.decode()
            words = shown.split()
            self.assertIn('"%s"' % tag, words)
            self.assertEqual(int(words[words.index("step:") + 1]), step)
            self.assertTrue(math.isclose(float(words[words.index("simple_value:") + 1]), value[2][0], rel_tol=1e-6))

    def test_mistakes(self):
        self.assertIn("cannot open 'none/metrics.jsonl'", self.convert("none", status=66))
        self.assertIn("--follow", self.convert("runs/char", "--follow", "0", status=64))
        (self.here / "file").write_text("")
        self.assertIn("cannot write", self.convert("runs/char", "-o", "file", status=73))


if __name__ == "__main__":
    unittest.main()
