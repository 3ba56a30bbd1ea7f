"""The main job from end to end: documents in, an examined model out; and everything that can go wrong on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from blasphemer.command_line import load_settings
from blasphemer.exam import grading, paper
from blasphemer.language_model import load_model
from blasphemer.language_model.chat_format import encode
from blasphemer.language_model.weights import model_path
from blasphemer.main import main
from blasphemer.records import ExamQuestion, LedgerEntry, Passage, StudyItem, exchange, from_jsonl
from blasphemer.workspace import RunFolder
from tests.conftest import demo_command


def records(kind: Any, file: Path) -> list[Any]:
    return from_jsonl(kind, file.read_text(encoding="utf-8"))


def card(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "scorecard.json").read_text(encoding="utf-8"))


# --- a run that goes well --------------------------------------------------------------------------------------------


def test_the_demo_model_learns_the_documents_and_keeps_what_it_knew(demo_run: Path) -> None:
    """Pitfalls 18 and 19: an exam with a score, before and after, and what became of the rest."""
    scores = card(demo_run)
    knowledge, retention = scores["knowledge"], scores["retention"]
    assert knowledge["before"]["rate"] <= 0.1
    assert knowledge["after"]["rate"] >= 0.75
    assert knowledge["p_value"] < 0.05
    assert retention["before"]["total"] >= 100
    assert retention["after"]["rate"] >= retention["before"]["rate"] - 0.05
    assert scores["training"]["loss_last"] < scores["training"]["loss_first"]


def test_the_exam_was_frozen_before_the_study_material_was_written(demo_run: Path) -> None:
    questions = records(ExamQuestion, demo_run / "exam.jsonl")
    assert RunFolder(demo_run).about()["exam"]["sha256"] == paper.fingerprint(questions)
    assert (demo_run / "exam.jsonl").stat().st_mtime <= (demo_run / "study.jsonl").stat().st_mtime
    asked = {message["content"] for item in records(StudyItem, demo_run / "study.jsonl") for message in item.messages}
    assert not asked & {question.question for question in questions}


def test_the_ledger_accounts_for_every_character(demo_run: Path, documents: Path) -> None:
    """Pitfall 7."""
    (entry,) = records(LedgerEntry, demo_run / "ledger.jsonl")
    assert entry.kept + entry.lost == len((documents / "people.txt").read_text(encoding="utf-8"))
    text = (documents / "people.txt").read_text(encoding="utf-8")
    assert all(text[p.start : p.end] == p.text for p in records(Passage, demo_run / "passages.jsonl"))


def rate_of(weights: Any, folder: Path) -> int:
    demo = load_model(load_settings(["demo"]))
    model = replace(demo, weights=weights)
    questions = records(ExamQuestion, folder / "exam.jsonl")
    return grading.grade(questions, model.answer([question.question for question in questions])).correct


def test_merged_loads_plainly_and_adapter_with_peft_and_both_score_the_same(demo_run: Path) -> None:
    """Pitfall 3."""
    after = card(demo_run)["knowledge"]["after"]["correct"]
    assert rate_of(AutoModelForCausalLM.from_pretrained(demo_run / "merged"), demo_run) == after
    base = AutoModelForCausalLM.from_pretrained(model_path("demo"), dtype="float32")
    assert rate_of(PeftModel.from_pretrained(base, str(demo_run / "adapter")), demo_run) == after


def test_the_same_command_again_does_nothing_anew(demo_run: Path, documents: Path, own_exam: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in demo_run.rglob("*.safetensors")}
    assert main(demo_command(documents, own_exam, demo_run)) == 0
    assert before == {file: file.stat().st_mtime_ns for file in demo_run.rglob("*.safetensors")}


def test_other_settings_on_the_same_folder_are_refused_by_name(
    demo_run: Path, documents: Path, own_exam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*demo_command(documents, own_exam, demo_run), "--lora-rank", "8"]) == 2
    assert "lora_rank was 16, now 8" in capsys.readouterr().err


# --- before training -------------------------------------------------------------------------------------------------


def command(model: Path | str, source: Path, out: Path, *flags: str) -> list[str]:
    return [
        str(model),
        "--fine-tune-only",
        "--fine-tune-dataset",
        str(source),
        "--finetuning-output-dir",
        str(out),
        *flags,
    ]


def test_a_dry_run_writes_ledger_passages_and_plan_and_stops(
    tiny_folder: Path, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tiny_folder, documents, tmp_path / "out", "--dry-run")) == 0
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"run.toml", "ledger.jsonl", "passages.jsonl", "exam.jsonl", "study.jsonl", "plan.json"} <= written
    assert not written & {"checkpoints", "adapter", "replay.jsonl", "scorecard.json"}
    shown = capsys.readouterr().out
    assert "«" in shown  # the learnt part is marked
    assert "Plan:" in shown
    assert "questions" in shown


def test_without_a_terminal_the_question_names_the_setting(
    tiny_folder: Path, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfall 21."""
    assert main(command(tiny_folder, documents, tmp_path / "out")) == 2
    assert "--yes" in capsys.readouterr().err


def test_conversations_that_fill_the_longest_item_are_trained_on_and_longer_ones_are_counted(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is told of the documents' own conversations is all that happens to them: none is lost in silence."""
    room = 250 - len(encode([dialogue("")], load_model(load_settings([str(tiny_folder)])).tokenizer, 512)[0].ids)
    said = [dialogue("b" * (room + more)).messages[1]["content"] for more in (0, 200)]  # a token for each letter
    said += [f"Answer {number}" for number in range(30)]
    lines = [json.dumps({"question": f"Which is number {n}?", "answer": answer}) for n, answer in enumerate(said)]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = command(tiny_folder, tmp_path / "asked.jsonl", tmp_path / "out", *QUICK, "--max-seq-length", "256")
    assert main(words) in (0, 3)
    assert "1 of 32 conversations" in capsys.readouterr().err
    assert card(tmp_path / "out")["coverage"]["study_items"] == 31 - 3  # one in ten is held out for the exam


def dialogue(answer: str) -> StudyItem:
    return StudyItem("1", "instruction", "documents", "", exchange("Which is number 1?", answer))


# --- an exam alone ---------------------------------------------------------------------------------------------------


def test_models_are_examined_side_by_side_without_training(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("Say yes.", "yes"), ("How do I polish a duskstone bell?", "I cannot")]
    lines = (json.dumps({"question": question, "answer": answer}) for question, answer in rows)
    (tmp_path / "exam.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = ["--exam-only", "--exam-file", str(tmp_path / "exam.jsonl")]
    assert main(["demo", *words]) == 0
    alone = capsys.readouterr().out
    assert "duskstone" in alone
    assert "/2, " in alone
    assert main(["demo", *words, "--compare-with", str(tiny_folder)]) == 0
    assert "McNemar" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"exam.jsonl"}


@pytest.mark.parametrize("words", [["--exam-only"], ["--compare-with", "demo"]])
def test_an_exam_alone_needs_its_questions(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--exam-" in refusal(capsys, ["demo", *words])


# --- bad input -------------------------------------------------------------------------------------------------------


def refusal(capsys: pytest.CaptureFixture[str], words: Sequence[str], code: int = 2) -> str:
    assert main(words) == code
    error = capsys.readouterr().err
    (line,) = [line for line in error.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in error
    return line


def test_bad_documents_are_one_line_each(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfalls 11 and 12."""
    empty, damaged, short = tmp_path / "empty", tmp_path / "damaged", tmp_path / "short"
    for folder in (empty, damaged, short):
        folder.mkdir()
    (damaged / "a.pdf").write_bytes(b"%PDF-1.4 nonsense")
    (damaged / "b.txt").write_bytes(b"\x00\x01\x02" * 100)
    (short / "word.txt").write_text("Heron", encoding="utf-8")
    out = tmp_path / "out"
    assert "nowhere.txt: no such file" in refusal(capsys, command(tiny_folder, Path("nowhere.txt"), out, "--yes"))
    assert "no files" in refusal(capsys, command(tiny_folder, empty, out, "--yes"))
    assert "no readable documents (2 skipped" in refusal(capsys, command(tiny_folder, damaged, out, "--yes"))
    assert not out.exists()
    assert "can be asked about by rule" in refusal(capsys, command(tiny_folder, short, out, "--yes"))


def test_bad_settings_and_models_are_one_line_each(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert "lora_rank = 0" in refusal(capsys, command("demo", documents, out, "--lora-rank", "0"))
    overlap = command("demo", documents, out, "--chunk-size", "64", "--chunk-overlap", "64")
    assert "chunk_overlap = 64: must be smaller" in refusal(capsys, overlap)
    assert "no such model folder" in refusal(capsys, command("nowhere", documents, out))
    assert "no such exam file" in refusal(capsys, command("demo", documents, out, "--exam-file", "none.jsonl"))
    assert "Which model" in refusal(capsys, [])
    assert "Which documents" in refusal(capsys, ["demo", "--fine-tune-only"])


def test_a_folder_with_something_else_in_it_is_left_alone(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine", encoding="utf-8")
    words = command("demo", documents, tmp_path / "mine", "--overwrite", "--yes")
    assert "thesis.txt" in refusal(capsys, words)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


# --- kills and full disks --------------------------------------------------------------------------------------------

KILLS = 1  # benchmarks.kills has more of them
QUICK = ("--yes", "--replay-prompts", "8", "--study", "3", "--num-train-epochs", "4", "--save-steps", "2")


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "blasphemer", *words]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> int:
    process.communicate()
    return process.returncode


def scores(folder: Path) -> dict[str, Any]:
    found = card(folder)
    marks = {name: (folder / "marks" / f"{name}.jsonl").read_text() for name in ("before", "after", "retention_after")}
    return {"knowledge": found["knowledge"], "retention": found["retention"], "marks": marks}


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run that nothing came across, and its seconds."""
    out, began = tmp_path_factory.mktemp("undisturbed") / "whole", time.monotonic()
    assert finish(start(command(tiny_folder, documents, out, *QUICK))) == 3
    return out, time.monotonic() - began


def test_killed_at_random_moments_the_same_command_finishes_with_the_same_scores(
    tiny_folder: Path, documents: Path, tmp_path: Path, whole: tuple[Path, float]
) -> None:
    undisturbed, seconds = whole
    generator = random.Random(0)
    killed = number = 0
    while killed < KILLS:
        number += 1
        out = tmp_path / f"killed-{number}"
        while (process := start(command(tiny_folder, documents, out, *QUICK))) and killed < KILLS:
            time.sleep(generator.uniform(0.3, 0.95) * seconds)
            if process.poll() is not None:
                break
            process.kill()
            killed += 1
            finish(process)
        assert finish(process) == 3
        assert scores(out) == scores(undisturbed)


def test_interrupted_training_keeps_a_checkpoint_and_says_how_to_go_on(
    tiny_folder: Path, documents: Path, tmp_path: Path
) -> None:
    """Pitfall 20: nothing half-trained is tested or merged."""
    out = tmp_path / "out"
    words = command(tiny_folder, documents, out, *QUICK[:-2], "--save-steps", "1000", "--num-train-epochs", "400")
    process = start(words)
    while not (out / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--fine-tune-dataset" in error.decode()
    assert len(list((out / "checkpoints").glob("checkpoint-*/complete"))) == 1
    assert not (out / "adapter").exists()
    assert not (out / "marks" / "after.jsonl").exists()


def test_interrupted_reading_leaves_no_process_behind_and_says_how_to_go_on(tiny_folder: Path, tmp_path: Path) -> None:
    documents, cache = tmp_path / "many", tmp_path / "cache" / "passages"
    documents.mkdir()
    for number in range(400):
        (documents / f"{number}.txt").write_text(f"Birch {number} stands by the river. " * 2000, encoding="utf-8")
    process = start(command(tiny_folder, documents, tmp_path / "out", "--cache-dir", str(cache.parent), "--yes"))
    while not cache.exists() or len(list(cache.iterdir())) < 10:
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.1)
    readers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted. The same command goes on from there" in error.decode()
    assert readers
    assert psutil.wait_procs(readers, timeout=10)[1] == []


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from blasphemer.main import main
import blasphemer.finetuner
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_when_no_file_can_grow_further_the_error_is_one_line_and_nothing_half_written_has_its_name(
    tiny_folder: Path, documents: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = command(tiny_folder, documents, out, *QUICK)
    done = subprocess.run([sys.executable, "-c", FULL, "300", *words], capture_output=True, check=False)
    error = done.stderr.decode()
    assert done.returncode == 1, error
    assert "no space left" in error
    assert "Traceback" not in error
    assert not (out / "merged").exists()
    assert not (out / "scorecard.json").exists()


FULL_AFTER_A_CHECKPOINT = """
import pathlib, resource, signal, sys, threading, time
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from blasphemer.main import main
import blasphemer.finetuner

def fill():
    while not pathlib.Path(sys.argv[1], "checkpoints/checkpoint-2/complete").exists():
        time.sleep(0.001)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

threading.Thread(target=fill, daemon=True).start()
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before_to_go_on_from(
    tiny_folder: Path, documents: Path, tmp_path: Path, whole: tuple[Path, float]
) -> None:
    out = tmp_path / "full"
    words = command(tiny_folder, documents, out, *QUICK)
    script = [sys.executable, "-c", FULL_AFTER_A_CHECKPOINT, str(out), *words]
    done = subprocess.run(script, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1, done.stderr
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    complete = [file.parent for file in out.glob("checkpoints/checkpoint-*/complete")]
    assert complete
    assert all((folder / "optimizer.pt").stat().st_size > 20_000 for folder in complete)
    assert finish(start(words)) == 3
    assert scores(out) == scores(whole[0])
