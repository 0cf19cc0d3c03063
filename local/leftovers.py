"""Paid resources of ours that a chain left in the local cloud, beside those it keeps by design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

PRODUCT_TAG = ("ack-preload/product", "ack-preload")
# What a chain may not leave. A key pair costs nothing, but lets somebody in.
KINDS = ("instance", "disk", "snapshot", "node_pool", "key_pair")


@dataclass(frozen=True, slots=True)
class Kept:
    """What chains leave on purpose: good snapshots, and the pool that was rolled out from one."""

    snapshots: frozenset[str]
    node_pools: frozenset[str]


def cloud_resources(control_url: str) -> list[dict[str, Any]]:
    """Ask the local cloud for everything it holds."""
    resources: list[dict[str, Any]] = _ask(f"{control_url}/state")["resources"]
    return resources


def cloud_settings(control_url: str) -> dict[str, float]:
    """Ask the local cloud for all its settings."""
    return _ask(f"{control_url}/settings")


def _ask(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=30, trust_env=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def leftovers(resources: Sequence[Mapping[str, Any]], kept: Kept) -> list[str]:
    """Return kind and id of everything with our tag that nothing keeps.

    Nodes of a kept pool, and their disks, are kept with it.
    """
    nodes = {
        each["id"]
        for each in resources
        if each["kind"] == "instance" and each.get("node_pool_id") in kept.node_pools
    }
    keep = {
        "instance": nodes,
        "disk": {each["id"] for each in resources if each.get("instance_id") in nodes},
        "snapshot": kept.snapshots,
        "node_pool": kept.node_pools,
    }
    tag, value = PRODUCT_TAG
    return sorted(
        f"{each['kind']} {each['id']}"
        for each in resources
        if each["kind"] in KINDS
        and each["tags"].get(tag) == value
        and each["id"] not in keep.get(each["kind"], ())
    )
