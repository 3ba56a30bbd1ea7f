"""From documents to a scorecard, by this program and by another checkout of it, one after the other:
`python -m benchmarks.end_to_end --against CHECKOUT [--folder FOLDER] [--limit 60]`.

SmolLM2-135M-Instruct is taught the documents of FOLDER, a set of test-knowledge/natural, with what a strong writer
wrote, as in the row `strong` of benchmarks.real. Printed are minutes, tokens trained and the exam, and how many times
longer the other takes. A run that has not come to its end within the limit of minutes is stopped; what it shows of its
progress then is printed instead. CHECKOUT is a folder with another commit: `git worktree add ../other COMMIT`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real import KNOWN, PORT, SMOLLM2, fetched
from benchmarks.replay import serving

OURS = Path(__file__).parents[1]
HEAD = "| | minutes | exam | tokens trained | what it said last |\n|---|---:|---:|---:|---|"


@dataclass(frozen=True)
class Measured:
    """Minutes to the scorecard, or to the limit; the scorecard, if there is one; and the last words."""

    minutes: float
    card: dict[str, object] | None
    said: str


def measure(checkout: Path, folder: Path, url: str, limit: float) -> Measured:
    with tempfile.TemporaryDirectory() as place:
        out, words = Path(place) / "run", Path(place) / "words"
        command = [
            sys.executable, "-m", "blasphemer", str(fetched(SMOLLM2)), "--fine-tune-only", "--yes",
            "--fine-tune-dataset", str(folder / "docs"), "--exam-file", str(folder / "exam.jsonl"),
            "--study-endpoint", url, "--finetuning-output-dir", str(out), "--cache-dir", "",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(checkout.absolute() / "src")}
        started = time.monotonic()
        with words.open("wb") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
            try:
                process.wait(60 * limit)
            except subprocess.TimeoutExpired:
                process.kill()
        minutes = (time.monotonic() - started) / 60
        card = out / "scorecard.json"
        lines = words.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").strip().splitlines()
        return Measured(minutes, json.loads(card.read_text()) if card.exists() else None, lines[-1] if lines else "")


def line_of(name: str, one: Measured) -> str:
    if one.card is None:
        return f"| {name} | over {one.minutes:.0f} | | | {one.said} |"
    card: dict[str, dict[str, dict[str, int]]] = one.card  # type: ignore[assignment]
    exam, tokens = card["knowledge"]["after"], card["training"]["tokens"]
    return f"| {name} | {one.minutes:.0f} | {exam['correct']}/{exam['total']} | {tokens:,} | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=KNOWN.parent / "page")
    parser.add_argument("--limit", type=float, default=120.0, help="minutes of each run at the most")
    chosen = parser.parse_args()
    with serving(chosen.folder / "strong.jsonl", PORT) as url:
        ours, other = (measure(checkout, chosen.folder, url, chosen.limit) for checkout in (OURS, chosen.against))
    lines = [HEAD, line_of("this program", ours), line_of(str(chosen.against), other)]
    ratio = f"{other.minutes / ours.minutes:.1f}"
    sys.stdout.write("\n".join([*lines, "", f"{'' if other.card else 'More than '}{ratio} times as long."]) + "\n")


if __name__ == "__main__":
    main()
