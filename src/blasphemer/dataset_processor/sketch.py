"""How alike two texts are, told from a few hundred numbers each, whatever their length."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy
from numpy.typing import NDArray

SIZE = 256  # numbers in a sketch: likeness is told to within about 3 points
SHINGLE = 5  # words in a row
STRETCH = 1_000_000  # characters at once
MOST_WORDS = 50_000  # whose hashes are remembered
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")  # a word: punctuation


class Sketch:
    """The smallest hashes of all runs of SHINGLE words of a text (bottom-k sketch, Broder 1997), whatever its case,
    punctuation and line breaks."""

    def __init__(self) -> None:
        self.smallest = numpy.empty(0, dtype=numpy.uint64)

    def add(self, text: str) -> None:
        """Another text, or a further stretch of one."""
        for start in range(0, len(text), STRETCH):
            words = text[start : start + STRETCH].casefold().split()
            hashes = numpy.fromiter(map(_hash, words), dtype=numpy.uint64, count=len(words))
            fresh = _smallest(_shingles(hashes[hashes > 0]))
            self.smallest = numpy.unique(numpy.concatenate([self.smallest, fresh]))[:SIZE]

    def values(self) -> tuple[int, ...]:
        return tuple(int(value) for value in self.smallest)


@lru_cache(MOST_WORDS)
def _hash(word: str) -> int:
    """The same in every process, whatever the punctuation around the word; 0 where nothing is left of it."""
    plain = _AROUND.sub("", word).encode("utf-8", "surrogatepass")
    return zlib.crc32(plain) or 1 if plain else 0


def _smallest(hashes: NDArray[numpy.uint64]) -> NDArray[numpy.uint64]:
    """The SIZE smallest, each once. Hashes are spread evenly, so most need no sorting."""
    if len(hashes) > 16 * SIZE:
        few = numpy.unique(hashes[hashes < numpy.uint64(2**64 // (len(hashes) // (4 * SIZE)))])
        if len(few) >= SIZE:
            return few[:SIZE]
    return numpy.unique(hashes)[:SIZE]


def _shingles(words: NDArray[numpy.uint64]) -> NDArray[numpy.uint64]:
    """A hash for each run of SHINGLE words; one for all words where they are fewer."""
    length = min(SHINGLE, len(words))
    if not length:
        return words
    rows = numpy.zeros(len(words) - length + 1, dtype=numpy.uint64)
    for offset in range(length):
        rows = rows * numpy.uint64(6364136223846793005) + words[offset : offset + len(rows)]
    rows ^= rows >> numpy.uint64(33)  # mixed, so that the smallest are a fair sample
    rows *= numpy.uint64(0xFF51AFD7ED558CCD)
    return rows ^ (rows >> numpy.uint64(33))


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of the shingles of two texts that are in both (Jaccard), from their sketches."""
    both, either = set(one) & set(other), set(one) | set(other)
    smallest = sorted(either)[:SIZE]
    return sum(value in both for value in smallest) / len(smallest) if smallest else 0.0
