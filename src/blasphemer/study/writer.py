"""The model reads the documents, a few sentences at a time, and writes its own study material about them.

It is asked for every kind in turn, first for its best, then for others, as long as a fact has fewer questions than it
should. What the text does not bear out goes, and so does a question that the model answers otherwise with the text
before it. A kind that yields next to nothing new is given up; where none yields anything, rules must carry it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from blasphemer import console
from blasphemer.dataset_processor import Fact
from blasphemer.language import agree, normalise
from blasphemer.records import Source, StudyItem, Yield, exchange
from blasphemer.study.grounding import Draft, Groundless, asked_fact, read_pairs, sound_sentences
from blasphemer.study.requests import OF_TWO, PAIRS, Requests
from blasphemer.study.rules import grouped
from blasphemer.workspace import Journal

MOST_READ = 256  # tokens of a text that is read at once
QUESTIONS_PER_TOKEN = 0.16  # questions per fact, for each study token per token of the documents
FEWEST_QUESTIONS, MOST_QUESTIONS = 2, 40  # per fact
EVERY = {"questions": 1, "reversed": 3}  # rounds between requests; of all other kinds OTHERS
OTHERS = 4
ROUNDS_AT_ONCE = 4  # before it is counted again what is missing: many requests take hardly longer than a few
PATIENCE = 4  # requests about a fact without anything new after which it is left alone
USEFUL = 0.25  # new items per request: a kind that yields less is given up
ROOM, USUAL = 4, 1.5  # times the length of what is read, that what is written about it may have, and mostly has

Usable = Callable[[Sequence[StudyItem]], Sequence[StudyItem]]


class Writer(Protocol):
    """What answers requests, so many at once: the loaded model, or a server."""

    @property
    def at_once(self) -> int: ...

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        """The answers, in order, of at most `longest` tokens; likeliest first without a seed, else sampled."""


@dataclass
class Recorded:
    """A writer whose answers are kept on disk as they come, so that none is asked for twice."""

    writer: Writer
    journal: Journal

    @property
    def at_once(self) -> int:
        return self.writer.at_once

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        answers: list[str] = []
        with console.progress(label, len(prompts)) as advance:
            for start in range(0, len(prompts), self.at_once):
                batch, drawn = prompts[start : start + self.at_once], None if seed is None else seed * 1000 + start
                answers += self.journal.recall(
                    [*batch, longest, drawn], partial(self.writer.write, batch, "", longest, drawn)
                )
                advance(len(batch))
        return answers


@dataclass(frozen=True)
class Reading:
    """A stretch of a document that is read at once, and the facts in it."""

    text: str
    facts: tuple[Fact, ...]

    def about(self, facts: Sequence[Fact]) -> Reading:
        """The same, cut down to sentences on some of its facts, each of which can stand alone."""
        return Reading(" ".join(fact.statement for fact in facts), tuple(facts))


def find_readings(facts: Sequence[Fact], count: Callable[[str], int]) -> list[Reading]:
    """Every fact in one stretch of text: those about one subject, as they stand in the document."""
    groups = grouped(facts, MOST_READ, {fact.statement: count(fact.statement) for fact in facts})
    return [Reading(_as_it_stands(group), tuple(group)) for group in groups]


def _as_it_stands(facts: Sequence[Fact]) -> str:
    """The document from the first of the facts to the last, below the name of what it is about."""
    passage, subject = facts[0].passage, facts[0].subject
    start, end = min(fact.start for fact in facts), max(fact.end for fact in facts)
    text = passage.text[max(start - passage.start, 0) : end - passage.start].strip()
    return text if subject.casefold() in text.casefold() else f"{subject}\n\n{text}"


def questions_per_fact(study_tokens_per_source_token: float) -> int:
    wanted = round(QUESTIONS_PER_TOKEN * study_tokens_per_source_token)
    return min(max(wanted, FEWEST_QUESTIONS), MOST_QUESTIONS)


def write_self_study(
    readings: Sequence[Reading],
    prompts: Requests,
    writer: Writer,
    quota: int,
    count: Callable[[str], int],
    usable: Usable,
    seed: int,
) -> tuple[list[StudyItem], list[Yield]]:
    """Study items in the model's words, up to `quota` questions for each fact; and what became of each kind.

    `usable` leaves out what may not be learnt.
    """
    desk = _Desk(writer, prompts, quota, count, usable)
    kinds = prompts.kinds
    for rounds in _sittings(2 * quota):
        for kind in list(kinds):
            texts = _pairs(readings) if kind == OF_TWO else readings
            requests = [
                (prompts.about(kind, turn, reading.text), reading)
                for turn in _turns(kind, rounds)
                for reading in desk.to_read(kind, texts, turn)
            ]
            label = f"round {rounds[-1] + 1} of {2 * quota}"
            kept = desk.ask(kind, requests, label, seed + rounds[0] if rounds[0] else None)
            if kept < USEFUL * len(requests):
                kinds.remove(kind)
    items = [replace(item, id=f"m-{place}") for place, item in enumerate(desk.items, 1)]
    return items, list(desk.yields.values())


def _sittings(rounds: int) -> Iterator[range]:
    """The numbers of the rounds: the first alone, as it tells which kinds are worth asking for."""
    yield range(1)
    for first in range(1, rounds, ROUNDS_AT_ONCE):
        yield range(first, min(first + ROUNDS_AT_ONCE, rounds))


def _turns(kind: str, rounds: range) -> list[int]:
    """The times that a kind is asked for in these rounds, counted from its first."""
    every = EVERY.get(kind, OTHERS)
    return [number // every for number in rounds if number % every == 0]


def _pairs(readings: Sequence[Reading]) -> list[Reading]:
    """Two stretches about the same thing, in different passages, as one."""
    first: dict[str, Reading] = {}
    found = []
    for reading in readings:
        subject = reading.facts[0].subject
        other = first.setdefault(subject, reading)
        if subject and other.facts[0].passage.id != reading.facts[0].passage.id:
            found.append(Reading(f"{other.text}\n\n{reading.text}", other.facts + reading.facts))
    return found


class _Desk:
    """What has been written so far, and how many questions each fact has."""

    def __init__(
        self, writer: Writer, prompts: Requests, quota: int, count: Callable[[str], int], usable: Usable
    ) -> None:
        self.writer, self.prompts, self.quota, self.count, self.usable = writer, prompts, quota, count, usable
        self.items: list[StudyItem] = []
        self.yields: dict[str, Yield] = {}
        self.said: set[str] = set()
        self.questions: Counter[Source] = Counter()
        self.in_vain: Counter[tuple[str, Source]] = Counter()  # requests since the last that brought something new

    def to_read(self, kind: str, readings: Sequence[Reading], turn: int) -> Iterator[Reading]:
        """The stretches with facts that have too few questions, and on which there is more to be had; every other time
        cut down to those facts."""
        for reading in readings:
            starved = [
                fact
                for fact in reading.facts
                if self.questions[fact.source] < self.quota and self.in_vain[kind, fact.source] < PATIENCE
            ]
            if starved:
                yield reading.about(starved) if turn % 2 else reading

    def ask(self, kind: str, requests: Sequence[tuple[str, Reading]], label: str, seed: int | None) -> int:
        """Put these requests for one kind, each about its text. Returns how many items can be used."""
        readings = [reading for _, reading in requests]
        replies = self.writer.write(
            [request for request, _ in requests],
            f"writing study material ({kind}, {label})",
            ROOM * max((self.count(reading.text) for reading in readings), default=0),
            seed,
        )
        answered = list(zip(readings, replies, strict=True))
        dropped: Counter[str] = Counter()
        if kind in PAIRS:
            fresh = self._asked_again(list(self._questions(kind, answered, dropped)), dropped, label)
        else:
            fresh = list(self._prose(kind, answered, dropped))
        kept = list(self.usable(fresh))
        dropped["repeats an exam question or is too long"] += len(fresh) - len(kept)
        self.items += kept
        self.in_vain.update((kind, fact.source) for reading in readings for fact in reading.facts)
        for source in {source for item in kept for source in item.sources}:
            del self.in_vain[kind, source]
        self.questions.update(source for item in kept if kind in PAIRS for source in item.sources)
        then = self.yields.get(kind, Yield(kind, 0, 0, {}))
        counts = Counter(then.dropped) + dropped
        self.yields[kind] = Yield(kind, then.requests + len(readings), then.kept + len(kept), dict(counts))
        return len(kept)

    def _questions(
        self, kind: str, answered: Sequence[tuple[Reading, str]], dropped: Counter[str]
    ) -> Iterator[tuple[StudyItem, Reading]]:
        """The questions that the texts bear out, each once, and no more than wanted of a fact."""
        planned: Counter[Source] = Counter()
        for reading, reply in answered:
            drafts = read_pairs(reply)
            dropped["cannot be read"] += not drafts
            for draft in drafts:
                try:
                    fact = asked_fact(draft, reading.text, reading.facts)
                except Groundless as error:
                    dropped[str(error)] += 1
                    continue
                source = fact.source
                if self.questions[source] + planned[source] >= self.quota:
                    dropped["its fact has enough"] += 1
                elif self._is_new(f"{draft.question} {draft.answer}"):
                    planned[source] += 1
                    yield _question(kind, draft, fact), reading
                else:
                    dropped["was there already"] += 1

    def _asked_again(
        self, written: Sequence[tuple[StudyItem, Reading]], dropped: Counter[str], label: str
    ) -> list[StudyItem]:
        """Those questions that are answered in the same way with the text before them.

        A weak reader overlooks in a long text what it finds in a short one: when it answers with what is not in the
        text at all, the sentence that bears the question out must do.
        """
        confirmed, answers = [], self._read_for([(item, reading.text) for item, reading in written], label)
        overlooked = []
        for (item, reading), answer in zip(written, answers, strict=True):
            if _is_answer(item, answer):
                confirmed.append(item)
            elif normalise(answer) not in normalise(reading.text):
                overlooked.append((item, reading.about([f for f in reading.facts if f.source in item.sources]).text))
        answers = self._read_for(overlooked, label)
        confirmed += [item for (item, _), answer in zip(overlooked, answers, strict=True) if _is_answer(item, answer)]
        dropped["is answered otherwise with the text at hand"] += len(written) - len(confirmed)
        return confirmed

    def _read_for(self, questions: Sequence[tuple[StudyItem, str]], label: str) -> list[str]:
        """The likeliest answers to questions, each with a text to read."""
        return self.writer.write(
            [self.prompts.with_text(text, item.messages[0]["content"]) for item, text in questions],
            f"checking it against the text ({label})",
            max((self.count(item.messages[1]["content"]) for item, _ in questions), default=0) + 16,
            None,
        )

    def _prose(self, kind: str, answered: Sequence[tuple[Reading, str]], dropped: Counter[str]) -> Iterator[StudyItem]:
        for reading, reply in answered:
            text, facts = sound_sentences(reply, reading.text, reading.facts)
            if not facts:
                dropped["repeats nothing of the text"] += 1
            elif normalise(text) == normalise(reading.text) or not self._is_new(text):
                dropped["was there already"] += 1
            else:
                sources = tuple(fact.source for fact in facts)
                yield StudyItem("", kind, "model", text, (), sources, " ".join(fact.evidence for fact in facts))

    def _is_new(self, text: str) -> bool:
        key = " ".join(sorted(normalise(text).split()))
        return key not in self.said and not self.said.add(key)  # type: ignore[func-returns-value]


def _is_answer(item: StudyItem, answer: str) -> bool:
    return agree(normalise(answer), normalise(item.messages[1]["content"]))


def _question(kind: str, draft: Draft, fact: Fact) -> StudyItem:
    messages = exchange(draft.question, draft.answer)
    return StudyItem("", kind, "model", "", messages, (fact.source,), fact.evidence)


def estimated_tokens(readings: Sequence[Reading], prompts: Requests, quota: int, count: Callable[[str], int]) -> int:
    """About how many tokens the model will write, if it has something new to say to the end."""
    requests = sum(len(_turns(kind, range(2 * quota))) for kind in prompts.kinds)
    return math.ceil(USUAL * requests * sum(count(reading.text) for reading in readings))
