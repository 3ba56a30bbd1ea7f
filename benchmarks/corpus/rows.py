"""Tables whose text is known: CSV, TSV, JSON Lines, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.corpus.made import NOUNS, PLACES, Made, paragraph, sentence, title

Row = Mapping[str, str]


def tables(rng: random.Random) -> Iterator[Made]:
    yield from _csv(rng)
    yield from _tsv(rng)
    yield from _jsonl(rng)
    yield from _parquet(rng)


def _csv(rng: random.Random) -> Iterator[Made]:
    rows = _register(rng, 12)
    yield Made("register.csv", "csv", _delimited(rows, ","), _records(rows))
    rows = _register(rng, 9)
    yield Made("register-excel.csv", "csv", _delimited(rows, ";", "cp1252", "\r\n"), _records(rows))
    rows = [{"Name": title(rng), "Remark": f'{sentence(rng)}\n"{sentence(rng)}", he said'} for _ in range(6)]
    yield Made("quoted.csv", "csv", _delimited(rows, ",", "utf-8-sig"), _records(rows))
    texts = [{"id": f"{number:03}", "text": paragraph(rng)} for number in range(1, 9)]
    yield Made("texts.csv", "csv", _delimited(texts, ","), _texts(texts))


def _tsv(rng: random.Random) -> Iterator[Made]:
    rows = _register(rng, 12)
    yield Made("register.tsv", "tsv", _delimited(rows, "\t"), _records(rows))
    rows = [{"Place": place, "Seen": sentence(rng)} for place in PLACES]
    yield Made("sightings.tsv", "tsv", _delimited(rows, "\t", "utf-16"), _records(rows))
    texts = [{"article": paragraph(rng, 6)} for _ in range(7)]
    yield Made("articles.tsv", "tsv", _delimited(texts, "\t"), "\n\n".join(row["article"] for row in texts))


def _jsonl(rng: random.Random) -> Iterator[Made]:
    texts = [{"text": paragraph(rng, 5), "source": noun} for noun in NOUNS]
    yield Made("texts.jsonl", "jsonl", _lines(texts), _texts(texts))
    rows = _register(rng, 10)
    yield Made("register.jsonl", "jsonl", _lines(rows), _records(rows))
    texts = [{"text": f"{title(rng)}\n\n{paragraph(rng)}"} for _ in range(5)]
    yield Made("texts.json", "jsonl", json.dumps(texts, indent=1).encode(), _texts(texts))
    rows = _register(rng, 8)
    yield Made("register.json", "jsonl", json.dumps({"rows": rows}).encode(), _records(rows))


def _parquet(rng: random.Random) -> Iterator[Made]:
    texts = [{"text": paragraph(rng, 5)} for _ in range(10)]
    yield Made("texts.parquet", "parquet", _columns(texts), _texts(texts))
    rows = _register(rng, 14)
    yield Made("register.parquet", "parquet", _columns(rows), _records(rows))
    rows = [
        {"Title": title(rng), "Abstract": paragraph(rng), "Places": ", ".join(rng.sample(PLACES, 3))} for _ in range(6)
    ]
    data = _columns([{**row, "Places": row["Places"].split(", ")} for row in rows])
    yield Made("lists.parquet", "parquet", data, _records(rows))


def _register(rng: random.Random, rows: int) -> list[dict[str, str]]:
    """Values that are lost where numbers are taken for numbers, or commas for ends of cells."""
    return [
        {
            "No": f"{number:04}",
            "Événement": sentence(rng),
            "Price": f"{rng.randrange(100, 9999) / 100:.2f}",
            "Remark": rng.choice(("", "repaired, then sold", "naïve; but sound")),
        }
        for number in range(1, rows + 1)
    ]


def _records(rows: Iterable[Row]) -> str:
    return "\n\n".join("\n".join(f"{name}: {value}" for name, value in row.items() if value) for row in rows)


def _texts(rows: Iterable[Row]) -> str:
    return "\n\n".join(row["text"] for row in rows)


def _delimited(rows: Sequence[Row], delimiter: str, encoding: str = "utf-8", line_end: str = "\n") -> bytes:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(rows[0]), delimiter=delimiter, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode(encoding)


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _columns(rows: Sequence[Mapping[str, object]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), written)
    return written.getvalue()
