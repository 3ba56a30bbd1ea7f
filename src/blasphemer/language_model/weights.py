"""A model's name -> its weights and tokenizer, from a folder, a GGUF file or the hub, on a device in a number format it
can bear."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from blasphemer.config import Settings
from blasphemer.errors import ModelError
from blasphemer.language_model.device import choose_device, choose_dtype
from blasphemer.language_model.gguf_file import is_gguf, load_gguf_tokenizer, load_gguf_weights, require_gguf

DEMO = "demo"
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


def load_in_some_dtype(path: str, settings: Settings) -> tuple[dict[str, Any], PreTrainedModel]:
    """The weights in the first of `dtypes` in which the model loads and its logits are numbers, and how to load so."""
    device, reason = choose_device(settings.device), ""
    spread = settings.device_map or ("auto" if settings.max_memory else None)
    place: dict[str, Any] = (
        {"device_map": spread, "max_memory": _by_device(settings.max_memory)} if spread else {"device": device}
    )
    for wanted in settings.dtypes:
        loading = {"dtype": choose_dtype(wanted, device), "trust_remote_code": settings.trust_remote_code, **place}
        try:
            weights = load_weights(path, **loading)
            with torch.no_grad():
                logits = weights(input_ids=torch.zeros(1, 1, dtype=torch.long, device=weights.device)).logits
        except RuntimeError as error:  # also of CUDA
            reason = _first_line(error)
            continue
        if logits.isfinite().all():
            return loading, weights
        reason = "its logits are not numbers"
    raise ModelError(f"{settings.model}: cannot be used as {', '.join(settings.dtypes)}: {reason}.")


def _by_device(most: dict[str, str] | None) -> dict[int | str, str] | None:
    """Accelerate knows GPUs by number."""
    return {int(name) if name.isdigit() else name: size for name, size in most.items()} if most else None


def load_weights(path: str, device: torch.device | None = None, **loading: Any) -> PreTrainedModel:
    """The weights in a folder, in a GGUF file or on the hub; `loading` is what from_pretrained takes."""
    load = load_gguf_weights if is_gguf(path) else AutoModelForCausalLM.from_pretrained
    try:
        weights: Any = load(path, **loading)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be loaded: {_first_line(error)}") from error
    return weights.to(device) if device else weights


def load_tokenizer(path: str, settings: Settings) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = (
            load_gguf_tokenizer(path)
            if is_gguf(path)
            else AutoTokenizer.from_pretrained(path, trust_remote_code=settings.trust_remote_code)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{settings.model}: its tokenizer cannot be loaded: {_first_line(error)}") from error
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


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
