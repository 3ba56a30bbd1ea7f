"""Gaps: which words of a statement can be asked for, and that none is half of something."""

from __future__ import annotations

import pytest

from blasphemer.dataset_processor.gaps import BLANK, Vocabulary, find_gaps, in_context
from blasphemer.language import contains, normalise
from tests.natural import SETS, read, statements_in


def asked(text: str, *kinds: str, others: str = "") -> list[str]:
    """The words that can be asked for in the last sentence of a text, of all kinds or of some."""
    statement = statements_in(text)[-1]
    vocabulary = Vocabulary(statements_in(f"{text} {others}"))
    found = find_gaps(statement, vocabulary)
    return [statement.text[gap.start : gap.end] for gap in found if not kinds or gap.kind in kinds]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The tank holds 45 litres when the tap is shut.", ["45"]),
        ("A sack weighs 12.5 kg and costs £18 at the gate.", ["12.5 kg", "£18"]),
        ("Keep the oven between 180 and 195 °C.", ["180", "195 °C"]),
        ("It works from -40 to +60 °C in any wind.", ["-40 to +60 °C"]),
        ("The yard opens on 3 March and closes on 14 December 1900.", ["3 March", "14 December 1900"]),
        ("The gate is shut at 17:30 sharp in winter.", ["17:30"]),
        ("We need twenty-six chairs and three hundred cups.", ["twenty-six", "three hundred"]),
        ("Several hundred people came, and one of them sang.", []),
        ("The relay K7P and port D2 are on floor 3 of the tower.", ["K7P", "D2", "3"]),
        ("The fine is 1,240 crowns, as version 2.1 of the rules says.", ["1,240", "2.1"]),
        ("Das Brot kostet seit dem 3. Mai genau 2,80 € im Laden.", ["3. Mai", "2,80 €"]),
        ("Le pain coûte 1,20 € depuis le 12 mars 2015.", ["1,20 €", "12 mars 2015"]),
        ("The lake is 23 km long.[1] A ferry ran there from 1887 until the flood.[5][6]", ["1887"]),
        ("6.2 Notice is deemed served 2 days later under clause 6 of page 14.", ["2"]),
        ("Ring 0141 496 0022 and ask for tray 30 x 40 before 14 July.", ["14 July"]),
        ("The energy is E = n^2 h^2 / (8 m L^2), about 10^-34 or 3.14 joules.", ["3.14"]),
        ("नाव का किराया १८५ रुपये है और यह सुबह चलती है।", ["१८५"]),
        ("渡船的票价是47元，儿童免票，老人半价。", ["47"]),
    ],
)
def test_numbers_are_asked_for_whole_and_with_their_unit(text: str, numbers: list[str]) -> None:
    assert asked(text, "number", "measure", "other") == numbers


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The lamp was lit by Halvard Brisk in that year.", ["Halvard Brisk"]),
        ("We gave the key to Mrs Ottoline Farr of the choir.", ["Mrs Ottoline Farr"]),
        ("He sailed on the Duke of Marrow until it sank.", ["Duke of Marrow"]),
        ("The first to cross was old Piet van Rool, and later de Witt.", ["Piet van Rool", "de Witt"]),
        ("The inspector, a Mr. Tuffnell, came back with Sunil\nRao from the works.", ["Mr. Tuffnell", "Sunil\nRao"]),
        ("See [Keep a Log](http://a.b) and `run FAST` for **all of Padley** at once.", []),
        ("Then we sang The Old Ferry and went home again.", ["The Old Ferry"]),
        ("It belongs to Farr's sister and to nobody else.", ["Farr"]),
        ("Bram and I counted the nests in the reeds again.", ["Bram"]),
        ("The alarm LEDGER_LAG is loud enough to wake us.", []),
        ("We read Fettle & Mane every month in the kitchen.", []),
        ("Order the sleeve BP-S12 together with the lid.", []),
        ("Potatoes are not taken instead of money here.", []),
    ],
)
def test_names_are_asked_for_whole(text: str, names: list[str]) -> None:
    assert asked(f"Nobody knew that. {text}", "name", others="Later Bram left.") == names


def test_the_first_word_of_a_sentence_is_a_name_where_it_is_one_elsewhere() -> None:
    text = "Nobody had asked for that. Sunniva kept the tally all the same."
    assert asked(text, "name", others="The boat is old, and Sunniva mended it.") == ["Sunniva"]
    assert asked(text, "name") == []


def test_a_name_with_a_title_may_be_given_without_it() -> None:
    statement = statements_in("We gave the key to Mrs Ottoline Farr of the choir.")[0]
    (gap,) = [gap for gap in find_gaps(statement, Vocabulary([statement])) if gap.kind == "name"]
    assert gap.accept == ("Ottoline Farr",)


def test_the_end_of_a_phrase_is_asked_for_without_small_words() -> None:
    assert asked("He kept a single marrow alive on cold tea, and nobody believed him.", "words") == ["cold tea"]


def test_what_is_shown_is_not_asked_for() -> None:
    assert asked("The ferry leaves at 7, and again at 7 in the evening.", "number") == []
    assert asked("THE FERRY OF PADLEY\n\nEverybody likes the ferry of Padley in the summer.", "name") == []
    assert asked("Old Maud Tavish has the key. Today Maud is not at home.", "name") == []


def test_of_a_question_nothing_is_asked() -> None:
    assert asked("WARDEN: At forty metres?\nMAUD: No.\nWARDEN: So at fifty metres?\nMAUD: Go.\nWARDEN: At sixty?") == []


def test_a_gap_is_shown_where_it_is() -> None:
    statement = statements_in("The kiln is old and cracked in many places by now. It was built in 1921.")[1]
    (gap,) = find_gaps(statement, Vocabulary([]))
    assert in_context(statement, gap).endswith("by now. It was built in ____.")


@pytest.mark.parametrize("name", SETS)
def test_on_human_prose_no_gap_is_half_a_word_or_stands_elsewhere_in_what_is_shown(name: str) -> None:
    _, statements = read(name)
    vocabulary = Vocabulary(statements)
    number = 0
    for statement in statements:
        for gap in find_gaps(statement, vocabulary):
            number += 1
            words = statement.text[gap.start : gap.end]
            around = f"{statement.text[gap.start - 1 : gap.start]}{BLANK}{statement.text[gap.end : gap.end + 1]}"
            assert "_" not in around.replace(BLANK, ""), words
            assert words.strip() == words
            shown = normalise(in_context(statement, gap))
            assert not contains(shown, normalise(words)), (words, shown)
    assert number > 2 * len(statements) / 3
