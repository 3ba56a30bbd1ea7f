"""Datasets: of the Hugging Face hub, read as they stream in, and folders that `datasets` has saved.

    hf:owner/name@revision:config[train[:1000]]     all but the name may be left out, and "hf:" where it is no path
    hf:./folder:config[train]                       a copy of such a repository
    folder[train]                                   a folder written by save_to_disk

Code that comes with a dataset is never run: `datasets` has given it up since version 4.
"""

# ruff: noqa: PTH111 - what may not be looked at is False to os.path; Path raises
from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from blasphemer.dataset_processor.formats.files import is_saved, printable
from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.formats.rows import compose
from blasphemer.dataset_processor.formats.values import Losses, Row
from blasphemer.errors import SourceError, Unreadable

HUB = "hf:"
BATCH = 128  # rows in memory at once
FORM = "Write hf:owner/name@revision:config[train[:1000]]; only the name is needed"

_SOURCE = re.compile(
    r"(?P<name>[^@:\[\]]+)(?:@(?P<revision>[^@:\[\]]+))?(?::(?P<config>[^:\[\]]+))?(?:\[(?P<split>.+)\])?"
)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_ENDING = re.compile(r".*\.(?=\w*[a-z])\w{1,8}", re.IGNORECASE)  # ".txt" and ".7z", but not the ".5" of a version
_SPLIT = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclass(frozen=True)
class _Place:
    """What a source means. `name` is a path if `is_local`, else owner/name on the hub."""

    source: str
    name: str
    is_local: bool
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    @property
    def path(self) -> str:
        """As `datasets` takes it. In this form a name is the hub's even where a folder owner/name lies here."""
        return self.name if self.is_local else f"hf://datasets/{self.name}"

    def label(self, split: str) -> str:
        """What its pieces are called, and those of no other dataset."""
        name = printable(self.name) if self.is_local else f"{HUB}{self.name}"
        revision, config = (f"@{self.revision}" if self.revision else ""), (f":{self.config}" if self.config else "")
        return f"{name}{revision}{config}[{split}]"


@dataclass(frozen=True)
class _Split:
    """The rows of a split from one position to another, None being the end; how many there are, if that is known."""

    rows: Callable[[int, int | None], Iterator[Row]]
    size: Callable[[], int | None]


def is_dataset(source: str) -> bool:
    """Whether a source is a dataset, not a file or folder of documents.

    owner/name is one only where nothing speaks for a mistyped path: neither an ending nor a folder called "owner".
    """
    if source.startswith(HUB) or _is_saved(_saved_folder(source)[0]):
        return True
    parts = _SOURCE.fullmatch(source)
    if not parts or _exists(source):
        return False
    name = parts["name"]
    is_name = _NAME.fullmatch(name) and not _ENDING.fullmatch(name)
    return bool(is_name) and not _exists(name) and not _exists(name.partition("/")[0])


def fingerprint(source: str) -> str:
    """What stands for its content: the hub's commit, or the SHA-256 of a folder's files. Raises SourceError."""
    place = _place(source)
    with _plain_errors(place), _quiet():
        return hash_of_files(Path(place.name)) if place.is_local else str(_builder(place).hash)


def read_dataset(source: str, options: Options) -> Iterator[Piece]:
    """The pieces of a dataset, row by row: it may be larger than the memory. Raises SourceError.

    Unless the source names one, the split is "train", the only one or the first; of a saved folder, all are read.
    """
    place, losses = _place(source), Losses()
    with _plain_errors(place), _quiet():
        all_splits = place.is_local and is_saved(Path(place.name))
        splits = _saved_splits(Path(place.name)) if all_splits else _streamed_splits(place, losses)
        if not splits:
            raise SourceError(f"{place.source}: a dataset without rows.")
        wanted = [place.split] if place.split else list(splits) if all_splits else [_usual(splits)]
        if not place.split and len(wanted) < len(splits):
            losses.remarks.append(
                f"split {wanted[0]} read, not {', '.join(name for name in splits if name not in wanted)}"
            )
        for split in wanted:
            if place.split is None and len(wanted) > 1 and splits[split].size() == 0:
                continue  # an empty split of several
            rows = _rows(place, splits, split)
            yield from compose(rows, place.label(split), options, records=False, losses=losses)
            losses = Losses()


def read_saved(folder: Path, file: str, options: Options) -> Iterator[Piece]:
    """The pieces of a saved dataset that lies among documents, where it is called `file`: read as another file of rows
    is, so columns of unknown meaning become records. Raises Unreadable."""
    from pyarrow import ArrowException

    try:
        for name, split in _saved_splits(folder).items():
            if split.size():
                yield from compose(split.rows(0, None), f"{file}[{name}]", options)
    except (ArrowException, ValueError, LookupError, TypeError) as error:
        raise Unreadable(f"damaged dataset ({_one_line(error)})") from error


# --- What a source means ---


def _place(source: str) -> _Place:
    folder, split = _saved_folder(source)
    if _is_saved(folder) and not source.startswith(HUB):
        return _Place(printable(source), os.path.expanduser(folder), is_local=True, split=split)
    said = source.removeprefix(HUB).removeprefix("//datasets/")
    parts = _SOURCE.fullmatch(said)
    if parts is None:
        raise SourceError(f"{printable(source)}: not understood. {FORM}.")
    is_local = said.startswith((".", "/", "~"))
    place = _Place(
        printable(source),
        os.path.expanduser(parts["name"]),
        is_local,
        parts["revision"],
        parts["config"],
        parts["split"],
    )
    if is_local and not Path(place.name).is_dir():
        raise SourceError(f"{printable(source)}: no such folder.")
    if not is_local and not _NAME.fullmatch(place.name):
        raise SourceError(f"{printable(source)}: not the name of a dataset. {FORM}.")
    return place


def _saved_folder(source: str) -> tuple[str, str | None]:
    """A folder and its split, if one is named: "folder[train]"."""
    folder, bracket, split = source.partition("[")
    if bracket and source.endswith("]") and not _exists(source):
        return folder, split[:-1]
    return source, None


def _is_saved(folder: str) -> bool:
    return bool(folder) and is_saved(Path(os.path.expanduser(folder)))


def _exists(path: str) -> bool:
    return os.path.lexists(os.path.expanduser(path))


def hash_of_files(folder: Path) -> str:
    """SHA-256 of what all files in a folder hold, and of their names. Raises OSError."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        digest.update(f"{content} {printable(str(file.relative_to(folder)))}\n".encode())
    return digest.hexdigest()


# --- Splits and rows ---


def _saved_splits(folder: Path) -> dict[str, _Split]:
    names = _json(folder / "dataset_dict.json").get("splits")
    if names is not None:
        return {name: _saved_split(folder / name) for name in names}
    return {_json(folder / "state.json").get("_split") or "train": _saved_split(folder)}


def _saved_split(folder: Path) -> _Split:
    """Its files are read piece by piece: `datasets` would map them into memory, of which a reader has little."""
    files = [folder / Path(file["filename"]).name for file in _json(folder / "state.json")["_data_files"]]

    def rows(start: int, stop: int | None) -> Iterator[Row]:
        return islice((row for batch in _batches(files) for row in _rows_of(batch)), start, stop)

    return _Split(rows, lambda: sum(batch.num_rows for batch in _batches(files)))


def _batches(files: list[Path]) -> Iterator[Any]:
    from pyarrow import ipc

    for file in files:
        with file.open("rb") as opened:
            yield from ipc.open_stream(opened)


def _rows_of(batch: Any) -> Iterator[Row]:
    for start in range(0, batch.num_rows, BATCH):
        yield from batch.slice(start, BATCH).to_pylist()


def _json(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_bytes()) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _streamed_splits(place: _Place, losses: Losses) -> dict[str, _Split]:
    builder = _builder(place)
    if type(builder).__module__.startswith("datasets.packaged_modules.cache"):
        losses.remarks.append("the hub cannot be reached: read is what was downloaded before")
    sizes = {name: split.num_examples for name, split in (builder.info.splits or {}).items()}
    streams = builder.as_streaming_dataset()
    return {str(name): _streamed_split(stream, sizes.get(name)) for name, stream in streams.items()}


def _streamed_split(stream: Any, size: int | None) -> _Split:
    def rows(start: int, stop: int | None) -> Iterator[Row]:
        wanted = stream.skip(start) if start else stream
        wanted = wanted if stop is None else wanted.take(max(0, stop - start))
        for batch in wanted.with_format("arrow").iter(BATCH):  # as stored: pictures are not decoded
            yield from batch.to_pylist()

    return _Split(rows, lambda: size)


def _builder(place: _Place) -> Any:
    from datasets import get_dataset_config_names, load_dataset_builder

    try:
        return load_dataset_builder(place.path, place.config, revision=place.revision)
    except ValueError as error:
        configs = get_dataset_config_names(place.path, revision=place.revision)
        if place.config in configs or (place.config is None and len(configs) < 2):
            raise
        problem = "has several configurations" if place.config is None else f"no configuration {place.config}"
        raise SourceError(
            f"{place.source}: {problem}. Choose with {HUB}{place.name}:CONFIG from: {', '.join(configs)}."
        ) from error


def _usual(splits: dict[str, _Split]) -> str:
    return "train" if "train" in splits else next(iter(splits))


def _rows(place: _Place, splits: dict[str, _Split], wanted: str) -> Iterator[Row]:
    """The rows of "train", "train[:1000]" or "train+test[10%:]"."""
    for part in wanted.split("+"):
        said = _SPLIT.fullmatch(part.strip())
        if said is None:
            raise SourceError(f"{place.source}: [{part}] is no split. Examples: [train], [train[:1000]], [train+test].")
        split = splits.get(said["name"])
        if split is None:
            raise SourceError(f"{place.source}: no split {said['name']}. There are: {', '.join(splits)}.")
        start = _position(place, split, said["start"] or "0")
        yield from split.rows(start, _position(place, split, said["stop"]) if said["stop"] else None)


def _position(place: _Place, split: _Split, said: str) -> int:
    """A row's number from the start; "-100" counts from the end, "10%" from all."""
    if said.isdecimal():
        return int(said)
    size = split.size()
    if size is None:
        raise SourceError(
            f"{place.source}: {said} cannot be found, for the hub does not say how many rows there are. "
            "Count from the start, as in [train[:1000]]."
        )
    number = round(int(said.rstrip("%")) * size / 100) if said.endswith("%") else int(said)
    return min(max(0, number + size if said.startswith("-") else number), size)


# --- The library ---


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' remarks and bars kept off the terminal (what matters of them is told in the ledger), and torch
    out of the process: a stream would load it, and with it more than a reader's limit of memory, for nothing."""
    from datasets import config, disable_progress_bars, enable_progress_bars
    from datasets.utils import are_progress_bars_disabled

    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels, had_bars = [logger.level for logger in loggers], not are_progress_bars_disabled()
    had_torch = config.TORCH_AVAILABLE
    disable_progress_bars()
    config.TORCH_AVAILABLE = False
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        config.TORCH_AVAILABLE = had_torch
        if had_bars:
            enable_progress_bars()


# --- Errors ---


@contextmanager
def _plain_errors(place: _Place) -> Iterator[None]:
    """All that may go wrong, as one line that says what to do."""
    import httpx
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import is_offline_mode
    from pyarrow import ArrowException

    source = place.source
    if not place.is_local and not source.startswith(HUB):
        source += ": no such file or folder, and on the hub"  # whoever mistyped a path should read that first
    try:
        yield
    except Unreadable as error:
        raise SourceError(f"{place.source}: {error}.") from error
    except DatasetNotFoundError as error:
        advice = "Check the name; if it is private or gated, log in with `hf auth login`."
        raise SourceError(f"{source}: no such dataset ({_one_line(error)}). {advice}") from error
    except (ConnectionError, httpx.HTTPError) as error:
        advice = "HF_HUB_OFFLINE is set: unset it" if is_offline_mode() else "Check the connection"
        problem = f"cannot be reached ({_one_line(error)})"
        raise SourceError(f"{source}: {problem}. {advice}, or download it and give the folder.") from error
    except (DatasetsError, OSError, ValueError, LookupError, RuntimeError, ImportError, ArrowException) as error:
        raise SourceError(f"{source}: cannot be read as a dataset ({_one_line(error)}).") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
