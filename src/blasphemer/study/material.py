"""All that is to be studied: by rule, in the words of the model, and what the documents hold as conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from blasphemer import console
from blasphemer.dataset_processor import Library
from blasphemer.errors import SourceError
from blasphemer.exam import without_leaks
from blasphemer.job import Job
from blasphemer.records import ExamQuestion, Source, StudyItem, without_system
from blasphemer.study.author import Author
from blasphemer.study.grounding import Reading
from blasphemer.study.readings import find_readings
from blasphemer.study.rules import about_others, asked_about, write_study
from blasphemer.study.writer import Usable, estimated_tokens, questions_per_statement, write_self_study

SHARE_OF_WRITING = 0.4  # of the time budget (FINETUNING_DESIGN.md)
TEMPLATE_ROOM = 64  # tokens of an item left to the chat template and the request


@dataclass(frozen=True)
class Material:
    """The items to study, and how many were left out because they repeat an exam question."""

    items: list[StudyItem]
    leaks: int


def write_by_rule(job: Job, library: Library, paper: Sequence[ExamQuestion]) -> Material:
    """What rules write about the passages, and the conversations in the documents. Raises SourceError where nothing is
    left beside the exam."""
    rules = job.run.records("study.jsonl", StudyItem, lambda: _by_rule(job, library, paper))
    items, leaks = without_leaks([*rules, *_given(job, library.conversations, paper)], paper, library.passages)
    if len(leaks) > len(items):
        console.warn(
            f"{len(leaks):,} of {len(leaks) + len(items):,} study items repeat an exam question and are left out."
        )
    if not items:
        raise SourceError("Nothing is left to study: every item repeats an exam question. Give your own --exam-file.")
    return Material(items, len(leaks))


def let_it_write(
    job: Job, library: Library, paper: Sequence[ExamQuestion], material: Material, author: Author
) -> Material:
    """The material with what the author writes about the documents, and of the rules' only what it left out."""
    own = job.run.records("self_study.jsonl", StudyItem, lambda: _own(job, library, paper, author))
    rules, leaks = without_leaks(material.items, paper, library.passages)
    return Material([*own, *about_others(rules, asked_about(own, _quota(job)))], material.leaks + len(leaks))


def to_write(job: Job, library: Library) -> tuple[int, int]:
    """Texts that the model is going to write about, and about how many tokens it will write."""
    readings = _readings(job, library)
    return len(readings), estimated_tokens(readings, job.requests, _quota(job), job.model.count)


def _by_rule(job: Job, library: Library, paper: Sequence[ExamQuestion]) -> list[StudyItem]:
    tokens = sum(job.model.count(passage.text) for passage in library.passages)
    budget = round(job.settings.study_tokens_per_source_token * tokens)
    longest = job.longest - TEMPLATE_ROOM
    with console.progress("writing study material (tokens)", budget) as written:
        return write_study(
            library.passages,
            library.statements,
            paper,
            budget,
            longest,
            job.model.count,
            job.settings.seed,
            written,
        )


def _given(job: Job, conversations: Sequence[StudyItem], paper: Sequence[ExamQuestion]) -> list[StudyItem]:
    """The conversations in the documents that the model can take whole: half of one would teach to stop midway.

    Those that the exam asks about name a source that only they teach, so that none of them is held out.
    """
    if not job.model.takes_system:
        conversations = [without_system(item) for item in conversations]
    kept = [item for item in conversations if job.model.length(item) <= job.longest]
    if len(kept) < len(conversations):
        console.warn(
            f"{len(conversations) - len(kept)} of {len(conversations)} conversations in the documents are left out: "
            f"they have more than {job.longest} tokens (max_seq_length, or what the model can take)."
        )
    asked = {question.passage for question in paper}
    return [replace(item, sources=(Source(item.id, 0, 0),)) if item.id in asked else item for item in kept]


def _quota(job: Job) -> int:
    return questions_per_statement(job.settings.study_tokens_per_source_token)


def _readings(job: Job, library: Library) -> list[Reading]:
    """What the model is going to read and write about: nothing where self-study is off."""
    if not job.settings.self_study:
        return []
    return find_readings(library.statements, library.passages, job.model.count)


def _own(job: Job, library: Library, paper: Sequence[ExamQuestion], author: Author) -> list[StudyItem]:
    """What the author writes; its yields are saved beside it."""
    readings = _readings(job, library)
    usable: Usable = partial(_allowed, job=job, library=library, paper=paper)
    if not readings:
        return []
    items, yields = write_self_study(
        readings,
        author,
        _quota(job),
        job.model.count,
        usable,
        job.settings.seed,
        until=job.deadline(SHARE_OF_WRITING),
    )
    job.run.save_records("yields.jsonl", yields)
    return items


def _allowed(items: Sequence[StudyItem], job: Job, library: Library, paper: Sequence[ExamQuestion]) -> list[StudyItem]:
    """Items that repeat no exam question and are not longer than they may be."""
    kept = without_leaks(items, paper, library.passages)[0]
    return [item for item in kept if job.model.count(item.content) <= job.longest - TEMPLATE_ROOM]
