"""The process that reads one PDF: bytes on stdin, JSON lines on stdout. Its parent may kill it at any moment.

First line: the number of pages. Then one line per page: its text, or null where the page could not be read. Instead of
all that, {"error": why} for a file that PDFium refuses. Imports nothing but pypdfium2 and the standard library, and is
run by its path: nothing of the parent is loaded again.
"""

# ruff: noqa: PTH100, PTH120 - nothing may be imported before main() has put sys.path right
from __future__ import annotations

import os
import sys

MEMORY = 2 << 30  # bytes of address space; a 400 MB content stream was seen to need 823 MB
OUTPUT = 512 << 20  # bytes of text
PASSWORD = 4  # PDFium's FPDF_ERR_PASSWORD
SECURITY = 5  # FPDF_ERR_SECURITY: a security handler that it does not know


def main() -> None:
    # Run by path, Python puts this folder first: our text.py and pdf.py would stand in for modules of that name
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    _limit("RLIMIT_AS", MEMORY)
    _limit("RLIMIT_FSIZE", OUTPUT)
    _limit("RLIMIT_CORE", 0)
    try:
        import pypdfium2
    except ImportError as error:
        _write({"error": f"the PDF reader cannot start ({error}). Reinstall pypdfium2"})
        return
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
    except pypdfium2.PdfiumError as error:
        _write({"error": "encrypted PDF" if error.err_code in (PASSWORD, SECURITY) else "damaged PDF"})
        return
    _write(len(document))
    for number in range(len(document)):
        try:
            page = document[number]
            text_page = page.get_textpage()
            _write(text_page.get_text_range())
        except pypdfium2.PdfiumError:
            _write(None)
            continue
        text_page.close()
        page.close()


def _limit(name: str, value: int) -> None:
    try:
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (ImportError, AttributeError, OSError, ValueError):  # Windows, macOS: the time limit still holds
        pass


def _write(record: object) -> None:
    import json

    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
