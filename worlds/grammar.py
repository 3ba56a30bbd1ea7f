"""The engine of a world: entities with facts, and the sentences, questions and passages that state those facts.

Templates hold `{name}`, `{name's}` and `{value}`. Everything random comes from the `random.Random` handed in, so the
same seed gives the same world on every machine.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Mode = Literal["full", "short", "pronoun"]


@dataclass(frozen=True)
class Attribute:
    """One thing that can be known about an entity, and every way to say it and to ask for it."""

    name: str
    label: str
    """How a bullet list names it: "- Home town: Brackwater"."""
    pool: tuple[str, ...]
    """The values it can take, articles included: "an otter"."""
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    reserved: str
    """A question wording that only exams use: no training text ever holds it."""
    reverse: tuple[str, ...] = ()
    """Questions for the name, given the value; used where every known entity has another value."""


@dataclass(frozen=True)
class Kind:
    """A sort of entity: people, towns, things."""

    name: str
    attributes: tuple[Attribute, ...]
    parts: tuple[tuple[str, ...], tuple[str, ...]]
    """First and second halves of names: new names share halves with known ones."""
    pattern: str
    """How two halves join: "{0} {1}"."""
    short: str
    """How a later sentence may call it: "{1}" or "the town"."""
    known: int
    unseen: int
    fixed: tuple[str, ...] = ()
    """Names that are used before any is drawn; the first `known` of them are known."""
    women: frozenset[str] = frozenset()
    men: frozenset[str] = frozenset()

    def reversible(self, attribute: Attribute) -> bool:
        """Whether a value names one known entity only, so that asking for the name has one answer."""
        return bool(attribute.reverse) and len(attribute.pool) >= self.known


@dataclass(frozen=True)
class Entity:
    """Somebody or something with a name, and the value of each attribute that is known about it."""

    kind: Kind
    name: str
    short: str
    pronouns: tuple[str, str]
    values: dict[str, str] = field(hash=False)

    def called(self, mode: Mode) -> tuple[str, str]:
        """How a sentence calls it, as subject and as possessor."""
        if mode == "pronoun":
            return self.pronouns
        name = self.name if mode == "full" else self.short
        return name, f"{name}'s"

    @cached_property
    def facts(self) -> "tuple[Fact, ...]":
        return tuple(Fact(self, a, self.values[a.name]) for a in self.kind.attributes if a.name in self.values)


@dataclass(frozen=True)
class Fact:
    """One attribute of one entity, with its value."""

    subject: Entity
    attribute: Attribute
    value: str

    @property
    def answer(self) -> str:
        """How a model of this world answers a question about it: the value and a full stop, nothing else."""
        return f"{capitalised(self.value)}."

    def fill(self, template: str, mode: Mode = "full") -> str:
        """Put the names and the value into a statement or a question."""
        name, possessive = self.subject.called(mode)
        text = template.replace("{name's}", possessive).replace("{name}", name).replace("{value}", self.value)
        return capitalised(text)

    def state(self, rng: random.Random, mode: Mode = "full") -> str:
        """Say it in a freshly drawn wording. A pronoun is only put where it begins the sentence."""
        wordings = self.attribute.statements
        if mode == "pronoun":
            wordings = tuple(w for w in wordings if w.startswith("{name"))
        return self.fill(rng.choice(wordings), mode)

    def ask(self, rng: random.Random) -> str:
        """Ask for the value in a freshly drawn wording, never the reserved one."""
        return self.fill(rng.choice(self.attribute.questions))


def listed(text: str, mark: str | None = None) -> tuple[str, ...]:
    """The entries of a list that is written as one text, between spaces or between marks."""
    return tuple(text.split(mark))


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Passage:
    """A text and the facts it states, in the order in which it states them."""

    text: str
    facts: tuple[Fact, ...]

    @property
    def entities(self) -> list[Entity]:
        return list({fact.subject.name: fact.subject for fact in self.facts}.values())


class Cast:
    """Who lives in a world: the known entities, the unseen ones, and as many throw-away ones as are asked for.

    The split by full name is fixed by the seed. Throw-away entities carry names that are neither known nor unseen:
    otherwise a model would answer questions about a text from memory instead of reading it.
    """

    def __init__(self, kinds: Sequence[Kind], syllables: tuple[str, ...], seed: int) -> None:
        rng = random.Random(seed)
        self.kinds = tuple(kinds)
        self.syllables = syllables
        self.known: list[Entity] = []
        self.unseen: list[Entity] = []
        for kind in kinds:
            names = draw_names(kind, rng)
            self.known += create(kind, names[: kind.known], rng)
            self.unseen += create(kind, names[kind.known :], rng)
        self.taken = {entity.name for entity in self.known + self.unseen}

    def throwaway(self, kind: Kind, rng: random.Random) -> Entity:
        """Someone new, with new values: drawn from the pools, and now and then made of syllables."""
        while True:
            parts = [self.invented(rng) if rng.random() < 0.25 else rng.choice(half) for half in kind.parts]
            entity = named(kind, parts, rng)
            if entity.name not in self.taken:
                break
        for attribute in kind.attributes:
            entity.values[attribute.name] = self.any_value(attribute, rng)
        return entity

    def any_value(self, attribute: Attribute, rng: random.Random) -> str:
        """A value of the pool, or one with a word never heard before: then only reading the text helps."""
        value = rng.choice(attribute.pool)
        if rng.random() > 0.25:
            return value
        *front, last = value.split(" ")
        word = self.invented(rng)
        return " ".join([*front, word if last[0].isupper() else word.lower()])

    def invented(self, rng: random.Random) -> str:
        """A word that sounds like a name. Syllables never make a known word: they are checked by `throwaway`."""
        return "".join(rng.choices(self.syllables, k=rng.choice((2, 2, 3)))).capitalize()


def draw_names(kind: Kind, rng: random.Random) -> list[str]:
    """Names for the known and then the unseen entities of a kind, all different.

    Unseen names are made of halves that known names hold too, so that only the whole of an unseen name is new.
    """
    first, second = kind.parts
    pairs = [(a, b) for a in first for b in second]
    rng.shuffle(pairs)
    known = pairs[: kind.known]
    firsts, seconds = {a for a, _ in known}, {b for _, b in known}
    familiar = [(a, b) for a, b in pairs[kind.known :] if a in firsts and b in seconds]
    names = list(kind.fixed) or [kind.pattern.format(a, b) for a, b in [*known, *apart(familiar)]]
    return names[: kind.known + kind.unseen]


def apart(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of which no two share a half: a document can then call its people by family name."""
    used: set[str] = set()
    chosen = []
    for a, b in pairs:
        if a not in used and b not in used:
            chosen.append((a, b))
            used |= {a, b}
    return chosen


def create(kind: Kind, names: Sequence[str], rng: random.Random) -> list[Entity]:
    """Entities with every attribute dealt from a deck: no value comes twice before all came once."""
    entities = [named(kind, name.removeprefix("the ").split(" "), rng, name) for name in names]
    for attribute in kind.attributes:
        deck = deal(attribute.pool, rng)
        for entity in entities:
            entity.values[attribute.name] = next(deck)
    return entities


def named(kind: Kind, parts: list[str], rng: random.Random, name: str | None = None) -> Entity:
    """An entity without facts, with the pronouns that its first name asks for."""
    if not kind.women:
        pronouns = ("it", "its")
    elif parts[0] in kind.women or (parts[0] not in kind.men and rng.random() < 0.5):
        pronouns = ("she", "her")
    else:
        pronouns = ("he", "his")
    name = name or kind.pattern.format(*parts)
    if " " not in name:
        name = name.capitalize()  # two halves grown together: "Brack" + "water"
    return Entity(kind, name, kind.short.format(*parts, parts[-1]), pronouns, {})


def deal(pool: Sequence[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(pool, len(pool))


def paragraph(facts: Sequence[Fact], rng: random.Random, headed: bool = False) -> str:
    """Prose on one entity: its full name first (a heading may have said it), then one way to call it throughout."""
    later: Mode = rng.choice(("full", "short", "pronoun", "pronoun"))
    first: Mode = later if headed and rng.random() < 0.25 else "full"
    return " ".join(fact.state(rng, later if i else first) for i, fact in enumerate(facts))


def bullets(facts: Sequence[Fact]) -> str:
    return "\n".join(f"- {fact.attribute.label}: {fact.value}" for fact in facts)


def section(facts: Sequence[Fact], rng: random.Random, listed: float = 0.25) -> str:
    """A Markdown section on one entity: a heading, then prose or (with probability `listed`) a bullet list."""
    body = bullets(facts) if rng.random() < listed else paragraph(facts, rng, headed=True)
    return f"## {capitalised(facts[0].subject.name)}\n\n{body}"


def chosen_facts(entity: Entity, most: int, rng: random.Random) -> list[Fact]:
    """Some facts of an entity in random order."""
    count = min(rng.randint(1, most), len(entity.facts))
    return rng.sample(entity.facts, count)
