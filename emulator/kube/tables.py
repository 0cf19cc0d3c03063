"""The columns that ``kubectl get`` shows: objects as a ``Table``, when a client asks for one.

https://github.com/kubernetes/kubernetes/blob/master/pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emulator.guest.objects import read_time
from emulator.kube.resources import Obj

_NEVER = "<unknown>"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
# Ages below so many seconds are shown in this unit, with the next smaller one beside it or not.
_AGE_BANDS = (
    (2 * _UNITS["m"], "s", ""),
    (10 * _UNITS["m"], "m", "s"),
    (3 * _UNITS["h"], "m", ""),
    (8 * _UNITS["h"], "h", "m"),
    (48 * _UNITS["h"], "h", ""),
    (8 * _UNITS["d"], "d", "h"),
    (2 * _UNITS["y"], "d", ""),
    (8 * _UNITS["y"], "y", "d"),
)
_ROLE_LABEL = "node-role.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; one that is not ``always`` shows with ``-o wide`` only."""

    name: str
    cell: Callable[[Obj, datetime], Any]
    always: bool = True
    type: str = "string"


def table(plural: str, objects: list[Obj], now: datetime, metadata: Obj, include: str) -> Obj:
    """Return objects as a ``meta.k8s.io/v1`` Table.

    :param include: ``None``, ``Metadata`` or ``Object``: what of each object comes with its row.
    """
    columns = COLUMNS[plural]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": 0 if column.always else 1,
            }
            for column in columns
        ],
        "rows": [
            {"cells": [column.cell(obj, now) for column in columns], **_included(obj, include)}
            for obj in objects
        ],
    }


def _included(obj: Obj, include: str) -> Obj:
    match include:
        case "None":
            return {}
        case "Object":
            return {"object": obj}
        case _:
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            return {"object": {**partial, "metadata": obj["metadata"]}}


def human_duration(seconds: float) -> str:
    """Return a span as kubectl's AGE: ``45s``, ``3m7s``, ``12m``, ``5h2m``, ``3d``."""
    whole = max(int(seconds), 0)  # clocks may differ by a moment
    for below, unit, rest in _AGE_BANDS:
        if whole < below:
            count, left = divmod(whole, _UNITS[unit])
            parts = left // _UNITS[rest] if rest else 0
            return f"{count}{unit}{parts}{rest}" if parts else f"{count}{unit}"
    return f"{whole // _UNITS['y']}y"


def _since(text: str | None, now: datetime) -> str:
    return human_duration((now - read_time(text)).total_seconds()) if text else _NEVER


def _name(obj: Obj, _now: datetime) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _age(obj: Obj, now: datetime) -> str:
    return _since(obj["metadata"].get("creationTimestamp"), now)


def _at(*path: str, missing: str = "<none>") -> Callable[[Obj, datetime], Any]:
    def cell(obj: Obj, _now: datetime) -> Any:
        value: Any = obj
        for part in path:
            value = (value or {}).get(part)
        return missing if value in (None, "") else value

    return cell


def _node_status(node: Obj, _now: datetime) -> str:
    conditions = node["status"].get("conditions") or []
    ready = next((c["status"] for c in conditions if c["type"] == "Ready"), "Unknown")
    words = ["Ready" if ready == "True" else "NotReady" if ready == "False" else "Unknown"]
    if ready == "Unknown" and conditions:
        words = ["NotReady"]
    if node["spec"].get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Obj, _now: datetime) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL))
    return ",".join(role or "<none>" for role in roles) or "<none>"


def _node_address(kind: str) -> Callable[[Obj, datetime], str]:
    def cell(node: Obj, _now: datetime) -> str:
        addresses = node["status"].get("addresses") or []
        return next((a["address"] for a in addresses if a["type"] == kind), "<none>")

    return cell


def _containers(pod: Obj) -> list[Obj]:
    return pod["status"].get("containerStatuses") or []


def _pod_ready(pod: Obj, _now: datetime) -> str:
    ready = sum(1 for status in _containers(pod) if status.get("ready"))
    return f"{ready}/{len(pod['spec']['containers'])}"


def _pod_status(pod: Obj, _now: datetime) -> str:
    reason: str = pod["status"].get("reason") or pod["status"].get("phase") or "Unknown"
    for status in reversed(_containers(pod)):
        state = status.get("state") or {}
        if text := (state.get("waiting") or {}).get("reason"):
            reason = text
        elif ended := state.get("terminated"):
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return reason


def _pod_restarts(pod: Obj, now: datetime) -> str:
    restarts = sum(status.get("restartCount", 0) for status in _containers(pod))
    ends = [
        ended["finishedAt"]
        for status in _containers(pod)
        if (ended := (status.get("lastState") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return f"{restarts} ({_since(max(ends), now)} ago)" if restarts and ends else str(restarts)


def _last_seen(event: Obj, now: datetime) -> str:
    last = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return _since(last, now)


def _event_object(event: Obj, _now: datetime) -> str:
    involved = event["involvedObject"]
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_source(event: Obj, _now: datetime) -> str:
    source = event.get("source") or {}
    return ", ".join(text for text in (source.get("component"), source.get("host")) if text)


def _first_seen(event: Obj, now: datetime) -> str:
    return _since(event.get("firstTimestamp") or event.get("eventTime"), now)


COLUMNS: dict[str, tuple[Column, ...]] = {
    "nodes": (
        Column("Name", _name),
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        Column("Age", _age),
        Column("Version", _at("status", "nodeInfo", "kubeletVersion", missing="")),
        Column("Internal-IP", _node_address("InternalIP"), always=False),
        Column("External-IP", _node_address("ExternalIP"), always=False),
        Column("OS-Image", _at("status", "nodeInfo", "osImage", missing=_NEVER), always=False),
        Column("Kernel-Version", _at("status", "nodeInfo", "kernelVersion"), always=False),
        Column(
            "Container-Runtime",
            _at("status", "nodeInfo", "containerRuntimeVersion", missing=_NEVER),
            always=False,
        ),
    ),
    "pods": (
        Column("Name", _name),
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        Column("Age", _age),
        Column("IP", _at("status", "podIP"), always=False),
        Column("Node", _at("spec", "nodeName"), always=False),
        Column("Nominated Node", _at("status", "nominatedNodeName"), always=False),
        Column("Readiness Gates", lambda _pod, _now: "<none>", always=False),
    ),
    "events": (
        Column("Last Seen", _last_seen),
        Column("Type", _at("type", missing="")),
        Column("Reason", _at("reason", missing="")),
        Column("Object", _event_object),
        Column("Subobject", _at("involvedObject", "fieldPath", missing=""), always=False),
        Column("Source", _event_source, always=False),
        Column("Message", lambda event, _now: (event.get("message") or "").strip()),
        Column("First Seen", _first_seen, always=False),
        Column("Count", lambda event, _now: event.get("count", 1), always=False, type="integer"),
        Column("Name", _name, always=False),
    ),
    "namespaces": (
        Column("Name", _name),
        Column("Status", _at("status", "phase", missing="")),
        Column("Age", _age),
    ),
    "leases": (
        Column("Name", _name),
        Column("Holder", _at("spec", "holderIdentity", missing="")),
        Column("Age", _age),
    ),
}
