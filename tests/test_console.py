"""The terminal: all is printed as it is, results and remarks apart, and nothing waits where nobody can answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from blasphemer import console
from blasphemer.errors import UsageError

HARD = "[/INST] [x] [bold]no[/bold] :smile: {{a}} https://a.b [link=x]y[/link] \\[z]"


def test_text_that_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall 22."""
    console.say(HARD)
    console.note(HARD)
    console.warn(HARD)
    console.fail(HARD)
    printed = capsys.readouterr()
    assert printed.out == f"{HARD}\n"
    assert printed.err == f"{HARD}\nWarning: {HARD}\nError: {HARD}\n"


def test_tables_and_marked_texts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall 22."""
    console.table("[title]", ["[a]", "[/b]"], [["[/INST] :x:", "[1]"]])
    console.say(console.highlight([("[INST] who? [/INST]", False), ("[x]</s>", True)]))
    printed = capsys.readouterr().out
    for text in ("[title]", "[a]", "[/b]", "[/INST] :x:", "[1]", "[INST] who? [/INST]«[x]</s>»"):
        assert text in printed


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_what_an_encoding_lacks_is_spelled_out() -> None:
    script = "from blasphemer import console; console.say('東京 \\udce9 é'); console.fail('東')"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=True)
    assert run.stdout == b"\\u6771\\u4eac \\udce9 \xe9\n"
    assert run.stderr == b"Error: \\u6771\n"


def test_a_question_without_a_terminal_names_the_setting_that_answers_it() -> None:
    """Pitfall 21."""
    with pytest.raises(UsageError, match=r"^Continue\? .*answer with --yes\.$"):
        console.confirm("Continue?", "--yes", answered=False)


def test_a_question_that_is_answered_beforehand_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall 21."""
    assert console.confirm("Continue?", "--yes", answered=True) is True
    assert capsys.readouterr() == ("", "")


def test_progress_without_a_terminal_is_said_in_lines_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0)
    with console.progress("[training]", 4) as advance:
        advance()
        advance(2, note="loss [1]")
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first.startswith("[training]: 1/4, ")
    assert second.startswith("[training]: 3/4, ")
    assert second.endswith(" s left  loss [1]")


def test_what_is_done_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("reading", 1000) as advance:
        for _ in range(1000):
            advance()
    assert capsys.readouterr() == ("", "")


def test_work_that_brings_nothing_to_an_end_is_not_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.05)
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LOOKS", 0.01)
    with console.progress("reading a long page", 1):
        time.sleep(0.3)
    assert capsys.readouterr().err.count("reading a long page: 0/1") >= 2


def test_what_was_done_before_tells_nothing_of_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LOOKS", 1000)
    with console.progress("training", 300, done=298) as advance:
        advance(1)
    assert "training: 299/300, 10 s left" in capsys.readouterr().err


def test_progress_on_a_terminal_prints_hard_text_too() -> None:
    """Pitfall 22."""
    script = (
        "from blasphemer import console\n"
        "with console.progress('[/INST]', 2) as advance:\n"
        "    advance(2, note='[x] [/y]')\n"
    )
    environment = {
        **os.environ,
        "FORCE_COLOR": "1",
        "TERM": "xterm",
        "COLUMNS": "100",
    }  # rich then takes stderr for a terminal
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout == ""
    assert "[/INST]" in run.stderr
    assert "2/2" in run.stderr
    assert "[x] [/y]" in run.stderr


def test_a_document_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("red: \x1b[31m, bell: \x07\ngoes on")
    assert capsys.readouterr().out == "red: \\x1b[31m, bell: \\x07\ngoes on\n"
