"""Prose out of what Debian's packages contain: HTML, manual pages, Perl's pod, dictionaries, WordNet's glosses,
fortunes, the King James Bible. Each reader yields paragraphs; `clean` makes a line of words of one, or leaves it out."""

import html
import re

MIN_WORDS, MAX_WORDS = 5, 400
MIN_LETTERS = 0.75   # of all characters that are no blanks
MAX_SYMBOLS = 0.03   # those of programs, of all characters that are no blanks
SYMBOLS = re.compile(r"[{}<>=|\\_$#@*~^]")
WORD = re.compile(r"\w+(?:[-'.]\w+)*|\.\.\.|--|[^\w\s]")
PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": " -- ",
                       "\u2010": "-", "\u2011": "-", "\u2026": "...", "\u00a0": " ", "\u00ad": None, "\u200b": None,
                       "\ufb01": "fi", "\ufb02": "fl"})
FOREIGN = re.compile("[^\x20-\u024f]")  # also what could not be decoded, U+FFFD
# Words that few other languages have; documentation is partly translated.
ENGLISH = frozenset("the of to and is are that for with this be by it you if not when can will has".split())
MIN_ENGLISH = 0.08   # of the words of a paragraph
SENTENCE_END = re.compile(r"""[.!?:;]["')\]]*$""")


def clean(paragraph, sentences):
    """The words of a paragraph with blanks between, or None. `sentences`: it must end as a sentence does, and be
    English."""
    text = " ".join(paragraph.translate(PLAIN).split())
    if FOREIGN.search(text) or (sentences and not SENTENCE_END.search(text)):
        return None
    words = WORD.findall(text)
    count = sum(any(map(str.isalpha, word)) for word in words)
    if not MIN_WORDS <= count <= MAX_WORDS:
        return None
    if sentences and sum(word.lower() in ENGLISH for word in words) < MIN_ENGLISH * count:
        return None
    size = len(text) - text.count(" ")
    if sum(map(str.isalpha, text)) < MIN_LETTERS * size or len(SYMBOLS.findall(text)) > MAX_SYMBOLS * size:
        return None
    return " ".join(words)


# ---- HTML ----

TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*>|<[!?][^>]*>", re.S)
SKIPPED = frozenset("head script style pre table nav header footer h1 h2 h3 h4 h5 h6 dt form button svg math select".split())
INLINE = frozenset("a abbr acronym b bdi big cite code del dfn em font i img ins kbd mark q s samp small span strike strong sub "
                   "sup tt u var wbr".split())


def html_paragraphs(text):
    """Text between tags that part blocks; what is in tables, programs, headings and menus is left out, and so are
    blocks of nothing but links."""
    block, plain, depth, links, place = [], False, {}, 0, 0
    for match in TAG.finditer(text):
        if not depth:
            piece = text[place:match.start()]
            block.append(piece)
            plain = plain or (links == 0 and bool(piece.strip(" \t\r\n.,:;|-")))
        place = match.end()
        name = (match.group(2) or "").lower()
        if name in SKIPPED:
            _count(depth, name, match.group(1))
        if name == "a":
            links = 0 if match.group(1) else 1
        if name and name not in INLINE:
            if plain:
                yield html.unescape("".join(block))
            block, plain, links = [], False, 0


def _count(depth, name, closes):
    """How deep it is in each kind of what is left out; kinds of depth 0 are absent."""
    depth[name] = depth.get(name, 0) + (-1 if closes else 1)
    if depth[name] <= 0:
        del depth[name]


# ---- manual pages ----

MAN_SKIP = {".nf": ".fi", ".TS": ".TE", ".EX": ".EE", ".SS": None, ".SH": None, ".TH": None, ".UR": None, ".UE": None}
MAN_FONTS = re.compile(r"^\.(?:B|I|BI|BR|IB|IR|RB|RI|SM|SB|MR)\s+")
MAN_ESCAPES = [(re.compile(pattern), to) for pattern, to in (
    (r"\\f(?:\[[^]]*\]|\(..|.)", ""), (r"\\s[-+]?\d", ""), (r"\\-", "-"), (r"\\\((?:aq|cq)", "'"), (r"\\\((?:lq|rq|dq)", '"'),
    (r"\\\((?:em|en)", "--"), (r"\\[&|^/,%)]", ""), (r"\\[ ~0]", " "), (r"\\e", r"\\"), (r"\\\[[^]]*\]|\\\(..|\\\".*", ""))]


def man_paragraphs(text):
    block, until = [], None
    for line in text.split("\n"):
        if until:
            until = None if line.startswith(until) else until
        elif MAN_FONTS.match(line):
            alternate = not re.match(r"^\.(?:B|I|SM|SB) ", line)
            words = re.findall(r'"[^"]*"|\S+', MAN_FONTS.sub("", line))
            block.append(("" if alternate else " ").join(word.strip('"') for word in words))
        elif line[:1] in (".", "'") or not line.strip():
            if not line.startswith((".\\\"", "'\\\"")):
                yield _unescaped(" ".join(block))
                block, until = [], MAN_SKIP.get(line[:3])
        else:
            block.append(line)
    yield _unescaped(" ".join(block))


def _unescaped(text):
    for pattern, to in MAN_ESCAPES:
        text = pattern.sub(to, text)
    return text


# ---- others ----

POD_CODE = re.compile(r"[A-Z]<(?:<+ )?([^<>]*?)(?: >+)?>")
POD_NAMES = {"E<lt>": "<", "E<gt>": ">", "E<sol>": "/", "E<verbar>": "|"}


def pod_paragraphs(text):
    inside = False
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("="):
            inside = not block.startswith(("=cut", "=begin", "=for"))
        elif inside and block[:1] not in " \t":
            for name, character in POD_NAMES.items():
                block = block.replace(name, character)
            while POD_CODE.search(block):
                block = POD_CODE.sub(lambda match: match.group(1).split("|")[0], block)
            yield block


def plain_paragraphs(text):
    """Parted by empty lines."""
    return re.split(r"\n\s*\n", text)


GCIDE_LETTER = re.compile(r"\[[^\[\]\w ]?([a-zA-Z]{1,2})[^\[\]\w ]?\]")  # Lamin[ae], caf['e]
GCIDE_SPOKEN = re.compile(r"\\[^\\\n]{1,60}\\|\([^()]*[\[\]\"*`][^()]*\)")
BRACKETS = re.compile(r"\[[^\[\]]*\]")


def gcide_paragraphs(text):
    """Without pronunciations, etymologies and sources, which stand in brackets."""
    for block in re.split(r"\n\s*\n", text):
        block = GCIDE_SPOKEN.sub("", block)
        block = re.sub(r"(?<=\w)%s|%s(?=\w)" % (GCIDE_LETTER.pattern, GCIDE_LETTER.pattern),
                       lambda match: match.group(1) or match.group(2), block)
        while BRACKETS.search(block):
            block = BRACKETS.sub("", block)
        block = re.sub(r"[{}]", "", block)
        yield re.sub(r"^\s*(?:\d+\.|\([a-z]\))\s+", "", re.sub(r"\s+([,;.])", r"\1", block))


def dict_paragraphs(text):
    """Of FOLDOC and the like: cross references stand in braces, subjects in angle brackets."""
    for block in re.split(r"\n\s*\n", text):
        yield re.sub(r"\{\s*([^{}]*)\}", r"\1", re.sub(r"<[a-z, ]+>", "", block))


def wordnet_paragraphs(text):
    """Words of a meaning, a colon, and its gloss."""
    for line in text.split("\n"):
        head, bar, gloss = line.partition(" | ")
        fields = head.split()
        if bar and fields and fields[0].isdigit():
            words = fields[4:4 + 2 * int(fields[3], 16):2]
            yield "%s: %s" % (", ".join(re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in words), gloss)


def fortune_paragraphs(text):
    return text.split("\n%\n")


def verses(text):
    """Of `bible -f`: each begins with its reference."""
    for line in text.split("\n"):
        yield line.partition(" ")[2]


# What a file of a kind is read by, and whether its paragraphs must be English sentences.
READERS = {
    "html": (html_paragraphs, True), "man": (man_paragraphs, True), "pod": (pod_paragraphs, True),
    "text": (plain_paragraphs, True), "gcide": (gcide_paragraphs, False), "dict": (dict_paragraphs, True),
    "wordnet": (wordnet_paragraphs, False), "fortune": (fortune_paragraphs, False), "bible": (verses, False),
}


def lines_of(kind, text):
    """The cleaned lines of a file's text, in order."""
    reader, sentences = READERS[kind]
    for paragraph in reader(text):
        line = clean(paragraph, sentences)
        if line:
            yield line
