"""Paid resources of ours that a chain left in the local cloud, beside those it keeps by design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

PRODUCT_TAG = ("ack-preload/product", "ack-preload")
# Keys of /_control/state whose resources cost money, each with the field that holds the id.
PAID = {
    "instances": "instance_id",
    "disks": "disk_id",
    "snapshots": "snapshot_id",
    "node_pools": "node_pool_id",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What a chain leaves on purpose: the snapshot and the pool that was rolled out from it."""

    snapshots: frozenset[str]
    node_pools: frozenset[str]


def cloud_state(control_url: str) -> dict[str, Any]:
    """Ask the local cloud for everything it holds."""
    answer = httpx.get(f"{control_url}/state", timeout=30, trust_env=False)
    answer.raise_for_status()
    state: dict[str, Any] = answer.json()
    return state


def leftovers(state: Mapping[str, Any], kept: Kept) -> list[str]:
    """Return kind and id of every paid resource with our tag that nothing keeps.

    Nodes of a kept pool, and their disks, are kept with it.
    """
    ours = {kind: _ours(state.get(kind, []), key) for kind, key in PAID.items()}
    instances = {
        name
        for name, each in ours["instances"].items()
        if each.get("node_pool_id") in kept.node_pools
    }
    keep = {
        "instances": instances,
        "disks": {
            name for name, each in ours["disks"].items() if each.get("instance_id") in instances
        },
        "snapshots": kept.snapshots,
        "node_pools": kept.node_pools,
    }
    return sorted(
        f"{kind[:-1].replace('_', ' ')} {name}"
        for kind, found in ours.items()
        for name in found
        if name not in keep[kind]
    )


def _ours(resources: Any, key: str) -> dict[str, Mapping[str, Any]]:
    each: list[Mapping[str, Any]] = (
        list(resources.values()) if isinstance(resources, Mapping) else list(resources)
    )
    tag, value = PRODUCT_TAG
    return {found[key]: found for found in each if (found.get("tags") or {}).get(tag) == value}
