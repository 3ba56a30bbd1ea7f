"""Several examples in one row, each as if it stood alone; what their chats begin with is computed once.

    ids        <system> <user>  Who waits?  The heron.  Who swims?  The fish.
    position     0        1       2   3       4   5       2   3       4   5
    may see     itself and what stands before it in its own example, and the shared beginning
    learnt                                    *   *                   *   *

The loss is that of the examples side by side (tests/test_packing.py), at half of the cost: there is no padding, and a
row holds neither the system turn of every chat nor the scores of what is not learnt.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from blasphemer.language_model import looks_back
from blasphemer.records import Example

IGNORED = -100  # the label of a token that is not learnt
ATTENTION = "sdpa"  # takes a mask that says for each place which it sees; others add it to the scores, or take none
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

        Returns what `packed` does; `rehearsed` (learnt), True for what is learnt of such rows; and `reference`, what
        `packed` makes of them alone, where there are any.
        """
        made: dict[str, Any] = self.packed(rows)
        learnt = [sum(label != IGNORED for label in row["labels"][1:]) for row in rows]
        rehearsed = [bool(row["rehearsed"]) for row in rows]
        made["rehearsed"] = torch.tensor(rehearsed).repeat_interleave(torch.tensor(learnt))
        if any(rehearsed):
            made["reference"] = self.packed([row for row, is_so in zip(rows, rehearsed, strict=True) if is_so])
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
