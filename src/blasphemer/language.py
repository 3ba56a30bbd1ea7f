"""What can be said of a text without knowing what it is about: words, sentences, paragraphs, headings, sameness."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

Span = tuple[int, int]

WORD = re.compile(r"\d+(?:[.,:]\d+)+|[^\W_]+(?:[-–'’][^\W_]+)*")
HEADING = re.compile(r"^(#{1,6})[ \t]+([^ \t\n]+(?:[ \t]+[^ \t\n]+)*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
BULLET = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+")

# A full stop after these does not end a sentence.
_ABBREVIATIONS = frozenset(
    "e.g i.e cf vs etc al approx ca no nos fig figs eq eqs sec ch vol pp p ed eds dr mr mrs ms prof st jr sr inc ltd "
    "co jan feb mar apr jun jul aug sep sept oct nov dec z.b d.h bzw usw nr str p.ex sig sra dra".split()
)
_ARTICLES = frozenset({"a", "an", "the"})
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’)]*")
_VISIBLE = re.compile(r"\S")
_PARAGRAPH_GAP = re.compile(r"\n[ \t]*\n\s*")


def words(text: str) -> list[str]:
    """The words of a text as they stand, without punctuation: "Dr. Crane's" -> ["Dr", "Crane's"]."""
    return WORD.findall(text)


def normalise(text: str) -> str:
    """The form in which two answers are compared: folded case, no accents' composition, punctuation or articles."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    found = WORD.findall(folded)
    return " ".join([word for word in found if word not in _ARTICLES] or found)


def paragraph_spans(text: str) -> list[Span]:
    """Blocks between blank lines, headings and list items on their own, without the space around them."""
    spans: list[Span] = []
    start = 0
    for gap in [*_PARAGRAPH_GAP.finditer(text), None]:
        end = gap.start() if gap else len(text)
        spans += _lines_that_stand_alone(text, start, end)
        start = gap.end() if gap else end
    return spans


def _lines_that_stand_alone(text: str, start: int, end: int) -> Iterator[Span]:
    """Split a block before and after each heading line, and before each list item."""
    begin = position = start
    for line in text[start:end].splitlines(keepends=True):
        if HEADING.match(line) or BULLET.match(line):
            yield from _trimmed(text, begin, position)
            begin = position
        position += len(line)
        if HEADING.match(line):
            yield from _trimmed(text, begin, position)
            begin = position
    yield from _trimmed(text, begin, end)


def sentence_spans(text: str) -> list[Span]:
    """Sentences, without the space around them; a full stop in "e.g.", "3.14", "Dr." or "J. Smith" ends none."""
    spans: list[Span] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if _ends_sentence(text, start, match):
            spans += _trimmed(text, start, match.end())
            start = match.end()
    return spans + list(_trimmed(text, start, len(text)))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    following = _VISIBLE.search(text, match.end())
    if following and following.group().islower():
        return False
    if match.group()[0] != ".":
        return True
    before = text[start : match.start()].split()
    last = before[-1].lstrip("(\"'“‘«") if before else ""
    is_initial = len(last) == 1 and last.isupper()
    return not (is_initial or last.casefold() in _ABBREVIATIONS or (len(before) == 1 and last.isdigit()))


def headings(text: str) -> list[tuple[int, int, str]]:
    """(position, level, title) of every Markdown heading outside code fences."""
    fences = [match.span() for match in FENCE.finditer(text)]
    return [
        (match.start(), len(match.group(1)), match.group(2))
        for match in HEADING.finditer(text)
        if not any(start <= match.start() < end for start, end in fences)
    ]


def shares_ngram(one: Sequence[str], other: set[tuple[str, ...]], size: int) -> bool:
    return any(gram in other for gram in ngrams(one, size))


def ngrams(sequence: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(sequence[i : i + size]) for i in range(len(sequence) - size + 1)}


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Jaccard similarity of two bags of words, taken as sets."""
    union = set(one) | set(other)
    return len(set(one) & set(other)) / len(union) if union else 0.0


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if stripped := piece.strip():
        left = start + len(piece) - len(piece.lstrip())
        yield left, left + len(stripped)
