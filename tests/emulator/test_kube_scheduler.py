"""Which Pods go to which nodes, and what the scheduler and the controllers say."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.guest.node_objects import lease_object
from emulator.guest.objects import event_object, node_reference
from emulator.kube.controllers import EventExpiry, NodeMonitor
from emulator.kube.errors import KubeError
from emulator.kube.quantities import quantity
from emulator.kube.scheduler import Scheduler
from emulator.kube.store import KubeStore
from tests.emulator.kube_world import pod


@pytest.fixture
def store() -> KubeStore:
    return KubeStore(Clock())


def add_node(store: KubeStore, name: str = "n1", **spec: Any) -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "t"}],
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"},
    }
    labels = {"zone": name}
    store.create(
        "nodes", {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}
    )


def schedule(store: KubeStore, **spec: Any) -> tuple[str, str]:
    """Return a new Pod's node, or why it got none."""
    store.create("pods", pod("work", **spec))
    Scheduler(store).schedule_waiting()
    made = store.get("pods", "default", "work")
    return made["spec"].get("nodeName", ""), made["status"]["conditions"][0].get("message", "")


def asking(cpu: object, memory: str = "1Gi") -> list[dict[str, Any]]:
    requests = {"cpu": cpu, "memory": memory}
    return [{"name": "main", "image": "r/a:1", "resources": {"requests": requests}}]


def test_a_pod_goes_to_a_ready_node_and_an_event_says_so(store: KubeStore) -> None:
    add_node(store)
    assert schedule(store) == ("n1", "")
    [event] = store.list("events")
    assert event["message"] == "Successfully assigned default/work to n1"
    assert event["source"] == {"component": "default-scheduler"}


def test_a_pod_goes_to_the_node_with_the_fewest_pods(store: KubeStore) -> None:
    add_node(store, "n1")
    add_node(store, "n2")
    store.create("pods", pod("first", nodeName="n1"))
    assert schedule(store)[0] == "n2"


@pytest.mark.parametrize(
    ("node", "spec", "why"),
    [
        ({"unschedulable": True}, {}, "1 node(s) were unschedulable"),
        (
            {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
            {},
            "1 node(s) had untolerated taint {a: b}",
        ),
        (
            {},
            {"nodeSelector": {"zone": "far"}},
            "1 node(s) didn't match Pod's node affinity/selector",
        ),
        ({}, {"containers": asking(3)}, "1 Insufficient cpu"),
        ({}, {"containers": asking("100m", "5Gi")}, "1 Insufficient memory"),
    ],
    ids=["cordoned", "tainted", "selector", "cpu", "memory"],
)
def test_a_pod_that_fits_nowhere_waits_with_the_reason(
    store: KubeStore, node: dict[str, Any], spec: dict[str, Any], why: str
) -> None:
    add_node(store, **node)
    assert schedule(store, **spec) == ("", f"0/1 nodes are available: {why}.")
    Scheduler(store).schedule_waiting()
    assert len(store.list("events")) == 1  # said once, not at each look


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "a", "operator": "Exists"},
        {"key": "a", "value": "b", "effect": "NoSchedule"},
    ],
)
def test_a_toleration_lets_a_pod_onto_a_tainted_node(
    store: KubeStore, toleration: dict[str, str]
) -> None:
    add_node(store, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
    assert schedule(store, tolerations=[toleration])[0] == "n1"


def test_the_requests_of_running_pods_count(store: KubeStore) -> None:
    add_node(store)
    store.create("pods", pod("first", nodeName="n1", containers=asking("1500m")))
    assert schedule(store, containers=asking("600m"))[1].endswith("Insufficient cpu.")


def test_without_any_node_the_scheduler_says_that(store: KubeStore) -> None:
    assert schedule(store) == ("", "no nodes available to schedule pods")


async def test_a_waiting_pod_goes_when_a_node_turns_ready(store: KubeStore) -> None:
    store.create("pods", pod())
    running = asyncio.create_task(Scheduler(store).run())
    await asyncio.sleep(0)
    add_node(store)
    async for _, seen in store.watch("pods"):
        if seen["spec"].get("nodeName") == "n1":
            break
    store.close()
    await running


@pytest.mark.parametrize(
    ("text", "number"), [("500m", "0.5"), ("2", "2"), ("1Gi", "1073741824"), ("1.5k", "1500")]
)
def test_quantities(text: str, number: str) -> None:
    assert str(quantity(text).normalize()) == str(quantity(number).normalize())


@pytest.mark.parametrize("text", ["", "one", "1Zi", "1 Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(KubeError, match="is not a quantity"):
        quantity(text)


def ready_of(store: KubeStore) -> str:
    status: str = store.get("nodes", None, "n1")["status"]["conditions"][0]["status"]
    return status


def test_a_silent_node_turns_unknown_after_the_grace(store: KubeStore) -> None:
    add_node(store)
    monitor = NodeMonitor(store, grace_s=40)
    monitor.look(0)
    monitor.look(40)
    assert ready_of(store) == "True"
    monitor.look(41)
    assert ready_of(store) == "Unknown"
    assert store.list("events")[0]["reason"] == "NodeNotReady"


def test_a_lease_that_is_renewed_keeps_a_node_ready(store: KubeStore) -> None:
    add_node(store)
    store.create("leases", lease_object("n1", store.clock.now()))
    monitor = NodeMonitor(store, grace_s=40)
    for second in range(0, 200, 20):
        store.clock.advance(timedelta(seconds=1))
        lease = lease_object("n1", store.clock.now())
        store.replace("leases", "kube-node-lease", "n1", lease)
        monitor.look(second)
    assert ready_of(store) == "True"


def test_moving_the_clock_does_not_make_a_node_silent(store: KubeStore) -> None:
    add_node(store)
    monitor = NodeMonitor(store, grace_s=40)
    monitor.look(0)
    store.clock.advance(timedelta(days=1))
    monitor.look(1)
    assert ready_of(store) == "True"


async def test_a_new_node_is_greeted_once(store: KubeStore) -> None:
    watching = asyncio.create_task(NodeMonitor(store).run())
    await asyncio.sleep(0)
    add_node(store)
    async for _, event in store.watch("events"):
        assert event["message"] == "Node n1 event: Registered Node n1 in Controller"
        break
    store.close()
    await watching


def test_events_expire_an_hour_after_they_were_last_seen(store: KubeStore) -> None:
    event = event_object(node_reference("n1"), "Normal", "Starting", "", now=store.clock.now())
    store.create("events", event)
    store.clock.advance(timedelta(minutes=59))
    EventExpiry(store).sweep()
    assert store.list("events")
    store.clock.advance(timedelta(minutes=2))
    EventExpiry(store).sweep()
    assert store.list("events") == []
