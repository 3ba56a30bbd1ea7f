"""A server that writes study material, with everything that servers do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from blasphemer.command_line import load_settings
from blasphemer.errors import EndpointError
from blasphemer.study import endpoint
from blasphemer.study.endpoint import Endpoint

Answer = tuple[int, Any, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Answers as `behave` says, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, behave: Callable[[dict[str, Any], int], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.asked: list[tuple[dict[str, Any], str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": "first-model"}, {"id": "second-model"}]}, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((body, self.headers.get("Authorization")))
        self._reply(*self.server.behave(body, len(self.server.asked)))

    def _reply(self, status: int, value: Any, headers: dict[str, str]) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, said in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, said)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(behave: Callable[[dict[str, Any], int], Answer], *flags: str) -> Iterator[tuple[Server, Endpoint]]:
    server = Server(behave)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1/"
    try:
        with Endpoint(load_settings(["demo", "--study-endpoint", url, *flags])) as client:
            yield server, client
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def said(text: str) -> Answer:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}, {}


def echo(body: dict[str, Any], number: int) -> Answer:
    time.sleep(0.05 if number % 3 == 1 else 0)  # so that answers do not come in the order of asking
    return said(body["messages"][0]["content"].upper())


def test_answers_come_in_the_order_of_the_requests() -> None:
    with serving(echo) as (server, client):
        prompts = [f"request {number}" for number in range(20)]
        assert client.write(prompts, "", 50, 7) == [prompt.upper() for prompt in prompts]
    bodies = [body for body, _ in server.asked]
    assert {body["model"] for body in bodies} == {"first-model"}
    assert {body["max_tokens"] for body in bodies} == {50}
    assert len({body["seed"] for body in bodies}) == 20


def test_without_a_seed_the_likeliest_answer_is_asked_for() -> None:
    with serving(echo, "--study-endpoint-model", "other", "--study-endpoint-key", "secret") as (server, client):
        client.write(["a"], "", 50, None)
    ((body, authorization),) = server.asked
    assert (body["temperature"], body["model"], "seed" in body) == (0.0, "other", False)
    assert authorization == "Bearer secret"


def test_no_more_requests_are_put_at_once_than_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def busy(*_: object) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return said("yes")

    with serving(busy, "--study-endpoint-requests", "2") as (_, client):
        client.write(["a"] * 10, "", 50, None)
    assert most == 2


def test_an_overloaded_server_is_asked_again_after_as_long_as_it_wants() -> None:
    def tired(_: dict[str, Any], number: int) -> Answer:
        return (429, {}, {"Retry-After": "0.3"}) if number == 1 else (503, {}, {}) if number == 2 else said("at last")

    with serving(tired) as (server, client):
        began = time.monotonic()
        assert client.write(["a"], "", 50, None) == ["at last"]
    assert time.monotonic() - began >= 0.3
    assert len(server.asked) == 3


def test_a_server_that_never_recovers_is_given_up() -> None:
    with serving(lambda *_: (500, {}, {})) as (server, client), pytest.raises(EndpointError, match="no answer in 5"):
        client.write(["a"], "", 50, None)
    assert len(server.asked) == 5


def test_a_server_that_does_not_answer_in_time_is_given_up() -> None:
    def asleep(*_: object) -> Answer:
        time.sleep(0.4)
        return said("too late")

    with (
        serving(asleep, "--study-endpoint-timeout", "0.05") as (_, client),
        pytest.raises(EndpointError, match="timed out"),
    ):
        client.write(["a"], "", 50, None)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, b"no such key", {}), "HTTP 401: no such key"),
        ((200, b"<html>", {}), "something else than JSON"),
        ((200, {"choices": []}, {}), "something else than a chat completion"),
    ],
)
def test_a_refusal_is_said_at_once(answer: Answer, message: str) -> None:
    with serving(lambda *_: answer) as (server, client), pytest.raises(EndpointError, match=message):
        client.write(["a"], "", 50, None)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1/models: no answer"):
        Endpoint(load_settings(["demo", "--study-endpoint", "http://127.0.0.1:9/v1"])).write(["?"], "", 9, None)


def test_several_servers_take_turns_and_stand_in_for_one_that_fails() -> None:
    with serving(echo) as (first, _), serving(lambda *_: (503, {}, {})) as (second, _):
        urls = [f"http://127.0.0.1:{server.server_port}/v1" for server in (first, second)]
        with Endpoint(load_settings(["demo", "--study-endpoint", ",".join(urls)])) as both:
            assert both.write(["a", "b", "c", "d"], "", 50, 1) == ["A", "B", "C", "D"]
    assert (len(first.asked), len(second.asked)) == (4, 2)
