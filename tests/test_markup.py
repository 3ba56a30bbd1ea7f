"""HTML, DOCX, EPUB, reStructuredText, notebooks, encodings: what is found in small files, and that none does harm."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement

from benchmarks.corpus.languages import SENTENCES
from benchmarks.corpus.made import Made, words
from benchmarks.corpus.markup import ENCODINGS, markup
from blasphemer.dataset_processor.formats import docx as docx_reader
from blasphemer.dataset_processor.formats import epub as epub_reader
from blasphemer.dataset_processor.formats import html, notebook, rst, text, zips
from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.errors import Unreadable
from blasphemer.records import Document

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CORPUS = list(markup(random.Random(0)))


def only(reader: Any, data: bytes | str, options: Options | None = None) -> Document:
    """The one document that a reader makes of a file."""
    opened = io.BytesIO(data.encode() if isinstance(data, str) else data)
    (document,) = reader.read(opened, "file", options or Options())
    return document


def found(reader: Any, data: bytes | str) -> str:
    return only(reader, data).text


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


# --- the corpus ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made", [made for made in CORPUS if made.name.rsplit(".")[-1] != "txt"], ids=lambda made: made.name
)
def test_the_words_of_a_made_document_are_found_in_order(made: Made) -> None:
    opened = io.BytesIO(made.data)
    (document,) = find_reader(opened, made.name)(opened, made.name, Options())
    assert isinstance(document, Document)
    assert words(document.text) == words(made.text)


def test_the_corpus_is_the_same_every_time() -> None:
    assert [made.data for made in markup(random.Random(0))] == [made.data for made in CORPUS]


# --- encodings of text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [made for made in CORPUS if made.name.endswith(".txt")], ids=lambda made: made.name)
def test_a_text_is_read_in_the_encoding_it_was_written_in(made: Made) -> None:
    assert found(text, made.data) == made.text


@pytest.mark.parametrize(("encoding", "language"), [one for one in ENCODINGS if not one[0].startswith("utf")])
def test_one_sentence_is_enough_to_find_the_encoding(encoding: str, language: str) -> None:
    for sentence in SENTENCES[language]:
        assert found(text, sentence.encode(encoding)) == sentence


def test_a_guessed_encoding_is_noted_with_its_confidence() -> None:
    document = only(text, (SENTENCES["Russian"][0] * 5).encode("koi8-r"))
    assert document.encoding == "koi8-r"
    assert document.note.startswith("guessed as koi8-r (confidence 0.")


@pytest.mark.parametrize("data", [b"plain", "naïve".encode(), "naïve".encode("utf-16"), "naïve".encode("utf-8-sig")])
def test_an_encoding_that_is_sure_needs_no_note(data: bytes) -> None:
    assert only(text, data).note == ""


def test_an_encoding_that_was_named_needs_no_note() -> None:
    assert only(text, "naïve".encode("cp1252"), Options(encoding="cp1252")).note == ""


def test_an_umlaut_far_into_a_file_of_plain_letters_is_read() -> None:
    data = b"plain words of a text.\n" * 5000 + "Der Käufer.".encode("cp1252")
    assert found(text, data).endswith("Der Käufer.")


def test_windows_quotes_after_the_sample_are_no_control_characters() -> None:
    data = ("Der Käufer trägt die Kosten für Öl und Straße. " * 3000 + "„so“").encode("cp1252")
    assert found(text, data).endswith("„so“")


# --- HTML ------------------------------------------------------------------------------------------------------------


def test_headings_paragraphs_and_lists_become_markdown() -> None:
    page = (
        "<h1>Herons</h1><p>A <b>tall</b>\nbird.<h2>Food</h2>"
        "<ul><li>fish<ol start=3><li>carp<li>eel</ol><li>frogs</ul>end"
    )
    assert found(html, page) == ("# Herons\n\nA tall bird.\n\n## Food\n\n- fish\n  3. carp\n  4. eel\n- frogs\n\nend")


def test_blocks_inside_a_heading_that_was_never_closed_are_parts_of_it() -> None:
    page = "<h1>Herons<div><h2>tall</h2><ul><li>grey</ul></div></h1>end"  # a list once outlived its heading here
    assert found(html, page) == "# Herons tall grey\n\nend"


def test_a_table_has_a_line_below_its_names_of_columns() -> None:
    page = "<table><caption>Weights</caption><tr><th>Bird<th>kg<tr><td>heron<td>1|2</table>"
    assert found(html, page) == "Weights\n\n| Bird | kg |\n|---|---|\n| heron | 1\\|2 |"


def test_a_table_without_names_of_columns_has_only_rows() -> None:
    assert found(html, "<table><tr><td>heron<td>2<tr><td>stork<td>3</table>") == "| heron | 2 |\n| stork | 3 |"


def test_a_merged_cell_is_written_once_and_the_others_keep_their_columns() -> None:
    page = "<table><tr><td rowspan=2>a<td colspan=2>b<tr><td>c<td>d</table>"
    assert found(html, page) == "| a | b |  |\n|  | c | d |"


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    """Reports merge cells to set figures apart: | Assets |  |  | $ | 7 |  | and so on grew the text by a half."""
    head = "<tr><th colspan=3>Assets<th colspan=4>2023<th>"
    rows = "<tr><td colspan=3>Cash<td>$<td>7<td><td><td>" + "<tr><td colspan=3>Land<td>$<td>9<td><td><td>"
    expected = "| Assets | 2023 |  |\n|---|---|---|\n| Cash | $ | 7 |\n| Land | $ | 9 |"
    assert found(html, f"<table>{head}{rows}</table>") == expected


def test_a_table_that_lays_out_a_page_is_read_as_blocks() -> None:
    assert (
        found(html, "<table><tr><td><h1>Herons</h1><p>One.<p>Two.<td>Side</table>")
        == "# Herons\n\nOne.\n\nTwo.\n\nSide"
    )


def test_a_table_within_a_cell_is_text_of_the_cell() -> None:
    page = "<table><tr><th>a<th>b<tr><td><table><tr><td>x<td>y</table><td>z</table>"
    assert found(html, page) == "| a | b |\n|---|---|\n| x y | z |"


def test_listings_keep_their_white_space_and_language() -> None:
    page = "<pre><code class='language-c'>int main()\n{\n    return 1 &lt; 2;\n}\n</code></pre>"
    assert found(html, page) == "```c\nint main()\n{\n    return 1 < 2;\n}\n```"


def test_a_listing_with_a_fence_in_it_stays_one_listing() -> None:
    assert found(html, "<pre>a\n```\nb</pre>") == "~~~\na\n```\nb\n~~~"


def test_a_line_that_looks_like_a_heading_by_accident_is_escaped() -> None:
    assert found(html, "<p>see<br># 5 and<br>#5") == "see\n\\# 5 and\n#5"


def test_what_nobody_sees_is_left_out() -> None:
    page = (
        "<head><style>p {}</style><script>let a</script></head><p>seen<p hidden>1<p style='display: none'>2<template>3"
        "</template><noscript>4</noscript><!-- 5 --><script>6</script>"
    )
    document = only(html, page)
    assert (document.text, document.removed) == ("seen", 0)


def test_navigation_is_left_out_and_counted() -> None:
    document = only(html, "<nav><a>Home</a> <a>News</a></nav><main>Text.</main><footer>By Ann.</footer>")
    assert document.text == "Text.\n\nBy Ann."
    assert document.removed == len("HomeNews")


def test_a_page_that_hides_its_body_until_a_script_has_run_is_read() -> None:
    assert found(html, "<body style='visibility:hidden'>Text.") == "Text."


def test_the_title_is_the_first_heading_unless_a_heading_says_it() -> None:
    assert found(html, "<title>Herons</title><p>Tall.") == "# Herons\n\nTall."
    assert found(html, "<title>Herons - Birds</title><h1>Herons</h1>Tall.") == "# Herons\n\nTall."


def test_the_sign_by_which_one_links_to_a_heading_is_no_part_of_it() -> None:
    assert found(html, "<h2>Food<a href='#food'>¶</a></h2>fish") == "## Food\n\nfish"


def test_the_seventh_power_of_ten_is_not_107() -> None:
    assert found(html, "10<sup>7</sup> on the 1<sup>st</sup>") == "10⁷ on the 1st"


def test_entities_and_accents_are_characters() -> None:
    assert found(html, "AT&amp;T &eacute; e&#x301; &#8364; a&shy;b &#1;") == "AT&T é é € ab"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("<meta charset=koi8-r>", "koi8-r"),
        ("<meta http-equiv=content-type content='text/html; charset=windows-1251'>", "cp1251"),
        ("<?xml version='1.0' encoding='iso-8859-5'?>", "iso-8859-5"),
        ("<meta charset=utf-16>", "utf-8"),  # it could not be read if it were true
        ("<meta charset=nonsense>", "utf-8"),
        ("", "utf-16"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_names(head: str, encoding: str) -> None:
    russian = SENTENCES["Russian"][0]
    assert found(html, f"{head}<p>{russian}".encode(encoding)) == russian


def test_the_encoding_that_the_user_names_counts_more() -> None:
    page = "<meta charset=iso-8859-1><p>цапля".encode("koi8-r")
    assert only(html, page, Options(encoding="koi8-r")).text == "цапля"


def test_a_damaged_character_of_a_page_is_noted() -> None:
    document = only(html, b"<meta charset=utf-8><p>" + "é".encode() * 9 + b"\xff" + b" and more" * 500)
    assert document.note == "damaged character: 1"
    assert document.text.startswith("ééééééééé\ufffd and")


def test_a_page_for_scripts_only_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="scripts"):
        found(html, "<title>App</title><body><div id=root></div><script>start()</script>")


def test_a_page_nested_a_hundred_thousand_deep_is_read() -> None:
    """Of "<b>", which is forgotten to be closed. Blocks so deep take minutes: they are given up, see test_intake."""
    assert found(html, "<b>" * 100_000 + "deep") == "deep"


def test_lists_nested_thousands_deep_are_not_indented_without_end() -> None:
    assert len(found(html, "<ul><li>x" * 3000)) < 3000 * 25


def test_a_thousand_columns_that_a_cell_claims_are_not_written() -> None:
    assert len(found(html, "<table>" + "<tr><td colspan=1000 rowspan=65000>a<td>b" * 50 + "</table>")) < 10_000


# --- DOCX ------------------------------------------------------------------------------------------------------------


def saved(document: Any) -> bytes:
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def body(inside: str) -> bytes:
    """A document that is no more than a body."""
    return zipped({"word/document.xml": f'<w:document xmlns:w="{W}"><w:body>{inside}</w:body></w:document>'})


def run(words: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{words}</w:t></w:r>'


def test_styles_of_word_become_headings_and_lists() -> None:
    document = docx.Document()
    document.add_heading("Birds", 0)
    document.add_heading("Herons", 2)
    for item, style in (("fish", "List Bullet"), ("carp", "List Bullet 2"), ("frogs", "List Bullet")):
        document.add_paragraph(item, style=style)
    for item in ("look", "strike"):
        document.add_paragraph(item, style="List Number")
    assert found(docx_reader, saved(document)) == (
        "# Birds\n\n## Herons\n\n- fish\n  - carp\n- frogs\n\n1. look\n2. strike"
    )


def test_a_heading_is_known_by_its_outline_level_where_its_style_has_another_name() -> None:
    document = docx.Document()
    style = document.styles.add_style("Kapitel", WD_STYLE_TYPE.PARAGRAPH)
    level = OxmlElement("w:outlineLvl")
    level.set(f"{{{W}}}val", "1")
    style.element.get_or_add_pPr().append(level)
    document.add_paragraph("Reiher", style="Kapitel")
    assert found(docx_reader, saved(document)) == "## Reiher"


def test_a_table_of_word_is_written_in_its_place_with_merged_cells_once() -> None:
    document = docx.Document()
    document.add_paragraph("before")
    table = document.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).text, table.cell(1, 1).text = "a", "b"
    document.add_paragraph("after")
    assert found(docx_reader, saved(document)) == "before\n\n| wide |  |\n| a | b |\n\nafter"


def test_a_table_within_a_cell_of_word_is_text_of_the_cell() -> None:
    document = docx.Document()
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "outer", "right"
    inner = table.cell(0, 0).add_table(1, 2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "x", "y"
    assert found(docx_reader, saved(document)) == "| outer x y | right |"


def test_paragraphs_of_code_become_one_listing() -> None:
    document = docx.Document()
    document.styles.add_style("Source Code", WD_STYLE_TYPE.PARAGRAPH)
    for line in ("def f():", "    return 1"):
        document.add_paragraph(line, style="Source Code")
    assert found(docx_reader, saved(document)) == "```\ndef f():\n    return 1\n```"


def test_links_insertions_and_content_controls_are_read_and_deletions_are_not() -> None:
    inside = (
        f"<w:p>{run('one ')}<w:hyperlink>{run('two')}</w:hyperlink><w:ins>{run(' three')}</w:ins>"
        "<w:del><w:r><w:delText> four</w:delText></w:r></w:del></w:p>"
        f"<w:sdt><w:sdtContent><w:p>{run('five')}</w:p></w:sdtContent></w:sdt>"
        "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr>"
        f"<w:sdtContent><w:p>{run('Click here')}</w:p></w:sdtContent></w:sdt>"
    )
    assert found(docx_reader, body(inside)) == "one two three\n\nfive"


def test_hidden_text_and_codes_of_fields_are_not_read() -> None:
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>"
    assert found(docx_reader, body(f"<w:p>{run('seen')}{hidden}</w:p>")) == "seen"


def test_a_text_box_is_read_once_after_its_paragraph() -> None:
    box = f"<w:txbxContent><w:p>{run('inside')}</w:p></w:txbxContent>"
    both = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    )
    inside = f"<w:p>{run('outside')}<w:r>{both}</w:r></w:p><w:p>{run('below')}</w:p>"
    assert found(docx_reader, body(inside)) == "outside\n\ninside\n\nbelow"


def test_a_footnote_follows_its_paragraph_even_if_it_refers_to_itself() -> None:
    reference = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    document = f'<w:document xmlns:w="{W}"><w:body><w:p>{run("text")}{reference}</w:p></w:body></w:document>'
    note = f'<w:footnote w:id="2"><w:p>{run("note")}{reference}</w:p></w:footnote>'
    notes = f'<w:footnotes xmlns:w="{W}">{note}</w:footnotes>'
    assert found(docx_reader, zipped({"word/document.xml": document, "word/footnotes.xml": notes})) == "text\n\nnote"


def test_a_table_of_contents_is_left_out_and_counted() -> None:
    document = docx.Document()
    document.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
    document.add_paragraph("Herons 3", style="toc 1")
    document.add_heading("Herons", 1)
    read = only(docx_reader, saved(document))
    assert (read.text, read.removed) == ("# Herons", len("Herons 3"))


def test_headers_and_footers_are_not_read() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.add_paragraph("text")
    assert found(docx_reader, saved(document)) == "text"


def test_a_strict_document_says_what_to_do() -> None:
    with pytest.raises(Unreadable, match="save it as an ordinary"):
        found(
            docx_reader,
            zipped({"word/document.xml": '<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"/>'}),
        )


def test_an_empty_document_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no text"):
        found(docx_reader, saved(docx.Document()))


# --- EPUB ------------------------------------------------------------------------------------------------------------

CONTAINER = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'


def package(names: Sequence[str], title: str = "") -> str:
    items = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in sorted(names))
    order = "".join(f'<itemref idref="{name}"/>' for name in names)
    metadata = f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
    return f"<package>{metadata}<manifest>{items}</manifest><spine>{order}</spine></package>"


def book(chapters: dict[str, bytes | str], names: Sequence[str] | None = None, **members: str) -> bytes:
    opf = package(names or list(chapters), "Birds")
    return zipped({"META-INF/container.xml": CONTAINER, "book.opf": opf, **chapters, **members})


def test_chapters_are_read_in_the_order_of_the_spine_below_the_title() -> None:
    data = book({"a.xhtml": "<p>second", "b.xhtml": "<h2>Herons</h2><p>first"}, ["b.xhtml", "a.xhtml"])
    assert found(epub_reader, data) == "# Birds\n\n## Herons\n\nfirst\n\nsecond"


def test_an_empty_title_in_xhtml_does_not_swallow_the_chapter() -> None:
    head = '<?xml version="1.0"?><!DOCTYPE html><html><head><title/><script src="x"/></head>'
    page = f'{head}<body><a id="x"/>text</body></html>'
    assert found(epub_reader, book({"a.xhtml": page})).endswith("\n\ntext")


def test_missing_and_damaged_chapters_are_noted() -> None:
    document = only(epub_reader, book({"a.xhtml": "text", "b.xhtml": b"\0\1\2"}, ["a.xhtml", "b.xhtml", "c.xhtml"]))
    assert document.text == "# Birds\n\ntext"
    assert document.note == (
        "b.xhtml left out: binary file (NUL bytes); c.xhtml left out: damaged document (it has no c.xhtml)"
    )


def encryption(name: str) -> str:
    data = f"<CipherData><CipherReference URI='{name}'/></CipherData>"
    return f"<encryption><EncryptedData>{data}</EncryptedData></encryption>"


def test_a_protected_book_is_unreadable_and_protected_fonts_do_not_matter() -> None:
    chapters: dict[str, bytes | str] = {"a.xhtml": "text"}
    assert found(epub_reader, book(chapters, **{"META-INF/encryption.xml": encryption("font.ttf")}))
    with pytest.raises(Unreadable, match="DRM"):
        found(epub_reader, book(chapters, **{"META-INF/encryption.xml": encryption("a.xhtml")}))


def test_a_book_without_chapters_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no list of chapters"):
        found(epub_reader, book({}, []))


# --- zip archives that do harm ---------------------------------------------------------------------------------------


def test_a_member_that_inflates_far_beyond_its_size_is_refused() -> None:
    with pytest.raises(Unreadable, match="zip bomb"):
        found(docx_reader, zipped({"word/document.xml": b" " * 20_000_000}))


def test_the_limit_holds_for_all_members_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "INFLATED", 3000)
    noise = random.Random(0).randbytes(1000).hex()
    with zips.Archive(io.BytesIO(zipped({"a": noise, "b": noise}))) as archive:
        archive.read("a")
        with pytest.raises(Unreadable, match="zip bomb"):
            archive.read("b")


def test_a_member_that_lies_about_its_size_is_damaged() -> None:
    data = bytearray(zipped({"word/document.xml": b" " * 100_000}))
    at = data.index(b"PK\x01\x02") + 24  # the size in the directory
    data[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(Unreadable, match="damaged"):
        found(docx_reader, bytes(data))


def test_an_archive_of_too_many_members_is_refused() -> None:
    with pytest.raises(Unreadable, match="10,001 files"):
        found(docx_reader, zipped({str(number): "" for number in range(10_001)}, zipfile.ZIP_STORED))


def test_methods_that_inflate_without_a_limit_are_refused() -> None:
    with pytest.raises(Unreadable, match="unusual"):
        found(docx_reader, zipped({"word/document.xml": "x"}, zipfile.ZIP_LZMA))


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(body(""))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + flags] |= 1
    with pytest.raises(Unreadable, match="encrypted"):
        found(docx_reader, bytes(data))


def test_a_part_with_entities_is_refused() -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    for encoding in ("utf-8", "utf-16"):
        document = f'{bomb}<w:document xmlns:w="{W}"><w:body><w:p>{run("&b;")}</w:p></w:body></w:document>'
        with pytest.raises(Unreadable, match="DTD"):
            found(docx_reader, zipped({"word/document.xml": document.encode(encoding)}))


def test_a_part_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Unreadable, match="damaged"):
        found(docx_reader, body("<w:p>" * 10_000 + "</w:p>" * 10_000))


# --- reStructuredText ------------------------------------------------------------------------------------------------


def test_underlines_become_headings_by_order_of_appearance() -> None:
    assert found(rst, "====\nOne\n====\n\nTwo\n---\n\ntext\n\nThree\n~~~~~\n\nFour\n----\n\nx") == (
        "# One\n\n## Two\n\ntext\n\n### Three\n\n## Four\n\nx"
    )


def test_roles_links_and_substitutions_are_their_text() -> None:
    source = (
        "A `link <http://a.b>`_, :ref:`label <target>`, :py:func:`~os.path.join`, :sup:`2`, ``x = *y``, *em*, `far`_, "
        "|name|, :prop:`A_<B>`, :pep:`8`.\n\n.. |name| replace:: Ann\n"
    )
    assert found(rst, source) == "A link, label, join, ², x = *y, em, far, Ann, A_<B>, PEP 8."


def test_lists_and_definitions_of_rst_become_items() -> None:
    source = "* fish\n\n  1. carp\n  2. eel\n\n* frogs\n\nheron : bird\n   tall\n"
    assert found(rst, source) == "- fish\n  1. carp\n  2. eel\n- frogs\n\n- heron: bird\n  tall"


def test_literal_blocks_and_code_become_fences() -> None:
    source = "So::\n\n    a\n      b\n\n.. code-block:: c\n   :linenos:\n   :unheard-of: 1\n\n   int a;\n"
    assert found(rst, source) == "So:\n\n```\na\n  b\n```\n\n```c\nint a;\n```"


def test_simple_and_grid_tables_become_rows() -> None:
    simple = "=== ===\nA   B\n=== ===\n1   2\n=== ===\n"
    grid = "+---+---+\n| a | b |\n+   +---+\n|   | c |\n+---+---+\n"
    assert found(rst, f"{simple}\n{grid}") == "| A | B |\n|---|---|\n| 1 | 2 |\n\n| a | b |\n|  | c |"


def test_what_stands_in_a_directive_is_kept_even_if_nobody_knows_it() -> None:
    source = (
        ".. note:: Take\n   care.\n\n.. unheard-of:: Title\n   :option: 1\n\n   Content.\n\n"
        ".. versionadded:: 3.2\n   News.\n\n.. function:: f(a, *args)\n\n   Does it.\n"
    )
    assert (
        found(rst, source)
        == "Take care.\n\nTitle\n\nContent.\n\nAdded in version 3.2: News.\n\nf(a, *args)\n\nDoes it."
    )


def test_comments_are_left_out_and_counted() -> None:
    document = only(rst, "text\n\n.. a remark\n   of two lines\n")
    assert (document.text, document.removed) == ("text", len("a remark of two lines"))


def test_nothing_is_included_from_elsewhere(tmp_path: Any) -> None:
    (tmp_path / "key.txt").write_text("secret")
    wanted = (
        ".. include:: {0}",
        ".. literalinclude:: {0}",
        ".. csv-table::\n   :file: {0}",
        ".. raw:: html\n   :file: {0}",
    )
    source = "\n\n".join(["text", *wanted]).format(tmp_path / "key.txt")
    assert "secret" not in found(rst, source)


def test_complaints_of_docutils_are_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "wrong" in found(rst, "Title\n==\n\n*wrong\n\n=== ===\nA\n\n.. image::\n\n:a:`\n")
    assert capfd.readouterr() == ("", "")


def test_rst_nested_too_deeply_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="nested too deeply"):
        found(rst, "\n\n".join(" " * depth + "x" for depth in range(1500)))


def test_directives_are_looked_up_as_before_after_a_file_was_read() -> None:
    before = rst.directives.directive
    found(rst, "text")
    assert rst.directives.directive is before


# --- notebooks -------------------------------------------------------------------------------------------------------


def cell(kind: str, source: Any, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "outputs": list(outputs)}


def cells(*made: dict[str, Any]) -> str:
    return json.dumps({"cells": made, "metadata": {"kernelspec": {"language": "julia"}}, "nbformat": 4})


def test_cells_become_markdown_and_fences_in_the_language_of_the_notebook() -> None:
    data = cells(cell("markdown", ["# Herons\n", "* tall"]), cell("code", "x = 1\n"))
    assert found(notebook, data) == "# Herons\n* tall\n\n```julia\nx = 1\n```"


def test_short_outputs_are_kept_and_long_ones_and_pictures_are_not() -> None:
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "text": ["\x1b[31mone\x1b[0m\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "2", "image/png": "iVBO"}},
        {"output_type": "stream", "text": "x\n" * 1000},
        {"output_type": "display_data", "data": {"image/png": "iVBO"}},
    ]
    document = only(notebook, cells(cell("code", "f()", *outputs)))
    assert document.text == "```julia\nf()\n```\n\n```\none\n```\n\n```\n2\n```"
    assert document.removed == 1999


def test_a_notebook_of_format_3_is_read() -> None:
    sheet = {
        "cells": [
            {"cell_type": "heading", "level": 2, "source": "Herons"},
            {
                "cell_type": "code",
                "input": ["1 + 1"],
                "language": "python",
                "outputs": [{"output_type": "pyout", "text": ["2"]}],
            },
        ]
    }
    assert found(notebook, json.dumps({"worksheets": [sheet]})) == "## Herons\n\n```python\n1 + 1\n```\n\n```\n2\n```"


def test_half_a_character_in_a_notebook_can_be_written_down() -> None:
    assert found(notebook, cells(cell("markdown", "a\ud800b"))) == "a\ufffdb"


@pytest.mark.parametrize(
    "data",
    [
        "[]",
        "{}",
        '{"cells": 1}',
        '{"cells": [',
        "[" * 100_000,
        '{"cells": []}',
        '{"worksheets": [1, {"cells": 2}]}',
        "text",
    ],
)
def test_what_is_no_notebook_is_unreadable(data: str) -> None:
    with pytest.raises(Unreadable):
        found(notebook, data)


# --- damaged files ---------------------------------------------------------------------------------------------------

READERS = {"html": html, "docx": docx_reader, "epub": epub_reader, "rst": rst, "notebook": notebook}
RUBBISH = (
    b"<",
    b"\0",
    b"&#0;",
    b"`",
    b"|",
    b"..",
    b"::",
    b"\n   ",
    b"99999999999999999999",
    b'"',
    b"{",
    b"\xff",
    b"+--+",
)


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 20))):
        at = rng.randrange(len(changed))
        changed[at : at + rng.randrange(4)] = rng.choice((b"", rng.choice(RUBBISH), bytes(changed[at - 30 : at])))
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.1 else changed)


def damaged_within(data: bytes, rng: random.Random) -> bytes:
    """An archive of which one member is damaged, and which is right as an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice([name for name in archive.namelist() if name.endswith(("ml", "opf"))])
        members[name] = damaged(archive.read(name), rng)
    return zipped(members)


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_read_or_unreadable_and_nothing_else(kind: str) -> None:
    rng = random.Random(7)
    data = next(made.data for made in CORPUS if made.kind == kind)
    for number in range(40):
        damage = damaged_within if kind in {"docx", "epub"} and number % 4 else damaged
        with suppress(Unreadable):
            assert found(READERS[kind], damage(data, rng))
