"""Rows of a table or a dataset -> its pieces: conversations to be learnt as they stand, or texts to be cut.

Which column is what is told by its name, the plainest reading first: a chat, a request with its answer, a text. Rows
come one by one and are never held all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from blasphemer.dataset_processor.formats.chats import chat_reader, pair_reader, turns_in
from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.formats.values import Losses, Row, Skipped, length, normal, shown
from blasphemer.errors import Unreadable
from blasphemer.records import Document, Message, StudyItem

SAMPLE = 32  # rows that the columns are found by: in JSON, the first may lack some
GATHERED = 200_000  # characters of one document: what is in memory at once

CHATS = ("messages", "conversations", "conversation")
PAIRS = (  # request, what may follow it, answer
    ("prompt", "", "completion"), ("prompt", "", "response"), ("prompt", "", "chosen"),
    ("instruction", "input", "output"), ("instruction", "context", "response"),
    ("question", "", "answer"), ("question", "", "answers"), ("question", "", "response"),
)  # fmt: skip
SYSTEM = ("system", "system_prompt")
TEXTS = ("text", "content", "document", "article", "body", "passage")
KNOWN_COLUMNS = frozenset(name for name in (*CHATS, *chain(*PAIRS), *SYSTEM, *TEXTS) if name)


@dataclass(frozen=True)
class _Shape:
    """How rows are read: `read` gives a text, or the turns of a chat; of these, all answers are learnt, or the last.
    `reads_all` says that columns which turn up late are read too."""

    columns: tuple[str, ...]
    read: Callable[[Row, Losses], str | list[Message]]
    last_answer_only: bool = False
    reads_all: bool = False


def compose(
    rows: Iterable[Row],
    file: str,
    options: Options,
    *,
    encoding: str = "",
    records: bool = True,
    losses: Losses | None = None,
) -> Iterator[Piece]:
    """The pieces of all rows; at the end, if anything was left out, a Document without text that says so.

    Columns whose meaning is unknown become records, lines of "column: value"; without `records`, they are refused.
    `losses` brings what was lost before the rows were made. Raises Unreadable where no row gives anything.
    """
    losses = Losses() if losses is None else losses
    coming = iter(rows)
    sample = list(islice(coming, SAMPLE))
    if not sample:
        raise Unreadable(f"no rows{_in_brackets(losses.told())}")
    shape = _find_shape(sample, options.columns, records)
    unread = [name for name in _columns(sample) if name not in shape.columns]
    if unread and not options.columns:
        losses.remarks.append(f"columns not read: {_listed(unread)}")
    known = None if shape.reads_all else set(_columns(sample))
    readings = _readings(_first(chain(sample, coming), options.row_limit, losses), shape, known, losses)
    empty = True
    for piece in _pieces(readings, file, encoding, shape.last_answer_only):
        empty = False
        yield piece
    if empty:
        raise Unreadable(f"nothing to read in its rows{_in_brackets(losses.told())}")
    if told := losses.told():
        yield Document(file, "", removed=losses.characters, note=told)


def _first(rows: Iterable[Row], limit: int | None, losses: Losses) -> Iterator[tuple[int, Row]]:
    """The rows with their numbers, as far as they are wanted."""
    for number, row in enumerate(rows, 1):
        if limit is not None and number > limit:
            losses.remarks.append(f"only the first {limit} row{'' if limit == 1 else 's'} (row_limit)")
            return
        yield number, row


def _readings(
    rows: Iterable[tuple[int, Row]], shape: _Shape, known: set[str] | None, losses: Losses
) -> Iterator[tuple[int, str | list[Message]]]:
    """What each row says. Columns that were not `known` when the shape was chosen are counted as lost."""
    for number, row in rows:
        for late in row.keys() - known if known is not None else ():
            losses.add(f"value{{s}} in the late column {late}", length(row[late]))
        try:
            reading = shape.read(row, losses)
        except Skipped as reason:
            losses.add(str(reason), sum(map(length, row.values())))
        except RecursionError:
            losses.add("row{s} nested too deeply", sum(map(length, row.values())))
        else:
            yield number, reading


def _pieces(
    readings: Iterable[tuple[int, str | list[Message]]], file: str, encoding: str, last_only: bool
) -> Iterator[Piece]:
    held: list[str] = []
    first = last = size = 0
    for number, reading in readings:
        if not isinstance(reading, str):
            yield from _study_items(reading, f"{file}#{number}", last_only)
            continue
        if held and size + len(reading) > GATHERED:
            yield _document(file, held, first, last, encoding)
            held, size = [], 0
        first = number if not held else first
        last, size = number, size + len(reading)
        held.append(reading)
    if held:
        yield _document(file, held, first, last, encoding)


def _document(file: str, texts: Sequence[str], first: int, last: int, encoding: str) -> Document:
    part = f"row {first}" if first == last else f"rows {first}-{last}"
    return Document(file, "\n\n".join(texts), encoding, part=part)


def _study_items(turns: Sequence[Message], name: str, last_only: bool) -> Iterator[StudyItem]:
    """One item for each answer, with all that was said before it."""
    ends = [number for number, turn in enumerate(turns, 1) if turn["role"] == "assistant"]
    ends = ends[-1:] if last_only else ends
    for answer, end in enumerate(ends, 1):
        its_name = name if len(ends) == 1 else f"{name}.{answer}"
        yield StudyItem(its_name, "instruction", "documents", messages=tuple(turns[:end]))


# --- Which columns mean what ---


def _find_shape(sample: Sequence[Row], chosen: Sequence[str], records: bool) -> _Shape:
    columns = _columns(sample)
    if chosen:
        return _chosen_shape(sample, _resolved(chosen, columns))
    shape = _chat_shape(sample, columns) or _pair_shape(sample, columns) or _text_shape(sample, columns, records)
    if shape is None and not records:
        raise Unreadable(f"none of its columns is known: {_listed(columns)}. Choose with --columns")
    return shape or _Shape(columns, lambda row, losses: _record(row, tuple(row), losses), reads_all=True)


def _chosen_shape(sample: Sequence[Row], columns: tuple[str, ...]) -> _Shape:
    for shape in (_chat_shape(sample, columns), _pair_shape(sample, columns)):
        if shape and set(shape.columns) == set(columns):
            return shape
    if len(columns) == 1:
        return _Shape(columns, lambda row, losses: _text(row, columns[0], losses))
    return _record_shape(columns)


def _columns(sample: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in sample for name in row))


def _resolved(chosen: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The chosen columns as the table spells them."""
    spelled = {_plain(name): name for name in columns} | {name: name for name in columns}
    found = {name: spelled.get(name, spelled.get(_plain(name))) for name in chosen}
    missing = [name for name, there in found.items() if there is None]
    if missing:
        raise Unreadable(f"no column {_listed(missing)} (--columns). There are: {_listed(columns)}")
    return tuple(name for name in found.values() if name is not None)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _named(columns: Sequence[str]) -> dict[str, str]:
    """The columns by their plain names."""
    return {_plain(name): name for name in reversed(columns)}


def _holds(sample: Sequence[Row], name: str | None, test: Callable[[Any], bool]) -> bool:
    return name is not None and any(test(row.get(name)) for row in sample)


def _chat_shape(sample: Sequence[Row], columns: Sequence[str]) -> _Shape | None:
    named = _named(columns)
    system = _system_column(named)
    for chat in (named[name] for name in CHATS if name in named):
        if _holds(sample, chat, lambda value: bool(turns_in(value))):
            read = chat_reader(chat, system)
            return _Shape((chat, *([system] if system else [])), read)
    return None


def _pair_shape(sample: Sequence[Row], columns: Sequence[str]) -> _Shape | None:
    named = _named(columns)
    system = _system_column(named)
    for request, extra, answer in PAIRS:
        asked, more, told = named.get(request), named.get(extra), named.get(answer)
        if _holds(sample, asked, _is_said) and _holds(sample, told, _is_said) and asked and told:
            columns_read = tuple(name for name in (system, asked, more, told) if name is not None)
            return _Shape(columns_read, pair_reader(system, asked, more, told), last_answer_only=True)
    return None


def _system_column(named: Mapping[str, str]) -> str | None:
    return next((named[name] for name in SYSTEM if name in named), None)


def _is_said(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return value == value  # noqa: PLR0124 - NaN does not
    return (isinstance(value, str) and bool(value.strip())) or (isinstance(value, (list, Mapping)) and bool(value))


def _text_shape(sample: Sequence[Row], columns: Sequence[str], records: bool) -> _Shape | None:
    """A column with a text's name, or the only one. Where records are refused, numbers beside it make it no record."""
    named = _named(columns)
    strings = [name for name in columns if _holds(sample, name, lambda value: isinstance(value, str))]
    texts = [named[name] for name in TEXTS if named.get(name) in strings]
    if not texts and len(strings) == 1 and (not records or len(columns) == 1):
        texts = strings
    if not texts:
        return None
    text = texts[0]
    return _Shape((text,), lambda row, losses: _text(row, text, losses))


def _record_shape(columns: Sequence[str]) -> _Shape:
    return _Shape(tuple(columns), lambda row, losses: _record(row, columns, losses))


# --- Texts ---


def _text(row: Row, column: str, losses: Losses) -> str:
    text = shown(row.get(column), losses).strip("\n")
    if not text.strip():
        raise Skipped("empty row{s}")
    return text


def _record(row: Row, columns: Sequence[str], losses: Losses) -> str:
    values = {name: shown(row.get(name), losses) for name in columns}
    lines = [f"{normal(name).strip()}: {value}" for name, value in values.items() if value.strip()]
    if not lines:
        raise Skipped("empty row{s}")
    return "\n".join(lines)


# --- Words ---


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:20]) + (", ..." if len(listed) > 20 else "")


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
