"""The way in for documents: every input is read in a process of its own, accounted for, and kept once."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.corpus.made import paragraph
from blasphemer.command_line import load_settings
from blasphemer.config import Settings
from blasphemer.dataset_processor import worker
from blasphemer.dataset_processor.formats import ocr
from blasphemer.dataset_processor.intake import find_inputs, read_inputs
from blasphemer.errors import SourceError
from blasphemer.records import LedgerEntry, Passage, StudyItem, from_jsonl, hash_of
from blasphemer.tokens import Ruler
from blasphemer.workspace import RunFolder
from tests.test_pdf import Drawn
from tests.tiny import make_tokenizer

RULER = Ruler(make_tokenizer().backend_tokenizer.to_str())
TEXT = "\n\n".join(paragraph(random.Random(number)) for number in range(12))
LONG_TEXT = "\n\n".join(paragraph(random.Random(number)) for number in range(60)) + "\n\nThe map was his."


def intake(source: Path, run: Path, *flags: str) -> list[LedgerEntry]:
    """The ledger of a folder that is read into a run."""
    settings = settings_for(source, f"{run}.cache", *flags)
    run.mkdir(exist_ok=True)
    return read_inputs(find_inputs(settings), RULER, 200, settings, RunFolder(run))


def settings_for(source: Path, cache: str, *flags: str) -> Settings:
    """Without OCR, whose time would be added to that of every PDF."""
    words = ["demo", "--fine-tune-dataset", str(source), "--cache-dir", cache, "--ocr-languages", ""]
    return load_settings([*words, *flags])


def fates(ledger: list[LedgerEntry]) -> dict[str, tuple[str, str]]:
    return {entry.file: (entry.status, entry.reason) for entry in ledger}


def passages(run: Path) -> list[Passage]:
    return from_jsonl(Passage, (run / "passages.jsonl").read_text(encoding="utf-8"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_passages_conversations_and_ledger_of_all_files_are_left_in_the_run(docs: Path, run: Path) -> None:
    (docs / "b.jsonl").write_text('{"question": "Who measured?", "answer": "The ferry."}\n', encoding="utf-8")
    ledger = intake(docs, run)
    found = passages(run)
    assert [(entry.file, entry.status, entry.passages, entry.conversations) for entry in ledger] == [
        ("a.txt", "used", len(found), 0),
        ("b.jsonl", "used", 0, 1),
    ]
    assert len(found) > 3
    assert len({passage.id for passage in found}) == len(found)
    assert all(TEXT[passage.start : passage.end] == passage.text for passage in found)
    (item,) = from_jsonl(StudyItem, (run / "conversations.jsonl").read_text(encoding="utf-8"))
    assert [message["content"] for message in item.messages] == ["Who measured?", "The ferry."]


def test_what_cannot_be_read_is_in_the_ledger_with_its_reason_and_the_rest_goes_on(docs: Path, run: Path) -> None:
    """Pitfall 12"""
    for name, data in {"b.pdf": b"%PDF-1.4 no", "c.txt": b"", "d.docx": b"PK\3\4", "e.zip": b"\x1f\x8b"}.items():
        (docs / name).write_bytes(data)
    (docs / "f.txt").symlink_to(docs / "nowhere")
    found = fates(intake(docs, run))
    assert found.pop("a.txt") == ("used", "")
    assert {status for status, _ in found.values()} == {"skipped"}
    assert found["c.txt"][1] == "no text"
    assert found["e.zip"][1] == "compressed archive (gzip): unpack it, and give the folder"
    assert found["f.txt"][1] == "broken link"


def test_a_folder_in_which_nothing_can_be_read_is_an_error_that_says_why(tmp_path: Path, run: Path) -> None:
    """Pitfall 12"""
    for name, data in {"b.txt": b"", "d.txt": b"\0"}.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        intake(tmp_path, run)
    assert f"{tmp_path}: no readable documents (2 skipped: b.txt: no text; d.txt: binary" in str(caught.value)
    assert caught.value.exit_code == 2


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_file_that_takes_too_long_is_given_up_and_the_others_are_read(docs: Path, run: Path) -> None:
    (docs / "slow.txt").write_text(TEXT * 5_000, encoding="utf-8")
    started = time.monotonic()
    found = fates(intake(docs, run, "--file-timeout", "2"))
    assert found["a.txt"] == ("used", "")
    assert found["slow.txt"][0] == "skipped"
    assert found["slow.txt"][1].startswith("took longer than")
    assert time.monotonic() - started < 60


def test_a_page_that_its_parser_takes_minutes_over_is_given_up(docs: Path, run: Path) -> None:
    """Within native code, which nothing but the end of its process stops."""
    (docs / "deep.html").write_text("<ul><li>" * 100_000 + "deep", encoding="utf-8")
    found = fates(intake(docs, run, "--file-timeout", "3"))
    assert found["deep.html"] == ("skipped", "took longer than 3 s to read (--file-timeout allows more)")
    assert found["a.txt"] == ("used", "")


def test_a_reader_that_dies_takes_no_other_file_with_it(docs: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of native code ends the process that reads: here a folder without room for the entry does."""
    (docs / "b.md").write_text("# Short\n\nA text.", encoding="utf-8")
    monkeypatch.setattr("blasphemer.dataset_processor.worker.prepare", _prepare_to_die)
    found = fates(intake(docs, run))
    assert found["b.md"] == ("used", "")
    assert found["a.txt"][0] == "skipped"
    assert found["a.txt"][1].startswith("its reader died")


def _prepare_to_die() -> None:
    """Initialises a worker that is killed by the system when it writes more than a little."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_fault_of_ours_costs_one_file_and_is_not_kept(docs: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (docs / "b.md").write_text("# Short\n\nA text.", encoding="utf-8")
    monkeypatch.setattr("blasphemer.dataset_processor.worker.prepare", _prepare_a_fault)
    found = fates(intake(docs, run))
    assert found["a.txt"] == ("used", "")
    assert found["b.md"] == ("skipped", "could not be read (KeyError: 'a fault')")
    assert len(list(Path(f"{run}.cache/passages").iterdir())) == 5


def _prepare_a_fault() -> None:
    def fail(*_: object) -> list[object]:
        raise KeyError("a fault")

    right = worker.find_reader
    worker.find_reader = lambda opened, file: fail if file == "b.md" else right(opened, file)  # type: ignore[assignment]


def test_an_entry_cut_short_is_read_anew(docs: Path, run: Path) -> None:
    intake(docs, run)
    for entry in Path(f"{run}.cache/passages").iterdir():
        if "." not in entry.name:
            entry.write_bytes(b"")
    (run / "ledger.jsonl").unlink()
    assert fates(intake(docs, run)) == {"a.txt": ("used", "")}


def test_a_file_that_needs_too_much_memory_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr("blasphemer.dataset_processor.worker.split_passages", _without_memory)
    assert worker.read(task_of(path)).ledger.reason == "needs more than 4 GB of memory to be read"
    assert worker.load(tmp_path / "entry") is None  # next time there may be more


def task_of(path: Path, ocr_languages: str = "") -> worker.Task:
    """A file that is read in this process; its entry lies beside it."""
    tokenizer, entry = path.with_name("tokenizer"), path.with_name("entry")
    tokenizer.write_text(RULER.serialised, encoding="utf-8")
    options = worker.Options(ocr_languages=ocr_languages)
    return worker.Task(str(path), path.name, _sha256(path), options, str(tokenizer), 200, 0, str(entry))


def _without_memory(*_: object) -> list[Passage]:
    raise MemoryError


def test_a_file_that_changes_after_it_was_found_is_not_read_as_another(docs: Path, run: Path) -> None:
    settings = settings_for(docs, "")
    (docs / "b.txt").write_text("A text that stays.", encoding="utf-8")
    inputs = find_inputs(settings)
    (docs / "a.txt").write_text("Another text.", encoding="utf-8")
    run.mkdir()
    found = fates(read_inputs(inputs, RULER, 200, settings, RunFolder(run)))
    assert found["a.txt"] == ("skipped", "changed while it was being read; run again")


def test_a_file_that_vanishes_is_in_the_ledger(docs: Path, run: Path) -> None:
    settings = settings_for(docs, "")
    (docs / "b.txt").write_text("A text that stays.", encoding="utf-8")
    inputs = find_inputs(settings)
    (docs / "a.txt").unlink()
    run.mkdir()
    assert fates(read_inputs(inputs, RULER, 200, settings, RunFolder(run)))["a.txt"][0] == "skipped"


def test_more_than_the_allowed_share_lost_is_an_error_unless_allowed(docs: Path, run: Path) -> None:
    (docs / "a.txt").unlink()
    (docs / "rows.txt").write_text(" \n" * 3000 + "A word.\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"100% of the text would be lost, most of it in rows\.txt"):
        intake(docs, run)
    (entry,) = intake(docs, run, "--max-lost-share", "1")
    assert entry.status == "used"


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_file_under_another_name_is_read_once(docs: Path, run: Path) -> None:
    """Pitfall 13"""
    (docs / "z.txt").write_bytes((docs / "a.txt").read_bytes())
    assert fates(intake(docs, run)) == {"a.txt": ("used", ""), "z.txt": ("duplicate", "the same file as a.txt")}
    assert {passage.file for passage in passages(run)} == {"a.txt"}


def test_a_copy_of_a_file_that_cannot_be_read_is_no_duplicate(docs: Path, run: Path) -> None:
    for name in ("b.pdf", "c.pdf"):
        (docs / name).write_bytes(b"%PDF-1.4 no")
    found = fates(intake(docs, run))
    assert found["c.pdf"] == found["b.pdf"] == ("skipped", "damaged PDF")


def test_a_copy_whose_ending_says_how_to_read_it_is_read(docs: Path, run: Path) -> None:
    (docs / "b.ipynb").write_text("A note.", encoding="utf-8")
    (docs / "c.txt").write_text("A note.", encoding="utf-8")
    found = fates(intake(docs, run))
    assert (found["b.ipynb"], found["c.txt"]) == (("duplicate", "the same file as c.txt"), ("used", ""))


@pytest.mark.parametrize("name", ["b.txt", "b.md", "b.html", "b.jsonl"])
def test_a_text_in_another_form_is_a_duplicate(docs: Path, run: Path, name: str) -> None:
    """Pitfall 13"""
    forms = {
        "b.txt": TEXT.replace(". ", ".\n").upper(),
        "b.md": f"# Report\n\n{TEXT.replace('The ', '**The** ')}",
        "b.html": f"<html><h1>Report</h1><p>{TEXT.replace(chr(10) * 2, '</p><p>')}</p>",
        "b.jsonl": "\n".join(json.dumps({"text": part}) for part in TEXT.split("\n\n")),
    }
    (docs / name).write_text(forms[name], encoding="utf-8")
    found = fates(intake(docs, run))
    assert sorted(status for status, _ in found.values()) == ["duplicate", "used"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("1874", "1875"),  # next year's report
        lambda text: text[: len(text) // 2],  # a part that stands alone would leave no doubt, but a half is not alike
        lambda text: text + paragraph(random.Random(99), 40),
        lambda text: (
            text.replace("near the quay", "?").replace("on the island", "near the quay").replace("?", "on the island")
        ),
        lambda text: text.replace("12 weeks", "-12 weeks"),
    ],
    ids=["another number", "half", "much more", "yes and no exchanged", "below zero"],
)
def test_a_text_that_says_something_else_is_no_duplicate(docs: Path, run: Path, change: object) -> None:
    assert callable(change)
    (docs / "b.txt").write_text(change(TEXT), encoding="utf-8")
    assert {status for status, _ in fates(intake(docs, run)).values()} == {"used"}


@pytest.mark.parametrize("change", [("island", "Skerry"), ("island", "ferry"), ("his", "a")])
def test_one_word_in_its_place_makes_another_text_however_long(docs: Path, run: Path, change: tuple[str, str]) -> None:
    """In a hundred pairs of words one was forgiven, and it was a name."""
    (docs / "a.txt").write_text(LONG_TEXT, encoding="utf-8")
    before, after = LONG_TEXT.rsplit(change[0], 1)
    (docs / "b.txt").write_text(before + change[1] + after, encoding="utf-8")
    assert fates(intake(docs, run))["b.txt"] == ("used", "")


@pytest.mark.parametrize("change", [("island", "is-\nland"), ("copper kettle", "copperkettle")])
def test_a_word_parted_or_joined_at_the_end_of_a_line_is_no_new_word(
    docs: Path, run: Path, change: tuple[str, str]
) -> None:
    (docs / "a.txt").write_text(f"{LONG_TEXT} The end.", encoding="utf-8")
    (docs / "b.txt").write_text(LONG_TEXT.replace(*change, 1), encoding="utf-8")
    assert fates(intake(docs, run))["b.txt"] == ("duplicate", "says what a.txt says")


def test_one_answer_of_many_makes_other_conversations(docs: Path, run: Path) -> None:
    """In a hundred pairs of words one was forgiven, and it was the answer."""
    questions = [f"Is it true: {sentence}" for sentence in re.split(r"\.\s+", LONG_TEXT)]
    rows = [json.dumps({"question": question, "answer": "Yes it is."}) for question in questions]
    (docs / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (docs / "b.jsonl").write_text("\n".join(rows).replace("Yes it is", "Is it yes", 1), encoding="utf-8")
    found = fates(intake(docs, run))
    assert found["b.jsonl"][0] == "used"


def test_texts_too_long_to_be_compared_are_both_kept(docs: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blasphemer.dataset_processor.duplicates.LONGEST", 1000)
    (docs / "b.txt").write_text(TEXT.upper(), encoding="utf-8")
    assert {status for status, _ in fates(intake(docs, run)).values()} == {"used"}


# --- kept ------------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_read_again(
    docs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "damaged.pdf").write_bytes(b"%PDF-1.4 no")
    first = intake(docs, run)
    monkeypatch.setattr("blasphemer.dataset_processor.intake._processes", _none_to_be_had)
    (tmp_path / "second").mkdir()
    settings = settings_for(docs, f"{run}.cache")
    second = RunFolder(tmp_path / "second")
    assert read_inputs(find_inputs(settings), RULER, 200, settings, second) == first
    assert (second.path / "passages.jsonl").read_bytes() == (run / "passages.jsonl").read_bytes()


def test_more_time_reads_nothing_again_that_is_finished(
    docs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = intake(docs, run)
    monkeypatch.setattr("blasphemer.dataset_processor.intake._processes", _none_to_be_had)
    (tmp_path / "second").mkdir()
    settings = settings_for(docs, f"{run}.cache", "--file-timeout", "90")
    assert read_inputs(find_inputs(settings), RULER, 200, settings, RunFolder(tmp_path / "second")) == first


def test_what_waits_for_ocr_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, drawn in {"scan.pdf": Drawn(), "partly.pdf": Drawn().text(50, 700, "A page of text.").turn()}.items():
        path = tmp_path / name
        path.write_bytes(drawn.scan().bytes())
        for missing in (ocr.Missing("no data"), ocr.TimeIsUp()):
            monkeypatch.setattr("blasphemer.dataset_processor.formats.ocr.recognised", _raising(missing))
            assert "without text" in (reason := worker.read(task_of(path, "eng")).ledger.reason) or "no text" in reason
            assert worker.load(tmp_path / "entry") is None
        monkeypatch.setattr("blasphemer.dataset_processor.formats.ocr.recognised", lambda _page, _languages: "A heron.")
        entry = worker.read(task_of(path, "eng"))
        assert "read by OCR" in entry.ledger.reason
        assert worker.load(tmp_path / "entry") == entry
        (tmp_path / "entry").unlink()


def _raising(error: Exception) -> Callable[[object, str], str]:
    def fail(_page: object, _languages: str) -> str:
        raise error

    return fail


def test_a_page_that_takes_tesseract_too_long_is_a_scan_without_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passed for an empty page."""
    path = tmp_path / "partly.pdf"
    path.write_bytes(Drawn().text(50, 700, "A page of text.").turn().scan().bytes())
    monkeypatch.setattr("blasphemer.dataset_processor.formats.ocr.recognised", _raising(ocr.TimeIsUp()))
    wanted = "page 2 is a scan without text (OCR stopped after 120 s for one page)"
    assert worker.read(task_of(path, "eng")).ledger.reason == wanted


@pytest.mark.skipif(
    find_spec("pytesseract") is None or shutil.which("tesseract") is None, reason="needs pytesseract and Tesseract"
)
def test_one_language_of_two_is_not_enough_to_recognise_a_page(tmp_path: Path) -> None:
    """Tesseract would go on with what it has, and nobody would know."""
    path = tmp_path / "partly.pdf"
    path.write_bytes(Drawn().text(50, 700, "A page of text.").turn().scan("A heron.").bytes())
    assert "Tesseract has no data for 'xyz'" in worker.read(task_of(path, "eng+xyz")).ledger.reason
    assert worker.load(tmp_path / "entry") is None


def test_a_cache_that_cannot_be_used_is_done_without(
    docs: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", _refused)
    assert fates(intake(docs, run)) == {"a.txt": ("used", "")}
    assert passages(run)
    assert "cache/passages: read-only file system. What is read is not kept" in " ".join(
        capsys.readouterr().err.split()
    )


def _refused(*_: object, **__: object) -> object:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_telling_large_files_apart_shows_how_far_it_is(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (docs / "b.bin").write_bytes(b"\0" * 2_500_000)
    shown: list[int] = []

    @contextmanager
    def progress(_label: str, total: int) -> Iterator[Callable[..., None]]:
        yield lambda done, **_: shown.append(done)
        assert sum(shown) == total

    monkeypatch.setattr("blasphemer.console.progress", progress)
    find_inputs(settings_for(docs, ""))
    assert max(shown) == 1024
    assert sum(shown) > 2400


def _none_to_be_had(_most: int) -> object:
    raise AssertionError("a file is read again")


@pytest.mark.parametrize("flags", [("--chunk-overlap", "7"), ("--encoding", "latin-1")])
def test_other_settings_read_anew(docs: Path, run: Path, tmp_path: Path, flags: tuple[str, str]) -> None:
    (docs / "a.txt").write_text(TEXT.replace("quay", "quäy"), encoding="utf-8")
    intake(docs, run)
    before = len(list(Path(f"{run}.cache/passages").iterdir()))
    (tmp_path / "run2").mkdir()
    settings = settings_for(docs, f"{run}.cache", *flags)
    read_inputs(find_inputs(settings), RULER, 200, settings, RunFolder(tmp_path / "run2"))
    assert len(list(Path(f"{run}.cache/passages").iterdir())) == before + 4


def test_an_entry_whose_passages_are_gone_is_read_anew(docs: Path, run: Path) -> None:
    intake(docs, run)
    (gone,) = Path(f"{run}.cache/passages").glob("*.passages")
    gone.unlink()
    (run / "ledger.jsonl").unlink()
    intake(docs, run)
    assert passages(run)


def test_old_entries_leave_the_cache(docs: Path, run: Path) -> None:
    intake(docs, run)
    cache = Path(f"{run}.cache")
    old, foreign = cache / "passages" / ("0" * 64), cache / "passages" / "thesis.docx"
    for file in (old, foreign, cache / "photo.jpg"):
        file.write_text("", encoding="utf-8")
        os.utime(file, (0, 0))
    (run / "ledger.jsonl").unlink()
    intake(docs, run)
    assert not old.exists()
    assert foreign.exists()
    assert (cache / "photo.jpg").exists()


def test_without_a_cache_nothing_is_kept(
    docs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    intake(docs, run, "--cache-dir", "")
    assert not (tmp_path / "home").exists()
    assert passages(run)


def test_the_password_of_a_document_is_written_down_nowhere(docs: Path, run: Path) -> None:
    intake(docs, run, "--document-password", "heron-secret")
    written = [file for folder in (run, Path(f"{run}.cache")) for file in folder.rglob("*") if file.is_file()]
    assert written
    assert not any(b"heron-secret" in file.read_bytes() for file in written)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hash_of(opened)
