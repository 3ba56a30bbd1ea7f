"""What is written is what was trained, or it is not written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from blasphemer.command_line import load_settings
from blasphemer.errors import ArtifactError, BlasphemerError, UsageError
from blasphemer.export import artifacts as export
from blasphemer.export import handing_over
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.report import scorecard
from blasphemer.workspace import RunFolder

ROWS = [[0, 10, 20, 30, 40], [0, 7, 8, 9]]


def with_adapter(model: LanguageModel, scale: float = 0.1) -> Any:
    peft = get_peft_model(model.weights, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for name, value in peft.named_parameters():
            if "lora_B" in name:
                value.copy_(scale * torch.randn_like(value))
    return peft.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor(ROWS[:1])).logits


def test_adapter_and_merged_read_back_are_the_trained_model(tiny: LanguageModel, tmp_path: Path) -> None:
    """Pitfall 3."""
    run, trained = RunFolder(tmp_path), with_adapter(tiny)
    wanted = logits(trained)
    export.save_adapter(trained, tiny, ROWS, run)
    export.save_merged(tiny, ROWS, run)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    base = load_model(load_settings([tiny.name])).weights
    stacked = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    assert torch.allclose(logits(merged), wanted, atol=1e-4)
    assert torch.allclose(logits(stacked), wanted, atol=1e-4)
    assert merged.config.use_cache is True  # pitfall 20
    assert {"adapter", "merged"} == set(scorecard.artifacts(run))


CODE = """
from transformers import LlamaForCausalLM

class Singular(LlamaForCausalLM):
    pass
"""


def test_a_model_that_brings_its_own_code_is_exported_with_it(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "singular"
    shutil.copytree(tiny_folder, folder)
    (folder / "modeling_singular.py").write_text(CODE, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_singular.Singular"}
    (folder / "config.json").write_text(json.dumps(config))
    model, run = load_model(load_settings([str(folder), "--trust-remote-code"])), RunFolder(tmp_path / "run")
    assert type(model.weights).__name__ == "Singular"
    export.save_adapter(with_adapter(model), model, ROWS, run)
    export.save_merged(model, ROWS, run)
    assert type(export.load_result(run, model, "merged").weights).__name__ == "Singular"


def test_the_tokenizer_is_handed_on_byte_for_byte(tiny: LanguageModel, tiny_folder: Path, tmp_path: Path) -> None:
    export.save_adapter(with_adapter(tiny), tiny, ROWS, RunFolder(tmp_path))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "adapter" / name).read_bytes() == (tiny_folder / name).read_bytes()
    assert AutoTokenizer.from_pretrained(tmp_path / "adapter").chat_template == tiny.tokenizer.chat_template


def test_an_adapter_that_changes_nothing_is_refused(tiny: LanguageModel, tmp_path: Path) -> None:
    """Pitfall 3."""
    with pytest.raises(ArtifactError, match="nothing was learnt"):
        export.save_adapter(with_adapter(tiny, scale=0.0), tiny, ROWS, RunFolder(tmp_path))
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_saved_empty_is_refused(
    tiny: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall 3."""
    save = PeftModel.save_pretrained

    def save_empty(self: PeftModel, folder: str, **options: Any) -> None:
        save(self, folder, **options)
        save_file({}, str(Path(folder) / "adapter_model.safetensors"))

    monkeypatch.setattr(PeftModel, "save_pretrained", save_empty)
    with pytest.raises(ArtifactError, match="no weights"):
        export.save_adapter(with_adapter(tiny), tiny, ROWS, RunFolder(tmp_path))
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_saved_wrong_is_refused(
    tiny: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = PeftModel.save_pretrained

    def save_other(self: PeftModel, folder: str, **options: Any) -> None:
        save(self, folder, **options)
        file = str(Path(folder) / "adapter_model.safetensors")
        save_file({name: 2 * value for name, value in load_file(file).items()}, file, metadata={"format": "pt"})

    monkeypatch.setattr(PeftModel, "save_pretrained", save_other)
    with pytest.raises(ArtifactError, match="differ"):
        export.save_adapter(with_adapter(tiny), tiny, ROWS, RunFolder(tmp_path))
    assert not (tmp_path / "adapter").exists()


# --- knowledge on top of an abliteration -----------------------------------------------------------------------------


@pytest.fixture
def on_abliteration(tiny: LanguageModel, tmp_path: Path) -> tuple[Any, RunFolder]:
    """A trained adapter on an abliterated model, in memory, and the run that holds the abliteration."""
    run = RunFolder(tmp_path)
    with_adapter(load_model(load_settings([tiny.name])), scale=0.2).save_pretrained(str(tmp_path / "abliteration"))
    tiny.lay_on(run.path / "abliteration")
    tiny.write_in()
    return with_adapter(tiny), run


def test_abliteration_and_knowledge_are_joined_exactly(
    tiny: LanguageModel, on_abliteration: tuple[Any, RunFolder]
) -> None:
    """Pitfall 3: on the original, what is written says what the stack in memory says, to 1e-4."""
    trained, run = on_abliteration
    wanted = logits(trained)
    export.save_adapter(trained, tiny, ROWS, run)
    export.save_merged(tiny, ROWS, run)
    base = load_model(load_settings([tiny.name])).weights
    assert not torch.allclose(logits(base), wanted, atol=1e-1)
    assert torch.allclose(logits(PeftModel.from_pretrained(base, str(run.path / "adapter"))), wanted, atol=1e-4)
    merged = AutoModelForCausalLM.from_pretrained(run.path / "merged")
    assert torch.allclose(logits(merged), wanted, atol=1e-4)


def test_an_abliteration_that_lies_on_a_model_can_be_looked_under_and_written_in(
    tiny: LanguageModel, tmp_path: Path
) -> None:
    given = logits(tiny.weights)
    with_adapter(load_model(load_settings([tiny.name])), scale=0.2).save_pretrained(str(tmp_path / "abliteration"))
    tiny.lay_on(tmp_path / "abliteration")
    laid_on = logits(tiny.weights)
    assert not torch.allclose(laid_on, given, atol=1e-1)
    with tiny.as_given():
        assert torch.equal(logits(tiny.weights), given)
    assert torch.equal(logits(tiny.weights), laid_on)
    tiny.write_in()
    assert torch.allclose(logits(tiny.weights), laid_on, atol=1e-4)
    with tiny.as_given():
        assert torch.allclose(logits(tiny.weights), laid_on, atol=1e-4)  # there is nothing left to look under


def test_half_precision_weights_are_rounded_once(tiny: LanguageModel, tmp_path: Path) -> None:
    """The change is added up in float32: rounded by itself, the small changes of either adapter would be lost."""
    settings = load_settings([tiny.name, "--dtypes", "bfloat16"])
    model, run = load_model(settings), RunFolder(tmp_path)
    with_adapter(load_model(settings), scale=0.2).save_pretrained(str(tmp_path / "abliteration"))
    model.lay_on(run.path / "abliteration")
    model.write_in()
    export.save_adapter(with_adapter(model, scale=0.05), model, ROWS, run)
    export.save_merged(model, ROWS, run)
    name = "layers.0.self_attn.q_proj"
    change = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a, b = (change[f"base_model.model.model.{name}.lora_{side}.weight"].float() for side in "AB")
    scale = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    original = model.load().state_dict()[f"model.{name}.weight"].float()
    wanted = (original + (b @ a) * scale["lora_alpha"] / scale["r"]).bfloat16()
    assert a.shape[0] == 8  # both adapters
    assert torch.equal(load_file(tmp_path / "merged" / "model.safetensors")[f"model.{name}.weight"], wanted)


def test_a_dropped_abliteration_is_noticed(
    tiny: LanguageModel, on_abliteration: tuple[Any, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall 3."""
    trained, run = on_abliteration
    monkeypatch.setattr(export, "_join", lambda *_: None)
    with pytest.raises(ArtifactError, match="differ"):
        export.save_adapter(trained, tiny, ROWS, run)
    assert not run.has("adapter")


def test_a_wrong_base_is_noticed(
    tiny: LanguageModel, on_abliteration: tuple[Any, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, run = on_abliteration

    def other_weights(self: LanguageModel, path: str = "") -> Any:
        loaded = load_model(load_settings([path or self.name])).weights
        with torch.no_grad():
            next(iter(loaded.parameters())).mul_(1.1)
        return loaded

    monkeypatch.setattr(LanguageModel, "load", other_weights)
    with pytest.raises(ArtifactError, match="differ"):
        export.save_adapter(trained, tiny, ROWS, run)
    assert not run.has("adapter")


@pytest.mark.parametrize("name", ["use_dora", "use_rslora", "lora_bias"])
def test_what_cannot_be_joined_exactly_is_refused(
    name: str, tiny: LanguageModel, on_abliteration: tuple[Any, RunFolder]
) -> None:
    trained, run = on_abliteration
    file = run.path / "abliteration" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: True}))
    with pytest.raises(ArtifactError, match=name):
        export.save_adapter(trained, tiny, ROWS, run)


# --- handing over ----------------------------------------------------------------------------------------------------


def test_a_copy_never_lands_on_what_is_there(tmp_path: Path) -> None:
    artifact, target = tmp_path / "merged", tmp_path / "there"
    for folder in (artifact, target):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    with pytest.raises(UsageError, match="is there already"):
        handing_over.hand_over(artifact, target)
    assert (target / "file").read_text() == "there"
    handing_over.hand_over(artifact, tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "file").read_text() == "merged"


def test_an_upload_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HF_TOKEN"):
        handing_over.upload(tmp_path, "owner/name", None, is_private=True)
    with pytest.raises(BlasphemerError, match="owner/name: cannot be uploaded") as caught:  # tests are offline
        handing_over.upload(tmp_path, "owner/name", "hf_secret", is_private=True)
    assert "hf_secret" not in str(caught.value)
