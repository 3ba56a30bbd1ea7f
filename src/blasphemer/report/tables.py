"""What a run tells on the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from blasphemer import console
from blasphemer.exam import CHOICES
from blasphemer.records import Conduct, ExamQuestion, LedgerEntry, Marks, Rate, Statement, Yield
from blasphemer.report.scorecard import Results, verdict
from blasphemer.report.significance import mcnemar, rate

if TYPE_CHECKING:
    from blasphemer.lora_trainer import Preview

MOST_FILES, MOST_QUESTIONS, MOST_REASONS = 30, 40, 3  # that are shown one by one


def show(results: Results) -> None:
    """The scorecard as a table on stdout."""
    before, after = results.before, results.after
    wordings = dict.fromkeys(question.wording for question in results.questions)
    how = f" ({', '.join(wordings)})" if wordings else ""
    rows = [
        (f"Your documents, closed book{how}", before.documents, after.documents if after else None),
        *((f"  {kind}", *marks) for kind, marks in results.of_kinds().items()),
        ("What it knew before", before.retention, after.retention if after else None),
        (f"Chosen from {CHOICES} answers", before.chosen, after.chosen if after else None),
    ]
    if before.known.right:
        rows.append(("Your questions on what it knew", before.known, after.known if after else None))
    cells = [(name, _cell(rate(then)), _cell(rate(now)) if now else "not asked") for name, then, now in rows]
    if results.divergence is not None:
        cells.append(("Divergence of its long answers (nats per token)", "", f"{results.divergence:.3f}"))
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


def show_contradictions(found: Sequence[tuple[Statement, Statement]]) -> None:
    """What two documents say differently, on stdout."""
    if found:
        console.say(f"{len(found):,} statements differ between documents. Each is taught as what its document says:")
    for one, other in found[:MOST_REASONS]:
        console.say(f"  {one.file}: {one.shown}\n  {other.file}: {other.shown}")


def show_unasked(files: Sequence[str]) -> None:
    """Which documents the exam asks nothing about, on stdout."""
    if files:
        shown = ", ".join(files[:MOST_FILES]) + (" ..." if len(files) > MOST_FILES else "")
        console.say(
            f"The exam asks nothing about {shown}: rules find nothing to ask there. They are studied all the same."
        )


def show_preview(lessons: Preview, exam: Sequence[ExamQuestion]) -> None:
    """Before training: some study items as the model will see them, the exam's size and the plan, on stdout."""
    console.say("Study items, with what is learnt marked:")
    for item, parts in lessons.items:
        console.say(f"\n[{item.kind}]")
        console.say(console.highlight(parts))
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in Counter(one.kind for one in exam).most_common())
    asked = "question" if len(exam) == 1 else "questions"
    console.say(f"\nExam: {len(exam):,} {asked} {exam[0].wording} ({kinds}), for example:")
    for question in exam[:: max(len(exam) // 3, 1)][:3]:
        console.say(f"  {question.question}  ({question.answer})")
    console.say()
    console.say(lessons.plan)


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


def _refused(conduct: Conduct) -> Rate:
    return rate(Marks(conduct.refused, conduct.answers))


def _cell(found: Rate) -> str:
    if not found.total:
        return "not asked"
    low, high = found.interval
    return f"{found.rate:.1%} ({found.correct}/{found.total}, {low:.0%}-{high:.0%})"
