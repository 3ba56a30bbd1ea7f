"""The values of a table or a dataset in words, and the count of what could not be put in words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

Row = Mapping[str, Any]

_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")  # JSON may spell them, UTF-8 cannot


class Skipped(Exception):
    """Why a row gives nothing; "{s}" stands where the plural's s goes."""


@dataclass
class Losses:
    """What was not read: how many of what, how many characters, and what else is to be told."""

    counts: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, what: str, characters: int = 0) -> None:
        """`what` has "{s}" where the plural's s goes."""
        self.counts[what] += 1
        self.characters += characters

    def told(self) -> str:
        """In words: "3 rows without an answer, 1 empty row"."""
        counted = [f"{count} {what.replace('{s}', '' if count == 1 else 's')}" for what, count in self.counts.items()]
        return ", ".join([*counted, *self.remarks])


def shown(value: Any, losses: Losses) -> str:
    """A value in words, never as a program would write it. What is no text (an image, bytes) is counted."""
    if isinstance(value, Mapping) and not isinstance(value.get("bytes"), (bytes, bytearray)):
        return _joined([_entry(name, item, losses) for name, item in value.items()], value.values())
    if isinstance(value, tuple) and len(value) == 2:  # an entry of a map column
        return _entry(*value, losses)
    if isinstance(value, list):
        return _joined([shown(item, losses) for item in value], value)
    written = _written(value)
    if written is None:
        losses.add("value{s} without text")
    return written or ""


def _written(value: Any) -> str | None:
    """A single value as a table writes it; None for what no table could."""
    if isinstance(value, str):
        return normal(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or _is_no_number(value):
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, (int, float, date, time, timedelta, UUID)) else None


def _entry(name: Any, value: Any, losses: Losses) -> str:
    text = shown(value, losses)
    return f"{shown(name, losses)}: {text}" if text.strip() else ""


def _joined(texts: Iterable[str], values: Iterable[Any]) -> str:
    separator = "; " if any(isinstance(value, (list, Mapping)) for value in values) else ", "
    return separator.join(text for text in texts if text.strip())


def _is_no_number(value: Any) -> bool:
    """NaN, and "not a time" of the libraries: nothing but these differs from itself."""
    return isinstance(value, (float, Decimal, date)) and value != value  # noqa: PLR0124


def normal(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _HALF_CHARACTERS.sub("\ufffd", lines))


def length(value: Any) -> int:
    """Characters of all that is text in a value."""
    found, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found += len(one)
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
    return found
