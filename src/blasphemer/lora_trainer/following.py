"""What the processes of a job do that do not lead: write, weigh and train along as the first one asks."""

from __future__ import annotations

from typing import Any

import torch

from blasphemer.config import Settings
from blasphemer.language_model import WEIGH, WRITE, LanguageModel, Recipe, Writing, load_model, team
from blasphemer.lora_trainer.trainer import TRAIN, Course, train_lora


def follow(settings: Settings) -> int:
    """Do as the first process asks, until it lets this one go. Returns 0."""
    follower = _Follower(settings)
    team.follow({WRITE: follower.write, WEIGH: follower.weigh, TRAIN: follower.train})
    return 0


class _Follower:
    """Holds the model that was last asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model = load_model(settings)

    def write(self, given: Writing, rows: Any) -> Any:
        torch.manual_seed(given.seed + team.rank())
        return self._model(given.recipe).write_on(rows, given.stops, given.sampling, given.cut_loops)

    def weigh(self, recipe: Recipe, pairs: Any) -> list[float]:
        return self._model(recipe).weigh(pairs)

    def train(self, told: tuple[Recipe, Course], _: None) -> None:
        recipe, course = told
        model = self._model(recipe)
        model.write_in()
        train_lora(model, course, self.settings)
        model.release()

    def _model(self, recipe: Recipe) -> LanguageModel:
        if self.model.weights is None or self.model.recipe != recipe:
            self.model.release()
            self.model = self.model.made_as(recipe)
        return self.model
