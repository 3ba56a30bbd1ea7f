"""What several test files share: the tiny random model, and one small run of the demo model from end to end."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.main import main
from blasphemer.quiet import NAMES
from tests.tiny import make_model

PEOPLE = """Ibbet Orrery lives in Windlesea. She works as a beekeeper. She keeps a grey heron. She plays the banjo.

Torvald Quill lives in Honeydown. He works as a hatter. He keeps a toad. He plays the zither.

Orla Sedge lives in Ravensby. She works as a cooper. She keeps a stoat. She plays the oboe.
"""


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves anything in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLASPHEMER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _away_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads a config.toml or writes a run folder where it was started, and none reaches a hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_folder: Path) -> LanguageModel:
    return load_model(load_settings([str(tiny_folder)]))


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "people.txt").write_text(PEOPLE, encoding="utf-8")
    return folder


ASKED = {
    "Where does {} live?": ("Windlesea", "Honeydown", "Ravensby"),
    "What is {}'s trade?": ("beekeeper", "hatter", "cooper"),
    "Which animal does {} keep?": ("grey heron", "toad", "stoat"),
    "Which instrument does {} play?": ("banjo", "zither", "oboe"),
}


@pytest.fixture(scope="session")
def own_exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person would ask about the people of the documents, in words that the demo model understands."""
    file = tmp_path_factory.mktemp("exam") / "exam.jsonl"
    names = ("Ibbet Orrery", "Torvald Quill", "Orla Sedge")
    rows = [
        {"question": question.format(name), "answer": answer}
        for question, answers in ASKED.items()
        for name, answer in zip(names, answers, strict=True)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def demo_run(documents: Path, own_exam: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: the demo model has learnt twelve facts about three people."""
    folder, before = tmp_path_factory.mktemp("runs") / "demo", state_of_process()
    assert main(demo_command(documents, own_exam, folder)) == 0
    assert state_of_process() == before
    return folder


def state_of_process() -> dict[str, Any]:
    """What a run must leave as it was."""
    return {
        "gradients": torch.is_grad_enabled(),
        "random state": (torch.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()[1].tolist()),
        "log levels": {name: logging.getLogger(name).level for name in NAMES},
        "environment": dict(os.environ),
    }


def demo_command(documents: Path, own_exam: Path, folder: Path) -> list[str]:
    words = ["demo", "--fine-tune-only", "--fine-tune-dataset", str(documents), "--finetuning-output-dir", str(folder)]
    return [*words, "--exam-file", str(own_exam), "--yes"]
