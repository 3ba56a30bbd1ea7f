"""Several examples in one row, each as if it stood alone; what their chats begin with is computed once.

    ids        <system> <user>  Who waits?  The heron.  Who swims?  The fish.
    position     0        1       2   3       4   5       2   3       4   5
    may see     itself and what stands before it in its own example, and the shared beginning
    learnt                                    *   *                   *   *

The loss is that of the examples side by side (tests/test_packing.py), at half of the cost: there is no padding, and a
row holds neither the system turn of every chat nor the scores of what is not learnt. Attention goes by blocks of whole
examples: places that no place of another block sees are not compared with it.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import repeat_kv

from blasphemer.language_model import looks_back
from blasphemer.records import Example

IGNORED = -100  # the label of a token that is not learnt
ATTENTION = "sdpa"  # takes a mask that says for each place which it sees; others add it to the scores, or take none
IN_BLOCKS = "sdpa_in_blocks"  # the name of `attention_in_blocks`
PLACES_OF_A_BLOCK = 128  # at least
FEWEST_SHARED = 4  # ids: a shorter beginning is not worth sharing


def can_pack(weights: Any, longest: int) -> bool:
    """Can a model read several examples of up to `longest` tokens in a row, each as if it stood alone?"""
    return (
        weights.config.get_text_config()._attn_implementation == ATTENTION
        and longest <= looks_back(weights)
        and "logits_to_keep" in inspect.signature(weights.get_base_model().forward).parameters
    )


def shared_beginning(examples: Sequence[Example]) -> tuple[int, ...]:
    """The ids that most of the chats begin with, before anything that is learnt: those of the template's own words."""
    unlearnt = [example.ids[: example.learn.index(True)] for example in examples if not example.learn[0]]
    if not unlearnt:
        return ()
    first = Counter(ids[:FEWEST_SHARED] for ids in unlearnt).most_common(1)[0][0]
    several = [ids for ids in unlearnt if ids[:FEWEST_SHARED] == first]
    shortest = min(map(len, several))
    same = next((place for place in range(shortest) if len({ids[place] for ids in several}) > 1), shortest - 1)
    return several[0][:same] if same >= FEWEST_SHARED else ()


@dataclass(frozen=True)
class Packer:
    """Puts examples into rows. `beginning` is computed once for all that have it."""

    beginning: tuple[int, ...]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A data collator: rows with `input_ids`, `labels` (IGNORED where nothing is learnt), `rehearsed` to one row.

        Returns what `packed` does, with what is rehearsed last, and `reference`, what `packed` makes of that alone,
        where there is any.
        """
        studied, rehearsed = ([row for row in rows if row["rehearsed"] == so] for so in (False, True))
        made: dict[str, Any] = self.packed([*studied, *rehearsed])
        if rehearsed:
            made["reference"] = self.packed(rehearsed)
        return made

    def packed(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Rows in one: `input_ids` and `position_ids` (1, places), `attention_mask` (1, 1, places, places) that is True
        where one place sees another, `logits_to_keep` (learnt): the places that score what is learnt, and `labels` (1,
        1 + learnt): the trainer counts them from the second on."""
        size = len(self.beginning)
        ids, positions, owners = list(self.beginning), list(range(size)), [0] * size
        scored: list[int] = []
        labels = [IGNORED]
        for owner, row in enumerate(rows, 1):
            has_beginning = size and tuple(row["input_ids"][:size]) == self.beginning
            skipped = size if has_beginning else 0
            start = len(ids) - skipped  # where the example's first id would stand
            for place in range(max(skipped, 1), len(row["input_ids"])):
                if row["labels"][place] != IGNORED:
                    labels.append(row["labels"][place])
                    scored.append(start + place - 1 if place > skipped else size - 1)
            ids += row["input_ids"][skipped:]
            positions += range(skipped, len(row["input_ids"]))
            owners += [owner if has_beginning else -owner] * (len(row["input_ids"]) - skipped)
        owner_of = torch.tensor(owners)
        own = owner_of[:, None] == owner_of[None, :]
        shared = (owner_of[:, None] > 0) & (owner_of[None, :] == 0)
        return {
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.tensor([positions]),
            "attention_mask": (own | shared).tril()[None, None],
            "logits_to_keep": torch.tensor(scored),
            "labels": torch.tensor([labels]),
        }


class _Block(NamedTuple):
    """The places of whole examples in a row; they see `seen` (1, 1, places, shared + places) of `shared` places at the
    row's beginning and of themselves."""

    start: int
    end: int
    shared: int
    seen: torch.Tensor


def attention_in_blocks(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers' `sdpa` has it, for rows of a Packer: (1, heads, places, size) to (1, places, heads,
    size)."""
    key, value = (repeat_kv(one, query.shape[1] // key.shape[1]) for one in (key, value))
    made = []
    for start, end, shared, seen in _blocks_of(attention_mask):
        keys, values = (torch.cat([one[:, :, :shared], one[:, :, start:end]], 2) for one in (key, value))
        own = query[:, :, start:end]
        made.append(scaled_dot_product_attention(own, keys, values, seen, dropout, scale=scaling))
    return torch.cat(made, 2).transpose(1, 2).contiguous(), None


def _blocks_of(mask: torch.Tensor) -> list[_Block]:
    """The blocks of a row whose places see each other as `mask` says; worked out once for all layers."""
    known: list[_Block] | None = getattr(mask, "blocks", None)
    if known is None:
        known = mask.blocks = list(_blocks(mask[0, 0]))  # type: ignore[attr-defined]
    return known


def _blocks(seen: torch.Tensor) -> Iterator[_Block]:
    places = torch.arange(len(seen), device=seen.device)
    unseen = ~seen & (places[None, :] < places[:, None])
    begins = torch.where(unseen, places[None, :] + 1, 0).amax(-1)  # of each place: what it sees without a gap
    start = 0
    for end in [*sorted(set(begins.tolist()) - {0}), len(seen)]:
        if end - start >= PLACES_OF_A_BLOCK or end == len(seen):
            shared = int(seen[start:end, :start].any(0).sum())  # they stand at the row's beginning, or there are none
            own = torch.cat([seen[start:end, :shared], seen[start:end, start:end]], -1)
            yield _Block(start, end, shared, own[None, None])
            start = end
