"""How each wait looks at its resource: the table ``PROBES`` and the probes of ECS and ACK.

To add one: write an opener, an async context manager that takes the connection id, reads the
connection once, and yields the probe; name it in ``PROBES`` as ``module:function``. It is
imported at first use, so that no cloud SDK is loaded before a trigger needs it. A probe that
has nothing to keep between two looks can be a plain function under :func:`each_look`.

A probe reports a missing resource as the state ``absent``. It raises ``ThrottledError``,
``CloudUnavailableError`` or ``UnclearReplyError`` when it could not look this time: the wait
goes on. Any other error of ours ends the wait.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ack_preload.domain.waits import ABSENT
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.ecs import EcsHook

if TYPE_CHECKING:
    from ack_preload.domain.node_pools import NodePoolView

Subject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """One look. ``detail`` goes into the event, so it is small and has plain values only.

    A ``detail["progress"]`` of ``{"done": 3, "of": 14, "bytes": 123}`` is logged when it changes.
    """

    state: str
    detail: dict[str, Any] = field(default_factory=dict)


Probe = Callable[[Subject], Awaitable[Observation]]
Opener = Callable[[str], AbstractAsyncContextManager[Probe]]


class Look(NamedTuple):
    opener: str  # module:function
    names: str  # key of the subject that names the resource in logs and events


HERE = "ack_preload.triggers.probes"

PROBES: dict[str, Look] = {
    "instance_running": Look(f"{HERE}:instance", "instance_id"),
    "instance_stopped": Look(f"{HERE}:instance", "instance_id"),
    "instance_gone": Look(f"{HERE}:instance", "instance_id"),
    "snapshot_accomplished": Look(f"{HERE}:snapshot", "snapshot_id"),
    "snapshot_gone": Look(f"{HERE}:snapshot", "snapshot_id"),
    "ack_task_succeeded": Look(f"{HERE}:ack_task", "task_id"),
    "node_pool_active": Look(f"{HERE}:node_pool", "node_pool_id"),
    "node_pool_settled": Look(f"{HERE}:node_pool", "node_pool_id"),
    "node_pool_gone": Look(f"{HERE}:node_pool", "node_pool_id"),
    "nodes_ready": Look(f"{HERE}:nodes", "node_pool_id"),
    "nodes_gone": Look(f"{HERE}:nodes", "node_pool_id"),
    "remote_job": Look("ack_preload.triggers.remote_job:remote_job", "job"),
    "node_ready": Look("ack_preload.triggers.kube:node_ready", "node_pool_id"),
    "pod_running": Look("ack_preload.triggers.kube:pod_running", "pod"),
}


def open_probe(wait: str, conn_id: str) -> AbstractAsyncContextManager[Probe]:
    """Return the probe of ``wait``, to be entered once for the whole wait."""
    module, _, name = PROBES[wait].opener.partition(":")
    return cast("Opener", getattr(import_module(module), name))(conn_id)


def each_look(probe: Callable[[str, Subject], Awaitable[Observation]]) -> Opener:
    """Make an opener of a function that takes the connection id at every look."""

    @asynccontextmanager
    async def opener(conn_id: str) -> AsyncIterator[Probe]:
        yield functools.partial(probe, conn_id)

    return functools.wraps(probe)(opener)


@asynccontextmanager
async def instance(conn_id: str) -> AsyncIterator[Probe]:
    """Instance states in ECS' own words. Subject: ``instance_id``."""
    hook = await EcsHook.aopen(conn_id)

    async def look(subject: Subject) -> Observation:
        found = await hook.instance_state(subject["instance_id"])
        return Observation(ABSENT) if found is None else Observation(found.status, found.as_dict())

    yield look


@asynccontextmanager
async def snapshot(conn_id: str) -> AsyncIterator[Probe]:
    """Snapshot states in ECS' own words. Subject: ``snapshot_id``."""
    hook = await EcsHook.aopen(conn_id)

    async def look(subject: Subject) -> Observation:
        found = await hook.snapshot_state(subject["snapshot_id"])
        if found is None:
            return Observation(ABSENT)
        return Observation(found.status, {"percent": found.percent})

    yield look


@asynccontextmanager
async def ack_task(conn_id: str) -> AsyncIterator[Probe]:
    """ACK task states. Subject: ``task_id``."""
    hook = await AckHook.aopen(conn_id)

    async def look(subject: Subject) -> Observation:
        if (found := await hook.task_state(subject["task_id"])) is None:
            return Observation(ABSENT)
        state, error = found
        return Observation(state, {"error": error} if error else {})

    yield look


@asynccontextmanager
async def node_pool(conn_id: str) -> AsyncIterator[Probe]:
    """Node pool states. Subject: ``cluster_id``, ``node_pool_id``."""
    hook = await AckHook.aopen(conn_id)

    async def look(subject: Subject) -> Observation:
        found = await hook.node_pool_state(subject["cluster_id"], subject["node_pool_id"])
        return Observation(ABSENT) if found is None else _observed(found)

    yield look


def _observed(pool: NodePoolView) -> Observation:
    return Observation(pool.state, {"desired_size": pool.desired_size, "total": pool.total_nodes})


@asynccontextmanager
async def nodes(conn_id: str) -> AsyncIterator[Probe]:
    """Tell whether ``count`` nodes of a pool are Ready, from ACK's own list.

    Subject: ``cluster_id``, ``node_pool_id``, ``count``. States: ``ready`` (exactly ``count``
    nodes and all Ready), ``joining``, ``failed`` (a node carries an error), ``absent`` (none).
    """
    hook = await AckHook.aopen(conn_id)

    async def look(subject: Subject) -> Observation:
        found = await hook.node_states(subject["cluster_id"], subject["node_pool_id"])
        listed = [node.as_dict() for node in found]
        if errors := [f"{node.name}: {node.error}" for node in found if node.error]:
            return Observation("failed", {"error": "; ".join(errors), "nodes": listed})
        if not found and not subject.get("count"):
            return Observation(ABSENT, {"nodes": []})
        ready = sum(node.is_ready for node in found)
        state = "ready" if ready == len(found) == int(subject.get("count", 0)) else "joining"
        return Observation(state, {"nodes": listed, "ready": ready})

    yield look
