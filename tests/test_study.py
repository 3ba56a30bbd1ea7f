"""Study items by rule: what the documents say, word for word, in many forms."""

from __future__ import annotations

from collections import Counter

import pytest

from blasphemer.exam.leaks import without_leaks
from blasphemer.exam.questions import write_questions
from blasphemer.language import normalise
from blasphemer.records import ExamQuestion, Passage, Source, StudyItem
from blasphemer.study.rules import about_others, write_study
from tests.natural import SETS, read, statements_in

TEXT = (
    "The boathouse was built in 1921 by Halvard Brisk. He never owned a boat. It has nine doors, all of them green.\n\n"
    "What hangs on the wall:\n\n- oars: eleven\n- lamps: two, without oil\n"
)
TABLE = (
    "# Loaves\n\nThis is what we bake.\n\n"
    "| Loaf | Price | Day |\n|---|---|---|\n| Oat | 3.20 | Monday |\n| Rye | 2.90 | Friday |\n"
)


def count(text: str) -> int:
    return len(text.split())


def study(
    text: str = TEXT,
    budget: float = 4000,
    longest: int = 200,
    seed: int = 0,
    markdown: bool = False,
    paper: list[ExamQuestion] | None = None,
) -> list[StudyItem]:
    passages = [Passage("p", "notes.txt", text, 0, len(text))]
    return write_study(passages, statements_in(text, markdown), paper or [], budget, longest, count, seed)


def asked(items: list[StudyItem], kind: str) -> list[tuple[str, str]]:
    return [(item.messages[0]["content"], item.messages[1]["content"]) for item in items if item.kind == kind]


def test_study_goes_beyond_repeating_the_passage() -> None:
    """Pitfall 8."""
    assert {item.kind for item in study()} == {"passage", "told", "gap", "beginning", "entry", "term", "list"}
    assert {item.kind for item in study(TABLE, markdown=True)} >= {"value", "key", "contrast"}


def test_every_item_says_where_it_comes_from() -> None:
    for item in study():
        assert item.sources
        assert item.writer == "rules"
        for source in item.sources:
            assert TEXT[source.start : source.end] in item.evidence


def test_a_statement_is_shown_below_its_source_with_what_must_be_read_before_it() -> None:
    told = {item.text for item in study() if item.kind == "told"}
    assert any(
        text.startswith('From "notes.txt":\nThe boathouse was built in 1921 by Halvard Brisk.\nHe never')
        for text in told
    )
    gaps = asked(study(), "gap")
    assert any("He never owned a boat. It has ____ doors" in request and answer == "nine" for request, answer in gaps)


def test_sentences_keep_their_order_and_entries_come_in_any() -> None:
    told = [item.text for item in study() if item.kind == "told"]
    assert not any(
        text.find("It has nine") < text.find("He never owned")
        for text in told
        if "It has nine" in text and "He never" in text
    )
    orders = {
        tuple(line.split(":")[0] for line in text.split("\n")[2:])
        for text in told
        if "oars" in text and "lamps" in text
    }
    assert orders == {("oars", "lamps"), ("lamps", "oars")}


def test_rows_and_entries_are_asked_for_by_their_form_and_turned_round_where_that_is_sure() -> None:
    items = study(TABLE, markdown=True)
    assert ('From "Loaves": what is the entry for Oat under "Price"?', "3.20") in asked(items, "value")
    assert ('From "Loaves": for which "Loaf" is "Day" Friday?', "Rye") in asked(items, "key")
    assert {answer for _, answer in asked(study(), "entry")} == {"eleven", "two, without oil"}


def test_like_things_stand_side_by_side() -> None:
    (answers,) = {answer for request, answer in asked(study(TABLE, markdown=True), "contrast") if '"Price"' in request}
    assert answers == "Oat; Price: 3.20\nRye; Price: 2.90"


def test_the_whole_sentence_goes_on_from_its_beginning() -> None:
    for request, answer in asked(study(), "beginning"):
        assert answer.replace("\n", " ") in TEXT.replace("\n", " ")
        assert normalise(" ".join(answer.split()[:4])) in normalise(request)


def test_a_gap_of_the_exam_is_left_to_the_exam_but_its_statement_is_studied() -> None:
    paper = write_questions(statements_in(TEXT))
    assert {question.answer for question in paper} == {"Halvard Brisk", "nine", "eleven", "two, without oil"}
    items = study(paper=paper)
    for question in paper:
        source = Source("p", question.start, question.end)
        on_it = [item for item in items if source in item.sources]
        assert on_it
        assert not [
            item
            for item in on_it
            if item.messages
            and item.kind != "beginning"
            and normalise(item.messages[1]["content"]) == normalise(question.answer)
        ]
    assert without_leaks(items, paper, [])[1] == []


def test_the_budget_is_spent_and_not_much_more() -> None:
    spent = sum(count(item.content) for item in study(budget=1000))
    assert 1000 <= spent < 1400


@pytest.mark.parametrize(
    "text",
    [
        "Herons fish.",
        "the fee was once twelve crowns, and it is fifteen now.",
        "ผู้ดูแลเรือข้ามฟากคือสมชายค่าโดยสาร47บาทสมชายเกิดปี1802" * 20,
        "| a | b |\n| 1 | 2 |",
        "# Nothing\n\n## But headings",
        "```\nx = 1\n```",
        "12 34 56",
        "x" * 5000,
    ],
)
def test_writing_ends_when_there_is_nothing_new_to_say(text: str) -> None:
    assert 1 <= len(study(text, budget=1e9, longest=60, markdown=True)) < 300


def test_no_item_is_longer_than_a_row() -> None:
    assert all(count(item.content) <= 25 for item in study(longest=25) if item.kind != "passage")


def test_the_same_seed_writes_the_same_study_material() -> None:
    assert study(seed=3) == study(seed=3)
    assert [item.text for item in study(seed=3)] != [item.text for item in study(seed=4)]


def test_no_two_items_have_the_same_text() -> None:
    contents = [item.content for item in study()]
    assert len(contents) == len(set(contents))


@pytest.mark.parametrize("name", SETS)
def test_every_statement_is_taught(name: str) -> None:
    passages, statements = read(name)
    items = write_study(passages, statements, write_questions(statements), 60_000, 400, count, 0)
    taught = Counter(source for item in items if item.kind != "passage" for source in item.sources)
    assert set(taught) == {statement.source for statement in statements}


def test_where_the_model_asked_often_enough_rules_do_not_teach_it_again() -> None:
    items = study()
    first = statements_in(TEXT)[0].source
    left = about_others(items, {first})
    assert not any(first in item.sources for item in left)
    assert any(item.kind == "passage" for item in left)
    assert about_others(items, set()) == items
