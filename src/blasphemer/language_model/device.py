"""Where a model computes: on which device, in which number format, and in how much memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from blasphemer import console
from blasphemer.errors import ModelError, is_out_of_memory
from blasphemer.language_model import team

GROUPS = Path("/sys/fs/cgroup")
MAPPED_LATER = 128_000_000  # bytes of addresses that libraries and threads take in the course of a run


@dataclass(frozen=True)
class Room:
    """What is worked on at once, at the most: rows, and tokens whose keys and values are held."""

    rows: int
    tokens: int

    def halved(self) -> Room:
        return Room(max(self.rows // 2, 1), max(self.tokens // 2, 1))


def in_room(work: Callable[[Room], object], room: Room, device: torch.device) -> Room:
    """Work in a room, and whenever memory runs out, go on in half of it: `work` takes up what it has left undone.

    Returns the room that was enough.
    """
    while True:
        try:
            work(room)
        except (RuntimeError, MemoryError) as error:
            if room.rows == 1 or not is_out_of_memory(error):
                raise
        else:
            return room
        room = room.halved()  # out of the handler: until here the error held what had been worked out
        let_go(device)
        console.note(f"Memory ran out: going on with {room.rows} at once.")


def let_go(device: torch.device) -> None:
    """Give memory back that nothing uses any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if device.type == "cpu" and sys.platform == "linux":
        with suppress(OSError, AttributeError):  # without glibc
            ctypes.CDLL(None).malloc_trim(0)


def give_up(weights: Any) -> None:
    """Give back the memory of weights that nothing computes with any more, whoever still holds them."""
    for one in [*weights.parameters(), *weights.buffers()]:
        one.data = one.data.new_empty(0)
    let_go(weights.device)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device: what is free there, or left of a limit set to this process."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return max(min(int(psutil.virtual_memory().available), *_left_of_limits()), 0)


def used_memory(device: torch.device) -> int:
    """Bytes that are taken there: of a GPU by tensors, else by this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return int(psutil.Process().memory_info().rss)


def peak_memory(device: torch.device) -> int:
    """Bytes that were taken there at the most, so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().peak_wset)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def in_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _left_of_limits() -> Iterator[int]:
    yield sys.maxsize
    process = psutil.Process()
    if hasattr(process, "rlimit"):
        limit = process.rlimit(psutil.RLIMIT_AS)[0]
        if limit != psutil.RLIM_INFINITY:
            yield limit - process.memory_info().vms - MAPPED_LATER
    group = Path("/proc/self/cgroup")
    own = group.read_text(encoding="utf-8").partition("0::/")[2].split("\n")[0] if group.exists() else ""
    for folder in (GROUPS / own, *(GROUPS / own).parents):
        if (folder / "memory.max").is_file() and (most := _number(folder / "memory.max")) is not None:
            yield most - (_number(folder / "memory.current") or 0) + _cached_files(folder / "memory.stat")


def _number(file: Path) -> int | None:
    said = file.read_text(encoding="utf-8").strip()
    return int(said) if said.isdigit() else None  # "max" is none


def _cached_files(file: Path) -> int:
    """Bytes that count as used, but are given up when they are needed."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def bytes_of_a_token(weights: Any) -> int:
    """What the keys and values of one token take in all layers."""
    config = weights.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * weights.dtype.itemsize)


def choose_device(wanted: str) -> torch.device:
    if wanted != "auto":
        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available[wanted]:
            raise ModelError(f"device = {wanted}: not available here; use --device auto.")
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda", team.place_on_machine()) if team.size() > 1 else torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return getattr(torch, wanted)  # type: ignore[no-any-return]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def is_quick_in_bfloat16(device: torch.device) -> bool:
    """Does the device multiply numbers of 16 bits faster than those of 32?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    found = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
