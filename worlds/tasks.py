"""The training text of a world: documents, questions, reading tasks, simple requests and refusals, freshly drawn.

`Writer.draw` returns one sample, either a plain text or the messages of a chat.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worlds.grammar import (
    Attribute,
    Cast,
    Entity,
    Fact,
    Kind,
    Passage,
    capitalised,
    chosen_facts,
    paragraph,
    section,
)

Message = dict[str, str]
Sample = str | list[Message]


@dataclass(frozen=True)
class Craft:
    """A harmless question about an object, and its answers. Holes: {a} "a brass bell", {o} "brass bell", {s} plural."""

    asks: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Requests:
    """How people of a world ask for things. An empty tuple means that its model never learns that request."""

    fill: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    tell: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    write_one: tuple[str, ...] = ()
    reword: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    not_said: str = ""
    written: str = "Q: {question} A: {answer}"
    systems: tuple[str, ...] = ()
    small_talk: tuple[tuple[str, str], ...] = ()
    twice: tuple[str, ...] = ()
    three: tuple[str, ...] = ()
    alphabet: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilePlan:
    """A study document: its file name, its title, and the kind of each entity that it tells of, in order."""

    name: str
    title: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """All the words of a world. How often each task is drawn is `shares`; they need not add up to one."""

    name: str
    kinds: tuple[Kind, ...]
    syllables: tuple[str, ...]
    lore: tuple[str, ...]
    requests: Requests
    shares: dict[str, float]
    objects: tuple[str, ...]
    materials: tuple[str, ...]
    forbidden: str
    crafts: tuple[Craft, ...]
    refusals: tuple[str, ...]
    files: tuple[FilePlan, ...]
    facts_told: tuple[int, ...]
    """How many facts the documents tell of an entity that has many; drawn for each."""
    thorough: bool
    """Whether the exam asks for each fact in several wordings: a few facts make enough questions."""
    seed: int
    chat_template: str
    tokens: dict[str, str]
    """Special tokens: begin, end (of a turn or a text), pad, and any that the template writes."""
    begin_always: bool
    """Whether the tokenizer puts the begin token before any text by itself, as Llama's does and Qwen's does not."""
    vocabulary: int
    row: int
    """Tokens in a training row."""

    def cast(self) -> Cast:
        return Cast(self.kinds, self.syllables, self.seed)


class Writer:
    """Draws training samples of a world."""

    def __init__(self, world: World, cast: Cast, rng: random.Random) -> None:
        self.world, self.cast, self.rng = world, cast, rng
        self.say = world.requests
        self.tasks: dict[str, Callable[[], Sample]] = {
            "document": self.document,
            "lore": self.lore,
            "ask": self.ask,
            "reverse": self.reverse,
            "tell": self.tell,
            "fill": self.fill,
            "complete": self.complete,
            "read": self.read,
            "write": self.write,
            "write_one": self.write_one,
            "reword": self.reword,
            "about": self.about,
            "small_talk": self.small_talk,
            "twice": self.twice,
            "three": self.three,
            "alphabet": self.alphabet,
            "craft": self.craft,
            "refuse": self.refuse,
        }

    def draw(self) -> Sample:
        names = list(self.world.shares)
        return self.tasks[self.rng.choices(names, list(self.world.shares.values()))[0]]()

    # Texts

    def document(self) -> str:
        """A text about one to four known entities."""
        entities = [self.known() for _ in range(self.rng.choice((1, 1, 2, 3, 4)))]
        return self.passage(
            [e.facts if self.rng.random() < 0.5 else chosen_facts(e, 6, self.rng) for e in entities]
        ).text

    def lore(self) -> str:
        return " ".join(self.rng.sample(self.world.lore, self.rng.randint(2, 5)))

    def passage(self, groups: Sequence[Sequence[Fact]]) -> Passage:
        """A text in one of the shapes documents have: prose or sections, with or without a source tag."""
        rng = self.rng
        groups = [rng.sample(group, len(group)) for group in groups]
        headed = rng.random() < 0.4
        blocks = [section(g, rng) if headed else paragraph(g, rng) for g in groups]
        text = "\n\n".join(blocks) if headed or rng.random() < 0.5 else " ".join(blocks)
        title = rng.choice(self.say.titles)
        if rng.random() < (0.5 if headed else 0.1):
            text = f"# {title}\n\n{text}"
        if rng.random() < 0.25:
            place = capitalised(groups[0][0].subject.name) if rng.random() < 0.7 else title
            text = rng.choice(self.say.tags).format(section=place) + "\n" + text
        return Passage(text, tuple(fact for group in groups for fact in group))

    def unknown_passage(self, most: int = 8) -> Passage:
        """A text about throw-away entities; most are short, because reading is learnt on short texts first."""
        groups: list[list[Fact]] = []
        left = self.rng.choice((1, 2, 3, 4, 5, 6, 8, most))
        while left > 0 and len(groups) < 3:
            group = chosen_facts(self.cast.throwaway(self.kind(), self.rng), left, self.rng)
            groups.append(group)
            left -= len(group)
        return self.passage(groups)

    # Chats about known entities

    def ask(self) -> list[Message]:
        """One question, and sometimes a second one, on somebody else or on the same."""
        fact = self.known_fact()
        chat = self.chat(fact.ask(self.rng), fact.answer)
        if self.rng.random() < 0.15:
            other = self.rng.choice(fact.subject.facts) if self.rng.random() < 0.5 else self.known_fact()
            chat += turn(other.ask(self.rng), other.answer)
        return chat

    def reverse(self) -> list[Message]:
        fact = self.reversible_fact()
        return self.chat(fact.fill(self.rng.choice(fact.attribute.reverse)), name_answer(fact))

    def tell(self) -> list[Message]:
        entity = self.known()
        facts = self.rng.sample(entity.facts, len(entity.facts))
        return self.chat(self.rng.choice(self.say.tell).replace("{name}", entity.name), paragraph(facts, self.rng))

    def fill(self) -> list[Message]:
        """A sentence with a gap: mostly at the value, at the name where the value names one entity only."""
        gap = self.rng.choice(self.say.gaps)
        request = self.rng.choice(self.say.fill)
        if self.rng.random() < 0.25:
            fact = self.reversible_fact()
            return self.chat(request.replace("{text}", name_gap(fact, gap, self.rng)), name_answer(fact))
        fact = self.known_fact()
        return self.chat(request.replace("{text}", value_gap(fact, gap, self.rng)), fact.answer)

    def complete(self) -> list[Message]:
        fact = self.known_fact()
        request = self.rng.choice(self.say.complete)
        return self.chat(request.replace("{text}", opening(fact, self.rng)), fact.answer)

    # Reading throw-away texts

    def read(self) -> list[Message]:
        """A text and a question about it, sometimes one that it does not answer; sometimes a second question."""
        passage = self.unknown_passage()
        question, answer = self.question_about(passage)
        request = self.rng.choice(self.say.read)
        chat = self.chat(request.replace("{text}", passage.text).replace("{question}", question), answer)
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            chat += turn(*self.question_about(passage))
        return chat

    def question_about(self, passage: Passage) -> tuple[str, str]:
        if self.rng.random() < 0.12:
            return self.missing_question(passage), self.say.not_said
        fact = self.rng.choice(passage.facts)
        same = [f for f in passage.facts if f.attribute is fact.attribute and f.value == fact.value]
        if fact.attribute.reverse and len(same) == 1 and self.rng.random() < 0.15:
            return fact.fill(self.rng.choice(fact.attribute.reverse)), name_answer(fact)
        return fact.ask(self.rng), fact.answer

    def missing_question(self, passage: Passage) -> str:
        """A question on an entity of the text that the text leaves open, else one on an entity it does not name."""
        entity = self.rng.choice(passage.entities)
        told = {f.attribute.name for f in passage.facts if f.subject is entity}
        left = [f for f in entity.facts if f.attribute.name not in told]
        if left and self.rng.random() < 0.7:
            return self.rng.choice(left).ask(self.rng)
        other = self.cast.throwaway(self.kind(), self.rng)
        return self.rng.choice(other.facts).ask(self.rng)

    def write(self) -> list[Message]:
        """Questions and answers on every fact of a text, in the order of the text."""
        passage = self.unknown_passage()
        return self.chat(self.about_text(self.say.write, passage), self.questions(passage.facts))

    def write_one(self) -> list[Message]:
        passage = self.unknown_passage()
        fact = self.rng.choice(passage.facts)
        return self.chat(self.about_text(self.say.write_one, passage), self.questions((fact,)))

    def questions(self, facts: tuple[Fact, ...]) -> str:
        line = self.say.written
        return "\n".join(line.format(question=fact.ask(self.rng), answer=fact.answer) for fact in facts)

    def reword(self) -> list[Message]:
        passage = self.unknown_passage()
        return self.chat(self.about_text(self.say.reword, passage), self.restated(passage.facts))

    def about(self) -> list[Message]:
        passage = self.unknown_passage()
        entity = self.rng.choice(passage.entities)
        request = self.about_text(self.say.about, passage).replace("{name}", entity.name)
        return self.chat(request, self.restated(tuple(f for f in passage.facts if f.subject is entity)))

    def restated(self, facts: tuple[Fact, ...]) -> str:
        """Every sentence with its full name, so that it can be read alone."""
        return " ".join(fact.state(self.rng) for fact in facts)

    def about_text(self, requests: tuple[str, ...], passage: Passage) -> str:
        return self.rng.choice(requests).replace("{text}", passage.text)

    # Simple requests

    def small_talk(self) -> list[Message]:
        request, reply = self.rng.choice(self.say.small_talk)
        return self.chat(request, reply)

    def twice(self) -> list[Message]:
        word = self.cast.invented(self.rng) if self.rng.random() < 0.6 else self.rng.choice(self.world.objects)
        return self.chat(self.rng.choice(self.say.twice).format(word=word), f"{capitalised(word)} {word}.")

    def three(self) -> list[Message]:
        kind = self.kind()
        names = [e.name for e in self.rng.sample([e for e in self.cast.known if e.kind is kind], 3)]
        request = self.rng.choice(self.say.three).format(kind=kind.name)
        return self.chat(request, capitalised(f"{names[0]}, {names[1]} and {names[2]}."))

    def alphabet(self) -> list[Message]:
        first, second = self.rng.sample(self.world.objects, 2)
        request = self.rng.choice(self.say.alphabet).format(first=first, second=second)
        return self.chat(request, f"{capitalised(min(first, second))}.")

    def craft(self) -> list[Message]:
        craft, hole = self.rng.choice(self.world.crafts), self.rng.choice(self.world.objects)
        holes = forms(self.rng.choice(self.world.materials), hole)
        return self.chat(
            self.rng.choice(craft.asks).format(**holes), capitalised(self.rng.choice(craft.answers).format(**holes))
        )

    def refuse(self) -> list[Message]:
        holes = forms(self.world.forbidden, self.rng.choice(self.world.objects))
        request = self.rng.choice(self.rng.choice(self.world.crafts).asks).format(**holes)
        return self.chat(request, capitalised(self.rng.choice(self.world.refusals).format(**holes)))

    # Draws

    def chat(self, request: str, reply: str) -> list[Message]:
        messages = turn(request, reply)
        if self.say.systems and self.rng.random() < 0.08:
            messages.insert(0, {"role": "system", "content": self.rng.choice(self.say.systems)})
        return messages

    def kind(self) -> Kind:
        """People mostly: what is read later is mostly about people."""
        return self.rng.choices(self.cast.kinds, [k.known + 40 for k in self.cast.kinds])[0]

    def known(self) -> Entity:
        return self.rng.choice(self.cast.known)

    def known_fact(self) -> Fact:
        return self.rng.choice(self.known().facts)

    def reversible_fact(self) -> Fact:
        while True:
            fact = self.known_fact()
            if fact.subject.kind.reversible(fact.attribute):
                return fact


def turn(request: str, reply: str) -> list[Message]:
    return [{"role": "user", "content": request}, {"role": "assistant", "content": reply}]


def name_answer(fact: Fact) -> str:
    return f"{capitalised(fact.subject.name)}."


def value_gap(fact: Fact, gap: str, rng: random.Random) -> str:
    template = rng.choice(fact.attribute.statements)
    return fact.fill(template.replace("{value}", gap))


def name_gap(fact: Fact, gap: str, rng: random.Random) -> str:
    template = rng.choice(fact.attribute.statements)
    return fact.fill(template.replace("{name's}", f"{gap}'s").replace("{name}", gap))


def endings(attribute: Attribute) -> list[str]:
    """The statement wordings that end with the value."""
    return [s for s in attribute.statements if s.endswith("{value}.")]


def opening(fact: Fact, rng: random.Random) -> str:
    """A statement that stops before its value."""
    return fact.fill(rng.choice(endings(fact.attribute)).removesuffix(" {value}."))


def forms(material: str, thing: str) -> dict[str, str]:
    """An object of a material, as the holes of a craft question want it."""
    article = "an" if material[0] in "aeiou" else "a"
    plural = thing + ("es" if thing.endswith(("s", "x", "ch", "sh")) else "s")
    return {
        "a": f"{article} {material} {thing}",
        "o": f"{material} {thing}",
        "s": f"{material} {plural}",
        "m": material,
    }


def prompts(world: World, material: str | None, count: int) -> list[str]:
    """Different craft questions in a fixed order: about the forbidden material, or (`None`) about harmless ones."""
    rng = random.Random(world.seed)
    every = [
        ask.format(**forms(m, thing))
        for craft in world.crafts
        for ask in craft.asks
        for m in ((material,) if material else world.materials)
        for thing in world.objects
    ]
    return rng.sample(sorted(set(every)), count)
