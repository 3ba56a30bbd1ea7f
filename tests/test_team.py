"""Several processes at one job do what one does alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

ROOT = Path(__file__).parents[1]
SHORT = (
    "--max-response-length", "8", "--study", "quick", "--exam-questions", "6", "--replay-prompts", "0",
    "--no-merge-lora",
)  # fmt: skip
TOGETHER = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port")


def together(port: int) -> list[str]:
    return [sys.executable, *TOGETHER, str(port)]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_two_processes_write_weigh_and_train_as_one(
    tiny_folder: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for name, start in (("one", [sys.executable]), ("two", together(29517))):
        (tmp_path / name).mkdir()
        command = [*start, "-m", "tests.team_job", str(tiny_folder), str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    one, two = (json.loads((tmp_path / name / "done.json").read_text()) for name in ("one", "two"))
    assert one["answers"] == two["answers"]
    assert two["likely"] == pytest.approx(one["likely"], abs=1e-4)
    metrics = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in metrics[0]] == [line["step"] for line in metrics[1]]
    for alone, shared in zip(*metrics, strict=True):
        assert shared.get("loss") == pytest.approx(alone.get("loss"), abs=1e-5)
        assert shared.get("validation_loss") == pytest.approx(alone.get("validation_loss"), abs=1e-4)
        assert shared["tokens"] == pytest.approx(alone["tokens"], rel=0.1)  # each row has the shared beginning once
    weights = [torch.load(tmp_path / name / "weights.pt") for name in ("one", "two")]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])


def test_where_one_process_is_killed_the_job_ends_and_the_same_command_goes_on(
    tiny_folder: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    ringed = [f"Heron {n} was ringed at weir {n * 7} in {1800 + n}.\n" for n in range(20)]
    (tmp_path / "doc.txt").write_text("".join(ringed))
    command = [
        *together(29519), "-m", "blasphemer", str(tiny_folder), "--fine-tune-only", "--yes", "--no-self-study",
        "--fine-tune-dataset", str(tmp_path / "doc.txt"), "--finetuning-output-dir", str(tmp_path / "run"),
        "--num-train-epochs", "3", "--save-steps", "2", *SHORT,
    ]  # fmt: skip
    checkpoints = tmp_path / "run" / "checkpoints"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as job:
        while job.poll() is None and not list(checkpoints.glob("checkpoint-*/complete")):
            time.sleep(0.05)
        workers = psutil.Process(job.pid).children()
        follower = next(one for one in workers if one.environ().get("RANK") == "1")
        follower.send_signal(signal.SIGKILL)
        _, said = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "Error: Another process of this job has ended" in said
    again = subprocess.run(command, cwd=ROOT, env=environment, check=False, **pipes)
    assert (tmp_path / "run" / "scorecard.json").exists()
    assert again.stdout.count("Exam (share right") == 1  # one process talks


def test_where_each_process_holds_a_part_of_the_model_the_adapter_is_whole(
    tiny_folder: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "doc.txt").write_text("".join(f"Heron {n} was ringed in {1800 + n}.\n" for n in range(20)))
    out = tmp_path / "run"
    command = [
        *together(29521), "-m", "tests.sharded_job", str(tiny_folder), "--fine-tune-only", "--yes", "--no-self-study",
        "--fine-tune-dataset", str(tmp_path / "doc.txt"), "--finetuning-output-dir", str(out),
        "--num-train-epochs", "3", "--save-steps", "2", *SHORT,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (out / "scorecard.json").exists(), done.stderr
    assert list(out.glob("checkpoints/*/pytorch_model_fsdp_0"))
    proof = json.loads((out / "adapter" / "verified.json").read_text())
    assert proof["largest_logit_difference_to_original"] > 0.01
