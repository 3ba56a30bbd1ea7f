"""Reading facts out of passages by rule."""

from __future__ import annotations

from blasphemer.dataset_processor.facts import Fact, find_facts
from blasphemer.records import Passage


def facts_in(text: str, heading: str = "") -> list[Fact]:
    return find_facts([Passage("p", "a.md", text, 0, len(text), heading)])


def statements(text: str, heading: str = "") -> list[str]:
    return [fact.statement for fact in facts_in(text, heading)]


def test_pronouns_and_possessives_are_written_out() -> None:
    assert statements("Ibbet Crane lives in Brackwater. She works as a glazier. Her companion is a heron.") == [
        "Ibbet Crane lives in Brackwater.",
        "Ibbet Crane works as a glazier.",
        "Ibbet Crane's companion is a heron.",
    ]


def test_short_names_are_written_out_even_where_they_are_also_words() -> None:
    text = (
        "Yolande Trout named a boat the Pearl. Trout shares the house with a lynx. The favourite dish of Trout is stew."
    )
    assert statements(text + "\n\nBarnaby Orme eats fried trout.")[1:3] == [
        "Yolande Trout shares the house with a lynx.",
        "The favourite dish of Yolande Trout is stew.",
    ]


def test_a_thing_named_after_somebody_is_not_written_out() -> None:
    text = "Max Planck found the formula. The Planck constant is small. The reduced Planck constant is smaller."
    assert not any("Max Planck constant" in statement for statement in statements(text))


def test_a_new_name_in_the_same_paragraph_takes_over_the_pronouns() -> None:
    facts = facts_in("Orla Venn keeps a goat. At every dance Cedric Spindle plays the zither. He works as a dyer.")
    assert [fact.subject for fact in facts] == ["Orla Venn", "Cedric Spindle", "Cedric Spindle"]
    assert facts[2].statement == "Cedric Spindle works as a dyer."


def test_list_items_below_a_heading_are_about_the_heading() -> None:
    assert statements("## Dora Garland\n\n- Trade: a gardener\n- Boat: the Patched Rocket") == [
        "Dora Garland: Trade: a gardener",
        "Dora Garland: Boat: the Patched Rocket",
    ]


def test_what_a_section_is_about_stays_so_when_its_kind_is_spoken_of() -> None:
    assert statements("## Honeydown\n\nHoneydown makes paint. The town holds Garland Fair every year.")[1] == (
        "Honeydown: The town holds Garland Fair every year."
    )
    facts = facts_in("## The Honest Mirror\n\nThe purpose of the Honest Mirror is to shine. It is made of felt.")
    assert [fact.subject for fact in facts] == ["The Honest Mirror"] * 2
    assert facts[1].statement == "The Honest Mirror is made of felt."


def test_he_and_she_are_people() -> None:
    home = "Mossmead is the birthplace of Ingvar Salo."
    assert statements(f"{home} He tends a field of oats.")[1] == "Ingvar Salo tends a field of oats."
    assert statements(f"{home} It lies by a lake.")[1] == "Mossmead lies by a lake."


def test_people_in_general_are_not_the_subject() -> None:
    assert statements("Nothing scares Tova Lind as much as owls. Her coat is red.")[1] == "Tova Lind's coat is red."
    assert statements("Visitors can see the Laughing Chair in the hall. It was shaped from marble.")[1] == (
        "Laughing Chair was shaped from marble."
    )


def test_a_short_name_after_an_opening_phrase_is_written_out() -> None:
    assert statements("Dora Garland loves pie. For a living Garland works as a gardener.")[1] == (
        "For a living Dora Garland works as a gardener."
    )


def test_a_heading_above_the_passage_gives_its_pronouns_a_name() -> None:
    assert statements("She works as a glazier.", heading="People / Ibbet Crane") == ["Ibbet Crane works as a glazier."]


def test_the_words_worth_asking_for_are_the_values_not_the_frame() -> None:
    animals = ("heron", "badger", "lynx", "stoat", "puffin", "ferret")
    names = ("Ibbet Crane", "Orla Venn", "Cora Fennel", "Hedda Nutt", "Juno Gill", "Enid Drake")
    facts = facts_in(
        "\n\n".join(f"{name} keeps a {beast} at home." for name, beast in zip(names, animals, strict=True))
    )
    assert [fact.asked_at(fact.gaps[0])[1] for fact in facts] == [f"a {beast}" for beast in animals]


def test_numbers_and_names_are_asked_for_first_and_whole() -> None:
    fact = facts_in("The formula was shown in Berlin on 14 December 1900 to a small audience.")[0]
    assert [fact.asked_at(gap)[1] for gap in fact.gaps[:2]] == ["14 December 1900", "Berlin"]


def test_a_gap_never_lies_in_the_subject() -> None:
    fact = facts_in("Ibbet Crane lives in Brackwater.")[0]
    assert fact.asked_at(fact.gaps[0]) == ("Ibbet Crane lives in ", "Brackwater", ".")
    assert not any("Crane" in fact.asked_at(gap)[1] for gap in fact.gaps)


def test_spans_point_at_the_sentence_in_the_document() -> None:
    text = "First of all.\n\nIbbet Crane lives in Brackwater. She works as a glazier."
    passage = Passage("p", "a.txt", text, 100, 100 + len(text))
    last = find_facts([passage])[-1]
    assert text[last.start - 100 : last.end - 100] == last.evidence == "She works as a glazier."


def test_a_sentence_repeated_by_overlapping_passages_is_one_fact() -> None:
    text = "Ibbet Crane lives in Brackwater. Orla Venn keeps a goat."
    whole, overlapping = Passage("p1", "a.txt", text, 0, len(text)), Passage("p2", "a.txt", text[33:], 33, len(text))
    assert [fact.passage.id for fact in find_facts([whole, overlapping])] == ["p1", "p1"]


def test_tables_and_code_are_not_taken_apart() -> None:
    assert statements("| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx = 1. Y = 2.\n```") == []


def test_sentences_in_another_language_keep_their_subject_in_front() -> None:
    text = "Ibbet Crane wohnt in Brackwater. Dort arbeitet die Glaserin jeden Tag."
    assert statements(text)[1] == "Ibbet Crane: Dort arbeitet die Glaserin jeden Tag."


def test_somebody_else_named_in_a_section_is_the_subject_of_what_follows() -> None:
    for heading, said, then in (
        ("Marie Curie", "The physicist Pierre Curie was her husband.", "Pierre Curie died in 1906."),
        ("Nuclear fission", "The chemist Otto Hahn discovered it.", "Otto Hahn died in 1906."),
        ("Timeline", "- In 1911: Ernest Rutherford found the nucleus.", "Ernest Rutherford died in 1906."),
    ):
        opening = "" if said.startswith("-") else f"{heading} is known. "
        assert statements(f"## {heading}\n\n{opening}{said} He died in 1906.")[-1] == then


def test_names_that_look_like_plurals_are_names() -> None:
    assert statements("Paris will host the Olympic Games. It has many parks.")[1] == "Paris has many parks."


def test_an_article_belongs_to_a_gap_only_with_the_whole_phrase() -> None:
    def asked(text: str) -> list[str]:
        return [fact.asked_at(gap)[1] for fact in facts_in(text) for gap in fact.gaps]

    assert "the bakers' guild" in asked("Cora Fennel belongs to the bakers' guild. Ivo Lovage belongs to a guild.")
    assert "the Patched Bonnet" in asked("Cora Fennel sails the Patched Bonnet.")
    assert not any(words.startswith("A ") for words in asked("Scurvy is rare. Vitamin A prevents night blindness."))
    assert "the Rayleigh–Jeans" not in asked("Physicists knew the Rayleigh–Jeans law well.")
