"""The reading room: files and folders in, Documents out, and a ledger of every file met that is none.

read_sources -> find_files    which files there are, in a fixed order
             -> text.decode   bytes -> text, or why they are not text
             -> pdf.read_pdf  a PDF -> text and page spans, in a process that can be killed
"""

# ruff: noqa: PTH110, PTH111, PTH112, PTH113, PTH114 - what may not be looked at is False to os.path; Path raises (until 3.14)
from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from blasphemer.errors import SourceError, Unreadable
from blasphemer.readers import pdf, text
from blasphemer.records import Document, LedgerEntry
from blasphemer.workspace import sha256_of_open

MARKDOWN = (".md", ".markdown")
READ = (".txt", *MARKDOWN, ".pdf")
CACHES = ("__pycache__", "node_modules")


def find_files(source: str) -> list[Path]:
    """The files of a source, ordered by their path below it; hidden entries, caches and devices are left out.

    Links are followed after everything else, so a file is found once, under its own name where it has one. What could
    not be followed (a broken link, a folder that may not be opened) is listed too: reading it says why, in the ledger.
    Raises SourceError where there is no such file or folder, or no file in it.
    """
    root = Path(os.path.expanduser(source))
    if not source or not os.path.exists(root):
        raise SourceError(f"{printable(source)}: no such file or folder. Only files and folders can be read.")
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise SourceError(f"{printable(source)}: neither a regular file nor a folder. Copy its contents into a file.")
    found = _walk(root)
    if not found:
        raise SourceError(f"{printable(source)}: no files in this folder (hidden files and caches are not read).")
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def read_sources(
    sources: Sequence[str], encoding: str | None = None, seen: Callable[[str], None] = lambda _: None
) -> tuple[list[Document], list[LedgerEntry]]:
    """Every file of every source, in order: a Document, or a ledger entry with the reason why it was skipped.

    `encoding` replaces all guessing about text files. `seen` is called with each file's name once it has been dealt
    with. A file that two sources share is read once. Raises SourceError when nothing at all could be read.
    """
    if encoding is not None:
        text.check_encoding(encoding)
    documents: list[Document] = []
    skipped: list[LedgerEntry] = []
    for file, path in _named([found for source in sources for found in _find(source)]):
        read = _read(path, file, encoding)
        if isinstance(read, Document):
            documents.append(read)
        else:
            skipped.append(read)
        seen(file)
    if not documents:
        raise SourceError(_nothing_readable(sources, skipped))
    return documents, skipped


def printable(path: str) -> str:
    """A path as one line of valid Unicode: bytes that are not UTF-8 and control characters become escapes."""
    valid = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in valid)


def _walk(root: Path) -> list[Path]:
    seen: set[str] = set()  # real paths: this is what ends a loop of links
    found: list[Path] = []
    entries, links = deque([root]), deque[Path]()
    while entries or links:
        path = entries.popleft() if entries else links.popleft()
        real = os.path.realpath(path)
        if real in seen or (path != root and os.path.islink(path) and _contains(real, root)):
            continue
        seen.add(real)
        if not os.path.isdir(path):
            if os.path.isfile(path) or not os.path.exists(path):
                found.append(path)
            continue
        try:
            inside = sorted(path.iterdir())
        except OSError:
            found.append(path)
            continue
        for entry in inside:
            if not entry.name.startswith(".") and entry.name not in CACHES:
                (links if os.path.islink(entry) else entries).append(entry)
    return found


def _contains(folder: str, root: Path) -> bool:
    """A link to the source or above it ("/", "..") would read files that nobody named."""
    real = os.path.realpath(root)
    return os.path.isdir(folder) and os.path.commonpath([folder, real]) == folder


@dataclass(frozen=True)
class _Found:
    """A file, and what it may be called: the first of `names` that is its alone."""

    path: Path
    names: tuple[str, str, str]


def _find(source: str) -> list[_Found]:
    root = Path(os.path.expanduser(source))
    files = find_files(source)
    folder = root if root.is_dir() else root.parent
    name = folder.resolve().name
    found = []
    for path in files:
        below = path.relative_to(folder).as_posix()
        found.append(_Found(path, (printable(below), printable(f"{name}/{below}"), printable(path.as_posix()))))
    return found


def _named(found: Sequence[_Found]) -> list[tuple[str, Path]]:
    """Each file once, under the shortest of its names that no other file has."""
    by_real_path: dict[str, _Found] = {}
    for one in found:
        by_real_path.setdefault(os.path.realpath(one.path), one)
    once = list(by_real_path.values())
    names = [one.names[0] for one in once]
    for longer in (1, 2):
        shared = Counter(names)
        names = [one.names[longer] if shared[name] > 1 else name for one, name in zip(once, names, strict=True)]
    return list(zip(names, (one.path for one in once), strict=True))


def _read(path: Path, file: str, encoding: str | None) -> Document | LedgerEntry:
    sha256 = ""
    try:
        with FileIO(path) as opened:  # unbuffered: the PDF worker inherits the descriptor and its position
            sha256 = sha256_of_open(opened)
            opened.seek(0)
            return _document(path.suffix.lower(), opened, file, sha256, encoding)
    except Unreadable as error:
        reason = str(error)
    except FileNotFoundError:
        reason = "broken link" if os.path.islink(path) else "no longer there"
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    return LedgerEntry(file, "skipped", reason, kept=0, lost=0, sha256=sha256)


def _document(suffix: str, opened: FileIO, file: str, sha256: str, encoding: str | None) -> Document:
    if suffix not in READ:
        raise Unreadable(f"unsupported type {printable(suffix)}" if suffix else "unsupported type (no suffix)")
    if suffix == ".pdf":
        read = pdf.read_pdf(opened)
        return Document(file, read.text, sha256, pages=read.pages, removed=read.lost)
    decoded = text.decode(opened.readall(), encoding)
    return Document(file, decoded.text, sha256, decoded.encoding, suffix in MARKDOWN)


def _nothing_readable(sources: Sequence[str], skipped: Sequence[LedgerEntry]) -> str:
    shown = [f"{entry.file}: {entry.reason}" for entry in skipped[:3]] + ["..."] * (len(skipped) > 3)
    named = ", ".join(map(printable, sources))
    return f"{named}: no readable documents ({len(skipped)} skipped: {'; '.join(shown)}). Read are {', '.join(READ)}."
