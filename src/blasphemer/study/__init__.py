"""Library -> study material, that repeats nothing of the paper.

`write_by_rule` says what the documents say in many forms, word for word. `author` is who else writes: the model, a
second one or a server. `let_it_ask` adds its questions to the exam, before `let_it_write` adds what it writes to study.
The documents must bear out both.
"""

from blasphemer.study.author import author
from blasphemer.study.examiner import let_it_ask
from blasphemer.study.material import Material, let_it_write, to_write, write_by_rule
from blasphemer.study.requests import Requests, read_requests

__all__ = ["Material", "Requests", "author", "let_it_ask", "let_it_write", "read_requests", "to_write", "write_by_rule"]
