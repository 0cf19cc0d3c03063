"""Recorded samples become a comparison that says how they were taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ack_preload.operators.compare import compare, overlapping
from ack_preload.store import SampleRecord

BASE = SampleRecord(
    dag_id="d", run_id="r", target="demo", arm="baseline", number=0, node_pool_id="np-1"
)


def sample(
    arm: str, number: int, *, span: tuple[int, int] | None = None, **more: Any
) -> SampleRecord:
    moments = {}
    if span:
        moments["span"] = [f"2026-11-24T04:{minute:02}:00+00:00" for minute in span]
    return replace(BASE, arm=arm, number=number, moments=moments, **more)


def test_each_arm_gets_its_own_points() -> None:
    found = compare(
        [
            sample("baseline", 0, ready_latency_s=40.0, workload_start_s=70.0, pulled_bytes=9),
            sample("preloaded", 0, ready_latency_s=10.0, workload_start_s=2.0, pulled_bytes=0),
        ]
    )
    assert (found.speedup, found.workload_speedup) == (4.0, 35.0)
    assert found.preloaded.pulled_bytes == (0,)


def test_a_lost_node_is_counted_and_gives_no_point() -> None:
    found = compare([sample("baseline", 0, never_ready=True), sample("preloaded", 0)])
    assert (found.baseline.never_ready, found.baseline.ready_latency_s) == (1, ())


def test_a_note_on_a_sample_reaches_the_reader() -> None:
    found = compare([sample("baseline", 1, note="Ready flapped")])
    assert "baseline node 1: Ready flapped" in found.caveats


def test_samples_that_ran_at_the_same_time_are_told() -> None:
    first, second = sample("baseline", 0, span=(0, 5)), sample("preloaded", 0, span=(4, 9))
    assert overlapping([second, first]) == (first, second)
    assert "baseline node 0 and preloaded node 0 ran at the same time" in str(
        compare([first, second])
    )


def test_samples_one_after_the_other_are_not() -> None:
    assert (
        overlapping([sample("baseline", 0, span=(0, 5)), sample("preloaded", 0, span=(5, 9))])
        is None
    )


def test_a_sample_without_an_end_overlaps_with_nothing() -> None:
    unfinished = replace(BASE, moments={"span": ["2026-11-24T04:00:00+00:00", ""]})
    assert overlapping([unfinished, sample("preloaded", 0, span=(0, 9))]) is None
