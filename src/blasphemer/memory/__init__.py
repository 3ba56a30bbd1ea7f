"""The model as it was given -> what it knows: to be rehearsed in training, and to be asked again afterwards."""

from blasphemer.memory.recall import Memories, recall, with_unrefused
from blasphemer.memory.requests import own_requests

__all__ = ["Memories", "own_requests", "recall", "with_unrefused"]
