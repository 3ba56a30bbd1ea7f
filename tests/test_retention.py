"""What the model knew before: which of its own prompts are rehearsed, and which are kept back to be asked again."""

from __future__ import annotations

from dataclasses import replace

from blasphemer.exam import AT_LENGTH
from blasphemer.memory.recall import GIVEN
from blasphemer.memory.retention import (
    HALF_KNOWN,
    MOST_AT_LENGTH,
    divide,
    guessed_names,
    is_worth_keeping,
    replay_items,
    set_aside,
    spread,
)
from blasphemer.memory.wordings import wordings_in
from blasphemer.records import ExamQuestion, StudyItem, exchange


def recalled(number: int, answer: str = "Yes, it is.") -> list[StudyItem]:
    return replay_items([(f"Is it {n}?", answer) for n in range(number)])


def test_prompts_that_say_the_same_are_taken_once_and_empty_ones_not_at_all() -> None:
    items = replay_items(
        [("Who is it?", "A."), (" who is it", "A."), ("...", "A."), ("", "A."), ("Where is it?", "B.")]
    )
    assert [item.messages[0]["content"] for item in items] == [" who is it", "Where is it?"]


def test_a_prompt_without_an_answer_is_left_out() -> None:
    items = replay_items([("One?", "Uno."), ("Two?", "..."), ("Three?", "Tre.")])
    assert [message["content"] for item in items for message in item.messages] == ["One?", "Uno.", "Three?", "Tre."]
    assert [(item.id, item.kind, item.writer) for item in items] == [
        ("replay-1", "replay", "model"),
        ("replay-2", "replay", "model"),
    ]


def test_a_guess_and_an_answer_without_an_end_are_not_kept() -> None:
    assert is_worth_keeping("The banjo.", True, 0.9)
    assert not is_worth_keeping("The banjo.", True, 0.3)
    assert not is_worth_keeping("The banjo, the banjo, the", False, 0.9)
    assert is_worth_keeping("A long answer, " * 10, True, 0.3)  # some word of it could always have been another


def test_nothing_is_both_rehearsed_and_asked_and_nothing_is_lost() -> None:
    """Pitfall 19."""
    items = recalled(50)
    rehearsed, asked = divide(items, seed=0)
    assert len(asked) == 10
    assert {item.id for item in rehearsed}.isdisjoint(question.id for question in asked)
    assert {item.id for item in rehearsed} | {question.id for question in asked} == {item.id for item in items}


def test_the_questions_are_the_models_own_prompts_and_answers() -> None:
    _, asked = divide(recalled(1), seed=0)
    assert asked == [ExamQuestion("replay-1", "Is it 0?", "Yes, it is.", "retention")]


def test_short_answers_are_asked_first_but_half_of_them_are_rehearsed() -> None:
    """They can be told to the word, and are what is forgotten first."""
    long = replay_items([(f"Tell me {n}.", "word " * 13) for n in range(40)])
    rehearsed, asked = divide([*long, *recalled(10)], seed=3)
    assert [question.answer for question in asked[:5]] == ["Yes, it is."] * 5
    assert sum(item.messages[1]["content"] == "Yes, it is." for item in rehearsed) == 5


def test_the_division_follows_the_seed() -> None:
    assert divide(recalled(50), seed=1) == divide(recalled(50), seed=1)
    assert divide(recalled(50), seed=1) != divide(recalled(50), seed=2)


def test_a_model_that_says_nothing_is_asked_nothing() -> None:
    """Pitfall 25."""
    assert divide([], seed=0) == ([], [])


def test_the_exam_has_at_most_two_hundred_questions() -> None:
    rehearsed, asked = divide(recalled(2000), seed=0)
    assert (len(rehearsed), len(asked)) == (1800, 200)


def test_what_is_half_known_is_rehearsed_and_never_asked() -> None:
    half = replay_items([(f"Is it perhaps {n}?", "Yes.") for n in range(50)], HALF_KNOWN)
    rehearsed, asked = divide([*recalled(50), *half], seed=0)
    assert all(item in rehearsed for item in half)
    assert len(asked) == 10
    assert not {question.question for question in asked} & {item.messages[0]["content"] for item in half}


def test_some_long_answers_of_the_models_own_are_set_aside_and_not_rehearsed() -> None:
    long = [(f"Tell me {n}.", "word " * 13) for n in range(1000)]
    own, given = replay_items(long, HALF_KNOWN), [replace(one, writer="documents") for one in replay_items(long, GIVEN)]
    rest, told = set_aside([*own, *given, *recalled(50)], seed=0)
    assert len(told) == MOST_AT_LENGTH
    assert {question.kind for question in told} == {AT_LENGTH}
    assert {question.id for question in told} == {item.id for item in own} - {item.id for item in rest}
    assert len(rest) == 2050 - MOST_AT_LENGTH
    assert len(set_aside(own[:11], seed=0)[1]) == 2
    assert set_aside(recalled(50), seed=0) == (recalled(50), [])


def test_what_was_imagined_once_is_rehearsed_before_anything_comes_twice() -> None:
    often = [(f"Way {n} of asking where Ann Lee lives?", "In Oxbarrow.") for n in range(100)]
    seldom = [(f"Where does Tom Hale{n} live?", "In Oxbarrow.") for n in range(9)]
    chosen = spread(replay_items([*often, *seldom]), 10, seed=0)
    assert len([item for item in chosen if "Ann Lee" in item.content]) == 1
    assert len(spread(replay_items([*often, *seldom]), 50, seed=0)) == 50
    assert len(spread(replay_items(seldom), 50, seed=0)) == 9
    assert spread(replay_items(often), 5, seed=1) != spread(replay_items(often), 5, seed=2)


def test_what_the_study_material_asks_of_new_names_is_asked_of_known_ones_first() -> None:
    ways = [(f"Way {n} of asking where Ann Lee lives?", "In Oxbarrow.") for n in range(100)]
    study = [StudyItem("m", "questions", "model", messages=exchange("Way 7 of asking where Tom Hale lives?", "Here."))]
    (chosen,) = spread(replay_items(ways), 1, 0, wordings_in(study))
    assert chosen.messages[0]["content"] == "Way 7 of asking where Ann Lee lives?"


def test_names_about_which_most_answers_are_guesses_are_found_out() -> None:
    known = [(f"What is {thing} of Ann Lee?", "A bell.", sure) for thing, sure in (("a", 0.9), ("b", 0.95), ("c", 0.4))]
    guessed = [
        (f"What is {thing} of Una Roe?", "A bell.", sure) for thing, sure in (("a", 0.9), ("b", 0.4), ("c", 0.4))
    ]
    seldom = [("What is a of Tom Hale?", "A bell.", 0.4)]
    tales = [(f"What is told of {name}?", "word " * 20, 0.1) for name in ("Ann Lee", "Tom Hale") for _ in range(5)]
    assert [round(sum(sure for *_, sure in asked) / 3, 2) for asked in (known, guessed)] == [0.75, 0.57]
    assert guessed_names([*known, *guessed, *seldom, *tales]) == {"Una Roe"}
