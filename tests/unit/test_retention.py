"""Of snapshots the sweep deletes only what is surely ours, surely old and surely unused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ack_preload.domain.leftovers import Decision, Found, Judge, RunState
from ack_preload.domain.retention import REMOVED_TARGET, Keeping, Retention, SnapshotFacts
from ack_preload.domain.tags import (
    EXPIRES_KEY,
    INSTALLATION_KEY,
    PRODUCT,
    PRODUCT_KEY,
    SEALED_KEY,
    TARGET_KEY,
)

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
OURS = {PRODUCT_KEY: PRODUCT, INSTALLATION_KEY: "here", TARGET_KEY: "demo"}
NOTHING: Mapping[str, str] = {}
RULE = Keeping(last=2, min_age=timedelta(hours=24), unproven_for=timedelta(hours=12))


def snapshot(
    name: str,
    *,
    age_h: float,
    good: bool = True,
    target: str = "demo",
    more: Mapping[str, str] = NOTHING,
) -> SnapshotFacts:
    named = {TARGET_KEY: target, **more}
    created = NOW - timedelta(hours=age_h)
    return SnapshotFacts(Found("snapshot", name, {**OURS, **named}, created), created, good)


def retention(state: RunState = RunState.UNTOLD) -> Retention:
    judge = Judge(NOW, "here", timedelta(minutes=30), lambda run: state)
    return Retention(judge, referenced=frozenset(), keeping={"demo": RULE})


def decided(*snapshots: SnapshotFacts, by: Retention | None = None) -> dict[str, Decision]:
    decisions = (by or retention()).decide(snapshots)
    return {each.found.resource_id: each for each in decisions}


def doomed(*snapshots: SnapshotFacts, by: Retention | None = None) -> set[str]:
    return {name for name, each in decided(*snapshots, by=by).items() if each.delete}


def history(count: int) -> list[SnapshotFacts]:
    return [snapshot(f"s-{number}", age_h=100 + number) for number in range(count)]


def test_the_last_good_ones_stay_whatever_their_age() -> None:
    assert doomed(*history(2)) == set()
    assert doomed(*history(4)) == {"s-2", "s-3"}


def test_one_that_a_pool_names_stays() -> None:
    assert doomed(*history(4), by=replace(retention(), referenced={"s-3"})) == {"s-2"}


def test_a_young_one_stays_although_there_are_newer() -> None:
    young = [snapshot(f"s-{age}", age_h=age) for age in (1, 2, 3)]
    assert doomed(*young) == set()


def test_one_that_tells_no_time_is_kept_and_told_and_the_rest_is_judged() -> None:
    odd = replace(snapshot("odd", age_h=0), created=None)
    found = decided(*history(4), odd)
    assert (found["odd"].delete, found["odd"].doubtful) == (False, True)
    assert "cannot be read" in found["odd"].why
    assert {name for name, each in found.items() if each.delete} == {"s-2", "s-3"}
    theirs = replace(odd.found, tags={**odd.found.tags, INSTALLATION_KEY: "there"})
    assert not decided(replace(odd, found=theirs))["odd"].doubtful


def test_bad_ones_do_not_push_good_ones_out() -> None:
    bad = [snapshot(f"bad-{number}", age_h=50 + number, good=False) for number in range(5)]
    assert doomed(*history(2), *bad) == {each.found.resource_id for each in bad}


@pytest.mark.parametrize(
    ("state", "age_h", "goes"),
    [
        pytest.param(RunState.ACTIVE, 99, False, id="its build runs, however long"),
        pytest.param(RunState.ENDED, 0.4, False, id="its build has just ended"),
        pytest.param(RunState.ENDED, 0.5, True, id="its build has ended"),
        pytest.param(RunState.GONE, 0.5, True, id="its build was deleted"),
        pytest.param(RunState.UNTOLD, 11, False, id="its build may run"),
        pytest.param(RunState.UNTOLD, 12, True, id="its build cannot run any more"),
    ],
)
def test_an_unrecorded_one_stays_while_its_build_may_run(
    state: RunState, age_h: float, goes: bool
) -> None:
    young = snapshot("s-new", age_h=age_h, good=False)
    assert doomed(young, by=retention(state)) == ({"s-new"} if goes else set())


def test_a_history_that_knows_nothing_is_no_judge_beside_sealed_snapshots() -> None:
    sealed = [snapshot(f"s-{n}", age_h=50 + n, more={SEALED_KEY: "sha256:0"}) for n in range(3)]
    old = snapshot("s-old", age_h=99, good=False)
    by = replace(retention(), unrecorded={"demo"})
    found = decided(*sealed, old, by=by)
    assert doomed(*sealed, old, by=by) == {"s-2"}
    assert [name for name, each in found.items() if each.doubtful] == ["s-old"]
    assert doomed(*sealed, old) == {"s-2", "s-old"}  # a history that knows the target judges


def test_of_a_target_that_left_the_file_even_the_last_go_after_a_month() -> None:
    month = REMOVED_TARGET.min_age / timedelta(hours=1)
    young, old = (snapshot(f"s-{age}", age_h=age, target="gone") for age in (month - 1, month))
    assert doomed(young, old) == {old.found.resource_id}
    assert "target 'gone' is in no file" in str(decided(young)["s-719.0"])
    assert doomed(old, by=replace(retention(), referenced={"s-720.0"})) == set()


def test_targets_do_not_count_for_each_other() -> None:
    other = [snapshot(f"o-{n}", age_h=1 + n, target="other") for n in range(3)]
    assert doomed(*other, *history(2)) == set()


@pytest.mark.parametrize("good", [True, False])
def test_one_of_another_installation_stays_and_pushes_none_of_ours_out(good: bool) -> None:
    tags = {INSTALLATION_KEY: "there", EXPIRES_KEY: "2020-01-01T00:00:00Z"}
    theirs = [snapshot(f"t-{n}", age_h=50 + n, good=good, more=tags) for n in range(3)]
    found = decided(*theirs, *history(2), by=retention(RunState.GONE))
    assert not any(each.delete for each in found.values())
    # The expiry of a good one only says that retention may take it.
    assert [each.is_foreign for each in found.values()] == [not good] * 3 + [False] * 2


def test_a_foreign_snapshot_stays() -> None:
    created = NOW - timedelta(days=99)
    foreign = SnapshotFacts(Found("snapshot", "s-1", {TARGET_KEY: "demo"}), created, is_good=True)
    assert not decided(foreign)["s-1"].delete
