"""One training with chosen settings on a run's material: `python -m benchmarks.sweep RUN EXAM KNOWN --rate 2e-3 ...`.

RUN is the folder of a run that got at least as far as replay.jsonl; EXAM and KNOWN are .jsonl files with question and
answer. Prints one line of a Markdown table: the settings, the shares right, the tokens. For sweeps: the stages before
training are not done again.
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
from blasphemer.quiet import quiet_libraries
from blasphemer.records import Plan, StudyItem, from_jsonl
from blasphemer.workspace import RunFolder


@quiet_libraries()
def main() -> None:
    chosen = options()
    settings = load_settings([chosen.model, "--save-steps", "1000000", "--max-response-length", "40"])
    model = load_model(settings)
    study = encode(items(chosen.run / "study.jsonl"), model.tokenizer, model.context)
    rehearsed, _ = retention.divide(items(chosen.run / "replay.jsonl"), settings.seed)
    replay = [e for e in encode(rehearsed, model.tokenizer, model.context) if len(e.ids) <= chosen.row]
    mixed = mix_replay(study, replay, chosen.share, settings.seed)
    plan = Plan(len(study), 0, 0, 0, chosen.row, 1, chosen.rows, 1, chosen.steps, chosen.rate)
    with tempfile.TemporaryDirectory() as folder:
        trained = replace(model, weights=lora_trainer.train(model, mixed, [], plan, settings, RunFolder(Path(folder))))
        summary = lora_trainer.summary(RunFolder(Path(folder)))
    scores = [f"{share_right(trained, file):.1%}" for file in (chosen.exam, chosen.known)]
    cells = [
        f"{chosen.rate:g}",
        f"{chosen.share:g}",
        str(chosen.rows),
        str(chosen.steps),
        *scores,
        f"{summary['tokens']:,}",
    ]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


def items(file: Path) -> list[StudyItem]:
    return from_jsonl(StudyItem, file.read_text(encoding="utf-8"))


def share_right(model: LanguageModel, file: Path) -> float:
    questions = exam.read_exam_file(file, [])
    marks = exam.grade(questions, model.answer([question.question for question in questions]))
    return marks.correct / len(questions)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "exam", "known"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rate", type=float, default=2.3e-3, help="learning rate")
    parser.add_argument("--share", type=float, default=0.5, help="share of replay in the tokens")
    parser.add_argument("--rows", type=int, default=2, help="rows in a step")
    parser.add_argument("--row", type=int, default=512, help="tokens in a row")
    parser.add_argument("--steps", type=int, default=740)
    return parser.parse_args()


if __name__ == "__main__":
    main()
