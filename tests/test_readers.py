"""The reading room, on real files: every file met is read or accounted for, and nothing hangs or crashes the run."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import time
import unicodedata
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

import pytest

from blasphemer.errors import SettingsError, SourceError, Unreadable
from blasphemer.readers import find_files, pdf, read_sources
from blasphemer.records import Document, LedgerEntry

GERMAN = "Der Käufer trägt die Kosten für Öl, Straße und Brücke \u2013 „so“ steht es im Vertrag. " * 4
ONE_NUL = "c1a1016bb89094b0f204046b375b8fa2967500480d54a67a1b1be1d756b74c37e35e5efd1805eaca7a7b8279178acfce95f6"
RUSSIAN = "Цапля стоит на одной ноге и ловит рыбу в мелкой воде. " * 6
JAPANESE = "サギは浅い水辺で魚を捕る鳥です。長い脚と首をもち、巣は高い木の上に作ります。" * 6


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


def endless_pdf() -> bytes:
    """Twelve forms, each drawing the next one twelve times: some 10**12 words to lay out."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1/MediaBox[0 0 595 842]>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Type/Page/Parent 2 0 R/Resources<</XObject<</X 6 0 R>>>>/Contents 5 0 R>>",
        stream(b"/X Do"),
    ]
    for number in range(7, 19):
        inside = b"/Resources<</XObject<</X %d 0 R>>/Font<</F 3 0 R>>>>" % number
        form = b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]" + inside
        objects.append(stream(b"/X Do " * 12, form))
    objects.append(stream(page_content(["word"]), b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]"))
    return assemble(objects)


# --- short cuts ------------------------------------------------------------------------------------------------------


def read_bytes(folder: Path, name: str, data: bytes, encoding: str | None = None) -> Document:
    (folder / name).write_bytes(data)
    (document,), skipped = read_sources([str(folder / name)], encoding)
    assert (document.file, skipped) == (name, [])
    return document


def reasons(source: Path) -> dict[str, str]:
    return {entry.file: entry.reason for entry in read_sources([str(source)])[1]}


def refusal(folder: Path, name: str, data: bytes, encoding: str | None = None) -> str:
    """The reason in the ledger, beside a file that can be read."""
    (folder / name).write_bytes(data)
    (folder / "fine.md").write_bytes(b"fine")
    documents, (entry,) = read_sources([str(folder)], encoding)
    assert [document.file for document in documents] == ["fine.md"]
    assert entry == LedgerEntry(name, "skipped", entry.reason, 0, 0, sha256=hashlib.sha256(data).hexdigest())
    return entry.reason


def names(source: Path) -> list[str]:
    return [path.relative_to(source).as_posix() for path in find_files(str(source))]


def grow(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"text of {file}", encoding="utf-8")
    return folder


# --- text ------------------------------------------------------------------------------------------------------------


def test_utf8_is_read_as_it_is(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.txt", GERMAN.encode())
    assert (document.text, document.encoding, document.markdown) == (GERMAN, "utf-8", False)
    assert document.sha256 == hashlib.sha256(GERMAN.encode()).hexdigest()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_and_is_not_text(tmp_path: Path, codec: str) -> None:
    """pitfall 12"""
    document = read_bytes(tmp_path, "a.txt", GERMAN.encode(codec))
    assert (document.text, document.encoding) == (GERMAN, codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, f"{JAPANESE}\n"])
def test_wide_encodings_are_known_without_a_mark(tmp_path: Path, text: str, codec: str) -> None:
    document = read_bytes(tmp_path, "a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


@pytest.mark.parametrize(("text", "codec"), [(GERMAN, "cp1252"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932")])
def test_old_encodings_are_guessed_and_named(tmp_path: Path, text: str, codec: str) -> None:
    """pitfall 12"""
    document = read_bytes(tmp_path, "a.txt", text.encode(codec))
    assert (document.text, document.encoding) == (text, codec)


def test_a_named_encoding_ends_the_guessing(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.txt", "schön".encode("cp437"), "cp437")
    assert (document.text, document.encoding) == ("schön", "cp437")


def test_a_file_that_the_named_encoding_cannot_read_is_skipped(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a.txt", "für".encode("cp1252"), "utf-8") == "not valid utf-8 (byte 1)"


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "", "undefined"])
def test_an_unknown_encoding_is_a_usage_error(tmp_path: Path, encoding: str) -> None:
    grow(tmp_path, "a.txt")
    with pytest.raises(SettingsError, match="is not a text encoding"):
        read_sources([str(tmp_path)], encoding)


def test_one_broken_byte_does_not_turn_utf8_into_gibberish(tmp_path: Path) -> None:
    data = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert refusal(tmp_path, "a.txt", data).startswith(f"damaged UTF-8 (byte {len(GERMAN.encode())})")


def test_line_ends_and_accents_are_normalised(tmp_path: Path) -> None:
    document = read_bytes(tmp_path, "a.md", unicodedata.normalize("NFD", "é\r\nü\rx²½\n").encode())
    assert document.text == "é\nü\nx²½\n"
    assert document.markdown


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no text"),
        (b" \r\n\t\n", "no text"),
        ("\ufeff\n".encode(), "no text"),
        (b"text\0\1\2 and\0 more" * 50, "binary file (NUL bytes)"),
        (struct.pack("<200h", *range(-100, 100)), "binary file (NUL bytes)"),
        (bytes.fromhex(ONE_NUL), "binary file (NUL bytes)"),
        (b"\x89PNG\r\n\x1a\n" + b"IHDR", "binary file (PNG image)"),
        (pdf_bytes([["text"]]), "binary file (PDF)"),
        (b"\x1b[0m" * 200, "binary file (control characters)"),
    ],
)
def test_what_is_not_text_is_refused_whatever_it_is_called(tmp_path: Path, data: bytes, reason: str) -> None:
    assert refusal(tmp_path, "a.txt", data) == reason


def test_a_text_about_magic_numbers_is_a_text(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a.txt", b"GIF89a opens a GIF, MZ a program.").text.startswith("GIF89a")


# --- PDF -------------------------------------------------------------------------------------------------------------


def test_page_spans_hold_exactly_the_text_of_their_pages(tmp_path: Path) -> None:
    pages = [["The heron stands still."], [], ["The egret is white (mostly)."], ["Naïve cranes dance."]]
    document = read_bytes(tmp_path, "birds.pdf", pdf_bytes(pages))
    assert [document.text[start:end] for start, end in document.pages] == [" ".join(lines) for lines in pages]
    assert document.text == "The heron stands still.\n\nThe egret is white (mostly).\n\nNaïve cranes dance."


def test_running_headers_footers_and_page_numbers_go_and_are_counted(tmp_path: Path) -> None:
    pages = [
        ["Heron Manual 1998", f"Fact {word} stands here.", f"- {number} -"] for number, word in enumerate("abcde", 7)
    ]
    (tmp_path / "a.pdf").write_bytes(pdf_bytes(pages))
    with FileIO(tmp_path / "a.pdf") as file:
        read = pdf.read_pdf(file)
    assert read.text == "\n\n".join(f"Fact {word} stands here." for word in "abcde")
    assert read.lost == sum(len(page[0]) + len(page[2]) for page in pages)


def test_a_header_that_counts_along_goes_and_numbered_headings_stay() -> None:
    pages = [
        f"Chapter {'AB'[n // 6]} {n + 1}\r\n{n + 1} Heading {chr(97 + n)}\r\nSome text {chr(97 + n)}." for n in range(9)
    ]
    pages += [f"Chapter C {n + 1}\r\nMore text {chr(97 + n)}." for n in range(9, 12)]
    read = pdf.compose(pages)
    assert "Chapter" not in read.text
    assert read.text.startswith("1 Heading a\n\nSome text a.")
    assert "9 Heading i" in read.text


def test_rows_of_numbers_at_the_edges_of_pages_are_no_page_numbers() -> None:
    read = pdf.compose(["1990 12 7\r\n5", "1995 31 8\r\n17", "1998 27 9\r\n2"])
    assert (read.text, read.lost) == ("1990 12 7\n5\n\n1995 31 8\n17\n\n1998 27 9\n2", 0)


def test_a_text_of_nothing_but_the_same_line_is_kept(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a.pdf", pdf_bytes([["Hello."]] * 3)).text == "Hello.\n\nHello.\n\nHello."


def test_words_parted_at_line_ends_are_joined_and_compounds_keep_their_hyphen(tmp_path: Path) -> None:
    lines = [
        "Herons are long-legged, long-necked, freshwater and coastal birds of the fam-",
        "ily Ardeidae, with seventy-two recognised species, of which some are well-",
        "known as egrets. They are also called shitepokes, and the smaller ones long-",
        "necked birds.",
    ]
    text = read_bytes(tmp_path, "a.pdf", pdf_bytes([lines])).text
    assert "of the family Ardeidae" in text
    assert "smaller ones long-necked birds." in text
    assert "\n" not in text
    assert "\ufffe" not in text


def test_ligatures_and_soft_hyphens_are_spelt_out_and_powers_stay() -> None:
    assert pdf.compose(["of\ufb01ce e\ufb03cient co\xadop 5 m² ½"]).text == "office efficient coop 5 m² ½"


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
    assert pdf.compose(["\r\n".join(lines)]).text.split("\n") == [
        lines[0],
        "",
        " ".join(lines[1:4]),
        "",
        " ".join(lines[4:6]),
        *lines[6:],
    ]


def test_a_blank_line_parts_paragraphs_even_in_the_middle_of_a_sentence() -> None:
    line = "herons are long-legged, long-necked, freshwater and coastal birds,"
    assert pdf.compose([f"{line}\r\n{line}\r\n \r\n{line}"]).text == f"{line} {line}\n\n{line}"


def test_scripts_without_spaces_are_joined_without_a_space() -> None:
    line = "サギは浅い水辺で魚を捕る鳥です長い脚と首をもち"
    assert pdf.compose([f"{line}\r\n{line}"]).text == line + line


def test_tables_and_programs_keep_their_lines() -> None:
    table = [
        "Species Wingspan Weight Eggs Country",
        "Grey heron 175-195 1.0-2.1 kg 3-5 99%",
        "Great egret 131-170 0.7-1.5 kg 3-6 97%",
    ]
    program = ["for (bird = herons; bird != NULL; bird = next(bird)) {", "count(bird);", "}"]
    for lines in (table, program):
        assert pdf.compose(["\n".join(lines)]).text.split("\n") == lines


def test_a_sentence_runs_on_across_the_page_break() -> None:
    read = pdf.compose(["The herons of the northern lakes leave their nests when", "the ice comes. They return."])
    assert read.text == "The herons of the northern lakes leave their nests when the ice comes. They return."
    assert [read.text[start:end] for start, end in read.pages][1] == "the ice comes. They return."


def test_a_word_parted_by_the_page_break_is_whole_and_both_spans_are_exact() -> None:
    read = pdf.compose(["Here stands a her-", "on in the water."])
    assert read.text == "Here stands a heron in the water."
    assert read.pages == ((0, 17), (17, 33))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.4 and nothing more", "damaged PDF"),
        (pdf_bytes([["text"]])[:150], "damaged PDF"),
        (b"", "damaged PDF"),
        (pdf_bytes([["secret"]], password="open sesame"), "encrypted PDF"),
        (pdf_bytes([[], []]), "no text layer (2 pages: a scan needs OCR)"),
        (pdf_bytes([[]]), "no text layer (1 page: a scan needs OCR)"),
    ],
)
def test_a_pdf_without_readable_text_is_skipped_with_its_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    """pitfall 12"""
    assert refusal(tmp_path, "a.pdf", data) == reason


def test_a_pdf_whose_password_is_empty_opens(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a.pdf", pdf_bytes([["Open to all."]], password="")).text == "Open to all."


def test_a_pdf_that_would_take_forever_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(endless_pdf())
    started = time.monotonic()
    with FileIO(tmp_path / "a.pdf") as file, pytest.raises(Unreadable, match=r"took longer than 1\.5 s"):
        pdf.page_texts(file, seconds=1.0, seconds_per_page=0.5)
    assert time.monotonic() - started < 10


def test_a_reader_that_dies_is_told_from_a_file_without_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "worker.py"
    dying.write_text("import os\nprint(2)\nprint('\"first page\"', flush=True)\nos.abort()")
    monkeypatch.setattr(pdf, "WORKER", dying)
    docs = tmp_path / "docs"
    docs.mkdir()
    assert "could not be read to its end" in refusal(docs, "a.pdf", pdf_bytes([["a"], ["b"]]))


def test_the_pdf_worker_loads_nothing_of_ours() -> None:
    listing = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__'); print(*sys.modules)"
    command = [sys.executable, "-c", listing, str(pdf.WORKER)]
    loaded = subprocess.run(command, input=pdf_bytes([["a"]]), capture_output=True, check=True).stdout.split()
    assert b"pypdfium2" in loaded
    assert not {b"blasphemer", b"torch", b"numpy", b"text", b"pdf"} & set(loaded)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """pitfall 13"""
    grow(tmp_path, "b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "B.txt")
    assert names(tmp_path) == ["B.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"]


def test_hidden_folders_and_caches_are_left_out(tmp_path: Path) -> None:
    """pitfall 13"""
    grow(tmp_path, ".git/a.txt", ".hidden.txt", "__pycache__/b.txt", "x/node_modules/c.txt", "x/kept.txt")
    assert names(tmp_path) == ["x/kept.txt"]


def test_a_hidden_folder_that_is_named_is_read(tmp_path: Path) -> None:
    assert names(grow(tmp_path / ".notes", "a.txt")) == ["a.txt"]


def test_loops_of_links_end_and_no_file_is_met_twice(tmp_path: Path) -> None:
    grow(tmp_path, "docs/a.txt", "docs/sub/b.txt", "outside/c.txt", "unnamed.txt")
    docs = tmp_path / "docs"
    (docs / "0-same-file.txt").symlink_to(docs / "a.txt")
    (docs / "0-same-folder").symlink_to(docs / "sub")
    (docs / "sub" / "loop").symlink_to(docs)
    (docs / "self").symlink_to(docs / "self")
    (docs / "upwards").symlink_to(tmp_path)
    (docs / "z-linked").symlink_to(tmp_path / "outside")
    assert names(docs) == ["a.txt", "self", "sub/b.txt", "z-linked/c.txt"]
    assert reasons(docs) == {"self": "too many levels of symbolic links"}


def test_a_broken_link_is_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere.txt")
    assert reasons(tmp_path) == {"b.txt": "broken link"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "b.txt")
    assert names(tmp_path) == ["a.txt"]
    with pytest.raises(SourceError, match="neither a regular file nor a folder"):
        find_files(str(tmp_path / "b.txt"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_opened_is_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "listed/c.txt", "secret.txt", "shut/b.txt")
    (tmp_path / "secret.txt").chmod(0)
    (tmp_path / "shut").chmod(0)
    (tmp_path / "listed").chmod(0o600)  # its names can be read, what they name cannot
    try:
        why = reasons(tmp_path)
    finally:
        (tmp_path / "shut").chmod(0o700)
        (tmp_path / "listed").chmod(0o700)
    assert why == dict.fromkeys(["listed/c.txt", "secret.txt", "shut"], "permission denied")


def test_types_that_no_reader_knows_are_in_the_ledger(tmp_path: Path) -> None:
    grow(tmp_path, "a.TXT", "b.docx", "README")
    documents, skipped = read_sources([str(tmp_path)])
    assert [document.file for document in documents] == ["a.TXT"]
    assert [(entry.file, entry.reason) for entry in skipped] == [
        ("README", "unsupported type (no suffix)"),
        ("b.docx", "unsupported type .docx"),
    ]
    assert skipped[1].sha256 == hashlib.sha256(b"text of b.docx").hexdigest()


def test_names_that_clash_take_the_name_of_their_source(tmp_path: Path) -> None:
    for folder in ("old", "new", "more/new"):
        grow(tmp_path / folder, "a.txt")
    grow(tmp_path / "old", "sub/b.txt")
    documents, _ = read_sources([str(tmp_path / "old"), str(tmp_path / "new" / "a.txt")])
    assert [document.file for document in documents] == ["old/a.txt", "sub/b.txt", "new/a.txt"]
    documents, _ = read_sources([str(tmp_path / "new"), str(tmp_path / "more" / "new")])
    assert [document.file for document in documents] == [f"{tmp_path}/new/a.txt", f"{tmp_path}/more/new/a.txt"]


def test_a_file_that_two_sources_share_is_read_once(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b.txt")
    documents, _ = read_sources([str(tmp_path / "b.txt"), str(tmp_path), f"{tmp_path}/./"])
    assert [document.file for document in documents] == ["b.txt", "a.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_a_name_that_is_not_utf8_is_shown_in_escapes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"two\nlines.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("text", encoding="utf-8")
    documents, _ = read_sources([str(tmp_path)])
    assert [document.file for document in documents] == ["caf\\xe8.txt", "caf\\xe9.txt", "two\\nlines.txt"]


def test_each_file_is_announced_once_it_has_been_dealt_with(tmp_path: Path) -> None:
    grow(tmp_path, "a.txt", "b.docx")
    announced: list[str] = []
    read_sources([str(tmp_path)], seen=announced.append)
    assert announced == ["a.txt", "b.docx"]


# --- nothing to read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["notes.txt", "someone/something", ""])
def test_a_mistyped_path_is_an_error_and_never_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """pitfall 24"""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        read_sources([source])
    assert str(caught.value) == f"{source}: no such file or folder. Only files and folders can be read."


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    grow(tmp_path, ".git/a.txt")
    with pytest.raises(SourceError, match="no files in this folder"):
        read_sources([str(tmp_path)])


def test_a_folder_in_which_nothing_can_be_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    """pitfall 12"""
    for name, data in {"a.pdf": b"no", "b.txt": b"", "c.docx": b"PK", "d.txt": b"\0"}.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        read_sources([str(tmp_path)])
    assert str(caught.value) == (
        f"{tmp_path}: no readable documents (4 skipped: a.pdf: damaged PDF; b.txt: no text; "
        "c.docx: unsupported type .docx; ...). Read are .txt, .md, .markdown, .pdf."
    )
    assert caught.value.exit_code == 2
