"""Examples in one row are learnt as if each stood alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from blasphemer.language_model import LanguageModel, attending, encode
from blasphemer.lora_trainer import packing
from blasphemer.lora_trainer.packing import IN_BLOCKS, Packer, attention_in_blocks, can_pack, shared_beginning
from blasphemer.lora_trainer.sft import labels_of
from blasphemer.records import Example, StudyItem, exchange
from tests.test_generation import SMALL

ITEMS = [
    StudyItem("1", "q", "model", "", exchange("Who waits?", "The heron waits.")),
    StudyItem("2", "q", "model", "", exchange("Where does the heron stand, and for how long?", "In the water.")),
    StudyItem("3", "passage", "rules", "The heron stands in the water and waits for the fish."),
    StudyItem("4", "q", "model", "", exchange("Who waits?", "The fish does not.")),
    StudyItem("5", "q", "model", "", (*exchange("Who waits?", "The heron."), *exchange("For what?", "The fish."))),
]


def rows_of(examples: list[Example]) -> list[dict[str, Any]]:
    return [
        {"input_ids": list(example.ids), "labels": labels_of(example), "rehearsed": example.rehearsed}
        for example in examples
    ]


def loss_alone(weights: torch.nn.Module, examples: list[Example]) -> torch.Tensor:
    """The losses of all learnt tokens, each example in a row of its own."""
    losses = []
    for example in examples:
        logits = weights(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        learnt = torch.tensor(example.learn[1:])
        losses.append(cross_entropy(logits[learnt], torch.tensor(example.ids[1:])[learnt], reduction="none"))
    return torch.cat(losses)


def loss_packed(weights: torch.nn.Module, examples: list[Example], beginning: tuple[int, ...]) -> torch.Tensor:
    row = Packer(beginning).packed(rows_of(examples))
    labels = row.pop("labels")[0, 1:]
    with attending(weights, IN_BLOCKS, attention_in_blocks):
        return cross_entropy(weights(**row, use_cache=False).logits[0], labels, reduction="none")


@pytest.fixture(autouse=True, params=[8, 1000])
def places_of_a_block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example or two in each block, and all in one."""
    monkeypatch.setattr(packing, "PLACES_OF_A_BLOCK", request.param)


@pytest.mark.parametrize("config", [LlamaConfig(**SMALL), Qwen2Config(**SMALL), MistralConfig(**SMALL)])
def test_the_loss_of_a_row_is_that_of_its_examples_alone(tiny: LanguageModel, config: LlamaConfig) -> None:
    torch.manual_seed(0)
    weights = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    examples = encode(ITEMS, tiny.tokenizer, 512)
    beginning = shared_beginning(examples)
    assert len(beginning) > 0
    with torch.no_grad():
        alone, packed = loss_alone(weights, examples), loss_packed(weights, examples, beginning)
        unshared = loss_packed(weights, examples, ())
    assert float(alone.mean()) == pytest.approx(float(packed.mean()), abs=1e-6)
    assert torch.allclose(alone, packed, atol=1e-5, rtol=0)
    assert torch.allclose(alone, unshared, atol=1e-5, rtol=0)


def test_the_gradients_are_the_same_too(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    found = []
    for loss in (loss_alone(tiny.weights, examples), loss_packed(tiny.weights, examples, shared_beginning(examples))):
        tiny.weights.zero_grad()
        loss.mean().backward()
        found.append(torch.cat([one.grad.flatten() for one in tiny.weights.parameters() if one.grad is not None]))
    assert torch.allclose(*found, atol=1e-6)


def test_what_chats_share_is_the_templates_own_words_and_nothing_that_is_learnt(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    beginning = shared_beginning(examples)
    assert tiny.tokenizer.decode(beginning) == "<s><|user|>\nW"  # who, and where
    assert shared_beginning(encode(ITEMS[2:3], tiny.tokenizer, 512)) == ()
    assert shared_beginning(encode(ITEMS[:1] * 2, tiny.tokenizer, 512)) != examples[0].ids


def test_what_is_rehearsed_stands_in_a_row_of_its_own_as_well(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    examples = [replace(example, rehearsed=place in (1, 2)) for place, example in enumerate(examples)]
    packer = Packer(shared_beginning(examples))
    row = packer(rows_of(examples))
    alone = packer.packed(rows_of(examples[1:3]))
    assert torch.equal(row["reference"]["input_ids"], alone["input_ids"])
    assert torch.equal(row["labels"][0, -len(alone["labels"][0, 1:]) :], alone["labels"][0, 1:])  # they come last
    assert "reference" not in packer(rows_of(examples[:1]))


def test_no_place_sees_another_example(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    row = Packer(shared_beginning(examples))(rows_of(examples))
    seen = row["attention_mask"][0, 0]
    assert not seen.triu(1).any()
    width = len(shared_beginning(examples))
    first = slice(width, len(examples[0].ids))
    second = slice(first.stop, first.stop + len(examples[1].ids) - width)
    assert not seen[second, first].any()
    assert seen[second, :width].all()


def test_blocks_are_whole_examples_and_see_what_the_mask_lets_them_see(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    mask = Packer(shared_beginning(examples))(rows_of(examples))["attention_mask"]
    blocks = packing._blocks_of(mask)
    assert (len(blocks) > 1) == (packing.PLACES_OF_A_BLOCK == 8)
    assert [block.start for block in blocks] == [0, *(block.end for block in blocks[:-1])]
    assert sum(int(block.seen.sum()) for block in blocks) == int(mask.sum())


def test_models_that_look_back_a_few_places_only_are_not_packed_with_longer_examples() -> None:
    windows = AutoModelForCausalLM.from_config(MistralConfig(**SMALL, sliding_window=16))
    everything = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL))
    eager = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL), attn_implementation="eager")
    windows.get_base_model = everything.get_base_model = eager.get_base_model = lambda: everything
    assert not can_pack(windows, longest=17)
    assert can_pack(windows, longest=16)
    assert can_pack(everything, longest=1000)
    assert not can_pack(eager, longest=16)
