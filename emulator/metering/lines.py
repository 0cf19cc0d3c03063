"""A line of the meter: one resource from when it came to be until it was gone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

DECIMALS = 6  # of seconds: microseconds are what the clock has


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is to say of a resource at one moment.

    :param rate: units that it uses in a second: 1 for an instance, GiB for what is stored.
    """

    name: str
    tags: Mapping[str, str]
    facts: Mapping[str, Any]
    rate: float


@dataclass(slots=True)
class Span:
    since: datetime
    rate: float
    until: datetime | None = None

    def seconds(self, now: datetime) -> float:
        return max(0.0, ((self.until or now) - self.since).total_seconds())


@dataclass(slots=True)
class Line:
    """:param unit: of what is used, such as ``instance_seconds``; empty for what costs nothing."""

    kind: str
    resource_id: str
    unit: str
    created: datetime
    reading: Reading
    ended: datetime | None = None
    spans: list[Span] = field(default_factory=list)  # times at one rate; without those at 0

    def __post_init__(self) -> None:
        self._begin(self.created)

    def change(self, now: datetime, reading: Reading) -> None:
        """Take a new reading; what was used before keeps the old rate."""
        if reading.rate != self.reading.rate:
            self._stop(now)
            self.reading = reading
            self._begin(now)
        self.reading = reading

    def end(self, now: datetime) -> None:
        self._stop(now)
        self.ended = now

    def _begin(self, now: datetime) -> None:
        if self.reading.rate:
            self.spans.append(Span(now, self.reading.rate))

    def _stop(self, now: datetime) -> None:
        if self.spans and self.spans[-1].until is None:
            self.spans[-1].until = now

    def alive_seconds(self, now: datetime) -> float:
        return max(0.0, ((self.ended or now) - self.created).total_seconds())

    def used(self, now: datetime) -> float:
        """Return seconds times rate."""
        return sum(span.seconds(now) * span.rate for span in self.spans)

    def copy(self) -> Line:
        """Return a line that does not change any more."""
        line = copy.copy(self)  # not made anew: that would begin a span
        line.spans = [replace(span) for span in self.spans]
        return line

    def describe(self, now: datetime) -> dict[str, Any]:
        described = {
            "kind": self.kind,
            "id": self.resource_id,
            "name": self.reading.name,
            "tags": dict(self.reading.tags),
            **self.reading.facts,
            "created": self.created.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "alive_seconds": round(self.alive_seconds(now), DECIMALS),
        }
        if not self.unit:
            return described
        spans = [
            {
                "since": span.since.isoformat(),
                "until": span.until.isoformat() if span.until else None,
                "rate": span.rate,
            }
            for span in self.spans
        ]
        return described | {self.unit: round(self.used(now), DECIMALS), "spans": spans}
