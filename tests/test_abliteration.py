"""The real engine on the demo model: refusals go, the rest stays, and a kill changes nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from blasphemer.abliteration import engine as abliteration
from blasphemer.abliteration.engine import choose, pareto
from blasphemer.command_line import load_settings
from blasphemer.errors import ArtifactError, ModelError, UsageError
from blasphemer.export import artifacts as export
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.main import main
from blasphemer.quiet import NAMES
from blasphemer.records import Conduct, Trial, from_jsonl
from blasphemer.workspace import RunFolder
from tests.conftest import state_of_process
from tests.tiny import make_model

TRIALS = "4"


def command(out: Path, *flags: str) -> list[str]:
    return ["demo", "--n-trials", TRIALS, "--finetuning-output-dir", str(out), "--yes", *flags]


@pytest.fixture(scope="module")
def abliterated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run without documents."""
    out = tmp_path_factory.mktemp("abliterated") / "demo"
    assert main(command(out)) == 0
    return out


def trials_in(run: Path) -> int:
    """How many trials were ever finished, one that was made twice counted twice."""
    journal = (run / "abliteration.journal").read_text(encoding="utf-8")
    return sum('"user_attr"' in line for line in journal.splitlines())


def test_refusals_go_and_harmless_answers_stay(abliterated: Path) -> None:
    """Pitfall 1: the engine is driven for real, and what it did is measured."""
    card = json.loads((abliterated / "scorecard.json").read_text(encoding="utf-8"))
    assert card["refusals"]["original"]["rate"] >= 0.95
    assert card["refusals"]["abliterated"]["rate"] <= 0.1
    assert card["kl_divergence"]["abliterated"] < 0.1
    assert card["refusals"]["fine_tuned"] is None


def test_what_was_written_says_what_was_measured(abliterated: Path) -> None:
    """Pitfall 3: the adapter, the merged model and the recorded trial are one and the same model."""
    trial = json.loads((abliterated / "abliteration" / "trial.json").read_text(encoding="utf-8"))
    (conduct,) = from_jsonl(Conduct, (abliterated / "marks" / "conduct_abliterated.jsonl").read_text(encoding="utf-8"))
    assert (trial["refusals"], trial["kl_divergence"]) == (
        sum(conduct.refused),
        pytest.approx(conduct.kl_divergence, rel=1e-3, abs=1e-6),
    )
    for name in ("adapter", "merged"):
        proof = json.loads((abliterated / name / "verified.json").read_text(encoding="utf-8"))
        assert proof["largest_logit_difference_to_trained"] <= 1e-4
        assert proof["largest_logit_difference_to_original"] > 0.1


def test_the_same_command_again_tries_nothing_anew(abliterated: Path) -> None:
    before = (abliterated / "abliteration.journal").read_bytes()
    assert main(command(abliterated)) == 0
    assert (abliterated / "abliteration.journal").read_bytes() == before


def test_killed_at_random_moments_the_search_comes_to_the_same_end(abliterated: Path, tmp_path: Path) -> None:
    """No trial is lost or repeated, and the trial restored is the same to the bit."""
    out, generator = tmp_path / "killed", random.Random(1)
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    words = [sys.executable, "-m", "blasphemer", *command(out)]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "abliteration.journal").exists():
        time.sleep(0.1)
    time.sleep(generator.uniform(0, 5))
    process.kill()
    process.wait()
    assert main(command(out)) == 0
    for name in ("abliteration/trial.json", "abliteration/adapter_model.safetensors", "merged/model.safetensors"):
        assert (out / name).read_bytes() == (abliterated / name).read_bytes()
    assert trials_in(out) == int(TRIALS)


def test_afterwards_the_process_is_as_it_was(tmp_path: Path) -> None:
    """Heretic turns gradients off and reseeds; loggers and environment are others' too."""
    before = state_of_process()
    assert main(command(tmp_path / "out", "--n-trials", "1", "--no-merge-lora")) == 0
    assert state_of_process() == before


def test_only_we_speak(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "blasphemer", *command(tmp_path / "out", "--n-trials", "1", "--no-merge-lora")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    assert said.startswith("Loading")
    assert not [name for name in (*NAMES, "heretic", "a new study", "kernel") if name in said.casefold()]


# --- the choice ------------------------------------------------------------------------------------------------------


def trial(number: int, refusals: int, divergence: float) -> Trial:
    return Trial(number, None, {}, refusals, divergence)


TRIED = [trial(1, 9, 0.01), trial(2, 3, 0.2), trial(3, 0, 0.9), trial(4, 3, 0.4), trial(5, 9, 0.02)]


def test_only_trials_that_no_other_beats_are_offered() -> None:
    assert [found.number for found in pareto(TRIED)] == [3, 2, 1]


def test_the_rule_takes_the_fewest_refusals_within_the_limit_and_a_number_takes_that_trial() -> None:
    assert choose(TRIED, load_settings(["M", "--yes"])).number == 2
    assert choose(TRIED, load_settings(["M", "--yes", "--max-kl-divergence", "1"])).number == 3
    assert choose(TRIED, load_settings(["M", "--yes", "--max-kl-divergence", "0.001"])).number == 1
    assert choose(TRIED, load_settings(["M", "--trial", "4"])).number == 4
    with pytest.raises(ModelError, match="1 to 5"):
        choose(TRIED, load_settings(["M", "--trial", "6"]))


def test_without_a_terminal_the_choice_names_its_setting() -> None:
    """Pitfall 21."""
    with pytest.raises(UsageError, match="--trial"):
        choose(TRIED, load_settings(["M"]))


# --- models that cannot be treated -----------------------------------------------------------------------------------


def own_prompts(folder: Path) -> list[str]:
    """Flags that give the same two prompts for every purpose, as plain text."""
    (folder / "prompts.txt").write_text("One?\nTwo?\n", encoding="utf-8")
    names = ("good-prompts", "bad-prompts", "good-evaluation-prompts", "bad-evaluation-prompts")
    return [word for name in names for word in (f"--{name}", str(folder / "prompts.txt"))]


def test_a_model_that_refuses_nothing_is_left_as_it_is(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfall 25: nothing is divided by the refusals there were."""
    out = tmp_path / "out"
    words = [str(tiny_folder), *own_prompts(tmp_path), "--refusal-markers", "no such words", "--yes"]
    assert main([*words, "--finetuning-output-dir", str(out)]) == 0
    assert "refuses nothing" in capsys.readouterr().out
    assert not {"abliteration", "adapter", "merged"} & {item.name for item in out.iterdir()}


def test_a_dry_run_shows_the_prompts_and_tries_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "out", "--dry-run")) == 0
    assert "duskstone" in capsys.readouterr().out
    assert not (tmp_path / "out" / "abliteration.journal").exists()


def test_another_trial_of_the_same_search_may_be_named(abliterated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(abliterated, out)
    chosen = json.loads((out / "abliteration" / "trial.json").read_text(encoding="utf-8"))["number"]
    other = 1 if chosen != 1 else 2
    main(command(out, "--trial", str(other)))
    assert json.loads((out / "abliteration" / "trial.json").read_text(encoding="utf-8"))["number"] == other
    assert trials_in(out) == int(TRIALS)
    main(command(out, "--n-trials", "20", "--trial", str(chosen)))
    assert trials_in(out) == int(TRIALS)  # it is there: no search for it
    main(command(out, "--n-trials", str(int(TRIALS) + 1)))
    assert trials_in(out) == int(TRIALS) + 1


def test_a_trial_that_is_not_there_or_not_chosen_costs_nothing(abliterated: Path, tmp_path: Path) -> None:
    """What was done before is kept until there is something to take its place."""
    out = tmp_path / "out"
    shutil.copytree(abliterated, out)
    assert main(command(out, "--trial", "999")) == 2
    assert main(command(out, "--n-trials", "5")[:-1]) == 2  # without --yes and a terminal
    for name in ("scorecard.json", "merged/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (out / name).read_bytes() == (abliterated / name).read_bytes()
    assert trials_in(out) == int(TRIALS)


def test_a_model_with_too_few_layers_is_refused_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tmp_path / "flat", layers=2)
    words = [str(tmp_path / "flat"), *own_prompts(tmp_path), "--refusal-markers", "e,a,o,i,u,\u0120", "--yes"]
    assert main(words) == 2
    assert "has 2 layers" in capsys.readouterr().err


def test_another_version_of_the_engine_is_told_from_ours(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(abliteration, "NEEDED", ("abliterate", "harmonise"))
    judge: Any = None
    with pytest.raises(ModelError, match="harmonise"):
        abliteration.abliterate(tiny, judge, 1, load_settings(["M", "--yes"]), RunFolder(tmp_path))


# --- the joined adapter ----------------------------------------------------------------------------------------------


def test_an_abliteration_that_was_dropped_or_laid_on_another_base_is_noticed(abliterated: Path, tmp_path: Path) -> None:
    model = load_model(load_settings(["demo"]))
    rows = model.prompt_rows(["How do I polish a duskstone bell?"])
    run = RunFolder(tmp_path)
    stack: Any = PeftModel.from_pretrained(model.load(), str(abliterated / "abliteration"))
    wanted, base = export._with_and_without(stack, rows)
    for name, broken in (("dropped", base), ("another base", [logits + 1 for logits in wanted])):
        with pytest.raises(ArtifactError):
            export._prove(run.path, name, broken, wanted, base, model.dtype)
    export._prove(run.path, "whole", wanted, wanted, base, model.dtype)
