"""Is what a run teaches and asks true? `python -m benchmarks.truth RUN [--false FALSE.jsonl]`.

Every sentence of every study item and exam question that rules wrote is looked for in the documents of the run: frames
are taken off, gaps are filled with their answers, white space is folded, and what is left must stand there word for
word; a cell must stand in its row, and what it is said to be in the document.

FALSE.jsonl has statements that a careless reader would derive (`file`, `false`). One counts as taught where its words,
normalised, stand in an item or question in a row, unless the document has them between quotation marks, as somebody's;
and in what a model wrote also where all of its words that say something stand in one sentence. Prints what is wrong,
and exits with 1 where anything is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blasphemer.dataset_processor import BLANK
from blasphemer.language import contains, normalise, sentence_spans
from blasphemer.languages import ANY, language
from blasphemer.records import OWN_WORDS, ExamQuestion, Passage, Source, Statement, StudyItem, from_jsonl, one_line

SLOT = re.compile(r"\\\{(\w+)\\\}")  # of a frame that was escaped for a pattern


@dataclass(frozen=True)
class Run:
    """What a run has read, taught and asked."""

    documents: dict[str, str]  # by file: the text of its passages, on one line
    statements: list[Statement]
    items: list[StudyItem]
    questions: list[ExamQuestion]

    @property
    def whole(self) -> str:
        return "\n".join(self.documents.values())


def read_run(folder: Path) -> Run:
    """The records of a run's folder."""
    documents = documents_of(_records(folder / "passages.jsonl", Passage))
    items = [*_records(folder / "study.jsonl", StudyItem), *_records(folder / "self_study.jsonl", StudyItem)]
    statements = _records(folder / "statements.jsonl", Statement)
    return Run(documents, statements, items, _records(folder / "exam.jsonl", ExamQuestion))


def documents_of(passages: Sequence[Passage]) -> dict[str, str]:
    """The text of each file on one line, put together again from its passages, which may overlap."""
    documents: dict[str, str] = {}
    reached: dict[str, int] = {}
    for passage in passages:
        end = reached.get(passage.file, 0) if passage.start else 0
        new = passage.text[max(end - passage.start, 0) :]
        parted = " " if passage.start > end or not passage.start else ""  # nothing but white space was between them
        documents[passage.file] = f"{documents.get(passage.file, '')}{parted}{new}"
        reached[passage.file] = passage.end
    return {file: one_line(text) for file, text in documents.items()}


def _records(file: Path, kind: type) -> list:  # type: ignore[type-arg]
    return from_jsonl(kind, file.read_text(encoding="utf-8")) if file.exists() else []


# --- word for word ---------------------------------------------------------------------------------------------------


def not_verbatim(run: Run) -> list[str]:
    """What rules wrote that does not stand in the documents, each with the item it is from."""
    shelf = _Shelf(run)
    wrong = [
        f"{item.kind} {item.id}: {said}"
        for item in run.items
        if item.writer == "rules"
        for said in _said(item, shelf)
        if not shelf.has(said)
    ]
    return wrong + [
        f"exam {question.id}: {said}"
        for question in run.questions
        if question.wording == OWN_WORDS
        for said in _asked(question, shelf)
        if not shelf.has(said)
    ]


class _Shelf:
    """The documents, to look in for what is said."""

    def __init__(self, run: Run) -> None:
        self.whole = run.whole
        self.by_place = {one.source: one for one in run.statements}
        self.rows = {
            one_line(one.shown)
            for one in run.statements
            if one.cells and all(cell in one.text and one_line(name) in self.whole for name, cell in one.cells)
        }
        self.columns = {
            one_line(f"{one.key}; {name}: {cell}")
            for one in run.statements
            for name, cell in one.cells
            if cell in one.text and one.key in one.text and one_line(name) in self.whole
        }
        self.seen: dict[str, bool] = {}

    def has(self, said: str) -> bool:
        """Does it stand in a document, word for word? Or is it a row, or a cell of one, as rows are shown?"""
        said = one_line(said)
        if said not in self.seen:
            self.seen[said] = said in self.whole or said in self.columns or (said in self.rows)
        return self.seen[said]


def _said(item: StudyItem, shelf: _Shelf) -> Iterator[str]:
    """The sentences of a study item, without its frame and with its gap filled."""
    found = [shelf.by_place[source] for source in item.sources if item.kind != "passage"]
    if item.text:
        body = item.text.partition(":\n")[2]
        yield from ([one_line(body)] if item.kind == "passage" else map(one_line, filter(str.strip, body.split("\n"))))
        return
    request, answer = (message["content"] for message in item.messages)
    yield from map(one_line, answer.split("\n"))
    known = language(found[0].language if found else ANY)
    frames = known.frames["study"].get({"contrast": "all"}.get(item.kind, item.kind), ())
    yield from _slots(request, answer, frames, found, shelf)


def _asked(question: ExamQuestion, shelf: _Shelf) -> Iterator[str]:
    """What an exam question quotes, with its gap filled, and its answer."""
    statement = shelf.by_place.get(Source(question.passage, question.start, question.end))
    if statement is None:  # of an answer in a conversation
        return
    known = language(statement.language)
    frames = [
        frame for kind, several in known.frames["exam"].items() if kind not in ("title", "section") for frame in several
    ]
    yield question.answer
    yield from _slots(question.question, question.answer, frames, [statement], shelf)


def _slots(
    text: str, answer: str, frames: Sequence[str], statements: Sequence[Statement], shelf: _Shelf
) -> Iterator[str]:
    """What stands in the slots of the frame that a text has: sentences, keys and cells. Where several fit, as signs are
    few, the one counts whose slots the documents have."""
    first = statements[0] if statements else None
    source = language(first.language).source(one_line(first.title), one_line(first.heading)) if first else ""
    found: list[list[str]] = []
    for frame in [*(one.replace("{source}", source) for one in frames), *frames]:
        if match := _pattern(frame).fullmatch(text):
            slots = [said for name, said in match.groupdict().items() if name not in ("source", "title")]
            filled = [said.replace(BLANK, answer).removesuffix(" ...") for said in slots]
            found.append([part for said in filled for part in _parts(said, statements)])
    if found:
        yield from next((parts for parts in found if all(map(shelf.has, parts))), found[0])
        return
    if statements and one_line(statements[0].key) in text:  # a question of the document's own
        return
    yield text  # has none of the frames: must stand there as it is


def _parts(said: str, statements: Sequence[Statement]) -> Iterator[str]:
    """What must be read before a statement, and the statement: they need not stand together."""
    leading = statements[0].leading.strip() if statements else ""
    if leading and said.startswith(leading):
        yield from statements[0].before.split("\n")
        said = said[len(leading) :].strip()
    yield said


@cache
def _pattern(frame: str) -> re.Pattern[str]:
    return re.compile(SLOT.sub(r"(?P<\1>.*)", re.escape(frame)), re.DOTALL)


# --- falsehoods ------------------------------------------------------------------------------------------------------


def taught(false: Sequence[dict[str, str]], run: Run) -> list[tuple[str, str]]:
    """Each falsehood that is taught or asked, with where."""
    found = []
    rules = [(one.id, _whole(one)) for one in run.items if one.writer == "rules"]
    rules += [(one.id, f"{one.question.replace(BLANK, one.answer)}\n{one.answer}") for one in run.questions]
    model = [(one.id, _whole(one)) for one in run.items if one.writer == "model"]
    quoted = [normalise(quote) for quote in re.findall(r'["“„«]([^"“”„«»]+)["”“»]', run.whole)]
    said = [(name, normalise(text)) for name, text in [*rules, *model]]
    for row in false:
        words = normalise(row["false"])
        if not any(
            contains(quote, words) or (contains(words, quote) and len(quote) > 0.8 * len(words)) for quote in quoted
        ):
            found += [(row["false"], name) for name, text in said if contains(text, words)]
        known = language("en").small
        telling = {word for word in words.split() if word not in known}
        for name, text in model:
            sentences = [text[start:end] for start, end in sentence_spans(text)] or [text]
            if any(telling <= set(normalise(sentence).split()) for sentence in [*sentences, text.replace("\n", " ")]):
                found.append((row["false"], name))
    return found


def _whole(item: StudyItem) -> str:
    if item.text:
        return item.text
    request, answer = (message["content"] for message in item.messages)
    return f"{request.replace(BLANK, answer)}\n{answer}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--false", type=Path)
    chosen = parser.parse_args(argv)
    run = read_run(chosen.run)
    wrong = not_verbatim(run)
    by_rule = sum(item.writer == "rules" for item in run.items)
    sys.stdout.write(
        f"{by_rule:,} items and {len(run.questions):,} questions: {len(wrong)} sentences do not stand in a document\n"
    )
    for line in wrong[:20]:
        sys.stdout.write(f"  {line}\n")
    false = [json.loads(line) for line in chosen.false.read_text(encoding="utf-8").splitlines()] if chosen.false else []
    lies = taught(false, run)
    if chosen.false:
        sys.stdout.write(f"{len(false)} falsehoods: {len({lie for lie, _ in lies})} are taught or asked\n")
    for lie, name in lies[:20]:
        sys.stdout.write(f"  {name}: {lie}\n")
    return 1 if wrong or lies else 0


if __name__ == "__main__":
    sys.exit(main())
