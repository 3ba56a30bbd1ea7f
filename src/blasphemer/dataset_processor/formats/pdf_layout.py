"""Words with their places on a page -> its text, line by line in reading order.

The order in which a PDF draws its text is nearly always that of reading, so it is kept, but for two cases: columns that
were drawn row by row ("left line  right line"), and a page drawn from the bottom up. A gutter counts as one only where
many lines leave it free and the text beside it starts at one edge: wide gaps in justified prose do neither.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

ROWS = 2000  # of a page; with more it is no page of text
GUTTER = 0.55  # of a line's height, at least; the space between words is a fifth to a quarter
CELL_GAP = 0.8  # of a line's height, between two cells of a table, in most of its rows
WORD_SPACES = 2  # between words, for which a gutter narrower than that has room, at least
PITCH = 2.5  # line heights between two rows of one table or pair of columns, at most
COLUMN_ROWS, COLUMN_WIDTH = 5, 12  # rows with text on both sides, and letters of each, that make columns
TABLE_ROWS, TABLE_COLUMNS = 3, 40
TRIES = 4  # first rows to leave out before what follows is taken for no table
SAME_EDGE = 3.0  # points
MARGIN_LINES, MARGIN_SHARE, MARGIN_WIDTH = 4, 0.5, 10  # lines that end at a margin; their length in line heights
BLANK_LINE = 1.4  # of the usual distance between lines

# What stands before an item of a list: a wide space after it makes no table
_MARK = re.compile(r"[^\w\s]{1,2}|o|\W?\w{1,3}[.):\]]|\d{1,2}(?:\.\d{1,2})*\.?")
_NOTE = re.compile(r"[*†‡§¶]{1,3}|[\u2070-\u2079¹²³]{1,2}")  # points to a footnote


class Word(NamedTuple):
    """A word, or several of one line, and its box in points, y upwards, as if the text were upright."""

    text: str
    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Row:
    """Words at one height, from left to right."""

    words: tuple[Word, ...]

    @property
    def bottom(self) -> float:
        return min(word.bottom for word in self.words)

    @property
    def top(self) -> float:
        return max(word.top for word in self.words)

    @property
    def height(self) -> float:
        return max(word.top - word.bottom for word in self.words)


Gap = tuple[float, float]  # from left to right


@dataclass(frozen=True)
class Layout:
    """`full` are the numbers of the lines of `text` that were set to a margin, to its right."""

    text: str
    has_tables: bool = False
    full: frozenset[int] = frozenset()


def arrange(lines: Sequence[Sequence[Word]]) -> Layout:
    """The text of a page from its lines in the order in which they were drawn; a blank line where space was left."""
    rows = _rows(lines)
    if len(rows) > ROWS:
        return Layout("\n".join(" ".join(word.text for word in row.words) for row in rows))
    if _goes_upwards(rows):
        rows.sort(key=lambda row: -row.bottom)
        rows = _rows([row.words for row in rows])
    shown: list[Word] = []
    has_tables = False
    for show, block, gutters in _blocks(rows):
        shown += show(block, gutters)
        has_tables |= show is _table
    placed = list(_spaced(shown))
    margins = _margins(shown)
    full = frozenset(n for n, line in enumerate(placed) if line and (round(line.left), round(line.right)) in margins)
    return Layout("\n".join(line.text if line else "" for line in placed), has_tables, full)


def _rows(lines: Sequence[Sequence[Word]]) -> list[Row]:
    """Lines that were drawn one after the other at one height are one row."""
    rows: list[list[Word]] = []
    for part in (part for line in lines for part in _parted(line)):
        if rows and _is_beside(rows[-1], part):
            rows[-1] = sorted([*rows[-1], *part], key=lambda word: word.left)
        else:
            rows.append(list(part))
    return [Row(tuple(row)) for row in rows]


def _parted(line: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """PDFium sees no line break before a small sign such as a bullet: one is where a word stands lower, to the left."""
    start = 0
    for index, (word, after) in enumerate(pairwise(line), 1):
        if after.left < word.left and after.top < word.bottom + 0.3 * (word.top - word.bottom):
            yield line[start:index]
            start = index
    if line:
        yield line[start:]


def _is_beside(row: Sequence[Word], line: Sequence[Word]) -> bool:
    one, other = row[-1], line[0]
    shared = min(one.top, other.top) - max(one.bottom, other.bottom)
    if shared < 0.6 * min(one.top - one.bottom, other.top - other.bottom):
        return False
    left, right = line[0].left, line[-1].right
    return row[-1].right <= left or right <= row[0].left


def _goes_upwards(rows: Sequence[Row]) -> bool:
    """PDFium sorts text that runs across the page the wrong way round: most rows stand above the one before."""
    steps = [after.bottom - before.bottom for before, after in pairwise(rows)]
    return len(steps) > 1 and sum(step > 0 for step in steps) > 0.7 * len(steps)


def _gaps(row: Row) -> list[Gap]:
    """The gaps of a row that may be gutters: none where there are too many for a table. A footnote's mark parts one
    only where it leaves a gutter beside it."""
    height, words = row.height, row.words
    least = GUTTER * height
    gaps = [(one.right, other.left) for one, other in pairwise(words)]
    for one, word, other in zip(words, words[1:], words[2:], strict=False):
        if max(word.left - one.right, other.left - word.right) < least and _is_note(word, height):
            gaps.append((one.right, other.left))
    gaps = sorted((start, end) for start, end in gaps if end - start >= least)
    return gaps if len(gaps) < 2 * TABLE_COLUMNS else []


Shower = Callable[[Sequence[Row], Sequence[Gap]], Iterator[Word]]


def _blocks(rows: Sequence[Row]) -> Iterator[tuple[Shower, Sequence[Row], list[Gap]]]:
    """The rows as columns, tables and plain lines: how to show them, which, and the gutters that they share."""
    plain = start = tries = 0  # the rows from `plain` to `start` are plain lines so far
    while start < len(rows):
        show, block, gutters = _block(rows, start)
        if show is _plain:
            # The first rows may not belong to the table; but a page of long rows is not to be tried from each of them
            tries = tries + 1 if len(block) > 1 else 0
            start += len(block) if tries > TRIES else 1
            tries = 0 if tries > TRIES else tries
            continue
        end = start + len(block)
        while show is _table and plain < start and (left := _left_by_head(rows[start - 1], rows[start], gutters)):
            start, gutters = start - 1, left
        yield _plain, rows[plain:start], []
        yield show, rows[start:end], gutters
        plain, start, tries = end, end, 0
    yield _plain, rows[plain:], []


def _left_by_head(row: Row, after: Row, gutters: Sequence[Gap]) -> list[Gap]:
    """What the row above a table leaves of its gutters; nothing where it is no row of it. Alone it showed too few of
    them to begin the table: a cell is empty, or a long one."""
    left = _narrowed(gutters, row)
    cells = _cells(row, left)
    fits = len(left) == len(gutters) and sum(map(bool, cells)) > 1 and _stand_apart([cells])
    return left if fits and _is_close(row, after) else []


def _block(rows: Sequence[Row], start: int) -> tuple[Shower, Sequence[Row], list[Gap]]:
    """The longest block from `start` on, with what it is. A table ends rather than lose one of its columns."""
    gutters = _gaps(rows[start])
    end = start + 1
    while gutters and end < len(rows) and _is_close(rows[end - 1], rows[end]):
        left = _narrowed(gutters, rows[end])
        if len(left) < len(gutters) and _is_table(rows[start:end], gutters):
            break
        if not left:
            break
        gutters, end = left, end + 1
    block = rows[start:end]
    columns, table = _without_tail(block, gutters, may_go_on=True), _without_tail(block, gutters)
    if _is_columns(columns, gutters):
        return _columns, columns, gutters
    return (_table, table, gutters) if _is_table(table, gutters) else (_plain, block, gutters)


def _is_close(row: Row, after: Row) -> bool:
    step = row.bottom - after.bottom
    return 0 < step <= PITCH * max(row.height, after.height)


def _narrowed(gutters: Sequence[Gap], row: Row) -> list[Gap]:
    """What a row leaves free of each gutter, if that is still one. A footnote's mark inside it takes nothing: it
    belongs to the cell before."""
    height = row.height
    left = []
    for start, end in gutters:
        edges = [start]
        for word in row.words:
            if word.right > start and word.left < end:
                is_inside = start <= word.left and word.right <= end
                edges += () if is_inside and _is_note(word, height) else (word.left, word.right)
        edges.append(end)
        free = [(edges[index], edges[index + 1]) for index in range(0, len(edges), 2)]
        widest = max(free, key=lambda gap: gap[1] - gap[0])
        if widest[1] - widest[0] >= GUTTER * height:
            left.append(widest)
    return left


def _is_note(word: Word, height: float) -> bool:
    """A footnote's mark, in a row of that height."""
    is_small = len(word.text) <= 2 and word.top - word.bottom < 0.8 * height
    return is_small or _NOTE.fullmatch(word.text) is not None


def _cells(row: Row, gutters: Sequence[Gap]) -> list[list[Word]]:
    """The row's words, column by column."""
    cells: list[list[Word]] = [[] for _ in range(len(gutters) + 1)]
    ends = [end - 0.01 for _, end in gutters]
    for word in row.words:
        cells[bisect_right(ends, word.left)].append(word)
    return cells


def _without_tail(block: Sequence[Row], gutters: Sequence[Gap], may_go_on: bool = False) -> Sequence[Row]:
    """Without the rows at its end that stand on one side only. One of two columns may be the longer one: rows going on
    at the distance of the first ones stay, and a paragraph below a blank line if its lines fill the column."""
    end = len(block)
    while end > 1 and sum(map(bool, _cells(block[end - 1], gutters))) < 2:
        end -= 1
    if not may_go_on or end < 2:
        return block[:end]
    step = block[0].bottom - block[1].bottom
    sides = [cell for row in block[:end] for cell in _cells(row, gutters)[:-1] if cell]
    long = 0.75 * max((cell[-1].right - cell[0].left for cell in sides), default=0)
    while end < len(block):
        distance, words = block[end - 1].bottom - block[end].bottom, block[end].words
        is_long = words[-1].right - words[0].left >= long
        if not 0.8 * step < distance < (2.2 if is_long else 1.2) * step:
            break
        end += 1
    return block[:end]


def _is_columns(block: Sequence[Row], gutters: Sequence[Gap]) -> bool:
    """Prose on every side: cells of some length that fill their column and start at its left edge."""
    if not 1 <= len(gutters) <= 2 or len(block) < COLUMN_ROWS:
        return False
    rows = [_cells(row, gutters) for row in block]
    if sum(sum(map(bool, cells)) > 1 for cells in rows) < COLUMN_ROWS:
        return False
    return all(_is_prose([cells[column] for cells in rows if cells[column]]) for column in range(len(gutters) + 1))


def _is_prose(cells: Sequence[Sequence[Word]]) -> bool:
    if len(cells) < COLUMN_ROWS or median(len(cell) for cell in cells) < 3:
        return False
    if median(sum(len(word.text) for word in cell) for cell in cells) < COLUMN_WIDTH:
        return False
    width = max(cell[-1].right for cell in cells) - min(cell[0].left for cell in cells)
    filled = median(cell[-1].right - cell[0].left for cell in cells) >= 0.75 * width
    return filled and _at_one_edge([cell[0].left for cell in cells])


def _is_table(block: Sequence[Row], gutters: Sequence[Gap]) -> bool:
    """Columns of which each has an edge, or a middle, at which most of its cells stand."""
    if not 1 <= len(gutters) < TABLE_COLUMNS or len(block) < TABLE_ROWS:
        return False
    rows = [_cells(row, gutters) for row in block]
    full = sum(sum(map(bool, cells)) > 1 for cells in rows)
    if full < TABLE_ROWS or full < 0.5 * len(rows):
        return False
    if not _are_wide(gutters, rows, CELL_GAP * median(row.height for row in block)):
        return False
    columns = [[cells[column] for cells in rows if cells[column]] for column in range(len(gutters) + 1)]
    if all(_MARK.fullmatch(_joined(cell).text) for cell in columns[0]):
        return False
    return _stand_apart(rows) and all(_is_aligned(column) for column in columns)


def _are_wide(gutters: Sequence[Gap], rows: Sequence[Sequence[Sequence[Word]]], least: float) -> bool:
    """A few long cells may make a gutter narrow, if not as narrow as the space between words: most rows leave more."""
    spaces = [after.left - word.right for cells in rows for cell in cells for word, after in pairwise(cell)]
    narrowest = WORD_SPACES * median(spaces) if spaces else least
    for column, (start, end) in enumerate(gutters):
        sides = [cells[column : column + 2] for cells in rows if all(cells[column : column + 2])]
        gaps = [after[0].left - before[-1].right for before, after in sides]
        if end - start < least and (end - start < narrowest or not gaps or median(gaps) < least):
            return False
    return True


def _stand_apart(rows: Sequence[Sequence[Sequence[Word]]]) -> bool:
    """The space between cells is wider than that between their words, and not all the same, as in justified prose."""
    apart = 0
    for cells in rows:
        filled = [cell for cell in cells if cell]
        within = [after.left - word.right for cell in filled for word, after in pairwise(cell)]
        between = [after[0].left - cell[-1].right for cell, after in pairwise(filled)]
        is_even = len(between) > 2 and max(between) - min(between) < 1
        apart += not is_even and max(within, default=0) < 0.6 * min(between, default=math.inf)
    return apart >= 0.7 * len(rows)


def _is_aligned(cells: Sequence[Sequence[Word]]) -> bool:
    left = [cell[0].left for cell in cells]
    right = [cell[-1].right for cell in cells]
    middle = [(one + other) / 2 for one, other in zip(left, right, strict=True)]
    return bool(cells) and any(map(_at_one_edge, (left, right, middle)))


def _at_one_edge(places: Sequence[float]) -> bool:
    usual = Counter(round(place / SAME_EDGE) for place in places).most_common(1)[0][0] * SAME_EDGE
    return sum(abs(place - usual) <= SAME_EDGE for place in places) >= 0.6 * len(places)


def _plain(block: Sequence[Row], _: Sequence[Gap]) -> Iterator[Word]:
    yield from (_joined(row.words) for row in block)


def _columns(block: Sequence[Row], gutters: Sequence[Gap]) -> Iterator[Word]:
    rows = [_cells(row, gutters) for row in block]
    for column in range(len(gutters) + 1):
        yield from (_joined(cells[column]) for cells in rows if cells[column])


def _table(block: Sequence[Row], gutters: Sequence[Gap]) -> Iterator[Word]:
    """Rows of a Markdown table, without the line below a head: whether there is a head does not show."""
    for row in block:
        cells = ["" if not cell else _joined(cell).text.replace("|", "\\|") for cell in _cells(row, gutters)]
        yield _joined(row.words)._replace(text=f"| {' | '.join(cells)} |")


def _joined(words: Sequence[Word]) -> Word:
    text = " ".join(word.text for word in words)
    bottom, top = min(word.bottom for word in words), max(word.top for word in words)
    return Word(text, words[0].left, words[-1].right, bottom, top)


def _spaced(lines: Sequence[Word]) -> Iterator[Word | None]:
    """The lines, and none where more space than usual was left below one."""
    steps = [line.bottom - after.bottom for line, after in pairwise(lines)]
    usual = median(step for step in steps if step > 0) if any(step > 0 for step in steps) else 0
    for line, step in zip(lines, [*steps, 0], strict=True):
        yield line
        if step > BLANK_LINE * max(usual, 0.8 * (line.top - line.bottom)):
            yield None


def _margins(lines: Sequence[Word]) -> set[tuple[int, int]]:
    """Left and right edges, in points, that most of the lines starting at the left one share: those of justified prose.
    Of a program, or a list, few lines end where others do."""
    wide = [line for line in lines if line.right - line.left > MARGIN_WIDTH * (line.top - line.bottom)]
    starts = Counter(round(line.left) for line in lines)
    edges = Counter((round(line.left), round(line.right)) for line in wide)
    found = set()
    for left, right in edges:
        near = sum(edges[left, right + shift] for shift in (-1, 0, 1))
        if near >= max(MARGIN_LINES, MARGIN_SHARE * starts[left]):
            found.add((left, right))
    return found
