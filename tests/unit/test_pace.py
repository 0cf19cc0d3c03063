"""The limiter of an account: what it lets through, and how it rests."""

from __future__ import annotations

import asyncio
import time

from ack_preload.hooks import pace as module
from ack_preload.hooks.account import Account
from ack_preload.hooks.pace import Pace, pace_of


async def moments(pace: Pace, calls: int) -> list[float]:
    """Return when each of so many callers that come at once had its turn."""
    began = time.monotonic()

    async def call() -> float:
        await pace.turn()
        return time.monotonic() - began

    return await asyncio.gather(*(call() for _ in range(calls)))


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    pace, began = Pace(100), time.monotonic()
    turns = [asyncio.create_task(pace.turn()) for _ in range(100)]
    rest = asyncio.create_task(moments(pace, 30))
    for _ in range(3):
        await asyncio.sleep(0)
    assert all(turn.done() for turn in turns), "a burst waits for nothing"
    taken = await rest
    assert taken == sorted(taken), "first come, first served"
    assert time.monotonic() - began >= 0.28


async def test_what_was_not_used_is_not_saved_for_ever() -> None:
    pace = Pace(1000)
    pace._due = time.monotonic() - 3600
    taken = await moments(pace, 1100)
    assert taken[-1] >= 0.09


async def test_a_throttled_account_rests_as_long_as_asked_and_has_no_burst_then() -> None:
    pace = Pace(50)
    waiting = asyncio.create_task(moments(pace, 60))
    for _ in range(3):
        await asyncio.sleep(0)
    pace.throttled(0.3)
    *burst, first, _, _, _, _, _, _, _, last = await waiting
    assert first - max(burst) >= 0.29
    assert last >= 0.3 + 7 / 50


def throttle(pace: Pace, asked: float | None, rest: float) -> None:
    """Throttle, and see that it rests for so long from now."""
    before = time.monotonic()
    pace.throttled(asked)
    assert before + rest <= pace._rests_until <= time.monotonic() + rest


def test_rests_grow_until_the_cloud_takes_a_call_again() -> None:
    pace = Pace(10)
    for rest in (1, 2, 4, 8, 16, 32, 60, 60):
        pace._rests_until = 0
        throttle(pace, None, rest)
    pace.answered()
    pace._rests_until = 0
    throttle(pace, None, 1)


def test_answers_to_calls_under_way_do_not_lengthen_a_rest_but_a_longer_wish_does() -> None:
    pace = Pace(10)
    for longer, rest, under_way in ((30, 30, None), (86_400, module.LONGEST_ASKED_S, 5)):
        throttle(pace, longer, rest)
        until = pace._rests_until
        pace.throttled(under_way)
        assert pace._rests_until == until


async def test_an_account_is_its_key_and_endpoints_whatever_its_region() -> None:
    account = Account("one", "cn-hangzhou", access_key_id="ak", calls_per_s=5)
    pace = pace_of(account)
    assert pace_of(Account("two", "cn-beijing", access_key_id="ak", calls_per_s=7)) is pace
    assert pace.calls_per_s == 7
    assert pace_of(Account("one", "cn-hangzhou", access_key_id="other")) is not pace
    assert pace_of(Account("one", "cn-hangzhou", access_key_id="ak", cs_endpoint="x")) is not pace
