"""Checkpoints of a training: which are whole, which are kept, and which did best on what is held out."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, load_peft_weights, set_peft_model_state_dict

from blasphemer.errors import RunFolderError
from blasphemer.workspace import RunFolder

FOLDER = "checkpoints"
METRICS = "metrics.jsonl"
COMPLETE = "complete"  # this file in a checkpoint says that all the others were written
ADAPTER = "adapter_model.safetensors"
MADE_FOR = ("r", "lora_alpha", "lora_dropout", "target_modules")  # of an adapter's settings


def of_step(run: RunFolder, step: int) -> Path:
    return run.path / FOLDER / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def newest(run: RunFolder, adapter: LoraConfig) -> Path | None:
    """The newest checkpoint that was written to its end; others, cut short by a kill, are removed.

    Raises RunFolderError where it is one of another adapter.
    """
    for path in (run.path / FOLDER).glob("checkpoint-*"):
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    found = max(_whole(run), key=step_of, default=None)
    if found:
        _require_same(found, adapter)
    return found


def keep(run: RunFolder, most: int) -> None:
    """Keep the newest checkpoint, to go on from, and of the others those with the lowest validation loss: `most` in
    all."""
    newest_first = sorted(_whole(run), key=step_of, reverse=True)
    losses = validation_losses(run)
    others = sorted(newest_first[1:], key=lambda path: losses.get(step_of(path), math.inf))
    for path in others[max(most - 1, 0) :]:
        (path / COMPLETE).unlink()
        shutil.rmtree(path)


def best(run: RunFolder) -> Path | None:
    """The kept checkpoint with the lowest validation loss, of those with the whole adapter."""
    losses = validation_losses(run)
    measured = [path for path in _whole(run) if step_of(path) in losses and (path / ADAPTER).exists()]
    return min(measured, key=lambda path: losses[step_of(path)], default=None)


def take(checkpoint: Path, adapted: PeftModel) -> None:
    """Give the adapter the weights that it had at a checkpoint."""
    set_peft_model_state_dict(adapted, load_peft_weights(str(checkpoint), device="cpu"))


def validation_losses(run: RunFolder) -> dict[int, float]:
    """By step."""
    return {line["step"]: line["validation_loss"] for line in run.load_lines(METRICS) if "validation_loss" in line}


def forget_metrics_after(run: RunFolder, done: int) -> None:
    """Drop logged steps that will be done again: those after the first `done`."""
    if run.has(METRICS):
        kept = [line for line in run.load_lines(METRICS) if line["step"] <= done]
        run.save_text(METRICS, "".join(json.dumps(line) + "\n" for line in kept))


def _whole(run: RunFolder) -> list[Path]:
    return [file.parent for file in (run.path / FOLDER).glob(f"checkpoint-*/{COMPLETE}")]


def _require_same(checkpoint: Path, adapter: LoraConfig) -> None:
    file = checkpoint / "adapter_config.json"
    if not file.exists():  # of a training whose processes each hold a part of the model
        return
    there, wanted = json.loads(file.read_text(encoding="utf-8")), adapter.to_dict()
    for name in MADE_FOR:
        found, own = there.get(name), wanted[name]
        if own != "all-linear" and _plain(found) != _plain(own):
            raise RunFolderError(
                f"{checkpoint}: is of an adapter with another {name}: {_plain(found)}, not {_plain(own)}. Use another "
                "--finetuning-output-dir, or --overwrite to start afresh."
            )


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | set | tuple) else value
