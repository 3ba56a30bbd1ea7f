"""What was read, as the later stages want it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from blasphemer.dataset_processor.gaps import Vocabulary, find_gaps
from blasphemer.dataset_processor.intake import read_inputs
from blasphemer.dataset_processor.statements import find_statements
from blasphemer.job import Job
from blasphemer.language import normalise
from blasphemer.records import Document, LedgerEntry, Passage, Statement, StudyItem, one_line

FEWEST_ALIKE = 4  # words that two statements have in common beside what they differ in
FEWEST_WORDS = 5  # of an answer in a conversation that states something


@dataclass(frozen=True)
class Library:
    """All that the documents say, and the account of every file."""

    ledger: list[LedgerEntry]
    passages: list[Passage]
    statements: list[Statement]
    conversations: list[StudyItem]

    @cached_property
    def contradictions(self) -> list[tuple[Statement, Statement]]:
        """What two documents say in the same words but for a number or a name. Both are taught under their source."""
        return list(_contradictions(self.statements))

    @property
    def answers(self) -> list[Statement]:
        """What the answers in conversations state, each after its question."""
        return [statement for item in self.conversations for statement in _stated(item)]


def read(job: Job) -> Library:
    """Read the job's inputs, or take up what was read. Raises SourceError where nothing, or too little, can be read."""
    ledger = read_inputs(job.inputs, job.model.ruler, job.passage_size, job.settings, job.run)
    passages = job.run.records("passages.jsonl", Passage, list)
    statements = job.run.records("statements.jsonl", Statement, list)
    conversations = job.run.records("conversations.jsonl", StudyItem, list)
    return Library(ledger, passages, told_apart(statements), conversations)


def told_apart(statements: Sequence[Statement]) -> list[Statement]:
    """The statements, with the file's name behind a title that several documents have."""
    titles = Counter(title for title, _ in {(statement.title, statement.file) for statement in statements})
    return [
        replace(statement, title=f"{statement.title} ({statement.file})") if titles[statement.title] > 1 else statement
        for statement in statements
    ]


def _stated(item: StudyItem) -> list[Statement]:
    *_, request, answer = item.messages
    if len(answer["content"].split()) < FEWEST_WORDS:
        return []
    document = Document(item.id, answer["content"])
    whole = Passage(item.id, item.id, document.text, 0, len(document.text))
    found = find_statements(document, [whole])
    asked = one_line(request["content"])
    return [
        replace(one, title=one.file, before=f"{asked}\n{one.before}".strip(), shown_from=one.shown_from - 1)
        for one in found
    ]


def _contradictions(statements: Sequence[Statement]) -> Iterator[tuple[Statement, Statement]]:
    vocabulary = Vocabulary(statements)
    first: dict[tuple[str, ...], Statement] = {}
    for statement in statements:
        gaps = [gap for gap in find_gaps(statement, vocabulary) if gap.kind != "words"]
        edges = [0, *(edge for gap in gaps for edge in (gap.start, gap.end)), len(statement.text)]
        frame = tuple(normalise(statement.text[start:end]) for start, end in zip(edges[::2], edges[1::2], strict=True))
        if gaps and sum(len(part.split()) for part in frame) >= FEWEST_ALIKE:
            other = first.setdefault(frame, statement)
            if other.file != statement.file and normalise(other.text) != normalise(statement.text):
                yield other, statement
