"""The reading room, on real files: every file met is read or accounted for, and nothing hangs or crashes the run."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import unicodedata
from pathlib import Path

import pytest

from blasphemer.errors import SettingsError, SourceError
from blasphemer.readers import find_files, read_sources
from blasphemer.records import Document, LedgerEntry

GERMAN = "Der Käufer trägt die Kosten für Öl, Straße und Brücke \u2013 „so“ steht es im Vertrag. " * 4
ONE_NUL = "c1a1016bb89094b0f204046b375b8fa2967500480d54a67a1b1be1d756b74c37e35e5efd1805eaca7a7b8279178acfce95f6"
RUSSIAN = "Цапля стоит на одной ноге и ловит рыбу в мелкой воде. " * 6
JAPANESE = "サギは浅い水辺で魚を捕る鳥です。長い脚と首をもち、巣は高い木の上に作ります。" * 6


# --- short cuts ------------------------------------------------------------------------------------------------------


def read_bytes(folder: Path, name: str, data: bytes, encoding: str | None = None) -> Document:
    (folder / name).write_bytes(data)
    (document,), skipped = read_sources([str(folder / name)], encoding)
    assert (document.file, skipped) == (name, [])
    return document


def reasons(source: Path) -> dict[str, str]:
    return {entry.file: entry.reason for entry in read_sources([str(source)])[1]}


def refusal(folder: Path, name: str, data: bytes, encoding: str | None = None) -> str:
    """The reason in the ledger, beside a file that can be read."""
    (folder / name).write_bytes(data)
    (folder / "fine.md").write_bytes(b"fine")
    documents, (entry,) = read_sources([str(folder)], encoding)
    assert [document.file for document in documents] == ["fine.md"]
    assert entry == LedgerEntry(name, "skipped", entry.reason, 0, 0, sha256=hashlib.sha256(data).hexdigest())
    return entry.reason


def names(source: Path) -> list[str]:
    return [path.relative_to(source).as_posix() for path in find_files(str(source))]


def grow(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"text of {file}", encoding="utf-8")
    return folder


# --- text ------------------------------------------------------------------------------------------------------------


def test_utf8_is_read_as_it_is(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.txt", GERMAN.encode())
    assert (document.text, document.encoding, document.markdown) == (GERMAN, "utf-8", False)
    assert document.sha256 == hashlib.sha256(GERMAN.encode()).hexdigest()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_and_is_not_text(tmp_path: Path, codec: str) -> None:
    """pitfall 12"""
    document = read_bytes(tmp_path, "a.txt", GERMAN.encode(codec))
    assert (document.text, document.encoding) == (GERMAN, codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, f"{JAPANESE}\n"])
def test_wide_encodings_are_known_without_a_mark(tmp_path: Path, text: str, codec: str) -> None:
    document = read_bytes(tmp_path, "a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


@pytest.mark.parametrize(("text", "codec"), [(GERMAN, "cp1252"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932")])
def test_old_encodings_are_guessed_and_named(tmp_path: Path, text: str, codec: str) -> None:
    """pitfall 12"""
    document = read_bytes(tmp_path, "a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


def test_a_named_encoding_ends_the_guessing(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.txt", "schön".encode("cp437"), "cp437")
    assert (document.text, document.encoding) == ("schön", "cp437")


def test_a_file_that_the_named_encoding_cannot_read_is_skipped(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a.txt", "für".encode("cp1252"), "utf-8") == "not valid utf-8 (byte 1)"


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "", "undefined"])
def test_an_unknown_encoding_is_a_usage_error(tmp_path: Path, encoding: str) -> None:
    grow(tmp_path, "a.txt")
    with pytest.raises(SettingsError, match="is not a text encoding"):
        read_sources([str(tmp_path)], encoding)


def test_one_broken_byte_does_not_turn_utf8_into_gibberish(tmp_path: Path) -> None:
    data = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert refusal(tmp_path, "a.txt", data).startswith(f"damaged UTF-8 (byte {len(GERMAN.encode())})")


def test_line_ends_and_accents_are_normalised(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.md", unicodedata.normalize("NFD", "é\r\nü\rx²½\n").encode())
    assert document.text == "é\nü\nx²½\n"
    assert document.markdown


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no text"),
        (b" \r\n\t\n", "no text"),
        ("\ufeff\n".encode(), "no text"),
        (b"text\0\1\2 and\0 more" * 50, "binary file (NUL bytes)"),
        (struct.pack("<200h", *range(-100, 100)), "binary file (NUL bytes)"),
        (bytes.fromhex(ONE_NUL), "binary file (NUL bytes)"),
        (b"\x89PNG\r\n\x1a\n" + b"IHDR", "binary file (PNG image)"),
        (b"\x1b[0m" * 200, "binary file (control characters)"),
    ],
)
def test_what_is_not_text_is_refused_whatever_it_is_called(tmp_path: Path, data: bytes, reason: str) -> None:
    assert refusal(tmp_path, "a.txt", data) == reason


def test_a_text_about_magic_numbers_is_a_text(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a.txt", b"GIF89a opens a GIF, MZ a program.").text.startswith("GIF89a")


# --- folders ---------------------------------------------------------------------------------------------------------


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
    assert names(tmp_path) == ["a.txt"]
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


def test_types_that_no_reader_knows_are_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.TXT", "b.docx", "README")
    documents, skipped = read_sources([str(tmp_path)])
    assert [document.file for document in documents] == ["a.TXT"]
    assert [(entry.file, entry.reason) for entry in skipped] == [
        ("README", "unsupported type (no suffix)"),
        ("b.docx", "unsupported type .docx"),
    ]
    assert skipped[1].sha256 == hashlib.sha256(b"text of b.docx").hexdigest()


def test_names_that_clash_take_the_name_of_their_source(tmp_path: Path) -> None:
    for folder in ("old", "new", "more/new"):
        grow(tmp_path / folder, "a.txt")
    grow(tmp_path / "old", "sub/b.txt")
    documents, _ = read_sources([str(tmp_path / "old"), str(tmp_path / "new" / "a.txt")])
    assert [document.file for document in documents] == ["old/a.txt", "sub/b.txt", "new/a.txt"]
    documents, _ = read_sources([str(tmp_path / "new"), str(tmp_path / "more" / "new")])
    assert [document.file for document in documents] == [f"{tmp_path}/new/a.txt", f"{tmp_path}/more/new/a.txt"]


def test_a_file_that_two_sources_share_is_read_once(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b.txt")
    documents, _ = read_sources([str(tmp_path / "b.txt"), str(tmp_path), f"{tmp_path}/./"])
    assert [document.file for document in documents] == ["b.txt", "a.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_a_name_that_is_not_utf8_is_shown_in_escapes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"two\nlines.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("text", encoding="utf-8")
    documents, _ = read_sources([str(tmp_path)])
    assert [document.file for document in documents] == ["caf\\xe8.txt", "caf\\xe9.txt", "two\\nlines.txt"]


def test_each_file_is_announced_once_it_has_been_dealt_with(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b.docx")
    announced: list[str] = []
    read_sources([str(tmp_path)], seen=announced.append)
    assert announced == ["a.txt", "b.docx"]


# --- nothing to read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["notes.txt", "someone/something", ""])
def test_a_mistyped_path_is_an_error_and_never_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """pitfall 24"""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        read_sources([source])
    assert str(caught.value) == f"{source}: no such file or folder. Only files and folders can be read."


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    grow(tmp_path, ".git/a.txt")
    with pytest.raises(SourceError, match="no files in this folder"):
        read_sources([str(tmp_path)])


def test_a_folder_in_which_nothing_can_be_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    """pitfall 12"""
    for name, data in {"a.pdf": b"no", "b.txt": b"", "c.docx": b"PK", "d.txt": b"\0"}.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        read_sources([str(tmp_path)])
    assert str(caught.value) == (
        f"{tmp_path}: no readable documents (4 skipped: a.pdf: damaged PDF; b.txt: no text; "
        "c.docx: unsupported type .docx; ...). Read are .txt, .md, .markdown, .pdf."
    )
    assert caught.value.exit_code == 2
