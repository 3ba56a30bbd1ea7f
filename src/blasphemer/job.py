"""One run at work: what every stage is handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
