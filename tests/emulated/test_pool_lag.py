"""Node pools of a cloud that lists them late: none is made twice, and none is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import UnclearReplyError
from ack_preload.domain.node_pools import PoolSpec
from emulator.app import Handle
from emulator.faults import EmptyBody, Fault, ResetAfter, ResetBefore
from tests.emulated.driving import Run, context, deferred_by, fired, perform, target
from tests.emulated.node_pools import apply, delete, named, restore, world

CREATE = "CreateClusterNodePool"


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """Return a cloud that lists everything a while after it was made, and after it went."""
    yield from world(tmp_path_factory, read_delay_s=0.3)


def test_a_pool_that_a_lost_worker_made_is_found_although_it_is_listed_late(
    lagging: Handle, name: str
) -> None:
    first = deferred_by(apply(lagging, pool_name=name)).trigger.subject["node_pool_id"]
    second = perform(apply(lagging, pool_name=name), context(try_number=2))
    assert second["node_pool_id"] == first
    assert len(named(lagging, name)) == 1


@pytest.mark.parametrize("fault", [ResetAfter(target=CREATE), EmptyBody(target=CREATE)])
def test_a_pool_whose_reply_was_lost_is_found_although_it_is_listed_late(
    lagging: Handle, name: str, fault: Fault
) -> None:
    with lagging.fault(fault):
        made = perform(apply(lagging, pool_name=name))
    assert [each.node_pool_id for each in named(lagging, name)] == [made["node_pool_id"]]


def test_a_name_that_is_taken_by_a_pool_not_listed_yet_is_waited_for(
    lagging: Handle, name: str
) -> None:
    first = deferred_by(apply(lagging, pool_name=name)).trigger.subject["node_pool_id"]
    operator = apply(lagging, pool_name=name)
    spec = PoolSpec.from_mapping(target(lagging))
    with pytest.raises(TaskDeferred) as caught:  # as if it had not looked before
        operator._create(context(), spec, operator.ownership(context(), target(lagging), keep=True))
    event = fired(caught.value)
    assert event["state"] == "listed"
    with pytest.raises(TaskDeferred) as caught:
        operator.look_after(context(), event)
    assert caught.value.trigger.subject["node_pool_id"] == first


def test_a_create_that_never_was_is_made_by_the_next_try(lagging: Handle, name: str) -> None:
    told = f"no node pool {name} is listed after"
    with lagging.fault(ResetBefore(target=CREATE)), pytest.raises(UnclearReplyError, match=told):
        perform(apply(lagging, pool_name=name))
    assert perform(apply(lagging, pool_name=name), context(try_number=2))["created"] is True


@pytest.mark.parametrize("by", ["run", "name"])
def test_a_teardown_finds_a_pool_that_is_not_listed_yet(
    lagging: Handle, name: str, by: str
) -> None:
    airflow, run = Run(), f"manual__{by}"
    deferred_by(apply(lagging, pool_name=name), context(airflow, run_id=run))
    which = {"pool_name": name} if by == "name" else {}
    teardown = delete(lagging, makers=["task"], **which)
    assert len(perform(teardown, context(airflow, task_id="delete", run_id=run))) == 1
    assert named(lagging, name) == []


def test_a_teardown_by_run_waits_for_the_pool_of_the_other_maker_too(
    lagging: Handle, name: str
) -> None:
    airflow, run = Run(), "manual__two"
    seen = deferred_by(apply(lagging, pool_name=f"{name}-a"), context(airflow, run_id=run))
    fired(seen)
    other = context(airflow, run_id=run, task_id="other")
    deferred_by(apply(lagging, pool_name=f"{name}-b"), other)
    teardown = delete(lagging, makers=["task", "other"])
    assert len(perform(teardown, context(airflow, task_id="delete", run_id=run))) == 2
    assert named(lagging, f"{name}-b") == []


def test_the_way_back_finds_a_pool_that_is_not_listed_yet(lagging: Handle, name: str) -> None:
    airflow, run = Run(), "manual__way_back"
    deferred_by(apply(lagging, pool_name=name), context(airflow, run_id=run))
    teardown = restore(lagging, makers=["task"])
    assert len(perform(teardown, context(airflow, task_id="restore", run_id=run))) == 1
    assert named(lagging, name) == []


def test_a_teardown_of_a_run_that_made_nothing_ends_at_once(lagging: Handle) -> None:
    teardown = delete(lagging, makers=["task"])
    assert teardown.execute(context(run_id="manual__nothing", task_id="delete")) == []
