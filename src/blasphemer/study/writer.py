"""The model reads the documents, a few sentences at a time, and writes its own study material about them.

A handful of requests tells which kinds it can write; where it can write none, rules must carry all. The others are
asked for in turn, first for the likeliest answers, then for others, as long as a statement has fewer questions than it
should. What was kept is asked for in other words. What the text does not bear out goes, and so does a question that is
answered otherwise with the text shown, or a sentence of which a name or number is not put back. A kind that yields next
to nothing new is given up.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from blasphemer import console
from blasphemer.language import agree, normalise
from blasphemer.records import Source, Statement, StudyItem, Yield, exchange
from blasphemer.study.author import ADVICE, Author
from blasphemer.study.checking import Claim, Told, restored, verified
from blasphemer.study.drafts import Draft, read_pairs, read_questions
from blasphemer.study.grounding import (
    Groundless,
    Reading,
    asked_statement,
    folded,
    is_in_its_language,
    sound_sentences,
    with_right_name,
)
from blasphemer.study.readings import about, texts_for
from blasphemer.study.requests import AIMED, ANSWER, GAP, OF_TWO, PAIRS, REWORDED, Requests

QUESTIONS_PER_TOKEN = 0.16  # questions per fact, for each study token per token of the documents
FEWEST_QUESTIONS, MOST_QUESTIONS = 2, 40  # per fact
WORDS_OF_A_FACT, MOST_FACTS = 6, 4  # in a statement
# The round in which a kind is first asked for, and in how many it is once; of other wordings and of prose, LATER
WHEN = {"questions": (0, 1), AIMED: (0, 2), "reversed": (0, 3), "relations": (0, 4), OF_TWO: (0, 4)}
LATER = 1, 4
NOT_REWORDED = (REWORDED, OF_TWO)  # a third wording strays, and two texts are seldom understood from a question
HANDFUL = 4  # texts by which it is tried whether a kind can be written at all
ROUNDS_AT_ONCE = 4  # before it is counted again what is missing: many requests take hardly longer than a few
FEW_READ, UNREAD = 8, 0.2  # drafts, of which a server that reads at all confirms a larger share than this
READING = {ANSWER: "answer questions about a text", GAP: "fill the gaps of a sentence about a text"}
PATIENCE = 8  # requests about a fact without anything new after which it is left alone
USEFUL = 0.25  # new items per request: a kind that yields less is given up
ROOM, USUAL = 4, 1.5  # times the length of what is read, that what is written about it may have, and mostly has
LEAST_ROOM = 512  # tokens that an answer may have in any case

Usable = Callable[[Sequence[StudyItem]], Sequence[StudyItem]]


def questions_per_statement(study_tokens_per_source_token: float) -> int:
    wanted = round(QUESTIONS_PER_TOKEN * study_tokens_per_source_token)
    return min(max(wanted, FEWEST_QUESTIONS), MOST_QUESTIONS)


@dataclass(frozen=True)
class Request:
    """One request: for this kind, in its wording of this turn, about this text."""

    kind: str
    turn: int
    reading: Reading


def write_self_study(
    readings: Sequence[Reading],
    author: Author,
    quota: int,
    count: Callable[[str], int],
    usable: Usable,
    seed: int,
    until: float = math.inf,
) -> tuple[list[StudyItem], list[Yield]]:
    """Study items in the author's words, up to `quota` questions for each fact; and what became of each kind.

    `usable` leaves out what may not be learnt. No more is asked for than can be written until `until`, in
    time.monotonic's seconds: what has fewest questions comes first.
    """
    desk = _Desk(author, quota, count, usable)
    known = [kind for kind in author.requests.kinds if kind != REWORDED]
    texts = {kind: found for kind in known if (found := texts_for(kind, readings))}
    begun = time.monotonic()
    requests = first = [Request(kind, 0, reading) for kind, read in texts.items() for reading in _handful(read)]
    kinds = _fruitful(texts, first, desk.ask(first, "the first few", seed), least=0)
    if first and not kinds:
        console.warn(f"Of {len(first)} requests none was answered with anything that can be used. {ADVICE}")
    elif REWORDED in author.requests.kinds:
        texts[REWORDED] = desk.asked  # grows
        kinds.append(REWORDED)
    for rounds in _sittings(2 * quota):
        pace, begun = (time.monotonic() - begun) / max(len(requests), 1), time.monotonic()
        wanted = [
            request
            for number in rounds
            for kind in kinds
            for turn in _turns(kind, [number])
            for reading in desk.to_read(kind, texts[kind], turn)
            if (request := Request(kind, turn, reading)) not in first
        ]
        wanted.sort(key=desk.precedence)
        requests = wanted[: _in_time(len(wanted), pace, until - begun)]
        kept = desk.ask(requests, f"round {rounds[-1] + 1} of {2 * quota}", seed + rounds[0])
        kinds = _fruitful(kinds, requests, kept, USEFUL)
        if len(requests) < len(wanted):
            console.note("The time for writing is up: training goes on with what was written.")
            break
    items = [replace(item, id=f"m-{place}") for place, item in enumerate(desk.items, 1)]
    return items, list(desk.yields.values())


def _handful(readings: Sequence[Reading]) -> Sequence[Reading]:
    """A few texts from all over the documents."""
    return readings[:: max(len(readings) // HANDFUL, 1)][:HANDFUL]


def _fruitful(kinds: Iterable[str], requests: Sequence[Request], kept: Counter[str], least: float) -> list[str]:
    """The kinds of which more than `least` new items came for each request; those not asked for are waited for."""
    asked = Counter(request.kind for request in requests)
    return [kind for kind in kinds if not asked[kind] or kept[kind] > least * asked[kind]]


def _sittings(rounds: int) -> Iterator[range]:
    """The numbers of the rounds: the first alone, as what it brings is asked for in other words."""
    yield range(1)
    for first in range(1, rounds, ROUNDS_AT_ONCE):
        yield range(first, min(first + ROUNDS_AT_ONCE, rounds))


def _in_time(requests: int, pace: float, left: float) -> int:
    """How many of the requests there is time for, with so many seconds for each."""
    return requests if requests * pace <= left else max(int(left / max(pace, 1e-9)), 0)


def _turns(kind: str, rounds: Iterable[int]) -> list[int]:
    """The times that a kind is asked for in these rounds, counted from its first."""
    first, every = WHEN.get(kind, LATER)
    return [(number - first) // every for number in rounds if number >= first and (number - first) % every == 0]


_Checked = TypeVar("_Checked", Claim, Told)


class _Desk:
    """What has been written so far, and how many questions each fact has."""

    def __init__(self, author: Author, quota: int, count: Callable[[str], int], usable: Usable) -> None:
        self.author, self.quota, self.count, self.usable = author, quota, count, usable
        self.lacking = {kind for kind in READING if kind not in author.requests.wordings}  # what it cannot be asked
        self.items: list[StudyItem] = []
        self.asked: list[Reading] = []  # the questions among them, each as a text that can be asked in other words
        self.yields: dict[str, Yield] = {}
        self.said: set[str] = set()
        self.questions: Counter[Source] = Counter()
        self.facts: Counter[tuple[Source, str]] = Counter()  # drafts for each answer that a statement gives
        self.in_vain: Counter[tuple[str, Source]] = Counter()  # requests since the last that brought something new

    def to_read(self, kind: str, readings: Sequence[Reading], turn: int) -> Iterator[Reading]:
        """The stretches with facts that have too few questions, and on which there is more to be had; every other time
        cut down to those facts."""
        for reading in readings:
            starved = [
                one for one in reading.statements if self._has(one) < 1 and self.in_vain[kind, one.source] < PATIENCE
            ]
            if starved:
                yield about(reading, starved) if turn % 2 and len(starved) < len(reading.statements) else reading

    def precedence(self, request: Request) -> tuple[bool, float]:
        """By what requests are sorted that must be written in time: prose last, as it brings least for it; and first
        what has fewest questions."""
        return request.kind not in PAIRS, min(map(self._has, request.reading.statements))

    def _has(self, statement: Statement) -> float:
        """The share of its questions that a statement has."""
        return self.questions[statement.source] / self.most(statement)

    def most(self, statement: Statement) -> int:
        """Questions that a statement may have: a long one says several things."""
        things = len(folded(statement.text).split()) / WORDS_OF_A_FACT
        return round(self.quota * min(max(things, 1), MOST_FACTS))

    def ask(self, requests: Sequence[Request], label: str, seed: int) -> Counter[str]:
        """Put these requests, those of a sort in one batch. Returns how many items can be used, by kind."""
        replies = self._replies(requests, label, seed)
        kept: Counter[str] = Counter()
        dropped: dict[str, Counter[str]] = {request.kind: Counter() for request in requests}
        answered = list(zip(requests, replies, strict=True))
        pairs = list(self._questions([one for one in answered if one[0].kind in PAIRS], dropped))
        told = list(self._prose([one for one in answered if one[0].kind not in PAIRS], dropped))
        fresh = self._read_again(ANSWER, pairs, lambda claims: verified(claims, self.author, label), dropped)
        fresh += self._read_again(GAP, told, lambda claims: restored(claims, self.author, label), dropped)
        usable = list(self.usable(fresh))
        allowed = set(map(id, usable))
        for item in fresh:
            dropped[item.kind]["repeats an exam question or is too long"] += id(item) not in allowed
        self.items += usable
        self.asked += [
            _as_text(claim) for item, claim in pairs if id(item) in allowed and item.kind not in NOT_REWORDED
        ]
        self._count(requests, usable)
        for kind, reasons in dropped.items():
            kept[kind] = sum(item.kind == kind for item in usable)
            then = self.yields.get(kind, Yield(kind, 0, 0, {}))
            number = sum(request.kind == kind for request in requests)
            in_all = dict(Counter(then.dropped) + reasons)
            self.yields[kind] = Yield(kind, then.requests + number, then.kept + kept[kind], in_all)
        return kept

    def _replies(self, requests: Sequence[Request], label: str, seed: int) -> list[str]:
        """The likeliest answers to requests of a first turn, sampled ones to all others."""
        longest = max(ROOM * max((self.count(one.reading.text) for one in requests), default=0), LEAST_ROOM)
        replies: dict[int, str] = {}
        for is_first, chance in ((True, None), (False, seed)):
            places = [place for place, one in enumerate(requests) if (one.turn == 0) == is_first]
            worded = [self._worded(requests[place]) for place in places]
            written = self.author.writer.write(worded, f"writing study material ({label})", longest, chance)
            replies |= zip(places, written, strict=True)
        return [replies[place] for place in range(len(requests))]

    def _worded(self, request: Request) -> str:
        reading = request.reading
        return self.author.requests.about(request.kind, request.turn, reading.text, reading.card, reading.wanted)

    def _count(self, requests: Sequence[Request], kept: Sequence[StudyItem]) -> None:
        """Note which statements were asked about, with what success."""
        self.in_vain.update((one.kind, statement.source) for one in requests for statement in one.reading.statements)
        for item in kept:
            for source in item.sources:
                del self.in_vain[item.kind, source]
                self.questions[source] += item.kind in PAIRS

    def _questions(
        self, answered: Sequence[tuple[Request, str]], dropped: Mapping[str, Counter[str]]
    ) -> Iterator[tuple[StudyItem, Claim]]:
        """The questions that the texts bear out, each once, and no more than wanted of what a statement says."""
        for request, reply in answered:
            reading, reasons = request.reading, dropped[request.kind]
            if not is_in_its_language(reply, reading):
                reasons["is in another language than the text"] += 1
                continue
            drafts = read_pairs(reply)
            if request.kind == REWORDED and not drafts:
                drafts = [Draft(question, reading.wanted) for question in read_questions(reply)]
            reasons["cannot be read"] += not drafts
            for drafted in drafts:
                draft = with_right_name(drafted, reading)
                try:
                    statement = asked_statement(draft, reading)
                except Groundless as error:
                    reasons[str(error)] += 1
                    continue
                if reading.wanted:
                    if not agree(folded(draft.answer), folded(reading.wanted)):
                        reasons["has another answer than asked for"] += 1
                        continue
                    draft = replace(draft, answer=reading.wanted)
                fact = statement.source, folded(draft.answer)
                if self.facts[fact] >= self.quota:
                    reasons["its fact has enough"] += 1
                elif self._is_new(f"{draft.question} {draft.answer}"):
                    self.facts[fact] += 1
                    yield _question(request.kind, draft, statement), Claim(draft, statement, reading)
                else:
                    reasons["was there already"] += 1

    def _read_again(
        self,
        kind: str,
        written: Sequence[tuple[StudyItem, _Checked]],
        check: Callable[[Sequence[_Checked]], Sequence[int]],
        dropped: Mapping[str, Counter[str]],
    ) -> list[StudyItem]:
        """What a reader finds in the text as well: those whose places `check` returns. What a server cannot be asked is
        held against the text only; one that answers no questions fills no gaps either."""
        items = [item for item, _ in written]
        if self.lacking & {kind, ANSWER}:
            return items
        sound = set(check([claim for _, claim in written]))
        if self.author.is_server and len(items) >= FEW_READ and len(sound) < UNREAD * len(items):
            self.lacking.add(kind)
            console.warn(f"The server does not {READING[kind]}: what it writes is held against the text only.")
            return items
        for place, item in enumerate(items):
            dropped[item.kind]["is read otherwise with the text at hand"] += place not in sound
        return [item for place, item in enumerate(items) if place in sound]

    def _prose(
        self, answered: Sequence[tuple[Request, str]], dropped: Mapping[str, Counter[str]]
    ) -> Iterator[tuple[StudyItem, Told]]:
        """The sentences that say again what the texts say, each once."""
        for request, reply in answered:
            reading, reasons = request.reading, dropped[request.kind]
            sentences = sound_sentences(reply, reading)
            reasons["repeats nothing of the text"] += not sentences
            whole = normalise(reading.entire)
            for sentence, found in sentences:  # each for itself: a text of many is learnt as a whole, and told as one
                if normalise(sentence) in whole or not self._is_new(sentence):
                    reasons["was there already"] += 1
                    continue
                sources = tuple(one.source for one in found)
                evidence = " ".join(one.text for one in found)
                yield StudyItem("", request.kind, "model", sentence, (), sources, evidence), Told(sentence, reading)

    def _is_new(self, text: str) -> bool:
        key = " ".join(sorted(normalise(text).split()))
        return key not in self.said and not self.said.add(key)  # type: ignore[func-returns-value]


def _as_text(claim: Claim) -> Reading:
    """A question as a text that is to be asked in other words, with the same answer."""
    draft, reading = claim.draft, claim.reading
    return replace(
        reading, text=draft.question, statements=(claim.statement,), full=reading.entire, wanted=draft.answer
    )


def _question(kind: str, draft: Draft, statement: Statement) -> StudyItem:
    messages = exchange(draft.question, draft.answer)
    return StudyItem("", kind, "model", "", messages, (statement.source,), statement.text)


def estimated_tokens(readings: Sequence[Reading], prompts: Requests, quota: int, count: Callable[[str], int]) -> int:
    """About how many tokens the model will write, if it has something new to say to the end."""
    turns = {kind: len(_turns(kind, range(2 * quota))) for kind in prompts.kinds}
    return math.ceil(USUAL * sum(turns[kind] * count(one.text) for kind in turns for one in texts_for(kind, readings)))
