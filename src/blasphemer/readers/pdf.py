"""A PDF -> its text and the span of each page: read in a process of its own, then cleaned of what only the page needed.

A PDF knows lines, not paragraphs. Lines are joined where they clearly wrap, and left alone where in doubt: a line break
too many does no harm, a table or a program run together does.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blasphemer.errors import Unreadable

WORKER = Path(__file__).with_name("pdf_worker.py")
SECONDS, SECONDS_PER_PAGE = 60.0, 1.0  # PDFium needs 2 ms a page: what takes longer is stuck

EDGE = 2  # lines at the top and at the bottom of a page that may be running headers and footers
RUNNING_SHARE, RUNNING_PAGES = 0.4, 3  # ... if as many pages have them
COUNTING_PAGES = 10  # below, "1 Birds", "2 Fish" may be one chapter a page, and no page numbers
NARROW = 40  # columns: where even the long lines are shorter than this, nothing tells a wrapped line from a list

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_PAGE_NUMBER = re.compile(r"\W*(?:(?:[Pp]age|[Ss]eite|[Pp]\.)\s*)?(\d{1,4}|[ivxlc]+)(?:\s*(?:/|of|von)\s*\d+)?\W*")
_COUNTERS = {"counts, first": re.compile(r"\d{1,4}\b(?![.)])"), "counts, last": re.compile(r".*\b(\d{1,4})$")}
_HYPHEN_AT_END = re.compile(r"(\w+(?:-\w+)*)([-\ufffe\xad])$")
_WORDS = re.compile(r"\w+(?:-\w+)*")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f…][\"'”\u2019»)\]]*$")
_ROW = re.compile(r"[:;{}]$|(?:\. ?){4}")  # of a program or a table of contents; what ":" announces starts a line
_ITEM = re.compile(r"[•‣◦▪●\u2013—*-]\s|\(?(?:\d{1,3}(?:\.\d+)*|[A-Za-z])[.)]\s|\d{1,3}(?:\.\d+)*\s+[A-Z]")


@dataclass(frozen=True)
class PdfText:
    """`pages[i]` is the (start, end) span of page i in `text`; `lost` counts the characters of running lines."""

    text: str
    pages: tuple[tuple[int, int], ...]
    lost: int


def read_pdf(file: io.FileIO) -> PdfText:
    """Raises Unreadable: damaged, encrypted, without text, too slow or too large."""
    pages = page_texts(file)
    read = compose(pages)
    if not read.text:
        raise Unreadable(f"no text layer ({len(pages)} {'page' if len(pages) == 1 else 'pages'}: a scan needs OCR)")
    return read


def page_texts(file: io.FileIO, seconds: float = SECONDS, seconds_per_page: float = SECONDS_PER_PAGE) -> list[str]:
    """Each page's text as PDFium gives it, from a process that is killed after `seconds` + `seconds_per_page` * pages.

    PDFium is native code fed with files from anywhere: it may hang, crash or eat the memory, but not ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "pages.jsonl"  # a file, not a pipe: it can be read while the worker still writes
        with written.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, str(WORKER)], stdin=file, stdout=output, stderr=subprocess.DEVNULL
            )
        try:
            if not _ends(worker, seconds):
                seconds_for_pages = seconds_per_page * _page_count(_records(written))
                if not _ends(worker, seconds_for_pages):
                    raise Unreadable(f"PDF took longer than {seconds + seconds_for_pages:g} s to read")
        finally:
            worker.kill()
            worker.wait()
        return _pages(_records(written), worker.returncode)


def _ends(worker: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        worker.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _records(written: Path) -> list[Any]:
    whole_lines = written.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in whole_lines]


def _page_count(records: list[Any]) -> int:
    return records[0] if records and isinstance(records[0], int) else 0


def _pages(records: list[Any], exit_code: int) -> list[str]:
    if records and isinstance(records[0], dict):
        raise Unreadable(records[0]["error"])
    if exit_code or not records or len(records) != records[0] + 1:
        raise Unreadable(f"PDF could not be read to its end (exit code {exit_code}: damaged, or too large for memory)")
    return [text or "" for text in records[1:]]


def compose(pages: Sequence[str]) -> PdfText:
    """Clean pages and join them: running lines out, hyphens healed, wrapped lines joined, spans exact."""
    lines = [_lines(page) for page in pages]
    running = _running_lines(lines)
    kept = _kept(lines, running)
    words = {word.lower() for page in pages for word in _WORDS.findall(page)}
    text, spans = "", [(0, 0)] * len(pages)
    parts: list[str] = []
    position = 0
    for index, line in enumerate(kept):
        shown, separator = _joint(kept, index, words)
        start = position if index == 0 or kept[index - 1].page != line.page else spans[line.page][0]
        spans[line.page] = (start, position + len(shown))
        parts += shown, separator
        position += len(shown) + len(separator)
    text = "".join(parts)
    end = 0
    for page, (start, stop) in enumerate(spans):  # an empty page lies at the end of the page before it
        spans[page] = (start, stop) if stop else (end, end)
        end = spans[page][1]
    lost = sum(len(lines[page][index]) for page, index in running)
    return PdfText(text, tuple(spans), lost)


def _lines(page: str) -> list[str]:
    page = unicodedata.normalize("NFC", page.translate(_LIGATURES)).replace("\r\n", "\n").replace("\r", "\n")
    page = re.sub("\ufffe\n?", "\ufffe\n", page)  # PDFium's sign for a hyphen at a line's end swallows the line break
    page = re.sub("(?<!\\w)\xad|\xad(?! *(?:\n|$))", "", page)
    return [_CONTROL.sub("", line).strip() for line in page.split("\n")]


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
    full: int  # columns of a full line on this page

    @property
    def ends_sentence(self) -> bool:
        return bool(_SENTENCE_END.search(self.text))

    @property
    def is_short(self) -> bool:
        """A heading, a cell, a name: it neither fills its line nor ends a sentence."""
        starts = self.text[0].isupper() or self.text[0].isdigit()
        return starts and _columns(self.text) < 0.6 * self.full and self.text[-1] not in ".,;:!?"


def _kept(pages: Sequence[Sequence[str]], running: set[tuple[int, int]]) -> list[_Line]:
    kept = []
    for page, lines in enumerate(pages):
        left = ["" if (page, index) in running else line for index, line in enumerate(lines)]
        gone = {index for index in range(len(lines)) if (page, index) in running}
        widths = sorted(_columns(line) for line in left if line)
        full = max(NARROW, widths[int(0.9 * (len(widths) - 1))]) if widths else NARROW
        for index, line in enumerate(left):
            if line:
                gap = index + 1 < len(left) and not left[index + 1] and index + 1 not in gone
                kept.append(_Line(line, page, gap, full))
    return kept


def _joint(lines: Sequence[_Line], index: int, words: set[str]) -> tuple[str, str]:
    """A line as it is written, and what parts it from the next: nothing, a space, a line or a paragraph break."""
    line = lines[index]
    plain = line.text.replace("\ufffe", "-").replace("\xad", "")
    if index + 1 == len(lines):
        return plain, ""
    after = lines[index + 1]
    same_page = line.page == after.page
    hyphen = _HYPHEN_AT_END.search(line.text)
    word = _WORDS.match(after.text)
    if hyphen and word and not (line.gap and same_page):
        return _healed(line.text[:-1], hyphen[1], hyphen[2], word[0], words), ""
    if line.gap and same_page:
        return plain, "\n\n"
    if (_wraps if same_page else _runs_on)(line, after):
        return plain, "" if _is_wide(plain[-1]) and _is_wide(after.text[0]) else " "
    if not same_page or _is_heading(lines, index) or _is_heading(lines, index + 1):
        return plain, "\n\n"
    return plain, "\n\n" if line.ends_sentence and not _ITEM.match(after.text) else "\n"


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
