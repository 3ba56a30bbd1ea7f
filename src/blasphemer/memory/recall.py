"""Bring up what the model knows, before it learns anything new."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blasphemer import console
from blasphemer.abliteration import Judge, is_refusal
from blasphemer.config import Settings
from blasphemer.job import Job
from blasphemer.language import normalise
from blasphemer.language_model import SMALL_MODEL
from blasphemer.languages import names_in
from blasphemer.memory import retention
from blasphemer.memory.requests import everyday_requests, own_requests
from blasphemer.memory.retention import replay_items
from blasphemer.memory.wordings import find_beginnings, swap_names, wordings_in
from blasphemer.records import ExamQuestion, Plan, StudyItem

if TYPE_CHECKING:
    from blasphemer.language_model import Answered, LanguageModel

MOST_PROMPTS = 32_768
TIMES, FEWEST_PROMPTS = 2, 200  # that a prompt is rehearsed in a training, before there are more of them
GIVEN = "given"  # a kind of items: the user's own requests with their answers, which are only rehearsed
ROOM = 64  # tokens of an answer that is rehearsed: more of it rehearses less in the same time


def prompts_to_answer(settings: Settings, replay_items: int) -> int:
    """How many prompts to answer, to rehearse what the model knows and to ask it again: what is not rehearsed suffers,
    so something new is rehearsed as often as can be."""
    if not replay_items or settings.chosen("replay_prompts") is not None:
        return settings.replay_prompts if replay_items else 0
    return min(replay_items, MOST_PROMPTS)


@dataclass(frozen=True)
class Memories:
    """What the model said before training: `rehearsed` is trained on, `remembered` is only asked again."""

    rehearsed: list[StudyItem]
    remembered: list[ExamQuestion]


def recall(job: Job, plan: Plan, study: Sequence[StudyItem]) -> Memories:
    """Prompts of the model's own making with its answers, for as many items of replay as are planned.

    What is asked in the words of the study material is rehearsed before anything else.
    """
    asked_for = wordings_in(study)
    items = job.run.records("replay.jsonl", StudyItem, lambda: _recalled(job.model, plan, asked_for, job.settings))
    rehearsed, asked, told = retention.allot(items, job.settings.seed)
    return Memories(retention.spread(rehearsed, plan.replay_items, job.settings.seed, asked_for), [*asked, *told])


def with_unrefused(job: Job, memories: Memories, judge: Judge | None) -> Memories:
    """The memories, and what the abliterated model says in the place of refusals, to be rehearsed as well."""
    if not judge:
        return memories
    items = job.run.records("unrefused.jsonl", StudyItem, lambda: _unrefused(job.model, judge, memories.remembered))
    return replace(memories, rehearsed=[*memories.rehearsed, *items])


def _recalled(model: LanguageModel, plan: Plan, asked_for: Set[str], settings: Settings) -> list[StudyItem]:
    """Requests with answers to rehearse: the user's own, and everyday ones, or what a small model imagines."""
    number = prompts_to_answer(settings, plan.replay_items)
    if not number:
        return []
    unwanted = () if settings.fine_tune_only else settings.refusal_markers
    own = own_requests(settings.replay_dataset)
    items = [replace(item, writer="documents") for item in replay_items([pair for pair in own if pair[1]], GIVEN)]
    requests = [request for request, answer in own if not answer]
    is_small = model.parameters <= SMALL_MODEL
    if not is_small:
        everyday = everyday_requests()
        most = min(number, len(everyday), max(plan.replay_items // TIMES, FEWEST_PROMPTS))
        requests += random.Random(settings.seed).sample(everyday, max(most - len(own), 0))
    items += retention.answered_items(_answered(requests, model, unwanted, ROOM))
    return [*items, *(_imagined(model, number, asked_for, unwanted, settings.seed) if is_small else [])]


def _imagined(
    model: LanguageModel, number: int, asked_for: Set[str], unwanted: Sequence[str], seed: int
) -> list[StudyItem]:
    """Prompts of the model's own making, with answers that are worth keeping: refusals only where they are to stay.

    Other names are put into the wordings in `asked_for` before any others.
    """
    freely = math.ceil(number * retention.FREELY)
    short = model.sample_prompts(freely, retention.SHORT, seed)
    long = model.sample_prompts(number // retention.SHORT_PER_LONG, retention.LONG, seed + 1)
    imagined = _answered([*short, *long], model, unwanted)
    beginnings = find_beginnings(replay_items(_kept(imagined, retention.SURE))) or ("",)
    begun = model.sample_prompts(number - freely, retention.SHORT, seed + 2, beginnings)
    there = {*short, *long}
    imagined += _answered([prompt for prompt in begun if prompt not in there], model, unwanted)
    known = replay_items(_kept(imagined, retention.SURE))
    swapped = _answered(swap_names(known, number, seed, asked_for), model, unwanted)
    guessed = retention.guessed_names(
        (prompt, answer.text, answer.sureness) for prompt, answer in [*imagined, *swapped]
    )
    imagined, swapped = _not_about(guessed, imagined), _not_about(guessed, swapped)
    recalled = replay_items(_kept([*imagined, *swapped], retention.SURE))
    if len(recalled) < retention.FEW:
        console.warn(f"The model imagined only {len(recalled)} prompts it could answer: little guards what it knows.")
    sure = {item.content for item in recalled}
    half_known = replay_items(_kept(swapped, retention.SURE_OF_NAMES), retention.HALF_KNOWN)
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


def _answered(
    prompts: Sequence[str], model: LanguageModel, unwanted: Sequence[str], room: int = retention.LONG
) -> list[tuple[str, Answered]]:
    """The prompts, once each, with their answers; without those that refuse in one of the `unwanted` ways."""
    distinct = list(dict.fromkeys(prompts))
    answers = zip(distinct, model.answer_fully(distinct, "recalling", room), strict=True)
    return [(prompt, answer) for prompt, answer in answers if not is_refusal(answer.text, unwanted)]


def _kept(answered: Sequence[tuple[str, Answered]], sure: float) -> list[tuple[str, str]]:
    return [
        (prompt, answer.text)
        for prompt, answer in answered
        if retention.is_worth_keeping(answer.text, answer.ended, answer.sureness, sure)
    ]
