"""Examples + model -> adapter: TRL's trainer and PEFT's LoRA, with checkpoints and exact resume, and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace

import torch
from peft import PeftModel, set_peft_model_state_dict
from transformers.integrations import get_reporting_integration_callbacks

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError, Interrupted, UsageError, is_out_of_memory
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, attending, encode, let_go, team
from blasphemer.lora_trainer import checkpoints
from blasphemer.lora_trainer.adapter import adapter_config, with_adapter
from blasphemer.lora_trainer.lessons import Lessons, mix_replay
from blasphemer.lora_trainer.packing import (
    IN_BLOCKS,
    Packer,
    attention_in_blocks,
    can_pack,
    shared_beginning,
)
from blasphemer.lora_trainer.plan import describe, fitted, how, in_less_memory
from blasphemer.lora_trainer.sft import PackedTrainer, Trainer, arguments, dataset
from blasphemer.lora_trainer.watching import Watcher, stop_at_interrupt
from blasphemer.records import Example, Plan, StudyItem
from blasphemer.workspace import RunFolder

SECONDS_OF_WRITING_OUT = 60  # the adapter and the merged model, and the proof of both
DIVISION = "division.json"  # in the run's folder: how a step is divided, once memory ran out
TRAIN = "train"  # what processes do together
GO_ON, FINISH, STOP = "Go on", "Finish now with what is learnt", "Stop; the same command goes on later"


@dataclass(frozen=True)
class Course:
    """What is trained on, as planned; in which run's folder, and for how many seconds at the most."""

    plan: Plan
    examples: Sequence[Example]
    validation: Sequence[Example]
    run: RunFolder
    seconds: float = math.inf


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
    course = Course(plan, mixed, lessons.validation, job.run, until - time.monotonic())
    told = job.model.recipe, course
    job.model.write_in()
    return team.along(TRAIN, told, lambda: train_lora(job.model, course, job.settings))


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


def train_lora(model: LanguageModel, course: Course, settings: Settings) -> PeftModel:
    """Train a LoRA as planned, going on from the newest complete checkpoint. Where the time is limited, the learning
    rate falls with it instead of with the steps. Where memory runs out, training goes on from there with fewer items at
    once, and as many to a step.

    Raises Interrupted (after a checkpoint) on Ctrl+C, if whoever is at the terminal does not want to go on;
    BlasphemerError when the loss is no longer a number; ModelError where no item fits into memory. The base weights are
    not changed, but are wrapped: load them anew for other uses. Validation loss is the mean over batches of
    per_device_eval_batch_size items of their mean loss per token.
    """
    run, until = course.run, time.monotonic() + course.seconds
    while True:
        if team.rank() == 0:
            run.save_json("plan.json", asdict(course.plan))
        adapted = with_adapter(model, settings)
        try:
            trained, was_asked_to_stop = _trained(model, adapted, course, until, settings)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            plan = in_less_memory(course.plan)
            course = replace(course, plan=plan)
            run.save_json(DIVISION, {"batch_size": plan.batch_size, "recomputes": plan.recomputes})
            if team.size() > 1:  # the other processes are in the middle of a step
                raise BlasphemerError(f"Memory ran out. The same command goes on with {how(plan)}.") from error
            console.note(f"Memory ran out: training goes on with {how(plan)}.")
        else:
            choice = team.same(_what_next(settings)) if was_asked_to_stop else FINISH
            if choice == FINISH:
                return _best(trained, run) if settings.load_best_model_at_end and team.rank() == 0 else trained
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
    model: LanguageModel, adapted: PeftModel, course: Course, until: float, settings: Settings
) -> tuple[PeftModel, bool]:
    """The trained model, and whether it was asked to stop before its end."""
    plan, run = course.plan, course.run
    resumed = team.same(checkpoints.newest(run, adapter_config(settings)) if team.rank() == 0 else None)
    done = checkpoints.step_of(resumed) if resumed else 0
    if team.rank() == 0:
        checkpoints.forget_metrics_after(run, done)
    with console.progress("training", plan.steps, done) as advance, stop_at_interrupt() as stop:
        watcher = Watcher(run, settings, advance, stop, until, model.device)
        everything = [*course.examples, *course.validation]
        packs = can_pack(adapted, max((len(example.ids) for example in everything), default=0))
        trainer = (PackedTrainer if packs else Trainer)(
            plan,
            settings,
            until,
            model=adapted,
            args=arguments(plan, settings, run, model.device, has_validation=bool(course.validation), packs=packs),
            data_collator=Packer(shared_beginning(everything)) if packs else None,
            train_dataset=dataset(course.examples),
            eval_dataset=dataset(course.validation) if course.validation else None,
            processing_class=model.tokenizer,
            callbacks=[watcher],
        )
        with attending(adapted, IN_BLOCKS, attention_in_blocks) if packs else nullcontext():
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trained = _in_one_piece(trainer, model, settings)
    trained.eval()
    return trained, watcher.was_asked_to_stop and trainer.state.global_step < plan.steps


def _best(trained: PeftModel, run: RunFolder) -> PeftModel:
    """The model as it did best on what is held out, of its checkpoints that are kept."""
    best = checkpoints.best(run)
    if best:
        checkpoints.take(best, trained)
        console.note(f"Of the checkpoints, that of step {checkpoints.step_of(best)} has the lowest validation loss.")
    else:
        console.warn("load_best_model_at_end: no checkpoint has a validation loss and the whole adapter.")
    return trained


def _in_one_piece(trainer: Trainer, model: LanguageModel, settings: Settings) -> PeftModel:
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
