"""One run at work: what every stage is handed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.workspace import RunFolder

if TYPE_CHECKING:
    from blasphemer.dataset_processor import Input
    from blasphemer.language_model import LanguageModel
    from blasphemer.study import Requests


@dataclass(frozen=True)
class Job:
    """The settings in force, the run's folder (open and locked), the model as it was given, and what is to be read.

    `requests` are the words in which the model is asked to write about a text.
    """

    settings: Settings
    run: RunFolder
    model: LanguageModel
    inputs: Sequence[Input]
    requests: Requests
    started: float = field(default_factory=time.monotonic)
    took: dict[str, float] = field(default_factory=dict)  # seconds, by the name of what was done in this sitting

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Note how long something takes that will be done again."""
        begun = time.monotonic()
        yield
        self.took[name] = time.monotonic() - begun

    def deadline(self, share: float = 1.0, reserve: float = 0.0) -> float:
        """When this share of the time budget is spent, but for a reserve of seconds: in time.monotonic's seconds,
        infinity without a budget."""
        minutes = self.settings.time_budget
        return math.inf if minutes is None else self.started + 60 * minutes * share - reserve

    @property
    def longest(self) -> int:
        """Tokens of the longest item that setting and model allow."""
        return min(self.settings.max_seq_length, self.model.context)

    @property
    def passage_size(self) -> int:
        """Tokens of the longest passage: it must leave room for its tag, or for a question about it."""
        return min(self.settings.chunk_size, self.longest // 2)

    def confirmed(self) -> bool:
        """Does the user want to go on? Who has gone on once is not asked again."""
        asked_before = self.run.has("replay.jsonl")
        return asked_before or bool(console.confirm("Continue?", "--yes", self.settings.yes))
