"""Servers with an OpenAI-compatible API (Ollama, llama.cpp, vLLM, LM Studio ...) that write in the model's place."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import httpx

from blasphemer import console
from blasphemer.config import Settings
from blasphemer.errors import EndpointError

ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds; doubled from attempt to attempt
TRY_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class Endpoint:
    """What answers requests in self_study's sense: each a chat of one turn. Use it as a context manager.

    Where there are several servers, requests go to them in turn, and from one that fails to the next.
    """

    def __init__(self, settings: Settings) -> None:
        self.servers = [url.rstrip("/") for url in settings.study_endpoint]
        key = settings.study_endpoint_key
        self.client = httpx.Client(
            timeout=settings.study_endpoint_timeout, headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        self.workers = settings.study_endpoint_requests * len(self.servers)
        self.at_once = 4 * self.workers
        self.named = settings.study_endpoint_model

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def write(self, prompts: Sequence[str], label: str, longest: int, seed: int | None) -> list[str]:
        """The answers, in order, of at most `longest` tokens; without a seed at temperature 0.

        What fails in passing (no connection, too many requests, an overloaded server) is tried again, after as long as
        the server asks for; raises EndpointError when that does not help or the server refuses.
        """
        self.models  # noqa: B018 - a server that is not there is noticed before the work
        sampling = {"temperature": 0.0} if seed is None else {"temperature": 1.0, "top_p": 0.95}

        def asked(place: int, prompt: str) -> str:
            drawn = {} if seed is None else {"seed": seed + place}
            body = {"max_tokens": longest, "messages": [{"role": "user", "content": prompt}], **sampling, **drawn}
            first = place % len(self.servers)
            return self._completion(body, self.servers[first:] + self.servers[:first])

        with console.progress(label, len(prompts)) as advance, ThreadPoolExecutor(self.workers) as pool:
            answers = []
            try:
                for answer in pool.map(asked, range(len(prompts)), prompts):
                    answers.append(answer)
                    advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return answers

    @cached_property
    def models(self) -> dict[str, str]:
        """By server: the model that was named, or the first that it lists."""
        return {url: self.named or self._first_model(url) for url in self.servers}

    def _first_model(self, url: str) -> str:
        found = self._json([url], "/models", self.client.get)
        try:
            return str(found["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as error:
            raise EndpointError(f"{url}: lists no model; name one with --study-endpoint-model.") from error

    def _completion(self, body: Mapping[str, Any], servers: Sequence[str]) -> str:
        models, path = self.models, "/chat/completions"

        def post(address: str) -> httpx.Response:
            return self.client.post(address, json={"model": models[address.removesuffix(path)], **body})

        answer = self._json(servers, path, post)
        try:
            return str(answer["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError) as error:
            raise EndpointError(f"{servers[0]}: answered with something else than a chat completion.") from error

    def _json(self, servers: Sequence[str], path: str, ask: Callable[[str], httpx.Response]) -> Any:
        """What the first of the servers says that answers, asked in turn."""
        pause, reason = FIRST_PAUSE, ""
        for attempt in range(max(ATTEMPTS, len(servers))):
            address = servers[attempt % len(servers)] + path
            if attempt >= len(servers):
                time.sleep(pause + random.random() * pause / 4)
            try:
                answer = ask(address)
            except httpx.TransportError as error:
                reason, pause = str(error) or type(error).__name__, min(pause * 2, LONGEST_PAUSE)
                continue
            if answer.status_code in TRY_AGAIN:
                reason = f"HTTP {answer.status_code}"
                pause = _wished(answer) or min(pause * 2, LONGEST_PAUSE)
                continue
            if answer.is_error:
                raise EndpointError(f"{address}: HTTP {answer.status_code}: {answer.text.strip()[:200]}")
            try:
                return answer.json()
            except ValueError as error:
                raise EndpointError(f"{address}: answered with something else than JSON.") from error
        raise EndpointError(f"{address}: no answer in {ATTEMPTS} attempts ({reason}). The same command goes on.")


def _wished(answer: httpx.Response) -> float | None:
    """Seconds to wait, where the server says so."""
    wish = answer.headers.get("Retry-After", "")
    return min(float(wish), LONGEST_PAUSE) if wish.replace(".", "", 1).isdigit() else None
