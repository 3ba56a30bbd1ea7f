"""Marks -> scorecard.json, the table on screen, and the verdict that becomes the exit code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blasphemer.dataset_processor import Library
from blasphemer.exam import Sitting, grade, of_kind
from blasphemer.records import OWN_WORDS, Conduct, ExamQuestion, Marks, to_json
from blasphemer.report.significance import is_significant_gain, is_significant_loss, mcnemar, rate
from blasphemer.study import Material
from blasphemer.workspace import RunFolder

METRICS = "metrics.jsonl"
PROOF = "verified.json"
STAGES = ("original", "abliterated", "fine_tuned")


@dataclass(frozen=True)
class Results:
    """The marks of one run. Exams that were not sat (an empty `after` with test_after_training off) are None.

    `conduct` has those of STAGES at which the model was judged for refusals.
    """

    before: Sitting
    after: Sitting | None
    open_book: Marks
    conduct: Mapping[str, Conduct] = field(default_factory=dict)
    questions: Sequence[ExamQuestion] = ()
    choices: Sequence[Sequence[str]] = ()

    @property
    def control(self) -> Marks | None:
        """The answers after training, held against the answer of another question like it: who has learnt only what
        kind of thing to say is right here as often as there."""
        if self.after is None or not self.choices:
            return None
        swapped = [
            replace(question, answer=given[1])
            for question, given in zip(self.questions, self.choices, strict=True)
            if len(given) > 1
        ]
        answers = [
            answer for answer, given in zip(self.after.documents.answers, self.choices, strict=True) if len(given) > 1
        ]
        return grade(swapped, answers)

    def of_kinds(self) -> dict[str, tuple[Marks, Marks | None]]:
        """The marks before and after for each kind of question, where there are several."""
        kinds = sorted({question.kind for question in self.questions})
        if len(kinds) < 2:
            return {}
        return {
            kind: (
                of_kind(kind, self.questions, self.before.documents),
                of_kind(kind, self.questions, self.after.documents) if self.after else None,
            )
            for kind in kinds
        }

    @property
    def chance(self) -> float:
        """The share that is chosen right by who knows nothing."""
        return sum(1 / len(given) for given in self.choices) / max(len(self.choices), 1)

    @property
    def has_gained(self) -> bool:
        return self.after is not None and is_significant_gain(self.before.documents, self.after.documents)

    @property
    def has_forgotten(self) -> bool:
        if self.after is None:
            return False
        knows_less = bool(self.before.known.right) and is_significant_gain(self.after.known, self.before.known)
        return knows_less or is_significant_loss(self.before.retention, self.after.retention)

    @property
    def divergence(self) -> float | None:
        """By how many nats per token the model finds what it said at length less likely than before: an estimate of the
        KL divergence, as it said what it found likeliest."""
        tokens = sum(one.tokens for one in self.before.at_length)
        if self.after is None or not tokens:
            return None
        then, now = (sum(one.total for one in sitting.at_length) for sitting in (self.before, self.after))
        return (then - now) / tokens

    @property
    def has_relapsed(self) -> bool:
        """Are there significantly more refusals after fine-tuning than there were after abliteration?"""
        judged = [self.conduct[stage].marks for stage in STAGES[1:] if stage in self.conduct]
        return len(judged) == 2 and is_significant_loss(*judged) and is_significant_gain(judged[1], judged[0])

    @property
    def is_good(self) -> bool:
        return self.has_gained and not self.has_forgotten and not self.has_relapsed


def is_less_refusing(conduct: Mapping[str, Conduct]) -> bool:
    """Are there significantly fewer refusals after abliteration, or were there none before?"""
    original, abliterated = conduct["original"].marks, conduct["abliterated"].marks
    return all(original.right) or is_significant_gain(original, abliterated)


def scorecard(
    results: Results, training: Mapping[str, Any], coverage: Mapping[str, Any], artifacts: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of scorecard.json. What was not measured is null."""
    before, after = results.before, results.after
    return {
        "knowledge": {
            "before": _rate(before.documents),
            "after": _rate(after.documents if after else None),
            "open_book": _rate(results.open_book),
            "p_value": mcnemar(before.documents, after.documents) if after else None,
            "by_kind": {
                kind: {"before": _rate(then), "after": _rate(now)} for kind, (then, now) in results.of_kinds().items()
            },
            "chosen": {
                "before": _rate(before.chosen),
                "after": _rate(after.chosen if after else None),
                "chance": round(results.chance, 4),
            },
            "control": _rate(results.control),
            "wordings": dict(Counter(question.wording for question in results.questions)),
        },
        "retention": {
            "before": _rate(before.retention),
            "after": _rate(after.retention if after else None),
            "divergence": results.divergence,
        },
        "known": {"before": _rate(before.known), "after": _rate(after.known if after else None)},
        **scorecard_of_conduct(results.conduct),
        "coverage": dict(coverage),
        "training": dict(training),
        "artifacts": dict(artifacts),
    }


def scorecard_of_conduct(conduct: Mapping[str, Conduct]) -> dict[str, Any]:
    """Refusals at each stage, and how far from the original the model was then (nats)."""
    moved = {stage: conduct[stage].kl_divergence for stage in STAGES[1:] if stage in conduct}
    return {
        "refusals": {stage: _refusals(conduct.get(stage)) for stage in STAGES},
        "kl_divergence": moved or None,
    }


def coverage(library: Library, material: Material) -> dict[str, Any]:
    """How much of what was given was used."""
    ledger, study = library.ledger, material.items
    taught = {source for item in study for source in item.sources}
    return {
        "files_used": sum(entry.status == "used" for entry in ledger),
        "files_duplicate": sum(entry.status == "duplicate" for entry in ledger),
        "files_skipped": sum(entry.status == "skipped" for entry in ledger),
        "characters_kept": sum(entry.kept for entry in ledger),
        "characters_lost": sum(entry.lost for entry in ledger),
        "pages_without_text": sum(len(entry.pages_without_text) for entry in ledger),
        "statements": len(library.statements),
        "spans_taught": len(taught),
        "study_items": len(study),
        "written_by": dict(Counter(item.writer for item in study)),
        "study_items_dropped_as_exam_repeats": material.leaks,
        "contradictions": len(library.contradictions),
    }


def summary(card: Mapping[str, Any]) -> str:
    """A scorecard in one line, such as `documents 4.1% -> 95.1%; refusals 100.0% -> 0.0%`."""
    rows = (
        ("documents", [card.get("knowledge", {}).get(name) for name in ("before", "after")]),
        ("what it knew", [card.get("retention", {}).get(name) for name in ("before", "after")]),
        ("refusals", [card.get("refusals", {}).get(stage) for stage in STAGES]),
    )
    shown = [(name, " -> ".join(f"{found['rate']:.1%}" for found in rates if found)) for name, rates in rows]
    return "; ".join(f"{name} {rates}" for name, rates in shown if rates)


def verdict(results: Results) -> str:
    if results.after is None:
        return "Not examined after training (test_after_training is off)."
    gain = (
        f"The gain is significant (McNemar p = {mcnemar(results.before.documents, results.after.documents):.2g})."
        if results.has_gained
        else "No significant gain: the model does not know the documents better than before."
    )
    loss = " Significant loss: it forgot some of what it knew." if results.has_forgotten else ""
    relapse = " It refuses again some of what it answered after abliteration." if results.has_relapsed else ""
    return gain + loss + relapse + _own_words(results.questions)


def _own_words(questions: Sequence[ExamQuestion]) -> str:
    """What must be known of an exam that rules wrote."""
    if not any(question.wording == OWN_WORDS for question in questions):
        return ""
    return (
        " It was asked in the documents' own words, with gaps: a person's questions are harder. Give some with "
        "--exam-file to see how it answers them."
    )


def _refusals(conduct: Conduct | None) -> dict[str, Any] | None:
    if conduct is None:
        return None
    found = to_json(rate(Marks(conduct.refused, conduct.answers)))
    return {"refused": found.pop("correct")} | found


def _rate(marks: Marks | None) -> dict[str, Any] | None:
    return to_json(rate(marks)) if marks is not None else None


def training(run: RunFolder) -> dict[str, float | None]:
    """The numbers of a training from its metrics: losses first and last, perplexity, speed, time over all sittings."""
    lines = run.load_lines(METRICS)
    losses = [line["loss"] for line in lines if "loss" in line]
    validation = [line["validation_loss"] for line in lines if "validation_loss" in line]
    last = lines[-1] if lines else {}
    return {
        "steps": last.get("step", 0),
        "tokens": last.get("tokens", 0),
        "seconds": last.get("seconds", 0.0),
        "tokens_per_second": round(last.get("tokens", 0) / max(last.get("seconds", 0.0), 1e-9), 1),
        "peak_memory_bytes": last.get("peak_memory_bytes", 0),
        "loss_first": losses[0] if losses else None,
        "loss_last": losses[-1] if losses else None,
        "validation_loss": validation[-1] if validation else None,
        "validation_perplexity": round(math.exp(min(validation[-1], 50.0)), 4) if validation else None,
    }


def artifacts(run: RunFolder) -> dict[str, Any]:
    """What was written, with the proof that each is the trained model."""
    return {name: run.load_json(f"{name}/{PROOF}") for name in ("adapter", "merged") if run.has(name)}
