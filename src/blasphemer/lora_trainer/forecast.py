"""What a run will take: tokens, minutes and gigabytes, worked out from the plan and a probe of a few seconds."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import Linear

from blasphemer import console
from blasphemer.config import STUDY_BUDGETS, Settings
from blasphemer.errors import ModelError, UsageError
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, bytes_of_a_token, free_memory, in_words, let_go, used_memory
from blasphemer.lora_trainer.adapter import adapter_config
from blasphemer.lora_trainer.footprint import Training, largest_row
from blasphemer.lora_trainer.packing import shared_beginning
from blasphemer.lora_trainer.plan import how, in_less_memory
from blasphemer.records import Example, Plan

# A token that is learnt takes as long as so many that are only read; and what it was before, so many (benchmarks.real)
READINGS_OF_A_STEP, READINGS_OF_A_REFERENCE = 4.7, 2.6
REPLAYED, REHEARSED = 80, 2  # tokens of a replay item, and how often one is rehearsed, about
ANSWER = 32  # tokens of an answer in the exam, about
SITTINGS = 3  # before, after, and two choices among answers, which take half as long
SLOWER_SHOWN = 12  # times that an answer takes longer with its passage shown (benchmarks.real)
IN_A_CHECKPOINT = 3  # times an adapter: with the optimizer's two moments
SHARE_OF_FREE_MEMORY = 0.9  # that a step of training may take
TAKEN_ON_A_CPU = 1.75  # times what is held: memory given back stays with the allocator (benchmarks.train_step)


@dataclass(frozen=True)
class Forecast:
    """Tokens to train on, minutes of training and of what is around it, and gigabytes of memory and disk, at the
    most."""

    tokens: int
    training: float
    around: float
    gigabytes: float
    disk: float

    @property
    def minutes(self) -> float:
        return self.training + self.around


def foresee(job: Job, plan: Plan, examples: Sequence[Example], questions: int, held: int) -> Forecast:
    """What the plan, of which a step holds so many bytes, will take on this machine, from writing on."""
    model = job.model
    tokens = tokens_of(plan, examples)
    recalled = plan.replay_items // REHEARSED * REPLAYED
    answered = (SITTINGS + SLOWER_SHOWN) * questions * ANSWER
    written = model.room.tokens * bytes_of_a_token(model.weights)
    readings = tokens * READINGS_OF_A_STEP + plan.replay_items * REPLAYED * READINGS_OF_A_REFERENCE
    return Forecast(
        tokens,
        readings / model.reading_speed / 60,
        (recalled + answered) / model.writing_speed / 60,
        (used_memory(model.device) + max(held, written)) / 1e9,
        written_to_disk(model, job.settings) / 1e9,
    )


def require_disk(job: Job) -> None:
    """Raises UsageError where a run's folder has no room for what training will write."""
    if job.run.has("checkpoints"):
        return
    needed, free = written_to_disk(job.model, job.settings), shutil.disk_usage(job.run.path).free
    if needed > free:
        raise UsageError(
            f"{job.run.path}: {in_words(needed)} will be written there, and {in_words(free)} are free. Free some, or "
            "lower --save-total-limit, or give --no-merge-lora."
        )


def written_to_disk(model: LanguageModel, settings: Settings) -> int:
    """Bytes of checkpoints, of which one more is there for a while, of the adapter, and of the merged model."""
    head, names = model.weights.get_output_embeddings(), settings.lora_target_modules
    numbers = 0
    for name, layer in model.weights.named_modules():
        own = name.removesuffix(".base_layer").rpartition(".")[2]
        if isinstance(layer, Linear) and layer is not head and "lora_" not in name:
            is_wanted = names == ("all-linear",) or own in names
            numbers += is_wanted * settings.lora_rank * (layer.in_features + layer.out_features)
    adapter = numbers * torch.float32.itemsize
    merged = model.parameters * model.dtype.itemsize if settings.merge_lora else 0
    return adapter * (IN_A_CHECKPOINT * (settings.save_total_limit + 1) + 1) + merged


def tokens_of(plan: Plan, examples: Sequence[Example]) -> int:
    """Tokens that are computed in a training: what chats begin with counts once for each row."""
    shared = len(shared_beginning(examples))
    own = sum(len(example.ids) - (0 if example.learn[0] else shared) for example in examples)
    rows = plan.steps * plan.accumulation
    return round(own * plan.epochs) + plan.replay_items * REPLAYED + rows * shared


def in_memory(job: Job, plan: Plan, examples: Sequence[Example]) -> tuple[Plan, int]:
    """The plan with so many items at once as memory allows: half of them while a step would hold too much, then one
    whose activations are computed again; and the bytes that a step of it holds.

    What the user chose is kept, and warned about. Raises ModelError where nothing fits; but not once material was
    written, as less may be held than is foreseen.
    """
    let_go(job.model.device)
    free = free_memory(job.model.device)
    while (held := held_by_a_step(job.model, job.settings, plan, examples)) > SHARE_OF_FREE_MEMORY * free:
        said = f"A step of {how(plan)} takes about {in_words(held)} beside the weights; {in_words(free)} are free"
        if job.settings.chosen("per_device_train_batch_size"):
            console.warn(f"{said}: memory may run out.")
            break
        if plan.batch_size == 1 and plan.recomputes:
            if held > free and not job.run.has("self_study.jsonl"):
                raise ModelError(f"{said}. Lower --max-seq-length, or take a smaller model.")
            break
        plan = in_less_memory(plan)
    return plan, held


def held_by_a_step(model: LanguageModel, settings: Settings, plan: Plan, examples: Sequence[Example]) -> int:
    """Bytes beside the weights at the most, while training; 0 where the kind of model does not let it be worked out."""
    shared = len(shared_beginning(examples))
    studied = [(len(one.ids) - (0 if one.learn[0] else shared), sum(one.learn), False) for one in examples]
    replayed = round(plan.replay_items / max(plan.study_items * plan.epochs, 1) * len(studied))
    row = largest_row([*studied, *[(REPLAYED, REPLAYED - REPLAYED // 4, True)] * replayed], plan.batch_size)
    config = model.weights.config.get_text_config()
    training = Training(config, model.dtype, adapter_config(settings), plan.precision, plan.recomputes)
    try:
        held = training.holds(replace(row, tokens=row.tokens + shared))
    except Exception:  # whatever a model of another make raises on the way
        return 0
    return held if model.has_gpu else round(TAKEN_ON_A_CPU * held)


def scaled(forecast: Forecast, settings: Settings) -> Mapping[str, float]:
    """Minutes of training for each budget of study tokens, as far as the material grows with it."""
    own = settings.study_tokens_per_source_token
    return {name: forecast.training * budget / own for name, budget in STUDY_BUDGETS.items()}


def rounded(forecast: Forecast) -> dict[str, float]:
    """The forecast as a table of run.toml."""
    return {
        "tokens": forecast.tokens,
        "minutes_of_training": round(forecast.training, 1),
        "minutes": round(forecast.minutes, 1),
        "memory_gb": round(forecast.gigabytes, 2),
        "disk_gb": round(forecast.disk, 2),
    }


def describe_forecast(forecast: Forecast, plan: Plan, settings: Settings) -> str:
    """The forecast in a sentence or two."""
    others = ", ".join(
        f"{name} {minutes + forecast.around:,.0f}" for name, minutes in scaled(forecast, settings).items()
    )
    said = (
        f"That is about {forecast.tokens:,} tokens and {forecast.training:,.0f} minutes of training on this machine, "
        f"{forecast.minutes:,.0f} with exams and replay, and {forecast.gigabytes:.1f} GB of memory "
        f"and {forecast.disk:.1f} of disk at the most. "
        f"Minutes by --study: {others}."
    )
    budget = settings.time_budget
    if budget is not None and forecast.minutes > budget:
        passes = plan.epochs * max(budget - forecast.around, 0) / forecast.training
        said += f" The time budget of {budget:g} minutes cuts it short, to about {passes:.2g} passes"
        needed = math.ceil(forecast.around + forecast.training / plan.epochs)
        said += f"; for a whole one give at least {needed}." if passes < 1 else "."
    return said
