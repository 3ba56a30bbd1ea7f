"""Datasets: what counts as one, which of their rows are read, and what is said when they cannot be."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub.constants
import pyarrow
import pytest
from datasets import Dataset, DatasetDict

from blasphemer.dataset_processor.formats.options import Options, Piece
from blasphemer.dataset_processor.hub import fingerprint, is_dataset, read_dataset
from blasphemer.errors import SourceError
from blasphemer.records import Document, StudyItem
from tests.test_intake import fates, intake, passages

OPTIONS = Options()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both libraries read the environment when they are imported, which may be before a test sets it."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def saved(folder: Path, **splits: list[str]) -> str:
    by_split = {name: Dataset.from_dict({"text": texts}) for name, texts in splits.items()}
    DatasetDict(by_split).save_to_disk(str(folder))
    return str(folder)


def repository(folder: Path, configs: str = "", **files: list[dict[str, Any]]) -> str:
    """A copy of a repository as the hub keeps it: files of rows, and a card that may name configurations."""
    folder.mkdir()
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if configs:
        (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    return f"hf:{folder}"


def texts(found: list[Piece]) -> list[str]:
    return [piece.text for piece in found if isinstance(piece, Document) and piece.text]


def notes(found: list[Piece]) -> str:
    return "; ".join(piece.note for piece in found if isinstance(piece, Document) and piece.note)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"text": f"t{number}"} for number in range(count)]


TWO_CONFIGS = "- config_name: one\n  data_files: train.jsonl\n- config_name: two\n  data_files: test.jsonl\n"


# --- What counts as a dataset ---


@pytest.mark.parametrize(
    "source",
    ["hf:owner/name", "hf:anything", "owner/name", "owner/name:config[train[:10]]", "owner/name@main", "o/data-v1.5"],
)
def test_a_name_on_the_hub_is_a_dataset(source: str) -> None:
    assert is_dataset(source)


@pytest.mark.parametrize(
    "source",
    ["notes", "notes/a.txt", "notes/a.pdf", "./notes/a", "../notes", "/notes/a", "~/notes", "a/b/c", "notes/", ""],
)
def test_what_looks_like_a_path_is_no_dataset(source: str) -> None:
    """Pitfall 24: a mistyped path became a download."""
    assert not is_dataset(source)


def test_a_path_that_exists_is_no_dataset(tmp_path: Path) -> None:
    """Pitfall 24: nor is a neighbour of one, which is mistyped."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "birds").write_text("Herons.", encoding="utf-8")
    assert not is_dataset("notes/birds")
    assert not is_dataset("notes/brids")


def test_a_folder_that_datasets_saved_is_one(tmp_path: Path) -> None:
    assert is_dataset(saved(tmp_path / "many", train=["a"]))
    assert is_dataset(f"{tmp_path / 'many'}[train]")
    Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "one"))
    assert is_dataset(str(tmp_path / "one"))


def test_a_folder_of_documents_is_none(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}", encoding="utf-8")
    assert not is_dataset(str(tmp_path))


# --- Saved folders ---


def test_all_splits_of_a_saved_folder_are_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "birds", train=["a", "b"], test=["c"])
    found = list(read_dataset(folder, OPTIONS))
    assert texts(found) == ["a\n\nb", "c"]
    assert [piece.file for piece in found if isinstance(piece, Document)] == [f"{folder}[train]", f"{folder}[test]"]


def test_an_empty_split_of_several_is_passed_over(tmp_path: Path) -> None:
    folder = saved(tmp_path / "both", train=["a"], test=[])
    assert texts(list(read_dataset(folder, Options()))) == ["a"]


def test_a_named_split_of_a_saved_folder_is_read_alone(tmp_path: Path) -> None:
    folder = saved(tmp_path / "birds", train=["a", "b"], test=["c"])
    assert texts(list(read_dataset(f"{folder}[test]", OPTIONS))) == ["c"]


def test_a_saved_folder_without_splits_is_read(tmp_path: Path) -> None:
    Dataset.from_dict({"question": ["q"], "answer": ["a"]}).save_to_disk(str(tmp_path / "one"))
    (found,) = read_dataset(str(tmp_path / "one"), OPTIONS)
    assert isinstance(found, StudyItem)
    assert [turn["content"] for turn in found.messages] == ["q", "a"]
    assert found.id == f"{tmp_path}/one[train]#1"


def test_conversations_of_two_folders_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    """Both were data[train]#1."""
    ids = set()
    for folder in (tmp_path / "x" / "data", tmp_path / "y" / "data"):
        Dataset.from_dict({"question": ["q"], "answer": ["a"]}).save_to_disk(str(folder))
        ids |= {piece.id for piece in read_dataset(str(folder), OPTIONS) if isinstance(piece, StudyItem)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:owner/name", "hf:owner/name[train]"),
        ("owner/name@main", "hf:owner/name@main[train]"),
        ("owner/name@main:one[train[:1]]", "hf:owner/name@main:one[train[:1]]"),
    ],
)
def test_revisions_of_a_dataset_on_the_hub_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, source: str, expected: str
) -> None:
    rows = Dataset.from_dict({"text": ["a", "b"]}).to_iterable_dataset()
    builder = SimpleNamespace(info=SimpleNamespace(splits=None), as_streaming_dataset=lambda: {"train": rows})
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: builder)
    (found,) = read_dataset(source, OPTIONS)
    assert isinstance(found, Document)
    assert found.file == expected


def test_a_damaged_saved_folder_is_one_line(tmp_path: Path) -> None:
    folder = saved(tmp_path / "birds", train=["a" * 1000])
    (arrow,) = (tmp_path / "birds" / "train").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    with pytest.raises(SourceError, match="birds: cannot be read as a dataset") as raised:
        list(read_dataset(folder, OPTIONS))
    assert "\n" not in str(raised.value)


def test_a_saved_folder_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers have a limit of memory, and mapping a large folder into it would count."""

    def mapped(*_: object, **__: object) -> None:
        raise AssertionError

    folder = saved(tmp_path / "birds", train=["a", "b"])
    monkeypatch.setattr(pyarrow, "memory_map", mapped)
    assert texts(list(read_dataset(folder, OPTIONS))) == ["a\n\nb"]


def test_what_was_filtered_out_before_saving_stays_out(tmp_path: Path) -> None:
    kept = Dataset.from_dict({"text": ["a", "b", "c"]}).filter(
        lambda row: row["text"] != "b", load_from_cache_file=False
    )
    kept.save_to_disk(str(tmp_path / "some"))
    assert texts(list(read_dataset(str(tmp_path / "some"), OPTIONS))) == ["a\n\nc"]
    assert texts(list(read_dataset(f"{tmp_path / 'some'}[train[-1:]]", OPTIONS))) == ["c"]


# --- Saved folders among documents ---


def test_a_saved_folder_among_documents_is_read_as_another_file_of_rows(tmp_path: Path) -> None:
    """Pitfall 23 again: its dataset_info.json and state.json were studied, and its rows were not."""
    saved(tmp_path / "docs" / "sub" / "birds", train=["The heron waits."], test=["The stork flies."], empty=[])
    Dataset.from_dict({"premise": ["p"], "verdict": ["v"]}).save_to_disk(str(tmp_path / "docs" / "claims"))
    (tmp_path / "docs" / "notes.txt").write_text("The owl sleeps.", encoding="utf-8")
    found = fates(intake(tmp_path / "docs", tmp_path / "run"))
    assert found == dict.fromkeys(["claims", "notes.txt", "sub/birds"], ("used", ""))
    assert {passage.file: passage.text for passage in passages(tmp_path / "run")} == {
        "claims[train]": "premise: p\nverdict: v",
        "notes.txt": "The owl sleeps.",
        "sub/birds[train]": "The heron waits.",
        "sub/birds[test]": "The stork flies.",
    }


def test_a_damaged_saved_folder_among_documents_costs_only_itself(tmp_path: Path) -> None:
    saved(tmp_path / "docs" / "birds", train=["a" * 1000])
    (arrow,) = (tmp_path / "docs" / "birds" / "train").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "docs" / "claims"))
    (tmp_path / "docs" / "claims" / "state.json").write_text("{", encoding="utf-8")
    (tmp_path / "docs" / "notes.txt").write_text("The owl sleeps.", encoding="utf-8")
    found = fates(intake(tmp_path / "docs", tmp_path / "run"))
    assert [status for status, _ in found.values()] == ["skipped", "skipped", "used"]
    assert all(reason.startswith("damaged dataset (") for status, reason in found.values() if status == "skipped")


# --- Splits and slices, as they stream in ---


def test_the_split_is_train_unless_said(tmp_path: Path) -> None:
    found = list(read_dataset(repository(tmp_path / "data", train=numbered(2), test=numbered(1)), OPTIONS))
    assert texts(found) == ["t0\n\nt1"]
    assert notes(found) == "split train read, not test"


def test_without_train_the_first_split_is_read_and_named(tmp_path: Path) -> None:
    found = list(read_dataset(repository(tmp_path / "data", validation=numbered(1), test=numbered(2)), OPTIONS))
    assert notes(found) == "split validation read, not test"


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:2]", ["t0", "t1"]),
        ("train[7:]", ["t7", "t8", "t9"]),
        ("train[2:4]", ["t2", "t3"]),
        ("train[8:99]", ["t8", "t9"]),
        ("train[:1]+train[9:]", ["t0", "t9"]),
    ],
)
def test_a_stream_is_sliced_as_it_comes(tmp_path: Path, split: str, expected: list[str]) -> None:
    """`datasets` takes no sliced splits when it streams."""
    found = list(read_dataset(f"{repository(tmp_path / 'data', train=numbered(10))}[{split}]", OPTIONS))
    assert texts(found) == ["\n\n".join(expected)]


@pytest.mark.parametrize(
    ("split", "expected"), [("train[-2:]", ["t8", "t9"]), ("train[:20%]", ["t0", "t1"]), ("train[90%:]", ["t9"])]
)
def test_slices_from_the_end_and_in_percent_want_the_number_of_rows(
    tmp_path: Path, split: str, expected: list[str]
) -> None:
    folder = saved(tmp_path / "saved", train=[row["text"] for row in numbered(10)])
    assert texts(list(read_dataset(f"{folder}[{split}]", OPTIONS))) == ["\n\n".join(expected)]
    with pytest.raises(SourceError, match=r"Count from the start, as in \[train\[:1000\]\]"):
        list(read_dataset(f"{repository(tmp_path / 'data', train=numbered(10))}[{split}]", OPTIONS))


def test_the_row_limit_is_obeyed_and_told(tmp_path: Path) -> None:
    found = list(read_dataset(repository(tmp_path / "data", train=numbered(9)), Options(row_limit=2)))
    assert texts(found) == ["t0\n\nt1"]
    assert notes(found) == "only the first 2 rows (row_limit)"


def test_a_stream_is_read_no_further_than_wanted(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", train=numbered(3))
    with (tmp_path / "data" / "train.jsonl").open("a", encoding="utf-8") as opened:
        opened.write((json.dumps({"text": "t" * 1000}) + "\n") * 20_000 + "no JSON\n")
    assert texts(list(read_dataset(source, Options(row_limit=2)))) == ["t0\n\nt1"]
    with pytest.raises(SourceError, match="cannot be read as a dataset"):
        list(read_dataset(source, OPTIONS))


def test_a_configuration_is_chosen_by_name(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", TWO_CONFIGS, train=numbered(1), test=[{"text": "the second"}])
    found = list(read_dataset(f"{source}:two", OPTIONS))
    assert texts(found) == ["the second"]
    assert [piece.file for piece in found if isinstance(piece, Document)] == [f"{tmp_path}/data:two[train]"]


# --- Columns ---


def test_lists_of_turns_are_conversations(tmp_path: Path) -> None:
    """Pitfall 23: instructions kept and responses thrown away, and lists became Python reprs."""
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
    (found,) = read_dataset(repository(tmp_path / "data", train=[{"messages": turns}]), OPTIONS)
    assert isinstance(found, StudyItem)
    assert list(found.messages) == turns


def test_unknown_columns_of_a_dataset_are_asked_for(tmp_path: Path) -> None:
    """Pitfall 23: the first column that looked like text was taken."""
    source = repository(tmp_path / "data", train=[{"premise": "p", "verdict": "v", "label": 1}])
    with pytest.raises(SourceError, match=r"premise, verdict, label\. Choose with --columns"):
        list(read_dataset(source, OPTIONS))
    assert texts(list(read_dataset(source, Options(columns=("premise",))))) == ["p"]


def test_pictures_are_left_as_they_are_and_counted(tmp_path: Path) -> None:
    features = datasets.Features({"photo": datasets.Image(), "caption": datasets.Value("string")})
    rows = {"photo": [{"bytes": b"no picture", "path": None}], "caption": ["A heron."]}
    Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "photos"))
    found = list(read_dataset(str(tmp_path / "photos"), Options(columns=("photo", "caption"))))
    assert texts(found) == ["caption: A heron."]
    assert notes(found) == "1 value without text"


# --- What is said when it fails ---


def error_of(source: str) -> str:
    with pytest.raises(SourceError) as raised:
        list(read_dataset(source, OPTIONS))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_unreachable_hub_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset_builder", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert error_of("hf:owner/name") == (
        "hf:owner/name: cannot be reached (no route to host). Check the connection, or download it and give the folder."
    )


def test_a_hub_that_is_switched_off_is_not_looked_for_in_the_connection() -> None:
    told = error_of("hf:owner/name")
    assert told.startswith("hf:owner/name: cannot be reached")
    assert told.endswith("HF_HUB_OFFLINE is set: unset it, or download it and give the folder.")


def test_a_bare_name_that_is_nothing_is_first_of_all_no_file() -> None:
    """Pitfall 24: whoever mistyped a path reads so."""
    assert error_of("notes/txt").startswith("notes/txt: no such file or folder, and on the hub")


def test_a_name_that_the_hub_does_not_know_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'notes/txt' doesn't exist on the Hub.")

    monkeypatch.setattr(datasets, "load_dataset_builder", unknown)
    assert "no such file or folder, and on the hub: no such dataset" in error_of("notes/txt")
    assert "hf auth login" in error_of("hf:notes/txt")


def test_a_folder_of_the_same_name_is_not_taken_for_the_hub(tmp_path: Path) -> None:
    """`datasets` itself would read ./owner/name."""
    (tmp_path / "owner").mkdir()
    repository(tmp_path / "owner" / "name", train=numbered(1))
    assert "cannot be reached" in error_of("hf:owner/name")


def test_what_was_downloaded_before_is_read_without_the_hub_and_said_so(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", TWO_CONFIGS, train=numbered(2), test=numbered(1))
    datasets.load_dataset(source.removeprefix("hf:"), "one")
    shutil.move(tmp_path / "cache" / "data", tmp_path / "cache" / "owner___data")  # as if it had come from the hub
    found = list(read_dataset("hf:owner/data:one", OPTIONS))
    assert texts(found) == ["t0\n\nt1"]
    assert notes(found) == "the hub cannot be reached: read is what was downloaded before"


def test_the_libraries_are_quiet_and_left_as_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = datasets.utils.are_progress_bars_disabled(), logging.getLogger("datasets").level
    list(read_dataset(repository(tmp_path / "data", train=numbered(2)), OPTIONS))
    error_of("hf:owner/name")
    assert capfd.readouterr() == ("", "")
    assert (datasets.utils.are_progress_bars_disabled(), logging.getLogger("datasets").level) == before


def test_a_stream_does_without_torch(tmp_path: Path) -> None:
    """Which `datasets` would load: on some machines that alone takes more than a reader's limit of memory."""
    source = repository(tmp_path / "data", train=numbered(2))
    lines = (
        "import sys",
        "from blasphemer.dataset_processor.hub import Options, read_dataset",
        f"pieces = list(read_dataset({source!r}, Options()))",
        "sys.exit(len(pieces) != 1 or 'torch' in sys.modules)",
    )
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == 0


def test_an_unknown_configuration_or_none_names_them_all(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", TWO_CONFIGS, train=numbered(1), test=numbered(1))
    assert "several configurations" in error_of(source)
    assert "one, two" in error_of(source)
    assert "no configuration three" in error_of(f"{source}:three")


def test_an_unknown_split_names_those_there_are(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", train=numbered(1), test=numbered(1))
    assert error_of(f"{source}[dev]").endswith("no split dev. There are: train, test.")


@pytest.mark.parametrize("source", ["hf:", "hf:name", "hf:owner/name[train", "hf:a/b/c", "hf:./missing", "hf:o/n[a b]"])
def test_a_source_that_is_misspelt_is_refused(source: str) -> None:
    assert error_of(source)


# --- Fingerprints ---


def test_a_fingerprint_changes_with_the_content_only(tmp_path: Path) -> None:
    source = repository(tmp_path / "data", train=numbered(2))
    before = fingerprint(source)
    (tmp_path / "data" / "train.jsonl").touch()
    assert fingerprint(source) == before
    (tmp_path / "data" / "train.jsonl").write_text('{"text": "other"}\n', encoding="utf-8")
    assert fingerprint(source) != before


def test_the_fingerprint_of_a_hub_dataset_is_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Builder:
        hash = "0123abcd"

    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: Builder())
    assert fingerprint("hf:owner/name") == "0123abcd"
