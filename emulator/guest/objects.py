"""What a kubelet writes about anything: times, references, events and their texts.

Standard library only: this folder is all of the local cloud that a machine sees. Texts are quoted
from kubelet 1.32 (pkg/kubelet/images, kuberuntime), so that what reads a real node reads these.
"""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime
from typing import Any

Obj = dict[str, Any]

_SERIAL = itertools.count()  # two events of one microsecond get names of their own
_POD_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def time_text(moment: datetime) -> str:
    """Return a moment as ``metav1.Time``: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time_text(moment: datetime) -> str:
    """Return a moment as ``metav1.MicroTime``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def go_duration(seconds: float) -> str:
    """Return a span as Go prints it to the millisecond: ``1m2.5s``, ``1.234s``, ``87ms``."""
    whole, millis = divmod(int(seconds * 1000), 1000)
    if not whole:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest}.{millis:03d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def pulling_text(image: str) -> str:
    return f'Pulling image "{image}"'


def pulled_text(image: str, seconds: float, size_bytes: int) -> str:
    took = go_duration(seconds)
    return (
        f'Successfully pulled image "{image}" in {took} ({took} including waiting).'
        f" Image size: {size_bytes} bytes."
    )


def present_text(image: str) -> str:
    return f'Container image "{image}" already present on machine'


def must_pull(policy: str, *, present: bool) -> bool:
    return policy == "Always" or (policy != "Never" and not present)


def node_reference(name: str) -> Obj:
    """Return what events about a node refer to: a kubelet puts the name where the uid belongs."""
    return {"kind": "Node", "name": name, "uid": name}


def involved(pod: Obj, container: str = "") -> Obj:
    """Return what events about a Pod, or about one of its containers, refer to."""
    metadata = pod["metadata"]
    reference = {"kind": "Pod", "apiVersion": "v1"}
    for field in ("namespace", "name", "uid", "resourceVersion"):
        if field in metadata:
            reference[field] = metadata[field]
    if container:
        reference["fieldPath"] = f"spec.containers{{{container}}}"
    return reference


def system_pod_reference(image: str, node: str) -> Obj:
    """Return the DaemonSet Pod that would have asked for a system image on a node.

    There is no such Pod object: ACK's init script pulls these images before the node registers.
    """
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    digest = hashlib.sha256(f"{node} {image}".encode()).digest()
    suffix = "".join(_POD_SUFFIX_LETTERS[b % len(_POD_SUFFIX_LETTERS)] for b in digest[:5])
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": "kube-system",
        "name": f"{name}-{suffix}",
        "fieldPath": f"spec.containers{{{name}}}",
    }


def event_object(
    reference: Obj,
    kind: str,
    reason: str,
    message: str,
    *,
    now: datetime,
    component: str = "kubelet",
    host: str = "",
) -> Obj:
    """Return an event as client-go's recorder makes one; ``kind`` is Normal or Warning."""
    source = {"component": component} | ({"host": host} if host else {})
    nanoseconds = int(now.timestamp() * 1_000_000) * 1000 + next(_SERIAL) % 1000
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{reference['name']}.{nanoseconds:x}",
            "namespace": reference.get("namespace") or "default",
        },
        "involvedObject": reference,
        "reason": reason,
        "message": message,
        "source": source,
        "firstTimestamp": time_text(now),
        "lastTimestamp": time_text(now),
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": host,
    }
