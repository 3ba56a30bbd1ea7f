"""The model as it was given -> what it knows: to be rehearsed in training, and to be asked again afterwards."""

from blasphemer.memory.recall import Memories, recall, with_unrefused

__all__ = ["Memories", "recall", "with_unrefused"]
