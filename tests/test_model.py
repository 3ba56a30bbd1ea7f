"""Loading a model, answering with it, and letting it make up prompts."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from blasphemer.command_line import load_settings
from blasphemer.errors import ModelError, TooLong
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, load_model, loading
from blasphemer.language_model.chat_format import prompt_ids
from blasphemer.language_model.weights import model_path, size_of
from blasphemer.records import Message, StudyItem, exchange
from blasphemer.study.material import _given
from blasphemer.study.requests import default_requests
from blasphemer.workspace import RunFolder
from tests.tiny import TEMPLATE

PROMPTS = ["Where does the heron stand?", "Who waits?", "What does the heron wait for, and where, and for how long?"]


def test_answers_in_a_batch_are_the_answers_one_by_one(tiny: LanguageModel) -> None:
    together = tiny.answer(PROMPTS)
    assert together == [tiny.answer([prompt])[0] for prompt in PROMPTS]
    assert any(together)


def test_an_answer_is_what_plain_greedy_decoding_gives(tiny: LanguageModel) -> None:
    ids = prompt_ids(tiny.tokenizer, [{"role": "user", "content": PROMPTS[0]}])
    for _ in range(tiny.max_response_length):
        with torch.no_grad():
            best = int(tiny.weights(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best == tiny.tokenizer.eos_token_id:
            break
        ids.append(best)
    start = len(prompt_ids(tiny.tokenizer, [{"role": "user", "content": PROMPTS[0]}]))
    assert tiny.answer(PROMPTS[:1])[0] == tiny.tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_a_prompt_that_fills_the_context_gets_an_empty_answer_not_a_crash(tiny: LanguageModel) -> None:
    assert tiny.answer(["heron " * 2000]) == [""]


def test_made_up_prompts_follow_from_the_seed_and_leave_the_random_state_alone(tiny: LanguageModel) -> None:
    before = torch.random.get_rng_state()
    first = tiny.sample_prompts(6, 32, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first == tiny.sample_prompts(6, 32, seed=1)


def test_the_demo_model_imagines_questions_it_can_answer() -> None:
    demo = load_model(load_settings(["demo"]))
    prompts = demo.sample_prompts(64, 256, seed=0)
    assert len(set(prompts)) >= 48
    assert sum(prompt.endswith("?") for prompt in prompts) >= 10
    answered = demo.answer_fully(prompts, "test", 128)
    assert sum(answer.ended for answer in answered) >= 0.8 * len(prompts)


def test_a_beginning_is_gone_on_from_and_stands_before_what_was_imagined() -> None:
    demo = load_model(load_settings(["demo"]))
    begun = ["Which town is the home of", "Where does"]
    prompts = demo.sample_prompts(64, 32, seed=0, beginnings=begun)
    assert len(prompts) >= 48
    for beginning in begun:
        asked = {prompt for prompt in prompts if prompt.startswith(f"{beginning} ")}
        assert len(asked) >= 18
        assert sum(prompt.endswith("?") for prompt in asked) >= 0.9 * len(asked)


def test_a_mistyped_folder_is_not_taken_for_a_hub_name() -> None:
    """Pitfall 24."""
    for name in ("./nowhere", "nowhere", "/no/such/model", "a/b/c"):
        with pytest.raises(ModelError, match="no such model folder"):
            model_path(name)
    assert model_path("owner/name") == "owner/name"
    Path("owner").mkdir()
    with pytest.raises(ModelError, match="no such model folder"):
        model_path("owner/name")


def test_remote_code_is_off_unless_asked() -> None:
    """Pitfall 24."""
    assert load_settings(["demo"]).trust_remote_code is False


def without(folder: Path, tmp_path: Path, *names: str) -> str:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name in names:
        (copy / name).unlink()
    return str(copy)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load_model(load_settings([str(tmp_path)]))


def test_a_model_without_tokenizer_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(tiny_folder, tmp_path, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(load_settings([folder]))


def test_a_model_without_chat_template_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(tiny_folder, tmp_path, "chat_template.jinja")
    with pytest.raises(ModelError, match="chat template"):
        load_model(load_settings([folder]))


def test_a_model_without_weights_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(tiny_folder, tmp_path, "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(load_settings([folder]))


def test_damaged_weights_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(tiny_folder, tmp_path)
    (Path(folder) / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(load_settings([folder]))


def test_a_device_that_is_not_there_is_named(tiny_folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match="device = cuda"):
        load_model(load_settings([str(tiny_folder), "--device", "cuda"]))


def test_weights_that_memory_has_no_room_for_are_refused_before_they_are_loaded(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = size_of(str(tiny_folder), torch.float32, in_4_bits=False, trust_remote_code=False)
    settings = load_settings([str(tiny_folder), "--dtypes", "float32,bfloat16"])
    model = load_model(settings)
    assert (model.dtype, size) == (torch.float32, sum(one.nbytes for one in model.weights.parameters()))
    assert size_of(str(tiny_folder), torch.float32, in_4_bits=True, trust_remote_code=False) < size
    monkeypatch.setattr(loading, "free_memory", lambda _: size - 1)
    assert load_model(settings).dtype == torch.bfloat16
    monkeypatch.setattr(loading, "free_memory", lambda _: size // 2 - 1)
    with pytest.raises(ModelError, match=r"weights take .* as bfloat16.*smaller model"):
        load_model(settings)


def test_the_end_of_turn_of_the_generation_config_stops_an_answer(tiny_folder: Path, tmp_path: Path) -> None:
    """Pitfall 14: a model may name several stop tokens, and not the tokenizer's."""
    folder = Path(without(tiny_folder, tmp_path))
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [5, 7]}))
    assert load_model(load_settings([str(folder)]))._stops() == {1, 5, 7}


def test_quantized_weights_are_refused_plainly(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="quantization"):
        load_model(load_settings([str(tiny_folder), "--quantization", "bnb_4bit"]))


def test_the_first_number_format_that_works_is_taken(tiny_folder: Path, tmp_path: Path) -> None:
    assert load_model(load_settings([str(tiny_folder), "--dtypes", "bfloat16,float32"])).dtype == torch.bfloat16
    overflowing = AutoModelForCausalLM.from_pretrained(tiny_folder)
    with torch.no_grad():
        overflowing.lm_head.weight.mul_(1e6)
    overflowing.save_pretrained(str(tmp_path))
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(str(tmp_path))
    assert load_model(load_settings([str(tmp_path), "--dtypes", "float16,float32"])).dtype == torch.float32
    with pytest.raises(ModelError, match="float16"):
        load_model(load_settings([str(tmp_path), "--dtypes", "float16"]))


def test_weights_may_be_spread_by_a_device_map(tiny_folder: Path, tiny: LanguageModel) -> None:
    spread = load_model(load_settings([str(tiny_folder), "--device-map", "auto", "--max-memory", '{"cpu": "1GB"}']))
    assert spread.answer(["Where is the heron?"]) == tiny.answer(["Where is the heron?"])


def test_a_reply_is_heard_piece_by_piece_and_remembers(tiny: LanguageModel) -> None:
    heard: list[str] = []
    conversation = [Message(role="user", content="Where is the heron?")]
    said = tiny.reply(conversation, heard.append)
    assert "".join(heard).strip() == said
    assert said == tiny.answer(["Where is the heron?"], longest=512)[0]
    full = [Message(role="user", content="heron " * 600)]
    with pytest.raises(TooLong, match="no longer fits"):
        tiny.reply(full, heard.append)


def test_a_system_turn_goes_before_the_request_where_the_template_has_none(tiny: LanguageModel, tmp_path: Path) -> None:
    turns = (Message(role="system", content="Be brief."), *exchange("Who?", "Ann."))
    item = StudyItem("a#1", "instruction", "documents", messages=turns)
    job = Job(load_settings([]), RunFolder(tmp_path), tiny, [], default_requests())
    assert [one.messages for one in _given(job, [item], [])] == [turns]
    other = replace(tiny)
    other.tokenizer = copy.deepcopy(tiny.tokenizer)
    other.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    )
    (given,) = _given(replace(job, model=other), [item], [])
    assert given.messages == exchange("Be brief.\n\nWho?", "Ann.")
