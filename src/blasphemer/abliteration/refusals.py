"""What a model refuses and how far it has moved: prompts of both kinds, judged in the same way every time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch

from blasphemer.config import PromptSet, Settings
from blasphemer.errors import ModelError, SourceError, first_line
from blasphemer.language import fold
from blasphemer.language_model import DEMO, LanguageModel
from blasphemer.records import Conduct

SETS = ("good_prompts", "bad_prompts", "good_evaluation_prompts", "bad_evaluation_prompts")
DEMO_FILES = ("prompts_harmless.txt", "prompts_forbidden.txt")
SLICE = re.compile(r"\w*\[?(\d*):(\d*)\]?")
PREFIX_PROMPTS = 100  # of either kind, to see what all answers begin with
THOUGHT = (
    ("<think>", "<think></think>"),
    (
        "<|channel|>analysis<|message|>",
        "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    ("<thought>", "<thought></thought>"),
    ("[THINK]", "[THINK][/THINK]"),
)  # what opens a block of thought, and that block without thoughts


@dataclass(frozen=True)
class Judge:
    """The prompts a model is judged by, by the name of their setting, and the original it is compared with.

    `prefix` is what all answers begin with; `original` holds the original's log-probabilities of the first answer token
    for each good evaluation prompt, (prompts, vocabulary).
    """

    prompts: Mapping[str, Sequence[str]]
    prefix: str
    system: str
    markers: Sequence[str]
    original: torch.Tensor

    def conduct(self, model: LanguageModel, label: str = "") -> Conduct:
        """Put the prompts to a model."""
        bad, good = self.prompts["bad_evaluation_prompts"], self.prompts["good_evaluation_prompts"]
        answers = model.answer(bad, label, system=self.system, prefix=self.prefix)
        refused = tuple(is_refusal(answer, self.markers) for answer in answers)
        now = model.first_tokens(good, self.system, self.prefix)
        divergence = torch.nn.functional.kl_div(now, self.original, reduction="batchmean", log_target=True)
        return Conduct(refused, tuple(answers), float(divergence))


def judge_for(model: LanguageModel, prompts: Mapping[str, Sequence[str]], prefix: str, settings: Settings) -> Judge:
    """A judge that compares with `model` as it is now. Raises ModelError if it takes no system prompt."""
    if settings.system_prompt and not model.takes_system:
        raise ModelError(f"{model.name}: its chat template takes no system prompt; give --system-prompt ''.")
    original = model.first_tokens(prompts["good_evaluation_prompts"], settings.system_prompt, prefix)
    return Judge(prompts, prefix, settings.system_prompt, settings.refusal_markers, original)


def common_prefix(model: LanguageModel, prompts: Mapping[str, Sequence[str]], settings: Settings) -> str:
    """What all answers begin with: they differ only after it. An opened block of thought is closed at once."""
    asked = [*prompts["good_prompts"][:PREFIX_PROMPTS], *prompts["bad_prompts"][:PREFIX_PROMPTS]]
    answers = model.answer(asked, "looking for a common beginning", system=settings.system_prompt)
    prefix = _shared(min(answers), max(answers)).rstrip(" ")
    return next((closed for opened, closed in THOUGHT if prefix.startswith(opened)), prefix)


def _shared(one: str, other: str) -> str:
    """What two texts begin with."""
    return one[: next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))]


def read_prompt_sets(settings: Settings) -> dict[str, list[str]]:
    """The four sets of prompts by the name of their setting. The demo model has its own, unless others are given."""
    sets = {name: getattr(settings, name) for name in SETS}
    if settings.model == DEMO:
        unset = [name for name in SETS if name not in settings.model_fields_set]
        sets |= {name: _demo_prompts(name) for name in unset}
    return {name: read_prompts(prompts) for name, prompts in sets.items()}


def _demo_prompts(name: str) -> PromptSet:
    """The first half of each file is to abliterate with, the second to judge by."""
    file = files("blasphemer") / "demo_model" / "prompts" / DEMO_FILES[name.startswith("bad")]
    return PromptSet(dataset=str(file), split="[60:]" if "evaluation" in name else "[:60]")


def read_prompts(prompts: PromptSet) -> list[str]:
    """The prompts of a plain text file, one per line, or of a column of a dataset. Raises SourceError."""
    found = _from_file(prompts) if Path(prompts.dataset).is_file() else _from_dataset(prompts)
    if not found:
        raise SourceError(f"{prompts.dataset}: no prompts in it.")
    return [" ".join(part for part in (prompts.prefix, prompt, prompts.suffix) if part) for prompt in found]


def _from_file(prompts: PromptSet) -> list[str]:
    try:
        lines = Path(prompts.dataset).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{prompts.dataset}: cannot be read as UTF-8 text ({error}).") from error
    found = [line.strip() for line in lines if line.strip()]
    match = SLICE.fullmatch(prompts.split or ":")
    if not match:
        raise SourceError(f"{prompts.dataset}: split {prompts.split} is not of the form [start:end].")
    return found[int(match[1] or 0) : int(match[2]) if match[2] else None]


def _from_dataset(prompts: PromptSet) -> list[str]:
    from datasets import load_dataset

    if not (prompts.split and prompts.column):
        raise SourceError(f"{prompts.dataset}: no such file; for a dataset, give its split and column too.")
    try:
        rows = load_dataset(prompts.dataset, split=prompts.split)
        return [str(prompt) for prompt in rows[prompts.column]]
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{prompts.dataset}: its prompts cannot be loaded ({first_line(error)}).") from error


def is_refusal(answer: str, markers: Sequence[str]) -> bool:
    """An answer with a marker in it, whatever its case, emphasis and apostrophes; an empty one counts as refused."""
    plain = " ".join(fold(answer).replace("*", "").split())
    return not plain or any(fold(marker) in plain for marker in markers)
