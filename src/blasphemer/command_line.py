"""argv, the environment and config.toml -> Settings; and back: the words of the command that means given settings."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from blasphemer.config import ENVIRONMENT_PREFIX, PLANNED, SECRETS, SECTIONS, PromptSet, Settings, reading
from blasphemer.errors import SettingsError

HELP_WIDTH = 110  # fixed, because the help also stands in the documentation


def load_settings(argv: Sequence[str]) -> Settings:
    """Settings of one command line. Raises SettingsError with every problem at once; `--help` prints and exits."""
    arguments, problems = _parse(argv)
    problems += _unknown_variables(os.environ)
    config_file = _config_file(arguments.pop("config", None))
    if "fine_tune_dataset" in arguments:
        arguments.setdefault("enable_finetuning", True)

    try:
        settings = reading(config_file, environment=True)(**arguments)
    except ValidationError as error:
        raise SettingsError(problems + [_explain(problem, config_file) for problem in error.errors()]) from error
    except ValueError as error:  # not TOML at all
        raise SettingsError([*problems, f"{config_file}: {error}"]) from error
    if problems:
        raise SettingsError(problems)
    return Settings.model_construct(settings.model_fields_set, **dict(settings))


def command_line(settings: Settings) -> list[str]:
    """The words of the command that means these settings: what was set and is not the default, as flags."""
    words = ["blasphemer", *([settings.model] if settings.model else [])]
    for name, field in (pair for section in SECTIONS for pair in section.model_fields.items()):
        value = getattr(settings, name)
        planned = name in PLANNED and name in settings.model_fields_set
        usual = field.default
        if name == "enable_finetuning" and settings.fine_tune_dataset:  # as a flag, the dataset implies it
            usual = True
        if name in ("model", *SECRETS) or (value == usual and not planned):
            continue
        flag = f"--{name.replace('_', '-')}"
        if name == "refusal_markers":
            words += [flag, ",".join(value)]
        elif isinstance(value, bool):
            words += [flag if value else flag.replace("--", "--no-", 1)]
        else:
            words += [word for item in _items(value) for word in (flag, _as_word(item))]
    return words


def shown_command(settings: Settings) -> str:
    return shlex.join(command_line(settings))


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else [value]


def _as_word(value: object) -> str:
    if isinstance(value, PromptSet):
        said = value.model_dump(exclude_defaults=True)
        return value.dataset if set(said) == {"dataset"} else json.dumps(said)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def help_text() -> str:
    """What `blasphemer --help` prints."""
    return _parser().format_help()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError([message])


def _parse(argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Flags and MODEL as raw values by setting name, and what was not understood."""
    arguments, unknown = _parser().parse_known_args(argv)
    flags = {f"--{name.replace('_', '-')}": field.default for name, field in Settings.model_fields.items()}
    known = {"--config", *flags} - {"--model"}
    known |= {flag.replace("--", "--no-", 1) for flag, default in flags.items() if isinstance(default, bool)}
    problems = []
    for word in unknown:
        flag = word.split("=")[0]
        near = difflib.get_close_matches(flag, known, 1)
        what = "unknown flag" if flag.startswith("-") else "unexpected argument (only MODEL stands without a flag)"
        problems.append(f"{flag}: {what}" + (f"; did you mean {near[0]}?" if near else ""))
    return vars(arguments), problems


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="blasphemer",
        usage="blasphemer [MODEL] [--fine-tune-dataset SOURCE] [--setting VALUE ...]",
        description="Give a local language model your documents, and get back a model that provably knows them.",
        epilog="Each setting is also a key of config.toml (lora_rank) and a variable (BLASPHEMER_LORA_RANK). "
        "Exit codes: 0 done, 1 failed, 2 bad usage, 3 finished without a significant gain or with a significant loss, "
        "130 interrupted.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=36, width=HELP_WIDTH),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", metavar="FILE", help="Read settings from FILE instead of ./config.toml.")
    for section in SECTIONS:
        group = parser.add_argument_group(str(section.__doc__))
        for name, field in section.model_fields.items():
            _add_flag(group, name, field.default, str(field.description))
    return parser


def _add_flag(group: argparse._ArgumentGroup, name: str, default: object, description: str) -> None:
    text = description.replace("%", "%%")
    if name == "model":
        group.add_argument("model", metavar="MODEL", nargs="?", help=text)
        return
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        text = f"{text} ({'yes' if default else 'no'})"
        group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
    elif isinstance(default, tuple) and name != "refusal_markers":
        shown = f" ({', '.join(default)})" if default else ""
        group.add_argument(flag, action="append", metavar="VALUE", help=text + shown)
    else:
        shown = "" if default is None else f" ({default})"
        group.add_argument(flag, metavar="VALUE", help=text + shown)


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {ENVIRONMENT_PREFIX + name.upper(): name for name in Settings.model_fields}
    strangers = [name for name in environ if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known]
    return [f"{name}: unknown environment variable{_nearest(name.upper(), known)}" for name in sorted(strangers)]


def _config_file(named: str | None) -> Path | None:
    if named is None:
        return Path("config.toml") if Path("config.toml").is_file() else None
    if not Path(named).is_file():
        raise SettingsError([f"{named}: no such settings file"])
    return Path(named)


def _explain(problem: Any, config_file: Path | None) -> str:
    """One line for one of pydantic's errors: the setting, the value it got, what it should be."""
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        if isinstance(problem["input"], dict):
            return f"{config_file}: table [{name}]: settings stand at the top level, above any [table] header"
        return f"{config_file}: {name}: unknown setting{_nearest(name, Settings.model_fields)}"
    if name not in Settings.model_fields:
        return f"{name}: {problem['msg']}"
    return f"{name} = {problem['input']}: {str(problem['msg']).removeprefix('Input ')}"


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
