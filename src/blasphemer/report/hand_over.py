"""Before training: what is about to happen. In the end: how it came out, on screen and in scorecard.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from blasphemer import console
from blasphemer.dataset_processor import Library
from blasphemer.exam import Sitting, choices
from blasphemer.job import Job
from blasphemer.records import OWN_WORDS, Conduct, ExamQuestion, Marks, Yield
from blasphemer.report import tables
from blasphemer.report.scorecard import (
    Results,
    artifacts,
    coverage,
    is_less_refusing,
    scorecard,
    scorecard_of_conduct,
    training,
)
from blasphemer.study import Material

if TYPE_CHECKING:
    from blasphemer.lora_trainer import Preview


def preview(library: Library, paper: Sequence[ExamQuestion], lessons: Preview, to_write: tuple[int, int]) -> None:
    """What was read, some study items as the model will see them, the exam and the plan; and how many texts the model
    is going to write about, in how many tokens (`to_write`)."""
    tables.show_ledger(library.ledger)
    tables.show_contradictions(library.contradictions)
    if all(question.wording == OWN_WORDS for question in paper):
        asked = {question.passage for question in paper}
        files = dict.fromkeys(passage.file for passage in library.passages)
        asked_about = {passage.file for passage in library.passages if passage.id in asked}
        tables.show_unasked([file for file in files if file not in asked_about])
    tables.show_preview(lessons, paper)
    tables.show_self_study(*to_write)


def show_yields(job: Job) -> None:
    """What the model wrote, and why how much of it was not kept."""
    tables.show_yields(job.run.records("yields.jsonl", Yield, list))


def hand_over(
    job: Job,
    library: Library,
    paper: Sequence[ExamQuestion],
    material: Material,
    before: Sitting,
    after: Sitting | None,
    open_book: Marks,
    conduct: Mapping[str, Conduct],
) -> int:
    """Write scorecard.json, show it, and return the exit code: 0, or 3 without a gain or with a loss."""
    results = Results(before, after, open_book, conduct, paper, choices(paper))
    used = coverage(library, material)
    job.run.save_json("scorecard.json", scorecard(results, training(job.run), used, artifacts(job.run)))
    tables.show(results)
    console.say(f"Everything is in {job.run.path}")
    return 0 if after is None or results.is_good else 3


def hand_over_conduct(job: Job, conduct: Mapping[str, Conduct]) -> int:
    """The same for a run without documents: 0, or 3 when refusals did not become fewer."""
    job.run.save_json("scorecard.json", {**scorecard_of_conduct(conduct), "artifacts": artifacts(job.run)})
    tables.show_conduct(conduct)
    if not job.run.has("abliteration"):
        console.say(f"{job.settings.model} refuses nothing: it stays as it is.")
    console.say(f"Everything is in {job.run.path}")
    return 0 if is_less_refusing(conduct) else 3
