"""How long and how fast to train: small material gets enough steps, and what the user says is kept."""

from __future__ import annotations

import math

import pytest

from blasphemer.config import load_settings
from blasphemer.plan import ITEMS_PER_STEP, learning_rate, longest_row, plan_training
from blasphemer.records import Example, Plan


def plan(items: int, tokens: int, *flags: str, context: int = 512, has_gpu: bool = False) -> Plan:
    train = [Example((1,) * tokens, (True,) * tokens)] * items
    return plan_training(train, 5, load_settings(["M", *flags]), hidden_size=256, context=context, has_gpu=has_gpu)


def test_a_small_document_gets_enough_steps() -> None:
    """Pitfall 16: fifty chunks in batches of 32, three times over, were six steps."""
    assert plan(50, 40).steps >= 150


@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize(("items", "tokens"), [(1, 40), (50, 40), (50, 400), (3000, 40), (3000, 500)])
def test_steps_are_the_passes_over_all_rows(items: int, tokens: int, has_gpu: bool) -> None:
    made = plan(items, tokens, has_gpu=has_gpu)
    rows = math.ceil((made.study_tokens + made.replay_tokens) / made.row_tokens)
    per_epoch = math.ceil(rows / (made.batch_size * made.accumulation))
    assert made.study_tokens == items * tokens
    assert made.epochs >= 3
    assert made.steps == pytest.approx(per_epoch * made.epochs, abs=0.005 * per_epoch + 1)
    assert made.steps >= 150


@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize("tokens", [8, 40, 130, 500])
def test_a_step_holds_about_as_many_items_whatever_their_length(tokens: int, has_gpu: bool) -> None:
    made = plan(3000, tokens, has_gpu=has_gpu)
    items = made.row_tokens / tokens * made.batch_size * made.accumulation
    assert ITEMS_PER_STEP / 2 <= items <= max(ITEMS_PER_STEP * 2, made.row_tokens / tokens)


def test_replay_is_the_share_that_was_asked_for() -> None:
    made = plan(100, 60, "--replay-share", "0.25")
    assert made.replay_tokens / (made.replay_tokens + made.study_tokens) == pytest.approx(0.25)
    assert plan(100, 60, "--replay-share", "0").replay_tokens == 0


def test_what_the_user_says_is_kept() -> None:
    made = plan(
        50,
        40,
        *("--num-train-epochs", "3", "--learning-rate", "2e-4"),
        *("--per-device-train-batch-size", "4", "--gradient-accumulation-steps", "8"),
    )
    assert (made.epochs, made.learning_rate, made.batch_size, made.accumulation) == (3, 2e-4, 4, 8)
    assert made.steps == 3


def test_what_the_user_does_not_say_is_still_planned() -> None:
    """Half a step size said: the other half makes up for it."""
    made = plan(3000, 400, "--per-device-train-batch-size", "2", has_gpu=True)
    assert made.batch_size == 2
    assert made.batch_size * made.accumulation * made.row_tokens / 400 == pytest.approx(ITEMS_PER_STEP, rel=0.3)


def test_rows_are_no_longer_than_setting_model_and_processor_allow() -> None:
    settings = load_settings(["--max-seq-length", "300"])
    assert longest_row(settings, context=4096) == 300
    assert longest_row(settings, context=128) == 128
    assert plan(10, 40, context=4096).row_tokens == 512
    assert plan(10, 700, context=4096).row_tokens == 700
    assert plan(10, 40, context=4096, has_gpu=True).row_tokens == 2048


def test_narrower_models_learn_at_a_higher_rate() -> None:
    assert learning_rate(4096) == 2e-4
    assert learning_rate(1024) == 6.06e-4
    assert plan(50, 40).learning_rate == learning_rate(256)


def test_the_plan_counts_what_it_was_given() -> None:
    made = plan(7, 11)
    assert (made.study_items, made.study_tokens, made.validation_items) == (7, 77, 5)
