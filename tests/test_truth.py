"""Verbatim or verified: the check that takes any run's folder, on human prose and on sabotaged material."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.truth import Run, documents_of, not_verbatim, taught
from blasphemer.exam.questions import write_questions
from blasphemer.records import StudyItem, exchange
from blasphemer.study.rules import write_study
from tests.natural import SETS, lines, read


def run_of(name: str) -> Run:
    """What a run on one of the sets would have read, written and asked."""
    passages, statements = read(name)
    paper = write_questions(statements)
    items = write_study(passages, statements, paper, 60_000, 400, lambda text: len(text.split()), 0)
    return Run(documents_of(passages), statements, items, paper)


@pytest.mark.parametrize("name", SETS)
def test_every_sentence_that_rules_write_stands_in_a_document(name: str) -> None:
    run = run_of(name)
    assert len(run.items) > 500
    assert not_verbatim(run) == []


@pytest.mark.parametrize("name", SETS)
def test_no_falsehood_is_taught_or_asked(name: str) -> None:
    false = lines(name, "false.jsonl")
    assert len(false) >= 20
    assert taught(false, run_of(name)) == []


@pytest.mark.parametrize("kind", ["told", "gap", "beginning", "value", "key", "entry", "contrast", "passage"])
def test_a_word_that_was_exchanged_is_found(kind: str) -> None:
    run = run_of("workshop")
    place, item = next((n, item) for n, item in enumerate(run.items) if item.kind == kind)
    if item.text:
        changed = replace(item, text=f"{item.text}s")
    else:
        request, answer = (message["content"] for message in item.messages)
        changed = replace(item, messages=exchange(request, f"{answer} zebra"))
    assert not_verbatim(replace(run, items=[*run.items[:place], changed, *run.items[place + 1 :]])) != []


def test_a_question_that_was_changed_is_found() -> None:
    run = run_of("workshop")
    question = next(one for one in run.questions if "____" in one.question)
    changed = replace(question, question=question.question.replace("____", "____ zebra"))
    assert not_verbatim(replace(run, questions=[changed])) != []


def test_a_planted_falsehood_is_found_in_rules_and_in_what_a_model_wrote() -> None:
    run = run_of("workshop")
    (row, *_) = lines("workshop", "false.jsonl")
    by_rule = StudyItem("s-1", "told", "rules", f"From x:\n{row['false']}")
    by_model = StudyItem("m-1", "questions", "model", messages=exchange("True?", row["false"]))
    for item in (by_rule, by_model):
        assert taught([row], replace(run, items=[item])) == [(row["false"], item.id)] * (2 if item is by_model else 1)
