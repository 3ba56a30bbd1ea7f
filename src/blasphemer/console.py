"""The only writer to the terminal: results on stdout, progress, warnings and questions on stderr.

Text from models, documents and paths is never read as markup: everything is printed as it is.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import TextIOWrapper
from typing import TYPE_CHECKING

from blasphemer.errors import BlasphemerError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ESCAPE_SECONDS = 0.05  # after which an escape character is a key of its own, and not the beginning of an arrow key's
SECONDS_BETWEEN_LINES = 8  # of progress, where there is no terminal to draw a bar on
SECONDS_BETWEEN_LOOKS = 1.5  # whether it is time for a line, while nothing comes to an end
LEADS = os.environ.get("RANK", "0") == "0"  # of several processes of a job one is heard

Advance = Callable[..., None]


@cache
def _console(stderr: bool, is_heard: bool = LEADS) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a pipe's encoding may lack what a document or path holds
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, quiet=not is_heard)


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
    _console(stderr=True, is_heard=True).print(f"Error: {_shown(text)}", style="bold red")


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


def is_interactive() -> bool:
    """Is there someone at a terminal who can be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def require_answer(question: str, setting: str, answered: bool = False) -> None:
    """Raises UsageError, naming the setting that answers, for a question that nobody is there to answer."""
    if not answered and not is_interactive():
        raise UsageError(f"{question} There is no terminal to ask on: answer with {setting}.")


def confirm(question: str, setting: str, answered: bool, default: bool = True) -> bool | None:
    """Ask yes or no; `answered` (that is, --yes) takes the default, Escape is None: it cancels and answers nothing.

    Without a terminal, raises UsageError naming the setting that answers.
    """
    if answered:
        return default
    answer = _ask("confirm", question, setting, default=default)
    return None if answer is None else bool(answer)


def select(question: str, choices: Sequence[str], default: str, setting: str, answered: bool) -> str | None:
    """Ask for one of several; `answered` takes the default, Escape is None. Without a terminal, as in `confirm`."""
    if answered:
        return default
    return _text(_ask("select", question, f"{setting} or --yes", choices=list(choices), default=default))


def ask(question: str, setting: str, default: str = "") -> str | None:
    """Ask for a line of text; Escape is None and cancels, nothing typed is "". Without a terminal, as in `confirm`."""
    return _text(_ask("text", question, setting, default=default))


def ask_path(question: str, setting: str, default: str = "") -> str | None:
    """Ask for a file or folder, which Tab completes; else as `ask`."""
    from prompt_toolkit.completion import PathCompleter

    completion = {"completer": PathCompleter(expanduser=True), "complete_while_typing": False}
    return _text(_ask("text", question, setting, default=default, **completion))


def ask_documents(default: str = "") -> str | None:
    """Ask for what is to be learnt, as `ask_path` does."""
    return ask_path("Which documents? (a file, a folder, or hf:owner/name)", "--fine-tune-dataset", default)


def ask_secret(question: str, setting: str) -> str | None:
    """Ask for what must not be seen; else as `ask`."""
    return _text(_ask("password", question, setting))


def menu(
    question: str, entries: Mapping[str, Callable[[], None]], leave: str, above: Callable[[], str] = lambda: ""
) -> None:
    """Let the user do one thing after another, until they choose `leave` or press Escape.

    `above` is asked each time what to say first. Whatever goes wrong in an entry is said, and the menu comes back.
    """
    choices = [*entries, leave]
    chosen = choices[0]
    while True:
        if said := above():
            note(f"\n{said}")
        answer = select(question, choices, chosen, "MODEL", False)
        if answer is None or answer == leave:
            return
        chosen = answer
        try:
            entries[chosen]()
        except KeyboardInterrupt:
            note("Stopped. Nothing that was done is lost.")
        except BlasphemerError as error:
            fail(str(error))
        except Exception as error:
            fail(f"{type(error).__name__}: {error}")


def _text(answer: object) -> str | None:
    return str(answer).strip() if answer is not None else None


def _ask(kind: str, question: str, setting: str, **options: object) -> object:
    """Put one of questionary's questions on stderr. Escape answers None; Ctrl+C raises KeyboardInterrupt."""
    require_answer(question, setting)
    import questionary
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
    from prompt_toolkit.output import create_output

    put = getattr(questionary, kind)(question, output=create_output(stdout=sys.stderr), **options)
    keys = KeyBindings()

    @keys.add("escape", eager=True)
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    application = put.application
    application.key_bindings = merge_key_bindings([*filter(None, [application.key_bindings]), keys])
    application.ttimeoutlen = ESCAPE_SECONDS
    answer: object = put.unsafe_ask()
    return answer


@contextmanager
def streams(titles: Sequence[str]) -> Iterator[Callable[[int, str], None]]:
    """Texts on stdout that grow as the block calls `add(column, text)`: side by side, or one as it comes."""
    if len(titles) == 1:
        yield lambda _, text: _console(stderr=False).out(_shown(text), end="")
        say()
        return
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    texts = [""] * len(titles)

    def drawn() -> Table:
        table = Table(expand=True)
        for title in titles:
            table.add_column(Text(title))
        table.add_row(*(Text(_shown(text)) for text in texts))
        return table

    def add(column: int, text: str) -> None:
        texts[column] += text

    with Live(console=_console(stderr=False), get_renderable=drawn, vertical_overflow="visible"):
        yield add


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show how far a long piece of work is. The block calls `advance(done=1, note="")` as it goes.

    What was `done` before tells nothing of the time that is left. Work without a label is part of other work that is
    shown, and is not.
    """
    if not label:
        yield lambda *_, **__: None
        return
    console = _console(stderr=True)
    with (_bar if console.is_terminal else _lines)(label, total, done) as advance:
        yield advance


@contextmanager
def _bar(label: str, total: int, before: int) -> Iterator[Advance]:
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
        task = bar.add_task(escape(label), total=total, completed=before, note="")

        def advance(done: int = 1, note: str = "") -> None:
            bar.update(task, advance=done, note=escape(note))

        yield advance


@contextmanager
def _lines(label: str, total: int, before: int) -> Iterator[Advance]:
    """A line every few seconds, also while nothing comes to an end."""
    started = said = time.monotonic()
    reached, last = before, ""
    over = threading.Event()
    one_at_a_time = threading.Lock()

    def tell() -> None:
        nonlocal said
        with one_at_a_time:
            now = time.monotonic()
            if now - said >= SECONDS_BETWEEN_LINES and not over.is_set():
                said = now
                here = reached - before
                left = f", {(now - started) / here * (total - reached):.0f} s left" if here else ""
                _console(stderr=True).print(f"{label}: {reached}/{total}{left}  {last}".rstrip())

    def advance(done: int = 1, note: str = "") -> None:
        nonlocal reached, last
        reached, last = reached + done, note
        tell()

    def keep_telling() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            tell()

    teller = threading.Thread(target=keep_telling, daemon=True)
    teller.start()
    try:
        yield advance
    finally:
        over.set()
        teller.join()
