"""Questions for the exam in a person's words, written by whoever writes, before it writes anything to study.

A question is asked only if it can be understood without the text and its answer stands in one statement, and if a
reader gives that answer with the whole text shown and with the statement alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blasphemer.dataset_processor import Library
from blasphemer.exam import clear, fingerprint
from blasphemer.job import Job
from blasphemer.language import normalise
from blasphemer.languages import language
from blasphemer.records import ExamQuestion, one_line
from blasphemer.study.author import Author
from blasphemer.study.grounding import Draft, Groundless, Reading, asked_statement, read_pairs
from blasphemer.study.readings import about, find_readings, texts_for
from blasphemer.study.requests import AIMED, EXAM
from blasphemer.study.writer import HANDFUL, LEAST_ROOM, Claim, verified
from blasphemer.workspace import freeze

SHARE = 0.5  # of exam_questions that may be written so
TRIES = 2  # requests for each question that may be asked
UNASKED = ("turn",)  # what is said in a conversation: who says it to whom, weak writers mix up


def let_it_ask(job: Job, library: Library, paper: Sequence[ExamQuestion], author: Author) -> list[ExamQuestion]:
    """The paper with questions in a person's words; frozen. The user's own exam stays as it is."""
    if job.settings.exam_file or not job.settings.self_study or EXAM not in author.requests.wordings:
        return list(paper)
    written = job.run.records("exam_written.jsonl", ExamQuestion, lambda: _written(job, library, author))
    freeze(job.run, "exam_written", fingerprint(written))
    return [*paper, *written]


def _written(job: Job, library: Library, author: Author) -> list[ExamQuestion]:
    found = find_readings(library.statements, library.passages, job.model.count)
    readings = [one for one in texts_for(AIMED, found) if one.statements[0].kind not in UNASKED]
    most = max(round(job.settings.exam_questions * SHARE), 1)
    chosen = readings[:: max(len(readings) // (TRIES * most), 1)][: TRIES * most]
    drafts = _drafted(chosen[:HANDFUL], author)
    if drafts:
        drafts += _drafted(chosen[HANDFUL:], author)
    claims = [claim for same in drafts for claim in same]
    whole = set(verified(claims, author, "exam"))
    alone = [replace(claim, reading=about(claim.reading, [claim.statement], alone=True)) for claim in claims]
    sound = whole & set(verified(alone, author, "exam, statement alone"))
    clear = {id(claims[place]) for place in sound}
    return _questions([same[0] for same in drafts if all(id(claim) in clear for claim in same)])[:most]


def _drafted(readings: Sequence[Reading], author: Author) -> list[list[Claim]]:
    """What is asked in several ways for the answer that each of the texts is to give, if it bears out all of it."""
    asked = [author.requests.about(EXAM, 0, one.text, one.card, one.wanted) for one in readings]
    replies = author.writer.write(asked, "writing exam questions", LEAST_ROOM, None)
    return list(filter(None, map(_claims, readings, replies)))


def _claims(reading: Reading, reply: str) -> list[Claim]:
    drafts = [draft for draft in read_pairs(reply) if normalise(draft.answer) == normalise(reading.wanted)]
    try:
        return [Claim(draft, asked_statement(draft, reading), reading) for draft in drafts]
    except Groundless:
        return []


def _questions(claims: Sequence[Claim]) -> list[ExamQuestion]:
    """One question about each statement, and none with two answers."""
    asked = clear([_question(claim) for claim in claims])
    first = {(one.passage, one.start): one for one in reversed(asked)}
    return [replace(one, id=f"w-{number}") for number, one in enumerate(reversed(first.values()), 1)]


def _question(claim: Claim) -> ExamQuestion:
    statement, draft = claim.statement, claim.draft
    return ExamQuestion(
        "", _anchored(draft, claim.reading), draft.answer.rstrip(" .;,"), "written", statement.passage,
        statement.start, statement.end, (), statement.in_context,
    )  # fmt: skip


def _anchored(draft: Draft, reading: Reading) -> str:
    """The question, below where it comes from if it names nothing by name."""
    if reading.names_in(draft.question):
        return draft.question
    first = reading.statements[0]
    source = language(first.language).source(one_line(first.title), one_line(first.heading), "exam")
    return f"{source} {draft.question}"
