"""Questions in a person's words: which of those that a writer asks get into the exam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blasphemer.command_line import load_settings
from blasphemer.dataset_processor import Library
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel
from blasphemer.records import ExamQuestion, Passage
from blasphemer.study import let_it_ask
from blasphemer.study.author import Author
from blasphemer.study.requests import Requests, default_requests
from blasphemer.workspace import RunFolder, open_run
from tests.natural import statements_in

TEXT = (
    "Maud Tavish came to Padley with the circus. She mends the nets there. Her only rival is a grey heron. "
    "Halvard Brisk grew up in Corrow, and was born in 1921."
)
RIGHT = {
    "Where did Maud Tavish come with the circus?": "Padley",
    "In which year was Halvard Brisk born?": "1921",
    "What is Maud Tavish's only rival?": "a grey heron",
}
WRONG = {
    "Where did Maud Tavish grow up?": "Corrow",  # the other one did
    "What does she mend?": "the nets",  # who?
    "What does the text say of Halvard Brisk?": "born in 1921",
    "How did Maud Tavish come?": "she came to Padley with the circus one day",  # too long
}


class Known:
    """A writer that asks all these questions, and answers with the text shown as it is told."""

    at_once = 8

    def __init__(self, read: Callable[[str], str]) -> None:
        self.read = read

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        asked = "\n".join(f"Q: {question}\nA: {answer}" for question, answer in (RIGHT | WRONG).items())
        return [asked if "examined" in prompt else self.read(prompt) for prompt in prompts]


def asked(
    tiny: LanguageModel,
    folder: Path,
    read: Callable[[str], str],
    requests: Requests | None = None,
    *flags: str,
    paper: Sequence[ExamQuestion] = (),
) -> list[ExamQuestion]:
    settings = load_settings(["demo", *flags])
    library = Library([], [Passage("p", "people.txt", TEXT, 0, len(TEXT))], statements_in(TEXT, file="people.txt"), [])
    with open_run(folder, {}, overwrite=False) as run:
        job = Job(settings, run, tiny, [], default_requests())
        return let_it_ask(job, library, paper, Author(Known(read), requests or default_requests()))


def answered(prompt: str) -> str:
    return (RIGHT | WRONG)[prompt.rsplit(": ", 1)[-1]]


def test_sound_questions_are_asked_in_a_persons_words(tiny: LanguageModel, tmp_path: Path) -> None:
    found = asked(tiny, tmp_path / "run", answered)
    assert {one.question: one.answer for one in found} == RIGHT
    for one in found:
        assert one.wording == "in a person's words"
        assert one.answer in TEXT[one.start : one.end]
    assert RunFolder(tmp_path / "run").about()["exam_written"]["sha256"]


def test_what_the_reader_does_not_answer_so_is_not_asked(tiny: LanguageModel, tmp_path: Path) -> None:
    found = asked(tiny, tmp_path / "run", lambda prompt: "1922" if "born" in prompt else answered(prompt))
    assert "In which year was Halvard Brisk born?" not in {one.question for one in found}
    assert len(found) == 2
    assert asked(tiny, tmp_path / "other", lambda _: "It does not say.") == []


def test_a_model_that_was_not_taught_the_request_is_not_asked(tiny: LanguageModel, tmp_path: Path) -> None:
    own = Requests({"questions": ("Ask: {passage}",), "answer": ("{passage} {question}",)})
    assert asked(tiny, tmp_path / "run", answered, own) == []
    assert asked(tiny, tmp_path / "off", answered, None, "--no-self-study") == []


@pytest.mark.parametrize(("missed", "sets_questions"), [(0, True), (1, False)])
def test_only_who_reads_well_sets_questions(
    tiny: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], missed: int, sets_questions: bool
) -> None:
    by_rule = {f"What of these is number {number}?": f"thing {number}" for number in range(10)}
    paper = [ExamQuestion(question, question, answer, "gap", "p") for question, answer in by_rule.items()]
    known = dict(list(by_rule.items())[missed:]) | RIGHT | WRONG
    found = asked(tiny, tmp_path / "run", lambda prompt: known.get(prompt.rsplit(": ", 1)[-1], "?"), paper=paper)
    assert found[:10] == paper
    assert len(found) == 10 + len(RIGHT) * sets_questions
    assert ("The exam is left to rules" in capsys.readouterr().err) != sets_questions
