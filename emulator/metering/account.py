"""What the lines come to: alive, ended, and what each run used and had at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from emulator.metering.lines import DECIMALS, Line

Values = tuple[str | None, ...]


def account(lines: Sequence[Line], now: datetime, by: Sequence[str] = ()) -> dict[str, Any]:
    """Return everything, grouped by the values of the tags whose keys are given.

    A resource without any of these tags is foreign. The tags that count are its last ones, also
    for what it used before it had them.
    """
    grouped: dict[Values, list[Line]] = {}
    for line in lines:
        grouped.setdefault(tuple(line.reading.tags.get(key) for key in by), []).append(line)
    foreign = grouped.pop(tuple(None for _ in by), [])
    return {
        "now": now.isoformat(),
        "by": list(by),
        "alive": [line.describe(now) for line in lines if line.ended is None],
        "ended": [line.describe(now) for line in lines if line.ended is not None],
        "totals": totals(lines, now),
        "groups": [
            {"values": dict(zip(by, values, strict=True)), **group(members, now)}
            for values, members in grouped.items()
        ],
        "foreign": group(foreign, now),
    }


def group(lines: Sequence[Line], now: datetime) -> dict[str, Any]:
    return {"totals": totals(lines, now), "peak": peaks(lines)}


def totals(lines: Iterable[Line], now: datetime) -> dict[str, dict[str, Any]]:
    """Return for each kind how many there were and are, and what they used."""
    found = {}
    for kind, members in by_kind(lines).items():
        found[kind] = {
            "count": len(members),
            "alive": sum(line.ended is None for line in members),
            "alive_seconds": round(sum(line.alive_seconds(now) for line in members), DECIMALS),
        }
        if unit := members[0].unit:
            found[kind][unit] = round(sum(line.used(now) for line in members), DECIMALS)
    return found


def peaks(lines: Iterable[Line]) -> dict[str, int]:
    """Return for each kind how many were alive at once, at most."""
    return {kind: peak(members) for kind, members in by_kind(lines).items()}


def peak(lines: Iterable[Line]) -> int:
    """Count as alive at once only what was so for longer than no time at all.

    One that goes in the moment in which the next one comes is not beside it.
    """
    steps: list[tuple[datetime, int]] = []
    for line in lines:
        steps.append((line.created, 1))
        if line.ended is not None:
            steps.append((line.ended, -1))
    most = alive = 0
    for _, step in sorted(steps):  # at one moment those that go are first
        alive += step
        most = max(most, alive)
    return most


def by_kind(lines: Iterable[Line]) -> dict[str, list[Line]]:
    ordered = sorted(lines, key=lambda line: line.kind)
    return {kind: list(members) for kind, members in groupby(ordered, lambda line: line.kind)}
