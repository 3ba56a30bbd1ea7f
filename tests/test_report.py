"""What the numbers are taken to mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blasphemer.exam import Sitting, grade
from blasphemer.records import Conduct, ExamQuestion, Likelihood, Marks
from blasphemer.report.scorecard import Results, is_less_refusing, summary, verdict

ALL_KNOWN = Marks((True,) * 9, ("",) * 9)


def marks(right: int, total: int) -> Marks:
    return Marks((True,) * right + (False,) * (total - right), ("",) * total)


def sitting(documents: Marks, retention: Marks = ALL_KNOWN) -> Sitting:
    return Sitting(documents, retention, marks(0, 0))


def conduct(refused: int, total: int = 60) -> Conduct:
    return Conduct((True,) * refused + (False,) * (total - refused), ("",) * total, 0.01)


def results(**stages: int) -> Results:
    known = marks(100, 100)
    judged = {stage: conduct(refused) for stage, refused in stages.items()}
    return Results(sitting(marks(0, 50), known), sitting(marks(45, 50), known), marks(0, 0), judged)


@pytest.mark.parametrize(("back", "is_good"), [(0, True), (2, True), (20, False)])
def test_refusals_that_come_back_are_a_failure_and_said_in_words(back: int, is_good: bool) -> None:
    """Pitfall 19."""
    found = results(original=60, abliterated=0, fine_tuned=back)
    assert found.is_good is is_good
    assert ("refuses again" in verdict(found)) is not is_good


def test_refusals_that_become_fewer_are_no_failure_though_others_come_back() -> None:
    """Pitfall 19."""
    known, blank = marks(100, 100), ("",) * 100
    abliterated = Conduct((True,) * 30 + (False,) * 70, blank, 0.01)
    fine_tuned = Conduct((False,) * 11 + (True,) * 25 + (False,) * 64, blank, 0.01)  # 11 gone, 6 back
    judged = {"original": conduct(100, 100), "abliterated": abliterated, "fine_tuned": fine_tuned}
    assert Results(sitting(marks(0, 50), known), sitting(marks(45, 50), known), marks(0, 0), judged).is_good


def test_without_an_abliteration_nothing_can_come_back() -> None:
    assert results().is_good


def test_refusals_have_become_fewer_or_there_were_none() -> None:
    """Pitfall 25."""
    assert is_less_refusing({"original": conduct(60), "abliterated": conduct(5)})
    assert not is_less_refusing({"original": conduct(60), "abliterated": conduct(59)})
    assert is_less_refusing({"original": conduct(0), "abliterated": conduct(0)})


def test_a_scorecard_is_told_in_one_line() -> None:
    share = {"rate": 0.5}
    card = {
        "knowledge": {"before": share, "after": {"rate": 1.0}},
        "refusals": {"original": share, "abliterated": None},
    }
    assert summary(card) == "documents 50.0% -> 100.0%; refusals 50.0%"
    assert summary({}) == ""


@pytest.mark.parametrize(("total", "right", "has_forgotten"), [(5, 3, False), (20, 17, True), (200, 195, False)])
def test_of_a_few_answers_it_cannot_be_told_that_something_was_forgotten(
    total: int, right: int, has_forgotten: bool
) -> None:
    found = Results(
        sitting(marks(0, 50), marks(total, total)), sitting(marks(45, 50), marks(right, total)), marks(0, 0)
    )
    assert found.has_forgotten is has_forgotten
    assert ("forgot" in verdict(found)) is has_forgotten


def test_divergence_is_the_likelihood_that_a_token_has_lost() -> None:
    then, now = [Likelihood(-1.0, 10), Likelihood(-4.0, 30)], [Likelihood(-3.0, 10), Likelihood(-6.0, 30)]
    before, after = (replace(sitting(marks(0, 4)), at_length=found) for found in (then, now))
    assert Results(before, after, marks(0, 0)).divergence == pytest.approx(0.1)
    assert Results(before, None, marks(0, 0)).divergence is None
    assert Results(sitting(marks(0, 4)), sitting(marks(4, 4)), marks(0, 0)).divergence is None


def examined(*answers: str) -> Results:
    asked = {"heron": "direct", "1921": "numeric", "toad": "direct", "1933": "numeric"}
    questions = [ExamQuestion(f"q-{gold}", f"What is {gold}?", gold, kind) for gold, kind in asked.items()]
    after = grade(questions, answers)
    choices = [("heron", "toad"), ("1921", "1933"), ("toad", "heron"), ("1933",)]
    return Results(sitting(marks(0, 4)), sitting(after), marks(0, 0), {}, questions, choices)


def test_kinds_of_questions_are_told_apart() -> None:
    kinds = examined("a heron", "1921", "a stoat", "1933").of_kinds()
    assert {kind: after.correct for kind, (_, after) in kinds.items() if after} == {"direct": 1, "numeric": 2}


def test_who_has_learnt_only_the_kind_of_answer_is_found_out() -> None:
    """The answers of other questions: right by chance, and not by knowledge."""
    knowing, guessing = examined("heron", "1921", "toad", "1933"), examined("toad", "1933", "heron", "1921")
    assert knowing.control is not None
    assert guessing.control is not None
    assert (knowing.control.correct, guessing.control.correct) == (0, 3)
    assert knowing.chance == (0.5 + 0.5 + 0.5 + 1) / 4
