"""How the figures of killed triggerers are read; the kill itself is in ``make chaos``."""

from __future__ import annotations

from typing import Any

import pytest

from local.chaos.waits import healthy_from, is_good

GOOD = {"lost": 0, "duplicate_calls": 0, "first_poll_after_s": 15.0, "poll_interval_s": 15.0}


def at(*seconds: int) -> list[str]:
    return [f"2026-11-25T09:00:{second:02d}.5Z" for second in seconds]


@pytest.mark.parametrize(
    ("beats", "healthy"),
    [
        pytest.param([5], 5, id="its start is its first beat"),
        pytest.param([5, 6, 7, 12], 5, id="never late"),
        pytest.param([5, 6, 38, 39], 38, id="late while it loads"),
        pytest.param([5, 20, 21, 40], 40, id="late twice"),
    ],
)
def test_a_triggerer_is_up_when_no_heartbeat_is_late_any_more(
    beats: list[int], healthy: int
) -> None:
    assert healthy_from(at(*beats)) == at(healthy)[0]


def test_nothing_lost_nothing_twice_and_a_look_within_an_interval_is_good() -> None:
    assert is_good(GOOD)


@pytest.mark.parametrize(
    "change", [{"lost": 1}, {"duplicate_calls": 1}, {"first_poll_after_s": 15.1}]
)
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    assert not is_good(GOOD | change)
