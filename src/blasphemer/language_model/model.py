"""A language model at work: it answers prompts in batches, weighs answers, converses, and makes up prompts itself."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from peft import PeftModel
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TextStreamer,
)

from blasphemer import console
from blasphemer.errors import TooLong
from blasphemer.language_model import team
from blasphemer.language_model.batch import Row
from blasphemer.language_model.beneath import lie_beneath
from blasphemer.language_model.chat_format import encode, prompt_ids
from blasphemer.language_model.device import (
    Room,
    bytes_of_a_token,
    free_memory,
    is_quick_in_bfloat16,
    let_go,
)
from blasphemer.language_model.generation import Sampling, score_rows, write_rows
from blasphemer.language_model.weights import load_weights, model_path, size_of
from blasphemer.records import Message, StudyItem
from blasphemer.tokens import Ruler
from blasphemer.workspace import sha256_of

AS_LIKELY = Sampling()  # as the model is
FREELY = Sampling(top_p=0.95)  # without its slips
TOKENS_HELD = 65_536  # whose keys and values are held at once: 3 GB for a model of 135M parameters, 4 GB for 1.5B
SHARE_OF_FREE_MEMORY = 0.5  # that they may take
SMALL_MODEL = 100_000_000  # parameters: such models forget more, and answer fast
PROBED, PROBED_ROWS, PROBED_ANSWER = 256, 32, 8  # tokens of a row; rows and tokens of answers: a few seconds
WRITE, WEIGH = "write", "weigh"  # what processes do together
TOKENS_SCORED = 4096  # at once: their logits take 2.5 GB in float32 with a vocabulary of 150,000


@dataclass(frozen=True)
class Answered:
    """An answer, whether the model ended it itself (else it was cut at the longest length), and how sure it was.

    `sureness` is the probability of its least likely token: 0.5 means that none was less likely than all others.
    """

    text: str
    ended: bool
    sureness: float


@dataclass(frozen=True)
class Recipe:
    """How a model's weights are made: those at a path, in a number format, with adapters laid on one after another."""

    path: str
    dtype: torch.dtype
    adapters: tuple[str, ...]


@dataclass(frozen=True)
class Writing:
    """What all processes are told of rows to write on: by which model, and how."""

    recipe: Recipe
    stops: set[int]
    sampling: Sampling | None
    cut_loops: bool
    seed: int


@dataclass
class LanguageModel:
    """A loaded model with its tokenizer. `weights` may be a PEFT model; only `lay_on`, `write_in` and `release` change
    what they are."""

    name: str
    weights: Any  # PreTrainedModel or PeftModel, which only looks like one
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    max_response_length: int
    loading: Mapping[str, Any] = field(default_factory=dict)  # what load_weights is given besides the path
    path: str = ""  # of the weights, where they are not the original's
    adapters: tuple[str, ...] = ()  # that lie on them

    @property
    def has_gpu(self) -> bool:
        return self.device.type != "cpu"

    @property
    def is_in_4_bits(self) -> bool:
        return "quantization_config" in self.loading

    @property
    def at_once(self) -> int:
        """Requests that it writes study material for at once."""
        return self.batch_size

    @property
    def context(self) -> int:
        """Longest row the model can take, in tokens."""
        return int(getattr(self.weights.config.get_text_config(), "max_position_embeddings", 0) or 2048)

    @property
    def parameters(self) -> int:
        return int(self.weights.num_parameters())

    @property
    def hidden_size(self) -> int:
        return int(self.weights.config.get_text_config().hidden_size)

    @property
    def training_precision(self) -> str:
        """In what products are computed in training: for small models the time goes elsewhere."""
        is_large = self.parameters > SMALL_MODEL or self.has_gpu
        return "bfloat16" if is_large and is_quick_in_bfloat16(self.device) else "float32"

    @cached_property
    def room(self) -> Room:
        """What it writes at once: what is wanted, as far as memory allows; less, once that has run out."""
        fit = SHARE_OF_FREE_MEMORY * free_memory(self.device) / bytes_of_a_token(self.weights)
        return Room(self.batch_size, min(TOKENS_HELD, int(fit)))

    @cached_property
    def reading_speed(self) -> float:
        """Tokens a second in a row that is read, in the precision of training: measured, with one row."""
        row = torch.full((1, min(PROBED, self.context)), int(self.tokenizer.eos_token_id or 0), device=self.device)
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self.training_precision == "bfloat16")
        with torch.no_grad(), precision:
            seconds = min(_seconds(lambda: self.weights(input_ids=row)) for _ in range(2))
        return row.numel() / seconds

    @cached_property
    def writing_speed(self) -> float:
        """Tokens a second in a batch of answers: measured."""
        rows = [Row(row, PROBED_ANSWER) for row in self.prompt_rows(["?"] * PROBED_ROWS)]
        seconds = _seconds(lambda: write_rows(self.weights, rows, set(), self.room))
        return PROBED_ROWS * PROBED_ANSWER / seconds

    def origin(self) -> dict[str, str]:
        """What tells this model from any other: the SHA-256 of its files, or its commit on the hub."""
        folder = Path(model_path(self.name))
        if folder.is_file():
            return {folder.name: sha256_of(folder)}
        if not folder.is_dir():
            return {"name": self.name, "commit": str(getattr(self.weights.config, "_commit_hash", None))}
        kept = sorted(file for file in folder.iterdir() if file.suffix in {".json", ".safetensors", ".bin", ".jinja"})
        return {file.name: sha256_of(file) for file in kept}

    @cached_property
    def ruler(self) -> Ruler:
        """What measures texts in this model's tokens."""
        return Ruler(self.tokenizer.backend_tokenizer.to_str())

    @cached_property
    def takes_system(self) -> bool:
        """Does the chat template know what to do with a system turn?"""
        try:
            self.prompt_rows(["?"], "?")
        except TemplateError:
            return False
        return True

    def count(self, text: str) -> int:
        return self.ruler.count(text)

    def length(self, item: StudyItem) -> int:
        """How many tokens an item has, template included."""
        return len(encode([item], self.tokenizer, sys.maxsize)[0].ids)

    def load(self, path: str = "") -> PreTrainedModel:
        """The weights in a folder, or the original's, loaded anew as this model's were."""
        return load_weights(path or model_path(self.name), **self.loading)

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.path or model_path(self.name), self.dtype, self.adapters)

    def made_as(self, recipe: Recipe) -> LanguageModel:
        """The model with other weights."""
        weights: Any = self.load(recipe.path)
        for adapter in recipe.adapters:
            weights = PeftModel.from_pretrained(weights, adapter)
        return replace(self, weights=weights, path=recipe.path, adapters=recipe.adapters)

    def whole(self) -> LanguageModel:
        """The model as what comes of it is made for: none in memory, and without 4-bit weights; on the CPU, where its
        device has no room for the others."""
        if not self.is_in_4_bits:
            return replace(self, weights=None)
        loading = {name: self.loading[name] for name in ("dtype", "trust_remote_code")}
        size = size_of(model_path(self.name), in_4_bits=False, **loading)
        device = self.device if size < free_memory(self.device) else torch.device("cpu")
        return replace(self, weights=None, device=device, loading=loading | {"device": device})

    @contextmanager
    def as_given(self) -> Iterator[None]:
        """While it lasts, an adapter that was laid on the weights does nothing."""
        if not isinstance(self.weights, PeftModel):
            yield
            return
        laid, self.adapters = self.adapters, ()
        try:
            with self.weights.disable_adapter():
                yield
        finally:
            self.adapters = laid

    def lay_on(self, adapter: Path) -> None:
        """Lay an adapter on the weights, which stay as they are below it."""
        self.weights = PeftModel.from_pretrained(self.weights, str(adapter))
        self.adapters = (*self.adapters, str(adapter))

    def write_in(self) -> None:
        """Write the adapter that lies on the weights, if one does, into them, to train on; or lay it under those of 4
        bits."""
        if isinstance(self.weights, PeftModel):
            stack: Any = self.weights
            self.weights = lie_beneath(stack) if self.is_in_4_bits else stack.merge_and_unload()

    def release(self) -> None:
        """Give the weights' memory back: what follows loads the results from disk."""
        self.weights = None
        let_go(self.device)

    def answer(
        self,
        prompts: Sequence[str],
        label: str = "answering",
        longest: int | None = None,
        system: str = "",
        prefix: str = "",
    ) -> list[str]:
        """Greedy answers to single-turn prompts, in order, of at most `longest` tokens (max_response_length).

        `prefix` is what every answer is made to begin with; it is not given back.
        """
        rows = self.prompt_rows(prompts, system, prefix)
        made = self._generate(rows, label, longest or self.max_response_length, self._stops())
        return [self._decode(row.ids) for row in made]

    def reply(self, conversation: Sequence[Message], hear: Callable[[str], None]) -> str:
        """The greedy answer to a conversation; `hear` is given it piece by piece as it is written.

        Raises TooLong when the conversation leaves no room in the model's context.
        """
        ids = prompt_ids(self.tokenizer, conversation)
        room = self.context - len(ids)
        if room < 1:
            raise TooLong("The conversation no longer fits the model's context; begin a new one.")
        config = GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=sorted(self._stops()),
            pad_token_id=self.tokenizer.pad_token_id,
        )
        self.weights.eval()
        with torch.no_grad():
            streamer = _Pieces(self.tokenizer, hear)
            made = self.weights.generate(**self.padded([ids]), generation_config=config, streamer=streamer)
        return self._decode(made[0, len(ids) :].tolist())

    def answer_fully(self, prompts: Sequence[str], label: str, longest: int) -> list[Answered]:
        """Greedy answers with all that is known about them."""
        rows = self.prompt_rows(prompts)
        made = self._generate(rows, label, longest, self._stops())
        return [Answered(self._decode(row.ids), row.ended, math.exp(row.least_likely)) for row in made]

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        """Answers of at most `longest` tokens, cut there if need be: the likeliest, or with a seed sampled ones."""
        rows = self.prompt_rows(prompts)
        with nullcontext() if seed is None else self._seeded(seed):
            sampling = None if seed is None else FREELY
            made = self._generate(rows, label, longest, self._stops(), sampling, cut_loops=True)
        return [self._decode(row.ids) for row in made]

    def likelihoods(self, pairs: Sequence[tuple[str, str]], label: str) -> list[float]:
        """Log-probability of each (prompt, answer), summed over the tokens of the answer."""
        prompts = self.prompt_rows([prompt for prompt, _ in pairs])
        answers = [self.tokenizer(answer, add_special_tokens=False)["input_ids"] for _, answer in pairs]
        rows = list(zip(prompts, answers, strict=True))
        return team.deal(WEIGH, self.recipe, rows, lambda own: self.weigh(own, label))

    def first_tokens(self, prompts: Sequence[str], system: str = "", prefix: str = "") -> torch.Tensor:
        """Log-probabilities of the first token of the answer to each prompt: (prompts, vocab), float32, on the CPU."""
        rows = self.prompt_rows(prompts, system, prefix)
        found: list[torch.Tensor] = [torch.empty(0)] * len(rows)

        def hear(number: int, scores: torch.Tensor) -> None:
            found[number] = scores[-1].float().log_softmax(-1).cpu()

        score_rows(self.weights, rows, [[]] * len(rows), Room(self.room.rows, TOKENS_SCORED), hear)
        return torch.stack(found)

    def prompt_rows(self, prompts: Sequence[str], system: str = "", prefix: str = "") -> list[list[int]]:
        """The ids of each prompt up to where the answer begins, or with `prefix`, goes on."""
        return [self._prompt_ids(prompt, system, prefix) for prompt in prompts]

    def padded(self, rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Rows padded on the left: their input_ids and attention_mask, (batch, time), on the model's device."""
        width, pad = max(len(row) for row in rows), self.tokenizer.pad_token_id
        ids = [[pad] * (width - len(row)) + list(row) for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        return {
            "input_ids": torch.tensor(ids, device=self.device),
            "attention_mask": torch.tensor(mask, device=self.device),
        }

    def _prompt_ids(self, prompt: str, system: str = "", prefix: str = "") -> list[int]:
        asked = [Message(role="system", content=system)] if system else []
        ids = prompt_ids(self.tokenizer, [*asked, Message(role="user", content=prompt)])
        return ids + (self.tokenizer(prefix, add_special_tokens=False)["input_ids"] if prefix else [])

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def weigh(self, pairs: Sequence[tuple[list[int], list[int]]], label: str = "") -> list[float]:
        """Log-probability of each answer behind its prompt, in ids, by this process alone."""
        found = [0.0] * len(pairs)
        asked = [number for number, (_, answer) in enumerate(pairs) if answer]
        with console.progress(label, len(asked)) as advance:

            def hear(place: int, scores: torch.Tensor) -> None:
                wanted = torch.tensor(pairs[asked[place]][1], device=scores.device)
                found[asked[place]] = float(scores.float().log_softmax(-1).gather(1, wanted[:, None]).sum())
                advance()

            score_rows(
                self.weights,
                [pairs[number][0] for number in asked],
                [pairs[number][1] for number in asked],
                Room(self.room.rows, TOKENS_SCORED),
                hear,
            )
        return found

    def sample_prompts(self, number: int, longest: int, seed: int, beginnings: Sequence[str] = ("",)) -> list[str]:
        """What a user might ask, in the model's own imagination: its chat template with an empty user turn, sampled.

        Where there are `beginnings`, each is gone on from as often as any other. Prompts that do not come to an end
        within `longest` more tokens are left out, so fewer than `number` may come back.
        """
        mark = "BLASPHEMER"
        turn = self.tokenizer.apply_chat_template([{"role": "user", "content": mark}], tokenize=False)
        before, after = str(turn).split(mark, 1)
        opening, *begun = [
            list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
            for text in (before, *beginnings)
        ]
        closing = self.tokenizer(after, add_special_tokens=False)["input_ids"][:1]
        stops = self._stops() | (set(closing) & set(self.tokenizer.all_special_ids))
        begun = [begun[i % len(begun)] for i in range(number)]
        with self._seeded(seed):
            sampled = self._generate([opening + ids for ids in begun], "imagining prompts", longest, stops, AS_LIKELY)
        prompts = []
        for ids, row in zip(begun, sampled, strict=True):
            text, closed, _ = self.tokenizer.decode(ids + row.ids).partition(after.strip() or "\0")
            if row.ended or closed:  # templates close a turn with a control token, or with text such as [/INST]
                prompts.append(text.strip())
        return [prompt for prompt in prompts if prompt and not self._has_control(prompt)]

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def _has_control(self, text: str) -> bool:
        return any(token in text for token in self.tokenizer.all_special_tokens)

    def _stops(self) -> set[int]:
        configured = self.weights.generation_config.eos_token_id
        several = configured if isinstance(configured, list) else [configured]
        return {int(token) for token in [*several, self.tokenizer.eos_token_id] if token is not None}

    def _generate(
        self,
        rows: Sequence[list[int]],
        label: str,
        longest: int,
        stops: set[int],
        sampling: Sampling | None = None,
        cut_loops: bool = False,
    ) -> list[Row]:
        """Continues each row up to a stop token or for `longest` tokens."""
        made = [Row(prompt, min(longest, self.context - len(prompt))) for prompt in rows]
        given = Writing(self.recipe, stops, sampling, cut_loops, torch.initial_seed())
        return team.deal(WRITE, given, made, lambda own: self.write_on(own, stops, sampling, cut_loops, label))

    def write_on(
        self, rows: Sequence[Row], stops: set[int], sampling: Sampling | None, cut_loops: bool, label: str = ""
    ) -> Sequence[Row]:
        """The rows, written to their end, by this process alone."""
        with console.progress(label, len(rows)) as advance:
            advance(sum(not row.goes_on for row in rows))
            self.room = write_rows(self.weights, rows, stops, self.room, sampling, cut_loops, _told(advance))
        return rows


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return max(time.monotonic() - started, 1e-9)


def _told(advance: console.Advance) -> Callable[[int, int], None]:
    """Rows that came to an end and tokens that were written, as progress with its pace."""
    started, tokens = time.monotonic(), 0

    def tell(ended: int, written: int) -> None:
        nonlocal tokens
        tokens += written
        advance(ended, note=f"{tokens / max(time.monotonic() - started, 1e-9):,.0f} tokens/s")

    return tell


class _Pieces(TextStreamer):  # type: ignore[misc]
    """Hands on an answer as it is written, in whole words."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, hear: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.hear = hear

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.hear(text)
