"""What a case left, doubled, promised and touched: from the meter alone, never from the DAGs.

Pure functions, so that a test can show them a leak and see it found.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ack_preload.domain.tags import RUN_KEY

Line = Mapping[str, Any]
DISKS_OF_A_MACHINE = 2  # its system disk and the one that is preloaded


@dataclass(frozen=True, slots=True)
class Scene:
    """What the local cloud held at one moment.

    :ivar lines: of the meter, of all that is alive and that ever was.
    :ivar resources: of ``/_control/state``, by id.
    """

    lines: Sequence[Line]
    resources: Mapping[str, Mapping[str, Any]]

    @property
    def alive(self) -> list[Line]:
        return [line for line in self.lines if not line["ended"]]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(str(line["id"]) for line in self.lines)

    @classmethod
    def of(cls, meter: Mapping[str, Any], state: Mapping[str, Any]) -> Scene:
        resources = {_key(each): each for each in state["resources"]}
        return cls([*meter["alive"], *meter["ended"]], resources)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is there on purpose: good snapshots, and the pools that were rolled out."""

    snapshots: Collection[str] = field(default_factory=frozenset)
    node_pools: Collection[str] = field(default_factory=frozenset)


def leaked(before: Scene, after: Scene, kept: Kept) -> list[str]:
    """Name what came since and is still there, whoever made it and whatever its tags say."""
    nodes = {node for pool_id in kept.node_pools for node in _wanted_nodes(after, pool_id)}
    keep = {*kept.snapshots, *kept.node_pools, *nodes}
    return sorted(
        f"{line['kind']} {line['id']} ({line['name']})"
        for line in after.alive
        if line["id"] not in before.ids
        and line["id"] not in keep
        and line.get("instance_id") not in nodes
    )


def _wanted_nodes(scene: Scene, pool_id: str) -> list[str]:
    """Return the nodes of a pool that it is to have, the oldest first: a further one is left."""
    nodes = [
        line
        for line in scene.alive
        if line["kind"] == "instance" and line.get("node_pool_id") == pool_id
    ]
    nodes.sort(key=lambda line: str(line["created"]))
    return [str(line["id"]) for line in nodes[: _desired_size(scene, pool_id)]]


def _desired_size(scene: Scene, pool_id: str) -> int:
    return int(scene.resources.get(f"node_pool {pool_id}", {}).get("desired_size") or 0)


def doubled(before: Scene, after: Scene) -> list[str]:
    """Name what there was more of at once than one run, or one pool, may ever have.

    What was there before counts as well, for a pool that was there may get a second node; but
    only where something came since.
    """
    grouped: dict[tuple[str, str], list[Line]] = defaultdict(list)
    still = {line["id"] for line in before.alive}
    for line in after.lines:
        if line["id"] in still or line["id"] not in before.ids:
            grouped[_place(line, after.lines)].append(line)
    found = []
    for (what, where), lines in sorted(grouped.items()):
        if all(line["id"] in still for line in lines):
            continue
        most = at_once(lines)
        if most > _limit(what, max(_desired_size(after, where), _desired_size(before, where))):
            ids = ", ".join(sorted(str(line["id"]) for line in lines))
            found.append(f"{most} of {what} at once for {where}: {ids}")
    return found


def _place(line: Line, lines: Sequence[Line]) -> tuple[str, str]:
    """Return what a resource is, and for what there may be only one of it."""
    kind, run = str(line["kind"]), str(line["tags"].get(RUN_KEY, "no run"))
    if kind == "instance" and line.get("node_pool_id"):
        return "node", str(line["node_pool_id"])
    if kind == "node_pool":
        return kind, f"{line.get('cluster_id')}/{line['name']}"
    if kind == "disk":
        pools = {each["id"]: each.get("node_pool_id") for each in lines}
        owner = str(line.get("instance_id") or "")
        if pools.get(owner):
            return "disk of a node", owner
    return kind, run


def _limit(what: str, desired_size: int) -> int:
    if what == "node":
        return max(1, desired_size)
    return DISKS_OF_A_MACHINE if what in ("disk", "disk of a node") else 1


def at_once(lines: Iterable[Line]) -> int:
    """Return how many were alive at one moment, at most.

    One that went in the moment in which another came was not beside it.
    """
    moments: list[tuple[str, int]] = []
    for line in lines:
        moments.append((str(line["created"]), 1))
        if line["ended"]:
            moments.append((str(line["ended"]), -1))
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


def touched(before: Scene, after: Scene, foreign: Iterable[str]) -> list[str]:
    """Name each foreign resource that is not listed as it was: name, tags, state, size."""
    found = []
    for resource_id in sorted(foreign):
        was, is_now = before.resources.get(resource_id), after.resources.get(resource_id)
        if is_now is None:
            found.append(f"{resource_id} is gone")
        elif (old := _bytes(was)) != (new := _bytes(is_now)):
            found.append(f"{resource_id} changed from {old} to {new}")
    return found


def altered(before: Mapping[str, Line], after: Mapping[str, Line]) -> list[str]:
    """Name each foreign resource of which the API says anything else than it did, and what."""
    found = []
    for key, was in sorted(before.items()):
        now = after.get(key)
        if now is None:
            found.append(f"{key} is not shown any more")
        elif fields := [name for name in {**was, **now} if was.get(name) != now.get(name)]:
            found.append(f"{key} has another {', '.join(sorted(fields))}")
    return found


def _key(resource: Mapping[str, Any]) -> str:
    return f"{resource['kind']} {resource['id']}"


def _bytes(resource: Mapping[str, Any] | None) -> str:
    return json.dumps(resource, sort_keys=True)
