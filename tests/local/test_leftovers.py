"""What a chain may leave and what it may not, among all that is alive."""

from __future__ import annotations

from typing import Any

from local.leftovers import Kept, leftovers

OURS = {"ack-preload/product": "ack-preload"}


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "id": name, "tags": OURS, **more}


def test_the_snapshot_the_pool_and_its_nodes_are_kept_by_design() -> None:
    kept = Kept(frozenset({"s-1"}), frozenset({"np-1"}))
    resources = [
        resource("snapshot", "s-1"),
        resource("node_pool", "np-1"),
        resource("instance", "i-1", node_pool_id="np-1"),
        resource("disk", "d-1", instance_id="i-1"),
        resource("node", "cn-hangzhou.198.18.0.11"),
        {"kind": "instance", "id": "i-9", "tags": {}, "node_pool_id": "np-9"},
    ]
    assert leftovers(resources, kept) == []


def test_everything_else_with_our_tag_is_left_over() -> None:
    kept = Kept(frozenset({"s-1"}), frozenset({"np-1"}))
    resources = [
        resource("snapshot", "s-2"),
        resource("node_pool", "np-2"),
        resource("instance", "i-2", node_pool_id="np-2"),
        resource("disk", "d-2", instance_id="i-2"),
        resource("key_pair", "build"),
    ]
    assert leftovers(resources, kept) == [
        "disk d-2",
        "instance i-2",
        "key_pair build",
        "node_pool np-2",
        "snapshot s-2",
    ]
