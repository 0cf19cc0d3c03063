"""Clients that break off, pipeline or send nonsense meet no failure that was not asked for."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from alibabacloud_ecs20140526 import models

from emulator.app import Handle, running
from emulator.clock import END
from emulator.connections import Connections
from emulator.faults import EmptyBody, ResetAfter, ResetBefore, ServerError, Slow, Throttle
from tests.conftest import INSTANT
from tests.emulator.sdk import ecs_client
from tests.emulator.signer import call, encoded, signed_headers

RESET = struct.pack("ii", 1, 0)
WITHIN_S = 5.0


@pytest.fixture
def no_error(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Fail a test in which any thread, the emulator's with them, logged an error."""
    caplog.set_level(logging.INFO)
    yield caplog
    assert [each.getMessage() for each in caplog.get_records("call") if each.levelno >= 40] == []


def connect(handle: Handle) -> socket.socket:
    host, _, port = handle.facts["ecs_endpoint"].partition(":")
    return socket.create_connection((host, int(port)), timeout=WITHIN_S)


def raw(handle: Handle, action: str) -> bytes:
    """Return a signed call as it goes over a connection."""
    over = {"x-acs-action": action, "x-acs-version": "2014-05-26"}
    query = {} if action == "DescribeRegions" else {"RegionId": "cn-hangzhou"}
    headers = signed_headers(handle.facts, over, query=query) | {"content-length": "0"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /?{encoded(query)} HTTP/1.1\r\n{lines}\r\n".encode()


def until_struck(handle: Handle) -> None:
    """Wait until the only fault has struck; a call at a time, as each is a look at the cloud."""
    deadline = time.monotonic() + WITHIN_S
    while not handle.faults.armed()[0].struck:
        assert time.monotonic() < deadline
        call(handle.facts, "DescribeRegions")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def answered_lines(handle: Handle) -> list[dict[str, Any]]:
    text = (handle.state_dir / "requests.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("path", ["/", "/_control/faults", "/_control/clock"])
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["end", "reset"])
def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(
    cloud_handle: Handle, path: str, leave: Callable[[socket.socket], None]
) -> None:
    connection = connect(cloud_handle)
    connection.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200, "it has read that"
    leave(connection)
    for _ in range(3):
        assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("does_wait", [True, False], ids=["waits", "left"])
def test_a_slow_answer_holds_up_no_other_call_and_not_the_end(
    tmp_path: Path, does_wait: bool
) -> None:
    with running(tmp_path, settings=INSTANT, seed="empty") as handle:
        handle.faults.add(Slow(target="DescribeImages", seconds=600))
        connection = connect(handle)
        connection.sendall(raw(handle, "DescribeImages"))
        until_struck(handle)
        if not does_wait:
            reset(connection)
            assert call(handle.facts, "DescribeRegions").status_code == 200
        started = time.monotonic()
    assert time.monotonic() - started < WITHIN_S
    if does_wait:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    connection.close()


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("kind", [ResetBefore, ResetAfter])
def test_a_reset_takes_the_calls_pipelined_behind_it_with_it(
    cloud_handle: Handle, kind: type[ResetBefore | ResetAfter]
) -> None:
    with cloud_handle.fault(kind(target="DescribeImages")):
        connection = connect(cloud_handle)
        connection.sendall(
            raw(cloud_handle, "DescribeImages")
            + b"".join(raw(cloud_handle, "DescribeRegions") for _ in range(3))
        )
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: connection.recv(65536), b""))
    actions = [line["action"] for line in answered_lines(cloud_handle)]
    assert actions == ["DescribeImages"]
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


@pytest.mark.usefixtures("no_error")
def test_pipelined_calls_keep_their_order_past_a_refused_and_a_slow_one(
    cloud_handle: Handle,
) -> None:
    with (
        cloud_handle.fault(Throttle(target="DescribeImages", status=429)),
        cloud_handle.fault(Slow(target="DescribeRegions", seconds=0.1)),
    ):
        connection = connect(cloud_handle)
        names = ("DescribeRegions", "DescribeImages", "DescribeDisks")
        connection.sendall(b"".join(raw(cloud_handle, name) for name in names))
        got = b""
        while got.count(b"HTTP/1.1 ") < len(names):
            got += connection.recv(65536)
        connection.close()
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 429, 200]


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param('{"kind":"slow","seconds":Infinity}', id="infinite"),
        pytest.param('{"kind":"slow","seconds":NaN}', id="no number"),
        pytest.param('{"kind":"spot_reclaim","after_s":Infinity}', id="never"),
        pytest.param('{"kind":"spot_reclaim","notice_s":1e300}', id="past the end of time"),
        pytest.param('{"kind":"stuck","resource":"disk","target":"\\ud800"}', id="half a letter"),
        pytest.param('{"kind":"throttle","target":"\\ud800"}', id="half a letter as action"),
        pytest.param('{"kind":"\\ud800"}', id="half a letter as kind"),
        pytest.param('{"\\ud800":1,"kind":"throttle"}', id="half a letter as field"),
        pytest.param('{"kind":"throttle","nth":true}', id="a flag for a number"),
        pytest.param('{"kind":' + "[" * 2000 + "]" * 2000 + "}", id="two thousand levels"),
        pytest.param('{"kind":"throttle","target":"' + "x" * 2**20 + '"}', id="a megabyte"),
    ],
)
def test_a_fault_of_nonsense_is_refused_in_few_words(quiet_cloud: Handle, fault: str) -> None:
    url = f"{quiet_cloud.facts['control_url']}/faults"
    answer = requests.post(url, data=fault.encode(), timeout=10)
    assert answer.status_code == 400
    assert len(answer.json()["message"]) < 2000
    assert requests.get(url, timeout=10).json() == {"faults": []}


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="levels"),
        pytest.param(b'{"advance_s": NaN}', id="no number"),
        pytest.param(b'{"advance_s": Infinity}', id="infinite"),
        pytest.param(b'{"advance_s": 1' + b"0" * 400 + b"}", id="four hundred digits"),
        pytest.param(b'{"advance_s": 1' + b"0" * 5000 + b"}", id="five thousand digits"),
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param(b"[]", id="a list"),
    ],
)
def test_nonsense_for_the_clock_is_refused(quiet_cloud: Handle, body: bytes) -> None:
    url = f"{quiet_cloud.facts['control_url']}/clock"
    assert requests.post(url, data=body, timeout=10).status_code == 400


@pytest.mark.usefixtures("no_error")
def test_the_clock_refuses_a_step_past_the_end_of_dates_and_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, settings=INSTANT, seed="empty") as handle:
        url = f"{handle.facts['control_url']}/clock"
        handle.advance((END - handle.cloud.now()).total_seconds() - 3600)
        refused = requests.post(url, json={"advance_s": 2 * 3600}, timeout=10)
        assert refused.status_code == 400
        assert "the clock ends at 9000-01-01" in refused.json()["message"]
        assert requests.post(url, json={"advance_s": 60}, timeout=10).status_code == 200


async def test_a_call_without_a_known_connection_is_not_cut() -> None:
    for client in (None, ("127.0.0.1", 1)):
        await Connections().cut({"client": client})


@pytest.mark.slow
@pytest.mark.usefixtures("no_error")
async def test_a_hundred_calls_at_once_under_random_faults_meet_only_what_was_asked_for(
    cloud_handle: Handle,
) -> None:
    chance = random.Random(3)  # noqa: S311  # the same faults each time
    kinds: list[Callable[[int], Any]] = [
        lambda nth: Throttle(nth=nth, retry_after_s=chance.choice([None, 0])),
        lambda nth: ServerError(nth=nth, status=503),
        lambda nth: ServerError(nth=nth, status=503, after=True),
        lambda nth: ResetBefore(nth=nth),
        lambda nth: ResetAfter(nth=nth),
        lambda nth: EmptyBody(nth=nth),
        lambda nth: Slow(nth=nth, seconds=0.05),
    ]
    faults = cloud_handle.faults
    for _ in range(50):
        faults.add(chance.choice(kinds)(chance.randint(1, 8)))
    client = ecs_client(cloud_handle.facts)

    async def one() -> int:
        try:
            await client.describe_regions_async(models.DescribeRegionsRequest())
        except Exception as error:  # whatever the SDK makes of a fault; its status counts
            return int(getattr(error, "status_code", 0) or 0)
        return 200

    statuses = await asyncio.gather(*(one() for _ in range(100)))
    lines = answered_lines(cloud_handle)
    assert len(lines) == len(statuses) == 100
    struck = sum(armed.struck for armed in faults.armed())
    assert struck == sum(len(line.get("faults", [])) for line in lines)
    assert struck > 20
    assert 500 not in statuses
    assert statuses.count(503) == sum(line["status"] == 503 for line in lines)
