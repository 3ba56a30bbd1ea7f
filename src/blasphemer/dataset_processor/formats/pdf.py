"""A PDF -> its text and the span of each page.

PDFium reads the characters and their places (this module), `pdf_layout` puts the lines of a page in order, `pdf_lines`
joins them across pages. PDFium is native code fed with files from anywhere: it may hang, crash or eat the memory, so
this runs in a process that may be killed.
"""

from __future__ import annotations

import ctypes
import math
import re
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, BinaryIO

import pypdfium2
from pypdfium2 import raw

from blasphemer.dataset_processor.formats import ocr
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.pdf_layout import Layout, Word, arrange
from blasphemer.dataset_processor.formats.pdf_lines import PdfText, Title, compose
from blasphemer.errors import NotYetReadable, Unreadable
from blasphemer.records import Document

CHARACTERS = 256 << 20  # of text, at most
TITLES, DEPTH = 20000, 15  # of an outline, at most: it may be a circle
# What a hostile file gets out of PDFium and its wrapper: its own errors, and sizes and places that cannot be
BROKEN = (
    pypdfium2.PdfiumError,
    AssertionError,
    ctypes.ArgumentError,
    ArithmeticError,
    LookupError,
    ValueError,
    OSError,
)

_WORD_OR_LINE = re.compile(
    r"[^\s\ufffe]+\ufffe?|\ufffe|\n"
)  # \ufffe: PDFium's hyphen at the end of a line, and its end
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
_SYMBOLS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\uf0a8": "▪", "\uf0d8": "•", "\uf0fc": "•", "\uf02d": "-"})
TOUCHING = 0.1  # of a line's height, between the pieces of one word
NO_TEXT_SHARE, UNMAPPED_SHARE = 0.3, 0.5  # of a line's characters and words: with more, it goes as a whole
WORTH_SAYING = 0.05  # of a page's characters, lost to fonts without a Unicode map: less is signs in formulas


@dataclass(frozen=True)
class Page:
    """A page as it was read. `lost` counts characters that no reader could make out, `trouble` names what happened."""

    layout: Layout
    lost: int = 0
    trouble: str = ""


SCAN, DAMAGED, NO_MAP, RECOGNISED = (
    "{are} scans without text",
    "could not be read",
    "{have} text in a font without a Unicode map, which was left out",
    "{were} read by OCR",
)


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:
    """Raises Unreadable: damaged, encrypted, without text (NotYetReadable, where OCR may find some another time)."""
    with closing(_opened(opened.read(), options.password)) as document:
        try:
            pages, missing = _pages(document, options)
            outline = _outline(document)
        except BROKEN as error:
            raise Unreadable("damaged PDF") from error
    has_tables = any(page.layout.has_tables for page in pages)
    layouts = [page.layout for page in pages]
    found = compose([one.text for one in layouts], outline, has_tables, [one.full for one in layouts])
    finished = not options.ocr_languages or all(page.trouble != SCAN for page in pages)
    if not found.text:
        raise (Unreadable if finished else NotYetReadable)(_without_text(pages, missing))
    document = _document(file, found, pages, missing, has_tables)
    yield replace(document, finished=finished)


def _document(file: str, found: PdfText, pages: Sequence[Page], missing: str, has_tables: bool) -> Document:
    return Document(
        file,
        found.text,
        markdown=has_tables or found.headings > 0,
        pages=found.pages,
        removed=found.lost + sum(page.lost for page in pages),
        note=_note(pages, missing),
    )


def _opened(data: bytes, password: str | None) -> Any:
    """A document that needs no password is opened whatever password is given: they are one for all files of a run."""
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise Unreadable(_refusal(error)) from error
    if password is None:
        raise Unreadable("encrypted PDF: give its password with --document-password")
    try:
        return pypdfium2.PdfDocument(data, password)
    except pypdfium2.PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise Unreadable(_refusal(error)) from error
        raise Unreadable("encrypted PDF: the password given with --document-password does not open it") from error


def _refusal(error: pypdfium2.PdfiumError) -> str:
    if error.err_code == raw.FPDF_ERR_SECURITY:
        return "encrypted PDF, in a way that PDFium does not know. Save it without encryption"
    return "damaged PDF"


# --- pages -----------------------------------------------------------------------------------------------------------


def _pages(document: Any, options: Options) -> tuple[list[Page], str]:
    """All pages, and what recognising text needs and has not got ("" for nothing)."""
    pages: list[Page] = []
    recogniser = _Recogniser(options)
    size = 0
    for number in range(len(document)):
        try:
            with closing(document[number]) as page:
                read = _page(page)
                if read.trouble == SCAN and not recogniser.stopped:
                    read = recogniser.page(page) or read
        except BROKEN:
            read = Page(Layout(""), trouble=DAMAGED)
        pages.append(read)
        size += len(read.layout.text)
        if size > CHARACTERS:
            raise Unreadable(f"PDF with more than {CHARACTERS >> 20} million characters. Split it")
    return pages, recogniser.missing


class _Recogniser:
    """Reads scanned pages until something is missing or time is up. `missing` says what ("" for nothing)."""

    def __init__(self, options: Options) -> None:
        self.languages, self.seconds = options.ocr_languages, options.ocr_seconds
        self.end = time.monotonic() + options.ocr_seconds
        self.stopped = not options.ocr_languages
        self.missing = ""

    def page(self, page: Any) -> Page | None:
        """A page, unless its text could not be recognised this time."""
        read = None
        try:
            text = ocr.recognised(page, self.languages)
            read = Page(Layout(text), trouble=RECOGNISED if text.strip() else "")
        except ocr.Missing as error:
            self.stopped, self.missing = True, str(error)
        except ocr.TimeIsUp:
            self.missing = f"OCR stopped after {ocr.SECONDS} s for one page"
        if not self.stopped and time.monotonic() > self.end:
            self.stopped, self.missing = True, f"OCR stopped after {self.seconds:g} s: --file-timeout allows more"
        return read


def _page(page: Any) -> Page:
    with closing(page.get_textpage()) as text_page:
        if text_page.count_chars() > CHARACTERS:
            raise Unreadable(f"PDF with more than {CHARACTERS >> 20} million characters. Split it")
        lines, lost = _legible(_lines(text_page))
    layouts = [arrange([_in_order(line) for line in lines if line.turn == turn]) for turn in _turns(lines)]
    layout = layouts[0] if layouts else Layout("")
    for other in layouts[1:]:
        layout = Layout(f"{layout.text}\n\n{other.text}", layout.has_tables or other.has_tables, layout.full)
    if not layout.text and _has_picture(page):
        return Page(layout, lost, SCAN)
    return Page(layout, lost, NO_MAP if lost > WORTH_SAYING * (len(layout.text) + lost) else "")


def _has_picture(page: Any) -> bool:
    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


@dataclass(frozen=True)
class Line:
    """Words as if they ran from left to right; `turn` is by how many quarters, counter-clockwise, they do not.
    `unmapped` words are of a font that does not say which characters its glyphs are."""

    words: list[Word]
    turn: int
    unmapped: int


def _turns(lines: Sequence[Line]) -> list[int]:
    """The directions in which text runs, that of most of the page first."""
    sizes: Counter[int] = Counter()
    for line in lines:
        sizes[line.turn] += len(line.words)
    return [turn for turn, _ in sizes.most_common()]


def _in_order(line: Line) -> list[Word]:
    """PDFium puts the pieces of a line in the order of the page's left to right, however the line runs. Mirrored text,
    which ends to the left of its beginning, stays."""
    if line.turn == 0 or any(word.right < word.left for word in line.words):
        return line.words
    ordered: list[Word] = []
    for word in sorted(line.words, key=lambda word: word.left):
        if ordered and word.left - ordered[-1].right < TOUCHING * (word.top - word.bottom):
            ordered[-1] = ordered[-1]._replace(text=ordered[-1].text + word.text, right=word.right)
        else:
            ordered.append(word)
    return ordered


def _lines(text_page: Any) -> Iterator[Line]:
    """The lines of a page as PDFium gives them: in the order in which they were drawn."""
    text = _utf16(text_page.get_text_range())
    # Characters that PDFium leaves out of the text, or puts into it, shift its numbering
    shifted = len(text) != text_page.count_chars()
    handle = text_page.raw
    rect = raw.FS_RECTF()
    at = ctypes.byref(rect)
    box, unmapped = raw.FPDFText_GetLooseCharBox, raw.FPDFText_HasUnicodeMapError
    words: list[Word] = []
    turn = bad = 0
    for found in _WORD_OR_LINE.finditer(text):
        word = found[0]
        if word != "\n":
            first, last = found.start(), found.end() - 1
            if word[-1] == "\ufffe" and last > first:
                last -= 1
            if shifted:
                first, last = (raw.FPDFText_GetCharIndexFromTextIndex(handle, index) for index in (first, last))
            if not words:
                turn = _turn(raw.FPDFText_GetCharAngle(handle, first))
            bad += unmapped(handle, first) == 1
            box(handle, first, at)
            left, bottom, right, top = _upright(turn, rect) if turn else (rect.left, rect.bottom, rect.right, rect.top)
            if last != first:
                box(handle, last, at)
                right = _upright(turn, rect)[2] if turn else rect.right
            words.append(Word(word if word.isascii() else _from_utf16(word), left, right, bottom, top))
        if words and word[-1] in "\n\ufffe":
            yield Line(words, turn, bad)
            words, bad = [], 0
    if words:
        yield Line(words, turn, bad)


def _utf16(text: str) -> str:
    """One character for each unit of UTF-16, which is how PDFium counts."""
    return text if text.isascii() or max(text) <= "\uffff" else "".join(map(chr, array("H", text.encode("utf-16"))[1:]))


def _from_utf16(word: str) -> str:
    return word.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")


def _turn(angle: float) -> int:
    """Quarters, counter-clockwise. PDFium's angle is clockwise in radians, -1 where it knows none."""
    return -round(angle / (math.pi / 2)) % 4 if angle >= 0 and math.isfinite(angle) else 0


def _upright(turn: int, rect: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right, top, as they are once the page has been turned so that the text runs to the right: of text
    that is turned, by 1 to 3 quarters."""
    if turn == 1:
        return rect.bottom, -rect.right, rect.top, -rect.left
    if turn == 2:
        return -rect.right, -rect.top, -rect.left, -rect.bottom
    return -rect.top, rect.left, -rect.bottom, rect.right


# --- fonts without a Unicode map -------------------------------------------------------------------------------------


def _legible(lines: Iterator[Line]) -> tuple[list[Line], int]:
    """The lines without those that are no text, and the number of characters that went.

    A font that does not say which characters its glyphs are comes out as control characters, private use, or letters
    that mean others. Judged line by line: such a font is often that of a formula among good prose.
    """
    kept = []
    lost = 0
    for line in lines:
        text = " ".join(word.text for word in line.words)
        if not line.unmapped and not _NO_TEXT.search(text):
            kept.append(line)
            continue
        text = text.translate(_SYMBOLS)
        strange = len(_NO_TEXT.findall(text))
        if strange > NO_TEXT_SHARE * len(text) or (
            line.unmapped > UNMAPPED_SHARE * len(line.words) and not _is_language(text)
        ):
            lost += len(text)
            continue
        lost += strange
        words = [word._replace(text=_NO_TEXT.sub("", word.text.translate(_SYMBOLS))) for word in line.words]
        kept.append(Line([word for word in words if word.text], line.turn, line.unmapped))
    return kept, lost


def _is_language(text: str) -> bool:
    """Letters for the most part, and vowels among them as often as languages have them: glyph numbers are neither."""
    letters = [char for char in text.lower() if char.isalpha() and char.isascii()]
    vowels = sum(char in "aeiouy" for char in letters)
    return len(letters) > 0.7 * len(text.replace(" ", "")) and 0.2 * len(letters) < vowels < 0.6 * len(letters)


# --- outline ---------------------------------------------------------------------------------------------------------


def _outline(document: Any) -> list[Title]:
    titles = []
    try:
        for entry in document.get_toc(max_depth=DEPTH):
            target = entry.get_dest()
            page = target.get_index() if target is not None else None
            if page is not None:
                titles.append(Title(entry.get_title(), entry.level + 1, page))
            if len(titles) == TITLES:
                break
    except BROKEN:  # the headings that were found are headings
        pass
    return titles


# --- what to say -----------------------------------------------------------------------------------------------------


def _note(pages: Sequence[Page], missing: str) -> str:
    notes = []
    for trouble in (SCAN, RECOGNISED, DAMAGED, NO_MAP):
        numbers = [number for number, page in enumerate(pages, 1) if page.trouble == trouble]
        if numbers:
            notes.append(_said_of_pages(numbers, trouble) + (f" ({missing})" if missing and trouble == SCAN else ""))
    return "; ".join(notes)


def _said_of_pages(numbers: Sequence[int], trouble: str) -> str:
    if len(numbers) == 1:
        words = trouble.replace("scans", "a scan").format(are="is", have="has", were="was")
        return f"page {numbers[0]} {words}"
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    shown = (str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"pages {', '.join(shown)} {trouble.format(are='are', have='have', were='were')}"


def _without_text(pages: Sequence[Page], missing: str) -> str:
    number = f"{len(pages)} {'page' if len(pages) == 1 else 'pages'}"
    need = missing or "name its languages with --ocr-languages"
    return f"no text layer ({number}: a scan needs OCR: {need})"
