"""Bytes into text, and which reader a file wants."""

from __future__ import annotations

import io
import struct
import time
import unicodedata
import zipfile

import pytest

from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import check_encoding
from blasphemer.errors import SettingsError, Unreadable
from blasphemer.records import Document

GERMAN = "Der Käufer trägt die Kosten für Öl, Straße und Brücke \u2013 „so“ steht es im Vertrag. " * 4
ONE_NUL = "c1a1016bb89094b0f204046b375b8fa2967500480d54a67a1b1be1d756b74c37e35e5efd1805eaca7a7b8279178acfce95f6"
RUSSIAN = "Цапля стоит на одной ноге и ловит рыбу в мелкой воде. " * 6
JAPANESE = "サギは浅い水辺で魚を捕る鳥です。長い脚と首をもち、巣は高い木の上に作ります。" * 6


def read(name: str, data: bytes, encoding: str | None = None) -> Document:
    opened = io.BytesIO(data)
    (document,) = find_reader(opened, name)(opened, name, Options(encoding))
    assert isinstance(document, Document)
    assert document.file == name
    return document


def refusal(name: str, data: bytes, encoding: str | None = None) -> str:
    """The reason for the ledger."""
    with pytest.raises(Unreadable) as caught:
        read(name, data, encoding)
    return str(caught.value)


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "text")
    return made.getvalue()


# --- text ------------------------------------------------------------------------------------------------------------


def test_utf8_is_read_as_it_is() -> None:
    document = read("a.txt", GERMAN.encode())
    assert (document.text, document.encoding, document.markdown) == (GERMAN, "utf-8", False)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_and_is_not_text(codec: str) -> None:
    """pitfall 12"""
    document = read("a.txt", GERMAN.encode(codec))
    assert (document.text, document.encoding) == (GERMAN, codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, f"{JAPANESE}\n"])
def test_wide_encodings_are_known_without_a_mark(text: str, codec: str) -> None:
    document = read("a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


@pytest.mark.parametrize(("text", "codec"), [(GERMAN, "cp1252"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932")])
def test_old_encodings_are_guessed_and_named(text: str, codec: str) -> None:
    """pitfall 12"""
    document = read("a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


def test_a_named_encoding_ends_the_guessing() -> None:
    document = read("a.txt", "schön".encode("cp437"), "cp437")
    assert (document.text, document.encoding) == ("schön", "cp437")


def test_a_file_that_the_named_encoding_cannot_read_is_skipped() -> None:
    assert refusal("a.txt", "für".encode("cp1252"), "utf-8") == "not valid utf-8 (byte 1)"


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "", "undefined"])
def test_an_unknown_encoding_is_a_usage_error(encoding: str) -> None:
    with pytest.raises(SettingsError, match="is not a text encoding"):
        check_encoding(encoding)


def test_one_broken_byte_does_not_turn_utf8_into_gibberish() -> None:
    data = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert refusal("a.txt", data).startswith(f"damaged UTF-8 (byte {len(GERMAN.encode())})")


def test_line_ends_and_accents_are_normalised() -> None:
    document = read("a.md", unicodedata.normalize("NFD", "é\r\nü\rx²½\n").encode())
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
def test_what_is_not_text_is_refused_whatever_it_is_called(data: bytes, reason: str) -> None:
    assert refusal("a.txt", data) == reason


def test_a_text_about_magic_numbers_is_a_text() -> None:
    assert read("a.txt", b"GIF89a opens a GIF, MZ a program.").text.startswith("GIF89a")


# --- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "module"),
    [
        ("a.txt", b"%PDF-1.7 text", "pdf"),
        ("a.pdf", b"\n\n%PDF-1.4", "pdf"),
        ("a.txt", b"A text about %PDF- signs", "text"),
        ("a.pdf", b"<!DOCTYPE html><p>saved from the web", "html"),
        ("page", b"<?xml version='1.0'?><!-- a --><html>", "html"),
        ("a.md", b"# <html> is a tag", "text"),
        ("a.bin", zipped("word/document.xml"), "docx"),
        ("a.zip", zipped("META-INF/container.xml"), "epub"),
        ("rows", b"PAR1....", "tables"),
        ("a.CSV", b"a,b", "tables"),
        ("a.rst", b"Title", "rst"),
        ("a.ipynb", b"{}", "notebook"),
        ("a.py", b"import os", "text"),
        ("README", b"Read me.", "text"),
    ],
)
def test_what_a_file_is_counts_before_what_it_is_called(name: str, data: bytes, module: str) -> None:
    reader = find_reader(io.BytesIO(data), name)
    assert getattr(reader, "__module__", "") == f"blasphemer.dataset_processor.formats.{module}"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\0" * 257 + b"ustar", "tar"),
        (zipped("a.txt"), "zip"),
    ],
)
def test_an_archive_is_refused_with_a_hint(data: bytes, kind: str) -> None:
    assert refusal("a.txt", data).endswith(f"archive ({kind}): unpack it, and give the folder")


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (zipped("xl/workbook.xml"), "spreadsheet: save it as .csv"),
        (zipped("mimetype", "content.xml"), "OpenDocument: save it as .docx or .pdf"),
        (b"version https://git-lfs.github.com/spec/v1", "binary file (Git LFS pointer; fetch the file itself)"),
    ],
)
def test_what_is_not_read_is_refused_with_advice(data: bytes, advice: str) -> None:
    assert refusal("a.txt", data) == advice


def test_many_comments_before_a_text_take_no_time() -> None:
    """Their number once doubled the time: forty of them took days."""
    started = time.perf_counter()
    assert read("a.md", b"<!-- badge -->\n" * 200 + b"Text.").text.endswith("Text.")
    assert getattr(find_reader(io.BytesIO(b"\xef\xbb\xbf<!-- a --><html>"), "a"), "__module__", "").endswith("html")
    assert time.perf_counter() - started < 1


def test_a_damaged_archive_is_told_from_a_document() -> None:
    assert refusal("a.docx", zipped("word/document.xml")[:40]).startswith("damaged zip archive or office document")
