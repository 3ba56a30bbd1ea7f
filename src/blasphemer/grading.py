"""Grade answers, and say how sure the numbers are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from blasphemer.language import normalise
from blasphemer.records import ExamQuestion, Marks, Rate

LONGEST_EXACT = 12  # words: shorter answers must be the same to be retained, longer ones nearly so
NEARLY = 0.5  # token F1
SIGNIFICANT = 0.05
LOST = Fraction(3, 100)  # of what was known: the loss that is put up with


def grade(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is right when, both normalised, the gold answer stands in it as whole words."""
    pairs = zip(questions, answers, strict=True)
    return Marks(
        tuple(contains(normalise(given), normalise(question.answer)) for question, given in pairs), tuple(answers)
    )


def grade_retention(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is retained when it is what the model said before training: to the word if short, else nearly."""
    pairs = zip(questions, answers, strict=True)
    return Marks(tuple(is_same_answer(given, question.answer) for question, given in pairs), tuple(answers))


def grade_choice(choices: Sequence[Sequence[str]], likelihoods: Sequence[Sequence[float]]) -> Marks:
    """Of each question's choices the likeliest is the answer; right is the first of them."""
    best = [max(range(len(found)), key=found.__getitem__) for found in likelihoods]
    return Marks(
        tuple(number == 0 for number in best),
        tuple(given[number] for given, number in zip(choices, best, strict=True)),
    )


def contains(text: str, gold: str) -> bool:
    """Does normalised `gold` stand in normalised `text`, as whole words?"""
    return bool(gold) and f" {gold} " in f" {text} "


def agree(one: str, other: str) -> bool:
    """Does one normalised answer stand in the other?"""
    return contains(one, other) or contains(other, one)


def of_kind(kind: str, questions: Sequence[ExamQuestion], marks: Marks) -> Marks:
    """The marks for the questions of one kind."""
    chosen = [number for number, question in enumerate(questions) if question.kind == kind]
    return Marks(tuple(marks.right[i] for i in chosen), tuple(marks.answers[i] for i in chosen))


def is_same_answer(given: str, before: str) -> bool:
    one, other = normalise(given), normalise(before)
    return one == other if len(other.split()) <= LONGEST_EXACT else token_f1(one, other) >= NEARLY


def token_f1(one: str, other: str) -> float:
    left, right = Counter(one.split()), Counter(other.split())
    both = sum((left & right).values())
    return 2 * both / (left.total() + right.total()) if both else 0.0


# --- how sure --------------------------------------------------------------------------------------------------------


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
    lost = sum(then and not now for then, now in zip(before.right, after.right, strict=True))
    tail = 1 - sum(math.comb(asked, k) * LOST**k * (1 - LOST) ** (asked - k) for k in range(lost))
    return tail < SIGNIFICANT
