"""The model's own ways of asking, put to other names: to those that it knows, and to the subjects of the documents.

Among the prompts that a model imagines, some ask the same of many names: "What is Ann Lee's trade?". Put to the other
names, such a wording brings up more of what the model knows, to be rehearsed. Put to a subject of the documents, it
asks for one of its facts; for which one, the model itself tells: untrained, it finds the answer of the right kind
likelier than the others. What is learnt in these words comes when asked in such words.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence

from blasphemer.facts import Fact, names_in
from blasphemer.records import StudyItem, exchange
from blasphemer.study import spoken

NAME = "{}"
FEWEST_NAMES = 2  # that a wording must have been used with
MOST_WORDS = 16  # of a wording or of an answer: longer ones are tasks of another sort
PER_SUBJECT = 40  # wordings tried
CLEAR = 0.9  # share of the likelihood that the best answer must have
GAIN = 5.0  # nats by which it must be likelier than to other wordings: else the subject has no such fact

Likelihoods = Callable[[Sequence[tuple[str, str]]], list[float]]


def find_wordings(recalled: Sequence[StudyItem], longest_answer: int = MOST_WORDS) -> dict[str, set[str]]:
    """Prompts about one name, with NAME in its place, and the names, at least two, that they were imagined with.

    Only prompts whose answers have at most `longest_answer` words.
    """
    used: dict[str, set[str]] = {}
    for item in recalled:
        prompt, answer = (message["content"] for message in item.messages)
        names = [name for name in names_in(prompt) if not prompt.startswith(name)]
        if (
            len(names) == 1
            and prompt.count(names[0]) == 1
            and len(prompt.split()) <= MOST_WORDS
            and len(answer.split()) <= longest_answer
        ):
            used.setdefault(prompt.replace(names[0], NAME), set()).add(names[0])
    return {
        wording: names for wording, names in used.items() if len(names) >= FEWEST_NAMES and wording.count(NAME) == 1
    }


def find_beginnings(recalled: Sequence[StudyItem]) -> list[str]:
    """What stands before the name in prompts that several names were imagined with: gone on from, it brings up more."""
    found = {wording.partition(NAME)[0].rstrip() for wording in find_wordings(recalled, sys.maxsize)}
    return sorted(found - {""})


def swap_names(recalled: Sequence[StudyItem], number: int, seed: int) -> list[str]:
    """Up to `number` more prompts, spread evenly over the names: what was asked of one name is asked of its like.

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
        chosen = generator.sample(fresh, min(number // len(asked), len(fresh)))
        prompts += [wording.replace(NAME, name) for wording in chosen]
    return prompts


def borrow(wordings: Sequence[str], facts: Sequence[Fact], likelihoods: Likelihoods, seed: int) -> list[StudyItem]:
    """Questions about the facts' subjects in these wordings, each with the answer that is clearly the likeliest.

    `likelihoods(pairs)` gives the log-probability of each (prompt, answer) by the untrained model.
    """
    generator = random.Random(seed)
    answers: dict[str, dict[str, Fact]] = {}
    for fact in facts:
        if fact.subject and fact.gaps:
            answers.setdefault(fact.subject, {}).setdefault(spoken(fact.asked_at(fact.gaps[0])[1]), fact)
    tried = {
        subject: generator.sample(list(wordings), min(PER_SUBJECT, len(wordings)))
        for subject, known in answers.items()
        if len(known) > 1
    }
    asked = {subject: [wording.replace(NAME, subject) for wording in chosen] for subject, chosen in tried.items()}
    pairs = [(question, answer) for subject in asked for question in asked[subject] for answer in answers[subject]]
    found = iter(likelihoods(pairs))
    items: list[StudyItem] = []
    for subject, questions in asked.items():
        known = list(answers[subject].items())
        table = [[next(found) for _ in known] for _ in questions]
        usual = [sum(column) / len(questions) for column in zip(*table, strict=True)]
        for question, likely in zip(questions, table, strict=True):
            if (best := _clearly_best(likely, usual)) is not None:
                items.append(_item(len(items) + 1, question, *known[best]))
    return items


def _clearly_best(likely: Sequence[float], usual: Sequence[float]) -> int | None:
    """Which answer is much likelier to this wording than to others? Some are likely, or unlikely, whatever is asked."""
    gains = [one - other for one, other in zip(likely, usual, strict=True)]
    best = max(range(len(gains)), key=gains.__getitem__)
    total = sum(math.exp(gain - gains[best]) for gain in gains)
    return best if gains[best] >= GAIN and 1 / total >= CLEAR else None


def _item(number: int, question: str, answer: str, fact: Fact) -> StudyItem:
    sources = (fact.source,)
    return StudyItem(f"w-{number}", "question", "model", "", exchange(question, answer), sources, fact.evidence)
