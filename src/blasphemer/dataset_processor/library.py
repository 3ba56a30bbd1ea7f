"""What was read, as the later stages want it."""

from __future__ import annotations

from dataclasses import dataclass

from blasphemer.dataset_processor.facts import Fact, find_facts
from blasphemer.dataset_processor.intake import read_inputs
from blasphemer.job import Job
from blasphemer.records import LedgerEntry, Passage, StudyItem


@dataclass(frozen=True)
class Library:
    """All that the documents say, and the account of every file."""

    ledger: list[LedgerEntry]
    passages: list[Passage]
    conversations: list[StudyItem]
    facts: list[Fact]


def read(job: Job) -> Library:
    """Read the job's inputs, or take up what was read. Raises SourceError where nothing, or too little, can be read."""
    ledger = read_inputs(job.inputs, job.model.ruler, job.passage_size, job.settings, job.run)
    passages = job.run.records("passages.jsonl", Passage, list)
    conversations = job.run.records("conversations.jsonl", StudyItem, list)
    return Library(ledger, passages, conversations, find_facts(passages))
