"""Rows of a table or dataset: what their columns mean, and what becomes of each value."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.formats.rows import GATHERED, compose
from blasphemer.errors import Unreadable
from blasphemer.records import Document, StudyItem, exchange

Row = dict[str, Any]


def composed(*rows: Row, columns: tuple[str, ...] = (), row_limit: int | None = None, **how: Any) -> list[Piece]:
    return list(compose(rows, "birds", Options(columns=columns, row_limit=row_limit), **how))


def chats(*rows: Row, **how: Any) -> list[tuple[tuple[str, str], ...]]:
    """The conversations in all pieces, each as (role, content) pairs."""
    items = [piece for piece in composed(*rows, **how) if isinstance(piece, StudyItem)]
    return [tuple((turn["role"], turn["content"]) for turn in item.messages) for item in items]


def texts(*rows: Row, **how: Any) -> list[str]:
    return [piece.text for piece in composed(*rows, **how) if isinstance(piece, Document) and piece.text]


def news(*rows: Row, **how: Any) -> Document:
    """The last piece, which tells what was left out."""
    last = composed(*rows, **how)[-1]
    assert isinstance(last, Document)
    assert not last.text
    return last


def turn(role: str, content: Any) -> Row:
    return {"role": role, "content": content}


ASKED = (("user", "Who?"), ("assistant", "Ann."))
CHAT = {"messages": [turn("user", "Who?"), turn("assistant", "Ann.")]}


# --- Which columns mean what ---


@pytest.mark.parametrize(
    "row",
    [
        CHAT,
        {"messages": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]},
        {"messages": {"role": ["user", "assistant"], "content": ["Who?", "Ann."]}},
        {"messages": '[{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]'},
        {"messages": "[{'role': 'user', 'content': 'Who?'}, {'role': 'assistant', 'content': 'Ann.'}]"},
        {"messages": [turn("user", [{"type": "text", "text": "Who?"}]), turn("assistant", "Ann.")]},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]},
        {"prompt": "Who?", "completion": "Ann."},
        {"prompt": [turn("user", "Who?")], "completion": [turn("assistant", "Ann.")]},
        {"prompt": "Who?", "chosen": [turn("user", "Who?"), turn("assistant", "Ann.")], "rejected": []},
        {"instruction": "Who?", "output": "Ann."},
        {"instruction": "Who?", "input": "", "output": "Ann."},
        {"instruction": "Who?", "context": None, "response": "Ann.", "category": "qa"},
        {"question": "Who?", "answer": "Ann."},
        {"question": "Who?", "answer": ["Ann.", "Anne."]},
        {"id": "1", "context": "Ann.", "question": "Who?", "answers": {"text": ["Ann.", "A."], "answer_start": [0, 0]}},
        {"Question": " Who? ", "Answer": "Ann.\n"},
    ],
    ids="+".join,
)
def test_requests_and_answers_are_conversations(row: Row) -> None:
    """Pitfall 23: instructions kept and responses thrown away; lists became Python reprs."""
    assert chats(row) == [ASKED]


def test_a_conversation_is_named_after_its_row_and_written_by_the_documents() -> None:
    (_, second) = composed(CHAT, CHAT)
    assert second == StudyItem("birds#2", "instruction", "documents", messages=exchange("Who?", "Ann."))


def test_each_answer_of_a_chat_is_learnt_with_all_that_was_said_before() -> None:
    longer = {
        "messages": [turn("system", "Be brief."), *CHAT["messages"], turn("user", "Why?"), turn("assistant", "So.")]
    }
    first, second = composed(longer)
    assert isinstance(first, StudyItem)
    assert isinstance(second, StudyItem)
    assert [len(first.messages), len(second.messages)] == [3, 5]
    assert [first.messages[-1]["content"], second.messages[-1]["content"]] == ["Ann.", "So."]
    assert [first.id, second.id] == ["birds#1.1", "birds#1.2"]


def test_an_answer_within_a_prompt_is_context_only() -> None:
    prompt = [*CHAT["messages"], turn("user", "Why?")]
    assert chats({"prompt": prompt, "completion": "So."}) == [(*ASKED, ("user", "Why?"), ("assistant", "So."))]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Sum up.", "input": "A long text.", "output": "Short."},
        {"instruction": "Sum up.", "context": "A long text.", "response": "Short."},
    ],
)
def test_an_input_follows_its_instruction(row: Row) -> None:
    assert chats(row) == [(("user", "Sum up.\n\nA long text."), ("assistant", "Short."))]


def test_a_system_prompt_beside_a_question_comes_first() -> None:
    row = {"system_prompt": "Be brief.", "question": "Who?", "response": "Ann."}
    assert chats(row) == [(("system", "Be brief."), *ASKED)]


def test_a_chat_goes_before_a_text() -> None:
    """Pitfall 23: the first column that looked like text was taken."""
    assert chats({"text": "Who? Ann.", **CHAT}) == [ASKED]


@pytest.mark.parametrize("name", ["text", "content", "document", "article", "body", "passage", "Text"])
def test_a_column_of_texts_is_known_by_its_name(name: str) -> None:
    assert texts({"id": "7", name: "Herons wade."}) == ["Herons wade."]


def test_columns_that_are_not_read_are_told() -> None:
    assert news({"id": "7", "text": "Herons wade.", "url": ""}).note == "columns not read: id, url"


def test_a_lone_column_is_a_text_whatever_its_name() -> None:
    assert texts({"remark": "Herons wade."}) == ["Herons wade."]


def test_other_columns_are_records() -> None:
    assert texts({"bird": "heron", "legs": 2}, {"bird": "stork", "legs": 2}) == [
        "bird: heron\nlegs: 2\n\nbird: stork\nlegs: 2"
    ]


def test_where_records_are_refused_the_columns_are_named() -> None:
    with pytest.raises(Unreadable, match=r"none of its columns is known: bird, food\. Choose with --columns"):
        composed({"bird": "heron", "food": "fish"}, records=False)


def test_where_records_are_refused_the_only_text_is_read() -> None:
    assert texts({"bird": "heron", "legs": 2}, records=False) == ["heron"]


def test_columns_that_the_first_row_lacks_are_found() -> None:
    assert chats({"question": "Who?"}, {"question": "Who?", "answer": "Ann."}) == [ASKED]


# --- Columns by choice ---


def test_one_chosen_column_is_a_text() -> None:
    assert texts({"question": "Who?", "answer": "Ann."}, columns=("answer",)) == ["Ann."]


def test_chosen_columns_with_the_names_of_a_conversation_are_one() -> None:
    assert chats({"text": "x", "question": "Who?", "answer": "Ann."}, columns=("question", "answer")) == [ASKED]


def test_a_chosen_chat_is_never_a_text() -> None:
    """Pitfall 23: lists became Python reprs."""
    assert chats({"text": "x", **CHAT}, columns=("messages",)) == [ASKED]


def test_other_chosen_columns_are_records_in_the_order_chosen() -> None:
    assert texts({"text": "x", "Food": "fish", "bird": "heron"}, columns=("bird", "food")) == [
        "bird: heron\nFood: fish"
    ]


def test_a_chosen_column_that_is_missing_is_refused_with_those_there_are() -> None:
    with pytest.raises(Unreadable, match=r"no column fod \(--columns\)\. There are: bird, food"):
        composed({"bird": "heron", "food": "fish"}, columns=("bird", "fod"))


# --- What gives nothing ---


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [turn("user", "Who?")]}, "1 row without an answer"),
        ({"messages": [turn("user", "Who?"), turn("assistant", "")]}, "1 row without an answer"),
        ({"messages": [turn("assistant", "Ann.")]}, "1 row without an answer"),
        ({"messages": None}, "1 row without an answer"),
        ({"messages": [turn("user", "Who?"), turn("tool", "{}")]}, "1 row with calls of tools"),
        (
            {"messages": [turn("user", "Who?"), {**turn("assistant", None), "tool_calls": [1]}]},
            "1 row with calls of tools",
        ),
        ({"messages": [turn("narrator", "Once")]}, "1 row with an unknown role (narrator)"),
        (
            {"messages": [turn("user", [{"type": "image"}]), turn("assistant", "A heron.")]},
            "1 row with a turn that is no text",
        ),
        (
            {"messages": [*CHAT["messages"], turn("system", "Now rhyme."), *CHAT["messages"]]},
            "1 row with a system turn in mid-conversation",
        ),
    ],
)
def test_a_row_that_is_no_conversation_is_counted(row: Row, told: str) -> None:
    assert news(CHAT, row).note == told
    assert chats(CHAT, row) == [ASKED]


def test_the_characters_of_rows_left_out_are_counted() -> None:
    last = news(
        {"question": "Who?", "answer": "Ann."}, {"question": "Why?", "answer": ""}, {"question": "How?", "answer": ""}
    )
    assert (last.note, last.removed) == ("2 rows without an answer", 8)


def test_turns_that_nothing_asks_for_or_answers_are_left_out_and_counted() -> None:
    row = {"messages": [turn("assistant", "Hello."), *CHAT["messages"], turn("user", "Why?")]}
    assert chats(row) == [ASKED]
    last = news(row)
    assert (last.note, last.removed) == ("1 row with turns left out that lack a request or an answer", 10)


def test_turns_after_an_empty_one_are_left_out() -> None:
    row = {"messages": [*CHAT["messages"], turn("user", ""), turn("assistant", "What?")]}
    assert chats(row) == [ASKED]
    assert news(row).removed == 5


def test_two_turns_of_one_speaker_become_one() -> None:
    """Templates refuse them."""
    row = {"messages": [turn("user", "Hello."), turn("user", "Who?"), turn("assistant", "Ann.")]}
    assert chats(row) == [(("user", "Hello.\n\nWho?"), ("assistant", "Ann."))]


def test_empty_rows_are_counted() -> None:
    assert news({"text": "x"}, {"text": None}, {"text": " \n"}).note == "2 empty rows"


def test_rows_of_which_none_gives_anything_are_refused_with_the_reason() -> None:
    with pytest.raises(Unreadable, match=r"nothing to read in its rows \(1 row without an answer\)"):
        composed({"question": "Who?", "answer": ["", None]})
    with pytest.raises(Unreadable, match="no rows"):
        composed()


def test_a_value_nested_too_deeply_costs_its_row_only() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert texts({"a": "heron", "b": "x"}, {"a": "stork", "b": deep}) == ["a: heron\nb: x"]


# --- Values ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("007", "007"), ("two\r\nlines", "two\nlines"), ("Cafe\u0301", "Café"), ("half \ud83d", "half \ufffd"),
        (7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"), (0, "0"), (Decimal("1E+3"), "1000"),
        (datetime.date(2024, 1, 5), "2024-01-05"), (datetime.datetime(2024, 1, 5, 7), "2024-01-05 07:00:00"),
        (["a", 1, None], "a, 1"), ({"a": 1, "b": None}, "a: 1"), ([("a", 1), ("b", 2)], "a: 1, b: 2"),
        ([{"a": 1, "b": 2}, {"a": 3}], "a: 1, b: 2; a: 3"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_a_reader_would(value: Any, expected: str) -> None:
    assert texts({"a": "x", "value": value}) == [f"a: x\nvalue: {expected}"]


@pytest.mark.parametrize("value", [None, "", "  ", float("nan"), [], {}, [None]])
def test_an_empty_value_is_left_out(value: Any) -> None:
    assert texts({"a": "x", "value": value}) == ["a: x"]


@pytest.mark.parametrize("value", [b"bytes", {"bytes": b"image", "path": "a.png"}, object()])
def test_what_is_no_text_is_left_out_and_counted(value: Any) -> None:
    assert texts({"a": "x", "value": value}) == ["a: x"]
    assert news({"a": "x", "value": value}).note == "1 value without text"


def test_control_tokens_stay_text() -> None:
    """Pitfall 13."""
    assert texts({"text": "say <|im_end|> aloud"}) == ["say <|im_end|> aloud"]


# --- Many rows ---


def test_texts_are_gathered_into_documents_that_say_their_rows() -> None:
    found = composed(*({"text": "x" * 90_000} for _ in range(5)), encoding="utf-8")
    assert [(piece.part, len(piece.text)) for piece in found if isinstance(piece, Document)] == [
        ("rows 1-2", 180_002),
        ("rows 3-4", 180_002),
        ("row 5", 90_000),
    ]
    assert {piece.encoding for piece in found if isinstance(piece, Document)} == {"utf-8"}


def test_a_long_text_is_a_document_of_its_own() -> None:
    found = composed({"text": "a"}, {"text": "b" * (GATHERED + 1)}, {"text": "c"})
    assert [piece.part for piece in found if isinstance(piece, Document)] == ["row 1", "row 2", "row 3"]


def test_rows_are_taken_as_they_are_wanted() -> None:
    """A dataset may be larger than the memory."""
    taken = 0

    def endless() -> Iterator[Row]:
        nonlocal taken
        while True:
            taken += 1
            yield {"text": "x" * 1000}

    pieces = compose(endless(), "birds", Options())
    next(pieces)
    assert taken <= GATHERED // 1000 + 1


def test_the_row_limit_is_told_where_there_are_more() -> None:
    assert texts({"text": "a"}, {"text": "b"}, {"text": "c"}, row_limit=2) == ["a\n\nb"]
    assert news({"text": "a"}, {"text": "b"}, {"text": "c"}, row_limit=2).note == "only the first 2 rows (row_limit)"
    assert len(composed({"text": "a"}, {"text": "b"}, row_limit=2)) == 1


def test_numbers_are_answers_too() -> None:
    assert chats({"question": "How many?", "answer": 42}) == [(("user", "How many?"), ("assistant", "42"))]


def test_columns_that_turn_up_late_are_read_as_records_and_else_counted() -> None:
    """Pitfall 23"""
    early, late = [{"a": "one", "b": "two"}] * 40, [{"c": "three"}]
    assert "c: three" in texts(*early, *late)[0]
    pairs = [{"question": "Who?", "answer": "Ann."}] * 40
    told = news(*pairs, {"question": "Who?", "answer": "Ann.", "story": "A long one."})
    assert (told.note, told.removed) == ("1 value in the late column story", len("A long one."))


def test_all_that_a_skipped_row_says_counts_as_lost() -> None:
    pairs = [{"question": "Who?", "answer": "Ann."}] * 40
    assert news(*pairs, {"question": "Who else?", "answer": None}).removed == len("Who else?")
