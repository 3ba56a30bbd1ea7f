"""A model's name -> its weights and tokenizer, from a folder, a GGUF file or the hub; and what they will weigh."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from blasphemer.config import Settings
from blasphemer.errors import ModelError, first_line
from blasphemer.language_model.gguf_file import (
    gguf_config,
    is_gguf,
    load_gguf_tokenizer,
    load_gguf_weights,
    require_gguf,
)

DEMO = "demo"
BYTES_IN_4_BITS = 0.52  # a number of NF4, with its share of scales that are quantised themselves
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def model_path(name: str) -> str:
    """The folder, GGUF file or hub name that MODEL means. A path that is not there is never taken for a hub name."""
    if name == DEMO:
        return str(files("blasphemer") / "demo_model")
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"{name}: holds no model (no config.json).")
        return name
    if is_gguf(name):
        require_gguf(name)
        return name
    is_mistyped = Path(name.partition("/")[0]).is_dir()  # runs/merged, where there is a folder runs
    if Path(name).exists() or is_mistyped or not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name}: no such model folder. A model on the Hugging Face hub is written owner/name.")
    return name


def load_weights(path: str, device: torch.device | None = None, **loading: Any) -> PreTrainedModel:
    """The weights in a folder, in a GGUF file or on the hub; `loading` is what from_pretrained takes."""
    load = load_gguf_weights if is_gguf(path) else AutoModelForCausalLM.from_pretrained
    try:
        weights: Any = load(path, **loading)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be loaded: {first_line(error)}") from error
    return weights.to(device) if device else weights


def size_of(path: str, dtype: torch.dtype, in_4_bits: bool, trust_remote_code: bool) -> int:
    """Bytes that the weights will take, by the model's config; 0 where that does not tell."""
    try:
        config = gguf_config(path) if is_gguf(path) else AutoConfig.from_pretrained(path)
        with torch.device("meta"):
            weights: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except ModelError:
        raise
    except Exception:  # whatever a model's own code raises; what is wrong will be seen in loading
        return 0
    if getattr(config, "quantization_config", None):
        return 0
    head = weights.get_output_embeddings()
    linear = [one for one in weights.modules() if isinstance(one, torch.nn.Linear) and one is not head]
    packed = sum(one.weight.numel() for one in linear) if in_4_bits else 0
    return int(packed * BYTES_IN_4_BITS + (weights.num_parameters() - packed) * dtype.itemsize)


def load_tokenizer(path: str, settings: Settings) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = (
            load_gguf_tokenizer(path)
            if is_gguf(path)
            else AutoTokenizer.from_pretrained(path, trust_remote_code=settings.trust_remote_code)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{settings.model}: its tokenizer cannot be loaded: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"{settings.model}: has no fast tokenizer (tokenizer.json), which is needed for exact positions."
        )
    if tokenizer.chat_template is None:
        raise ModelError(
            f"{settings.model}: its tokenizer has no chat template; take the instruct version of the model."
        )
    if tokenizer.eos_token is None:
        raise ModelError(f"{settings.model}: its tokenizer has no end-of-sequence token.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # only ever masked; tokens are never added
    return tokenizer
