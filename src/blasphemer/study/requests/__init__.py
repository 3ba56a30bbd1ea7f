"""What a model is asked while it writes study material: a text file for each kind, with one or more wordings.

A model that was taught other words is asked in its own: a TOML file (setting study_prompts, or study_prompts.toml in
the model's folder) with the kinds it understands, each a request or a list of them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from blasphemer.errors import SettingsError

PAIRS = ("questions", "aimed", "reworded", "reversed", "relations", "links")  # bring questions with answers
PROSE = ("rewrite", "explain", "outline", "implications")  # are answered with sentences
EXAM = "exam"  # is answered with questions for the exam
ANSWER = "answer"  # asks a question with the passage shown
GAP = "gap"  # asks with the passage shown what has been left out of a sentence
AIMED = "aimed"  # is asked of one statement, for questions with one answer
REWORDED = "reworded"  # is asked of a question and its answer, for others that mean the same
OF_TWO = "links"  # is asked of two passages at once
FILE = "study_prompts.toml"
PARTED = "\n===\n"  # between two wordings of a request
ASKED = dict.fromkeys((ANSWER, GAP), ("{passage}", "{question}"))
SLOTS = (
    dict.fromkeys((*PAIRS, *PROSE, EXAM), ("{passage}",))
    | ASKED
    | {AIMED: ("{passage}", "{answer}"), REWORDED: ("{question}", "{answer}")}
)

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Requests:
    """The wordings in which each kind is asked for, with slots for what it is about."""

    wordings: Mapping[str, tuple[str, ...]]

    @property
    def kinds(self) -> list[str]:
        """The kinds of study items that can be asked for."""
        return [kind for kind in self.wordings if kind not in (ANSWER, GAP, EXAM)]

    def about(self, kind: str, turn: int, text: str, card: str = "", answer: str = "") -> str:
        """The request for a kind, in its wordings by turns; `card` says what the text is a part of, `answer` what is to
        be asked for, if that is given. The text is a question, if it is to be reworded."""
        wording = self.wordings[kind][turn % len(self.wordings[kind])]
        return _filled(wording, passage=text, question=text, card=card, answer=answer)

    def with_text(self, text: str, question: str, kind: str = ANSWER) -> str:
        """A question, asked with the text shown; or a sentence with a gap, if the kind is GAP."""
        return _filled(self.wordings[kind][0], passage=text, question=question)


def default_requests() -> Requests:
    folder = files("blasphemer") / "study" / "requests"
    texts = {kind: (folder / f"{kind}.txt").read_text(encoding="utf-8") for kind in SLOTS}
    return Requests({kind: tuple(map(str.strip, text.split(PARTED))) for kind, text in texts.items()})


def read_requests(file: Path | None, model_folder: Path) -> Requests:
    """The requests of a TOML file, of the model's own folder, or else those that ship with Blasphemer.

    Kinds that a file does not name are not asked for; without `answer`, the usual one is used. Raises SettingsError
    with everything that is wrong with the file.
    """
    if file is None and (model_folder / FILE).is_file():
        file = model_folder / FILE
    if file is None:
        return default_requests()
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError([f"study_prompts = {file}: no such file"]) from error
    except OSError as error:
        raise SettingsError([f"study_prompts = {file}: cannot be read ({error.strerror})"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file}: is not TOML ({error})"]) from error
    prompts = {kind: tuple(value) if isinstance(value, list) else (value,) for kind, value in said.items()}
    if problems := [problem for kind, wordings in prompts.items() for problem in _problems(kind, wordings)]:
        raise SettingsError([f"{file}: {problem}" for problem in problems])
    return Requests({ANSWER: default_requests().wordings[ANSWER]} | prompts)


def _filled(template: str, **said: str) -> str:
    """The request, with what belongs in its slots as it stands."""
    return _SLOT.sub(lambda slot: said.get(slot[1], slot[0]), template)


def _problems(kind: str, wordings: tuple[object, ...]) -> list[str]:
    if kind not in SLOTS:
        return [f"{kind}: is no kind of request; there are {', '.join(SLOTS)}"]
    if not all(isinstance(wording, str) for wording in wordings):
        return [f"{kind}: must be a request, or a list of requests"]
    return [
        f"{kind}: a request lacks {slot}" for wording in wordings for slot in SLOTS[kind] if slot not in str(wording)
    ]
