"""What is installed is what was tested."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {normal(name): pinned for name, pinned in (line.split("==") for line in lines)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]


def test_every_dependency_has_a_range_and_an_exact_version_that_is_tested() -> None:
    """Pitfall 4"""
    for requirement in required():
        pinned = pins()[normal(requirement.name)]
        assert requirement.specifier, requirement
        assert requirement.specifier.contains(pinned), requirement
        assert version(requirement.name).split("+")[0] == pinned
