"""Examples + model -> adapter: TRL's trainer and PEFT's LoRA, with checkpoints and exact resume, and nothing else."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from torch.nn.functional import cross_entropy, kl_div
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError, Interrupted, ModelError
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, attending, encode
from blasphemer.lora_trainer.lessons import Lessons, mix_replay
from blasphemer.lora_trainer.packing import (
    IGNORED,
    IN_BLOCKS,
    Packer,
    attention_in_blocks,
    can_pack,
    shared_beginning,
)
from blasphemer.lora_trainer.plan import describe, fitted
from blasphemer.records import Example, Plan, StudyItem
from blasphemer.workspace import RunFolder

COMPLETE = "complete"  # this file in a checkpoint says that all the others were written
METRICS = "metrics.jsonl"
LOGGING_STEPS = 10
SECONDS_OF_WRITING_OUT = 60  # the adapter and the merged model, and the proof of both
LOGGED = {"loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


def train(job: Job, lessons: Lessons, rehearsed: Sequence[StudyItem]) -> PeftModel | None:
    """Train on the lessons, with what is rehearsed mixed in; None where the run has its adapter already."""
    if job.run.has("adapter"):
        return None
    mixed = mix_replay(lessons.examples, _encoded(job, rehearsed), lessons.plan, job.settings.seed)
    plan = fitted(lessons.plan, len(mixed))
    job.run.save_json("plan.json", asdict(plan))
    console.say(lessons.preview.plan if plan == lessons.plan else describe(plan))
    job.model.write_in()
    again = sum(job.took.get(name, 0.0) for name in ("before", "retention_before", "chosen_before"))
    until = job.deadline(reserve=again + SECONDS_OF_WRITING_OUT)
    return train_lora(job.model, mixed, lessons.validation, plan, job.settings, job.run, until)


def _encoded(job: Job, rehearsed: Sequence[StudyItem]) -> list[Example]:
    """What is rehearsed, as far as it is not too long. Of the user's own answers the words are learnt."""
    examples = zip(rehearsed, encode(rehearsed, job.model.tokenizer, job.model.context), strict=True)
    return [
        replace(example, rehearsed=item.writer == "model")
        for item, example in examples
        if len(example.ids) <= job.longest
    ]


def train_lora(
    model: LanguageModel,
    examples: Sequence[Example],
    validation: Sequence[Example],
    plan: Plan,
    settings: Settings,
    run: RunFolder,
    until: float = math.inf,
) -> PeftModel:
    """Train a LoRA as planned, going on from the newest complete checkpoint; not longer than `until`, in
    time.monotonic's seconds: the learning rate then falls with the time instead of the steps.

    Raises Interrupted (after a checkpoint) on Ctrl+C, and BlasphemerError when the loss is no longer a number.
    The base weights are not changed, but are wrapped: load them anew for other uses. Validation loss is the mean over
    batches of per_device_eval_batch_size items of their mean loss per token.
    """
    checkpoints = run.path / "checkpoints"
    resumed = _newest_checkpoint(checkpoints)
    metrics = run.path / METRICS
    done = _step_of(resumed) if resumed else 0
    _forget_after(metrics, done)
    with console.progress("training", plan.steps, done) as advance, _stop_at_interrupt() as stop:
        watcher = _Watcher(metrics, advance, stop, math.sqrt(settings.loraplus_lr_ratio), until)
        adapted = _with_lora(model, settings)
        optimizer = _optimizer(adapted, plan.learning_rate, settings.loraplus_lr_ratio)
        everything = [*examples, *validation]
        packs = can_pack(adapted, max((len(example.ids) for example in everything), default=0))
        trainer = (_PackedTrainer if packs else SFTTrainer)(
            model=adapted,
            args=_arguments(model, plan, settings, checkpoints, has_validation=bool(validation), packs=packs),
            data_collator=Packer(shared_beginning(everything)) if packs else None,
            train_dataset=_dataset(examples),
            eval_dataset=_dataset(validation) if validation else None,
            processing_class=model.tokenizer,
            callbacks=[watcher],
            optimizers=(optimizer, _schedule(optimizer, plan, settings, until)),
        )
        trainer.remove_callback(PrinterCallback)
        with attending(adapted, IN_BLOCKS, attention_in_blocks) if packs else nullcontext():
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    if stop.is_set():
        raise Interrupted("Stopped after a checkpoint.")
    # without what computes in bfloat16 in training: the result is proved and examined as it is
    trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trained.eval()
    return trained


def _with_lora(model: LanguageModel, settings: Settings) -> PeftModel:
    names: Any = list(settings.lora_target_modules)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear" if names == ["all-linear"] else names,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            return get_peft_model(model.weights, config)
    except ValueError as error:
        raise ModelError(f"lora_target_modules = {', '.join(names)}: not in this model; try all-linear.") from error


def _optimizer(adapted: PeftModel, rate: float, ratio: float) -> torch.optim.Optimizer:
    """AdamW with LoRA+ (arXiv 2402.12354): B learns `ratio` times as fast as A, and `rate` is their geometric mean."""
    optimizer: torch.optim.Optimizer = create_loraplus_optimizer(
        adapted,
        torch.optim.AdamW,
        lr=rate / math.sqrt(ratio),
        loraplus_lr_ratio=ratio,
        loraplus_lr_embedding=rate,  # or adapters of embeddings would learn at 1e-6
    )
    return optimizer


def _schedule(
    optimizer: torch.optim.Optimizer, plan: Plan, settings: Settings, until: float
) -> torch.optim.lr_scheduler.LambdaLR | None:
    """A rate that rises and falls as the trainer's own, but is zero when the time is up; None where there is no hurry:
    the trainer's own depends on nothing but the step."""
    if math.isinf(until):
        return None
    warmup, begun = _warmup(plan, settings), time.monotonic()

    def rate(step: int) -> float:
        done = (time.monotonic() - begun) / max(until - begun, 1e-9)
        return min((step + 1) / max(warmup, 1), 1.0) * max(1 - max(step / plan.steps, done), 0.0)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def _warmup(plan: Plan, settings: Settings) -> int:
    return max(math.ceil(plan.steps * settings.warmup_ratio), 1) if settings.warmup_ratio else 0


class _PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer for rows of a Packer: the loss of what is learnt, of which alone the scores are computed.

    Of what is rehearsed it is the Kullback-Leibler divergence from what the model expects without the adapter.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        row = dict(inputs)
        labels, rehearsed = row.pop("labels")[0, 1:], row.pop("rehearsed")  # (learnt)
        reference = row.pop("reference", None)
        outputs = model(**row, use_cache=False)
        scores = outputs.logits[0].float()  # (learnt, vocabulary)
        losses = cross_entropy(scores[~rehearsed], labels[~rehearsed], reduction="sum")
        if reference:
            losses = losses + self._divergence(model, scores[rehearsed], reference)
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        loss = losses / max(int(count), 1)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # which are averaged over
        if self.model.training:
            local = torch.tensor(row["input_ids"].numel(), device=loss.device)
            self._total_train_tokens += int(self.accelerator.gather_for_metrics(local).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return (loss, outputs) if return_outputs else loss

    def _divergence(self, model: Any, scores: torch.Tensor, reference: dict[str, torch.Tensor]) -> torch.Tensor:
        """Of scores from those without the adapter, summed over the places: (places, vocabulary) to a number."""
        row = {name: value for name, value in reference.items() if name != "labels"}
        with torch.no_grad(), self.accelerator.unwrap_model(model).disable_adapter():
            before = model(**row, use_cache=False).logits[0].float().log_softmax(-1)
        return kl_div(scores.log_softmax(-1), before, log_target=True, reduction="sum")


def _arguments(
    model: LanguageModel, plan: Plan, settings: Settings, checkpoints: Path, has_validation: bool, packs: bool
) -> SFTConfig:
    made = SFTConfig(
        output_dir=str(checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=settings.per_device_eval_batch_size,
        gradient_accumulation_steps=plan.accumulation,
        lr_scheduler_type="linear",
        warmup_steps=_warmup(plan, settings),
        max_grad_norm=1.0,
        max_length=None,  # nothing is cut: encode() has seen to the length
        # where rows are padded, items of like length share a micro-batch
        train_sampling_strategy="random" if packs else "batch_rebalance",
        remove_unused_columns=False,
        bf16=plan.precision == "bfloat16",
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=model.device.type == "cpu",
        dataloader_pin_memory=model.device.type == "cuda",
        logging_steps=LOGGING_STEPS,
        logging_first_step=True,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=settings.save_total_limit,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=settings.save_steps,
        seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
    )
    if made.n_gpu > 1:
        made._n_gpu = 1  # else the trainer puts a copy on each GPU and takes as many times the batch that was planned
    return made


def _dataset(examples: Sequence[Example]) -> Dataset:
    """A row for each example, in order; those that come again are held once."""
    place = {example: number for number, example in enumerate(dict.fromkeys(examples))}
    rows = {
        "input_ids": [list(example.ids) for example in place],
        "labels": [labels_of(example) for example in place],
        "rehearsed": [example.rehearsed for example in place],
    }
    return Dataset.from_dict(rows).select([place[example] for example in examples])


def labels_of(example: Example) -> list[int]:
    return [token if learnt else IGNORED for token, learnt in zip(example.ids, example.learn, strict=True)]


class _Watcher(TrainerCallback):  # type: ignore[misc]
    """Writes metrics, moves the progress bar, marks checkpoints as complete, and stops at an interrupt."""

    def __init__(
        self, metrics: Path, advance: console.Advance, stop: threading.Event, rate_scale: float, until: float
    ) -> None:
        self.metrics, self.advance, self.stop, self.until = metrics, advance, stop, until
        self.rate_scale = rate_scale  # the trainer logs the rate of its first group, A; ours lies between A's and B's
        self.before: dict[str, Any] = next(reversed(_lines(metrics)), {})
        self.started = time.monotonic()
        self.shown = self.tokens = 0
        self.note = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.monotonic()
        self.shown = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state.global_step)
        if self.stop.is_set():
            control.should_save = control.should_training_stop = True
        elif time.monotonic() > self.until and state.global_step < state.max_steps:
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
            "peak_memory_bytes": _peak_memory(),
        }
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if "loss" in logs:
            self.note = f"loss {logs['loss']:.3f}, {line['tokens'] / max(seconds, 1e-9):,.0f} tokens/s"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    def _show(self, step: int) -> None:
        self.advance(step - self.shown, note=self.note)
        self.shown = step


def _newest_checkpoint(checkpoints: Path) -> Path | None:
    """The newest checkpoint that was written to its end; others, cut short by a kill, are removed."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=_step_of)
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    complete = [path for path in found if path.exists()]
    return complete[-1] if complete else None


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _forget_after(metrics: Path, done: int) -> None:
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


def _peak_memory() -> int:
    """Largest memory in use so far, in bytes: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


@contextmanager
def _stop_at_interrupt() -> Iterator[threading.Event]:
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
