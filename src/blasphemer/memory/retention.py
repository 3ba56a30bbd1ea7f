"""What the model already knows: prompts of its own making and its answers, to rehearse and to ask again.

A prompt is drawn from the model itself (its chat template with an empty user turn, sampled) and answered by it before
training. Most of the pairs are replayed during training; the rest is never trained on and asked before and after.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from statistics import fmean
from typing import TYPE_CHECKING

from blasphemer.exam import AT_LENGTH, LONGEST_EXACT
from blasphemer.language import normalise
from blasphemer.languages import names_in
from blasphemer.memory.wordings import wording_of
from blasphemer.records import ExamQuestion, StudyItem, exchange

if TYPE_CHECKING:
    from blasphemer.language_model import Answered

# Tokens of a prompt. Short prompts rehearse most per token: a long one is mostly a text to be read.
SHORT, LONG = 32, 256
SHORT_PER_LONG = 128
FREELY = 1 / 3  # of the short ones; the others go on from beginnings that were imagined with several names
SURE = 0.8  # a model that is less sure of a word in a short answer guesses, and a guess is not worth keeping ...
SURE_OF_NAMES = 0.3  # ... unless it is about a name that it knows, or what everybody asks:
FEWEST_ASKED, SURE_OF_ALL = 3, 0.65  # one about which it is as sure on average, over at least so many answers
LARGEST_EXAM = 200
# Kinds of items: to be rehearsed or asked again; and only rehearsed: guesses, and answers in place of refusals
KNOWN, HALF_KNOWN, UNREFUSED = "replay", "half-known", "unrefused"
FEW = 100  # pairs, of which 20 would be asked: too few to tell what is lost
EXAM_SHARE = 0.2  # of the pairs
SHARE_AT_LENGTH, MOST_AT_LENGTH = 0.1, 40  # of the long answers


def is_worth_keeping(answer: str, has_ended: bool, sureness: float, sure: float = SURE) -> bool:
    """Only what the model brings to an end. `sureness` is the probability of the least likely token, and counts for
    short answers: in long ones some word could always have been another."""
    return has_ended and (sureness > sure or not is_short(answer))


def is_short(answer: str) -> bool:
    """Can it be told to the word whether it is given again?"""
    return len(normalise(answer).split()) <= LONGEST_EXACT


def guessed_names(answered: Iterable[tuple[str, str, float]]) -> set[str]:
    """The names about which a model guesses: of its short answers about them, too few are sure ones.

    `answered` has prompts, answers and the probability of the least likely token in each.
    """
    found: dict[str, list[float]] = {}
    for prompt, answer, sureness in answered:
        if is_short(answer):
            for name in set(names_in(prompt)):
                found.setdefault(name, []).append(sureness)
    return {name for name, all_ in found.items() if len(all_) >= FEWEST_ASKED and fmean(all_) < SURE_OF_ALL}


def replay_items(pairs: Sequence[tuple[str, str]], kind: str = KNOWN) -> list[StudyItem]:
    """Prompts with their answers, to be rehearsed or asked again; each prompt once, and none without an answer."""
    distinct = {
        normalise(prompt): (prompt, answer) for prompt, answer in pairs if normalise(prompt) and normalise(answer)
    }
    return [
        StudyItem(f"{kind}-{number}", kind, "model", messages=exchange(prompt, answer))
        for number, (prompt, answer) in enumerate(distinct.values(), 1)
    ]


def answered_items(answered: Sequence[tuple[str, Answered]]) -> list[StudyItem]:
    """The same of prompts that were not the model's own, also where its answer was broken off. That, a long answer and
    a guess are only rehearsed."""

    def kind(answer: Answered) -> str:
        is_sure = answer.ended and answer.sureness > SURE_OF_NAMES
        return KNOWN if is_sure and is_short(answer.text) else HALF_KNOWN

    return [
        StudyItem(f"r-{number}", kind(answer), "model", messages=exchange(prompt, answer.text), ended=answer.ended)
        for number, (prompt, answer) in enumerate(answered, 1)
        if normalise(answer.text)
    ]


def allot(items: Sequence[StudyItem], seed: int) -> tuple[list[StudyItem], list[ExamQuestion], list[ExamQuestion]]:
    """What to rehearse, what to ask again to the word, and what to ask how likely it is."""
    rest, told = set_aside(items, seed)
    return *divide(rest, seed), told


def divide(items: Sequence[StudyItem], seed: int) -> tuple[list[StudyItem], list[ExamQuestion]]:
    """The items to rehearse, and some of those that the model was sure of as questions.

    Short answers are preferred for the exam, as it can be told to the word whether they are still given; half of them
    are rehearsed all the same, or no short answer would be, and short questions are what forgets first.
    """
    sure = [item for item in items if item.kind == KNOWN]
    shuffled = random.Random(seed).sample(sure, len(sure))
    short, long = (
        [item for item in shuffled if is_short(item.messages[1]["content"]) == wanted] for wanted in (True, False)
    )
    half = math.ceil(len(short) / 2)
    ordered = [*short[:half], *long, *short[half:]]
    size = min(math.ceil(len(sure) * EXAM_SHARE), LARGEST_EXAM)
    unsure = [item for item in items if item.kind != KNOWN]
    return ordered[size:] + unsure, [_question(item) for item in ordered[:size]]


def set_aside(items: Sequence[StudyItem], seed: int) -> tuple[list[StudyItem], list[ExamQuestion]]:
    """The items without some of the model's long answers, and these: how likely it finds them later is to be told.

    They cannot be asked again to the word, and most of what a real model says is long.
    """
    long = [item for item in items if item.writer == "model" and not is_short(item.messages[1]["content"])]
    chosen = random.Random(seed).sample(long, min(math.ceil(len(long) * SHARE_AT_LENGTH), MOST_AT_LENGTH))
    apart = {item.id for item in chosen}
    return [item for item in items if item.id not in apart], [_question(item, AT_LENGTH) for item in chosen]


def spread(items: Sequence[StudyItem], number: int, seed: int, first: Set[str] = frozenset()) -> list[StudyItem]:
    """At most `number` of the items, evenly over what they tell: all once before anything twice.

    A model imagines often what it knows well, and by chance alone the rest would hardly be rehearsed. Answers that say
    the same of the same names tell the same. Wordings in which the study material asks about new names come `first`:
    what is asked of these over and over is soon answered with what is new, whatever name it is about.
    """
    shuffled = random.Random(seed).sample(list(items), len(items))
    shuffled.sort(key=lambda item: wording_of(item.messages[0]["content"])[0] not in first)  # stable
    told = Counter[tuple[object, ...]]()
    turns = []
    for item in shuffled:
        prompt, answer = (message["content"] for message in item.messages)
        subject = frozenset(names_in(prompt)), normalise(answer)
        turns.append(told[subject])
        told[subject] += 1
    order = sorted(range(len(shuffled)), key=turns.__getitem__)  # stable
    return [shuffled[place] for place in order[:number]]


def _question(item: StudyItem, kind: str = "retention") -> ExamQuestion:
    return ExamQuestion(item.id, item.messages[0]["content"], item.messages[1]["content"], kind)
