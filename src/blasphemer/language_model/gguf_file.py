"""A GGUF file -> the weights and tokenizer of the model in it, dequantised; what would be read wrongly is refused.

transformers reads some of what stands in such a file and passes over the rest in silence. So everything in it that says
how the model computes is accounted for here, before anything long begins.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from blasphemer.errors import ModelError, first_line

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFReader

INSTEAD = "give the folder or the hub name of the original model instead."
PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$", re.IGNORECASE)

# Families that transformers maps onto its own whole, with what each layer has besides what all have.
FAMILIES = {
    "llama": (),  # Mistral's too
    "qwen2": ("attn_q.bias", "attn_k.bias", "attn_v.bias"),
    "qwen3": ("attn_q_norm.weight", "attn_k_norm.weight"),
}
OF_EACH_LAYER = (
    "attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight", "ffn_norm.weight",
    "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight",
)  # fmt: skip
EMBEDDING, ROPE_FACTORS = "token_embd.weight", "rope_freqs.weight"
NEEDED = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
ROPE_BASE, USUAL_ROPE_BASE = "rope.freq_base", 10_000.0  # llama.cpp's default
HEAD_SIZES = ("attention.key_length", "attention.value_length", "rope.dimension_count")
UNDERSTOOD = {*NEEDED, ROPE_BASE, *HEAD_SIZES, "vocab_size"}

LIKE_LLAMA_3 = ("llama-bpe", "llama3", "llama-v3", "tekken")  # a whole token goes before merges; a BOS first
WAYS_TO_SPLIT = (*LIKE_LLAMA_3, "gpt-2", "qwen2", "smollm")
CONTROL = 3  # the type of a control token
LONG = 1000  # entries of a list
# A chat model may end its turn with another token than the one that the file calls its end; llama.cpp stops at these.
ENDS = ("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>")


@dataclass(frozen=True)
class GGUFFile:
    """What a file says about its model. `values` are the entries of its metadata, less its tokenizer's long lists."""

    path: str
    family: str
    values: Mapping[str, Any]
    tensors: Mapping[str, GGMLQuantizationType]
    vocabulary: int  # rows of the embedding
    tokens: int
    control: dict[str, int]  # control tokens and their ids
    eos: str
    rope_factors: tuple[float, ...]  # by which each frequency is slowed, where they are

    def says(self, name: str, otherwise: Any = None) -> Any:
        """A value that belongs to the family."""
        return self.values.get(f"{self.family}.{name}", otherwise)

    @property
    def head_size(self) -> int:
        width: int = self.says("embedding_length") // self.says("attention.head_count")
        return int(self.says("attention.key_length", width))

    @property
    def quantisation(self) -> str:
        """The format of most of its tensors that are no norms."""
        return Counter(kind.name for name, kind in self.tensors.items() if "norm" not in name).most_common(1)[0][0]


def is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def require_gguf(name: str) -> None:
    """Refuse what is plainly no GGUF file with a whole model."""
    if not Path(name).is_file():
        raise ModelError(f"{name}: no such file; a GGUF file on the Hugging Face hub must be downloaded first.")
    part = PART.search(name)
    if part and int(part[1]) > 1:
        raise ModelError(f"{name}: is one of {int(part[1])} parts of a split file; join them with llama-gguf-split.")
    with Path(name).open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{name}: is not a GGUF file (it does not begin with GGUF).")


def read_gguf(path: str) -> GGUFFile:
    """What a file says about its model. Raises ModelError for a model that would not be read exactly."""
    return _read(path, Path(path).stat().st_mtime_ns)


@cache
def _read(path: str, _changed: int) -> GGUFFile:
    from gguf import GGUFReader

    try:
        found = _described(path, GGUFReader(path))
        why = _obstacle(found)
    except (ValueError, LookupError, TypeError, ArithmeticError, OSError) as error:
        raise ModelError(f"{path}: is damaged or cut short, and cannot be read ({first_line(error)}).") from error
    if why:
        raise ModelError(f"{path}: {why}; {INSTEAD}")
    return found


def _described(path: str, reader: GGUFReader) -> GGUFFile:
    fields, tensors = reader.fields, {tensor.name: tensor for tensor in reader.tensors}
    values = {name: _exact(field.contents()) for name, field in fields.items() if len(field.data) < LONG}
    tokens, kinds = (fields.get(f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
    eos = values.get("tokenizer.ggml.eos_token_id")
    return GGUFFile(
        path=path,
        family=values.get("general.architecture", "unknown"),
        values=values,
        tensors={name: tensor.tensor_type for name, tensor in tensors.items()},
        vocabulary=int(tensors[EMBEDDING].shape[-1]) if EMBEDDING in tensors else 0,
        tokens=len(tokens.data) if tokens else 0,
        control={tokens.contents(i): i for i, kind in enumerate(kinds.contents()) if kind == CONTROL}
        if tokens and kinds
        else {},
        eos=tokens.contents(eos) if tokens and eos is not None else "",
        rope_factors=tuple(tensors[ROPE_FACTORS].data.tolist()) if ROPE_FACTORS in tensors else (),
    )


def _exact(value: Any) -> Any:
    """Of a number of 32 bits, what was written before it was rounded: 1e-05, and not 9.999999747378752e-06."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _obstacle(found: GGUFFile) -> str:
    """Why the model would not be read exactly, or nothing."""
    if found.family not in FAMILIES:
        return f"a model of the {found.family} family is not read exactly from a GGUF file"
    return _odd_metadata(found) or _odd_tensors(found) or _odd_heads(found) or _odd_tokens(found) or _odd_rope(found)


def _odd_metadata(found: GGUFFile) -> str:
    said = {name.removeprefix(f"{found.family}.") for name in found.values if name.startswith(f"{found.family}.")}
    if odd := sorted(name for name in said if name not in UNDERSTOOD or isinstance(found.says(name), list)):
        return f"this {found.family} model has a setting ({odd[0]}) that is not read from a GGUF file"
    if lacking := sorted(NEEDED.keys() - said):
        return f"it does not say its {found.family}.{lacking[0]}"
    return "it is a part of a split file" if found.values.get("split.count", 0) > 1 else ""


def _odd_tensors(found: GGUFFile) -> str:
    layers, names = range(found.says("block_count")), (*OF_EACH_LAYER, *FAMILIES[found.family])
    wanted = {EMBEDDING, "output_norm.weight", *(f"blk.{layer}.{name}" for layer in layers for name in names)}
    if odd := sorted(found.tensors.keys() - wanted - {"output.weight", ROPE_FACTORS}):
        return f"this {found.family} model has weights ({odd[0]}) that are not read from a GGUF file"
    if lacking := sorted(wanted - found.tensors.keys()):
        return f"it lacks weights of a {found.family} model ({lacking[0]})"
    unknown = sorted(kind.name for kind in set(found.tensors.values()) if not _is_known(kind))
    return f"its weights are quantised as {unknown[0]}, which cannot be dequantised" if unknown else ""


def _is_known(kind: GGMLQuantizationType) -> bool:
    from gguf import GGML_QUANT_SIZES, dequantize

    try:
        dequantize(np.zeros(GGML_QUANT_SIZES[kind][1], np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _odd_heads(found: GGUFFile) -> str:
    sizes = {name: size for name in HEAD_SIZES if (size := found.says(name, found.head_size)) != found.head_size}
    return "".join(f"its {name} is {size}, and not its heads' {found.head_size}" for name, size in [*sizes.items()][:1])


def _odd_tokens(found: GGUFFile) -> str:
    kind, split = (found.values.get(f"tokenizer.ggml.{name}", "none") for name in ("model", "pre"))
    if not found.control:
        return "it does not say which tokens are control tokens"
    if kind == "llama":  # SentencePiece
        has_space = found.values.get("tokenizer.ggml.add_space_prefix", True)
        return "" if has_space else "its tokenizer puts no space first, which is not read from a GGUF file"
    if kind != "gpt2":
        return f"its tokenizer is of a kind ({kind}) that is not read from a GGUF file"
    return "" if split in WAYS_TO_SPLIT else f"its tokenizer splits words in a way ({split}) that is not known exactly"


def _odd_rope(found: GGUFFile) -> str:
    """Are the factors, where there are some, those of Llama 3.1 and later? The file does not say how they were made."""
    if not found.rope_factors:
        return ""
    plain = _rope_base(found) ** (-torch.arange(0, found.head_size, 2) / found.head_size)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](_config(found), torch.device("cpu"))
    factors = torch.tensor(found.rope_factors)
    if factors.shape == plain.shape and torch.allclose(plain / factors, scaled, rtol=1e-3, atol=0):
        return ""
    return "its positions are stretched in a way that is not read from a GGUF file"


def _rope_base(found: GGUFFile) -> float:
    return float(found.says(ROPE_BASE, USUAL_ROPE_BASE))


def gguf_config(path: str) -> PreTrainedConfig:
    """The config of the model in a file."""
    return _config(read_gguf(path))


def _config(found: GGUFFile) -> PreTrainedConfig:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": _rope_base(found)}
    if found.rope_factors:  # slow frequencies by the factor, fast ones not: what Llama 3 says in config.json
        rope |= {
            "rope_type": "llama3",
            "factor": max(found.rope_factors),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    ids = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return AutoConfig.for_model(
        found.family,
        **{ours: found.says(name) for name, ours in NEEDED.items()},
        **{name: found.values.get(f"tokenizer.ggml.{theirs}_token_id") for name, theirs in ids.items()},
        head_dim=found.head_size,
        vocab_size=found.vocabulary,
        tie_word_embeddings="output.weight" not in found.tensors,
        rope_parameters=rope,
    )


def load_gguf_weights(path: str, **loading: Any) -> PreTrainedModel:
    """The dequantised weights, with nothing left on them that says that they were quantised."""
    found = read_gguf(path)
    with TemporaryDirectory() as empty, redirect_stderr(StringIO()):  # a bar that cannot be turned off
        weights: Any = AutoModelForCausalLM.from_pretrained(
            empty, gguf_file=str(Path(path).absolute()), config=_config(found), **loading
        )
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        delattr(weights, name)
    del weights.config.quantization_config
    # not the empty folder's; and PEFT looks a name up on the hub
    weights.name_or_path = weights.config.name_or_path = ""
    weights.generation_config.eos_token_id = _stops(found)
    return weights


def _stops(found: GGUFFile) -> list[int]:
    named = (found.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    return sorted({*(i for i in named if i is not None), *(found.control[end] for end in ENDS if end in found.control)})


def load_gguf_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer as the file has it; other files that lie beside it count for nothing."""
    found = read_gguf(path)
    split, kind = (found.values.get(f"tokenizer.ggml.{name}") for name in ("pre", "model"))
    puts_bos = found.values.get("tokenizer.ggml.add_bos_token", kind == "llama" or split in LIKE_LLAMA_3)
    with TemporaryDirectory() as empty:
        read = PreTrainedTokenizerFast.from_pretrained(empty, gguf_file=str(Path(path).absolute()))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_finished(read.backend_tokenizer, found.tokens, str(split) if kind == "gpt2" else ""),
        chat_template=read.chat_template,
        extra_special_tokens=[*found.control],
        add_bos_token=bool(puts_bos and read.bos_token),
        **read.special_tokens_map,
    )
    _require_tokens(found, tokenizer)
    return tokenizer


def _finished(read: Tokenizer, tokens: int, split: str) -> Tokenizer:
    """What transformers makes of a tokenizer, less the tokens it adds of its own, with what it leaves out."""
    made = json.loads(read.to_str())
    made["added_tokens"] = [token for token in made["added_tokens"] if token["id"] < tokens]
    if split in LIKE_LLAMA_3:
        made["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(made))
    if split == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if split == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return tokenizer


def _require_tokens(found: GGUFFile, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that has more tokens than the model, or that takes a control token apart."""
    wanted = found.control | ({found.eos: found.values["tokenizer.ggml.eos_token_id"]} if found.eos else {})
    ids = tokenizer([*wanted], add_special_tokens=False)["input_ids"] if wanted else []
    apart = [token for token, own in zip(wanted, ids, strict=True) if own != [wanted[token]]]
    if apart or not found.tokens <= len(tokenizer) <= found.vocabulary:
        what = f"its control token {apart[0]} is" if apart else "its tokens are"
        raise ModelError(f"{found.path}: {what} not read exactly from a GGUF file; {INSTEAD}")
