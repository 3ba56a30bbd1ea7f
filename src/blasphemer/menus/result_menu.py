"""What to do with the model that a run has made: teach, keep, publish, hear or examine it, or choose again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from blasphemer import abliteration, console, exam, export, lora_trainer, report
from blasphemer.config import Settings
from blasphemer.errors import UsageError
from blasphemer.finetuner import abliterate, fine_tune
from blasphemer.language_model import LanguageModel, load_model
from blasphemer.menus import benchmark
from blasphemer.records import ExamQuestion, Marks, Message, Trial
from blasphemer.workspace import RunFolder, run_name, run_path

MORE_TRIALS = "50"
OWN_QUESTIONS = "Your questions? (a .jsonl or .csv file with question and answer; nothing to type them in)"


def run(settings: Settings, earlier: RunFolder | None = None) -> int:
    """The job that the settings ask for, on the trials of an earlier run if one is given. Returns its exit code."""
    return (fine_tune if settings.wants_fine_tuning else abliterate)(settings, earlier)


def follow(settings: Settings) -> int:
    """What a process does that does not lead the job. Returns its exit code."""
    return lora_trainer.follow(settings)


def run_and_stay(settings: Settings) -> int:
    """Do the job; after an abliteration that someone watches, offer what can be done with its result."""
    code = run(settings)
    is_watched = console.is_interactive() and not settings.yes and not settings.dry_run
    if is_watched and not settings.wants_fine_tuning:
        ResultMenu(settings).show()
    return code


class ResultMenu:
    """The menu of one finished run; fine-tuning and other trials put another run in its place."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.model_copy(update={"overwrite": False})  # was meant for the run as it was before

    @property
    def folder(self) -> RunFolder:
        return RunFolder(run_path(self.settings))

    def show(self) -> None:
        console.menu("What would you like to do with the model?", self._entries(), leave="Exit", above=self._about)

    def _entries(self) -> dict[str, Callable[[], None]]:
        return {
            "Fine-tune with LoRA (knowledge injection)": self._fine_tune,
            "Save the model": self._save,
            "Upload the model to the Hugging Face hub": self._upload,
            "Chat with the model": self._chat,
            "Examine the model with your own questions": lambda: examine(self.settings, self._result()),
            "Benchmark the model": self._benchmark,
            "Choose another trial": self._another_trial,
            "Run more trials": self._more_trials,
        }

    def _about(self) -> str:
        """What the model in hand is."""
        scores = report.summary(self.folder.load_json("scorecard.json")) if self.folder.has("scorecard.json") else ""
        stages = {"abliteration": "abliterated", "marks/before.jsonl": "fine-tuned"}
        made = [word for name, word in stages.items() if self.folder.has(name)]
        what = " and ".join(made) or "as it was: it refuses nothing"
        return f"{self.settings.model}, {what}  {scores}".rstrip()

    def _result(self) -> LanguageModel:
        model = load_model(self.settings)
        made = next((name for name in ("merged", "adapter") if self.folder.has(name)), None)
        return export.load_result(self.folder, model, made) if made else model

    def _fine_tune(self) -> None:
        """On the same original and abliteration; what an earlier fine-tuning taught is not built upon."""
        there = next(iter(self.settings.fine_tune_dataset), "")
        documents = console.ask_documents(there)
        if not documents:
            return
        chosen = {"enable_finetuning": True, "fine_tune_dataset": (documents,), "dry_run": False}
        asked = self.settings.model_copy(update={**chosen, "finetuning_output_dir": self._folder_for(documents)})
        run(asked, self.folder)
        if RunFolder(run_path(asked)).has("adapter"):
            self.settings = asked

    def _folder_for(self, *documents: str) -> str:
        """The first folder of its name, beside this run, that is free or begun with the same abliteration."""
        beside = self.folder.path.parent / run_name(self.settings.model, documents)
        for number in count(1):
            folder = RunFolder(beside if number == 1 else beside.with_name(f"{beside.name}-{number}"))
            if not folder.has("run.toml") or _is_of_same_trial(folder, self.folder):
                return str(folder.path)
        raise AssertionError  # there is no last number

    def _save(self) -> None:
        if folder := self._ask_for_artifact():
            target = console.ask_path("Where to? (a new folder)", "--finetuning-output-dir")
            if target:
                export.hand_over(folder, Path(target).expanduser())
                console.say(f"Saved in {target}")

    def _ask_for_artifact(self) -> Path | None:
        """adapter/ or merged/, whichever the user wants; merged/ is made if it is not there yet."""
        if not self.folder.has("adapter"):
            raise UsageError(f"{self.settings.model} refused nothing and was taught nothing: it is the model you have.")
        chosen = console.select("As what?", ["merged model", "adapter"], "merged model", "--merge-lora", False)
        if chosen == "merged model" and not self.folder.has("merged"):
            run(self.settings.model_copy(update={"merge_lora": True, "yes": True}))
        return self.folder.path / chosen.split()[0] if chosen else None

    def _upload(self) -> None:
        """Private unless the user says otherwise; nothing leaves the machine before the target is confirmed."""
        folder = self._ask_for_artifact()
        name = console.ask("Which repository? (owner/name)", "a terminal") if folder else None
        if not folder or not name:
            return
        token = export.hub_token() or console.ask_secret("Access token (it is not kept):", "HF_TOKEN")
        is_private = console.confirm("Private?", "a terminal", answered=False) if token else None
        if is_private is None:
            return
        seen_by = "privately" if is_private else "for everyone to see"
        if console.confirm(f"Upload {folder.name}/ to {name}, {seen_by}?", "a terminal", answered=False):
            console.say(f"Uploaded to {export.upload(folder, name, token, is_private)}")

    def _chat(self) -> None:
        beside = console.confirm("Show the original's answers beside it?", "a terminal", answered=False, default=False)
        if beside is not None:
            models = {"the model": self._result()}
            chat({"the original": load_model(self.settings), **models} if beside else models)

    def _benchmark(self) -> None:
        tasks = console.ask("Which lm-eval tasks? (such as mmlu,gsm8k, or a .yaml file)", "a terminal")
        beside = console.confirm("Measure the original too?", "a terminal", answered=False) if tasks else None
        if tasks and beside is not None:
            models = {"after": self._result()}
            models = {"before": load_model(self.settings), **models} if beside else models
            benchmark.show({name: benchmark.measure(model, tasks.split(",")) for name, model in models.items()})

    def _another_trial(self) -> None:
        if trial := abliteration.ask_for_trial(self._trials(), self.settings):
            self._abliterate_again(trial=trial.number)

    def _more_trials(self) -> None:
        done = len(self._trials())
        more = console.ask("How many more?", "--n-trials", MORE_TRIALS)
        if more and not (more.isdigit() and int(more)):
            raise UsageError(f"{more}: not a number of trials.")
        if more:
            self._abliterate_again(trial=None, n_trials=done + int(more))

    def _trials(self) -> list[Trial]:
        trials = abliteration.tried(self.folder)
        if not trials:
            raise UsageError("This run has no trials: it was not abliterated.")
        return trials

    def _abliterate_again(self, **chosen: int | None) -> None:
        """In the run without documents: what a fine-tuned model has learnt stays with the trial it was taught on."""
        without = {"enable_finetuning": False, "fine_tune_only": False, "fine_tune_dataset": (), "dry_run": False}
        asked = self.settings.model_copy(update={**without, "finetuning_output_dir": self._folder_for(), **chosen})
        run(asked, self.folder)
        self.settings = asked


def _is_of_same_trial(one: RunFolder, other: RunFolder) -> bool:
    name = "abliteration/trial.json"
    return one.has(name) == other.has(name) and (not one.has(name) or one.load_json(name) == other.load_json(name))


def examine(settings: Settings, result: LanguageModel | None = None) -> None:
    """Put the user's own questions to the model of the settings and, if given, to what has been made of it."""
    file = console.ask_path(OWN_QUESTIONS, "--exam-file")
    if file is None:
        return
    questions = exam.read_exam_file(Path(file).expanduser(), []) if file else _typed_questions()
    if questions:
        models = {"before": load_model(settings), "after": result} if result else {"answer": load_model(settings)}
        report.show_own_exam(questions, {name: _marks(name, model, questions) for name, model in models.items()})


def examine_only(settings: Settings) -> int:
    """Put the questions of exam_file to the model of the settings and to those beside it, one after the other."""
    assert settings.exam_file is not None
    questions = exam.read_exam_file(settings.exam_file, [])
    marks: dict[str, Marks] = {}
    for name in dict.fromkeys((settings.model, *settings.compare_with)):
        model = load_model(settings.model_copy(update={"model": name}))
        marks[name] = _marks(name, model, questions)
        model.release()
    report.show_own_exam(questions, marks)
    return 0


def _marks(name: str, model: LanguageModel, questions: Sequence[ExamQuestion]) -> Marks:
    return exam.grade(questions, model.answer([one.question for one in questions], f"exam ({name})"))


def _typed_questions() -> list[ExamQuestion]:
    """Questions up to one that is left empty; none of them where the user cancels."""
    typed: list[ExamQuestion] = []
    while question := console.ask(f"Question {len(typed) + 1} (nothing to end):", "--exam-file"):
        answer = console.ask("Its answer:", "--exam-file")
        if not answer:
            return [] if answer is None else typed
        typed.append(ExamQuestion(f"q-{len(typed) + 1}", question, answer, "own"))
    return [] if question is None else typed


def chat(models: Mapping[str, LanguageModel]) -> None:
    """Talk with models, each with its own memory of the conversation, until the user types nothing."""
    console.note("Nothing, or Escape, ends the conversation; Ctrl+C ends an answer.")
    conversations: dict[str, list[Message]] = {name: [] for name in models}
    while said := console.ask("You:", "a terminal"):
        with console.streams(list(models)) as add:
            for column, (name, model) in enumerate(models.items()):
                heard: list[str] = []

                def hear(text: str, heard: list[str] = heard, column: int = column) -> None:
                    heard.append(text)
                    add(column, text)

                conversations[name].append(Message(role="user", content=said))
                with suppress(KeyboardInterrupt):
                    model.reply(conversations[name], hear)
                conversations[name].append(Message(role="assistant", content="".join(heard).strip()))
