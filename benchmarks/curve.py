"""What more study material is worth: `python -m benchmarks.curve FIGURE RUN ...` (needs matplotlib).

Each RUN is the folder of a finished run; the runs have the same documents and differ in `--study` and `--seed`.
Prints a line of a Markdown table for each budget, with the means over its runs, and draws the runs into FIGURE
(.svg, .png ...).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from blasphemer.language_model.weights import load_tokenizer, model_path
from blasphemer.records import Passage, from_jsonl
from blasphemer.workspace import RunFolder, settings_of

HEAD = (
    "| `--study` | runs | study tokens per token | tokens trained | documents | what it knew before |\n|---|"
    + "---:|" * 5
)


@dataclass(frozen=True)
class Point:
    """A run: its budget, study tokens per token of the documents, tokens trained in all, and the shares right."""

    budget: str
    study: float
    trained: int
    documents: float
    known: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    parser.add_argument("run", type=Path, nargs="+")
    chosen = parser.parse_args()
    points = sorted(map(point_of, chosen.run), key=lambda point: point.study)
    sys.stdout.write("\n".join([HEAD, *lines(points)]) + "\n")
    draw(points, chosen.figure)


def point_of(run: Path) -> Point:
    settings = settings_of(RunFolder(run))
    tokenizer = load_tokenizer(model_path(settings.model), settings)
    texts = [passage.text for passage in from_jsonl(Passage, (run / "passages.jsonl").read_text(encoding="utf-8"))]
    source = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    plan, scores = (json.loads((run / name).read_text(encoding="utf-8")) for name in ("plan.json", "scorecard.json"))
    return Point(
        settings.study,
        plan["study_tokens"] / source,
        scores["training"]["tokens"],
        scores["knowledge"]["after"]["rate"],
        scores["retention"]["after"]["rate"],
    )


def lines(points: Sequence[Point]) -> list[str]:
    """A line of the table for each budget, smallest first."""
    found = []
    for budget in dict.fromkeys(point.budget for point in points):
        same = [point for point in points if point.budget == budget]
        study, trained = fmean(point.study for point in same), round(fmean(point.trained for point in same))
        rates = [fmean(point.documents for point in same), fmean(point.known for point in same)]
        cells = [budget, str(len(same)), f"{study:.1f}", f"{trained:,}", *(f"{rate:.1%}" for rate in rates)]
        found.append(f"| {' | '.join(cells)} |")
    return found


def draw(points: Sequence[Point], figure: Path) -> None:
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "blasphemer"  # the same runs give the same file
    drawing, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for label, rate in (("what the documents say", "documents"), ("what it knew before", "known")):
        axes.plot([p.study for p in points], [100 * getattr(p, rate) for p in points], "o-", label=label)
    lowest = 100 * min(min(point.documents, point.known) for point in points)
    axes.set(
        xscale="log",
        ylim=(max(lowest - 5, 0), 101),
        xlabel="study tokens per token of the documents",
        ylabel="answered right, %",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    drawing.savefig(figure, metadata={"Date": None} if figure.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
