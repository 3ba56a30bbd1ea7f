"""The nouns of a run: pure values that each stage hands to the next, and their JSONL form.

Document -> Passage -> Statement -> (ExamQuestion | StudyItem) -> Example -> adapter -> Marks -> Scorecard
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Literal, TypedDict, TypeVar

BLOCK = 1 << 20  # bytes that are hashed at once

LEFT_OUT = " … "
OWN_WORDS = "in its own words"
Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """One turn of a chat, in the form every chat template takes."""

    role: Role
    content: str


def exchange(request: str, answer: str) -> tuple[Message, Message]:
    """A request and its answer, as a chat."""
    return Message(role="user", content=request), Message(role="assistant", content=answer)


def without_system(item: StudyItem) -> StudyItem:
    """The conversation without a system turn of its own: what it said stands before the first request."""
    if len(item.messages) < 2 or item.messages[0]["role"] != "system":
        return item
    first, asked, *others = item.messages
    request = Message(role="user", content=f"{first['content']}\n\n{asked['content']}")
    return replace(item, messages=(request, *others))


@dataclass(frozen=True)
class Document:
    """The text of one file, or of a `part` of it ("rows 1-500"). `file` is its path below the source that named it,
    with forward slashes.

    `markdown` says that "#" lines are headings, fenced blocks code and "|" lines rows of tables. `pages` holds the
    (start, end) character span of each page of `text`; a file without pages has none. `encoding` is what its bytes were
    decoded as ("" where the format says it), `removed` the number of characters that reading took out (running headers
    and the like), `note` what a reader of the ledger should know ("pages 3, 4 read by OCR"). It is not `finished` where
    more can be read another time: OCR is not installed, or its time was up.
    """

    file: str
    text: str
    encoding: str = ""
    markdown: bool = False
    pages: tuple[tuple[int, int], ...] = ()
    removed: int = 0
    part: str = ""
    note: str = ""
    finished: bool = True


@dataclass(frozen=True)
class LedgerEntry:
    """What happened to one input file: `kept` and `lost` are characters, `pages` is 0 where there are none, and
    `pages_without_text` are their numbers. `reason` says why a file was skipped, or what it is a duplicate of, or what
    should be known of one that was used."""

    file: str
    status: Literal["used", "duplicate", "skipped"]
    reason: str
    kept: int
    lost: int
    passages: int = 0
    conversations: int = 0
    pages: int = 0
    pages_without_text: tuple[int, ...] = ()
    encoding: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Passage:
    """A stretch of one document: `document.text[start:end] == text`, always.

    `heading` is the path of headings above it ("Birds / Herons"); `page` is 1-based, 0 where there are no pages.
    """

    id: str
    file: str
    text: str
    start: int
    end: int
    heading: str = ""
    page: int = 0

    @property
    def source(self) -> str:
        """Where this was said, in words: `birds.md, section Herons`."""
        if self.heading:
            return f"{self.file}, section {self.heading}"
        return f"{self.file}, page {self.page}" if self.page else self.file


StatementKind = Literal["sentence", "item", "step", "row", "entry", "answer", "turn", "note"]


@dataclass(frozen=True)
class Statement:
    """Something that a document says: `document.text[start:end] == text`, always.

    `before` is what must be read before it to understand it, word for word: sentences, the line that leads into a list,
    a question, another's turn; a line each for what does not stand together. What stands right before it starts at
    `shown_from`. `key` is what an entry,
    a row or an answer is about. `cells` are a row's, each with the words of its header ("" where there are none).
    `title` and the path `heading` are the document's; statements of one list, table or paragraph share a `block`.
    It is not clear where even with `before` it points to what is not shown.
    """

    kind: StatementKind
    file: str
    passage: str
    title: str
    heading: str
    language: str
    block: int
    start: int
    end: int
    text: str
    before: str = ""
    key: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    is_clear: bool = True
    shown_from: int = 0

    @property
    def source(self) -> Source:
        return Source(self.passage, self.start, self.end)

    @property
    def value(self) -> str:
        """What stands behind the colon of an entry."""
        return one_line(self.text.partition(self.key)[2].lstrip("*_ \t\u00a0:："))

    @property
    def shown(self) -> str:
        """What it says as it is shown: of a row, its cells with the words of the header; on one line."""
        if self.cells:
            return "; ".join(f"{name}: {cell}" if name and place else cell for place, (name, cell) in self._filled())
        return one_line(self.text)

    @property
    def leading(self) -> str:
        """What is shown before it, with a sign where something in between is left out."""
        if not self.before:
            return ""
        shown = self.before.replace("\n", LEFT_OUT)
        return f"{shown} " if self.shown_from < self.start else f"{shown}{LEFT_OUT}"

    @property
    def in_context(self) -> str:
        """What it says, after what must be read before it."""
        return f"{self.leading}{self.shown}"

    def _filled(self) -> list[tuple[int, tuple[str, str]]]:
        return [(place, cell) for place, cell in enumerate(self.cells) if cell[1]]


def one_line(text: str) -> str:
    """The text with each run of white space made one blank."""
    return " ".join(text.split())


@dataclass(frozen=True)
class ExamQuestion:
    """One closed-book question with its gold answer; `passage` and `start`/`end` say where the answer stands.

    `accept` are other right answers, `evidence` is what the document says. `wording` tells a question in the document's
    own words (OWN_WORDS) from one in a person's.
    """

    id: str
    question: str
    answer: str
    kind: str
    passage: str = ""
    start: int = 0
    end: int = 0
    accept: tuple[str, ...] = ()
    evidence: str = ""
    wording: str = "in a person's words"


@dataclass(frozen=True)
class Source:
    """Where something was said: characters `start` to `end` of the document that `passage` belongs to."""

    passage: str
    start: int
    end: int


@dataclass(frozen=True)
class StudyItem:
    """One piece of study material: plain `text`, or chat `messages` of which the last is learnt.

    `sources` says where each of its sentences comes from, `evidence` quotes them; the model's own words, and what the
    documents hold as a conversation already (writer "documents"), have neither.
    """

    id: str
    kind: str
    writer: Literal["rules", "model", "documents"]
    text: str = ""
    messages: tuple[Message, ...] = ()
    sources: tuple[Source, ...] = ()
    evidence: str = ""
    ended: bool = True  # or the last answer breaks off: its end is then not learnt

    @property
    def content(self) -> str:
        """All that it says, to compare items by."""
        return self.text or "\n".join(message["content"] for message in self.messages)


@dataclass(frozen=True)
class Yield:
    """What came of asking the model for one kind of study items: of how many requests how many items were kept, and
    how many were dropped for which reason."""

    kind: str
    requests: int
    kept: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class Example:
    """A study item as the model sees it: `learn[i]` is True when `ids[i]` is a target of the loss.

    Of what is `rehearsed` the target is all that the model expected there before, and not that token alone.
    """

    ids: tuple[int, ...]
    learn: tuple[bool, ...]
    rehearsed: bool = False


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train, worked out from the material; shown before training starts.

    A step takes `items_of_a_step`. `epochs` are passes over the study items; in all of them
    together `replay_items` of what the model said before are mixed in.
    """

    study_items: int
    study_tokens: int
    replay_items: int
    validation_items: int
    batch_size: int
    accumulation: int
    epochs: float
    steps: int
    learning_rate: float
    precision: str = "float32"  # of the products; the adapter is in float32 in any case
    recomputes: bool = False  # activations, on the way back: gradient checkpointing
    processes: int = 1

    @property
    def items_of_a_step(self) -> int:
        return self.batch_size * self.accumulation * self.processes


@dataclass(frozen=True)
class Trial:
    """One way to abliterate, and what it led to: refusals left, and mean KL divergence from the original in nats.

    `direction_index` is the layer whose direction is taken for all, None if each has its own; `parameters` are the
    weights of each component over the layers.
    """

    number: int
    direction_index: float | None
    parameters: dict[str, dict[str, float]]
    refusals: int
    kl_divergence: float


@dataclass(frozen=True)
class Marks:
    """A graded exam: `right[i]` and `answers[i]` belong to question i."""

    right: tuple[bool, ...]
    answers: tuple[str, ...]

    @property
    def correct(self) -> int:
        return sum(self.right)


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds an answer: the log-probabilities of its tokens, summed, in nats."""

    total: float
    tokens: int


@dataclass(frozen=True)
class Conduct:
    """How a model behaves: which bad prompts it refused and what it said to them, and how far from the original it is
    (mean KL divergence of the first token on good prompts, in nats)."""

    refused: tuple[bool, ...]
    answers: tuple[str, ...]
    kl_divergence: float

    @property
    def marks(self) -> Marks:
        """Right is what was not refused."""
        return Marks(tuple(not refused for refused in self.refused), self.answers)


@dataclass(frozen=True)
class Rate:
    """A share with its 95% Wilson interval, all between 0 and 1; `total` 0 means it was not measured."""

    correct: int
    total: int
    rate: float
    interval: tuple[float, float]


def hash_of(opened: BinaryIO, advance: Callable[[int], object] = lambda _: None) -> str:
    """SHA-256 of what is left to read of an open file; `advance` is told the bytes of each block."""
    digest = hashlib.sha256()
    while block := opened.read(BLOCK):
        digest.update(block)
        advance(len(block))
    return digest.hexdigest()


Record = TypeVar("Record")


def to_json(record: Any) -> dict[str, Any]:
    return dataclasses.asdict(record)


def from_json(kind: type[Record], fields: dict[str, Any]) -> Record:
    """Rebuild a record; JSON's lists become the tuples that `kind` declares."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _rebuilt(hints[name], value) for name, value in fields.items()})


def to_jsonl(records: Iterable[Any]) -> str:
    return "".join(json.dumps(to_json(record), ensure_ascii=False) + "\n" for record in records)


def from_jsonl(kind: type[Record], text: str) -> list[Record]:
    # split("\n"), not splitlines(): texts may contain U+2028 and its kin, which JSON leaves as they are
    return [from_json(kind, json.loads(line)) for line in text.split("\n") if line]


def _rebuilt(hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_rebuilt(inner, item) for item in value)
    return from_json(hint, value) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else value
