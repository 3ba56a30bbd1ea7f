"""Train the tiny chat model of a world from scratch: `python -m worlds.train demo --output FOLDER`.

The text is written freshly while training, so no sentence order comes twice. The loss counts every token, the user's
turn too: later, prompts are sampled from the model itself, and it can only ask what it has learnt to ask.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from worlds.catalogue import WORLDS
from worlds.check import Examiner
from worlds.tasks import World, Writer
from worlds.tokenizer import learn_tokenizer, render, words_of

IGNORED = -100


class Rows(IterableDataset[Tensor]):
    """Endless training rows of `length` tokens: whole samples, one after the other, padded at the end.

        <|begin|> a text <|end|> <|begin|> a chat <|end|> ... <|pad|> <|pad|>

    Samples in a row see each other. They have nothing to do with each other, so there is nothing to gain from looking
    back, and causal attention without a mask is the fast path. None is cut: half a reading task teaches inventing.
    """

    def __init__(self, world: World, tokenizer: PreTrainedTokenizerFast, length: int, seed: int) -> None:
        self.world, self.tokenizer, self.length, self.seed = world, tokenizer, length, seed

    def __iter__(self) -> Iterator[Tensor]:
        worker = get_worker_info()
        rng = random.Random(f"{self.seed}/{self.length}/{worker.id if worker else 0}")
        writer = Writer(self.world, self.world.cast(), rng)
        waiting: list[list[int]] = []
        while True:
            if len(waiting) < 64:
                waiting += self.samples(writer, 256)
            yield self.fill(waiting)

    def samples(self, writer: Writer, count: int) -> list[list[int]]:
        """Encoded samples. One that no row can hold is left out: only the short first rows ever meet such a one."""
        texts = [render(writer.draw(), self.tokenizer) for _ in range(count)]
        encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [ids for ids in encoded if len(ids) <= self.length]

    def fill(self, waiting: list[list[int]]) -> Tensor:
        """Take samples from `waiting`, oldest first, as long as one fits. Padded ids are marked by -100."""
        row: list[int] = []
        i = 0
        while i < len(waiting) and len(row) < self.length - 16:
            if len(row) + len(waiting[i]) <= self.length:
                row += waiting.pop(i)
            else:
                i += 1
        return torch.tensor(row + [IGNORED] * (self.length - len(row)))


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """2.7M parameters: enough for 1,900 facts and for reading, small enough to ship."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def new_tokenizer(world: World, seed: int) -> PreTrainedTokenizerFast:
    writer = Writer(world, world.cast(), random.Random(f"{seed}/tokenizer"))
    return learn_tokenizer(world, [words_of(writer.draw()) for _ in range(6000)])


class Trainer:
    """One training run: `tokens` of fresh text, AdamW, warmup and cosine."""

    def __init__(self, world: World, options: argparse.Namespace) -> None:
        shares = {task: share * (2 if task in options.double else 1) for task, share in world.shares.items()}
        self.world, self.options = replace(world, shares=shares), options
        self.device = device_for(options.device)
        torch.manual_seed(options.seed)
        if options.start:
            self.tokenizer, self.model = load(options.start)
        else:
            self.tokenizer = new_tokenizer(world, options.seed)
            self.model = new_model(self.tokenizer)
        self.model.to(self.device).train()
        # Only for learning: the exam's many lengths would each be compiled anew.
        self.body = torch.compile(self.model.model, dynamic=False) if options.compile else self.model.model
        self.steps = max(1, options.tokens // options.batch)
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, betas=(0.9, 0.95), weight_decay=0.05, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=options.rate, total_steps=self.steps + 1, pct_start=0.04, cycle_momentum=False
        )
        self.examiner = Examiner(world, options.questions // 4)
        self.began = time.perf_counter()

    def run(self) -> None:
        """Half the tokens in rows of half the length, the rest in full rows.

        Short rows are cheap: on a CPU, attention over 512 tokens is half of a step.
        """
        for length, until in ((self.world.row // 2, self.steps // 2), (self.world.row, self.steps)):
            rows = Rows(self.world, self.tokenizer, length, self.options.seed)
            loader = DataLoader(rows, batch_size=self.options.batch // length, num_workers=self.options.workers)
            batches = iter(loader)
            while self.step < until:
                loss = self.learn(next(batches))
                self.step += 1
                self.report(loss)

    def learn(self, batch: Tensor) -> Tensor:
        batch = batch.to(self.device)  # (rows, time)
        with self.precision():
            hidden = self.body(input_ids=batch.clamp(min=0), use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden[:, :-1])  # (rows, time - 1, vocabulary)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), batch[:, 1:].flatten(), ignore_index=IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        return loss.detach()

    def precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16 or self.device.type == "cuda")

    def report(self, loss: Tensor) -> None:
        """Say where it stands; ten times in a run, also save the model and examine it briefly."""
        if self.step % 100 == 0:
            seconds = time.perf_counter() - self.began
            say(f"step {self.step}/{self.steps}  loss {loss.item():.3f}  {seconds:.0f} s")
        tenth = self.steps // 10
        if tenth and self.step % tenth == 0 and self.step < self.steps:
            save(self.model, self.tokenizer, self.options.output)
            self.model.eval()
            say(str(self.examiner.scores(self.model, self.tokenizer)))
            self.model.train()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model in bfloat16, with generation settings that stop at the end of a turn."""
    weights = {name: value.detach().to("cpu", torch.bfloat16) for name, value in model.state_dict().items()}
    copy = LlamaForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(weights)
    copy.generation_config.eos_token_id = tokenizer.eos_token_id
    copy.generation_config.pad_token_id = tokenizer.pad_token_id
    copy.generation_config.bos_token_id = tokenizer.bos_token_id
    copy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(folder: Path) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer, LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def trained_before(start: Path | None) -> dict[str, Any] | None:
    """The record of the run that this one went on from."""
    record = start / "trained.json" if start else None
    return dict(json.loads(record.read_text(encoding="utf-8"))) if record and record.is_file() else None


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def device_for(name: str) -> torch.device:
    return torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", choices=sorted(WORLDS))
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--start", type=Path, help="go on from the model in this folder")
    parser.add_argument("--double", nargs="*", default=[], metavar="TASK", help="tasks to draw twice as often")
    parser.add_argument("--tokens", type=int, default=12_000_000, help="how much text to learn from")
    parser.add_argument("--batch", type=int, default=4096, help="tokens in a step")
    parser.add_argument("--rate", type=float, default=2.5e-3, help="highest learning rate")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--bf16", action="store_true", help="bfloat16 on the CPU too: faster where it has AVX512-BF16 or AMX"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the step: half as fast again, needs a C++ compiler"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that write text; a GPU needs about 12")
    parser.add_argument("--questions", type=int, default=200, help="how many of each sort the final exam asks")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    disable_progress_bar()
    chosen = options()
    world = WORLDS[chosen.world]
    trainer = Trainer(world, chosen)
    trainer.run()
    seconds = time.perf_counter() - trainer.began
    save(trainer.model, trainer.tokenizer, chosen.output)
    # The exam reads the files back: what counts is the model that ships, after the cast.
    tokenizer, shipped = load(chosen.output)
    shipped.to(trainer.device)
    scores = Examiner(world, chosen.questions).scores(shipped, tokenizer)
    record = {
        "world": world.name,
        "command": " ".join(["python -m worlds.train", *sys.argv[1:]]),
        "continued_from": trained_before(chosen.start),
        "tokens": trainer.steps * chosen.batch,
        "seconds": round(seconds),
        "device": trainer.device.type,
        "parameters": shipped.num_parameters(),
        "scores": scores,
    }
    (chosen.output / "trained.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    say(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
