"""Which files a source means, in a fixed order, and what each is called."""

# ruff: noqa: PTH110, PTH111, PTH112, PTH113, PTH114 - what may not be looked at is False to os.path; Path raises
from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blasphemer.errors import SourceError

CACHES = ("__pycache__", "node_modules")


def find_files(source: str) -> list[Path]:
    """The files of a source, ordered by their path below it; hidden entries and caches are left out.

    Links are followed after everything else, so a file is found once, under its own name where it has one. What cannot
    be read (a broken link, a folder that may not be opened, a device) is listed too, and so is a link that leads out of
    the folder: the ledger says why. A folder that `datasets` has saved stands for the files in it.
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


def is_saved(folder: Path) -> bool:
    """Written by save_to_disk of `datasets`: as one dataset, or as one for each split."""
    is_one = os.path.isfile(folder / "dataset_info.json") and os.path.isfile(folder / "state.json")
    return is_one or os.path.isfile(folder / "dataset_dict.json")


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
        if real in seen:
            continue
        seen.add(real)
        if not os.path.isdir(path) or is_saved(path) or _leads_out(path, root):
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


def _leads_out(path: Path, root: Path) -> bool:
    """Does a link below `root` lead to what is not below it? Nobody named that. (A broken link leads nowhere.)"""
    if path == root or not os.path.exists(path):
        return False
    real, inside = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([real, inside]) != inside


@dataclass(frozen=True)
class NamedFile:
    """A file and what it is called; `leads_out` where it is a link that leads out of the folder it was found in."""

    name: str
    path: Path
    leads_out: bool = False


@dataclass(frozen=True)
class _Found:
    """A file, and what it may be called: the first of `names` that is its alone."""

    path: Path
    names: tuple[str, str, str]
    leads_out: bool


def _find(source: str) -> list[_Found]:
    root = Path(os.path.expanduser(source))
    files = find_files(source)
    folder = root if root.is_dir() else root.parent
    name = folder.resolve().name
    found = []
    for path in files:
        below = path.relative_to(folder).as_posix()
        names = printable(below), printable(f"{name}/{below}"), printable(path.as_posix())
        found.append(_Found(path, names, _leads_out(path, root)))
    return found


def named_files(sources: Sequence[str]) -> list[NamedFile]:
    """Each file of all sources once, in order, under the shortest of its names that no other file has."""
    found = [one for source in sources for one in _find(source)]
    given = {os.path.realpath(one.path) for one in found if not one.leads_out}
    by_real_path: dict[str, _Found] = {}
    for one in found:
        real = os.path.realpath(one.path)
        if not (one.leads_out and real in given):
            by_real_path.setdefault(real, one)
    once = list(by_real_path.values())
    names = [one.names[0] for one in once]
    for longer in (1, 2):
        shared = Counter(names)
        names = [one.names[longer] if shared[name] > 1 else name for one, name in zip(once, names, strict=True)]
    return [NamedFile(name, one.path, one.leads_out) for name, one in zip(names, once, strict=True)]
