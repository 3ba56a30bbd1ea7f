"""What a model wrote about a text: how it is read, and what is kept of it."""

from __future__ import annotations

import time

import pytest

from blasphemer.study.drafts import Draft, read_pairs
from blasphemer.study.grounding import Groundless, Reading, asked_statement, sound_sentences, with_right_name
from tests.natural import statements_in

TEXT = (
    "Maud Tavish came to Padley with the circus. She mends the nets there. Her only rival is a grey heron.\n\n"
    "Halvard Brisk grew up in Corrow. He was born in 1921. He still plays the fiddle at night."
)
STATEMENTS = statements_in(TEXT)
READING = Reading(TEXT, tuple(STATEMENTS))
PAIRS = [Draft("Where does Maud Tavish live?", "Padley."), Draft("When was Halvard Brisk born?", "In 1921.")]


@pytest.mark.parametrize(
    "reply",
    [
        "Q: Where does Maud Tavish live? A: Padley.\nQ: When was Halvard Brisk born? A: In 1921.",
        "Question: Where does Maud Tavish live?\nAnswer: Padley.\n\nQuestion: When was Halvard Brisk born?\n"
        "Answer: In 1921.",
        "Here you are:\n\n1. **Q:** Where does Maud Tavish live?\n   **A:** Padley.\n\n"
        "2. **Q:** When was Halvard Brisk born?\n   **A:** In 1921.\n",
        "- Where does Maud Tavish live? Padley.\n- When was Halvard Brisk born? In 1921.",
        "Frage: Where does Maud Tavish live?\nAntwort: Padley.\nFrage: When was Halvard Brisk born?\nAntwort: In 1921.",
        'Sure!\n```json\n[{"question": "Where does Maud Tavish live?", "answer": "Padley."},\n'
        '{"Q": "When was Halvard Brisk born?", "A": "In 1921."}]\n```',
        '{"items": [{"question": "Where does Maud Tavish live?", "answer": "Padley."}, 7, '
        '{"question": "When was Halvard Brisk born?", "answer": "In 1921.", "evidence": ""}, {"question": "Why?"}]}',
    ],
)
def test_questions_are_read_however_they_are_written(reply: str) -> None:
    assert read_pairs(reply) == PAIRS


@pytest.mark.parametrize(
    "reply", ["[" * 5000, "{[" * 5000, "Q: What" + "\n" * 5000 + "x", "What?" + " \n" * 5000 + "x"]
)
def test_what_never_ends_costs_no_time(reply: str) -> None:
    started = time.monotonic()
    assert len(read_pairs(reply)) <= 1
    assert time.monotonic() - started < 1


def test_a_quotation_is_read_with_its_question() -> None:
    reply = 'Q: Where does Maud Tavish live?\nA: Padley.\nEvidence: "Maud Tavish lives in Padley."\nQ: Who?\nA: She.'
    assert read_pairs(reply)[0] == Draft("Where does Maud Tavish live?", "Padley.", "Maud Tavish lives in Padley.")


@pytest.mark.parametrize("reply", ["", "I cannot do that.", "[1, 2", "Q: A:", "Q: Why?", "{}", "?" * 3000, "Q:" * 3000])
def test_what_holds_no_question_gives_none(reply: str) -> None:
    assert read_pairs(reply) == []


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("Where did Maud Tavish come with the circus?", "To Padley.", "Maud Tavish came to Padley with the circus."),
        ("Who is Maud Tavish's only rival?", "A grey heron.", "Her only rival is a grey heron."),
        ("What year was Halvard Brisk born in?", "1921.", "He was born in 1921."),
        ("Who grew up in Corrow?", "Halvard Brisk.", "Halvard Brisk grew up in Corrow."),
        ("Who plays the fiddle at night?", "Halvard Brisk.", "He still plays the fiddle at night."),
    ],
)
def test_a_sound_question_belongs_to_its_statement(question: str, answer: str, said: str) -> None:
    assert asked_statement(Draft(question, answer), READING).text == said


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (Draft("Where did Maud Tavish grow up?", "Corrow."), "of another"),  # that is where the other one grew up
        (Draft("When was Maud Tavish born?", "1921."), "of another"),
        (Draft("Where did Maud Brisk grow up?", "Corrow."), "from elsewhere"),
        (Draft("When was Halvard Brisk born?", "1922."), "from elsewhere"),
        (Draft("What did Halvard Brisk do in 1950?", "He plays the fiddle."), "from elsewhere"),
        (Draft("Who mends nets and is called Maud Tavish?", "Maud Tavish."), "gives its answer away"),
        (Draft("What does the text say of Maud Tavish?", "She mends the nets."), "the text itself"),
        (Draft("Where did he grow up?", "Corrow."), "does not name"),
        (Draft("Where did Halvard Brisk grow up?", "Corrow.", "Brisk moved to Corrow."), "quotes"),
        (Draft("Where did Halvard Brisk grow up?", "In the harbour of a town by the lake."), "does not stand"),
        (Draft("Where did Halvard Brisk grow up?", "..."), "too short"),
        (Draft("Where did Halvard Brisk grow up?", "Corrow " * 50), "too long"),
    ],
)
def test_what_the_text_does_not_bear_out_is_dropped_for_a_reason(draft: Draft, reason: str) -> None:
    with pytest.raises(Groundless, match=reason):
        asked_statement(draft, READING)


def test_a_misspelt_name_is_put_right_where_one_is_meant() -> None:
    draft = with_right_name(Draft("When was Halvart Brysk born?", "1921."), READING)
    assert draft.question == "When was Halvard Brisk born?"
    for unlike in (Draft("When was Otto Zeller born?", "1921."), Draft("When was Maud Tavish born?", "1921.")):
        assert with_right_name(unlike, READING) == unlike


def test_of_prose_the_sentences_stay_that_the_text_bears_out() -> None:
    reply = (
        "Halvard Brisk plays the fiddle at night still. Maud Tavish still plays the fiddle at night. "
        "With the circus Maud Tavish came to Padley. Maud Tavish met Otto Bram in Padley. It is a nice place. "
        "Halvard Brisk plays the fiddle at night still."
    )
    found = sound_sentences(reply, READING)
    assert [(sentence, [one.text for one in repeated]) for sentence, repeated in found] == [
        ("Halvard Brisk plays the fiddle at night still.", ["He still plays the fiddle at night."]),
        ("With the circus Maud Tavish came to Padley.", ["Maud Tavish came to Padley with the circus."]),
    ]


def test_of_prose_from_elsewhere_nothing_stays() -> None:
    assert sound_sentences("The sun is hot. Otto Bram knows.", READING) == []
