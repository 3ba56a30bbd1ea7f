"""Does a kill at any moment change anything? `python -m benchmarks.kills [--kills 50]`.

The built-in model is taught a short document, alone and after its refusals were taken away. Each of the two runs is
made once from start to end. Then it is made again and again, with a kill (SIGKILL) at a random moment, every second one
while a checkpoint is being written, and taken up by the same command until it comes to its end. What it makes must then
be the same to the bit: the adapter, the losses of every step, and the marks of all exams. Printed are the kills by the
stage that the run had reached, and how many runs came to the same end. Exit code 1 if one did not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from blasphemer.workspace import RunFolder, sha256_of

TEXT = """# The Harbour of Selm

The harbour of Selm was opened in 1874. Its breakwater is 640 metres long and was built by Ida Kern. The lighthouse on
the northern mole is 31 metres high. Two ferries sail to the island of Orrin every day, and the crossing takes 45
minutes. The harbour master since 2019 is Tomas Vey. In winter the basin is kept free of ice by a boat named Petrel.
"""
COMMON = ("--yes", "--replay-prompts", "16", "--study", "3", "--num-train-epochs", "8", "--save-steps", "2")
WAYS = {"fine-tuned": ("--fine-tune-only",), "abliterated and fine-tuned": ("--n-trials", "3")}
SAME = (
    "adapter/adapter_model.safetensors", "abliteration/adapter_model.safetensors", "marks/before.jsonl",
    "marks/after.jsonl", "marks/retention_after.jsonl", "marks/conduct_fine_tuned.jsonl",
)  # fmt: skip
PATIENCE = 60.0  # seconds that a checkpoint is waited for


def started(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # sums are added up in the order of the threads
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run; any but a good one is an error."""
    _, said = process.communicate()
    if process.returncode not in (0, 3):
        raise SystemExit(f"A run ended with {process.returncode}:\n{said.decode()[-2000:]}")


def made(out: Path) -> dict[str, str]:
    """What must not change: hashes of files, and the losses by step."""
    found = {name: sha256_of(out / name) for name in SAME if (out / name).exists()}
    lines = RunFolder(out).load_lines("metrics.jsonl")
    losses = [{name: line.get(name) for name in ("step", "loss", "validation_loss")} for line in lines]
    return found | {"losses": json.dumps(losses)}


def is_writing_a_checkpoint(out: Path) -> bool:
    return any(not (folder / "complete").exists() for folder in (out / "checkpoints").glob("checkpoint-*"))


def wait_for_a_checkpoint(process: subprocess.Popen[bytes], out: Path, generator: random.Random) -> None:
    """Until one of those that are still to come is being written, or none comes."""
    until = time.monotonic() + PATIENCE
    passed = generator.randrange(6)
    was = False
    while process.poll() is None and time.monotonic() < until:
        now = is_writing_a_checkpoint(out)
        passed -= now and not was
        if passed < 0:
            return
        was = now
        time.sleep(0.001)


def killed(words: list[str], out: Path, seconds: float, generator: random.Random, most: int) -> Counter[str]:
    """A run that is killed up to so many times, and then goes on to its end: the kills by how far it had come."""
    stages: Counter[str] = Counter()
    while sum(stages.values()) < most:
        process = started(words)
        if sum(stages.values()) % 2:
            wait_for_a_checkpoint(process, out, generator)
        else:
            time.sleep(generator.uniform(0.02, 0.6) * seconds)
        if process.poll() is not None:
            finished(process)
            return stages
        in_checkpoint = is_writing_a_checkpoint(out)
        process.kill()
        process.communicate()
        stages["inside a checkpoint" if in_checkpoint else RunFolder(out).stage()] += 1
    finished(started(words))
    return stages


def say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    generator, differ = random.Random(chosen.seed), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "harbour.md").write_text(TEXT, encoding="utf-8")
        for way, flags in WAYS.items():
            words = [
                sys.executable, "-m", "blasphemer", "demo", *flags, "--fine-tune-dataset", str(folder / "harbour.md"),
                *COMMON, "--finetuning-output-dir",
            ]  # fmt: skip
            whole = folder / f"{way}-whole"
            begun = time.monotonic()
            finished(started([*words, str(whole)]))
            seconds = time.monotonic() - begun
            wanted, stages, runs, same = made(whole), Counter[str](), 0, 0
            while (left := chosen.kills // len(WAYS) - sum(stages.values())) > 0:
                runs += 1
                out = folder / f"{way}-{runs}"
                stages += killed([*words, str(out)], out, seconds, generator, min(left, 1 + generator.randrange(6)))
                is_same = made(out) == wanted
                same += is_same
                say(f"{way}, run {runs}: {dict(stages)}; {'the same' if is_same else 'DIFFERENT'}")
            differ += runs - same
            say(f"{way}: {sum(stages.values())} kills in {runs} runs, {same} of them the same to the bit.")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
