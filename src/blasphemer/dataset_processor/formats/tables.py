"""Files of rows: CSV and TSV, JSON and JSON Lines, Parquet. Values stay as they are written: "007" keeps its zeros.

Lines are read one by one, so a file may be larger than the memory; a JSON file that is one array is read whole.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, BinaryIO

from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.formats.rows import KNOWN_COLUMNS, compose
from blasphemer.dataset_processor.formats.text import SAMPLE, decode
from blasphemer.dataset_processor.formats.values import Losses, Row
from blasphemer.errors import Unreadable
from blasphemer.records import Document

WHOLE = 64 * 2**20  # bytes that are decoded at once, so that every one of them has a say in what encoding it is
LONGEST_CELL = 64 * 2**20  # characters
LOOKED_AT = 50  # lines that delimiter and header are found by
DELIMITERS = "\t;|,"  # a comma last: it stands in numbers and sentences too
LONGEST_NAME = 100  # characters of a column's name
BATCH = 128  # rows of Parquet in memory at once
ROWS_SHARE = 0.8  # of a JSON object, which is in its one list of objects, above which that list is what it is about

_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d[%\d]*(e[-+]?\d+)?|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}.*", re.IGNORECASE)
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Piece]:
    magic = opened.read(4)
    opened.seek(0)
    suffix = PurePath(file).suffix.lower()
    if magic == b"PAR1":
        yield from compose(_parquet_rows(opened), file, options)
    elif suffix in (".json", ".jsonl", ".ndjson"):
        yield from _read_json(opened, file, options, is_lines=suffix != ".json")
    else:
        yield from _read_csv(opened, file, options)


# --- Lines of text ---


@contextmanager
def _decoded(opened: BinaryIO, encoding: str | None) -> Iterator[tuple[Iterator[str], str]]:
    """The lines of the file, all ended by "\\n", and its encoding. Large files are decoded as they are read."""
    data = opened.read(WHOLE + 1)
    opened.seek(0)
    if len(data) <= WHOLE:
        decoded = decode(data, encoding)
        yield _lines(decoded.text), decoded.encoding
        return
    found = decode(_whole_characters(data[:SAMPLE]), encoding).encoding
    del data
    text = io.TextIOWrapper(opened, found)
    try:
        yield text, found
    except UnicodeDecodeError as error:
        raise Unreadable(f"not valid {found} further down. Name its encoding with --encoding") from error
    finally:
        text.detach()  # the file is not ours to close


def _lines(text: str) -> Iterator[str]:
    """One by one: a list of them all, or a StringIO, would take several times the memory."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _whole_characters(head: bytes) -> bytes:
    """The head of a file up to the end of a character."""
    return head[: len(head) // 4 * 4] if b"\0" in head else head[: head.rfind(b"\n") + 1] or head


# --- CSV ---


def _read_csv(opened: BinaryIO, file: str, options: Options) -> Iterator[Piece]:
    losses = Losses()
    with _decoded(opened, options.encoding) as (lines, encoding), _long_cells():
        head = list(islice(lines, LOOKED_AT))
        if re.fullmatch("sep=.\n", head[0]):  # Excel's remark to itself
            head = head[1:]
        try:
            rows = _csv_rows(chain(head, lines), _delimiter(head), options.columns, losses)
            yield from compose(rows, file, options, encoding=encoding, losses=losses)
        except csv.Error as error:
            raise Unreadable(f"damaged table ({error}): is a quotation mark never closed?") from error


@contextmanager
def _long_cells() -> Iterator[None]:
    """The module's limit of 131,072 characters would refuse the text of a book."""
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _csv_rows(lines: Iterator[str], delimiter: str, chosen: Sequence[str], losses: Losses) -> Iterator[Row]:
    records = _records(lines, delimiter)
    sample = list(islice(records, LOOKED_AT))
    has_names = bool(sample) and _is_header(sample[0], sample[1:], chosen)
    names = _names(sample.pop(0) if has_names else [""] * max(map(len, sample), default=0))
    for cells in chain(sample, records):
        if len(cells) < len(names):
            losses.add("row{s} with missing cells")
        elif len(cells) > len(names):
            if len(names) > 1:  # commas of a lone column's sentences are no news
                losses.add("row{s} with more cells than columns (read as part of the last)")
            cells[len(names) - 1 :] = [delimiter.join(cells[len(names) - 1 :])]
        yield dict(zip(names, cells, strict=False))


def _records(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """The cells of each row that is not empty. A quotation mark that is never closed would swallow the rest unseen."""
    number, held = 0, list[str]()

    def feed() -> Iterator[str]:
        nonlocal number
        for number, line in enumerate(lines, 1):  # noqa: B007
            held.append(line)
            yield line

    for cells in csv.reader(feed(), delimiter=delimiter):
        if len(held) > 1 and not _is_closed(held, delimiter):
            raise Unreadable(
                f"damaged table: the quotation mark opened in line {number - len(held) + 1} is never closed"
            )
        held.clear()
        if any(cells):
            yield cells


def _is_closed(lines: Sequence[str], delimiter: str) -> bool:
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def _delimiter(head: Sequence[str]) -> str:
    """What parts most rows into as many cells as the first has; a comma where there is one column only."""

    def regular(delimiter: str) -> float:
        rows = [cells for cells in csv.reader(head, delimiter=delimiter) if cells]
        alike = sum(len(cells) == len(rows[0]) for cells in rows)
        return alike / len(rows) if rows and len(rows[0]) > 1 else 0

    best = max(DELIMITERS, key=regular)
    return best if regular(best) else ","


def _is_header(first: Sequence[str], others: Sequence[Sequence[str]], chosen: Sequence[str]) -> bool:
    """Names are short, all different, no numbers, and do not come again below.

    A lone column is one only under a name that is known: "apple" may be a name or the first of the apples.
    """
    plain = [name.strip().casefold() for name in first]
    if KNOWN_COLUMNS.intersection(plain) or {name.strip().casefold() for name in chosen}.intersection(plain):
        return True
    if len(first) < 2 or len(set(plain)) < len(plain) or any(len(name) > LONGEST_NAME for name in plain):
        return False
    numbers = [name for name in plain if _NUMBER.fullmatch(name)]
    if numbers and (len(numbers) < 2 or not all(map(_YEAR.fullmatch, numbers))):  # years do head columns
        return False
    return not any(
        name and name == cell.strip().casefold() for row in others for name, cell in zip(plain, row, strict=False)
    )


def _names(header: Sequence[str]) -> list[str]:
    """The columns' names, each once."""
    names: list[str] = []
    for number, written in enumerate(header, 1):
        name = " ".join(written.split()) or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


# --- JSON ---


class _Written(float):
    """A number that remembers how it was written: 3.50 is a price."""

    literal: str

    def __new__(cls, literal: str) -> _Written:
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

    def __str__(self) -> str:
        return self.literal


def _parsed(text: str) -> Any:
    """Raises ValueError for what is no JSON, or nested beyond sense."""
    try:
        return json.loads(text, parse_float=_Written)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _read_json(opened: BinaryIO, file: str, options: Options, is_lines: bool) -> Iterator[Piece]:
    """By content: files of lines are often called .json, and arrays .jsonl."""
    losses = Losses()
    with _decoded(opened, options.encoding) as (text, encoding):
        head = list(islice(text, LOOKED_AT))
        lines = chain(head, text)
        if _is_json_lines(head, is_lines):
            yield from compose(_json_lines(lines, losses), file, options, encoding=encoding, losses=losses)
            return
        whole = "".join(lines)
        rows = _json_rows(whole, losses)
        if rows is None:
            yield Document(file, whole, encoding)
        else:
            yield from compose(rows, file, options, encoding=encoding, losses=losses)


def _is_json_lines(head: Sequence[str], by_name: bool) -> bool:
    full = [line for line in head if line.strip()]
    if by_name:
        return not full or not full[0].lstrip().startswith("[")
    return len(full) > 1 and _is_object(full[0]) and _is_object(full[1])


def _is_object(line: str) -> bool:
    try:
        return isinstance(_parsed(line), dict)
    except ValueError:
        return False


def _json_lines(lines: Iterator[str], losses: Losses) -> Iterator[Row]:
    """The objects of all lines; a damaged line is counted. Raises Unreadable if most are."""
    damaged = whole = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _parsed(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            whole += 1
            yield row
            continue
        damaged += 1
        if damaged == 1:
            losses.remarks.append(f"the first damaged line is line {number}")
        losses.add("damaged line{s}", len(line))
    if damaged > whole:
        raise Unreadable(f"damaged JSON Lines ({damaged} of {damaged + whole} lines are no JSON objects)")


def _json_rows(text: str, losses: Losses) -> list[Row] | None:
    """The rows of a JSON file: its array of objects, or the one such list that it is all about. None: it has none."""
    try:
        value = _parsed(text)
    except ValueError as error:
        raise Unreadable(f"damaged JSON ({error})") from error
    if isinstance(value, dict):
        return _rows_within(value, losses)
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(row, str) for row in value):
        return [{"text": row} for row in value]
    return value if all(isinstance(row, dict) for row in value) else None


def _rows_within(value: dict[str, Any], losses: Losses) -> list[Row] | None:
    def is_rows(item: Any) -> bool:
        return isinstance(item, list) and bool(item) and all(isinstance(row, dict) for row in item)

    lists = [name for name, item in value.items() if is_rows(item)]
    if len(lists) != 1:
        return None
    others = {name: item for name, item in value.items() if name != lists[0]}
    rows: list[Row] = value[lists[0]]
    beside = len(json.dumps(others))
    if beside > (1 - ROWS_SHARE) * (beside + len(json.dumps(rows))):
        return None
    if others:
        losses.characters += beside
        losses.remarks.append(f'outside of "{lists[0]}" not read: {", ".join(list(others)[:20])}')
    return rows


# --- Parquet ---


def _parquet_rows(opened: BinaryIO) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(opened, buffer_size=2**16, pre_buffer=False)
        for batch in table.iter_batches(BATCH, use_threads=False):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise Unreadable(f"damaged Parquet file ({' '.join(str(error).split())[:200]})") from error
