"""lm-eval on a model in memory, with a task that is described and answered here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blasphemer.errors import SourceError
from blasphemer.language_model.model import LanguageModel
from blasphemer.menus import benchmark

TASK = """
task: herons
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: 0
metric_list:
  - metric: acc
"""


def test_a_task_of_ones_own_is_measured(
    tiny: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"Where is heron {number}?", "choices": ["water", "air"]} for number in range(4)]
    (tmp_path / "herons.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = tmp_path / "herons.yaml"
    task.write_text(TASK.format(data=tmp_path / "herons.jsonl"), encoding="utf-8")
    scores = benchmark.measure(tiny, [str(task)])
    assert 0 <= scores["herons", "acc"] <= 1
    benchmark.show({"before": scores, "after": scores})
    assert "herons" in capsys.readouterr().out


def test_an_unknown_task_is_one_line(tiny: LanguageModel) -> None:
    with pytest.raises(SourceError, match="no_such_task"):
        benchmark.measure(tiny, ["no_such_task"])
