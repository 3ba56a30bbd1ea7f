"""SOURCE -> passages.jsonl, conversations.jsonl and ledger.jsonl: the only way in for documents.

find_inputs      which files and datasets there are, and what tells each from all others
read_inputs      each is read and cut in a process that can be killed (worker), and what came of it is kept by its hash,
                 so that what has not changed is not read again; what says the same as another is left out (duplicates)
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from io import FileIO
from pathlib import Path, PurePath

from pebble import ProcessExpired, ProcessPool

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.dataset_processor import duplicates, worker
from blasphemer.dataset_processor.formats.files import NamedFile, is_saved, named_files
from blasphemer.dataset_processor.formats.kinds import READ
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import check_encoding
from blasphemer.dataset_processor.hub import fingerprint, hash_of_files, is_dataset
from blasphemer.dataset_processor.worker import Entry, Task
from blasphemer.errors import SourceError
from blasphemer.records import LedgerEntry, hash_of
from blasphemer.tokens import Ruler
from blasphemer.workspace import RunFolder

BYTES_PER_TIMEOUT = 10 << 20  # of a file: a larger one may take file_timeout as often as it holds this
OCR_TIMES = 10  # as long as a file may take, its scanned pages may take besides: 3 s a page
OURS = re.compile(r"[0-9a-f]{64}(\.\w+)*")  # names of files in the cache
DAYS_KEPT = 30  # in the cache, since it was last of use
REASONS_SHOWN = 3
LEADS_OUT = "a link that leads out of the folder; give what it leads to by name to have it read"
READ_BY = ("chardet", "datasets", "docutils", "lxml", "pyarrow", "pypdfium2", "selectolax", "tokenizers")


@dataclass(frozen=True)
class Input:
    """One file, or a folder among files that `datasets` saved, or a dataset (whose `path` is ""), with what tells its
    content from all others. `problem` says why a file cannot even be opened. `size` is in bytes."""

    file: str
    path: str
    sha256: str
    size: int = 0
    problem: str = ""


def find_inputs(settings: Settings) -> list[Input]:
    """All that the sources name, in order, each file once. Raises SourceError where a source is not there."""
    if settings.encoding is not None:
        check_encoding(settings.encoding)
    datasets = [source for source in settings.fine_tune_dataset if is_dataset(source)]
    files = named_files([source for source in settings.fine_tune_dataset if source not in datasets])
    kilobytes = sum(_size(file.path) // 1024 for file in files)
    with console.progress("telling files apart (kB)", kilobytes) as advance:
        found = [_file(file, advance) for file in files]
    return [*found, *(Input(name, "", fingerprint(name)) for name in datasets)]


def read_inputs(
    inputs: Sequence[Input], ruler: Ruler, chunk_size: int, settings: Settings, run: RunFolder
) -> list[LedgerEntry]:
    """Leave the passages and conversations of all inputs in the run's folder, and say what became of each input.

    Raises SourceError when nothing at all could be read, or when more than max_lost_share of it was lost.
    """
    if not run.has("ledger.jsonl"):
        with _cache(settings) as folder:
            desk = _Desk(folder, ruler, chunk_size, settings)
            entries = duplicates.mark(desk.read(inputs))
            _require_enough([entry.ledger for entry, _ in entries], settings)
            for kind in worker.KINDS:
                used = [place for entry, place in entries if entry.ledger.status == "used"]
                run.save_joined(f"{kind}.jsonl", [Path(f"{place}.{kind}") for place in used])
        run.save_records("ledger.jsonl", [entry.ledger for entry, _ in entries])
    return run.records("ledger.jsonl", LedgerEntry, list)


def _size(path: Path) -> int:
    """In bytes; 0 for what cannot be opened, or is no file."""
    with suppress(OSError):
        return path.stat().st_size if path.is_file() else 0
    return 0


def _file(file: NamedFile, advance: console.Advance) -> Input:
    name, path = file.name, file.path
    if file.leads_out:
        return Input(name, str(path), "", problem=LEADS_OUT)
    try:
        if is_saved(path):
            return Input(name, str(path), hash_of_files(path), sum(file.stat().st_size for file in path.rglob("*")))
        if path.exists() and not path.is_file():
            kind = "folder that may not be opened" if path.is_dir() else "neither a file nor a folder"
            return Input(name, str(path), "", problem=kind)
        with FileIO(path) as opened:
            sha256 = hash_of(opened, lambda size: advance(size // 1024, note=name))
            return Input(name, str(path), sha256, os.fstat(opened.fileno()).st_size)
    except FileNotFoundError:
        problem = "broken link" if path.is_symlink() else "no longer there"
    except OSError as error:
        problem = worker.reason_of(error)
    return Input(name, str(path), "", problem=problem)


def _require_enough(ledger: Sequence[LedgerEntry], settings: Settings) -> None:
    named = ", ".join(settings.fine_tune_dataset)
    used = [entry for entry in ledger if entry.status == "used"]
    if not used:
        shown = [f"{entry.file}: {entry.reason}" for entry in ledger[:REASONS_SHOWN]] + ["..."] * (
            len(ledger) > REASONS_SHOWN
        )
        raise SourceError(
            f"{named}: no readable documents ({len(ledger)} skipped: {'; '.join(shown)}). Read are {', '.join(READ)}."
        )
    lost, kept = sum(entry.lost for entry in used), sum(entry.kept for entry in used)
    if lost > settings.max_lost_share * (lost + kept):
        worst = max(used, key=lambda entry: entry.lost)
        raise SourceError(
            f"{named}: {lost / (lost + kept):.0%} of the text would be lost, most of it in {worst.file} "
            f"({worst.lost:,} characters{f', {worst.reason}' if worst.reason else ''}). If that is meant, give "
            f"--max-lost-share {min(lost / (lost + kept) + 0.01, 1):.2f}."
        )


# --- reading ---------------------------------------------------------------------------------------------------------


class _Desk:
    """Where inputs are read: every one leaves an entry in the folder, and is not read again while it is there."""

    def __init__(self, folder: Path, ruler: Ruler, chunk_size: int, settings: Settings) -> None:
        self.folder, self.settings, self.chunk_size = folder, settings, chunk_size
        self.options = Options(
            settings.encoding,
            settings.document_password,
            settings.ocr_languages,
            settings.file_timeout * OCR_TIMES,
            settings.columns,
            settings.row_limit,
        )
        options = replace(self.options, ocr_seconds=0)  # what is finished had time enough
        self.how = _hash(ruler.serialised, options, chunk_size, settings.chunk_overlap, _code(), *map(version, READ_BY))
        self.tokenizer = folder / f"{_hash(ruler.serialised)}.tokenizer"
        with worker.writing(self.tokenizer) as file:
            file.write(ruler.serialised)
        self.entries: dict[Input, Entry] = {}

    def read(self, inputs: Sequence[Input]) -> list[tuple[Entry, Path]]:
        """What became of each input, and its place. Of files with the same bytes and ending only the first is read; one
        with the bytes of a file that is used is its copy, whatever its ending."""
        first: dict[tuple[str, str], Input] = {}
        for one in inputs:
            first.setdefault(_form(one), one)
        missing = []
        for one in first.values():
            if entry := worker.skipped(one.file, one.problem) if one.problem else worker.load(self._place(one)):
                self.entries[one] = entry
            else:
                missing.append(one)
        if missing:
            self._read(missing)
        used = [one for one in first.values() if one.path and self.entries[one].ledger.status == "used"]
        originals = {one.sha256: one.file for one in reversed(used)}
        return [(self._entry(one, first[_form(one)], originals.get(one.sha256)), self._place(one)) for one in inputs]

    def _entry(self, one: Input, read: Input, original: str | None) -> Entry:
        """What became of an input, from what became of the one that was `read` for it."""
        if original not in (None, one.file):
            return duplicates.copy_of(original, one.file, one.sha256)
        entry = self.entries[read]
        return replace(entry, ledger=replace(entry.ledger, file=one.file))

    def _place(self, one: Input) -> Path:
        """Where its entry is kept, with its passages and conversations beside it."""
        return self.folder / _hash(one.file, one.sha256, self.how)

    def _read(self, inputs: Sequence[Input]) -> None:
        kilobytes = [one.size // 1024 + 1 for one in inputs]
        started, done = time.monotonic(), 0
        with _processes(len(inputs)) as schedule, console.progress("reading (kB)", sum(kilobytes)) as advance:
            pending = {schedule(self._task(one), self._seconds(one)): one for one in inputs}
            for future in as_completed(pending):
                one = pending[future]
                self.entries[one] = self._outcome(one, future)
                done += one.size
                rate = done / max(time.monotonic() - started, 1e-9)
                advance(one.size // 1024 + 1, note=f"{rate / 1e6:.1f} MB/s  {one.file}")

    def _task(self, one: Input) -> Task:
        return Task(
            one.path,
            one.file,
            one.sha256,
            self.options,
            str(self.tokenizer),
            self.chunk_size,
            self.settings.chunk_overlap,
            str(self._place(one)),
        )

    def _seconds(self, one: Input) -> float | None:
        """How long reading may take: datasets come over a network, and are read for as long as they come."""
        if not one.path:
            return None
        is_recognised = one.file.lower().endswith(".pdf") and self.options.ocr_languages and find_spec("pytesseract")
        recognising = self.options.ocr_seconds if is_recognised else 0.0
        return self.settings.file_timeout * (1 + one.size // BYTES_PER_TIMEOUT) + recognising

    def _outcome(self, one: Input, future: Future[Entry]) -> Entry:
        """The entry of an input; one whose process was killed or died is no less accounted for than others."""
        try:
            return future.result()
        except TimeoutError:
            reason = f"took longer than {self._seconds(one):g} s to read (--file-timeout allows more)"
        except ProcessExpired as error:
            reason = f"its reader died (exit code {error.exitcode}: damaged, or too large for memory)"
        except (SourceError, OSError):  # for the user to mend: no such split, no room on the disk
            raise
        except Exception as error:  # a fault of ours costs one file, and not the run
            reason = f"could not be read ({type(error).__name__}: {error})"[: worker.LONGEST_NOTE]
        for partial in self.folder.glob(f"{self._place(one).name}.*.[0-9]*"):
            partial.unlink(missing_ok=True)
        return worker.skipped(one.file, reason, one.sha256)


def _form(one: Input) -> tuple[str, str]:
    """The same for inputs that come to the same when they are read."""
    return (one.sha256, PurePath(one.file).suffix.lower()) if one.path and not one.problem else ("", one.file)


@contextmanager
def _processes(most: int) -> Iterator[Callable[[Task, float | None], Future[Entry]]]:
    """Processes that read tasks given to the function, each of them killed after its seconds."""
    number = min(most, os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1)
    pool = ProcessPool(number, initializer=worker.prepare, context=multiprocessing.get_context("spawn"))

    def schedule(task: Task, seconds: float | None) -> Future[Entry]:
        future: Future[Entry] = pool.schedule(worker.read, args=[task], timeout=seconds)
        return future

    try:
        yield schedule
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # at once, also at Ctrl+C
        pool.join()


# --- what is kept ----------------------------------------------------------------------------------------------------


@contextmanager
def _cache(settings: Settings) -> Iterator[Path]:
    """The folder where entries are kept from run to run, or one for this time only."""
    folder = Path(settings.cache_dir).expanduser() / "passages"
    if settings.cache_dir and _is_usable(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as once:
        yield Path(once)


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _forget_old(folder)
    except OSError as error:
        reason = worker.reason_of(error)
        console.warn(f"{folder}: {reason}. What is read is not kept for other runs; --cache-dir names another folder.")
        return False
    return True


def _forget_old(folder: Path) -> None:
    before = time.time() - DAYS_KEPT * 86400
    for file in folder.iterdir():
        with suppress(FileNotFoundError, PermissionError):  # another run cleans up too, or another user
            if OURS.fullmatch(file.name) and file.stat().st_mtime < before:
                file.unlink()


def _code() -> str:
    """A hash of all code that reads and cuts: what other code has read is read anew."""
    root = Path(worker.__file__).parents[1]
    files = [*sorted(root.glob("dataset_processor/**/*.py")), *sorted(root.glob("languages/*.*"))]
    files += [root / name for name in ("language.py", "records.py", "tokens.py")]
    return _hash(*(file.read_text(encoding="utf-8") for file in files))


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()
