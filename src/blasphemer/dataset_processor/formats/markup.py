"""Blocks in, Markdown out: what the readers of HTML, DOCX and reStructuredText have in common.

Headings, fences and rows of tables begin at the left margin even inside lists: that is where they are looked for when
a text is cut into passages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DEEPEST = 8  # lists within lists that are still indented: beyond, white space would outgrow the text
WIDEST = 50  # columns or rows that a merged cell fills at most: "colspan=1000" costs nothing to write
LONGEST_HEADING = 300  # characters; what is longer is a text that somebody set in large type

_LOST_WITHOUT_TRACE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))  # soft hyphen, and space of no width
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SYNTAX = re.compile(r"#{1,6}[ \t]|```|~~~|\|.*\|$")
_FENCE_LINE = re.compile(r"^(```|~~~)", re.MULTILINE)
_RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")


@dataclass(frozen=True)
class Cell:
    """One cell of a table, which may span several columns and rows."""

    text: str
    columns: int = 1
    rows: int = 1


@dataclass
class _List:
    number: int | None  # of the next item; None for bullets
    marker: str = ""  # of the item that is open, until its first block is written
    width: int = 2


class Markdown:
    """A text that grows block by block. White space is tidied here, so callers hand over what they find."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._lists: list[_List] = []
        self._in_list = False  # the block before stands in the list that is open
        self._glued = False

    def text(self) -> str:
        return "".join(self._parts)

    def paragraph(self, text: str) -> None:
        """Lines of `text` stay lines; inside a list it belongs to the item that is open."""
        lines = [line for line in map(one_line, clean(text).split("\n")) if line]
        if not lines:
            return
        marker = self._lists[-1].marker if self._lists else ""
        outer = " " * sum(one.width for one in self._lists[:-1][:DEEPEST])
        inner = outer + " " * (self._lists[-1].width if self._lists[:DEEPEST] else 0)
        block = f"\n{inner}".join(map(_escaped, lines))
        self._add((outer + marker if marker else inner) + block, tight=bool(marker) or self._glued)

    def heading(self, level: int, text: str) -> None:
        title = one_line(clean(text))
        if len(title) > LONGEST_HEADING:
            self.paragraph(title)
        elif title:
            self._add(f"{'#' * min(max(level, 1), 6)} {title}", tight=False)

    def code(self, text: str, language: str = "") -> None:
        lines = clean(text).rstrip().expandtabs(4).split("\n")
        while lines and not lines[0].strip():
            del lines[0]
        if lines:
            self._add(fenced("\n".join(lines), language), tight=False)

    def verbatim(self, text: str) -> None:
        """Text that is Markdown already."""
        if tidied := clean(text).strip("\n").rstrip():
            self._add(tidied, tight=False)

    def table(self, rows: Iterable[Sequence[Cell]], headed: bool = False) -> None:
        """Rows; `headed` says that the first one names the columns. Cells that are merged are written once, rows and
        columns in which nothing is are left out."""
        filled = _without_empty_columns([row for row in _grid(rows) if any(row)])
        lines = [f"| {' | '.join(row)} |" for row in filled]
        if headed and lines:
            lines.insert(1, f"|{'---|' * len(filled[0])}")
        if lines:
            self._add("\n".join(lines), tight=False)

    def open_list(self, start: int | None = None) -> None:
        """A list, inside the item that is open if there is one. `start` numbers its items."""
        self._lists.append(_List(start))

    def open_item(self, number: int | None = None) -> None:
        if not self._lists:
            return
        innermost = self._lists[-1]
        if innermost.number is None:
            innermost.marker = "- "
        else:
            innermost.number = innermost.number if number is None else number
            innermost.marker = f"{innermost.number}. "
            innermost.number += 1
        innermost.width = len(innermost.marker)

    def glue(self) -> None:
        """The next paragraph follows without a blank line: it explains the line before."""
        self._glued = True

    def close_list(self) -> None:
        self._lists.pop()
        self._in_list = self._in_list and bool(self._lists)

    def _add(self, block: str, *, tight: bool) -> None:
        if self._parts:
            self._parts.append("\n" if tight and self._in_list else "\n\n")
        self._parts.append(block)
        for one in self._lists:  # an item that begins with another list, or a heading, has no line of its own
            one.marker = ""
        self._in_list = bool(self._lists)
        self._glued = False


def fenced(code: str, language: str = "") -> str:
    """Code between fences that no line of it closes."""
    inside = {mark for mark in ("```", "~~~") if f"\n{mark}" in f"\n{code}"}
    if len(inside) == 2:
        code = _FENCE_LINE.sub(r" \1", code)
    mark = "~~~" if inside == {"```"} else "```"
    return f"{mark}{''.join(language.split())}\n{code}\n{mark}"


def clean(text: str) -> str:
    """What a format's own escapes may bring in: control characters, halves of characters, marks that nobody sees."""
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text.translate(_LOST_WITHOUT_TRACE)))
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    return " ".join(text.split())


def raised(text: str) -> str:
    """Superscript digits as such: the seventh power of ten is not 107. Others (1st) read well as they are."""
    bare = text.strip()
    is_number = bool(bare) and all(char in "0123456789+-−" for char in bare)
    return bare.translate(_RAISED) if is_number else text


def _escaped(line: str) -> str:
    """A line that looks like a heading, a fence or a row by accident."""
    return f"\\{line}" if _SYNTAX.match(line) else line


def _grid(rows: Iterable[Sequence[Cell]]) -> list[list[str]]:
    """Cells in their columns; a place that a merged cell covers is empty after its first."""
    grid: list[list[str]] = []
    covered: dict[int, int] = {}  # column -> rows below in which a cell from above still stands
    for row in rows:
        line: list[str] = []
        for cell in row:
            while covered.get(len(line), 0) > 0:
                line.append("")
            columns, depth = (min(max(span, 1), WIDEST) for span in (cell.columns, cell.rows))
            for column in range(len(line), len(line) + columns):
                covered[column] = depth
            line += [one_line(clean(cell.text)).replace("|", "\\|"), *[""] * (columns - 1)]
        while covered.get(len(line), 0) > 0:
            line.append("")
        covered = {column: left - 1 for column, left in covered.items() if left > 1}
        grid.append(line)
    return grid


def _without_empty_columns(rows: Sequence[list[str]]) -> list[list[str]]:
    """Pages merge cells to set figures apart: what nothing stands in would outgrow the text."""
    filled = {column for row in rows for column, text in enumerate(row) if text}
    return [[text for column, text in enumerate(row) if column in filled] for row in rows]
