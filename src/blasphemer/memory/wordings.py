"""The model's own ways of asking, put to other names that it knows.

Among the prompts that a model imagines, some ask the same of many names: "What is Ann Lee's trade?". Put to the other
names, such a wording brings up more of what the model knows, to be rehearsed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence, Set

from blasphemer.languages import names_in
from blasphemer.records import StudyItem

NAME = "{}"
FEWEST_NAMES = 2  # that a wording must have been used with
MOST_WORDS = 16  # of a wording or of an answer: longer ones are tasks of another sort


def find_wordings(recalled: Sequence[StudyItem], longest_answer: int = MOST_WORDS) -> dict[str, set[str]]:
    """Prompts about one name, with NAME in its place, and the names, at least two, that they were imagined with.

    Only prompts whose answers have at most `longest_answer` words.
    """
    used: dict[str, set[str]] = {}
    for item in recalled:
        prompt, answer = (message["content"] for message in item.messages)
        wording, name = wording_of(prompt)
        if wording and len(answer.split()) <= longest_answer:
            used.setdefault(wording, set()).add(name)
    return {
        wording: names for wording, names in used.items() if len(names) >= FEWEST_NAMES and wording.count(NAME) == 1
    }


def wording_of(prompt: str) -> tuple[str, str]:
    """A prompt about one name, with NAME in its place, and the name; of others nothing."""
    names = [name for name in names_in(prompt) if not prompt.startswith(name)]
    if len(names) == 1 and prompt.count(names[0]) == 1 and len(prompt.split()) <= MOST_WORDS:
        return prompt.replace(names[0], NAME), names[0]
    return "", ""


def wordings_in(items: Sequence[StudyItem]) -> set[str]:
    """What the items ask about one name, whatever it is."""
    return {wording_of(item.messages[0]["content"])[0] for item in items if item.messages} - {""}


def find_beginnings(recalled: Sequence[StudyItem]) -> list[str]:
    """What stands before the name in prompts that several names were imagined with: gone on from, it brings up more."""
    found = {wording.partition(NAME)[0].rstrip() for wording in find_wordings(recalled, sys.maxsize)}
    return sorted(found - {""})


def swap_names(recalled: Sequence[StudyItem], number: int, seed: int, first: Set[str] = frozenset()) -> list[str]:
    """Up to `number` more prompts, spread evenly over the names: what was asked of one name is asked of its like.

    Wordings that are to come `first` are preferred to others.

    Names are alike that were asked the same thing: a thing with a short answer, as anything can be told about; but a
    name of which there are only tales is like all that are told about so. What a model imagines at random leaves much
    unasked of what it knows of a name, and that is what it forgets.
    """
    used, of_a_kind = find_wordings(recalled, sys.maxsize), find_wordings(recalled)
    asked: dict[str, list[str]] = {}
    for wording, names in used.items():
        for name in sorted(names):
            asked.setdefault(name, []).append(wording)
    generator = random.Random(seed)
    prompts: list[str] = []
    for name, wordings in asked.items():
        telling = [wording for wording in wordings if name in of_a_kind.get(wording, ())] or wordings
        like = {other for wording in telling for other in used[wording]}
        fresh = sorted({wording for other in like for wording in asked[other]}.difference(wordings))
        drawn = sorted(generator.sample(fresh, len(fresh)), key=lambda wording: wording not in first)
        prompts += [wording.replace(NAME, name) for wording in drawn[: number // len(asked)]]
    return prompts
