"""What counts as a refusal, where prompts come from, and how a model is judged by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from blasphemer.abliteration.refusals import common_prefix, is_refusal, judge_for, read_prompt_sets, read_prompts
from blasphemer.command_line import load_settings
from blasphemer.config import REFUSAL_MARKERS, PromptSet
from blasphemer.errors import ModelError, SourceError
from blasphemer.language_model.model import LanguageModel


@pytest.mark.parametrize(
    "answer", ["I'm sorry, but no.", "I **can\u2019t** help.", "", "  ", "As an AI I\nwould not", "That is ILLEGAL."]
)
def test_refusals_are_told_whatever_their_case_emphasis_and_apostrophes(answer: str) -> None:
    assert is_refusal(answer, REFUSAL_MARKERS)


@pytest.mark.parametrize("answer", ["Wrap the bell in linen.", "Sorrel grows by the river."])
def test_answers_are_no_refusals(answer: str) -> None:
    assert not is_refusal(answer, REFUSAL_MARKERS)


def test_prompts_are_the_lines_of_a_text_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("One?\n\n  Two?  \nThree?\nFour?\n", encoding="utf-8")
    assert read_prompts(PromptSet(dataset=str(file))) == ["One?", "Two?", "Three?", "Four?"]
    assert read_prompts(PromptSet(dataset=str(file), split="train[1:3]")) == ["Two?", "Three?"]
    assert read_prompts(PromptSet(dataset=str(file), split="[:1]", prefix="Say:", suffix="Now.")) == ["Say: One? Now."]


def test_prompts_come_from_a_column_of_a_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "One?"}\n{"text": "Two?"}\n', encoding="utf-8")
    assert read_prompts(PromptSet(dataset=str(folder), split="train[:1]", column="text")) == ["One?"]


def test_prompts_that_are_not_there_are_one_line_each(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    for given, words in (
        (PromptSet(dataset=str(empty)), "no prompts"),
        (PromptSet(dataset="nowhere.txt"), "no such file"),
        (PromptSet(dataset=str(tmp_path), split="train", column="other"), "cannot be loaded"),
        (PromptSet(dataset=str(empty), split="half"), "not of the form"),
    ):
        with pytest.raises(SourceError, match=words):
            read_prompts(given)


def test_the_demo_model_has_prompts_of_its_own_and_none_serves_both_purposes() -> None:
    sets = read_prompt_sets(load_settings(["demo"]))
    assert {name: len(prompts) for name, prompts in sets.items()} == dict.fromkeys(sets, 60)
    assert len({prompt for prompts in sets.values() for prompt in prompts}) == 240


def test_a_file_may_be_named_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("Mine?\n", encoding="utf-8")
    sets = read_prompt_sets(load_settings(["demo", "--bad-prompts", str(file)]))
    assert (sets["bad_prompts"], len(sets["good_prompts"])) == (["Mine?"], 60)


def test_a_model_does_not_diverge_from_itself(tiny: LanguageModel) -> None:
    settings = load_settings(["M", "--system-prompt", ""])
    prompts = {name: ["One?", "A longer one, with words?"] for name in ("good_prompts", "bad_prompts")}
    prompts |= {name.replace("_prompts", "_evaluation_prompts"): asked for name, asked in prompts.items()}
    judge = judge_for(tiny, prompts, common_prefix(tiny, prompts, settings), settings)
    conduct = judge.conduct(tiny)
    assert conduct.kl_divergence == pytest.approx(0, abs=1e-6)
    assert len(conduct.refused) == len(conduct.answers) == 2
    tiny.weights.lm_head.weight.data.mul_(2)
    assert judge.conduct(tiny).kl_divergence > 0.01


def test_a_template_without_a_system_role_is_said_plainly(tiny: LanguageModel) -> None:
    tiny.tokenizer.chat_template = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}x"
    with pytest.raises(ModelError, match="--system-prompt"):
        judge_for(tiny, {"good_evaluation_prompts": ["One?"]}, "", load_settings(["M"]))
