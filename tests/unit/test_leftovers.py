"""The sweep deletes only what is surely ours, and surely expired or left by a run that is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ack_preload.domain.leftovers import Decision, Found, Judge, RunState, run_named
from ack_preload.domain.pool_runs import ROLLOUT
from ack_preload.domain.tags import (
    APPLIED_KEY,
    BUILD,
    EXPIRES_KEY,
    INSTALLATION_KEY,
    MAX_VALUE,
    PRODUCT,
    PRODUCT_KEY,
    PURPOSE_KEY,
    RUN_KEY,
    run_tag,
)

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
OURS = {PRODUCT_KEY: PRODUCT, INSTALLATION_KEY: "here", RUN_KEY: "build/run-1"}
PAST, FUTURE = "2020-01-01T00:00:00Z", "2026-11-24T04:00:01Z"
GRACE = timedelta(minutes=30)


def judge(state: RunState = RunState.UNTOLD) -> Judge:
    return Judge(NOW, "here", GRACE, lambda run: state)


def found(tags: dict[str, str], *, age: timedelta | None = None) -> Found:
    return Found("instance", "i-1", tags, None if age is None else NOW - age)


@pytest.mark.parametrize(
    ("tags", "delete", "why"),
    [
        pytest.param({}, False, "has no tag ack-preload/product", id="foreign"),
        pytest.param({EXPIRES_KEY: PAST}, False, "has no tag", id="foreign with our key"),
        pytest.param(
            {**OURS, PRODUCT_KEY: "other", EXPIRES_KEY: PAST}, False, "no tag", id="other product"
        ),
        pytest.param(OURS, False, "kept on purpose", id="ours for good"),
        pytest.param({**OURS, EXPIRES_KEY: FUTURE}, False, "expires", id="alive"),
        pytest.param({**OURS, EXPIRES_KEY: "2026-11-24T04:00:00Z"}, True, "expired", id="now"),
        pytest.param({**OURS, EXPIRES_KEY: PAST}, True, "expired", id="long ago"),
    ],
)
def test_only_what_is_ours_and_expired_goes(tags: dict[str, str], delete: bool, why: str) -> None:
    decision = judge().temporary(found(tags))
    assert decision.delete is delete
    assert why in decision.why
    assert not decision.is_foreign


@pytest.mark.parametrize(
    ("installation", "expires", "told"),
    [
        pytest.param("there", PAST, True, id="expired"),
        pytest.param("there", FUTURE, False, id="alive"),
        pytest.param("there", "", False, id="for good"),
        pytest.param("there", "soon", False, id="unreadable, which is theirs to mend"),
        pytest.param("", PAST, True, id="from before installations had names"),
    ],
)
@pytest.mark.parametrize("state", RunState)
def test_what_another_installation_made_is_told_and_never_deleted(
    installation: str, expires: str, told: bool, state: RunState
) -> None:
    tags = {**OURS, INSTALLATION_KEY: installation, EXPIRES_KEY: expires}
    decision = judge(state).temporary(found({key: value for key, value in tags.items() if value}))
    assert (decision.delete, decision.doubtful, decision.is_foreign) == (False, False, told)


@pytest.mark.parametrize(
    ("state", "age", "delete"),
    [
        pytest.param(RunState.ACTIVE, timedelta(days=9), False, id="its run runs"),
        pytest.param(RunState.ENDED, GRACE, True, id="its run has ended"),
        pytest.param(RunState.ENDED, GRACE - timedelta(seconds=1), False, id="ended, but young"),
        pytest.param(RunState.GONE, GRACE, True, id="its run was deleted"),
        pytest.param(RunState.GONE, timedelta(), False, id="deleted, but young"),
        pytest.param(RunState.GONE, -timedelta(hours=1), False, id="made in the future"),
        pytest.param(RunState.ENDED, None, True, id="of no known age"),
        pytest.param(RunState.UNTOLD, timedelta(days=9), False, id="of a run that cannot be asked"),
    ],
)
def test_what_a_run_left_goes_before_it_expires(
    state: RunState, age: timedelta | None, delete: bool
) -> None:
    decision = judge(state).temporary(found({**OURS, EXPIRES_KEY: FUTURE}, age=age))
    assert (decision.delete, decision.doubtful) == (delete, False)


@pytest.mark.parametrize("state", RunState)
def test_what_is_kept_on_purpose_outlives_its_run(state: RunState) -> None:
    assert not judge(state).temporary(found(OURS, age=timedelta(days=99))).delete


RECORDED = {"is_recorded": True, "is_known": True}
KNOWN, NOTHING = RECORDED | {"is_recorded": False}, dict.fromkeys(RECORDED, False)
ROLLED_OUT = {**OURS, PURPOSE_KEY: ROLLOUT}


@pytest.mark.parametrize(
    ("state", "tags", "told", "age", "verdict"),
    [
        pytest.param(RunState.GONE, {}, KNOWN, GRACE, "delete", id="left by a deleted run"),
        pytest.param(RunState.GONE, {}, KNOWN, timedelta(), "keep", id="young"),
        pytest.param(RunState.GONE, {}, KNOWN, None, "doubt", id="of no known age"),
        pytest.param(RunState.GONE, {}, NOTHING, GRACE, "doubt", id="the history was lost"),
        pytest.param(RunState.GONE, {}, RECORDED, GRACE, "keep", id="recorded: it serves"),
        pytest.param(RunState.GONE, {APPLIED_KEY: "b/2"}, KNOWN, GRACE, "doubt", id="taken over"),
        pytest.param(RunState.ENDED, {}, KNOWN, GRACE, "doubt", id="way back did not run"),
        pytest.param(RunState.ACTIVE, {}, KNOWN, GRACE, "keep", id="its run still works"),
        pytest.param(RunState.UNTOLD, {}, KNOWN, GRACE, "keep", id="a run cannot be asked"),
        pytest.param(
            RunState.GONE, {INSTALLATION_KEY: "there"}, KNOWN, GRACE, "keep", id="foreign"
        ),
        pytest.param(RunState.GONE, {PURPOSE_KEY: ""}, KNOWN, GRACE, "keep", id="not made so"),
    ],
)
def test_a_pool_of_a_rollout_that_was_never_recorded(
    state: RunState,
    tags: dict[str, str],
    told: dict[str, bool],
    age: timedelta | None,
    verdict: str,
) -> None:
    pool = found({**ROLLED_OUT, **tags}, age=age)
    decision = judge(state).node_pool(pool, **told)
    assert (decision.delete, decision.doubtful) == (verdict == "delete", verdict == "doubt")
    assert verdict != "doubt" or "run roll_out_node_pool for its target" in str(decision)


def test_what_expired_under_a_running_run_is_kept_and_told() -> None:
    decision = judge(RunState.ACTIVE).temporary(found({**OURS, EXPIRES_KEY: PAST}))
    assert (decision.delete, decision.doubtful) == (False, True)
    assert "end the run if it hangs, else raise limits.expire_after_h" in str(decision)


def test_an_unreadable_expiry_is_kept_and_told() -> None:
    decision = judge().temporary(found({**OURS, EXPIRES_KEY: "soon"}))
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
    instance = found({**OURS, EXPIRES_KEY: PAST, **tags})
    decision = judge().instance(instance, members_known=members_known)
    assert (decision.delete, decision.doubtful) == (delete, doubtful)


def test_a_node_that_has_not_expired_is_no_doubt() -> None:
    decision = judge().instance(found(OURS), members_known=True)
    assert (decision.delete, decision.doubtful) == (False, False)


@pytest.mark.parametrize(
    ("run_id", "named"),
    [
        pytest.param("manual__2026-11-24T04:00:00+00:00", True, id="by hand"),
        pytest.param("a/b/c", True, id="with slashes"),
        pytest.param("x" * (MAX_VALUE - len("build/")), True, id="just fits"),
        pytest.param("x" * MAX_VALUE, False, id="cut"),
    ],
)
def test_a_run_is_read_back_from_its_tag_unless_it_was_cut(run_id: str, named: bool) -> None:
    assert run_named(run_tag("build", run_id)) == (("build", run_id) if named else None)


@pytest.mark.parametrize("tag", ["", "build", "build/", "/run"])
def test_a_tag_that_is_none_of_ours_names_no_run(tag: str) -> None:
    assert run_named(tag) is None


def test_a_decision_says_what_which_and_why() -> None:
    decision = Decision(Found("disk", "d-1", {}), delete=True, why="expired")
    assert str(decision) == "delete disk d-1 (no run): expired"
