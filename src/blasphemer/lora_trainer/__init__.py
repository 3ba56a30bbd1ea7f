"""Study items -> a plan and lessons -> a trained adapter."""

from blasphemer.lora_trainer.following import follow
from blasphemer.lora_trainer.lessons import Lessons, Preview, plan
from blasphemer.lora_trainer.trainer import require_tools, train

__all__ = ["Lessons", "Preview", "follow", "plan", "require_tools", "train"]
