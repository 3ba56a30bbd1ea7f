"""Bytes of a text file -> its text. What looks like anything but text is refused, never read as rubbish.

The order of the questions and the figures are measured: FORMATS.md, "Text encodings".
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from blasphemer.dataset_processor.formats.options import Options
from blasphemer.errors import SettingsError, Unreadable
from blasphemer.records import Document

MARKDOWN = (".md", ".markdown", ".mdown")

HEAD = 8192  # bytes in which a NUL tells binary (or UTF-16/32) from text
SAMPLE = 65536  # bytes that the detector sees
BEFORE = 1024  # of them, before the first that is not ASCII
CONTROLS = 0.02  # share of control characters above which it is no text

BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Where these would give control characters (C1), it is the Windows encoding of the same letters: quotes and dashes
WINDOWS = {
    "iso8859-1": "cp1252", "iso8859-15": "cp1252", "iso8859-2": "cp1250", "iso8859-5": "cp1251", "iso8859-7": "cp1253",
    "iso8859-8": "cp1255", "iso8859-9": "cp1254", "iso8859-4": "cp1257", "iso8859-13": "cp1257",
}  # fmt: skip
_C1 = re.compile(r"[\x80-\x84\x86-\x9f]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")  # \t\n\v\f\r and NEL are white space


@dataclass(frozen=True)
class Decoded:
    """`note` says how sure the encoding is, where it was a guess."""

    text: str
    encoding: str
    note: str = ""


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:
    """A plain text, a Markdown text, a program: as it stands."""
    decoded = decode(opened.read(), options.encoding)
    markdown = PurePath(file).suffix.lower() in MARKDOWN
    yield Document(file, decoded.text, decoded.encoding, markdown, note=decoded.note)


def decode(data: bytes, encoding: str | None = None) -> Decoded:
    """The text, in NFC and with "\\n" for every line end. `encoding` replaces the guessing; raises Unreadable."""
    read = _strictly(data, encoding) if encoding is not None else _detected(data)
    if len(_CONTROL.findall(read.text)) > CONTROLS * len(read.text):
        raise Unreadable("binary file (control characters)")
    text = read.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Unreadable("no text")
    return Decoded(unicodedata.normalize("NFC", text), read.encoding, read.note)


def check_encoding(name: str) -> None:
    try:
        b"a".decode(name)
    except UnicodeDecodeError:  # half a character of UTF-16
        pass
    except (LookupError, ValueError):
        raise SettingsError(
            [f"encoding: {name!r} is not a text encoding. Examples: utf-8, cp1252, shift_jis."]
        ) from None


def _strictly(data: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), codecs.lookup(encoding).name)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not valid {encoding} (byte {error.start})") from error


def _detected(data: bytes) -> Decoded:
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return _strictly(data, encoding)
    if b"\0" in data[:HEAD]:
        return _wide(data)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        if _is_damaged_utf8(data):
            raise Unreadable(f"damaged UTF-8 (byte {error.start}). Repair the file, or name its encoding") from error
    return _guessed(data)


def _wide(data: bytes) -> Decoded:
    """UTF-32 or UTF-16 without a mark: the NULs of text stand in one byte of each unit."""
    head = data[:HEAD]
    even, odd = head[::2].count(0), head[1::2].count(0)
    candidates = ["utf-32-le", "utf-32-be"]
    if not even or not odd:
        candidates.append("utf-16-be" if even else "utf-16-le")
    for encoding in candidates:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _is_language(text[:HEAD]):
            return Decoded(text, encoding)
    raise Unreadable("binary file (NUL bytes)")


def _is_language(text: str) -> bool:
    """Assigned characters, few rows of 256: random bytes make UTF-16 of all scripts at once. (Han fills many.)"""
    kinds = Counter(map(unicodedata.category, text))
    rows = Counter(ord(char) >> 8 for char in text if not "\u3000" <= char <= "\ud7ff")
    in_few_rows = sum(count for _, count in rows.most_common(8))
    return kinds["Cn"] <= 0.01 * len(text) and in_few_rows >= 0.95 * rows.total()


def _is_damaged_utf8(data: bytes) -> bool:
    """One broken byte must not turn a UTF-8 file into another encoding's gibberish without a word."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(not char.isascii() for char in text) - broken
    return whole >= 5 and broken <= 0.1 * whole


def _guessed(data: bytes) -> Decoded:
    import chardet

    guess = chardet.detect(_telling(data))
    name = guess["encoding"]
    if name is None:
        raise Unreadable("unknown encoding. Name it with --encoding")
    try:
        encoding = codecs.lookup(name).name
        text = data.decode(encoding)
        if encoding in WINDOWS and _C1.search(text):
            encoding = WINDOWS[encoding]
            text = data.decode(encoding)
    except (LookupError, UnicodeDecodeError) as error:
        raise Unreadable(f"unknown encoding (not {name} either). Name it with --encoding") from error
    return Decoded(text, encoding, f"guessed as {encoding} (confidence {guess['confidence']:.2f})")


def _telling(data: bytes) -> bytes:
    """The part that tells encodings apart: from shortly before the first byte that is not ASCII."""
    first = _NOT_ASCII.search(data)
    start = max(first.start() - BEFORE, 0) if first else 0
    return data[start : start + SAMPLE]
