"""Rows of ids -> what a model writes behind them, many rows at once.

Keys and values are computed once: those of a beginning that rows share, once for all of them. Rows leave the batch as
they come to an end, and others take their places.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, Cache, GenerationConfig
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "sdpa_grouped"  # heads that share keys and values read them as they are, and not copied for each head
REFILL = 0.75  # of the places at work: with fewer, those of rows that have ended are cleared, and new ones let in
GROWN_BY = 64  # places for new keys and values, made at once
LIKELIEST = 1024  # tokens that are sampled from
MANY = sys.maxsize
LOOK_FOR_LOOPS = 16  # tokens between two looks
LONGEST_LOOP, LOOPED, SHORTEST_LOOPED = 96, 3, 32  # tokens; times in a row; tokens of all these times together


@dataclass(frozen=True)
class Sampling:
    """Draw each token from the likeliest that together have this probability; temperature 1."""

    top_p: float = 1.0


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


def write_rows(
    weights: Any,
    rows: Sequence[Row],
    stops: set[int],
    most_rows: int,
    most_tokens: int,
    sampling: Sampling | None = None,
    cut_loops: bool = False,
    advance: Callable[[int, int], object] = lambda *_: None,
) -> None:
    """Go on with each row up to a stop token or to the end of its room: greedily, or drawn.

    `most_tokens` is how many keys and values are held at once. `advance` is told how many rows came to an
    end and how many tokens were written.
    """
    pending = sorted((row for row in rows if row.goes_on), key=lambda row: row.prompt, reverse=True)
    weights.eval()
    if not looks_back(weights):
        _write_by_library(weights, pending, stops, most_rows, sampling, advance)
        return
    with torch.no_grad(), attending(weights, GROUPED, _grouped_attention):
        batch: _Batch | None = None
        while pending or batch:
            if batch and len(batch.at_work) <= REFILL * min(len(batch.rows), most_rows):
                batch = batch.only(batch.at_work)
            taken = len(batch.rows) if batch else 0
            while pending and taken <= REFILL * most_rows:
                group = _next_group(pending, most_rows - taken, most_tokens - (batch.size if batch else 0))
                if not group and batch:
                    break
                group = group or [pending.pop()]
                cache, mask, logits = _read(weights, [row.prompt for row in group])
                new = _Batch(group, cache, mask, logits[:, -1])
                batch = batch.joined(new) if batch else new
                taken = len(batch.rows)
            if batch:
                batch = _step(weights, batch, stops, sampling, cut_loops, advance)


def score_rows(
    weights: Any,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    most_rows: int,
    most_tokens: int,
    hear: Callable[[int, torch.Tensor], object],
) -> None:
    """What a model expects in the place of each token of each answer, behind its prompt.

    `hear` is given the number of the row and the scores: (tokens of the answer, vocab), or without an answer those of
    the next token: (1, vocab).
    """
    rows = [Row(prompt + answer[:-1], max(len(answer), 1)) for prompt, answer in zip(prompts, answers, strict=True)]
    number = {id(row): place for place, row in enumerate(rows)}
    pending = sorted(rows, key=lambda row: row.prompt, reverse=True)
    weights.eval()
    with torch.no_grad():
        while pending:
            group = _next_group(pending, most_rows, most_tokens) or [pending.pop()]
            longest = max(row.room for row in group)
            least = min(len(row.prompt) for row in group)
            _, _, scores = _read(weights, [row.prompt for row in group], longest, least - longest)
            for row, found in zip(group, scores, strict=True):
                hear(number[id(row)], found[-row.room :])


# --- one step ---------------------------------------------------------------------------------------------------------


class _Layer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, places, size), that grow without being copied for every token."""

    is_initialized: bool
    keys: torch.Tensor
    values: torch.Tensor
    store: list[torch.Tensor]  # of keys and of values, with places to spare

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        start = self.get_seq_length()
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
        return self.keys, self.values

    def show(self, end: int) -> None:
        self.keys, self.values = (kept[:, :, :end] for kept in self.store)


def _empty(like: torch.Tensor, places: int) -> torch.Tensor:
    return like.new_empty(*like.shape[:2], places, like.shape[3])


@dataclass
class _Batch:
    """Rows at work: `cache` has the keys and values of all their ids but `last`, padded on the left where `mask` is
    0: (rows, places)."""

    rows: list[Row]
    cache: Any
    mask: torch.Tensor
    logits: torch.Tensor  # of the next token: (rows, vocab)

    @property
    def size(self) -> int:
        return self.mask.numel()

    @property
    def at_work(self) -> list[int]:
        """The places of the rows that go on."""
        return [place for place, row in enumerate(self.rows) if row.goes_on]

    def only(self, kept: list[int]) -> _Batch:
        """Some of the rows, without the places that none of them has."""
        chosen = torch.tensor(kept, device=self.mask.device)
        mask = self.mask[chosen]
        first = int(mask.any(0).int().argmax())
        layers = [_layer(layer.keys[chosen, :, first:], layer.values[chosen, :, first:]) for layer in self.cache.layers]
        return _Batch([self.rows[i] for i in kept], _cache(layers), mask[:, first:], self.logits[chosen])

    def joined(self, other: _Batch) -> _Batch:
        """Both together."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        layers = [
            _layer(_stacked(one.keys, two.keys, width), _stacked(one.values, two.values, width))
            for one, two in zip(self.cache.layers, other.cache.layers, strict=True)
        ]
        masks = [torch.nn.functional.pad(mask, (width - mask.shape[1], 0)) for mask in (self.mask, other.mask)]
        return _Batch(self.rows + other.rows, _cache(layers), torch.cat(masks), torch.cat([self.logits, other.logits]))


def _stacked(one: torch.Tensor, two: torch.Tensor, width: int) -> torch.Tensor:
    rows, heads, _, size = one.shape
    both = one.new_zeros(rows + two.shape[0], heads, width, size)
    both[:rows, :, width - one.shape[2] :] = one
    both[rows:, :, width - two.shape[2] :] = two
    return both


def _layer(keys: torch.Tensor, values: torch.Tensor) -> _Layer:
    layer = _Layer()
    layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
    layer.store = [keys, values]
    layer.show(keys.shape[2])
    return layer


def _cache(layers: list[_Layer]) -> Any:
    return Cache(layers=layers) if layers else Cache(layer_class_to_replicate=_Layer)


def _next_group(pending: list[Row], most_rows: int, most_tokens: int) -> list[Row]:
    """Rows from the end of `pending`, at most so many, as long as they share more than they differ from each other.

    As `pending` is sorted, rows with a beginning in common stand together.
    """
    group: list[Row] = []
    shared = longest = 0
    while pending and len(group) < most_rows:
        row = pending[-1]
        common = _shared(group[0].prompt, row.prompt) if group else len(row.prompt) - 1
        width = max(longest, len(row.prompt) + min(row.room, GROWN_BY))
        if width * (len(group) + 1) > most_tokens:
            break
        if len(group) > 1 and (shared - common) * len(group) > common + len(row.prompt):
            break
        shared, longest = (min(shared, common) if group else common), width
        group.append(pending.pop())
    return group


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with; one at least is left to be read."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), most)


def _read(
    weights: Any, prompts: Sequence[list[int]], kept: int = 1, most_shared: int = MANY
) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Prompts read: what they share once, the rest side by side, each as far to the right as it goes.

    Returns the cache, what of it is in use (rows, places), and what the last `kept` places score: (rows, kept, vocab).
    """
    shared = 0
    if len(prompts) > 1 and looks_back(weights) == MANY:  # else the gaps between a row's ids would count
        shared = max(min(most_shared, *(_shared(prompts[0], prompt) for prompt in prompts)), 0)
    rest = max(map(len, prompts)) - shared
    device, cache = weights.device, _cache([])
    if shared:
        weights(
            input_ids=torch.tensor([prompts[0][:shared]], device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        several = (len(prompts), -1, -1, -1)
        cache = _cache([_layer(one.keys.expand(several), one.values.expand(several)) for one in cache.layers])
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
    return cache, mask, made.logits


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _step(
    weights: Any,
    batch: _Batch,
    stops: set[int],
    sampling: Sampling | None,
    cut_loops: bool,
    advance: Callable[[int, int], object],
) -> _Batch | None:
    """One more token for each row that goes on; None when there is none left.

    Rows that have ended are computed along until many have: to clear their places, all keys and values are copied.
    """
    chosen = batch.logits.argmax(-1) if sampling is None else _drawn(batch.logits, sampling)
    likely = (batch.logits.float().max(-1).values - batch.logits.float().logsumexp(-1)).tolist()
    tokens, working = chosen.tolist(), batch.at_work
    for place in working:
        batch.rows[place].take(tokens[place], likely[place], stops, cut_loops)
    left = len(batch.at_work)
    advance(len(working) - left, len(working))
    if not left:
        return None
    batch.mask = torch.nn.functional.pad(batch.mask, (0, 1), value=1)
    made = weights(
        input_ids=chosen[:, None],
        attention_mask=batch.mask,
        position_ids=_positions(batch.mask)[:, -1:],
        past_key_values=batch.cache,
        use_cache=True,
    )
    batch.logits = made.logits[:, -1]
    return batch


def _drawn(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """A token for each row, of those that together have the probability `top_p`: (rows,)."""
    likelihoods = logits.float().softmax(-1)
    if sampling.top_p >= 1:
        return likelihoods.multinomial(1)[:, 0]
    most, tokens = likelihoods.topk(min(LIKELIEST, likelihoods.shape[-1]), -1)
    most = most.masked_fill(most.cumsum(-1) - most > sampling.top_p, 0)
    return tokens.gather(1, most.multinomial(1))[:, 0]


# --- attention, and models that are not written for it -------------------------------------------------------------


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


def _grouped_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> Any:
    """As transformers' `sdpa`; of one query each, those heads that share keys are put to them together."""
    rows, heads, places, size = query.shape
    groups = key.shape[1]
    if places > 1 or groups == heads or (attention_mask is not None and attention_mask.shape[1] > 1):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
    made = torch.nn.functional.scaled_dot_product_attention(
        query.view(rows, groups, heads // groups, size), key, value, attn_mask=attention_mask, scale=scaling
    )
    return made.reshape(rows, 1, heads, -1), None


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


def _write_by_library(
    weights: Any,
    rows: Sequence[Row],
    stops: set[int],
    most_rows: int,
    sampling: Sampling | None,
    advance: Callable[[int, int], object],
) -> None:
    """The same by transformers' own means, each batch to its end."""
    drawn = {"do_sample": False} if sampling is None else {"do_sample": True, "top_k": 0, "top_p": sampling.top_p}
    for start in range(0, len(rows), most_rows):
        batch = rows[start : start + most_rows]
        width = max(len(row.prompt) for row in batch)
        padded = [[0] * (width - len(row.prompt)) + row.prompt for row in batch]
        mask = [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in batch]
        config = GenerationConfig(
            max_new_tokens=max(row.room for row in batch), eos_token_id=sorted(stops), pad_token_id=min(stops), **drawn
        )
        with torch.no_grad():
            made = weights.generate(
                input_ids=torch.tensor(padded, device=weights.device),
                attention_mask=torch.tensor(mask, device=weights.device),
                generation_config=config,
                output_logits=True,
                return_dict_in_generate=True,
            )
        likely = [(step.float().max(-1).values - step.float().logsumexp(-1)).tolist() for step in made.logits]
        for place, (row, ids) in enumerate(zip(batch, made.sequences[:, width:].tolist(), strict=True)):
            for number, token in enumerate(ids):
                if row.goes_on:
                    row.take(token, likely[number][place], stops, cut_loops=False)
        advance(len(batch), sum(len(row.ids) for row in batch))
