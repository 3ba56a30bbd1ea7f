"""How well and how fast documents are read: `python -m benchmarks.reading recall` and `... speed`.

`recall` reads a corpus whose text is known, in every format, and compares words; PDFs are also read as the earlier
program did, with PyPDF2 page by page, where that is installed (`pip install PyPDF2==3.0.1`). `speed` reads plain text
in many files, and PDFs, through to passages with a byte-level BPE tokenizer, and watches the memory of all processes.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import pydoc_data.topics
import random
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import psutil
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.corpus.made import Made, words
from benchmarks.corpus.markup import markup
from benchmarks.corpus.pdfs import PASSWORD, pdfs
from benchmarks.corpus.rows import tables
from blasphemer.command_line import load_settings
from blasphemer.dataset_processor.formats.kinds import find_reader
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.intake import find_inputs, read_inputs
from blasphemer.dataset_processor.passages import split_passages
from blasphemer.errors import Unreadable
from blasphemer.records import Document
from blasphemer.tokens import Ruler
from blasphemer.workspace import RunFolder

FILE_SIZE = 200_000  # characters
VOCABULARY = 16_000
CHUNK = 1024
OPTIONS = Options(password=PASSWORD)


def corpus(seed: int = 0) -> list[Made]:
    """Every document of the corpus, the same every time."""
    rng = random.Random(seed)
    return [*pdfs(rng), *markup(rng), *tables(rng)]


# --- recall ----------------------------------------------------------------------------------------------------------


def read_text(made: Made) -> str:
    """All that our readers find in a document."""
    opened = io.BytesIO(made.data)
    pieces = list(find_reader(opened, made.name)(opened, made.name, OPTIONS))
    return "\n\n".join(piece.text if isinstance(piece, Document) else piece.content for piece in pieces)


def read_as_before(made: Made) -> str:
    """A PDF as the earlier program read it."""
    import PyPDF2

    try:
        return "\n".join(page.extract_text() for page in PyPDF2.PdfReader(io.BytesIO(made.data)).pages)
    except Exception:
        return ""


def scores(found: str, known: str) -> tuple[float, float, float]:
    """Word recall, word precision, and order: the longest common subsequence as a share of the known words."""
    theirs, ours = words(known), words(found)
    both = sum((Counter(theirs) & Counter(ours)).values())
    return both / len(theirs), both / max(len(ours), 1), common_subsequence(theirs, ours) / len(theirs)


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004)."""
    where: defaultdict[str, int] = defaultdict(int)
    for place, word in enumerate(one):
        where[word] |= 1 << place
    full = row = (1 << len(one)) - 1
    for word in other:
        matches = row & where[word] if word in where else 0
        row = ((row + matches) | (row - matches)) & full
    return len(one) - row.bit_count()


def recall() -> None:
    found: dict[str, list[tuple[float, float, float]]] = {}
    before: dict[str, list[tuple[float, float, float]]] = {}
    for made in corpus():
        kind = "text, in all encodings" if made.kind.startswith("text") else made.kind
        found.setdefault(kind, []).append(scores(read_text(made), made.text))
        if made.name.endswith(".pdf"):
            before.setdefault(kind, []).append(scores(read_as_before(made), made.text))
    say("| documents | number | recall | precision | order | PyPDF2: recall | precision | order |")
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind, rows in found.items():
        cells = [*_means(rows), *(_means(before[kind]) if kind in before else ["", "", ""])]
        say(f"| {kind} | {len(rows)} | {' | '.join(cells)} |")


def _means(rows: Sequence[tuple[float, float, float]]) -> list[str]:
    return [f"{sum(column) / len(rows):.1%}" for column in zip(*rows, strict=True)]


# --- speed -----------------------------------------------------------------------------------------------------------


def speed(megabytes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ruler = bpe()
        for size in megabytes:
            source = write_texts(Path(folder) / f"texts{size}", size)
            for label in ("first", "again"):
                measured(f"{size} MB of text, {label} time", source, ruler, Path(folder), size)
        pages_per_second(ruler)


def write_texts(folder: Path, megabytes: int) -> Path:
    """Paragraphs of the Python manual, drawn anew for each file, so that no two are alike."""
    paragraphs = [text for text in "\n\n".join(pydoc_data.topics.topics.values()).split("\n\n") if len(text) > 40]
    rng = random.Random(megabytes)
    folder.mkdir()
    for number in range(megabytes * 1_000_000 // FILE_SIZE):
        text, size = [], 0
        while size < FILE_SIZE:
            text.append(f"{rng.getrandbits(64)}: {rng.choice(paragraphs)}")
            size += len(text[-1]) + 2
        (folder / f"{number:05}.txt").write_text("\n\n".join(text), encoding="utf-8")
    return folder


def bpe() -> Ruler:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(pydoc_data.topics.topics.values(), trainer)
    return Ruler(tokenizer.to_str())


def measured(label: str, source: Path, ruler: Ruler, folder: Path, megabytes: int) -> None:
    """One reading of a folder in a process of its own, with its time and the memory of it and its workers."""
    child = multiprocessing.get_context("spawn").Process(target=_read_folder, args=(source, ruler.serialised, folder))
    started = time.monotonic()
    child.start()
    peak = 0
    while child.is_alive():
        peak = max(peak, _memory(psutil.Process(child.pid)))
        child.join(0.05)
    seconds = time.monotonic() - started
    cpu = float((folder / "cpu").read_text())
    say(
        f"{label}: {seconds:.1f} s, {cpu:.1f} s of CPU, {60 * megabytes / cpu:.0f} MB per minute and core, "
        f"peak {peak / 1e6:.0f} MB in all processes"
    )


def _read_folder(source: Path, tokenizer: str, folder: Path) -> None:
    words = ["demo", "--fine-tune-dataset", str(source), "--cache-dir", str(folder / "cache")]
    settings = load_settings(words)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        read_inputs(find_inputs(settings), Ruler(tokenizer), CHUNK, settings, RunFolder(Path(run)))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    (folder / "cpu").write_text(str(sum(one.ru_utime + one.ru_stime for one in used)))


def _memory(process: psutil.Process) -> int:
    """Bytes that a process and its children hold, shared pages counted once for each."""
    total = 0
    for one in [process, *_children(process)]:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total


def _children(process: psutil.Process) -> Sequence[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def pages_per_second(ruler: Ruler) -> None:
    """PDFs read, cleaned and cut in this process."""
    documents = [made for made in corpus() if made.kind.startswith("pdf")]
    by_kind: dict[str, list[float]] = {}
    for made in documents:
        opened = io.BytesIO(made.data)
        started = time.process_time()
        try:
            for piece in find_reader(opened, made.name)(opened, made.name, OPTIONS):
                assert isinstance(piece, Document)
                split_passages(piece, ruler.starts, CHUNK, 128)
                seconds = time.process_time() - started
                by_kind.setdefault(made.kind, []).append(len(piece.pages) / seconds)
        except Unreadable:
            continue
    for kind, rates in by_kind.items():
        say(f"{kind}: {sum(rates) / len(rates):.0f} pages per second and core")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("recall", "speed"))
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 200], help="sizes of the text read for speed")
    chosen = parser.parse_args()
    if chosen.what == "recall":
        recall()
    else:
        speed(chosen.megabytes)


if __name__ == "__main__":
    main()
