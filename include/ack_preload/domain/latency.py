"""How long a new node takes: moments with their clocks, and the intervals between them.

A figure is only as good as its two ends. Each moment says where it was read, whose clock wrote
it and how fine that clock is; an interval names both of its moments and says when their clocks
differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Clock(StrEnum):
    OURS = "the Airflow worker"
    ACK = "the ACK control plane"
    API_SERVER = "the Kubernetes API server"
    KUBELET = "the kubelet on the node"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time and how far to trust it.

    :ivar source: the field it was read from, such as ``DescribeClusterNodes.creation_time``.
    :ivar resolution_s: what the source rounds to.
    """

    at: datetime
    source: str
    clock: Clock
    resolution_s: float = 1.0

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"{self.source} is {self.at}, without a time zone")

    def to_dict(self) -> dict[str, Any]:
        return {
            "at": self.at.astimezone(UTC).isoformat(),
            "source": self.source,
            "clock": self.clock.value,
            "resolution_s": self.resolution_s,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Moment:
        return cls(
            at=datetime.fromisoformat(data["at"]),
            source=data["source"],
            clock=Clock(data["clock"]),
            resolution_s=data["resolution_s"],
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one moment to another, with both named."""

    start: Moment
    end: Moment

    @property
    def seconds(self) -> float:
        """May be negative when the two clocks disagree; that is shown, not hidden."""
        return (self.end.at - self.start.at).total_seconds()

    @property
    def error_s(self) -> float:
        """Rounding of both ends; the skew between two clocks comes on top and is unknown."""
        return self.start.resolution_s + self.end.resolution_s

    @property
    def crosses_clocks(self) -> bool:
        return self.start.clock is not self.end.clock

    def __str__(self) -> str:
        clocks = (
            f"clocks of {self.start.clock} and {self.end.clock}"
            if self.crosses_clocks
            else f"clock of {self.start.clock}"
        )
        return (
            f"{self.seconds:.1f} s from {self.start.source} to {self.end.source} "
            f"(+-{self.error_s:g} s; {clocks})"
        )


class ReadyLatency(Interval):
    """Created -> Ready: from the cloud's creation time to the node's first Ready=True."""

    __slots__ = ()


CREATED = "DescribeClusterNodes.creation_time"
REQUESTED = "reply of ModifyClusterNodePool"
REGISTERED = "Node.metadata.creationTimestamp"
READY = "Node.status.conditions[Ready].lastTransitionTime"
POD_CREATED = "Pod.metadata.creationTimestamp"
POD_STARTED = "Pod.status.containerStatuses[].state.running.startedAt"


@dataclass(frozen=True, slots=True)
class NodeTimeline:
    """The moments of one node; one that was not seen is ``None``, never a guess."""

    requested: Moment | None = None
    created: Moment | None = None
    registered: Moment | None = None
    ready: Moment | None = None
    pod_created: Moment | None = None
    pod_started: Moment | None = None

    @property
    def ready_latency(self) -> ReadyLatency | None:
        """The primary figure."""
        if self.created is None or self.ready is None:
            return None
        return ReadyLatency(self.created, self.ready)

    @property
    def ready_since_request(self) -> Interval | None:
        return _between(self.requested, self.ready)

    @property
    def ready_since_registration(self) -> Interval | None:
        """One clock, but blind to ACK's init script, where the kubelet package saves time."""
        return _between(self.registered, self.ready)

    @property
    def workload_start(self) -> Interval | None:
        return _between(self.pod_created, self.pod_started)

    def to_dict(self) -> dict[str, Any]:
        return {
            name: moment.to_dict()
            for name in self.__dataclass_fields__
            if (moment := getattr(self, name)) is not None
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeTimeline:
        return cls(**{name: Moment.from_dict(value) for name, value in data.items()})


def _between(start: Moment | None, end: Moment | None) -> Interval | None:
    return None if start is None or end is None else Interval(start, end)


def parse_moment(text: str, *, source: str, clock: Clock) -> Moment:
    """Parse an RFC 3339 time of whole seconds with its offset, as ACK and Kubernetes write it.

    :raises ValueError: naming the source, when the text has no zone or is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{source} is {text!r}, which is no RFC 3339 time") from None
    return Moment(at=at, source=source, clock=clock)


@dataclass(frozen=True, slots=True)
class Pull:
    """One image that a node pulled, as its kubelet reported it."""

    reference: str
    size_bytes: int | None  # kubelets before 1.28 do not say it


_PULLED = re.compile(r'Successfully pulled image "(?P<ref>[^"]+)" in ')
_SIZE = re.compile(r"Image size: (?P<bytes>[0-9]+) bytes")


def parse_pull(message: str) -> Pull | None:
    """Return what a kubelet ``Pulled`` event says, or ``None`` when nothing was pulled.

    An image that was there gives the same reason with ``Container image "X" already present
    on machine``.
    """
    pulled = _PULLED.search(message)
    if pulled is None:
        return None
    size = _SIZE.search(message)
    return Pull(pulled["ref"], int(size["bytes"]) if size else None)


def total_bytes(pulls: Iterable[Pull]) -> int | None:
    """Return the bytes of all pulls; ``None`` when one of them is unknown."""
    total = 0
    for pull in pulls:
        if pull.size_bytes is None:
            return None
        total += pull.size_bytes
    return total
