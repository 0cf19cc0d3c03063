"""What belongs to one sample, when an earlier node had the same address and so the same name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ack_preload.domain import latency
from ack_preload.domain.latency import Clock, Moment, NodeTimeline
from ack_preload.hooks.kube import EventView
from ack_preload.operators.sample import Sample

CREATED = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
NODE = "cn-hangzhou.198.18.0.11"


def sample() -> Sample:
    timeline = NodeTimeline(
        created=Moment(CREATED, latency.CREATED, Clock.ACK),
        ready=Moment(CREATED + timedelta(seconds=9), latency.READY, Clock.KUBELET),
        pod_started=Moment(CREATED + timedelta(seconds=30), latency.POD_STARTED, Clock.KUBELET),
    )
    return Sample("preloaded", 0, CREATED, CREATED, node_name=NODE, timeline=timeline)


def event(reason: str, seconds: float, message: str = "") -> EventView:
    at = (CREATED + timedelta(seconds=seconds)).isoformat()
    return EventView(reason=reason, message=message, at=at, node=NODE, component="kubelet")


def pulled(seconds: float, size: int) -> EventView:
    message = (
        f'Successfully pulled image "r.local/acs/pause:3.9" in 1.2s (1.2s including waiting). '
        f"Image size: {size} bytes."
    )
    return event("Pulled", seconds, message)


def test_pulls_of_an_earlier_node_of_the_same_name_are_not_counted() -> None:
    counted = sample().with_events([pulled(-60, 700), pulled(5, 30), pulled(29, 4)], [])
    assert counted.pulled_bytes == 34
    assert counted.pulled_images == 2


def test_pulls_after_the_workload_has_started_are_not_counted() -> None:
    assert sample().with_events([pulled(31, 700)], []).pulled_bytes == 0


def test_an_earlier_node_of_the_same_name_is_no_flap() -> None:
    events = [event("NodeReady", -60), event("NodeReady", 9)]
    assert sample().with_events([], events).note == ""


def test_a_ready_condition_that_came_twice_is_noted() -> None:
    assert "flapped" in sample().with_events([], [event("NodeReady", 4)]).note
