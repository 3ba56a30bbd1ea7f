"""Write an exam from statements, or read the user's own, and freeze it."""

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
from blasphemer.dataset_processor import Library
from blasphemer.errors import SourceError
from blasphemer.exam.grading import LONGEST_EXACT
from blasphemer.exam.questions import write_questions
from blasphemer.job import Job
from blasphemer.language import contains, normalise
from blasphemer.records import ExamQuestion, Passage, StudyItem, to_jsonl, without_system
from blasphemer.workspace import freeze

HELD_OUT = 10  # requests, of which one is held out


def set_paper(job: Job, library: Library) -> list[ExamQuestion]:
    """The questions of this run, frozen: the user's own, or those written from the documents.

    Raises SourceError where there is too little to ask about, RunFolderError when the frozen paper was changed.
    """
    paper = job.run.records("exam.jsonl", ExamQuestion, lambda: _paper(library, job.settings))
    freeze(job.run, "exam", fingerprint(paper))
    return paper


def _paper(library: Library, settings: Settings) -> list[ExamQuestion]:
    """The user's questions; or those written by rule, about texts and answers; or, where there are none, held-out
    ones."""
    if settings.exam_file:
        return read_exam_file(settings.exam_file, library.passages)
    if questions := spread(write_questions([*library.statements, *library.answers]), settings.exam_questions):
        return questions
    chats = list(map(without_system, library.conversations))
    if questions := hold_out(chats, settings.exam_questions, settings.seed):
        console.warn("The answers in the documents are no sentences: the exam asks questions that are not trained on.")
        return questions
    raise SourceError(
        f"{', '.join(settings.fine_tune_dataset)}: nothing in it can be asked about by rule ({_why_not(library)}). "
        "Give your own questions with --exam-file."
    )


def spread(questions: Sequence[ExamQuestion], most: int) -> list[ExamQuestion]:
    """At most so many, in order: of each document, heading and kind one after another, as far as there are any."""
    groups: dict[tuple[str, str], list[int]] = {}
    for place, question in enumerate(questions):
        groups.setdefault((question.passage, question.kind), []).append(place)
    turns = sorted((turn, group[0], place) for group in groups.values() for turn, place in enumerate(group))
    chosen = sorted(place for _, _, place in turns[:most])
    return [questions[place] for place in chosen]


def _why_not(library: Library) -> str:
    """What the documents consist of, where they say nothing that could be asked for."""
    kinds = Counter(statement.kind for statement in library.statements)
    found = ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in kinds.most_common(3))
    return f"found: {found}" if found else "no sentences, lists or tables: headings, code or single words"


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
    said = [fields.get(name) for name in ("question", "answer", "wording", "evidence")]
    question, answer, wording, evidence = ("" if value is None else str(value).strip() for value in said)
    if not question or not normalise(answer):
        raise SourceError(f"{path}, line {line}: needs a question and an answer.")
    accept = _accepted(fields.get("accept"))
    if accept is None:
        raise SourceError(f'{path}, line {line}: accept must be a list of right answers, such as ["4", "four"].')
    home = _home(question, [answer, *accept], evidence, passages)
    place = home.id if home else ""
    return ExamQuestion(f"q-{line}", question, answer, wording or "own", place, accept=accept, evidence=evidence)


def _accepted(value: object) -> tuple[str, ...] | None:
    """Other right answers: a list, or in CSV one answer or a list in JSON. None where it is something else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    several = [value] if isinstance(value, str | int | float) else value or []
    if not isinstance(several, list) or not all(isinstance(one, str | int | float) for one in several):
        return None
    return tuple(str(one).strip() for one in several if normalise(str(one)))


def _home(question: str, answers: Sequence[str], evidence: str, passages: Sequence[Passage]) -> Passage | None:
    """The passage that holds the evidence, or else an answer, and shares most words with the question: to ask it
    open-book."""
    asked = set(normalise(question).split())
    quoted = normalise(evidence.partition("\n")[0])
    holding = [one for one in passages if quoted and contains(normalise(one.text), quoted)]
    holding = holding or [
        one for one in passages if any(contains(normalise(one.text), normalise(answer)) for answer in answers)
    ]
    return max(holding, key=lambda one: len(asked & set(normalise(one.text).split())), default=None)


def fingerprint(questions: Sequence[ExamQuestion]) -> str:
    """SHA-256 of the exam: what is frozen before study material is written."""
    return hashlib.sha256(to_jsonl(questions).encode()).hexdigest()
