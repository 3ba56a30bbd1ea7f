"""Keep the libraries' own bars and remarks off the terminal, which is ours, and put everything back afterwards."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from datasets import disable_progress_bars, enable_progress_bars
from datasets.utils import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

NAMES = ("accelerate", "datasets", "peft", "transformers", "trl")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    levels = [logger.level for logger in loggers]
    had_bars = not are_progress_bars_disabled(), transformers_logging.is_progress_bar_enabled()
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)  # their uses of each other's older names
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars[0]:
            enable_progress_bars()
        if had_bars[1]:
            transformers_logging.enable_progress_bar()
