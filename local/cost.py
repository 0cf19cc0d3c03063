"""What a chain used of the local cloud, stage by stage: seconds and GiB-seconds, never a price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ack_preload.domain.tags import RUN_KEY, run_tag
from local.chain import Chain

BUILD_STAGE = "build_preloaded_disk"
# kind of resource -> what the meter counts of it
UNITS = {
    "instance": "instance_seconds",
    "disk": "disk_gib_seconds",
    "snapshot": "snapshot_gib_seconds",
}


def cost_of(meter: Mapping[str, Any], chain: Chain) -> dict[str, Any]:
    """Return the ``cost`` of a chain.

    What is kept by design is still in use: it counts up to the moment of the reading.

    :param meter: the local cloud's answer, by the tag of our runs.
    """
    groups = {group["values"][RUN_KEY]: group for group in meter["groups"]}
    stages = []
    for stage in chain.stages:
        run = run_tag(stage.dag_id, stage.run_id)
        stages.append({"name": stage.dag_id, "run": run, **used(groups.get(run, {}))})
    total = {unit: round(sum(each[unit] for each in stages), 3) for unit in UNITS.values()}
    return {"stages": stages, "total": total}


def used(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one run used, and how many of each kind it had at once; nothing is zero."""
    totals = group.get("totals", {})
    found: dict[str, Any] = {
        unit: round(totals.get(kind, {}).get(unit, 0.0), 3) for kind, unit in UNITS.items()
    }
    return found | {"peak": dict(group.get("peak", {}))}


def build_instance(cost: Mapping[str, Any]) -> tuple[float, int]:
    """Return how long the build instance ran, and how many there were at once."""
    found = [stage for stage in cost["stages"] if stage["name"] == BUILD_STAGE]
    seconds: float = sum(stage["instance_seconds"] for stage in found)
    return seconds, max((stage["peak"].get("instance", 0) for stage in found), default=0)
