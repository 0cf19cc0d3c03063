"""One sample against the local cloud: what it records, and what it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ack_preload.domain.errors import (
    CloudError,
    InvalidInputError,
    ResourceFailedError,
    UnclearReplyError,
    WaitTimeoutError,
)
from ack_preload.hooks.history import open_store
from ack_preload.operators.compare import CompareOperator
from ack_preload.operators.measure import MeasureSampleOperator, PlanSamplesOperator
from ack_preload.store import Run, SampleRecord
from emulator.ack.resources import PoolState
from emulator.app import Handle
from tests.emulated.driving import deferred_by, fired, perform
from tests.emulated.measuring import make_pool, measured, measuring, sample
from tests.emulated.node_pools import bodies

RUN = Run("measure_ready_latency", "manual__1")


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = {"conn_type": "sqlite", "host": str(tmp_path / "history.db")}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_STORE", json.dumps(store))


@pytest.fixture
def slow_cloud(cloud: Handle) -> Handle:
    """Return a local cloud whose nodes take an hour to register; ACK gives them up after 2 s."""
    cloud.cloud.settings = replace(
        cloud.cloud.settings, kubelet_registration_s=3600, node_join_within_s=2
    )
    return cloud


def recorded() -> SampleRecord:
    (found,) = open_store().samples(RUN)
    return found


def nodes(cloud: Handle, pool_id: str) -> int:
    return len(cloud.cloud.node_pools[pool_id].nodes)


def pods(cloud: Handle) -> list[str]:
    listed = cloud.cloud.clusters[cloud.facts["cluster_id"]].kube.store.list("pods", "default")
    return [pod["metadata"]["name"] for pod in listed]


def test_a_sample_records_both_ends_and_what_was_pulled(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    told = perform(sample(cloud, pool_id), measuring())
    record = recorded()
    assert record.ready_latency_s is not None
    assert record.ready_since_request_s is not None
    assert record.workload_start_s is not None
    assert record.pulled_images
    assert record.pulled_bytes
    assert record.moments["created"]["clock"] == "the ACK control plane"
    assert record.moments["ready"]["clock"] == "the kubelet on the node"
    assert all(record.moments["span"])
    assert told["pulled_bytes"] == record.pulled_bytes


def test_neither_node_nor_pod_is_left(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    perform(sample(cloud, pool_id), measuring())
    assert nodes(cloud, pool_id) == 0
    assert pods(cloud) == []


def test_what_an_earlier_node_of_that_address_pulled_is_not_counted(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    perform(sample(cloud, pool_id), measuring())
    cloud.advance(2)
    perform(sample(cloud, pool_id, number=1), measuring())
    first, second = open_store().samples(RUN)
    assert first.node_name == second.node_name
    assert first.pulled_bytes == second.pulled_bytes


def test_a_second_try_starts_with_an_empty_pool(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    task = measuring()
    deferred_by(sample(cloud, pool_id), task)  # the worker died right after
    perform(sample(cloud, pool_id), measuring(try_number=2))
    assert nodes(cloud, pool_id) == 0
    assert recorded().ready_latency_s is not None


def taken(operator: MeasureSampleOperator, task: Any) -> TaskDeferred:
    """Take a sample until it is recorded and only its node is left; return what is waited for."""
    waiting = deferred_by(operator, task)
    while waiting.method_name != "node_pool_is_settled":
        with pytest.raises(TaskDeferred) as caught:
            getattr(operator, waiting.method_name)(task, fired(waiting))
        waiting = caught.value
    return waiting


def asked(cloud: Handle) -> list[int]:
    """Return the sizes that the pools were asked for, in order."""
    sent = bodies(cloud, "ModifyClusterNodePool")
    return [body["scaling_group"]["desired_size"] for body in sent]


def test_a_pool_that_is_busy_at_the_end_is_emptied_later_and_the_sample_kept(
    cloud: Handle,
) -> None:
    pool_id, task = make_pool(cloud), measuring()
    operator = sample(cloud, pool_id)
    event = fired(taken(operator, task))
    before = recorded()
    cloud.cloud.node_pools[pool_id].state = PoolState.UPDATING  # somebody changes it right now
    with pytest.raises(TaskDeferred) as caught:
        operator.node_pool_is_settled(task, event)
    cloud.cloud.node_pools[pool_id].state = PoolState.ACTIVE
    free = caught.value
    assert (free.trigger.wait, free.method_name) == ("node_pool_settled", "node_pool_is_free")
    with pytest.raises(TaskDeferred) as caught:
        operator.node_pool_is_free(task, fired(free))
    operator.node_is_gone(task, fired(caught.value))
    assert asked(cloud) == [1, 0, 0]  # the second was refused
    assert recorded().ready_latency_s == before.ready_latency_s
    assert nodes(cloud, pool_id) == 0


def test_a_worker_lost_after_the_sample_leaves_only_the_emptying_to_the_next_try(
    cloud: Handle,
) -> None:
    pool_id = make_pool(cloud)
    taken(sample(cloud, pool_id), measuring())
    before = recorded()
    told = perform(sample(cloud, pool_id), measuring(try_number=2))  # whose XComs are new
    after = recorded()
    assert told["ready_latency_s"] == after.ready_latency_s == before.ready_latency_s
    assert after.moments["span"][1]
    assert asked(cloud) == [1, 0]
    assert nodes(cloud, pool_id) == 0


def test_a_sample_that_is_cleared_is_taken_anew(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    perform(sample(cloud, pool_id), measuring())
    perform(sample(cloud, pool_id), measuring(try_number=2, max_tries=4))
    assert asked(cloud) == [1, 0, 1, 0]
    assert recorded().moments["taken"] == 4


def test_a_node_that_is_never_ready_is_a_result_and_goes(slow_cloud: Handle) -> None:
    pool_id = make_pool(slow_cloud)
    told = perform(sample(slow_cloud, pool_id, ready_within_s=0.5), measuring())
    record = recorded()
    assert told["never_ready"]
    assert (record.never_ready, record.ready_latency_s) == (True, None)
    assert "after 0.5 s" in record.note
    assert nodes(slow_cloud, pool_id) == 0


def test_a_node_that_ack_gave_up_is_never_ready_either(slow_cloud: Handle) -> None:
    pool_id = make_pool(slow_cloud)
    perform(sample(slow_cloud, pool_id), measuring())
    record = recorded()
    assert record.never_ready
    assert "did not become Ready" in record.note
    assert nodes(slow_cloud, pool_id) == 0


def test_a_comparison_with_a_lost_node_is_kept_and_red(slow_cloud: Handle) -> None:
    pool_id = make_pool(slow_cloud)
    perform(sample(slow_cloud, pool_id, ready_within_s=0.5), measuring())
    compare = CompareOperator(task_id="c", target=measured(slow_cloud), snapshot_id="s-1")
    with pytest.raises(ResourceFailedError, match="1 of 1 nodes never got Ready"):
        compare.execute(measuring())
    kept = open_store().latest_comparison("demo")
    assert kept is not None
    assert kept.content["arms"]["baseline"]["never_ready"] == 1


def test_a_pod_that_cannot_start_is_named_with_its_reason(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    missing = f"{cloud.facts['registry']}/ac2/absent:1"
    with pytest.raises(ResourceFailedError, match="ac2/absent:1"):
        perform(sample(cloud, pool_id, workload_image=missing), measuring())
    record = recorded()
    assert record.ready_latency_s is not None  # that much is known
    assert record.workload_start_s is None
    assert "is Failed" in record.note
    assert pods(cloud) == []


def test_an_unreachable_kubernetes_is_told_before_a_node_is_paid_for(cloud: Handle) -> None:
    pool_id = make_pool(cloud)
    cluster = cloud.cloud.clusters[cloud.facts["cluster_id"]]
    cluster.kube_url = cluster.node_kube_url = "https://127.0.0.1:1"
    with pytest.raises(UnclearReplyError, match="gives no answer"):
        perform(sample(cloud, pool_id), measuring())
    assert nodes(cloud, pool_id) == 0


def test_a_kubernetes_that_falls_silent_is_an_error_and_not_a_slow_node(cloud: Handle) -> None:
    pool_id, task = make_pool(cloud), measuring()
    operator = sample(cloud, pool_id, ready_within_s=1)
    waiting = deferred_by(operator, task)
    cluster = cloud.cloud.clusters[cloud.facts["cluster_id"]]
    cluster.kube_url = cluster.node_kube_url = "https://127.0.0.1:1"
    event = fired(waiting)
    assert event["state"] == "unreachable"
    with pytest.raises(WaitTimeoutError, match=r"is unknown at the deadline: .* gives no answer"):
        operator.node_is_ready(task, event)
    assert open_store().samples(RUN) == []


def test_a_question_that_ack_refuses_is_an_error(cloud: Handle) -> None:
    pool_id, task = make_pool(cloud), measuring()
    operator = sample(cloud, pool_id)
    deferred_by(operator, task)
    refused = {"code": "Forbidden.RAM", "message": "no", "request_id": "R-1"}
    event = {"verdict": "refused", "state": "Forbidden.RAM", "id": pool_id, "detail": refused}
    with pytest.raises(CloudError, match=r"Forbidden\.RAM"):
        operator.node_is_ready(task, event)


def test_a_pool_that_is_gone_is_told(cloud: Handle) -> None:
    with pytest.raises(ResourceFailedError, match="node pool np-absent is gone"):
        perform(sample(cloud, "np-absent"), measuring())


def plan(cloud: Handle, samples: Any) -> list[dict[str, Any]]:
    operator = PlanSamplesOperator(
        task_id="plan",
        target=measured(cloud),
        samples=samples,
        baseline_pool="np-a",
        preloaded_pool="np-b",
    )
    return operator.execute(measuring())


def test_the_arms_are_interleaved(cloud: Handle) -> None:
    assert [(each["arm"], each["node_pool_id"]) for each in plan(cloud, "2")] == [
        ("baseline", "np-a"),
        ("preloaded", "np-b"),
    ] * 2


def test_no_number_means_the_targets_own(cloud: Handle) -> None:
    assert len(plan(cloud, 0)) == 2 * 2


@pytest.mark.parametrize("samples", [21, -1])
def test_a_number_of_samples_out_of_bounds_is_refused(cloud: Handle, samples: int) -> None:
    with pytest.raises(InvalidInputError, match="use 1 to 20"):
        plan(cloud, samples)
