"""A model -> the same without its refusals, and how it behaves at each stage.

`take_refusals` abliterates the job's model and returns who judges refusals in this run; `conduct` puts a model to the
test again. `tried` and `ask_for_trial` are for choosing among the trials of a run.
"""

from blasphemer.abliteration.engine import ask_for_trial, asks_for_another, tried
from blasphemer.abliteration.refusals import Judge, is_refusal
from blasphemer.abliteration.taking import STAGES, conduct, conducts, prompts, take_over, take_refusals

__all__ = [
    "STAGES", "Judge", "ask_for_trial", "asks_for_another", "conduct", "conducts", "is_refusal", "prompts",
    "take_over", "take_refusals", "tried",
]  # fmt: skip
