"""argv -> Settings -> action; errors -> one line and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from blasphemer import console
from blasphemer.command_line import load_settings
from blasphemer.config import Settings
from blasphemer.errors import BlasphemerError, Interrupted, SettingsError, UsageError, is_full_disk, is_out_of_memory
from blasphemer.menus import loaded, start
from blasphemer.workspace import run_path

NO_MODEL = "Which model? Give a folder or hub name: blasphemer MODEL --fine-tune-only --fine-tune-dataset SOURCE"
OUT_OF_MEMORY = (
    "The memory is full. Try --per-device-train-batch-size 1, --gradient-checkpointing, a smaller --batch-size "
    "or --max-seq-length."
)
NO_DOCUMENTS = "Which documents? Give a file or folder with --fine-tune-dataset SOURCE."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only bugs of ours end in a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    settings: Settings | None = None
    try:
        settings = load_settings(words)
        return _act(settings)
    except SettingsError as error:
        for problem in error.problems:
            console.fail(problem)
        console.note("blasphemer --help lists every setting.")
        return error.exit_code
    except (KeyboardInterrupt, Interrupted) as error:
        again = shlex.join(["blasphemer", *(word for word in words if word != "--overwrite")])
        console.fail(f"{str(error) or 'Interrupted.'} The same command goes on from there: {again}")
        return Interrupted.exit_code
    except BlasphemerError as error:
        console.fail(str(error))
        return error.exit_code
    except Exception as error:
        if is_out_of_memory(error):
            console.fail(f"{OUT_OF_MEMORY} ({str(error).strip().partition(chr(10))[0]})")
            return 1
        if not is_full_disk(error):
            raise
        where = run_path(settings) if settings else Path.cwd()
        console.fail(f"{where}: no space left to write. Free some; the same command then goes on where it stopped.")
        return 1


def _act(settings: Settings) -> int:
    if not settings.model and console.is_interactive() and console.LEADS:
        return start(settings)
    if not settings.model:
        raise UsageError(NO_MODEL)
    if settings.wants_fine_tuning and not settings.fine_tune_dataset:
        raise UsageError(NO_DOCUMENTS)
    with loaded() as work:
        if not console.LEADS:
            return int(work.follow(settings))
        return int(work.examine_only(settings) if settings.exam_only else work.run_and_stay(settings))
