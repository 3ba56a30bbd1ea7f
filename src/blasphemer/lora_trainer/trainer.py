"""Examples + model -> adapter: TRL's trainer and PEFT's LoRA, with checkpoints and exact resume, and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel, set_peft_model_state_dict
from transformers import PrinterCallback
from transformers.integrations import get_reporting_integration_callbacks
from trl import SFTConfig, SFTTrainer

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError, Interrupted, UsageError, is_out_of_memory
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, Recipe, attending, encode, let_go, team
from blasphemer.lora_trainer import checkpoints
from blasphemer.lora_trainer.adapter import adapter_config, optimizer_for, schedule_for, warmup_steps, with_adapter
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
from blasphemer.lora_trainer.watching import Watcher, stop_at_interrupt
from blasphemer.records import Example, Plan, StudyItem
from blasphemer.workspace import RunFolder

LOGGING_STEPS = 10
SECONDS_OF_WRITING_OUT = 60  # the adapter and the merged model, and the proof of both
DIVISION = "division.json"  # in the run's folder: how a step is divided, once memory ran out
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


def require_tools(settings: Settings) -> None:
    """Raises UsageError for a tracker in report_to that is not known or not installed, and for an optimizer that does
    not work here."""
    if settings.optimizer == "adamw_8bit" and not torch.cuda.is_available():
        raise UsageError("optimizer = adamw_8bit: works on CUDA GPUs only; give --optimizer adamw.")
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
    plan = _divided(fitted(lessons.plan, len(mixed)), job.run)
    console.say(lessons.preview.plan if plan == lessons.plan else describe(plan))
    again = sum(job.took.get(name, 0.0) for name in ("before", "retention_before", "chosen_before"))
    until = job.deadline(reserve=again + SECONDS_OF_WRITING_OUT)
    course = Course(job.model.recipe, mixed, lessons.validation, plan, job.run, until - time.monotonic())
    job.model.write_in()
    return team.along(
        TRAIN, course, lambda: train_lora(job.model, mixed, lessons.validation, plan, job.settings, job.run, until)
    )


def _divided(plan: Plan, run: RunFolder) -> Plan:
    """The plan, with steps divided as in an earlier sitting in which memory ran out."""
    if run.has(DIVISION):
        noted = run.load_json(DIVISION)
        while plan.batch_size > noted["batch_size"] or plan.recomputes < noted["recomputes"]:
            plan = in_less_memory(plan)
    return plan


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
            if not is_out_of_memory(error):
                raise
            plan = in_less_memory(plan)
            run.save_json(DIVISION, {"batch_size": plan.batch_size, "recomputes": plan.recomputes})
            if team.size() > 1:  # the other processes are in the middle of a step
                raise BlasphemerError(f"Memory ran out. The same command goes on with {how(plan)}.") from error
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
    resumed = team.same(checkpoints.newest(run, adapter_config(settings)) if team.rank() == 0 else None)
    done = checkpoints.step_of(resumed) if resumed else 0
    if team.rank() == 0:
        checkpoints.forget_metrics_after(run, done)
    with console.progress("training", plan.steps, done) as advance, stop_at_interrupt() as stop:
        scale = math.sqrt(settings.loraplus_lr_ratio)
        watcher = Watcher(run, settings.save_total_limit, advance, stop, scale, until, model.device)
        everything = [*examples, *validation]
        packs = can_pack(adapted, max((len(example.ids) for example in everything), default=0))
        trainer = (_PackedTrainer if packs else _Trainer)(
            plan,
            settings,
            until,
            model=adapted,
            args=_arguments(model, plan, settings, run, has_validation=bool(validation), packs=packs),
            data_collator=Packer(shared_beginning(everything)) if packs else None,
            train_dataset=_dataset(examples),
            eval_dataset=_dataset(validation) if validation else None,
            processing_class=model.tokenizer,
            callbacks=[watcher],
        )
        trainer.remove_callback(PrinterCallback)
        for one in adapted.parameters():
            if one.requires_grad:  # on 4-bit weights TRL takes it to 16 bits, where small steps are lost
                one.data = one.data.float()
        with attending(adapted, IN_BLOCKS, attention_in_blocks) if packs else nullcontext():
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trained = _in_one_piece(trainer, model, settings)
    if settings.load_best_model_at_end and team.rank() == 0:
        _take_best(run, trained)
    trained.eval()
    return trained, watcher.was_asked_to_stop and trainer.state.global_step < plan.steps


def _take_best(run: RunFolder, trained: PeftModel) -> None:
    best = checkpoints.best(run)
    if best:
        checkpoints.take(best, trained)
        console.note(f"Of the checkpoints, that of step {checkpoints.step_of(best)} has the lowest validation loss.")
    else:
        console.warn("load_best_model_at_end: no checkpoint has a validation loss and the whole adapter.")


def _in_one_piece(trainer: SFTTrainer, model: LanguageModel, settings: Settings) -> PeftModel:
    """The trained model, to be proved and examined as it is: without what computes in bfloat16 in training, and where
    each process holds a part of it (FSDP), for the first one made anew with the trained adapter."""
    if not trainer.is_fsdp_enabled:
        return trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if team.rank() > 0:
        return trainer.model
    anew = model.made_as(model.recipe)
    anew.write_in()
    trained = with_adapter(anew, settings)
    set_peft_model_state_dict(trained, {name: value for name, value in state.items() if "lora_" in name})
    return trained


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with our optimizer and schedule. It makes them when the model is where it will be trained."""

    optimizer: Any

    def __init__(self, plan: Plan, settings: Settings, until: float, **given: Any) -> None:
        self.plan, self.settings, self.until = plan, settings, until
        super().__init__(**given)

    def create_optimizer(self, model: Any = None) -> Any:
        if self.optimizer is None:
            self.optimizer = optimizer_for(model or self.model, self.plan.learning_rate, self.settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        own = schedule_for(optimizer or self.optimizer, self.plan, self.settings, self.until)
        if own is None:
            return super().create_scheduler(num_training_steps, optimizer)
        self.lr_scheduler = own
        return own


class _PackedTrainer(_Trainer):
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
    model: LanguageModel, plan: Plan, settings: Settings, run: RunFolder, has_validation: bool, packs: bool
) -> SFTConfig:
    made = SFTConfig(
        output_dir=str(run.path / checkpoints.FOLDER),
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
        logging_nan_inf_filter=False,  # which tells the mean of the others for a loss that is no number
        save_strategy="steps",
        save_steps=settings.save_steps,
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
