"""A model's name -> a model at work: it answers, writes, weighs answers, converses, and imagines prompts.

`load_model` is the way in. `encode` and `prompt_ids` are the one way in which chats are written for it.
"""

from blasphemer.language_model import team
from blasphemer.language_model.attention import attending, looks_back
from blasphemer.language_model.chat_format import encode, prompt_ids, show_learnt
from blasphemer.language_model.device import (
    bytes_of_a_token,
    free_memory,
    give_up,
    in_words,
    let_go,
    peak_memory,
    used_memory,
)
from blasphemer.language_model.loading import load_model, load_writer
from blasphemer.language_model.model import (
    SMALL_MODEL,
    WEIGH,
    WRITE,
    Answered,
    LanguageModel,
    Recipe,
    Writing,
)
from blasphemer.language_model.weights import DEMO, model_path

__all__ = [
    "DEMO", "SMALL_MODEL", "WEIGH", "WRITE", "Answered", "LanguageModel", "Recipe", "Writing", "attending",
    "bytes_of_a_token", "encode", "free_memory", "give_up", "in_words", "let_go", "load_model", "load_writer",
    "looks_back", "model_path", "peak_memory", "prompt_ids", "show_learnt", "team", "used_memory",
]  # fmt: skip
