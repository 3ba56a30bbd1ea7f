"""What the benchmarks measure with that the program itself does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.drafts import JUDGES, read_library
from benchmarks.replay import read_facts, serving
from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.records import one_line
from blasphemer.study.drafts import read_pairs
from blasphemer.study.endpoint import Endpoint
from blasphemer.study.readings import find_readings
from blasphemer.study.requests import default_requests

TEST_KNOWLEDGE = Path(__file__).parents[1] / "test-knowledge"


@pytest.fixture(scope="module")
def demo() -> LanguageModel:
    return load_model(load_settings(["demo"]))


STRONG = [
    {
        "evidence": "The heron waits at the weir.",
        "questions": [["Who waits at the weir?", "the heron"], ["Where does the heron wait?", "at the weir"]],
        "restatements": ["At the weir waits the heron."],
    },
    {"evidence": "It eats eels.", "questions": [["What does the heron eat?", "eels"]], "restatements": []},
]


def test_the_server_says_what_was_written_about_the_text_shown(tmp_path: Path) -> None:
    file = tmp_path / "strong.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in STRONG), encoding="utf-8")
    with serving(file) as url, Endpoint(load_settings(["demo", "--study-endpoint", url])) as endpoint:
        requests = default_requests()
        text = "The heron waits at the weir."
        asked = [
            requests.about("questions", 0, text),
            requests.about("rewrite", 0, text),
            requests.with_text(text, "Where does the heron wait?"),
        ]
        pairs, prose, answer = endpoint.write(asked, "", 64, None)
    assert [(draft.question, draft.answer) for draft in read_pairs(pairs)] == [
        tuple(one) for one in STRONG[0]["questions"]
    ]
    assert prose == "At the weir waits the heron."
    assert answer == "at the weir"


def test_what_a_strong_writer_wrote_about_the_page_quotes_the_page() -> None:
    page = TEST_KNOWLEDGE / "natural" / "page"
    (document,) = (page / "docs").iterdir()
    whole = one_line(document.read_text(encoding="utf-8"))
    facts = read_facts(page / "strong.jsonl")
    assert len(facts) > 100
    for fact in facts:
        assert all(one_line(line) in whole for line in fact.evidence.split("\n"))


def test_true_drafts_pass_the_checks_by_the_text_and_some_false_ones_do_not(demo: LanguageModel) -> None:
    folder = TEST_KNOWLEDGE / "natural" / "workshop"
    library = read_library(folder / "docs", demo)
    readings = find_readings(library.statements, library.passages, demo.count)
    found = {name: judge(folder / f"{name}.jsonl", readings, None) for name, judge in JUDGES.items()}
    assert found["exam"].by_text >= 0.9 * found["exam"].drafts
    assert found["false_drafts"].by_text < found["false_drafts"].drafts
    assert found["false"].by_text / found["false"].drafts < found["true"].by_text / found["true"].drafts
