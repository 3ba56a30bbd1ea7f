"""What a model wrote about a text, checked without a judge: only what the text bears out is kept.

A question must name what it asks about, its answer must stand in one of the text's sentences, and no name or number may
come from elsewhere. Of prose, the sentences are kept that repeat what the text says of the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import combinations

from blasphemer.dataset_processor import BLANK
from blasphemer.language import agree, contains, normalise, sentence_spans
from blasphemer.language import words as words_of
from blasphemer.languages import ANY, find_language, language, names_in
from blasphemer.records import Statement
from blasphemer.study.drafts import Draft, without_emphasis

LONGEST_ANSWER, LONGEST_QUESTION = 40, 60  # words
SHORT_ANSWER = 12  # words: must stand in the text as it is; of longer ones, most words must
LIKE = 0.5  # share of two names that is written alike, before one is taken for the other misspelt
FEWEST_OF_STEM = 4  # letters
FEWEST_RESTATED = 2  # words that say something, in a sentence that repeats the text
RESTATED = 0.7  # share of them that the text has in one form or another
STATED = 3  # words of the question, that count as much as the whole answer
BORNE_OUT = 0.8  # share of a long answer's words that one or two sentences of the text must have

_OF_THE_TEXT = re.compile(r"\b(?:the|this|that) (?:text|passage|document|paragraph|excerpt|author)\b", re.IGNORECASE)
_FIRST_WORDS = re.compile(r"(?:^|[.!?:;]\s+|[\"“«(])(\w+(?:['’]\w+)?)")


class Groundless(Exception):
    """Why a draft is not kept, in the words of the report."""


@dataclass(frozen=True)
class Reading:
    """A stretch of a document that is read at once, and the statements in it."""

    text: str
    statements: tuple[Statement, ...]
    full: str = ""  # the whole of it, where this is cut down
    document: str = ""  # all that its document says, folded
    wanted: str = ""  # the words of it that are to be asked for

    @property
    def entire(self) -> str:
        """The text as it is when it is not cut down."""
        return self.full or self.text

    @property
    def card(self) -> str:
        """What the document is and where in it this stands, so that "we" and "the shop" can be named."""
        first = self.statements[0]
        return f"{first.title}: {first.heading}" if first.heading else first.title

    @cached_property
    def whole(self) -> str:
        """All that may be repeated, folded: the text, and what stands above it or before it; the document."""
        above = [f"{one.title} {one.heading} {one.before} {one.text}" for one in self.statements]
        return f"{folded(' '.join([self.text, *above]))} {self.document}"

    @cached_property
    def above(self) -> frozenset[str]:
        """The words of title and heading."""
        first = self.statements[0]
        return frozenset(folded(f"{first.title} {first.heading}").split())

    @cached_property
    def stems(self) -> frozenset[str]:
        """Of the words that may be repeated."""
        return frozenset(map(_stem, self.whole.split()))

    def stems_of(self, statement: Statement) -> set[str]:
        """Of the words of a statement and of what stands before it."""
        return set(map(_stem, folded(f"{statement.before} {statement.heading} {statement.text}").split()))

    def says(self, answer: str) -> bool:
        """Does the document say what was answered, or most words of it in one form or another?"""
        small = language(self.language).small
        words = [word for word in answer.split() if word not in small]
        known = sum(_stem(word) in self.stems for word in words)
        return contains(self.whole, answer) or (bool(words) and known >= BORNE_OUT * len(words))

    @cached_property
    def names(self) -> list[str]:
        """What the text speaks of by name."""
        said = (f"{one.before} {one.text}" for one in self.statements)
        return list(dict.fromkeys(name for text in said for name in self.names_in(text)))

    def names_in(self, text: str) -> list[str]:
        """The names in what is said in the language of the text, folded."""
        return list(filter(None, map(folded, names_in(text, self.language))))

    @property
    def language(self) -> str:
        return self.statements[0].language

    @cached_property
    def spelt(self) -> dict[str, str]:
        """The names, keys and headings of the text as they are written, by their folded form."""
        found = [name for one in self.statements for name in names_in(f"{one.before} {one.text}", self.language)]
        found += [name for one in self.statements for name in (one.key, one.heading.rpartition(" / ")[2])]
        return {folded(name): name for name in found}

    def subjects(self, statement: Statement, answer: str = "") -> list[str]:
        """The names of what a statement may be about: a row's key; or the names in it, but for the answer; else those
        in the sentences nearest before it, up to one that points no further back; else its heading, or any name."""
        if statement.kind == "row":
            return [folded(statement.key)]
        said = "" if statement.kind == "entry" else statement.text
        own = [name for name in self.names_in(said) if not agree(name, answer)]
        return own or self._named_before(statement) or self.names

    def _named_before(self, statement: Statement) -> list[str]:
        pointing = language(statement.language).pointing
        found: list[str] = []
        for start, end in reversed(sentence_spans(statement.before)):
            sentence = statement.before[start:end]
            found += self.names_in(sentence)
            if found and not pointing & set(folded(sentence).split()):
                return found
        heading = folded(statement.heading.rpartition(" / ")[2])
        return [*found, *([heading] if heading else self.names)]


def is_in_its_language(reply: str, reading: Reading) -> bool:
    """Is what was written in the language of the text, as far as that can be told?"""
    found = find_language(reply)
    return found == reading.language or ANY in (found, reading.language)


def asked_statement(draft: Draft, reading: Reading) -> Statement:
    """The statement of a text that a draft asks for. Raises Groundless where there is none."""
    question, answer = folded(draft.question), folded(draft.answer)
    if not question or not answer or len(question.split()) > LONGEST_QUESTION or len(answer.split()) > LONGEST_ANSWER:
        raise Groundless("too short or too long")
    if _OF_THE_TEXT.search(draft.question):
        raise Groundless("speaks of the text itself")
    if contains(question, answer):
        raise Groundless("gives its answer away")
    if draft.evidence and folded(draft.evidence.strip(" .…")) not in reading.whole:
        raise Groundless("quotes what the text does not say")
    if not _is_known(draft.question, reading) or not _is_known(draft.answer, reading, is_answer=True):
        raise Groundless("has a name or number from elsewhere")
    if not _names_something(draft.question, reading):
        raise Groundless("does not name what it asks about")
    if not reading.says(answer):
        raise Groundless("its answer does not stand in the text")
    if _is_exchanged(draft, reading):
        raise Groundless("says of one thing what the text says of another")
    return _nearest(draft, reading)


def _is_exchanged(draft: Draft, reading: Reading) -> bool:
    """Is a question about something by name, and its answer said of other things only?"""
    asked = {word for name in reading.names_in(draft.question) for word in name.split()} - reading.above
    answer = folded(draft.answer)
    stating = [one for one in reading.statements if _states(one, answer)]
    about = {word for one in stating for name in reading.subjects(one, answer) for word in name.split()}
    said = {word for one in stating for word in folded(f"{one.before} {one.heading} {one.text}").split()}
    return bool(asked and stating) and asked.isdisjoint(about | said)


def _names_something(question: str, reading: Reading) -> bool:
    """Can it be told what is asked about? There is a name or a word of the text before any that points elsewhere."""
    known = language(reading.language)
    if names_in(question, reading.language):
        return True
    for word in folded(question).split():
        if word in known.pointing:
            return False
        if word not in known.small and _stem(word) in reading.stems:
            return True
    return False


def _nearest(draft: Draft, reading: Reading) -> Statement:
    """The statement that says most of a draft: its answer first of all, and what is quoted for it."""
    answer, evidence = folded(draft.answer), folded(draft.evidence)
    small = language(reading.language).small
    asked = {_stem(word) for word in folded(draft.question).split() if word not in small}
    answered = {_stem(word) for word in answer.split() if word not in small}

    def likeness(statement: Statement) -> tuple[bool, int, int]:
        own, with_context = set(map(_stem, folded(statement.text).split())), reading.stems_of(statement)
        quoted = bool(evidence) and folded(statement.text) in evidence
        overlap = 2 * len(asked & own) + len(answered & own) + len((answered | asked) & with_context)
        return quoted, STATED * _states(statement, answer) + overlap, -len(with_context)

    return max(reading.statements, key=likeness)


def confirms(reply: str, draft: Draft, reading: Reading) -> bool:
    """Does a reader's reply say the same as the answer of a draft, and neither of them any more?

    What either repeats of the question says nothing more, nor does a small word; but "no", "only" and their like do.
    """
    known = language(reading.language)
    telling = known.limiting | known.negating
    quiet = known.small - telling
    asked = {_stem(word) for word in folded(draft.question).split()} - set(map(_stem, telling))
    said, answer = (
        {_stem(word) for word in folded(text).split() if word not in quiet} for text in (reply, draft.answer)
    )
    return bool(said and answer) and (said == answer or said - asked == answer - asked != set())


def with_right_name(draft: Draft, reading: Reading) -> Draft:
    """A question with one name that the text does not have, where one is meant that is written like it, or there is
    only one: with that in its place.

    Weak writers misspell names that are new to them. What comes of it is checked like any other draft.
    """
    strange = [
        name
        for name in names_in(draft.question, reading.language)
        if not _is_in(name, reading) and name not in _begun_with(draft.question)
    ]
    answer = folded(draft.answer)
    stating = [one for one in reading.statements if _states(one, answer)]
    meant = list(dict.fromkeys(name for one in stating for name in reading.subjects(one, answer)))
    if len(strange) != 1 or not meant:
        return draft
    nearest = meant if len(meant) == 1 else get_close_matches(folded(strange[0]), meant, 1, LIKE)
    if not nearest:
        return draft
    return replace(draft, question=draft.question.replace(strange[0], reading.spelt[nearest[0]]))


@lru_cache(1 << 14)
def folded(text: str) -> str:
    """Normalised, and without the 's of owners: "Ann Lee's trade" names Ann Lee."""
    return re.sub(r"(?<=\w) s(?!\w)", "", normalise(text))


def _is_known(said: str, reading: Reading, is_answer: bool = False) -> bool:
    """Do all names and numbers in what was said occur in the document?"""
    names = names_in(said, reading.language)
    if is_answer:  # begins with a capital whatever it is
        names = [name for name in names if not said.startswith(name)]
    numbers = [word for word in words_of(said) if word[0].isdigit()]
    ordinary = _begun_with(said)
    return all(_is_in(one, reading) or one in ordinary for one in [*names, *numbers])


def _begun_with(said: str) -> set[str]:
    """The words that begin a question or a part of it, and so have a capital whatever they are."""
    return set(_FIRST_WORDS.findall(said)) if "?" in said else set()


def _is_in(name: str, reading: Reading) -> bool:
    return contains(reading.whole, folded(name)) or _has_parts(name, reading)


def _has_parts(name: str, reading: Reading) -> bool:
    """A first word of a question is taken into the name after it ("Does Ann Lee"): then the rest must be known."""
    rest = folded(name).split()[1:]
    return len(rest) > 1 and contains(reading.whole, " ".join(rest))


def _states(statement: Statement, answer: str) -> bool:
    """Does a statement say the answer, in these words or most of them?"""
    said, words = folded(statement.text), answer.split()
    if len(words) <= SHORT_ANSWER and contains(said, answer):
        return True
    known = set(f"{said} {folded(statement.before)} {folded(statement.heading)}".split())
    inside = sum(word in known for word in words)
    is_about_it = len(set(words) & set(said.split())) > 1
    return len(words) > 2 and is_about_it and inside >= BORNE_OUT * len(words)


def states(statement: Statement, answer: str) -> bool:
    """Does an answer stand in a statement, word for word?"""
    return contains(folded(statement.text), folded(answer))


@lru_cache(1 << 14)
def _stem(word: str) -> str:
    """What the forms of a word have in common, roughly: "keeping" and "keeps" are "keep"."""
    singular = word.removesuffix("s")
    return singular[: max(len(singular) - 3, FEWEST_OF_STEM)]


def sound_sentences(reply: str, reading: Reading) -> list[tuple[str, list[Statement]]]:
    """The sentences of a reply that repeat what the text says of the same thing, each once, with what they repeat."""
    plain = without_emphasis(reply)
    sentences = (re.sub(r"\s+", " ", plain[start:end]).lstrip("-*•# ") for start, end in sentence_spans(plain))
    return [(one, found) for one in dict.fromkeys(sentences) if (found := _restated(one, reading))]


def with_gaps(sentence: str, reading: Reading) -> list[Draft]:
    """A sentence with a gap in the place of each of its names and numbers in turn; what belongs there is the answer.

    What the title or heading names is not asked for: mostly it is what all of the text is about.
    """
    named = names_in(sentence, reading.language)
    names = [name for name in named if not reading.above.issuperset(folded(name).split())]
    numbers = [word for word in words_of(sentence) if word[0].isdigit()]
    return [
        Draft(re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", BLANK, sentence, count=1), one)
        for one in dict.fromkeys([*names, *numbers])
    ]


def _restated(sentence: str, reading: Reading) -> list[Statement]:
    """The one or two statements that a sentence says again, with their names, numbers and denials and nobody else's;
    none where it says something else."""
    known = language(reading.language)
    said = folded(sentence).split()
    above = set(map(_stem, reading.above))
    words = {_stem(word) for word in said if word not in known.small} - above
    if len(words) < FEWEST_RESTATED or not _is_known(sentence, reading):
        return []
    ranked = sorted(reading.statements, key=lambda one: -len(words & set(map(_stem, folded(one.text).split()))))
    for several in (*([one] for one in ranked), *map(list, combinations(ranked[:3], 2))):
        if len(several) > 1 and not _both_say(words, several, reading):
            continue
        stems = set().union(*(reading.stems_of(one) for one in several))
        own = {word for one in several for word in folded(one.text).split()}
        whole = " ".join(folded(f"{one.before} {one.heading} {one.title} {one.text}") for one in several)
        particular = [*reading.names_in(sentence), *(word for word in said if word[0].isdigit())]
        denied = bool(known.negating & set(said)), bool(known.negating & own)
        covers = len(words & stems) >= RESTATED * len(words)
        if covers and denied[0] == denied[1] and all(contains(whole, one) for one in particular):
            subjects = {word for one in several for name in reading.subjects(one) for word in name.split()}
            return several if not subjects or subjects & set(said) or above & set(map(_stem, said)) else []
    return []


def _both_say(words: set[str], two: Sequence[Statement], reading: Reading) -> bool:
    """Has a sentence more of each of two statements than a name? Else it says of one thing what is said of another."""
    names = {_stem(word) for one in two for name in reading.names_in(one.text) for word in name.split()}
    first, second = (words & set(map(_stem, folded(one.text).split())) - names for one in two)
    return len(first - second) > 1 and len(second - first) > 1
