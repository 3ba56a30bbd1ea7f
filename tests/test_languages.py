"""Languages: told by their script or their small words, and complete in their ways of asking."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

from blasphemer.languages import ANY, find_language, language, names_in
from tests.natural import NATURAL

FOLDER = files("blasphemer") / "languages"
CODES = sorted(file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml"))
ENGLISH = tomllib.loads((FOLDER / "en.toml").read_text(encoding="utf-8"))
SLOTS = re.compile(r"\{(\w+)\}")


def said(code: str) -> dict[str, object]:
    return tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))


def wordings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


@pytest.mark.parametrize("code", CODES)
def test_every_language_has_what_english_has(code: str) -> None:
    other = said(code)
    assert list(other) == list(ENGLISH)
    for group in ("source", "study", "exam"):
        assert list(other[group]) == list(ENGLISH[group])  # type: ignore[call-overload]
        for kind, english in ENGLISH[group].items():
            slots = {frozenset(SLOTS.findall(frame)) for frame in wordings(english)}
            found = wordings(other[group][kind])  # type: ignore[index]
            assert len(found) == len(set(found)) >= len(wordings(english))
            assert {frozenset(SLOTS.findall(frame)) for frame in found} <= slots, kind


@pytest.mark.parametrize("code", CODES)
def test_exam_and_study_put_nothing_in_the_same_words(code: str) -> None:
    known = language(code)
    asked = {frame for kind in known.frames["exam"].values() for frame in kind}
    studied = {frame for kind in known.frames["study"].values() for frame in kind}
    assert not asked & (studied | {frame for kind in known.frames["source"].values() for frame in kind})


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("german", "de"), ("french", "fr"), ("spanish", "es"), ("chinese", "zh"), ("japanese", "ja"), ("thai", "th"),
        ("hindi", "hi"), ("arabic", "ar"), ("hebrew", "he"), ("tamil", "ta"),
    ],
)  # fmt: skip
def test_a_language_is_told_from_a_page(file: str, code: str) -> None:
    (path,) = (NATURAL / "languages" / "docs").glob(f"{file}.*")
    assert find_language(path.read_text(encoding="utf-8")) == code


def test_a_long_table_below_a_line_of_english_is_english() -> None:
    rows = "".join(f"| item {number} | {number * 3} |\n" for number in range(2000))
    assert find_language(f"Prices of all the items in the store:\n\n| Name | Price |\n|---|---|\n{rows}") == "en"


@pytest.mark.parametrize("text", ["", "12 34 56", "Halvard Brisk, Ottoline Farr, Maud Tavish", "x = y + 1"])
def test_names_and_numbers_have_no_language(text: str) -> None:
    assert find_language(text) == ANY


def test_names_in_a_sentence_are_found_whole() -> None:
    assert names_in("What did Maud Tavish's brother sell to the Duke of Marrow?") == ["Maud Tavish", "Duke of Marrow"]
    assert names_in("what is it?") == []
