"""What can be said of a text without knowing what it is about: words, sentences, paragraphs, headings, sameness."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import regex

Span = tuple[int, int]

# A word is letters or digits with their marks. In scripts written without spaces each letter counts as one.
_SPACELESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}--\p{M}--\p{Nd}]"
_LETTER = r"[\p{L}\p{N}--\p{Han}--\p{Hiragana}--\p{Katakana}--\p{Thai}--\p{Lao}--\p{Khmer}--\p{Myanmar}]"
_PIECE = rf"{_LETTER}[{_LETTER}\p{{M}}\u200c\u200d]*"
SPACELESS = regex.compile(_SPACELESS, regex.V1)
WORD = regex.compile(rf"\d+(?:[.,:]\d+)+|{_PIECE}(?:[-–'’]{_PIECE})*|{_SPACELESS}\p{{M}}*", regex.V1)
HEADING = re.compile(r"^(#{1,6})[ \t]+([^ \t\n]+(?:[ \t]+[^ \t\n]+)*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
TABLE_ROW = re.compile(r"[ \t]*\|")
BULLET = re.compile(
    r"[ \t]*(?:(?:[-*+•‣◦▪–—]|\d{1,3}[.)]|\([a-z]\)|[a-z]\))[ \t]+"
    r"|(?:[・●○■◆]|\d{1,2}[、．）]|[（(]\d{1,2}[）)]|[①-⑳])[ \t\u3000]*)"
)

# A full stop after these does not end a sentence.
_ABBREVIATIONS = frozenset(
    "e.g i.e cf vs etc al approx ca no nos fig figs eq eqs sec ch vol pp p ed eds dr mr mrs ms prof st jr sr inc ltd "
    "co jan feb mar apr jun jul aug sep sept oct nov dec z.b d.h bzw usw nr str p.ex sig sra dra".split()
)
_ARTICLES = frozenset({"a", "an", "the"})
# Signs of many forms: all apostrophes and accents used as such are one, all hyphens and minus signs are another
_FOLDED = {
    **dict.fromkeys(map(ord, "’‘ʼʹ´`′‛＇"), "'"), **dict.fromkeys(map(ord, "‐‑‒−–—―﹣－"), "-"),
    **dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x640), None),
}  # fmt: skip
_VOWEL_SIGNS = re.compile("[\u0591-\u05bd\u05bf-\u05c7\u064b-\u0652\u0670]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_OTHER_DOTS = re.compile(r"(?<!\d)\.|\.(?!\d)")
# A number with its dots and, unless it goes on from something, its minus sign; C++ and C#; other words without signs
_COMPARED = regex.compile(
    rf"(?<![\w\p{{M}})-])-\d+(?:\.\d+)*|\d+(?:\.\d+)+(?![\p{{L}}])|{_PIECE}(?:\+\+|\#)(?!\w)|{_PIECE}(?:(?<=\d)\.\d+)*"
    rf"|{_SPACELESS}\p{{M}}*",
    regex.V1,
)
_WIDE_STOPS = "。！？｡"  # of scripts written without spaces: these end a sentence whatever follows
_STOPS = re.compile(
    rf"[.!?…।॥؟۔።։{_WIDE_STOPS}][.!?…।॥؟۔።։{_WIDE_STOPS}]*+[\"'”’»)\]」』）]*+(?:\[\d{{1,3}}\])*+"  # and references
)
_FENCE_LINE = re.compile(r"^ *(?:[-*+] +)?(`{3,}(?=[^`\n]*$)|~{3,})([^\n]*)$", re.MULTILINE)
_LONGEST_FENCE = 10  # characters that are told apart
_LAST_WORD = re.compile(r"[(\"'“‘«]*([^\s(\"'“‘«]+)$")  # at the end of what is searched
_LONGEST_WORD = 32  # characters that are looked back at
_LONGEST_UNIT = 3  # letters of what a number may follow: No. 5
_DANDA = re.compile("[।॥]")  # ends sentences where it is in use, and a full stop then ends none
_LONGEST_LOOK = 400  # characters before and after a full stop
_VISIBLE = re.compile(r"\S")
_PARAGRAPH_GAP = re.compile(r"\n[ \t]*\n\s*")


def words(text: str) -> list[str]:
    """The words of a text as they stand, without punctuation: "Dr. Crane's" -> ["Dr", "Crane's"]."""
    return WORD.findall(text)


@lru_cache(1 << 16)
def normalise(text: str) -> str:
    """The form in which two answers are compared, in exams, for refusals and in tests alike: words parted by blanks.

    Case, the form of letters, apostrophes, hyphens and other signs do not count, nor do articles and the vowel signs of
    Arabic and Hebrew. 1,240 is 1240, and a dot counts within a number; -5 is not 5, and C++ is not C.
    """
    folded = _OTHER_DOTS.sub("", _THOUSANDS.sub("", fold(text)))
    found = _COMPARED.findall(folded)
    return " ".join([word for word in found if word not in _ARTICLES] or found)


def fold(text: str) -> str:
    """A text with all that does not count made one: case, the forms of letters, of apostrophes and of hyphens."""
    folded = unicodedata.normalize("NFKC", text).translate(_FOLDED)
    return unicodedata.normalize("NFC", _VOWEL_SIGNS.sub("", folded).casefold())


def contains(text: str, gold: str) -> bool:
    """Does normalised `gold` stand in normalised `text`, as whole words?"""
    return bool(gold) and f" {gold} " in f" {text} "


def agree(one: str, other: str) -> bool:
    """Does one normalised answer stand in the other?"""
    return contains(one, other) or contains(other, one)


def bare(word: str) -> str:
    """A word without the 's of owners."""
    return re.sub(r"['’]s?$", "", word)


def spoken(words: str) -> str:
    """Words of a sentence as an answer, begun and ended as models begin and end theirs: "The banjo.", but "mRNA."."""
    begun = words[0].upper() + words[1:] if words.split(maxsplit=1)[0].islower() else words
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def paragraph_spans(text: str) -> list[Span]:
    """Blocks between blank lines, headings and list items on their own, without the space around them. Fenced code is
    one block, whatever is in it."""
    spans: list[Span] = []
    start = 0
    for fence_start, fence_end in [*fence_spans(text), (len(text), len(text))]:
        spans += _between_blank_lines(text, start, fence_start)
        spans += _trimmed(text, fence_start, fence_end)
        start = fence_end
    return spans


def fence_spans(text: str) -> list[Span]:
    """Fenced code with its fences (CommonMark's, but one that is never closed is none, and it may be set in as far as
    the list item that it belongs to, or begin with it)."""
    lines = [(match, match[1][0], min(len(match[1]), _LONGEST_FENCE)) for match in _FENCE_LINE.finditer(text)]
    closing: dict[tuple[str, int], list[Span]] = {}  # by sign and length
    for match, sign, length in lines:
        if not match[2].strip():
            closing.setdefault((sign, length), []).append(match.span())
    spans: list[Span] = []
    for match, sign, length in lines:
        if spans and match.start() < spans[-1][1]:
            continue
        ends = [
            found[at][1]
            for (other, other_length), found in closing.items()
            if other == sign and other_length >= length and (at := bisect_left(found, match.span()[::-1])) < len(found)
        ]
        if ends:
            spans.append((match.start(), min(ends)))
    return spans


def is_code(text: str) -> bool:
    """Is a block fenced code?"""
    return _FENCE_LINE.match(text) is not None


def is_code_or_table(text: str) -> bool:
    """Is a block fenced code, or rows of a table?"""
    return is_code(text) or TABLE_ROW.match(text) is not None


def line_ends(text: str) -> list[int]:
    """Where the lines of a text end, the line breaks not included."""
    return [*(match.start() for match in re.finditer("\n", text)), len(text)]


def _between_blank_lines(text: str, start: int, end: int) -> Iterator[Span]:
    for gap in [*_PARAGRAPH_GAP.finditer(text, start, end), None]:
        stop = gap.start() if gap else end
        yield from _lines_that_stand_alone(text, start, stop)
        start = gap.end() if gap else end


def _lines_that_stand_alone(text: str, start: int, end: int) -> Iterator[Span]:
    """Split a block before and after each heading line, before each list item, and around the rows of a table."""
    begin = position = start
    was_row = False
    for line in text[start:end].splitlines(keepends=True):
        is_heading, is_row = HEADING.match(line) is not None, TABLE_ROW.match(line) is not None
        if is_heading or is_row != was_row or BULLET.match(line):
            yield from _trimmed(text, begin, position)
            begin = position
        was_row = is_row
        position += len(line)
        if is_heading:
            yield from _trimmed(text, begin, position)
            begin = position
    yield from _trimmed(text, begin, end)


def sentence_spans(text: str) -> list[Span]:
    """Sentences, without the space around them; a full stop in "e.g.", "3.14", "Dr." or "J. Smith" ends none."""
    spans: list[Span] = []
    start = 0
    for match in _STOPS.finditer(text):
        end = match.end()
        is_wide = any(stop in match[0] for stop in _WIDE_STOPS) if not match[0].isascii() else False
        if is_wide or (text[end : end + 1].isspace() and _ends_sentence(text, start, match)):
            spans += _trimmed(text, start, end)
            start = end
    return spans + list(_trimmed(text, start, len(text)))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    following = _VISIBLE.search(text, match.end())
    if following and following.group().islower():
        return False
    if match.group()[0] != ".":
        return True
    if _DANDA.search(text, start - _LONGEST_LOOK if start > _LONGEST_LOOK else 0, match.end() + _LONGEST_LOOK):
        return False
    last = _LAST_WORD.search(text, max(start, match.start() - _LONGEST_WORD), match.start())
    word = last[1] if last else ""
    if following and following.group().isdigit() and len(word) <= _LONGEST_UNIT and not word.isdigit():
        return False
    is_number_of_item = word.isdigit() and not text[start : match.start() - len(word)].strip()
    is_initial = len(word) == 1 and word.isupper()
    return not (is_initial or word.casefold() in _ABBREVIATIONS or is_number_of_item)


def headings(text: str) -> list[tuple[int, int, str]]:
    """(position, level, title) of every Markdown heading outside code fences."""
    fences = fence_spans(text)
    starts = [start for start, _ in fences]

    def is_in_code(position: int) -> bool:
        before = bisect_right(starts, position)
        return before > 0 and position < fences[before - 1][1]

    return [
        (match.start(), len(match.group(1)), match.group(2))
        for match in HEADING.finditer(text)
        if not is_in_code(match.start())
    ]


def shares_ngram(one: Sequence[str], other: set[tuple[str, ...]], size: int) -> bool:
    return any(gram in other for gram in ngrams(one, size))


def ngrams(sequence: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(sequence[i : i + size]) for i in range(len(sequence) - size + 1)}


def overlap(one: Collection[str], other: Collection[str]) -> float:
    """Jaccard similarity of two bags of words, taken as sets."""
    union = set(one) | set(other)
    return len(set(one) & set(other)) / len(union) if union else 0.0


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if stripped := piece.strip():
        left = start + len(piece) - len(piece.lstrip())
        yield left, left + len(stripped)
