"""Time that a test can move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

# Far enough before the last year that datetime has for what is reckoned from the clock, such as
# when a snapshot expires, to have a date too.
END = datetime(9000, 1, 1, tzinfo=UTC)


class Clock:
    """Wall time plus an offset that only grows.

    States are functions of ``now()``, so moving the clock moves every state machine at once.
    Waiters wake up when the clock is moved, not only when real time has passed.
    """

    def __init__(self) -> None:
        self._offset = timedelta()
        self._moved: set[asyncio.Event] = set()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, by: timedelta) -> None:
        """Move forward. Must be called on the loop of the waiters.

        :raises ValueError: for a negative step: created resources would lie in the future; and for
            one past the end of dates.
        """
        if by < timedelta():
            raise ValueError(f"the clock only moves forward, not by {by}")
        if by > END - self.now():
            raise ValueError(f"the clock ends at {END:%Y-%m-%d}; {by} from now is later")
        self._offset += by
        for event in self._moved:
            event.set()

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, moment: datetime) -> None:
        moved = asyncio.Event()
        self._moved.add(moved)
        try:
            while (left := (moment - self.now()).total_seconds()) > 0:
                moved.clear()
                try:
                    await asyncio.wait_for(moved.wait(), timeout=left)
                except TimeoutError:
                    continue
        finally:
            self._moved.discard(moved)
