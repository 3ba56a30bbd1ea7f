"""Study items -> what is trained on, what is held out, and for how long."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from blasphemer.job import Job
from blasphemer.language_model import encode, show_learnt, team
from blasphemer.lora_trainer.forecast import describe_forecast, foresee, in_memory, require_disk, rounded
from blasphemer.lora_trainer.plan import describe, plan_training
from blasphemer.records import Example, ExamQuestion, Plan, Source, StudyItem

# Kinds of study items to show, the first three there are
PREVIEWED = ("instruction", "value", "entry", "gap", "answer", "told", "beginning", "passage")


@dataclass(frozen=True)
class Preview:
    """Some study items as the model will see them, in stretches that are learnt (True) or not; the plan in words."""

    items: list[tuple[StudyItem, list[tuple[str, bool]]]]
    plan: str


@dataclass(frozen=True)
class Lessons:
    """What is trained on and what is held out, and for how long."""

    items: list[StudyItem]
    examples: list[Example]
    validation: list[Example]
    plan: Plan
    preview: Preview


def plan(job: Job, study: Sequence[StudyItem], paper: Sequence[ExamQuestion]) -> Lessons:
    """Lessons from these items, how long to train on them, and what that and the exams will take.

    Raises TooLong for an item that is too long.
    """
    items, held_out = split_validation(study, job.settings.validation_split, job.settings.seed)
    tokenizer = job.model.tokenizer
    examples, validation = encode(items, tokenizer, job.longest), encode(held_out, tokenizer, job.longest)
    model = job.model
    planned = plan_training(
        examples, len(held_out), job.settings, model.hidden_size, model.has_gpu, model.parameters, team.size()
    )
    planned, held = in_memory(job, replace(planned, precision=model.training_precision), examples)
    first = {item.kind: (item, example) for item, example in reversed(list(zip(items, examples, strict=True)))}
    shown = [first[kind] for kind in PREVIEWED if kind in first][:3]
    forecast = foresee(job, planned, examples, len(paper), held)
    if not job.run.has("adapter"):
        require_disk(job)
        job.run.save_json("plan.json", asdict(planned))
        job.run.add_about("foreseen", rounded(forecast))
    said = f"{describe(planned)} {describe_forecast(forecast, planned, job.settings)}"
    preview = Preview([(item, show_learnt(example, tokenizer)) for item, example in shown], said)
    return Lessons(items, examples, validation, planned, preview)


def split_validation(items: Sequence[StudyItem], share: float, seed: int) -> tuple[list[StudyItem], list[StudyItem]]:
    """Training and validation items. The split is over items, not passages, so that every fact is still taught.

    An item is held out only if others teach each of its sources. Items of the same kind are split in the same
    proportion as far as that goes. No text occurs on both sides, nor twice on either. With a share above 0 one item at
    least is held out, if any of several can be.
    """
    by_kind: dict[str, list[StudyItem]] = {}
    for item in {item.content: item for item in items}.values():
        by_kind.setdefault(item.kind, []).append(item)
    generator = random.Random(seed)
    unique = [item for kind in by_kind.values() for item in kind]
    teachers = Counter(source for item in unique for source in set(item.sources))
    held_out: set[str] = set()
    for kind in by_kind.values():
        held_out |= _spared(generator.sample(kind, len(kind)), round(len(kind) * share), teachers)
    if share > 0 and not held_out and len(unique) > 1:
        held_out = _spared(generator.sample(unique, len(unique)), 1, teachers)
    return [item for item in unique if item.id not in held_out], [item for item in unique if item.id in held_out]


def _spared(shuffled: Sequence[StudyItem], most: int, teachers: Counter[Source]) -> set[str]:
    """Ids of up to `most` items whose sources all have other teachers. They no longer count as teachers themselves."""
    spared: set[str] = set()
    for item in shuffled:
        sources = set(item.sources)
        if len(spared) < most and all(teachers[source] > 1 for source in sources):
            teachers.subtract(sources)
            spared.add(item.id)
    return spared


def mix_replay(study: Sequence[Example], replay: Sequence[Example], plan: Plan, seed: int) -> list[Example]:
    """All that is trained on: as many study items as `plan.epochs` passes over those planned for, and of replay
    `plan.replay_items`.

    Each comes as often as any other of its kind, give or take once. The trainer shuffles all of them together.
    """
    generator = random.Random(seed)
    studied = _drawn(study, round(plan.study_items * plan.epochs), generator)
    return studied + _drawn(replay, plan.replay_items, generator)


def _drawn(examples: Sequence[Example], number: int, generator: random.Random) -> list[Example]:
    drawn: list[Example] = []
    while examples and len(drawn) < number:
        drawn += generator.sample(list(examples), min(len(examples), number - len(drawn)))
    return drawn
