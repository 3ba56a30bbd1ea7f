"""Chats as datasets write them -> turns in the order that every chat template takes."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any

from blasphemer.dataset_processor.formats.values import Losses, Row, Skipped, normal, shown
from blasphemer.records import Message, Role

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
TOOLS = ("tool", "function", "function_call", "observation", "ipython")


def chat_reader(chat: str, system: str | None) -> Callable[[Row, Losses], list[Message]]:
    """Reads the chat in the column `chat`. It raises Skipped, as the next one does."""

    def read(row: Row, losses: Losses) -> list[Message]:
        turns = [_message(turn) for turn in turns_in(row.get(chat))]
        return _conversation([*_system_turn(row, system, losses), *turns], losses)

    return read


def pair_reader(
    system: str | None, request: str, extra: str | None, answer: str
) -> Callable[[Row, Losses], list[Message]]:
    """Reads a request, with what follows it in the column `extra`, and its answer."""

    def read(row: Row, losses: Losses) -> list[Message]:
        asked = _said("user", row.get(request), losses)
        more = shown(row.get(extra), losses).strip() if extra else ""
        if asked and more:
            asked[-1]["content"] += f"\n\n{more}"
        told = _said("assistant", _best(row.get(answer)), losses)
        if not any(turn["content"] for turn in told):
            raise Skipped("row{s} without an answer")
        if any(turn["role"] == "user" for turn in told):  # the answer repeats the request
            asked = []
        return _conversation([*_system_turn(row, system, losses), *asked, *told], losses)

    return read


def _system_turn(row: Row, system: str | None, losses: Losses) -> list[Message]:
    said = shown(row.get(system), losses).strip() if system else ""
    return [Message(role="system", content=said)] if said else []


def _said(role: Role, value: Any, losses: Losses) -> list[Message]:
    """What stands in a column of requests or answers: words, or turns."""
    turns = turns_in(value)
    return [_message(turn) for turn in turns] if turns else [Message(role=role, content=shown(value, losses).strip())]


def _best(answer: Any) -> Any:
    """The answer that is given first, where there are several: a list, or one in "text"."""
    if isinstance(answer, Mapping) and "text" in answer:
        answer = answer["text"]
    if isinstance(answer, list) and not turns_in(answer):
        return next((one for one in answer if one), None)
    return answer


def turns_in(value: Any) -> list[Row]:
    """The turns of a chat as they stand in a column, or none if it holds no chat."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        value = _parsed(value)
    if isinstance(value, Mapping) and all(isinstance(column, list) for column in value.values()):
        columns = value  # `datasets` writes lists of turns this way too: {"role": [...], "content": [...]}
        value = [dict(zip(columns, turn, strict=True)) for turn in zip(*columns.values(), strict=False)]
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return []
    return value if any("role" in turn or "from" in turn for turn in value) else []


def _parsed(text: str) -> Any:
    """A list that a table without lists holds as text: as JSON, or as Python writes it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _message(turn: Row) -> Message:
    said = str(turn.get("role") or turn.get("from") or "").strip().casefold()
    if said in TOOLS or turn.get("tool_calls"):
        raise Skipped("row{s} with calls of tools")
    if said not in ROLES:
        raise Skipped(f"row{{s}} with an unknown role ({normal(said)[:20] or 'none'})")
    content = turn.get("content")
    return Message(role=ROLES[said], content=_content(turn.get("value") if content is None else content))


def _content(content: Any) -> str:
    """The words of a turn, which may come in parts. What is said of a picture means nothing without it."""
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else part or ""
        if not isinstance(text, str):
            raise Skipped("row{s} with a turn that is no text")
        texts.append(normal(text).strip())
    return "\n\n".join(text for text in texts if text)


def _conversation(turns: Sequence[Message], losses: Losses) -> list[Message]:
    """Turns in the order that every chat template takes: a system turn or none, then request and answer in turn.

    An empty turn ends it, for what follows was said to something that is missing.
    """
    said = [turn for turn in turns if turn["content"] or turn["role"] != "system"]
    whole = list(takewhile(lambda turn: turn["content"], said))
    system = list(takewhile(lambda turn: turn["role"] == "system", whole))
    talk = _from_request_to_answer(whole[len(system) :])
    if not talk:
        raise Skipped("row{s} without an answer")
    if any(turn["role"] == "system" for turn in talk):
        raise Skipped("row{s} with a system turn in mid-conversation")
    lost = _characters(turns) - _characters(system) - _characters(talk)
    if lost:
        losses.add("row{s} with turns left out that lack a request or an answer", lost)
    return _in_turn([*system, *talk])


def _from_request_to_answer(turns: Sequence[Message]) -> Sequence[Message]:
    """The turns from the first request to the last answer; none where there is no such thing."""
    roles = [turn["role"] for turn in turns]
    if "user" not in roles or "assistant" not in roles:
        return []
    return turns[roles.index("user") : len(roles) - roles[::-1].index("assistant")]


def _in_turn(turns: Sequence[Message]) -> list[Message]:
    """Turns of one speaker in a row become one."""
    by_speaker = groupby(turns, key=lambda turn: turn["role"])
    return [Message(role=role, content="\n\n".join(turn["content"] for turn in run)) for role, run in by_speaker]


def _characters(turns: Iterable[Message]) -> int:
    return sum(len(turn["content"]) for turn in turns)
