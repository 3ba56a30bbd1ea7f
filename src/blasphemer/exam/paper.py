"""Write an exam from facts, or read the user's own, and freeze it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.dataset_processor import Fact, Library, find_facts
from blasphemer.errors import SourceError
from blasphemer.exam.grading import LONGEST_EXACT
from blasphemer.job import Job
from blasphemer.language import contains, normalise
from blasphemer.records import ExamQuestion, Passage, StudyItem, to_jsonl, without_system
from blasphemer.workspace import freeze

FEWEST_WORDS = 5  # of an answer that is a sentence
HELD_OUT = 10  # requests, of which one is held out
REVERSED = 5  # questions, of which one asks for the subject


def set_paper(job: Job, library: Library) -> list[ExamQuestion]:
    """The questions of this run, frozen: the user's own, or those written from the documents.

    Raises SourceError where there is too little to ask about, RunFolderError when the frozen paper was changed.
    """
    paper = job.run.records("exam.jsonl", ExamQuestion, lambda: _paper(library, job.settings))
    freeze(job.run, "exam", fingerprint(paper))
    return paper


def _paper(library: Library, settings: Settings) -> list[ExamQuestion]:
    """The user's questions; or those about facts, in texts and in answers; or, where there are none, held-out ones."""
    if settings.exam_file:
        return read_exam_file(settings.exam_file, library.passages)
    answered = find_facts(answers_as_passages(library.conversations))
    if questions := write_exam([*library.facts, *answered], settings.exam_questions):
        return questions
    chats = list(map(without_system, library.conversations))
    if questions := hold_out(chats, settings.exam_questions, settings.seed):
        console.warn("The answers in the documents are no sentences: the exam asks questions that are not trained on.")
        return questions
    raise SourceError(
        f"{', '.join(settings.fine_tune_dataset)}: too little text to write an exam from. Give longer documents, or "
        "your own questions with --exam-file."
    )


def write_exam(facts: Sequence[Fact], most: int) -> list[ExamQuestion]:
    """At most one question per fact, spread evenly over the passages; the same every time.

    Most ask for the fact's best gap (`numeric` where that is a number, else `direct`), every fifth for its subject
    (`reversed`), where that opens the sentence and nothing else is said to be so. What is said twice is asked once. A
    question whose words fit another answer too is left out: it could not be graded.
    """
    askable = [fact for fact in facts if fact.gaps]
    values = Counter(_value(fact) for fact in askable)
    questions = [
        (number % REVERSED == 0 and values[_value(fact)] == 1 and _reversed(fact)) or _question(fact)
        for number, fact in enumerate(askable, 1)
    ]
    asked = list({(normalise(one.question), normalise(one.answer)): one for one in reversed(questions)}.values())[::-1]
    answers = Counter(normalise(question.question) for question in asked)
    clear = [question for question in asked if answers[normalise(question.question)] == 1]
    step = max(len(clear) / most, 1.0)
    return [clear[int(number * step)] for number in range(min(most, len(clear)))]


def _question(fact: Fact) -> ExamQuestion:
    before, gold, after = fact.asked_at(fact.gaps[0])
    is_year = gold.isdigit() and len(gold) == 4
    text = f"{before}{'which year' if is_year else 'what'}{after.rstrip(' .!?;:')}?"
    return _about(fact, text, gold, "numeric" if any(sign.isdigit() for sign in gold) else "direct")


def _value(fact: Fact) -> str:
    return normalise(fact.asked_at(fact.gaps[0])[1])


def _reversed(fact: Fact) -> ExamQuestion | None:
    """Who it is that the sentence says this of, if it opens with its subject and says enough to tell it by."""
    rest = fact.statement[len(fact.subject) :]
    if not fact.subject or not fact.statement.startswith(f"{fact.subject} ") or len(rest.split()) < FEWEST_WORDS - 2:
        return None
    return _about(fact, f"Who or what{rest.rstrip(' .!?;:')}?", fact.subject, "reversed")


def _about(fact: Fact, question: str, answer: str, kind: str) -> ExamQuestion:
    name = f"q-{fact.passage.file}-{fact.start}"
    return ExamQuestion(name, question, answer, kind, fact.passage.id, fact.start, fact.end)


def answers_as_passages(conversations: Sequence[StudyItem]) -> list[Passage]:
    """The answers of conversations that are long enough to state facts, each as a text of its own."""
    answers = [(item.id, item.messages[-1]["content"]) for item in conversations]
    return [
        Passage(name, name, answer, 0, len(answer)) for name, answer in answers if len(answer.split()) >= FEWEST_WORDS
    ]


def hold_out(conversations: Sequence[StudyItem], most: int, seed: int) -> list[ExamQuestion]:
    """Some requests with short answers, to be asked instead of being trained on: every tenth, at most `most`."""
    short = [item for item in conversations if len(item.messages) == 2 and _is_gradable(item.messages[1]["content"])]
    chosen = random.Random(seed).sample(short, min(len(short) // HELD_OUT, most))
    return [
        ExamQuestion(item.id, item.messages[0]["content"], item.messages[1]["content"], "held out") for item in chosen
    ]


def _is_gradable(answer: str) -> bool:
    return 0 < len(normalise(answer).split()) <= LONGEST_EXACT


def read_exam_file(path: Path, passages: Sequence[Passage]) -> list[ExamQuestion]:
    """The user's own exam, .jsonl or .csv with `question` and `answer`. Raises SourceError naming file and line."""
    if not path.is_file():
        raise SourceError(f"{path}: no such exam file.")
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path))
    if not rows:
        raise SourceError(f"{path}: no questions in it.")
    return [_own_question(path, line, row, passages) for line, row in rows]


def _csv_rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(_text(path)))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: not CSV ({error}).") from error


def _jsonl_rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    for line, text in enumerate(_text(path).split("\n"), 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except ValueError as error:
                raise SourceError(f"{path}, line {line}: not JSON ({error}).") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 (byte {error.start + 1}). Save it as UTF-8.") from error


def _own_question(path: Path, line: int, row: object, passages: Sequence[Passage]) -> ExamQuestion:
    fields = row if isinstance(row, dict) else {}
    said = [fields.get(name) for name in ("question", "answer")]
    question, answer = ("" if value is None else str(value).strip() for value in said)
    if not question or not normalise(answer):
        raise SourceError(f"{path}, line {line}: needs a question and an answer.")
    home = _home(question, answer, passages)
    return ExamQuestion(f"q-{line}", question, answer, str(fields.get("wording") or "own"), home.id if home else "")


def _home(question: str, answer: str, passages: Sequence[Passage]) -> Passage | None:
    """The passage that holds the answer and shares most words with the question, to ask it open-book."""
    asked = set(normalise(question).split())
    holding = [passage for passage in passages if contains(normalise(passage.text), normalise(answer))]
    return max(holding, key=lambda passage: len(asked & set(normalise(passage.text).split())), default=None)


def fingerprint(questions: Sequence[ExamQuestion]) -> str:
    """SHA-256 of the exam: what is frozen before study material is written."""
    return hashlib.sha256(to_jsonl(questions).encode()).hexdigest()
