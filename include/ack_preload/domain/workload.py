"""The Pod whose start is timed on a new node, and the taint that keeps every other Pod away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NODE_POOL_LABEL = "alibabacloud.com/nodepool-id"
"""ACK puts it on every node of a pool."""

TEMPORARY_TAINT = {"key": "ack-preload/temporary", "value": "true", "effect": "NoSchedule"}
"""On pools that are there to be timed or proven: another Pod would pull its images through the
same link, and would be lost with the node."""

MANAGED_BY = "app.kubernetes.io/managed-by"
PRODUCT = "ack-preload"


def workload_pod(name: str, node_pool_id: str, target: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Pod that only fits the nodes of one measured pool.

    ``IfNotPresent``: with ``Always`` the kubelet would ask the registry even for an image that
    is on the disk, and a preloaded node would be timed with the registry's answer.
    """
    measure = target["measure"]
    container: dict[str, Any] = {
        "name": "workload",
        "image": measure["workload_image"],
        "imagePullPolicy": "IfNotPresent",
    }
    if command := measure.get("workload_command"):
        container["command"] = list(command)
    spec: dict[str, Any] = {
        "nodeSelector": {NODE_POOL_LABEL: node_pool_id},
        "tolerations": [_toleration(taint) for taint in temporary_taints(target)],
        "restartPolicy": "Never",  # a workload that exits is a failed start, not a loop
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    if secret := measure.get("image_pull_secret"):
        spec["imagePullSecrets"] = [{"name": secret}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {MANAGED_BY: PRODUCT}},
        "spec": spec,
    }


def temporary_taints(target: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the taints of such a pool: those of the target's own, and ours."""
    own = [dict(taint) for taint in target["pool"].get("taints") or []]
    return own if TEMPORARY_TAINT in own else [*own, dict(TEMPORARY_TAINT)]


def temporary_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``target`` with our taint on its pool."""
    return {**target, "pool": {**target["pool"], "taints": temporary_taints(target)}}


def _toleration(taint: Mapping[str, str]) -> dict[str, str]:
    toleration = {"key": taint["key"], "operator": "Equal", "value": taint.get("value", "")}
    if effect := taint.get("effect"):
        toleration["effect"] = effect
    return toleration
