"""The engine that writes answers: the same answers as one row at a time, with nothing computed twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MambaConfig, MambaForCausalLM, MistralConfig, Qwen2Config

from blasphemer.language_model import batch, generation
from blasphemer.language_model.attention import MANY
from blasphemer.language_model.batch import Batch, Row, loop_start
from blasphemer.language_model.device import Room
from blasphemer.language_model.generation import Sampling, score_rows, write_rows
from blasphemer.language_model.model import LanguageModel

SHARED = "The heron stands in the water and waits for the fish. " * 3
PROMPTS = [
    *(f"{SHARED}Where does {who} stand?" for who in ("the heron", "it", "the fish in the water")),
    "Who waits?",
    *(f"The fish waits. {SHARED}And {who}?" for who in ("where", "for how long, and why")),
    "What does the heron wait for?",
]


def _one_by_one(model: LanguageModel, prompts: list[str], longest: int) -> list[list[int]]:
    """Plain greedy decoding: the whole row is read again for every token."""
    found = []
    for prompt in model.prompt_rows(prompts):
        ids = list(prompt)
        while len(ids) < len(prompt) + longest:
            with torch.no_grad():
                best = int(model.weights(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if best in model._stops():
                break
            ids.append(best)
        found.append(ids[len(prompt) :])
    return found


@pytest.mark.parametrize("most_rows", [1, 3, 64])
@pytest.mark.parametrize("fewest_apart", [1, MANY])
def test_rows_written_together_are_the_rows_written_alone(
    tiny: LanguageModel, most_rows: int, fewest_apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "FEWEST_APART", fewest_apart)
    rows = [Row(prompt, 24) for prompt in tiny.prompt_rows(PROMPTS)]
    write_rows(tiny.weights, rows, tiny._stops(), Room(most_rows, 4096))
    assert [row.ids for row in rows] == _one_by_one(tiny, PROMPTS, 24)


def test_a_long_beginning_is_held_once_unless_the_models_attention_does_not_take_it_so(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "FEWEST_APART", 16)
    held: list[int] = []
    spread = Batch.whole_mask

    def noted(rows: Batch) -> torch.Tensor:
        held.append(len(rows.beginning))
        return spread.fget(rows)  # type: ignore[misc]

    monkeypatch.setattr(Batch, "whole_mask", property(noted))
    update = batch._Layer.update

    def changed(*given: object) -> tuple[torch.Tensor, ...]:
        return tuple(one.clone() for one in update(*given))  # type: ignore[arg-type]

    for keys, apart in ((update, True), (changed, False)):
        held.clear()
        batch._TELL_APART.clear()
        monkeypatch.setattr(batch._Layer, "update", keys)
        rows = [Row(prompt, 24) for prompt in tiny.prompt_rows(PROMPTS[:3])]
        write_rows(tiny.weights, rows, tiny._stops(), Room(64, 4096))
        assert [row.ids for row in rows] == _one_by_one(tiny, PROMPTS[:3], 24)
        assert (held[-1] >= 16) == apart
    batch._TELL_APART.clear()


def test_a_small_memory_changes_no_answer(tiny: LanguageModel) -> None:
    rows = [Row(prompt, 24) for prompt in tiny.prompt_rows(PROMPTS)]
    write_rows(tiny.weights, rows, tiny._stops(), Room(64, 1))
    assert [row.ids for row in rows] == _one_by_one(tiny, PROMPTS, 24)


def test_where_memory_runs_out_fewer_rows_are_written_at_once_and_none_is_lost(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward, calls = tiny.weights.forward, 0

    def short_of_memory(*given: object, input_ids: torch.Tensor, **others: object) -> object:
        nonlocal calls
        calls += 1
        if len(input_ids) > 2 and calls > 8:  # at first there is enough
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return forward(*given, input_ids=input_ids, **others)

    monkeypatch.setattr(tiny.weights, "forward", short_of_memory)
    rows = [Row(prompt, 24) for prompt in tiny.prompt_rows(PROMPTS)]
    assert write_rows(tiny.weights, rows, tiny._stops(), Room(8, 4096)).rows == 2
    assert capsys.readouterr().err.count("Memory ran out") == 2
    found: dict[int, torch.Tensor] = {}
    score_rows(tiny.weights, [row.prompt for row in rows], [row.ids for row in rows], Room(8, 4096), found.__setitem__)
    assert all(found[number].argmax(-1).tolist() == row.ids for number, row in enumerate(rows) if row.ids)
    monkeypatch.undo()
    assert [row.ids for row in rows] == _one_by_one(tiny, PROMPTS, 24)


def test_what_does_not_fit_alone_is_an_error(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> object:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")

    monkeypatch.setattr(tiny.weights, "forward", full)
    with pytest.raises(RuntimeError, match="allocate"):
        write_rows(tiny.weights, [Row(row, 4) for row in tiny.prompt_rows(PROMPTS)], set(), Room(4, 4096))


SMALL = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.2,
}  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**{**SMALL, "num_key_value_heads": 4}),
        MistralConfig(**SMALL, sliding_window=16),
        Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=16, max_window_layers=1),
    ],
    ids=["every head its own keys", "windows", "windows in some layers"],
)
def test_other_kinds_of_attention_give_the_same_answers(tiny: LanguageModel, config: LlamaConfig) -> None:
    torch.manual_seed(0)
    other = replace(tiny, weights=AutoModelForCausalLM.from_config(config).eval())
    rows = [Row(prompt, 12) for prompt in other.prompt_rows(PROMPTS)]
    write_rows(other.weights, rows, other._stops(), Room(4, 4096))
    assert [row.ids for row in rows] == _one_by_one(other, PROMPTS, 12)


def test_a_model_without_keys_and_values_is_written_with_by_the_library(tiny: LanguageModel) -> None:
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.2)
    other = replace(tiny, weights=MambaForCausalLM(config).eval())
    prompts = ["Who waits?"] * 3  # rows of one length: padding is no part of this
    rows = [Row(prompt, 6) for prompt in other.prompt_rows(prompts)]
    write_rows(other.weights, rows, other._stops(), Room(2, 4096))
    assert [row.ids for row in rows] == _one_by_one(other, prompts, 6)


def test_what_rows_share_is_read_once(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    forward = tiny.weights.forward

    def counting(*arguments: object, input_ids: torch.Tensor, **others: object) -> object:
        nonlocal read
        read += input_ids.numel()
        return forward(*arguments, input_ids=input_ids, **others)

    monkeypatch.setattr(tiny.weights, "forward", counting)
    prompts = tiny.prompt_rows([f"{SHARED * 3}{number}?" for number in range(8)])
    write_rows(tiny.weights, [Row(prompt, 1) for prompt in prompts], set(), Room(64, 65536))
    assert read < 2 * len(prompts[0])


def test_drawn_rows_follow_from_the_seed_and_differ(tiny: LanguageModel) -> None:
    def drawn(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        rows = [Row(prompt, 16) for prompt in tiny.prompt_rows(["Who waits?"] * 8)]
        write_rows(tiny.weights, rows, tiny._stops(), Room(64, 4096), Sampling(0.95))
        return [row.ids for row in rows]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len({tuple(ids) for ids in drawn(1)}) > 4


def test_the_tokens_drawn_are_the_likeliest_that_have_the_share() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(400, 1)
    torch.manual_seed(0)
    assert set(generation._drawn(logits, Sampling(0.6)).tolist()) == {0, 1}
    assert set(generation._drawn(logits, Sampling(1.0)).tolist()) == {0, 1, 2, 3}


def test_the_beginning_of_a_loop_is_found_and_no_loop_where_none_is() -> None:
    assert loop_start([1, 2, 3] + [7, 8, 9, 10] * 10) == 7
    assert loop_start([5] * 40) == 1
    assert loop_start(list(range(60))) is None
    assert loop_start([7, 8, 9] * 3) is None  # too short to be sure


def test_a_row_that_says_the_same_over_and_over_is_cut(tiny: LanguageModel) -> None:
    with torch.no_grad():
        tiny.weights.lm_head.weight.zero_()  # all tokens are alike: the first is always taken
    rows = [Row(prompt, 400) for prompt in tiny.prompt_rows(["Who waits?"])]
    write_rows(tiny.weights, rows, tiny._stops(), Room(64, 4096), cut_loops=True)
    assert rows[0].looped
    assert len(rows[0].ids) < 40


@pytest.mark.parametrize("most_rows", [1, 64])
def test_answers_are_scored_as_in_rows_of_their_own(tiny: LanguageModel, most_rows: int) -> None:
    prompts = tiny.prompt_rows(PROMPTS)
    answers = [[7 + number] * (number % 3 + 1) for number in range(len(prompts))]
    found: dict[int, torch.Tensor] = {}
    score_rows(tiny.weights, prompts, answers, Room(most_rows, 4096), found.__setitem__)
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        with torch.no_grad():
            alone = tiny.weights(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        assert torch.allclose(found[number], alone, atol=1e-4)
