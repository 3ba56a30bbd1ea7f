"""Library -> study material, that repeats nothing of the paper.

`write_by_rule` says what the documents say in many forms, word for word; `let_the_model_write` adds what the model, or
a server in its place, writes about them and the documents bear out.
"""

from blasphemer.study.material import Material, let_the_model_write, to_write, write_by_rule
from blasphemer.study.requests import Requests, read_requests

__all__ = ["Material", "Requests", "let_the_model_write", "read_requests", "to_write", "write_by_rule"]
