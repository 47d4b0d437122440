"""The text of `tools/get-corpus docs`: English prose of Debian's packages, which are downloaded, not installed.

Usage: docs_corpus.py OUTPUT NAME [PACKAGES]: writes into OUTPUT, called NAME in messages; packages (.deb) are taken from
the folder PACKAGES, and kept there, if it is given."""

import fnmatch
import glob
import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import docs_text  # noqa: E402
import tool  # noqa: E402
from tool import Mistake  # noqa: E402

PIECE = 50  # lines that stay together
HTML = "*.html"
# Package (later releases' names behind it), kind and files; version and digest of Debian 12 when the table was made. All
# are of Debian's main section, whose licences allow every use (Debian Free Software Guidelines, 6).
PACKAGES = [
    ("dict-gcide", "gcide", "*.dict.dz", "0.48.5+nmu2", "214b40460cfd"),
    ("wordnet-base", "wordnet", "*/wordnet/data.*", "1:3.0-37", "b3fd13b1f95e"),
    ("dict-foldoc", "dict", "*.dict.dz", "20230119-1", "f2d4b312cc93"),
    ("dict-jargon", "dict", "*.dict.dz", "4.4.7-3.1", "7809b8077164"),
    ("dict-devil", "dict", "*.dict.dz", "1.0-13.1", "bcee65e65050"),
    ("bible-kjv bible-kjv-text", "bible", None, "4.38", "c5537a06065b"),
    ("manpages", "man", "*/man/man*.gz", "6.03-2", "e2ac2566dc19"),
    ("manpages-dev", "man", "*/man/man*.gz", "6.03-2", "954ac776d684"),
    ("perl-doc", "pod", "*.pod", "5.36.0-7+deb12u4", "f52f5edcb797"),
    ("fortunes", "fortune", "*/games/fortunes/*", "1:1.99.1-7.3", "966aa14004aa"),
    ("fortunes-min", "fortune", "*/games/fortunes/*", "1:1.99.1-7.3", "34d6b2412612"),
    ("anarchism", "html", HTML, "15.3-3", "5c225d4e3ff7"),
    ("linux-doc-6.1|linux-doc-6.12", "html", HTML, "6.1.192-2", "271e01f79c6b"),
    ("debian-reference-en", "html", HTML, "2.100", "60274c60a209"),
    ("debian-policy", "html", HTML, "4.6.2.0", "dbee6a882021"),
    ("developers-reference", "html", HTML, "12.18", "47afb30bad66"),
    ("debian-faq", "html", HTML, "11.1", "4c85729d83cd"),
    ("harden-doc", "html", HTML, "3.19+nmu1", "555c24ae8d8a"),
    ("postgresql-doc-15|postgresql-doc-17", "html", HTML, "15.20-0+deb12u1", "9cd3d347ef87"),
    ("apache2-doc", "html", HTML, "2.4.71-1~deb12u1", "7f920ecb26c0"),
    ("git-doc", "html", HTML, "1:2.39.5-0+deb12u3", "6c5b2ba7255f"),
    ("exim4-doc-html", "html", HTML, "4.96-1", "fda47af07ea7"),
    ("postfix-doc", "html", HTML, "3.7.11-0+deb12u1", "25bdca2fac32"),
    ("libreoffice-help-en-us", "html", HTML, "4:7.4.7-1+deb12u14", "b703316bf2ea"),
    ("r-doc-html", "html", HTML, "4.2.2.20221110-2", "a4a2c74d5d12"),
]
DIGEST = "d74570bc28eb1dca9d2a0df48608b837bce50d555635058fbfd4cce3066089c3"  # of the whole text, of these versions


# ---- packages ----

def output_of(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False,
                          universal_newlines=True).stdout


def names_of(row, known):
    """The packages of a row under the first of their names that `known` has; None if it has none."""
    for words in row[0].split("|"):
        if all(map(known, words.split())):
            return words.split()
    return None


def find_deb(folder, name):
    """The package's file in a folder; the newest by name."""
    return max(glob.glob(os.path.join(glob.escape(folder), name + "_*.deb")), default=None)


def bring(folder):
    """Downloads what `folder` lacks. For each row the files of its packages, or None if this release has them not."""
    for program in ("apt-cache", "apt-get", "dpkg-deb"):
        tool_in_path(program)
    rows, missing = [], []
    for row in PACKAGES:
        names = names_of(row, lambda name: find_deb(folder, name) or output_of(["apt-cache", "madison", name]).strip())
        rows.append(names)
        missing += [name for name in names or [] if not find_deb(folder, name)]
    if missing:
        command = ["apt-get", "download", "-q"] + (["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []) + missing
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if done.returncode or not all(find_deb(folder, name) for name in missing):
            raise Mistake(66, "cannot fetch '%s': apt-get download failed, see above; run apt-get update" % " ".join(missing))
    return [[find_deb(folder, name) for name in names] if names else None for names in rows]


def tool_in_path(program):
    if not any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.get_exec_path()):
        raise Mistake(69, "cannot find '%s': 'docs' needs Debian or Ubuntu; get the text on such a machine" % program)


def files_of(deb, pattern):
    """Pairs of the name and the text of the package's files, unpacked, in the order of their names."""
    found = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking:
        try:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isreg() and fnmatch.fnmatchcase(member.name, pattern):
                        found[member.name] = archive.extractfile(member).read()
        except tarfile.TarError:
            pass
    if unpacking.returncode:
        raise Mistake(65, "cannot unpack '%s': dpkg-deb failed; remove the file" % deb)
    for name in sorted(found):
        content = gzip.decompress(found[name]) if name.endswith((".gz", ".dz")) else found[name]
        yield name, content.decode("utf-8", "replace")


def bible(debs):
    """The program of one package reads the data of the other."""
    with tempfile.TemporaryDirectory() as folder:
        for deb in debs:
            if subprocess.run(["dpkg-deb", "-x", deb, folder], check=False, stderr=subprocess.DEVNULL).returncode:
                raise Mistake(65, "cannot unpack '%s': dpkg-deb failed; remove the file" % deb)
        text = output_of([folder + "/usr/bin/bible", "-p", folder + "/usr/lib", "-f", "Gen1:1-Rev22:21"])
    if not text:
        raise Mistake(69, "cannot run 'bible' of '%s': a library that it needs is missing; install libreadline8" % debs[0])
    return [("bible", text)]


# ---- the text ----

def read_package(row, debs, seen):
    """Pieces of the package's lines that no package had before, as pairs (key, lines); the digest of all its lines."""
    pieces, digest = [], hashlib.sha256()
    kind = row[1]
    for name, text in bible(debs) if kind == "bible" else files_of(debs[0], row[2]):
        new = []
        for line in docs_text.lines_of(kind, text):
            digest.update(line.encode() + b"\n")
            key = hashlib.blake2b(line.lower().encode(), digest_size=12).digest()
            if key not in seen:
                seen.add(key)
                new.append(line)
        for begin in range(0, len(new), PIECE):
            where = "%s %s %d" % (row[0], name, begin)
            pieces.append((hashlib.sha256(where.encode("utf-8", "surrogateescape")).digest(), new[begin:begin + PIECE]))
    return pieces, digest.hexdigest()[:12]


def version_of(deb):
    return output_of(["dpkg-deb", "--field", deb, "Version"]).strip()


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def collect(folder):
    """All lines, in the order of their pieces' digests, so that each stretch of the text has something of everything;
    and whether all packages are those of the table."""
    seen, pieces, same, some = set(), [], True, False
    for row, debs in zip(PACKAGES, bring(folder)):
        if not debs:
            say("  %-24s this release does not have it" % row[0])
            same = False
            continue
        mine, digest = read_package(row, debs, seen)
        version = version_of(debs[-1])
        lines = sum(len(piece) for _, piece in mine)
        told = "" if version == row[3] else ", not %s" % (row[3] or "known")
        if version == row[3] and digest != row[4]:
            told = ", but its text is another: sha256 %s, not %s" % (digest, row[4] or "known")
        say("  %-24s %-26s %7d lines, sha256 %s%s" % (row[0].split("|")[0], version, lines, digest, told))
        same, some = same and not told, some or bool(lines)
        pieces += mine
    if not some:
        raise Mistake(66, "no package of 'docs' is to be had; run apt-get update")
    pieces.sort(key=lambda piece: piece[0])
    return [line for _, piece in pieces for line in piece], same


def write(path, name, lines):
    digest, words, count, size = hashlib.sha256(), set(), 0, 0
    try:
        with open(path, "wb") as file:
            for line in lines:
                content = line.encode() + b"\n"
                file.write(content)
                digest.update(content)
                size += len(content)
                split = line.split(" ")
                words.update(split)
                count += len(split)
    except OSError as error:
        raise Mistake(73, "cannot write '%s': %s; choose another place" % (name, error.strerror)) from error
    say("%s: %.1f MB, %d words, %d distinct; sha256 %s" % (name, size / 1e6, count, len(words), digest.hexdigest()))
    return digest.hexdigest()


def main():
    output, name = sys.argv[1:3]
    kept = sys.argv[3] if len(sys.argv) > 3 else None
    if kept:
        tool.make_folder(kept)
    with tempfile.TemporaryDirectory() as folder:
        lines, same = collect(kept or folder)
    digest = write(output, name, lines)
    if digest == DIGEST:
        say("this is the text whose digest is stated")
    else:
        say("this is NOT the text whose digest is stated (%s): %s" % (
            DIGEST[:12] or "none", "the versions are the same, report this" if same else "other packages, as marked above"))


if __name__ == "__main__":
    tool.run_main(main)
