"""One training with chosen settings on a run's material: `python -m benchmarks.sweep RUN KNOWN --lora-rank 8`.

RUN is the folder of a run that was trained; KNOWN is a .jsonl file with questions and answers about what the model knew
before; all other flags are settings. Prints one line of a Markdown table: the settings, the shares right of the run's
exam and of KNOWN, the steps, the tokens. The stages before training are not done again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blasphemer import exam, grading, lora_trainer, retention
from blasphemer.config import load_settings
from blasphemer.dataset_processor import encode, mix_replay, split_validation
from blasphemer.leaks import without_leaks
from blasphemer.model import LanguageModel, load_model
from blasphemer.plan import plan_training
from blasphemer.quiet import quiet_libraries
from blasphemer.records import ExamQuestion, Passage, StudyItem, from_jsonl
from blasphemer.workspace import RunFolder


@quiet_libraries()
def main() -> None:
    chosen, flags = options()
    settings = load_settings([chosen.model, "--save-steps", "1000000", "--max-response-length", "40", *flags])
    model = load_model(settings)
    questions = from_jsonl(ExamQuestion, text_of(chosen.run / "exam.jsonl"))
    passages = from_jsonl(Passage, text_of(chosen.run / "passages.jsonl"))
    written, borrowed, recalled = (
        from_jsonl(StudyItem, text_of(chosen.run / name)) for name in ("study.jsonl", "borrowed.jsonl", "replay.jsonl")
    )
    study, _ = without_leaks(written, questions, passages)
    examples = encode(
        split_validation(study, settings.validation_split, settings.seed)[0], model.tokenizer, model.context
    )
    asked, _ = without_leaks([] if chosen.no_borrowed else borrowed, questions, passages)
    replay = encode(retention.divide(recalled, settings.seed)[0], model.tokenizer, model.context)
    plan = plan_training(examples, 0, settings, model.hidden_size, model.has_gpu)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        mixed = mix_replay([*examples, *encode(asked, model.tokenizer, model.context)], replay, plan, settings.seed)
        trained = replace(model, weights=lora_trainer.train(model, mixed, [], plan, settings, run))
        summary = lora_trainer.summary(run)
    known = exam.read_exam_file(chosen.known, [])
    name = " ".join([*(["no borrowed wordings"] if chosen.no_borrowed else []), *flags]) or "defaults"
    cells = [name, share(trained, questions), share(trained, known), f"{plan.steps:,}", f"{summary['tokens']:,}"]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def share(model: LanguageModel, questions: Sequence[ExamQuestion]) -> str:
    marks = grading.grade(questions, model.answer([question.question for question in questions]))
    return f"{marks.correct / len(questions):.1%}"


def options() -> tuple[argparse.Namespace, list[str]]:
    """What to train and ask, and the settings to try."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "known"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--no-borrowed", action="store_true", help="leave the borrowed wordings out")
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
