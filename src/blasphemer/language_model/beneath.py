"""An adapter laid under weights that it cannot be written into, as they have 4 bits each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer


def lie_beneath(stack: PeftModel) -> Any:
    """The weights under an adapter; what it added to the outputs of their layers is added on as if it were theirs.

    It is out of reach of training, and of other adapters.
    """
    below: Any = stack
    added = {
        name: _adds(layer, adapter)
        for name, layer in below.get_base_model().named_modules()
        if isinstance(layer, LoraLayer)
        for adapter in layer.active_adapters
        if adapter in layer.lora_A
    }
    weights = below.unload()
    for name, adds in added.items():
        weights.get_submodule(name).register_forward_hook(adds)
    return weights


def _adds(layer: Any, adapter: str) -> Callable[[Any, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
    down = layer.lora_A[adapter].weight.detach()  # (rank, in)
    up = layer.lora_B[adapter].weight.detach() * layer.scaling[adapter]  # (out, rank)

    def add(_layer: Any, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> torch.Tensor:
        more: torch.Tensor = (given[0].to(down.dtype) @ down.T @ up.T).to(made.dtype)
        return made + more

    return add
