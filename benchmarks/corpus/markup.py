"""Documents of mark-up, plain text and code, with the text that a reader should find in them.

A made document is a list of blocks, written in every format. What should be found is its Markdown: marks of lists, rows
and fences are counted as words, for they are part of what a reader promises.
"""

from __future__ import annotations

import io
import json
import random
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.corpus import made
from benchmarks.corpus.languages import SENTENCES
from benchmarks.corpus.made import Made

EACH = 3  # documents of each kind
STILL = (2020, 1, 1, 0, 0, 0)  # when all members of archives were written: the same bytes every time
WIDTH = 78

ENCODINGS = (
    ("utf-8", "French"), ("utf-8-sig", "Polish"), ("utf-16-le", "Russian"), ("utf-16-be", "Japanese"),
    ("cp1252", "German"), ("cp1252", "French"), ("cp1252", "Spanish"), ("iso-8859-2", "Polish"),
    ("iso-8859-2", "Czech"), ("cp1250", "Czech"), ("koi8-r", "Russian"), ("cp1251", "Russian"),
    ("shift_jis", "Japanese"), ("euc-jp", "Japanese"), ("gb18030", "Chinese"), ("big5", "Traditional Chinese"),
    ("euc-kr", "Korean"), ("iso-8859-7", "Greek"),
)  # fmt: skip
MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Items:
    """A list; each item has its depth, from 0."""

    items: tuple[tuple[int, str], ...]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """The first row names the columns."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    language: str
    text: str


Block = Heading | Paragraph | Items | Table | Code


def markup(rng: random.Random) -> Iterator[Made]:
    for number in range(EACH):
        for suffix, kind, write in WRITERS:
            blocks = _blocks(rng)
            known = _markdown(blocks)
            if kind == "docx":  # knows no languages of listings
                known = known.replace("```python", "```")
            yield Made(f"{kind}-{number}.{suffix}", kind, write(blocks), known)
        yield _page_with_surroundings(rng, number)
        yield _entities(rng, number)
        yield _python(rng, number)
        yield _c(rng, number)
        for encoding, language in ENCODINGS:
            yield _text(rng, encoding, language, number)


def _blocks(rng: random.Random) -> list[Block]:
    """A document: sections of paragraphs, with a list, a table and a listing among them."""
    blocks: list[Block] = [Heading(1, made.title(rng)), Paragraph(made.paragraph(rng))]
    others: list[Block] = [_list(rng), _numbered(rng), _table(rng), _code(rng)]
    rng.shuffle(others)
    for level, other in zip((2, 3, 2, 3), others, strict=True):
        blocks += [Heading(level, made.title(rng)), Paragraph(made.paragraph(rng)), Paragraph(made.paragraph(rng, 2))]
        blocks += [other, Paragraph(made.paragraph(rng, 3))]
    return blocks


def _list(rng: random.Random) -> Items:
    return Items(tuple((depth, made.sentence(rng)) for depth in (0, 0, 1, 1, 0)))


def _numbered(rng: random.Random) -> Items:
    return Items(tuple((0, made.sentence(rng)) for _ in range(4)), numbered=True)


def _table(rng: random.Random) -> Table:
    rows = [(rng.choice(made.PLACES), rng.choice(made.OBJECTS), str(rng.randrange(10_000))) for _ in range(5)]
    return Table((("Place", "Object", "Price"), *rows))


def _code(rng: random.Random) -> Code:
    name, number = rng.choice(made.NOUNS).lower(), rng.randrange(100)
    return Code(
        "python", f"def {name}(count):\n    if count > {number}:\n        return '#'\n\n    return count + {number}"
    )


# --- one document in many formats ------------------------------------------------------------------------------------


def _markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(map(_as_markdown, blocks)) + "\n"


def _as_markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Items(items, numbered):
            marks = [f"{number}." if numbered else "-" for number in range(1, len(items) + 1)]
            return "\n".join(f"{'  ' * depth}{mark} {text}" for mark, (depth, text) in zip(marks, items, strict=True))
        case Table(rows):
            lines = [f"| {' | '.join(row)} |" for row in rows]
            return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])
        case Code(language, text):
            return f"```{language}\n{text}\n```"


def _html(blocks: Sequence[Block]) -> bytes:
    title = next(block.text for block in blocks if isinstance(block, Heading))
    body = "\n".join(map(_as_html, blocks))
    head = (
        f'<head><meta charset="utf-8"><title>{escape(title)} - Valley news</title><style>p {{ top: 0 }}</style></head>'
    )
    return f"<!DOCTYPE html>\n<html>{head}\n<body>\n{body}\n</body></html>\n".encode()


def _as_html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level} id='x'>{escape(text)}</h{level}>"
        case Paragraph(text):
            first, _, rest = textwrap.fill(escape(text), WIDTH).partition(" ")
            return f"<p><a href='/a'><b>{first}</b></a> {rest}</p>"
        case Items(items, numbered):
            return _html_list(items, "ol" if numbered else "ul")
        case Table(rows):
            lines = [_html_row(row, "td" if number else "th") for number, row in enumerate(rows)]
            return f"<table>{''.join(lines)}</table>"
        case Code(language, text):
            return f'<pre><code class="language-{language}">{escape(text)}</code></pre>'


def _html_row(row: Sequence[str], tag: str) -> str:
    cells = (f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
    return f"<tr>{''.join(cells)}</tr>\n"


def _html_list(items: Sequence[tuple[int, str]], tag: str) -> str:
    """A list whose deeper items stand inside the item before them."""
    parts, depth = [f"<{tag}>"], 0
    for level, text in items:
        parts.append(f"<{tag}>" * (level - depth) + f"</{tag}>" * (depth - level) + f"<li>{escape(text)}\n")
        depth = level
    return "".join(parts) + f"</{tag}>" * (depth + 1)


def _xhtml(blocks: Sequence[Block]) -> str:
    body = "\n".join(map(_as_html, blocks)).replace("<li>", "</li><li>").replace("<ul></li>", "<ul>")
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "xhtml11.dtd">\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><a id="top"/>{body}</body></html>'
    )


def _epub(blocks: Sequence[Block]) -> bytes:
    """A book whose chapters lie in the archive in another order than that in which they are read."""
    middle = len(blocks) // 2
    title = next(block.text for block in blocks if isinstance(block, Heading))
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(title)}</dc:title></metadata>'
        '<manifest><item id="b" href="text/second%20part.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="text/first.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    return _zipped(
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", container),
        ("OEBPS/book.opf", package),
        ("OEBPS/text/second part.xhtml", _xhtml(blocks[middle:])),
        ("OEBPS/text/first.xhtml", _xhtml(blocks[:middle])),
    )


def _zipped(*members: tuple[str, str | bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, STILL), content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _docx(blocks: Sequence[Block]) -> bytes:
    import docx
    from docx.enum.style import WD_STYLE_TYPE

    document = docx.Document()
    document.styles.add_style("Source Code", WD_STYLE_TYPE.PARAGRAPH)
    for block in blocks:
        _add_to_docx(document, block)
    written = io.BytesIO()
    document.save(written)
    with zipfile.ZipFile(written) as archive:  # once more, without today's date
        return _zipped(*((info.filename, archive.read(info)) for info in archive.infolist()))


def _add_to_docx(document: Any, block: Block) -> None:
    match block:
        case Heading(level, text):
            document.add_heading(text, level)
        case Paragraph(text):
            paragraph = document.add_paragraph(text[:20])
            paragraph.add_run(text[20:30]).bold = True
            paragraph.add_run(text[30:])
        case Items(items, numbered):
            for depth, text in items:
                style = "List Number" if numbered else "List Bullet"
                document.add_paragraph(text, style=f"{style} {depth + 1}" if depth else style)
        case Table(rows):
            _add_table(document, rows)
        case Code(_, text):
            for line in text.split("\n"):
                document.add_paragraph(line, style="Source Code")


def _add_table(document: Any, rows: Sequence[Sequence[str]]) -> None:
    from docx.oxml import OxmlElement

    table = document.add_table(len(rows), len(rows[0]))
    table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    for row, cells in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text


def _rst(blocks: Sequence[Block]) -> bytes:
    parts = [".. _top:", *map(_as_rst, blocks), ".. a remark that nobody sees"]
    return ("\n\n".join(parts) + "\n").encode()


def _as_rst(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{text}\n{'=-~'[level - 1] * len(text)}"
        case Paragraph(text):
            first, _, rest = text.partition(" ")
            second, _, rest = rest.partition(" ")
            return textwrap.fill(f"*{first}* :py:obj:`{second}` {rest}", WIDTH)
        case Items(items, numbered):
            return _rst_list(items, "#." if numbered else "*")
        case Table(rows):
            return _rst_table(rows)
        case Code(language, text):
            return f".. code-block:: {language}\n   :linenos:\n\n{textwrap.indent(text, '   ')}"


def _rst_list(items: Sequence[tuple[int, str]], mark: str) -> str:
    lines, last = list[str](), 0
    for depth, text in items:
        if depth != last:
            lines.append("")
        first, rest = f"{'  ' * depth}{mark} ", " " * (2 * depth + len(mark) + 1)
        lines.append(textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest))
        last = depth
    return "\n".join(lines)


def _rst_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _notebook(blocks: Sequence[Block]) -> bytes:
    """Prose in cells of Markdown, listings in cells of code, whose picture is not to be found."""
    cells: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, Code):
            picture = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}, "metadata": {}}
            cells.append({"cell_type": "code", "source": block.text.splitlines(True), "outputs": [picture]})
        else:
            cells.append({"cell_type": "markdown", "source": [_as_markdown(block)]})
    metadata = {"language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


def _markdown_file(blocks: Sequence[Block]) -> bytes:
    return _markdown(blocks).encode()


WRITERS = (
    ("html", "html", _html),
    ("docx", "docx", _docx),
    ("epub", "epub", _epub),
    ("rst", "rst", _rst),
    ("ipynb", "notebook", _notebook),
    ("md", "markdown", _markdown_file),
)


# --- pages as they are found -----------------------------------------------------------------------------------------


def _page_with_surroundings(rng: random.Random, number: int) -> Made:
    """An article in a page that is laid out with a table, among menus, scripts and hidden notices."""
    title, texts, footer = made.title(rng), [made.paragraph(rng) for _ in range(6)], made.sentence(rng)
    article = "".join(f"<p>{text}<script>count('{number}')</script></p>" for text in texts)
    menu = "".join(f"<li><a href='/{noun}'>{noun}</a></li>" for noun in made.NOUNS)
    page = (
        f"<html><head><title>{title}</title><script>let a = '<p>no</p>'</script></head><body><nav><ul>{menu}</ul></nav>"
        f"<div style='display: none'>Accept the biscuits.</div><table><tr><td><h1>{title}</h1>{article}</td>"
        f"<td role='navigation'>{menu}</td></tr></table><!-- {made.sentence(rng)} --><footer>{footer}</footer>"
    )
    return Made(f"surrounded-{number}.html", "html", page.encode(), "\n\n".join([f"# {title}", *texts, footer]))


def _entities(rng: random.Random, number: int) -> Made:
    """A page in an old encoding, with entities, a poem, a quotation, a definition, and mark-up that is never closed."""
    sentences = [rng.choice(SENTENCES["French"]) for _ in range(4)]
    written = [text.replace("é", "&eacute;").replace("à", "&#224;").replace("ê", "&#xea;") for text in sentences]
    lines = [made.sentence(rng) for _ in range(3)]
    page = (
        "<html><head><meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'></head><body>"
        f"<p>{written[0]}<p><b>{written[1]}<blockquote><i>{written[2]}</blockquote><p>{'<br>'.join(lines)}"
        f"<dl><dt>AT&amp;T<dd>{written[3]}</dl>"
        "<pre>one\n  two &lt;three&gt;\n    four</pre>5 &lt; 6&nbsp;&gt; 4&hellip;"
    )
    known = [*sentences[:3], "\n".join(lines), f"- AT&T\n  {sentences[3]}", "```\none\n  two <three>\n    four\n```"]
    data = page.encode("cp1252", "xmlcharrefreplace")
    return Made(f"entities-{number}.html", "html", data, "\n\n".join([*known, "5 < 6 > 4…"]))


# --- plain text and code ---------------------------------------------------------------------------------------------


def _text(rng: random.Random, encoding: str, language: str, number: int) -> Made:
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < 1100:
        paragraphs.append(" ".join(rng.choice(SENTENCES[language]) for _ in range(4)))
    text = "\n\n".join(paragraphs) + "\n"
    data = MARKS.get(encoding, b"") + text.replace("\n", "\r\n" if number % 2 else "\n").encode(encoding)
    return Made(f"{language}-{encoding}-{number}.txt", f"text, {encoding.removesuffix('-sig')}", data, text)


def _python(rng: random.Random, number: int) -> Made:
    functions = "\n\n\n".join(f"# {made.sentence(rng)}\n{_code(rng).text}" for _ in range(12))
    text = f'"""{made.paragraph(rng)}"""\n\nimport os\n\n\n{functions}\n'
    return Made(f"{number}.py", "code", text.encode(), text)


def _c(rng: random.Random, number: int) -> Made:
    functions = "\n\n".join(
        f"/* {made.sentence(rng)} */\nint {name.lower()}(int n)\n{{\n\treturn n < {rng.randrange(99)} ? n : 0;\n}}"
        for name in made.NOUNS
    )
    text = f"#include <stdio.h>\n# define LIMIT {number}\n\n{functions}\n"
    return Made(f"{number}.c", "code", text.encode(), text)
