"""Questions for the exam in a person's words, written by whoever writes, before it writes anything to study.

Only who answers the exam that rules wrote, with the text shown, may add to it. A question is asked only if it can be
understood without the text and its answer stands in one statement, and if a reader gives that answer with the whole
text shown and with the statement alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blasphemer import console
from blasphemer.dataset_processor import Library
from blasphemer.exam import MOST_ANSWER_WORDS, clear, fingerprint, grade, open_book, spread
from blasphemer.job import Job
from blasphemer.language import normalise
from blasphemer.languages import language
from blasphemer.records import ExamQuestion, Marks, one_line
from blasphemer.study.author import Author
from blasphemer.study.checking import Claim, room_of_replies, verified
from blasphemer.study.drafts import Draft, read_pairs
from blasphemer.study.grounding import Groundless, Reading, asked_statement, states
from blasphemer.study.readings import about, find_readings
from blasphemer.study.requests import EXAM
from blasphemer.study.writer import HANDFUL, LEAST_ROOM
from blasphemer.workspace import freeze

SHARE = 0.5  # of exam_questions that may be written so
TRIED, READS_WELL = 40, 0.95  # questions with the text shown, and the share of them that an examiner answers


def let_it_ask(job: Job, library: Library, paper: Sequence[ExamQuestion], author: Author) -> list[ExamQuestion]:
    """The paper with questions in a person's words; frozen. The user's own exam stays as it is."""
    if job.settings.exam_file or not job.settings.self_study or EXAM not in author.requests.wordings:
        return list(paper)
    written = job.run.records("exam_written.jsonl", ExamQuestion, lambda: _written(job, library, paper, author))
    freeze(job.run, "exam_written", fingerprint(written))
    return [*paper, *written]


def _written(job: Job, library: Library, paper: Sequence[ExamQuestion], author: Author) -> list[ExamQuestion]:
    if not _reads_well(library, paper, author):
        return []
    readings = find_readings(library.statements, library.passages, job.model.count)
    most = max(round(job.settings.exam_questions * SHARE), 1)
    step = max(len(readings) // most, 1)
    chosen = readings[::step][:most]
    claims = _claims(chosen[:HANDFUL], author)
    if claims:
        claims += _claims(chosen[HANDFUL:], author)
    whole = set(verified(claims, author, "exam"))
    alone = [replace(claim, reading=about(claim.reading, [claim.statement], alone=True)) for claim in claims]
    sound = whole & set(verified(alone, author, "exam, statement alone"))
    return spread(_questions([claims[place] for place in sorted(sound)]), most)


def _reads_well(library: Library, paper: Sequence[ExamQuestion], author: Author) -> bool:
    """Does the writer answer what rules ask? Who does not understand a text asks what is false."""
    right = answered_with_text(library, paper, author).right
    if sum(right) >= READS_WELL * len(right):
        return True
    console.note(
        f"The exam is left to rules: who writes got {sum(right)} of {len(right)} questions right with the text shown, "
        f"and {READS_WELL:.0%} are asked of who sets questions."
    )
    return False


def answered_with_text(library: Library, paper: Sequence[ExamQuestion], author: Author) -> Marks:
    """The writer's marks for some of the questions, with the passages shown that they are about."""
    shown = open_book(paper[:: max(len(paper) // TRIED, 1)][:TRIED], library.passages, author.requests.with_text)
    longest = room_of_replies([one.answer for one in shown])
    return grade(shown, author.writer.write([one.question for one in shown], "does it read well?", longest, None))


def _claims(readings: Sequence[Reading], author: Author) -> list[Claim]:
    """The drafts that the texts bear out word for word."""
    asked = [author.requests.about(EXAM, 0, reading.text, reading.card) for reading in readings]
    replies = author.writer.write(asked, "writing exam questions", LEAST_ROOM, None)
    claims = []
    for reading, reply in zip(readings, replies, strict=True):
        for draft in read_pairs(reply):
            try:
                statement = asked_statement(draft, reading)
            except Groundless:
                continue
            is_short = len(normalise(draft.answer).split()) <= MOST_ANSWER_WORDS
            if is_short and states(statement, draft.answer):
                claims.append(Claim(draft, statement, reading))
    return claims


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
