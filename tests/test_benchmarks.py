"""What the benchmarks measure with that the program itself does not."""

from __future__ import annotations

import torch

from benchmarks.distillation import TOP, as_they_are, row_loss, soft
from blasphemer.language_model.chat_format import encode
from blasphemer.language_model.model import LanguageModel
from blasphemer.lora_trainer.trainer import IGNORED
from blasphemer.records import StudyItem, exchange

ITEM = StudyItem("1", "questions", "model", messages=exchange("Where does the heron stand?", "In the water."))


def test_soft_targets_are_what_the_model_would_say_and_cost_no_less_than_its_entropy(tiny: LanguageModel) -> None:
    (example,) = encode([ITEM], tiny.tokenizer, tiny.context)
    ids = torch.tensor(example.ids)
    labels = torch.tensor([i if learnt else IGNORED for i, learnt in zip(example.ids, example.learn, strict=True)])
    with torch.no_grad():
        logits = tiny.weights(input_ids=ids[None]).logits[0]
    by_words = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum", ignore_index=IGNORED)
    assert torch.allclose(row_loss({}, ids, labels, logits), by_words, rtol=1e-4)

    targets = dict(soft(tiny, as_they_are([example])))
    likeliest, weights = targets[example.ids]
    assert likeliest.shape == weights.shape == (sum(example.learn), TOP)
    as_itself = row_loss(targets, ids, labels, logits)
    one_other = row_loss(targets, ids, labels, logits.roll(1, dims=-1))
    assert as_itself < one_other
    assert as_itself >= -(weights * weights.log()).sum()
