"""The LoRA that is trained, and how fast each part of it learns."""

from __future__ import annotations

import math
import time
from importlib import import_module
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from blasphemer.config import Settings
from blasphemer.errors import ModelError
from blasphemer.language_model import LanguageModel, team
from blasphemer.records import Plan


def adapter_config(settings: Settings) -> LoraConfig:
    names = list(settings.lora_target_modules)
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear" if names == ["all-linear"] else names,
        bias="none",
        task_type="CAUSAL_LM",
    )


def with_adapter(model: LanguageModel, settings: Settings) -> PeftModel:
    """The model with a new adapter on it, that changes nothing yet. Raises ModelError for layers it does not have."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            return get_peft_model(model.weights, adapter_config(settings))
    except ValueError as error:
        raise ModelError(
            f"lora_target_modules = {', '.join(settings.lora_target_modules)}: not in this model; try all-linear."
        ) from error


def optimizer_for(adapted: PeftModel, rate: float, settings: Settings) -> torch.optim.Optimizer:
    """AdamW with LoRA+ (arXiv 2402.12354): B learns `loraplus_lr_ratio` times as fast as A, and `rate` is their
    geometric mean."""
    ratio = settings.loraplus_lr_ratio
    optimizer: torch.optim.Optimizer = create_loraplus_optimizer(
        adapted,
        torch.optim.AdamW if settings.optimizer == "adamw" else _in_8_bits(),
        lr=rate / math.sqrt(ratio),
        loraplus_lr_ratio=ratio,
        loraplus_lr_embedding=rate,  # or adapters of embeddings would learn at 1e-6
    )
    # where processes hold parts of the model, optimizers with empty groups cannot be taken up from a checkpoint
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
    return optimizer


def _in_8_bits() -> Any:
    return import_module("bitsandbytes.optim").AdamW8bit


def schedule_for(
    optimizer: torch.optim.Optimizer, plan: Plan, settings: Settings, until: float
) -> torch.optim.lr_scheduler.LambdaLR | None:
    """A rate that rises and falls as the trainer's own, but is zero when the time is up; None where there is no hurry:
    the trainer's own depends on nothing but the step."""
    if math.isinf(until):
        return None
    warmup, begun = warmup_steps(plan, settings), time.monotonic()

    def rate(step: int) -> float:
        done = team.same((time.monotonic() - begun) / max(until - begun, 1e-9))
        return min((step + 1) / max(warmup, 1), 1.0) * max(1 - max(step / plan.steps, done), 0.0)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def warmup_steps(plan: Plan, settings: Settings) -> int:
    """Steps in which the rate rises; not all, as the first of them has none."""
    wanted = max(math.ceil(plan.steps * settings.warmup_ratio), 1) if settings.warmup_ratio else 0
    return min(wanted, plan.steps - 1)
