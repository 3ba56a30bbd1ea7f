"""What the documented defaults reach and what the program's do: `python -m benchmarks.defaults [MODEL DOCUMENTS EXAM]`.

Each row is one run of the real command on the same documents with the same seed, differing in the settings named.
Rates are of the exam (the given exam file) and of retention. Compare rows of one table only: seconds depend on the
machine; steps and tokens do not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ATTENTION = ["--lora-target-modules", "q_proj,k_proj,v_proj,o_proj"]
BATCH = ["--per-device-train-batch-size", "4", "--gradient-accumulation-steps", "8"]
VARIANTS = {
    "the program's defaults": [],
    "attention layers only": ATTENTION,
    "learning rate 2e-4": ["--learning-rate", "2e-4"],
    "batch 4 x 8 rows, 3 epochs": [*BATCH, "--num-train-epochs", "3"],
    "all documented defaults": [*ATTENTION, *BATCH, "--num-train-epochs", "3", "--learning-rate", "2e-4"],
    "no replay": ["--replay-share", "0"],
    "study quick": ["--study", "quick"],
}
COLUMNS = ("settings", "documents before", "documents after", "known after", "steps", "tokens", "seconds")


def main(model: str, documents: str, exam: str) -> None:
    """Print a Markdown table, a line as soon as its run is done."""
    say(COLUMNS)
    say(["---", *["---:"] * (len(COLUMNS) - 1)])
    for name, flags in VARIANTS.items():
        say([name, *run(model, documents, exam, flags)])


def run(model: str, documents: str, exam: str, flags: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = [
            model,
            "--fine-tune-only",
            "--fine-tune-dataset",
            documents,
            "--exam-file",
            exam,
            "--yes",
            "--no-merge-lora",
        ]
        began = time.monotonic()
        command = [sys.executable, "-m", "blasphemer", *words, "--finetuning-output-dir", str(out), *flags]
        done = subprocess.run(command, capture_output=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode not in (0, 3):
            raise SystemExit(done.stderr.decode())
        card = json.loads((out / "scorecard.json").read_text(encoding="utf-8"))
    knowledge, training = card["knowledge"], card["training"]
    rates = [knowledge["before"], knowledge["after"], card["retention"]["after"]]
    shown = [f"{rate['rate']:.1%}" if rate["total"] else "-" for rate in rates]
    return [*shown, str(training["steps"]), f"{training['tokens']:,}", f"{seconds:.0f}"]


def say(cells: list[str] | tuple[str, ...]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*(sys.argv[1:4] or ["demo", "test-knowledge/saltmere", "test-knowledge/saltmere-exam.jsonl"]))
