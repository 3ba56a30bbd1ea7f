"""Settings + model -> abliteration/: a small adapter that takes a model's refusals away. The only importer of Heretic.

Heretic's engine finds the directions in which refused prompts differ from others and writes them out of the weights.
How strongly, and in which layers, is searched for by trials, each judged by the refusals that are left and by how far the
model has moved on harmless prompts. Loading, judging, searching and keeping are ours, so that all of it can be resumed,
and measured again after fine-tuning.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import Interrupted, ModelError
from blasphemer.model import LanguageModel
from blasphemer.records import Trial, from_json, to_json
from blasphemer.refusals import Judge
from blasphemer.workspace import RunFolder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as Draw

FEWEST_LAYERS = 3
JOURNAL = "abliteration.journal"
CANDIDATES = 128  # points that the sampler weighs for each trial
BATCH = 32  # prompts whose hidden states are read at once
NEEDED = ("abliterate", "get_abliterable_components", "get_layers", "get_residuals_mean", "reset_model", "_apply_lora")
PASSED_ON = ("row_normalization", "full_normalization_lora_rank", "winsorization_quantile")


def abliterate(model: LanguageModel, judge: Judge, refused: int, settings: Settings, run: RunFolder) -> None:
    """Search, choose a trial, and write abliteration/: the adapter, and trial.json with its parameters and scores.

    `refused` is how many prompts the original refuses. Its weights are as they were when this returns. Raises
    ModelError for a model that cannot be treated, Interrupted when it is stopped before the first trial is done.
    """
    with torch.no_grad(), torch.random.fork_rng(), _engine(model, settings) as engine:
        directions = _directions(engine, judge, settings)
        bench = _Bench(engine, directions, replace(model, weights=engine.model), judge)
        chosen = choose(_search(bench, refused, settings, run), settings)
        bench.apply(chosen.direction_index, chosen.parameters)
        with run.writing("abliteration") as folder:
            engine.model.save_pretrained(str(folder))
            RunFolder(folder).save_json("trial.json", to_json(chosen))


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in both refusals and divergence, fewest refusals first."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.refusals, trial.kl_divergence)):
        if not best or trial.kl_divergence < best[-1].kl_divergence:
            best.append(trial)
    return best


def choose(trials: Sequence[Trial], settings: Settings) -> Trial:
    """The trial that the user named, else the one with fewest refusals that moved the model no further than allowed."""
    if settings.trial is not None:
        found = [trial for trial in trials if trial.number == settings.trial]
        if not found:
            raise ModelError(f"trial = {settings.trial}: no such trial; there are 1 to {len(trials)}.")
        return found[0]
    return _best(trials, settings.max_kl_divergence)


def _best(trials: Sequence[Trial], most: float) -> Trial:
    best = pareto(trials)
    allowed = [trial for trial in best if trial.kl_divergence <= most]
    return allowed[0] if allowed else best[-1]


# --- the search ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bench:
    """What a trial is made and judged with."""

    engine: Any
    directions: torch.Tensor  # (layers + 1, hidden)
    model: LanguageModel
    judge: Judge

    def run(self, number: int, direction_index: float | None, parameters: dict[str, dict[str, float]]) -> Trial:
        self.apply(direction_index, parameters)
        conduct = self.judge.conduct(self.model)
        return Trial(number, direction_index, parameters, sum(conduct.refused), conduct.kl_divergence)

    def apply(self, direction_index: float | None, parameters: Mapping[str, Mapping[str, float]]) -> None:
        """Abliterate the model so, after taking off what was done before."""
        from heretic.model import AbliterationParameters

        self.engine.reset_model()
        weights = {name: AbliterationParameters(**values) for name, values in parameters.items()}
        self.engine.abliterate(self.directions, direction_index, weights)


def _search(bench: _Bench, refused: int, settings: Settings, run: RunFolder) -> list[Trial]:
    """The trials of this run: those in its journal, and new ones until there are n_trials. Ctrl+C ends it early."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(run.path / JOURNAL)))
    study = optuna.create_study(
        directions=["minimize", "minimize"], storage=storage, study_name="abliteration", load_if_exists=True
    )
    done = _finished(study)
    # Drawn trials that a kill left unfinished count for the seed: with the same one, their points would come again.
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=settings.n_startup_trials,
        n_ei_candidates=CANDIDATES,
        multivariate=True,
        seed=settings.seed + len(study.trials),
    )

    def objective(draw: Draw) -> tuple[float, float]:
        trial = bench.run(len(_finished(study)) + 1, *_drawn(draw, bench.engine))
        draw.set_user_attr("trial", to_json(trial))
        advance(note=_standing([*_finished(study), trial], settings))
        return _scores(trial, refused, settings)

    with console.progress("abliterating", settings.n_trials) as advance, contextlib.suppress(KeyboardInterrupt):
        advance(len(done))
        study.optimize(objective, n_trials=max(settings.n_trials - len(done), 0))
    done = _finished(study)
    if not done:
        raise Interrupted("Stopped before the first trial was done.")
    return done


def _finished(study: Study) -> list[Trial]:
    from optuna.trial import TrialState

    kept = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [from_json(Trial, trial.user_attrs["trial"]) for trial in kept]


def _drawn(draw: Draw, engine: Any) -> tuple[float | None, dict[str, dict[str, float]]]:
    """A point of Heretic's search space: one direction for all layers or each its own, and weights per component.

    A component's weight is greatest at one layer and falls off to both sides; see ENGINE in FINETUNING_DESIGN.md.
    """
    last = len(engine.get_layers()) - 1
    scope = draw.suggest_categorical("direction_scope", ["global", "per layer"])
    index = draw.suggest_float("direction_index", 0.4 * last, 0.9 * last)
    parameters = {}
    for name in engine.get_abliterable_components():
        most = draw.suggest_float(f"{name}.max_weight", 0.8, 1.5)
        parameters[name] = {
            "max_weight": most,
            "max_weight_position": draw.suggest_float(f"{name}.max_weight_position", 0.6 * last, 1.0 * last),
            "min_weight": most * draw.suggest_float(f"{name}.min_weight", 0.0, 1.0),
            "min_weight_distance": draw.suggest_float(f"{name}.min_weight_distance", 1.0, max(0.6 * last, 1.0)),
        }
    return (index if scope == "global" else None), parameters


def _scores(trial: Trial, refused: int, settings: Settings) -> tuple[float, float]:
    """What the sampler makes small: divergence, and the share of the original's refusals that is left.

    Below the target the divergence no longer counts, so that doing nothing is not worth exploring.
    """
    refusals = trial.refusals / max(refused, 1)
    near = trial.kl_divergence < settings.kl_divergence_target
    divergence = refusals * settings.kl_divergence_target if near else trial.kl_divergence
    return divergence / settings.kl_divergence_scale, refusals


def _standing(trials: Sequence[Trial], settings: Settings) -> str:
    best = _best(trials, settings.max_kl_divergence)
    return f"best: {best.refusals} refusals, KL {best.kl_divergence:.4f}"


# --- the engine ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _engine(model: LanguageModel, settings: Settings) -> Iterator[Any]:
    """Heretic's Model around weights that we have loaded; at the end its adapter is taken off them again."""
    with _quietly():
        try:
            from heretic.config import Settings as EngineSettings
            from heretic.model import Model
        except ImportError as error:
            raise ModelError(f"Abliteration needs heretic-llm 1.4: {error}.") from error
    if missing := [name for name in NEEDED if not hasattr(Model, name)]:
        raise ModelError(f"The installed heretic-llm has no {', '.join(missing)}; install heretic-llm 1.4.")

    class Given(EngineSettings):  # type: ignore[misc]
        """Neither the command line nor HERETIC_* nor config.toml is Heretic's to read."""

        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> Any:
            return (init_settings,)

    engine = Model.__new__(Model)  # its constructor would load the model a second time, in its own way
    engine.settings = Given(
        model=model.weights.config.name_or_path,
        seed=settings.seed,
        batch_size=min(model.batch_size, BATCH),
        offload_outputs_to_cpu=False,
        response_prefix="",
        **{name: getattr(settings, name) for name in PASSED_ON},
    )
    engine.tokenizer, engine.model, engine.dtype = model.tokenizer, model.weights, model.dtype
    engine.processor = engine.max_memory = None
    engine.revision_kwargs, engine.trusted_models, engine.needs_reload = {}, set(), False
    side = model.tokenizer.padding_side
    try:
        model.tokenizer.padding_side = "left"
        _fit_adapter(engine, model)
        yield engine
    finally:
        model.tokenizer.padding_side = side
        if hasattr(engine.model, "unload"):
            engine.model.unload()


def _fit_adapter(engine: Any, model: LanguageModel) -> None:
    try:
        layers = len(engine.get_layers())
        if layers < FEWEST_LAYERS:
            raise ModelError(f"{model.name}: has {layers} layers; abliteration needs {FEWEST_LAYERS}.")
        with _quietly():
            engine._apply_lora()
    except (AttributeError, AssertionError) as error:
        raise ModelError(f"{model.name}: Heretic does not know this kind of model ({error}).") from error
    components = engine.get_abliterable_components()
    if "mlp.down_proj" not in components:
        console.warn(f"Of this model only {', '.join(components)} can be abliterated: its MLPs stay as they are.")


def _directions(engine: Any, judge: Judge, settings: Settings) -> torch.Tensor:
    """In which direction hidden states of refused prompts differ from others, per layer: (layers + 1, hidden)."""
    from heretic.utils import Prompt

    engine.settings.response_prefix = judge.prefix

    def mean(name: str) -> Any:
        return engine.get_residuals_mean([Prompt(system=judge.system, user=text) for text in judge.prompts[name]])

    good = mean("good_prompts")
    refusal = normalize(mean("bad_prompts") - good, dim=1)
    if not settings.orthogonalize_direction:
        return refusal
    harmless = normalize(good, dim=1)
    return normalize(refusal - (refusal * harmless).sum(dim=1, keepdim=True) * harmless, dim=1)


def _quietly() -> contextlib.AbstractContextManager[Any]:
    """Heretic says what it does as it does it."""
    return contextlib.redirect_stdout(io.StringIO())
