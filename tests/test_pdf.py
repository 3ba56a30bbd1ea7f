"""The PDF reader, on real files: every word once, in the order of reading, without what only pages need."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO

import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from benchmarks.corpus.made import Made, words
from benchmarks.corpus.pdfs import PASSWORD, pdfs, picture
from blasphemer.dataset_processor.formats import pdf
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.pdf_layout import Word, arrange
from blasphemer.dataset_processor.formats.pdf_lines import Title, compose
from blasphemer.errors import Unreadable
from blasphemer.records import Document

AS_USUAL = Options()
HAS_OCR = find_spec("pytesseract") is not None and shutil.which("tesseract") is not None
PROSE = (
    "The heron stands in shallow water and waits for",
    "fish that come near. It nests in tall trees, often",
    "with many others, and uses its nest again in the",
    "year that follows. In winter it leaves the lakes",
    "of the north when the ice comes, and it is back",
    "before most other birds have thought of leaving",
    "the warm shores of the south for another year.",
)


def read(data: bytes, options: Options = AS_USUAL) -> Document:
    (document,) = pdf.read(BytesIO(data), "a.pdf", options)
    assert document.file == "a.pdf"
    assert isinstance(document, Document)
    return document


def refusal(data: bytes, options: Options = AS_USUAL) -> str:
    with pytest.raises(Unreadable) as caught:
        list(pdf.read(BytesIO(data), "a.pdf", options))
    return str(caught.value)


class Drawn:
    """A PDF drawn with reportlab, 10 points Helvetica."""

    def __init__(self) -> None:
        self.file = BytesIO()
        self.canvas = Canvas(self.file, pagesize=(595, 842), invariant=1)

    def text(self, x: float, y: float, *lines: str, leading: float = 14) -> Drawn:
        self.canvas.setFont("Helvetica", 10)
        for row, line in enumerate(lines):
            self.canvas.drawString(x, y - leading * row, line)
        return self

    def turn(self) -> Drawn:
        self.canvas.showPage()
        return self

    def scan(self, text: str = "") -> Drawn:
        self.canvas.drawImage(ImageReader(BytesIO(picture(text))), 0, 0, 595, 842)
        return self.turn()

    def bytes(self) -> bytes:
        self.canvas.save()
        return self.file.getvalue()


# --- PDFs, written by hand -------------------------------------------------------------------------------------------


def pdf_bytes(pages: Sequence[Sequence[str]], password: str | None = None) -> bytes:
    """A PDF of one text object per page, Helvetica 10 pt; `password` encrypts it (RC4, 40 bits)."""
    contents = [page_content(lines) for lines in pages]
    first = 4  # 1 catalog, 2 pages, 3 font, then a page and its content, turn by turn
    kids = " ".join(f"{first + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}/MediaBox[0 0 595 842]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    trailer = b""
    key = b""
    if password is not None:
        key, trailer = encryption(password)
    for index, content in enumerate(contents):
        number = first + 2 * index + 1
        object_key = hashlib.md5(key + struct.pack("<I", number)[:3] + b"\0\0").digest()[:10]
        resources = b"/Resources<</Font<</F 3 0 R>>>>"
        objects.append(b"<</Type/Page/Parent 2 0 R%s/Contents %d 0 R>>" % (resources, number))
        objects.append(stream(rc4(object_key, content) if key else content))
    return assemble(objects, trailer)


def page_content(lines: Sequence[str]) -> bytes:
    shown = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in lines]
    return "BT /F 10 Tf 14 TL 50 780 Td {} ET".format(" ".join(f"({line}) Tj T*" for line in shown)).encode("cp1252")


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), entries, content)


def assemble(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return (
        out
        + head
        + b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF"
        % (
            len(objects) + 1,
            trailer,
            len(out),
        )
    )


def rc4(key: bytes, data: bytes) -> bytes:
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def encryption(password: str) -> tuple[bytes, bytes]:
    """The file key and the trailer entries of the standard security handler, revision 2 (PDF 32000-1, 7.6.3)."""
    pad = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    owner_key = hashlib.md5((b"owner" + pad)[:32]).digest()[:5]
    user = (password.encode() + pad)[:32]
    owner_entry = rc4(owner_key, user)
    key = hashlib.md5(user + owner_entry + struct.pack("<i", -4) + b"id").digest()[:5]
    entries = f"/V 1/R 2/P -4/O<{owner_entry.hex()}>/U<{rc4(key, pad).hex()}>"
    return key, f"/Encrypt<</Filter/Standard{entries}>>/ID[<{b'id'.hex()}><{b'id'.hex()}>]".encode()


# --- lines and pages -------------------------------------------------------------------------------------------------


def test_page_spans_hold_exactly_the_text_of_their_pages() -> None:
    pages = [["The heron stands still."], [], ["The egret is white (mostly)."], ["Naïve cranes dance."]]
    document = read(pdf_bytes(pages))
    assert [document.text[start:end] for start, end in document.pages] == [" ".join(lines) for lines in pages]
    assert document.text == "The heron stands still.\n\nThe egret is white (mostly).\n\nNaïve cranes dance."


def test_a_header_that_counts_along_goes_and_numbered_headings_stay() -> None:
    pages = [
        f"Chapter {'AB'[n // 6]} {n + 1}\r\n{n + 1} Heading {chr(97 + n)}\r\nSome text {chr(97 + n)}." for n in range(9)
    ]
    pages += [f"Chapter C {n + 1}\r\nMore text {chr(97 + n)}." for n in range(9, 12)]
    read = compose(pages)
    assert "Chapter" not in read.text
    assert read.text.startswith("1 Heading a\n\nSome text a.")
    assert "9 Heading i" in read.text


def test_rows_of_numbers_at_the_edges_of_pages_are_no_page_numbers() -> None:
    read = compose(["1990 12 7\r\n5", "1995 31 8\r\n17", "1998 27 9\r\n2"])
    assert (read.text, read.lost) == ("1990 12 7\n5\n\n1995 31 8\n17\n\n1998 27 9\n2", 0)


def test_a_text_of_nothing_but_the_same_line_is_kept() -> None:
    assert read(pdf_bytes([["Hello."]] * 3)).text == "Hello.\n\nHello.\n\nHello."


def test_words_parted_at_line_ends_are_joined_and_compounds_keep_their_hyphen() -> None:
    lines = [
        "Herons are long-legged, long-necked, freshwater and coastal birds of the fam-",
        "ily Ardeidae, with seventy-two recognised species, of which some are well-",
        "known as egrets. They are also called shitepokes, and the smaller ones long-",
        "necked birds.",
    ]
    text = read(pdf_bytes([lines])).text
    assert "of the family Ardeidae" in text
    assert "smaller ones long-necked birds." in text
    assert "\n" not in text
    assert "\ufffe" not in text


def test_ligatures_and_soft_hyphens_are_spelt_out_and_powers_stay() -> None:
    assert compose(["of\ufb01ce e\ufb03cient co\xadop 5 m² ½"]).text == "office efficient coop 5 m² ½"


def test_wrapped_lines_make_paragraphs_and_headings_and_lists_stand_apart() -> None:
    lines = [
        "2.1 Habitat",
        "Herons are a mobile family, with most species being at least partially",
        "migratory, and they are found near water everywhere but in the Arctic, in",
        "deserts and on high mountains.",
        "Their nests are made of sticks and are placed in trees, often many together,",
        "and used again in the year that follows:",
        "• grey heron",
        "• purple heron",
    ]
    assert compose(["\r\n".join(lines)]).text.split("\n") == [
        lines[0],
        "",
        " ".join(lines[1:4]),
        "",
        " ".join(lines[4:6]),
        *lines[6:],
    ]


def test_a_blank_line_parts_paragraphs_even_in_the_middle_of_a_sentence() -> None:
    line = "herons are long-legged, long-necked, freshwater and coastal birds,"
    assert compose([f"{line}\r\n{line}\r\n \r\n{line}"]).text == f"{line} {line}\n\n{line}"


def test_scripts_without_spaces_are_joined_without_a_space() -> None:
    line = "サギは浅い水辺で魚を捕る鳥です長い脚と首をもち"
    assert compose([f"{line}\r\n{line}"]).text == line + line


def test_tables_and_programs_keep_their_lines() -> None:
    table = [
        "Species Wingspan Weight Eggs Country",
        "Grey heron 175-195 1.0-2.1 kg 3-5 99%",
        "Great egret 131-170 0.7-1.5 kg 3-6 97%",
    ]
    program = ["for (bird = herons; bird != NULL; bird = next(bird)) {", "count(bird);", "}"]
    for lines in (table, program):
        assert compose(["\n".join(lines)]).text.split("\n") == lines


def test_a_sentence_runs_on_across_the_page_break() -> None:
    read = compose(["The herons of the northern lakes leave their nests when", "the ice comes. They return."])
    assert read.text == "The herons of the northern lakes leave their nests when the ice comes. They return."
    assert [read.text[start:end] for start, end in read.pages][1] == "the ice comes. They return."


def test_a_word_parted_by_the_page_break_is_whole_and_both_spans_are_exact() -> None:
    read = compose(["Here stands a her-", "on in the water."])
    assert read.text == "Here stands a heron in the water."
    assert read.pages == ((0, 17), (17, 33))


def test_running_headers_footers_and_page_numbers_go_and_are_counted() -> None:
    pages = [
        ["Heron Manual 1998", f"Fact {word} stands here.", f"- {number} -"] for number, word in enumerate("abcde", 7)
    ]
    document = read(pdf_bytes(pages))
    assert document.text == "\n\n".join(f"Fact {word} stands here." for word in "abcde")
    assert document.removed == sum(len(page[0]) + len(page[2]) for page in pages)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.4 and nothing more", "damaged PDF"),
        (pdf_bytes([["text"]])[:150], "damaged PDF"),
        (b"", "damaged PDF"),
        (pdf_bytes([[], []]), "no text layer (2 pages: a scan needs OCR: name its languages with --ocr-languages)"),
        (pdf_bytes([[]]), "no text layer (1 page: a scan needs OCR: name its languages with --ocr-languages)"),
    ],
)
def test_a_pdf_without_readable_text_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    """Pitfall 12"""
    assert refusal(data) == reason


def test_random_damage_is_refused_or_read_and_never_raises_anything_else() -> None:
    """Pitfall 12"""
    rng = random.Random(1)
    whole = pdf_bytes([list(PROSE), ["More."]])
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            read(bytes(data))
        except Unreadable:
            refused += 1
    assert 0 < refused < 150


# --- passwords -------------------------------------------------------------------------------------------------------


def test_a_pdf_whose_password_is_empty_opens_whatever_password_is_given() -> None:
    data = pdf_bytes([["Open to all."]], password="")
    assert read(data).text == read(data, Options(password="another file's")).text == "Open to all."


def test_an_encrypted_pdf_opens_with_its_password_and_says_which_setting_gives_it() -> None:
    data = pdf_bytes([["secret"]], password="open sesame")
    assert read(data, Options(password="open sesame")).text == "secret"
    assert refusal(data) == "encrypted PDF: give its password with --document-password"
    wrong = refusal(data, Options(password="open barley"))
    assert wrong == "encrypted PDF: the password given with --document-password does not open it"


# --- columns, tables, turned pages -----------------------------------------------------------------------------------


def test_columns_drawn_row_by_row_are_read_one_after_the_other() -> None:
    drawn = Drawn()
    right = [line.replace("heron", "egret") for line in PROSE]
    for row, (one, other) in enumerate(zip(PROSE, right, strict=True)):
        drawn.text(50, 700 - 14 * row, one).text(310, 700 - 14 * row, other)
    assert read(drawn.bytes()).text.split() == " ".join([*PROSE, *right]).split()


def test_a_paragraph_that_the_left_column_has_more_than_the_right_one_stays_in_it() -> None:
    drawn = Drawn()
    right = [line.replace("heron", "egret") for line in PROSE]
    for row, (one, other) in enumerate(zip(PROSE, right, strict=True)):
        drawn.text(50, 700 - 14 * row, one).text(310, 700 - 14 * row, other)
    more = [line.replace("heron", "crane") for line in PROSE]
    data = drawn.text(50, 700 - 14 * len(PROSE) - 14, *more).bytes()
    assert read(data).text.split() == " ".join([*PROSE, *more, *right]).split()


def test_columns_drawn_each_on_its_own_stay_as_they_are() -> None:
    right = [line.replace("heron", "egret") for line in PROSE]
    data = Drawn().text(50, 700, *PROSE).text(310, 700, *right).bytes()
    assert read(data).text.split() == " ".join([*PROSE, *right]).split()


def test_a_title_across_two_columns_comes_before_both() -> None:
    drawn = Drawn().text(50, 760, "A title that is as wide as both of the columns below it, more or less, and says so")
    for row, line in enumerate(PROSE):
        drawn.text(50, 730 - 14 * row, line).text(310, 730 - 14 * row, line)
    assert read(drawn.bytes()).text.split()[-2 * len(" ".join(PROSE).split()) :] == " ".join(PROSE).split() * 2


def test_wide_gaps_in_justified_prose_make_neither_columns_nor_a_table() -> None:
    """Narrow prose set to both edges has gaps as wide as gutters, and now and then some stand one below the other."""
    rng = random.Random(1)
    for _ in range(300):
        lines = []
        for row in range(8):
            widths = [rng.uniform(15, 45) for _ in range(5)]
            gap = (240 - sum(widths)) / 4
            starts = [50 + sum(widths[:index]) + gap * index for index in range(5)]
            y = 700.0 - 14 * row
            lines.append([Word("word", x, x + width, y, y + 11) for x, width in zip(starts, widths, strict=True)])
        layout = arrange(lines)
        assert (layout.text, layout.has_tables) == ("\n".join(["word word word word word"] * 8), False)


def test_rows_of_a_table_are_markdown_rows_and_empty_cells_keep_their_place() -> None:
    drawn = Drawn().text(50, 740, *PROSE[:3])
    rows = [("Species", "Weight", "Eggs"), ("Grey heron", "2.1 kg", "3"), ("Egret", "", "6"), ("A|B", "1 kg", "12")]
    for row, cells in enumerate(rows):
        for x, cell in zip((50, 200, 300), cells, strict=True):
            drawn.text(x, 670 - 16 * row, cell)
    document = read(drawn.text(50, 560, *PROSE[3:]).bytes())
    table = "| Species | Weight | Eggs |\n| Grey heron | 2.1 kg | 3 |\n| Egret |  | 6 |\n| A\\|B | 1 kg | 12 |"
    assert document.text == f"{' '.join(PROSE[:3])}\n\n{table}\n\n{' '.join(PROSE[3:])}"
    assert document.markdown


def test_two_rows_are_no_table() -> None:
    drawn = Drawn()
    for row, cells in enumerate([("Species", "Weight"), ("Grey heron", "2.1 kg")]):
        drawn.text(50, 700 - 16 * row, cells[0]).text(200, 700 - 16 * row, cells[1])
    document = read(drawn.bytes())
    assert (document.text, document.markdown) == ("Species Weight\nGrey heron 2.1 kg", False)


@pytest.mark.parametrize("place", range(5))
def test_a_row_with_a_long_cell_costs_a_table_no_row_wherever_it_stands(place: int) -> None:
    """The next column starts right behind the longest cell: the gutter is narrow, and most rows leave more of it."""
    drawn = Drawn()
    rows = [["Boat", "Crew"], ["Old tug", "4 men"], ["Ferry", "2 men"], ["Pilot cutter", "3 men"]]
    long = "Tender of the lighthouse"
    rows.insert(place, [long, "1 man"])
    second = 50 + drawn.canvas.stringWidth(long, "Helvetica", 10) + 7
    for row, cells in enumerate(rows):
        drawn.text(50, 700 - 16 * row, cells[0]).text(second, 700 - 16 * row, cells[1])
    assert read(drawn.bytes()).text == "\n".join(f"| {one} | {other} |" for one, other in rows)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("mark", ["*", "†"])
def test_the_mark_of_a_footnote_in_the_gap_after_a_cell_belongs_to_the_cell(mark: str, place: int) -> None:
    drawn = Drawn()
    rows = [["Lock", "Depth", "Gates"], ["Upper", "3.2 m", "2"], ["Old mill", "2.8 m", "4"], ["Harbour", "4.1 m", "2"]]
    for row, cells in enumerate(rows):
        for x, cell in zip((50, 120, 152, 162), (*cells[:2], mark if row == place else "", cells[2]), strict=True):
            drawn.text(x, 700 - 16 * row, cell)
    rows[place][1] += f" {mark}"
    assert read(drawn.bytes()).text == "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def test_a_head_with_an_empty_corner_belongs_to_its_table_and_a_caption_does_not() -> None:
    drawn = Drawn().text(50, 716, "Tons landed in each of the two years")
    rows = [("", "Spring", "Autumn"), ("Cod", "12 t", "9 t"), ("Grey mullet", "7 t", "11 t"), ("Eel", "1 t", "3 t")]
    for row, cells in enumerate(rows):
        for x, cell in zip((50, 200, 300), cells, strict=True):
            drawn.text(x, 700 - 16 * row, cell)
    table = "|  | Spring | Autumn |\n| Cod | 12 t | 9 t |\n| Grey mullet | 7 t | 11 t |\n| Eel | 1 t | 3 t |"
    assert read(drawn.bytes()).text == f"Tons landed in each of the two years\n{table}"


def test_a_program_whose_values_stand_below_each_other_is_no_table() -> None:
    """In a typewriter's font the space between words is as wide as a narrow gutter."""
    drawn = Drawn()
    drawn.canvas.setFont("Courier", 10)
    lines = [
        "quay:       (stone, 3)",
        "lighthouse: (brick and stone, 1)",
        "pier:       (oak, 2)",
        "mole:       (iron, 1)",
    ]
    for row, line in enumerate(lines):
        drawn.canvas.drawString(50, 700 - 12 * row, line)
    document = read(drawn.bytes())
    assert not document.markdown
    assert "|" not in document.text


@pytest.mark.parametrize("marks", ["•••", ["1.", "2.", "3."], ["(a)", "(b)", "(c)"], ["[1]", "[2]", "[3]"]])
def test_lists_with_hanging_marks_are_no_tables(marks: Sequence[str]) -> None:
    drawn = Drawn()
    for row, mark in enumerate(marks):
        drawn.text(50, 700 - 14 * row, mark).text(80, 700 - 14 * row, f"heron {row}")
    document = read(drawn.bytes())
    assert document.text == "\n".join(f"{mark} heron {row}" for row, mark in enumerate(marks))
    assert not document.markdown


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_pages_that_are_shown_turned_are_read_from_their_first_line(angle: int) -> None:
    drawn = Drawn()
    drawn.canvas.setPageRotation(angle)
    assert read(drawn.text(50, 700, *PROSE).bytes()).text == " ".join(PROSE)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_text_that_runs_up_or_down_a_page_is_read_from_its_first_line(angle: int) -> None:
    drawn = Drawn()
    drawn.canvas.translate(300, 400)
    drawn.canvas.rotate(angle)
    assert read(drawn.text(-150, 100, *PROSE).bytes()).text == " ".join(PROSE)


def test_the_pieces_of_a_line_that_runs_upside_down_are_put_in_order() -> None:
    drawn = Drawn()
    drawn.canvas.translate(500, 400)
    drawn.canvas.rotate(180)
    for row, line in enumerate(PROSE):
        drawn.text(0, 100 - 14 * row, line[:10])
        drawn.text(drawn.canvas.stringWidth(line[:10], "Helvetica", 10), 100 - 14 * row, line[10:])
    assert read(drawn.bytes()).text == " ".join(PROSE)


def test_a_stamp_along_the_margin_does_not_disturb_the_text() -> None:
    drawn = Drawn().text(100, 700, *PROSE[:4])
    drawn.canvas.saveState()
    drawn.canvas.translate(40, 600)
    drawn.canvas.rotate(90)
    drawn.text(0, 0, "Herons 1998, draft")
    drawn.canvas.restoreState()
    data = drawn.text(100, 700 - 4 * 14, *PROSE[4:]).bytes()
    assert read(data).text == " ".join(PROSE) + "\n\nHerons 1998, draft"


def test_space_left_between_lines_parts_paragraphs() -> None:
    data = Drawn().text(50, 700, *PROSE[:3]).text(50, 640, *PROSE[3:]).bytes()
    assert read(data).text == " ".join(PROSE[:3]) + "\n\n" + " ".join(PROSE[3:])


def test_lines_of_narrow_columns_are_joined_below_a_wide_abstract() -> None:
    """Whether a line is full is a question of its column, not of the widest lines of the page."""
    drawn = Drawn()
    wide = (
        "the abstract says that herons and egrets stand in shallow water, and that both of them live on fish and frogs"
    )
    narrow = "it says less, in narrower lines that go on"
    width = drawn.canvas.stringWidth(narrow, "Helvetica", 10)
    drawn.text(50, 780, *[wide] * 8).text(50, 650, *[narrow] * 8).text(560 - width, 650, *[narrow] * 8)
    paragraphs = read(drawn.bytes()).text.split("\n\n")
    assert paragraphs == [" ".join([wide] * 8), " ".join([narrow] * 16)]


# --- outline ---------------------------------------------------------------------------------------------------------


def test_what_the_outline_names_becomes_a_heading_of_its_level() -> None:
    drawn = Drawn()
    for level, (title, line) in enumerate(
        [("1 Birds", "1  BIRDS"), ("Herons of the lakes", "1.1 Herons of the lakes")]
    ):
        drawn.canvas.bookmarkPage(title)
        drawn.canvas.addOutlineEntry(title, title, level)
        drawn.text(50, 700, line).text(50, 660, *PROSE).turn()
    document = read(drawn.bytes())
    assert document.text == f"# 1 BIRDS\n\n{' '.join(PROSE)}\n\n## 1.1 Herons of the lakes\n\n{' '.join(PROSE)}"
    assert document.markdown
    assert [document.text[start : start + 6] for start, _ in document.pages] == ["# 1 BI", "## 1.1"]


def test_a_heading_on_two_lines_becomes_one() -> None:
    composed = compose(["Of herons and\negrets\nThey stand still."], [Title("Of herons and egrets", 1, 0)])
    assert composed.text == "# Of herons and egrets\n\nThey stand still."


def test_a_heading_that_is_also_the_running_header_stays_once() -> None:
    pages = ["Herons\nHerons\nText a."] + [f"Herons\nText {letter}." for letter in "bcdef"]
    composed = compose(pages, [Title("Herons", 1, 0)])
    assert composed.text.count("Herons") == 1
    assert composed.text.startswith("# Herons\n\nText a.")


def test_titles_of_the_outline_that_no_line_says_change_nothing() -> None:
    pages = ["Herons stand still."]
    for title in (Title("Egrets", 1, 0), Title("Herons", 1, 7), Title("Herons", 1, -1), Title("***", 1, 0)):
        assert compose(pages, [title]) == compose(pages)


def test_lines_that_only_look_like_markdown_open_no_section() -> None:
    """Comments of a program are no headings, and its backticks no fence: Markdown's own escape says so."""
    page = "Setup\n# install first\n```\n#include <heron.h>"
    composed = compose([page], [Title("Setup", 2, 0)])
    assert composed.text == "## Setup\n\n\\# install first\n\\```\n#include <heron.h>"
    assert "\\" not in compose([page]).text


# --- pages without text ----------------------------------------------------------------------------------------------


def test_scanned_pages_are_named_and_blank_ones_are_not() -> None:
    drawn = Drawn().text(50, 700, "A page of text.").turn()
    drawn.scan().text(50, 700, "More text.").turn().turn().scan().scan()
    document = read(drawn.bytes())
    assert document.text == "A page of text.\n\nMore text."
    assert document.note == "pages 2, 5-6 are scans without text"
    assert len(document.pages) == 6


def test_one_scanned_page_is_named_in_the_singular() -> None:
    document = read(Drawn().text(50, 700, "A page of text.").turn().scan().bytes())
    assert document.note == "page 2 is a scan without text"


def test_a_scan_says_what_to_install_where_ocr_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytesseract", None)
    data = Drawn().text(50, 700, "A page of text.").turn().scan().scan().bytes()
    wanted = "pages 2-3 are scans without text (for OCR: pip install pytesseract, and Tesseract itself)"
    assert read(data, Options(ocr_languages="eng")).note == wanted
    reason = refusal(Drawn().scan().bytes(), Options(ocr_languages="eng"))
    assert reason.startswith("no text layer (1 page: a scan needs OCR: for OCR: pip install")


@pytest.mark.skipif(not HAS_OCR, reason="needs pytesseract and Tesseract")
def test_scanned_pages_are_recognised_where_languages_are_named() -> None:
    drawn = Drawn().text(50, 700, "A page of text.").turn().scan("The heron stands still in shallow water.")
    document = read(drawn.bytes(), Options(ocr_languages="eng"))
    assert document.text == "A page of text.\n\nThe heron stands still in shallow water."
    assert document.note == "page 2 was read by OCR"


@pytest.mark.skipif(not HAS_OCR, reason="needs pytesseract and Tesseract")
def test_a_language_that_tesseract_does_not_know_is_named() -> None:
    data = Drawn().text(50, 700, "A page of text.").turn().scan("Heron").bytes()
    assert "Tesseract has no data for 'xyz'" in read(data, Options(ocr_languages="xyz")).note


def test_recognising_stops_when_its_time_is_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "blasphemer.dataset_processor.formats.ocr.recognised", lambda _page, _languages: "A recognised page."
    )
    data = Drawn().scan().scan().scan().bytes()
    document = read(data, Options(ocr_languages="eng", ocr_seconds=0))
    assert document.text == "A recognised page."
    assert "pages 2-3 are scans without text (OCR stopped after 0 s: --file-timeout allows more)" in document.note


def unmapped_pdf(lines: Sequence[Sequence[bytes]]) -> bytes:
    """Lines of pieces that alternate between Helvetica and a font of glyph numbers without a Unicode map."""
    shown = b"BT 14 TL 50 780 Td "
    for line in lines:
        for index, piece in enumerate(line):
            shown += b"/%s 10 Tf <%s> Tj " % (b"FG"[index % 2 : index % 2 + 1], piece.hex().encode())
        shown += b"T* "
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>",
        b"<</Type/Page/Parent 2 0 R/Resources<</Font<</F 5 0 R/G 6 0 R>>>>/Contents 4 0 R>>",
        stream(shown + b"ET"),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Type/Font/Subtype/Type0/BaseFont/Odd/Encoding/Identity-H/DescendantFonts[7 0 R]>>",
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/Odd"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor 8 0 R/DW 500>>",
        b"<</Type/FontDescriptor/FontName/Odd/Flags 4/FontBBox[0 0 500 700]/ItalicAngle 0/Ascent 700/Descent 0"
        b"/CapHeight 700/StemV 80>>",
    ]
    return assemble(objects)


def test_text_of_a_font_without_a_unicode_map_is_left_out_line_by_line_and_said() -> None:
    glyphs = b"".join(struct.pack(">H", number) for number in (37, 38, 3, 55, 61, 39, 40, 41))
    document = read(unmapped_pdf([[b"Herons stand still in the water."], [b"", glyphs], [b"Egrets do not."]]))
    assert document.text.split() == "Herons stand still in the water. Egrets do not.".split()
    assert document.note == "page 1 has text in a font without a Unicode map, which was left out"
    assert document.removed > 0


def test_characters_beyond_the_first_65536_are_whole_and_shift_nothing() -> None:
    """PDFium counts them twice: words after them would take the places of others."""
    codes = b"<41> <D835DC4E> <42> <0062>"
    named = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def "
    named += b"1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfchar " + codes + b" endbfchar endcmap end end"
    show = b"BT /F 10 Tf 14 TL 50 700 Td "
    for row in range(4):
        show += b"(AA) Tj 100 0 Td (B%s) Tj 100 0 Td (AB) Tj -200 -14 Td " % (b"B" * row)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>",
        b"<</Type/Page/Parent 2 0 R/Resources<</Font<</F 5 0 R>>>>/Contents 4 0 R>>",
        stream(show + b"ET"),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 6 0 R>>",
        stream(named),
    ]
    italic = "\U0001d44e"
    rows = [f"| {italic}{italic} | b{'b' * row} | {italic}b |" for row in range(4)]
    assert read(assemble(objects)).text == "\n".join(rows)


# --- the corpus ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", list(pdfs(random.Random(7))), ids=lambda made: made.name)
def test_the_made_documents_are_read_word_by_word(made: Made) -> None:
    assert words(read(made.data, Options(password=PASSWORD)).text) == words(made.text)


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    assert list(pdfs(random.Random(3))) == list(pdfs(random.Random(3)))
