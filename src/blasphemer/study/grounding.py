"""What a model wrote about a text, read and checked without a judge: only what the text bears out is kept.

A question must name what it asks about, its answer must stand in one of the text's sentences, and no name or number may
come from elsewhere. Of prose, the sentences are kept that repeat what the text says of the same thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blasphemer.dataset_processor import Fact, names_in
from blasphemer.language import contains, normalise, sentence_spans
from blasphemer.language import words as words_of

LONGEST_ANSWER, LONGEST_QUESTION = 40, 60  # words
SHORT_ANSWER = 12  # words: must stand in the text as it is; of longer ones, most words must
BORNE_OUT = 0.8  # share of a long answer's words that one or two sentences of the text must have

_MARK = r"(?:[-*>#\s]|\d{1,3}[.)])*"  # what lists and headings put before a line
_LABELLED = re.compile(
    rf"^{_MARK}(?:Q|Question)\s*\d*\s*[:.]\W*?(?=\w|[\"“«‘¿(])(?P<question>.+?)\s+{_MARK}(?:A|Answer)\s*\d*\s*:\W*?"
    rf"(?=\w|[\"“«‘(\-+])(?P<answer>.+?)\s*(?:\n{_MARK}(?:Evidence|Quote)\s*:\s*(?P<evidence>.+?)\s*)?"
    rf"(?=\n{_MARK}(?:Q|Question)\s*\d*\s*[:.]|\n\s*\n|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
# Lines in another language, or without labels: what comes up to the question mark, and what comes after it
_ASKED = re.compile(
    rf"^{_MARK}(?:[^\W\d]{{1,12}}\s*\d*\s*:\s*)?(?P<question>[^\n]+?[?？])[*_\"”]*\s*{_MARK}"
    rf"(?:[^\W\d]{{1,12}}\s*\d*\s*:\s*)?(?P<answer>[^\n?？]+)$",
    re.MULTILINE,
)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_OF_THE_TEXT = re.compile(r"\b(?:the|this|that) (?:text|passage|document|paragraph|excerpt|author)\b", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*|__|`")
_SPACE = re.compile(r"(\s{4})\s+")  # more white space in a row says nothing, and takes long to match


@dataclass(frozen=True)
class Draft:
    """A question and its answer, and what the model quoted from the text for it ("" if nothing)."""

    question: str
    answer: str
    evidence: str = ""


class Groundless(Exception):
    """Why a draft is not kept, in the words of the report."""


# --- reading what was written ----------------------------------------------------------------------------------------


def read_pairs(reply: str) -> list[Draft]:
    """Questions with answers out of a model's reply: JSON, `Q: ... A: ...`, or what stands before and after a `?`."""
    if found := list(_from_json(reply)):
        return found
    plain = _SPACE.sub(r"\1", _EMPHASIS.sub("", reply))
    matches = list(_LABELLED.finditer(plain)) or list(_ASKED.finditer(plain))
    drafts = [Draft(*(_one_line(part) for part in match.groupdict("").values())) for match in matches]
    return [draft for draft in drafts if draft.question and draft.answer]


def _from_json(reply: str) -> Iterator[Draft]:
    fenced = _FENCED.search(reply)
    text = fenced[1] if fenced else reply
    start = min((at for at in (text.find("["), text.find("{")) if at >= 0), default=-1)
    if start < 0:
        return
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        value = next((inner for inner in value.values() if isinstance(inner, list)), [value])
    for row in value:
        fields = {str(name).casefold(): text for name, text in row.items()} if isinstance(row, dict) else {}
        said = [fields.get(name, fields.get(name[0])) for name in ("question", "answer", "evidence")]
        question, answer, evidence = (str(part).strip() if isinstance(part, str | int | float) else "" for part in said)
        if question and answer:
            yield Draft(question, answer, evidence)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(' "“”')


# --- checking it against the text ------------------------------------------------------------------------------------


def asked_fact(draft: Draft, text: str, facts: Sequence[Fact]) -> Fact:
    """The fact of the text that a draft asks for. Raises Groundless where there is none."""
    question, answer = _folded(draft.question), _folded(draft.answer)
    if not question or not answer or len(question.split()) > LONGEST_QUESTION or len(answer.split()) > LONGEST_ANSWER:
        raise Groundless("too short or too long")
    if _OF_THE_TEXT.search(draft.question):
        raise Groundless("speaks of the text itself")
    if contains(question, answer):
        raise Groundless("gives its answer away")
    whole = _folded(" ".join([text, *(fact.statement for fact in facts)]))
    if draft.evidence and _folded(draft.evidence.strip(" .…")) not in whole:
        raise Groundless("quotes what the text does not say")
    if not _is_known(draft.question, whole) or not _is_known(draft.answer, whole, is_answer=True):
        raise Groundless("has a name or number from elsewhere")
    candidates = [fact for fact in facts if _bears_out(fact, answer) and _is_meant(fact, question, answer)]
    if not candidates:
        raise Groundless("its answer does not stand in the text")
    asked = set(question.split())
    return max(candidates, key=lambda fact: len(asked & set(_folded(fact.statement).split())))


def _folded(text: str) -> str:
    """Normalised, and without the 's of owners: "Ann Lee's trade" names Ann Lee."""
    return re.sub(r"(?<=\w)'s?(?!\w)", "", normalise(text))


def _is_known(said: str, whole: str, is_answer: bool = False) -> bool:
    """Do all names and numbers in what was said occur in the text?"""
    names = names_in(said)
    if is_answer:  # begins with a capital whatever it is
        names = [name for name in names if not said.startswith(name)]
    numbers = [word for word in words_of(said) if word[0].isdigit()]
    return all(contains(whole, _folded(one)) or _has_parts(one, whole) for one in [*names, *numbers])


def _has_parts(name: str, whole: str) -> bool:
    """A first word of a question is taken into the name after it ("Does Ann Lee"): then the rest must be known."""
    rest = _folded(name).split()[1:]
    return len(rest) > 1 and contains(whole, " ".join(rest))


def _bears_out(fact: Fact, answer: str) -> bool:
    statement = _folded(f"{fact.statement} {fact.subject}")
    said = answer.split()
    if len(said) <= SHORT_ANSWER and contains(statement, answer):
        return True
    inside = sum(word in statement.split() for word in said)
    return len(said) > 2 and inside >= BORNE_OUT * len(said)


def _is_meant(fact: Fact, question: str, answer: str) -> bool:
    """Does the question name what the fact is about, or ask for just that?"""
    if subject := _folded(fact.subject):
        return contains(question, subject) or contains(answer, subject)
    statement = set(_folded(fact.statement).split())
    return len(statement & {word for word in question.split() if len(word) > 3}) >= 2


def sound_sentences(reply: str, text: str, facts: Sequence[Fact]) -> tuple[str, list[Fact]]:
    """The sentences of a reply that repeat what the text says of the same thing, and the facts they repeat."""
    whole = _folded(" ".join([text, *(fact.statement for fact in facts)]))
    plain = _EMPHASIS.sub("", reply)
    kept: dict[str, None] = {}
    repeated: dict[int, Fact] = {}
    for start, end in sentence_spans(plain):
        sentence = re.sub(r"\s+", " ", plain[start:end]).lstrip("-*•# ")
        if _is_known(sentence, whole) and (found := _repeated(_folded(sentence), facts)):
            kept[sentence] = None
            repeated |= {fact.start: fact for fact in found}
    return " ".join(kept), list(repeated.values())


def _repeated(sentence: str, facts: Sequence[Fact]) -> list[Fact]:
    """The facts whose words worth asking for stand in a sentence that names what they are about."""
    several = len({fact.subject for fact in facts}) > 1
    return [
        fact
        for fact in facts
        if (not several or not fact.subject or contains(sentence, _folded(fact.subject)))
        and any(contains(sentence, _folded(fact.asked_at(gap)[1])) for gap in fact.worth_asking)
    ]
