"""The nouns of a run survive being written down."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from blasphemer import records
from blasphemer.records import (
    Conduct,
    Document,
    Example,
    ExamQuestion,
    LedgerEntry,
    Likelihood,
    Marks,
    Message,
    Passage,
    Plan,
    Rate,
    Source,
    Statement,
    StudyItem,
    Trial,
    Yield,
    from_jsonl,
    to_jsonl,
)

HARD = 'Ünï "quoted" \\ back\r\nnext\u2028para\u2029\x85\x0b\x1c\t🙂 [/INST]'

EVERY: tuple[Any, ...] = (
    Document(HARD, HARD, "utf-8", True, ((0, 3), (3, 9)), 5, HARD, HARD),
    LedgerEntry(HARD, "skipped", HARD, 1, 2, 3, 4, 5, (1, 5), "utf-16", "ab"),
    Passage("p-1", HARD, HARD, 3, 9, "Birds / Herons", 2),
    Statement("row", HARD, "p-1", HARD, HARD, "en", 1, 3, 9, HARD, HARD, HARD, (("", HARD), (HARD, "x")), False, 2),
    ExamQuestion("q-1", HARD, HARD, "rule", "p-1", 3, 9, (HARD, "4"), HARD, "in its own words"),
    Source("p-1", 3, 9),
    StudyItem(
        "s-1",
        "about",
        "rules",
        HARD,
        (Message(role="user", content=HARD), Message(role="assistant", content=HARD)),
        (Source("p-1", 3, 9), Source("p-2", 0, 1)),
        HARD,
    ),
    Example((1, 2, 3), (False, True, True)),
    Plan(1, 2, 3, 4, 5, 6, 7.5, 8, 1e-4),
    Marks((True, False), (HARD, "")),
    Rate(8, 10, 0.8, (0.49, 0.94)),
    Trial(3, None, {"mlp.down_proj": {"max_weight": 1.1}}, 4, 0.5),
    Conduct((True, False), (HARD, ""), 0.25),
    Likelihood(-12.5, 8),
    Yield(HARD, 3, 2, {HARD: 1}),
)


def test_every_record_is_among_those_tested() -> None:
    kinds = {kind for _, kind in inspect.getmembers(records, dataclasses.is_dataclass)}
    assert {type(record) for record in EVERY} == kinds


@pytest.mark.parametrize("record", EVERY, ids=lambda record: type(record).__name__)
def test_what_was_written_is_read_back(record: Any) -> None:
    assert from_jsonl(type(record), to_jsonl([record, record])) == [record, record]


def test_a_record_takes_one_line_whatever_its_text() -> None:
    assert to_jsonl([Source(HARD, 0, 1)] * 3).count("\n") == 3


def test_a_passage_says_where_it_stands_in_words() -> None:
    assert (
        Passage("p", "birds.md", "", 0, 0, heading="Birds / Herons", page=2).source
        == "birds.md, section Birds / Herons"
    )
    assert Passage("p", "birds.pdf", "", 0, 0, page=2).source == "birds.pdf, page 2"
    assert Passage("p", "birds.txt", "", 0, 0).source == "birds.txt"


def test_the_content_of_a_study_item_is_all_that_it_says() -> None:
    chat = (Message(role="user", content="Who?"), Message(role="assistant", content="Orla."))
    assert StudyItem("s", "about", "rules", messages=chat).content == "Who?\nOrla."
    assert StudyItem("s", "passage", "rules", "Orla sings.").content == "Orla sings."
