"""How alike two texts are, told from a few hundred numbers each, whatever their length."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

SIZE = 256  # numbers in a sketch: likeness is told to within about 3 points
SHINGLE = 5  # words in a row
STRETCH = 1_000_000  # characters at once
MOST_WORDS = 500_000  # whose hashes are kept
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")  # a word: punctuation


class Sketch:
    """The smallest hashes of all runs of SHINGLE words of a text (bottom-k sketch, Broder 1997), whatever its case,
    punctuation and line breaks."""

    def __init__(self) -> None:
        self.smallest = numpy.empty(0, dtype=numpy.uint64)
        self.hashes = _Hashes()

    def add(self, text: str) -> None:
        """Another text, or a further stretch of one."""
        for start in range(0, len(text), STRETCH):
            words = text[start : start + STRETCH].casefold().split()
            hashes = numpy.fromiter((self.hashes[word] for word in words), dtype=numpy.uint64, count=len(words))
            fresh = numpy.concatenate([self.smallest, _shingles(hashes[hashes > 0])])
            self.smallest = numpy.unique(fresh)[:SIZE]
            if len(self.hashes) > MOST_WORDS:
                self.hashes.clear()

    def values(self) -> tuple[int, ...]:
        return tuple(int(value) for value in self.smallest)


class _Hashes(dict[str, int]):
    """A hash for each word, without the punctuation around it, the same in every process; 0 where nothing is left."""

    def __missing__(self, word: str) -> int:
        plain = _AROUND.sub("", word).encode("utf-8", "surrogatepass")
        self[word] = found = zlib.crc32(plain) or 1 if plain else 0
        return found


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
    size = min(SIZE, len(set(one) | set(other)))
    smallest = sorted(set(one) | set(other))[:size]
    both = set(one) & set(other)
    return sum(value in both for value in smallest) / size if size else 0.0
