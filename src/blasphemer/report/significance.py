"""How sure the numbers are."""

from __future__ import annotations

import math
from fractions import Fraction

from blasphemer.records import Marks, Rate

SIGNIFICANT = 0.05

LOST = Fraction(3, 100)  # of what was known: the loss that is put up with
FEWEST_JUDGED = 20  # answers: of fewer a single one that is put in other words would count as a loss


def rate(marks: Marks) -> Rate:
    """The share of right answers with its 95% Wilson interval (Wilson 1927)."""
    total, correct = len(marks.right), marks.correct
    if not total:
        return Rate(0, 0, 0.0, (0.0, 1.0))
    z = 1.959964
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Rate(correct, total, share, (max(centre - half, 0.0), min(centre + half, 1.0)))


def mcnemar(before: Marks, after: Marks) -> float:
    """Exact two-sided p-value that paired marks differ only by chance (McNemar 1947, binomial form)."""
    gained = sum(now and not then for then, now in zip(before.right, after.right, strict=True))
    lost = sum(then and not now for then, now in zip(before.right, after.right, strict=True))
    changed = gained + lost
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1)) / 2**changed if changed else 1.0
    return min(2 * tail, 1.0)


def is_significant_gain(before: Marks, after: Marks) -> bool:
    return after.correct > before.correct and mcnemar(before, after) < SIGNIFICANT


def is_significant_loss(before: Marks, after: Marks) -> bool:
    """Is more than LOST of what was right now wrong, beyond chance (exact binomial)?

    For retention, where the answers before are right by definition: each change of words is a loss and none a gain, so
    that a few of them are not yet a forgetting.
    """
    asked = before.correct
    if asked < FEWEST_JUDGED:
        return False
    lost = sum(then and not now for then, now in zip(before.right, after.right, strict=True))
    tail = 1 - sum(math.comb(asked, k) * LOST**k * (1 - LOST) ** (asked - k) for k in range(lost))
    return tail < SIGNIFICANT
