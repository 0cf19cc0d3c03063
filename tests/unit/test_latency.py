"""A latency says where it starts, where it ends and whose clocks these are."""

from __future__ import annotations

from datetime import datetime

import pytest

from ack_preload.domain import latency
from ack_preload.domain.latency import (
    Clock,
    Interval,
    Moment,
    NodeTimeline,
    Pull,
    ReadyLatency,
    parse_moment,
    parse_pull,
    total_bytes,
)

CREATED = parse_moment("2026-11-24T12:00:00+08:00", source=latency.CREATED, clock=Clock.ACK)
READY = parse_moment("2026-11-24T04:00:42Z", source=latency.READY, clock=Clock.KUBELET)
REGISTERED = parse_moment("2026-11-24T04:00:30Z", source=latency.REGISTERED, clock=Clock.API_SERVER)


def test_offsets_are_honoured() -> None:
    assert ReadyLatency(CREATED, READY).seconds == 42.0


def test_a_figure_names_both_ends_its_rounding_and_its_clocks() -> None:
    assert str(ReadyLatency(CREATED, READY)) == (
        "42.0 s from DescribeClusterNodes.creation_time to "
        "Node.status.conditions[Ready].lastTransitionTime (+-2 s; clocks of the ACK control plane "
        "and the kubelet on the node)"
    )


def test_one_clock_is_said_to_be_one() -> None:
    assert "clock of the ACK control plane)" in str(Interval(CREATED, CREATED))


def test_clocks_that_disagree_give_a_negative_figure_not_zero() -> None:
    assert ReadyLatency(READY, CREATED).seconds == -42.0


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"creation_time is .* without a time zone"):
        parse_moment("2026-11-24T12:00:00", source="creation_time", clock=Clock.ACK)
    with pytest.raises(ValueError, match="creation_time is 'soon'"):
        parse_moment("soon", source="creation_time", clock=Clock.ACK)


def test_a_moment_that_was_not_seen_gives_no_figure() -> None:
    line = NodeTimeline(created=CREATED, registered=REGISTERED)
    assert line.ready_latency is None
    assert line.ready_since_request is None
    assert line.workload_start is None


def test_a_timeline_survives_being_passed_on() -> None:
    line = NodeTimeline(created=CREATED, registered=REGISTERED, ready=READY)
    again = NodeTimeline.from_dict(line.to_dict())
    assert again == line
    assert again.ready_since_registration is not None
    assert again.ready_since_registration.seconds == 12.0


def test_a_moment_keeps_its_resolution() -> None:
    ours = Moment(datetime.fromisoformat("2026-11-24T04:00:00.5Z"), "x", Clock.OURS, 0.001)
    assert Moment.from_dict(ours.to_dict()) == ours


@pytest.mark.parametrize(
    ("message", "pull"),
    [
        pytest.param(
            'Successfully pulled image "r.example.com/a/b:1" in 1.234s (1.234s including waiting). '
            "Image size: 4096 bytes.",
            Pull("r.example.com/a/b:1", 4096),
            id="kubelet 1.28 and later",
        ),
        pytest.param(
            'Successfully pulled image "r.example.com/a/b:1" in 1.234s',
            Pull("r.example.com/a/b:1", None),
            id="older kubelet",
        ),
        pytest.param(
            'Container image "r.example.com/a/b:1" already present on machine',
            None,
            id="not pulled",
        ),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_kubelet_says_what_it_pulled(message: str, pull: Pull | None) -> None:
    assert parse_pull(message) == pull


def test_an_unknown_size_makes_the_total_unknown_not_smaller() -> None:
    assert total_bytes([Pull("a", 1), Pull("b", 2)]) == 3
    assert total_bytes([Pull("a", 1), Pull("b", None)]) is None
    assert total_bytes([]) == 0
