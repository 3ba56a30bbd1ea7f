"""More than five hundred damaged files of every format: none stops the run, none is unaccounted for."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.reading import corpus
from blasphemer.command_line import load_settings
from blasphemer.dataset_processor.intake import find_inputs, read_inputs
from blasphemer.tokens import Ruler
from blasphemer.workspace import RunFolder
from tests.tiny import make_tokenizer

NUMBER = 520


def cut_short(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 10, 100))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def repeat_a_stretch(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    end = min(start + rng.choice((1, 64, 4096)), len(data))
    return data[:end] + data[start:end] * rng.choice((1, 3, 50)) + data[end:]


def drop_a_stretch(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 64, 4096)) :]


def zero_a_stretch(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + b"\0" * min(512, len(data) - start) + data[start + 512 :]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    cut_short,
    flip_bytes,
    repeat_a_stretch,
    drop_a_stretch,
    zero_a_stretch,
)


def test_damaged_files_of_every_format_are_read_or_accounted_for(tmp_path: Path) -> None:
    """Pitfall 12"""
    rng = random.Random(7)
    whole = corpus()
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(NUMBER):
        made = whole[number % len(whole)]
        damaged = DAMAGES[number % len(DAMAGES)](made.data, rng)
        (docs / f"{number:03}-{made.name}").write_bytes(damaged)
    run = tmp_path / "run"
    run.mkdir()
    settings = load_settings(
        ["demo", "--fine-tune-dataset", str(docs), "--cache-dir", "", "--file-timeout", "30", "--max-lost-share", "1"]
    )
    ruler = Ruler(make_tokenizer().backend_tokenizer.to_str())
    ledger = read_inputs(find_inputs(settings), ruler, 300, settings, RunFolder(run))
    assert [entry.file for entry in ledger] == sorted(file.name for file in docs.iterdir())
    died = {entry.file: entry.reason for entry in ledger if "reader died" in entry.reason or "longer" in entry.reason}
    assert died == {}
    assert all(entry.reason for entry in ledger if entry.status == "skipped")
    assert 100 < sum(entry.status == "used" for entry in ledger) < NUMBER
