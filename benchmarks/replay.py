"""A server that says again what a strong writer wrote once: `python -m benchmarks.replay STRONG.jsonl [--port 8765]`.

STRONG.jsonl has a line for each fact of a document: `evidence`, the words of the document that state it; `questions`,
pairs of a question and its answer in several wordings; `restatements`. The server speaks OpenAI's API: asked for
questions about a text it gives those of the facts whose evidence stands in the request, asked for prose their
restatements, and asked one of its questions with the text shown, the answer. Without a seed it gives the first wordings
of each fact, with a seed others.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from blasphemer.language import contains, normalise

WORDINGS = 2  # of each fact, in one answer
PATH = "/v1"


@dataclass(frozen=True)
class Fact:
    """What a strong writer wrote about one stretch of a document."""

    evidence: str
    questions: list[tuple[str, str]]
    restatements: list[str]

    @cached_property
    def places(self) -> list[str]:
        """The stretches that state it, normalised."""
        return [normalise(line) for line in self.evidence.split("\n")]


def read_facts(file: Path) -> list[Fact]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Fact(row["evidence"], [tuple(pair) for pair in row["questions"]], row["restatements"]) for row in rows]


class Replay:
    """Answers requests out of what was written."""

    def __init__(self, facts: list[Fact]) -> None:
        self.facts = facts
        self.answers = {question: answer for fact in facts for question, answer in fact.questions}

    def answer(self, request: str, seed: int | None) -> str:
        """What the strong writer would say."""
        asked = request.rsplit(": ", 1)[-1].strip()
        if asked in self.answers:
            return self.answers[asked]
        shown = normalise(request)
        stated = [fact for fact in self.facts if all(contains(shown, place) for place in fact.places)]
        if "Q:" not in request:
            return " ".join(text for fact in stated for text in _turned(fact.restatements, seed)[:1])
        pairs = [pair for fact in stated for pair in _turned(fact.questions, seed)[:WORDINGS]]
        return "\n".join(f"Q: {question}\nA: {answer}" for question, answer in pairs)


def _turned(several: list[Any], seed: int | None) -> list[Any]:
    """The same, begun at another place for each seed."""
    start = 0 if seed is None or not several else seed % len(several)
    return several[start:] + several[:start]


@contextmanager
def serving(file: Path, port: int = 0) -> Iterator[str]:
    """The server's URL, while it answers."""
    replay = Replay(read_facts(file))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply({"data": [{"id": file.stem}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = replay.answer(body["messages"][-1]["content"], body.get("seed"))
            self._reply({"choices": [{"message": {"role": "assistant", "content": content}}]})

        def _reply(self, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=8765)
    chosen = parser.parse_args()
    with serving(chosen.file, chosen.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
