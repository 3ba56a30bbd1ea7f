"""How fast answers are written: `python -m benchmarks.write [--folder FOLDER] [--every 4]`.

SmolLM2-135M-Instruct answers what a run on FOLDER (a set of test-knowledge/natural) asks: requests for study material,
everyday requests, and the exam with the passage shown; of each kind every so many. It does so by our engine and by
transformers' `generate`, in batches of 32 that are sorted by length, in turns. Printed are seconds and how many answers
are the same to the letter.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from benchmarks.drafts import read_library
from benchmarks.real import KNOWN, SMOLLM2, fetched
from blasphemer import exam
from blasphemer.command_line import load_settings
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.memory.requests import everyday_requests
from blasphemer.quiet import quiet_libraries
from blasphemer.study.readings import find_readings
from blasphemer.study.requests import EXAM, PROSE, default_requests

ROWS = 32
HEAD = "| | requests | ours, seconds | generate, seconds | ratio | the same |\n|---|" + "---:|" * 5


def asked(folder: Path, model: LanguageModel) -> dict[str, tuple[list[str], int]]:
    """What a run asks, by kind, and how many tokens an answer may have."""
    library = read_library(folder / "docs", model)
    readings = find_readings(library.statements, library.passages, model.count)
    requests = default_requests()
    study = [
        requests.about(kind, 0, one.text, one.card)
        for one in readings
        for kind in ("questions", *PROSE)
        if kind != EXAM
    ]
    passages = {one.file: one.text for one in library.passages}
    questions = exam.read_exam_file(folder / "exam.jsonl", library.passages)
    shown = [requests.with_text(next(iter(passages.values())), one.question) for one in questions]
    return {"study": (study, 256), "everyday": (everyday_requests(), 256), "exam, passage shown": (shown, 48)}


def plain(model: LanguageModel, prompts: Sequence[str], longest: int) -> list[str]:
    """By transformers' own means."""
    rows = model.prompt_rows(prompts)
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    config = GenerationConfig(
        max_new_tokens=longest, do_sample=False, eos_token_id=sorted(model._stops()),
        pad_token_id=model.tokenizer.pad_token_id,
    )  # fmt: skip
    answers = [""] * len(rows)
    for start in range(0, len(order), ROWS):
        batch = order[start : start + ROWS]
        given = model.padded([rows[place] for place in batch])
        with torch.no_grad():
            made = model.weights.generate(**given, generation_config=config)
        for place, ids in zip(batch, made[:, given["input_ids"].shape[1] :].tolist(), strict=True):
            answers[place] = model._decode(ids)
    return answers


@quiet_libraries()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=KNOWN.parent / "page")
    parser.add_argument("--every", type=int, default=4)
    chosen = parser.parse_args()
    model = load_model(load_settings([str(fetched(SMOLLM2))]))
    sys.stdout.write(HEAD + "\n")
    measured = []
    for kind, (prompts, longest) in asked(chosen.folder, model).items():
        some = prompts[:: chosen.every]
        started = time.monotonic()
        answers = model.answer(some, "", longest)
        between = time.monotonic()
        expected = plain(model, some, longest)
        same = sum(one == other for one, other in zip(answers, expected, strict=True))
        measured.append((len(some), between - started, time.monotonic() - between, same))
        show(kind, *measured[-1])
    show("all", *map(sum, zip(*measured, strict=True)))


def show(kind: str, requests: float, seconds: float, usual: float, same: float) -> None:
    cells = [kind, f"{requests}", f"{seconds:.1f}", f"{usual:.1f}", f"{usual / seconds:.2f}", f"{same}/{requests}"]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
