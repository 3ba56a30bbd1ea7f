"""Pictures of text -> text, by Tesseract, for those who have it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

DOTS = 300  # per inch, what Tesseract was trained on
PIXELS = 50_000_000  # of a page, at most: a page of several metres is drawn smaller
SECONDS = 120  # for one page
LISTED = re.compile("[a-z_]+")  # languages that pytesseract lists: not "script/Latin"


class Missing(Exception):
    """What is not there, and how to get it."""


class TimeIsUp(Exception):
    """A page took longer than SECONDS."""


def recognised(page: Any, languages: str) -> str:
    """The text on a page of a PDF (pypdfium2's). Raises Missing, also where only some of the languages are there (with
    the others Tesseract would go on alone), and TimeIsUp."""
    try:
        import pytesseract
    except ImportError:
        raise Missing("for OCR: pip install pytesseract, and Tesseract itself") from None
    _require(languages)
    picture = page.render(scale=_scale(*page.get_size()), grayscale=True).to_pil()
    try:
        text: str = pytesseract.image_to_string(picture, lang=languages, timeout=SECONDS)
    except pytesseract.TesseractError as error:
        raise Missing(f"OCR failed: {' '.join(str(error.message).split())[:200]}") from None
    except RuntimeError:  # pytesseract's way to say that time is up
        raise TimeIsUp from None
    return text.replace("\f", "")


def _require(languages: str) -> None:
    installed = _installed()
    for language in languages.split("+"):
        if LISTED.fullmatch(language) and language not in installed:
            advice = "apt install tesseract-ocr-deu, for German"
            raise Missing(f"OCR failed: Tesseract has no data for {language!r} ({advice})")


@cache
def _installed() -> list[str]:
    """The languages that Tesseract has data for. Raises Missing."""
    import pytesseract

    try:
        found: list[str] = pytesseract.get_languages()
    except pytesseract.TesseractNotFoundError:
        raise Missing("for OCR: install Tesseract (apt install tesseract-ocr, brew install tesseract)") from None
    return found


def _scale(width: float, height: float) -> float:
    most = (PIXELS / max(width * height, 1.0)) ** 0.5
    return float(min(DOTS / 72, most))
