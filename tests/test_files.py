"""Which files a source means, in which order, under which names; and what cannot be opened is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from blasphemer.config import load_settings
from blasphemer.errors import SourceError
from blasphemer.intake import find_inputs
from blasphemer.readers.files import find_files, named_files


def names(source: Path) -> list[str]:
    return [path.relative_to(source).as_posix() for path in find_files(str(source))]


def reasons(source: Path) -> dict[str, str]:
    """Why files cannot even be opened."""
    inputs = find_inputs(load_settings(["demo", "--fine-tune-dataset", str(source)]))
    return {one.file: one.problem for one in inputs if one.problem}


def grow(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"text of {file}", encoding="utf-8")
    return folder


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """pitfall 13"""
    grow(tmp_path, "b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "B.txt")
    assert names(tmp_path) == ["B.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"]


def test_hidden_folders_and_caches_are_left_out(tmp_path: Path) -> None:
    """pitfall 13"""
    grow(tmp_path, ".git/a.txt", ".hidden.txt", "__pycache__/b.txt", "x/node_modules/c.txt", "x/kept.txt")
    assert names(tmp_path) == ["x/kept.txt"]


def test_a_hidden_folder_that_is_named_is_read(tmp_path: Path) -> None:
    assert names(grow(tmp_path / ".notes", "a.txt")) == ["a.txt"]


def test_loops_of_links_end_and_no_file_is_met_twice(tmp_path: Path) -> None:
    grow(tmp_path, "docs/a.txt", "docs/sub/b.txt", "outside/c.txt", "unnamed.txt")
    docs = tmp_path / "docs"
    (docs / "0-same-file.txt").symlink_to(docs / "a.txt")
    (docs / "0-same-folder").symlink_to(docs / "sub")
    (docs / "sub" / "loop").symlink_to(docs)
    (docs / "self").symlink_to(docs / "self")
    (docs / "upwards").symlink_to(tmp_path)
    (docs / "z-linked").symlink_to(tmp_path / "outside")
    assert names(docs) == ["a.txt", "self", "sub/b.txt", "z-linked/c.txt"]
    assert reasons(docs) == {"self": "too many levels of symbolic links"}


def test_a_broken_link_is_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere.txt")
    assert reasons(tmp_path) == {"b.txt": "broken link"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "b.txt")
    assert reasons(tmp_path) == {"b.txt": "neither a file nor a folder"}
    with pytest.raises(SourceError, match="neither a regular file nor a folder"):
        find_files(str(tmp_path / "b.txt"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_opened_is_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "listed/c.txt", "secret.txt", "shut/b.txt")
    (tmp_path / "secret.txt").chmod(0)
    (tmp_path / "shut").chmod(0)
    (tmp_path / "listed").chmod(0o600)  # its names can be read, what they name cannot
    try:
        why = reasons(tmp_path)
    finally:
        (tmp_path / "shut").chmod(0o700)
        (tmp_path / "listed").chmod(0o700)
    assert why == dict.fromkeys(["listed/c.txt", "secret.txt", "shut"], "permission denied")


def test_names_that_clash_take_the_name_of_their_source(tmp_path: Path) -> None:
    for folder in ("old", "new", "more/new"):
        grow(tmp_path / folder, "a.txt")
    grow(tmp_path / "old", "sub/b.txt")
    found = named_files([str(tmp_path / "old"), str(tmp_path / "new" / "a.txt")])
    assert [name for name, _ in found] == ["old/a.txt", "sub/b.txt", "new/a.txt"]
    found = named_files([str(tmp_path / "new"), str(tmp_path / "more" / "new")])
    assert [name for name, _ in found] == [f"{tmp_path}/new/a.txt", f"{tmp_path}/more/new/a.txt"]


def test_a_file_that_two_sources_share_is_read_once(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b.txt")
    found = named_files([str(tmp_path / "b.txt"), str(tmp_path), f"{tmp_path}/./"])
    assert [name for name, _ in found] == ["b.txt", "a.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_a_name_that_is_not_utf8_is_shown_in_escapes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"two\nlines.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("text", encoding="utf-8")
    found = named_files([str(tmp_path)])
    assert [name for name, _ in found] == ["caf\\xe8.txt", "caf\\xe9.txt", "two\\nlines.txt"]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    grow(tmp_path, ".git/a.txt")
    with pytest.raises(SourceError, match="no files in this folder"):
        find_files(str(tmp_path))


@pytest.mark.parametrize("source", ["notes.txt", "some/where/else", ""])
def test_a_mistyped_path_is_an_error_and_never_a_download(source: str) -> None:
    """Pitfall 24"""
    with pytest.raises(SourceError, match="no such file or folder"):
        find_inputs(load_settings(["demo", "--fine-tune-dataset", source]))
