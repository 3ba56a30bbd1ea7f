"""EPUB -> Markdown: the chapters in the order in which they are read, each as a page of HTML."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote

from blasphemer.dataset_processor.formats.html import Page, decode_page, read_page
from blasphemer.dataset_processor.formats.markup import one_line
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import Decoded
from blasphemer.dataset_processor.formats.zips import Archive
from blasphemer.errors import Unreadable
from blasphemer.records import Document

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
NAMED = 3  # chapters that the note names


@dataclass(frozen=True)
class _Book:
    """`chapters` are names of members, in reading order."""

    title: str
    chapters: list[str]


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:  # noqa: ARG001
    with Archive(opened) as archive:
        book = _open_book(archive)
        protected = _protected(archive).intersection(book.chapters)
        if protected:
            raise Unreadable(f"protected against copying (DRM): {len(protected)} of its chapters are encrypted")
        pages, notes = _read_chapters(archive, book.chapters)
    text = "\n\n".join(page.text for page in pages if page.text)
    if not text:
        raise Unreadable(f"no text ({'; '.join(notes) or 'a book of pictures?'})")
    whole = Page(book.title, text, sum(page.removed for page in pages))
    yield Document(file, whole.with_title(), markdown=True, removed=whole.removed, note="; ".join(notes))


def _read_chapters(archive: Archive, names: list[str]) -> tuple[list[Page], list[str]]:
    """The chapters that can be read, and what is to be said of the others."""
    pages: list[Page] = []
    notes: list[str] = []
    for name in names:
        try:
            data = archive.read(name)
            decoded = decode_page(data) if data.strip() else Decoded("", "")  # an empty chapter is an empty page
        except Unreadable as error:
            notes.append(f"{name} left out: {error}")
            continue
        pages.append(read_page(decoded.text, xml=True))
        notes += [f"{name}: {decoded.note}"] if decoded.note else []
    rest = len(notes) - NAMED
    return pages, [*notes[:NAMED], f"{rest} more like these"] if rest > 0 else notes


def _open_book(archive: Archive) -> _Book:
    root_file = archive.xml(CONTAINER).find(".//{*}rootfile")
    package_name = unquote(root_file.get("full-path") or "") if root_file is not None else ""
    package = archive.xml(package_name)
    folder = posixpath.dirname(package_name)
    items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    order = [items[ref.get("idref")] for ref in package.iterfind("{*}spine/{*}itemref") if ref.get("idref") in items]
    if not order:
        raise Unreadable("damaged EPUB (no list of chapters)")
    title = package.find("{*}metadata/{http://purl.org/dc/elements/1.1/}title")
    chapters = dict.fromkeys(_member(folder, item) for item in order if item.get("media-type", PAGES[0]) in PAGES)
    return _Book(one_line("".join(title.itertext())) if title is not None else "", list(chapters))


def _member(folder: str, item: Any) -> str:
    address = unquote(item.get("href") or "").partition("#")[0]
    return posixpath.normpath(posixpath.join(folder, address))


def _protected(archive: Archive) -> set[str]:
    """The members that are encrypted. Fonts often are, and need not be read."""
    if ENCRYPTION not in archive:
        return set()
    references = archive.xml(ENCRYPTION).iterfind(".//{*}CipherReference")
    return {posixpath.normpath(unquote(reference.get("URI") or "")) for reference in references}
