"""What is read from a Pod: whether its container started, and whether it ever will."""

from __future__ import annotations

from typing import Any

import pytest

from ack_preload.triggers.kube import observe_pod


def pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": "workload", "state": state}] if state else []
    return {
        "metadata": {"creationTimestamp": "2026-11-24T04:00:00Z"},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


UNSCHEDULED = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
]


@pytest.mark.parametrize(
    ("seen", "state", "key", "value"),
    [
        pytest.param(
            pod("Running", {"running": {"startedAt": "2026-11-24T04:00:07Z"}}),
            "Running",
            "started_at",
            "2026-11-24T04:00:07Z",
            id="runs",
        ),
        pytest.param(
            pod("Succeeded", {"terminated": {"exitCode": 0, "startedAt": "2026-11-24T04:00:07Z"}}),
            "Succeeded",
            "started_at",
            "2026-11-24T04:00:07Z",
            id="has run",
        ),
        pytest.param(
            pod("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            "Failed",
            "error",
            "ImagePullBackOff: not found",
            id="stuck",
        ),
        pytest.param(
            pod("Pending", {"waiting": {"reason": "ContainerCreating"}}),
            "Pending",
            "why",
            "ContainerCreating",
            id="being made",
        ),
        pytest.param(
            pod("Pending", conditions=UNSCHEDULED),
            "Pending",
            "why",
            "Unschedulable: 0/1 nodes",
            id="fits nowhere",
        ),
        pytest.param(
            pod("Failed", {"terminated": {"exitCode": 3, "reason": "Error"}}),
            "Failed",
            "error",
            "exit code 3: Error",
            id="exited",
        ),
        pytest.param(pod("Running", {"waiting": {}}), "Pending", "why", "", id="phase ran ahead"),
    ],
)
def test_a_pod_is_judged_by_its_container(
    seen: dict[str, Any], state: str, key: str, value: str
) -> None:
    found = observe_pod(seen)
    assert (found.state, found.detail[key]) == (state, value)
