"""Who writes study material: the model itself, a second one in its place, or a server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.job import Job
from blasphemer.study.endpoint import Endpoint
from blasphemer.study.requests import Requests, read_requests
from blasphemer.workspace import Journal

if TYPE_CHECKING:
    from blasphemer.language_model import LanguageModel

ADVICE = (
    "A model that follows instructions and has 1.5 billion parameters or more writes better: name one with --writer "
    "(a folder, a .gguf file or a hub name), or a server with --study-endpoint."
)

# Up to where it ends, whether the reply or the prompt began it; or begun and never ended
_THOUGHT = re.compile(
    r"\A.*(?:</(?:think|thinking|thought)>|\[/THINK\])|(?:<(?:think|thinking|thought)>|\[THINK\]).*\Z", re.DOTALL
)


class Writer(Protocol):
    """What answers requests, so many at once: a loaded model, or a server."""

    @property
    def at_once(self) -> int: ...

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        """The answers, in order, of at most `longest` tokens; likeliest first without a seed, else sampled."""


@dataclass
class Recorded:
    """A writer whose answers are kept on disk as they come, so that none is asked for twice."""

    writer: Writer
    journal: Journal

    @property
    def at_once(self) -> int:
        return self.writer.at_once

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        answers: list[str] = []
        for start in range(0, len(prompts), self.at_once):
            batch, drawn = prompts[start : start + self.at_once], None if seed is None else seed * 1000 + start
            which = f", {start + 1:,} to {start + len(batch):,} of {len(prompts):,}" * (len(batch) < len(prompts))
            answers += self.journal.recall(
                [*batch, longest, drawn], partial(self.writer.write, batch, f"{label}{which}", longest, drawn)
            )
        return list(map(without_thoughts, answers))


def without_thoughts(reply: str) -> str:
    """What a model says when it has thought aloud; nothing, if it did not come to an end with that."""
    return _THOUGHT.sub("", reply).strip()


@dataclass
class Author:
    """A writer, and the words in which it is asked. What a server wrote is trusted further than what a model did."""

    writer: Writer
    requests: Requests
    is_server: bool = False


class SecondModel:
    """A model that only writes: it is loaded when it is first asked, and released in the end."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings

    @cached_property
    def model(self) -> LanguageModel:
        from blasphemer.language_model import load_writer

        console.note(f"{self.name} writes.")
        return load_writer(self.name, self.settings)

    @property
    def at_once(self) -> int:
        return self.model.at_once

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        return self.model.write(prompts, label, longest, seed)

    def release(self) -> None:
        if "model" in self.__dict__:
            self.model.release()


@contextmanager
def author(job: Job) -> Iterator[Author]:
    """Who writes, as the settings say; all answers are kept in the run's folder."""
    with _chosen(job) as found:
        yield replace(found, writer=Recorded(found.writer, job.run.journal("drafts.journal")))


@contextmanager
def _chosen(job: Job) -> Iterator[Author]:
    settings = job.settings
    if settings.study_endpoint:
        with Endpoint(settings) as server:
            yield Author(server, read_requests(settings.study_prompts, Path()), is_server=True)
    elif settings.writer:
        second = SecondModel(settings.writer, settings)
        try:
            yield Author(second, read_requests(settings.study_prompts, Path(settings.writer)))
        finally:
            second.release()
    else:
        yield Author(job.model, job.requests)
