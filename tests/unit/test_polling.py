"""A board against scripted reads: who is looked for, when, and what each wait is told."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ack_preload.domain.errors import (
    CloudError,
    InvalidInputError,
    NotFoundError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.hooks.pace import Pace
from ack_preload.triggers import polling
from ack_preload.triggers.polling import Board, lookout


@dataclass
class Cloud:
    """What is there, what it refuses, and which calls it got."""

    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answering.set()

    async def read(self, ids: Sequence[str]) -> dict[str, str]:
        self.calls.append(list(ids))
        await asyncio.sleep(0)
        await self.answering.wait()
        for refused, error in self.errors.items():
            if refused in (*ids, "*"):
                raise error
        return {each: self.states[each] for each in ids if each in self.states}

    def board(self, at_once: int = 100, rate: float = 1000.0, **options: Any) -> Board[str]:
        return Board(self.read, Pace(rate), lambda _: at_once, **options)


def refusal(code: str, kind: type[CloudError] = CloudError) -> CloudError:
    return kind(code, "no", request_id="1")


async def test_a_wait_alone_looks_at_once_and_when_it_is_due() -> None:
    cloud = Cloud({"a": "Running"})
    board, loop = cloud.board(), asyncio.get_running_loop()
    async with asyncio.timeout(5):
        assert await board.look("a", 0) == "Running"
    began = loop.time()
    assert await board.look("a", 0.2) == "Running"
    assert loop.time() - began >= 0.19
    assert await board.look("b") is None
    assert cloud.calls == [["a"], ["a"], ["b"]]


async def test_waits_that_are_due_at_odd_moments_fall_into_step() -> None:
    ids = [f"i-{number}" for number in range(250)]
    cloud = Cloud(dict.fromkeys(ids, "Running"))
    board = cloud.board()
    rounds = 5

    async def wait(number: int) -> None:
        await asyncio.sleep(0.0003 * number)
        for _ in range(rounds):
            assert await board.look(ids[number], 0.1) == "Running"

    await asyncio.gather(*(wait(number) for number in range(250)))
    assert len(cloud.calls) <= 3 * (rounds + 1)
    assert max(map(len, cloud.calls)) == 100
    assert not board._seats


async def test_waits_that_begin_one_after_another_look_together() -> None:
    cloud = Cloud(dict.fromkeys((f"i-{number}" for number in range(300)), "Pending"))
    board = cloud.board(rate=100)  # a burst of a hundred calls, and 0.1 s for company

    async def wait(number: int) -> None:
        for _ in range(2):
            await board.look(f"i-{number}", 0)
            await board.look(f"i-{number}", 60)

    waits = []
    for number in range(300):
        waits.append(asyncio.create_task(wait(number)))
        await asyncio.sleep(0.001)
    await reached_all(cloud, 300)
    assert len(cloud.calls) <= 30
    for each in waits:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_one_call_tells_all_who_wait_for_the_same() -> None:
    cloud = Cloud({"T-1": "success", "T-2": "running"})
    cloud.answering.clear()
    board = cloud.board(at_once=1)
    looks = [asyncio.create_task(board.look(each)) for each in ("T-1", "T-1", "T-2", "T-1")]
    await reached(cloud, 3)
    cloud.answering.set()
    assert await asyncio.gather(*looks) == ["success", "success", "running", "success"]
    # The first look had begun before the others came: what it sees may be older than they are.
    assert sorted(cloud.calls) == [["T-1"], ["T-1"], ["T-2"]]


async def test_calls_for_many_do_not_wait_for_each_other() -> None:
    cloud = Cloud()
    cloud.answering.clear()
    board = cloud.board(at_once=10)
    looks = [asyncio.create_task(board.look(f"i-{number}")) for number in range(50)]
    await reached(cloud, 5)
    cloud.answering.set()
    await asyncio.gather(*looks)


@pytest.mark.parametrize(
    "error",
    [
        refusal("Throttling.User", ThrottledError),
        refusal("Forbidden.RAM"),
        refusal("InvalidAccessKeyId.NotFound", NotFoundError),
        UnclearReplyError("cut"),
        ZeroDivisionError("a bug"),
    ],
)
async def test_an_error_of_a_call_reaches_all_it_was_sent_for(error: Exception) -> None:
    cloud = Cloud(errors={"*": error})
    cloud.answering.clear()
    board = cloud.board(splits=True)
    looks = [asyncio.create_task(board.look(f"i-{number}")) for number in range(3)]
    await reached(cloud, 1)
    cloud.answering.set()
    assert await asyncio.gather(*looks, return_exceptions=True) == [error] * 3
    assert len(cloud.calls) <= 2


async def test_one_bad_id_fails_alone() -> None:
    ids = [f"i-{number}" for number in range(100)]
    bad = refusal("InvalidInstanceId.Malformed")
    cloud = Cloud(dict.fromkeys(ids, "Running"), errors={"i-42": bad})
    board = cloud.board(splits=True)
    seen = await asyncio.gather(*(board.look(each) for each in ids), return_exceptions=True)
    assert seen == [bad if each == "i-42" else "Running" for each in ids]
    assert len(cloud.calls) <= 16  # halved: 2 * log2(100) and the first


async def test_a_cancelled_wait_hurts_no_other() -> None:
    cloud = Cloud({"a": "Running", "b": "Running"})
    cloud.answering.clear()
    board = cloud.board()
    for victim in (0, 1):  # the one that leads, then one that is led
        cloud.calls.clear()
        looks = [asyncio.create_task(board.look(each, 0.01)) for each in ("a", "b")]
        await reached(cloud, 1)
        looks[victim].cancel()
        cloud.answering.set()
        assert (await asyncio.gather(*looks, return_exceptions=True))[1 - victim] == "Running"
        assert looks[victim].cancelled()
        cloud.answering.clear()
    assert not board._seats
    assert board._leader is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_wait_that_is_cancelled_in_its_turn_gives_it_on() -> None:
    cloud = Cloud({"b": "Running"})
    board = cloud.board(rate=20)
    for _ in range(21):  # the burst is used up
        await board._pace.turn()
    first, second = (asyncio.create_task(board.look(each)) for each in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "Running"
    assert cloud.calls == [["b"]]


async def test_a_crowd_of_one_kind_starves_no_other() -> None:
    pace, many, few = Pace(200), Cloud({}), Cloud({"np": "active"})
    crowd = Board(many.read, pace, lambda _: 1)
    waits = [asyncio.create_task(crowd.look(f"T-{number}")) for number in range(600)]
    await reached(many, 250)  # the burst is used up, and 350 stand in line
    assert await Board(few.read, pace, lambda _: 1).look("np") == "active"
    assert len(many.calls) < 300
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def reached_all(cloud: Cloud, ids: int) -> None:
    async with asyncio.timeout(5):
        while len({each for call in cloud.calls for each in call}) < ids:
            await asyncio.sleep(0.001)


async def reached(cloud: Cloud, calls: int) -> None:
    async with asyncio.timeout(5):
        while len(cloud.calls) < calls:
            await asyncio.sleep(0.001)


# -- what waits of one account share


@pytest.fixture
def _connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(name: str, **extra: Any) -> None:
        known = {"conn_type": "alibaba_cloud", "login": "ak", "password": "secret"}
        text = json.dumps({**known, "extra": {"region": "cn-hangzhou", **extra}})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)

    put("one")
    put("two", poll_every_s=3)
    put("elsewhere", region="cn-beijing")
    put("broken", region="")


@pytest.mark.usefixtures("_connections")
async def test_connections_to_one_place_share_their_boards() -> None:
    async with lookout("one") as one, lookout("two") as two, lookout("elsewhere") as third:
        assert one is two
        assert third is not one
        assert third.looks.pace is one.looks.pace  # limits are the account's, not the region's


@pytest.mark.usefixtures("_connections")
async def test_a_connection_is_read_once_and_anew_after_the_last_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with lookout("one") as first:
        monkeypatch.setenv("AIRFLOW_CONN_ONE", "{}")
        async with lookout("one") as second:
            assert second is first
            monkeypatch.setattr(polling, "FRESH_S", 0)
            with pytest.raises(InvalidInputError):
                async with lookout("one"):
                    pass
    desk = polling._DESKS[asyncio.get_running_loop()]
    assert (desk.connections, desk.lookouts) == ({}, {})


@pytest.mark.usefixtures("_connections")
async def test_a_connection_that_is_wrong_leaves_nothing_open() -> None:
    with pytest.raises(InvalidInputError, match="broken has no region"):
        async with lookout("broken"):
            raise AssertionError("it opened")
    assert polling._DESKS[asyncio.get_running_loop()].connections == {}


@pytest.mark.usefixtures("_connections")
def test_nothing_outlives_its_event_loop() -> None:
    async def look() -> None:
        async with lookout("one") as shared:
            await shared.looks.pace.turn()

    before = len(polling._DESKS)
    for _ in range(3):
        asyncio.run(look())
    gc.collect()
    assert len(polling._DESKS) <= before
