"""EPUB -> Markdown: the chapters in the order in which they are read, each as a page of HTML."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote

from blasphemer.errors import Unreadable
from blasphemer.readers.html import Page, decode_page, read_page
from blasphemer.readers.markup import one_line
from blasphemer.readers.options import Options
from blasphemer.readers.zips import Archive
from blasphemer.records import Document

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
NAMED = 3  # missing chapters that the note names


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
        missing = [name for name in book.chapters if name not in archive]
        pages = list(_pages(archive, [name for name in book.chapters if name in archive]))
    text = "\n\n".join(page.text for page in pages if page.text)
    if not text:
        raise Unreadable("no text (a book of pictures?)" if not missing else "no text (its chapters are missing)")
    whole = Page(book.title, text, sum(page.removed for page in pages))
    yield Document(file, whole.with_title(), markdown=True, removed=whole.removed, note=_note(missing))


def _pages(archive: Archive, names: list[str]) -> Iterator[Page]:
    for name in names:
        data = archive.read(name)
        if data.strip():  # an empty chapter is an empty page
            yield read_page(decode_page(data).text, xml=True)


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


def _note(missing: list[str]) -> str:
    if not missing:
        return ""
    names = ", ".join(missing[:NAMED]) + (" ..." if len(missing) > NAMED else "")
    return f"{len(missing)} {'chapter is' if len(missing) == 1 else 'chapters are'} missing: {names}"
