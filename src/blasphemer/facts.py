"""Passage -> Facts, by rule: sentences made to stand alone, and in each the words worth asking for.

What a sentence is about is read from its heading or its first name; pronouns and short names are written out, so that
the sentence can be asked for without its passage. What is worth asking for are numbers, names, and the words that are
rare in these documents: in a collection of entries the frame repeats and the values do not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blasphemer.language import BULLET, FENCE, HEADING, WORD, Span, paragraph_spans, sentence_spans
from blasphemer.records import Passage

MOST_SUBJECT_WORDS = 6
MOST_ANSWER_WORDS = 4
MOST_TITLE_WORDS = 8
NEAR = 0.35  # difference in rarity under which two neighbouring words are asked for together

_PRONOUNS = frozenset({"he", "she", "it", "they"})
_POSSESSIVES = frozenset({"his", "her", "its", "their"})
_JOINERS = frozenset("of the de la le du da di von van der den and's".split())
_VERBS = frozenset("is are was were has had can will did does lives lived works worked".split())
_STOPWORDS = frozenset(
    "a an the and or but nor so yet if then than that this these those there here of to in on at by for from with "
    "without into onto upon over under above below between among through during before after since until against "
    "about as like is are was were be been being am do does did done doing has have had having can could may "
    "might must shall should will would not no only also too very more most much many some any each every all "
    "both few other another such same own it its he she they them his her their him we us our you your i my me "
    "who whom whose which what when where why how one two first while because though although however therefore "
    "thus called known named made".split()
)


@dataclass(frozen=True)
class Gap:
    """The words of a statement that can be asked for: `statement[start:end]`."""

    start: int
    end: int
    rarity: float


@dataclass(frozen=True)
class Fact:
    """A sentence that stands on its own. `start` and `end` are the characters of the document it was read from.

    `subject` is what it is about ("" if unknown), `block` numbers its paragraph within the passage; `gaps` are in
    order of worth, none of them in the subject.
    """

    passage: Passage
    block: int
    subject: str
    statement: str
    evidence: str
    start: int
    end: int
    gaps: tuple[Gap, ...] = ()

    def asked_at(self, gap: Gap) -> tuple[str, str, str]:
        """The words before the gap, in it, and after it."""
        return self.statement[: gap.start], self.statement[gap.start : gap.end], self.statement[gap.end :]


def find_facts(passages: Sequence[Passage]) -> list[Fact]:
    """Every sentence of the passages that says something, in order. A sentence repeated by an overlap is taken once."""
    found = {(fact.passage.file, fact.start): fact for passage in reversed(passages) for fact in _sentences(passage)}
    facts = sorted(found.values(), key=lambda fact: (passages.index(fact.passage), fact.start))
    rarity = _rarity([fact.statement for fact in facts])
    return [_with_gaps(fact, rarity) for fact in facts]


def _sentences(passage: Passage) -> Iterator[Fact]:
    fences = [match.span() for match in FENCE.finditer(passage.text)]
    english = _is_english(passage.text)
    section = passage.heading.split(" / ")[-1]
    for block, (start, end) in enumerate(paragraph_spans(passage.text)):
        text = passage.text[start:end]
        if heading := _title(text):
            section = heading
            continue
        if text.startswith("|") or any(left <= start < right for left, right in fences):
            continue  # tables and code are studied as they stand, not sentence by sentence
        subject = topic = section if _is_topic(section, text) else ""
        for left, right in sentence_spans(text):
            evidence = text[left:right]
            item = BULLET.match(evidence)
            sentence = re.sub(r"\s+", " ", evidence[item.end() :] if item else evidence)
            subject = _subject_of(sentence, subject)
            named = _standing_alone(sentence, subject, tag=bool(item) or subject == topic or not english)
            if len(WORD.findall(named)) > 1:
                begin = passage.start + start + left
                yield Fact(passage, block, subject, named, evidence, begin, begin + right - left)


def _title(text: str) -> str:
    """The title that a heading line, or a short line without a full stop, gives to what follows it; else ""."""
    if heading := HEADING.fullmatch(text):
        return heading.group(2)
    is_line = "\n" not in text and len(text.split()) <= MOST_TITLE_WORDS and not BULLET.match(text)
    return text if is_line and text[-1].isalnum() and text[0].isupper() else ""


def _is_topic(section: str, text: str) -> bool:
    """Does the paragraph speak of what its heading names?"""
    names = {word.casefold() for word in WORD.findall(section)} - _STOPWORDS
    opening = [word.casefold() for word in WORD.findall(text)[:12]]
    refers = bool(opening) and opening[0] in _PRONOUNS | _POSSESSIVES
    return bool(names) and (refers or bool(BULLET.match(text)) or names <= set(opening))


def _is_english(text: str) -> bool:
    found = [word.casefold() for word in WORD.findall(text)]
    return sum(word in _STOPWORDS for word in found) > 0.2 * len(found)


def _subject_of(sentence: str, current: str) -> str:
    """The name a sentence begins with, unless it is a short form of the current subject, or no name at all."""
    name = _leading_name(sentence)
    return current if not name or _is_part(name, current) else name


def _leading_name(sentence: str) -> str:
    """The run of capitalised words at the start ("The Lantern of Orm was ..." -> "The Lantern of Orm")."""
    taken: list[re.Match[str]] = []
    for match in WORD.finditer(sentence):
        word = match.group()
        joins = word.casefold() in _JOINERS and taken
        if not (word[0].isupper() or joins) or (taken and sentence[taken[-1].end() : match.start()] != " "):
            break
        taken.append(match)
    while taken and taken[-1].group().casefold() in _JOINERS:
        taken.pop()
    meaningful = [match for match in taken if match.group().casefold() not in _STOPWORDS]
    if not meaningful or len(taken) > MOST_SUBJECT_WORDS:
        return ""
    if len(meaningful) == 1 and not _is_followed_by_verb(sentence[taken[-1].end() :]):
        return ""  # every sentence begins with a capital: one such word alone is no name
    return re.sub(r"['’]s$", "", sentence[taken[0].start() : taken[-1].end()])


def _is_followed_by_verb(rest: str) -> bool:
    following = WORD.match(rest.lstrip())
    return bool(following) and following.group().casefold() in _VERBS  # type: ignore[union-attr]


def _is_part(name: str, subject: str) -> bool:
    whole = {word.casefold() for word in WORD.findall(subject)} - _STOPWORDS
    part = {word.casefold() for word in WORD.findall(name)}
    return bool(part) and part <= whole


def _standing_alone(sentence: str, subject: str, tag: bool) -> str:
    """The sentence with its subject written out; `tag` sets it in front where the sentence has no place for it."""
    first = WORD.match(sentence)
    if not subject or first is None or subject.casefold() in sentence.casefold():
        return sentence
    opening = first.group()
    if opening.casefold() in _PRONOUNS:
        return subject + sentence[first.end() :]
    if opening.casefold() in _POSSESSIVES:
        return f"{subject}'s" + sentence[first.end() :]
    short = re.sub(r"['’]s$", "", opening)
    if _is_part(short, subject) and sentence[len(short) :][:1] in {" ", "'", "’"}:
        return subject + sentence[len(short) :]
    refers = any(word.casefold() in _PRONOUNS | _POSSESSIVES for word in WORD.findall(sentence))
    return f"{subject}: {sentence}" if tag or refers else sentence


def _rarity(statements: Sequence[str]) -> dict[str, float]:
    """How seldom each word occurs in these sentences, 0 (in all) to 1 (in one)."""
    counts = Counter(word for text in statements for word in {word.casefold() for word in WORD.findall(text)})
    most = math.log(len(statements) + 1) or 1.0
    return {word: 1 - math.log(count) / most for word, count in counts.items()}


def _with_gaps(fact: Fact, rarity: dict[str, float]) -> Fact:
    avoid = {word.casefold() for word in WORD.findall(fact.subject)}
    runs = [run for run in _runs(fact.statement, avoid, rarity) if _is_askable(fact.statement[slice(*run)])]
    gaps = [_gap(fact.statement, run, rarity) for run in runs]
    return Fact(**{**vars(fact), "gaps": tuple(sorted(gaps, key=lambda gap: -gap.rarity))})


def _runs(statement: str, avoid: set[str], rarity: dict[str, float]) -> Iterator[Span]:
    """Stretches of neighbouring words worth asking for: alike in rarity, of at most MOST_ANSWER_WORDS words."""
    run: list[re.Match[str]] = []
    for match in [*WORD.finditer(statement), None]:
        word = match.group().casefold() if match else ""
        belongs = bool(match) and word not in _STOPWORDS and word not in avoid
        touches = bool(run) and match is not None and statement[run[-1].end() : match.start()] == " "
        if run and not (
            match and belongs and touches and _alike(run[-1], match, rarity) and len(run) < MOST_ANSWER_WORDS
        ):
            yield run[0].start(), run[-1].end()
            run = []
        if match is not None and belongs:
            run.append(match)


def _is_askable(words: str) -> bool:
    return len(words) > 1 and not words.endswith(("'s", "’s"))


def _alike(one: re.Match[str], other: re.Match[str], rarity: dict[str, float]) -> bool:
    """Names go with names, plain words with words about as rare, numbers with either (14 December, 400 cells)."""
    left, right = one.group(), other.group()
    if left[0].isdigit() or right[0].isdigit():
        return True
    near = abs(rarity.get(left.casefold(), 1.0) - rarity.get(right.casefold(), 1.0)) < NEAR
    return left[0].isupper() == right[0].isupper() and (left[0].isupper() or near)


def _gap(statement: str, span: Span, rarity: dict[str, float]) -> Gap:
    inside = WORD.findall(statement[span[0] : span[1]])
    score = max(rarity.get(word.casefold(), 1.0) for word in inside)
    looks_like_value = any(word[0].isupper() or any(sign.isdigit() for sign in word) for word in inside)
    return Gap(*span, score + (0.15 if looks_like_value and span[0] > 0 else 0.0) + 0.05 * span[1] / len(statement))
