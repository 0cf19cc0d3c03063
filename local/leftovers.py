"""Paid resources of ours that a chain left in the local cloud, beside those it keeps by design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from ack_preload.domain.tags import RUN_KEY, is_ours

# What a chain may not leave. A key pair costs nothing, but lets somebody in.
KINDS = ("instance", "disk", "snapshot", "node_pool", "key_pair")


@dataclass(frozen=True, slots=True)
class Kept:
    """What chains leave on purpose: good snapshots, and the pool that was rolled out from one."""

    snapshots: frozenset[str]
    node_pools: frozenset[str]


def cloud_meter(control_url: str) -> dict[str, Any]:
    """Ask the local cloud's meter for all that is and was, by our runs.

    It is the ground truth: it hears of a resource from what holds it, not from who made it.
    """
    return _ask(f"{control_url}/meter?{urlencode({'by': RUN_KEY})}")


def cloud_settings(control_url: str) -> dict[str, float]:
    """Ask the local cloud for all its settings."""
    return _ask(f"{control_url}/settings")


def _ask(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=30, trust_env=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def leftovers(alive: Sequence[Mapping[str, Any]], kept: Kept) -> list[str]:
    """Return kind and id of everything with our tag that nothing keeps.

    Nodes of a kept pool, and their disks, are kept with it.
    """
    nodes = {
        each["id"]
        for each in alive
        if each["kind"] == "instance" and each.get("node_pool_id") in kept.node_pools
    }
    keep = {
        "instance": nodes,
        "disk": {each["id"] for each in alive if each.get("instance_id") in nodes},
        "snapshot": kept.snapshots,
        "node_pool": kept.node_pools,
    }
    return sorted(
        f"{each['kind']} {each['id']}"
        for each in alive
        if each["kind"] in KINDS
        and is_ours(each["tags"])
        and each["id"] not in keep.get(each["kind"], ())
    )
