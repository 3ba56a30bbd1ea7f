"""Pictures of text -> text, by Tesseract, for those who have it."""

from __future__ import annotations

from typing import Any

DOTS = 300  # per inch, what Tesseract was trained on
PIXELS = 50_000_000  # of a page, at most: a page of several metres is drawn smaller
SECONDS = 120  # for one page


class Missing(Exception):
    """What is not there, and how to get it."""


def recognised(page: Any, languages: str) -> str:
    """The text on a page of a PDF (pypdfium2's). Raises Missing."""
    try:
        import pytesseract
    except ImportError:
        raise Missing("for OCR: pip install pytesseract, and Tesseract itself") from None
    picture = page.render(scale=_scale(*page.get_size()), grayscale=True).to_pil()
    try:
        text: str = pytesseract.image_to_string(picture, lang=languages, timeout=SECONDS)
    except pytesseract.TesseractNotFoundError:
        raise Missing("for OCR: install Tesseract (apt install tesseract-ocr, brew install tesseract)") from None
    except pytesseract.TesseractError as error:
        raise Missing(f"OCR failed: {_reason(str(error.message), languages)}") from None
    except RuntimeError:  # pytesseract's way to say that time is up
        return ""
    return text.replace("\f", "")


def _scale(width: float, height: float) -> float:
    most = (PIXELS / max(width * height, 1.0)) ** 0.5
    return float(min(DOTS / 72, most))


def _reason(message: str, languages: str) -> str:
    if "loading language" in message or "traineddata" in message:
        return f"Tesseract has no data for {languages!r} (apt install tesseract-ocr-deu, for German)"
    return " ".join(message.split())[:200]
