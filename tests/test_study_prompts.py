"""What a model is asked while it writes study material."""

from __future__ import annotations

from pathlib import Path

import pytest

from blasphemer.errors import SettingsError
from blasphemer.study.requests import SLOTS, Requests, default_requests, read_requests


def test_there_is_a_request_for_every_kind() -> None:
    assert set(default_requests().wordings) == set(SLOTS)
    for kind, wordings in default_requests().wordings.items():
        assert all(slot in wording for wording in wordings for slot in SLOTS[kind])


def test_a_request_says_what_the_text_is_a_part_of() -> None:
    asked = default_requests().about("questions", 0, "The heron waits.", card="Birds: Herons\nA guide to ...")
    assert "Birds: Herons\nA guide to ..." in asked
    assert "{" not in asked


def test_a_file_replaces_the_requests(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('questions = "Ask about {passage}"\nrewrite = ["Tell {passage}", "{passage} again"]\n')
    prompts = read_requests(file, tmp_path).wordings
    assert prompts["questions"] == ("Ask about {passage}",)
    assert prompts["rewrite"] == ("Tell {passage}", "{passage} again")
    assert prompts["answer"] == default_requests().wordings["answer"]
    assert set(prompts) == {"questions", "rewrite", "answer"}


def test_a_model_brings_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "study_prompts.toml").write_text('questions = "Frag nach {passage}"\n')
    assert read_requests(None, tmp_path).wordings["questions"] == ("Frag nach {passage}",)
    assert read_requests(None, tmp_path / "elsewhere") == default_requests()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('question = "{passage}"', "question: is no kind of request"),
        ('questions = "Ask!"', r"questions: a request lacks \{passage\}"),
        ('answer = "{passage}"', r"answer: a request lacks \{question\}"),
        ("questions = 7", "questions: must be a request"),
        ("questions = [[]]", "questions: must be a request"),
        ("questions", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=problem):
        read_requests(file, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: no such file"):
        read_requests(tmp_path / "nowhere.toml", tmp_path)


def test_a_text_is_set_in_as_it_stands() -> None:
    requests = Requests({"answer": ("{passage}\n{question}",)})
    assert requests.with_text("a {question} {passage}", "Why?") == "a {question} {passage}\nWhy?"
