"""A cloud in which no time passes but what a test lets pass: seconds are exact there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from emulator.clock import Clock
from emulator.metering.account import account
from emulator.metering.lines import Line
from tests.emulator.world import World

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class StillClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self._now = NOON

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by
        super().advance(by)  # wakes who waits


class StillWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, clock=StillClock())

    def lines(self, kind: str) -> list[Line]:
        return [line for line in self.cloud.meter.lines() if line.kind == kind]

    def used(self, kind: str) -> float:
        return sum(line.used(self.cloud.meter.now()) for line in self.lines(kind))

    def account(self, *by: str) -> dict[str, Any]:
        meter = self.cloud.meter
        return account(meter.lines(), meter.now(), by)
