"""Which inputs say the same as another, byte by byte or nearly: each is studied and examined once."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from blasphemer import console
from blasphemer.dataset_processor.sketch import likeness
from blasphemer.dataset_processor.worker import Entry
from blasphemer.records import LedgerEntry, Passage, StudyItem, from_jsonl

ALIKE = 0.8  # of the runs of five words: a report as PDF and as text shares 0.9 and more
FEW_PAIRS = 0.01  # of a text's pairs of words may be missing from the other: where pages and columns end elsewhere
LONGEST = 5_000_000  # characters that are compared word by word, a book of two thousand pages: longer texts are kept
TEXTS_REMEMBERED = 16
MOST_COMPARED = 10  # texts that are opened to be compared with one
MOST_HAVING = 1000  # texts with the same number in their sketches: what stands in more of them tells little
WORD = re.compile(r"[-+]?\d[\d.,:]*|[^\W\d_]+")
LOOKED_UP = 32  # numbers of a sketch by which its like are found: of two texts that are alike most are the same


def copy_of(original: str, file: str, sha256: str) -> Entry:
    return Entry(LedgerEntry(file, "duplicate", f"the same file as {original}", kept=0, lost=0, sha256=sha256), ())


def mark(entries: Sequence[tuple[Entry, Path]]) -> list[tuple[Entry, Path]]:
    """The entries in their order, those marked as duplicates that say what another says.

    Of two texts that are nearly the same the longer is kept. A text that has a number or a word of its own, a word
    between other neighbours, or more than FEW_PAIRS of its pairs of words to itself, is another text, however alike the
    two are: a form filled in twice, with another name, or next year's report.
    """
    shelf = _Shelf()
    twins: dict[int, str] = {}
    with console.progress("comparing", len(entries)) as advance:
        for number in sorted(range(len(entries)), key=lambda number: (-entries[number][0].ledger.kept, number)):
            twins[number] = shelf.twin_or_put(*entries[number])
            advance()
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
        if entry.ledger.status != "used" or entry.ledger.kept > LONGEST:
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
            if len(self.having[value]) < MOST_HAVING:
                self.having[value].append(len(self.kept))
        self.kept.append((entry, place))
        return ""


@dataclass(frozen=True)
class _Said:
    """A text as words: those of each passage and conversation, and all that occur, alone and next to each other."""

    runs: list[list[str]]
    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    has_conversations: bool


@lru_cache(TEXTS_REMEMBERED)
def _said(place: Path) -> _Said:
    passages = from_jsonl(Passage, Path(f"{place}.passages").read_text(encoding="utf-8"))
    items = from_jsonl(StudyItem, Path(f"{place}.conversations").read_text(encoding="utf-8"))
    once: dict[str, str] = {}  # each word, to hold it in memory once
    texts = [*(passage.text for passage in passages), *(item.content for item in items)]
    runs = [[once.setdefault(word, word) for word in WORD.findall(text.casefold())] for text in texts]
    pairs = frozenset(pair for run in runs for pair in pairwise(run))
    return _Said(runs, frozenset(once), pairs, bool(items))


def _says_no_more(place: Path, other: Path) -> bool:
    """Are all words and nearly all pairs of a text in another? Order counts: who answers yes and no the other way round
    says something else in the same words."""
    own, theirs = _said(place), _said(other)
    new = own.pairs - theirs.pairs
    if len(new) > (0 if own.has_conversations else FEW_PAIRS * len(own.pairs)):
        return False
    if any(char.isdigit() for pair in new for word in pair for char in word):
        return False
    hyphenated = _hyphenated(own, theirs, new)
    if own.words - theirs.words - hyphenated:
        return False
    new = frozenset(pair for pair in new if hyphenated.isdisjoint(pair))
    return not any(_has_new_place(run, new) for run in own.runs)


def _hyphenated(own: _Said, theirs: _Said, new: Set[tuple[str, str]]) -> set[str]:
    """The words of a text that are parts of words in another, or joined of two, as at the ends of lines."""
    parts = {word for pair in new if "".join(pair) in theirs.words for word in pair}
    unknown = own.words - theirs.words
    return parts | {"".join(pair) for pair in theirs.pairs if unknown and "".join(pair) in unknown}


def _has_new_place(run: Sequence[str], new: Set[tuple[str, str]]) -> bool:
    """Has any word none of its neighbours in the other text? (Where a page begins there, it is one of two.)"""
    if not new or len(run) < 2:
        return False
    are_new = [True, *(pair in new for pair in pairwise(run)), True]
    return any(before and after for before, after in pairwise(are_new))
