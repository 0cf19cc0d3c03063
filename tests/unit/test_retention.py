"""The sweep deletes only what is surely ours, surely expired and surely unused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ack_preload.domain.retention import (
    Decision,
    Found,
    Keeping,
    SnapshotFacts,
    decide_expired,
    decide_instance,
    decide_snapshots,
)
from ack_preload.domain.tags import (
    BUILD,
    CLUSTER_KEY,
    EXPIRES_KEY,
    PRODUCT,
    PRODUCT_KEY,
    PURPOSE_KEY,
    SEALED_KEY,
    TARGET_KEY,
)

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
OURS = {PRODUCT_KEY: PRODUCT, TARGET_KEY: "demo"}
RULE = Keeping(last=2, min_age=timedelta(hours=24), unproven_for=timedelta(hours=12))


@pytest.mark.parametrize(
    ("tags", "delete", "why"),
    [
        pytest.param({}, False, "has no tag", id="foreign"),
        pytest.param(
            {EXPIRES_KEY: "2020-01-01T00:00:00Z"}, False, "has no tag", id="foreign with our key"
        ),
        pytest.param(
            {PRODUCT_KEY: "other", EXPIRES_KEY: "2020-01-01T00:00:00Z"},
            False,
            "has no tag",
            id="another product",
        ),
        pytest.param(OURS, False, "kept on purpose", id="ours for good"),
        pytest.param({**OURS, EXPIRES_KEY: "2026-11-24T04:00:01Z"}, False, "expires", id="alive"),
        pytest.param({**OURS, EXPIRES_KEY: "2026-11-24T04:00:00Z"}, True, "expired", id="now"),
        pytest.param({**OURS, EXPIRES_KEY: "2020-01-01T00:00:00Z"}, True, "expired", id="long ago"),
    ],
)
def test_only_what_is_ours_and_expired_goes(tags: dict[str, str], delete: bool, why: str) -> None:
    decision = decide_expired(Found("instance", "i-1", tags), NOW)
    assert decision.delete is delete
    assert why in decision.why


def test_an_unreadable_expiry_is_kept_and_told() -> None:
    decision = decide_expired(Found("instance", "i-1", {**OURS, EXPIRES_KEY: "soon"}), NOW)
    assert not decision.delete
    assert decision.doubtful
    assert "'soon', which is no time; mend or delete it by hand" in str(decision)


@pytest.mark.parametrize(
    ("tags", "members_known", "delete", "doubtful"),
    [
        pytest.param({PURPOSE_KEY: BUILD}, True, True, False, id="a build instance"),
        pytest.param({PURPOSE_KEY: BUILD}, False, True, False, id="one, with pools unread"),
        pytest.param({PURPOSE_KEY: "measure"}, True, False, True, id="a node of no pool"),
        pytest.param({PURPOSE_KEY: "measure"}, False, False, False, id="a node of an unread pool"),
        pytest.param({}, True, False, True, id="no purpose"),
    ],
)
def test_only_an_instance_that_a_build_made_is_deleted_directly(
    tags: dict[str, str], members_known: bool, delete: bool, doubtful: bool
) -> None:
    found = Found("instance", "i-1", {**OURS, EXPIRES_KEY: "2020-01-01T00:00:00Z", **tags})
    decision = decide_instance(found, NOW, members_known=members_known)
    assert (decision.delete, decision.doubtful) == (delete, doubtful)


def test_a_node_that_has_not_expired_is_no_doubt() -> None:
    decision = decide_instance(Found("instance", "i-1", OURS), NOW, members_known=True)
    assert (decision.delete, decision.doubtful) == (False, False)


def snapshot(name: str, *, age_h: float, good: bool = True, target: str = "demo") -> SnapshotFacts:
    tags = {PRODUCT_KEY: PRODUCT, TARGET_KEY: target}
    found = Found("snapshot", name, tags)
    return SnapshotFacts(found, NOW - timedelta(hours=age_h), is_good=good)


def doomed(*snapshots: SnapshotFacts, referenced: set[str] | None = None) -> set[str]:
    decisions = decide_snapshots(
        snapshots,
        referenced=referenced or set(),
        keeping={"demo": RULE},
        now=NOW,
        clusters={"c-1"},
    )
    return {each.found.resource_id for each in decisions if each.delete}


def history(count: int) -> list[SnapshotFacts]:
    return [snapshot(f"s-{number}", age_h=100 + number) for number in range(count)]


def test_the_last_good_ones_stay_whatever_their_age() -> None:
    assert doomed(*history(2)) == set()
    assert doomed(*history(4)) == {"s-2", "s-3"}


def test_one_that_a_pool_names_stays() -> None:
    assert doomed(*history(4), referenced={"s-3"}) == {"s-2"}


def test_one_of_a_cluster_that_was_not_read_stays_and_is_told() -> None:
    tags = {**OURS, CLUSTER_KEY: "c-2"}
    old = SnapshotFacts(Found("snapshot", "s-old", tags), NOW - timedelta(days=9), is_good=True)
    judged = [
        decide_snapshots(
            [*history(2), old], referenced=set(), keeping={"demo": RULE}, now=NOW, clusters=read
        )[-1]
        for read in ({"c-1"}, {"c-1", "c-2"})
    ]
    assert [(each.delete, each.doubtful) for each in judged] == [(False, True), (True, False)]
    assert "cluster c-2 was not looked at; delete it by hand" in str(judged[0])


def test_a_young_one_stays_although_there_are_newer() -> None:
    young = [snapshot(f"s-{age}", age_h=age) for age in (1, 2, 3)]
    assert doomed(*young) == set()


def test_bad_ones_do_not_push_good_ones_out() -> None:
    bad = [snapshot(f"bad-{number}", age_h=50 + number, good=False) for number in range(5)]
    assert doomed(*history(2), *bad) == {each.found.resource_id for each in bad}


def test_an_unrecorded_one_stays_while_its_build_may_run() -> None:
    assert doomed(snapshot("s-new", age_h=1, good=False)) == set()
    assert doomed(snapshot("s-old", age_h=13, good=False)) == {"s-old"}


def test_a_history_that_knows_nothing_is_no_judge_beside_sealed_snapshots() -> None:
    tags = {**OURS, SEALED_KEY: "sha256:0"}
    sealed = [
        SnapshotFacts(Found("snapshot", f"s-{n}", tags), NOW - timedelta(hours=50 + n), True)
        for n in range(3)
    ]
    old = snapshot("s-old", age_h=99, good=False)
    decisions = decide_snapshots(
        [*sealed, old],
        referenced=set(),
        keeping={"demo": RULE},
        now=NOW,
        clusters=(),
        unrecorded={"demo"},
    )
    assert {each.found.resource_id for each in decisions if each.delete} == {"s-2"}
    assert [each.found.resource_id for each in decisions if each.doubtful] == ["s-old"]
    assert doomed(*sealed, old) == {"s-2", "s-old"}  # a history that knows the target judges


def test_a_target_that_left_the_file_keeps_all() -> None:
    old = [snapshot(f"s-{n}", age_h=1000 + n, target="gone") for n in range(5)]
    assert doomed(*old) == set()


def test_targets_do_not_count_for_each_other() -> None:
    other = [snapshot(f"o-{n}", age_h=1 + n, target="other") for n in range(3)]
    assert doomed(*other, *history(2)) == set()


def test_a_foreign_snapshot_stays() -> None:
    foreign = SnapshotFacts(
        Found("snapshot", "s-foreign", {TARGET_KEY: "demo"}), NOW - timedelta(days=99), is_good=True
    )
    decisions = decide_snapshots(
        [foreign], referenced=set(), keeping={"demo": RULE}, now=NOW, clusters=()
    )
    assert [each.delete for each in decisions] == [False]


def test_a_decision_says_what_which_and_why() -> None:
    decision = Decision(Found("disk", "d-1", OURS), delete=True, why="expired")
    assert str(decision) == "delete disk d-1 (no run): expired"
