"""Document -> Passage, and StudyItem -> Example: cut texts, split train from validation, mark what is learnt."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from blasphemer.errors import ModelError, TooLong
from blasphemer.language import HEADING, headings, paragraph_spans, sentence_spans
from blasphemer.records import Document, Example, LedgerEntry, Message, Passage, Plan, Source, StudyItem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Offsets = Callable[[str], list[tuple[int, int]]]

MARK = "\ue000"  # private use: stands around the number of a message that the template must not see
LATEST_CUT = 0.6  # a cut is looked for in the last 40% of the window, so that no passage is needlessly short
MARGIN = 8  # tokens: a slice encoded alone differs by up to 2 from its share of the whole (FINETUNING_DESIGN.md)


# --- Document -> Passage ---------------------------------------------------------------------------------------------


def split_passages(document: Document, offsets: Offsets, chunk_size: int, chunk_overlap: int) -> list[Passage]:
    """Cut a document into passages of at most `chunk_size` tokens, at the best boundary near the end of each.

    `offsets(text)` gives each token's (start, end) characters. Boundaries in order of worth: before a heading, between
    paragraphs, between sentences, between tokens; never just after a heading. Only where a paragraph had to be cut are
    the last `chunk_overlap` tokens (whole sentences of them) repeated. All but outer white space is in some passage.
    """
    text = document.text
    starts = [start for start, _ in offsets(text)]
    above = headings(text) if document.markdown else []
    cuts = _boundaries(text, [position for position, _, _ in above])
    size = max(chunk_size - MARGIN, 1)
    overlap = min(chunk_overlap, size // 2)
    passages: list[Passage] = []
    last = len(text.rstrip())
    begin = end = 0
    while begin < last:
        first = bisect_left(starts, begin)
        if len(starts) - first <= size:
            end, again = len(text), len(text)
        else:
            end, again = _cut(cuts, starts, first, size, overlap, max(end, starts[first]))
        start, stop = _strip(text, begin, end)
        if start < stop:
            number = f"{document.file}#{len(passages) + 1}"
            heading = _heading_path(above, start, stop)
            page = _page(document, start)
            passages.append(Passage(number, document.file, text[start:stop], start, stop, heading, page))
        begin = again
    return passages


def account(document: Document, passages: Sequence[Passage]) -> LedgerEntry:
    """What became of a document's characters: those in some passage are kept, white space and what reading took out is
    lost."""
    covered, reached = 0, 0
    for passage in sorted(passages, key=lambda passage: passage.start):
        covered += max(passage.end - max(passage.start, reached), 0)
        reached = max(reached, passage.end)
    empty = sum(not document.text[start:end].strip() for start, end in document.pages)
    return LedgerEntry(
        file=document.file,
        status="used",
        reason="",
        kept=covered,
        lost=len(document.text) - covered + document.removed,
        passages=len(passages),
        pages=len(document.pages),
        pages_without_text=empty,
        encoding=document.encoding,
        sha256=document.sha256,
    )


def _boundaries(text: str, heading_positions: Sequence[int]) -> list[list[int]]:
    """Where a passage may end, in ascending order, best kind first: headings, paragraphs, sentences."""
    paragraphs = paragraph_spans(text)
    titles = {start for start, end in paragraphs if HEADING.fullmatch(text[start:end])}
    bodies = [(start, end) for start, end in paragraphs if start not in titles]
    below_another = {start for (above, _), (start, _) in pairwise(paragraphs) if above in titles}
    before_headings = [position for position in heading_positions if position not in below_another]
    sentences = [start + end for start, stop in bodies for _, end in sentence_spans(text[start:stop])]
    return [before_headings, [end for _, end in bodies], sentences]


def _cut(
    cuts: list[list[int]], starts: list[int], first: int, size: int, overlap: int, reached: int
) -> tuple[int, int]:
    """End of the passage that begins at token `first`, and where the next one begins (both characters).

    The end is the best boundary late in the passage, or else the last one in it that goes beyond `reached`.
    """
    limit = starts[first + size]
    earliest = starts[first + int(size * LATEST_CUT)]
    nearest = [positions[i - 1] if (i := bisect_right(positions, limit)) else 0 for positions in cuts]  # of each kind
    for position in nearest:
        if position >= earliest and position > reached:
            is_inside_paragraph = position not in nearest[:2]
            return position, _step_back(cuts[2], starts, position, overlap, first) if is_inside_paragraph else position
    end = max(nearest)
    if end <= reached:
        end = max(limit, reached + 1)  # a character may have more tokens than a passage
    return end, end


def _step_back(sentences: list[int], starts: list[int], end: int, overlap: int, first: int) -> int:
    """The earliest sentence start within `overlap` tokens before `end`, but after the passage's own start."""
    token = bisect_left(starts, end)
    earliest = starts[max(token - overlap, first + 1)]
    return min(sentences[bisect_left(sentences, earliest)], end)  # `end` is one of them


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    return left, max(start + len(piece.rstrip()), left)


def _heading_path(above: Sequence[tuple[int, int, str]], start: int, end: int) -> str:
    """The headings that hold for all of a passage: where it spans several sections, what they have in common."""
    paths: list[list[str]] = []
    stack: list[tuple[int, str]] = []
    for position, level, title in above:
        if position > start:
            if not paths:
                paths.append([name for _, name in stack])
            if position >= end:
                break
        stack = [(depth, name) for depth, name in stack if depth < level] + [(level, title)]
        if position >= start:
            paths.append([name for _, name in stack])
    common = paths[0] if paths else [name for _, name in stack]
    for path in paths[1:]:
        common = [name for name, other in zip(common, path, strict=False) if name == other]
    return " / ".join(common)


def _page(document: Document, position: int) -> int:
    return next((n for n, (_, end) in enumerate(document.pages, 1) if position < end), len(document.pages))


# --- StudyItem -> Example --------------------------------------------------------------------------------------------


def split_validation(items: Sequence[StudyItem], share: float, seed: int) -> tuple[list[StudyItem], list[StudyItem]]:
    """Training and validation items. The split is over items, not passages, so that every fact is still taught.

    An item is held out only if others teach each of its sources. Items of the same kind are split in the same
    proportion as far as that goes. No text occurs on both sides, nor twice on either. With a share above 0 one item at
    least is held out, if any of several can be.
    """
    by_kind: dict[str, list[StudyItem]] = {}
    for item in {item.content: item for item in items}.values():
        by_kind.setdefault(item.kind, []).append(item)
    generator = random.Random(seed)
    unique = [item for kind in by_kind.values() for item in kind]
    teachers = Counter(source for item in unique for source in set(item.sources))
    held_out: set[str] = set()
    for kind in by_kind.values():
        held_out |= _spared(generator.sample(kind, len(kind)), round(len(kind) * share), teachers)
    if share > 0 and not held_out and len(unique) > 1:
        held_out = _spared(generator.sample(unique, len(unique)), 1, teachers)
    return [item for item in unique if item.id not in held_out], [item for item in unique if item.id in held_out]


def _spared(shuffled: Sequence[StudyItem], most: int, teachers: Counter[Source]) -> set[str]:
    """Ids of up to `most` items whose sources all have other teachers. They no longer count as teachers themselves."""
    spared: set[str] = set()
    for item in shuffled:
        sources = set(item.sources)
        if len(spared) < most and all(teachers[source] > 1 for source in sources):
            teachers.subtract(sources)
            spared.add(item.id)
    return spared


def encode(items: Sequence[StudyItem], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[Example]:
    """Render study items as the model will see them, marking the ids it should learn.

    `learn[i]` is True when `ids[i]` is a target: every token of a plain text, and of a chat the last answer with the
    token that ends its turn (without it the model never stops). Lengths in tokens, template included. Raises TooLong,
    naming the item: nothing is cut silently.
    """
    examples = []
    for item in items:
        example = _encode_chat(item, tokenizer) if item.messages else _encode_text(item, tokenizer)
        if len(example.ids) > max_tokens:
            raise TooLong(
                f"{item.id}: a {item.kind} item has {len(example.ids)} tokens, more than the {max_tokens} allowed. "
                "Lower chunk_size or raise max_seq_length."
            )
        examples.append(example)
    return examples


def mix_replay(study: Sequence[Example], replay: Sequence[Example], plan: Plan, seed: int) -> list[Example]:
    """All that is trained on: as many study items as `plan.epochs` passes over those planned for, and of replay
    `plan.replay_items`.

    Each comes as often as any other of its kind, give or take once. The trainer shuffles all of them together.
    """
    generator = random.Random(seed)
    studied = _drawn(study, round(plan.study_items * plan.epochs), generator)
    return studied + _drawn(replay, plan.replay_items, generator)


def _drawn(examples: Sequence[Example], number: int, generator: random.Random) -> list[Example]:
    drawn: list[Example] = []
    while examples and len(drawn) < number:
        drawn += generator.sample(list(examples), min(len(examples), number - len(drawn)))
    return drawn


def show_learnt(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
    """The text of an example in stretches that are learnt (True) and not (False)."""
    edges = [0, *(i for i in range(1, len(example.ids)) if example.learn[i] != example.learn[i - 1]), len(example.ids)]
    return [
        (str(tokenizer.decode(list(example.ids[start:end]))), example.learn[start]) for start, end in pairwise(edges)
    ]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The ids of a chat up to where the assistant's answer begins: the one prompt format there is, in training,
    examination and conversation alike."""
    return render(tokenizer, messages, answer_follows=True)


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], answer_follows: bool) -> list[int]:
    """A chat in the model's own template. Control tokens spelled out in a message stay text."""
    if tokenizer.chat_template is None:
        raise ModelError(f"{tokenizer.name_or_path}: the tokenizer has no chat template.")
    contents = [message["content"] for message in messages]
    controls = (MARK, *tokenizer.all_special_tokens)
    shown = [
        {"role": message["role"], "content": f"{MARK}{number}{MARK}" if _has_any(controls, text) else text}
        for number, (message, text) in enumerate(zip(messages, contents, strict=True))
    ]
    rendered = str(tokenizer.apply_chat_template(shown, tokenize=False, add_generation_prompt=answer_follows))
    ids: list[int] = []
    for number, piece in enumerate(rendered.split(MARK)):
        stood_in = number % 2 == 1
        ids += _ids(tokenizer, contents[int(piece)] if stood_in else piece, is_plain=stood_in)
    return ids


def _has_any(tokens: Sequence[str], text: str) -> bool:
    return any(token in text for token in tokens)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, is_plain: bool, **options: Any) -> list[int]:
    options.setdefault("add_special_tokens", False)
    return list(tokenizer(text, split_special_tokens=is_plain, **options)["input_ids"])


def _encode_text(item: StudyItem, tokenizer: PreTrainedTokenizerBase) -> Example:
    ids = _ids(tokenizer, item.text, is_plain=True, add_special_tokens=True)
    return Example(tuple(ids), (True,) * len(ids))


def _encode_chat(item: StudyItem, tokenizer: PreTrainedTokenizerBase) -> Example:
    prompt = prompt_ids(tokenizer, item.messages[:-1])
    whole = render(tokenizer, item.messages, answer_follows=False)
    if whole[: len(prompt)] != prompt:
        # the template joins prompt and answer differently (or trims): the answer as it is generated counts
        whole = prompt + _ids(tokenizer, item.messages[-1]["content"], is_plain=True)
    end = _end_of_turn(tokenizer, whole, len(prompt))
    if end is None:
        whole.append(_eos(tokenizer))
        end = len(whole) - 1
    ids = whole[: end + 1]
    return Example(tuple(ids), tuple(i >= len(prompt) for i in range(len(ids))))


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, ids: list[int], answer: int) -> int | None:
    """Index of the token that ends the answer's turn: the last control token after it, if there is one."""
    control = set(tokenizer.all_special_ids)
    return next((i for i in range(len(ids) - 1, answer - 1, -1) if ids[i] in control), None)


def _eos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{tokenizer.name_or_path}: the tokenizer has no end-of-sequence token.")
    return int(tokenizer.eos_token_id)
