"""How each wait looks at its resource: the table ``PROBES`` and the probes of ECS and ACK.

To add one: write an opener, an async context manager that takes the connection id and yields the
probe; name it in ``PROBES`` as ``module:function``. It is imported at first use, so that no cloud
SDK is loaded before a trigger needs it. A probe that has nothing to keep between two looks can be
a plain function under :func:`each_look`. What the cloud tells of several resources with one call
is looked at on a board, together with other waits: yield a :class:`Shared` then.

A probe reports a missing resource as the state ``absent``. It raises ``ThrottledError``,
``CloudUnavailableError`` or ``UnclearReplyError`` when it could not look this time: the wait
goes on. Any other error of ours ends the wait.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ack_preload.domain.waits import ABSENT
from ack_preload.hooks.looks import AT_ONCE
from ack_preload.triggers.polling import Board, Lookout, lookout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ack_preload.domain.node_pools import Node, NodePoolView

Subject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """One look. ``detail`` goes into the event, so it is small and has plain values only.

    A ``detail["progress"]`` of ``{"done": 3, "of": 14, "bytes": 123}`` is logged when it changes.
    """

    state: str
    detail: dict[str, Any] = field(default_factory=dict)


Probe = Callable[[Subject], Awaitable[Observation]]
Watch = Callable[[Subject, float], Awaitable[Observation]]
"""Sees the subject in so many seconds, or before when another wait's look tells of it too."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A probe that looks on a board, and so decides itself when."""

    watch: Watch


Opener = Callable[[str], AbstractAsyncContextManager[Probe | Shared]]


class Look(NamedTuple):
    opener: str  # module:function
    names: str  # key of the subject that names the resource in logs and events


HERE = "ack_preload.triggers.probes"

PROBES: dict[str, Look] = {
    "instance_running": Look(f"{HERE}:instance", "instance_id"),
    "instance_stopped": Look(f"{HERE}:instance", "instance_id"),
    "instance_gone": Look(f"{HERE}:instance", "instance_id"),
    "assistant_ready": Look(f"{HERE}:agent", "instance_id"),
    "snapshot_accomplished": Look(f"{HERE}:snapshot", "snapshot_id"),
    "snapshot_gone": Look(f"{HERE}:snapshot", "snapshot_id"),
    "ack_task_succeeded": Look(f"{HERE}:ack_task", "task_id"),
    "node_pool_active": Look(f"{HERE}:node_pool", "node_pool_id"),
    "node_pool_settled": Look(f"{HERE}:node_pool", "node_pool_id"),
    "node_pool_gone": Look(f"{HERE}:node_pool", "node_pool_id"),
    "node_pool_listed": Look(f"{HERE}:node_pool_named", "pool_name"),
    "nodes_ready": Look(f"{HERE}:nodes", "node_pool_id"),
    "nodes_gone": Look(f"{HERE}:nodes", "node_pool_id"),
    "remote_job": Look("ack_preload.triggers.remote_job:remote_job", "job"),
    "node_ready": Look("ack_preload.triggers.kube:node_ready", "node_pool_id"),
    "pod_running": Look("ack_preload.triggers.kube:pod_running", "pod"),
}


@asynccontextmanager
async def open_watch(wait: str, conn_id: str) -> AsyncIterator[Watch]:
    """Yield what looks for ``wait``, to be entered once for the whole wait."""
    module, _, name = PROBES[wait].opener.partition(":")
    opener = cast("Opener", getattr(import_module(module), name))
    async with opener(conn_id) as probe:
        yield probe.watch if isinstance(probe, Shared) else partial(_alone, probe)


async def _alone(probe: Probe, subject: Subject, due_in_s: float) -> Observation:
    await asyncio.sleep(due_in_s)
    return await probe(subject)


def each_look(probe: Callable[[str, Subject], Awaitable[Observation]]) -> Opener:
    """Make an opener of a function that takes the connection id at every look."""

    @asynccontextmanager
    async def opener(conn_id: str) -> AsyncIterator[Probe]:
        yield functools.partial(probe, conn_id)

    return functools.wraps(probe)(opener)


@asynccontextmanager
async def instance(conn_id: str) -> AsyncIterator[Shared]:
    """Instance states in ECS' own words. Subject: ``instance_id``."""
    async with lookout(conn_id) as shared:
        board = shared.board(shared.looks.instances, _a_hundred, "instances", splits=True)

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            found = await board.look(subject["instance_id"], due_in_s)
            if found is None:
                return Observation(ABSENT)
            return Observation(found.status, found.as_dict())

        yield Shared(watch)


@asynccontextmanager
async def agent(conn_id: str) -> AsyncIterator[Shared]:
    """Tell whether Cloud Assistant's agent reports, ``true``. Subject: ``instance_id``."""
    async with lookout(conn_id) as shared:
        board = shared.board(shared.looks.agents, _a_hundred, "agents", splits=True)

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            found = await board.look(subject["instance_id"], due_in_s)
            return Observation(ABSENT if found is None else found)

        yield Shared(watch)


@asynccontextmanager
async def snapshot(conn_id: str) -> AsyncIterator[Shared]:
    """Snapshot states in ECS' own words. Subject: ``snapshot_id``."""
    async with lookout(conn_id) as shared:
        board = shared.board(shared.looks.snapshots, _a_hundred, "snapshots", splits=True)

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            found = await board.look(subject["snapshot_id"], due_in_s)
            if found is None:
                return Observation(ABSENT)
            return Observation(found.status, {"percent": found.percent})

        yield Shared(watch)


@asynccontextmanager
async def ack_task(conn_id: str) -> AsyncIterator[Shared]:
    """ACK task states. Subject: ``task_id``."""
    async with lookout(conn_id) as shared:
        # One call tells of one task, but of that to all who wait for it.
        board = shared.board(shared.looks.tasks, _one, "tasks")

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            if (found := await board.look(subject["task_id"], due_in_s)) is None:
                return Observation(ABSENT)
            state, error = found
            return Observation(state, {"error": error} if error else {})

        yield Shared(watch)


@asynccontextmanager
async def node_pool(conn_id: str) -> AsyncIterator[Shared]:
    """Node pool states. Subject: ``cluster_id``, ``node_pool_id``."""
    async with lookout(conn_id) as shared:

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            cluster_id = subject["cluster_id"]
            read = partial(shared.looks.node_pools, cluster_id)
            board = shared.board(read, _all, "node_pools", cluster_id)
            found = await board.look(subject["node_pool_id"], due_in_s)
            return Observation(ABSENT) if found is None else _observed(found)

        yield Shared(watch)


@asynccontextmanager
async def node_pool_named(conn_id: str) -> AsyncIterator[Shared]:
    """Tell whether a node pool of a name is listed. Subject: ``cluster_id``, ``pool_name``."""
    async with lookout(conn_id) as shared:

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            cluster_id = subject["cluster_id"]
            read = partial(shared.looks.node_pools_named, cluster_id)
            board = shared.board(read, _all, "node_pools_named", cluster_id)
            found = await board.look(subject["pool_name"], due_in_s)
            return Observation(ABSENT if found is None else "listed")

        yield Shared(watch)


def _observed(pool: NodePoolView) -> Observation:
    return Observation(pool.state, {"desired_size": pool.desired_size, "total": pool.total_nodes})


def nodes_board(shared: Lookout, cluster_id: str) -> Board[list[Node]]:
    """Return the board of all waits for nodes of pools of one cluster, by the pool's id."""
    at_once = partial(shared.looks.pools_at_once, cluster_id)
    return shared.board(partial(shared.looks.nodes, cluster_id), at_once, "nodes", cluster_id)


@asynccontextmanager
async def nodes(conn_id: str) -> AsyncIterator[Shared]:
    """Tell whether ``count`` nodes of a pool are Ready, from ACK's own list.

    Subject: ``cluster_id``, ``node_pool_id``, ``count``, ``or_more``. States: ``ready`` (exactly
    ``count`` nodes, or more where that is allowed, and so many of them Ready), ``joining``,
    ``failed`` (a node carries an error), ``absent`` (none).
    """
    async with lookout(conn_id) as shared:

        async def watch(subject: Subject, due_in_s: float) -> Observation:
            board = nodes_board(shared, subject["cluster_id"])
            found = await board.look(subject["node_pool_id"], due_in_s)
            wanted = int(subject.get("count") or 0)
            return _counted(found or [], wanted, or_more=bool(subject.get("or_more")))

        yield Shared(watch)


def _counted(found: Sequence[Node], wanted: int, *, or_more: bool = False) -> Observation:
    listed = [node.as_dict() for node in found]
    if errors := [f"{node.name}: {node.error}" for node in found if node.error]:
        return Observation("failed", {"error": "; ".join(errors), "nodes": listed})
    if not found and not wanted:
        return Observation(ABSENT, {"nodes": []})
    ready = sum(node.is_ready for node in found)
    enough = ready >= wanted if or_more else ready == len(found) == wanted
    state = "ready" if enough else "joining"
    return Observation(state, {"nodes": listed, "ready": ready})


def _one(_: int) -> int:
    return 1


def _a_hundred(_: int) -> int:
    return AT_ONCE


def _all(wanted: int) -> int:
    return wanted
