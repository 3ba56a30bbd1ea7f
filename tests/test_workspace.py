"""One run's folder: whole files only, taken up again where it stopped, and never somebody else's."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blasphemer.command_line import load_settings
from blasphemer.errors import RunFolderError, is_full_disk
from blasphemer.records import Source
from blasphemer.workspace import (
    CONTENTS,
    PARTIAL,
    RUN_FILE,
    RunFolder,
    freeze,
    identity,
    note_how,
    open_run,
    run_path,
    runs_in,
    settings_of,
    sha256_of,
)

About = dict[str, dict[str, Any]]

ABOUT: About = {"settings": {"seed": 0, "study": "quick"}, "documents": {"a.txt": "12"}, "model": {"w": "34"}}
HARD = 'quo"te \\ \u2028 \u0085 \x7f\x1b\ttab\nline ünï 🙂'
FOLDER = Path("run")


@pytest.fixture
def run() -> Iterator[RunFolder]:
    with open_run(FOLDER, ABOUT, overwrite=False) as opened:
        yield opened


def names(folder: Path = FOLDER) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def refusal(about: About = ABOUT, overwrite: bool = False, path: Path = FOLDER) -> str:
    with pytest.raises(RunFolderError) as caught, open_run(path, about, overwrite):
        pass
    return str(caught.value)


def start(script: str) -> subprocess.Popen[str]:
    """A second process with the run folder open; it has said "ready" when this returns."""
    opening = (
        "import sys, time\nfrom pathlib import Path\nfrom blasphemer.workspace import open_run\n"
        f"with open_run(Path('run'), {ABOUT!r}, False) as run:\n"
    )
    process = subprocess.Popen([sys.executable, "-c", opening + script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


# --- whole files only ------------------------------------------------------------------------------------------------


def test_a_file_appears_only_when_it_is_whole(run: RunFolder) -> None:
    with pytest.raises(UnicodeEncodeError):
        run.save_text("plan.json", "begun \ud800")
    assert not run.has("plan.json")
    run.save_text("plan.json", "old")
    with pytest.raises(UnicodeEncodeError):
        run.save_text("plan.json", "begun \ud800")
    assert (run.path / "plan.json").read_text(encoding="utf-8") == "old"


def test_a_folder_appears_only_when_it_is_whole(run: RunFolder) -> None:
    def fail(folder: Path) -> None:
        (folder / "weights").write_text("half", encoding="utf-8")
        assert not run.has("adapter")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), run.writing("adapter") as folder:
        fail(folder)
    assert names() == {RUN_FILE}


def test_a_folder_that_was_written_replaces_the_one_before(run: RunFolder) -> None:
    for content in ("one", "two"):
        with run.writing("marks/deep") as folder:
            (folder / content).write_text(content, encoding="utf-8")
    assert names(FOLDER / "marks") == {"deep"}
    assert names(FOLDER / "marks" / "deep") == {"two"}


def test_a_kill_while_a_folder_is_written_leaves_nothing_under_its_name() -> None:
    process = start(
        "    with run.writing('adapter') as folder:\n"
        "        (folder / 'weights').write_text('half')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
    )
    kill(process)
    assert (FOLDER / f"adapter{PARTIAL}" / "weights").exists()
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        assert not run.has("adapter")
        with run.writing("adapter") as folder:
            assert list(folder.iterdir()) == []
        assert names() == {RUN_FILE, "adapter"}


# --- taken up again --------------------------------------------------------------------------------------------------


def test_a_stage_that_is_on_disk_is_loaded_and_not_made_again(run: RunFolder) -> None:
    made: list[str] = []

    def make() -> list[Source]:
        made.append("records")
        return [Source(HARD, 0, 1)]

    def make_json() -> dict[str, Any]:
        made.append("json")
        return {"text": HARD}

    for _ in range(2):
        assert run.records("passages.jsonl", Source, make) == [Source(HARD, 0, 1)]
        assert run.json("plan.json", make_json) == {"text": HARD}
    assert made == ["records", "json"]


def test_a_run_is_taken_up_again_by_the_same_command() -> None:
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        run.save_text("plan.json", "{}")
        run.add_about("versions", {"python": "3"})
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        assert run.has("plan.json")
        assert run.about() == {**ABOUT, "versions": {"python": "3"}}


@pytest.mark.parametrize(
    ("table", "values", "said"),
    [
        ("settings", {"seed": 1, "study": "quick"}, "another settings value: seed was 0, now 1."),
        ("settings", {"seed": 0}, 'another settings value: study was "quick", now not there.'),
        ("documents", {"a.txt": "12", "b.txt": "5"}, 'another documents value: b.txt was not there, now "5".'),
        ("documents", {"a.txt": "99"}, 'another documents value: a.txt was "12", now "99".'),
        ("model", {"w": "35"}, 'another model value: w was "34", now "35".'),
    ],
)
def test_a_folder_of_another_run_is_refused_and_the_difference_named(
    table: str, values: dict[str, Any], said: str
) -> None:
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        run.save_text("plan.json", "{}")
    refused = refusal({**ABOUT, table: values})
    assert said in refused
    assert "--overwrite" in refused
    assert (FOLDER / "plan.json").exists()


def test_hard_text_survives_run_toml() -> None:
    about: About = {"documents": {HARD: HARD, "many": [HARD, "b"], "number": 1e-05, "yes": True, "unset": None}}
    with open_run(FOLDER, about, overwrite=False) as run:
        assert run.about() == {"documents": {HARD: HARD, "many": [HARD, "b"], "number": 1e-05, "yes": True}}
    with open_run(FOLDER, about, overwrite=False):
        pass


def test_a_path_that_is_not_utf8_can_be_written_down() -> None:
    settings = load_settings(["M", "--fine-tune-dataset", "caf\udce9"])
    with open_run(FOLDER, identity(settings, [], {}), overwrite=False) as run:
        assert run.about()["settings"]["fine_tune_dataset"] == ["caf\\udce9"]


# --- whose it is -----------------------------------------------------------------------------------------------------


def test_overwrite_deletes_the_earlier_run_and_nothing_else() -> None:
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        for name in CONTENTS:
            run.save_text(name if "." in name else f"{name}/inside", "earlier")
        run.save_text(f"merged{PARTIAL}/weights", "left by a kill")
    (FOLDER / "notes.txt").write_text("mine", encoding="utf-8")
    with open_run(FOLDER, {**ABOUT, "model": {"w": "35"}}, overwrite=True) as run:
        assert names() == {RUN_FILE, "notes.txt"}
        assert run.about()["model"] == {"w": "35"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(overwrite: bool) -> None:
    (FOLDER / "adapter").mkdir(parents=True)
    (FOLDER / "adapter" / "weights").write_text("theirs", encoding="utf-8")
    assert refusal(overwrite=overwrite) == "run: holds adapter but no run; choose an empty --finetuning-output-dir."
    assert (FOLDER / "adapter" / "weights").read_text(encoding="utf-8") == "theirs"
    assert names() == {"adapter"}


def test_a_file_in_the_place_of_the_folder_is_refused() -> None:
    FOLDER.write_text("notes", encoding="utf-8")
    assert refusal() == "run: is a file; choose another --finetuning-output-dir."
    assert refusal(path=FOLDER / "below").startswith("run/below: cannot be made (")
    assert FOLDER.read_text(encoding="utf-8") == "notes"


def test_a_folder_that_another_process_works_in_is_refused_until_that_ends() -> None:
    process = start("    print('ready', flush=True)\n    time.sleep(60)\n")
    try:
        assert refusal() == "run: another process is working in this run folder."
        assert refusal(overwrite=True) == "run: another process is working in this run folder."
        assert names() == {RUN_FILE}
    finally:
        kill(process)
    with open_run(FOLDER, ABOUT, overwrite=False) as run:
        assert run.about() == ABOUT


def test_the_default_folder_is_named_after_model_and_documents() -> None:
    assert run_path(
        load_settings(["org/M-7B", "--fine-tune-dataset", "docs/birds.md", "--fine-tune-dataset", "b"])
    ) == (Path(".blasphemer_finetuning") / "M-7B-birds-b")
    assert run_path(load_settings(["M", "--finetuning-output-dir", "here"])) == Path("here")


# --- what makes a run this run ---------------------------------------------------------------------------------------


def test_only_what_changes_the_result_makes_another_run() -> None:
    def known_by(*flags: str) -> About:
        return identity(load_settings(["M", "--fine-tune-dataset", "D", *flags]), {"a": "12"}, {"w": "3"})

    assert known_by("--yes", "--dry-run", "--overwrite", "--finetuning-output-dir", "x") == known_by()
    assert known_by("--seed", "1") != known_by()
    assert known_by("--learning-rate", "2e-4") != known_by()  # said, though it is the default: no longer planned
    assert known_by()["documents"] == {"a": "12"}
    assert known_by()["model"] == {"w": "3"}


def test_an_exam_file_is_known_by_its_content() -> None:
    settings = load_settings(["M", "--exam-file", "exam.jsonl"])
    Path("exam.jsonl").write_text("one", encoding="utf-8")
    one = identity(settings, [], {})
    Path("exam.jsonl").write_text("two", encoding="utf-8")
    assert identity(settings, [], {}) != one


def test_a_hash_is_that_of_the_bytes() -> None:
    Path("abc").write_bytes(b"abc")
    assert sha256_of(Path("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_a_run_was_made_with_is_noted_and_may_change(run: RunFolder) -> None:
    note_how(run, load_settings(["M", "--no-merge-lora", "--file-timeout", "9"]), "cpu")
    assert {"python", "device", "torch", "transformers", "peft", "trl"} <= run.about()["versions"].keys()
    run.add_about("settings", {"model": "M"})
    assert (settings_of(run).merge_lora, settings_of(run).file_timeout) == (False, 9)
    note_how(run, load_settings(["M"]), "cpu")
    assert settings_of(run).merge_lora


def test_an_exam_that_was_changed_after_it_was_frozen_is_noticed(run: RunFolder) -> None:
    freeze(run, "exam", "12")
    freeze(run, "exam", "12")
    with pytest.raises(RunFolderError, match=r"exam\.jsonl was changed after it was frozen"):
        freeze(run, "exam", "13")
    assert run.about() == {**ABOUT, "exam": {"sha256": "12"}}


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_recognised_through_what_libraries_wrap_it_in() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = ValueError("could not save")
    wrapped.__cause__ = RuntimeError("serialising failed")
    wrapped.__cause__.__context__ = full
    assert is_full_disk(full)
    assert is_full_disk(wrapped)
    assert is_full_disk(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_full_disk(OSError(errno.EACCES, "Permission denied"))
    assert not is_full_disk(None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_real_full_disk_is_recognised() -> None:
    with pytest.raises(OSError, match="space") as caught:
        Path("/dev/full").write_text("x", encoding="utf-8")
    assert is_full_disk(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "demo --n-trials 7 --system-prompt ''",
        "demo --fine-tune-dataset docs --fine-tune-dataset more.md --n-trials 7 --trial 2 --num-train-epochs 4",
        "o/n --fine-tune-only --fine-tune-dataset docs --bad-prompts bad.txt --no-test-after-training",
    ],
)
def test_a_run_on_disk_gives_back_the_settings_it_was_begun_with(words: str) -> None:
    """Pitfall 6: also through TOML."""
    settings = load_settings([*shlex.split(words), "--finetuning-output-dir", str(FOLDER)])
    documents = {"a.txt": "12"} if settings.wants_fine_tuning else {}
    with open_run(FOLDER, identity(settings, documents, {}), overwrite=False) as run:
        again = settings_of(run)
        assert identity(again, documents, {}) == identity(settings, documents, {})
        assert (run_path(again), again.wants_fine_tuning) == (FOLDER, settings.wants_fine_tuning)
    assert [found.path for found in runs_in(FOLDER)] == [FOLDER]
    assert [found.path for found in runs_in(Path())] == [FOLDER]


def test_stages_are_taken_over_whole_and_never_over_ones_own(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    for name in ("plan.json", "marks/one.jsonl", "adapter/weights"):
        other.save_text(name, "theirs")
    run.save_text("plan.json", "mine")
    run.take_over(other, ["plan.json", "marks/one.jsonl", "adapter", "merged"])
    shown = {name: (run.path / name).read_text() for name in ("plan.json", "marks/one.jsonl", "adapter/weights")}
    assert shown == {"plan.json": "mine", "marks/one.jsonl": "theirs", "adapter/weights": "theirs"}
    assert not run.has("merged")
    run.forget("plan.json", "adapter", "never there")
    assert not run.has("plan.json")
    assert not run.has("adapter")
