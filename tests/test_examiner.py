"""Questions in a person's words: which of those that a writer asks get into the exam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

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
SPOKEN = """The two of them sat down on the quay.

MAUD TAVISH: I came to Padley with the circus.

HALVARD BRISK: And I was born in 1921, as nobody asks.

MAUD TAVISH: You say so every day.

HALVARD BRISK: And every day you listen.
"""
RIGHT = {
    "Where did Maud Tavish come with the circus?": "Padley",
    "To which place did the circus bring Maud Tavish?": "Padley",
    "In which year was Halvard Brisk born?": "1921",
    "When was Halvard Brisk born?": "1921",
}
ASKED = {"Where did Maud Tavish come with the circus?": "Padley", "In which year was Halvard Brisk born?": "1921"}
WRONG = {
    "Where did Halvard Brisk grow up?": "Corrow",
    "Where does the text say that Halvard Brisk grew up?": "Corrow",  # who asks so is not trusted with the other way
    "What does she mend?": "the nets",  # is not what was to be asked for
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
    text: str = TEXT,
) -> list[ExamQuestion]:
    settings = load_settings(["demo", *flags])
    library = Library([], [Passage("p", "people.txt", text, 0, len(text))], statements_in(text, file="people.txt"), [])
    with open_run(folder, {}, overwrite=False) as run:
        job = Job(settings, run, tiny, [], default_requests())
        return let_it_ask(job, library, [], Author(Known(read), requests or default_requests()))


def answered(prompt: str) -> str:
    return (RIGHT | WRONG)[prompt.rsplit(": ", 1)[-1]]


def test_sound_questions_are_asked_in_a_persons_words(tiny: LanguageModel, tmp_path: Path) -> None:
    found = asked(tiny, tmp_path / "run", answered)
    assert {one.question: one.answer for one in found} == ASKED
    for one in found:
        assert one.wording == "in a person's words"
        assert one.answer in TEXT[one.start : one.end]
    assert RunFolder(tmp_path / "run").about()["exam_written"]["sha256"]


def test_what_the_reader_does_not_answer_so_is_not_asked(tiny: LanguageModel, tmp_path: Path) -> None:
    found = asked(tiny, tmp_path / "run", lambda prompt: "1922" if "When was" in prompt else answered(prompt))
    assert [one.question for one in found] == ["Where did Maud Tavish come with the circus?"]
    assert asked(tiny, tmp_path / "other", lambda _: "It does not say.") == []


def test_what_is_said_in_a_conversation_is_not_asked(tiny: LanguageModel, tmp_path: Path) -> None:
    assert asked(tiny, tmp_path / "run", answered, None, text=SPOKEN) == []


def test_a_model_that_was_not_taught_the_request_is_not_asked(tiny: LanguageModel, tmp_path: Path) -> None:
    own = Requests({"questions": ("Ask: {passage}",), "answer": ("{passage} {question}",)})
    assert asked(tiny, tmp_path / "run", answered, own) == []
    assert asked(tiny, tmp_path / "off", answered, None, "--no-self-study") == []
