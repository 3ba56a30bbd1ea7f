"""Trained model -> adapter/ and merged/, each read back from disk and compared before it takes its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from peft import PeftModel
from safetensors import SafetensorError, safe_open

from blasphemer import __version__, console
from blasphemer.abliteration import Judge
from blasphemer.errors import ArtifactError
from blasphemer.job import Job
from blasphemer.language_model import LanguageModel, Recipe, give_up, model_path
from blasphemer.lora_trainer import Lessons
from blasphemer.workspace import RunFolder

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}  # logits; measured in FINETUNING_DESIGN.md
PROBES = 8  # items on which an artifact must equal the trained model
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip

NOT_JOINABLE = ("use_dora", "use_rslora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern")
PROOF = "verified.json"
ABLITERATION = "abliteration"

Rows = Sequence[Sequence[int]]
Logits = list[torch.Tensor]


def write_and_prove(job: Job, trained: PeftModel | None, lessons: Lessons) -> LanguageModel:
    """Write adapter/ and, if wanted, merged/, and prove that they are the model that was trained. Returns the result as
    anyone will load it from disk. Without `trained`, what is there is taken up.
    """
    probes = [example.ids for example in lessons.examples[:PROBES]]
    if trained is not None:
        save_adapter(trained, job.model, probes, job.run)
    job.model.release()
    return _finished(job, probes)


def write_abliteration(job: Job, judge: Judge) -> None:
    """Write adapter/ and, if wanted, merged/ of a run without documents, where the model was abliterated at all."""
    probes = job.model.prompt_rows(judge.prompts["good_evaluation_prompts"][:PROBES])
    job.model.release()
    if job.run.has(ABLITERATION):
        if not job.run.has("adapter"):
            save_abliteration(job.model, probes, job.run)
        _finished(job, probes)


def _finished(job: Job, probes: Rows) -> LanguageModel:
    whole = job.model.whole()
    if job.settings.merge_lora and not job.run.has("merged"):
        save_merged(whole, probes, job.run)
    if whole.device != job.model.device:
        console.note(f"There is no room on {job.model.device} for all weights: the result is examined in 4 bits.")
        return load_result(job.run, job.model, "adapter")
    return load_result(job.run, whole, "merged" if job.settings.merge_lora else "adapter")


def save_adapter(trained: PeftModel, model: LanguageModel, rows: Rows, run: RunFolder) -> None:
    """Write adapter/, once its logits on `rows` of ids, read back on the original, are the trained model's.

    Where the run has an abliteration, `trained` lies on the abliterated model, and both are joined. Of `trained`
    nothing is left then: where a model just fits, it is read back in the same place. Raises ArtifactError when the
    adapter read back is empty, changes nothing, or is not the one that was trained.
    """
    wanted, base = _with_and_without(trained, rows)
    with run.writing("adapter") as folder:
        trained.save_pretrained(str(folder))
        give_up(trained)
        if run.has(ABLITERATION):
            _join(model, run.path / ABLITERATION, folder)
        _finish_adapter(folder, model, rows, wanted, base, run)


def save_abliteration(model: LanguageModel, rows: Rows, run: RunFolder) -> None:
    """Write adapter/ of a run without documents: the abliteration alone. Raises like save_adapter."""
    trained: Any = load_adapter(run.path / ABLITERATION, model)
    wanted, base = _with_and_without(trained, rows)
    with run.writing("adapter") as folder:
        trained.save_pretrained(str(folder))
        give_up(trained)
        _finish_adapter(folder, model, rows, wanted, base, run)


def _finish_adapter(
    folder: Path, model: LanguageModel, rows: Rows, wanted: Logits, base: Logits, run: RunFolder
) -> None:
    _name_original(model, folder)
    _copy_tokenizer(model, folder)
    _write_card(folder, model, "LoRA adapter", run)
    _require_weights(folder / "adapter_model.safetensors")
    _prove(folder, "adapter", _read_back(model, folder, rows), wanted, base, model.dtype)
    if model.is_in_4_bits:
        _compare(folder, _read_back(model.whole(), folder, rows), wanted)


def _read_back(model: LanguageModel, adapter: Path, rows: Rows) -> Logits:
    """The logits of an adapter on freshly loaded weights."""
    read: Any = load_adapter(adapter, model)
    found = _logits(read, rows)
    give_up(read)
    return found


def _join(model: LanguageModel, abliteration: Path, folder: Path) -> None:
    """Make the knowledge adapter in `folder`, trained on the abliterated model, one for the original: both in one.

    Their ranks add up, and nothing is approximated. The abliteration goes first: PEFT takes its scale for both.
    Raises ArtifactError for what PEFT would join wrongly.
    """
    for adapter in (abliteration, folder):
        _require_joinable(adapter)
    stack: Any = PeftModel.from_pretrained(model.load(), str(abliteration), adapter_name="abliteration")
    stack.load_adapter(str(folder), adapter_name="knowledge")
    stack.add_weighted_adapter(["abliteration", "knowledge"], [1.0, 1.0], "joined", combination_type="cat")
    shutil.rmtree(folder)
    stack.save_pretrained(str(folder.with_suffix(".joined")), selected_adapters=["joined"])
    give_up(stack)
    (folder.with_suffix(".joined") / "joined").replace(folder)
    shutil.rmtree(folder.with_suffix(".joined"))


def _require_joinable(adapter: Path) -> None:
    """PEFT joins these wrongly and says nothing."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    found = [name for name in NOT_JOINABLE if config.get(name)]
    if found or isinstance(config["target_modules"], str):
        what = ", ".join(found) or "target_modules as a pattern"
        raise ArtifactError(f"{adapter.name}/: has {what}, and cannot be joined with another adapter exactly.")


def save_merged(model: LanguageModel, rows: Rows, run: RunFolder) -> None:
    """Join adapter/ and the original into merged/, a full model in the number format the original was loaded in.

    It takes its name once its logits, read back, are those of the adapter on the original. Raises like save_adapter.
    """
    trained: Any = load_adapter(run.path / "adapter", model)
    wanted, base = _with_and_without(trained, rows)
    merged = trained.merge_and_unload()
    merged.config.use_cache = True  # training turns it off; a model that is handed on must generate at full speed
    with run.writing("merged") as folder:
        merged.save_pretrained(str(folder))
        _copy_tokenizer(model, folder)
        _write_card(folder, model, "model", run)
        give_up(merged)
        found = _logits(model.load(str(folder)), rows)
        _prove(folder, "merged", found, wanted, base, model.dtype)


def load_adapter(adapter: Path, model: LanguageModel) -> PeftModel:
    """An adapter on freshly loaded original weights."""
    return PeftModel.from_pretrained(model.load(), str(adapter))


def load_result(run: RunFolder, model: LanguageModel, name: str) -> LanguageModel:
    """The model as a user will load it: merged/ alone, or adapter/ on the original weights."""
    artifact = str(run.path / name)
    made = (
        Recipe(artifact, model.dtype, ())
        if name == "merged"
        else Recipe(model_path(model.name), model.dtype, (artifact,))
    )
    return model.made_as(made)


def _with_and_without(trained: Any, rows: Rows) -> tuple[Logits, Logits]:
    """The logits of the trained model, and of the original below its adapter."""
    wanted = _logits(trained, rows)
    with trained.disable_adapter():
        return wanted, _logits(trained, rows)


def _logits(weights: Any, rows: Rows) -> Logits:
    weights.eval()
    found = []
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([list(row)], device=weights.device)  # (1, time)
            found.append(weights(input_ids=ids, use_cache=False).logits[0].float().cpu())  # (time, vocab)
    return found


def _prove(folder: Path, name: str, found: Logits, wanted: Logits, base: Logits, dtype: torch.dtype) -> None:
    """Refuse an artifact that is not the trained model; else note in it how near it came."""
    error, change = _difference(found, wanted), _difference(found, base)
    if not error <= TOLERANCE[dtype]:  # also when it is not a number
        raise ArtifactError(f"{name}/: read back, its logits differ from the trained model's by {error:.3g}.")
    if change == 0:
        raise ArtifactError(f"{name}/: read back, it answers exactly as the original model: nothing was learnt.")
    proof = {"largest_logit_difference_to_trained": error, "largest_logit_difference_to_original": change}
    (folder / PROOF).write_text(json.dumps(proof, indent=2) + "\n", encoding="utf-8")


def _compare(folder: Path, handed: Logits, trained: Logits) -> None:
    """Note, and say, how far the adapter on the original is from the same on 4-bit weights, where it was trained."""
    differences = {
        "largest_logit_difference_to_4_bits": _difference(handed, trained),
        "kl_divergence_to_4_bits": _divergence(handed, trained),
    }
    proof = json.loads((folder / PROOF).read_text(encoding="utf-8")) | differences
    (folder / PROOF).write_text(json.dumps(proof, indent=2) + "\n", encoding="utf-8")
    console.note(
        "What was trained on 4-bit weights is made for the original's. Between the two the divergence is "
        f"{differences['kl_divergence_to_4_bits']:.4f} nats a token."
    )


def _divergence(one: Logits, other: Logits) -> float:
    """Mean Kullback-Leibler divergence a token, in nats, of what is expected by one from what is by the other."""
    tokens = [
        (a.softmax(-1) * (a.log_softmax(-1) - b.log_softmax(-1))).sum(-1) for a, b in zip(one, other, strict=True)
    ]
    return float(torch.cat(tokens).mean())


def _difference(one: Logits, other: Logits) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def _require_weights(file: Path) -> None:
    try:
        with safe_open(str(file), framework="pt") as weights:
            names = list(weights.keys())
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"adapter/: its weights cannot be read back: {error}") from error
    if not names:
        raise ArtifactError("adapter/: holds no weights.")


def _name_original(model: LanguageModel, folder: Path) -> None:
    """The adapter says what it is for, also where PEFT knows no folder or hub name (of a GGUF file)."""
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if not config.get("base_model_name_or_path"):
        said = config | {"base_model_name_or_path": model.name}
        file.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _copy_tokenizer(model: LanguageModel, folder: Path) -> None:
    """The original's tokenizer files byte for byte, from its folder or the hub's cache: other programs hash them.

    What is not from there, as of a GGUF file, is written anew.
    """
    original = Path(model_path(model.name))
    found = {name: _file_of(original, model.name, name) for name in TOKENIZER_FILES}
    for name, file in found.items():
        if file:
            shutil.copyfile(file, folder / name)
    if not any(found.values()):
        model.tokenizer.save_pretrained(str(folder))


def _file_of(folder: Path, repository: str, name: str) -> Path | None:
    if folder.exists():
        return folder / name if (folder / name).is_file() else None  # there are none in a GGUF file
    cached = try_to_load_from_cache(repository, name)
    return Path(cached) if isinstance(cached, str) else None


def _write_card(folder: Path, model: LanguageModel, what: str, run: RunFolder) -> None:
    """README.md: where this comes from, and what was done to it."""
    stages = {
        ABLITERATION: "Its refusals were taken away (abliteration/trial.json).",
        "study.jsonl": "It was taught documents (passages.jsonl, study.jsonl) and examined on them closed book.",
    }
    done = "\n".join(said for name, said in stages.items() if run.has(name))
    (folder / "README.md").write_text(
        f"# {model.name}, changed by Blasphemer\n\n"
        f"A {what} made by Blasphemer {__version__} from `{model.name}`.\n{done}\n"
        "scorecard.json in the folder of the run says how it did.\n",
        encoding="utf-8",
    )
