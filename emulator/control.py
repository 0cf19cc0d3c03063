"""``/_control``: what a test or a report asks of the emulator itself, never the product.

Loopback only and without a key: who reaches it can already read the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulator import fault_control
from emulator.ack.nodes import nodes_of
from emulator.ecs.reading import to_second
from emulator.metering.routes import meter_route

if TYPE_CHECKING:
    from emulator.cloud import Cloud

MAX_STEP = timedelta(days=3650)


def resources(cloud: Cloud) -> Iterator[dict[str, Any]]:
    """Yield every resource with kind, id, name, tags, created and state."""
    for instance in cloud.instances.values():
        state = "Releasing" if instance.is_being_released else instance.status
        yield row(
            "instance", instance.instance_id, instance.name, instance.tags, instance.created, state
        ) | {"node_pool_id": instance.node_pool_id, "failure": instance.failure}
    for disk in cloud.disks.values():
        yield row("disk", disk.disk_id, disk.name, disk.tags, disk.created, disk.status) | {
            "instance_id": disk.instance_id,
            "size_gib": disk.size_gib,
        }
    for snapshot in cloud.snapshots.values():
        state = snapshot.status
        yield row(
            "snapshot",
            snapshot.snapshot_id,
            snapshot.name,
            snapshot.tags,
            snapshot.created,
            state,
        ) | {"disk_id": snapshot.disk_id, "allocated_bytes": snapshot.allocated_bytes}
    for pair in cloud.key_pairs.values():
        yield row("key_pair", pair.name, pair.name, pair.tags, pair.created, "Available")
    yield from ack_resources(cloud)


def ack_resources(cloud: Cloud) -> Iterator[dict[str, Any]]:
    for cluster in cloud.clusters.values():
        yield row("cluster", cluster.cluster_id, cluster.name, {}, cluster.created, "running")
    for pool in cloud.node_pools.values():
        yield row(
            "node_pool", pool.node_pool_id, pool.name, pool.tags(), pool.created, pool.state
        ) | {"desired_size": pool.desired_size}
        for node in nodes_of(cloud, cloud.clusters[pool.cluster_id], pool):
            created = pool.nodes[node["instance_id"]].created
            yield row(
                "node", node["node_name"], node["node_name"], pool.tags(), created, node["state"]
            ) | {"instance_id": node["instance_id"], "node_status": node["node_status"]}


def row(  # noqa: PLR0917  # one value a key, in the order of the keys
    kind: str, resource_id: str, name: str, tags: dict[str, str], created: datetime, state: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": resource_id,
        "name": name,
        "tags": tags,
        "created": to_second(created),
        "state": str(state),
    }


def routes(cloud: Cloud) -> list[Route]:
    async def state(_request: Request) -> JSONResponse:
        return JSONResponse({"resources": list(resources(cloud)), "failures": cloud.failures})

    async def clock(request: Request) -> JSONResponse:
        try:
            step = timedelta(seconds=float((await request.json())["advance_s"]))
            if not timedelta() <= step <= MAX_STEP:
                raise ValueError(f"{step} is not within 0 and {MAX_STEP}")
            cloud.clock.advance(step)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            message = f'the body must be {{"advance_s": seconds}}: {exc}'
            return JSONResponse({"message": message}, status_code=400)
        return JSONResponse({"now": cloud.now().isoformat()})

    async def settings(_request: Request) -> JSONResponse:
        return JSONResponse(asdict(cloud.settings))

    async def simulated(_request: Request) -> JSONResponse:
        return JSONResponse(simulated_settings(cloud))

    return [
        Route("/state", state),
        Route("/clock", clock, methods=["POST"]),
        Route("/settings", settings),
        Route("/simulated", simulated),
        meter_route(cloud.meter),
        *fault_control.routes(cloud.faults),
    ]


def simulated_settings(cloud: Cloud) -> dict[str, float]:
    """Return what stands for something that only a cloud, or a real machine, has."""
    only_on_paper = cloud.settings.paper() if cloud.machines.kind == "paper" else {}
    return cloud.settings.simulated() | only_on_paper
