"""Documents in, an examined model out: the whole of it on one page.

Each stage leaves a file in the run's folder and is taken from there when the same command is run again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence, Set
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from blasphemer import abliteration, console, exam, export, grading, lora_trainer, report, retention
from blasphemer.config import Settings
from blasphemer.dataset_processor import encode, mix_replay, show_learnt, split_validation
from blasphemer.endpoint import Endpoint
from blasphemer.errors import SourceError
from blasphemer.facts import Fact, find_facts, names_in
from blasphemer.intake import find_inputs, read_inputs
from blasphemer.language import normalise
from blasphemer.leaks import without_leaks
from blasphemer.model import Answered, LanguageModel, load_model
from blasphemer.plan import fitted, longest_item, plan_training, prompts_to_imagine
from blasphemer.records import (
    Conduct,
    Example,
    ExamQuestion,
    Marks,
    Passage,
    Plan,
    Source,
    StudyItem,
    Yield,
    without_system,
)
from blasphemer.refusals import Judge, common_prefix, is_refusal, judge_for, read_prompt_sets
from blasphemer.self_study import (
    Reading,
    Recorded,
    Usable,
    estimated_tokens,
    find_readings,
    questions_per_fact,
    write_self_study,
)
from blasphemer.study import about_others, ask_for_names, asked_about, spoken, write_study
from blasphemer.study_prompts import ANSWER, Prompts, filled, read_prompts
from blasphemer.weights import model_path
from blasphemer.wordings import find_beginnings, swap_names, wordings_in
from blasphemer.workspace import RunFolder, freeze, identity, note_how, open_run, run_path

TEMPLATE_ROOM = 64  # tokens of an item left to the chat template and the request
# Kinds of study items to show, the first three there are
PREVIEWED = ("instruction", "cloze", "about", "retold", "completion", "passage")
PROBES = 8  # study items on which an artifact must equal the trained model


def fine_tune(settings: Settings, earlier: RunFolder | None = None) -> int:  # noqa: PLR0915 - it shows it all
    """Read, split, examine, abliterate, study, train, examine, merge, report. Returns 0, or 3 without a gain.

    The abliteration of an earlier run of the same model, if one is given, is taken over.
    """
    inputs, prompts = find_inputs(settings), read_prompts(settings.study_prompts, Path(model_path(settings.model)))
    model = load_model(settings)
    longest = longest_item(settings, model.context)
    hashes = {one.file: one.sha256 for one in inputs}
    with open_run(run_path(settings), identity(settings, hashes, model.origin()), settings.overwrite) as run:
        note_how(run, settings, model.device.type)
        if earlier:
            run.take_over(earlier, abliteration.STAGES)

        # Read the documents, cut them into passages, and account for every character
        ledger = read_inputs(inputs, model.ruler, _passage_size(settings, longest), settings, run)
        report.show_ledger(ledger)
        passages = run.records("passages.jsonl", Passage, list)
        conversations = run.records("conversations.jsonl", StudyItem, list)

        # Freeze the exam; only then write what is to be studied, and keep the exam out of it
        facts = find_facts(passages)
        questions = run.records("exam.jsonl", ExamQuestion, lambda: _exam(passages, conversations, facts, settings))
        freeze(run, "exam", exam.fingerprint(questions))
        source_tokens = sum(model.count(passage.text) for passage in passages)
        rules = run.records(
            "study.jsonl", StudyItem, lambda: _study(passages, facts, source_tokens, longest, model, settings)
        )
        given = _given(conversations, questions, model, longest)
        study, leaks = without_leaks([*rules, *given], questions, passages)
        _require_study(study, len(leaks))
        lessons = _lessons(study, model, longest, settings, run)

        # Show what is about to happen, and ask
        readings = find_readings(facts, model.count) if settings.self_study else []
        report.show_preview(*_previewed(lessons.items, model, longest), questions, lessons.plan)
        report.show_self_study(len(readings), estimated_tokens(readings, prompts, _quota(settings), model.count))
        if settings.dry_run:
            return 0
        if not run.has("replay.jsonl") and not console.confirm("Continue?", "--yes", settings.yes):
            return 0

        # Take the refusals away, and count what is left of them
        judge = None if settings.fine_tune_only else _take_refusals(model, settings, run)

        # Let the model write about the documents as well, in its own words
        allowed = partial(_allowed, questions=questions, passages=passages, most=longest - TEMPLATE_ROOM, model=model)
        own = run.records(
            "self_study.jsonl", StudyItem, lambda: _self_study(readings, prompts, allowed, model, settings, run)
        )
        report.show_yields(run.records("yields.jsonl", Yield, list))
        asked = asked_about(own)
        study = [*own, *about_others(study, asked), *allowed(ask_for_names(own, facts, asked))]
        lessons, asked_for = _lessons(study, model, longest, settings, run), wordings_in(study)

        # What the model as it was given knows: of the documents (nothing, we hope), and of everything else
        with model.as_given():
            recalled = run.records("replay.jsonl", StudyItem, lambda: _recall(model, lessons.plan, asked_for, settings))
            rehearsed, remembered = retention.divide(recalled, settings.seed)
            before, knew = _sit(run, "before", questions, model), _sit(run, "retention_before", remembered, model)
            chosen_before = _choose(run, "before", questions, model)
        unrefused = (
            run.records("unrefused.jsonl", StudyItem, lambda: _unrefused(model, judge, remembered)) if judge else []
        )
        shown = exam.open_book(questions, passages, partial(filled, prompts[ANSWER][0]))
        open_book = _sit(run, "open_book", shown, model)

        # Train, write adapter and merged model, and prove that they are the model that was trained
        probes = [example.ids for example in lessons.examples[:PROBES]]
        if not run.has("adapter"):
            rehearsed = retention.spread(rehearsed, lessons.plan.replay_items, settings.seed, asked_for)
            rehearsed += unrefused
            replay = [e for e in encode(rehearsed, model.tokenizer, model.context) if len(e.ids) <= longest]
            mixed = mix_replay(lessons.examples, replay, lessons.plan, settings.seed)
            plan = _settled(lessons.plan, len(mixed), run)
            export.write_in_abliteration(model)
            trained = lora_trainer.train(model, mixed, lessons.validation, plan, settings, run)
            export.save_adapter(trained, model, probes, run)
        model.release()
        if settings.merge_lora and not run.has("merged"):
            export.save_merged(model, probes, run)

        # Examine the result as anyone will load it from disk
        after = knows = chosen_after = None
        if settings.test_after_training:
            result = export.load_result(run, model, "merged" if settings.merge_lora else "adapter")
            after, knows = _sit(run, "after", questions, result), _sit(run, "retention_after", remembered, result)
            chosen_after = _choose(run, "after", questions, result)
            if judge:
                _conduct(run, "fine_tuned", judge, result)
        chosen = exam.choices(questions), chosen_before, chosen_after
        results = report.Results(before, after, open_book, knew, knows, _conducts(run), questions, *chosen)
        used = report.coverage(ledger, len(facts), study, len(leaks))
        run.save_json(
            "scorecard.json", report.scorecard(results, lora_trainer.summary(run), used, export.artifacts(run))
        )
        report.show(results)
        console.say(f"Everything is in {run.path}")
        return 0 if after is None or results.is_good else 3


def abliterate(settings: Settings, earlier: RunFolder | None = None) -> int:
    """Count refusals, take them away, count again, merge, report. Returns 0, or 3 when they did not become fewer.

    The trials of an earlier run of the same model, if one is given, are taken over.
    """
    model = load_model(settings)
    with open_run(run_path(settings), identity(settings, {}, model.origin()), settings.overwrite) as run:
        note_how(run, settings, model.device.type)
        if earlier:
            run.take_over(earlier, abliteration.STAGES)
        prompts = run.json("prompts.json", lambda: read_prompt_sets(settings))
        if settings.dry_run:
            report.show_prompts(prompts, settings.n_trials)
            return 0
        judge = _take_refusals(model, settings, run, abliteration.asks_for_another(settings, run))
        probes = model.prompt_rows(judge.prompts["good_evaluation_prompts"][:PROBES])
        model.release()
        if run.has("abliteration") and not run.has("adapter"):
            export.save_abliteration(model, probes, run)
        if settings.merge_lora and run.has("adapter") and not run.has("merged"):
            export.save_merged(model, probes, run)
        conducts = _conducts(run)
        run.save_json("scorecard.json", {**report.scorecard_of_conduct(conducts), "artifacts": export.artifacts(run)})
        report.show_conduct(conducts)
        if not run.has("abliteration"):
            console.say(f"{settings.model} refuses nothing: it stays as it is.")
        console.say(f"Everything is in {run.path}")
        return 0 if report.is_less_refusing(conducts) else 3


def _passage_size(settings: Settings, longest: int) -> int:
    """Tokens of a passage: it must leave room for its tag, or for a question about it."""
    return min(settings.chunk_size, longest // 2)


def _given(
    conversations: Sequence[StudyItem], questions: Sequence[ExamQuestion], model: LanguageModel, longest: int
) -> list[StudyItem]:
    """The conversations in the documents that the model can take whole: half of one would teach to stop midway.

    Those that the exam asks about name a source that only they teach, so that none of them is held out.
    """
    if not model.takes_system:
        conversations = [without_system(item) for item in conversations]
    kept = [item for item in conversations if len(encode([item], model.tokenizer, sys.maxsize)[0].ids) <= longest]
    if len(kept) < len(conversations):
        console.warn(
            f"{len(conversations) - len(kept)} of {len(conversations)} conversations in the documents are left out: "
            f"they have more than {longest} tokens (max_seq_length, or what the model can take)."
        )
    asked = {question.passage for question in questions}
    return [replace(item, sources=(Source(item.id, 0, 0),)) if item.id in asked else item for item in kept]


def _exam(
    passages: Sequence[Passage], conversations: Sequence[StudyItem], facts: Sequence[Fact], settings: Settings
) -> list[ExamQuestion]:
    """The user's questions; or those about facts, in texts and in answers; or, where there are none, held-out ones."""
    if settings.exam_file:
        return exam.read_exam_file(settings.exam_file, passages)
    answered = find_facts(exam.answers_as_passages(conversations))
    if questions := exam.write_exam([*facts, *answered], settings.exam_questions):
        return questions
    if questions := exam.hold_out(list(map(without_system, conversations)), settings.exam_questions, settings.seed):
        console.warn("The answers in the documents are no sentences: the exam asks questions that are not trained on.")
        return questions
    raise SourceError(
        f"{', '.join(settings.fine_tune_dataset)}: too little text to write an exam from. Give longer documents, or "
        "your own questions with --exam-file."
    )


def _study(
    passages: Sequence[Passage],
    facts: Sequence[Fact],
    source_tokens: int,
    longest: int,
    model: LanguageModel,
    settings: Settings,
) -> list[StudyItem]:
    budget = round(settings.study_tokens_per_source_token * source_tokens)
    with console.progress("writing study material (tokens)", budget) as written:
        return write_study(passages, facts, budget, longest - TEMPLATE_ROOM, model.count, settings.seed, written)


def _quota(settings: Settings) -> int:
    return questions_per_fact(settings.study_tokens_per_source_token)


def _self_study(
    readings: Sequence[Reading],
    prompts: Prompts,
    allowed: Usable,
    model: LanguageModel,
    settings: Settings,
    run: RunFolder,
) -> list[StudyItem]:
    """What the model, or the server that stands in for it, writes; its yields are saved beside it."""
    if not readings:
        return []
    with Endpoint(settings) if settings.study_endpoint else nullcontext(model) as writer:
        recorded = Recorded(writer, run.journal("drafts.journal"))
        items, yields = write_self_study(
            readings, prompts, recorded, _quota(settings), model.count, allowed, settings.seed
        )
    run.save_records("yields.jsonl", yields)
    return items


def _allowed(
    items: Sequence[StudyItem],
    questions: Sequence[ExamQuestion],
    passages: Sequence[Passage],
    most: int,
    model: LanguageModel,
) -> list[StudyItem]:
    """Items that repeat no exam question and are not longer than they may be."""
    return [item for item in without_leaks(items, questions, passages)[0] if model.count(item.content) <= most]


@dataclass(frozen=True)
class Lessons:
    """What is trained on and what is held out, and for how long."""

    items: list[StudyItem]
    examples: list[Example]
    validation: list[Example]
    plan: Plan


def _lessons(
    study: Sequence[StudyItem],
    model: LanguageModel,
    longest: int,
    settings: Settings,
    run: RunFolder,
) -> Lessons:
    items, held_out = split_validation(study, settings.validation_split, settings.seed)
    examples, validation = encode(items, model.tokenizer, longest), encode(held_out, model.tokenizer, longest)
    plan = plan_training(examples, len(held_out), settings, model.hidden_size, model.has_gpu)
    if not run.has("adapter"):
        run.save_json("plan.json", asdict(plan))
    return Lessons(items, examples, validation, plan)


def _settled(plan: Plan, items: int, run: RunFolder) -> Plan:
    """The plan for the items that there are to train on in the end, noted and shown."""
    plan = fitted(plan, items)
    run.save_json("plan.json", asdict(plan))
    console.say(report.describe(plan))
    return plan


def _previewed(
    items: Sequence[StudyItem], model: LanguageModel, longest: int
) -> tuple[list[StudyItem], list[list[tuple[str, bool]]]]:
    """One item of each of some kinds, and how the model will see it."""
    previewed = _one_of_each(items, PREVIEWED)[:3]
    return previewed, [show_learnt(one, model.tokenizer) for one in encode(previewed, model.tokenizer, longest)]


def _require_study(study: Sequence[StudyItem], leaks: int) -> None:
    if leaks > len(study):
        console.warn(f"{leaks:,} of {leaks + len(study):,} study items repeat an exam question and are left out.")
    if not study:
        raise SourceError("Nothing is left to study: every item repeats an exam question. Give your own --exam-file.")


def _one_of_each(items: Sequence[StudyItem], kinds: Sequence[str]) -> list[StudyItem]:
    return [next(item for item in items if item.kind == kind) for kind in kinds if any(i.kind == kind for i in items)]


def _take_refusals(model: LanguageModel, settings: Settings, run: RunFolder, again: bool = False) -> Judge:
    """Abliterate `model`, unless it refuses nothing. Returns who judges refusals in this run, the original in mind.

    With `again`, also where that was done before: the new abliteration takes the place of the old one once it is there.
    """
    prompts = run.json("prompts.json", lambda: read_prompt_sets(settings))
    prefix = run.json("prefix.json", lambda: common_prefix(model, prompts, settings))
    judge = judge_for(model, prompts, prefix, settings)
    refused = sum(_conduct(run, "original", judge, model).refused)
    if refused and (again or not run.has("abliteration")):
        abliteration.abliterate(model, judge, refused, settings, run)
    if run.has("abliteration"):
        export.put_on_abliteration(model, run)
    _conduct(run, "abliterated", judge, model)
    return judge


def _conduct(run: RunFolder, name: str, judge: Judge, model: LanguageModel) -> Conduct:
    return run.records(f"marks/conduct_{name}.jsonl", Conduct, lambda: [judge.conduct(model, f"refusals ({name})")])[0]


def _conducts(run: RunFolder) -> dict[str, Conduct]:
    """How the model behaved at each stage at which it was judged."""
    names = [name for name in report.STAGES if run.has(f"marks/conduct_{name}.jsonl")]
    return {name: run.records(f"marks/conduct_{name}.jsonl", Conduct, list)[0] for name in names}


def _recall(model: LanguageModel, plan: Plan, asked_for: Set[str], settings: Settings) -> list[StudyItem]:
    """Prompts of the model's own making, with answers that are worth keeping: refusals only where they are to stay.

    Other names are put into the wordings in `asked_for` before any others.
    """
    number, seed = prompts_to_imagine(settings, model.parameters, plan.replay_items), settings.seed
    if not number:
        return []
    unwanted = () if settings.fine_tune_only else settings.refusal_markers
    freely = math.ceil(number * retention.FREELY)
    short = model.sample_prompts(freely, retention.SHORT, seed)
    long = model.sample_prompts(number // retention.SHORT_PER_LONG, retention.LONG, seed + 1)
    imagined = _answered([*short, *long], model, unwanted)
    beginnings = find_beginnings(retention.replay_items(_kept(imagined, retention.SURE))) or ("",)
    begun = model.sample_prompts(number - freely, retention.SHORT, seed + 2, beginnings)
    there = {*short, *long}
    imagined += _answered([prompt for prompt in begun if prompt not in there], model, unwanted)
    known = retention.replay_items(_kept(imagined, retention.SURE))
    swapped = _answered(swap_names(known, number, seed, asked_for), model, unwanted)
    guessed = retention.guessed_names(
        (prompt, answer.text, answer.sureness) for prompt, answer in [*imagined, *swapped]
    )
    imagined, swapped = _not_about(guessed, imagined), _not_about(guessed, swapped)
    recalled = retention.replay_items(_kept([*imagined, *swapped], retention.SURE))
    if len(recalled) < retention.FEW:
        console.warn(f"The model imagined only {len(recalled)} prompts it could answer: little guards what it knows.")
    sure = {item.content for item in recalled}
    half_known = retention.replay_items(_kept(swapped, retention.SURE_OF_NAMES), retention.HALF_KNOWN)
    return recalled + [item for item in half_known if item.content not in sure]


def _not_about(names: set[str], answered: Sequence[tuple[str, Answered]]) -> list[tuple[str, Answered]]:
    return [(prompt, answer) for prompt, answer in answered if names.isdisjoint(names_in(prompt))]


def _unrefused(model: LanguageModel, judge: Judge, remembered: Sequence[ExamQuestion]) -> list[StudyItem]:
    """The prompts of the abliteration of both kinds, with the answers that the abliterated model gives to them: sure or
    not, as it is seldom sure of what it used to refuse. What will be asked again, `remembered`, is no part of them."""
    asked = {normalise(question.question) for question in remembered}
    answered = _answered([*judge.prompts["good_prompts"], *judge.prompts["bad_prompts"]], model, judge.markers)
    pairs = [(prompt, answer.text) for prompt, answer in answered if answer.ended and normalise(prompt) not in asked]
    return retention.replay_items(pairs, retention.UNREFUSED)


def _answered(prompts: Sequence[str], model: LanguageModel, unwanted: Sequence[str]) -> list[tuple[str, Answered]]:
    """The prompts, once each, with their answers; without those that refuse in one of the `unwanted` ways."""
    distinct = list(dict.fromkeys(prompts))
    answers = zip(distinct, model.answer_fully(distinct, "recalling", retention.LONG), strict=True)
    return [(prompt, answer) for prompt, answer in answers if not is_refusal(answer.text, unwanted)]


def _kept(answered: Sequence[tuple[str, Answered]], sure: float) -> list[tuple[str, str]]:
    return [
        (prompt, answer.text)
        for prompt, answer in answered
        if retention.is_worth_keeping(answer.text, answer.ended, answer.sureness, sure)
    ]


def _choose(run: RunFolder, name: str, questions: Sequence[ExamQuestion], model: LanguageModel) -> Marks:
    """The marks for choosing the right answer out of several like it, by which the model finds likeliest."""

    def choose() -> list[Marks]:
        given = exam.choices(questions)
        pairs = [
            (question.question, spoken(answer))
            for question, answers in zip(questions, given, strict=True)
            for answer in answers
        ]
        found = iter(model.likelihoods(pairs, f"choosing answers ({name})"))
        return [grading.grade_choice(given, [[next(found) for _ in answers] for answers in given])]

    return run.records(f"marks/chosen_{name}.jsonl", Marks, choose)[0]


def _sit(run: RunFolder, name: str, questions: Sequence[ExamQuestion], model: LanguageModel) -> Marks:
    """The marks of one exam: graded by the gold answer, or for what was known by what the model said before."""
    prompts = [question.question for question in questions]

    def sit() -> list[Marks]:
        if name.startswith("retention"):
            return [grading.grade_retention(questions, model.answer(prompts, f"exam ({name})", retention.LONG))]
        return [grading.grade(questions, model.answer(prompts, f"exam ({name})"))]

    return run.records(f"marks/{name}.jsonl", Marks, sit)[0]
