"""Write, freeze, check and grade an exam, and say how sure its numbers are.

The exam knows no model: it is handed `answer`, which maps prompts to answers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from blasphemer.errors import SourceError
from blasphemer.facts import Fact
from blasphemer.language import ngrams, normalise, overlap, shares_ngram
from blasphemer.records import ExamQuestion, Marks, Passage, Rate, StudyItem, to_jsonl

Answer = Callable[[list[str]], list[str]]

LONGEST_EXACT = 12  # words: shorter answers must be the same to be retained, longer ones nearly so
NEARLY = 0.5  # token F1
FEWEST_WORDS = 5  # of an answer that is a sentence
HELD_OUT = 10  # requests, of which one is held out
LEAK_NGRAM = 8  # words
LEAK_OVERLAP = 0.8  # of the words of two questions, as sets
SIGNIFICANT = 0.05
LOST = 0.03  # of what was known: the loss that is put up with


# --- writing and reading ---------------------------------------------------------------------------------------------


def write_exam(facts: Sequence[Fact], most: int) -> list[ExamQuestion]:
    """At most one question per fact, asked at its best gap, spread evenly over the passages; the same every time.

    What is said twice is asked once. A question whose words fit another answer too is left out: it could not be graded.
    """
    questions = [_question(fact) for fact in facts if fact.gaps]
    asked = list({(normalise(one.question), normalise(one.answer)): one for one in reversed(questions)}.values())[::-1]
    answers = Counter(normalise(question.question) for question in asked)
    clear = [question for question in asked if answers[normalise(question.question)] == 1]
    step = max(len(clear) / most, 1.0)
    return [clear[int(number * step)] for number in range(min(most, len(clear)))]


def _question(fact: Fact) -> ExamQuestion:
    before, gold, after = fact.asked_at(fact.gaps[0])
    is_year = gold.isdigit() and len(gold) == 4
    text = f"{before}{'which year' if is_year else 'what'}{after.rstrip(' .!?;:')}?"
    return ExamQuestion(
        f"q-{fact.passage.file}-{fact.start}", text, gold, "rule", fact.passage.id, fact.start, fact.end
    )


def answers_as_passages(conversations: Sequence[StudyItem]) -> list[Passage]:
    """The answers of conversations that are long enough to state facts, each as a text of its own."""
    answers = [(item.id, item.messages[-1]["content"]) for item in conversations]
    return [
        Passage(name, name, answer, 0, len(answer)) for name, answer in answers if len(answer.split()) >= FEWEST_WORDS
    ]


def hold_out(conversations: Sequence[StudyItem], most: int, seed: int) -> list[ExamQuestion]:
    """Some requests with short answers, to be asked instead of being trained on: every tenth, at most `most`."""
    short = [item for item in conversations if len(item.messages) == 2 and _is_gradable(item.messages[1]["content"])]
    chosen = random.Random(seed).sample(short, min(len(short) // HELD_OUT, most))
    return [
        ExamQuestion(item.id, item.messages[0]["content"], item.messages[1]["content"], "held out") for item in chosen
    ]


def _is_gradable(answer: str) -> bool:
    return 0 < len(normalise(answer).split()) <= LONGEST_EXACT


def read_exam_file(path: Path, passages: Sequence[Passage]) -> list[ExamQuestion]:
    """The user's own exam, .jsonl or .csv with `question` and `answer`. Raises SourceError naming file and line."""
    if not path.is_file():
        raise SourceError(f"{path}: no such exam file.")
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path))
    if not rows:
        raise SourceError(f"{path}: no questions in it.")
    return [_own_question(path, line, row, passages) for line, row in rows]


def _csv_rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(_text(path)))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: not CSV ({error}).") from error


def _jsonl_rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    for line, text in enumerate(_text(path).split("\n"), 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except ValueError as error:
                raise SourceError(f"{path}, line {line}: not JSON ({error}).") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 (byte {error.start + 1}). Save it as UTF-8.") from error


def _own_question(path: Path, line: int, row: object, passages: Sequence[Passage]) -> ExamQuestion:
    fields = row if isinstance(row, dict) else {}
    said = [fields.get(name) for name in ("question", "answer")]
    question, answer = ("" if value is None else str(value).strip() for value in said)
    if not question or not normalise(answer):
        raise SourceError(f"{path}, line {line}: needs a question and an answer.")
    home = _home(question, answer, passages)
    return ExamQuestion(f"q-{line}", question, answer, str(fields.get("wording") or "own"), home.id if home else "")


def _home(question: str, answer: str, passages: Sequence[Passage]) -> Passage | None:
    """The passage that holds the answer and shares most words with the question, to ask it open-book."""
    asked = set(normalise(question).split())
    holding = [passage for passage in passages if contains(normalise(passage.text), normalise(answer))]
    return max(holding, key=lambda passage: len(asked & set(normalise(passage.text).split())), default=None)


def open_book(questions: Sequence[ExamQuestion], passages: Sequence[Passage]) -> list[ExamQuestion]:
    """The questions whose passage is known, asked with the passage shown: the most that could be learnt from it."""
    text = {passage.id: passage.text for passage in passages}
    return [
        replace(question, question=f"{text[question.passage]}\n\n{question.question}")
        for question in questions
        if question.passage in text
    ]


def fingerprint(questions: Sequence[ExamQuestion]) -> str:
    """SHA-256 of the exam: what is frozen before study material is written."""
    return hashlib.sha256(to_jsonl(questions).encode()).hexdigest()


# --- study material must not contain it ------------------------------------------------------------------------------


def without_leaks(
    items: Sequence[StudyItem], questions: Sequence[ExamQuestion], passages: Sequence[Passage]
) -> tuple[list[StudyItem], list[StudyItem]]:
    """Study items that may be learnt, and those that repeat an exam question and so may not.

    An item repeats a question if one of its turns equals it, shares a run of eight words with it that is no quotation
    from the documents, or four fifths of the words. What the documents themselves say may always be learnt.
    """
    exam = [normalise(question.question).split() for question in questions]
    grams = set().union(*(ngrams(asked, LEAK_NGRAM) for asked in exam))
    for passage in passages:
        grams -= ngrams(normalise(passage.text).split(), LEAK_NGRAM)
    by_word: dict[str, set[int]] = {}
    for number, asked in enumerate(exam):
        for word in asked:
            by_word.setdefault(word, set()).add(number)
    kept: list[StudyItem] = []
    dropped: list[StudyItem] = []
    for item in items:
        turns = [normalise(text).split() for text in _asking_turns(item)]
        leaks = any(_repeats(turn, exam, grams, by_word) for turn in turns)
        (dropped if leaks else kept).append(item)
    return kept, dropped


def _asking_turns(item: StudyItem) -> list[str]:
    return [message["content"] for message in item.messages if message["role"] == "user"] or [item.text]


def _repeats(
    turn: list[str], exam: Sequence[list[str]], grams: set[tuple[str, ...]], by_word: dict[str, set[int]]
) -> bool:
    if shares_ngram(turn, grams, LEAK_NGRAM):
        return True
    shared = Counter(number for word in set(turn) for number in by_word.get(word, ()))
    # Jaccard >= 0.8 needs at least 0.8 of the turn's own words: few questions have to be compared in full
    near = [number for number, count in shared.items() if count >= LEAK_OVERLAP * len(set(turn))]
    return any(overlap(turn, exam[number]) >= LEAK_OVERLAP for number in near)


# --- grading ---------------------------------------------------------------------------------------------------------


def grade(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is right when, both normalised, the gold answer stands in it as whole words."""
    pairs = zip(questions, answers, strict=True)
    return Marks(
        tuple(contains(normalise(given), normalise(question.answer)) for question, given in pairs), tuple(answers)
    )


def grade_retention(questions: Sequence[ExamQuestion], answers: Sequence[str]) -> Marks:
    """An answer is retained when it is what the model said before training: to the word if short, else nearly."""
    pairs = zip(questions, answers, strict=True)
    return Marks(tuple(is_same_answer(given, question.answer) for question, given in pairs), tuple(answers))


def contains(text: str, gold: str) -> bool:
    """Does normalised `gold` stand in normalised `text`, as whole words?"""
    return bool(gold) and f" {gold} " in f" {text} "


def is_same_answer(given: str, before: str) -> bool:
    one, other = normalise(given), normalise(before)
    return one == other if len(other.split()) <= LONGEST_EXACT else token_f1(one, other) >= NEARLY


def token_f1(one: str, other: str) -> float:
    left, right = Counter(one.split()), Counter(other.split())
    both = sum((left & right).values())
    return 2 * both / (left.total() + right.total()) if both else 0.0


# --- how sure --------------------------------------------------------------------------------------------------------


def rate(marks: Marks) -> Rate:
    """The share of right answers with its 95% Wilson interval (Wilson 1927)."""
    total, correct = len(marks.right), marks.correct
    if not total:
        return Rate(0, 0, 0.0, (0.0, 1.0))
    z = 1.959964
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Rate(correct, total, share, (max(centre - half, 0.0), min(centre + half, 1.0)))


def mcnemar(before: Marks, after: Marks) -> float:
    """Exact two-sided p-value that paired marks differ only by chance (McNemar 1947, binomial form)."""
    gained = sum(now and not then for then, now in zip(before.right, after.right, strict=True))
    lost = sum(then and not now for then, now in zip(before.right, after.right, strict=True))
    changed = gained + lost
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1)) / 2**changed if changed else 1.0
    return min(2 * tail, 1.0)


def is_significant_gain(before: Marks, after: Marks) -> bool:
    return after.correct > before.correct and mcnemar(before, after) < SIGNIFICANT


def is_significant_loss(before: Marks, after: Marks) -> bool:
    """Is more than LOST of what was right now wrong, beyond chance (exact binomial)?

    For retention, where the answers before are right by definition: each change of words is a loss and none a gain, so
    that a few of them are not yet a forgetting.
    """
    asked = before.correct
    lost = sum(then and not now for then, now in zip(before.right, after.right, strict=True))
    tail = sum(math.comb(asked, k) * LOST**k * (1 - LOST) ** (asked - k) for k in range(lost, asked + 1))
    return lost > 0 and tail < SIGNIFICANT
