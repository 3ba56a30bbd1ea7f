"""What a run will take: tokens, minutes and gigabytes, worked out from the plan and a probe of a few seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blasphemer.config import STUDY_BUDGETS, Settings
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel
from blasphemer.lora_trainer.packing import shared_beginning
from blasphemer.records import Example, Plan

# A token that is learnt takes as long as so many that are only read; and what it was before, so many (benchmarks.real)
READINGS_OF_A_STEP, READINGS_OF_A_REFERENCE = 4.7, 2.6
REPLAYED, REHEARSED = 80, 2  # tokens of a replay item, and how often one is rehearsed, about
ANSWER = 32  # tokens of an answer in the exam, about
SITTINGS = 3  # before, after, and two choices among answers, which take half as long
SLOWER_SHOWN = 12  # times that an answer takes longer with its passage shown (benchmarks.real)
BYTES_OF_ADAPTER = 16  # a parameter, its gradient, and two moments in float32
VALUES_OF_A_LAYER = (16, 4)  # kept for the way back for each token: hidden and intermediate sizes


@dataclass(frozen=True)
class Forecast:
    """Tokens to train on, minutes of recalling, training and exams, and gigabytes at the most."""

    tokens: int
    training: float
    around: float
    gigabytes: float

    @property
    def minutes(self) -> float:
        return self.training + self.around


def foresee(job: Job, plan: Plan, examples: Sequence[Example], questions: int) -> Forecast:
    """What the plan will take on this machine, from writing on."""
    model = job.model
    tokens = tokens_of(plan, examples)
    recalled = plan.replay_items // REHEARSED * REPLAYED
    answered = (SITTINGS + SLOWER_SHOWN) * questions * ANSWER
    readings = tokens * READINGS_OF_A_STEP + plan.replay_items * REPLAYED * READINGS_OF_A_REFERENCE
    return Forecast(
        tokens,
        readings / model.reading_speed / 60,
        (recalled + answered) / model.writing_speed / 60,
        gigabytes(model, job.settings, examples, plan.batch_size),
    )


def tokens_of(plan: Plan, examples: Sequence[Example]) -> int:
    """Tokens that are computed in a training: what chats begin with counts once for each row."""
    shared = len(shared_beginning(examples))
    own = sum(len(example.ids) - (0 if example.learn[0] else shared) for example in examples)
    rows = plan.steps * plan.accumulation
    return round(own * plan.epochs) + plan.replay_items * REPLAYED + rows * shared


def gigabytes(model: LanguageModel, settings: Settings, examples: Sequence[Example], batch: int) -> float:
    """Memory at the most, while training: weights, adapter with its optimizer, what is kept for the way back."""
    config: Any = model.weights.config.get_text_config()
    hidden, between = config.hidden_size, getattr(config, "intermediate_size", 4 * config.hidden_size)
    layers = config.num_hidden_layers
    weights = model.parameters * model.dtype.itemsize
    adapter = settings.lora_rank * layers * (4 * 2 * hidden + 3 * (hidden + between)) * BYTES_OF_ADAPTER
    longest = sum(sorted((len(example.ids) for example in examples), reverse=True)[:batch])
    kept = VALUES_OF_A_LAYER[0] * hidden + VALUES_OF_A_LAYER[1] * between
    activations = longest * layers * kept * (2 if model.training_precision == "bfloat16" else 4)
    return float(weights + adapter + activations) / 1e9


def scaled(forecast: Forecast, settings: Settings) -> Mapping[str, float]:
    """Minutes of training for each budget of study tokens, as far as the material grows with it."""
    own = settings.study_tokens_per_source_token
    return {name: forecast.training * budget / own for name, budget in STUDY_BUDGETS.items()}


def describe_forecast(forecast: Forecast, settings: Settings) -> str:
    """The forecast in a sentence or two."""
    others = ", ".join(
        f"{name} {minutes + forecast.around:,.0f}" for name, minutes in scaled(forecast, settings).items()
    )
    said = (
        f"That is about {forecast.tokens:,} tokens and {forecast.training:,.0f} minutes of training on this machine, "
        f"{forecast.minutes:,.0f} with exams and replay, and {forecast.gigabytes:.1f} GB of memory at the most. "
        f"Minutes by --study: {others}."
    )
    budget = settings.time_budget
    if budget is not None and forecast.minutes > budget:
        said += f" The time budget of {budget:g} minutes cuts it short."
    return said
