"""Writers and readers that are of no use: what they say is not learnt, and they are soon left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.records import Passage, StudyItem, Yield
from blasphemer.study.author import Author, Writer
from blasphemer.study.readings import find_readings
from blasphemer.study.requests import default_requests
from blasphemer.study.writer import HANDFUL, write_self_study
from tests.natural import statements_in

NOTICE = """The ferry to Skerra leaves Port Lorne at six. Captain Iona Breck sells the tickets on the quay.

Bicycles travel for nothing. Dogs pay two pounds, and the money goes to the lifeboat.
"""
PASSAGES = [Passage("p", "notice.txt", NOTICE, 0, len(NOTICE))]
STATEMENTS = statements_in(NOTICE, file="notice.txt")
RIGHT = {
    "Who sells the tickets for the ferry to Skerra?": "Captain Iona Breck",
    "Where does the ferry to Skerra leave?": "Port Lorne",
}
AS_JSON = (
    'Here are the questions you wanted: [{"question": "Who sells the tickets for the ferry to Skerra?", "answer": '
    '"Captain Iona Breck"}, {"question": "Where does the ferry to Skerra leave?", "answer": "Port Lorne"}] Enjoy!'
)
GERMAN = "F: Wer verkauft die Karten für die Fähre nach Skerra?\nA: Captain Iona Breck\n"
ASKED = "Q: Who sells the tickets for the ferry to Skerra?\nA: Captain Iona Breck\n"


@dataclass
class Replies:
    """A writer that replies so to a request, and as a reader so to a question (None: rightly)."""

    write_so: Callable[[str], str]
    read_so: str | None = None
    requests: int = 0
    at_once: int = 128

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        if label.startswith("checking"):
            return [self.read(prompt) for prompt in prompts]
        self.requests += len(prompts)
        return [self.write_so(prompt) for prompt in prompts]

    def read(self, prompt: str) -> str:
        if self.read_so is not None:
            return self.read_so
        return next((answer for question, answer in RIGHT.items() if question in prompt), "It does not say.")


@pytest.fixture(scope="module")
def demo() -> LanguageModel:
    return load_model(load_settings(["demo"]))


def study(writer: Writer, demo: LanguageModel) -> tuple[list[StudyItem], list[Yield]]:
    readings = find_readings(STATEMENTS, PASSAGES, demo.count)
    return write_self_study(readings, Author(writer, default_requests()), 4, demo.count, list, seed=0)


@pytest.mark.parametrize(
    "write_so",
    [
        lambda _: "",
        lambda request: request,
        lambda _: GERMAN,
        lambda _: "I am sorry, but I cannot help with that.",
        lambda _: "Question about the ferry " * 200,
        lambda _: "Q: " * 500,
        lambda _: "Q: Who sells the tickets? " * 100,
    ],
    ids=["nothing", "the request", "another language", "an excuse", "a loop", "a loop of signs", "a loop of questions"],
)
def test_a_writer_of_no_use_is_left_alone_after_a_handful(
    write_so: Callable[[str], str], demo: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Replies(write_so)
    items, yields = study(writer, demo)
    assert items == []
    assert all(0 < one.requests <= HANDFUL for one in yields)
    assert writer.requests == sum(one.requests for one in yields)
    assert "none was answered with anything that can be used" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("reply", [AS_JSON, ASKED * 50], ids=["JSON in prose", "a loop of what is right"])
def test_what_is_right_is_found_in_what_is_badly_said(reply: str, demo: LanguageModel) -> None:
    items, _ = study(Replies(lambda _: reply), demo)
    found = {item.messages[0]["content"]: item.messages[1]["content"] for item in items if item.messages}
    assert found
    assert found.items() <= RIGHT.items()


@pytest.mark.parametrize("always", ["Captain Iona Breck", "Yes.", ""])
def test_a_reader_that_always_says_the_same_confirms_only_that(always: str, demo: LanguageModel) -> None:
    items, yields = study(Replies(lambda _: AS_JSON, always), demo)
    assert {item.messages[1]["content"] for item in items if item.messages} <= {always}
    assert sum(one.dropped.get("is read otherwise with the text at hand", 0) for one in yields) > 0


def test_a_writer_with_a_context_shorter_than_the_text_writes_nothing(tiny: LanguageModel, demo: LanguageModel) -> None:
    """It is neither asked to read half of it nor makes the run end."""
    tiny.weights.config.max_position_embeddings = 16
    assert tiny.context == 16
    items, yields = study(tiny, demo)
    assert items == []
    assert {one.kept for one in yields} == {0}
