"""How long and how fast to train: worked out from the material and the model, where the user has not said.

A fixed batch and three passes give a small document six optimizer steps, in which nothing is learnt. Here a step holds
about ITEMS_PER_STEP study items whatever their length, and small material is passed over more often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from blasphemer.config import Settings
from blasphemer.records import Example, Plan

ITEMS_PER_STEP = 32  # larger batches learn less per token with LoRA (KNOWLEDGE in FINETUNING_DESIGN.md)
PASSES = 5  # the documented 3 left a third of the demo documents' facts unlearnt (FINETUNING_DESIGN.md)
FEWEST_STEPS = 200
SHORT_ROW = 512  # tokens: attention over a packed row is quadratic without flash attention, so CPU rows are short
REFERENCE_RATE, REFERENCE_SIZE = 2e-4, 4096  # a rate proven on 7-8B models, and their hidden size
RATE_EXPONENT = 0.8  # leads to 2.3e-3 at hidden size 192, swept on the demo world (FINETUNING_DESIGN.md)


def plan_training(
    train: Sequence[Example],
    validation_items: int,
    settings: Settings,
    hidden_size: int,
    context: int,
    has_gpu: bool,
) -> Plan:
    """The plan for these training examples; `context` is the longest row the model can take, in tokens."""
    lengths = [len(example.ids) for example in train]
    study_tokens = sum(lengths)
    replay_tokens = round(study_tokens * settings.replay_share / (1 - settings.replay_share))
    row = longest_row(settings, context)
    if not has_gpu:
        row = min(row, max(SHORT_ROW, max(lengths, default=0)))
    rows = math.ceil((study_tokens + replay_tokens) / row)
    batch, accumulation = _step_size(settings, max(row * len(lengths) / max(study_tokens, 1), 1), has_gpu)
    steps_per_epoch = max(math.ceil(rows / (batch * accumulation)), 1)
    epochs = settings.chosen("num_train_epochs") or max(PASSES, FEWEST_STEPS / steps_per_epoch)
    return Plan(
        study_items=len(train),
        study_tokens=study_tokens,
        replay_tokens=replay_tokens,
        validation_items=validation_items,
        row_tokens=row,
        batch_size=batch,
        accumulation=accumulation,
        epochs=round(epochs, 2),
        steps=math.ceil(steps_per_epoch * epochs),
        learning_rate=settings.chosen("learning_rate") or learning_rate(hidden_size),
    )


def longest_row(settings: Settings, context: int) -> int:
    """Tokens of the longest row that setting and model allow."""
    return min(settings.max_seq_length, context)


def learning_rate(hidden_size: int) -> float:
    """Peak rate for LoRA: narrower models take more."""
    return round(REFERENCE_RATE * math.pow(REFERENCE_SIZE / hidden_size, RATE_EXPONENT), 6)


def _step_size(settings: Settings, items_per_row: float, has_gpu: bool) -> tuple[int, int]:
    """Rows per micro-step and micro-steps per step: as the user said, else for about ITEMS_PER_STEP items."""
    batch = settings.chosen("per_device_train_batch_size")
    accumulation = settings.chosen("gradient_accumulation_steps")
    wanted = max(round(ITEMS_PER_STEP / items_per_row), 1)
    if batch is None:
        batch = min(settings.per_device_train_batch_size, wanted) if has_gpu else 1
    if accumulation is None:
        accumulation = min(max(round(wanted / batch), 1), 32)
    return batch, accumulation
