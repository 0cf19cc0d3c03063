"""Signed calls through the whole HTTP front, without sockets: fast enough for thousands."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from emulator import control
from emulator.front import front_app
from emulator.request_log import RequestLog
from tests.emulator.signer import encoded, signed_headers
from tests.emulator.world import World

HOST = "cloud.test"
ECS, ACK = "2014-05-26", "2015-12-15"
T = TypeVar("T")


@dataclass(frozen=True)
class Wire:
    """One call as it is sent, before its signature."""

    action: str
    version: str
    method: str = "POST"
    path: str = "/"
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = ""

    def with_query(self, query: dict[str, str]) -> Wire:
        return dataclasses.replace(self, query=tuple(query.items()))

    def with_json(self, body: Any) -> Wire:
        return dataclasses.replace(
            self, body=json.dumps(body).encode(), content_type="application/json; charset=utf-8"
        )


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body.get("Code") or self.body.get("code") or "")


class Line:
    """A cloud without machines, its loop, and a client of its HTTP front."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.sent = 0
        self.world = self.run(self._built(folder))
        account = self.world.cloud.account
        self._facts = {
            "ecs_endpoint": HOST,
            "access_key_id": account.access_key_id,
            "access_key_secret": account.access_key_secret,
        }
        self._log = RequestLog(folder / "requests.jsonl")
        transport = httpx.ASGITransport(front_app(self.world.cloud, self._log))
        self._client = httpx.AsyncClient(transport=transport)

    async def _built(self, folder: Path) -> World:
        return World(folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def send(self, wire: Wire) -> Answer:
        """Sign and send a call.

        :raises AssertionError: for an answer that no call may get: HTTP 5xx, another form than
            JSON, no id, or a change made by a call that was refused.
        """
        self.sent += 1
        before = self.state()
        answer = self.run(self._sent(wire))
        headers, body = answer.headers, answer.json()
        assert answer.status_code < 500, f"{wire}: {answer.text}"
        assert headers["content-type"] == "application/json"
        ids = [body[key] for key in ("RequestId", "request_id", "requestId") if key in body]
        assert ids == [headers["x-acs-request-id"]], f"{wire}: {body}"
        if answer.status_code >= 400:
            assert self.state() == before, f"{wire} was refused and has changed something"
        return Answer(answer.status_code, body)

    async def _sent(self, wire: Wire) -> httpx.Response:
        over = {"x-acs-action": wire.action, "x-acs-version": wire.version}
        if wire.content_type:
            over["content-type"] = wire.content_type
        headers = signed_headers(
            self._facts,
            over,
            method=wire.method,
            path=wire.path,
            query=wire.query,
            body=wire.body,
        )
        url = f"http://{HOST}{wire.path}?{encoded(wire.query)}"
        return await self._client.request(wire.method, url, content=wire.body, headers=headers)

    def state(self) -> list[Any]:
        """Return all that a call could change, as far as it can be seen."""
        cloud = self.world.cloud
        tasks = [(task.task_id, str(task.state)) for task in cloud.tasks.values()]
        machines = [*self.world.machines.specs, *self.world.machines.addresses]
        return [*control.resources(cloud), tasks, machines]

    def close(self) -> None:
        self.run(self._client.aclose())
        self.run(self.world.cloud.close())
        self._log.close()
        self.loop.close()


@contextmanager
def fuzz_line(folder: Path) -> Iterator[Line]:
    line = Line(folder)
    try:
        yield line
    finally:
        line.close()
