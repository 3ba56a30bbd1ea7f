"""Training on 4-bit weights: on a CPU only its path can be tried, not what it saves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from blasphemer.command_line import load_settings
from blasphemer.errors import ModelError, UsageError
from blasphemer.language_model import load_model, model_path
from blasphemer.lora_trainer import require_tools

ROOT = Path(__file__).parents[1]


def test_what_is_taught_to_4_bit_weights_is_handed_over_for_the_original(tmp_path: Path) -> None:
    """With an abliteration below it. What the joined adapter does on 4-bit weights is what was trained, and how far it
    is from that on the original is told."""
    (tmp_path / "heron.txt").write_text("The heron Ada was ringed in 1874. She nests at the weir of Orrin.")
    out = tmp_path / "out"
    words = [
        "demo", "--quantization", "bnb_4bit", "--n-trials", "1", "--fine-tune-dataset", str(tmp_path / "heron.txt"),
        "--replay-prompts", "8", "--study", "3", "--num-train-epochs", "8", "--no-self-study", "--yes",
        "--exam-questions", "2", "--no-test-after-training",
        "--finetuning-output-dir", str(out),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.four_bits_job", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    adapter, merged = (json.loads((out / name / "verified.json").read_text()) for name in ("adapter", "merged"))
    assert adapter["largest_logit_difference_to_trained"] < 1e-3
    assert adapter["largest_logit_difference_to_4_bits"] > 0.01
    assert f"the divergence is {adapter['kl_divergence_to_4_bits']:.4f} nats" in done.stderr
    assert merged["largest_logit_difference_to_trained"] < 1e-3
    weights = AutoModelForCausalLM.from_pretrained(out / "merged")
    original = AutoModelForCausalLM.from_pretrained(model_path("demo"))
    assert {one.dtype for one in weights.parameters()} == {torch.float32}
    assert weights.num_parameters() == original.num_parameters()
    assert not hasattr(weights.config, "quantization_config")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_needs_a_gpu_is_refused_without_one() -> None:
    with pytest.raises(ModelError, match=r"bnb_4bit: needs a CUDA GPU.*--quantization none"):
        load_model(load_settings(["demo", "--quantization", "bnb_4bit"]))
    with pytest.raises(UsageError, match=r"adamw_8bit: .*--optimizer adamw"):
        require_tools(load_settings(["demo", "--optimizer", "adamw_8bit"]))
