"""The meter: one line for each resource that ever was, kept as the cloud itself changes.

It reads the cloud's shelves and resources by what they tell of themselves (``watched.py``); no
call has to report to it, so none can forget to.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from emulator.metering.journal import CHANGE, CLOSE, OPEN, STOP, Journal
from emulator.metering.lines import Line
from emulator.metering.readings import KINDS
from emulator.metering.watched import Watched, WatchedTags

if TYPE_CHECKING:
    from emulator.clock import Clock


class Meter:
    """Lines of all that was and is. Lives on the cloud's event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._journal: Journal | None = None
        self._lines: list[Line] = []
        self._alive: dict[tuple[str, str], tuple[Line, Any]] = {}  # with what is metered
        self._stopped: datetime | None = None

    def keep_journal(self, journal: Journal) -> None:
        """Write down from now on what happens, so that it outlives this process."""
        self._journal = journal
        journal.start(self.now())

    def now(self) -> datetime:
        return self._stopped or self._clock.now()

    def opened(self, kind: str, key: str, resource: Any) -> None:
        """Begin the line of a resource, and listen to it."""
        if self._stopped is not None:
            return
        known = self._alive.get((kind, key))
        if known is not None:
            if known[1] is resource:
                return
            self.closed(kind, key)
        reading = KINDS[kind].read(resource)
        line = Line(kind, key, KINDS[kind].unit, self.now(), reading)
        self._lines.append(line)
        self._alive[kind, key] = (line, resource)
        self._write(OPEN, line)

        def told() -> None:
            self._look(line, resource)

        if isinstance(getattr(resource, "tags", None), dict):
            resource.tags = WatchedTags(resource.tags, told)
        if isinstance(resource, Watched):
            resource.watch(told)

    def closed(self, kind: str, key: str) -> None:
        """End the line of what is gone; what is done to it from now on costs nothing."""
        if self._stopped is not None:
            return
        line, resource = self._alive.pop((kind, key))
        if isinstance(resource, Watched):
            resource.watch(None)
        line.end(self.now())
        self._write(CLOSE, line)

    def stop(self) -> None:
        """Stop the time of all lines: what is alive now was alive at the end."""
        if self._stopped is None:
            self._stopped = self.now()
            if self._journal is not None:
                self._journal.write(STOP, self._stopped)

    def lines(self) -> list[Line]:
        """Return all lines as they are now; the caller may keep them."""
        return [line.copy() for line in self._lines]

    def _look(self, line: Line, resource: Any) -> None:
        if line.ended is not None or self._stopped is not None:
            return
        reading = KINDS[line.kind].read(resource)
        if reading != line.reading:
            line.change(self.now(), reading)
            self._write(CHANGE, line)

    def _write(self, event: str, line: Line) -> None:
        if self._journal is not None:
            self._journal.write(event, self.now(), line)
