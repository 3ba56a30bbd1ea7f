"""A training while it runs: its metrics, its progress, when it must stop, and what Ctrl+C means."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError
from blasphemer.language_model import peak_memory, team
from blasphemer.lora_trainer import checkpoints
from blasphemer.lora_trainer.checkpoints import METRICS
from blasphemer.workspace import RunFolder

LOGGED = {"loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}

# A loss over so many times what it was at first and so many nats more, so often in a row, does not come back
TIMES_AWAY, NATS_AWAY, LOGS_AWAY = 2.0, 2.0, 3
CAUSE = "The learning rate is most likely too high: lower --learning-rate, with another --finetuning-output-dir."


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Writes metrics, moves the progress bar, sees checkpoints through, and stops where that is asked for or needed."""

    def __init__(
        self,
        run: RunFolder,
        settings: Settings,
        advance: console.Advance,
        stop: threading.Event,
        until: float,
        device: torch.device,
    ) -> None:
        self.run, self.most_checkpoints, self.device = run, settings.save_total_limit, device
        self.advance, self.stop, self.until = advance, stop, until
        # the trainer logs the rate of its first group, A; ours lies between A's and B's
        self.rate_scale = math.sqrt(settings.loraplus_lr_ratio)
        earlier = run.load_lines(METRICS)
        self.before: dict[str, Any] = earlier[-1] if earlier else {}
        self.losses: list[float] = [line["loss"] for line in earlier if "loss" in line]
        self.started = time.monotonic()
        self.shown = self.tokens = 0
        self.note = ""
        self.was_asked_to_stop = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.monotonic()
        self.shown = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state.global_step)
        control.should_log |= control.should_save  # so that no checkpoint is made of a loss that is no number
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
        self._require_sense(line)
        seconds = self.before.get("seconds", 0.0) + time.monotonic() - self.started
        line |= {
            "tokens": self.before.get("tokens", 0) + self.tokens,
            "seconds": round(seconds, 2),
            "peak_memory_bytes": peak_memory(self.device),
        }
        if team.rank() > 0:
            return
        with (self.run.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if "loss" in logs:
            self.note = f"loss {logs['loss']:.3f}, {line['tokens'] / max(seconds, 1e-9):,.0f} tokens/s"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        team.wait()
        if team.rank() == 0:
            (checkpoints.of_step(self.run, state.global_step) / checkpoints.COMPLETE).touch()
            checkpoints.keep(self.run, self.most_checkpoints)

    def _require_sense(self, line: dict[str, Any]) -> None:
        """Raises BlasphemerError for what is no number, and for a loss that is far above what it was at first."""
        self.losses += [line["loss"]] if "loss" in line else []
        if any(not math.isfinite(line[name]) for name in ("loss", "validation_loss", "grad_norm") if name in line):
            raise BlasphemerError(f"Step {line['step']}: the loss is no number any more ({line}). {CAUSE}")
        away = TIMES_AWAY * self.losses[0] + NATS_AWAY if self.losses else math.inf
        if len(self.losses) > LOGS_AWAY and min(self.losses[-LOGS_AWAY:]) > away:
            raise BlasphemerError(
                f"Step {line['step']}: the loss ran away, from {self.losses[0]:.3g} to {self.losses[-1]:.3g}. {CAUSE}"
            )

    def _show(self, step: int) -> None:
        self.advance(step - self.shown, note=self.note)
        self.shown = step


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
