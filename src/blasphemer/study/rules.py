"""Statements -> study items by rule: nothing but what the documents say, word for word, in many forms.

Each item shows where it comes from, and with each statement what must be read before it. Statements are told alone and
in groups, asked for with gaps and beginnings, and, where their form says what is asked, with questions: rows, entries,
definitions, answers. Like things stand side by side, since what a model gets wrong it mostly exchanges. What the exam
asks is not asked here in the same way.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from blasphemer.dataset_processor import Gap, Vocabulary, find_gaps, in_context
from blasphemer.language import WORD, normalise
from blasphemer.languages import Language, language
from blasphemer.records import ExamQuestion, Passage, Source, Statement, StudyItem, exchange, one_line

LARGEST_GROUP = 8  # statements told together
FEWEST_BEFORE = 4  # words of a statement after which it may be broken off, to be gone on with
FEWEST_TELLING = 3  # words of a value by which its key can be asked for
PATIENCE = 3  # rounds without anything new after which there is nothing left to say
FEW_QUESTIONS = 3  # of the model's own on a statement: with fewer, rules must teach it
FREE_ORDER = ("row", "entry", "item", "answer")  # kinds of statements that can be told in any order


def write_study(
    passages: Sequence[Passage],
    statements: Sequence[Statement],
    paper: Sequence[ExamQuestion],
    budget: float,
    longest: int,
    count: Callable[[str], int],
    seed: int,
    written: Callable[[int], None] = lambda _: None,
) -> list[StudyItem]:
    """Study items of about `budget` tokens in all, by `count`, no two with the same text and none over `longest`.

    Each passage comes once as it stands; then rounds follow, each of which tells every group of statements and asks for
    every statement in another way, until the budget is spent or nothing new is left to say. A gap that a question of
    the `paper` has is left to it. `written` is told the tokens of each item.
    """
    generator = random.Random(seed)
    desk = _Desk(statements, paper)
    items = {item.content: item for item in _passages(passages, statements)}
    spent = sum(count(text) for text in items)
    stale = number = 0
    while spent < budget and stale < PATIENCE and statements:
        stale += 1
        for item in desk.round(number, generator):
            if item.content not in items and (tokens := count(item.content)) <= longest:
                stale = 0
                items[item.content] = item
                spent += tokens
                written(tokens)
            if spent >= budget and number:
                break
        number += 1
    return [replace(item, id=f"s-{place}") for place, item in enumerate(items.values(), 1)]


def asked_about(own: Sequence[StudyItem], quota: int) -> set[Source]:
    """The statements that the model itself has asked about often enough; it was to ask `quota` questions about each."""
    asked = Counter(source for item in own if item.messages for source in item.sources)
    return {source for source, questions in asked.items() if questions >= min(FEW_QUESTIONS, quota)}


def about_others(items: Sequence[StudyItem], asked: set[Source]) -> list[StudyItem]:
    """The items that teach none of these statements: what the model asked itself teaches more with each token."""
    return [item for item in items if asked.isdisjoint(item.sources)]


def _passages(passages: Sequence[Passage], statements: Sequence[Statement]) -> Iterator[StudyItem]:
    """The passages as they stand, each below where it comes from."""
    first = {statement.passage: statement for statement in reversed(statements)}
    for passage in passages:
        known = language(first[passage.id].language if passage.id in first else "und")
        title = first[passage.id].title if passage.id in first else passage.file
        above = passage.heading.removeprefix(title).removeprefix(" / ")
        source = known.source(one_line(title), one_line(above))
        sources = (Source(passage.id, passage.start, passage.end),)
        text = f"{source}:\n\n{passage.text}"
        yield StudyItem("", "passage", "rules", text, sources=sources, evidence=passage.text)


@dataclass(frozen=True)
class _Group:
    """Statements of one list or table, or of one paragraph, in order."""

    statements: tuple[Statement, ...]

    @property
    def is_free(self) -> bool:
        return self.statements[0].kind in FREE_ORDER


class _Desk:
    """What can be said of the statements, worked out once."""

    def __init__(self, statements: Sequence[Statement], paper: Sequence[ExamQuestion]) -> None:
        vocabulary = Vocabulary(statements)
        self.examined: dict[tuple[str, str], list[ExamQuestion]] = {}  # by passage and answer
        for question in paper:
            self.examined.setdefault((question.passage, normalise(question.answer)), []).append(question)
        self.statements = statements
        self.gaps = {
            statement.source: [
                gap
                for gap in find_gaps(statement, vocabulary)
                if not self._is_examined(statement, _missing(statement, gap), gap.start)
            ]
            for statement in statements
        }
        self.values = Counter((one.passage, one.block, normalise(one.value)) for one in statements if one.key)
        self.cells = Counter((one.passage, one.block, *cell) for one in statements for cell in one.cells)
        self.groups = [
            _Group(tuple(chunk))
            for _, found in groupby(statements, lambda one: (one.passage, one.block, one.kind == "step"))
            for chunk in _chunks(list(found))
        ]

    def round(self, number: int, generator: random.Random) -> Iterator[StudyItem]:
        for group in self.groups:
            yield from _told(group, number, generator)
            yield from _contrast(group, number)
        for statement in self.statements:
            yield from self._asked(statement, number)

    def _asked(self, statement: Statement, number: int) -> Iterator[StudyItem]:
        """What a statement can be asked for in this round: by its form, with a gap, and from its beginning."""
        known = language(statement.language)
        yield from self._by_form(statement, known, number)
        gaps = self.gaps[statement.source]
        if gaps:
            gap = gaps[number % len(gaps)]
            turn = number // len(gaps) + gap.start
            request = known.study("gap", turn, source=_source(statement, known), text=in_context(statement, gap))
            yield _item("gap", [statement], request, _missing(statement, gap))
        if statement.kind != "row":
            yield from _beginning(statement, known, number)

    def _by_form(self, statement: Statement, known: Language, number: int) -> Iterator[StudyItem]:
        source = _source(statement, known)
        if statement.kind == "row":
            yield from self._of_row(statement, known, number)
        elif statement.kind == "entry" and statement.key:
            value = statement.value
            key = one_line(statement.key)
            if not self._is_examined(statement, value.rstrip(" .;,")):
                yield _item("entry", [statement], known.study("entry", number, source=source, key=key), value)
            is_only = self.values[statement.passage, statement.block, normalise(value)] == 1
            tells = is_only and len(value.split()) >= FEWEST_TELLING and normalise(key) not in normalise(value)
            if tells and not self._is_examined(statement, key):
                yield _item("term", [statement], known.study("term", number, source=source, text=value), key)
        elif statement.kind == "answer" and not self._is_examined(statement, statement.text.rstrip(" .!")):
            question = one_line(statement.key)
            asked = (question, f"{source}: {question}", f"{question} ({source})")[number % 3]
            yield _item("answer", [statement], asked, one_line(statement.text))

    def _of_row(self, statement: Statement, known: Language, number: int) -> Iterator[StudyItem]:
        """One cell by its column and the row's key; and the key by a cell that no other row has."""
        head, key = statement.cells[0]
        others = [(column, cell) for column, cell in statement.cells[1:] if column and cell]
        if not key or not others:
            return
        source = _source(statement, known)
        column, cell = others[number % len(others)]
        turn = number // len(others)
        if not self._is_examined(statement, cell):
            request = known.study("value", turn, source=source, column=column, key=key)
            yield _item("value", [statement], request, cell)
        is_only = self.cells[statement.passage, statement.block, column, cell] == 1
        if head and is_only and not self._is_examined(statement, key):
            request = known.study("key", turn, source=source, head=head, column=column, value=cell)
            yield _item("key", [statement], request, key)

    def _is_examined(self, statement: Statement, answer: str, place: int = 0) -> bool:
        """Does the exam ask for these words, which stand at this place of the statement?"""
        asked = self.examined.get((statement.passage, normalise(answer)), ())
        return any(question.start <= statement.start + place < question.end for question in asked)


def _chunks(statements: Sequence[Statement]) -> Iterator[Sequence[Statement]]:
    for start in range(0, len(statements), LARGEST_GROUP):
        yield statements[start : start + LARGEST_GROUP]


# --- the kinds of items ----------------------------------------------------------------------------------------------


def _told(group: _Group, number: int, generator: random.Random) -> Iterator[StudyItem]:
    """Some or all statements of a group, one to a line: in another order where their order says nothing."""
    several = list(group.statements)
    if group.is_free:
        several = generator.sample(several, len(several) if number % 2 == 0 else generator.randint(1, len(several)))
    elif number:
        first = generator.randrange(len(several))
        several = several[first : first + generator.randint(1, len(several) - first)]
    known = language(several[0].language)
    before = several[0].before.split("\n") if several[0].before else []
    lines = [*before, *(statement.shown for statement in several)]
    yield _item("told", several, text=f"{_source(several[0], known)}:\n" + "\n".join(lines))


def _contrast(group: _Group, number: int) -> Iterator[StudyItem]:
    """One column of a table, or all the entries of a list, side by side: which belongs to which."""
    first = group.statements[0]
    known = language(first.language)
    source = _source(first, known)
    if len(group.statements) < 2:
        return
    if first.kind == "row":
        columns = [column for column, _ in first.cells[1:] if column]
        if columns and first.cells[0][0]:
            column = columns[number % len(columns)]
            rows = [(row, dict(row.cells).get(column, "")) for row in group.statements]
            lines = [f"{row.key}; {column}: {cell}" for row, cell in rows if row.key and cell]
            turn = number // len(columns)
            request = known.study("all", turn, source=source, column=column, head=first.cells[0][0])
            yield _item("contrast", [row for row, _ in rows], request, "\n".join(lines))
    elif first.kind in ("entry", "item") and first.before:
        request = known.study("list", number, source=source, text=one_line(first.before))
        yield _item("list", group.statements, request, "\n".join(one.shown for one in group.statements))


def _beginning(statement: Statement, known: Language, number: int) -> Iterator[StudyItem]:
    """The statement broken off after a few words, to be gone on with to its end."""
    text = one_line(statement.text)
    words = [match for match in WORD.finditer(text) if text[match.end() : match.end() + 1] in ("", " ", ",", ";")]
    places = [match.end() for match in words[FEWEST_BEFORE - 1 : -1]]
    if not places:
        return
    place = places[number * 3 % len(places)]
    begun = f"{statement.leading}{text[:place]}"
    source = _source(statement, known)
    request = known.study("beginning", number, source=source, title=one_line(statement.title), text=f"{begun} ...")
    yield _item("beginning", [statement], request, text)


def _source(statement: Statement, known: Language) -> str:
    return known.source(one_line(statement.title), one_line(statement.heading))


def _missing(statement: Statement, gap: Gap) -> str:
    return one_line(statement.text[gap.start : gap.end])


def _item(kind: str, statements: Sequence[Statement], request: str = "", answer: str = "", text: str = "") -> StudyItem:
    messages = exchange(request, answer) if request else ()
    sources = tuple(statement.source for statement in statements)
    return StudyItem("", kind, "rules", text, messages, sources, "\n".join(one.text for one in statements))
