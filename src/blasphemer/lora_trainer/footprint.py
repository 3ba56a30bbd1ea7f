"""What a step of training holds at the most, found by going through steps without computing them.

Tensors have shapes and no values, so that it takes a second and no memory, whatever the model and its size. Models of
two layers and of three tell what each layer adds.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module, Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AutoModelForCausalLM

from blasphemer.lora_trainer.loss import loss_of

PROBED_LAYERS = 2  # and one more
DRAWN = 1000  # rows, to find a large one
STEPS = 2  # in the second one the optimizer has its moments
OF_EACH_LAYER = ("layer_types",)  # left out of a config, these follow from the number of layers


@dataclass(frozen=True)
class Row:
    """Of a row that is trained on: its tokens, those that are learnt, and of these, those of what is rehearsed."""

    tokens: int
    learnt: int
    rehearsed: int


def largest_row(sizes: Sequence[tuple[int, int, bool]], batch: int) -> Row:
    """The largest row to be met with, of items with so many tokens, of which so many are learnt, rehearsed or not, that
    are drawn at random."""
    generator = random.Random(0)
    drawn = [generator.choices(sizes, k=batch) for _ in range(DRAWN)]
    return Row(
        max(sum(tokens for tokens, _, _ in row) for row in drawn),
        max(sum(learnt for _, learnt, _ in row) for row in drawn),
        max(sum(learnt for _, learnt, rehearsed in row if rehearsed) for row in drawn),
    )


@dataclass(frozen=True)
class Training:
    """How a model is trained: its config, its weights' format, the adapter, and in what products are computed."""

    config: Any
    dtype: torch.dtype
    adapter: LoraConfig
    precision: str
    recomputes: bool = False

    def holds(self, row: Row) -> int:
        """Bytes beside the weights at the most, where no row is larger than this one: of the adapter with its gradients
        and the optimizer's moments, of what is kept for the way back, and of what is in hand.

        Raises whatever a model raises that cannot be gone through without values.
        """
        layers = int(self.config.num_hidden_layers)
        few = min(layers, PROBED_LAYERS)
        held = _held(self, few, row)
        return held if layers == few else held + (_held(self, few + 1, row) - held) * (layers - few)


def _held(training: Training, layers: int, row: Row) -> int:
    like = {name: value for name, value in training.config.to_dict().items() if name not in OF_EACH_LAYER}
    config = type(training.config).from_dict(like | {"num_hidden_layers": layers})
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        weights: Any = AutoModelForCausalLM.from_config(config, dtype=training.dtype, attn_implementation="sdpa")
        adapted: Any = get_peft_model(weights, training.adapter)
    if training.recomputes:
        adapted.gradient_checkpointing_enable({"use_reentrant": False})
        adapted.enable_input_require_grads()
    with FakeTensorMode(), _Held() as held:
        _give_shapes(adapted)
        weighs = held.now - sum(one.nbytes for one in adapted.parameters() if one.requires_grad)
        optimizer = torch.optim.AdamW([one for one in adapted.parameters() if one.requires_grad])
        for _ in range(STEPS):
            _step(adapted.train(), row, training.precision)
            optimizer.step()
            optimizer.zero_grad()
    return int(held.most - weighs)


def _step(adapted: Any, row: Row, precision: str) -> None:
    ids = torch.zeros(1, row.tokens, dtype=torch.long)
    labels = torch.zeros(row.learnt, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        scores = adapted(input_ids=ids, position_ids=ids, use_cache=False, logits_to_keep=row.learnt).logits[0]
        before = torch.zeros(row.rehearsed, scores.shape[-1]) if row.rehearsed else None
        loss = loss_of(scores, labels, before)
    del scores, before
    loss.backward()  # type: ignore[no-untyped-call]


def _give_shapes(model: Module) -> None:
    """Parameters and buffers with shapes only, in the place of those on no device; what is tied stays so."""
    made: dict[int, Parameter] = {}
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(old) not in made:
                made[id(old)] = Parameter(torch.empty(old.shape, dtype=old.dtype), requires_grad=old.requires_grad)
            setattr(module, name, made[id(old)])
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are alive: now, and at the most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, _types: Any, arguments: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        made = function(*arguments, **(named or {}))
        for one in tree_iter(made):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place not in self.known:
            self.known.add(place)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size
