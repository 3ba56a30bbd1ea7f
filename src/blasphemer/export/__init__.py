"""A trained model -> adapter/ and merged/, each proven to be the model that was trained.

`hand_over` and `upload` bring them to where they are wanted.
"""

from blasphemer.export.artifacts import load_result, write_abliteration, write_and_prove
from blasphemer.export.handing_over import hand_over, hub_token, upload

__all__ = ["hand_over", "hub_token", "load_result", "upload", "write_abliteration", "write_and_prove"]
