"""The languages that are known, from the files beside this one. `und.toml` stands for any other, with signs alone."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import regex

from blasphemer.language import WORD, bare

FOLDER = files("blasphemer") / "languages"
ANY = "und"  # ISO 639's code for a language that is not determined
UNSTOPPED = ("th",)
READ = 20_000  # characters from which a language is recognised
SCRIPT = 0.2  # of the letters: a script that many of them are of tells the language
FEWEST = 2
FEWEST_SMALL = 0.08  # of the words that must be small ones of a language: a list of names has none
SCRIPTS = (  # one language is taken for each script, as only it is known here; kana before Han: Japanese has both
    ("ja", 0x3040, 0x30FF), ("zh", 0x4E00, 0x9FFF), ("ko", 0xAC00, 0xD7AF), ("th", 0x0E00, 0x0E7F),
    ("hi", 0x0900, 0x097F), ("ta", 0x0B80, 0x0BFF), ("ar", 0x0600, 0x06FF), ("he", 0x0590, 0x05FF),
)  # fmt: skip


@dataclass(frozen=True)
class Language:
    """`small`, `pointing` ... are sets of words in lower case; `frames` are wordings with slots, by group and kind.

    `capitals` says what is written with a capital within a sentence: "names", "nouns", or "" for scripts without case.
    """

    code: str
    capitals: str
    small: frozenset[str]
    pointing: frozenset[str]
    linking: frozenset[str]
    limiting: frozenset[str]
    negating: frozenset[str]
    numbers: frozenset[str]
    scales: frozenset[str]
    months: frozenset[str]
    days: frozenset[str]
    ranges: frozenset[str]
    joiners: frozenset[str]
    titles: frozenset[str]
    question_labels: frozenset[str]
    answer_labels: frozenset[str]
    frames: Mapping[str, Mapping[str, tuple[str, ...]]]

    @cached_property
    def telling(self) -> frozenset[str]:
        """Words by which it is recognised."""
        return self.small | self.days | self.months | self.numbers

    @property
    def has_stops(self) -> bool:
        """Do its sentences end with a sign?"""
        return self.code not in UNSTOPPED

    def source(self, title: str, heading: str, group: str = "source") -> str:
        """Where something was said, in this language's words: those of the study material, or of the "exam"."""
        return self.frames[group]["section" if heading else "title"][0].format(title=title, heading=heading)

    def study(self, kind: str, turn: int, **slots: str) -> str:
        """A request of this kind, in its wordings by turns."""
        wordings = self.frames["study"][kind]
        return wordings[turn % len(wordings)].format(**slots)

    def exam(self, kind: str, **slots: str) -> str:
        """An exam question of this kind: its words are none of the study material's."""
        return self.frames["exam"][kind][0].format(**slots)


def find_language(text: str) -> str:
    """The code of the language that a text is written in, ANY if it is none of those known here.

    Told by the script, or by the share of small words, days, months and numbers. Names alone have no language.
    """
    text = text[:READ]
    letters = Counter(ord(letter) for letter in text if letter.isalpha())
    total = letters.total() or 1
    for code, first, last in SCRIPTS:
        if sum(number for letter, number in letters.items() if first <= letter <= last) >= SCRIPT * total:
            return code
    words = [word.casefold().replace("’", "'") for word in WORD.findall(text) if word[0].isalpha()]
    kinds = set(words)  # a table repeats its words: each counts once as well
    shares = {
        code: (sum(word in known for word in words), len(kinds & known))
        for code in _with_spaces()
        if (known := language(code).telling)
    }
    best = max(shares, key=shares.__getitem__)
    often, different = shares[best]
    is_told = often >= FEWEST_SMALL * len(words) or different >= FEWEST_SMALL * len(kinds)
    return best if often >= FEWEST and is_told else ANY


@cache
def language(code: str) -> Language:
    """The language of this code."""
    said = tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    words = {
        name: frozenset(value.split()) for name, value in said.items() if isinstance(value, str) and name != "name"
    }
    frames = {
        group: {kind: (found,) if isinstance(found, str) else tuple(found) for kind, found in said[group].items()}
        for group in ("source", "study", "exam")
    }
    return Language(code=code, frames=frames, **{**words, "capitals": said["capitals"]})


def names_in(text: str, code: str = "") -> list[str]:
    """The names in a sentence of its own, of which nothing else is known: runs of words with a capital, small words of
    names between them included, and no small word alone. `code` is its language, where that is known."""
    known = language(code or find_language(text))
    names: list[str] = []
    run: list[regex.Match[str]] = []
    for match in [*WORD.finditer(text), None]:
        word = match.group() if match else ""
        if (
            match
            and run
            and text[run[-1].end() : match.start()] == " "
            and (word[0].isupper() or word in known.joiners)
        ):
            run.append(match)
            continue
        while run and run[-1].group() in known.joiners:
            run.pop()
        if run:
            names.append(bare(text[run[0].start() : run[-1].end()]))
        run = [match] if match and word[0].isupper() and bare(word).casefold() not in known.small else []
    return names


@cache
def _with_spaces() -> tuple[str, ...]:
    """The languages that only their words tell."""
    known = {file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml")}
    return tuple(sorted(known - {code for code, _, _ in SCRIPTS} - {ANY}))
