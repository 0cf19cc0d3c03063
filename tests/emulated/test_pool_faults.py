"""Node pools under faults: whatever gets lost on the way, there is one pool, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    ResourceFailedError,
    ThrottledError,
    UnclearReplyError,
    WaitTimeoutError,
)
from ack_preload.hooks.ack import AckHook
from ack_preload.operators.node_pool import TURN_SINCE, TURN_WITHIN
from ack_preload.operators.pool_changes import MAX_RESTARTS
from emulator.app import Handle
from emulator.faults import (
    EmptyBody,
    Fault,
    NodeError,
    NoStock,
    ResetAfter,
    ResetBefore,
    ServerError,
    Throttle,
)
from tests.emulated.driving import (
    context,
    deferred_by,
    perform,
    target,
)
from tests.emulated.node_pools import apply, delete, named, pool, scale, world

AGAIN = (CloudUnavailableError, ThrottledError, UnclearReplyError)  # Airflow tries these again
CREATE, MODIFY, DELETE = "CreateClusterNodePool", "ModifyClusterNodePool", "DeleteClusterNodepool"
FAULTS: list[Callable[[str], Fault]] = [
    lambda action: Throttle(target=action, times=2),
    lambda action: ServerError(target=action, status=500),
    lambda action: ServerError(target=action, status=500, after=True),
    lambda action: ServerError(target=action, status=503, after=True, times=2),
    lambda action: ResetBefore(target=action),
    lambda action: ResetAfter(target=action),
    lambda action: ResetAfter(target=action, times=2),
    lambda action: EmptyBody(target=action),
]
EACH_FAULT = pytest.mark.parametrize(
    "fault",
    FAULTS,
    ids=["throttled", "500", "500 done", "503 done", "cut", "lost", "lost twice", "empty"],
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    yield from world(tmp_path_factory)


def outlasts(make: Callable[[], BaseOperator], **task: Any) -> Any:
    """Perform an operator with as many tries as Airflow gives it, each with an object of its own.

    A try whose error Airflow would not try again ends it.
    """
    for number in (1, 2):
        try:
            return perform(make(), context(try_number=number, **task))
        except AGAIN:
            continue
    return perform(make(), context(try_number=3, **task))


@EACH_FAULT
def test_a_create_makes_one_pool(shared: Handle, name: str, fault: Callable[[str], Fault]) -> None:
    with shared.fault(fault(CREATE)):
        made = outlasts(lambda: apply(shared, pool_name=name))
    assert made["created"] is True
    assert [each.node_pool_id for each in named(shared, name)] == [made["node_pool_id"]]


@EACH_FAULT
def test_a_change_of_size_makes_one_node_and_a_deletion_leaves_none(
    shared: Handle, name: str, fault: Callable[[str], Fault]
) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    with shared.fault(fault(MODIFY)):
        found = outlasts(lambda: scale(shared, pool_id, 1))
    (node,) = found["nodes"]
    assert list(named(shared, name)[0].nodes) == [node["instance_id"]]
    with shared.fault(fault(DELETE)):
        outlasts(lambda: delete(shared, pool_name=name))
    assert named(shared, name) == []
    assert node["instance_id"] not in shared.cloud.instances


@EACH_FAULT
def test_reads_that_fail_make_no_second_pool(
    shared: Handle, name: str, fault: Callable[[str], Fault]
) -> None:
    deferred_by(apply(shared, pool_name=name))
    with shared.fault(fault("DescribeClusterNodePools")):
        outlasts(lambda: apply(shared, pool_name=name))
    assert len(named(shared, name)) == 1


def test_a_deletion_whose_worker_was_lost_is_ended_by_the_next_try(
    shared: Handle, name: str
) -> None:
    perform(apply(shared, pool_name=name))
    deferred_by(delete(shared, pool_name=name))
    perform(delete(shared, pool_name=name), context(try_number=2))
    assert named(shared, name) == []


def test_a_refused_create_is_told_at_once(shared: Handle, name: str) -> None:
    wrong = target(shared, vswitch_ids=["vsw-none"])
    with pytest.raises(CloudError, match="vsw-none"):
        perform(apply(shared, pool_name=name, target=wrong))


def test_sold_out_types_fail_the_task_with_the_clouds_words(shared: Handle, name: str) -> None:
    with shared.fault(NoStock()), pytest.raises(ResourceFailedError, match="sold out"):
        perform(apply(shared, pool_name=name, desired_size=1))
    assert len(named(shared, name)) == 1  # for the way back to delete
    perform(delete(shared, pool_name=name))
    assert named(shared, name) == []


# -- one pool of two, and pools in states that they are not wanted in


def test_of_two_pools_of_a_name_the_older_is_taken_and_both_go(shared: Handle, name: str) -> None:
    """ACK refuses a second pool of a name. Should it ever not, none may be left."""
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    twin = replace(
        shared.cloud.node_pools[pool_id],
        node_pool_id="np-00-twin",  # the younger, by its time, and the first, by its id
        created=shared.cloud.now() + timedelta(seconds=1),
        nodes={},
    )
    shared.cloud.node_pools[twin.node_pool_id] = twin
    assert perform(apply(shared, pool_name=name))["node_pool_id"] == pool_id
    assert perform(delete(shared, pool_name=name)) == sorted([pool_id, twin.node_pool_id])


def test_a_pool_that_is_being_deleted_is_made_anew(shared: Handle, name: str) -> None:
    first = perform(apply(shared, pool_name=name))["node_pool_id"]
    shared.cloud.settings = replace(shared.cloud.settings, task_step_s=0.2)
    try:
        deferred_by(delete(shared, pool_name=name))
        second = perform(apply(shared, pool_name=name))["node_pool_id"]
    finally:
        shared.cloud.settings = replace(shared.cloud.settings, task_step_s=0)
    assert second != first
    assert len(named(shared, name)) == 1


def test_a_pool_that_has_failed_is_told_and_can_be_deleted(shared: Handle, name: str) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    described = pool(shared, pool_id)
    operator = apply(shared, pool_name=name)
    with pytest.raises(ResourceFailedError, match=rf"{pool_id} \({name}\) is failed; repair or"):
        operator._adopt(context(), replace(described, state="failed"))
    assert perform(delete(shared, pool_name=name)) == [pool_id]


# -- nodes


def test_nodes_that_are_removed_twice_are_removed_once(shared: Handle, name: str) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    (node,) = perform(scale(shared, pool_id, 1))["nodes"]
    ids = shared.facts["cluster_id"], pool_id, [node["instance_id"], "i-gone"]
    lost = shared.fault(ResetAfter(target="RemoveNodePoolNodes"))
    # It is sent again at once; where the first is still at work, an operator waits.
    with lost, contextlib.suppress(CloudUnavailableError):
        AckHook().remove_nodes(*ids)
    shared.run_until(lambda: not shared.cloud.node_pools[pool_id].nodes)
    assert AckHook().remove_nodes(*ids) == ""
    assert AckHook().remove_nodes(shared.facts["cluster_id"], "np-gone", ["i-1"]) == ""
    assert shared.cloud.node_pools[pool_id].desired_size == 0


def test_a_node_that_ack_gave_up_is_replaced_by_the_next_try(shared: Handle, name: str) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    failing, told = NodeError(target=name), "node initialization failed"
    with shared.fault(failing), pytest.raises(ResourceFailedError, match=told):
        perform(scale(shared, pool_id, 1))
    (lost,) = shared.cloud.node_pools[pool_id].nodes
    (node,) = perform(scale(shared, pool_id, 1), context(try_number=2))["nodes"]
    assert node["instance_id"] != lost
    assert lost not in shared.cloud.instances


def test_a_node_that_stays_however_often_it_is_removed_ends_red(shared: Handle, name: str) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    with shared.fault(NodeError(target=name)), pytest.raises(ResourceFailedError):
        perform(scale(shared, pool_id, 1))
    stubborn = scale(shared, pool_id, 1)
    stubborn.restarts = MAX_RESTARTS
    (lost,) = shared.cloud.node_pools[pool_id].nodes
    with pytest.raises(ResourceFailedError, match=rf"stay although it removes them: {lost}; take"):
        perform(stubborn, context(try_number=2))


def test_a_turn_that_never_comes_ends_red(shared: Handle, name: str) -> None:
    perform(apply(shared, pool_name=name), context(run_id="manual__1"))
    hangs = context(run_id="manual__2", get_dr_count=lambda *_, **__: 1)
    operator = apply(shared, pool_name=name)
    assert deferred_by(operator, hangs).method_name == "looked_late"
    since = datetime.fromisoformat(hangs["ti"].xcom_pull("task", key=TURN_SINCE))
    hangs["ti"].xcom_push(key=TURN_SINCE, value=(since - TURN_WITHIN).isoformat())
    with pytest.raises(WaitTimeoutError, match=r"run manual__1 of build_preloaded_disk for 6:00"):
        operator.looked_late(hangs, {})


def test_a_node_that_never_gets_ready_ends_red_and_goes(shared: Handle, name: str) -> None:
    pool_id = perform(apply(shared, pool_name=name))["node_pool_id"]
    usual = shared.cloud.settings
    shared.cloud.settings = replace(usual, kubelet_registration_s=3600, node_join_within_s=0.2)
    try:
        with pytest.raises(ResourceFailedError, match="did not become Ready"):
            perform(scale(shared, pool_id, 1))
        assert perform(delete(shared, pool_name=name)) == [pool_id]
    finally:
        shared.cloud.settings = usual
    assert not [each for each in shared.cloud.instances.values() if each.node_pool_id == pool_id]
