"""What a user is offered who names no model: every kind of job, and the command that does the same without a menu."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from blasphemer import console, report
from blasphemer.command_line import shown_command
from blasphemer.config import DEFAULT_OUTPUT_DIR, Settings
from blasphemer.errors import UsageError
from blasphemer.workspace import RunFolder, runs_in, settings_of

MODEL = "Which model? (a folder, owner/name on the hub, or demo)"


@contextmanager
def loaded() -> Iterator[ModuleType]:
    """The rooms that need torch, which take seconds to import, with all libraries kept quiet meanwhile."""
    console.note("Loading ...")
    from blasphemer.quiet import quiet_libraries

    with quiet_libraries():
        from blasphemer.language_model import team
        from blasphemer.menus import result_menu

        try:
            yield result_menu
        finally:
            team.dismiss()


def start(settings: Settings) -> int:
    """Offer every job until the user quits. Returns 0."""

    def ask_and(act: Callable[[Settings], None]) -> Callable[[], None]:
        return lambda: act(settings)

    console.menu(
        "What would you like to do?",
        {
            "Take a model's refusals away (abliterate)": ask_and(_abliterate),
            "Teach a model your documents (fine-tune only)": ask_and(_fine_tune_only),
            "Resume a run": ask_and(_resume),
            "Examine a model with your own questions": ask_and(_examine),
            "Export the model of a finished run": ask_and(_export),
        },
        leave="Quit",
    )
    return 0


def _abliterate(settings: Settings) -> None:
    if model := _ask_for_model():
        _run(settings.model_copy(update={"model": model}))


def _fine_tune_only(settings: Settings) -> None:
    model = _ask_for_model()
    documents = console.ask_documents() if model else None
    if documents:
        chosen = {"model": model, "fine_tune_only": True, "fine_tune_dataset": (documents,)}
        _run(settings.model_copy(update=chosen))


def _resume(settings: Settings) -> None:
    if run := _ask_for_run(settings, "Which run?", lambda _: True):
        _run(settings_of(run))


def _examine(settings: Settings) -> None:
    if model := _ask_for_model():
        with loaded() as work:
            work.examine(settings.model_copy(update={"model": model}))


def _export(settings: Settings) -> None:
    if run := _ask_for_run(settings, "Which run's model?", lambda run: run.stage() == "finished"):
        with loaded() as work:
            work.ResultMenu(settings_of(run)).show()


def _run(settings: Settings) -> None:
    console.note(f"The same without a menu: {shown_command(settings)}")
    with loaded() as work:
        work.run(settings)
        work.ResultMenu(settings).show()


def _ask_for_model() -> str | None:
    return console.ask(MODEL, "MODEL", default="demo")


def _ask_for_run(settings: Settings, question: str, is_offered: Callable[[RunFolder], bool]) -> RunFolder | None:
    folders = {Path(settings.finetuning_output_dir), Path(DEFAULT_OUTPUT_DIR)}
    found = {_described(run): run for folder in sorted(folders) for run in runs_in(folder) if is_offered(run)}
    if not found:
        raise UsageError(f"There is no such run in {' or '.join(map(str, sorted(folders)))}.")
    chosen = console.select(question, list(found), next(iter(found)), "--finetuning-output-dir", False)
    return found[chosen] if chosen else None


def _described(run: RunFolder) -> str:
    begun = datetime.fromtimestamp((run.path / "run.toml").stat().st_mtime, UTC).astimezone()
    scores = report.summary(run.load_json("scorecard.json")) if run.has("scorecard.json") else ""
    return f"{run.path.name}  {begun:%Y-%m-%d %H:%M}  {run.stage()}  {scores}".rstrip()
