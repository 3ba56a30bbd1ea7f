"""Keep the libraries' own bars and remarks off the terminal, which is ours, and put everything back afterwards."""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType

import numpy
import torch
from datasets import disable_progress_bars, enable_progress_bars
from datasets.utils import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

NAMES = ("accelerate", "bitsandbytes", "datasets", "optuna", "peft", "transformers", "trl")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """For the whole run, imports of the heavy rooms included."""
    loggers = [logging.getLogger(name) for name in NAMES]
    levels = [logger.level for logger in loggers]
    had_bars = not are_progress_bars_disabled(), transformers_logging.is_progress_bar_enabled()
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), without_bitsandbytes(), _left_as_it_was():
            warnings.filterwarnings("ignore", category=FutureWarning)  # their uses of each other's older names
            warnings.filterwarnings("ignore", message=".*experimental feature")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars[0]:
            enable_progress_bars()
        if had_bars[1]:
            transformers_logging.enable_progress_bar()


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Training seeds every source of randomness, abliteration too, and libraries leave notes in the environment."""
    chance, numpys, environment = random.getstate(), numpy.random.get_state(), dict(os.environ)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(chance)
        numpy.random.set_state(numpys)
        os.environ.clear()
        os.environ.update(environment)


def without_bitsandbytes() -> AbstractContextManager[None]:
    """Heretic brings bitsandbytes along. PEFT imports it wherever it finds it, which takes seconds and asks the hub for
    a kernel, and 4-bit weights, its only use, need a CUDA GPU."""
    return nullcontext() if torch.cuda.is_available() else standing_in("bitsandbytes", None)


@contextmanager
def standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Whoever imports the module `name` meanwhile gets this one, or with None, finds that it is not installed."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    there = modules.get(name), name in modules
    modules[name] = module
    try:
        yield
    finally:
        if there[1]:
            modules[name] = there[0]
        else:
            del modules[name]
