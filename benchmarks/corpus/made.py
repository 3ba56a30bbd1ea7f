"""What a corpus is made of: a document with its known text, and invented prose to fill it with."""

from __future__ import annotations

import random
from dataclasses import dataclass

SUBJECTS = (
    "the harbour master", "a young surveyor", "the bell founder", "an old ferry", "the northern mill",
    "a flock of geese", "the committee", "a copper kettle", "the second bridge", "an apprentice", "the lighthouse",
    "a travelling choir",
)  # fmt: skip
VERBS = (
    "measured", "repaired", "carried", "painted", "forgot", "counted", "described", "borrowed", "replaced", "watched",
    "sold", "collected",
)  # fmt: skip
OBJECTS = (
    "seven barrels of tar", "the western gate", "a map of the marshes", "three letters", "the smallest lantern",
    "a bundle of reeds", "the annual ledger", "two wooden oars", "an iron stove", "the broken sundial",
    "a crate of plums", "the village clock",
)  # fmt: skip
PLACES = (
    "near the quay", "behind the granary", "at the edge of the forest", "in the upper valley", "under the arches",
    "beside the canal", "on the island", "in the courtyard", "across the meadow", "at the crossroads",
)  # fmt: skip
TIMES = (
    "before dawn", "in the spring of 1874", "after the long rain", "on a Tuesday", "during the fair", "within 48 hours",
    "twice a year", "at half past nine", "once the ice had gone", "for almost 12 weeks",
)  # fmt: skip
NOUNS = (
    "Harbour",
    "Survey",
    "Bells",
    "Ferries",
    "Mills",
    "Geese",
    "Bridges",
    "Lanterns",
    "Meadows",
    "Clocks",
    "Canals",
)


@dataclass(frozen=True)
class Made:
    """A document. `text` is what a reader should find in it, in reading order; `kind` names its row in tables of
    results ("pdf, two columns")."""

    name: str
    kind: str
    data: bytes
    text: str


def sentence(rng: random.Random) -> str:
    words = (rng.choice(part) for part in (SUBJECTS, VERBS, OBJECTS, PLACES, TIMES))
    made = " ".join(words)
    return f"{made[0].upper()}{made[1:]}."


def paragraph(rng: random.Random, sentences: int = 4) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


def title(rng: random.Random) -> str:
    return f"{rng.choice(NOUNS)} and {rng.choice(NOUNS).lower()} of the valley"


def words(text: str) -> list[str]:
    """What is compared: the words, without the punctuation around them."""
    stripped = (word.strip(".,;:!?()[]|#*_`\"'") for word in text.split())
    return [word for word in stripped if word]
