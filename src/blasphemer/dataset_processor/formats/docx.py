"""DOCX -> Markdown: the body of a document as Word shows it, with its footnotes.

The XML is walked here rather than with python-docx, which passes over content controls, accepted insertions, text boxes
and footnotes, and inflates every picture to get at the text. XML nests at most 256 deep (the parser sees to it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from blasphemer.dataset_processor.formats.markup import Cell, Markdown, one_line, raised
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.zips import Archive
from blasphemer.errors import Unreadable
from blasphemer.records import Document

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
STRICT = b"http://purl.oclc.org/ooxml/wordprocessingml/main"

NOTES = (("footnoteReference", "word/footnotes.xml", "footnote"), ("endnoteReference", "word/endnotes.xml", "endnote"))
# Deleted or moved away, formatting, the other form of what was read already, reading aids above Japanese, field codes
UNSEEN = {f"{W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "tblPr", "trPr", "tcPr", "sdtPr", "rt")}
UNSEEN |= {f"{W}instrText", f"{W}delText", f"{MC}Fallback", f"{M}rPr", f"{M}ctrlPr"}
WRITTEN = {
    f"{W}tab": "\t", f"{W}ptab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}softHyphen": "",
}  # fmt: skip
_HEADING = re.compile(r"heading (\d)")
_CODE = re.compile(r"\b(?:code|listing|preformatted|verbatim|macro text)\b")
_DEEPER = re.compile(r"list (?:bullet|number) (\d)")  # a list of its own to Word, which only its name says
_CONTENTS = re.compile(r"toc (?:\d|heading)")


@dataclass(frozen=True)
class _Style:
    name: str
    outline: int | None  # level of the heading, from 1
    numbering: tuple[str, int] | None  # list and level in it


@dataclass
class _Level:
    ordered: bool
    start: int


@dataclass
class _Parts:
    styles: dict[str, _Style] = field(default_factory=dict)
    lists: dict[str, dict[int, _Level]] = field(default_factory=dict)
    notes: dict[tuple[str, str], Any] = field(default_factory=dict)


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:  # noqa: ARG001
    with Archive(opened) as archive:
        if STRICT in archive.read("word/document.xml")[:4096]:
            raise Unreadable('"Strict Open XML" document: save it as an ordinary .docx')
        document = archive.xml("word/document.xml")
        parts = _Parts(_styles(archive), _lists(archive), _notes(archive))
    body = document.find(f"{W}body")
    if body is None:
        raise Unreadable("damaged document (no body)")
    writer = _Writer(parts)
    writer.blocks(body)
    writer.finish()
    text = writer.out.text()
    if not text:
        raise Unreadable("no text (a document of pictures?)")
    yield Document(file, text, markdown=True, removed=writer.removed)


def _styles(archive: Archive) -> dict[str, _Style]:
    if "word/styles.xml" not in archive:
        return {}
    found = {style.get(f"{W}styleId", ""): style for style in archive.xml("word/styles.xml").iterfind(f"{W}style")}
    return {identity: _style(identity, found) for identity in found}


def _style(identity: str, found: dict[str, Any]) -> _Style:
    """A style with what it inherits. Names of built-in styles are English in every edition of Word, ids are not."""
    own = found[identity]
    outline, numbering = None, None
    seen: set[str] = set()
    while identity in found and identity not in seen and len(seen) < 20:
        seen.add(identity)
        style = found[identity]
        outline = outline or _outline(style.find(f"{W}pPr"))
        numbering = numbering or _numbering(style.find(f"{W}pPr"))
        identity = _value(style, "basedOn")
    name = _value(own, "name").casefold()
    if numbering and (deeper := _DEEPER.fullmatch(name)):
        numbering = numbering[0], int(deeper.group(1)) - 1
    heading = _HEADING.fullmatch(name)
    if heading or name == "title":
        outline = int(heading.group(1)) if heading else 1
    return _Style(name, outline, numbering)


def _outline(properties: Any) -> int | None:
    level = _value(properties, "outlineLvl")
    return int(level) + 1 if level.isdecimal() and int(level) < 9 else None  # 9 is body text


def _numbering(properties: Any) -> tuple[str, int] | None:
    number = properties.find(f"{W}numPr") if properties is not None else None
    if number is None:
        return None
    level = _value(number, "ilvl")
    return _value(number, "numId"), min(int(level), 8) if level.isdecimal() else 0


def _lists(archive: Archive) -> dict[str, dict[int, _Level]]:
    """List -> level in it -> how it counts."""
    if "word/numbering.xml" not in archive:
        return {}
    numbering = archive.xml("word/numbering.xml")
    forms = {form.get(f"{W}abstractNumId"): _levels(form) for form in numbering.iterfind(f"{W}abstractNum")}
    lists = {}
    for one in numbering.iterfind(f"{W}num"):
        levels = dict(forms.get(_value(one, "abstractNumId"), {}))
        for override in one.iterfind(f"{W}lvlOverride"):
            levels |= _levels(override)
        lists[one.get(f"{W}numId")] = levels
    return lists


def _levels(form: Any) -> dict[int, _Level]:
    levels = {}
    for level in form.iterfind(f"{W}lvl"):
        number, start = level.get(f"{W}ilvl", ""), _value(level, "start")
        if number.isdecimal():
            ordered = _value(level, "numFmt") not in {"bullet", "none"}
            levels[int(number)] = _Level(ordered, int(start[:6]) if start.isdecimal() else 1)
    return levels


def _notes(archive: Archive) -> dict[tuple[str, str], Any]:
    """What footnotes and endnotes refer to, by the name of the reference and its id."""
    notes = {}
    for reference, part, name in NOTES:
        if part in archive:
            for note in archive.xml(part).iterfind(f"{W}{name}"):
                if note.get(f"{W}type", "normal") == "normal":
                    notes[f"{W}{reference}", note.get(f"{W}id", "")] = note
    return notes


def _value(parent: Any, name: str) -> str:
    """The value of a property, "" where there is none."""
    child = parent.find(f"{W}{name}") if parent is not None else None
    return (child.get(f"{W}val") or "") if child is not None else ""


class _Writer:
    def __init__(self, parts: _Parts) -> None:
        self.out = Markdown()
        self.removed = 0
        self._parts = parts
        self._code: list[str] = []  # lines of a listing, each a paragraph to Word
        self._open: list[tuple[str, int]] = []  # lists that are open, with their levels
        self._counts: dict[tuple[str, int], int] = {}
        self._later: list[Any] = []  # text boxes and notes of the paragraph or table that is being written
        self._used: set[Any] = set()  # notes: a damaged one may refer to itself

    def blocks(self, parent: Any) -> None:
        for child in parent.iterchildren(tag=_ELEMENTS):
            if child.tag == f"{W}p":
                self._paragraph(child)
            elif child.tag == f"{W}tbl":
                self._table(child)
            elif child.tag not in UNSEEN and not _is_placeholder(child):
                self.blocks(child)  # content controls, accepted insertions, custom XML

    def finish(self) -> None:
        self._end_code()
        self._close_lists(0)

    def _paragraph(self, paragraph: Any) -> None:
        properties = paragraph.find(f"{W}pPr")
        style = self._parts.styles.get(_value(properties, "pStyle"), _Style("", None, None))
        text = self._inline(paragraph)
        if _CODE.search(style.name):
            self._code.append(text)
            return
        self._end_code()
        if _CONTENTS.fullmatch(style.name):
            self.removed += len(one_line(text))
        elif text.strip():
            self._write(text, style, properties)
        self._write_later()

    def _write(self, text: str, style: _Style, properties: Any) -> None:
        level = _outline(properties) or style.outline
        number = _numbering(properties) or style.numbering
        if level:
            self._close_lists(0)
            self.out.heading(level, text)
        elif number and number[0] not in {"", "0"}:
            self._item(number)
            self.out.paragraph(text)
        else:
            self._close_lists(0)
            self.out.paragraph(text)

    def _item(self, number: tuple[str, int]) -> None:
        """Begin an item. Items inside it are of a deeper level; another list at the same level is a new one."""
        name, depth = number
        levels = self._parts.lists.get(name, {})
        level = levels.get(depth) or levels.get(0) or _Level(False, 1)
        while self._open and (self._open[-1][1] > depth or (self._open[-1][1] == depth and self._open[-1] != number)):
            self._close_lists(len(self._open) - 1)
        count = self._counts.get(number, level.start - 1) + 1
        self._counts[number] = count
        for other in [key for key in self._counts if key[0] == name and key[1] > depth]:
            del self._counts[other]  # "1. a) b) 2. a)": deeper levels count anew
        if not self._open or self._open[-1] != number:
            self.out.open_list(count if level.ordered else None)
            self._open.append(number)
        self.out.open_item(count)

    def _close_lists(self, left: int) -> None:
        while len(self._open) > left:
            self._open.pop()
            self.out.close_list()

    def _end_code(self) -> None:
        if self._code:
            self._close_lists(0)
            self.out.code("\n".join(self._code))
            self._code.clear()
            self._write_later()

    def _write_later(self) -> None:
        while self._later:
            boxes, self._later = self._later, []
            for box in boxes:
                self.blocks(box)

    def _table(self, table: Any) -> None:
        self._end_code()
        rows = list(_rows(table))
        cells = [cell for row in rows for cell in _cells(row)]
        if len(cells) == 1:  # a frame around text
            self.blocks(cells[0])
            return
        self._close_lists(0)
        headed = bool(rows) and rows[0].find(f"{W}trPr/{W}tblHeader") is not None
        self.out.table([[self._cell(cell) for cell in _cells(row)] for row in rows], headed)
        self._write_later()

    def _cell(self, cell: Any) -> Cell:
        properties = cell.find(f"{W}tcPr")
        width = _value(properties, "gridSpan")
        merged = properties.find(f"{W}vMerge") if properties is not None else None
        continues = merged is not None and merged.get(f"{W}val", "continue") == "continue"
        text = "" if continues else self._inline(cell)
        return Cell(text, int(width[:4]) if width.isdecimal() else 1)

    def _inline(self, parent: Any) -> str:
        """The text of a paragraph, or of all paragraphs in a cell; what stands in text boxes and notes is put off."""
        parts: list[str] = []
        self._gather(parent, parts)
        return "".join(parts)

    def _gather(self, parent: Any, parts: list[str]) -> None:
        for child in parent.iterchildren(tag=_ELEMENTS):
            tag = child.tag
            if tag in {f"{W}t", f"{M}t"}:
                parts.append(child.text or "")
            elif tag in WRITTEN:
                parts.append(WRITTEN[tag])
            elif tag == f"{W}r":
                self._run(child, parts)
            elif tag == f"{W}txbxContent":
                self._later.append(child)
            elif (note := self._parts.notes.get((tag, child.get(f"{W}id", "")))) is not None:
                self._put_off(note)
            elif tag not in UNSEEN and not _is_placeholder(child):
                self._gather(child, parts)
                parts.append({f"{W}p": " ", f"{W}tc": " ", f"{M}num": "/"}.get(tag, ""))

    def _run(self, run: Any, parts: list[str]) -> None:
        properties = run.find(f"{W}rPr")
        hidden = properties.find(f"{W}vanish") if properties is not None else None
        if hidden is not None and hidden.get(f"{W}val", "1") not in {"0", "false", "off"}:
            return
        inside: list[str] = []
        self._gather(run, inside)
        text = "".join(inside)
        parts.append(raised(text) if _value(properties, "vertAlign") == "superscript" else text)

    def _put_off(self, note: Any) -> None:
        if note not in self._used:
            self._used.add(note)
            self._later.append(note)


_ELEMENTS = "{*}*"  # no comments or processing instructions


def _rows(table: Any) -> Iterator[Any]:
    """The rows, also inside content controls."""
    for child in table.iterchildren(tag=_ELEMENTS):
        if child.tag == f"{W}tr":
            yield child
        elif child.tag not in UNSEEN | {f"{W}tblGrid"}:
            yield from _rows(child)


def _cells(row: Any) -> Iterator[Any]:
    for child in row.iterchildren(tag=_ELEMENTS):
        if child.tag == f"{W}tc":
            yield child
        elif child.tag not in UNSEEN:
            yield from _cells(child)


def _is_placeholder(control: Any) -> bool:
    """A content control that nobody has filled in ("Click here to enter text")."""
    return control.tag == f"{W}sdt" and control.find(f"{W}sdtPr/{W}showingPlcHdr") is not None
