"""Tasks of the lm-evaluation-harness, which Heretic brings along, put to a model in memory."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from blasphemer import console
from blasphemer.errors import ModelError, SourceError, first_line
from blasphemer.language_model import LanguageModel

Scores = dict[tuple[str, str], float]  # by (task, metric)


def measure(model: LanguageModel, tasks: Sequence[str]) -> Scores:
    """The scores of a model. A task is a name that lm-eval knows, or a .yaml file that describes one.

    Raises ModelError without lm-eval, SourceError for a task that is not known or whose data cannot be loaded.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.config.evaluate_config import EvaluatorConfig
        from lm_eval.models.huggingface import HFLM
    except ImportError as error:
        raise ModelError(f"Benchmarks need lm-eval: pip install 'lm-eval[hf]' ({error}).") from error
    named = [task.strip() for task in tasks if task.strip()]
    try:
        console.note(f"Measuring {', '.join(named)} ...")
        with contextlib.redirect_stdout(io.StringIO()):
            wanted = EvaluatorConfig(tasks=named)
            manager = wanted.process_tasks()
            found = simple_evaluate(
                model=HFLM(pretrained=model.weights, tokenizer=model.tokenizer, batch_size=model.batch_size),
                tasks=wanted.tasks,
                task_manager=manager,
                apply_chat_template=True,
                bootstrap_iters=0,
            )
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(f"{', '.join(named)}: cannot be measured: {first_line(error)}") from error
    return _scores(found["results"])


def _scores(results: Mapping[str, Mapping[str, Any]]) -> Scores:
    return {
        (task, metric.split(",")[0]): float(value)
        for task, metrics in results.items()
        for metric, value in metrics.items()
        if isinstance(value, float) and "stderr" not in metric
    }


def show(scores: Mapping[str, Scores]) -> None:
    """The scores of several models in a table on stdout."""
    rows = [
        (*key, *(f"{found[key]:.4f}" for found in scores.values() if key in found))
        for key in next(iter(scores.values()))
    ]
    console.table("Benchmark", ("task", "metric", *scores), rows)
