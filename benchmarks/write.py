"""How fast answers are written: `python -m benchmarks.write [--folder FOLDER] [--every 4] [--against CHECKOUT]`.

SmolLM2-135M-Instruct answers what a run on FOLDER (a set of test-knowledge/natural) asks: requests for study material,
everyday requests, and the exam with the passage shown; of each kind every so many. It does so by our engine and by
transformers' `generate`, in batches of 32 that are sorted by length, in turns; and by the engine of another checkout of
this program, if one is given. Printed are seconds and how many answers are the same to the letter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
HEAD = (
    "| | requests | ours, seconds | generate, seconds | ratio | the same | the other checkout, seconds | ratio |\n|---|"
    + "---:|" * 7
)
BY_ANOTHER = """
import json, sys, time
from blasphemer.command_line import load_settings
from blasphemer.language_model import load_model

model = load_model(load_settings([sys.argv[1]]))
for line in sys.stdin:
    prompts, longest = json.loads(line)
    started = time.monotonic()
    model.answer(prompts, "", longest)
    print(time.monotonic() - started, flush=True)
"""


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
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    model = load_model(load_settings([str(fetched(SMOLLM2))]))
    sys.stdout.write(HEAD + "\n")
    measured = []
    with other_checkout(chosen.against) as by_another:
        for kind, (prompts, longest) in asked(chosen.folder, model).items():
            some = prompts[:: chosen.every]
            started = time.monotonic()
            answers = model.answer(some, "", longest)
            between = time.monotonic()
            expected = plain(model, some, longest)
            usual = time.monotonic() - between
            same = sum(one == other for one, other in zip(answers, expected, strict=True))
            measured.append((len(some), between - started, usual, same, by_another(some, longest)))
            show(kind, *measured[-1])
    show("all", *map(sum, zip(*measured, strict=True)))


@contextmanager
def other_checkout(folder: Path | None) -> Iterator[Callable[[Sequence[str], int], float]]:
    """What gives the seconds that another checkout takes to answer prompts; without one, 0."""
    if folder is None:
        yield lambda *_: 0.0
        return
    environment = {**os.environ, "PYTHONPATH": str(folder.absolute() / "src")}
    command = [sys.executable, "-c", BY_ANOTHER, str(fetched(SMOLLM2))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        given, said = process.stdin, process.stdout

        def seconds(prompts: Sequence[str], longest: int) -> float:
            given.write(json.dumps([list(prompts), longest]) + "\n")
            given.flush()
            return float(said.readline())

        yield seconds


def show(kind: str, requests: float, seconds: float, usual: float, same: float, another: float) -> None:
    cells = [kind, f"{requests}", f"{seconds:.1f}", f"{usual:.1f}", f"{usual / seconds:.2f}", f"{same}/{requests}"]
    cells += [f"{another:.1f}", f"{another / seconds:.2f}"] if another else ["", ""]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
