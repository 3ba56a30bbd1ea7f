"""Marks and the account of a run -> scorecard.json, the tables on screen, and the verdict that is the exit code."""

from blasphemer.report.hand_over import hand_over, hand_over_conduct, preview, show_yields
from blasphemer.report.scorecard import summary
from blasphemer.report.tables import show_own_exam, show_prompts

__all__ = ["hand_over", "hand_over_conduct", "preview", "show_own_exam", "show_prompts", "show_yields", "summary"]
