"""One run's folder: what is in it, how it is written so that a kill loses nothing, and how a run is taken up again.

A file or folder has its final name only when it is complete: it is written beside its place, flushed, then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from blasphemer.config import DEFAULT_OUTPUT_DIR, PLANNED, Settings, settings_from, toml_value
from blasphemer.errors import RunFolderError, UsageError
from blasphemer.records import from_jsonl, hash_of, to_jsonl

RUN_FILE = "run.toml"
# Settings that may change from one sitting to the next; the last ones are noted
HOW = (
    "merge_lora", "study_endpoint_timeout", "study_endpoint_requests", "max_lost_share", "file_timeout", "cache_dir",
    "report_to",
)  # fmt: skip
HOW_NOT_WHAT = {
    "yes", "dry_run", "overwrite", "finetuning_output_dir", "enable_finetuning", "document_password",
    "study_endpoint_key", *HOW,
}  # fmt: skip
PARTIAL = ".partial"
LOCK = ".lock"
CONTENTS = (
    "ledger.jsonl", "passages.jsonl", "conversations.jsonl", "statements.jsonl", "exam.jsonl",
    "exam_written.jsonl", "study.jsonl", "plan.json", "prompts.json", "prefix.json", "abliteration.journal",
    "abliteration", "drafts.journal", "self_study.jsonl", "yields.jsonl", "replay.jsonl", "unrefused.jsonl",
    "marks", "checkpoints", "metrics.jsonl", "division.json", "adapter", "merged", "scorecard.json",
)  # fmt: skip

STAGES = (
    ("scorecard.json", "finished"), ("adapter", "trained"), ("checkpoints", "training"),
    ("replay.jsonl", "examined before training"), ("drafts.journal", "writing study material"),
    ("abliteration", "abliterated"), ("abliteration.journal", "abliterating"), ("plan.json", "planned"),
)  # fmt: skip

Record = TypeVar("Record")


class RunFolder:
    """The files of one run, by name. Use `open_run` to get one: it locks the folder and checks whose it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def save_text(self, name: str, text: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + PARTIAL)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)

    def save_json(self, name: str, value: Any) -> None:
        self.save_text(name, json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def load_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def save_records(self, name: str, records: Sequence[Any]) -> None:
        self.save_text(name, to_jsonl(records))

    def save_joined(self, name: str, parts: Sequence[Path]) -> None:
        """One file out of several, however large."""
        partial = self.path / (name + PARTIAL)
        with partial.open("wb") as file:
            for part in parts:
                with part.open("rb") as opened:
                    shutil.copyfileobj(opened, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)

    def records(self, name: str, kind: type[Record], make: Callable[[], Sequence[Record]]) -> list[Record]:
        """The records of a stage: those on disk, or freshly made and saved."""
        if not self.has(name):
            self.save_records(name, make())
        return from_jsonl(kind, (self.path / name).read_text(encoding="utf-8"))

    def json(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of a stage: that on disk, or freshly made and saved."""
        if not self.has(name):
            self.save_json(name, make())
        return self.load_json(name)

    def load_lines(self, name: str) -> list[Any]:
        """The JSON values of a file that grows by lines; what a kill cut short has no line end, and is left out."""
        if not self.has(name):
            return []
        lines = (self.path / name).read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def journal(self, name: str) -> Journal:
        return Journal(self.path / name)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A folder to fill; it takes the name `name` when the block ends well, and is gone when it does not."""
        target = self.path / name
        partial = target.with_name(target.name + PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            for file in partial.rglob("*"):
                if file.is_file():
                    _flush(file)
            shutil.rmtree(target, ignore_errors=True)
            partial.replace(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def forget(self, *names: str) -> None:
        """Delete files and folders, so that the stages that make them are done again."""
        for name in names:
            _delete(self.path / name)

    def take_over(self, other: RunFolder, names: Sequence[str]) -> None:
        """Copy stages of another run that this one does not have."""
        for name in names:
            if other.has(name) and not self.has(name):
                copy_whole(other.path / name, self.path / name)

    def stage(self) -> str:
        """How far the run has come, in a word."""
        return next((word for name, word in STAGES if self.has(name)), "begun")

    def about(self) -> dict[str, Any]:
        """The content of run.toml."""
        return tomllib.loads((self.path / RUN_FILE).read_text(encoding="utf-8"))

    def add_about(self, table: str, values: Mapping[str, Any]) -> None:
        """Set one table of run.toml."""
        there = self.about() if self.has(RUN_FILE) else {}
        self.save_text(RUN_FILE, _toml({**there, table: values}))


class Journal:
    """Texts that cost time, kept as they come: a line for each batch. A line cut short by a kill is done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
        self.kept: dict[str, list[str]] = dict(json.loads(line) for line in lines[:-1])
        if lines[-1]:
            os.truncate(path, path.stat().st_size - len(lines[-1].encode()))

    def recall(self, asked: Sequence[object], make: Callable[[], list[str]]) -> list[str]:
        """The texts for what is asked: those on disk, or freshly made and kept."""
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        if key not in self.kept:
            self.kept[key] = make()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self.kept[key]], ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        return self.kept[key]


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file or folder; it takes its name once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + PARTIAL)
    _delete(partial)
    try:
        if source.is_dir():
            shutil.copytree(source, partial)
        else:
            shutil.copyfile(source, partial)
        partial.replace(target)
    finally:
        _delete(partial)


def runs_in(parent: Path) -> list[RunFolder]:
    """The runs in a folder, or the one that it is itself; the latest first."""
    folders = [parent, *(parent.iterdir() if parent.is_dir() else [])]
    found = [RunFolder(folder) for folder in folders if (folder / RUN_FILE).is_file()]
    return sorted(found, key=lambda run: (run.path / RUN_FILE).stat().st_mtime, reverse=True)


def settings_of(run: RunFolder) -> Settings:
    """The settings a run was begun with."""
    about = run.about()
    noted = {**about["settings"], **about.get("how", {})}
    said = {name: value for name, value in noted.items() if name in Settings.model_fields}
    learns = bool(about.get("documents"))
    if "search" in about:
        said["n_trials"] = about["search"]["n_trials"]
    return settings_from({**said, "enable_finetuning": learns, "finetuning_output_dir": str(run.path)})


@contextmanager
def open_run(path: Path, about: Mapping[str, Mapping[str, Any]], overwrite: bool) -> Iterator[RunFolder]:
    """Take the folder for one run, resuming what is there.

    `about` is what makes the run this run (tables of settings, document and model hashes). A folder that holds a run
    with other values raises RunFolderError naming them, as does one that another process is using or that holds
    something else; `overwrite` deletes an earlier run, never anything else.
    """
    from filelock import FileLock, Timeout

    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path}: is a file; choose another --finetuning-output-dir.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be made ({error}); choose another --finetuning-output-dir.") from error
    strangers = {item.name for item in path.iterdir()} - {LOCK, RUN_FILE + PARTIAL}
    if strangers and not (path / RUN_FILE).exists():
        raise RunFolderError(f"{path}: holds {min(strangers)} but no run; choose an empty --finetuning-output-dir.")
    try:
        held = FileLock(path / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise RunFolderError(f"{path}: another process is working in this run folder.") from error
    is_new = not (path / RUN_FILE).exists()
    try:
        with held:
            yield _prepare(RunFolder(path), about, overwrite)
    except UsageError:
        if is_new and {item.name for item in path.iterdir()} <= {LOCK, RUN_FILE}:
            shutil.rmtree(path)  # nothing came of it: the next command, with other documents, is not refused for it
        raise


def _prepare(run: RunFolder, about: Mapping[str, Mapping[str, Any]], overwrite: bool) -> RunFolder:
    if overwrite:
        for name in (*CONTENTS, RUN_FILE):
            _delete(run.path / name)
            _delete(run.path / (name + PARTIAL))
    if run.has(RUN_FILE):
        _refuse_differences(run, about)
    else:
        run.save_text(RUN_FILE, _toml(about))
    return run


def _refuse_differences(run: RunFolder, about: Mapping[str, Mapping[str, Any]]) -> None:
    there = run.about()
    for table, wanted in tomllib.loads(_toml(about)).items():
        found = there.get(table, {})
        for name in [*wanted, *(set(found) - set(wanted))]:
            if found.get(name) != wanted.get(name):
                raise RunFolderError(
                    f"{run.path}: holds a run with another {table} value: {name} was {_shown(found.get(name))}, now "
                    f"{_shown(wanted.get(name))}. Use another --finetuning-output-dir, or --overwrite to start afresh."
                )


def _shown(value: Any) -> str:
    return "not there" if value is None else toml_value(value)


def run_path(settings: Settings) -> Path:
    """The run's folder: the one the user named, or one named after model and documents below the default."""
    if settings.finetuning_output_dir != DEFAULT_OUTPUT_DIR:
        return Path(settings.finetuning_output_dir)
    documents = settings.fine_tune_dataset if settings.wants_fine_tuning else ()
    return Path(DEFAULT_OUTPUT_DIR) / run_name(settings.model, documents)


def run_name(model: str, documents: Sequence[str]) -> str:
    return re.sub(r"[^\w.-]+", "-", "-".join(Path(name).stem for name in (model, *documents))).strip("-")


def identity(settings: Settings, documents: Mapping[str, str], model: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What makes a run this run: the settings that change its result, and the hashes of documents and model by name.

    Without documents, more trials or another one may be asked of the same run.
    """
    may_change = HOW_NOT_WHAT if documents else HOW_NOT_WHAT | {"n_trials", "trial"}
    said = settings.model_dump(mode="json", exclude={*may_change, *PLANNED})
    said |= {name: settings.chosen(name) for name in PLANNED}
    for name in ("exam_file", "known_file", "study_prompts"):
        file = getattr(settings, name)
        if file and file.is_file():
            said[f"{name}_sha256"] = sha256_of(file)
    return {"settings": said, "documents": dict(documents), "model": dict(model)}


def note_how(run: RunFolder, settings: Settings, device: str) -> None:
    """What the run was made with, and in which way; kept for the record and for resuming, not compared."""
    packages = ("blasphemer", "torch", "transformers", "peft", "trl", "datasets", "accelerate", "heretic-llm", "optuna")
    versions = {"python": platform.python_version(), "device": device} | {name: version(name) for name in packages}
    run.add_about("versions", versions)
    run.add_about("how", settings.model_dump(mode="json", include=set(HOW)))


def freeze(run: RunFolder, name: str, sha256: str) -> None:
    """Note the hash of something in run.toml; raises RunFolderError when it is no longer what was noted."""
    noted = run.about().get(name, {}).get("sha256")
    if noted is None:
        run.add_about(name, {"sha256": sha256})
    elif noted != sha256:
        raise RunFolderError(f"{run.path}: {name}.jsonl was changed after it was frozen; --overwrite starts afresh.")


def sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hash_of(opened)


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for table, values in tables.items():
        lines += [f"[{table}]"]
        lines += [f"{toml_value(name)} = {toml_value(value)}" for name, value in values.items() if value is not None]
        lines += [""]
    return "\n".join(lines)
