#!/usr/bin/env python3
"""Every block of every page (*.md at the top, in jobs, src, tests and tools) runs as it is printed: in order, for each
page in a folder of its own, with what a clone has (build, tools, jobs, ...) and the texts that a reader has. Messages
of ours that a page quotes stand in the sources, links lead somewhere, the README stays short, and lists of files name
all files.

What a block is, its page shows:
  ```sh             commands, all in one shell; each must end with 0
  ``` and `$ ...`   commands, and below each what it prints
  ``` alone         what the block before printed
  ```ini ```python ```c   a file, whose name ends the sentence before it: "... `site.ini`:"
`...` on a line stands for any lines. Spaces do not count. A number matches any number of the same kind; in the long
run, with the page's own text, it must be within 1 %, except times and speeds. A hidden comment before a block says what
it needs, several needs parted by `; `:
  <!-- readme: not run: WHY -->   never run
  <!-- readme: long: WHY -->      only in the long run: `make check-readme`, or UNROLL_TEST_LONG=1
  <!-- readme: needs MODULE -->   only where Python has that module
  <!-- readme: slurm -->          only beside a Slurm (tests/slurm/test_readme.py)
  <!-- readme: any text -->       its output depends on the text: only that there is some is checked
  <!-- readme: any numbers -->    made with another text or on another machine: no number is compared, even in the long run

In the short run `build/unroll train` begins with a --config for few steps of a small model. TEXTS=DIR names a folder
with real texts (tinyshakespeare.txt, rt-polarity.pos, rt-polarity.neg) for the long run."""
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools/lib"))
import launch  # noqa: E402

UNROLL = pathlib.Path(os.environ.get("UNROLL", ROOT / "build/unroll")).resolve()
BUILD = UNROLL.parent
LONG = bool(os.environ.get("UNROLL_TEST_LONG"))
LIMIT = (1800 if LONG else 60) * int(os.environ.get("PATIENCE", "1"))  # seconds for a block
QUICK = "hidden = 24\nmax-steps = 12\nlog-every = 5\nthreads = 1\n"
TOLERANCE = 0.01
README_BYTES = 20000
NUMBER = r"(?<![A-Za-z_])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
TIMED = re.compile(r"tokens/s|seconds|minutes|hours| m?s\b|\d:\d\d|GFLOP|GB|MB|MiB|waited")


class Block:
    def __init__(self, page, line, language, lines, needs, before):
        self.place, self.language, self.lines = "%s:%d" % (page, line), language, lines
        self.needs = needs.split("; ") if needs else []
        self.file = re.search(r"`([\w./-]+)`[^`]*:$", before.strip())

    def commands(self):
        """Pairs of a command and the lines below it, for a session."""
        pairs = []
        for line in self.lines:
            if line.startswith("$ "):
                pairs.append([line[2:], []])
            elif pairs[-1][0].endswith("\\") and not pairs[-1][1]:
                pairs[-1][0] += "\n" + line
            else:
                pairs[-1][1].append(line)
        return pairs

    def is_session(self):
        return self.language in ("", "console") and self.lines[0].startswith("$ ")


def blocks_of(path):
    """All blocks of a page; `needs` is what the comment before one says, `before` the last line of text."""
    found, needs, before, inside = [], "", "", None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if inside is not None:
            if line == "```":
                found.append(Block(path.relative_to(ROOT), *inside, needs, before))
                inside, needs = None, ""
            else:
                inside[2].append(line)
        elif line.startswith("```"):
            inside = (number, line[3:], [])
        elif line.startswith("<!-- readme: "):
            needs = line.removeprefix("<!-- readme: ").removesuffix(" -->")
        elif line.strip():
            before = line
    assert inside is None, "%s: a block has no end" % path
    return found


def find_text(name):
    texts = os.environ.get("TEXTS", "")
    return next(iter(pathlib.Path(texts).rglob(name)), None) if LONG and texts else None


def own_words():
    """A text that is always there: what this repository says of itself."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "include/unroll").rglob("*.h")))


def bring_texts():
    """The files that a reader has: book.txt, and sentences of two classes. Whether they are those of the pages."""
    shakespeare, reviews = find_text("tinyshakespeare.txt"), find_text("rt-polarity.pos")
    if shakespeare:
        pathlib.Path("book.txt").write_bytes(shakespeare.read_bytes()[:200_000])
    else:
        kjv = subprocess.run([ROOT / "tools/get-corpus", "kjv", "-o", "-"], capture_output=True, check=False).stdout
        text = kjv or own_words().encode()
        pathlib.Path("book.txt").write_bytes(text[:text.rfind(b"\n", 0, 200_000 if LONG else 40_000) + 1])
    for name in ("rt-polarity.pos", "rt-polarity.neg"):
        if reviews:
            shutil.copy(reviews.with_name(name), name)
        else:
            lines = [line.lower() for line in own_words().splitlines() if line.startswith(" * " if name[-1] == "s" else "/* ")]
            pathlib.Path(name).write_text("\n".join(lines[:400]) + "\n", encoding="utf-8")
    return bool(shakespeare)


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)


def lay_out():
    """The folder as a clone looks, with a build of its own: `make` works in the clone itself."""
    for name in os.listdir(ROOT):
        if name not in ("build", ".git"):
            os.symlink(ROOT / name, name)
    os.mkdir("build")
    for path in BUILD.iterdir():
        if path.name != "unroll":
            os.symlink(path, "build/" + path.name)
    if LONG:
        os.symlink(UNROLL, "build/unroll")
    else:
        quick = pathlib.Path("build/quick.ini").absolute()
        quick.write_text(QUICK)
        script(pathlib.Path("build/unroll"), '#!/bin/sh\n[ "$1" != train ] || { shift; set -- train --config %s "$@"; }\n'
               'exec "%s" "$@"\n' % (quick, UNROLL))
    os.mkdir("build/bin")  # what comes first in PATH
    script(pathlib.Path("build/bin/make"), '#!/bin/sh\nexec /usr/bin/make -s -C "%s" -o all BUILD="%s" "$@"\n' % (ROOT, BUILD))
    python = subprocess.run([ROOT / "tools/find-python"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    script(pathlib.Path("build/bin/python3"), '#!/bin/sh\nexec "%s" "$@"\n' % python)


def environment(on_cluster):
    env = dict(os.environ) if on_cluster else launch.environment("launch_crowded")
    here = os.getcwd()
    env.pop("UNROLL", None)  # job scripts then take the one in PATH
    env.update(HOME=here, PATH="%s/build/bin:%s" % (here, env["PATH"]), OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
    return env


class Shell:
    """Commands one after another; what they export lasts."""

    def __init__(self, on_cluster):
        self.env = environment(on_cluster)
        self.state = os.path.abspath("build/state")

    def execute(self, commands):
        """Lines of standard output and of standard error."""
        text = '[ ! -e "%s" ] || . "%s"\nset -eo pipefail\n%s\nexport -p >"%s"\n' % (self.state, self.state, commands, self.state)
        done = subprocess.run(["bash", "-c", text], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                              check=False)
        out, err = (stream.decode(errors="replace").splitlines() for stream in (done.stdout, done.stderr))
        if done.returncode:
            raise AssertionError("status %d of: %s\n%s" % (done.returncode, commands, "\n".join((out + err)[-40:])))
        return out, err


def alike(printed, found, exact):
    """Whether a line looks as the page has it."""
    def shape(line):
        return re.sub(r"\s+", " ", re.sub(NUMBER, "0", line)).strip()
    if shape(printed) != shape(found):
        return False
    if not exact or TIMED.search(printed):
        return True
    pairs = zip(re.findall(NUMBER, printed), re.findall(NUMBER, found))
    return all(abs(float(a) - float(b)) <= TOLERANCE * abs(float(a)) for a, b in pairs)


def compare(printed, streams, exact):
    """Each line that is printed is the next one of one of the streams; between `...` no line is left out."""
    left = [list(stream) for stream in streams]
    skipping = False
    for line in printed:
        if line == "...":
            skipping = True
            continue
        for stream in left:
            reach = len(stream) if skipping else 1
            place = next((k for k, found in enumerate(stream[:reach]) if alike(line, found, exact)), None)
            if place is not None:
                del stream[:place + 1]
                break
        else:
            raise AssertionError("the page has\n  %s\nbut next came\n%s" % (line, "\n".join(
                "  " + (stream[0] if stream else "(end)") for stream in left)))
        skipping = False
    assert skipping or not any(left), "the page leaves out\n%s" % "\n".join("  " + line for stream in left for line in stream)


class Page:
    def __init__(self, path, exact, slurm):
        self.path, self.name, self.blocks, self.exact = path, str(path.relative_to(ROOT)), blocks_of(path), exact
        self.slurm = slurm  # waits until the jobs are done and checks how they ended; None without a Slurm
        self.shell, self.last = Shell(slurm is not None), None
        self.ran, self.skipped = 0, []

    def is_unmet(self, need):
        """Whether a block cannot run here and now because of this need."""
        kind, _, rest = need.partition(" ")
        assert need in ("any text", "any numbers", "slurm") or rest and kind in ("not", "long:", "needs"), need
        if kind == "needs":
            return subprocess.run(["build/bin/python3", "-c", "import " + rest], capture_output=True, check=False).returncode != 0
        return kind == "not" or (kind == "long:" and not LONG) or (kind == "slurm" and not self.slurm)

    def can_run(self, block):
        reasons = [need for need in block.needs if self.is_unmet(need)]
        self.skipped += ["%s (%s)" % (block.place.partition(":")[2], "; ".join(reasons))] if reasons else []
        return not reasons

    def check(self, block, printed, streams):
        if "any text" in block.needs:
            assert any(line.strip() for stream in streams for line in stream), "nothing was printed"
        else:
            compare(printed, streams, self.exact and "any numbers" not in block.needs)

    def run_block(self, block):
        if block.language == "sh":
            self.last = self.shell.execute("\n".join(block.lines))
            if "slurm" in block.needs:
                self.slurm()
        elif block.is_session():
            for command, printed in block.commands():
                self.check(block, printed, self.shell.execute(command))
        elif block.language == "":
            assert self.last is not None, "output of no command"
            self.check(block, block.lines, self.last)
        else:
            assert block.file, "a file without a name: end the sentence before it with `NAME`:"
            pathlib.Path(block.file.group(1)).write_text("\n".join(block.lines) + "\n", encoding="utf-8")

    def holds(self):
        """Runs all blocks and checks the page; whether all is well."""
        well = True
        for fault, found in (("no source has the message", unknown_messages), ("nothing is there for the link", dead_links),
                             ("there is no file", dead_paths), ("in its list of files", wrong_names),
                             ("too long:", too_long)):
            for what in found(self.path):
                print("%s: %s '%s'\n" % (self.name, fault, what))
                well = False
        for block in self.blocks:
            try:
                if self.can_run(block):
                    self.run_block(block)
                    self.ran += 1
                elif block.language == "sh":
                    self.last = None
            except (AssertionError, subprocess.TimeoutExpired) as failure:
                print("%s: %s\n" % (block.place, failure))
                well = False
        skipped = "OK (skipped=%d of %d blocks of %s): lines %s" % (len(self.skipped), len(self.blocks), self.name,
                                                                 ", ".join(self.skipped))
        print(skipped if self.skipped else "%d blocks of %s" % (self.ran, self.name))
        return well


def unknown_messages(path):
    """Messages of ours (`unroll: ...`) on a page, whose longest fixed part stands in no source."""
    sources = [file for folder in ("src", "tools") for file in sorted((ROOT / folder).rglob("*")) if file.is_file()]
    said = "".join(file.read_text(encoding="utf-8", errors="replace") for file in sources if file.suffix not in (".md", ".svg"))
    said = re.sub(r'"\s*\n\s*"', "", said + (ROOT / "Makefile").read_text(encoding="utf-8"))  # parts of a literal in C
    for message in re.findall(r"`unroll: (?:warning: )?([^`]+)`", path.read_text(encoding="utf-8")):
        longest = max(re.split(r"'[^']*'|\.\.\.|0x\w+|\d+|[:,;] ", message), key=len).strip()
        if longest not in said:
            yield message


def anchors(path):
    """What a link can point to on a page, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            yield link


def dead_paths(path):
    """Paths in backquotes that a clone should have; words in capitals stand for any name."""
    for name in re.findall(r"`((?:src|include|jobs|tests|tools)/[\w./-]+)`", path.read_text(encoding="utf-8")):
        if not re.search(r"[A-Z]{3,}", name) and not (ROOT / name).exists():
            yield name


def too_long(path):
    if path == ROOT / "README.md" and path.stat().st_size >= README_BYTES:
        yield "%d bytes; at most %d: move details to the other pages" % (path.stat().st_size, README_BYTES)


def names_in_tables(text):
    """What stands in the first column of tables, in backquotes."""
    return [name for row in re.findall(r"^\| (`[^|]*)\|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)]


def wrong_names(path):
    """Source files that src/README.md does not name in its floor's table (cell_*: one file for each cell), or that are
    not there; tools that tools/README.md leaves out."""
    text = path.read_text(encoding="utf-8")
    if path == ROOT / "src/README.md":
        for floor in sorted(entry.name for entry in (ROOT / "src").iterdir() if entry.is_dir()):
            named = names_in_tables(text.partition("\n## %s\n" % floor)[2].partition("\n## ")[0])
            there = {file.stem for folder in ("src", "include/unroll") for file in (ROOT / folder / floor).glob("*.[ch]")}
            yield from ("%s/%s: not named" % (floor, name) for name in sorted(there)
                        if not any(fnmatch.fnmatch(name, pattern) for pattern in named))
            yield from ("%s/%s: not there, or twice" % (floor, pattern) for pattern in sorted(set(named))
                        if named.count(pattern) > 1 or not fnmatch.filter(there, pattern))
    if path == ROOT / "tools/README.md":
        yield from ("tools/%s: not named" % file.name for file in sorted((ROOT / "tools").iterdir())
                    if file.is_file() and file.suffix != ".md" and "`%s`" % file.name not in text)


def pages():
    return sorted(path for folder in ("", "jobs", "src", "tests", "tools") for path in (ROOT / folder).glob("*.md"))


def main(names, slurm=None):
    if "UNROLL_TEST_SHORT" in os.environ:
        sys.exit(69)  # sanitizers: `make install` would build another program
    well = True
    for path in [ROOT / name for name in names] or pages():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            lay_out()
            well = Page(path, bring_texts(), slurm).holds() and well
            os.chdir(ROOT)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
