"""Documents in, an examined model out: the whole of it on one page.

Each door leaves files in the run's folder and takes them from there when the same command is run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blasphemer import abliteration, dataset_processor, exam, export, lora_trainer, memory, report, study
from blasphemer.config import Settings
from blasphemer.job import Job
from blasphemer.language_model import load_model, model_path
from blasphemer.workspace import RunFolder, identity, note_how, open_run, run_path


def fine_tune(settings: Settings, earlier: RunFolder | None = None) -> int:
    """Read, set an exam, study, train, sit the exam again, report. Returns 0, or 3 without a gain or with a loss.

    The abliteration of an earlier run of the same model, if one is given, is taken over.
    """
    with _opened(settings, earlier) as job:
        library = dataset_processor.read(job)
        paper = exam.set_paper(job, library)  # frozen before any study item is written
        material = study.write_by_rule(job, library, paper)
        lessons = lora_trainer.plan(job, material.items, paper)
        report.preview(library, paper, lessons.preview, study.to_write(job, library))
        if settings.dry_run or not job.confirmed():
            return 0

        judge = None if settings.fine_tune_only else abliteration.take_refusals(job)
        with study.author(job) as author:
            paper = study.let_it_ask(job, library, paper, author)
            material = study.let_it_write(job, library, paper, material, author)
        report.show_yields(job)
        lessons = lora_trainer.plan(job, material.items, paper)

        with job.model.as_given():  # abliteration costs knowledge: the model is asked as it came
            memories = memory.recall(job, lessons.plan, material.items)
            before = exam.sit(job, "before", paper, memories.remembered)
        memories = memory.with_unrefused(job, memories, judge)
        open_book = exam.sit_open_book(job, paper, library)

        trained = lora_trainer.train(job, lessons, memories.rehearsed)
        result = export.write_and_prove(job, trained, lessons)
        after = exam.sit(job, "after", paper, memories.remembered, result) if settings.test_after_training else None
        conduct = abliteration.conducts(job, judge, result)
        return report.hand_over(job, library, paper, material, before, after, open_book, conduct)


def abliterate(settings: Settings, earlier: RunFolder | None = None) -> int:
    """Count refusals, take them away, count again, merge, report. Returns 0, or 3 when they did not become fewer.

    The trials of an earlier run of the same model, if one is given, are taken over.
    """
    with _opened(settings, earlier) as job:
        if settings.dry_run:
            report.show_prompts(abliteration.prompts(job), settings.n_trials)
            return 0
        judge = abliteration.take_refusals(job, abliteration.asks_for_another(settings, job.run))
        export.write_abliteration(job, judge)
        return report.hand_over_conduct(job, abliteration.conducts(job))


@contextmanager
def _opened(settings: Settings, earlier: RunFolder | None) -> Iterator[Job]:
    """The job, with the run's folder taken for it. What needs no model is checked before the model is loaded."""
    inputs = dataset_processor.find_inputs(settings) if settings.wants_fine_tuning else []
    requests = study.read_requests(settings.study_prompts, Path(model_path(settings.model)))
    for file in filter(None, (settings.exam_file, settings.known_file)):
        exam.read_exam_file(file, [])
    memory.own_requests(settings.replay_dataset)
    lora_trainer.require_tools(settings)
    if settings.writer:
        model_path(settings.writer)
    model = load_model(settings)
    documents = {one.file: one.sha256 for one in inputs}
    with open_run(run_path(settings), identity(settings, documents, model.origin()), settings.overwrite) as run:
        note_how(run, settings, model.device.type)
        abliteration.take_over(run, earlier)
        yield Job(settings, run, model, inputs, requests)
