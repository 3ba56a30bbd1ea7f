"""A text measured in a model's tokens: light enough for processes that load no model."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import itemgetter

import numpy
from tokenizers import Tokenizer

from blasphemer.language import Span

STRETCH = 5_000  # characters encoded at once: longer texts take more time per character
_FIRST = itemgetter(0)


class Ruler:
    """Measures with a tokenizer, given as the JSON that `tokenizers` writes. Control tokens spelled out in a text are
    measured as the text they are."""

    def __init__(self, serialised: str) -> None:
        self.serialised = serialised
        self._tokenizer = Tokenizer.from_str(serialised)
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def starts(self, text: str) -> array[int]:
        """The first character of each token. A character of several tokens is there as often."""
        found = array("I")
        for start, end in _stretches(text):
            offsets = self._tokenizer.encode(text[start:end], add_special_tokens=False).offsets
            firsts = numpy.fromiter(map(_FIRST, offsets), dtype=numpy.uint32, count=len(offsets))
            found.frombytes((firsts + numpy.uint32(start)).tobytes())
        return found

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return sum(
            len(self._tokenizer.encode(text[start:end], add_special_tokens=False)) for start, end in _stretches(text)
        )


def _stretches(text: str) -> Iterator[Span]:
    """A long text in parts that end before white space, where tokens end too."""
    start = 0
    while len(text) - start > STRETCH:
        latest = start + STRETCH
        end = max(text.rfind("\n", start + 1, latest), text.rfind(" ", start + 1, latest))
        end = end if end > 0 else latest
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)
