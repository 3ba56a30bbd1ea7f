"""A training while it runs: its metrics and checkpoints on disk, its progress, and what Ctrl+C means."""

from __future__ import annotations

import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from blasphemer import console
from blasphemer.errors import BlasphemerError
from blasphemer.language_model import peak_memory, team
from blasphemer.workspace import RunFolder

COMPLETE = "complete"  # this file in a checkpoint says that all the others were written
METRICS = "metrics.jsonl"
LOGGED = {"loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Writes metrics, moves the progress bar, marks checkpoints as complete, and stops at an interrupt."""

    def __init__(
        self,
        metrics: Path,
        advance: console.Advance,
        stop: threading.Event,
        rate_scale: float,
        until: float,
        device: torch.device,
    ) -> None:
        self.metrics, self.advance, self.stop, self.until = metrics, advance, stop, until
        self.rate_scale = rate_scale  # the trainer logs the rate of its first group, A; ours lies between A's and B's
        self.device = device
        self.before: dict[str, Any] = next(reversed(_lines(metrics)), {})
        self.started = time.monotonic()
        self.shown = self.tokens = 0
        self.note = ""
        self.was_asked_to_stop = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.monotonic()
        self.shown = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state.global_step)
        self.was_asked_to_stop, is_up = team.same((self.stop.is_set(), time.monotonic() > self.until))
        if self.was_asked_to_stop:
            control.should_save = control.should_training_stop = True
        elif is_up and state.global_step < state.max_steps:
            control.should_training_stop = True
            console.note(f"The time is up after {state.global_step} of {state.max_steps} steps.")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if not {"loss", "eval_loss"} & set(logs):
            return  # the trainer's own closing summary
        self.tokens = round(logs.get("num_tokens", self.tokens))  # of this sitting
        line: dict[str, Any] = {"step": state.global_step}
        line |= {ours: logs[theirs] for theirs, ours in LOGGED.items() if theirs in logs}
        if "learning_rate" in line:
            line["learning_rate"] *= self.rate_scale
        if any(not math.isfinite(line[name]) for name in ("loss", "validation_loss") if name in line):
            raise BlasphemerError(f"The loss became {line} at step {state.global_step}. Lower --learning-rate.")
        seconds = self.before.get("seconds", 0.0) + time.monotonic() - self.started
        line |= {
            "tokens": self.before.get("tokens", 0) + self.tokens,
            "seconds": round(seconds, 2),
            "peak_memory_bytes": peak_memory(self.device),
        }
        if team.rank() > 0:
            return
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if "loss" in logs:
            self.note = f"loss {logs['loss']:.3f}, {line['tokens'] / max(seconds, 1e-9):,.0f} tokens/s"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        team.wait()
        if team.rank() == 0:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    def _show(self, step: int) -> None:
        self.advance(step - self.shown, note=self.note)
        self.shown = step


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """The newest checkpoint that was written to its end; others, cut short by a kill, are removed."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=step_of)
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    complete = [path for path in found if path.exists()]
    return complete[-1] if complete else None


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def forget_after(metrics: Path, done: int) -> None:
    """Drop logged steps that will be done again: those after the first `done`."""
    if not metrics.exists():
        return
    kept = [line for line in _lines(metrics) if line["step"] <= done]
    RunFolder(metrics.parent).save_text(metrics.name, "".join(json.dumps(line) + "\n" for line in kept))


def _lines(metrics: Path) -> list[dict[str, Any]]:
    if not metrics.exists():
        return []
    lines = metrics.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # what a kill cut short has no line end


@contextmanager
def stop_at_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl+C asks the training to stop after a checkpoint, a second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        console.note("Stopping after this step. Press Ctrl+C again to stop at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
