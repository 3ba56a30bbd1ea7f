"""Rows of ids that a model works on together, with the keys and values that it has worked out.

Those of a beginning that rows share are computed once for all of them, and held once where attention can tell them
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import pad
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from blasphemer.language_model.attention import GROUPED, MANY, Apart, looks_back

FEWEST_APART = 64  # ids of a beginning whose keys and values are held once for all rows of a batch
GROWN_BY = 64  # places for new keys and values, made at once
LOOK_FOR_LOOPS = 16  # tokens between two looks
LONGEST_LOOP, LOOPED, SHORTEST_LOOPED = 96, 3, 32  # tokens; times in a row; tokens of all these times together

_TELL_APART: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # what `_tells_apart` found out about models


@dataclass
class Row:
    """A prompt's ids, and what the model has written behind them so far, without the token that ended it."""

    prompt: list[int]
    room: int  # most ids that may be written
    ids: list[int] = field(default_factory=list)
    ended: bool = False
    looped: bool = False  # cut off, as it said the same over and over
    least_likely: float = 0.0  # log-probability of the least likely id, where each was the likeliest of its place

    @property
    def known(self) -> list[int]:
        """All its ids."""
        return self.prompt + self.ids

    @property
    def goes_on(self) -> bool:
        return not self.ended and not self.looped and len(self.ids) < self.room

    def take(self, token: int, likelihood: float, stops: set[int], cut_loops: bool) -> None:
        """Put down the next token; `likelihood` is that of the likeliest one, as a logarithm."""
        self.least_likely = min(self.least_likely, likelihood)
        if token in stops:
            self.ended = True
            return
        self.ids.append(token)
        if cut_loops and len(self.ids) % LOOK_FOR_LOOPS == 0 and (start := loop_start(self.ids)) is not None:
            del self.ids[start:]
            self.looped = True


def loop_start(ids: Sequence[int]) -> int | None:
    """Where the second of the equal stretches begins in which a text ends, if it ends in several."""
    for length in range(1, min(LONGEST_LOOP, len(ids) // LOOPED) + 1):
        first = len(ids) - length
        while first > 0 and ids[first - 1] == ids[first - 1 + length]:
            first -= 1
        if len(ids) - first >= max(LOOPED * length, SHORTEST_LOOPED):
            return first + length
    return None


@dataclass
class Batch:
    """Rows at work: `cache` has the keys and values of all their ids but `last`, padded on the left where `mask` is
    0: (rows, places); those of a `beginning` that all rows have stand before them, once."""

    rows: list[Row]
    cache: Any
    mask: torch.Tensor
    logits: torch.Tensor  # of the next token: (rows, vocab)
    beginning: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Places, where the beginning is copied to each row, as it may have to be."""
        return len(self.rows) * (len(self.beginning) + self.mask.shape[1])

    @property
    def at_work(self) -> list[int]:
        """The places of the rows that go on."""
        return [place for place, row in enumerate(self.rows) if row.goes_on]

    @property
    def whole_mask(self) -> torch.Tensor:
        return pad(self.mask, (len(self.beginning), 0), value=1)

    def only(self, kept: list[int]) -> Batch:
        """Some of the rows, without the places that none of them has. What the batch held is theirs now."""
        chosen = torch.tensor(kept, device=self.mask.device)
        mask = self.mask[chosen]
        first = int(mask.any(0).int().argmax())
        for place, layer in self._layers():
            keys, values = layer.keys[chosen, :, first:], layer.values[chosen, :, first:]
            self.cache.layers[place] = _layer(keys, values, layer.apart)
        return replace(self, rows=[self.rows[i] for i in kept], mask=mask[:, first:], logits=self.logits[chosen])

    def joined(self, other: Batch) -> Batch:
        """Both together. What they held is in what comes back."""
        if self.beginning != other.beginning:
            return self._spread().joined(other._spread())
        width = max(self.mask.shape[1], other.mask.shape[1])
        for place, one in self._layers():
            two = other.cache.layers[place]
            keys, values = _stacked(one.keys, two.keys, width), _stacked(one.values, two.values, width)
            self.cache.layers[place] = _layer(keys, values, one.apart)
        masks = [pad(mask, (width - mask.shape[1], 0)) for mask in (self.mask, other.mask)]
        return replace(
            self,
            rows=self.rows + other.rows,
            mask=torch.cat(masks),
            logits=torch.cat([self.logits, other.logits]),
        )

    def _spread(self) -> Batch:
        """The same with the beginning copied to each row, and no longer in here."""
        if not self.beginning:
            return self
        several = (len(self.rows), -1, -1, -1)
        for place, one in self._layers():
            keys = torch.cat([one.apart.keys.expand(several), one.keys], 2)
            values = torch.cat([one.apart.values.expand(several), one.values], 2)
            self.cache.layers[place] = _layer(keys, values)
        return replace(self, mask=self.whole_mask, beginning=[])

    def _layers(self) -> Iterator[tuple[int, Any]]:
        """To be put anew in their places one by one, so that no more than one is held twice."""
        yield from enumerate(self.cache.layers)


class _Layer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, places, size), that grow without being copied for every token.

    `apart` holds those of a beginning that all rows have, if that is held once.
    """

    is_initialized: bool
    keys: torch.Tensor
    values: torch.Tensor
    store: list[torch.Tensor]  # of keys and of values, with places to spare
    apart: Apart | None = None

    def get_seq_length(self) -> int:
        return self.own_length + (self.apart.keys.shape[-2] if self.apart else 0)

    @property
    def own_length(self) -> int:
        return self.keys.shape[-2] if self.is_initialized else 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        start = self.own_length
        end = start + key_states.shape[-2]
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.store = [_empty(key_states, end), _empty(value_states, end)]
        if end > self.store[0].shape[-2]:
            more = end - start + GROWN_BY
            self.store = [torch.cat([old[:, :, :start], _empty(old, more)], 2) for old in self.store]
        for kept, new in zip(self.store, (key_states, value_states), strict=True):
            kept[:, :, start:end] = new
        self.show(end)
        self.keys.apart = self.apart  # type: ignore[attr-defined]  # for grouped_attention
        return self.keys, self.values

    def show(self, end: int) -> None:
        self.keys, self.values = (kept[:, :, :end] for kept in self.store)


def _empty(like: torch.Tensor, places: int) -> torch.Tensor:
    return like.new_empty(*like.shape[:2], places, like.shape[3])


def _stacked(one: torch.Tensor, two: torch.Tensor, width: int) -> torch.Tensor:
    rows, heads, _, size = one.shape
    both = one.new_zeros(rows + two.shape[0], heads, width, size)
    both[:rows, :, width - one.shape[2] :] = one
    both[rows:, :, width - two.shape[2] :] = two
    return both


def _layer(keys: torch.Tensor, values: torch.Tensor, apart: Apart | None = None) -> _Layer:
    layer = _Layer()
    layer.apart = apart
    layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
    layer.store = [keys, values]
    layer.show(keys.shape[2])
    return layer


def _cache(layers: list[_Layer]) -> Any:
    return Cache(layers=layers) if layers else Cache(layer_class_to_replicate=_Layer)


def begin(weights: Any, group: list[Row], batch: Batch | None) -> Batch:
    """Rows whose prompts are read. What they share is held once where it is long and attention can tell it apart; what
    the rows at work share is not read again."""
    prompts = [row.known for row in group]
    known = batch.beginning if batch else []
    before = []
    if batch and known and all(len(prompt) > len(known) and prompt[: len(known)] == known for prompt in prompts):
        before = [_layer(layer.apart.keys, layer.apart.values) for layer in batch.cache.layers]
    cache, mask, logits, read_once = read(weights, prompts, read_once=before)
    shared = read_once[0].keys.shape[2] if read_once else 0
    made = Batch(group, cache, mask, logits[:, -1])
    if shared < FEWEST_APART or not _tells_apart(weights):
        return made
    return _held_apart(made, read_once)


def _held_apart(batch: Batch, read_once: Sequence[Any]) -> Batch:
    """The same with what was read once, and copied to each row, held once."""
    shared = read_once[0].keys.shape[2]
    layers = [
        _layer(one.keys[:, :, shared:], one.values[:, :, shared:], Apart(once.keys, once.values))
        for one, once in zip(batch.cache.layers, read_once, strict=True)
    ]
    return replace(batch, cache=_cache(layers), mask=batch.mask[:, shared:], beginning=batch.rows[0].known[:shared])


def _tells_apart(weights: Any) -> bool:
    """Does a model's attention take what is held apart? Some models change the keys on the way to it."""
    if weights.config.get_text_config()._attn_implementation != GROUPED:
        return False
    if weights not in _TELL_APART:
        rows = [Row([0, 1, last], 1) for last in (0, 1)]
        cache, mask, logits, read_once = read(weights, [row.known for row in rows])
        batch = _held_apart(Batch(rows, cache, mask, logits[:, -1]), read_once)
        with suppress(RuntimeError):  # of keys that are too few for the mask
            next_logits(weights, batch, torch.tensor([[0], [1]], device=weights.device))
        _TELL_APART[weights] = all(layer.apart.is_taken for layer in batch.cache.layers)
    return _TELL_APART[weights]


def next_logits(weights: Any, batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
    """What is expected behind one more token for each row, (rows, 1), which the batch then holds: (rows, vocab)."""
    batch.mask = pad(batch.mask, (0, 1), value=1)
    mask = batch.whole_mask
    made = weights(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=_positions(mask)[:, -1:],
        past_key_values=batch.cache,
        use_cache=True,
    )
    found: torch.Tensor = made.logits[:, -1]
    return found


def read(
    weights: Any,
    prompts: Sequence[list[int]],
    kept: int = 1,
    most_shared: int = MANY,
    read_once: Sequence[Any] = (),
) -> tuple[Any, torch.Tensor, torch.Tensor, Sequence[Any]]:
    """Prompts read: what they share once, the rest side by side, each as far to the right as it goes. `read_once` has
    the layers of what they share, where that was read before.

    Returns the cache, what of it is in use (rows, places), and what the last `kept` places score: (rows, kept, vocab);
    and the layers of what was read once, if anything was.
    """
    shared = read_once[0].keys.shape[2] if read_once else 0
    device = weights.device
    if not shared and len(prompts) > 1 and looks_back(weights) == MANY:  # else the gaps between a row's ids would count
        shared = max(min(most_shared, *(shared_by(prompts[0], prompt) for prompt in prompts)), 0)
        if shared:
            once = _cache([])
            first = torch.tensor([prompts[0][:shared]], device=device)
            weights(input_ids=first, past_key_values=once, use_cache=True, logits_to_keep=1)
            read_once = once.layers
    several = (len(prompts), -1, -1, -1)
    cache = _cache([_layer(one.keys.expand(several), one.values.expand(several)) for one in read_once])
    rest = max(map(len, prompts)) - shared
    left = [[0] * (rest + shared - len(prompt)) for prompt in prompts]
    mask = torch.tensor(
        [[1] * shared + gap + [1] * (len(prompt) - shared) for gap, prompt in zip(left, prompts, strict=True)],
        device=device,
    )
    made = weights(
        input_ids=torch.tensor([gap + p[shared:] for gap, p in zip(left, prompts, strict=True)], device=device),
        attention_mask=mask,
        position_ids=_positions(mask)[:, shared:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=kept,
    )
    return cache, mask, made.logits, read_once


def shared_by(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with; one at least is left to be read."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), most)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)
