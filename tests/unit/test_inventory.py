"""One record that is not as documented costs the sweep its list, not the whole sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ack_preload.domain.disks import Snapshot
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.inventory import Inventory
from ack_preload.operators.sweep import created_of


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: Snapshot.from_api({}), id="no id"),
        pytest.param(lambda: dict[str, Any]()["Snapshots"], id="no list"),
        pytest.param(lambda: [each["DiskId"] for each in [None]], id="no record"),  # type: ignore[index]
    ],
)
def test_what_cannot_be_read_is_told(read: Callable[[], Any]) -> None:
    problems: list[str] = []
    found = Inventory(EcsHook(), AckHook(), problems).attempt("the list", read, then="so kept")
    assert found is None
    assert problems[0].startswith("the list cannot be read, so kept: an answer is not as doc")


def test_nothing_is_read_once_the_time_is_over() -> None:
    problems: list[str] = []
    late = Inventory(EcsHook(), AckHook(), problems, lambda: True)
    assert late.attempt("the list", lambda: 1 / 0) is None
    assert problems == [
        "the list cannot be read: the time of this sweep is over; the next one goes on"
    ]


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z"])
def test_a_snapshot_may_not_tell_when_it_was_made(text: str) -> None:
    assert created_of(text) is None


def test_a_time_is_read() -> None:
    made = created_of("2026-11-24T04:00:00Z")
    assert made is not None
    assert made.isoformat() == "2026-11-24T04:00:00+00:00"
