"""How the figures of killed triggerers are read; the kill itself is in ``make chaos``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.chaos.report import waits_text
from local.chaos.waits import complete, is_good

GOOD = {
    "lost": 0,
    "duplicate_calls": 0,
    "first_poll_after_s": 15.0,
    "last_poll_after_s": 30.0,
    "poll_interval_s": 15.0,
}


def look(second: int, *snapshots: str, status: int = 200) -> dict[str, Any]:
    query = {"SnapshotIds": json.dumps(snapshots)}
    return {"time": f"2026-11-25T09:00:{second:02d}.5Z", "query": query, "status": status}


def test_the_last_look_is_the_one_by_which_all_were_answered_for() -> None:
    looks = [look(1, "s-1"), look(2, "s-2", status=400), look(3, "s-1"), look(4, "s-2"), look(5)]
    assert complete(looks, 2) == looks[3]["time"]
    assert complete(looks, 3) == ""


def test_nothing_lost_nothing_twice_and_looks_in_time_are_good() -> None:
    assert is_good(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"lost": 1},
        {"duplicate_calls": 1},
        {"first_poll_after_s": 15.1},
        {"last_poll_after_s": 30.1},
    ],
)
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    assert not is_good(GOOD | change)


def test_a_triggerer_that_does_nothing_for_a_minute_is_late_also_on_a_busy_machine() -> None:
    late = GOOD | {"first_poll_after_s": 58.0, "last_poll_after_s": 60.0}
    assert not is_good(late, intervals=3.0)


def test_the_page_says_how_many_of_the_waits_only_watch() -> None:
    figures = GOOD | {"waits": 500, "with_calls": 40, "allowed_intervals": 3.0}
    assert "500 waits, 460 of which only watch: 0 lost, 0 calls made twice" in waits_text(figures)
    assert "15.0 s to its first look and 30.0 s until all" in waits_text(figures)
    assert waits_text(None).startswith("No triggerer")
