"""Passage -> Facts, by rule: sentences made to stand alone, and in each the words worth asking for.

What a paragraph is about is read from its heading or from the name it keeps coming back to; pronouns and short names
are written out, so that each sentence can be understood without its passage. What is worth asking for are numbers,
names, and the words that are rare in these documents: among many entries the frame repeats and the values do not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from blasphemer.language import BULLET, HEADING, WORD, Span, is_code_or_table, paragraph_spans, sentence_spans
from blasphemer.records import Passage, Source

MOST_ANSWER_WORDS = 4
MOST_TITLE_WORDS = 8
MOST_GAPS = 3  # of a fact that are worth asking for
WORTH_ASKING = 0.6  # of what the best gap is worth
NEAR = 0.2  # difference in rarity under which two neighbouring words are asked for together

_PRONOUNS = frozenset({"he", "she", "it", "they"})
_PERSONAL = frozenset({"he", "she", "his", "her"})
_POSSESSIVES = frozenset({"his", "her", "its", "their"})
_ADVERBIAL = re.compile(r"(?:As a (?:child|result|rule)|At the time|For a living|In the end),? ")  # opens a sentence
_ENTRY = re.compile(r"[A-Z][^.:!?]{0,30}: [^.!?]+")  # of a list: "Home town: Elverstone"
_OF_A_KIND = re.compile(r"The [a-z][\w-]* \w+(?:s|ed)\b")  # below the heading Honeydown: "The town holds Garland Fair"
_ARTICLE_BEFORE = re.compile(r"(?:^(?:An?|The)|(?<= )(?:an?|the)) $")
_ARTICLES = frozenset({"a", "an", "the"})
_JOINERS = frozenset("of the de la le du da di von van der den".split())
_STOPWORDS = frozenset(
    "a an the and or but nor so yet if then than that this these those there here of to in on at by for from with "
    "without into onto upon over under above below between among through during before after since until against "
    "about as like is are was were be been being am do does did done doing has have had having can could may "
    "might must shall should will would not no only also too very more most much many some any each every all "
    "both few other another such same own it its he she they them his her their him we us our you your i my me "
    "who whom whose which what when where why how one two first while because though although however therefore "
    "thus called known named made somebody someone everybody everyone nobody anybody nothing something everything "
    "anything none people visitors guests travellers tourists readers".split()
)


@dataclass(frozen=True)
class Gap:
    """The words of a statement that can be asked for: `statement[start:end]`."""

    start: int
    end: int
    worth: float


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

    @property
    def source(self) -> Source:
        return Source(self.passage.id, self.start, self.end)

    @property
    def worth_asking(self) -> list[Gap]:
        """The best gap, and others that are nearly as good."""
        return [gap for gap in self.gaps[:MOST_GAPS] if gap.worth >= WORTH_ASKING * self.gaps[0].worth]

    def asked_at(self, gap: Gap) -> tuple[str, str, str]:
        """The words before the gap, in it, and after it."""
        return self.statement[: gap.start], self.statement[gap.start : gap.end], self.statement[gap.end :]


def find_facts(passages: Sequence[Passage]) -> list[Fact]:
    """Every sentence of the passages that says something, in order. A sentence repeated by an overlap is taken once."""
    plain = {word for passage in passages for word in WORD.findall(passage.text) if word[0].islower()}
    found = {(fact.passage.file, fact.start): fact for passage in reversed(passages) for fact in _read(passage, plain)}
    order = {passage.id: number for number, passage in enumerate(passages)}
    facts = sorted(found.values(), key=lambda fact: (order[fact.passage.id], fact.start))
    rarity = _rarity([fact.statement for fact in facts])
    return [replace(fact, gaps=_gaps(fact, rarity)) for fact in facts]


def names_in(text: str) -> list[str]:
    """The names in a sentence of its own, of which nothing else is known."""
    return _names(text, set())


# --- sentences that stand alone --------------------------------------------------------------------------------------


def _read(passage: Passage, plain: set[str]) -> Iterator[Fact]:
    """The sentences of a passage, block by block; tables and code are studied as they stand, not taken apart."""
    section, current = passage.heading.split(" / ")[-1], ""
    full: dict[str, str] = {}  # part of a name -> the newest full name it stands for
    for block, (start, end) in enumerate(paragraph_spans(passage.text)):
        text = passage.text[start:end]
        if title := _title(text):
            section, current = title, ""
            continue
        if is_code_or_table(text):
            continue
        spans = sentence_spans(text)
        sentences = [_clean(text[left:right]) for left, right in spans]
        full |= {part: section for part in _parts(section) if part.casefold() not in plain}
        full |= {part: name for sentence in sentences for name in _names(sentence, plain) for part in _parts(name)}
        sentences = [_written_out(sentence, full) for sentence in sentences]
        if section and (BULLET.match(text) or _refers(sentences[0]) or section.casefold() in text.casefold()):
            current = section
        elif not _refers(sentences[0]):
            current = ""
        is_list = bool(BULLET.match(text))
        found = _standing_alone(sentences, current, section, is_list, plain)
        for (left, right), (subject, statement) in zip(spans, found, strict=True):
            current = subject or current
            if len(WORD.findall(statement)) > 1:
                begin = passage.start + start + left
                yield Fact(passage, block, subject, statement, text[left:right], begin, begin + right - left)


def _clean(sentence: str) -> str:
    item = BULLET.match(sentence)
    return re.sub(r"\s+", " ", sentence[item.end() :] if item else sentence)


def _title(text: str) -> str:
    """The title that a heading line, or a short line without a full stop, gives to what follows it; else ""."""
    if heading := HEADING.fullmatch(text):
        return heading.group(2)
    is_line = "\n" not in text and len(text.split()) <= MOST_TITLE_WORDS and not BULLET.match(text)
    return text if is_line and text[-1].isalnum() and text[0].isupper() else ""


def _names(sentence: str, plain: set[str]) -> list[str]:
    """Runs of capitalised words ("the Lantern of Orm"); one word that also occurs uncapitalised is none."""
    runs: list[list[re.Match[str]]] = [[]]
    for match in WORD.finditer(sentence):
        word = _bare(match.group())
        follows = bool(runs[-1]) and sentence[runs[-1][-1].end() : match.start()] == " "
        if word[0].isupper() and (follows or word.casefold() not in _STOPWORDS):
            runs[-1:] = [[*runs[-1], match]] if follows else [runs[-1], [match]]
        elif word.casefold() in _JOINERS and follows:
            runs[-1].append(match)
        else:
            runs.append([])
    names = []
    for run in runs:
        while run and run[-1].group().casefold() in _JOINERS:
            run.pop()
        name = _bare(sentence[run[0].start() : run[-1].end()]) if run else ""
        if name and (" " in name or (name.lower() not in plain and not name[0].isdigit())):
            names.append(name)
    return names


def _bare(word: str) -> str:
    return re.sub(r"['’]s?$", "", word)


def _parts(name: str) -> list[str]:
    return [part for part in WORD.findall(name) if " " in name and part.casefold() not in _STOPWORDS]


def _written_out(sentence: str, full: dict[str, str]) -> str:
    """The sentence with parts of names that stand alone replaced by the full name ("Crane" -> "Ibbet Crane").

    After an article the part names something else: the Planck constant, the reduced Planck constant (but not after
    "For a living").
    """
    for name in _names(sentence, set()):
        whole = full.get(name, name)
        before, _, after = sentence.partition(name)
        just_before = [word.casefold() for word in WORD.findall(before)[-2:]]
        has_article = bool(_ARTICLES & set(just_before)) and not _ADVERBIAL.fullmatch(before)
        is_name = " " not in name and whole not in sentence and not has_article
        if is_name and not (just_before and just_before[-1] in _JOINERS - {"of"}):
            sentence = before + whole + after
    return sentence


def _refers(sentence: str) -> bool:
    """Does it begin with a pronoun?"""
    return _opening(sentence) in _PRONOUNS | _POSSESSIVES


def _opening(sentence: str) -> str:
    first = WORD.search(sentence)
    return first.group().casefold() if first else ""


def _standing_alone(
    sentences: Sequence[str], current: str, section: str, is_list: bool, plain: set[str]
) -> list[tuple[str, str]]:
    """(subject, statement) of each sentence of a paragraph in a section, in which `current` was spoken of before.

    A pronoun, an entry of a list, and a sentence without a name go on about the subject before them; a sentence with
    another name has a subject of its own. A subject without a place in its sentence is set in front of it, if the
    paragraph has no other.
    """
    names = [_names(sentence, plain) for sentence in sentences]
    counts = Counter(name for found in names for name in dict.fromkeys(found))
    subjects = []
    for sentence, found, following in zip(sentences, names, [*sentences[1:], ""], strict=True):
        own = [name for name in found if " " in name or (not current and sentence.startswith(name))]
        is_of_section = bool(section) and current == section and _is_of(sentence, is_list)
        if own and not is_of_section and not _goes_on(sentence, found, current):
            is_person = _opening(following) in _PERSONAL
            current = max(own, key=lambda name: (counts[name], is_person and " " in name))  # the first of equals
        subjects.append(current)
    is_only = len(set(subjects)) == 1
    return [_with_subject(sentence, subject, is_only) for sentence, subject in zip(sentences, subjects, strict=True)]


def _goes_on(sentence: str, names: Sequence[str], current: str) -> bool:
    """Does a sentence with these names still speak of the subject before it?"""
    return _refers(sentence) or re.sub(r"^(?:An?|The) ", "", current) in names


def _is_of(sentence: str, is_list: bool) -> bool:
    """Does a sentence speak of what its section is about, whatever names are in it?"""
    return bool(_ENTRY.fullmatch(sentence) if is_list else _OF_A_KIND.match(sentence))


def _with_subject(sentence: str, subject: str, is_only: bool) -> tuple[str, str]:
    first = WORD.search(sentence)
    if not subject or not first or subject.casefold() in sentence.casefold():
        return subject, sentence
    if _refers(sentence):
        written = subject if _opening(sentence) in _PRONOUNS else f"{subject}'s"
        return subject, sentence[: first.start()] + written + sentence[first.end() :]
    return (subject, f"{subject}: {sentence}") if is_only else ("", sentence)


# --- words worth asking for ------------------------------------------------------------------------------------------


def _rarity(statements: Sequence[str]) -> dict[str, float]:
    """How seldom each word occurs in these sentences, 0 (in all) to 1 (in one)."""
    counts = Counter(word for text in statements for word in {word.casefold() for word in WORD.findall(text)})
    most = math.log(len(statements) + 1) or 1.0
    return {word: 1 - math.log(count) / most for word, count in counts.items()}


def _gaps(fact: Fact, rarity: dict[str, float]) -> tuple[Gap, ...]:
    avoid = {word.casefold() for word in WORD.findall(f"{fact.subject} {fact.subject}'s")}
    runs = _runs(fact.statement, avoid, rarity)
    gaps = [_gap(fact.statement, run, rarity) for run in runs if _is_askable(fact.statement[slice(*run)])]
    return tuple(sorted(gaps, key=lambda gap: -gap.worth))


def _runs(statement: str, avoid: set[str], rarity: dict[str, float]) -> Iterator[Span]:
    """Stretches of neighbouring words worth asking for, of at most MOST_ANSWER_WORDS words: alike in rarity, or an
    owner with what is owned (the bakers' guild)."""
    run: list[re.Match[str]] = []
    for match in [*WORD.finditer(statement), None]:
        word = match.group().casefold() if match else ""
        belongs = bool(match) and word not in _STOPWORDS and word not in avoid
        between = statement[run[-1].end() : match.start()] if run and match else ""
        owns = between in {"' ", "’ "} or (between == " " and run[-1].group().endswith(("'s", "’s")))
        fits = match is not None and belongs and (owns or (between == " " and _alike(run[-1], match, rarity)))
        if run and not (fits and len(run) < MOST_ANSWER_WORDS):
            yield run[0].start(), run[-1].end()
            run = []
        if match is not None and belongs:
            run.append(match)


def _alike(one: re.Match[str], other: re.Match[str], rarity: dict[str, float]) -> bool:
    """Names go with names, plain words with words about as rare, numbers with either (14 December, 400 cells)."""
    left, right = one.group(), other.group()
    if left[0].isdigit() or right[0].isdigit():
        return True
    near = abs(rarity[left.casefold()] - rarity[right.casefold()]) < NEAR
    return left[0].isupper() == right[0].isupper() and (left[0].isupper() or near)


def _is_askable(words: str) -> bool:
    return len(words) > 1 and not words.endswith(("'s", "’s"))


def _is_whole(statement: str, end: int) -> bool:
    """Does no further word of the same phrase follow?"""
    following = re.match(r"[ –-](\w+)", statement[end:])
    return following is None or following[1].casefold() in _STOPWORDS


def _gap(statement: str, span: Span, rarity: dict[str, float]) -> Gap:
    """Rare words are worth most, names and numbers more than others, and among equals the last.

    An article belongs to a name or noun that ends with the gap: "the Patched Bonnet" is an answer as people and models
    give it, "the Planck" is not.
    """
    inside = WORD.findall(statement[span[0] : span[1]])
    rare = max(rarity[word.casefold()] for word in inside)
    is_value = any(word[0].isupper() or any(sign.isdigit() for sign in word) for word in inside)
    article = _ARTICLE_BEFORE.search(statement[: span[0]]) if _is_whole(statement, span[1]) else None
    worth = rare + 0.15 * (is_value and span[0] > 0) + 0.05 * span[1] / len(statement)
    return Gap(article.start() if article else span[0], span[1], worth)
