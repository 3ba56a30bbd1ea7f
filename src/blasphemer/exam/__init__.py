"""Library -> a frozen paper -> marks.

`set_paper` writes the questions (or reads the user's own) and freezes them before anything is studied; `sit` puts them
to a model, closed book; `without_leaks` keeps the questions out of the study material. Answers are graded in one way
everywhere: `grade`.
"""

from blasphemer.exam.grading import LONGEST_EXACT, grade, of_kind
from blasphemer.exam.leaks import without_leaks
from blasphemer.exam.paper import fingerprint, read_exam_file, set_paper, spread
from blasphemer.exam.questions import MOST_ANSWER_WORDS, clear
from blasphemer.exam.sitting import AT_LENGTH, CHOICES, Sitting, choices, open_book, sit, sit_open_book

__all__ = [
    "AT_LENGTH", "CHOICES", "LONGEST_EXACT", "MOST_ANSWER_WORDS", "Sitting", "choices", "clear", "fingerprint", "grade",
    "of_kind", "open_book", "read_exam_file", "set_paper", "sit", "sit_open_book", "spread", "without_leaks",
]  # fmt: skip
