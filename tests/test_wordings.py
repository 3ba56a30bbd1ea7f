"""The model's own ways of asking, put to other names."""

from __future__ import annotations

from blasphemer.memory.retention import replay_items
from blasphemer.memory.wordings import find_beginnings, find_wordings, swap_names


def test_a_wording_is_what_was_asked_of_several_names() -> None:
    recalled = replay_items(
        [
            ("What is Ann Lee's trade?", "A baker."),
            ("What is Tom Hale's trade?", "A cook."),
            ("Where does Ann Lee live?", "In Orm."),
            ("Does Ann Lee know Tom Hale?", "Yes."),
            ("Does Tom Hale know Ann Lee?", "Yes."),
            ("What is a loom?", "A frame."),
        ]
    )
    assert find_wordings(recalled) == {"What is {}'s trade?": {"Ann Lee", "Tom Hale"}}


def test_a_beginning_is_what_several_names_were_asked_with() -> None:
    asked = ["What is the trade of Ann Lee?", "What is the trade of Tom Hale?", "Where does Ann Lee live?", "Is it {}?"]
    assert find_beginnings(replay_items([(prompt, "So it is.") for prompt in asked])) == ["What is the trade of"]


def test_what_was_asked_of_one_name_is_asked_of_its_like() -> None:
    recalled = replay_items(
        [
            ("What is Ann Lee's trade?", "A baker."),
            ("What is Tom Hale's trade?", "A cook."),
            ("Where does Tom Hale live?", "In Orm."),
            ("Where does Una Roe live?", "In Ald."),
            ("Which river flows by Orm?", "The Isk."),
            ("Which river flows by Ald?", "The Wend."),
        ]
    )
    assert swap_names(recalled, 100, seed=0) == ["Where does Ann Lee live?", "What is Una Roe's trade?"]
    assert swap_names(recalled, 1, seed=0) == []
    assert swap_names([], 100, seed=0) == []


def test_a_name_of_which_there_are_only_tales_is_asked_what_others_of_which_there_are_tales_are_asked() -> None:
    tale = "Much is told of this one, and most of it is true, as far as anyone here can say who was there then."
    tales = [(f"What is said of {name}?", tale) for name in ("Ann Lee", "Una Roe", "Long Bridge")]
    of_ann = [("What is Ann Lee's trade?", "A baker."), ("What is Tom Hale's trade?", "A cook.")]
    of_bridges = [(f"What does the {name} bridge cross?", "The Isk.") for name in ("Long", "Low")]
    asked = swap_names(replay_items([*tales, *of_ann, *of_bridges]), 100, seed=0)
    assert "What is Una Roe's trade?" in asked
    assert "What is said of Tom Hale?" in asked
    assert "What does the Ann Lee bridge cross?" not in asked


def test_no_more_is_asked_of_any_name_than_its_share() -> None:
    names = [f"Ann {letter}ee" for letter in "BCDF"]
    recalled = replay_items([(f"What {thing} has {name}?", "One.") for name in names[:2] for thing in "abcdefgh"])
    recalled += replay_items([("What a has Ann Dee?", "One."), ("What a has Ann Fee?", "One.")])
    asked = swap_names(recalled, 12, seed=0)
    assert [sum(name in prompt for prompt in asked) for name in names] == [0, 0, 3, 3]
    assert asked == swap_names(recalled, 12, seed=0)
    first = {f"What {thing} has {{}}?" for thing in "bdh"}
    assert {prompt.replace("Ann Dee", "{}") for prompt in swap_names(recalled, 12, 0, first)[:3]} == first
