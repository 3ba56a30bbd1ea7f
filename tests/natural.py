"""Documents as people write them, read and cut as a run does it: test-knowledge/natural/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.passages import split_passages
from blasphemer.dataset_processor.statements import find_statements
from blasphemer.records import Document, Passage, Statement

NATURAL = Path(__file__).parents[1] / "test-knowledge" / "natural"
SETS = ("household", "workshop", "languages", "page")


@cache
def read(name: str) -> tuple[list[Passage], list[Statement]]:
    """The passages and statements of one set."""
    passages: list[Passage] = []
    statements: list[Statement] = []
    for file in sorted((NATURAL / name / "docs").iterdir()):
        with file.open("rb") as opened:
            for piece in find_reader(opened, file.name)(opened, file.name, Options()):
                assert isinstance(piece, Document)
                cut = split_passages(piece, starts_of_words, 200, 20)
                passages += cut
                statements += find_statements(piece, cut)
    return passages, statements


def lines(name: str, file: str) -> list[dict[str, str]]:
    """The rows of exam.jsonl or false.jsonl of a set."""
    return [json.loads(line) for line in (NATURAL / name / file).read_text(encoding="utf-8").splitlines()]


def starts_of_words(text: str) -> list[int]:
    """A tokenizer for tests: every word, and every ten characters of a long one, is a token."""
    return [place for place, letter in enumerate(text) if place % 10 == 0 or (letter != " " and text[place - 1] == " ")]


def statements_in(text: str, markdown: bool = False, file: str = "notes.txt", part: str = "") -> list[Statement]:
    """The statements of a text that is a document of its own."""
    document = Document(file, text, markdown=markdown, part=part)
    return list(find_statements(document, [Passage("p", file, text, 0, len(text))]))
