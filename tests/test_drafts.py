"""What a model wrote about a text: how it is read, and what is kept of it."""

from __future__ import annotations

import time

import pytest

from blasphemer.dataset_processor.facts import find_facts
from blasphemer.records import Passage
from blasphemer.study.grounding import Draft, Groundless, asked_fact, read_pairs, sound_sentences

TEXT = (
    "Ibbet Crane lives in Brackwater. She works as a glazier. Her companion is a grey heron.\n\n"
    "Torvald Ehn lives in Grelmouth. He was born in 1921. He plays the fiddle at night."
)
FACTS = find_facts([Passage("p", "a.txt", TEXT, 0, len(TEXT))])
PAIRS = [Draft("Where does Ibbet Crane live?", "Brackwater."), Draft("When was Torvald Ehn born?", "In 1921.")]


@pytest.mark.parametrize(
    "reply",
    [
        "Q: Where does Ibbet Crane live? A: Brackwater.\nQ: When was Torvald Ehn born? A: In 1921.",
        "Question: Where does Ibbet Crane live?\nAnswer: Brackwater.\n\nQuestion: When was Torvald Ehn born?\n"
        "Answer: In 1921.",
        "Here you are:\n\n1. **Q:** Where does Ibbet Crane live?\n   **A:** Brackwater.\n\n"
        "2. **Q:** When was Torvald Ehn born?\n   **A:** In 1921.\n",
        "- Where does Ibbet Crane live? Brackwater.\n- When was Torvald Ehn born? In 1921.",
        "Frage: Where does Ibbet Crane live?\nAntwort: Brackwater.\nFrage: When was Torvald Ehn born?\n"
        "Antwort: In 1921.",
        'Sure!\n```json\n[{"question": "Where does Ibbet Crane live?", "answer": "Brackwater."},\n'
        '{"Q": "When was Torvald Ehn born?", "A": "In 1921."}]\n```',
        '{"items": [{"question": "Where does Ibbet Crane live?", "answer": "Brackwater."}, 7, '
        '{"question": "When was Torvald Ehn born?", "answer": "In 1921.", "evidence": ""}, {"question": "Why?"}]}',
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
    reply = (
        'Q: Where does Ibbet Crane live?\nA: Brackwater.\nEvidence: "Ibbet Crane lives in Brackwater."\n'
        "Q: Who?\nA: She."
    )
    assert read_pairs(reply)[0] == Draft(
        "Where does Ibbet Crane live?", "Brackwater.", "Ibbet Crane lives in Brackwater."
    )


@pytest.mark.parametrize("reply", ["", "I cannot do that.", "[1, 2", "Q: A:", "Q: Why?", "{}", "?" * 3000, "Q:" * 3000])
def test_what_holds_no_question_gives_none(reply: str) -> None:
    assert read_pairs(reply) == []


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("Where does Ibbet Crane live?", "Brackwater.", "Ibbet Crane lives in Brackwater."),
        ("What is Ibbet Crane's companion?", "A grey heron.", "Her companion is a grey heron."),
        ("What year was Torvald Ehn born in?", "1921.", "He was born in 1921."),
        ("Who lives in Grelmouth?", "Torvald Ehn.", "Torvald Ehn lives in Grelmouth."),
        ("What does Torvald Ehn do?", "Torvald Ehn plays the fiddle at night.", "He plays the fiddle at night."),
    ],
)
def test_a_sound_question_belongs_to_its_fact(question: str, answer: str, said: str) -> None:
    assert asked_fact(Draft(question, answer), TEXT, FACTS).evidence == said


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (Draft("Where does Ibbet Crane live?", "Grelmouth."), "does not stand"),  # that is where the other one lives
        (Draft("Where does Ibbet Ehn live?", "Grelmouth."), "from elsewhere"),
        (Draft("When was Torvald Ehn born?", "1922."), "from elsewhere"),
        (Draft("What did Torvald Ehn do in 1950?", "He plays the fiddle."), "from elsewhere"),
        (Draft("Who works as a glazier named Ibbet Crane?", "Ibbet Crane."), "gives its answer away"),
        (Draft("What does the text say of Ibbet Crane?", "She works as a glazier."), "the text itself"),
        (Draft("Where does she live?", "Brackwater."), "does not stand"),  # nobody is named
        (Draft("Where does Ibbet Crane live?", "Brackwater.", "Crane moved to Brackwater."), "quotes"),
        (Draft("Where does Ibbet Crane live?", "..."), "too short"),
        (Draft("Where does Ibbet Crane live?", "Brackwater " * 50), "too long"),
    ],
)
def test_what_the_text_does_not_bear_out_is_dropped_for_a_reason(draft: Draft, reason: str) -> None:
    with pytest.raises(Groundless, match=reason):
        asked_fact(draft, TEXT, FACTS)


def test_of_prose_the_sentences_stay_that_the_text_bears_out() -> None:
    reply = (
        "Torvald Ehn plays the fiddle at night. Ibbet Crane plays the fiddle at night. "
        "Ibbet Crane's home is Brackwater. Ibbet Crane met Otto Bram in Brackwater. It is a nice place. "
        "Torvald Ehn plays the fiddle at night."
    )
    text, facts = sound_sentences(reply, TEXT, FACTS)
    assert text == "Torvald Ehn plays the fiddle at night. Ibbet Crane's home is Brackwater."
    assert [fact.evidence for fact in facts] == ["He plays the fiddle at night.", "Ibbet Crane lives in Brackwater."]


def test_of_prose_from_elsewhere_nothing_stays() -> None:
    assert sound_sentences("The sun is hot. Otto Bram knows.", TEXT, FACTS) == ("", [])
