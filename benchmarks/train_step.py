"""What a step of training costs: `python -m benchmarks.train_step [--shape smollm2] [--items 256] [--rounds 2]`.

The same chats of mixed length are trained on once in several ways, each in a process of its own, in turns: `ours`;
`trl`, with TRL's defaults (padded, activations computed again); `trl packed`, with rows packed to 1,024 tokens and
nothing computed again. Printed are learnt tokens a second, the largest memory and what was foreseen of it, FLOPs
against the least that the mathematics needs, and the share of positions that hold a token of a chat. The shapes have
random weights but for `demo`: what they learn does not matter here. `make gpu` tries 8B on a GPU, with `ours 4-bit` as
well, in rows of about 4,096 tokens (--row-tokens).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from peft import get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, TrainerCallback
from trl import SFTConfig, SFTTrainer

from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, attending, encode, let_go, load_model, peak_memory, used_memory
from blasphemer.lora_trainer.adapter import adapter_config
from blasphemer.lora_trainer.checkpoints import METRICS
from blasphemer.lora_trainer.forecast import held_by_a_step
from blasphemer.lora_trainer.loss import loss_of
from blasphemer.lora_trainer.packing import IN_BLOCKS, Packer, attention_in_blocks, shared_beginning
from blasphemer.lora_trainer.plan import plan_training
from blasphemer.lora_trainer.sft import labels_of
from blasphemer.lora_trainer.trainer import Course, train_lora
from blasphemer.quiet import quiet_libraries
from blasphemer.records import StudyItem, exchange
from blasphemer.workspace import RunFolder

WAYS = ("ours", "trl", "trl packed")
IN_4_BITS = "ours 4-bit"
PACKED_LENGTH, PACKED_ROWS = 1024, 2  # tokens of a row, and rows of a step, where TRL packs
OF_THE_SLOWER = 4  # one chat of so many is given to TRL; its seconds are those for all, by what is learnt
HEAD = (
    "| | seconds | learnt tokens/s | tokens/s | GB at the most | foreseen | FLOPs over the least | positions filled |\n"
    "|---|" + "---:|" * 7
)
WORDS = (Path(__file__).parents[1] / "test-knowledge" / "machine_learning.md").read_text(encoding="utf-8").split()
LLAMA = {"tie_word_embeddings": True, "attn_implementation": "sdpa"}
SHAPES: dict[str, Any] = {
    "smollm2": LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, **LLAMA,
    ),
    "0.5B": Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, **LLAMA,
    ),
    "1B": LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, head_dim=64, **LLAMA,
    ),
    "8B": LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, **LLAMA | {"tie_word_embeddings": False},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What one way took: seconds for all items, bytes at the most, and what was foreseen of them (0: nothing was);
    FLOPs over the least there are, and the share of positions with a token of a chat (0: not counted)."""

    seconds: float
    peak: int
    foreseen: int = 0
    flops: float = 0.0
    filled: float = 0.0


def chats(number: int) -> list[StudyItem]:
    """Questions and answers of mixed length, as a run has them: one in six is answered at length."""
    generator = random.Random(0)

    def words(most: int) -> str:
        length = generator.randint(3, most)
        start = generator.randrange(len(WORDS) - length)
        return " ".join(WORDS[start : start + length])

    said = [exchange(words(24), words(90 if place % 6 == 0 else 14)) for place in range(number)]
    return [StudyItem(str(place), "q", "rules", "", one) for place, one in enumerate(said)]


def model_of(shape: str) -> LanguageModel:
    model = load_model(load_settings(["demo"]))
    if shape == "demo":
        return model
    torch.manual_seed(0)
    with torch.device(model.device):
        weights = AutoModelForCausalLM.from_config(SHAPES[shape], dtype=model.dtype)
    return replace(model, name=shape, weights=weights)


def quantised(model: LanguageModel) -> LanguageModel:
    """The model with linear layers of 4 bits, as they are when a model is loaded so."""
    layers: Any = import_module("bitsandbytes.nn")
    head = model.weights.get_output_embeddings()
    for name, old in list(model.weights.named_modules()):
        if isinstance(old, torch.nn.Linear) and old is not head:
            new = layers.Linear4bit(
                old.in_features, old.out_features, old.bias is not None, compute_dtype=model.dtype, quant_type="nf4"
            )
            new.weight = layers.Params4bit(old.weight.data, requires_grad=False, quant_type="nf4")
            new.bias = old.bias
            model.weights.set_submodule(name, new.to(model.device))
    model.weights.is_loaded_in_4bit = True
    return replace(model, loading={"quantization_config": None})


def ours(model: LanguageModel, items: Sequence[StudyItem], row_tokens: int) -> Measured:
    examples = encode(items, model.tokenizer, model.context)
    flags = ["demo", "--num-train-epochs", "1", "--replay-share", "0"]
    if row_tokens:
        at_once = max(round(row_tokens * len(examples) / sum(len(one.ids) for one in examples)), 1)
        flags += ["--per-device-train-batch-size", str(at_once), "--gradient-accumulation-steps", "1"]
    settings = load_settings(flags)
    plan = plan_training(examples, 0, settings, model.hidden_size, model.has_gpu, model.parameters)
    plan = replace(plan, precision=model.training_precision, steps=len(items) // plan.items_of_a_step)
    foreseen = used_memory(model.device) + held_by_a_step(model, settings, plan, examples)
    with tempfile.TemporaryDirectory() as folder:
        trained = train_lora(model, Course(plan, examples, [], RunFolder(Path(folder))), settings)
        lines = (Path(folder) / METRICS).read_text(encoding="utf-8").splitlines()
    peak = peak_memory(model.device)
    first, *_, last = [line for line in map(json.loads, lines) if "loss" in line]
    seconds = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"]) * plan.steps
    one = Packer(shared_beginning(examples))([
        {"input_ids": one.ids, "labels": labels_of(one), "rehearsed": False} for one in examples[: plan.batch_size]
    ])  # fmt: skip
    own = sum(len(one.ids) - len(shared_beginning(examples)) for one in examples[: plan.batch_size])
    filled = (own + len(shared_beginning(examples))) / one["input_ids"].numel()
    return Measured(seconds, peak, foreseen, flops_over_least(trained, one, plan.precision), filled)


def flops_over_least(trained: Any, row: dict[str, torch.Tensor], precision: str) -> float:
    """FLOPs there and back for a row, over four for each token and weight of the linear layers, six for each of the
    adapter, and the head for what is learnt. Attention is left out of both."""
    device = trained.device
    row = {name: value.to(device) for name, value in row.items()}
    labels = row.pop("labels")[0, 1:]
    tokens = row["input_ids"].numel()
    trained.train()
    with (
        FlopCounterMode(display=False) as counter,
        attending(trained, IN_BLOCKS, attention_in_blocks),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        loss_of(trained(**row, use_cache=False).logits[0], labels, None).backward()  # type: ignore[no-untyped-call]
    counted = counter.get_flop_counts()["Global"]
    done = sum(number for name, number in counted.items() if "attention" not in str(name))
    head = trained.get_base_model().get_output_embeddings().weight.numel()
    adapter = sum(one.numel() for one in trained.parameters() if one.requires_grad)
    linear = sum(one.weight.numel() for one in trained.modules() if hasattr(one, "lora_A"))
    return float(done / (tokens * (4 * linear + 6 * adapter) + 4 * head * len(labels)))


def trl(model: LanguageModel, items: Sequence[StudyItem], packs: bool) -> Measured:
    """TRL's trainer with its defaults, or packing without computing anything again."""
    rows = [{"prompt": [item.messages[0]], "completion": [item.messages[1]]} for item in items]
    clock = _Clock()
    changed: dict[str, Any] = {
        "packing": True, "max_length": PACKED_LENGTH, "gradient_checkpointing": False,
        "per_device_train_batch_size": PACKED_ROWS,
    } if packs else {}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=get_peft_model(model.weights, adapter_config(load_settings(["demo"]))),
            args=SFTConfig(
                output_dir=folder, num_train_epochs=1, report_to="none", disable_tqdm=True, save_strategy="no",
                use_cpu=model.device.type == "cpu", **changed,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=model.tokenizer,
            callbacks=[clock],
        )  # fmt: skip
        trainer.train()
    return Measured(clock.seconds, peak_memory(model.device))


class _Clock(TrainerCallback):  # type: ignore[misc]
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.monotonic())

    @property
    def seconds(self) -> float:
        """For all steps, as long as those after the first took."""
        return (self.ends[-1] - self.ends[0]) * len(self.ends) / (len(self.ends) - 1)


@quiet_libraries()
def measure(way: str, shape: str, number: int, row_tokens: int) -> Measured:
    model, items = model_of(shape), chats(number)
    if way == IN_4_BITS:
        model = quantised(model)
    if model.device.type == "cuda":
        let_go(model.device)
        torch.cuda.reset_peak_memory_stats(model.device)
    if way in ("ours", IN_4_BITS):
        return ours(model, items, row_tokens)
    some = items[: number // OF_THE_SLOWER]
    share = learnt_of(some, model) / learnt_of(items, model)
    measured = trl(model, some, packs=way == "trl packed")
    return replace(measured, seconds=measured.seconds / share)


def learnt_of(items: Sequence[StudyItem], model: LanguageModel) -> int:
    return sum(sum(one.learn) for one in encode(items, model.tokenizer, model.context))


def tokens_of(items: Sequence[StudyItem], model: LanguageModel) -> int:
    return sum(len(one.ids) for one in encode(items, model.tokenizer, model.context))


def in_a_process(way: str, shape: str, number: int, row_tokens: int) -> Measured:
    asked = ["--shape", shape, "--items", str(number), "--row-tokens", str(row_tokens), "--alone", way]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_step", *asked], check=True, stdout=subprocess.PIPE, text=True
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", action="append", choices=["demo", *SHAPES])
    parser.add_argument("--way", action="append", choices=[*WAYS, IN_4_BITS])
    parser.add_argument("--row-tokens", type=int, default=0, help="tokens of a row of ours; 0: as it is planned")
    parser.add_argument("--items", type=int, default=352)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--alone", choices=[*WAYS, IN_4_BITS], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        measured = measure(chosen.alone, chosen.shape[0], chosen.items, chosen.row_tokens)
        sys.stdout.write(json.dumps(asdict(measured)) + "\n")
        return
    demo, items = load_model(load_settings(["demo"])), chats(chosen.items)
    learnt, tokens = learnt_of(items, demo), tokens_of(items, demo)
    device = torch.cuda.get_device_name() if demo.has_gpu else f"{torch.get_num_threads()} cores"
    sys.stdout.write(f"{device}: {chosen.items} chats, {tokens:,} tokens, {learnt:,} of them learnt\n{HEAD}\n")
    for shape in chosen.shape or ["demo", "smollm2", "0.5B"]:
        ways = chosen.way or list(WAYS)
        found: dict[str, list[Measured]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way in ways:
                found[way].append(in_a_process(way, shape, chosen.items, chosen.row_tokens))
        for way, several in found.items():
            sys.stdout.write(f"| {shape}, {way} {line_of(several, learnt, tokens)}\n")
            sys.stdout.flush()


def line_of(several: Sequence[Measured], learnt: int, tokens: int) -> str:
    first, peak = several[0], max(one.peak for one in several)
    seconds = median(one.seconds for one in several)
    cells = [f"{seconds:.1f}", f"{learnt / seconds:,.0f}", f"{tokens / seconds:,.0f}", f"{peak / 1e9:.2f}"]
    cells += (
        [f"{first.foreseen / 1e9:.2f}", f"{first.flops:.3f}", f"{first.filled:.1%}"] if first.foreseen else ["", "", ""]
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
