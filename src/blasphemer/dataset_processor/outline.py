"""Document -> blocks: what each stretch of a text is, which heading it stands below, and what leads into it.

Headings are Markdown's, or, in a text without any, short lines of their own. Nothing here knows a language: lines,
signs and blank space tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from blasphemer.language import BULLET, HEADING, TABLE_ROW, Span, is_code, paragraph_spans, sentence_spans
from blasphemer.records import Document

Kind = Literal["paragraph", "item", "table", "code", "record", "turns", "note"]

MOST_TITLE = 90  # characters of a line that may be a heading
MOST_KEY_WORDS, MOST_KEY = 6, 60  # words and characters of what stands before the colon of an entry
FEWEST_TURNS = 4  # lines that begin with the names of speakers, before they are taken for a dialogue
MOST_LEAD_SENTENCES = 2  # of a paragraph before a list that does not end with a colon

ENDS = ".!?…:;,。！？：；，、؟؛،।॥၊៖"  # a line that ends so is no heading
_LABELLED = re.compile(
    r"^[ \t]*(?:\*\*|__)?(?P<key>[^\s:：|*_#>][^\n:：|*]*?)(?:\*\*|__)?[ \t\u00a0]*"
    r"(?:[:：](?:\*\*|__)?(?=[ \t])|：)[ \t]*(?P<value>\S[^\n]*)$",
    re.MULTILINE,
)
_NOTE = re.compile(r"[ \t]*(?:\\\*(?=[ \t])|[†‡§¹²³]|\[\^\w+\]:)")  # how a footnote begins
_STAR = re.compile(r"[ \t]*\*[ \t]")  # a footnote too, where it is alone and a star leads to it
_STARRED = re.compile(r"[^\s*]\s?\*(?![*\w])")
_NUMBERED = re.compile(r"\d{1,3}(?:\.\d{1,3})*[.)]?[ \t]+\S")
_LABEL_WITHIN = re.compile(r"\*\*[^*\n]{1,60}[:：]\*\*|\*\*[^*\n]{1,60}\*\*[:：]")


@dataclass(frozen=True)
class Entry:
    """A line "key: value" of a text, as the spans of its parts."""

    key: Span
    value: Span

    @property
    def span(self) -> Span:
        return self.key[0], self.value[1]


@dataclass(frozen=True)
class Block:
    """A stretch of a text that is one thing.

    `heading` is the path of headings above it, the document's title not included. `lead` is the line that leads into a
    list or table. Items of one list have its `number` in common; `depth` is how far an item is set in.
    """

    kind: Kind
    start: int
    end: int
    number: int
    heading: tuple[str, ...] = ()
    lead: Span | None = None
    depth: int = 0
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Outline:
    """A document's title (its file's name, where it gives none) and its blocks in order."""

    title: str
    blocks: tuple[Block, ...]


def outline(document: Document) -> Outline:
    """What the stretches of a document are."""
    return _Reader(document).outline()


def entry_at(text: str, start: int, end: int) -> Entry | None:
    """The entry that a line, or an item of a list, consists of."""
    bullet = BULLET.match(text, start, end)
    begin = bullet.end() if bullet else start
    match = _LABELLED.fullmatch(text[begin:end])
    if not match or not _is_entry(match):
        return None
    found = _entry(match)
    return Entry(*((begin + start, begin + stop) for start, stop in (found.key, found.value)))


def _entry(match: re.Match[str]) -> Entry:
    return Entry(match.span("key"), (match.start("value"), match.start("value") + len(match["value"].rstrip())))


def _is_entry(match: re.Match[str]) -> bool:
    """Is it one key with its value, whose marks of emphasis are whole?"""
    value = match["value"]
    return _is_key(match["key"]) and value.count("**") % 2 == 0 and not _LABEL_WITHIN.search(value)


def _is_key(key: str) -> bool:
    return (
        len(key) <= MOST_KEY
        and len(key.split()) <= MOST_KEY_WORDS
        and any(letter.isalpha() for letter in key)
        and key[-1] not in ENDS
        and ". " not in key
        and key.count('"') % 2 == 0
        and key.count("(") == key.count(")")
    )


class _Reader:
    """Goes through the blocks of a text once, keeping the headings that hold."""

    def __init__(self, document: Document) -> None:
        self.document, self.text = document, document.text
        self.spans = [span for span in paragraph_spans(self.text) if self.text[slice(*span)].strip()]
        self.has_headings = any(HEADING.fullmatch(self.text, *span) for span in self.spans)
        self.labels = self._labels()
        self.records = self._records()
        self.speakers = self._speakers()
        self.title = ""
        self.path: list[tuple[int, str]] = []
        self.above: list[tuple[int, Span]] = []  # items that others are set in under, with their depth
        self.list_lead: Span | None = None

    def outline(self) -> Outline:
        blocks = tuple(self._blocks())
        name = PurePosixPath(self.document.file).name or self.document.file
        return Outline(self.title or name, blocks)

    # --- what the whole text tells -----------------------------------------------------------------------------------

    def _labels(self) -> dict[Span, tuple[Entry, ...]]:
        """The entries of each block that begins with a label."""
        found: dict[Span, tuple[Entry, ...]] = {}
        for start, end in self.spans:
            if BULLET.match(self.text, start, end) or TABLE_ROW.match(self.text, start, end):
                continue
            matches = [match for match in _LABELLED.finditer(self.text, start, end) if _is_entry(match)]
            if matches and matches[0].start("key") - start <= len("**") + 1:
                found[start, end] = tuple(map(_entry, matches))
        return found

    def _records(self) -> set[tuple[str, ...]]:
        """The labels, in order, that several blocks have in common: rows of a table, written one below the other.

        Two labels with sentences behind them may be people who talk by turns.
        """
        shapes = Counter(self._shape(entries) for entries in self.labels.values() if len(entries) > 1)
        if self.document.part.startswith("rows"):
            return set(shapes)
        talking = {
            self._shape(entries)
            for entries in self.labels.values()
            if len(entries) == 2 and any(self.text[entry.value[1] - 1] in ENDS for entry in entries)
        }
        return {shape for shape, number in shapes.items() if number > 1 and len(set(shape)) == len(shape)} - talking

    def _speakers(self) -> set[str]:
        """Labels that come again and again before what somebody says: several of them, none in a row of records."""
        keys = Counter(self.text[slice(*entry.key)] for entries in self.labels.values() for entry in entries)
        again = {key for key, number in keys.items() if number > 1} - {key for shape in self.records for key in shape}
        return again if len(again) > 1 and sum(keys[key] for key in again) >= FEWEST_TURNS else set()

    def _shape(self, entries: Sequence[Entry]) -> tuple[str, ...]:
        return tuple(self.text[slice(*entry.key)] for entry in entries)

    # --- block by block ----------------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[Block]:
        last: Block | None = None
        for place, (start, end) in enumerate(self.spans):
            rest = None
            heading = self._heading(place)
            if heading is not None:
                level, name, rest = heading
                self._enter(place, level, name)
                last = None
                if rest is None:
                    continue
            last = self._block(place, rest or start, end, last)
            yield last

    def _block(self, place: int, start: int, end: int, last: Block | None) -> Block:  # noqa: PLR0911 - a case each
        path = tuple(name for _, name in self.path)
        block = Block("paragraph", start, end, place, path)
        if is_code(self.text[start:end]):
            return replace(block, kind="code")
        if TABLE_ROW.match(self.text, start, end):
            return replace(block, kind="table", lead=self._lead(last))
        if _NOTE.match(self.text, start, end) or self._is_starred_note(place):
            return replace(block, kind="note")
        if BULLET.match(self.text, start, end):
            depth = start - (self.text.rfind("\n", 0, start) + 1)
            if last is None or last.kind != "item":
                self.above, self.list_lead = [], self._lead(last)
            number = last.number if last and last.kind == "item" else block.number
            return replace(block, kind="item", depth=depth, number=number, lead=self._lead_of_item(start, end, depth))
        entries = self.labels.get((start, end), ())
        if entries and any(self.text[slice(*entry.key)] in self.speakers for entry in entries):
            return replace(block, kind="turns", entries=entries)
        if entries and self._shape(entries) in self.records:
            return replace(block, kind="record", entries=entries)
        if len(entries) > 1 and len(entries) == self.text.count("\n", start, end) + 1:
            return replace(block, entries=entries, lead=self._lead(last))
        if entries and self.text[start:end].startswith(("**", "__")):
            return replace(block, entries=entries)
        return block

    def _lead(self, last: Block | None) -> Span | None:
        """What leads into a list or table: a line that ends with a colon, or else a short paragraph."""
        if last is None or last.kind != "paragraph" or last.entries:
            return None
        sentences = sentence_spans(self.text[last.start : last.end])
        begin = last.start + sentences[-1][0] if self.text[last.end - 1] in ":：" else last.start
        is_short = len(sentences) <= MOST_LEAD_SENTENCES or begin > last.start
        return (begin, last.end) if is_short else None

    def _lead_of_item(self, start: int, end: int, depth: int) -> Span | None:
        """What leads into an item: the item it is set in under, or what leads into the list."""
        self.above = [(other, span) for other, span in self.above if other < depth]
        lead = self.above[-1][1] if self.above else self.list_lead
        bullet = BULLET.match(self.text, start, end)
        self.above.append((depth, (bullet.end() if bullet else start, end)))
        return lead

    def _is_starred_note(self, place: int) -> bool:
        """Is it a footnote that begins with a star, and no item of a list of stars?"""
        if not _STAR.match(self.text, *self.spans[place]):
            return False
        beside = self.spans[max(place - 1, 0) : place] + self.spans[place + 1 : place + 2]
        is_item = any(_STAR.match(self.text, *span) for span in beside)
        return not is_item and _STARRED.search(self.text, 0, self.spans[place][0]) is not None

    def _heading(self, place: int) -> tuple[int, str, int | None] | None:
        """Level and name of the heading that a block is, or begins with; and where the rest of it begins, if there is.

        The first line of a text may be its title though others follow it at once.
        """
        start, end = self.spans[place]
        block = self.text[start:end]
        if found := HEADING.fullmatch(block):
            return len(found[1]), found[2], None
        is_item = BULLET.match(block) and not self._is_numbered_title(place)
        if self.has_headings or is_item or TABLE_ROW.match(block) or is_code(block):
            return None
        line, _, rest = block.partition("\n")
        if not self._is_title(line) or ((start, end) in self.labels and place):
            return None
        if rest:
            is_title = place == 0 and not self.labels.get((start, end)) and len(self.spans) > 1
            return (1, line.strip(), start + len(line) + 1) if is_title else None
        return (1 if place == 0 else 2, line.strip(), None) if self._is_followed(place) else None

    def _is_numbered_title(self, place: int) -> bool:
        """Does a numbered line stand alone, with text below it that is no further item?"""
        start, end = self.spans[place]
        beside = self.spans[max(place - 1, 0) : place] + self.spans[place + 1 : place + 2]
        is_line = _NUMBERED.match(self.text, start, end) is not None and "\n" not in self.text[start:end]
        numbers = [bullet for span in beside if (bullet := BULLET.match(self.text, *span))]
        return is_line and not any(sign.isdigit() for bullet in numbers for sign in bullet.group())

    def _is_title(self, line: str) -> bool:
        line = line.strip()
        return (
            len(line) <= MOST_TITLE
            and line.rstrip("*†‡§\\ ")[-1:] not in tuple(ENDS)
            and not line.startswith(('"', "“", "„", "«", "(", "†", "*"))
            and any(letter.isalpha() for letter in line)
            and not line[0].islower()
        )

    def _is_followed(self, place: int) -> bool:
        """Does something stand below a line that would be its heading? A line after a comma is a signature."""
        if place + 1 == len(self.spans):
            return False
        before = self.text[self.spans[place - 1][1] - 1] if place else "."
        start, end = self.spans[place + 1]
        following = self.text[start:end]
        is_text = following[-1] in ENDS or following[-1] in "\"'”’»)」』）" or (start, end) in self.labels
        return before != "," and (is_text or bool(BULLET.match(following) or TABLE_ROW.match(following)))

    def _enter(self, place: int, level: int, name: str) -> None:
        if not self.title and place == 0:
            self.title = name
            return
        self.path = [(depth, above) for depth, above in self.path if depth < level] + [(level, name)]
