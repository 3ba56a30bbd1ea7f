"""What was written about a text, put to a reader with the text at hand: only what it says as well is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blasphemer.language import normalise
from blasphemer.records import Statement
from blasphemer.study.author import Author
from blasphemer.study.drafts import Draft
from blasphemer.study.grounding import Reading, confirms, with_gaps
from blasphemer.study.readings import about
from blasphemer.study.requests import ANSWER, GAP

LEAST_OF_A_REPLY = 24  # tokens that a reader may answer with, however short the answer is that is to be confirmed


@dataclass(frozen=True)
class Claim:
    """A draft, the statement that bears it out, and the text that its writer read."""

    draft: Draft
    statement: Statement
    reading: Reading


@dataclass(frozen=True)
class Told:
    """A sentence that says again what the text says that its writer read."""

    sentence: str
    reading: Reading


def verified(claims: Sequence[Claim], author: Author, label: str) -> list[int]:
    """The places of those drafts that are answered in the same way with the text shown.

    A weak reader overlooks in a long text what it finds in a short one: when it answers with what is not in the text at
    all, the statement that bears the draft out must do.
    """
    sound: list[int] = []
    overlooked: list[tuple[int, Claim]] = []
    shown = [claim.reading.entire for claim in claims]
    for place, reply in enumerate(_read_for([claim.draft for claim in claims], shown, author, label)):
        claim = claims[place]
        if confirms(reply, claim.draft, claim.reading):
            sound.append(place)
        elif normalise(reply) not in normalise(shown[place]):
            overlooked.append((place, claim))
    shorter = [about(claim.reading, [claim.statement]).text for _, claim in overlooked]
    replies = _read_for([claim.draft for _, claim in overlooked], shorter, author, label)
    for (place, claim), reply in zip(overlooked, replies, strict=True):
        if confirms(reply, claim.draft, claim.reading):
            sound.append(place)
    return sorted(sound)


def restored(told: Sequence[Told], author: Author, label: str) -> list[int]:
    """The places of those sentences of which each name and number is put back when it is left out, with the text shown.

    A reader that is asked whether a sentence is true says yes to most. One without any name or number is not kept.
    """
    gaps = [(place, draft) for place, one in enumerate(told) for draft in with_gaps(one.sentence, one.reading)]
    shown = [told[place].reading.entire for place, _ in gaps]
    replies = _read_for([draft for _, draft in gaps], shown, author, label, GAP)
    wrong = {
        place
        for (place, draft), reply in zip(gaps, replies, strict=True)
        if not confirms(reply, draft, told[place].reading)
    }
    return sorted({place for place, _ in gaps} - wrong)


def _read_for(
    drafts: Sequence[Draft], texts: Sequence[str], author: Author, label: str, kind: str = ANSWER
) -> list[str]:
    """The likeliest answers to the questions of drafts, each with a text to read."""
    return author.writer.write(
        [author.requests.with_text(text, draft.question, kind) for draft, text in zip(drafts, texts, strict=True)],
        f"checking it against the text ({label})",
        room_of_replies([draft.answer for draft in drafts]),
        None,
    )


def room_of_replies(answers: Sequence[str]) -> int:
    """Tokens that a reader may answer with, where these answers are expected."""
    return 2 * max((len(answer.split()) for answer in answers), default=0) + LEAST_OF_A_REPLY
