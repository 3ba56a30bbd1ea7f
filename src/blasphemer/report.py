"""Marks -> scorecard.json, the table on screen, and the verdict that becomes the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blasphemer import console
from blasphemer.exam import CHOICES
from blasphemer.grading import grade, is_significant_gain, is_significant_loss, mcnemar, of_kind, rate
from blasphemer.records import Conduct, ExamQuestion, LedgerEntry, Marks, Plan, Rate, StudyItem, Yield, to_json

MOST_FILES, MOST_QUESTIONS, MOST_REASONS = 30, 40, 3  # that are shown one by one
STAGES = ("original", "abliterated", "fine_tuned")


@dataclass(frozen=True)
class Results:
    """The marks of one run. Exams that were not sat (an empty `after` with test_after_training off) are None.

    `conduct` has those of STAGES at which the model was judged for refusals.
    """

    before: Marks
    after: Marks | None
    open_book: Marks
    retention_before: Marks
    retention_after: Marks | None
    conduct: Mapping[str, Conduct] = field(default_factory=dict)
    questions: Sequence[ExamQuestion] = ()
    choices: Sequence[Sequence[str]] = ()
    chosen_before: Marks | None = None
    chosen_after: Marks | None = None

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
        answers = [answer for answer, given in zip(self.after.answers, self.choices, strict=True) if len(given) > 1]
        return grade(swapped, answers)

    def of_kinds(self) -> dict[str, tuple[Marks, Marks | None]]:
        """The marks before and after for each kind of question, where there are several."""
        kinds = sorted({question.kind for question in self.questions})
        if len(kinds) < 2:
            return {}
        return {
            kind: (
                of_kind(kind, self.questions, self.before),
                of_kind(kind, self.questions, self.after) if self.after else None,
            )
            for kind in kinds
        }

    @property
    def chance(self) -> float:
        """The share that is chosen right by who knows nothing."""
        return sum(1 / len(given) for given in self.choices) / max(len(self.choices), 1)

    @property
    def has_gained(self) -> bool:
        return self.after is not None and is_significant_gain(self.before, self.after)

    @property
    def has_forgotten(self) -> bool:
        return self.retention_after is not None and is_significant_loss(self.retention_before, self.retention_after)

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
    return {
        "knowledge": {
            "before": _rate(results.before),
            "after": _rate(results.after),
            "open_book": _rate(results.open_book),
            "p_value": mcnemar(results.before, results.after) if results.after else None,
            "by_kind": {
                kind: {"before": _rate(before), "after": _rate(after)}
                for kind, (before, after) in results.of_kinds().items()
            },
            "chosen": {
                "before": _rate(results.chosen_before),
                "after": _rate(results.chosen_after),
                "chance": round(results.chance, 4),
            },
            "control": _rate(results.control),
        },
        "retention": {"before": _rate(results.retention_before), "after": _rate(results.retention_after)},
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


def coverage(ledger: Sequence[LedgerEntry], facts: int, study: Sequence[StudyItem], leaks: int) -> dict[str, Any]:
    """How much of what was given was used."""
    taught = {source for item in study for source in item.sources}
    return {
        "files_used": sum(entry.status == "used" for entry in ledger),
        "files_duplicate": sum(entry.status == "duplicate" for entry in ledger),
        "files_skipped": sum(entry.status == "skipped" for entry in ledger),
        "characters_kept": sum(entry.kept for entry in ledger),
        "characters_lost": sum(entry.lost for entry in ledger),
        "pages_without_text": sum(len(entry.pages_without_text) for entry in ledger),
        "facts": facts,
        "spans_taught": len(taught),
        "study_items": len(study),
        "written_by": dict(Counter(item.writer for item in study)),
        "study_items_dropped_as_exam_repeats": leaks,
    }


def show(results: Results) -> None:
    """The scorecard as a table on stdout."""
    rows = [
        ("Your documents, closed book", results.before, results.after),
        *((f"  {kind}", *marks) for kind, marks in results.of_kinds().items()),
        ("What it knew before", results.retention_before, results.retention_after),
    ]
    if results.chosen_before:
        rows.append((f"Chosen from {CHOICES} answers", results.chosen_before, results.chosen_after))
    cells = [(name, _cell(rate(before)), _cell(rate(after)) if after else "not asked") for name, before, after in rows]
    if results.control:
        cells.append(("Answers of other questions", "", _cell(rate(results.control))))
    if results.open_book.right:
        cells.append(("Your documents, passage shown", _cell(rate(results.open_book)), ""))
    console.table("Exam (share right, 95% interval)", ("", "before", "after"), cells)
    show_conduct(results.conduct)
    console.say(verdict(results))


def show_conduct(conduct: Mapping[str, Conduct]) -> None:
    """Refusals and divergence at each stage as a table on stdout, where they were judged at all."""
    cells = [
        (stage.replace("_", "-"), _cell(_refused(found)), f"{found.kl_divergence:.4f}")
        for stage, found in conduct.items()
    ]
    if cells:
        console.table("Refusals (share refused, 95% interval)", ("", "refused", "KL divergence"), cells)


def show_prompts(prompts: Mapping[str, Sequence[str]], trials: int) -> None:
    """Before abliteration: the prompts it will use, on stdout."""
    rows = [(name, f"{len(found):,}", found[0]) for name, found in prompts.items()]
    console.table("Prompts", ("set", "number", "for example"), rows)
    console.say(f"Plan: {trials} trials of how strongly to abliterate which layers.")


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
        f"The gain is significant (McNemar p = {mcnemar(results.before, results.after):.2g})."
        if results.has_gained
        else "No significant gain: the model does not know the documents better than before."
    )
    loss = " Significant loss: it forgot some of what it knew." if results.has_forgotten else ""
    relapse = " It refuses again some of what it answered after abliteration." if results.has_relapsed else ""
    return gain + loss + relapse


def show_own_exam(questions: Sequence[ExamQuestion], marks: Mapping[str, Marks]) -> None:
    """What each model said to each question, where they are few; how much was right, and whether models differ beyond
    chance; on stdout."""
    if len(questions) <= MOST_QUESTIONS:
        rows = [
            (question.question, question.answer, *(_marked(found, number) for found in marks.values()))
            for number, question in enumerate(questions)
        ]
        console.table("Your questions", ("question", "expected", *marks), rows)
    first = next(iter(marks.values()))
    compared = [(name, _cell(rate(found)), f"{mcnemar(first, found):.2g}") for name, found in marks.items()]
    if len(marks) == 1:
        console.table("Right, 95% interval", ("", f"of {len(questions)}"), [row[:2] for row in compared])
    else:
        heads = ("", f"of {len(questions)}", "p against the first (McNemar)")
        console.table("Right, 95% interval", heads, [(*compared[0][:2], ""), *compared[1:]])


def _marked(marks: Marks, number: int) -> str:
    return f"{'right' if marks.right[number] else 'wrong'}: {marks.answers[number]}"


def show_ledger(ledger: Sequence[LedgerEntry]) -> None:
    """What was read, and what was not and why, on stdout. Of many files those are named that need a look."""
    named = ledger if len(ledger) <= MOST_FILES else [entry for entry in ledger if entry.reason][:MOST_FILES]
    counted = ["kept", "lost", "passages"] + ["conversations"] * any(entry.conversations for entry in ledger)
    rows = [(one.file, one.status, *_sums([one], counted), _remarks(one)) for one in named]
    rows.append((f"{len(ledger):,} in all", _statuses(ledger), *_sums(ledger, counted), ""))
    console.table("Documents", ("file", "", "characters", *counted[1:], ""), rows)
    if len(named) < len(ledger):
        console.say("Every file is in ledger.jsonl.")


def _sums(entries: Sequence[LedgerEntry], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"{sum(getattr(entry, name) for entry in entries):,}"


def _remarks(entry: LedgerEntry) -> str:
    return ", ".join(filter(None, (_form(entry), entry.reason)))


def _statuses(ledger: Sequence[LedgerEntry]) -> str:
    counts = Counter(entry.status for entry in ledger)
    return ", ".join(f"{counts[status]:,} {status}" for status in ("used", "duplicate", "skipped") if counts[status])


def _form(entry: LedgerEntry) -> str:
    """Its pages or its encoding."""
    if not entry.pages:
        return entry.encoding
    pages = f"{entry.pages} {'page' if entry.pages == 1 else 'pages'}"
    return pages + (f", {len(entry.pages_without_text)} without text" if entry.pages_without_text else "")


def show_preview(
    items: Sequence[StudyItem], shown: Sequence[Sequence[tuple[str, bool]]], exam: Sequence[ExamQuestion], plan: Plan
) -> None:
    """Before training: some study items as the model will see them, the exam's size and the plan, on stdout."""
    console.say("Study items, with what is learnt marked:")
    for item, parts in zip(items, shown, strict=True):
        console.say(f"\n[{item.kind}]")
        console.say(console.highlight(parts))
    console.say(f"\nExam: {len(exam)} questions, for example: {exam[0].question}  ({exam[0].answer})\n")
    console.say(describe(plan))


def show_self_study(readings: int, tokens: int) -> None:
    """Before the model writes study material: how much that will be, on stdout."""
    if readings:
        console.say(
            f"Before that the model writes about the documents too, {readings:,} texts, up to {tokens:,} tokens."
        )


def show_yields(yields: Sequence[Yield]) -> None:
    """What the model wrote, and why how much of it was not kept, on stdout."""
    rows = [(one.kind, f"{one.requests:,}", f"{one.kept:,}", _reasons(one.dropped)) for one in yields]
    if rows:
        console.table("Written by the model", ("", "requests", "kept", "not kept"), rows)
        if not any(one.kept for one in yields):
            console.say("Nothing of it can be used: rules write all of the study material.")


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in Counter(dropped).most_common(MOST_REASONS) if number)


def describe(plan: Plan) -> str:
    return (
        f"Plan: {plan.study_items:,} study items ({plan.study_tokens:,} tokens) {plan.epochs:g} times over, with "
        f"{plan.replay_items:,} items of replay, in {plan.steps:,} steps of {plan.batch_size * plan.accumulation} "
        f"items; learning rate {plan.learning_rate:g}; {plan.validation_items} items held out."
    )


def _refused(conduct: Conduct) -> Rate:
    return rate(Marks(conduct.refused, conduct.answers))


def _refusals(conduct: Conduct | None) -> dict[str, Any] | None:
    if conduct is None:
        return None
    found = to_json(_refused(conduct))
    return {"refused": found.pop("correct")} | found


def _rate(marks: Marks | None) -> dict[str, Any] | None:
    return to_json(rate(marks)) if marks is not None else None


def _cell(found: Rate) -> str:
    if not found.total:
        return "not asked"
    low, high = found.interval
    return f"{found.rate:.1%} ({found.correct}/{found.total}, {low:.0%}-{high:.0%})"
