"""Document -> statements: what can be taught and asked, each as it stands, with what is needed to understand it.

A statement is a sentence, an item of a list with the line that leads into it, a row of a table with the words of its
header, an entry, a definition, a question with its answer, or a turn of a dialogue. `document.text[start:end]` is what
it says, always: nothing is changed, added or exchanged.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from blasphemer.dataset_processor.outline import Block, Entry, entry_at, outline
from blasphemer.language import BULLET, WORD, Span, sentence_spans
from blasphemer.languages import Language, find_language, language
from blasphemer.records import Document, Passage, Statement, StatementKind, one_line

MOST_LETTERS = 600  # of a statement: a longer one is a text, and stays in its passage
FEWEST_WORDS = 12  # that are shown of a paragraph, where it has them: shorter sentences are seldom understood alone
FEWEST_ALONE = 6  # words of a sentence that begins a paragraph
MOST_BEFORE = 3  # sentences shown before one
FEWEST_LETTERS = 60  # of a statement in a language without full stops
LONGEST_ORDINAL = 4  # characters, with the one before
PARTED = "\0"  # between pieces of what is shown before a statement that do not stand together
RESOLVED = 3  # content words before a word that points back, among which may be what it points to

_SEPARATOR = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?\|?[ \t]*")
_ORDINAL = re.compile(r"(?<![\d.,:])\d{1,2}\.\Z")
_SET_OUT = re.compile(r"^[ \t]*(?:>|[-_=*~]{3,}[ \t]*$)|\S(?: {3,}|\t)\S", re.MULTILINE)  # quoted, ruled, in columns
_MARKED = re.compile(r"(?:\*\*|__)?\Z")  # before a key in bold
_OPENING, _CLOSING = "“„«「『（(", "”“»」』）)"


def find_statements(document: Document, passages: Sequence[Passage]) -> Iterator[Statement]:
    """The statements of a document in order, each with the id of the passage it begins in."""
    yield from _Finder(document, passages).statements()


class _Finder:
    """One document, with what holds for all of its statements."""

    def __init__(self, document: Document, passages: Sequence[Passage]) -> None:
        self.document, self.text = document, document.text
        self.passages = passages
        self.starts = [passage.start for passage in passages]
        self.language: Language = language(find_language(self.text))
        self.outline = outline(document)

    def statements(self) -> Iterator[Statement]:
        blocks = self.outline.blocks
        for place, block in enumerate(blocks):
            for found in self._of(block, blocks[place - 1] if place else None):
                if found.end - found.start <= MOST_LETTERS and WORD.search(found.text):
                    yield found

    def _of(self, block: Block, last: Block | None) -> Iterator[Statement]:
        if block.kind == "table":
            yield from self._rows(block)
        elif block.kind == "item":
            yield from self._item(block, last)
        elif block.kind == "turns":
            yield from self._turns(block)
        elif block.kind == "record":
            cells = tuple((self._said(entry.key), self._said(entry.value)) for entry in block.entries)
            span = block.entries[0].span[0], block.entries[-1].span[1]
            yield self._statement(block, "row", span, key=cells[0][1], cells=cells)
        elif block.entries:
            for entry in block.entries:
                yield from self._entry(block, entry)
        elif block.kind in ("paragraph", "note"):
            yield from self._sentences(block, (block.start, block.end), block.kind == "note", last)

    # --- kinds -------------------------------------------------------------------------------------------------------

    def _sentences(
        self, block: Block, span: Span, is_note: bool = False, last: Block | None = None, before: str = ""
    ) -> Iterator[Statement]:
        """The sentences of a paragraph, each with those before it that it goes on from, or is too short without."""
        spans = [
            (span[0] + start, span[0] + end) for start, end in whole_sentences(self.text[slice(*span)], self.language)
        ]
        earlier = self._end_of(last, block)
        spans = [*earlier, *spans]
        for place, (start, end) in list(enumerate(spans))[len(earlier) :]:
            first = place
            while first and place - first < MOST_BEFORE and self._needs_more(spans[first : place + 1]):
                if first == len(earlier) and self._words((start, end)) >= FEWEST_ALONE:
                    break  # what stands in another paragraph is not shown with it
                first -= 1
            opening = spans[max(first, len(earlier))]  # of the paragraph: it should be understood without another
            is_clear = not is_note and not self._goes_on(opening) and not _is_quoted(self.text[start:end])
            is_clear = is_clear and self.text[end - 1] not in ":：," and not _SET_OUT.search(self.text, start, end)
            shown = spans[first][0], spans[place - 1][1] if first < place else spans[first][0]
            context = f"{before}{PARTED}{self._said(shown)}"
            kind: StatementKind = "note" if is_note else "sentence"
            yield self._statement(block, kind, (start, end), before=context, is_clear=is_clear, shown_from=shown[0])

    def _end_of(self, last: Block | None, block: Block) -> list[Span]:
        """The last sentence of the paragraph before this one, below the same heading."""
        if last is None or last.kind != "paragraph" or last.entries or last.heading != block.heading:
            return []
        start, end = whole_sentences(self.text[last.start : last.end], self.language)[-1]
        return [(last.start + start, last.start + end)]

    def _needs_more(self, spans: Sequence[Span]) -> bool:
        """Is what these sentences say too little, or does the first of them go on from another?"""
        return self._words((spans[0][0], spans[-1][1])) < FEWEST_WORDS or self._goes_on(spans[0])

    def _words(self, span: Span) -> int:
        return len(WORD.findall(self.text[slice(*span)]))

    def _goes_on(self, span: Span) -> bool:
        """Does a sentence point back to something that it does not name itself?"""
        content = 0
        for place, match in enumerate(WORD.finditer(self.text, *span)):
            word = match.group().casefold().replace("’", "'")
            if place == 0 and word in self.language.linking:
                return True
            if word.split("'")[0] in self.language.pointing and content < RESOLVED:
                return True
            content += word not in self.language.small
        return False

    def _lead_of(self, block: Block, start: int) -> tuple[str, int]:
        """What leads into a block, and from where it is shown: without a break only where it stands right before."""
        if not block.lead:
            return "", start
        is_right_before = not self.text[block.lead[1] : block.start].strip()
        return self._said(block.lead), block.lead[0] if is_right_before else start

    def _item(self, block: Block, last: Block | None) -> Iterator[Statement]:
        entry = entry_at(self.text, block.start, block.end)
        if entry:
            yield from self._entry(block, entry)
            return
        bullet = BULLET.match(self.text, block.start, block.end)
        start = bullet.end() if bullet else block.start
        kind: StatementKind = "step" if bullet and any(sign.isdigit() for sign in bullet.group()) else "item"
        lead, from_lead = self._lead_of(block, start)
        if kind == "step" and last and last.kind == "item" and last.number == block.number:
            above = BULLET.match(self.text, last.start, last.end)
            lead, from_lead = (
                f"{lead}{PARTED}{self._said((above.end() if above else last.start, last.end))}",
                last.start,
            )
        spans = whole_sentences(self.text[start : block.end], self.language)
        if block.end - start <= MOST_LETTERS // 2 or len(spans) == 1:
            yield self._statement(block, kind, (start, block.end), before=lead, shown_from=from_lead)
        else:
            yield from self._sentences(block, (start, block.end), before=lead)

    def _entry(self, block: Block, entry: Entry) -> Iterator[Statement]:
        """An entry: a key and its value, or a term with what it means. Long ones are taken sentence by sentence."""
        key, lead = self._said(entry.key), self._said(block.lead) if block.lead else ""
        begin = entry.key[0] - len(_MARKED.search(self.text[block.start : entry.key[0]])[0])  # type: ignore[index]
        if entry.value[1] - begin <= MOST_LETTERS:
            yield self._statement(block, "entry", (begin, entry.value[1]), before=lead, key=key)
        else:
            yield from self._sentences(block, (begin, entry.value[1]), before=lead)

    def _turns(self, block: Block) -> Iterator[Statement]:
        """Turns of a dialogue, each after the one before it; or answers after their questions."""
        said = [self._turn_span(block, place) for place in range(len(block.entries))]
        for place, entry in enumerate(block.entries):
            key, begin = self._said(entry.key), entry.value[0]
            earlier = said[place - 1] if place else None
            asked = self._said(block.entries[place - 1].key) if place else ""
            if key.casefold() in self.language.answer_labels and asked.casefold() in self.language.question_labels:
                assert earlier is not None
                question = self._said((block.entries[place - 1].value[0], earlier[1]))
                asked_from = block.entries[place - 1].value[0]
                span = begin, said[place][1]
                yield self._statement(block, "answer", span, before=question, key=question, shown_from=asked_from)
                if len(whole_sentences(self.text[begin : said[place][1]], self.language)) > 1:
                    yield from self._sentences(block, (begin, said[place][1]), before=question)
            elif key.casefold() not in self.language.question_labels:
                before = self._said(earlier) if earlier else ""
                shown_from = earlier[0] if earlier else None
                yield self._statement(block, "turn", said[place], before=before, key=key, shown_from=shown_from)

    def _turn_span(self, block: Block, place: int) -> Span:
        """A turn ends where the next begins."""
        entries = block.entries
        end = entries[place + 1].key[0] if place + 1 < len(entries) else block.end
        begin = entries[place].key[0]
        return begin, begin + len(self.text[begin:end].rstrip(" \t\n*_"))

    def _rows(self, block: Block) -> Iterator[Statement]:
        """The rows of a table. Without a header that can be told from the rows, cells have no names."""
        lines = [span for span in _lines(self.text, block.start, block.end) if "|" in self.text[slice(*span)]]
        rows = [(line, _cells(self.text, *line)) for line in lines]
        header: list[str] = []
        if len(rows) > 1 and _SEPARATOR.fullmatch(self.text, *lines[1]):
            header = rows[0][1]
            rows = rows[2:]
        elif len(rows) > 2 and _is_header([cells for _, cells in rows]):
            header = rows[0][1]
            rows = rows[1:]
        lead = self._said(block.lead) if block.lead and self.text[block.lead[1] - 1] in ":：" else ""
        if not header:
            rows = rows[_heads([cells for _, cells in rows]) :]
        for line, found in rows:
            if _SEPARATOR.fullmatch(self.text, *line):
                continue
            names = header if len(header) == len(found) else [""] * len(found)
            key = found[0] if found else ""
            cells = tuple(zip(names, found, strict=True))
            if any(found):
                yield self._statement(block, "row", line, before=lead, key=key, cells=cells)

    # --- making ------------------------------------------------------------------------------------------------------

    def _said(self, span: Span) -> str:
        return self.text[slice(*span)]

    def _statement(
        self,
        block: Block,
        kind: StatementKind,
        span: Span,
        before: str = "",
        key: str = "",
        cells: tuple[tuple[str, str], ...] = (),
        is_clear: bool = True,
        shown_from: int | None = None,
    ) -> Statement:
        start, end = span
        return Statement(
            kind=kind,
            file=self.document.file,
            passage=self.passages[max(bisect_right(self.starts, start) - 1, 0)].id,
            title=self.outline.title,
            heading=" / ".join(block.heading),
            language=self.language.code,
            block=block.number,
            start=start,
            end=end,
            text=self.text[start:end],
            before="\n".join(filter(None, map(one_line, before.split(PARTED)))),
            key=key,
            cells=cells,
            is_clear=is_clear,
            shown_from=start if shown_from is None else shown_from,
        )


def whole_sentences(text: str, known: Language) -> list[Span]:
    """Sentences, none of which parts a quotation or a bracket: who says something belongs to what is said. Nor does a
    day end one before its month (3. Mai), or before any noun where nouns have capitals."""
    whole: list[Span] = []
    start: int | None = None
    for begin, end in _clauses(text) if not known.has_stops else sentence_spans(text):
        start = begin if start is None else start
        is_whole = not _is_open(text[start:end]) and not _is_ordinal(text, end, known)
        if is_whole or end - start > MOST_LETTERS:
            whole.append((start, end))
            start = None
    if start is not None:
        whole.append((start, len(text.rstrip())))
    return whole


def _clauses(text: str) -> Iterator[Span]:
    """A text without full stops, cut at the blanks between its clauses, where enough has been said."""
    start = 0
    for blank in [*re.finditer(r"(?<!\d)\s+(?!\d)", text), None]:
        end = blank.start() if blank else len(text)
        if end - start >= FEWEST_LETTERS or (blank is None and end > start):
            yield start, end
            start = blank.end() if blank else end


def _is_ordinal(text: str, end: int, known: Language) -> bool:
    """Is it the third (3.) of something that a sentence seems to end with?"""
    if not _ORDINAL.search(text[max(end - LONGEST_ORDINAL, 0) : end]):
        return False
    following = WORD.search(text, end)
    if not following:
        return False
    return known.capitals == "nouns" or following.group().casefold() in known.months


def _is_open(text: str) -> bool:
    """Is there a quotation or a bracket that does not end in the text?"""
    opened: list[str] = []
    for sign in text:
        if sign == '"':
            opened.pop() if opened and opened[-1] == '"' else opened.append('"')
        elif sign in _CLOSING and opened and opened[-1] in _pairs(sign):
            opened.pop()
        elif sign in _OPENING:
            opened.append(sign)
    return bool(opened)


def _pairs(closing: str) -> str:
    """What a closing sign may close: German opens low, and closes with what opens in English."""
    return {"”": "“„", "“": "„", "»": "«", "」": "「", "』": "『", "）": "（", ")": "("}[closing]


def _is_quoted(text: str) -> bool:
    """Is the whole of it somebody's words, without a word of who says them?"""
    return text[0] in '"“„«「' and text[-1] in '"”“»」'


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        if text[start:stop].strip():
            yield start, stop
        start = stop + 1


def _cells(text: str, start: int, end: int) -> list[str]:
    """The cells of a row as they stand, without the space around them. Bars at the ends of a row part nothing."""
    line = text[start:end].strip()
    inner = line[1:] if line.startswith("|") else line
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    parts = re.split(r"(?<!\\)\|", inner)
    return [part.strip() for part in parts]


def _heads(rows: Sequence[Sequence[str]]) -> int:
    """How many rows at the top are heads, though not one to each column: without a number, above rows that have one."""
    has_number = [any(sign.isdigit() for cell in row for sign in cell) for row in rows]
    heads = has_number.index(True) if True in has_number else 0
    return heads if all(has_number[heads:]) else 0


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Is the first row a header? Its cells are all different words, and each row below has a number somewhere."""
    first, *others = rows
    if not all(first) or len(set(first)) < len(first) or any(sign.isdigit() for cell in first for sign in cell):
        return False
    return all(any(sign.isdigit() for cell in row for sign in cell) for row in others)
