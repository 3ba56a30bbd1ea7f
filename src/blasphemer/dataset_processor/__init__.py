"""SOURCE -> Library: what the documents say, and what became of every file.

In come files, folders and datasets; out come the ledger of all files, passages (stretches of text that fit the model)
and conversations (what the documents hold as chats already).
"""

from blasphemer.dataset_processor.facts import Fact, Gap, find_facts, names_in
from blasphemer.dataset_processor.intake import Input, find_inputs
from blasphemer.dataset_processor.library import Library, read

__all__ = ["Fact", "Gap", "Input", "Library", "find_facts", "find_inputs", "names_in", "read"]
