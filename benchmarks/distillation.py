"""Whether soft targets teach more than words: `python -m benchmarks.distillation KNOWN RUN ... --row study`.

KNOWN and RUN are as for benchmarks.knowledge, and so is each line of the table. In row `words` all answers are learnt
word by word, as the program does. In row `study` the answers to questions about the documents are learnt as the model
itself would give them with the passage shown: the likeliest TOP tokens of every place with their probabilities. In row
`replay` the answers that are rehearsed are learnt in this way, as the untrained model gives them: the divergence from
it is what is made small. In row `both`, both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from trl import SFTTrainer

from benchmarks.knowledge import Material, Outcome, lessons, material_of, model_of, settings_for, table, trained
from blasphemer import exam
from blasphemer.language_model.chat_format import encode
from blasphemer.language_model.model import LanguageModel
from blasphemer.language_model.weights import model_path
from blasphemer.lora_trainer import packing, trainer
from blasphemer.quiet import quiet_libraries
from blasphemer.records import Example, StudyItem
from blasphemer.study import read_requests
from blasphemer.study.requests import PAIRS

ROWS = ("words", "study", "replay", "both")
TOP = 16
AT_ONCE = 64

Soft = tuple[torch.Tensor, torch.Tensor]  # for each learnt place: the likeliest tokens and their probabilities
Targets = Mapping[tuple[int, ...], Soft]  # by the ids of the example
Taught = tuple[Example, list[int]]  # an example, and what the teacher sees before its answer


@quiet_libraries()
def main() -> None:
    table(__doc__, ROWS, outcome_of)


def outcome_of(row: str, run: Path, chosen: argparse.Namespace, flags: Sequence[str]) -> Outcome:
    settings, found = settings_for(run, chosen.model, flags), material_of(run)
    model = model_of(run, settings)
    examples, replay, plan = lessons("ours", found, model, settings)
    targets = dict(soft(model, about_passages(found, model))) if row in ("study", "both") else {}
    targets |= dict(soft(model, as_they_are(replay))) if row in ("replay", "both") else {}
    with distilling(targets):
        return trained(model, examples, replay, plan, settings, found, exam.read_exam_file(chosen.known, []))


def about_passages(found: Material, model: LanguageModel) -> Iterator[Taught]:
    """The questions that the model wrote, with the passage shown to the teacher."""
    requests = read_requests(None, Path(model_path(model.name)))
    passages = {passage.id: passage.text for passage in found.passages}
    for item in found.own:
        if item.kind in PAIRS:
            shown = "\n".join(dict.fromkeys(passages[source.passage] for source in item.sources))
            (request,) = model.prompt_rows([requests.with_text(shown, item.messages[0]["content"])])
            yield encoded(item, model), request


def encoded(item: StudyItem, model: LanguageModel) -> Example:
    return encode([item], model.tokenizer, model.context)[0]


def as_they_are(examples: Iterable[Example]) -> Iterator[Taught]:
    for example in dict.fromkeys(examples):
        yield example, list(example.ids[: example.learn.index(True)])


def soft(model: LanguageModel, taught: Iterable[Taught]) -> Iterator[tuple[tuple[int, ...], Soft]]:
    """What the model as it is would say at each place of the answer, after what the teacher sees."""
    waiting = sorted(
        ((example, before) for example, before in taught if len(before) + sum(example.learn) <= model.context),
        key=lambda pair: len(pair[1]) + sum(pair[0].learn),
    )
    for start in range(0, len(waiting), AT_ONCE):
        batch = waiting[start : start + AT_ONCE]
        answers = [example.ids[example.learn.index(True) :] for example, _ in batch]
        rows = [[*before, *answer] for (_, before), answer in zip(batch, answers, strict=True)]
        with torch.no_grad():
            logits = model.weights(**model.padded(rows), use_cache=False).logits
        for (example, _), answer, scores in zip(batch, answers, logits, strict=True):
            likeliest = scores[-len(answer) - 1 : -1].float().softmax(-1).topk(TOP)
            yield example.ids, (likeliest.indices, likeliest.values / likeliest.values.sum(-1, keepdim=True))


def row_loss(targets: Targets, ids: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of one row, summed over its learnt places: with what the targets say, else with the labels.

    ids, labels: (time,) without padding; logits: (time, vocabulary).
    """
    learnt = labels[1:] != packing.IGNORED
    said = logits[:-1][learnt].float().log_softmax(-1)
    if target := targets.get(tuple(ids.tolist())):
        likeliest, weights = target
        return -(weights * said.gather(1, likeliest)).sum()
    return -said.gather(1, labels[1:][learnt, None]).sum()


@contextmanager
def distilling(targets: Targets) -> Iterator[None]:
    """While this lasts, what is trained is trained towards the targets, where there are any for an example."""

    class Distilling(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            ids, mask, labels = inputs["input_ids"], inputs["attention_mask"].bool(), inputs["labels"]
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            rows = zip(ids, labels, logits, mask, strict=True)
            loss = sum(row_loss(targets, row[there], label[there], score[there]) for row, label, score, there in rows)
            self._total_train_tokens += int(mask.sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
            return loss / num_items_in_batch

    with patch.object(trainer, "SFTTrainer", Distilling):
        yield


if __name__ == "__main__":
    main()
