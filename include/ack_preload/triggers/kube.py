"""Probes that look at Kubernetes: the one node of a pool, and the workload Pod on it.

Subjects name the cluster; the kubeconfig is asked for once a wait, and again when the API server
no longer takes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from ack_preload.domain.errors import CloudError, UnclearReplyError
from ack_preload.domain.waits import ABSENT
from ack_preload.hooks.kube import KubeHook
from ack_preload.hooks.looks import Looks
from ack_preload.hooks.whole import readable
from ack_preload.triggers.polling import lookout
from ack_preload.triggers.probes import Observation, Probe, Shared, Subject, nodes_board

# A pull that has failed once has spoiled the measurement, so the first back-off ends the wait;
# the others never mend themselves.
STUCK = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
UNREACHABLE = "unreachable"
"""Our word for a Kubernetes API that gives no answer: nothing is known of the node."""


class Clusters:
    """The open connection of each cluster that one wait looks at."""

    def __init__(self, looks: Looks, stack: AsyncExitStack) -> None:
        self._looks = looks
        self._stack = stack
        self.known: dict[str, KubeHook] = {}

    async def get(self, cluster_id: str) -> KubeHook:
        if cluster_id not in self.known:
            opening = KubeHook.open(self._looks, cluster_id)
            self.known[cluster_id] = await self._stack.enter_async_context(opening)
        return self.known[cluster_id]

    def forget(self, cluster_id: str) -> None:
        """Ask for a new kubeconfig at the next look; the old connection closes with the wait."""
        self.known.pop(cluster_id, None)


@asynccontextmanager
async def node_ready(conn_id: str) -> AsyncIterator[Shared]:
    """Tell whether the only node of a pool is Ready, by its own condition.

    Subject: ``cluster_id``, ``node_pool_id``. States: ``Ready``, ``NotReady``, ``joining`` (an
    instance but no Node yet), ``failed`` (ACK gave the node up), ``absent``, ``unreachable``.
    The detail of ``Ready`` has the moments of the node, as the API servers write them.
    """
    async with lookout(conn_id) as shared, AsyncExitStack() as stack:
        clusters = Clusters(shared.looks, stack)

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            cluster_id, pool_id = subject["cluster_id"], subject["node_pool_id"]
            members = await nodes_board(shared, cluster_id).look(pool_id, due_in_s)
            if errors := [f"{node.name}: {node.error}" for node in members or [] if node.error]:
                return Observation("failed", {"error": "; ".join(errors)})
            if not members:
                return Observation(ABSENT)
            return await observe_node(clusters, cluster_id, pool_id, members[0].as_dict())

        yield Shared(watch)


async def observe_node(
    clusters: Clusters, cluster_id: str, pool_id: str, member: dict[str, Any]
) -> Observation:
    """Look at the Node of one member of a pool."""
    try:
        nodes = await (await clusters.get(cluster_id)).nodes_of_pool(pool_id)
    except (UnclearReplyError, CloudError) as exc:
        return _unreachable(clusters, cluster_id, exc)
    # A Node can outlive its instance for a while: the first of the pool may be another's.
    node = next(
        (each for each in nodes if each.is_on(member["instance_id"], member["node_name"])), None
    )
    if node is None:
        return Observation("joining", {"member": member})
    state = "Ready" if node.ready and node.ready_at else "NotReady"
    return Observation(state, {"member": member, "node": node.as_dict()})


@asynccontextmanager
async def pod_running(conn_id: str) -> AsyncIterator[Probe]:
    """Tell whether a Pod of one container runs, or has run.

    Subject: ``cluster_id``, ``namespace``, ``pod``. States: the Pod's phase; ``Failed`` also for
    a Pod that is stuck, with the kubelet's own words in ``error``; ``absent``, ``unreachable``.
    """
    async with lookout(conn_id) as shared, AsyncExitStack() as stack:
        clusters = Clusters(shared.looks, stack)
        yield partial(look_at_pod, clusters)


async def look_at_pod(clusters: Clusters, subject: Subject) -> Observation:
    cluster_id = subject["cluster_id"]
    try:
        hook = await clusters.get(cluster_id)
        pod = await hook.pod(subject["namespace"], subject["pod"])
        with readable("GET Pod"):
            return Observation(ABSENT) if pod is None else observe_pod(pod)
    except (UnclearReplyError, CloudError) as exc:
        return _unreachable(clusters, cluster_id, exc)


def observe_pod(pod: Mapping[str, Any]) -> Observation:
    """Judge a Pod by its one container; ``started_at`` is the kubelet's own time."""
    status = pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    detail = {
        "created_at": pod["metadata"]["creationTimestamp"],
        "started_at": (state.get("running") or ended).get("startedAt") or "",
    }
    if waiting.get("reason") in STUCK:
        why = f"{waiting['reason']}: {waiting.get('message', '')}"
        return Observation("Failed", {**detail, "error": why})
    if phase == "Failed" or ended.get("exitCode"):
        why = f"exit code {ended.get('exitCode')}: {ended.get('message') or ended.get('reason')}"
        return Observation("Failed", {**detail, "error": why})
    if phase == "Running" and not detail["started_at"]:
        phase = "Pending"  # the phase ran ahead of the container's own state
    if phase == "Pending":
        detail["why"] = waiting.get("reason") or _unscheduled(status)
    return Observation(phase, detail)


def _unscheduled(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""


def _unreachable(clusters: Clusters, cluster_id: str, exc: Exception) -> Observation:
    clusters.forget(cluster_id)
    return Observation(UNREACHABLE, {"error": str(exc)})
