"""Write a world's study documents, and an exam on them: `python -m worlds.documents demo --output FOLDER`.

The documents are about the unseen entities: their names never occur in training text, the values are known words that
are dealt anew. Each fact is stated exactly once. The same command writes the same bytes on every machine.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A6
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

from worlds.catalogue import WORLDS
from worlds.grammar import Entity, Fact, bullets, capitalised, paragraph
from worlds.tasks import World, prompts

TELL = "Can you tell me about {}?"

Section = tuple[Fact, ...]


class Library:
    """The documents of a world: which facts stand in which file, in which order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random.Random(world.seed + 1)
        self.sections = {kind.name: iter(self.chosen(kind.name)) for kind in world.kinds}
        self.files = {plan.name: [next(self.sections[kind]) for kind in plan.kinds] for plan in world.files}

    def chosen(self, kind: str) -> list[Section]:
        """The facts that are told of each unseen entity of a kind, in the order of telling."""
        entities = [entity for entity in self.world.cast().unseen if entity.kind.name == kind]
        return [tuple(self.rng.sample(e.facts, self.count(e))) for e in entities]

    def count(self, entity: Entity) -> int:
        """Four to six of six facts, five more often than not; of entities with few facts all."""
        most = len(entity.facts)
        return most if most < 5 else min(most, self.rng.choice(self.world.facts_told))

    @property
    def facts(self) -> list[Fact]:
        return [fact for sections in self.files.values() for section in sections for fact in section]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for plan in self.world.files:
            sections = self.files[plan.name]
            path = folder / plan.name
            if path.suffix == ".md":
                path.write_text(markdown(plan.title, sections, self.rng), encoding="utf-8")
            elif path.suffix == ".pdf":
                write_pdf(path, plan.title, [paragraph(section, self.rng) for section in sections])
            else:
                path.write_text(plain(plan.title, sections, self.rng), encoding="utf-8")


def plain(title: str, sections: Sequence[Section], rng: random.Random) -> str:
    return "\n\n".join([title, *(paragraph(section, rng) for section in sections)]) + "\n"


def markdown(title: str, sections: Sequence[Section], rng: random.Random) -> str:
    """A heading for each entity; every third section is a bullet list."""
    blocks = [f"# {title}"]
    for i, section in enumerate(sections):
        body = bullets(section) if i % 3 == 2 else paragraph(section, rng, headed=True)
        blocks += [f"## {capitalised(section[0].subject.name)}", body]
    return "\n\n".join(blocks) + "\n"


def write_pdf(path: Path, title: str, paragraphs: Sequence[str]) -> None:
    """Small pages, so that a short document has several of them."""
    styles = getSampleStyleSheet()
    story = [Paragraph(title, styles["Heading2"])]
    for text in paragraphs:
        story += [Paragraph(text, styles["BodyText"]), Spacer(1, 10)]
    # invariant: no dates and no random ids in the file, so that the same text makes the same bytes.
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 36)
    SimpleDocTemplate(str(path), pagesize=A6, title=title, author=None, invariant=1, **margins).build(story)


def exam(world: World, facts: Sequence[Fact]) -> list[dict[str, str]]:
    """Questions for each fact, in order: one, every third in the wording that training never used; or in a thorough
    exam that wording and two others."""
    rng = random.Random(world.seed + 2)
    if not world.thorough:
        return [asked(fact, "reserved" if i % 3 == 0 else "known", rng) for i, fact in enumerate(facts)]
    found = []
    for fact in facts:
        found.append(asked(fact, "reserved", rng))
        found += [entry(fact, fact.fill(wording), "known") for wording in rng.sample(fact.attribute.questions, 2)]
    return found


def reversed_exam(world: World, facts: Sequence[Fact]) -> list[dict[str, str]]:
    """A question for the subject of each fact whose value names one subject only: what is hardest to learn."""
    rng = random.Random(world.seed + 4)
    told = Counter((fact.attribute.name, fact.value) for fact in facts)
    return [
        entry(fact, fact.fill(rng.choice(fact.attribute.reverse)), "reversed")
        for fact in facts
        if fact.attribute.reverse and told[fact.attribute.name, fact.value] == 1
    ]


def told_exam(facts: Sequence[Fact]) -> list[dict[str, str]]:
    """For each fact the request to tell of its subject: what is told is right where the fact is in it."""
    return [entry(fact, TELL.format(fact.subject.name), "told") for fact in facts]


def known_questions(world: World, count: int) -> list[dict[str, str]]:
    """Questions about known entities: what the model must not forget."""
    rng = random.Random(world.seed + 3)
    facts = [fact for entity in world.cast().known for fact in entity.facts]
    return [asked(fact, "known", rng) for fact in rng.sample(facts, count)]


def asked(fact: Fact, wording: str, rng: random.Random) -> dict[str, str]:
    return entry(fact, fact.fill(fact.attribute.reserved) if wording == "reserved" else fact.ask(rng), wording)


def entry(fact: Fact, question: str, wording: str) -> dict[str, str]:
    return {
        "question": question,
        "answer": fact.subject.name if wording == "reversed" else fact.value,
        "wording": wording,
        "subject": fact.subject.name,
        "attribute": fact.attribute.name,
    }


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_records(path: Path, records: Iterable[dict[str, str]]) -> None:
    write_lines(path, (json.dumps(record, ensure_ascii=False) for record in records))


def write_prompts(world: World, folder: Path) -> None:
    """Forbidden and harmless prompts, 120 each: the first half for an abliteration, the second to judge it."""
    write_lines(folder / "prompts_forbidden.txt", prompts(world, world.forbidden, 120))
    write_lines(folder / "prompts_harmless.txt", prompts(world, None, 120))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", choices=sorted(WORLDS))
    parser.add_argument("--output", type=Path, required=True, help="folder for the documents")
    parser.add_argument("--exam", type=Path, help="file for the exam (beside the folder if not given)")
    parser.add_argument("--known", type=Path, help="also write 300 questions about known entities to this file")
    parser.add_argument("--reversed", type=Path, help="also write questions for the subjects of facts to this file")
    parser.add_argument("--told", type=Path, help="also write requests to tell of the subjects of facts to this file")
    parser.add_argument("--prompts", type=Path, help="also write forbidden and harmless prompts to this folder")
    chosen = parser.parse_args()
    world = WORLDS[chosen.world]
    library = Library(world)
    library.write(chosen.output)
    beside = chosen.output.with_name(f"{chosen.output.name}-exam.jsonl")
    write_records(chosen.exam or beside, exam(world, library.facts))
    if chosen.known:
        write_records(chosen.known, known_questions(world, 300))
    if chosen.reversed:
        write_records(chosen.reversed, reversed_exam(world, library.facts))
    if chosen.told:
        write_records(chosen.told, told_exam(library.facts))
    if chosen.prompts:
        write_prompts(world, chosen.prompts)
    print(f"{len(library.facts)} facts in {len(library.files)} documents")  # noqa: T201


if __name__ == "__main__":
    main()
