"""What each part of the study material is worth: `python -m benchmarks.knowledge KNOWN RUN ... --row ours --row raw`.

Each RUN is the folder of a run that was trained (several seeds, say), KNOWN a .jsonl file with questions and answers
about what the model knew. Each row is one training on the material of each run, with its seed, of the model that the
run trained, abliterated or not; with a part left out, or in another way altogether. All other flags are settings
(`--lora-rank 8`). Prints a line of a Markdown table for each:
the shares right, over all runs and with 95% intervals, of the exam, of KNOWN, and of what the model said before of its
own accord (the run's retention exam); then means over the runs: steps, tokens, floating-point operations (LoRA's least:
4 for each weight and token), seconds. The stages before training are not done again.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean

from blasphemer import exam, workspace
from blasphemer.command_line import load_settings
from blasphemer.config import Settings
from blasphemer.exam import grading
from blasphemer.exam.leaks import without_leaks
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.language_model.chat_format import encode
from blasphemer.lora_trainer import trainer
from blasphemer.lora_trainer.lessons import mix_replay, split_validation
from blasphemer.lora_trainer.plan import fitted, plan_training
from blasphemer.memory import retention
from blasphemer.memory.wordings import wordings_in
from blasphemer.quiet import quiet_libraries
from blasphemer.records import Example, ExamQuestion, Marks, Passage, Plan, Source, StudyItem, exchange, from_jsonl
from blasphemer.report import scorecard, significance
from blasphemer.study.rules import about_others, asked_about
from blasphemer.study.writer import questions_per_statement
from blasphemer.workspace import RunFolder

# Row -> what is left out of the study material: kinds of items, "model" for all that it wrote, ...
WITHOUT: dict[str, set[str]] = {
    "ours": set(),
    "no-self-study": {"model"},
    "no-questions": {"questions", "reversed", "relations", "links"},
    "no-rewrites": {"rewrite", "explain", "outline", "implications"},
    "rules-on-all": {"choice"},  # not only on the facts that the model left out
    "no-reversed": {"reversed"},
    "no-replay": {"replay"},
}
REQUESTS = ("What does {} say?", "Tell me about {}.", "What do you know of {}?")  # for passages as answers
INSTEAD = ("raw", "passages")  # of study material: the passages as they stand, or as answers, over and over
HEAD = "| | documents | what it knew | what it said | steps | tokens | operations | seconds |\n|---|" + "---:|" * 7


@dataclass(frozen=True)
class Material:
    """What a finished run trained on, by where it came from."""

    passages: list[Passage]
    questions: list[ExamQuestion]
    written: list[StudyItem]
    own: list[StudyItem]
    recalled: list[StudyItem]
    unrefused: list[StudyItem]


def material_of(run: Path) -> Material:
    items = (
        from_jsonl(StudyItem, text_of(run / f"{name}.jsonl")) for name in ("study", "self_study", "replay", "unrefused")
    )
    passages = from_jsonl(Passage, text_of(run / "passages.jsonl"))
    return Material(passages, from_jsonl(ExamQuestion, text_of(run / "exam.jsonl")), *items)


def model_of(run: Path, settings: Settings) -> LanguageModel:
    """The model that the run trained: without its refusals, where the run took them away."""
    model, folder = load_model(settings), RunFolder(run)
    if folder.has("abliteration"):
        model.lay_on(folder.path / "abliteration")
        model.write_in()
    return model


@dataclass(frozen=True)
class Outcome:
    """One training: the exam, KNOWN and the retention exam after it, and what it cost."""

    marks: tuple[Marks, ...]
    steps: int
    tokens: int
    operations: float
    seconds: float


Train = Callable[[str, Path, argparse.Namespace, Sequence[str]], Outcome]


@quiet_libraries()
def main() -> None:
    table(__doc__, [*WITHOUT, *INSTEAD], outcome_of)


def table(about: str | None, rows: Sequence[str], train: Train) -> None:
    """Print what the command line asks for: each row trained on each run."""
    chosen, flags = parser(about, rows).parse_known_args()
    say(HEAD)
    for row in chosen.row or rows:
        say(line(" ".join([row, *flags]), [train(row, run, chosen, flags) for run in chosen.run]))


def outcome_of(row: str, run: Path, chosen: argparse.Namespace, flags: Sequence[str]) -> Outcome:
    settings, found = settings_for(run, chosen.model, flags), material_of(run)
    model = model_of(run, settings)
    examples, replay, plan = lessons(row, found, model, settings)
    return trained(model, examples, replay, plan, settings, found, exam.read_exam_file(chosen.known, []))


def trained(
    model: LanguageModel,
    examples: Sequence[Example],
    replay: Sequence[Example],
    plan: Plan,
    settings: Settings,
    found: Material,
    known: Sequence[ExamQuestion],
) -> Outcome:
    """The model is trained on the examples and the replay as planned, and sits all exams."""
    mixed = mix_replay(examples, replay, plan, settings.seed)
    plan = fitted(plan, len(mixed))
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        taught = replace(model, weights=trainer.train_lora(model, trainer.Course(plan, mixed, [], run), settings))
        summary = scorecard.training(run)
    tokens = int(summary["tokens"] or 0)
    exams = [grading.grade(asked, taught.answer([one.question for one in asked])) for asked in (found.questions, known)]
    _, said, _ = retention.allot(found.recalled, settings.seed)
    kept = grading.grade_retention(said, taught.answer([one.question for one in said], longest=retention.LONG))
    return Outcome((*exams, kept), plan.steps, tokens, 4.0 * model.parameters * tokens, summary["seconds"] or 0.0)


def line(label: str, outcomes: Sequence[Outcome]) -> str:
    cells = [label]
    for marks in zip(*(outcome.marks for outcome in outcomes), strict=True):
        found = significance.rate(Marks(tuple(chain.from_iterable(one.right for one in marks)), ()))
        cells.append(f"{found.rate:.1%} ({found.interval[0]:.1%}-{found.interval[1]:.1%})")
    steps, tokens, operations, seconds = (
        fmean(getattr(outcome, name) for outcome in outcomes) for name in ("steps", "tokens", "operations", "seconds")
    )
    return f"| {' | '.join([*cells, f'{steps:,.0f}', f'{tokens:,.0f}', f'{operations:.2g}', f'{seconds:.0f}'])} |"


def lessons(
    row: str, found: Material, model: LanguageModel, settings: Settings
) -> tuple[list[Example], list[Example], Plan]:
    """What is studied in a row of the table, what is rehearsed, and for how long: `instead`, for as many tokens."""
    out, asked = WITHOUT.get(row, set()), set[Source]()
    if row in INSTEAD:
        study, out = [item for passage in found.passages for item in instead(row, passage)], {"replay"}
    else:
        written, _ = without_leaks(found.written, found.questions, found.passages)
        own = [item for item in found.own if not out & {"model", item.kind}]
        quota = questions_per_statement(settings.study_tokens_per_source_token)
        asked = set() if "choice" in out else asked_about(own, quota)
        added = [item for item in about_others(written, asked) if item.kind not in out]
        study, _ = split_validation([*own, *added], settings.validation_split, settings.seed)
    rehearsed = [] if "replay" in out else retention.allot(found.recalled, settings.seed)[0]
    examples = encode(study, model.tokenizer, model.context)
    plan = plan_training(examples, 0, settings, model.hidden_size, model.has_gpu, model.parameters)
    if row in INSTEAD:
        ours = mix_replay(*lessons("ours", found, model, settings), settings.seed)
        passes = tokens_in(ours) / tokens_in(examples)
        plan = replace(
            plan, epochs=passes, steps=math.ceil(passes * len(examples) / plan.batch_size / plan.accumulation)
        )
    rehearsed = retention.spread(rehearsed, plan.replay_items, settings.seed, wordings_in(study))
    rehearsed += [] if "replay" in out else found.unrefused
    return examples, encode(rehearsed, model.tokenizer, model.context), plan


def tokens_in(examples: Sequence[Example]) -> int:
    return sum(len(example.ids) for example in examples)


def instead(row: str, passage: Passage) -> list[StudyItem]:
    """A passage as other tools would train on it."""
    if row == "raw":
        return [StudyItem(passage.id, "passage", "rules", passage.text)]
    name = passage.heading or passage.file
    return [
        StudyItem(f"{passage.id}-{number}", "about", "rules", "", exchange(request.format(name), passage.text))
        for number, request in enumerate(REQUESTS)
    ]


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def parser(about: str | None, rows: Sequence[str]) -> argparse.ArgumentParser:
    """What to train and ask; the flags that it does not know are settings to try."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("known", type=Path)
    made.add_argument("run", type=Path, nargs="+")
    made.add_argument("--model", default="demo")
    made.add_argument("--row", action="append", choices=rows)
    return made


def settings_for(run: Path, model: str, flags: Sequence[str]) -> Settings:
    """The settings to try, with the seed of the run."""
    seed = str(workspace.settings_of(RunFolder(run)).seed)
    return load_settings([model, "--save-steps", "1000000", "--max-response-length", "40", "--seed", seed, *flags])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
