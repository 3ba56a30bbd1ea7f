"""Which reader a file wants: what its first bytes say counts, and its name only where they leave it open."""

from __future__ import annotations

import codecs
import re
import zipfile
from importlib import import_module
from pathlib import PurePath
from typing import BinaryIO

from blasphemer.errors import Unreadable
from blasphemer.readers.options import Reader

HEAD = 4096  # bytes that are looked at
BY_SUFFIX = {
    ".htm": "html", ".html": "html", ".xhtml": "html",
    ".rst": "rst",
    ".csv": "tables", ".tsv": "tables", ".jsonl": "tables", ".ndjson": "tables", ".json": "tables",
    ".ipynb": "notebook",
}  # fmt: skip
READ = (".txt", ".md", ".rst", ".html", ".pdf", ".docx", ".epub", ".csv", ".tsv", ".jsonl", ".parquet", ".ipynb")

ARCHIVES = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x28\xb5\x2f\xfd", "zstd"), (b"Rar!\x1a\x07", "RAR"),
)  # fmt: skip
# Only signatures that no text begins with: "GIF89a", "RIFF" and "BM" may open a sentence, and such files hold NULs
BINARY = (
    (b"{\\rtf", "RTF; save it as .docx or .pdf"),
    (b"version https://git-lfs", "Git LFS pointer; fetch the file itself"),
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old office document; save it as .docx or .pdf"),
    (b"\x7fELF", "program"),
    (b"\xca\xfe\xba\xbe", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"\x80\x04\x95", "pickle"),
)
PDF_WITHIN = 1024  # bytes before "%PDF-" that readers put up with
_HTML = re.compile(  # possessive: many comments have many ways to be matched
    rb"\s*+(?:(?><!--.*?-->)\s*+|<\?xml[^>]*+>\s*+)*+<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)


def find_reader(opened: BinaryIO, file: str) -> Reader:
    """The reader for a file that is open at its beginning, where this leaves it. Raises Unreadable for a kind that none
    reads, saying what to do."""
    head = opened.read(HEAD)
    opened.seek(0)
    reader: Reader = import_module(f"blasphemer.readers.{_kind(opened, head, file)}").read
    return reader


def _kind(opened: BinaryIO, head: bytes, file: str) -> str:
    """The name of the module that reads such a file."""
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(opened)
    if head.startswith(b"PAR1"):
        return "tables"
    for magic, kind in ARCHIVES:
        if head.startswith(magic):
            raise Unreadable(f"compressed archive ({kind}): unpack it, and give the folder")
    if head[257:262] == b"ustar":
        raise Unreadable("archive (tar): unpack it, and give the folder")
    for magic, kind in BINARY:
        if head.startswith(magic):
            raise Unreadable(f"binary file ({kind})")
    suffix = PurePath(file).suffix.lower()
    if b"%PDF-" in head[: PDF_WITHIN if suffix == ".pdf" else 8]:
        return "pdf"
    if _HTML.match(head.removeprefix(codecs.BOM_UTF8)):
        return "html"
    return BY_SUFFIX.get(suffix, "text")


def _kind_of_zip(opened: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(opened) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable(f"damaged zip archive or office document ({error})") from error
    finally:
        opened.seek(0)
    if "word/document.xml" in names:
        return "docx"
    if "META-INF/container.xml" in names:
        return "epub"
    if "xl/workbook.xml" in names:
        raise Unreadable("spreadsheet: save it as .csv")
    if "mimetype" in names and "content.xml" in names:
        raise Unreadable("OpenDocument: save it as .docx or .pdf")
    raise Unreadable("compressed archive (zip): unpack it, and give the folder")
