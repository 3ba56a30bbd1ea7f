"""What the model already knows: prompts of its own making and its answers, to rehearse and to ask again.

A prompt is drawn from the model itself (its chat template with an empty user turn, sampled) and answered by it before
training. Most of the pairs are replayed during training; the rest is never trained on and asked before and after.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from blasphemer.exam import LONGEST_EXACT
from blasphemer.language import normalise, words
from blasphemer.records import ExamQuestion, Message, StudyItem

SHORT, LONG = 64, 256  # tokens. Short prompts rehearse most per token: a long one is mostly a text to be read
SHORT_PER_LONG = 8
LARGEST_EXAM = 200
EXAM_SHARE = 0.2  # of the pairs


def usable_prompts(sampled: Sequence[str]) -> list[str]:
    """Distinct prompts with something in them, balanced over kinds.

    Self-sampled prompts follow the model's habits: kinds (their first word and rough length) are taken in proportion
    to the square root of how often they came, so that a habit does not crowd out the rest.
    """
    kinds: dict[tuple[str, int], list[str]] = {}
    for prompt in {normalise(text): text.strip() for text in sampled if words(text)}.values():
        kinds.setdefault((words(prompt)[0].casefold(), len(prompt) // 200), []).append(prompt)
    largest = max((len(kind) for kind in kinds.values()), default=0)
    return [prompt for kind in kinds.values() for prompt in kind[: math.ceil(math.sqrt(len(kind) * largest))]]


def replay_items(prompts: Sequence[str], answers: Sequence[str]) -> list[StudyItem]:
    """Prompts with their answers, to be rehearsed or asked again. Prompts without an answer are left out."""
    pairs = [(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True) if normalise(answer)]
    return [
        StudyItem(
            f"replay-{number}",
            "replay",
            "model",
            messages=(Message(role="user", content=prompt), Message(role="assistant", content=answer)),
        )
        for number, (prompt, answer) in enumerate(pairs, 1)
    ]


def divide(items: Sequence[StudyItem], seed: int) -> tuple[list[StudyItem], list[ExamQuestion]]:
    """The items to rehearse, and the rest as questions.

    Short answers are preferred for the exam: whether they are still given can be told to the word.
    """
    shuffled = random.Random(seed).sample(list(items), len(items))
    shuffled.sort(key=lambda item: len(normalise(item.messages[1]["content"]).split()) > LONGEST_EXACT)  # stable
    size = min(math.ceil(len(items) * EXAM_SHARE), LARGEST_EXAM)
    return shuffled[size:], [_question(item) for item in shuffled[:size]]


def _question(item: StudyItem) -> ExamQuestion:
    return ExamQuestion(item.id, item.messages[0]["content"], item.messages[1]["content"], "retention")
