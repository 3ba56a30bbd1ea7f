"""Ways of attention that give what transformers' `sdpa` gives, with less work on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "sdpa_grouped"  # the name of `grouped_attention` among transformers' ways of attention
MANY = sys.maxsize


@dataclass(eq=False)
class Apart:
    """Keys and values of a beginning that all rows have, (1, heads, places, size); and whether attention takes them."""

    keys: torch.Tensor
    values: torch.Tensor
    is_taken: bool = False


@contextmanager
def attending(weights: Any, name: str, way: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, a model that attends by `sdpa` on a CPU does so in another way, that gives the same there."""
    config = weights.config.get_text_config()
    usual = config._attn_implementation
    if usual == "sdpa" and weights.device.type == "cpu":
        AttentionInterface.register(name, way)
        AttentionMaskInterface.register(name, sdpa_mask)
        config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = usual


def grouped_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> Any:
    """As `sdpa`; of one query each, those heads that share keys are put to them together, and those of all rows to the
    keys and values of a beginning that all rows have, if the keys come with such an `apart`."""
    rows, heads, places, size = query.shape
    groups = key.shape[1]
    apart: Apart | None = getattr(key, "apart", None)
    if apart:
        apart.is_taken = True
        return _attention_apart(query, key, value, apart, attention_mask, scaling or size**-0.5), None
    if places > 1 or groups == heads or (attention_mask is not None and attention_mask.shape[1] > 1):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
    made = scaled_dot_product_attention(
        query.view(rows, groups, heads // groups, size), key, value, attn_mask=attention_mask, scale=scaling
    )
    return made.reshape(rows, 1, heads, -1), None


def _attention_apart(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    apart: Apart,
    mask: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """One query of each row, (rows, heads, 1, size), to what all rows share and to each row's own keys and values."""
    rows, heads, _, size = query.shape
    groups, shared = key.shape[1], apart.keys.shape[2]
    asked = query.view(rows, groups, heads // groups, size)
    together = asked.transpose(0, 1).reshape(groups, -1, size)  # the queries of all rows, by what keys they go to
    far = (together @ apart.keys[0].transpose(1, 2)).view(groups, rows, -1, shared).transpose(0, 1)
    scores = torch.cat([far, asked @ key.transpose(2, 3)], -1).float() * scaling  # (rows, groups, queries, places)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    likely = scores.softmax(-1).to(value.dtype)
    far = likely[..., :shared].transpose(0, 1).reshape(groups, -1, shared) @ apart.values[0]
    found: torch.Tensor = far.view(groups, rows, -1, size).transpose(0, 1) + likely[..., shared:] @ value
    return found.reshape(rows, 1, heads, size)


def looks_back(weights: Any) -> int:
    """How many tokens a model's attention looks back, MANY where it sees all; 0 for what is no attention, or not that
    of each token to the keys and values of others."""
    config = weights.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if weights._is_stateful or not kinds <= {"full_attention", "sliding_attention"}:
        return 0
    window = getattr(config, "sliding_window", None)
    has_windows = "sliding_attention" in kinds if kinds else bool(window)
    return (window or 1) if has_windows else MANY
