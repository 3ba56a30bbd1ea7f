"""The lines of a PDF's pages -> one text and the span of each page, cleaned of what only the pages needed.

A PDF knows lines, not paragraphs. Lines are joined where they clearly wrap, and left alone where in doubt: a line break
too many does no harm, a table or a program run together does.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

EDGE = 2  # lines at the top and at the bottom of a page that may be running headers and footers
RUNNING_SHARE, RUNNING_PAGES = 0.4, 3  # ... if as many pages have them
COUNTING_PAGES = 10  # below, "1 Birds", "2 Fish" may be one chapter a page, and no page numbers
DEEPEST, TITLE_LINES = 6, 3  # levels of Markdown's headings; lines of one heading
NARROW = 40  # columns: where even the long lines are shorter than this, nothing tells a wrapped line from a list

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_PAGE_NUMBER = re.compile(r"\W*(?:(?:[Pp]age|[Ss]eite|[Pp]\.)\s*)?(\d{1,4}|[ivxlc]+)(?:\s*(?:/|of|von)\s*\d+)?\W*")
_COUNTERS = {"counts, first": re.compile(r"\d{1,4}\b(?![.)])"), "counts, last": re.compile(r".*\b(\d{1,4})$")}
_HYPHEN_AT_END = re.compile(r"(\w+(?:-\w+)*)([-\ufffe\xad])$")
_WORDS = re.compile(r"\w+(?:-\w+)*")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f…][\"'”\u2019»)\]]*$")
_ROW = re.compile(r"[:;{}|]$|(?:\. ?){4}")  # of a program or a table of contents; what ":" announces starts a line
_ITEM = re.compile(r"\|\s|[•‣◦▪●\u2013—*-]\s|\(?(?:\d{1,3}(?:\.\d+)*|[A-Za-z])[.)]\s|\d{1,3}(?:\.\d+)*\s+[A-Z]")

_NUMBER = re.compile(
    r"^\W*(?:(?:chapter|section|part|appendix|kapitel)\s+)?(?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])\b[.:)]?\s+", re.I
)
_MARKUP = re.compile(r"^(?:#{1,6}(?=\s)|```|~~~)")
_ACCENTED = re.compile(r"([´¨ˆ˜˚ˇ¸]) ?([A-Za-zı])")
_ACCENTS = dict(zip("´¨ˆ˜˚ˇ¸", "\u0301\u0308\u0302\u0303\u030a\u030c\u0327", strict=True))


@dataclass(frozen=True)
class PdfText:
    """`pages[i]` is the (start, end) span of page i in `text`; `lost` counts the characters of running lines,
    `headings` the lines that were marked as such."""

    text: str
    pages: tuple[tuple[int, int], ...]
    lost: int
    headings: int = 0


@dataclass(frozen=True)
class Title:
    """An entry of the outline: `level` from 1, `page` from 0."""

    text: str
    level: int
    page: int


def compose(
    pages: Sequence[str],
    outline: Sequence[Title] = (),
    has_tables: bool = False,
    full: Sequence[frozenset[int]] = (),
) -> PdfText:
    """Clean pages and join them: running lines out, hyphens healed, wrapped lines joined, spans exact.

    Lines that the outline names become Markdown headings. In a text that has these, or tables, a line that only looks
    like a heading or a fence ("# a comment") gets a backslash before it, as Markdown has it: one character more is
    better than a comment that opens a section. `full` are the numbers of each page's lines that reach a margin.
    """
    lines = [_lines(page) for page in pages]
    running = _running_lines(lines)
    levels = _levels(lines, outline, running)
    kept = _kept(lines, running - levels.keys(), levels, full or [frozenset()] * len(pages))
    if levels or has_tables:
        kept = [line if line.level else replace(line, text=_MARKUP.sub(r"\\\g<0>", line.text)) for line in kept]
    words = {word.lower() for page in pages for word in _WORDS.findall(page)}
    spans = [(0, 0)] * len(pages)
    parts: list[str] = []
    position = 0
    for index, line in enumerate(kept):
        shown, separator = _joint(kept, index, words)
        start = position if index == 0 or kept[index - 1].page != line.page else spans[line.page][0]
        spans[line.page] = (start, position + len(shown))
        parts += shown, separator
        position += len(shown) + len(separator)
    end = 0
    for page, (start, stop) in enumerate(spans):  # an empty page lies at the end of the page before it
        spans[page] = (start, stop) if stop else (end, end)
        end = spans[page][1]
    lost = sum(len(lines[page][index]) for page, index in running - levels.keys())
    return PdfText("".join(parts), tuple(spans), lost, len(levels))


def _levels(
    pages: list[list[str]], outline: Sequence[Title], running: set[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """(page, line) -> level of each heading. A heading that was wrapped is made one line, in place.

    A page's running header often names its chapter: it is the heading only where nothing else is.
    """
    levels: dict[tuple[int, int], int] = {}
    forms: dict[int, list[tuple[str, str]]] = {}
    for title in outline:
        wanted = _forms(title.text)
        if not 0 <= title.page < len(pages) or not wanted[0]:
            continue
        lines = pages[title.page]
        if title.page not in forms:
            forms[title.page] = [_forms(line) for line in lines]
        known = forms[title.page]
        places = [index for index in range(len(lines)) if known[index][0] and (title.page, index) not in levels]
        places.sort(key=lambda index: (title.page, index) in running)
        for index in places:
            if length := _matching_lines(known, index, wanted):
                lines[index : index + length] = [" ".join(lines[index : index + length]), *[""] * (length - 1)]
                known[index + 1 : index + length] = [("", "")] * (length - 1)
                levels[title.page, index] = min(title.level, DEEPEST)
                break
    return levels


def _matching_lines(lines: Sequence[tuple[str, str]], index: int, title: tuple[str, str]) -> int:
    """How many lines from `index` on say just what the title does, with or without its number; 0 if they do not."""
    for length in range(1, TITLE_LINES + 1):
        rest = "".join(whole for whole, _ in lines[index + 1 : index + length])
        whole, bare = (form + rest for form in lines[index])
        if whole == title[0] or (bare == title[1] and len(bare) > 2):
            return length
    return 0


def _forms(line: str) -> tuple[str, str]:
    """What titles are compared by: letters and digits only, with and without the number before them."""
    return _plain(line), _plain(_NUMBER.sub("", line))


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _lines(page: str) -> list[str]:
    page = _ACCENTED.sub(_with_accent, page)
    page = unicodedata.normalize("NFC", page.translate(_LIGATURES)).replace("\r\n", "\n").replace("\r", "\n")
    page = re.sub("\ufffe\n?", "\ufffe\n", page)  # PDFium's sign for a hyphen at a line's end swallows the line break
    page = re.sub("(?<!\\w)\xad|\xad(?! *(?:\n|$))", "", page)
    return [_CONTROL.sub("", line).strip() for line in page.split("\n")]


def _with_accent(found: re.Match[str]) -> str:
    """TeX draws an accent, then the letter below it."""
    letter = "i" if found[2] == "ı" else found[2]
    composed = unicodedata.normalize("NFC", letter + _ACCENTS[found[1]])
    return composed if len(composed) == 1 else found[0]


def _running_lines(pages: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """(page, line) of headers, footers and page numbers: what the edges of many pages share once digits are folded.

    A line that begins or ends with a number that counts along with the pages is one too ("Chapter 3: Utilities 17").
    """
    places: dict[tuple[str, str | int], set[tuple[int, int]]] = defaultdict(set)
    filled = 0
    for page, lines in enumerate(pages):
        full = [index for index, line in enumerate(lines) if line]
        filled += bool(full)
        for order, index in enumerate(full):
            if EDGE <= order < len(full) - EDGE:
                continue
            line = lines[index]
            number = _PAGE_NUMBER.fullmatch(line)
            if number:
                places["page number", _value(number[1]) - page].add((page, index))
                continue
            for kind, counter in _COUNTERS.items():
                if counted := counter.match(line):
                    places[kind, int(counted[counter.groups]) - page].add((page, index))
            if any(map(str.isalpha, line)):
                places["top" if order < EDGE else "bottom", re.sub(r"\d+", "#", line)].add((page, index))
    running: set[tuple[int, int]] = set()
    for (kind, _), spots in places.items():
        fewest = COUNTING_PAGES if kind in _COUNTERS else RUNNING_PAGES
        needed = fewest if kind == "page number" else max(fewest, RUNNING_SHARE * filled)
        if len({page for page, _ in spots}) >= needed:
            running |= spots
    text = {(page, index) for page, lines in enumerate(pages) for index, line in enumerate(lines) if line}
    return running if running != text else set()  # a text of nothing but repeated lines is a text


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[numeral] for numeral in number]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0], strict=True))


@dataclass(frozen=True)
class _Line:
    text: str
    page: int
    gap: bool  # a blank line follows
    full: int  # columns of a full line on this page, or of this line if it is one
    level: int = 0  # of a heading

    @property
    def ends_sentence(self) -> bool:
        return bool(_SENTENCE_END.search(self.text))

    @property
    def is_short(self) -> bool:
        """A heading, a cell, a name: it neither fills its line nor ends a sentence."""
        starts = self.text[0].isupper() or self.text[0].isdigit()
        return starts and _columns(self.text) < 0.6 * self.full and self.text[-1] not in ".,;:!?"


def _kept(
    pages: Sequence[Sequence[str]],
    running: set[tuple[int, int]],
    levels: dict[tuple[int, int], int],
    reaching: Sequence[frozenset[int]],
) -> list[_Line]:
    kept = []
    for page, lines in enumerate(pages):
        left = ["" if (page, index) in running else line for index, line in enumerate(lines)]
        gone = {index for index in range(len(lines)) if (page, index) in running}
        widths = sorted(_columns(line) for line in left if line)
        full = max(NARROW, widths[int(0.9 * (len(widths) - 1))]) if widths else NARROW
        for index, line in enumerate(left):
            if line:
                gap = index + 1 < len(left) and not left[index + 1] and index + 1 not in gone
                own = min(full, _columns(line)) if index in reaching[page] else full
                kept.append(_Line(line, page, gap, own, levels.get((page, index), 0)))
    return kept


def _joint(lines: Sequence[_Line], index: int, words: set[str]) -> tuple[str, str]:
    """A line as it is written, and what parts it from the next: nothing, a space, a line or a paragraph break."""
    line = lines[index]
    plain = "#" * line.level + " " * bool(line.level) + line.text.replace("\ufffe", "-").replace("\xad", "")
    if index + 1 == len(lines):
        return plain, ""
    after = lines[index + 1]
    same_page = line.page == after.page
    if line.level or after.level:
        return plain, "\n\n"
    if not (line.gap and same_page):
        hyphen = _HYPHEN_AT_END.search(line.text) if line.text[-1] in "-\ufffe\xad" else None
        if hyphen and (word := _WORDS.match(after.text)):
            return _healed(line.text[:-1], hyphen[1], hyphen[2], word[0], words), ""
        if (_wraps if same_page else _runs_on)(line, after):
            return plain, "" if _is_wide(plain[-1]) and _is_wide(after.text[0]) else " "
    return plain, "\n\n" if _ends_paragraph(lines, index) else "\n"


def _ends_paragraph(lines: Sequence[_Line], index: int) -> bool:
    """Of lines that are not joined: is the break between this one and the next one a paragraph's?"""
    line, after = lines[index], lines[index + 1]
    if line.gap or line.page != after.page or _is_heading(lines, index) or _is_heading(lines, index + 1):
        return True
    return line.ends_sentence and not _ITEM.match(after.text)


def _healed(line: str, left: str, sign: str, right: str, words: set[str]) -> str:
    """The line, without the hyphen of a parted word, with that of a compound: well-known, Anglo-Saxon, 1914-18."""
    if sign == "\xad":
        return line
    whole, compound = (left + right).lower(), f"{left}-{right}".lower()
    if whole in words:
        return line
    is_compound = compound in words or not left[-1].isalpha() or not right[0].isalpha()
    return f"{line}-" if is_compound or (left[-1].islower() and right[0].isupper()) else line


def _wraps(line: _Line, after: _Line) -> bool:
    """The line was broken because the next word did not fit."""
    continues = after.text[0].islower()
    if _ROW.search(line.text) or _ITEM.match(after.text):
        return False
    if not continues and (re.search(r"[\d%)]$", line.text) or _is_row(after.text)):
        return False
    width = _columns(line.text)
    with_next = width + 1 + _columns(after.text.split(maxsplit=1)[0])
    if with_next >= (0.8 if continues and not line.ends_sentence else 0.9) * line.full:
        return True
    return continues and (line.text[-1].isalpha() or line.text[-1] == ",") and width >= 0.5 * line.full


def _is_row(text: str) -> bool:
    """A row of a table: a third of its cells are numbers."""
    numbers = sum(any(map(str.isdigit, cell)) for cell in text.split())
    return numbers >= 2 and 3 * numbers >= len(text.split())


def _runs_on(line: _Line, after: _Line) -> bool:
    """A sentence goes on across the page break."""
    if line.ends_sentence or _ROW.search(line.text):
        return False
    return after.text[0].islower() and _columns(line.text) >= 0.5 * line.full


def _is_heading(lines: Sequence[_Line], index: int) -> bool:
    """A short line between lines that are not: rows of a table and verses stay together."""
    if index + 1 >= len(lines) or not lines[index].is_short or lines[index + 1].is_short:
        return False
    return index == 0 or not lines[index - 1].is_short or bool(_ITEM.match(lines[index].text))


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(2 if _is_wide(char) else 1 for char in text)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
