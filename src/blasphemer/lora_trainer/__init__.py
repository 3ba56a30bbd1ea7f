"""Study items -> a plan and lessons -> a trained adapter."""

from blasphemer.lora_trainer.lessons import Lessons, Preview, plan
from blasphemer.lora_trainer.trainer import train

__all__ = ["Lessons", "Preview", "plan", "train"]
