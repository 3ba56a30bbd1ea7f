"""Settings + model -> abliteration/: a small adapter that takes a model's refusals away. The only importer of Heretic.

Heretic's engine finds the directions in which refused prompts differ from others and writes them out of the weights.
How strongly, and in which layers, is searched for by trials, each judged by the refusals that are left and by how far
the model has moved on harmless prompts. Loading, judging, searching and keeping are ours, so that all of it can be
resumed, and measured again after fine-tuning.
"""

from __future__ import annotations

import contextlib
import io
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from blasphemer import console
from blasphemer.abliteration.refusals import Judge
from blasphemer.config import Settings
from blasphemer.errors import Interrupted, ModelError
from blasphemer.language_model import LanguageModel
from blasphemer.quiet import standing_in
from blasphemer.records import Trial, from_json, to_json
from blasphemer.workspace import RunFolder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as Draw

FEWEST_LAYERS = 3
JOURNAL = "abliteration.journal"
MOST_WEIGHT = 3.0  # of a direction, where it is taken out most; 1.5 in Heretic left half of a small model's refusals
CANDIDATES = 128  # points that the sampler weighs for each trial
BATCH = 32  # prompts whose hidden states are read at once
STAGES = (
    "prompts.json", "prefix.json", JOURNAL, "abliteration", "marks/conduct_original.jsonl",
    "marks/conduct_abliterated.jsonl",
)  # fmt: skip
MADE_OF_IT = ("scorecard.json", "merged", "adapter", "marks/conduct_abliterated.jsonl", "abliteration")
NEEDED = ("abliterate", "get_abliterable_components", "get_layers", "get_residuals_mean", "reset_model", "_apply_lora")
PASSED_ON = ("row_normalization", "full_normalization_lora_rank", "winsorization_quantile")


def abliterate(model: LanguageModel, judge: Judge, refused: int, settings: Settings, run: RunFolder) -> None:
    """Search, choose a trial, and write abliteration/: the adapter, and trial.json with its parameters and scores.

    `refused` is how many prompts the original refuses. The weights are as they were when this returns. Trials that are
    in the run's journal are not made again, and after a kill the search goes on to the same end. Raises ModelError for
    a model that cannot be treated, UsageError when nobody can be asked for the choice, Interrupted when it is stopped
    before the first trial is done.
    """
    if settings.trial is None:
        console.require_answer("Which trial?", "--trial or --yes", settings.yes)
    with torch.no_grad(), torch.random.fork_rng(), _engine(model, judge, settings) as engine:
        bench = _Bench(engine, _directions(engine, judge, settings), replace(model, weights=engine.model), judge)
        chosen = choose(_search(bench, refused, settings, run), settings)
        bench.apply(chosen.direction_index, chosen.parameters)
        run.forget(*MADE_OF_IT)
        with run.writing("abliteration") as folder:
            engine.model.save_pretrained(str(folder))
            RunFolder(folder).save_json("trial.json", to_json(chosen))


def asks_for_another(settings: Settings, run: RunFolder) -> bool:
    """Do the settings name another trial than the one in abliteration/, or a longer search than the one it is from?"""
    if not run.has("abliteration"):
        return False
    search = run.about().get("search", {"n_trials": 0, "done": 0})  # not there in one that took over the trials
    chosen = from_json(Trial, run.load_json("abliteration/trial.json"))
    is_longer = settings.n_trials != search["n_trials"] and settings.n_trials > search["done"]
    return is_longer or settings.trial not in (None, chosen.number)


def tried(run: RunFolder) -> list[Trial]:
    """The finished trials of a run, in order."""
    return _finished(_study(run)) if run.has(JOURNAL) else []


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in both refusals and divergence, fewest refusals first."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.refusals, trial.kl_divergence)):
        if not best or trial.kl_divergence < best[-1].kl_divergence:
            best.append(trial)
    return best


def choose(trials: Sequence[Trial], settings: Settings) -> Trial:
    """The trial that the user named or picks, else the one with fewest refusals that moved the model no further than
    allowed."""
    if settings.trial is not None:
        if not 1 <= settings.trial <= len(trials):
            raise ModelError(f"trial = {settings.trial}: no such trial; there are 1 to {len(trials)}.")
        return trials[settings.trial - 1]
    chosen = ask_for_trial(trials, settings)
    if chosen is None:
        raise Interrupted("No trial was chosen.")
    return chosen


def ask_for_trial(trials: Sequence[Trial], settings: Settings) -> Trial | None:
    """One of the trials that no other beats; None if the user chose none."""
    best = _described(_best(trials, settings.max_kl_divergence))
    offered = {_described(trial): trial for trial in pareto(trials)}
    chosen = console.select("Which trial?", list(offered), best, "--trial", settings.yes)
    return offered[chosen] if chosen else None


def _best(trials: Sequence[Trial], most: float) -> Trial:
    best = pareto(trials)
    allowed = [trial for trial in best if trial.kl_divergence <= most]
    return allowed[0] if allowed else best[-1]


def _described(trial: Trial) -> str:
    return f"trial {trial.number}: {trial.refusals} refusals, KL divergence {trial.kl_divergence:.4f}"


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
        for name, value in self.engine.model.named_parameters():
            if "lora_" in name:  # resetting leaves in lora_A what the last trial wrote, though to no effect
                value.zero_()
        weights = {name: AbliterationParameters(**values) for name, values in parameters.items()}
        self.engine.abliterate(self.directions, direction_index, weights)


def _search(bench: _Bench, refused: int, settings: Settings, run: RunFolder) -> list[Trial]:
    """The trials of this run: those in its journal, and new ones until there are n_trials. Ctrl+C ends it early.

    Where one that is there already is asked for, no new ones are made.

    Every trial is drawn by a sampler of its own seed that has seen the finished trials only, so a search that was
    killed goes on as if it had not been.
    """
    from optuna.samplers import TPESampler

    study = _study(run)
    _give_up_unfinished(study)
    done = _finished(study)
    run.add_about("search", {"n_trials": settings.n_trials, "done": len(done)})
    wanted = len(done) if settings.trial and settings.trial <= len(done) else settings.n_trials
    if settings.trial and settings.trial > max(wanted, len(done)):
        raise ModelError(f"trial = {settings.trial}: there will be only {max(wanted, len(done))}.")
    startup = settings.chosen("n_startup_trials") or min(settings.n_startup_trials, settings.n_trials // 3)
    with console.progress("abliterating", wanted, len(done)) as advance, contextlib.suppress(KeyboardInterrupt):
        while len(done) < wanted:
            study.sampler = TPESampler(
                n_startup_trials=startup,
                n_ei_candidates=CANDIDATES,
                multivariate=True,
                seed=settings.seed + len(done),
            )
            draw = study.ask()
            trial = bench.run(len(done) + 1, *_drawn(draw, bench.engine))
            draw.set_user_attr("trial", to_json(trial))
            study.tell(draw, _scores(trial, refused, settings))
            done.append(trial)
            best = _best(done, settings.max_kl_divergence)
            advance(note=f"best: {best.refusals} refusals, KL {best.kl_divergence:.4f}")
    if not done:
        raise Interrupted("Stopped before the first trial was done.")
    run.add_about("search", {"n_trials": settings.n_trials, "done": len(done)})
    return done


def _study(run: RunFolder) -> Study:
    """The search as it stands in the run's journal."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # importing it has set its own
    return optuna.create_study(
        directions=["minimize", "minimize"],
        storage=JournalStorage(JournalFileBackend(str(run.path / JOURNAL))),
        study_name="abliteration",
        load_if_exists=True,
    )


def _give_up_unfinished(study: Study) -> None:
    """Trials that a kill left running are drawn again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)


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
        most = draw.suggest_float(f"{name}.max_weight", 0.8, MOST_WEIGHT)
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


# --- the engine ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _engine(model: LanguageModel, judge: Judge, settings: Settings) -> Iterator[Any]:
    """Heretic's Model around weights that we have loaded; at the end its adapter is taken off them again."""
    with _without_bitsandbytes(model), _quietly():
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
        def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> Any:  # noqa: ARG003
            return (init_settings,)

    class Engine(Model):  # type: ignore[misc]
        """Heretic's, but for its constructor, which loads the model a second time and in its own way, and for the
        rendering of prompts, of which there is one in this program."""

        def __init__(self) -> None:
            self.settings = Given(
                model=model.weights.config.name_or_path,
                seed=settings.seed,
                batch_size=min(model.batch_size, BATCH),
                offload_outputs_to_cpu=False,
                **{name: getattr(settings, name) for name in PASSED_ON},
            )
            self.tokenizer, self.model, self.dtype, self.needs_reload = (
                model.tokenizer,
                model.weights,
                model.dtype,
                False,
            )

        def generate(self, prompts: Any, **options: Any) -> Any:
            rows = model.prompt_rows([prompt.user for prompt in prompts], judge.system, judge.prefix)
            inputs = model.padded(rows)
            pad = model.tokenizer.pad_token_id
            return inputs, self.model.generate(**inputs, **options, pad_token_id=pad, do_sample=False)

    engine = Engine()
    try:
        _fit_adapter(engine, model)
        yield engine
    finally:
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

    def mean(name: str) -> Any:
        return engine.get_residuals_mean([Prompt(system=judge.system, user=text) for text in judge.prompts[name]])

    good = mean("good_prompts")
    refusal = normalize(mean("bad_prompts") - good, dim=1)
    if not settings.orthogonalize_direction:
        return refusal
    harmless = normalize(good, dim=1)
    return normalize(refusal - (refusal * harmless).sum(dim=1, keepdim=True) * harmless, dim=1)


def _without_bitsandbytes(model: LanguageModel) -> contextlib.AbstractContextManager[None]:
    """It is slow to import, and only of use for 4-bit weights."""
    absent = standing_in("bitsandbytes", types.ModuleType("bitsandbytes"))
    return contextlib.nullcontext() if model.is_in_4_bits else absent


def _quietly() -> contextlib.AbstractContextManager[Any]:
    """Heretic says what it does as it does it."""
    return contextlib.redirect_stdout(io.StringIO())
