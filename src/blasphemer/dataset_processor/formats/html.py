"""HTML -> Markdown: what somebody sees who opens the page, without the navigation around it.

The tree is walked in a loop: pages may nest a hundred thousand elements, by malice or by a missing "</b>".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from selectolax.lexbor import LexborHTMLParser, LexborNode

from blasphemer.dataset_processor.formats.markup import Cell, Markdown, one_line, raised
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import BOMS, Decoded, decode
from blasphemer.errors import Unreadable
from blasphemer.records import Document

HEAD = 4096  # bytes in which a page names its encoding; the standard says 1024, pages are less strict

DAMAGED = 0.001  # share of characters that may be damaged

# What browsers mean by these names (WHATWG Encoding): supersets, as pages use them
LABELS = {
    "ascii": "cp1252", "us-ascii": "cp1252", "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252",
    "latin-1": "cp1252", "iso-8859-9": "cp1254", "tis-620": "cp874", "shift_jis": "cp932", "shift-jis": "cp932",
    "sjis": "cp932", "x-sjis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "utf-16": "utf-8", "utf-16le": "utf-8", "utf-16be": "utf-8",
}  # fmt: skip
_CHARSET = re.compile(rb"<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)

UNSEEN = frozenset(
    "head script style template noscript iframe audio video canvas title desc metadata annotation annotation-xml "
    "textarea datalist rp noembed noframes".split()
)
NAVIGATION = frozenset({"nav", "button", "select"})
BLOCKS = frozenset(
    "address article aside blockquote body center details dialog dir div dl dt dd fieldset figcaption figure footer "
    "form header hgroup hr html legend li main menu ol optgroup option p pre search section summary table caption "
    "tbody thead tfoot tr td th ul".split()
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
LISTS = frozenset({"ul", "ol", "menu", "dir", "dl"})
PARTS_OF_TABLES = frozenset({"caption", "tr", "td", "th"})

# Pages hide their body until a script shows it, so what is said of <html> and <body> does not count. "headerlink" and
# "linenos" are what Sphinx and Pygments add to headings and listings, "katex-html" a formula for the second time.
_UNSEEN_CSS = "[hidden], [style], dialog:not([open]), .headerlink, .linenos, .lineno, .katex-html"
_NAVIGATION_CSS = "[role=navigation], [role=menu], [role=menubar], a[class*=skip][href^='#']"
_MARKS_CSS = ", ".join(f"h{level} a[href^='#']" for level in range(1, 7))
_PAGE_CSS = "h1, h2, h3, h4, h5, h6, pre, table, p + p"  # what a cell of data does not hold
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_LANGUAGE = re.compile(r"\b(?:language-|lang-|highlight-source-|highlight-(?!source-)|brush:\s*)([\w+#.-]+)")
_NO_LANGUAGE = frozenset({"default", "none", "text", "plaintext", "plain", "nohighlight"})
# HTML knows no "<title/>": it would take the rest of a page of XML for the title
_CLOSED = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b)([A-Za-z][\w:.-]*)((?:\s[^<>]*)?)/>"
)


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:
    decoded = decode_page(opened.read(), options.encoding)
    page = read_page(decoded.text)
    text = page.with_title()
    if not text:
        raise Unreadable("no text (a page that scripts fill in, in a browser)")
    yield Document(file, text, decoded.encoding, markdown=True, removed=page.removed, note=decoded.note)


def decode_page(data: bytes, encoding: str | None = None) -> Decoded:
    """A page's source. What it says of its own encoding counts where that is true, or nearly. Raises Unreadable."""
    if encoding is not None or data.startswith(tuple(mark for mark, _ in BOMS)):
        return decode(data, encoding)
    declared = [name for name in map(_encoding, _CHARSET.findall(data[:HEAD])) if name]
    for name in declared:
        try:
            return decode(data, name)
        except Unreadable:
            continue
    return _mended(data, declared[0]) if declared else decode(data)


def _encoding(label: bytes) -> str:
    """The name under which Python knows an encoding, "" for one that it does not."""
    name = label.decode("ascii", "replace").lower()
    try:
        "".encode(LABELS.get(name, name))
        return LABELS.get(name, name)
    except (LookupError, ValueError):
        return ""


def _mended(data: bytes, name: str) -> Decoded:
    """Browsers put up with a damaged character, so pages are full of them; more than a few mean another encoding."""
    text = data.decode(name, "replace")
    damaged = text.count("\ufffd")
    if damaged > max(DAMAGED * len(text), 1):
        return decode(data)
    mended = decode(text.encode("utf-8"), "utf-8")
    return Decoded(mended.text, name, f"damaged {'character' if damaged == 1 else 'characters'}: {damaged}")


@dataclass(frozen=True)
class Page:
    """`removed` counts the characters of navigation that were left out."""

    title: str
    text: str
    removed: int

    def with_title(self) -> str:
        """The text below its title, unless a heading says the same ("Herons" in "Herons - Birds of the valley")."""
        title = self.title.casefold()
        lines = (line.lstrip("# ").casefold() for line in self.text.split("\n") if line.startswith("#"))
        if not self.text or not title or any(line in title or title in line for line in lines if line):
            return self.text
        return f"# {self.title}\n\n{self.text}"


def read_page(source: str, xml: bool = False) -> Page:
    """`xml` says that the source is XHTML, which may close any element at once ("<title/>")."""
    if xml or source.lstrip().startswith("<?xml"):
        source = _CLOSED.sub(r"<\1\2></\1>", source)
    tree = LexborHTMLParser(source)
    title = tree.css_first("head > title")
    walk = _Walk(tree)
    if tree.root is not None:
        walk.through(tree.root)
    return Page(one_line(title.text()) if title else "", walk.out.text(), walk.removed)


@dataclass
class _Table:
    rows: list[list[Cell]] = field(default_factory=list)
    headed: bool = False
    depth: int = 0  # of tables inside, whose cells are read as text of the cell they are in


Leave = Callable[[], None]  # what there is to do at the end of an element, as its beginning decided


class _Walk:
    """One walk through a tree, and what has been gathered so far."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.out = Markdown()
        self.removed = 0
        self._inline: list[str] = []
        self._table: _Table | None = None
        self._flat = 0  # headings, cells, captions we are in: blocks inside them are parts of one line
        self._pre = 0
        self._dropped = 0  # navigation we are in
        self._unseen = {node.mem_id for node in tree.css(_UNSEEN_CSS) if _is_unseen(node)}
        self._unseen |= {link.mem_id for link in tree.css(_MARKS_CSS) if _is_mark(link)}
        self._navigation = {node.mem_id for node in tree.css(_NAVIGATION_CSS)}

    def through(self, root: LexborNode) -> None:
        node, above = root, list[tuple[LexborNode, Leave]]()
        while True:
            leave = self._enter(node, node.tag or "")
            if leave and (child := node.first_child) is not None:
                above.append((node, leave))
                node = child
                continue
            if leave:
                leave()
            while (following := node.next) is None:
                if not above:
                    self._flush()
                    return
                node, leave = above.pop()
                leave()
            node = following

    def _enter(self, node: LexborNode, tag: str) -> Leave | None:
        """What to do after what is inside; None for not looking there."""
        if tag == "-text":
            self._add(node.text_content or "")
            return None
        if tag in UNSEEN or tag[:1] == "-" or node.mem_id in self._unseen:
            return None
        if tag in NAVIGATION or node.mem_id in self._navigation:
            self._flush()
            self._dropped += 1
            return self._end_navigation
        if self._dropped:
            return _nothing
        return self._element(node, tag)

    def _element(self, node: LexborNode, tag: str) -> Leave:
        if tag not in BLOCKS and tag not in HEADINGS:
            return self._phrase(node, tag)
        if self._table:
            return self._part_of_table(self._table, node, tag)
        if self._flat:
            self._space()
            return self._space
        self._flush()
        return self._block(node, tag)

    def _add(self, text: str) -> None:
        if self._dropped:
            self.removed += len(one_line(text))
        elif self._pre and not self._flat:
            self._inline.append(text)
        else:
            self._inline.append(text.replace("\n", " "))

    def _space(self) -> None:
        self._inline.append(" ")

    def _taken(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        return text

    def _flush(self) -> None:
        if self._inline and not self._flat and not self._table:
            (self.out.code if self._pre else self.out.paragraph)(self._taken())

    def _end_navigation(self) -> None:
        self._dropped -= 1

    # --- parts of a line ---

    def _phrase(self, node: LexborNode, tag: str) -> Leave:
        if tag == "br":
            self._inline.append(" " if self._flat else "\n")
        elif tag == "sup":
            return partial(self._raise, len(self._inline))
        elif tag == "q":
            self._inline.append("“")
            return partial(self._inline.append, "”")
        elif tag == "math" and (tex := node.css_first("annotation[encoding='application/x-tex']")):
            self._inline.append(f" ${tex.text()}$ ")
        return _nothing

    def _raise(self, begin: int) -> None:
        self._inline[begin:] = [raised("".join(self._inline[begin:]))]

    # --- blocks ---

    def _block(self, node: LexborNode, tag: str) -> Leave:
        if tag in HEADINGS:
            self._flat += 1
            return partial(self._end_heading, HEADINGS[tag])
        if tag in LISTS:
            self.out.open_list(_number(node.attributes.get("start"), 1) if tag == "ol" else None)
            return self._end_list
        if tag == "pre":
            self._pre += 1
            return partial(self._end_pre, node)
        if tag == "table" and _holds_data(node):
            self._table = _Table()
            return partial(self._end_table, self._table)
        self._begin_item(node, tag)
        return self._flush

    def _begin_item(self, node: LexborNode, tag: str) -> None:
        if tag == "li":
            value = node.attributes.get("value")
            self.out.open_item(_number(value, 1) if value else None)
        elif tag == "dt":
            self.out.open_item()
        elif tag == "dd":
            self.out.glue()

    def _end_heading(self, level: int) -> None:
        self._flat -= 1
        self.out.heading(level, self._taken())

    def _end_list(self) -> None:
        self._flush()
        self.out.close_list()

    def _end_pre(self, pre: LexborNode) -> None:
        self._pre -= 1
        self.out.code(self._taken(), _language(pre))

    # --- tables ---

    def _part_of_table(self, table: _Table, node: LexborNode, tag: str) -> Leave:
        if tag == "table":
            table.depth += 1
            self._space()
            return partial(self._end_inner_table, table)
        if table.depth or tag not in PARTS_OF_TABLES:
            self._inline.append("; " if tag == "li" and any(part.strip() for part in self._inline[-3:]) else " ")
            return self._space
        self._inline.clear()
        if tag == "tr":
            table.rows.append([])
            return _nothing
        self._flat += 1
        if tag == "caption":
            return self._end_caption
        table.headed = table.headed or (tag == "th" and len(table.rows) == 1 and _names_columns(node))
        spans = (_number(node.attributes.get(name), 1) for name in ("colspan", "rowspan"))
        return partial(self._end_cell, table, *spans)

    def _end_caption(self) -> None:
        self._flat -= 1
        self.out.paragraph(self._taken())

    def _end_cell(self, table: _Table, columns: int, rows: int) -> None:
        self._flat -= 1
        if table.rows:
            table.rows[-1].append(Cell(self._taken().replace(" ; ", "; "), columns, rows))

    def _end_inner_table(self, table: _Table) -> None:
        table.depth -= 1
        self._space()

    def _end_table(self, table: _Table) -> None:
        self._table = None
        self._inline.clear()  # white space between rows
        self.out.table(table.rows, table.headed)


def _nothing() -> None:
    """At the end of most elements."""


def _is_unseen(node: LexborNode) -> bool:
    attributes = node.attributes
    if node.tag in {"html", "body"}:
        return False
    return "style" not in attributes or "hidden" in attributes or bool(_HIDING.search(attributes["style"] or ""))


def _is_mark(link: LexborNode) -> bool:
    """The sign after a heading, by which one links to it: "#", "§"."""
    inside = link.first_child
    text = (inside.text_content or "").strip() if inside is not None and inside.next is None else ""
    return len(text) == 1 and not text.isalnum()


def _number(value: str | None, default: int) -> int:
    found = re.match(r"\s*(\d{1,6})", value or "")
    return int(found.group(1)) if found else default


def _holds_data(table: LexborNode) -> bool:
    """A table of rows, and not one that lays out a page."""
    if table.attributes.get("role") in {"presentation", "none"}:
        return False
    rows = list(_rows(table))
    if all(len(row) < 2 for row in rows):
        return False
    cells = [cell for row in rows for cell in row]
    return any(cell.tag == "th" for cell in cells) or not any(cell.css_first(_PAGE_CSS) for cell in cells)


def _rows(table: LexborNode) -> Iterator[list[LexborNode]]:
    """The cells of each row, not looking into them: tables may nest as deeply as anything."""
    for part in table.iter():
        for row in [part] if part.tag == "tr" else part.iter():
            if row.tag == "tr":
                yield list(row.iter())


def _names_columns(cell: LexborNode) -> bool:
    """A <th> of the first row is the name of a column where its whole row is of them."""
    row = cell.parent
    return row is not None and all(other.tag == "th" for other in row.iter())


def _language(pre: LexborNode) -> str:
    """The language of a listing, as the usual highlighters note it."""
    near = [pre, pre.first_child, pre.parent, pre.parent.parent if pre.parent else None]
    for node in near:
        if node is not None and node.tag in {"pre", "code", "div", "figure"}:
            found = _LANGUAGE.search(node.attributes.get("class") or "")
            if found and found.group(1).lower() not in _NO_LANGUAGE:
                return found.group(1)
    return ""
