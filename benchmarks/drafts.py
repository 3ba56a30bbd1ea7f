"""How many false drafts go, and how many true ones: `python -m benchmarks.drafts FOLDER ... [--reader MODEL]`.

FOLDER is a set of test-knowledge/natural: `exam.jsonl` has a person's questions with right answers, and
`false_drafts.jsonl` questions with the answers of a careless reader, whose words mostly stand in the document;
`true.jsonl` and `false.jsonl` have sentences that say again what the document says, rightly and wrongly. All are put
through the checks of self-study: by the text alone, and with --reader (a folder or .gguf file) also by asking that
model. Of the reader it is also told how many of the rules' questions it answers with the text shown: who sets questions
for the exam must answer nineteen of twenty.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blasphemer import dataset_processor
from blasphemer.command_line import load_settings
from blasphemer.dataset_processor import Library
from blasphemer.exam.questions import write_questions
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, load_model, load_writer
from blasphemer.quiet import quiet_libraries
from blasphemer.study.author import Author
from blasphemer.study.checking import Claim, Told, restored, verified
from blasphemer.study.drafts import Draft
from blasphemer.study.examiner import answered_with_text
from blasphemer.study.grounding import Groundless, Reading, asked_statement, sound_sentences, with_right_name
from blasphemer.study.readings import find_readings
from blasphemer.study.requests import default_requests
from blasphemer.workspace import RunFolder


@dataclass(frozen=True)
class Outcome:
    """Drafts of one kind: how many there were, how many are left, and why the others went."""

    drafts: int
    by_text: int
    by_reader: int | None
    reasons: Counter[str]


def read_library(documents: Path, model: LanguageModel) -> Library:
    settings = load_settings(["demo", "--fine-tune-only", "--fine-tune-dataset", str(documents)])
    with tempfile.TemporaryDirectory() as folder:
        inputs = dataset_processor.find_inputs(settings)
        return dataset_processor.read(Job(settings, RunFolder(Path(folder)), model, inputs, default_requests()))


def questions(file: Path, readings: Sequence[Reading], reader: Author | None) -> Outcome:
    """What the checks leave of questions with answers. Each is held against every text of its document, as its writer
    might have read any of them, and asked again with the one that bears it out."""
    reasons: Counter[str] = Counter()
    claims: list[Claim] = []
    rows = rows_of(file)
    for row in rows:
        refused = ""
        for reading in _of(row["file"], readings):
            draft = with_right_name(Draft(row["question"], row["answer"]), reading)
            try:
                claims.append(Claim(draft, asked_statement(draft, reading), reading))
                break
            except Groundless as error:
                refused = str(error)
        else:
            reasons[refused] += 1
    left = None if reader is None else len(verified(claims, reader, "asking again"))
    return Outcome(len(rows), len(claims), left, reasons)


def sentences(file: Path, readings: Sequence[Reading], reader: Author | None) -> Outcome:
    """The same of sentences, each as somebody may have written it who was asked to say a text again."""
    told: list[Told] = []
    rows = rows_of(file)
    for row in rows:
        said = row[file.stem]
        told += [Told(said, one) for one in _of(row["file"], readings) if sound_sentences(said, one)][:1]
    left = None if reader is None else len(restored(told, reader, "asking again"))
    return Outcome(len(rows), len(told), left, Counter({"repeats nothing of the text": len(rows) - len(told)}))


def rows_of(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _of(file: str, readings: Sequence[Reading]) -> list[Reading]:
    return [one for one in readings if one.statements[0].file == file]


JUDGES = {"exam": questions, "false_drafts": questions, "true": sentences, "false": sentences}


@quiet_libraries()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--reader")
    chosen = parser.parse_args()
    counting = load_model(load_settings(["demo"]))
    reader = load_writer(chosen.reader, load_settings([chosen.reader])) if chosen.reader else None
    author = Author(reader, default_requests()) if reader else None
    for folder in chosen.folder:
        library = read_library(folder / "docs", counting)
        readings = find_readings(library.statements, library.passages, counting.count)
        if author:
            paper = write_questions([*library.statements, *library.answers])
            right = answered_with_text(library, paper, author).right
            sys.stdout.write(f"{folder.name} by rule, text shown: {sum(right)} of {len(right)} right\n")
        for name, judge in JUDGES.items():
            if not (folder / f"{name}.jsonl").exists():
                continue
            found = judge(folder / f"{name}.jsonl", readings, author)
            asked = "" if found.by_reader is None else f", {found.by_reader} after asking again"
            sys.stdout.write(f"{folder.name} {name}: {found.drafts}, {found.by_text} by the text{asked}\n")
            for reason, number in found.reasons.most_common():
                sys.stdout.write(f"    {number} {reason}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
