"""Take a model's refusals away in a run, and note how it behaves before, after, and in the end."""

from __future__ import annotations

from blasphemer.abliteration import engine
from blasphemer.abliteration.refusals import Judge, common_prefix, judge_for, read_prompt_sets
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel
from blasphemer.records import Conduct
from blasphemer.workspace import RunFolder

STAGES = ("original", "abliterated", "fine_tuned")  # at which a model is judged
ADAPTER = "abliteration"


def take_refusals(job: Job, again: bool = False) -> Judge:
    """Abliterate the job's model, unless it refuses nothing. Returns who judges refusals in this run, the original in
    mind.

    With `again`, also where that was done before: the new abliteration takes the place of the old one once it is there.
    """
    asked = prompts(job)
    prefix = job.run.json("prefix.json", lambda: common_prefix(job.model, asked, job.settings))
    judge = judge_for(job.model, asked, prefix, job.settings)
    refused = sum(conduct(job, "original", judge).refused)
    if refused and (again or not job.run.has(ADAPTER)):
        engine.abliterate(job.model, judge, refused, job.settings, job.run)
    if job.run.has(ADAPTER):
        job.model.lay_on(job.run.path / ADAPTER)
    conduct(job, "abliterated", judge)
    return judge


def conduct(job: Job, name: str, judge: Judge, model: LanguageModel | None = None) -> Conduct:
    """How a model (the job's, if no other is given) behaves at one of the STAGES."""

    def judged() -> list[Conduct]:
        return [judge.conduct(model or job.model, f"refusals ({name})")]

    return job.run.records(f"marks/conduct_{name}.jsonl", Conduct, judged)[0]


def conducts(job: Job, judge: Judge | None = None, result: LanguageModel | None = None) -> dict[str, Conduct]:
    """How the model behaved at each stage at which it was judged; the `result` of a fine-tuning is judged now."""
    if judge and result and job.settings.test_after_training:
        conduct(job, "fine_tuned", judge, result)
    names = [name for name in STAGES if job.run.has(f"marks/conduct_{name}.jsonl")]
    return {name: job.run.records(f"marks/conduct_{name}.jsonl", Conduct, list)[0] for name in names}


def prompts(job: Job) -> dict[str, list[str]]:
    """The prompts that the model is abliterated with and judged by."""
    found: dict[str, list[str]] = job.run.json("prompts.json", lambda: read_prompt_sets(job.settings))
    return found


def take_over(run: RunFolder, earlier: RunFolder | None) -> None:
    """Take the trials and the abliteration of an earlier run of the same model, if one is given."""
    if earlier:
        run.take_over(earlier, engine.STAGES)
