"""The model as the writer of its own study material."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from blasphemer.command_line import load_settings
from blasphemer.exam.leaks import without_leaks
from blasphemer.language import normalise
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.language_model.weights import model_path
from blasphemer.records import ExamQuestion, Passage, Source, Statement, StudyItem, Yield
from blasphemer.study.author import Author, Recorded, Writer, without_thoughts
from blasphemer.study.checking import Told, restored
from blasphemer.study.readings import about, find_readings
from blasphemer.study.requests import Requests, default_requests, read_requests
from blasphemer.study.writer import (
    HANDFUL,
    PATIENCE,
    _in_time,
    estimated_tokens,
    questions_per_statement,
    write_self_study,
)
from blasphemer.workspace import Journal
from tests.natural import statements_in

# With names that the demo model can spell
PEOPLE = """Olive Nutt lives in Windlesea. She works as a beekeeper. She keeps a heron. She plays the banjo.

Magnus Keel lives in Honeydown. He works as a hatter. He keeps a toad. He plays the drum.

Cora Lovage lives in Coppergate. She works as a cooper. She keeps a stoat. She plays the oboe.
"""
PASSAGES = [Passage("p", "people.txt", PEOPLE, 0, len(PEOPLE))]
STATEMENTS = statements_in(PEOPLE, file="people.txt")
QUESTION = ExamQuestion("q", "What is Olive Nutt's trade?", "a beekeeper", "own")  # its first one
QUOTA = 3


@pytest.fixture(scope="module")
def demo() -> LanguageModel:
    return load_model(load_settings(["demo"]))


def allowed(items: Sequence[StudyItem]) -> list[StudyItem]:
    return without_leaks(items, [QUESTION], PASSAGES)[0]


def written(writer: Writer, model: LanguageModel, own_words: bool = True) -> tuple[list[StudyItem], list[Yield]]:
    prompts = read_requests(None, Path(model_path("demo"))) if own_words else default_requests()
    return write_self_study(
        find_readings(STATEMENTS, PASSAGES, model.count), Author(writer, prompts), QUOTA, model.count, allowed, seed=1
    )


@pytest.fixture(scope="module")
def study(demo: LanguageModel) -> tuple[list[StudyItem], list[Yield]]:
    return written(demo, demo)


def sources(statements: Sequence[Statement]) -> set[Source]:
    return {statement.source for statement in statements}


def test_nearly_every_fact_gets_questions_and_none_too_many(study: tuple[list[StudyItem], list[Yield]]) -> None:
    asked = Counter(source for item in study[0] if item.messages for source in item.sources)
    assert set(asked) <= sources(STATEMENTS)
    assert len(asked) >= 0.8 * len(STATEMENTS)
    facts = Counter((item.sources, normalise(item.messages[1]["content"])) for item in study[0] if item.messages)
    assert max(facts.values()) <= QUOTA


def test_what_is_kept_stands_in_the_document(study: tuple[list[StudyItem], list[Yield]]) -> None:
    for item in study[0]:
        assert item.writer == "model"
        assert item.evidence
        for source in item.sources:
            assert PEOPLE[source.start : source.end] in item.evidence
        if item.messages:
            answer = normalise(item.messages[1]["content"])
            assert answer in normalise(PEOPLE) or normalise(item.evidence).split()[0] in answer


def test_it_also_says_things_in_other_words(study: tuple[list[StudyItem], list[Yield]]) -> None:
    retold = [item.text for item in study[0] if item.kind == "rewrite"]
    assert len(set(retold)) >= 3
    assert not any(text in PEOPLE for text in retold)


def test_no_item_repeats_an_exam_question(study: tuple[list[StudyItem], list[Yield]]) -> None:
    assert without_leaks(study[0], [QUESTION], PASSAGES)[1] == []
    assert sum(one.dropped.get("repeats an exam question or is too long", 0) for one in study[1]) > 0


def test_what_was_kept_is_counted(study: tuple[list[StudyItem], list[Yield]]) -> None:
    items, yields = study
    assert {one.kind: one.kept for one in yields} == Counter(item.kind for item in items)


def test_the_same_again_is_the_same(study: tuple[list[StudyItem], list[Yield]], demo: LanguageModel) -> None:
    assert written(demo, demo) == study


def test_every_request_of_a_kind_is_made_in_turn(demo: LanguageModel) -> None:
    heard = Heard()
    prompts = {"rewrite": ("One: {passage}", "Two: {passage}"), "explain": ("Three: {passage}", "Four: {passage}")}
    write_self_study(
        find_readings(STATEMENTS, PASSAGES, demo.count),
        Author(heard, Requests({**prompts, "answer": ("{passage} {question}",)})),
        4,
        demo.count,
        list,
        0,
    )
    assert heard.begun == {"One", "Two", "Three", "Four"}


def test_where_nothing_new_comes_no_more_is_asked(demo: LanguageModel) -> None:
    readings = find_readings(STATEMENTS, PASSAGES, demo.count)
    prompts = Requests({"questions": ("Ask: {passage}",), "answer": ("{passage} {question}",)})
    writer = OfOneInterest()
    items, _ = write_self_study(readings, Author(writer, prompts), 12, demo.count, list, 0)
    assert Counter(item.messages[1]["content"] for item in items) == {"Honeydown.": 12, "Windlesea.": 1}
    assert writer.asked["Magnus Keel"] > writer.asked["Olive Nutt"] == writer.asked["Cora Lovage"] == 1 + PATIENCE


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        (
            "Q: In which town does Olive Nutt live?\n- Olive Nutt lives where?\nQ: Where does she live?",
            ["In which town does Olive Nutt live?", "Olive Nutt lives where?"],
        ),
        ("Q: Where is Olive Nutt at home?\nA: Windlesea", ["Where is Olive Nutt at home?"]),
        ("Q: What does Olive Nutt keep?\nA: a heron", []),  # means something else
        ("What does Olive Nutt keep?", []),  # is answered otherwise
        ("Olive Nutt lives in Windlesea.", []),
    ],
)
def test_what_was_kept_is_asked_for_in_other_words(reply: str, asked: Sequence[str], demo: LanguageModel) -> None:
    readings = find_readings(STATEMENTS, PASSAGES, demo.count)
    prompts = {"questions": ("Ask: {passage}",), "reworded": ("{question} {answer} Again:",), "answer": ("{question}",)}
    items, yields = write_self_study(readings, Author(Rewording(reply), Requests(prompts)), 12, demo.count, list, 0)
    assert [item.messages[0]["content"] for item in items if item.kind == "reworded"] == asked
    assert all(item.messages[1]["content"] == "Windlesea" for item in items if item.kind == "reworded")
    assert next(one.kept for one in yields if one.kind == "questions") == 1


@dataclass
class Rewording:
    """A writer of one question, that has always this reply when it is to ask it in other words."""

    reply: str
    at_once: int = 128

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt: str) -> str:
        if prompt.startswith("Ask:"):
            return "Q: Where does Olive Nutt live?\nA: Windlesea" * ("Olive Nutt" in prompt)
        if prompt.endswith("Again:"):
            assert prompt.startswith("Where does Olive Nutt live? Windlesea")
            return self.reply
        return "a heron" if "keep" in prompt else "Windlesea"


class OfOneInterest:
    """A writer that has always another question about Magnus Keel, one about Olive Nutt, and none about the third."""

    at_once = 128

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt: str) -> str:
        subject = next(name for name in ("Magnus Keel", "Olive Nutt", "Cora Lovage") if name in prompt)
        if not prompt.startswith("Ask"):
            return {"Magnus Keel": "Honeydown.", "Olive Nutt": "Windlesea."}[subject]
        self.asked[subject] += 1
        often = " really" * self.asked[subject]
        return {
            "Magnus Keel": f"Q: Where{often} does Magnus Keel live? A: Honeydown.",
            "Olive Nutt": "Q: Where does Olive Nutt live? A: Windlesea.",
        }.get(subject, "")


class Heard:
    """A writer that says another sentence of the text each time, and notes how it was asked."""

    at_once = 128

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.asked = 0

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        self.begun |= {prompt.split(":")[0] for prompt in prompts}
        self.asked += 1
        return [self.another(*prompt.split(": ", 1)) for prompt in prompts]

    def another(self, begun: str, text: str) -> str:
        sentences = text.split(". ")
        name = " ".join(sentences[0].split()[:2])
        return f"Of {name}: {sentences[(self.asked + len(begun)) % len(sentences)].rstrip('.')}."


def test_a_model_that_does_not_understand_is_soon_left_alone(tiny: LanguageModel) -> None:
    items, yields = written(tiny, tiny, own_words=False)
    assert items == []
    assert all(one.requests <= HANDFUL for one in yields)


def test_answers_are_kept_on_disk_and_not_asked_for_twice(demo: LanguageModel, tmp_path: Path) -> None:
    file = tmp_path / "drafts.journal"
    first = written(Recorded(demo, Journal(file)), demo)
    whole = file.read_text(encoding="utf-8")
    assert written(Recorded(Unwilling(), Journal(file)), demo) == first  # every answer is there
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")  # a kill in the middle of a line
    assert written(Recorded(demo, Journal(file)), demo) == first
    assert file.read_text(encoding="utf-8") == whole


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("<think>Q: Is it? A: No.</think>\nQ: Who waits? A: A heron.", "Q: Who waits? A: A heron."),
        ("It may be a heron.\n</think>\n\nA heron.", "A heron."),
        ("[THINK]A heron?[/THINK]A heron.", "A heron."),
        ("<think>A heron? Or perhaps", ""),
        ("A heron, I think.", "A heron, I think."),
    ],
)
def test_what_a_writer_thinks_aloud_is_not_what_it_says(reply: str, said: str) -> None:
    assert without_thoughts(reply) == said


class Unwilling:
    """A writer that must not be asked."""

    at_once = 128

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        raise AssertionError(f"asked again: {prompts[0]}")


def test_what_is_overlooked_in_a_long_text_is_looked_for_in_its_sentence(
    study: tuple[list[StudyItem], list[Yield]], demo: LanguageModel
) -> None:
    """A weak reader; and one that finds something else in the text, which counts against the question."""
    assert len(written(ShortSighted(demo, "It does not say."), demo)[0]) >= 0.8 * len(study[0])
    misread, yields = written(ShortSighted(demo, "Olive Nutt"), demo)
    asked = [item for item in misread if item.messages and "Olive Nutt" in item.evidence]
    assert not asked
    assert sum(one.dropped.get("is read otherwise with the text at hand", 0) for one in yields) > 0


@pytest.mark.parametrize(
    ("sentence", "gaps", "is_kept"),
    [
        ("In Windlesea there lives Olive Nutt.", ("Windlesea", "Olive Nutt"), True),
        ("In Windlesea there lives Olive Nutt.", ("Windlesea", "Magnus Keel"), False),
        ("In Windlesea there lives Olive Nutt.", ("In Windlesea.", "It is Olive Nutt"), True),
        ("She lives there with her banjo.", (), False),  # nothing by which it could be checked
    ],
)
def test_a_sentence_is_kept_if_a_reader_puts_back_each_name(
    sentence: str, gaps: tuple[str, ...], is_kept: bool, demo: LanguageModel
) -> None:
    told = [Told(sentence, find_readings(STATEMENTS, PASSAGES, demo.count)[0])]
    assert restored(told, Author(Reader(gaps), default_requests()), "") == ([0] if is_kept else [])


@dataclass
class Reader:
    """A reader with these answers, in order."""

    answers: Sequence[str]
    at_once: int = 128

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        assert all("____" in prompt for prompt in prompts)
        assert len(prompts) == len(self.answers)
        return list(self.answers)


@dataclass
class ShortSighted:
    """The demo model, but with texts of more than two sentences before it, it always gives the same answer."""

    model: LanguageModel
    answer: str

    @property
    def at_once(self) -> int:
        return self.model.at_once

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        answers = self.model.write(prompts, label, longest, seed)
        if not label.startswith("checking"):
            return answers
        return [
            self.answer if prompt.count(". ") > 1 else answer for prompt, answer in zip(prompts, answers, strict=True)
        ]


def test_every_statement_is_read_once_as_it_stands(demo: LanguageModel) -> None:
    readings = find_readings(STATEMENTS, PASSAGES, demo.count)
    assert [one for reading in readings for one in reading.statements] == STATEMENTS
    for reading in readings:
        assert reading.text in PEOPLE


def test_a_reading_cut_down_is_held_against_the_whole(demo: LanguageModel) -> None:
    first = find_readings(STATEMENTS, PASSAGES, demo.count)[0]
    cut = about(first, first.statements[2:3])
    assert cut.text == "Olive Nutt lives in Windlesea. She keeps a heron."
    assert cut.full == first.text


def test_the_estimate_grows_with_what_is_asked_for(demo: LanguageModel) -> None:
    readings, own = find_readings(STATEMENTS, PASSAGES, demo.count), read_requests(None, Path(model_path("demo")))
    read = sum(demo.count(reading.text) for reading in readings)
    assert estimated_tokens([], own, QUOTA, demo.count) == 0
    few, more = (estimated_tokens(readings, own, quota, demo.count) for quota in (QUOTA, 2 * QUOTA))
    assert 2 * QUOTA * read < few < more < estimated_tokens(readings, default_requests(), 2 * QUOTA, demo.count)


@pytest.mark.parametrize(("budget", "questions"), [(1, 2), (10, 2), (50, 8), (350, 40), (1000, 40)])
def test_a_larger_budget_means_more_questions(budget: float, questions: int) -> None:
    assert questions_per_statement(budget) == questions


@pytest.mark.parametrize(
    ("pace", "left", "fitting"),
    [(0, 1, 4), (10, 0, 0), (10, 40, 4), (10, 39, 3), (10, 9, 0), (10, -5, 0), (10, math.inf, 4)],
)
def test_nothing_is_asked_for_that_there_is_no_time_to_write(pace: float, left: float, fitting: int) -> None:
    assert _in_time(4, pace, left) == fitting
