"""What of the documents is read at once: a few statements as they stand, one alone, or two texts on one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from blasphemer.dataset_processor import Vocabulary, find_gaps
from blasphemer.records import Passage, Statement, one_line
from blasphemer.study.grounding import Reading, folded
from blasphemer.study.requests import AIMED, OF_TWO

MOST_READ = 256  # tokens of a text that is read at once


def find_readings(
    statements: Sequence[Statement], passages: Sequence[Passage], count: Callable[[str], int]
) -> list[Reading]:
    """Every statement in one stretch of text: those of one paragraph, list or table, as they stand in the document."""
    texts = {passage.id: passage for passage in passages}
    files = _by_file(passages)
    documents = {file: folded(" ".join(one.text for one in of_file)) for file, of_file in files.items()}
    blocks = (list(block) for _, block in groupby(statements, lambda one: (one.passage, one.block)))
    return [
        Reading(_as_it_stands(several, texts), several, document=documents[several[0].file])
        for block in blocks
        for several in _up_to(MOST_READ, block, count)
    ]


def about(reading: Reading, wanted: Sequence[Statement], alone: bool = False) -> Reading:
    """The same, cut down to these statements, after the first that is read: it mostly names what the others are about.

    This is only ever read by the writer: what it makes of it is held against the whole reading, unless it is `alone`.
    """
    opening = [one for one in reading.statements[:1] if one not in wanted and not one.cells]
    several = (*opening, *wanted)
    text = _below_heading(" ".join(one.shown for one in several), several[0])
    return replace(reading, text=text, statements=several, full="" if alone else reading.entire)


def texts_for(kind: str, readings: Sequence[Reading]) -> list[Reading]:
    """What a kind is asked about: mostly each text as it is read."""
    return {AIMED: _aimed, OF_TWO: _pairs}.get(kind, list)(readings)


def _aimed(readings: Sequence[Reading]) -> list[Reading]:
    """Each statement alone, once for each name and number in it that can be asked for."""
    vocabulary = Vocabulary(statement for reading in readings for statement in reading.statements)
    return [
        replace(
            reading,
            text=statement.in_context,
            statements=(statement,),
            full=reading.entire,
            wanted=one_line(statement.text[gap.start : gap.end]),
        )
        for reading in readings
        for statement in reading.statements
        for gap in find_gaps(statement, vocabulary)
        if gap.kind != "words"
    ]


def _pairs(readings: Sequence[Reading]) -> list[Reading]:
    """Two stretches about the same thing, in different passages, as one."""
    first: dict[str, Reading] = {}
    found = []
    for reading in readings:
        others = [first.setdefault(name, reading) for name in reading.names]
        other = next((one for one in others if one.statements[0].passage != reading.statements[0].passage), None)
        if other:
            text, several = f"{other.text}\n\n{reading.text}", other.statements + reading.statements
            document = f"{other.document} {reading.document}"
            found.append(replace(reading, text=text, statements=several, document=document))
    return found


def _by_file(passages: Sequence[Passage]) -> dict[str, list[Passage]]:
    files: dict[str, list[Passage]] = {}
    for passage in passages:
        files.setdefault(passage.file, []).append(passage)
    return files


def _up_to(most: int, statements: Sequence[Statement], count: Callable[[str], int]) -> Iterator[tuple[Statement, ...]]:
    """Statements in runs of so many tokens."""
    run: list[Statement] = []
    spent = 0
    for statement in statements:
        tokens = count(statement.shown)
        if run and spent + tokens > most:
            yield tuple(run)
            run, spent = [], 0
        run.append(statement)
        spent += tokens
    if run:
        yield tuple(run)


def _as_it_stands(statements: Sequence[Statement], passages: Mapping[str, Passage]) -> str:
    """The document from what must be read before the first statement to the end of the last, below its heading."""
    first, passage = statements[0], passages.get(statements[0].passage)
    start, end = min(one.shown_from for one in statements), max(one.end for one in statements)
    if first.cells or passage is None or start < passage.start or end > passage.end:
        text = "\n".join([first.before, *(one.shown for one in statements)]).strip()
    else:
        text = passage.text[start - passage.start : end - passage.start]
        text = text if start < first.start or not first.before else f"{first.before}\n{text}"
    return _below_heading(text, first)


def _below_heading(text: str, statement: Statement) -> str:
    heading = statement.heading.rpartition(" / ")[2]
    return text if heading.casefold() in text.casefold() else f"{heading}\n\n{text}"
