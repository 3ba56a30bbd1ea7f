"""Which inputs say the same as another, byte by byte or nearly: each is studied and examined once."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from blasphemer.intake.sketch import likeness
from blasphemer.intake.worker import Entry
from blasphemer.records import LedgerEntry, Passage, StudyItem, from_jsonl

ALIKE = 0.8  # of the runs of five words: a report as PDF and as text shares 0.9 and more
FEW_PAIRS = 0.01  # of a text's pairs of words may be missing from the other: where one reader got a word wrong
TEXTS_REMEMBERED = 64
MOST_COMPARED = 20  # texts that are opened to be compared with one
WORD = re.compile(r"[-+]?\d[\d.,:]*|[^\W\d_]+")
LOOKED_UP = 32  # numbers of a sketch by which its like are found: of two texts that are alike most are the same


def copy_of(original: str, file: str, sha256: str) -> Entry:
    return Entry(LedgerEntry(file, "duplicate", f"the same file as {original}", kept=0, lost=0, sha256=sha256), ())


def mark(entries: Sequence[tuple[Entry, Path]]) -> list[tuple[Entry, Path]]:
    """The entries in their order, those marked as duplicates that say what another says.

    Of two texts that are nearly the same the longer is kept. A text that has numbers of its own, or more than FEW_PAIRS
    of its pairs of words to itself, is another text, however alike the two are: a form filled in twice, or next
    year's report.
    """
    shelf = _Shelf()
    by_length = sorted(range(len(entries)), key=lambda number: (-entries[number][0].ledger.kept, number))
    twins = {number: shelf.twin_or_put(*entries[number]) for number in by_length}
    return [(_marked(entry, twins[number]), place) for number, (entry, place) in enumerate(entries)]


def _marked(entry: Entry, twin: str) -> Entry:
    if not twin:
        return entry
    ledger = replace(entry.ledger, status="duplicate", reason=f"says what {twin} says", kept=0, lost=0, passages=0)
    return replace(entry, ledger=replace(ledger, conversations=0))


class _Shelf:
    """The texts that are kept, to be found by what they say."""

    def __init__(self) -> None:
        self.kept: list[tuple[Entry, Path]] = []
        self.having: defaultdict[int, list[int]] = defaultdict(list)  # by a number of the sketch

    def twin_or_put(self, entry: Entry, place: Path) -> str:
        """The name of a text on the shelf that says all this one says; "" when there is none, and it is put there."""
        if entry.ledger.status != "used":
            return ""
        smallest = entry.sketch[:LOOKED_UP]
        shared = Counter(number for value in smallest for number in self.having[value])
        for number, count in shared.most_common(MOST_COMPARED):
            other, there = self.kept[number]
            if 2 * count < len(smallest):
                break
            if likeness(entry.sketch, other.sketch) >= ALIKE and _says_no_more(place, there):
                return other.ledger.file
        for value in smallest:
            self.having[value].append(len(self.kept))
        self.kept.append((entry, place))
        return ""


def _says_no_more(place: Path, other: Path) -> bool:
    own, theirs = _pairs(place), _pairs(other)
    only_here = own - theirs
    has_number = any(any(map(str.isdigit, word)) for pair in only_here for word in pair)
    return not has_number and len(only_here) <= FEW_PAIRS * len(own)


@lru_cache(TEXTS_REMEMBERED)
def _pairs(place: Path) -> frozenset[tuple[str, str]]:
    """The distinct pairs of neighbouring words in what was read: who answers yes and no the other way round says
    something else in the same words."""
    passages = from_jsonl(Passage, Path(f"{place}.passages").read_text(encoding="utf-8"))
    items = from_jsonl(StudyItem, Path(f"{place}.conversations").read_text(encoding="utf-8"))
    texts = [*(passage.text for passage in passages), *(item.content for item in items)]
    return frozenset(pairwise(word.casefold() for text in texts for word in WORD.findall(text)))
