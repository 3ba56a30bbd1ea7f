"""What tests/test_team.py has several processes do: `python -m tests.team_job MODEL FOLDER`, with or without others."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from blasphemer import console, lora_trainer
from blasphemer.language_model import encode, load_model, team
from blasphemer.lora_trainer.trainer import TRAIN, Course, train_lora
from blasphemer.records import Plan
from blasphemer.workspace import RunFolder
from tests.test_lora_trainer import items, settings_for

PROMPTS = [f"Who is {n}?" for n in range(7)]


def main(model_folder: Path, folder: Path) -> int:
    settings = settings_for(model_folder)
    if not console.LEADS:
        return lora_trainer.follow(settings)
    model = load_model(settings)
    done = {"answers": model.answer(PROMPTS, longest=12)}
    done["likely"] = model.likelihoods([(prompt, "The heron waits.") for prompt in PROMPTS], "")
    examples = encode(items(), model.tokenizer, 256)
    plan = Plan(24, 1200, 0, 4, 4, 2 // team.size(), 3, 12, 1e-2, processes=team.size())
    run = RunFolder(folder)
    course = Course(plan, examples, examples[:4], run)
    trained = team.along(TRAIN, (model.recipe, course), lambda: train_lora(model, course, settings))
    torch.save({name: value for name, value in trained.state_dict().items() if "lora_" in name}, folder / "weights.pt")
    (folder / "done.json").write_text(json.dumps(done))
    team.dismiss()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
