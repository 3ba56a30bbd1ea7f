"""Put a paper to a model: closed book, with the passage shown, and as a choice among answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blasphemer.dataset_processor import Library
from blasphemer.exam import grading
from blasphemer.exam.paper import read_exam_file
from blasphemer.job import Job
from blasphemer.language import agree, normalise, overlap, spoken
from blasphemer.records import ExamQuestion, Likelihood, Marks, Passage

if TYPE_CHECKING:
    from blasphemer.language_model import LanguageModel

CHOICES = 5  # answers that the model may choose from
MOST_COMPARED = 400  # questions that the other answers are taken from
LONGEST_ANSWER = 48  # tokens, unless the expected ones are longer
LONGEST_REMEMBERED, SPARE = 256, 8  # tokens of an answer to what was known before; and more than it had then

AT_LENGTH = "at length"  # a kind of questions: what was said to them is not asked for, but found likely or not
NOT_ASKED = Marks((), ())


@dataclass(frozen=True)
class Sitting:
    """The marks of one model: on the documents, on what it said before, for choosing among answers, and on the user's
    questions about what it knew; and how likely it finds what it said at length."""

    documents: Marks
    retention: Marks
    chosen: Marks
    known: Marks = NOT_ASKED
    at_length: Sequence[Likelihood] = ()


def sit(
    job: Job,
    name: str,
    paper: Sequence[ExamQuestion],
    remembered: Sequence[ExamQuestion],
    model: LanguageModel | None = None,
) -> Sitting:
    """The marks for all questions, under the `name` of the sitting (before, after); asked now unless on disk."""
    model = model or job.model
    asked_again = [question for question in remembered if question.kind != AT_LENGTH]
    pairs = [(question.question, question.answer) for question in remembered if question.kind == AT_LENGTH]

    def documents() -> Marks:
        return grading.grade(paper, model.answer(_asked(paper), f"exam ({name})", _room(job, paper)))

    def retention() -> Marks:
        longest = max((job.model.count(question.answer) for question in asked_again), default=0)
        room = min(longest + SPARE, LONGEST_REMEMBERED)  # some were broken off
        answers = model.answer(_asked(asked_again), f"exam (what was known, {name})", room)
        return grading.grade_retention(asked_again, answers)

    def known() -> Marks:
        asked = read_exam_file(job.settings.known_file, []) if job.settings.known_file else []
        return grading.grade(asked, model.answer(_asked(asked), f"exam (known, {name})", LONGEST_ANSWER))

    def at_length() -> list[Likelihood]:
        found = model.likelihoods(pairs, f"what was said at length ({name})")
        return [Likelihood(total, model.count(said)) for total, (_, said) in zip(found, pairs, strict=True)]

    return Sitting(
        _marks(job, name, documents),
        _marks(job, f"retention_{name}", retention),
        _marks(job, f"chosen_{name}", lambda: _choose(paper, model, f"choosing answers ({name})")),
        _marks(job, f"known_{name}", known) if job.settings.known_file else NOT_ASKED,
        job.run.records(f"marks/at_length_{name}.jsonl", Likelihood, at_length),
    )


def sit_open_book(job: Job, paper: Sequence[ExamQuestion], library: Library) -> Marks:
    """The marks with the passage shown: the most that could be learnt from it."""
    shown = open_book(paper, library.passages, job.requests.with_text)

    def sat() -> Marks:
        return grading.grade(shown, job.model.answer(_asked(shown), "exam (passage shown)", _room(job, paper)))

    return _marks(job, "open_book", sat)


def open_book(
    questions: Sequence[ExamQuestion], passages: Sequence[Passage], ask: Callable[[str, str], str]
) -> list[ExamQuestion]:
    """The questions whose passage is known, asked with the passage shown: the most that could be learnt from it.

    `ask(passage, question)` words the request.
    """
    text = {passage.id: passage.text for passage in passages}
    return [
        replace(question, question=ask(text[question.passage], question.question))
        for question in questions
        if question.passage in text
    ]


def choices(questions: Sequence[ExamQuestion]) -> list[tuple[str, ...]]:
    """For each question its answer, and those of the questions most like it: at most CHOICES different ones in all.

    Who asks for a town is given towns to choose from, as far as towns are asked for in like words.
    """
    step = max(len(questions) / MOST_COMPARED, 1.0)
    others = [questions[int(number * step)] for number in range(min(len(questions), MOST_COMPARED))]
    known = [(set(normalise(one.question).split()), normalise(one.answer), one.answer) for one in others]
    found = []
    for question in questions:
        own, gold = set(normalise(question.question).split()), normalise(question.answer)
        likest = sorted(known, key=lambda one: -overlap(own, one[0]))
        different = {answer: said for _, answer, said in reversed(likest) if not agree(answer, gold)}
        found.append((question.answer, *list(different.values())[::-1][: CHOICES - 1]))
    return found


def _room(job: Job, paper: Sequence[ExamQuestion]) -> int:
    """Tokens of the longest answer: short, as one that goes on and on may be right by luck."""
    longest = max((job.model.count(question.answer) for question in paper), default=0)
    return min(max(LONGEST_ANSWER, 2 * longest), job.settings.max_response_length)


def _asked(questions: Sequence[ExamQuestion]) -> list[str]:
    return [question.question for question in questions]


def _marks(job: Job, name: str, sat: Callable[[], Marks]) -> Marks:
    def timed() -> list[Marks]:
        with job.timing(name):
            return [sat()]

    return job.run.records(f"marks/{name}.jsonl", Marks, timed)[0]


def _choose(questions: Sequence[ExamQuestion], model: LanguageModel, label: str) -> Marks:
    """The marks for choosing the right answer out of several like it, by which the model finds likeliest."""
    given = choices(questions)
    pairs = [
        (question.question, spoken(answer))
        for question, answers in zip(questions, given, strict=True)
        for answer in answers
    ]
    found = iter(model.likelihoods(pairs, label))
    return grading.grade_choice(given, [[next(found) for _ in answers] for answers in given])
