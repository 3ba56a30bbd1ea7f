"""The only writer to the terminal: results on stdout, progress, warnings and questions on stderr.

Text from models, documents and paths is never read as markup: everything is printed as it is.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import TextIOWrapper
from typing import TYPE_CHECKING

from blasphemer.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SECONDS_BETWEEN_LINES = 10  # of progress, where there is no terminal to draw a bar on

Advance = Callable[..., None]


@cache
def _console(stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a pipe's encoding may lack what a document or path holds
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _shown(text: str) -> str:
    """The text with control characters spelled out: a document must not steer the terminal."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def say(text: str | Text = "") -> None:
    """A result, for stdout."""
    _console(stderr=False).print(_shown(text) if isinstance(text, str) else text)


def note(text: str) -> None:
    """What is going on, for stderr."""
    _console(stderr=True).print(_shown(text), style="dim")


def warn(text: str) -> None:
    _console(stderr=True).print(f"Warning: {_shown(text)}", style="yellow")


def fail(text: str) -> None:
    _console(stderr=True).print(f"Error: {_shown(text)}", style="bold red")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; the first column is text, the others are numbers set to the right."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title), title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(Text(column), justify="right" if index else "left")
    for row in rows:
        drawn.add_row(*(Text(_shown(cell)) for cell in row))
    _console(stderr=False).print(drawn)


def highlight(parts: Sequence[tuple[str, bool]]) -> Text:
    """A text whose True parts stand out, in colour and, where there is none, in «guillemets»."""
    from rich.text import Text

    coloured = _console(stderr=False).color_system is not None
    shown = Text()
    for part, marked in parts:
        text = _shown(part)
        shown.append(text if coloured or not marked else f"«{text}»", style="bold green" if marked else "dim")
    return shown


def confirm(question: str, setting: str, answered: bool) -> bool:
    """Ask yes or no; `answered` (that is, --yes) takes yes. Without a terminal, names the setting that answers."""
    if answered:
        return True
    _require_terminal(question, setting)
    import questionary

    return bool(questionary.confirm(question, default=True).unsafe_ask())


def select(question: str, choices: Sequence[str], default: str, setting: str, answered: bool) -> str:
    """Ask for one of several; `answered` (that is, --yes) takes the default. Without a terminal, names the setting."""
    if answered:
        return default
    _require_terminal(question, f"{setting} or --yes")
    import questionary

    return str(questionary.select(question, choices=list(choices), default=default).unsafe_ask())


def _require_terminal(question: str, setting: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask on: answer with {setting}.")


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show how far a long piece of work is. The block calls `advance(done=1, note="")` as it goes.

    Work without a label is part of other work that is shown, and is not.
    """
    if not label:
        yield lambda *_, **__: None
        return
    console = _console(stderr=True)
    with (_bar if console.is_terminal else _lines)(label, total) as advance:
        yield advance


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=_console(stderr=True)) as bar:
        task = bar.add_task(escape(label), total=total, note="")

        def advance(done: int = 1, note: str = "") -> None:
            bar.update(task, advance=done, note=escape(note))

        yield advance


@contextmanager
def _lines(label: str, total: int) -> Iterator[Advance]:
    started = said = time.monotonic()
    reached = 0

    def advance(done: int = 1, note: str = "") -> None:
        nonlocal reached, said
        reached += done
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            left = f", {(now - started) / reached * (total - reached):.0f} s left" if reached else ""
            _console(stderr=True).print(f"{label}: {reached}/{total}{left}  {note}".rstrip())

    yield advance
