"""Examples + model -> adapter: TRL's trainer and PEFT's LoRA, with checkpoints and exact resume, and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PrinterCallback
from transformers.integrations import get_reporting_integration_callbacks
from trl import SFTConfig, SFTTrainer

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import Interrupted, UsageError, is_out_of_memory
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, Recipe, attending, encode, let_go, team
from blasphemer.lora_trainer.adapter import optimizer_for, schedule_for, warmup_steps, with_adapter
from blasphemer.lora_trainer.lessons import Lessons, mix_replay
from blasphemer.lora_trainer.loss import loss_of
from blasphemer.lora_trainer.packing import (
    IGNORED,
    IN_BLOCKS,
    Packer,
    attention_in_blocks,
    can_pack,
    shared_beginning,
)
from blasphemer.lora_trainer.plan import describe, fitted, how, in_less_memory
from blasphemer.lora_trainer.watching import (
    METRICS,
    Watcher,
    forget_after,
    newest_checkpoint,
    step_of,
    stop_at_interrupt,
)
from blasphemer.records import Example, Plan, StudyItem
from blasphemer.workspace import RunFolder

LOGGING_STEPS = 10
SECONDS_OF_WRITING_OUT = 60  # the adapter and the merged model, and the proof of both
TRAIN = "train"  # what processes do together
GO_ON, FINISH, STOP = "Go on", "Finish now with what is learnt", "Stop; the same command goes on later"


@dataclass(frozen=True)
class Course:
    """What all processes are told that are to train together: on which model, on what, as planned, for how long."""

    recipe: Recipe
    examples: Sequence[Example]
    validation: Sequence[Example]
    plan: Plan
    run: RunFolder
    seconds: float


def require_trackers(settings: Settings) -> None:
    """Raises UsageError for a tracker in report_to that is not known, or not installed."""
    for name in settings.report_to:
        try:
            get_reporting_integration_callbacks([name])[0]()
        except (ValueError, RuntimeError, ImportError) as error:
            raise UsageError(f"report_to = {name}: {error}") from error


def train(job: Job, lessons: Lessons, rehearsed: Sequence[StudyItem]) -> PeftModel | None:
    """Train on the lessons, with what is rehearsed mixed in; None where the run has its adapter already."""
    if job.run.has("adapter"):
        return None
    mixed = mix_replay(lessons.examples, _encoded(job, rehearsed), lessons.plan, job.settings.seed)
    plan = fitted(lessons.plan, len(mixed))
    console.say(lessons.preview.plan if plan == lessons.plan else describe(plan))
    again = sum(job.took.get(name, 0.0) for name in ("before", "retention_before", "chosen_before"))
    until = job.deadline(reserve=again + SECONDS_OF_WRITING_OUT)
    course = Course(job.model.recipe, mixed, lessons.validation, plan, job.run, until - time.monotonic())
    job.model.write_in()
    return team.along(
        TRAIN, course, lambda: train_lora(job.model, mixed, lessons.validation, plan, job.settings, job.run, until)
    )


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
    time.monotonic's seconds: the learning rate then falls with the time instead of the steps. Where memory runs out, it
    goes on from there with fewer items at once, and as many to a step.

    Raises Interrupted (after a checkpoint) on Ctrl+C, if whoever is at the terminal does not want to go on;
    BlasphemerError when the loss is no longer a number; ModelError where no item fits into memory. The base weights are
    not changed, but are wrapped: load them anew for other uses. Validation loss is the mean over batches of
    per_device_eval_batch_size items of their mean loss per token.
    """
    while True:
        if team.rank() == 0:
            run.save_json("plan.json", asdict(plan))
        adapted = with_adapter(model, settings)
        try:
            trained, was_asked_to_stop = _trained(model, adapted, examples, validation, plan, settings, run, until)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or team.size() > 1:  # the other processes are in the middle of a step
                raise
            plan = in_less_memory(plan)
            console.note(f"Memory ran out: training goes on with {how(plan)}.")
        else:
            choice = team.same(_what_next(settings)) if was_asked_to_stop else FINISH
            if choice == FINISH:
                return trained
            if choice == STOP:
                raise Interrupted("Stopped after a checkpoint.")
        model.weights = adapted.unload()
        let_go(model.device)


def _what_next(settings: Settings) -> str:
    if not console.is_interactive():
        return STOP
    return (
        console.select("Training stands still. What next?", [GO_ON, FINISH, STOP], GO_ON, "--yes", settings.yes) or STOP
    )


def _trained(
    model: LanguageModel,
    adapted: PeftModel,
    examples: Sequence[Example],
    validation: Sequence[Example],
    plan: Plan,
    settings: Settings,
    run: RunFolder,
    until: float,
) -> tuple[PeftModel, bool]:
    """The trained model, and whether it was asked to stop before its end."""
    checkpoints, metrics = run.path / "checkpoints", run.path / METRICS
    resumed = team.same(newest_checkpoint(checkpoints) if team.rank() == 0 else None)
    done = step_of(resumed) if resumed else 0
    if team.rank() == 0:
        forget_after(metrics, done)
    with console.progress("training", plan.steps, done) as advance, stop_at_interrupt() as stop:
        watcher = Watcher(metrics, advance, stop, math.sqrt(settings.loraplus_lr_ratio), until, model.device)
        optimizer = optimizer_for(adapted, plan.learning_rate, settings.loraplus_lr_ratio)
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
            optimizers=(optimizer, schedule_for(optimizer, plan, settings, until)),
        )
        trainer.remove_callback(PrinterCallback)
        with attending(adapted, IN_BLOCKS, attention_in_blocks) if packs else nullcontext():
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    # without what computes in bfloat16 in training: the result is proved and examined as it is
    trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    trained.eval()
    return trained, watcher.was_asked_to_stop and trainer.state.global_step < plan.steps


class _PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer for rows of a Packer: the loss of what is learnt, of which alone the scores are computed."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        row = dict(inputs)
        labels, reference = row.pop("labels")[0, 1:], row.pop("reference", None)  # (learnt)
        outputs = model(**row, use_cache=False)
        before = None if reference is None else self._without_adapter(model, reference)
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        loss = loss_of(outputs.logits[0], labels, before) / max(int(count), 1)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # which are averaged over
        if self.model.training:
            local = torch.tensor(row["input_ids"].numel(), device=loss.device)
            self._total_train_tokens += int(self.accelerator.gather_for_metrics(local).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return (loss, outputs) if return_outputs else loss

    def _without_adapter(self, model: Any, reference: dict[str, torch.Tensor]) -> torch.Tensor:
        """What is expected of a row without the adapter: log-probabilities, (learnt, vocabulary)."""
        row = {name: value for name, value in reference.items() if name != "labels"}
        with torch.no_grad(), self.accelerator.unwrap_model(model).disable_adapter():
            expected: torch.Tensor = model(**row, use_cache=False).logits[0].float().log_softmax(-1)
        return expected


def _arguments(
    model: LanguageModel, plan: Plan, settings: Settings, checkpoints: Path, has_validation: bool, packs: bool
) -> SFTConfig:
    made = SFTConfig(
        output_dir=str(checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=min(settings.per_device_eval_batch_size, plan.batch_size),
        gradient_accumulation_steps=plan.accumulation,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps(plan, settings),
        max_grad_norm=1.0,
        max_length=None,  # nothing is cut: encode() has seen to the length
        # where rows are padded, items of like length share a micro-batch
        train_sampling_strategy="random" if packs else "batch_rebalance",
        remove_unused_columns=False,
        bf16=plan.precision == "bfloat16",
        gradient_checkpointing=plan.recomputes,
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
        report_to=list(settings.report_to) or "none",
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
