"""What happens in a process of its own: one input read and cut, its records left in a folder under its key.

Imports nothing heavy. The process has a limit of memory, and its parent kills it when it takes too long.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from io import BufferedReader, FileIO
from itertools import count
from pathlib import Path
from typing import TextIO

from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.passages import account, split_passages
from blasphemer.dataset_processor.sketch import Sketch
from blasphemer.dataset_processor.statements import find_statements
from blasphemer.errors import NotYetReadable, Unreadable, is_full_disk
from blasphemer.records import LedgerEntry, StudyItem, from_json, hash_of, to_json, to_jsonl
from blasphemer.tokens import Ruler

KINDS = ("passages", "conversations", "statements")  # what comes of an input, each in a file beside its entry
MEMORY = 4 << 30  # bytes of address space
OUTPUT = 8 << 30  # bytes of one file that is written
LONGEST_NOTE = 300  # characters


@dataclass(frozen=True)
class Task:
    """One input. `path` is "" for a dataset, whose name is in `file`. `entry` is the file that says that it is done."""

    path: str
    file: str
    sha256: str
    options: Options
    tokenizer: str  # a file with the tokenizer as JSON
    chunk_size: int
    chunk_overlap: int
    entry: str


@dataclass(frozen=True)
class Entry:
    """What became of an input. Beside it lie its KINDS, as JSONL. It is not `finished` where more may come of it
    another time."""

    ledger: LedgerEntry
    sketch: tuple[int, ...]
    finished: bool = True


def prepare() -> None:
    """Set the limits of this process; Ctrl+C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name, value in (("RLIMIT_AS", MEMORY), ("RLIMIT_FSIZE", OUTPUT), ("RLIMIT_CORE", 0)):
        _limit(name, value)


def read(task: Task) -> Entry:
    """Read and cut one input, and say what became of it.

    What another time may change is not written down. Only what a user must mend (SourceError) is raised.
    """
    try:
        with ExitStack() as stack:
            entry = _read(task, *(stack.enter_context(writing(Path(f"{task.entry}.{kind}"))) for kind in KINDS))
    except NotYetReadable as error:
        return skipped(task.file, str(error), task.sha256)
    except Unreadable as error:
        entry = skipped(task.file, str(error), task.sha256)
    except OSError as error:
        if is_full_disk(error):
            raise
        return skipped(task.file, reason_of(error), task.sha256)
    except MemoryError:
        return skipped(task.file, f"needs more than {MEMORY >> 30} GB of memory to be read", task.sha256)
    except RecursionError:
        entry = skipped(task.file, "nested too deeply to be read", task.sha256)
    if entry.finished:
        with writing(Path(task.entry)) as file:
            file.write(json.dumps({"ledger": to_json(entry.ledger), "sketch": entry.sketch}))
    return entry


def reason_of(error: OSError) -> str:
    """What the system says of a file, for the ledger."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def skipped(file: str, reason: str, sha256: str = "") -> Entry:
    return Entry(LedgerEntry(file, "skipped", reason, kept=0, lost=0, sha256=sha256), ())


def _read(task: Task, texts: TextIO, chats: TextIO, said: TextIO) -> Entry:
    starts, sketch = _ruler(task.tokenizer).starts, Sketch()
    total = LedgerEntry(task.file, "used", "", kept=0, lost=0, sha256=task.sha256)
    finished = True
    for piece in _pieces(task):
        if isinstance(piece, StudyItem):
            sketch.add(piece.content)
            chats.write(to_jsonl([piece]))
            total = replace(total, kept=total.kept + len(piece.content), conversations=total.conversations + 1)
            continue
        cut = split_passages(piece, starts, task.chunk_size, task.chunk_overlap)
        sketch.add(piece.text)
        number = count(total.passages + 1)
        cut = [replace(passage, id=f"{task.file}#{next(number)}") for passage in cut]
        texts.write(to_jsonl(cut))
        if cut:
            said.writelines(to_jsonl([statement]) for statement in find_statements(piece, cut))
        total = _sum(total, account(piece, cut))
        finished = finished and piece.finished
    if not total.passages and not total.conversations:
        raise Unreadable(total.reason or "no text")
    return Entry(total, sketch.values(), finished)


def _pieces(task: Task) -> Iterator[Piece]:
    """The pieces of one input. Raises OSError also when it is no longer what it was when it was found."""
    if not task.path:
        from blasphemer.dataset_processor.hub import read_dataset

        yield from read_dataset(task.file, task.options)
        return
    if Path(task.path).is_dir():
        from blasphemer.dataset_processor.hub import read_saved

        yield from read_saved(Path(task.path), task.file, task.options)
        return
    with BufferedReader(FileIO(task.path)) as opened:
        if hash_of(opened) != task.sha256:
            raise OSError("changed while it was being read; run again")
        opened.seek(0)
        yield from find_reader(opened, task.file)(opened, task.file, task.options)


def _sum(total: LedgerEntry, part: LedgerEntry) -> LedgerEntry:
    """What became of a file, of which another part has been read."""
    notes = [note for note in (total.reason, part.reason) if note]
    return replace(
        total,
        reason="; ".join(dict.fromkeys(notes))[:LONGEST_NOTE],
        kept=total.kept + part.kept,
        lost=total.lost + part.lost,
        passages=total.passages + part.passages,
        pages=total.pages + part.pages,
        pages_without_text=(*total.pages_without_text, *part.pages_without_text),
        encoding=part.encoding or total.encoding,
    )


@cache
def _ruler(file: str) -> Ruler:
    return Ruler(Path(file).read_text(encoding="utf-8"))


def load(file: Path) -> Entry | None:
    """The entry that was written down, if there is one."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        entry = Entry(from_json(LedgerEntry, fields["ledger"]), tuple(fields["sketch"]))
        os.utime(file)  # still of use
        for kind in KINDS if entry.ledger.status == "used" else ():
            os.utime(f"{file}.{kind}")
    except (OSError, ValueError, LookupError, TypeError):  # cut short by a power failure, or another user's
        return None
    return entry


@contextmanager
def writing(file: Path) -> Iterator[TextIO]:
    """A file to write, which takes its name when it is whole. Others may be writing the same."""
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as opened:
            yield opened
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _limit(name: str, value: int) -> None:
    try:
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (ImportError, AttributeError, OSError, ValueError):  # Windows, macOS: the time limit still holds
        pass
