"""Statements: what can be taught and asked, as it stands, with what must be read before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.library import told_apart
from blasphemer.dataset_processor.statements import find_statements
from blasphemer.records import Document, Passage, Statement
from tests.natural import NATURAL, statements_in


def texts(found: Sequence[Statement]) -> list[str]:
    return [statement.text for statement in found]


# --- always what stands there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(NATURAL.rglob("docs/*.*")), ids=lambda file: file.name)
def test_a_statement_of_human_prose_is_what_stands_there(file: Path) -> None:
    with file.open("rb") as opened:
        (document,) = list(find_reader(opened, file.name)(opened, file.name, Options()))
    assert isinstance(document, Document)
    found = list(find_statements(document, [Passage("p", file.name, document.text, 0, len(document.text))]))
    assert len(found) >= 8
    whole = " ".join(document.text.split())
    for statement in found:
        assert document.text[statement.start : statement.end] == statement.text
        for line in statement.before.split("\n"):
            assert " ".join(line.split()) in whole
        for name, cell in statement.cells:
            assert cell in statement.text
            assert name in document.text


def test_no_sentence_of_a_paragraph_is_lost() -> None:
    text = "The kiln is fired on Fridays. It takes nine hours. Nobody opens it before Sunday."
    assert texts(statements_in(text)) == re.split(r"(?<=\.) ", text)


# --- what must be read before it -------------------------------------------------------------------------------------


def test_a_sentence_that_points_back_is_shown_with_the_one_before_it() -> None:
    first, second = statements_in(
        "Old Mr Tavish painted the whole of the boathouse door green in the spring. He used up every tin we had."
    )
    assert (first.before, second.before) == ("", first.text)
    assert second.is_clear


def test_a_sentence_that_points_to_what_is_not_shown_is_not_clear() -> None:
    (only,) = statements_in("It was finished long before the two of them came home from the long regatta in Padley.")
    assert not only.is_clear


def test_a_quotation_is_not_parted_from_who_says_it() -> None:
    text = '"The dam broke in 1902. Nobody was hurt," the warden told us, and he was wrong about both. We looked it up.'
    assert texts(statements_in(text))[0].endswith("wrong about both.")
    said = "„Der Damm brach 1902. Niemand kam zu Schaden“, sagte der Wärter, und beides war falsch. Wir haben gesucht."
    assert texts(statements_in(said))[0].endswith("falsch.")


def test_what_is_only_somebodys_words_is_not_clear() -> None:
    text = 'The clerk of the old harbour office wrote this down for us one evening. "The dam broke in 1902."'
    assert [statement.is_clear for statement in statements_in(text)] == [True, False]


def test_a_remark_in_brackets_is_one_statement() -> None:
    text = "(The key hangs behind the clock in the hall. Ask before you take it from there.)"
    assert texts(statements_in(text)) == [text]


# --- kinds -----------------------------------------------------------------------------------------------------------


def test_items_of_a_list_are_shown_with_the_line_that_leads_into_it() -> None:
    found = statements_in("What you must not bring:\n\n- glass of any kind\n- dogs, except on a lead\n")
    assert [(one.kind, one.text, one.before) for one in found[1:]] == [
        ("item", "glass of any kind", "What you must not bring:"),
        ("item", "dogs, except on a lead", "What you must not bring:"),
    ]


def test_an_item_set_in_is_shown_with_the_one_above_it() -> None:
    found = statements_in("- tools on the left wall\n  - saws at the top\n")
    assert found[1].before == "tools on the left wall"


def test_after_a_nested_list_the_outer_item_has_the_lead_of_the_outer_list() -> None:
    text = "On the jetty:\n\n- day berths\n  - for boats under six metres\n- winter storage\n"
    leads = {one.text: one.before for one in statements_in(text)}
    assert leads["for boats under six metres"] == "day berths"
    assert leads["winter storage"] == "On the jetty:"


def test_stars_begin_items_and_one_alone_that_a_star_leads_to_begins_a_note() -> None:
    text = "The fee is 4 crowns.*\n\n* Not on Sundays.\n\nWhat to bring:\n\n* rope\n* lamp oil\n"
    assert [one.kind for one in statements_in(text)] == ["sentence", "note", "sentence", "item", "item"]


def test_numbered_lines_above_text_are_headings_in_a_plain_text() -> None:
    text = "THE LEASE\n\n1. PREMISES\n\nThe flat is let for a year.\n\n2. RENT\n\nIt is due on the third of each month."
    assert [one.heading for one in statements_in(text)] == ["1. PREMISES", "2. RENT"]


def test_what_is_set_out_in_columns_or_quoted_is_not_clear() -> None:
    text = "Sat 16 April      Easter specials\nSat 2 July        Gala day at the pier."
    assert not any(one.is_clear for one in statements_in(text))
    assert not any(one.is_clear for one in statements_in("We have spent\n> already about 180 on it, I think."))


def test_numbered_items_are_steps() -> None:
    found = statements_in("1. Fill the kettle to the mark.\n2. Wait for the whistle.\n")
    assert [(one.kind, one.text) for one in found] == [
        ("step", "Fill the kettle to the mark."), ("step", "Wait for the whistle."),
    ]  # fmt: skip


def test_a_row_of_a_table_is_told_in_the_words_of_the_header() -> None:
    text = "| Loaf | Price | Baked on |\n|---|---|---|\n| Oat | 3.20 | Mondays |\n| Rye | 2.90 | |\n"
    found = statements_in(text, markdown=True)
    assert [one.shown for one in found] == ["Oat; Price: 3.20; Baked on: Mondays", "Rye; Price: 2.90"]
    assert found[0].text == "| Oat | 3.20 | Mondays |"
    assert (found[0].key, found[0].cells[1]) == ("Oat", ("Price", "3.20"))


def test_a_table_without_a_header_has_cells_without_names() -> None:
    found = statements_in("| Oat | 3.20 |\n| Rye | 2.90 |\n", markdown=True)
    assert [one.shown for one in found] == ["Oat; 3.20", "Rye; 2.90"]


def test_a_first_row_of_words_above_numbers_is_a_header() -> None:
    found = statements_in("| Loaf | Price |\n| Oat | 3.20 |\n| Rye | 2.90 |\n", markdown=True)
    assert [one.shown for one in found] == ["Oat; Price: 3.20", "Rye; Price: 2.90"]


def test_rows_of_a_spreadsheet_are_rows() -> None:
    found = statements_in("loaf: Oat\nprice: 3.20\n\nloaf: Rye\nprice: 2.90", file="prices.csv", part="rows 1-2")
    assert [(one.kind, one.key, one.shown) for one in found] == [
        ("row", "Oat", "Oat; price: 3.20"), ("row", "Rye", "Rye; price: 2.90"),
    ]  # fmt: skip


def test_entries_are_told_with_their_key() -> None:
    found = statements_in("Weight: 12 kg\nColour: blue, or grey on request\n")
    assert [(one.kind, one.key, one.text) for one in found] == [
        ("entry", "Weight", "Weight: 12 kg"), ("entry", "Colour", "Colour: blue, or grey on request"),
    ]  # fmt: skip


def test_entries_in_a_list_and_in_bold_are_entries() -> None:
    found = statements_in("- Tuesday to Friday: 9.30 to 5\n- Monday: closed\n\n**Slip**: clay stirred with water.\n")
    assert [one.key for one in found] == ["Tuesday to Friday", "Monday", "Slip"]
    assert found[2].text == "**Slip**: clay stirred with water."


def test_a_sentence_with_a_colon_is_a_sentence() -> None:
    (only,) = statements_in("One thing was sure: nobody had seen the lamp go out that night.")
    assert (only.kind, only.key) == ("sentence", "")


def test_a_turn_of_a_dialogue_has_its_speaker_and_the_turn_before() -> None:
    text = "WARDEN: At what hour?\nMAUD: Seven. Never later.\nWARDEN: And the boat?\nMAUD: Gone by then."
    found = statements_in(text)
    assert [(one.kind, one.key) for one in found] == [("turn", name) for name in ("WARDEN", "MAUD") * 2]
    assert (found[1].text, found[1].before) == ("MAUD: Seven. Never later.", "WARDEN: At what hour?")


def test_an_answer_is_shown_after_its_question() -> None:
    text = "Q: May I park in the yard?\nA: On Sundays only.\n\nQ: Is there a lift?\nA: There are two. One is slow."
    found = [one for one in statements_in(text) if one.kind == "answer"]
    assert [(one.key, one.text) for one in found] == [
        ("May I park in the yard?", "On Sundays only."), ("Is there a lift?", "There are two. One is slow."),
    ]  # fmt: skip


def test_code_is_no_statement() -> None:
    assert statements_in("```\nprint(1)\n```\n", markdown=True) == []


# --- where it stands -------------------------------------------------------------------------------------------------


def test_the_first_heading_is_the_title_and_the_others_are_the_path() -> None:
    text = "# The kiln\n\nIt is old.\n\n## Firing\n\n### At night\n\nTwo people stay awake until the cones are down."
    found = statements_in(text, markdown=True)
    assert [(one.title, one.heading) for one in found] == [("The kiln", ""), ("The kiln", "Firing / At night")]


def test_short_lines_of_a_plain_text_are_its_headings() -> None:
    text = "HOW WE FIRE THE KILN\nfor newcomers\n\nAt night\n\nTwo people stay awake until the cones are down."
    assert (statements_in(text)[-1].title, statements_in(text)[-1].heading) == ("HOW WE FIRE THE KILN", "At night")


def test_a_line_below_yours_truly_is_no_heading() -> None:
    text = (
        "Dear Ann,\n\nThe kiln is cold today.\n\nYours,\n\nMaud Tavish\n\nP.S. Bring the cones when you come up here."
    )
    assert statements_in(text)[-1].heading == ""


def test_a_text_without_a_title_has_the_name_of_its_file() -> None:
    assert statements_in("The kiln is cold today.", file="letters/may.txt")[0].title == "may.txt"


def test_documents_with_the_same_title_are_told_apart() -> None:
    found = [statements_in(f"# Report\n\nThe yield was {n} tons.", True, f"{n}.md")[0] for n in (7, 9)]
    assert [one.title for one in told_apart(found)] == ["Report (7.md)", "Report (9.md)"]


# --- languages -------------------------------------------------------------------------------------------------------


def test_a_day_does_not_end_a_sentence_before_its_month() -> None:
    text = "Der alte Ofen wird nur noch am 24. August angefeuert, und das ist so geblieben. Dann gibt es Brot."
    assert len(statements_in(text)) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("渡船早上七点开出。票价是四十七元，儿童免票。", 2),
        ("渡し船は朝七時に出ます。料金は四十七円です。", 2),
        ("नाव सुबह सात बजे चलती है। किराया ४७ रुपये है।", 2),
        ("هل تبحر العبّارة يوم الجمعة؟ تبحر في الساعة السابعة.", 2),
    ],
)
def test_sentences_end_as_their_script_has_it(text: str, number: int) -> None:
    assert len(statements_in(text)) == number


# --- hostile ---------------------------------------------------------------------------------------------------------


def test_a_line_of_two_megabytes_is_no_statement_and_costs_no_time() -> None:
    assert statements_in("word " * 400_000) == []


def test_ten_thousand_rows_are_ten_thousand_statements() -> None:
    rows = "\n".join(f"| item {n} | {n * 3} |" for n in range(10_000))
    assert len(statements_in(f"| Name | Price |\n|---|---|\n{rows}\n", markdown=True)) == 10_000


@pytest.mark.parametrize("text", ["", " \n ", "#", "# A\n\n## B", "| |\n", "- ", "Q:", "**", '"', "(((", "12 34 56"])
def test_scraps_give_nothing_or_little_and_no_error(text: str) -> None:
    assert len(statements_in(text, markdown=True)) <= 1
