"""Jupyter notebooks -> Markdown: what was written, what was computed, and what came out where it is short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from blasphemer.dataset_processor.formats.markup import Markdown, fenced
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import decode
from blasphemer.errors import Unreadable
from blasphemer.records import Document

OUTPUT_LINES = 40  # longer outputs are logs and dumps of tables
OUTPUT_CHARACTERS = 4000
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:  # noqa: ARG001
    notebook = _loaded(opened.read())
    language = _language(notebook)
    out, removed = Markdown(), 0
    for cell in _cells(notebook):
        removed += _write(out, cell, language)
    text = out.text()
    if not text:
        raise Unreadable("no text (an empty notebook)")
    yield Document(file, text, "utf-8", markdown=True, removed=removed)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        notebook = json.loads(decode(data, "utf-8-sig").text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not a notebook ({error})") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise Unreadable("not a notebook (no cells)")
    return notebook


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells; notebooks of format 3 keep them in worksheets."""
    sheets = [notebook] if isinstance(notebook.get("cells"), list) else notebook["worksheets"]
    for sheet in sheets:
        if isinstance(sheet, dict):
            yield from _dicts(sheet.get("cells"))


def _language(notebook: dict[str, Any]) -> str:
    metadata = _dict(notebook.get("metadata"))
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        name = _dict(metadata.get(part)).get(key)
        if isinstance(name, str):
            return name
    return "python"


def _write(out: Markdown, cell: dict[str, Any], language: str) -> int:
    """Add a cell; the number of characters of its outputs that were left out."""
    kind = cell.get("cell_type")
    source = _text(cell.get("source", cell.get("input")))
    if kind == "heading":
        level = cell.get("level")
        out.heading(level if isinstance(level, int) else 1, source)
    elif kind == "code":
        named = cell.get("language")
        out.code(source, named if isinstance(named, str) else language)
        return sum(_write_output(out, output) for output in _dicts(cell.get("outputs")))
    else:
        out.verbatim(source)
    return 0


def _write_output(out: Markdown, output: dict[str, Any]) -> int:
    data = _dict(output.get("data")) or output
    written = _text(data.get("text/markdown"))
    text = written or _COLOUR.sub("", _text(data.get("text/plain", data.get("text")))).strip("\n")
    if output.get("output_type") in {"error", "pyerr"}:
        text = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    if len(text) > OUTPUT_CHARACTERS or text.count("\n") >= OUTPUT_LINES:
        return len(text)
    out.verbatim(written or (fenced(text) if text.strip() else ""))
    return 0


def _text(value: Any) -> str:
    """Notebooks keep a text as a list of lines, or as it is."""
    parts = value if isinstance(value, list) else [value]
    return "".join(part for part in parts if isinstance(part, str))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
