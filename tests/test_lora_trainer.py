"""Training a LoRA: that it learns, that batching changes nothing, and that a resumed run is the same run."""

from __future__ import annotations

import json
import math
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from blasphemer import console
from blasphemer.command_line import load_settings
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError, Interrupted, ModelError, RunFolderError
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.language_model.chat_format import encode
from blasphemer.lora_trainer import checkpoints, sft
from blasphemer.lora_trainer import trainer as lora_trainer
from blasphemer.lora_trainer.adapter import optimizer_for, with_adapter
from blasphemer.lora_trainer.checkpoints import COMPLETE, step_of
from blasphemer.lora_trainer.plan import how, in_less_memory
from blasphemer.lora_trainer.trainer import Course
from blasphemer.records import Example, Message, Plan, StudyItem
from blasphemer.report import scorecard
from blasphemer.study.requests import default_requests
from blasphemer.workspace import RunFolder

TEXTS = ["The heron stands in the water.", "The heron waits.", "It waits for the fish in the cold water at dawn."]


def items(number: int = 24) -> list[StudyItem]:
    def chat(n: int) -> tuple[Message, ...]:
        question = Message(role="user", content=f"Who is {n}?")
        return question, Message(role="assistant", content=TEXTS[n % 3] * (1 + n % 2))

    return [StudyItem(f"s-{n}", "cloze", "rules", messages=chat(n)) for n in range(number)]


def make_plan(steps: int, rate: float = 1e-2) -> Plan:
    return Plan(24, 1200, 0, 4, 4, 2, 3, steps, rate)


def settings_for(folder: Path, *flags: str) -> Settings:
    return load_settings([str(folder), "--save-steps", "4", *flags])


def train(folder: Path, run: Path, steps: int = 12, rate: float = 1e-2, *flags: str) -> torch.nn.Module:
    settings = settings_for(folder, *flags)
    model = load_model(settings)
    run.mkdir(exist_ok=True)
    examples = encode(items(), model.tokenizer, 256)
    return lora_trainer.train_lora(
        model, Course(make_plan(steps, rate), examples, examples[:4], RunFolder(run)), settings
    )


def adapter_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if "lora_" in name}


def test_training_learns_and_writes_its_metrics(tiny_folder: Path, tmp_path: Path) -> None:
    """Pitfalls 1 and 2: gradients flow, and items of unequal length share a batch."""
    trained = train(tiny_folder, tmp_path / "run", steps=40)
    assert all(bool(value.any()) for name, value in adapter_weights(trained).items() if "lora_B" in name)
    summary = scorecard.training(RunFolder(tmp_path / "run"))
    assert summary["loss_last"] < 0.9 * summary["loss_first"]
    assert summary["steps"] == 40
    assert summary["tokens"] > 0
    assert summary["validation_perplexity"] == pytest.approx(math.exp(summary["validation_loss"]), rel=1e-3)


def test_every_linear_layer_gets_an_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    """Pitfall 17."""
    names = adapter_weights(train(tiny_folder, tmp_path / "run", steps=1))
    for layer in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
        assert any(layer in name for name in names)


def test_b_learns_faster_than_a_around_the_rate_that_was_planned(tiny_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_folder, "--loraplus-lr-ratio", "4")
    adapted = with_adapter(load_model(settings), settings)
    groups = optimizer_for(adapted, 1e-3, settings).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([5e-4, 2e-3])
    names = {value: name for name, value in adapted.named_parameters()}
    assert all("lora_A" in names[value] for value in groups[0]["params"])
    assert all("lora_B" in names[value] for value in groups[1]["params"])
    train(tiny_folder, tmp_path / "run", steps=40, rate=1e-2)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert max(json.loads(line).get("learning_rate", 0) for line in lines) == pytest.approx(1e-2, rel=0.2)


def test_a_short_run_is_validated_at_its_end(tiny_folder: Path, tmp_path: Path) -> None:
    """Pitfall 16."""
    train(tiny_folder, tmp_path / "run", steps=2)
    assert scorecard.training(RunFolder(tmp_path / "run"))["validation_loss"] is not None


def test_the_loss_of_a_step_is_the_loss_of_its_items_one_by_one(
    tiny: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    """Neither the padding of a micro-batch nor the number of them may count."""
    examples = encode(items(8), tiny.tokenizer, 512)
    one_by_one = learnt = 0.0
    for example in examples:
        ids, learn = torch.tensor(example.ids), torch.tensor(example.learn)
        with torch.no_grad():
            logits = tiny.weights(input_ids=ids[None]).logits[0]  # (time, vocab)
        losses = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
        one_by_one += float(losses[learn[1:]].sum())
        learnt += int(learn[1:].sum())
    for micro_steps in (1, 2, 4):
        run = RunFolder(tmp_path / str(micro_steps))
        run.path.mkdir()
        plan = Plan(8, 0, 0, 0, 8 // micro_steps, micro_steps, 1, 1, 1e-3)
        model = load_model(settings_for(tiny_folder))
        lora_trainer.train_lora(model, Course(plan, examples, examples, run), settings_for(tiny_folder))
        assert scorecard.training(run)["loss_first"] == pytest.approx(one_by_one / learnt, rel=1e-4)


def test_what_was_trained_in_bfloat16_answers_in_float32(tiny_folder: Path, tmp_path: Path) -> None:
    model = load_model(settings_for(tiny_folder))
    run = RunFolder(tmp_path)
    plan = Plan(8, 0, 0, 0, 4, 2, 1, 1, 1e-3, precision="bfloat16")
    trained = lora_trainer.train_lora(
        model, Course(plan, encode(items(8), model.tokenizer, 512), [], run), settings_for(tiny_folder)
    )
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        logits = trained(input_ids=ids).logits
        again = trained.base_model.model(input_ids=ids).logits
    assert logits.dtype == torch.float32
    assert torch.equal(logits, again)
    assert not torch.equal(logits, logits.to(torch.bfloat16).float())


def test_resuming_gives_the_same_weights_to_the_bit(tiny_folder: Path, tmp_path: Path) -> None:
    whole = adapter_weights(train(tiny_folder, tmp_path / "run"))
    resumed = tmp_path / "resumed"
    shutil.copytree(tmp_path / "run", resumed)
    for step in (8, 12):
        shutil.rmtree(resumed / "checkpoints" / f"checkpoint-{step}")
    again = adapter_weights(train(tiny_folder, resumed))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    steps = [json.loads(line)["step"] for line in (resumed / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_checkpoint_cut_short_by_a_kill_is_not_used(tiny_folder: Path, tmp_path: Path) -> None:
    whole = adapter_weights(train(tiny_folder, tmp_path / "run"))
    last = tmp_path / "run" / "checkpoints" / "checkpoint-12"
    (last / COMPLETE).unlink()
    (last / "optimizer.pt").write_bytes(b"half")
    again = adapter_weights(train(tiny_folder, tmp_path / "run"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_checkpoint_of_another_adapter_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    train(tiny_folder, tmp_path / "run", 4)
    with pytest.raises(RunFolderError, match=r"another r: 16, not 4.*--overwrite"):
        train(tiny_folder, tmp_path / "run", 8, 1e-2, "--lora-rank", "4")


def test_metrics_cut_in_half_lose_lines_and_nothing_else(tiny_folder: Path, tmp_path: Path) -> None:
    whole = adapter_weights(train(tiny_folder, tmp_path / "run"))
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[: metrics.stat().st_size // 2])
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "checkpoint-12")
    again = adapter_weights(train(tiny_folder, tmp_path / "run"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    steps = [line["step"] for line in RunFolder(tmp_path / "run").load_lines("metrics.jsonl")]
    assert steps == sorted(steps)
    assert steps[-1] == 12


def kept(run: Path) -> list[int]:
    return sorted(step_of(path) for path in (run / "checkpoints").glob("checkpoint-*"))


def test_the_newest_checkpoint_is_kept_and_those_that_did_best(tiny_folder: Path, tmp_path: Path) -> None:
    train(tiny_folder, tmp_path / "run", 24, 1e-2, "--save-total-limit", "3")
    losses = checkpoints.validation_losses(RunFolder(tmp_path / "run"))
    best = sorted(list(losses)[:-1], key=lambda step: losses[step])[:2]
    assert kept(tmp_path / "run") == sorted([*best, 24])


def test_the_best_checkpoint_is_handed_over_where_that_is_asked_for(tiny_folder: Path, tmp_path: Path) -> None:
    """At a rate at which it unlearns what is held out."""
    flags = ("--save-total-limit", "9", "--load-best-model-at-end")
    trained = adapter_weights(train(tiny_folder, tmp_path / "run", 24, 0.3, *flags))
    losses = checkpoints.validation_losses(RunFolder(tmp_path / "run"))
    best = min(losses, key=lambda step: losses[step])
    assert best < 24
    there = load_file(tmp_path / "run" / "checkpoints" / f"checkpoint-{best}" / "adapter_model.safetensors")
    assert all(torch.equal(trained[name.replace(".weight", ".default.weight")], there[name]) for name in there)


@pytest.mark.parametrize(("after", "says"), [(math.nan, "no number any more"), (50.0, "ran away")])
def test_a_loss_out_of_bounds_stops_the_training_and_leaves_the_last_good_checkpoint(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: float, says: str
) -> None:
    compute_loss, calls = lora_trainer.PackedTrainer.compute_loss, 0

    def lost(trainer: Any, *given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += trainer.model.training
        loss = compute_loss(trainer, *given, **named)
        return loss * after if calls > 12 and trainer.model.training else loss  # after the sixth step

    monkeypatch.setattr(lora_trainer.PackedTrainer, "compute_loss", lost)
    with pytest.raises(BlasphemerError, match=f"{says}.*--learning-rate"):
        train(tiny_folder, tmp_path / "run", 80, 1e-4)
    assert 4 in kept(tmp_path / "run")
    assert math.isnan(after) <= (kept(tmp_path / "run") == [4])


def test_where_memory_runs_out_training_goes_on_with_fewer_items_at_once(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = adapter_weights(train(tiny_folder, tmp_path / "run"))
    compute_loss, calls = lora_trainer.PackedTrainer.compute_loss, 0

    def short_of_memory(trainer: Any, model: Any, inputs: dict[str, Any], *others: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if trainer.args.per_device_train_batch_size > 1 and calls > 13:  # after the first checkpoint
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return compute_loss(trainer, model, inputs, *others, **named)

    monkeypatch.setattr(lora_trainer.PackedTrainer, "compute_loss", short_of_memory)
    again = adapter_weights(train(tiny_folder, tmp_path / "again"))
    assert all(torch.allclose(whole[name], again[name], atol=1e-4) for name in whole)
    said = capsys.readouterr().err
    said_of = [f"{how(replace(make_plan(3), batch_size=batch, accumulation=8 // batch))}." for batch in (4, 2, 1)]
    assert [one in said for one in said_of] == [False, True, True]
    assert lora_trainer._divided(make_plan(12), RunFolder(tmp_path / "again")).batch_size == 1
    made = RunFolder(tmp_path / "again").load_json("plan.json")
    assert (made["batch_size"], made["accumulation"], made["recomputes"]) == (1, 8, False)


def test_what_does_not_fit_one_by_one_is_computed_again_on_the_way_back_and_else_refused() -> None:
    plan = replace(make_plan(3), batch_size=6, accumulation=2)
    tried = [plan]
    for _ in range(3):
        tried.append(in_less_memory(tried[-1]))
    with pytest.raises(ModelError, match="max-seq-length"):
        in_less_memory(tried[-1])
    assert [(one.batch_size, one.accumulation, one.recomputes) for one in tried] == [
        (6, 2, False), (3, 4, False), (1, 12, False), (1, 12, True),
    ]  # fmt: skip


@pytest.mark.parametrize("choice", [lora_trainer.GO_ON, lora_trainer.FINISH, lora_trainer.STOP, None])
def test_an_interrupt_stops_after_a_checkpoint_and_asks_whoever_is_there(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str | None
) -> None:
    whole = adapter_weights(train(tiny_folder, tmp_path / "run"))
    compute_loss, calls = lora_trainer.PackedTrainer.compute_loss, 0

    def interrupted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 11:  # in the sixth step
            signal.raise_signal(signal.SIGINT)
        return compute_loss(*given, **named)

    monkeypatch.setattr(lora_trainer.PackedTrainer, "compute_loss", interrupted)
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr(console, "select", lambda *_: choice)
    run = RunFolder(tmp_path / "again")
    if choice in (lora_trainer.STOP, None):
        with pytest.raises(Interrupted):
            train(tiny_folder, run.path)
        monkeypatch.undo()
    again = adapter_weights(train(tiny_folder, run.path))
    assert all(torch.equal(whole[name], again[name]) for name in whole) == (choice != lora_trainer.FINISH)
    steps = [json.loads(line)["step"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == (4 if choice == lora_trainer.FINISH else 12)


def test_a_loss_that_is_no_number_stops_the_run(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BlasphemerError, match="learning-rate"):
        train(tiny_folder, tmp_path / "run", 40, 0.99, "--lora-alpha", "1000000")


def test_layers_that_are_not_there_are_named(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no_such_layer"):
        train(tiny_folder, tmp_path / "run", 1, 1e-3, "--lora-target-modules", "no_such_layer")


def test_training_leaves_gradients_and_random_state_as_it_found_them(tiny_folder: Path, tmp_path: Path) -> None:
    train(tiny_folder, tmp_path / "run", steps=1)
    assert torch.is_grad_enabled()


def test_examples_become_labels_that_are_learnt_only_where_marked() -> None:
    """Pitfall 15."""
    row = sft.dataset([Example((5, 6, 7), (False, True, True))])[0]
    assert row == {"input_ids": [5, 6, 7], "labels": [-100, 6, 7], "rehearsed": False}


def test_what_is_rehearsed_is_held_to_what_the_model_expects_without_the_adapter(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """Nothing is to be learnt of it, until something else has been learnt."""
    settings = settings_for(tiny_folder)
    model = load_model(settings)
    rehearsed = [replace(example, rehearsed=True) for example in encode(items(), model.tokenizer, 256)]
    lora_trainer.train_lora(model, Course(make_plan(2), rehearsed, [], RunFolder(tmp_path)), settings)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(0, abs=1e-5)
    assert first["grad_norm"] == pytest.approx(0, abs=1e-3)


def test_of_the_users_own_answers_the_words_are_learnt(tiny_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(tiny_folder)
    job = Job(settings, RunFolder(tmp_path), load_model(settings), [], default_requests())
    own, imagined = items(2)
    encoded = lora_trainer._encoded(job, [replace(own, writer="documents"), replace(imagined, writer="model")])
    assert [example.rehearsed for example in encoded] == [False, True]
