"""How long and how fast to train: worked out from the material and the model, where the user has not said.

A fixed number of passes gives a small document six optimizer steps, in which nothing is learnt: small material is
passed over more often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from blasphemer.config import Settings
from blasphemer.errors import ModelError
from blasphemer.language_model import SMALL_MODEL
from blasphemer.records import Example, Plan

ITEMS_PER_STEP = 32  # the documented 4 x 8: larger batches learn less per token with LoRA
BATCH_WITHOUT_GPU = 16  # items in a row: with few cores as fast as 32, and faster than 8
FEWEST_STEPS = 200
REPLAY_OF_SMALL_MODELS = 0.7  # share of the items: they forget more (FINETUNING_DESIGN.md)
EPOCHS, EPOCHS_OF_SMALL_MODELS = 8, 5  # the documented 3 teach less (FINETUNING_DESIGN.md)
TOO_LARGE = (
    "There is not enough memory to train this model, not even with one item at a time: lower --max-seq-length, or take "
    "a smaller model."
)
REFERENCE_RATE, REFERENCE_SIZE = 2e-4, 4096  # a rate proven on 7-8B models, and their hidden size
RATE_EXPONENT = 1.17  # leads to 2e-3 at hidden size 576, tried on SmolLM2-135M (FINETUNING_DESIGN.md)
HIGHEST_RATE = 2.3e-3  # swept at hidden size 192


def plan_training(
    train: Sequence[Example],
    validation_items: int,
    settings: Settings,
    hidden_size: int,
    has_gpu: bool,
    parameters: int,
    processes: int = 1,
) -> Plan:
    """The plan for these training examples on a model of this size, in so many processes."""
    batch, accumulation = _step_size(settings, has_gpu, processes)
    share = _replay_share(settings, parameters) if settings.replay_prompts else 0.0
    items_per_epoch = max(len(train), 1) / (1 - share)
    steps_per_epoch = items_per_epoch / (batch * accumulation * processes)
    usual = EPOCHS_OF_SMALL_MODELS if parameters <= SMALL_MODEL else EPOCHS
    epochs = settings.chosen("num_train_epochs") or max(usual, FEWEST_STEPS / steps_per_epoch)
    return Plan(
        study_items=len(train),
        study_tokens=sum(len(example.ids) for example in train),
        replay_items=round(items_per_epoch * epochs * share),
        validation_items=validation_items,
        batch_size=batch,
        accumulation=accumulation,
        epochs=round(epochs, 2),
        steps=math.ceil(steps_per_epoch * epochs),
        learning_rate=settings.chosen("learning_rate") or learning_rate(hidden_size),
        recomputes=settings.gradient_checkpointing,
        processes=processes,
    )


def _replay_share(settings: Settings, parameters: int) -> float:
    chosen: float | None = settings.chosen("replay_share")
    if chosen is not None:
        return chosen
    return REPLAY_OF_SMALL_MODELS if parameters <= SMALL_MODEL else settings.replay_share


def fitted(plan: Plan, items: int) -> Plan:
    """The plan for what there is to train on: less than was planned, where the model had nothing to rehearse."""
    return replace(plan, steps=min(plan.steps, math.ceil(items / plan.items_of_a_step)))


def in_less_memory(plan: Plan) -> Plan:
    """The same steps with fewer items at once, or from one item on, with activations computed again on the way back.

    Raises ModelError where neither is left to do.
    """
    if plan.batch_size > 1:
        whole = plan.batch_size * plan.accumulation
        batch = next(size for size in range(plan.batch_size // 2, 0, -1) if whole % size == 0)
        return replace(plan, batch_size=batch, accumulation=whole // batch)
    if not plan.recomputes:
        return replace(plan, recomputes=True)
    raise ModelError(TOO_LARGE)


def learning_rate(hidden_size: int) -> float:
    """Peak rate for LoRA: narrower models take more."""
    return round(min(REFERENCE_RATE * math.pow(REFERENCE_SIZE / hidden_size, RATE_EXPONENT), HIGHEST_RATE), 6)


def _step_size(settings: Settings, has_gpu: bool, processes: int) -> tuple[int, int]:
    """Items per micro-step and micro-steps per step: as the user said, else so that a step of all processes holds
    ITEMS_PER_STEP."""
    batch: int | None = settings.chosen("per_device_train_batch_size")
    accumulation: int | None = settings.chosen("gradient_accumulation_steps")
    own = max(ITEMS_PER_STEP // processes, 1)
    if batch is None and accumulation is None and has_gpu:
        batch = min(settings.per_device_train_batch_size, own)
    if batch is None:
        batch = max(own // accumulation, 1) if accumulation else min(BATCH_WITHOUT_GPU, own)
    return batch, accumulation or max(round(own / batch), 1)


def describe(plan: Plan) -> str:
    """The plan in a sentence."""
    return (
        f"Plan: {plan.study_items:,} study items ({plan.study_tokens:,} tokens) {plan.epochs:g} times over, with "
        f"{plan.replay_items:,} items of replay, in {plan.steps:,} steps of {plan.items_of_a_step} "
        f"items; learning rate {plan.learning_rate:g}; {plan.validation_items} items held out."
    )


def how(plan: Plan) -> str:
    """How a step is divided, in words."""
    again = ", computing activations again on the way back" * plan.recomputes
    items = "one item" if plan.batch_size == 1 else f"{plan.batch_size} items"
    return f"{items} at once, {plan.accumulation} times a step{again}"
