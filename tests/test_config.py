"""Settings: one home for each, four ways to say it, and every mistake answered before anything runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blasphemer.command_line import command_line, load_settings
from blasphemer.config import PLANNED, Settings, default_toml
from blasphemer.errors import SettingsError

ROOT = Path(__file__).parents[1]

# What earlier users of this program know, by name and default.
DOCUMENTED = {
    "enable_finetuning": False,
    "fine_tune_only": False,
    "lora_rank": 16,
    "lora_alpha": 32,
    "learning_rate": 2e-4,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "gradient_accumulation_steps": 8,
    "warmup_ratio": 0.1,
    "max_seq_length": 2048,
    "chunk_size": 1024,
    "chunk_overlap": 128,
    "validation_split": 0.1,
    "save_steps": 100,
    "save_total_limit": 3,
    "finetuning_output_dir": ".blasphemer_finetuning",
    "merge_lora": True,
    "test_after_training": True,
    "fine_tune_dataset": (),
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("BLASPHEMER_"):
            monkeypatch.delenv(name)


def problems(*argv: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(argv)
    return caught.value.problems


def values(settings: Settings) -> dict[str, Any]:
    return settings.model_dump()


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("M", {"model": "M"}),
        ("M --fine-tune-dataset D", {"model": "M", "fine_tune_dataset": ("D",)}),
        (
            "M --fine-tune-only --fine-tune-dataset D",
            {"model": "M", "fine_tune_only": True, "fine_tune_dataset": ("D",)},
        ),
        (
            "M --fine-tune-dataset D --lora-rank 32 --num-train-epochs 5 --learning-rate 1e-4",
            {
                "model": "M",
                "fine_tune_dataset": ("D",),
                "lora_rank": 32,
                "num_train_epochs": 5.0,
                "learning_rate": 1e-4,
            },
        ),
        (
            "--fine-tune-only --lora-rank 32 --fine-tune-dataset D M",
            {"model": "M", "fine_tune_only": True, "lora_rank": 32, "fine_tune_dataset": ("D",)},
        ),
    ],
)
def test_each_documented_command_is_understood(command: str, said: dict[str, Any]) -> None:
    """Pitfall 5."""
    settings = load_settings(command.split())
    if "fine_tune_dataset" in said:
        said = {**said, "enable_finetuning": True}
    assert values(settings) == values(load_settings([])) | said
    assert settings.model_fields_set == set(said)


@pytest.mark.parametrize("name", [name for name, default in DOCUMENTED.items() if isinstance(default, bool)])
def test_every_switch_has_a_form_for_on_and_off(name: str) -> None:
    """Pitfall 5."""
    flag = name.replace("_", "-")
    assert getattr(load_settings(["M", f"--{flag}"]), name) is True
    assert getattr(load_settings([f"--no-{flag}", "M"]), name) is False


def test_a_dataset_may_be_given_more_than_once() -> None:
    assert load_settings(["--fine-tune-dataset", "a", "M", "--fine-tune-dataset", "b"]).fine_tune_dataset == ("a", "b")


def test_target_modules_are_names_between_commas() -> None:
    assert load_settings(["--lora-target-modules", "q_proj, v_proj"]).lora_target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(("said", "tokens"), [("quick", 10), ("standard", 50), ("deep", 350), ("2.5", 2.5)])
def test_study_is_a_name_or_a_number(said: str, tokens: float) -> None:
    assert load_settings(["--study", said]).study_tokens_per_source_token == tokens


def test_help_comes_at_once_and_loads_no_torch() -> None:
    script = (
        "import sys, blasphemer.main\n"
        "try: blasphemer.main.main(['--help'])\n"
        "finally: print(sorted({'torch', 'transformers', 'peft', 'datasets'} & set(sys.modules)), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
        assert run.stderr == "[]\n"
        assert all(f"--{name.replace('_', '-')}" in run.stdout for name in Settings.model_fields if name != "model")
    assert min(seconds) < 1.5  # 0.4 s measured


# --- four sources ----------------------------------------------------------------------------------------------------


def test_flags_win_over_the_environment_over_the_file_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text("lora_rank = 2\nlora_alpha = 2\nseed = 2\n", encoding="utf-8")
    monkeypatch.setenv("BLASPHEMER_LORA_RANK", "3")
    monkeypatch.setenv("BLASPHEMER_LORA_ALPHA", "3")
    settings = load_settings(["--lora-rank", "4"])
    assert (settings.lora_rank, settings.lora_alpha, settings.seed, settings.save_steps) == (4, 3, 2, 100)


def test_a_named_file_is_read_in_place_of_the_one_that_lies_here() -> None:
    Path("config.toml").write_text("lora_rank = 2\n", encoding="utf-8")
    Path("mine.toml").write_text('seed = 7\nfine_tune_dataset = ["a", "b"]\n', encoding="utf-8")
    settings = load_settings(["M", "--config", "mine.toml"])
    assert (settings.seed, settings.fine_tune_dataset, settings.lora_rank) == (7, ("a", "b"), 16)


def test_a_single_dataset_needs_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text('fine_tune_dataset = "notes"\n', encoding="utf-8")
    assert load_settings([]).fine_tune_dataset == ("notes",)
    monkeypatch.setenv("BLASPHEMER_FINE_TUNE_DATASET", "more")
    assert load_settings([]).fine_tune_dataset == ("more",)
    monkeypatch.setenv("BLASPHEMER_FINE_TUNE_DATASET", '["a", "b"]')
    assert load_settings([]).fine_tune_dataset == ("a", "b")


def test_study_may_be_a_number_in_the_file() -> None:
    Path("config.toml").write_text("study = 20\n", encoding="utf-8")
    assert load_settings([]).study_tokens_per_source_token == 20


@pytest.mark.parametrize("name", PLANNED)
def test_a_planned_setting_is_chosen_only_where_the_user_says_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(load_settings([]), name)
    assert load_settings([]).chosen(name) is None
    assert load_settings([f"--{name.replace('_', '-')}", str(default)]).chosen(name) == default
    Path("config.toml").write_text(f"{name} = {default}\n", encoding="utf-8")
    assert load_settings([]).chosen(name) == default
    Path("config.toml").unlink()
    monkeypatch.setenv(f"BLASPHEMER_{name.upper()}", str(default))
    assert load_settings([]).chosen(name) == default


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings([]).seed = 1


# --- defaults --------------------------------------------------------------------------------------------------------


def test_every_documented_setting_is_there_with_its_default() -> None:
    assert {name: getattr(load_settings([]), name) for name in DOCUMENTED} == DOCUMENTED


def test_config_default_toml_is_what_the_settings_say() -> None:
    assert (ROOT / "config.default.toml").read_text(encoding="utf-8") == default_toml()


def test_config_default_toml_used_as_it_is_changes_nothing() -> None:
    """Pitfall 6."""
    settings = load_settings(["--config", str(ROOT / "config.default.toml")])
    assert values(settings) == values(load_settings([]))
    assert [settings.chosen(name) for name in PLANNED] == [None] * len(PLANNED)


def test_config_default_toml_names_every_setting_and_each_may_be_uncommented() -> None:
    """Pitfall 6."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    lines = [line.removeprefix("# ") for line in default_toml().splitlines()]
    named = {line.split(" = ")[0]: line for line in lines if line.split(" = ")[0] in defaults}
    assert named.keys() == defaults.keys()
    unset = {name for name, default in defaults.items() if default is None}  # TOML cannot say that
    Path("config.toml").write_text("\n".join(named[name] for name in named if name not in unset), encoding="utf-8")
    assert dict(load_settings([])) == defaults


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text("lora_rnak = 8\nwarmup_ratio = 2\n", encoding="utf-8")
    monkeypatch.setenv("BLASPHEMER_LORA_ALHPA", "1")
    monkeypatch.setenv("BLASPHEMER_SAVE_STEPS", "0")
    found = problems("M", "--merge-lroa", "--lora-dropout", "much", "N")
    assert sorted(found) == [
        "--merge-lroa: unknown flag; did you mean --merge-lora?",
        "BLASPHEMER_LORA_ALHPA: unknown environment variable; did you mean BLASPHEMER_LORA_ALPHA?",
        "N: unexpected argument (only MODEL stands without a flag)",
        "config.toml: lora_rnak: unknown setting; did you mean lora_rank?",
        "lora_dropout = much: should be a valid number, unable to parse string as a number",
        "save_steps = 0: should be greater than or equal to 1",
        "warmup_ratio = 2: should be less than or equal to 1",
    ]


def test_a_key_below_a_table_header_is_refused_and_the_table_named() -> None:
    """Pitfall 6."""
    Path("config.toml").write_text("seed = 1\n[finetuning]\nlora_rank = 8\n", encoding="utf-8")
    assert problems("M") == [
        "config.toml: table [finetuning]: settings stand at the top level, above any [table] header"
    ]


@pytest.mark.parametrize("overlap", ["64", "65"])
def test_an_overlap_as_long_as_the_passage_is_refused(overlap: str) -> None:
    """Pitfall 11."""
    found = problems("M", "--chunk-size", "64", "--chunk-overlap", overlap)
    assert found == [f"chunk_overlap = {overlap}: must be smaller than chunk_size = 64"]


@pytest.mark.parametrize("number", ["inf", "nan", "-1", "0"])
def test_epochs_are_a_number_that_ends(number: str) -> None:
    assert len(problems("M", "--num-train-epochs", number)) == 1


@pytest.mark.parametrize("said", ["often", "0", "-2", "nan", "inf"])
def test_a_study_that_is_neither_is_refused(said: str) -> None:
    assert problems("M", "--study", said) == [f"study = {said}: must be quick, standard, deep or a number above 0"]


def test_only_switches_are_suggested_with_no() -> None:
    assert problems("M", "--no-lora-rank") == ["--no-lora-rank: unknown flag; did you mean --lora-rank?"]


def test_a_flag_is_never_taken_for_a_longer_one() -> None:
    assert problems("M", "--fine-tune", "x")[0].startswith("--fine-tune: unknown flag; did you mean --fine-tune-")


def test_a_flag_without_its_value_is_named() -> None:
    assert problems("M", "--lora-rank") == ["argument --lora-rank: expected one argument"]


def test_a_missing_settings_file_is_named() -> None:
    assert problems("M", "--config", "nowhere.toml") == ["nowhere.toml: no such settings file"]


def test_a_settings_file_that_is_not_toml_is_named_with_the_line() -> None:
    Path("config.toml").write_text("seed = 1\nlora_rank = = 2\n", encoding="utf-8")
    (found,) = problems("M")
    assert found.startswith("config.toml: ")
    assert "line 2" in found


@pytest.mark.parametrize(
    "words",
    [
        "M",
        "demo --fine-tune-dataset 'my notes' --fine-tune-dataset b.md --fine-tune-only --no-merge-lora",
        "demo --n-trials 7 --trial 3 --num-train-epochs 3 --lora-target-modules q_proj,v_proj --system-prompt ''",
        'demo --good-prompts a.txt --bad-prompts \'{"dataset": "o/n", "split": "train", "column": "text"}\'',
        'demo --max-memory \'{"0": "20GB"}\' --exam-file q.csv',
        "demo --refusal-markers sorry,cannot",
        "demo --fine-tune-dataset docs --no-enable-finetuning",
    ],
)
def test_settings_name_the_command_that_means_them(words: str) -> None:
    settings = load_settings(shlex.split(words))
    again = load_settings(command_line(settings)[1:])
    assert again == settings
    assert {name for name in PLANNED if settings.chosen(name)} == {name for name in PLANNED if again.chosen(name)}
