"""Rows of ids -> what a model writes behind them, many rows at once.

Keys and values are computed once: those of a beginning that rows share, once for all of them. Rows leave the batch as
they come to an end, and others take their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from blasphemer.language_model.attention import GROUPED, attending, grouped_attention, looks_back
from blasphemer.language_model.batch import GROWN_BY, Batch, Row, begin, next_logits, read, shared_by
from blasphemer.language_model.device import Room, in_room

REFILL = 0.75  # of the places at work: with fewer, those of rows that have ended are cleared, and new ones let in
LIKELIEST = 1024  # tokens that are sampled from
TOKENS_READ = 16_384  # of prompts, beside what they share, at once: more are not faster, and take more memory


@dataclass(frozen=True)
class Sampling:
    """Draw each token from the likeliest that together have this probability; temperature 1."""

    top_p: float = 1.0


def write_rows(
    weights: Any,
    rows: Sequence[Row],
    stops: set[int],
    room: Room,
    sampling: Sampling | None = None,
    cut_loops: bool = False,
    advance: Callable[[int, int], object] = lambda *_: None,
) -> Room:
    """Write on in each row, up to a stop token or to the end of its room: greedily, or drawn.

    `advance` is told how many rows came to an end and how many tokens were written. Returns the room that memory had.
    """
    weights.eval()

    def write(room: Room) -> None:
        pending = sorted((row for row in rows if row.goes_on), key=lambda row: row.known, reverse=True)
        if looks_back(weights):
            with torch.no_grad(), attending(weights, GROUPED, grouped_attention):
                _write_together(weights, pending, stops, room, sampling, cut_loops, advance)
        else:
            _write_by_library(weights, pending, stops, room.rows, sampling, advance)

    return in_room(write, room, weights.device)


def _write_together(
    weights: Any,
    pending: list[Row],
    stops: set[int],
    room: Room,
    sampling: Sampling | None,
    cut_loops: bool,
    advance: Callable[[int, int], object],
) -> None:
    batch: Batch | None = None
    while pending or batch:
        if batch and len(batch.at_work) <= REFILL * min(len(batch.rows), room.rows):
            batch = batch.only(batch.at_work)
        taken = len(batch.rows) if batch else 0
        while pending and taken <= REFILL * room.rows:
            group = _next_group(pending, Room(room.rows - taken, room.tokens - (batch.size if batch else 0)))
            if not group and batch:
                break
            group = group or [pending.pop()]
            new = begin(weights, group, batch)
            batch = batch.joined(new) if batch else new
            taken = len(batch.rows)
        if batch:
            batch = _step(weights, batch, stops, sampling, cut_loops, advance)


def score_rows(
    weights: Any,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    room: Room,
    hear: Callable[[int, torch.Tensor], object],
) -> None:
    """What a model expects in the place of each token of each answer, behind its prompt.

    `hear` is given the number of the row and the scores: (tokens of the answer, vocab), or without an answer those of
    the next token: (1, vocab).
    """
    rows = [Row(prompt + answer[:-1], max(len(answer), 1)) for prompt, answer in zip(prompts, answers, strict=True)]
    left = {id(row): place for place, row in enumerate(rows)}
    weights.eval()

    def score(room: Room) -> None:
        pending = sorted((row for row in rows if id(row) in left), key=lambda row: row.prompt, reverse=True)
        while pending:
            group = _next_group(pending, room) or [pending.pop()]
            longest = max(row.room for row in group)
            least = min(len(row.prompt) for row in group)
            with torch.no_grad():
                _, _, scores, _ = read(weights, [row.prompt for row in group], longest, least - longest)
            for row, found in zip(group, scores, strict=True):
                hear(left.pop(id(row)), found[-row.room :])

    in_room(score, room, weights.device)


def _next_group(pending: list[Row], room: Room) -> list[Row]:
    """Rows from the end of `pending` that find room, as long as they share more than they differ from each other.

    As `pending` is sorted, rows with a beginning in common stand together.
    """
    group: list[Row] = []
    shared = longest = 0
    while pending and len(group) < room.rows:
        known = pending[-1].known
        common = shared_by(group[0].known, known) if group else len(known) - 1
        width = max(longest, len(known) + min(pending[-1].room, GROWN_BY))
        if width * (len(group) + 1) > room.tokens:
            break
        if group and (width - min(shared, common)) * (len(group) + 1) > TOKENS_READ:
            break
        if len(group) > 1 and (shared - common) * len(group) > common + len(known):
            break
        shared, longest = (min(shared, common) if group else common), width
        group.append(pending.pop())
    return group


def _step(
    weights: Any,
    batch: Batch,
    stops: set[int],
    sampling: Sampling | None,
    cut_loops: bool,
    advance: Callable[[int, int], object],
) -> Batch | None:
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
    batch.logits = next_logits(weights, batch, chosen[:, None])
    return batch


def _drawn(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """A token for each row, of those that together have the probability `top_p`: (rows,)."""
    likelihoods = logits.float().softmax(-1)
    if sampling.top_p >= 1:
        return likelihoods.multinomial(1)[:, 0]
    most, tokens = likelihoods.topk(min(LIKELIEST, likelihoods.shape[-1]), -1)
    most = most.masked_fill(most.cumsum(-1) - most > sampling.top_p, 0)
    return tokens.gather(1, most.multinomial(1))[:, 0]


# --- models that the engine is not written for -------------------------------------------------------------------


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
