"""Settings -> a model at work: its weights in a number format that the device can bear and has room for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import ModelError, first_line
from blasphemer.language_model.device import choose_device, choose_dtype, free_memory, in_words, is_quick_in_bfloat16
from blasphemer.language_model.gguf_file import is_gguf, read_gguf
from blasphemer.language_model.model import SMALL_MODEL, LanguageModel
from blasphemer.language_model.weights import load_tokenizer, load_weights, model_path, size_of

SMALL_MODEL_BATCH = 512
IN_4_BITS = "quantization = bnb_4bit"


def load_model(settings: Settings) -> LanguageModel:
    """The model that the settings name. Raises ModelError saying what is missing and what to do."""
    path, device = model_path(settings.model), choose_device(settings.device)
    if settings.quantization != "none":
        _require_quantising(path, device)
    tokenizer = load_tokenizer(path, settings)
    with console.progress(f"loading {settings.model}", 1) as advance:
        loading, weights = _loaded(path, device, settings)
        advance()
    if is_gguf(path):
        found, dtype = read_gguf(path), str(weights.dtype).removeprefix("torch.")
        console.note(
            f"{path}: {found.family} in {found.quantisation}, dequantised to {dtype} by transformers and gguf."
        )
    return LanguageModel(
        name=settings.model,
        weights=weights,
        tokenizer=tokenizer,
        device=weights.device,
        dtype=weights.dtype,
        batch_size=answered_at_once(settings, weights.num_parameters()),
        max_response_length=settings.max_response_length,
        loading=loading,
    )


def load_writer(name: str, settings: Settings) -> LanguageModel:
    """A second model, to write and not to be trained: in 16 bits where that is quick."""
    dtype = "bfloat16" if is_quick_in_bfloat16(choose_device(settings.device)) else "auto"
    return load_model(settings.model_copy(update={"model": name, "dtypes": (dtype,)}))


def answered_at_once(settings: Settings, parameters: int) -> int:
    """Prompts in a batch."""
    return settings.chosen("batch_size") or (SMALL_MODEL_BATCH if parameters <= SMALL_MODEL else settings.batch_size)


def _require_quantising(path: str, device: torch.device) -> None:
    if is_gguf(path):
        raise ModelError(f"{IN_4_BITS}: not for a GGUF file; give the folder or the hub name of the original model.")
    if device.type != "cuda":
        raise ModelError(
            f"{IN_4_BITS}: needs a CUDA GPU. Elsewhere 4-bit weights would be unpacked for every product, which is "
            "slower than what they save is worth. Give --quantization none."
        )
    if not find_spec("bitsandbytes"):
        raise ModelError(f"{IN_4_BITS}: needs bitsandbytes; pip install bitsandbytes.")


def _loaded(path: str, device: torch.device, settings: Settings) -> tuple[dict[str, Any], PreTrainedModel]:
    """The weights in the first of `dtypes` for which there is room, in which the model loads and its logits are
    numbers; and how to load so."""
    reason = ""
    for wanted in settings.dtypes:
        dtype = choose_dtype(wanted, device)
        loading = {"dtype": dtype, "trust_remote_code": settings.trust_remote_code, **_place(device, dtype, settings)}
        if reason := _want_of_room(path, device, dtype, settings):
            continue
        try:
            weights = load_weights(path, **loading)
            with torch.no_grad():
                logits = weights(input_ids=torch.zeros(1, 1, dtype=torch.long, device=weights.device)).logits
        except (RuntimeError, MemoryError) as error:  # also of CUDA
            reason = first_line(error)
            continue
        if logits.isfinite().all():
            return loading, weights
        reason = "its logits are not numbers"
    raise ModelError(f"{settings.model}: cannot be used as {', '.join(settings.dtypes)}: {reason}.")


def _place(device: torch.device, dtype: torch.dtype, settings: Settings) -> dict[str, Any]:
    """Where weights go and how they are kept there, as load_weights takes it."""
    spread = settings.device_map or ("auto" if settings.max_memory else None)
    if settings.quantization == "none" and not spread:
        return {"device": device}
    whole = {"": device.index or 0 if device.type == "cuda" else device}  # accelerate compares GPUs by number
    place: dict[str, Any] = {"device_map": spread or whole, "max_memory": _by_device(settings.max_memory)}
    if settings.quantization != "none":
        place["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    return place


def _by_device(most: Mapping[str, str] | None) -> dict[int | str, str] | None:
    """Accelerate knows GPUs by number."""
    return {int(name) if name.isdigit() else name: size for name, size in most.items()} if most else None


def _want_of_room(path: str, device: torch.device, dtype: torch.dtype, settings: Settings) -> str:
    """Why the weights have no place in memory, or nothing."""
    if settings.device_map or settings.max_memory:
        return ""
    size, free = size_of(path, dtype, settings.quantization != "none", settings.trust_remote_code), free_memory(device)
    if size <= free:
        return ""
    what = f"{in_words(size)} as {str(dtype).removeprefix('torch.')}, and {in_words(free)} are free"
    return f"its weights take {what}; take a smaller model, or a smaller number format (--dtypes bfloat16)"
