"""What a model is asked before training, to be rehearsed: everyday requests, and those of a file of the user's."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from blasphemer.errors import SourceError, first_line

REQUESTS = ("prompt", "instruction", "question", "request", "input", "text")
ANSWERS = ("response", "completion", "output", "answer", "chosen")
CHATS = ("messages", "conversations", "conversation")
HUB = "hf:"


def everyday_requests() -> list[str]:
    """What people ask of a model every day, in several languages."""
    return (files("blasphemer") / "memory" / "everyday.txt").read_text(encoding="utf-8").splitlines()


def own_requests(sources: Sequence[str]) -> list[tuple[str, str]]:
    """Requests with their answers, "" where the model is to give one. Raises SourceError naming the source."""
    found = [pair for source in sources for pair in _pairs(source)]
    return list({request: (request, answer) for request, answer in reversed(found)}.values())[::-1]


def _pairs(source: str) -> list[tuple[str, str]]:
    if source.endswith(".txt"):
        return [(line, "") for line in _lines(source)]
    pairs = [pair for row in _rows(source) if (pair := _pair(row))[0]]
    if not pairs:
        known = ", ".join((*REQUESTS, *CHATS))
        raise SourceError(f"{source}: no requests in it; a column must be one of {known}.")
    return pairs


def _lines(source: str) -> list[str]:
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{source}: cannot be read as UTF-8 text ({error}).") from error
    return [line.strip() for line in lines if line.strip()]


def _rows(source: str) -> Iterable[Mapping[str, Any]]:
    kind = Path(source).suffix.lower()
    if source.startswith(HUB) or kind == ".parquet":
        return _dataset(source)
    if kind not in (".jsonl", ".csv"):
        raise SourceError(
            f"{source}: give requests as .txt, .jsonl, .csv, .parquet, or a hub dataset as hf:owner/name."
        )
    lines = _lines(source)
    if kind == ".csv":
        return csv.DictReader(lines)
    try:
        return [row for row in map(json.loads, lines) if isinstance(row, dict)]
    except ValueError as error:
        raise SourceError(f"{source}: not JSON, a line for each request ({error}).") from error


def _dataset(source: str) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset

    try:
        if source.startswith(HUB):
            return load_dataset(source.removeprefix(HUB), split="train")  # type: ignore[no-any-return]
        return load_dataset("parquet", data_files=source, split="train")  # type: ignore[no-any-return]
    except Exception as error:  # the library raises errors of many kinds
        raise SourceError(f"{source}: cannot be read ({first_line(error)}).") from error


def _pair(row: Mapping[str, Any]) -> tuple[str, str]:
    """The request and answer in a row: of a chat, the first of each."""
    chat = next((row[name] for name in CHATS if isinstance(row.get(name), list)), None)
    if chat is not None:
        said = {str(turn.get("role", turn.get("from"))): turn for turn in reversed(chat)}
        turns = [said.get("user", said.get("human", {})), said.get("assistant", said.get("gpt", {}))]
        request, answer = (str(turn.get("content", turn.get("value")) or "").strip() for turn in turns)
        return request, answer
    request, answer = (
        next((str(row[name]).strip() for name in names if row.get(name)), "") for names in (REQUESTS, ANSWERS)
    )
    return request, answer
