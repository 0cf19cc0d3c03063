"""One sample as it grows from the request for a node to the end of its Pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ack_preload.domain import latency
from ack_preload.domain.latency import Clock, Moment, NodeTimeline, parse_moment, parse_pull
from ack_preload.hooks.kube import EventView
from ack_preload.store import Run, SampleRecord

OUR_CLOCK_RESOLUTION_S = 0.001
CLOCKS_APART_S = 3.0  # ACK's clock and a node's; an address is not used again so soon
FLAP_S = 2.0  # two stamps of whole seconds may differ by this without a second transition


@dataclass(frozen=True, slots=True)
class Sample:
    arm: str
    number: int
    began: datetime
    requested: datetime
    ended: datetime | None = None
    instance_id: str = ""
    node_name: str = ""
    never_ready: bool = False
    timeline: NodeTimeline = field(default_factory=NodeTimeline)
    pulled_images: int | None = None
    pulled_bytes: int | None = None
    note: str = ""
    taken: int | None = None  # the most tries of the task that took it; a clear changes them

    def with_node(self, detail: Mapping[str, Any]) -> Sample:
        """Add what the wait ``node_ready`` saw.

        :raises ValueError: naming the source, when ACK or Kubernetes gave no usable time.
        """
        member, node = detail["member"], detail["node"]
        timeline = NodeTimeline(
            requested=Moment(
                self.requested, latency.REQUESTED, Clock.OURS, resolution_s=OUR_CLOCK_RESOLUTION_S
            ),
            created=_moment(member["creation_time"], latency.CREATED, Clock.ACK),
            registered=_moment(node["registered_at"], latency.REGISTERED, Clock.API_SERVER),
            # The kubelet writes this condition, with its own clock.
            ready=_moment(node["ready_at"], latency.READY, Clock.KUBELET),
        )
        if timeline.created is None:
            raise ValueError(f"node {node['name']} has no creation_time in ACK's list")
        return replace(
            self, timeline=timeline, instance_id=member["instance_id"], node_name=node["name"]
        )

    def without_node(self, why: str, detail: Mapping[str, Any]) -> Sample:
        member = detail.get("member") or {}
        reason = detail.get("error") or (detail.get("node") or {}).get("reason") or ""
        return replace(
            self,
            never_ready=True,
            instance_id=member.get("instance_id") or "",
            node_name=member.get("node_name") or "",
            note=f"{why}: {reason}" if reason else why,
        )

    def with_workload(self, detail: Mapping[str, Any]) -> Sample:
        started = _moment(detail["started_at"], latency.POD_STARTED, Clock.KUBELET)
        created = _moment(detail["created_at"], latency.POD_CREATED, Clock.API_SERVER)
        return replace(
            self, timeline=replace(self.timeline, pod_created=created, pod_started=started)
        )

    def with_events(self, pulled: Iterable[EventView], ready: Iterable[EventView]) -> Sample:
        """Add what the node pulled up to the start of the workload, and look for a flap.

        A node is named by its address, which an earlier node may have had within the hour that
        events live: what is older than this node is not of it.
        """
        started = self.timeline.pod_started
        until = started.at if started else datetime.max.replace(tzinfo=UTC)
        pulls = [
            pull
            for event in self._own(pulled)
            if _at(event.at) <= until and (pull := parse_pull(event.message)) is not None
        ]
        counted = replace(self, pulled_images=len(pulls), pulled_bytes=latency.total_bytes(pulls))
        stamp = self.timeline.ready
        firsts = [_at(event.at) for event in self._own(ready)]
        if stamp and firsts and (stamp.at - min(firsts)).total_seconds() > FLAP_S:
            counted = counted.noted("Ready flapped: its stamp is later than the first NodeReady")
        return counted

    def _own(self, events: Iterable[EventView]) -> Iterator[EventView]:
        created = self.timeline.created
        since = created.at if created else self.requested
        return (event for event in events if event.at and _at(event.at) >= since)

    def taken_in(self, max_tries: int) -> Sample:
        """Mark the sample as whole: all that is left is to remove the node."""
        return replace(self, taken=max_tries)

    def ended_at(self, moment: datetime) -> Sample:
        return replace(self, ended=moment)

    def noted(self, note: str) -> Sample:
        return replace(self, note=f"{self.note}; {note}" if self.note else note)

    @property
    def workload_text(self) -> str:
        return str(self.timeline.workload_start or "no start seen")

    def summary(self) -> dict[str, Any]:
        """Return what a task passes on."""
        ready, workload = self.timeline.ready_latency, self.timeline.workload_start
        return {
            "arm": self.arm,
            "number": self.number,
            "never_ready": self.never_ready,
            "ready_latency_s": ready.seconds if ready else None,
            "workload_start_s": workload.seconds if workload else None,
            "pulled_bytes": self.pulled_bytes,
        }

    def record(self, run: Run, target: str, node_pool_id: str) -> SampleRecord:
        line = self.timeline
        span = [_text(self.began), _text(self.ended)]
        moments = {**line.to_dict(), "span": span, "taken": self.taken}
        return SampleRecord(
            dag_id=run.dag_id,
            run_id=run.run_id,
            chain=run.chain,
            target=target,
            arm=self.arm,
            number=self.number,
            node_pool_id=node_pool_id,
            instance_id=self.instance_id,
            node_name=self.node_name,
            never_ready=self.never_ready,
            ready_latency_s=_seconds(line.ready_latency),
            ready_since_request_s=_seconds(line.ready_since_request),
            ready_since_registration_s=_seconds(line.ready_since_registration),
            workload_start_s=_seconds(line.workload_start),
            pulled_images=self.pulled_images,
            pulled_bytes=self.pulled_bytes,
            moments=moments,
            note=self.note,
        )

    @classmethod
    def from_record(cls, record: SampleRecord) -> Sample:
        """Return the sample as it was recorded."""
        seen = {name: at for name, at in record.moments.items() if isinstance(at, Mapping)}
        timeline = NodeTimeline.from_dict(seen)
        began, ended = record.moments["span"]
        return cls(
            **{name: getattr(record, name) for name in PLAIN if name != "taken"},
            taken=record.moments.get("taken"),
            began=_at(began),
            requested=timeline.requested.at if timeline.requested else _at(began),
            ended=_at(ended) if ended else None,
            timeline=timeline,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for an XCom between two deferrals."""
        return {
            **{name: getattr(self, name) for name in PLAIN},
            "began": _text(self.began),
            "requested": _text(self.requested),
            "ended": _text(self.ended),
            "timeline": self.timeline.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sample:
        return cls(
            **{name: data[name] for name in PLAIN if name in data},
            began=_at(data["began"]),
            requested=_at(data["requested"]),
            ended=_at(data["ended"]) if data["ended"] else None,
            timeline=NodeTimeline.from_dict(data["timeline"]),
        )


PLAIN = (
    "arm",
    "number",
    "instance_id",
    "node_name",
    "never_ready",
    "pulled_images",
    "pulled_bytes",
    "note",
    "taken",
)


def _moment(text: str | None, source: str, clock: Clock) -> Moment | None:
    return parse_moment(text, source=source, clock=clock) if text else None


def _seconds(interval: latency.Interval | None) -> float | None:
    return None if interval is None else interval.seconds


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""
