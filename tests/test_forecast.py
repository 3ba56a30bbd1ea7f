"""What a run will take, told before it starts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from blasphemer.command_line import load_settings
from blasphemer.errors import ModelError, UsageError
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, encode, load_model
from blasphemer.lora_trainer import forecast
from blasphemer.lora_trainer.forecast import (
    describe_forecast,
    foresee,
    held_by_a_step,
    in_memory,
    require_disk,
    tokens_of,
    written_to_disk,
)
from blasphemer.lora_trainer.packing import Packer, shared_beginning
from blasphemer.lora_trainer.trainer import Course, train_lora
from blasphemer.records import Plan, StudyItem, exchange
from blasphemer.study.requests import default_requests
from blasphemer.workspace import RunFolder

ITEMS = [StudyItem(str(n), "q", "model", "", exchange(f"Who waits at weir {n}?", f"Heron {n}.")) for n in range(8)]
PLAN = Plan(8, 0, 0, 0, 4, 2, 3, 3, 1e-3)


def test_the_tokens_foreseen_are_those_of_the_rows(tiny: LanguageModel) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    packer = Packer(shared_beginning(examples))
    rows = [{"input_ids": list(one.ids), "labels": list(one.ids)} for one in examples]
    computed = sum(packer.packed(rows[start : start + 4])["input_ids"].numel() for start in (0, 4))
    assert tokens_of(PLAN, examples) == 3 * computed


def test_more_passes_take_longer_and_a_budget_that_is_too_short_is_said(tiny: LanguageModel, tmp_path: Path) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    job = Job(load_settings(["demo", "--time-budget", "1e-6"]), RunFolder(tmp_path), tiny, [], default_requests())
    once, often = (foresee(job, replace(PLAN, epochs=epochs), examples, 10, 1) for epochs in (3, 30))
    assert once.tokens < often.tokens
    assert often.training / once.training == pytest.approx(often.tokens / once.tokens)
    assert once.gigabytes > 0
    said = describe_forecast(often, replace(PLAN, epochs=30), job.settings)
    assert re.search(r"cuts it short, to about 0 passes; for a whole one give at least \d+\.", said)
    assert "quick" in said
    assert "deep" in said


def test_where_memory_is_short_fewer_items_are_trained_on_at_once(
    tiny: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = encode(ITEMS, tiny.tokenizer, 512)
    held = [
        held_by_a_step(tiny, load_settings(["demo"]), replace(PLAN, batch_size=batch, recomputes=again), examples)
        for batch, again in ((1, True), (1, False), (2, False), (4, False))
    ]
    assert held == sorted(set(held))

    def planned(free: int, *flags: str) -> Plan:
        monkeypatch.setattr(forecast, "free_memory", lambda _: free)
        job = Job(load_settings(["demo", *flags]), RunFolder(tmp_path), tiny, [], default_requests())
        return in_memory(job, PLAN, examples)[0]

    plenty = 2 * held[-1]
    assert planned(plenty) == PLAN
    assert planned(round(1.2 * held[2])) == replace(PLAN, batch_size=2, accumulation=4)
    assert planned(round(1.2 * held[0])) == replace(PLAN, batch_size=1, accumulation=8, recomputes=True)
    with pytest.raises(ModelError, match="MB are free"):
        planned(held[0] // 2)
    capsys.readouterr()
    assert planned(held[0] // 2, "--per-device-train-batch-size", "4") == PLAN
    assert "memory may run out" in capsys.readouterr().err


def test_what_is_written_is_foreseen_and_a_disk_that_is_too_small_refused(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings([str(tiny_folder), "--save-steps", "1", "--save-total-limit", "2"])
    model = load_model(settings)
    foreseen = written_to_disk(model, settings)
    examples = encode(ITEMS, model.tokenizer, 512)
    trained = train_lora(model, Course(replace(PLAN, steps=4), examples, [], RunFolder(tmp_path)), settings)
    trained.save_pretrained(str(tmp_path / "adapter"))
    kept = sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
    kept += sum(file.stat().st_size for file in tmp_path.rglob("optimizer.pt"))
    merged = (tiny_folder / "model.safetensors").stat().st_size
    assert 0.9 < foreseen / (kept * 10 / 7 + merged) < 1.1  # a third checkpoint is there while it is written
    job = Job(settings, RunFolder(tmp_path / "run"), load_model(settings), [], default_requests())
    job.run.path.mkdir()
    require_disk(job)
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda _: SimpleNamespace(free=foreseen - 1))
    with pytest.raises(UsageError, match="--no-merge-lora"):
        require_disk(job)
