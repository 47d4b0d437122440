"""The frame of every tool: its command line, how it fails, names of files as people see them, the files that it writes,
and the programs that it needs."""

import argparse
import codecs
import contextlib
import errno
import os
import re
import stat
import subprocess
import sys


class Arguments(argparse.ArgumentParser):
    """A command line whose mistakes end with 64, as the program's do, and whose help keeps its lines."""

    def __init__(self, description, example):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
                         epilog="example: " + example)

    def error(self, message):
        raise Mistake(64, "%s; see '%s --help'" % (message, self.prog))


class Mistake(Exception):
    """An error that the user can fix: an exit status, and a message that names cause, object and fix."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


# --- names of files are any bytes; Python turns those that are not UTF-8 into surrogates ---

def _escaped(letter):
    code = ord(letter)
    return "\\x%02x" % (code & 0xFF) if code < 0x100 or 0xDC80 <= code <= 0xDCFF else "\\u%04x" % code


def printable(text):
    """A text that can be printed anywhere: bytes that are not UTF-8, and control characters, become \\xff."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", lambda match: _escaped(match.group(0)), text)


def shown(name):
    """A name of a file as 'unroll runs' shows it, in one line."""
    named = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return printable("".join(named.get(letter, letter) for letter in name))


def _encode_shown(error):
    return "".join(map(_escaped, error.object[error.start:error.end])), error.end


codecs.register_error("shown", _encode_shown)
for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="shown")


def warn(message):
    print("unroll: warning: " + printable(message), file=sys.stderr)


def run_main(main):
    """Runs a tool; a Mistake becomes its message and exit status."""
    try:
        main()
    except Mistake as mistake:
        print("unroll: " + printable(str(mistake)), file=sys.stderr)
        sys.exit(mistake.status)
    except BrokenPipeError:
        sys.exit(74)


def default_program():
    """The `unroll` that a tool calls: the one that UNROLL names, else the one built or installed with the tool, else
    that in PATH."""
    here = os.path.dirname(os.path.abspath(__file__))
    beside = [os.path.normpath(os.path.join(here, *way)) for way in (("..", "..", "build", "unroll"), ("..", "..", "..", "bin", "unroll"))]
    return os.environ.get("UNROLL") or next(filter(os.path.exists, beside), "unroll")


# Files of a run directory, and of an experiment's folder: a page or a picture may lie beside them.
OWN = re.compile(r"(^|/)(checkpoints/.*|latest|lock|[^/]*\.(json|jsonl|ini|h5|log))$")


def refuse_input(output, inputs):
    """A Mistake if the file to write, or its temporary name, is one of the files that the tool reads (by any name or
    link), or belongs to a run directory among them. Every tool that writes a file calls this first."""
    for name in [] if output == "-" else [output, output + ".tmp"]:
        for path in filter(None, inputs):
            there = os.path.isfile(name) and os.path.isfile(path)
            if os.path.realpath(name) == os.path.realpath(path) or (there and os.path.samefile(name, path)):
                raise Mistake(73, "cannot create '%s': it is '%s', which the command reads; choose another name" % (name, path))
            inside = os.path.relpath(os.path.realpath(name), os.path.realpath(path))
            if os.path.isdir(path) and not inside.startswith("..") and OWN.search(inside):
                raise Mistake(73, "cannot create '%s': it is one of the files of '%s', which the command reads; choose another "
                                  "name" % (name, path))


def make_folder(path):
    """Makes the folder for a tool that writes several files."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise Mistake(73, "cannot make '%s': %s; name another folder with -o" % (path, error.strerror))


def write_text(path, text):
    """Writes the whole file or none: a temporary name, then a rename. "-" is standard output. Call refuse_input
    first."""
    if path == "-":
        sys.stdout.write(text)
    else:
        write_file(path, text.encode("utf-8", "shown"))


def write_file(path, content, what="file", advice=None):
    """The same for bytes. For the message, `what` is what -o names; `advice` what to do where no -o names it."""
    try:
        _replace(path, path + ".tmp", content)
    except OSError as error:
        raise Mistake(73, "cannot write '%s': %s; %s" % (path, error.strerror, advice or "name another %s with -o" % what))


def _replace(path, temporary, content):
    file = open(temporary, "wb")
    try:
        with file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:  # also a full disk, and Ctrl-C
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def counted(count, what):
    """"1 rank", "2 ranks"."""
    return "%d %s%s" % (count, what, "" if count == 1 else "s")


def open_regular(path):
    """Opens a regular file for reading bytes. Anything else, such as a pipe, is an OSError at once, without waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return os.fdopen(descriptor, "rb")


def import_h5py():
    """h5py. If this python3 lacks it, the tool starts again under one that has it (tools/find-python). None if there is
    none."""
    try:
        import h5py
        return h5py
    except ImportError:
        pass
    finder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "find-python")
    found = subprocess.run([finder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    python = found.stdout.strip()
    if found.returncode == 0 and os.environ.get("UNROLL_PYTHON") != python:
        os.environ["UNROLL_PYTHON"] = python  # once only
        os.execv(python, [python] + sys.argv)
    return None


def as_text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
