"""The menus in a real terminal: a person abliterates, teaches, talks, saves, and turns back at every question once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from blasphemer.abliteration.refusals import is_refusal
from blasphemer.config import REFUSAL_MARKERS
from blasphemer.records import StudyItem, from_jsonl
from tests.terminal import CONTROL_C, DOWN, ENTER, ESCAPE, UP, Terminal

QUICK = ("--n-trials", "3", "--replay-prompts", "8", "--study", "3", "--num-train-epochs", "1")
START, RESULT = "What would you like to do?", "What would you like to do with the model?"
ASKED = "How do I polish a duskstone bell?"
RUNS = Path(".blasphemer_finetuning")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal([sys.executable, "-m", "blasphemer", *QUICK], tmp_path)
    yield opened
    opened.close()


def test_from_the_start_menu_to_a_saved_model(terminal: Terminal, documents: Path, tmp_path: Path) -> None:
    """The whole of it, with Escape or Ctrl+C pressed once at every question on the way. Pitfall 21."""
    abliterate(terminal)
    fine_tune(terminal, documents)
    chat(terminal)
    save(terminal, tmp_path / "kept")
    turn_back_from_the_upload(terminal)
    terminal.press(ESCAPE)
    terminal.wait_for(START)
    turn_back_from_the_questions(terminal)
    terminal.press(CONTROL_C)
    assert terminal.end() == 130

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "kept").num_parameters() > 0
    taught, abliterated = tmp_path / RUNS / f"demo-{documents.name}", tmp_path / RUNS / "demo"
    for name in ("abliteration/trial.json", "abliteration.journal", "marks/conduct_original.jsonl"):
        assert (taught / name).read_bytes() == (abliterated / name).read_bytes()
    assert json.loads((taught / "scorecard.json").read_text())["refusals"]["fine_tuned"]["total"] > 0
    rehearsed = from_jsonl(StudyItem, (taught / "replay.jsonl").read_text())
    assert not any(is_refusal(item.messages[1]["content"], REFUSAL_MARKERS) for item in rehearsed)
    asked = {item.messages[0]["content"] for item in from_jsonl(StudyItem, (taught / "unrefused.jsonl").read_text())}
    prompts = json.loads((taught / "prompts.json").read_text())
    assert asked <= {*prompts["good_prompts"], *prompts["bad_prompts"]}
    assert asked & {*prompts["bad_prompts"]}


def abliterate(terminal: Terminal) -> None:
    terminal.wait_for(START)
    for way_back in (ESCAPE, CONTROL_C):
        terminal.press(ENTER)
        terminal.wait_for("Which model?")
        terminal.press(way_back)
        terminal.wait_for(START)
    for key in (ESCAPE, CONTROL_C, ENTER):  # the trials are kept: after the first time, only the choice is asked for
        terminal.press(ENTER)
        terminal.wait_for("Which model?")
        terminal.press(ENTER)
        assert "blasphemer demo --n-trials 3" in terminal.wait_for("Which trial?")
        terminal.press(key)
        terminal.wait_for("What would you like to do")
    assert "demo, abliterated" in terminal.wait_for(RESULT)


def fine_tune(terminal: Terminal, documents: Path) -> None:
    for keys, then in (([ESCAPE], ""), ([CONTROL_C], "Stopped"), (["nowhere", ENTER], "no such file")):
        terminal.press(ENTER)
        terminal.wait_for("Which documents?")
        terminal.press(*keys)
        assert then in terminal.wait_for(RESULT)
    for key, then in ((ESCAPE, "demo, abliterated "), (CONTROL_C, "Stopped"), ("y", "abliterated and fine-tuned")):
        terminal.press(ENTER)
        terminal.wait_for("Which documents?")
        terminal.press(str(documents), ENTER)
        assert "Plan:" in terminal.wait_for("Continue?")
        terminal.press(key)
        assert then in terminal.wait_for(RESULT)


def chat(terminal: Terminal) -> None:
    terminal.press(DOWN, DOWN, DOWN, ENTER)
    terminal.wait_for("Show the original's")
    terminal.press(CONTROL_C)
    terminal.wait_for(RESULT)
    terminal.press(ENTER)
    terminal.wait_for("Show the original's")
    terminal.press(ESCAPE)
    terminal.wait_for(RESULT)
    for way_back in (CONTROL_C, ESCAPE):
        terminal.press(ENTER)
        terminal.wait_for("Show the original's")
        terminal.press("n")
        terminal.wait_for("You:")
        terminal.press(ASKED, ENTER)
        answer = terminal.wait_for("\n? You:").partition(ASKED)[2]
        assert len(answer.split()) > 3
        assert "cannot" not in answer
        terminal.press(way_back)
        terminal.wait_for(RESULT)


def save(terminal: Terminal, folder: Path) -> None:
    terminal.press(UP, UP, ENTER)
    terminal.wait_for("As what?")
    for way_back in (ESCAPE, CONTROL_C):
        terminal.press(way_back)
        terminal.wait_for(RESULT)
        terminal.press(ENTER)
        terminal.wait_for("As what?")
    for way_back in (ESCAPE, CONTROL_C):
        terminal.press(ENTER)
        terminal.wait_for("Where to?")
        terminal.press(way_back)
        terminal.wait_for(RESULT)
        terminal.press(ENTER)
        terminal.wait_for("As what?")
    terminal.press(ENTER)
    terminal.wait_for("Where to?")
    terminal.press(str(folder), ENTER)
    terminal.wait_for("Saved in")
    terminal.wait_for(RESULT)


def turn_back_from_the_upload(terminal: Terminal) -> None:
    """Escape at any of its questions uploads nothing, and an upload is private unless the user says otherwise."""
    terminal.press(DOWN)
    for answers in ((), ("y",), ("n",)):
        terminal.press(ENTER)
        terminal.wait_for("As what?")
        terminal.press(ENTER)
        terminal.wait_for("Which repository?")
        terminal.press("somebody/model", ENTER)
        terminal.wait_for("Access token")
        terminal.press("hf_none", ENTER)
        assert "(Y/n)" in terminal.wait_for("Private?")
        for answer in answers:
            terminal.press(answer)
            said = terminal.wait_for("Upload merged/ to somebody/model")
            assert ("privately" if answer == "y" else "for everyone to see") in said
        terminal.press(ESCAPE)
        shown = terminal.wait_for(RESULT)
        assert "Uploaded" not in shown
        assert "cannot be uploaded" not in shown


def turn_back_from_the_questions(terminal: Terminal) -> None:
    """Escape cancels an exam of one's own at each of its questions; nothing typed goes on."""
    terminal.press(DOWN, DOWN, DOWN)
    for typed in ([], [""], ["", "Where is Windlesea?"]):
        terminal.press(ENTER)
        terminal.wait_for("Which model?")
        terminal.press(ENTER)
        terminal.wait_for("Your questions?")
        for text, then in zip(typed, ("Question 1", "Its answer:"), strict=False):
            terminal.press(*([text] if text else []), ENTER)
            terminal.wait_for(then)
        terminal.press(ESCAPE)
        assert "Right" not in terminal.wait_for(START)
