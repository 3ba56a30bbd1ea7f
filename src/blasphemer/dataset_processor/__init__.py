"""SOURCE -> Library: what the documents say, and what became of every file.

In come files, folders and datasets; out come the ledger of all files, passages (stretches of text that fit the model),
statements (what can be taught and asked, word for word) and conversations (what the documents hold as chats already).
`find_gaps` tells which words of a statement carry information.
"""

from blasphemer.dataset_processor.gaps import BLANK, Gap, Vocabulary, find_gaps, in_context
from blasphemer.dataset_processor.intake import Input, find_inputs
from blasphemer.dataset_processor.library import Library, read

__all__ = [
    "BLANK", "Gap", "Input", "Library", "Vocabulary", "find_gaps", "find_inputs", "in_context", "read",
]  # fmt: skip
