"""Files of rows: CSV, TSV, JSON, JSON Lines and Parquet, whole and damaged."""

from __future__ import annotations

import csv
import datetime
import io
import json
import random
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from benchmarks.corpus.made import Made
from benchmarks.corpus.rows import tables
from blasphemer.dataset_processor.formats import tables as reader
from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.errors import Unreadable
from blasphemer.records import Document, StudyItem


def read(data: bytes | str, file: str, **options: Any) -> list[Piece]:
    opened = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(find_reader(opened, file)(opened, file, Options(**options)))


def text_of(data: bytes | str, file: str = "a.csv", **options: Any) -> str:
    return "\n\n".join(
        piece.text for piece in read(data, file, **options) if isinstance(piece, Document) and piece.text
    )


def note_of(data: bytes | str, file: str = "a.csv", **options: Any) -> str:
    last = read(data, file, **options)[-1]
    assert isinstance(last, Document)
    return last.note


def why_not(data: bytes | str, file: str = "a.csv", **options: Any) -> str:
    with pytest.raises(Unreadable) as raised:
        read(data, file, **options)
    return str(raised.value)


def written(rows: list[dict[str, Any]], **how: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file, **how)
    return file.getvalue()


@pytest.mark.parametrize("made", list(tables(random.Random(0))), ids=lambda made: made.name)
def test_the_text_of_a_made_table_is_found_exactly(made: Made) -> None:
    assert text_of(made.data, made.name) == made.text


# --- CSV ---


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(delimiter: str) -> None:
    rows = (("bird", "size", "food"), ("heron", "1,02", "fish; frogs"), ("stork", "1,15", "frogs"))
    quoted = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert text_of(quoted) == "bird: heron\nsize: 1,02\nfood: fish; frogs\n\nbird: stork\nsize: 1,15\nfood: frogs"


def test_the_line_that_tells_excel_the_delimiter_is_no_row() -> None:
    assert text_of("sep=;\nbird;food\nheron;fish\n") == "bird: heron\nfood: fish"


def test_decimal_commas_do_not_hide_a_semicolon() -> None:
    assert text_of("bird;size\nheron;1,02\nstork;1,15\n") == "bird: heron\nsize: 1,02\n\nbird: stork\nsize: 1,15"


def test_values_stay_as_they_are_written() -> None:
    assert text_of("code,price,when,ok\n007,3.50,1/2/24,TRUE\n") == "code: 007\nprice: 3.50\nwhen: 1/2/24\nok: TRUE"


def test_quoted_cells_keep_line_breaks_quotes_and_delimiters() -> None:
    assert text_of('a,b\r\n"one\r\ntwo","say ""hi"", so"\r\n') == 'a: one\ntwo\nb: say "hi", so'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Country,2019,2020\nChad,3,4\n", "Country: Chad\n2019: 3\n2020: 4"),
        (",bird\n0,heron\n", "column 1: 0\nbird: heron"),
        ("text\nherons\n", "herons"),
        ("Paris,75\nLyon,69\n", "column 1: Paris\ncolumn 2: 75\n\ncolumn 1: Lyon\ncolumn 2: 69"),
        ("yes,yes\nno,no\n", "column 1: yes\ncolumn 2: yes\n\ncolumn 1: no\ncolumn 2: no"),
        ("a,yes\nb,yes\n", "column 1: a\ncolumn 2: yes\n\ncolumn 1: b\ncolumn 2: yes"),
        ("apples\npears\n", "apples\n\npears"),
    ],
)
def test_a_header_is_told_from_a_first_row(data: str, expected: str) -> None:
    """Names are no numbers but years, all different, and do not come again below. A lone column's must be known."""
    assert text_of(data) == expected


def test_a_chosen_column_tells_the_header() -> None:
    assert text_of("2019,2019 b\n1,2\n", columns=("2019",)) == "1"


def test_columns_of_one_name_are_told_apart() -> None:
    assert text_of("answer,x,x\na,b,c\n") == "answer: a\nx: b\nx (3): c"


def test_ragged_rows_are_read_and_counted() -> None:
    data = "bird,food,note\nheron,fish,tall, grey\nstork,frogs\n"
    assert text_of(data) == "bird: heron\nfood: fish\nnote: tall, grey\n\nbird: stork\nfood: frogs"
    assert note_of(data) == "1 row with more cells than columns (read as part of the last), 1 row with missing cells"


def test_a_column_of_unquoted_sentences_stays_whole() -> None:
    assert text_of("text\nHerons wade, mostly.\nStorks, too, wade.\n") == "Herons wade, mostly.\n\nStorks, too, wade."


def test_a_quotation_mark_that_is_never_closed_is_named_by_its_line() -> None:
    assert why_not('a,b\n1,"2\n3,4\n5,6\n') == "damaged table: the quotation mark opened in line 2 is never closed"


def test_a_cell_may_hold_a_book() -> None:
    before = csv.field_size_limit()
    assert len(text_of(f'id,text\n1,"{"long " * 100_000}"\n')) == 500_000
    assert csv.field_size_limit() == before


def test_a_cell_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST_CELL", 1000)
    assert "larger than field limit" in why_not(f"id,text\n1,{'x' * 2000}\n")


def test_questions_and_answers_in_a_table_are_conversations() -> None:
    (found,) = read("Question,Answer\nWho?,Ann.\n", "a.csv")
    assert isinstance(found, StudyItem)
    assert [turn["content"] for turn in found.messages] == ["Who?", "Ann."]


def test_a_table_without_rows_is_refused() -> None:
    assert why_not("bird,food\n") == "no rows"
    assert why_not(" \n") == "no text"


# --- Encodings and large files ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_table_is_decoded_whole_or_as_it_is_read(monkeypatch: pytest.MonkeyPatch, encoding: str, whole: bool) -> None:
    if not whole:
        monkeypatch.setattr(reader, "WHOLE", 100)
    data = "bird,remark\n" + "Bläßhuhn,größer als üblich\n" * 20
    found = read(data.encode(encoding), "a.csv")
    assert isinstance(found[0], Document)
    assert found[0].text.split("\n\n") == ["bird: Bläßhuhn\nremark: größer als üblich"] * 20
    assert found[0].encoding.replace("-le", "") in (encoding, "iso8859-1", "cp1252")


def test_bytes_of_another_encoding_further_down_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WHOLE", 100)
    data = b"bird,remark\n" + b"heron,grey\n" * 10_000 + "Bläßhuhn,x\n".encode("cp1252")
    assert why_not(data) == "not valid utf-8 further down. Name its encoding with --encoding"
    assert "Bläßhuhn" in text_of(data, encoding="cp1252")


def test_a_large_table_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WHOLE", 2**16)
    data = io.BytesIO(b"id,text\n" + b"7,herons wade in the shallows of the lake\n" * 200_000)  # 8 MB
    tracemalloc.start()
    try:
        for _ in reader.read(data, "a.csv", Options()):
            pass
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


# --- JSON and JSON Lines ---


def lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("file", ["a.jsonl", "a.ndjson", "a.json"])
def test_each_line_is_a_row(file: str) -> None:
    assert text_of(lines({"text": text} for text in "abc"), file) == "a\n\nb\n\nc"


@pytest.mark.parametrize("file", ["a.jsonl", "a.json"])
def test_an_array_of_objects_is_rows(file: str) -> None:
    assert text_of(json.dumps([{"text": "a"}, {"text": "b"}], indent=2), file) == "a\n\nb"


def test_an_object_about_one_list_of_objects_is_its_rows() -> None:
    data = json.dumps(
        {"version": "1.1", "data": [{"question": "Who keeps the lighthouse?", "answer": "Ann Orrery."}] * 3}
    )
    assert [type(piece) for piece in read(data, "a.json")] == [StudyItem] * 3 + [Document]
    assert note_of(data, "a.json") == 'outside of "data" not read: version'


@pytest.mark.parametrize(
    "data",
    [
        '{"name": "heron", "size": 1.50}',
        '{"birds": [{"a": 1}], "setting": {"long": "enough to matter more than the list"}}',
        "[1, 2]",
    ],
)
def test_other_json_is_text_as_it_stands(data: str) -> None:
    assert text_of(data, "a.json") == data


def test_an_array_of_strings_is_texts() -> None:
    assert text_of('["one\\ntwo", "three"]', "a.json") == "one\ntwo\n\nthree"


def test_numbers_of_json_stay_as_they_are_written() -> None:
    assert (
        text_of('[{"price": 3.50, "many": 1e6, "none": null, "ok": true}]', "a.json")
        == "price: 3.50\nmany: 1e6\nok: true"
    )


def test_damaged_lines_are_counted_and_the_first_is_named() -> None:
    data = lines([{"text": "a"}]) + '{"text": "b\n[1]\n' + lines([{"text": "c"}, {"text": "d"}])
    assert text_of(data, "a.jsonl") == "a\n\nc\n\nd"
    assert note_of(data, "a.jsonl") == "2 damaged lines, the first damaged line is line 2"
    last = read(data, "a.jsonl")[-1]
    assert isinstance(last, Document)
    assert last.removed == len('{"text": "b\n[1]\n')


def test_a_file_of_mostly_damaged_lines_is_refused() -> None:
    assert why_not('{"text": "a"}\nx\ny\n', "a.jsonl") == "damaged JSON Lines (2 of 3 lines are no JSON objects)"


@pytest.mark.parametrize("data", ['{"a": 1', "[" * 100_000, '[{"a": 1}, ', "{'a': 1}"])
def test_damaged_json_is_refused(data: str) -> None:
    assert why_not(data, "a.json").startswith("damaged JSON (")


def test_a_line_nested_beyond_sense_is_a_damaged_line() -> None:
    assert note_of(lines([{"text": "a"}]) + "[" * 100_000 + "\n", "a.jsonl").startswith("1 damaged line,")


# --- Parquet ---


def test_parquet_is_known_by_its_first_bytes() -> None:
    assert text_of(written([{"text": "a"}, {"text": "b"}]), "data.bin") == "a\n\nb"


def test_chats_in_parquet_are_conversations() -> None:
    """Pitfall 23: lists became Python reprs."""
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
    (found,) = read(written([{"messages": turns}]), "a.parquet")
    assert isinstance(found, StudyItem)
    assert list(found.messages) == turns


def test_values_of_parquet_are_written_as_a_reader_would() -> None:
    row = {"a": "x", "day": datetime.date(2024, 1, 5), "tags": ["b", "c"], "in": {"n": 1}, "raw": b"\0"}
    data = written([row])
    assert text_of(data, "a.parquet") == "a: x\nday: 2024-01-05\ntags: b, c\nin: n: 1"
    assert note_of(data, "a.parquet") == "1 value without text"


def test_parquet_is_read_batch_by_batch() -> None:
    """With a row limit the rest is never touched, damaged though it is."""
    rows = [{"text": "".join(random.Random(number).choices("abcdefgh", k=3000))} for number in range(400)]
    data = bytearray(
        written(rows, row_group_size=200, compression="none", use_dictionary=False, column_encoding="PLAIN")
    )
    second = parquet.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(1).column(0).data_page_offset
    data[second : second + 40] = b"\xff" * 40
    assert len(text_of(bytes(data), "a.parquet", row_limit=100)) == 100 * 3002 - 2
    assert why_not(bytes(data), "a.parquet").startswith("damaged Parquet file (")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_parquet_is_read_or_refused(seed: int) -> None:
    """Whatever the library raises; any other exception than Unreadable fails here."""
    generator = random.Random(seed)
    data = bytearray(written([{"text": f"heron {number}", "n": number, "tags": ["a"]} for number in range(300)]))
    for _ in range(generator.randint(1, 10)):
        data[generator.randrange(4, len(data))] = generator.randrange(256)
    with suppress(Unreadable):
        read(bytes(data), "a.parquet")


def test_parquet_that_ends_too_early_is_refused_in_one_line() -> None:
    told = why_not(written([{"text": "a"}])[:-10], "a.parquet")
    assert told.startswith("damaged Parquet file (")
    assert "\n" not in told
