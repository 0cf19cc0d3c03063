"""The status of a Pod from the states of its containers, as a kubelet reports it.

After kubelet's ``generateAPIPodStatus`` and ``getPhase`` (pkg/kubelet/kubelet_pods.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .objects import Obj, time_text

WAITING, RUNNING, TERMINATED = "waiting", "running", "terminated"
CREATING = "ContainerCreating"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container now, and how it ended the time before."""

    name: str
    image: str
    state: str = WAITING
    reason: str = CREATING  # of waiting or terminated
    message: str = ""
    image_id: str = ""
    container_id: str = ""
    started_at: str = ""
    finished_at: str = ""
    exit_code: int = 0
    restarts: int = 0
    last_end: Mapping[str, object] | None = None  # a ``terminated`` state

    def ended(self) -> Obj:
        return {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "containerID": self.container_id,
        } | ({"message": self.message} if self.message else {})

    def as_status(self) -> Obj:
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "ready": self.state == RUNNING,
            "started": self.state == RUNNING,
            "restartCount": self.restarts,
            "state": {self.state: self._detail()},
            "lastState": {TERMINATED: dict(self.last_end)} if self.last_end else {},
        } | ({"containerID": self.container_id} if self.container_id else {})

    def _detail(self) -> Obj:
        if self.state == RUNNING:
            return {"startedAt": self.started_at}
        if self.state == TERMINATED:
            return self.ended()
        message = {"message": self.message} if self.message else {}
        return {"reason": self.reason, **message}


def exit_reason(exit_code: int) -> str:
    return "Error" if exit_code else "Completed"


def phase_of(restart_policy: str, containers: Sequence[ContainerState]) -> str:
    """Return ``Pending``, ``Running``, ``Succeeded`` or ``Failed``."""
    if any(c.state == WAITING and not c.last_end for c in containers):
        return "Pending"
    if restart_policy == "Always" or any(c.state == RUNNING for c in containers):
        return "Running"
    codes = [_last_code(container) for container in containers]
    if not any(codes):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def _last_code(container: ContainerState) -> int:
    if container.state == TERMINATED or not container.last_end:
        return container.exit_code
    return int(str(container.last_end["exitCode"]))


def pod_status(
    pod: Obj, containers: Sequence[ContainerState], *, ip: str, start: str, now: datetime
) -> Obj:
    """Return the whole status of a Pod.

    :param start: when the agent took the Pod on, as ``metav1.Time``.
    """
    phase = phase_of(pod["spec"]["restartPolicy"], containers)
    ended = phase in {"Succeeded", "Failed"}
    all_run = all(container.state == RUNNING for container in containers)
    unready = () if all_run else _unready(pod, containers, phase)
    sandbox = any(c.state != WAITING or c.restarts or c.container_id for c in containers)
    wanted: list[tuple[str, bool, tuple[str, ...]]] = [
        ("PodReadyToStartContainers", sandbox and not ended, ()),
        ("Initialized", True, ("PodCompleted", "") if phase == "Succeeded" else ()),
        ("Ready", all_run, unready),
        ("ContainersReady", all_run, unready),
        ("PodScheduled", True, ()),
    ]
    return {
        "phase": phase,
        "qosClass": pod["status"].get("qosClass", "BestEffort"),
        "hostIP": ip,
        "hostIPs": [{"ip": ip}],
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": start,
        "conditions": [_condition(pod, *each, now=now) for each in wanted],
        "containerStatuses": [container.as_status() for container in containers],
    }


def _unready(pod: Obj, containers: Sequence[ContainerState], phase: str) -> tuple[str, ...]:
    if phase in {"Succeeded", "Failed"}:
        return ("PodCompleted" if phase == "Succeeded" else "PodFailed", "")
    names = " ".join(c.name for c in containers if c.state != RUNNING)
    return ("ContainersNotReady", f"containers with unready status: [{names}]")


def _condition(pod: Obj, kind: str, value: bool, why: tuple[str, ...], *, now: datetime) -> Obj:
    status = "True" if value else "False"
    known = pod["status"].get("conditions") or []
    before: Obj = next((c for c in known if c["type"] == kind), {})
    kept = before.get("lastTransitionTime") if before.get("status") == status else None
    condition: Obj = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": kept or time_text(now),
    }
    for field, text in zip(("reason", "message"), why, strict=False):
        if text:
            condition[field] = text
    return condition
