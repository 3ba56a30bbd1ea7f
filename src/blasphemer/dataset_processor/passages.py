"""Document -> Passage, and StudyItem -> Example: cut texts, split train from validation, mark what is learnt."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from blasphemer.language import (
    HEADING,
    TABLE_ROW,
    Span,
    fence_spans,
    headings,
    is_code_or_table,
    line_ends,
    paragraph_spans,
    sentence_spans,
)
from blasphemer.records import Document, LedgerEntry, Passage

if TYPE_CHECKING:
    pass

TokenStarts = Callable[[str], Sequence[int]]

LATEST_CUT = 0.6  # a cut is looked for in the last 40% of the window, so that no passage is needlessly short
STRETCH = 1_000_000  # characters of a document that are cut at once
MARGIN = 8  # tokens: a slice encoded alone differs by up to 2 from its share of the whole (FINETUNING_DESIGN.md)


# --- Document -> Passage ---------------------------------------------------------------------------------------------


def split_passages(document: Document, starts: TokenStarts, chunk_size: int, chunk_overlap: int) -> list[Passage]:
    """Cut a document into passages of at most `chunk_size` tokens, at the best boundary near the end of each.

    `starts(text)` gives the first character of each token. Boundaries in order of worth: before a heading, between
    paragraphs, between sentences, between lines, between words; never just after a heading, nor within a table or a
    piece of code that fits into a passage. Only where a paragraph had to be cut are the last `chunk_overlap` tokens
    (whole sentences of them) repeated. All but outer white space is in some passage.
    """
    text = document.text
    size = max(chunk_size - MARGIN, 1)
    overlap = min(chunk_overlap, size // 2)
    sections = _Sections(text if document.markdown else "", document.part)
    page_ends = [end for _, end in document.pages]
    passages: list[Passage] = []
    for offset, stop in _stretches(text):
        piece = text[offset:stop]
        cuts = _Cuts(piece, starts(piece), sections.between(offset, stop), size, overlap)
        for start, end in ((offset + begin, offset + end) for begin, end in cuts.spans()):
            number = f"{document.file}#{len(passages) + 1}"
            page = min(bisect_right(page_ends, start) + 1, len(page_ends))
            path = sections.path(start, end)
            passages.append(Passage(number, document.file, text[start:end], start, end, path, page))
    return passages


def account(document: Document, passages: Sequence[Passage]) -> LedgerEntry:
    """What became of a document's characters: those in some passage are kept, white space and what reading took out is
    lost."""
    covered, reached = 0, 0
    for passage in sorted(passages, key=lambda passage: passage.start):
        covered += max(passage.end - max(passage.start, reached), 0)
        reached = max(reached, passage.end)
    empty = [number for number, (start, end) in enumerate(document.pages, 1) if not document.text[start:end].strip()]
    return LedgerEntry(
        file=document.file,
        status="used",
        reason=document.note,
        kept=covered,
        lost=len(document.text) - covered + document.removed,
        passages=len(passages),
        pages=len(document.pages),
        pages_without_text=tuple(empty),
        encoding=document.encoding,
    )


def _stretches(text: str) -> Iterator[Span]:
    """A long text in parts that are cut one at a time, so that a book takes no more memory than a chapter. They end
    between paragraphs where there are any, and not within code or a table."""
    fences = fence_spans(text) if len(text) > STRETCH else []
    start = 0
    while len(text) - start > STRETCH:
        late = start + STRETCH // 2
        found = (text.rfind(gap, late, start + STRETCH) for gap in ("\n\n", "\n", " "))
        end = next((end for end in found if end > 0), start + STRETCH)
        end = _outside_table(text, start, end)
        end = next((fence for fence, after in fences if start < fence < end < after), end)
        yield start, end
        start = end
    yield start, len(text)


def _outside_table(text: str, start: int, end: int) -> int:
    """The end of a stretch, or where the table begins whose rows it would part, unless it begins with the stretch."""
    cut = end
    while TABLE_ROW.match(text, cut + 1):
        line = text.rfind("\n", start, cut)
        if not TABLE_ROW.match(text, line + 1):
            return cut
        if line <= start:
            return end
        cut = line
    return cut


class _Sections:
    """The headings of a text, and what stands above each of its places."""

    def __init__(self, text: str, top: str) -> None:
        self.top = top
        self.positions: list[int] = []
        self.paths: list[list[str]] = []
        stack: list[tuple[int, str]] = []
        for position, level, title in headings(text):
            stack = [(depth, name) for depth, name in stack if depth < level] + [(level, title)]
            self.positions.append(position)
            self.paths.append([name for _, name in stack])

    def between(self, start: int, end: int) -> list[int]:
        """Where headings begin in a stretch, counted from its start."""
        inside = self.positions[bisect_left(self.positions, start) : bisect_left(self.positions, end)]
        return [position - start for position in inside]

    def path(self, start: int, end: int) -> str:
        """The headings that hold for all of a passage: where it spans several sections, what they have in common."""
        first = bisect_right(self.positions, start) - 1
        common = self.paths[first] if first >= 0 else []
        for path in self.paths[first + 1 : bisect_left(self.positions, end)]:
            common = [name for name, other in zip(common, path, strict=False) if name == other]
        return " / ".join(common) or self.top


class _Cuts:
    """One stretch of a text with its tokens, and where it may be cut into passages."""

    def __init__(self, text: str, starts: Sequence[int], titles: Sequence[int], size: int, overlap: int) -> None:
        self.text, self.starts, self.size, self.overlap = text, starts, size, overlap
        self.last = len(text.rstrip())
        self.ends_of_blocks: list[int] = []
        self.sentences: list[int] = []
        paragraphs: list[int] = []
        lines: list[int] = []
        after_title: set[int] = set()
        was_title = False
        for start, end in paragraph_spans(text):
            block = text[start:end]
            if was_title:
                after_title.add(start)
            was_title = HEADING.fullmatch(block) is not None
            self.ends_of_blocks.append(end)
            if was_title:
                continue
            paragraphs.append(end)
            whole = is_code_or_table(block)
            if not whole:
                self.sentences += [start + stop for _, stop in sentence_spans(block)]
            if not whole or self._tokens(start, end) > size:
                lines += [start + stop for stop in line_ends(block)]
        before_titles = [position for position in titles if position not in after_title]
        self.kinds = [before_titles, paragraphs, self.sentences, lines]  # best first, each in ascending order

    def spans(self) -> Iterator[Span]:
        """The passages, without the white space around them, in order."""
        begin = end = reached = 0
        while begin < self.last:
            first = bisect_left(self.starts, begin)
            if len(self.starts) - first <= self.size:
                end, again = len(self.text), len(self.text)
            else:
                end, again = self._cut(first, max(end, self.starts[first]))
            piece = self.text[begin:end]
            start, stop = begin + len(piece) - len(piece.lstrip()), begin + len(piece.rstrip())
            if start < stop and stop > reached:  # else it has nothing but what the one before it ended with
                yield start, stop
                reached = stop
            begin = again

    def _tokens(self, start: int, end: int) -> int:
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def _cut(self, first: int, reached: int) -> Span:
        """End of the passage that begins at token `first`, and where the next one begins.

        The end is the best boundary late in the passage, or else the last one in it that goes beyond `reached`.
        """
        limit = self.starts[first + self.size]
        earliest = self.starts[first + int(self.size * LATEST_CUT)]
        nearest = [_last_up_to(limit, positions) for positions in self.kinds]
        for kind, position in zip(self.kinds, nearest, strict=True):
            if position >= earliest and position > reached:
                is_inside_paragraph = kind is self.sentences and position not in nearest[:2]
                return position, self._step_back(position, first) if is_inside_paragraph else position
        end = max(*nearest, reached)
        if end == reached:  # not even a line ends: after a heading, then, or between words
            end = _last_up_to(limit, self.ends_of_blocks)
        if end <= reached:
            end = max(self.text.rfind(" ", reached + 1, limit), self.text.rfind("\n", reached + 1, limit))
        if end <= reached:
            end = max(limit, reached + 1)  # a character may have more tokens than a passage
        return end, end

    def _step_back(self, end: int, first: int) -> int:
        """The earliest sentence start within `overlap` tokens before `end`, but after the passage's own start."""
        token = bisect_left(self.starts, end)
        earliest = self.starts[max(token - self.overlap, first + 1)]
        return min(self.sentences[bisect_left(self.sentences, earliest)], end)  # `end` is one of them


def _last_up_to(limit: int, positions: Sequence[int]) -> int:
    found = bisect_right(positions, limit)
    return positions[found - 1] if found else 0


# --- StudyItem -> Example --------------------------------------------------------------------------------------------
