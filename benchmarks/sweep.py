"""One training with chosen settings on a run's material: `python -m benchmarks.sweep RUN EXAM KNOWN --lora-rank 8`.

RUN is the folder of a run that got at least as far as replay.jsonl; EXAM and KNOWN are .jsonl files with question and
answer; all other flags are settings. Prints one line of a Markdown table: the settings, the shares right, the steps,
the tokens. The stages before training are not done again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from blasphemer import exam, lora_trainer, retention
from blasphemer.config import load_settings
from blasphemer.dataset_processor import encode, mix_replay
from blasphemer.model import LanguageModel, load_model
from blasphemer.plan import plan_training
from blasphemer.quiet import quiet_libraries
from blasphemer.records import StudyItem, from_jsonl
from blasphemer.workspace import RunFolder


@quiet_libraries()
def main() -> None:
    chosen, flags = options()
    settings = load_settings([chosen.model, "--save-steps", "1000000", "--max-response-length", "40", *flags])
    model = load_model(settings)
    study = encode(items(chosen.run / "study.jsonl"), model.tokenizer, model.context)
    rehearsed, _ = retention.divide(items(chosen.run / "replay.jsonl"), settings.seed)
    replay = encode(rehearsed, model.tokenizer, model.context)
    plan = plan_training(study, 0, settings, model.hidden_size, model.has_gpu)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        mixed = mix_replay(study, replay, plan, settings.seed)
        trained = replace(model, weights=lora_trainer.train(model, mixed, [], plan, settings, run))
        summary = lora_trainer.summary(run)
    scores = [f"{share_right(trained, file):.1%}" for file in (chosen.exam, chosen.known)]
    cells = [" ".join(flags) or "defaults", *scores, f"{plan.steps:,}", f"{summary['tokens']:,}"]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


def items(file: Path) -> list[StudyItem]:
    return from_jsonl(StudyItem, file.read_text(encoding="utf-8"))


def share_right(model: LanguageModel, file: Path) -> float:
    questions = exam.read_exam_file(file, [])
    marks = exam.grade(questions, model.answer([question.question for question in questions]))
    return marks.correct / len(questions)


def options() -> tuple[argparse.Namespace, list[str]]:
    """What to train and ask, and the settings to try."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "exam", "known"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", default="demo")
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
