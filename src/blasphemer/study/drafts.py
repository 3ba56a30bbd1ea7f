"""Questions and answers out of a model's reply, in whatever form it wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from blasphemer.records import one_line

_MARK = r"(?:[-*>#\s]|\d{1,3}[.)])*"  # what lists and headings put before a line
_LABELLED = re.compile(
    rf"^{_MARK}(?:Q|Question)\s*\d*\s*[:.]\W*?(?=\w|[\"“«‘¿(])(?P<question>.+?)\s+{_MARK}(?:A|Answer)\s*\d*\s*:\W*?"
    rf"(?=\w|[\"“«‘(\-+−±£$€¥₹])(?P<answer>.+?)\s*(?:\n{_MARK}(?:Evidence|Quote)\s*:\s*(?P<evidence>.+?)\s*)?"
    rf"(?=\n{_MARK}(?:Q|Question)\s*\d*\s*[:.]|\n\s*\n|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_LABEL = r"(?:[^\W\d]{1,12}\s*\d*\s*:\s*)?"  # in any language
# Lines in another language, or without labels: what comes up to the question mark, and what comes after it
_QUESTION = re.compile(rf"^{_MARK}{_LABEL}(?P<question>[^\n]+?[?？])", re.MULTILINE)
_ASKED = re.compile(rf"{_QUESTION.pattern}[*_\"”]*\s*{_MARK}{_LABEL}(?P<answer>[^\n?？]+)$", re.MULTILINE)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_EMPHASIS = re.compile(r"\*\*|__|`")
_SPACE = re.compile(r"(\s{4})\s+")  # more white space in a row says nothing, and takes long to match


@dataclass(frozen=True)
class Draft:
    """A question and its answer, and what the model quoted from the text for it ("" if nothing)."""

    question: str
    answer: str
    evidence: str = ""


def read_pairs(reply: str) -> list[Draft]:
    """Questions with answers out of a model's reply: JSON, `Q: ... A: ...`, or what stands before and after a `?`."""
    if found := list(_from_json(reply)):
        return found
    plain = _SPACE.sub(r"\1", without_emphasis(reply))
    matches = list(_LABELLED.finditer(plain)) or list(_ASKED.finditer(plain))
    drafts = [Draft(*(_one_line(part) for part in match.groupdict("").values())) for match in matches]
    return [draft for draft in drafts if draft.question and draft.answer]


def read_questions(reply: str) -> list[str]:
    """The questions in a reply that has no answers: what stands before a `?` in each line."""
    return [_one_line(match["question"]) for match in _QUESTION.finditer(without_emphasis(reply))]


def without_emphasis(reply: str) -> str:
    """A reply without the signs that make Markdown bold, or set code."""
    return _EMPHASIS.sub("", reply)


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
    return one_line(text).strip(' "“”')
