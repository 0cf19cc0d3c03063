"""The load, in a process of its own: ``python -m local.bench.load``, a plan in, figures out.

Both are JSON, on standard input and output. An open loop sends each call when it is due, whether
or not earlier ones were answered, and counts its latency from then: a slow answer cannot hide the
waiting of those behind it. A closed loop keeps a number of calls under way, for the throughput.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from local.bench.mix import Call, Target

CONNECTIONS = 32  # kept open; clients of one account
TIMEOUT_S = 30.0
SHOWN_ERRORS = 5


@dataclass(slots=True)
class Seen:
    """What became of the calls."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    last: float = 0.0  # when the last answer came

    def add(self, call: Call, seconds: float, now: float) -> None:
        self.latencies.setdefault(call.name, []).append(seconds)
        self.last = now

    @property
    def number(self) -> int:
        return sum(map(len, self.latencies.values()))


async def make(session: aiohttp.ClientSession, target: Target, call: Call) -> str:
    """Make a call; return what is wrong with its answer, or nothing."""
    facts = target.facts
    url = f"http://{facts['ecs_endpoint']}{call.url()}"
    try:
        async with session.request(
            call.method, URL(url, encoded=True), headers=call.headers(facts)
        ) as answer:
            text = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as exc:
        return f"{call.name}: {exc!r}"
    if answer.status != call.status or not call.is_right(json.loads(text)):
        return f"{call.name}: {answer.status} {text[:200].decode(errors='replace')}"
    return ""


async def timed(
    session: aiohttp.ClientSession, target: Target, call: Call, due: float, seen: Seen
) -> None:
    if problem := await make(session, target, call):
        seen.errors.append(problem)
    now = time.perf_counter()
    seen.add(call, now - due, now)


async def open_loop(
    session: aiohttp.ClientSession, target: Target, rate: float, number: int
) -> tuple[Seen, float]:
    """Send ``number`` calls, ``rate`` a second; return also how late the latest was sent."""
    seen, late = Seen(), 0.0
    under_way: set[asyncio.Task[None]] = set()
    calls = target.calls()
    begin = time.perf_counter()
    for place in range(number):
        due = begin + place / rate
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        late = max(late, time.perf_counter() - due)
        task = asyncio.create_task(timed(session, target, next(calls), due, seen))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return seen, late


async def closed_loop(
    session: aiohttp.ClientSession, target: Target, seconds: float, workers: int
) -> Seen:
    seen = Seen()
    calls: Iterator[Call] = target.calls()
    end = time.perf_counter() + seconds

    async def work() -> None:
        while (now := time.perf_counter()) < end:
            await timed(session, target, next(calls), now, seen)

    await asyncio.gather(*(work() for _ in range(workers)))
    return seen


async def main(plan: dict[str, Any]) -> dict[str, Any]:
    target = Target(**plan["target"])
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    # New connections as the official SDKs make them, one a call, or a pool that stays open.
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=plan["new_connections"])
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        cpu, begin, late = time.process_time(), time.perf_counter(), 0.0
        if plan["rate"]:
            number = round(plan["rate"] * plan["seconds"])
            seen, late = await open_loop(session, target, plan["rate"], number)
        else:
            seen = await closed_loop(session, target, plan["seconds"], plan["workers"])
    took = seen.last - begin
    return {
        "calls": seen.number,
        "errors": len(seen.errors),
        "first_errors": seen.errors[:SHOWN_ERRORS],
        "seconds": took,
        "per_second": seen.number / took,
        "sent_late_s": late,
        "cpu_s": time.process_time() - cpu,
        "latencies_s": seen.latencies,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
