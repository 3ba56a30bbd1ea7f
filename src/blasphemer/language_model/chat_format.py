"""The one way a chat is written for a model, in training, examination and conversation; and what of it is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from blasphemer.errors import ModelError, TooLong
from blasphemer.records import Example, Message, StudyItem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARK = "\ue000"  # private use: stands around the number of a message that the template must not see


def encode(items: Sequence[StudyItem], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[Example]:
    """Render study items as the model will see them, marking the ids it should learn.

    `learn[i]` is True when `ids[i]` is a target: every token of a plain text, and of a chat the last answer with the
    token that ends its turn (without it the model never stops), unless the answer was broken off. Lengths in tokens,
    template included. Raises TooLong, naming the item: nothing is cut silently.
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
    ids = whole[: end + 1 if item.ended else end]
    return Example(tuple(ids), tuple(i >= len(prompt) for i in range(len(ids))))


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, ids: list[int], answer: int) -> int | None:
    """Index of the token that ends the answer's turn: the last control token after it, if there is one."""
    control = set(tokenizer.all_special_ids)
    return next((i for i in range(len(ids) - 1, answer - 1, -1) if ids[i] in control), None)


def _eos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{tokenizer.name_or_path}: the tokenizer has no end-of-sequence token.")
    return int(tokenizer.eos_token_id)
