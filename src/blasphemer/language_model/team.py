"""Several processes at one job, as `accelerate launch` starts them: the first one leads, and the others do their part
of what it asks them to. It alone reads, asks, decides and writes to disk; nothing has to be agreed on beside its word.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from torch import distributed

from blasphemer.errors import BlasphemerError

PATIENCE = timedelta(days=30)  # a process waits for the others as long as they live
LEAVE = "leave"
SIGNS_OF_LOSS = ("Connection closed", "Connection reset", "Broken pipe", "gloo", "NCCL")
LOST = "Another process of this job has ended; look for its message above. The same command goes on."


Item = TypeVar("Item")
Result = TypeVar("Result")


class LostProcess(BlasphemerError):
    pass


def size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this one is; 0 leads."""
    return int(os.environ.get("RANK", "0"))


def place_on_machine() -> int:
    """Which of the processes on this machine it is, and so which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@cache
def _everyone() -> Any:
    """The group in which tasks and results are passed on."""
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    return distributed.new_group(backend="gloo", timeout=PATIENCE)


def deal(
    act: str, given: Any, items: Sequence[Item], own: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result]:
    """Deal items out to all processes and have each do an act with its own: what comes of each item, in order. The
    first process does its part by `own`.

    Raises LostProcess when another process is gone.
    """
    several = size()
    if several == 1:
        return list(own(items))
    parts = [items[first::several] for first in range(several)]
    with _noticing():
        _pass_on((act, given, parts))
        made = _gathered(own(parts[0]))
    return [made[place % several][place // several] for place in range(len(items))]


def along(act: str, given: Any, own: Callable[[], Result]) -> Result:
    """Have every process do an act; what the first one, by `own`, makes of it. Raises like `deal`."""
    if size() == 1:
        return own()
    with _noticing():
        _pass_on((act, given, [None] * size()))
        made = own()
        wait()
        return made


def follow(acts: Mapping[str, Callable[[Any, Any], Any]]) -> None:
    """Do as the first process asks until it lets this one go: `acts` have names, and take what is given to all, and a
    part. An error ends this process, and with it the job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the first one to hear
    with _noticing():
        while True:
            act, given, parts = _pass_on(None)
            if act == LEAVE:
                return
            _gathered(acts[act](given, parts[rank()]))


def dismiss() -> None:
    """Let the other processes go."""
    if size() > 1 and rank() == 0:
        with suppress(RuntimeError):  # they are gone already
            _pass_on((LEAVE, None, ()))


def same(value: Result) -> Result:
    """What the first process has for it. Every process has to ask."""
    return _pass_on(value) if size() > 1 else value


def wait() -> None:
    """The first process waits until every other one has come here as well."""
    if size() > 1:
        _gathered(None)


@contextmanager
def _noticing() -> Iterator[None]:
    """Raises LostProcess for an error that means that another process is gone."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if any(words in str(error) for words in SIGNS_OF_LOSS):
            raise LostProcess(LOST) from error
        raise


def _pass_on(said: Any) -> Any:
    """What the first process said."""
    holder = [said]
    distributed.broadcast_object_list(holder, src=0, group=_everyone())
    return holder[0]


def _gathered(made: Any) -> list[Any]:
    """What all made, for the first process."""
    everything = [None] * size() if rank() == 0 else None
    distributed.gather_object(made, everything, dst=0, group=_everyone())
    return list(everything or [])
