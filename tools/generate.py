"""Rewrite what is generated: config.default.toml, and the help text in FINETUNING.md. Run by `make docs`."""

from __future__ import annotations

from pathlib import Path

from blasphemer.command_line import help_text
from blasphemer.config import default_toml

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "FINETUNING.md"
BEGIN, END = "<!-- blasphemer --help -->\n```\n", "```\n<!-- end -->"


def guide_with_help(guide: str) -> str:
    """The user guide with its help block brought up to date."""
    before, rest = guide.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + help_text() + END + after


if __name__ == "__main__":
    (ROOT / "config.default.toml").write_text(default_toml(), encoding="utf-8")
    GUIDE.write_text(guide_with_help(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
