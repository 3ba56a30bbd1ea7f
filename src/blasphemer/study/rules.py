"""Passage -> StudyItems, written by rule: the passage itself, and its facts in many orders, views and forms of asking.

One reading of a text teaches a model little; the same facts in many forms, spread evenly over the facts, teach it.
Every item says where it comes from. Exam questions have wordings of their own, which are not used here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from blasphemer.dataset_processor import Fact, Gap
from blasphemer.language import spoken
from blasphemer.records import Passage, Source, StudyItem, exchange

LARGEST_GROUP = 8  # sentences retold together
FORMS = ("cloze", "completion", "cloze", "reversed")  # of asking, in turn
FEW_QUESTIONS = 2  # of the model's own on a fact: with fewer, rules must teach it
PATIENCE = 3  # rounds without anything new after which there is nothing left to say

BLANKS = (
    "Fill in the blank: {before}____{after}",
    "Which words are missing? {before}____{after}",
    "{before}____{after} What belongs in the gap?",
    "Complete this statement with the missing words: {before}...{after}",
)
BEGINNINGS = (
    "Complete the sentence: {before}",
    "How does this sentence go on? {before}",
    "Continue: {before}",
    "Finish this: {before}...",
)
REVERSED = (
    "Fill in the name: {before}____{after}",
    "Who or what is meant? {before}____{after}",
    'Whom or what does this describe? "{before}____{after}"',
)
ABOUT = (
    "Tell me about {subject}.",
    "What do you know about {subject}?",
    "What do the documents say about {subject}?",
    "Describe {subject}.",
)
ONE_THING = (
    "Tell me one thing about {subject}.",
    "Say something about {subject}.",
    "Name a fact about {subject}.",
)


def write_study(
    passages: Sequence[Passage],
    facts: Sequence[Fact],
    budget: float,
    longest: int,
    count: Callable[[str], int],
    seed: int,
    written: Callable[[int], None] = lambda _: None,
) -> list[StudyItem]:
    """Study items of about `budget` tokens in all, by `count`, no two with the same text and none over `longest`.

    Each passage comes once as it stands; then rounds follow, each of which retells every group of facts in another
    order and asks for every fact in another way, until the budget is spent or nothing new is left to say. `written` is
    told the tokens of each item.
    """
    generator = random.Random(seed)
    items = {item.content: item for item in map(_passage_item, passages)}
    spent = sum(count(text) for text in items)
    groups = grouped(facts, longest, {fact.statement: count(fact.statement) for fact in facts})
    stale = number = 0
    while spent < budget and stale < PATIENCE and facts:
        stale += 1
        for item in _round(facts, groups, number, generator):
            if item.content not in items and (tokens := count(item.content)) <= longest:
                stale = 0
                items[item.content] = item
                spent += tokens
                written(tokens)
        number += 1
    return [replace(item, id=f"s-{number}") for number, item in enumerate(items.values(), 1)]


def asked_about(own: Sequence[StudyItem]) -> set[Source]:
    """The facts that the model itself has asked about often enough."""
    asked = Counter(source for item in own if item.messages for source in item.sources)
    return {source for source, questions in asked.items() if questions >= FEW_QUESTIONS}


def about_others(items: Sequence[StudyItem], asked: set[Source]) -> list[StudyItem]:
    """The items that teach none of these facts: what the model asked itself teaches more with each token."""
    return [item for item in items if asked.isdisjoint(item.sources)]


def ask_for_names(own: Sequence[StudyItem], facts: Sequence[Fact], asked: set[Source]) -> list[StudyItem]:
    """Questions for the name of what a fact is about, where the model asked, but for no name. That direction has to be
    learnt as well: who can say what Ann Lee owns does not know yet whose it is."""
    named = {source for item in own if item.kind == "reversed" for source in item.sources}
    found = [
        _item("reversed", [fact], request, spoken(fact.subject))
        for fact in facts
        if fact.source in asked - named and fact.subject and fact.subject in fact.statement
        for request in list(_reversed(fact))[:FEW_QUESTIONS]
    ]
    return [replace(item, id=f"n-{number}") for number, item in enumerate(found, 1)]


def _round(
    facts: Sequence[Fact], groups: Sequence[Sequence[Fact]], number: int, generator: random.Random
) -> Iterator[StudyItem]:
    for group in groups:
        yield _retold(group, generator)
        if group[0].subject:
            yield _about(group, number, generator)
    for fact in facts:
        yield from _asked(fact, number, generator)
    yield from _mixed(facts, generator)


def grouped(facts: Sequence[Fact], longest: int, tokens: dict[str, int]) -> list[list[Fact]]:
    """Facts of one passage about one subject, or, where no subject is known, of one paragraph; cut where too long."""
    groups: dict[tuple[str, str | int, int], list[Fact]] = {}
    part = spent = 0
    for fact in facts:
        key = fact.passage.id, fact.subject or fact.block
        group = groups.get((*key, part), [])
        spent = spent + tokens[fact.statement] if group else tokens[fact.statement]
        if group and (len(group) == LARGEST_GROUP or spent > longest):
            part, spent = part + 1, tokens[fact.statement]
        groups.setdefault((*key, part), []).append(fact)
    return list(groups.values())


# --- the kinds of items ----------------------------------------------------------------------------------------------


def _passage_item(passage: Passage) -> StudyItem:
    text = f"From {passage.source}:\n\n{passage.text}"
    sources = (Source(passage.id, passage.start, passage.end),)
    return StudyItem("", "passage", "rules", text, sources=sources, evidence=passage.text)


def _retold(group: Sequence[Fact], generator: random.Random) -> StudyItem:
    """Some or all sentences of a group in another order, as plain text."""
    chosen = _some(group, generator)
    text = " ".join(fact.statement for fact in chosen)
    return _item("retold", chosen, text=f"From {chosen[0].passage.file}: {text}" if generator.random() < 0.3 else text)


def _mixed(facts: Sequence[Fact], generator: random.Random) -> Iterator[StudyItem]:
    """Sentences about different subjects side by side: which belongs to whom must be known from the names."""
    shuffled = generator.sample(list(facts), len(facts))
    for start in range(0, len(shuffled) - 2, 3):
        chosen = shuffled[start : start + 3]
        yield _item("mixed", chosen, text=" ".join(fact.statement for fact in chosen))


def _about(group: Sequence[Fact], number: int, generator: random.Random) -> StudyItem:
    """Everything about a subject, or one thing, when asked for it."""
    if number % 2:
        chosen, request = [generator.choice(group)], generator.choice(ONE_THING)
    else:
        chosen, request = generator.sample(list(group), len(group)), generator.choice(ABOUT)
    request = request.format(subject=group[0].subject)
    return _item("about", chosen, request, " ".join(fact.statement for fact in chosen))


def _asked(fact: Fact, number: int, generator: random.Random) -> Iterator[StudyItem]:
    """One question for a fact: the forms take turns, the first at the best gap, the others at each in turn."""
    if not fact.gaps:
        return
    gaps = fact.worth_asking
    turn, place = divmod(number, len(FORMS))
    gap = gaps[(turn + place) % len(gaps)] if place else gaps[0]
    before, missing, after = fact.asked_at(gap)
    form = FORMS[place]
    if form == "cloze":
        yield _item(form, [fact], generator.choice(BLANKS).format(before=before, after=after), spoken(missing))
    elif form == "completion" and _words_before(fact, gap):
        beginning = generator.choice(BEGINNINGS).format(before=before.rstrip())
        yield _item(form, [fact], beginning, fact.statement)
    elif form == "reversed" and fact.subject and fact.subject in fact.statement:
        yield _item(form, [fact], generator.choice(list(_reversed(fact))), spoken(fact.subject))


def _reversed(fact: Fact) -> Iterator[str]:
    """Requests for the name that the sentence is about: as people ask where that can be said, else with a gap."""
    before, _, after = fact.statement.partition(fact.subject)
    question = after.rstrip(" .!;:")
    if question.startswith(("'s ", "’s ")) and not before:
        yield f"Whose{question[2:]}?"
    elif not before:
        yield f"Which one{question}?"
    elif question.startswith(("'s ", "’s ")):
        yield f"{before}whose{question[2:]}?"
    else:
        yield f"{before}whom or what{question}?"
    for form in REVERSED:
        yield form.format(before=before, after=after)


def _words_before(fact: Fact, gap: Gap) -> bool:
    return len(fact.statement[: gap.start].split()) > max(len(fact.subject.split()), 1)


def _some(group: Sequence[Fact], generator: random.Random) -> list[Fact]:
    return generator.sample(list(group), len(group) if generator.random() < 0.5 else generator.randint(1, len(group)))


def _item(kind: str, facts: Sequence[Fact], request: str = "", answer: str = "", text: str = "") -> StudyItem:
    messages = exchange(request, answer) if request else ()
    sources = tuple(fact.source for fact in facts)
    return StudyItem("", kind, "rules", text, messages, sources, " ".join(fact.evidence for fact in facts))
