"""The Node object as a kubelet registers it and keeps it, and the events of its start.

Texts are quoted from kubelet 1.32 (pkg/kubelet/nodestatus/setters.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .objects import Obj, event_object, micro_time_text, node_reference, time_text

NODE_POOL_LABEL = "alibabacloud.com/nodepool-id"
LEASE_NAMESPACE = "kube-node-lease"
LEASE_S = 40  # kubelet's nodeLeaseDurationSeconds
MAX_PODS = 110
_IMAGES_SHOWN = 50  # kubelet's nodeStatusMaxImages
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a machine knows about itself and was told about its cluster."""

    name: str  # REGION.ADDRESS, such as cn-hangzhou.198.18.0.11
    instance_id: str
    node_pool_id: str
    kubernetes_version: str
    runtime_version: str  # such as 1.6.20
    kernel: str = ""
    os_image: str = "Alibaba Cloud Linux 3"
    cpus: int = 1
    memory_kib: int = 0
    machine_id: str = ""
    boot_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    unschedulable: bool = False

    @property
    def region(self) -> str:
        return self.name.partition(".")[0]

    @property
    def ip(self) -> str:
        return self.name.partition(".")[2]


def node_object(facts: NodeFacts, conditions: list[Obj], images: Iterable[Obj] = ()) -> Obj:
    """Return a Node ready to be created."""
    spec: Obj = {"providerID": f"{facts.region}.{facts.instance_id}"}
    if facts.taints:
        spec["taints"] = [dict(taint) for taint in facts.taints]
    if facts.unschedulable:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": facts.name,
            "labels": _labels(facts),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": spec,
        "status": node_status(facts, conditions, images),
    }


def node_status(facts: NodeFacts, conditions: list[Obj], images: Iterable[Obj] = ()) -> Obj:
    resources = {
        "cpu": str(facts.cpus),
        "memory": f"{facts.memory_kib}Ki",
        "pods": str(MAX_PODS),
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": facts.ip},
            {"type": "Hostname", "address": facts.name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": list(images)[:_IMAGES_SHOWN],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": facts.boot_id,
            "containerRuntimeVersion": f"containerd://{facts.runtime_version}",
            "kernelVersion": facts.kernel,
            "kubeProxyVersion": f"v{facts.kubernetes_version}",
            "kubeletVersion": f"v{facts.kubernetes_version}",
            "machineID": facts.machine_id,
            "operatingSystem": "linux",
            "osImage": facts.os_image,
            "systemUUID": facts.machine_id,
        },
    }


def node_image(names: Sequence[str], size_bytes: int) -> Obj:
    return {"names": list(names), "sizeBytes": size_bytes}


def _labels(facts: NodeFacts) -> dict[str, str]:
    return {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": facts.region,
        NODE_POOL_LABEL: facts.node_pool_id,
        **facts.labels,
    }


def node_conditions(
    problem: str, now: datetime, previous: Iterable[Mapping[str, str]] = ()
) -> list[Obj]:
    """Return the conditions of a Node; ``problem`` says why it is not Ready, or nothing.

    :param previous: the conditions before; the time of a transition is kept while nothing turns.
    """
    known = {condition["type"]: condition for condition in previous}
    stamp = time_text(now)
    wanted = [(kind, "False", reason, message) for kind, reason, message in _PRESSURES]
    if problem:
        wanted.append(("Ready", "False", "KubeletNotReady", problem))
    else:
        wanted.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    result = []
    for kind, status, reason, message in wanted:
        before = known.get(kind, {})
        turned = before.get("status") != status
        result.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp if turned else before["lastTransitionTime"],
            }
        )
    return result


def lease_object(node: str, now: datetime) -> Obj:
    """Return the lease by which a kubelet shows that it lives."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": LEASE_NAMESPACE},
        "spec": {
            "holderIdentity": node,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": micro_time_text(now),
        },
    }


def starting_events(node: str, now: datetime) -> list[Obj]:
    """Return the events that a kubelet writes when it has registered."""
    texts = [("Starting", "Starting kubelet.")]
    texts += [
        (reason, f"Node {node} status is now: {reason}")
        for reason in ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID")
    ]
    texts.append(("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods"))
    reference = node_reference(node)
    return [
        event_object(reference, "Normal", reason, message, now=now, host=node)
        for reason, message in texts
    ]


def turned_event(node: str, now: datetime, *, ready: bool) -> Obj:
    """Return the event of a node that became Ready, or ceased to be."""
    reason = "NodeReady" if ready else "NodeNotReady"
    message = f"Node {node} status is now: {reason}"
    return event_object(node_reference(node), "Normal", reason, message, now=now, host=node)
