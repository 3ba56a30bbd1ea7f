"""A GGUF file is the model that it was made from, or it is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from blasphemer.command_line import load_settings
from blasphemer.errors import ModelError
from blasphemer.export import artifacts as export
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.language_model.chat_format import encode, prompt_ids
from blasphemer.language_model.weights import model_path
from blasphemer.records import StudyItem, exchange
from blasphemer.study.requests import default_requests, read_requests
from blasphemer.workspace import RunFolder
from tests.tiny import TEMPLATE, make_tokenizer

ROWS = [[0, 10, 20, 30, 40], [0, 7, 8, 9]]
TEXTS = ["The heron waits.", "Grüße aus Köln: 日本語 🙂", "It  was 2024,  or 1999.", "a\n\n\tb  c <|end|> d"]
SMALL = {
    "vocab_size": len(make_tokenizer()), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.2,
}  # fmt: skip
SCALED = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3,
}  # fmt: skip

Change = Callable[[gguf.GGUFWriter], object]


def write_gguf(
    model: PreTrainedModel,
    file: Path,
    family: str = "",
    split: str = "gpt-2",
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    template: str = TEMPLATE,
    besides: Change = lambda _: None,
) -> Path:
    """Write a model with the tiny tokenizer as llama.cpp's converter does."""
    config = model.config
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer = gguf.GGUFWriter(file, family or config.model_type)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    if size != config.hidden_size // heads:
        writer.add_key_length(size)
        writer.add_value_length(size)
    write_tokenizer(writer, split)
    if template:
        writer.add_chat_template(template)
    names = gguf.get_tensor_name_map(ARCHITECTURES[config.model_type], config.num_hidden_layers)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weights = value.float().numpy()
        if config.model_type == "llama" and ".q_proj" in name:
            weights = permuted(weights, heads)
        if config.model_type == "llama" and ".k_proj" in name:
            weights = permuted(weights, groups)
        where = names.get_name(name, (".weight", ".bias"))
        if weights.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(where, np.ascontiguousarray(weights))
        else:
            writer.add_tensor(where, gguf.quantize(weights, kind), raw_dtype=kind)
    besides(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp turns pairs of neighbours where transformers turns halves."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def write_tokenizer(writer: gguf.GGUFWriter, split: str) -> None:
    tokenizer = make_tokenizer()
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["id"] for token in made["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types([3 if i in special else 1 for i in range(len(tokenizer))])
    writer.add_token_merges([" ".join(merge) for merge in made["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)


def random_model(kind: Any, config: Any) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
    with torch.no_grad():  # biases and norms begin as zeros and ones, which hide what is mixed up
        for name, value in model.named_parameters():
            if value.dim() == 1:
                value.add_(0.1 * torch.arange(value.numel()).sin() * (2 if "bias" in name else 1))
    return model.eval()


@pytest.fixture(scope="session")
def original(tiny_folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_folder)


@pytest.fixture(scope="session")
def gguf_file(original: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a GGUF file, among files that are not its own."""
    folder = tmp_path_factory.mktemp("gguf")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (folder / name).write_text("{}")
    (folder / "chat_template.jinja").write_text("another")
    return write_gguf(original, folder / "tiny.gguf")


@pytest.fixture
def loaded(gguf_file: Path) -> LanguageModel:
    return load(gguf_file)


def load(file: Path) -> LanguageModel:
    return load_model(load_settings([str(file)]))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor(ROWS[:1])).logits


def furthest(one: Any, other: Any) -> float:
    return float((logits(one) - logits(other)).abs().max())


def test_its_logits_are_those_of_the_model_it_was_made_from(loaded: LanguageModel, original: PreTrainedModel) -> None:
    assert furthest(loaded.weights, original) < 1e-3
    assert loaded.dtype == torch.float32
    assert furthest(loaded.load(), original) < 1e-3  # and again when it is loaded anew


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (LlamaForCausalLM, LlamaConfig(**SMALL, tie_word_embeddings=True)),
        (LlamaForCausalLM, LlamaConfig(**SMALL, head_dim=16)),
        (Qwen2ForCausalLM, Qwen2Config(**SMALL, tie_word_embeddings=True)),
        (Qwen3ForCausalLM, Qwen3Config(**SMALL, head_dim=16)),
    ],
    ids=["llama, tied", "llama, wide heads", "qwen2", "qwen3, not 128 wide"],
)
def test_every_family_that_is_let_in_is_read_exactly(kind: Any, config: Any, tmp_path: Path) -> None:
    model = random_model(kind, config)
    read = load(write_gguf(model, tmp_path / "model.gguf")).weights
    assert type(read) is kind
    assert furthest(read, model) < 1e-3


def rope_factors(writer: gguf.GGUFWriter) -> None:
    """As llama.cpp's converter works them out for Llama 3.1 and later."""
    found = []
    for i in range(0, 8, 2):
        wavelength = 2 * np.pi * SCALED["rope_theta"] ** (i / 8)
        smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0)
        between = 1 / ((1 - smooth) / SCALED["factor"] + smooth)
        found.append(1.0 if wavelength < 8192 / 4 else SCALED["factor"] if wavelength > 8192 else between)
    writer.add_tensor("rope_freqs.weight", np.array(found, np.float32))


def test_the_stretched_positions_of_llama_3_are_found_again(tmp_path: Path) -> None:
    """The file holds only what they come to, which transformers passes over."""
    model = random_model(LlamaForCausalLM, LlamaConfig(**SMALL, rope_parameters=SCALED))
    read = load(write_gguf(model, tmp_path / "model.gguf", besides=rope_factors)).weights
    assert read.config.rope_parameters == SCALED
    plain = random_model(LlamaForCausalLM, LlamaConfig(**SMALL, rope_parameters={"rope_theta": SCALED["rope_theta"]}))
    far = 100 * torch.arange(5)[None]
    with torch.no_grad():
        wanted, found, other = (
            one(input_ids=torch.tensor(ROWS[:1]), position_ids=far).logits for one in (model, read, plain)
        )
    assert torch.allclose(found, wanted, atol=1e-3)
    assert not torch.allclose(other, wanted, atol=1e-3)


def test_quantised_weights_are_dequantised_and_that_is_said_in_one_line(
    original: PreTrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_gguf(original, tmp_path / "small.gguf", kind=gguf.GGMLQuantizationType.Q8_0)
    capsys.readouterr()
    read = load(file).weights
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [f"{file}: llama in Q8_0, dequantised to float32 by transformers and gguf."]
    assert 1e-3 < furthest(read, original) < 0.5
    assert {value.dtype for value in read.parameters()} == {torch.float32}


def test_another_number_format_may_be_asked_for(gguf_file: Path, tiny_folder: Path) -> None:
    model, other = (load_model(load_settings([str(path), "--dtypes", "bfloat16"])) for path in (gguf_file, tiny_folder))
    assert model.dtype == torch.bfloat16
    assert furthest(model.weights, other.weights) == 0


def test_its_tokenizer_is_that_of_the_model_it_was_made_from(loaded: LanguageModel, tiny: LanguageModel) -> None:
    assert loaded.tokenizer.is_fast
    for text in TEXTS:
        assert loaded.tokenizer(text)["input_ids"] == tiny.tokenizer(text)["input_ids"]
        chat = [{"role": "user", "content": text}]
        assert prompt_ids(loaded.tokenizer, chat) == prompt_ids(tiny.tokenizer, chat)
    item = StudyItem("a#1", "instruction", "documents", messages=exchange("Who?", "Ann."))
    assert encode([item], loaded.tokenizer, 512) == encode([item], tiny.tokenizer, 512)
    assert set(loaded.tokenizer.all_special_ids) == set(tiny.tokenizer.all_special_ids)
    assert loaded.answer(TEXTS) == tiny.answer(TEXTS)


def test_the_end_of_turn_is_the_files(loaded: LanguageModel, original: PreTrainedModel, tmp_path: Path) -> None:
    assert loaded.tokenizer.eos_token == "<|end|>"
    assert loaded._stops() == {loaded.tokenizer.eos_token_id} == {1}
    two = load(write_gguf(original, tmp_path / "two.gguf", besides=lambda writer: writer.add_eot_token_id(5)))
    assert two._stops() == {1, 5}


def test_numbers_are_split_as_smollm_splits_them(original: PreTrainedModel, tmp_path: Path) -> None:
    """transformers would split as GPT-2, which keeps 2024 together and parts the spaces before it."""
    read = load(write_gguf(original, tmp_path / "model.gguf", split="smollm")).tokenizer
    pieces = read.backend_tokenizer.pre_tokenizer.pre_tokenize_str("In  2024 it")
    assert [piece for piece, _ in pieces] == ["In", "ĠĠ", "2", "0", "2", "4", "Ġit"]


def test_a_text_begins_as_the_file_says(original: PreTrainedModel, tmp_path: Path) -> None:
    llama = load(write_gguf(original, tmp_path / "llama.gguf", split="llama-bpe")).tokenizer
    assert llama("Hi")["input_ids"][0] == llama.bos_token_id  # where it says nothing
    assert llama.backend_tokenizer.model.ignore_merges
    without = write_gguf(
        original, tmp_path / "no.gguf", split="llama-bpe", besides=lambda writer: writer.add_add_bos_token(False)
    )
    assert load(without).tokenizer("Hi")["input_ids"][0] != llama.bos_token_id


def test_it_is_told_from_others_by_its_hash(loaded: LanguageModel, gguf_file: Path) -> None:
    assert loaded.origin() == {"tiny.gguf": hashlib.sha256(gguf_file.read_bytes()).hexdigest()}


def test_requests_are_looked_for_in_no_file(gguf_file: Path) -> None:
    assert read_requests(None, Path(model_path(str(gguf_file)))) == default_requests()


def test_a_file_of_the_same_name_elsewhere_counts_for_nothing(gguf_file: Path, original: PreTrainedModel) -> None:
    Path(gguf_file.name).write_bytes(b"GGUF")  # in the working folder
    assert furthest(load(gguf_file).weights, original) < 1e-3


def test_adapter_and_merged_are_written_as_of_any_other_model(
    loaded: LanguageModel, gguf_file: Path, original: PreTrainedModel, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    trained = get_peft_model(loaded.weights, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, value in trained.named_parameters():
            if "lora_B" in name:
                value.copy_(0.1 * torch.arange(value.numel()).sin().reshape(value.shape))
    wanted = logits(trained.eval())
    export.save_adapter(trained, loaded, ROWS, run)
    export.save_merged(loaded, ROWS, run)

    merged = AutoModelForCausalLM.from_pretrained(run.path / "merged")
    assert torch.allclose(logits(merged), wanted, atol=1e-4)
    assert merged.generation_config.eos_token_id in (1, [1])
    config = json.loads((run.path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["architectures"] == ["LlamaForCausalLM"]
    stacked = PeftModel.from_pretrained(copy.deepcopy(original), str(run.path / "adapter"))
    assert torch.allclose(logits(stacked), wanted, atol=1e-4)
    assert json.loads((run.path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        gguf_file
    )
    for name in ("adapter", "merged"):
        tokenizer = AutoTokenizer.from_pretrained(run.path / name)
        assert tokenizer.chat_template == TEMPLATE
        assert tokenizer(TEXTS)["input_ids"] == loaded.tokenizer(TEXTS)["input_ids"]
        assert tokenizer.eos_token == "<|end|>"
        assert set(tokenizer.all_special_ids) == set(loaded.tokenizer.all_special_ids)
        assert str(gguf_file.parent) not in (run.path / name / "tokenizer_config.json").read_text()
    assert load(run.path / "merged").answer(TEXTS) == export.load_result(run, loaded, "merged").answer(TEXTS)


# --- what is refused -------------------------------------------------------------------------------------------------


def refusal(file: Path | str) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(ModelError) as caught:
        load_model(load_settings([str(file)]))
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    sentence = said.removeprefix(f"{file}: ")
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert ". " not in sentence
    return sentence


def test_what_is_no_gguf_file_is_refused(gguf_file: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.gguf")
    assert "downloaded first" in refusal("owner/name.gguf")
    for content in (b"", b"PK\x03\x04 and so on"):
        (tmp_path / "other.gguf").write_bytes(content)
        assert "not a GGUF file" in refusal(tmp_path / "other.gguf")
    whole = gguf_file.read_bytes()
    for kept in (10, 1000, len(whole) - 1000):
        (tmp_path / "cut.gguf").write_bytes(whole[:kept])
        assert "damaged or cut short" in refusal(tmp_path / "cut.gguf")
    part = tmp_path / "big-00002-of-00003.gguf"
    shutil.copyfile(gguf_file, part)
    assert "one of 3 parts" in refusal(part)
    single = tmp_path / "big-00001-of-00001.gguf"
    shutil.copyfile(gguf_file, single)
    assert model_path(str(single)) == str(single)


def unknown_kind(writer: gguf.GGUFWriter) -> None:
    writer.tensors[0].pop("output.weight")
    blocks = np.zeros((SMALL["vocab_size"], 40), np.uint8)
    writer.add_tensor("output.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_1)


def bias(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("blk.0.attn_q.bias", np.zeros(32, np.float32))


def other_factors(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("rope_freqs.weight", np.array([1.0, 2.0, 3.0, 4.0], np.float32))


@pytest.mark.parametrize(
    ("besides", "why"),
    [
        (lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.YARN), "rope.scaling.type"),
        (lambda writer: writer.add_sliding_window(128), "attention.sliding_window"),
        (lambda writer: writer.add_expert_count(8), "expert_count"),
        (lambda writer: writer.add_rope_dimension_sections([4, 4, 0, 0]), "rope.dimension_sections"),
        (
            lambda writer: writer.kv_data[0].pop("llama.attention.head_count") and writer.add_head_count([4, 4, 2]),
            "head_count",
        ),
        (lambda writer: writer.add_rope_dimension_count(4), "rope.dimension_count is 4, and not its heads' 8"),
        (lambda writer: writer.add_uint16("split.count", 3), "part of a split file"),
        (lambda writer: writer.kv_data[0].pop("llama.attention.head_count_kv"), "does not say"),
        (lambda writer: writer.tensors[0].pop("blk.1.ffn_up.weight"), "blk.1.ffn_up.weight"),
        (bias, "blk.0.attn_q.bias"),
        (unknown_kind, "Q8_1"),
        (other_factors, "positions are stretched"),
        (lambda writer: writer.kv_data[0].pop("tokenizer.ggml.token_type"), "control token"),
    ],
    ids=str,
)
def test_what_would_be_read_wrongly_is_refused(
    besides: Change, why: str, original: PreTrainedModel, tmp_path: Path
) -> None:
    said = refusal(write_gguf(original, tmp_path / "model.gguf", besides=besides))
    assert why in said
    assert "the original model" in said


def test_other_families_and_tokenizers_are_refused_by_name(original: PreTrainedModel, tmp_path: Path) -> None:
    assert "gemma3 family" in refusal(write_gguf(original, tmp_path / "model.gguf", family="gemma3"))
    assert "deepseek-llm" in refusal(write_gguf(original, tmp_path / "split.gguf", split="deepseek-llm"))


def test_a_file_without_a_chat_template_is_refused(original: PreTrainedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no chat template"):
        load(write_gguf(original, tmp_path / "model.gguf", template=""))
