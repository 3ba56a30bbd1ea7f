"""Study material must not contain the exam: what repeats one of its questions is found and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from blasphemer.language import ngrams, normalise, overlap, shares_ngram
from blasphemer.records import ExamQuestion, Passage, StudyItem, without_system

RUN = 8  # words: so many in a row are no chance
LIKE = 0.8  # of the words of two questions, as sets

Gram = tuple[str, ...]


def without_leaks(
    items: Sequence[StudyItem], questions: Sequence[ExamQuestion], passages: Sequence[Passage]
) -> tuple[list[StudyItem], list[StudyItem]]:
    """Study items that may be learnt, and those that repeat an exam question and so may not.

    An item repeats a question if one of its turns equals it, shares a run of eight words with it, or four fifths of the
    words. What the documents themselves say may always be learnt, and so rules, which write nothing else and leave the
    gaps of the exam alone, only may not ask the same question; and a run that questions with different answers have in
    common ("Which of these labels fits the text best: ...") gives none of them away.
    """
    exam = _Exam(questions, passages)
    kept: list[StudyItem] = []
    dropped: list[StudyItem] = []
    for item in items:
        turns = [normalise(text).split() for text in _asking_turns(item)]
        repeats = exam.is_asked_by if item.writer == "rules" else exam.is_repeated_by
        (dropped if any(map(repeats, turns)) else kept).append(item)
    return kept, dropped


def _asking_turns(item: StudyItem) -> list[str]:
    """What the user says in an item; the first turn also with what the system says before it, as it may be asked so."""
    said = [*item.messages, *without_system(item).messages]
    return list(dict.fromkeys(one["content"] for one in said if one["role"] == "user")) or [item.text]


class _Exam:
    """The words of the questions, so arranged that one of the many study items is soon compared with them all."""

    def __init__(self, questions: Sequence[ExamQuestion], passages: Sequence[Passage]) -> None:
        asked = [normalise(question.question).split() for question in questions]
        answers: dict[Gram, set[str]] = {}
        for words, question in zip(asked, questions, strict=True):
            for gram in ngrams(words, RUN):
                answers.setdefault(gram, set()).add(normalise(question.answer))
        self.shared = {gram for gram, found in answers.items() if len(found) > 1}
        self.telling = set(answers) - self.shared
        for passage in passages:
            self.telling -= ngrams(normalise(passage.text).split(), RUN)
        self.whole = {tuple(words) for words in asked}
        self.asked = [self._own(words) for words in asked]
        self.by_word: dict[str, set[int]] = {}
        for number, words in enumerate(self.asked):
            for word in words:
                self.by_word.setdefault(word, set()).add(number)

    def is_asked_by(self, turn: list[str]) -> bool:
        return tuple(turn) in self.whole

    def is_repeated_by(self, turn: list[str]) -> bool:
        if self.is_asked_by(turn) or shares_ngram(turn, self.telling, RUN):
            return True
        own = self._own(turn)
        common = Counter(number for word in set(own) for number in self.by_word.get(word, ()))
        # Jaccard >= 0.8 needs at least 0.8 of the turn's own words: few questions have to be compared in full
        near = [number for number, count in common.items() if count >= LIKE * len(set(own))]
        return any(overlap(own, self.asked[number]) >= LIKE for number in near)

    def _own(self, words: list[str]) -> list[str]:
        """The words outside the runs that questions with different answers share."""
        starts = [i for i in range(len(words) - RUN + 1) if tuple(words[i : i + RUN]) in self.shared]
        inside = {i for start in starts for i in range(start, start + RUN)}
        return [word for i, word in enumerate(words) if i not in inside]
