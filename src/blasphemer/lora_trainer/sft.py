"""TRL's trainer as it is used here: with our optimizer and schedule, and with the loss of a Packer's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from blasphemer.config import Settings
from blasphemer.lora_trainer import checkpoints
from blasphemer.lora_trainer.adapter import optimizer_for, schedule_for, warmup_steps
from blasphemer.lora_trainer.loss import loss_of
from blasphemer.lora_trainer.packing import IGNORED
from blasphemer.records import Example, Plan
from blasphemer.workspace import RunFolder

LOGGING_STEPS = 10


class Trainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with our optimizer and schedule. It makes them when the model is where it will be trained."""

    optimizer: Any

    def __init__(self, plan: Plan, settings: Settings, until: float, **given: Any) -> None:
        self.plan, self.settings, self.until = plan, settings, until
        super().__init__(**given)
        self.remove_callback(PrinterCallback)
        for one in self.model.parameters():
            if one.requires_grad:  # on 4-bit weights TRL takes it to 16 bits, where small steps are lost
                one.data = one.data.float()

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


class PackedTrainer(Trainer):
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


def arguments(
    plan: Plan, settings: Settings, run: RunFolder, device: torch.device, has_validation: bool, packs: bool
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
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
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


def dataset(examples: Sequence[Example]) -> Dataset:
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
