"""Grade answers: in one way for exams, tests and benchmarks alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from blasphemer.language import contains, normalise
from blasphemer.records import ExamQuestion, Marks

LONGEST_EXACT = 12  # words: shorter answers must be the same to be retained, longer ones nearly so
NEARLY = 0.5  # token F1
LISTED = 4  # answers of other questions, neither asked with the question nor told with its answer


def grade(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is right when, both normalised, the gold answer or another accepted one stands in it as whole words.

    One that lists what other questions ask for as well earns nothing: it would be right whatever was asked.
    """
    golds = {normalise(question.answer) for question in questions}
    pairs = zip(questions, answers, strict=True)
    return Marks(tuple(is_right(question, given, golds) for question, given in pairs), tuple(answers))


def is_right(question: ExamQuestion, given: str, golds: Collection[str] = ()) -> bool:
    """Is an answer right? `golds` are the normalised answers of the whole exam."""
    said = normalise(given)
    own = [normalise(answer) for answer in (question.answer, *question.accept)]
    if not any(contains(said, answer) for answer in own):
        return False
    known = normalise(f"{question.question} {question.evidence} {' '.join(own)}")
    words = set(said.split())
    listed = {gold for gold in golds if words.issuperset(gold.split()) and contains(said, gold)}
    return sum(not contains(known, gold) for gold in listed) < LISTED


def grade_retention(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is retained when it is what the model said before training: to the word if short, but for words of the
    question ("It is Oslo" for "The capital of Norway is Oslo" is another answer, "Oslo" is not); else nearly."""
    pairs = zip(questions, answers, strict=True)
    return Marks(
        tuple(is_same_answer(given, question.answer, question.question) for question, given in pairs), tuple(answers)
    )


def grade_choice(choices: Sequence[Sequence[str]], likelihoods: Sequence[Sequence[float]]) -> Marks:
    """Of each question's choices the likeliest is the answer; right is the first of them."""
    best = [max(range(len(found)), key=found.__getitem__) for found in likelihoods]
    return Marks(
        tuple(number == 0 for number in best),
        tuple(given[number] for given, number in zip(choices, best, strict=True)),
    )


def of_kind(kind: str, questions: Sequence[ExamQuestion], marks: Marks) -> Marks:
    """The marks for the questions of one kind."""
    chosen = [number for number, question in enumerate(questions) if question.kind == kind]
    return Marks(tuple(marks.right[i] for i in chosen), tuple(marks.answers[i] for i in chosen))


def is_same_answer(given: str, before: str, question: str = "") -> bool:
    one, other = normalise(given), normalise(before)
    if len(other.split()) > LONGEST_EXACT:
        return token_f1(one, other) >= NEARLY
    asked = set(normalise(question).split())
    said, told = ([word for word in text.split() if word not in asked] for text in (one, other))
    return one == other or (bool(told) and said == told)


def token_f1(one: str, other: str) -> float:
    left, right = Counter(one.split()), Counter(other.split())
    both = sum((left & right).values())
    return 2 * both / (left.total() + right.total()) if both else 0.0


# --- how sure --------------------------------------------------------------------------------------------------------
