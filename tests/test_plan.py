"""How long and how fast to train: small material gets enough steps, and what the user says is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from blasphemer.command_line import load_settings
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel
from blasphemer.language_model.loading import answered_at_once
from blasphemer.lora_trainer.lessons import mix_replay
from blasphemer.lora_trainer.plan import ITEMS_PER_STEP, fitted, learning_rate, plan_training
from blasphemer.memory.recall import MOST_PROMPTS, prompts_to_answer
from blasphemer.records import Example, Plan
from blasphemer.study.requests import default_requests
from blasphemer.workspace import RunFolder


def plan(items: int, tokens: int, *flags: str, has_gpu: bool = False, parameters: int = 3_000_000) -> Plan:
    train = [Example((1,) * tokens, (True,) * tokens)] * items
    return plan_training(
        train, 5, load_settings(["M", *flags]), hidden_size=256, has_gpu=has_gpu, parameters=parameters
    )


def test_a_small_document_gets_enough_steps() -> None:
    """Pitfall 16: fifty chunks in batches of 32, three times over, were six steps."""
    assert plan(50, 40).steps >= 150


def test_the_material_is_passed_over_several_times_unless_the_user_says_otherwise() -> None:
    assert plan(3000, 40).epochs == 5
    assert plan(3000, 40, "--num-train-epochs", "3").epochs == 3


@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize("items", [1, 50, 3000])
def test_steps_hold_all_that_is_trained_on(items: int, has_gpu: bool) -> None:
    made = plan(items, 40, has_gpu=has_gpu)
    example = Example((1,) * 40, (True,) * 40)
    mixed = mix_replay([example] * items, [example] * 7, made, seed=0)
    assert made.epochs >= 3
    assert made.steps >= 150
    assert made.steps == pytest.approx(len(mixed) / (made.batch_size * made.accumulation), rel=0.01, abs=1)


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--per-device-train-batch-size", "2"),
        ("--per-device-train-batch-size", "8"),
        ("--gradient-accumulation-steps", "4"),
    ],
)
@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_step_holds_32_items_unless_the_user_says_both_its_factors(flags: tuple[str, ...], has_gpu: bool) -> None:
    made = plan(3000, 40, *flags, has_gpu=has_gpu)
    assert made.batch_size * made.accumulation == ITEMS_PER_STEP
    assert not flags or int(flags[1]) in (made.batch_size, made.accumulation)


def test_on_a_gpu_the_documented_step_is_taken() -> None:
    made = plan(3000, 40, has_gpu=True)
    assert (made.batch_size, made.accumulation) == (4, 8)


def test_replay_is_the_share_of_items_that_was_asked_for() -> None:
    made = plan(100, 60, "--replay-share", "0.25")
    assert made.replay_items / (made.replay_items + 100 * made.epochs) == pytest.approx(0.25, rel=0.01)
    assert plan(100, 60, "--replay-share", "0").replay_items == 0


def test_without_anything_to_rehearse_the_study_items_still_come_as_often_as_planned() -> None:
    example = Example((1,) * 40, (True,) * 40)
    made = plan(3000, 40, "--replay-prompts", "0")
    assert (made.replay_items, made.steps) == (0, math.ceil(3000 * 5 / 32))
    expected = plan(3000, 40)
    mixed = mix_replay([example] * 3000, [], expected, seed=0)
    assert fitted(expected, len(mixed)).steps == made.steps


def test_what_the_user_says_is_kept() -> None:
    made = plan(
        50,
        40,
        *("--num-train-epochs", "3", "--learning-rate", "2e-4", "--replay-share", ".6"),
        *("--per-device-train-batch-size", "4", "--gradient-accumulation-steps", "8"),
    )
    assert (made.epochs, made.learning_rate, made.batch_size, made.accumulation) == (3, 2e-4, 4, 8)
    assert made.steps == math.ceil(50 / 0.4 * 3 / 32)


def test_items_are_no_longer_than_setting_and_model_allow(tiny: LanguageModel, tmp_path: Path) -> None:
    settings = load_settings(["--max-seq-length", "300"])
    job = Job(settings, RunFolder(tmp_path), tiny, [], default_requests())
    assert job.longest == 300
    assert replace(job, settings=load_settings([])).longest == tiny.context == 512
    assert job.passage_size == 150


def test_narrower_models_learn_at_a_higher_rate() -> None:
    assert learning_rate(4096) == 2e-4
    assert learning_rate(1024) == pytest.approx(1.01e-3, rel=0.01)
    assert learning_rate(576) == pytest.approx(2e-3, rel=0.02)
    assert learning_rate(192) == learning_rate(64) == 2.3e-3
    assert plan(50, 40).learning_rate == learning_rate(256)


def test_the_plan_counts_what_it_was_given() -> None:
    made = plan(7, 11)
    assert (made.study_items, made.study_tokens, made.validation_items) == (7, 77, 5)


def test_small_models_rehearse_more_and_larger_ones_pass_over_the_material_more_often() -> None:
    small, large = plan(3000, 40), plan(3000, 40, parameters=135_000_000)
    assert small.replay_items / (small.replay_items + small.epochs * 3000) == pytest.approx(0.7, rel=0.01)
    assert large.replay_items / (large.replay_items + large.epochs * 3000) == pytest.approx(0.3, rel=0.01)
    assert (small.epochs, large.epochs) == (5, 8)


def test_small_models_answer_more_at_once() -> None:
    for said, batch in ((), 512), (("--batch-size", "3"), 3):
        assert answered_at_once(load_settings(["M", *said]), 3_000_000) == batch
    assert answered_at_once(load_settings(["M"]), 7_000_000_000) == 128


def test_as_many_prompts_are_answered_as_are_rehearsed() -> None:
    assert prompts_to_answer(load_settings(["M"]), 1000) == 1000
    assert prompts_to_answer(load_settings(["M", "--replay-prompts", "7"]), 1000) == 7
    assert prompts_to_answer(load_settings(["M", "--replay-prompts", "0"]), 1000) == 0
    assert prompts_to_answer(load_settings(["M"]), 0) == 0
    assert prompts_to_answer(load_settings(["M"]), 10**6) == MOST_PROMPTS
