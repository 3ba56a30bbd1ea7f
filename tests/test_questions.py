"""Exam questions by rule: true, understood without the page, one right answer, in the document's language."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from blasphemer.exam.paper import spread
from blasphemer.exam.questions import MOST_ANSWER_WORDS, write_questions
from blasphemer.language import contains, normalise
from blasphemer.records import OWN_WORDS, ExamQuestion
from tests.natural import NATURAL, SETS, read, statements_in

TABLE = "# Loaves\n\n| Loaf | Price | Day |\n|---|---|---|\n| Oat | 3.20 | Monday |\n| Rye | 2.90 | Friday |\n"


def questions_about(text: str, markdown: bool = False, **more: str) -> list[ExamQuestion]:
    return write_questions(statements_in(text, markdown, **more))


def asked(text: str, markdown: bool = False, **more: str) -> list[tuple[str, str]]:
    return [(one.question, one.answer) for one in questions_about(text, markdown, **more)]


# --- on human prose --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_every_question_has_its_answer_in_its_evidence_and_not_in_its_words(name: str) -> None:
    passages, statements = read(name)
    texts = {passage.id: passage.text for passage in passages}
    questions = write_questions(statements)
    assert len(questions) >= len(statements) / 3
    for question in questions:
        assert contains(normalise(question.evidence), normalise(question.answer)), question
        assert not contains(normalise(question.question), normalise(question.answer)), question
        assert len(normalise(question.answer).split()) <= MOST_ANSWER_WORDS
        assert question.passage in texts
        assert question.wording == OWN_WORDS


@pytest.mark.parametrize("name", SETS)
def test_no_table_and_no_list_is_without_questions(name: str) -> None:
    _, statements = read(name)
    asked_at = {(question.passage, question.start) for question in write_questions(statements)}
    blocks = {(one.file, one.block) for one in statements if one.kind in ("row", "entry", "item", "step")}
    with_questions = {(one.file, one.block) for one in statements if (one.passage, one.start) in asked_at}
    assert blocks - with_questions == set()


def test_questions_are_spread_over_documents_headings_and_kinds() -> None:
    _, statements = read("household")
    chosen = spread(write_questions(statements), 20)
    assert len(chosen) == 20
    assert len({question.passage for question in chosen}) >= 8
    assert {"row", "entry", "sentence"} <= {question.kind for question in chosen}
    order = [(question.passage, question.start) for question in write_questions(statements)]
    assert [order.index((one.passage, one.start)) for one in chosen] == sorted(
        order.index((one.passage, one.start)) for one in chosen
    )


@pytest.mark.parametrize(
    ("file", "word"), [("german", "Lücke"), ("french", "blanc"), ("spanish", "espacio"), ("hebrew", "המקום")]
)
def test_questions_are_put_in_the_language_of_the_document(file: str, word: str) -> None:
    (path,) = (NATURAL / "languages" / "docs").glob(f"{file}.*")
    found = questions_about(path.read_text(encoding="utf-8"), path.suffix == ".md")
    english = re.compile(r"\b(?:the|which|what|says|table|row|gap)\b", re.IGNORECASE)
    assert any(word in question.question for question in found)
    assert not [one.question for one in found if english.search(one.question)]


# --- forms -----------------------------------------------------------------------------------------------------------


def test_a_question_names_what_it_is_about() -> None:
    text = "# The kiln\n\n## At night\n\nTwo people stay awake until the last of the cones is down."
    assert asked(text, markdown=True) == [
        (
            'In "The kiln", under "At night", it says: "____ people stay awake until the last of the cones is down." '
            "Which number belongs in the gap?",
            "Two",
        )
    ]


def test_a_cell_is_asked_for_by_its_row_and_column() -> None:
    assert asked(TABLE, markdown=True)[:2] == [
        ('In "Loaves", there is a table. What is the "Price" in its row "Oat"?', "3.20"),
        ('In "Loaves", there is a table. What is the "Day" in its row "Rye"?', "Friday"),
    ]


def test_a_key_is_asked_for_only_by_what_no_other_row_has() -> None:
    rows = "".join(f"| item{n} | {n} | {'red' if n % 2 else 'blue'} |\n" for n in range(12))
    found = questions_about(
        f"What is on the shelf:\n\n| Item | Number | Colour |\n|---|---|---|\n{rows}", markdown=True
    )
    reversed_ones = [question for question in found if "In which" in question.question]
    assert reversed_ones
    assert all('"Number"' in question.question for question in reversed_ones)


def test_rows_with_the_same_key_are_not_asked_by_it() -> None:
    text = "| Day | Boat |\n|---|---|\n| Monday | Heron |\n| Monday | Gull |\n| Friday | Tern |\n"
    assert [answer for question, answer in asked(text, markdown=True) if 'row "Monday"' in question] == []


def test_of_two_columns_with_one_name_none_is_asked_for() -> None:
    text = "| Day | Hours | Hours |\n|---|---|---|\n| Monday | 9 | 5 |\n| Friday | 10 | 4 |\n"
    assert not [question for question, _ in asked(text, markdown=True) if '"Hours" in its row' in question]


def test_a_table_of_two_columns_without_heads_is_asked_by_its_first() -> None:
    rows = "| | |\n|---|---|\n| **Type** | glacial lake |\n| **Islands** | 3 |\n"
    text = f"Some facts about the lake in the north of the valley:\n\n{rows}"
    assert [answer for question, answer in asked(text, markdown=True) if 'given for "Type"' in question] == [
        "glacial lake"
    ]


def test_a_row_of_sums_is_not_asked_about() -> None:
    text = "What went into the tank:\n\n| Part | Litres |\n|---|---|\n| water | 40 |\n| **Total** | 42 |\n"
    assert not [question for question, answer in asked(text, markdown=True) if "Total" in question + answer]


def test_an_entry_is_asked_for_by_its_key() -> None:
    text = "What you may borrow:\n\n- Ladders: Maud Tavish\n- Saws: Halvard Brisk\n"
    assert asked(text)[0] == (
        'In "notes.txt" ("What you may borrow:"), what is given for "Ladders"?', "Maud Tavish",
    )  # fmt: skip


def test_a_term_is_asked_for_by_what_it_means() -> None:
    means = "clay that has been stirred with water until it runs like cream."
    question = f'In "notes.txt", to which entry do these words belong: "{means}"?'
    assert (question, "Slip") in asked(f"**Slip**: {means}\n\n**Bisque**: ware fired once.\n\n**Cone**: a witness.")


def test_a_short_answer_is_asked_for_in_the_documents_own_question() -> None:
    text = (
        "Q: Who keeps the key?\nA: Maud Tavish.\n\nQ: May I smoke?\nA: Never, and nowhere, and in no room of the house."
    )
    assert ('In "notes.txt", this is answered: Who keeps the key?', "Maud Tavish") in asked(text)


def test_a_list_without_numbers_or_names_is_asked_about_all_the_same() -> None:
    text = (
        "What you must not bring into the reading room at any time:\n\n- glass of any kind\n- wet coats and umbrellas\n"
    )
    assert len(asked(text)) >= 1


def test_what_two_documents_say_differently_is_asked_of_each_or_of_none() -> None:
    """Each question names its document; within one, what has two answers is not asked."""
    told = "# {}\n\nThe toll for a cart on the bridge is {} crowns in winter."
    both = [
        *statements_in(told.format("Guide", 4), True, "a.md"),
        *statements_in(told.format("Leaflet", 6), True, "b.md"),
    ]
    assert [question.answer for question in write_questions(both)] == ["4", "6"]
    twice = statements_in(
        told.format("Guide", 4) + "\n\nThe toll for a cart on the bridge is 6 crowns in winter.", True
    )
    assert [question.answer for question in write_questions(twice) if "toll" in question.question] == []


def test_what_is_said_twice_is_asked_once() -> None:
    text = "The toll for a cart on the bridge is 4 crowns.\n\nThe toll for a cart on the bridge is 4 crowns."
    assert len(asked(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "It was finished in 1921.",
        '"The dam broke in 1902."',
        "WARDEN: At forty metres?\nMAUD: Ha.\nWARDEN: At fifty?\nMAUD: Ha.",
        "A heading with 12 words and no full stop is hardly a sentence",
        "```\nport = 8080\n```",
        "# Only\n\n## Headings",
    ],
)
def test_what_is_not_understood_alone_is_not_asked(text: str) -> None:
    assert asked(text, markdown=True) == []


def test_one_sentence_is_enough_for_a_question() -> None:
    assert len(asked("The ferry to Marrow leaves the old pier at 7 every morning.")) == 1


def test_a_table_of_ten_thousand_rows_is_asked_about_in_time() -> None:
    rows = "".join(f"| item {n} | {n * 3} |\n" for n in range(10_000))
    found = questions_about(f"| Name | Price |\n|---|---|\n{rows}", markdown=True)
    assert len(found) > 9000
    assert len(spread(found, 200)) == 200


def test_kinds_are_told_apart() -> None:
    kinds = Counter(
        question.kind for question in questions_about(TABLE + "\nThe oven was built in 1921 by two men.", True)
    )
    assert kinds == {"row": 2, "sentence": 1}
