"""How to read: what a user may say about all files of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from blasphemer.records import Document, StudyItem

Piece = Document | StudyItem  # a text to be cut into passages, or a conversation to be learnt as it stands


@dataclass(frozen=True)
class Options:
    """`encoding` of text files (None: found out), `password` of encrypted ones, `ocr_languages` as Tesseract names
    them ("eng+deu"; "" for no OCR), `ocr_seconds` for all scanned pages of a file, `columns` of tables and datasets to
    read (none: found by their names), `row_limit` rows of each table at most."""

    encoding: str | None = None
    password: str | None = None
    ocr_languages: str = ""
    ocr_seconds: float = 600
    columns: tuple[str, ...] = ()
    row_limit: int | None = None


class Reader(Protocol):
    def __call__(self, opened: BinaryIO, file: str, options: Options) -> Iterator[Piece]:
        """The pieces of one file, which is open at its beginning. Raises Unreadable, with the reason for the ledger."""
