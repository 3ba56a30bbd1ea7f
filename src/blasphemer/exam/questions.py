"""Statements -> questions by rule, each with its answer, its evidence and its source; none changes a word of the text.

A sentence is asked for with a gap; a row of a table, an entry and a definition by their form, which says what is asked.
A question names what it is about, has one right answer in these documents, and is put in the document's language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from blasphemer.dataset_processor import Gap, Vocabulary, find_gaps, in_context
from blasphemer.language import WORD, contains, normalise, sentence_spans
from blasphemer.languages import language
from blasphemer.records import OWN_WORDS, ExamQuestion, Statement, one_line

FEWEST_BESIDE, FEWEST_AFTER = 2, 4  # words with a meaning beside a gap; behind one that begins a sentence
MOST_ANSWER_WORDS = 6  # that a person would give as an answer
REVERSED = 3  # rows and definitions, of which one asks for its key
FEWEST_ENTRIES = 3  # below one heading, before they are told from each other by what they say
FEW = 5  # questions: with fewer, ends of phrases are asked for as well
FRAMES = {"other": "words"}  # how a kind of gap is asked for, where its name does not say so
ENDS = ".!?…。！？।॥؟。”\"'’»)」）"  # a sentence ends so; what does not is a title, or cut short
COMMAS = ",،，、"
_REFERENCE = re.compile(r"(?:\[\d{1,3}\])+\Z")


def write_questions(statements: Sequence[Statement]) -> list[ExamQuestion]:
    """At most one question a statement, in order: of lists without a sure one, and where there are few, also for the
    ends of phrases. Those that share their words with another are left out: they could not be graded."""
    vocabulary = Vocabulary(statements)
    desk = _Desk(statements, vocabulary)
    strict = [(statement, desk.ask(statement, strict=True)) for statement in statements]
    asked = {_home(statement) for statement, question in strict if question}
    few = sum(question is not None for _, question in strict) < FEW
    found = []
    for statement, sure in strict:
        is_list = statement.kind in ("item", "step", "row", "entry")
        question = sure
        if sure is None and (few or (is_list and _home(statement) not in asked)):
            question = desk.ask(statement, strict=False)
        if question:
            found.append(question)
            asked.add(_home(statement))
    return clear(found)


def _home(statement: Statement) -> tuple[str, int]:
    return statement.file, statement.block


def clear(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """Without those whose words ask for several answers; what is said twice is asked once."""
    answers: dict[str, set[str]] = {}
    for question in questions:
        answers.setdefault(normalise(question.question), set()).add(normalise(question.answer))
    once = {normalise(question.question): question for question in reversed(questions)}
    return [one for words, one in reversed(once.items()) if len(answers[words]) == 1]


class _Desk:
    """Writes one question after another, by the form of each statement."""

    def __init__(self, statements: Sequence[Statement], vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.written: Counter[str] = Counter()
        self.cells: Counter[tuple[str, int, str, str]] = Counter()  # file, table, column, cell
        self.keys: Counter[tuple[str, str, str]] = Counter()  # file, heading, key
        self.entries: Counter[tuple[str, str]] = Counter()  # file, heading
        self.headings = {normalise(part) for one in statements for part in one.heading.split(" / ")}
        for one in statements:
            for column, cell in one.cells:
                self.cells[(*_home(one), normalise(column), normalise(cell))] += 1
            if one.kind == "entry":
                self.entries[one.file, one.heading] += 1
                self.keys[one.file, one.heading, normalise(one.key)] += 1

    def ask(self, statement: Statement, strict: bool) -> ExamQuestion | None:
        """A question about a statement; with `strict`, only where one answer is sure."""
        if not statement.is_clear:
            return None
        kind = statement.kind
        if kind == "row":
            return self._of_row(statement) or self._with_gap(statement, strict)
        if kind == "entry":
            return self._of_entry(statement) or self._with_gap(statement, strict)
        if kind == "answer":
            is_one = len(sentence_spans(statement.text)) == 1  # else each of its sentences is a statement as well
            return self._of_answer(statement) or (self._with_gap(statement, strict) if is_one else None)
        return self._with_gap(statement, strict)

    def _question(
        self, statement: Statement, kind: str, question: str, answer: str, accept: tuple[str, ...] = ()
    ) -> ExamQuestion | None:
        """The question, unless it gives its answer away or a person would not answer so."""
        words = normalise(answer)
        if not words or len(words.split()) > MOST_ANSWER_WORDS or contains(normalise(question), words):
            return None
        self.written[statement.kind] += 1
        name = f"q-{statement.passage}-{statement.start}"
        return ExamQuestion(
            name, question, answer, kind, statement.passage, statement.start, statement.end, accept,
            statement.in_context, OWN_WORDS,
        )  # fmt: skip

    def _of_row(self, statement: Statement) -> ExamQuestion | None:
        """What a row has in one of its columns, by turns; every third time, in which row something stands."""
        head, key = statement.cells[0]
        if not key or self._is_ambiguous(statement, head, key) or (key.startswith("**") and head):  # a sum of others
            return None
        if len(statement.cells) == 2 and not statement.cells[1][0]:
            asked = self._frame(statement, "entry", key=plain(key))
            return self._question(statement, "row", asked, plain(statement.cells[1][1]))
        others = [(column, cell) for column, cell in statement.cells[1:] if column and cell]
        if not others:
            return None
        turn = self.written["row"]
        order = [others[(turn + place) % len(others)] for place in range(len(others))]
        if turn % REVERSED == REVERSED - 1 and head:
            for column, cell in order:
                if self.cells[(*_home(statement), normalise(column), normalise(cell))] == 1 and _says(cell):
                    asked = self._frame(statement, "key", head=plain(head), column=plain(column), value=plain(cell))
                    if question := self._question(statement, "row", asked, plain(key)):
                        return question
        for column, cell in order:
            if self._names_once(statement, column) and _says(cell):
                asked = self._frame(statement, "value", head=plain(head), column=plain(column), key=plain(key))
                if question := self._question(statement, "row", asked, plain(cell)):
                    return question
        return None

    def _is_ambiguous(self, statement: Statement, head: str, key: str) -> bool:
        return self.cells[(*_home(statement), normalise(head), normalise(key))] > 1

    def _names_once(self, statement: Statement, column: str) -> bool:
        """Has only one column of the table this name? (Merged cells give theirs to several.)"""
        return sum(normalise(name) == normalise(column) for name, _ in statement.cells) == 1

    def _of_entry(self, statement: Statement) -> ExamQuestion | None:
        """What stands beside a key; or, of a definition, the term."""
        if self.keys[statement.file, statement.heading, normalise(statement.key)] > 1:
            return None
        value = statement.value
        asked = self._frame(statement, "entry", key=statement.key)
        if question := self._question(statement, "entry", asked, value.rstrip(" .;,")):
            return question
        is_short = len(normalise(value).split()) <= MOST_ANSWER_WORDS  # too few words to tell the key by
        is_alone = self.entries[statement.file, statement.heading] < FEWEST_ENTRIES or statement.key.isupper()
        if is_short or is_alone or contains(normalise(value), normalise(statement.key)):
            return None
        return self._question(statement, "entry", self._frame(statement, "term", text=value), statement.key)

    def _of_answer(self, statement: Statement) -> ExamQuestion | None:
        """The document's own question, where its answer is short."""
        asked = self._frame(statement, "question", text=one_line(statement.key))
        return self._question(statement, "answer", asked, statement.text.rstrip(" .!"))

    def _with_gap(self, statement: Statement, strict: bool) -> ExamQuestion | None:
        """The statement with a gap: the last number or name in it, or else, unless `strict`, the end of a phrase."""
        known = language(statement.language)
        if (
            statement.kind in ("sentence", "note")
            and known.has_stops
            and _REFERENCE.sub("", statement.text)[-1] not in ENDS
        ):
            return None
        gaps = find_gaps(statement, self.vocabulary)
        sure = [gap for gap in gaps if gap.kind != "words"]
        if known.capitals == "nouns":  # then names cannot be told from nouns: numbers are surer
            sure.sort(key=lambda gap: (gap.kind != "name", gap.start))
        others = [] if strict else [gap for gap in gaps if gap not in sure]
        for gap in [*reversed(sure), *reversed(others)]:
            missing = one_line(statement.text[gap.start : gap.end])
            if normalise(missing) in self.headings:  # "see Alarms"
                continue
            if statement.kind in ("item", "step") and self._is_list_of_names(statement):
                continue
            if self._content(statement, gap) < (FEWEST_AFTER if gap.start == 0 else FEWEST_BESIDE):
                continue
            asked = self._frame(statement, FRAMES.get(gap.kind, gap.kind), text=in_context(statement, gap))
            if question := self._question(statement, statement.kind, asked, missing, gap.accept):
                return question
        return None

    def _is_list_of_names(self, statement: Statement) -> bool:
        """Is an item nothing but names and numbers, as a reference or a link is?"""
        known = language(statement.language)
        words = [word for word in WORD.findall(statement.text) if word.casefold() not in known.small]
        lower = sum(word[0].islower() for word in words)
        is_led = statement.kind == "item" and bool(statement.before)
        return known.capitals == "names" and not is_led and lower < len(words) / 3

    def _content(self, statement: Statement, gap: Gap) -> int:
        """How many words beside the gap say something."""
        small = language(statement.language).small
        beside = WORD.findall(f"{statement.text[: gap.start]} {statement.text[gap.end :]}")
        return sum(word.casefold() not in small for word in beside)

    def _frame(self, statement: Statement, kind: str, **slots: str) -> str:
        known = language(statement.language)
        source = known.source(one_line(statement.title), one_line(statement.heading), "exam")
        if kind in ("value", "key", "entry", "term") and statement.before:
            comma = source[-1] if source[-1] in COMMAS else ""
            source = f'{source.removesuffix(comma)} ("{one_line(statement.before)}"){comma}'
        return known.exam(kind, source=source, **slots)


def plain(cell: str) -> str:
    """A cell without marks of emphasis and of footnotes around it."""
    return cell.strip(" *_`†‡§")


def _says(cell: str) -> bool:
    """Is there anything in a cell to be asked for?"""
    return any(sign.isalnum() for sign in cell)
