"""Opening a document that is a zip archive, when it may have been made to do harm.

Nothing is extracted, so names of members do no harm. What a member says of its own size is not believed: the limits
hold while it is inflated.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from types import TracebackType
from typing import Any, BinaryIO

from lxml import etree

from blasphemer.errors import Unreadable

MEMBERS = 10_000
INFLATED = 256 * 1024**2  # bytes, of all members that are read
RATIO = 200  # inflated to packed; pages of text reach 20, tables of zeros 100
SMALL = 8 * 1024**2  # bytes that any member may inflate to, whatever its ratio
CHUNK = 1024**2

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, IndexError, OverflowError)


class Archive:
    """The members of a zip-based document. `read` raises Unreadable for all that can be wrong with one."""

    def __init__(self, opened: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(opened)
        except (*_DAMAGE, NotImplementedError) as error:
            raise Unreadable(f"damaged zip archive ({error})") from error
        if len(self._zip.filelist) > MEMBERS:
            raise Unreadable(f"{len(self._zip.filelist):,} files in one document (at most {MEMBERS:,} are read)")
        self._left = INFLATED

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        info = self._zip.NameToInfo.get(name)
        if info is None:
            raise Unreadable(f"damaged document (it has no {name})")
        if info.flag_bits & 0x1:
            raise Unreadable("encrypted. Save it without a password")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            # nothing writes documents so, and the other methods inflate without a limit
            raise Unreadable(f"damaged document ({name} is packed in an unusual way)")
        try:
            return self._inflated(info)
        except (*_DAMAGE, NotImplementedError, RuntimeError) as error:
            raise Unreadable(f"damaged document ({name}: {error})") from error

    def _inflated(self, info: zipfile.ZipInfo) -> bytes:
        data = bytearray()
        with self._zip.open(info) as member:
            while chunk := member.read(CHUNK):
                data += chunk
                self._left -= len(chunk)
                if self._left < 0 or (len(data) > SMALL and len(data) > RATIO * info.compress_size):
                    raise Unreadable(f"unpacks to far more than it holds ({info.filename}): a zip bomb")
        return bytes(data)

    def xml(self, name: str) -> Any:
        """The root element of a part. A part with a DTD is refused: documents have none, and entities may explode."""
        data = self.read(name)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError, LookupError) as error:
            raise Unreadable(f"damaged document ({name}: {error})") from error
        if root.getroottree().docinfo.internalDTD is not None:
            raise Unreadable(f"{name} declares a document type (DTD), which no such document needs")
        return root
