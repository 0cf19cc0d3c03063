"""What ACK keeps about clusters, node pools, their nodes and tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from emulator.metering.watched import Watched

if TYPE_CHECKING:
    from emulator.kube.cluster import KubeCluster


class PoolState(StrEnum):
    ACTIVE = "active"
    INITIAL = "initial"  # of a new pool; the console's Initializing
    SCALING = "scaling"
    REMOVING = "removing"
    UPDATING = "updating"
    DELETING = "deleting"


class TaskState(StrEnum):
    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"


@dataclass(slots=True)
class Cluster:
    cluster_id: str
    name: str
    version: str
    created: datetime
    kube: KubeCluster
    kube_url: str  # for clients on this machine
    node_kube_url: str  # the same server, as reached from machines
    addons: dict[str, str] = field(default_factory=dict)  # name -> version


@dataclass(slots=True)
class PoolNode:
    """A node from the order of its instance until it is removed.

    :param error: why it never became one; such a node stays until it is removed.
    """

    instance_id: str
    node_name: str
    created: datetime
    error: str = ""
    will_fail: str = ""  # the error that a fault has in store for it
    has_joined: bool = False  # it was Ready once; its instance may have stopped since
    is_removing: bool = False


@dataclass(slots=True)
class NodePool(Watched):
    node_pool_id: str
    cluster_id: str
    name: str
    created: datetime
    updated: datetime
    scaling_group_id: str
    scaling_group: dict[str, Any]
    kubernetes_config: dict[str, Any]
    desired_size: int
    state: PoolState = PoolState.ACTIVE
    nodes: dict[str, PoolNode] = field(default_factory=dict)  # by instance id

    def tags(self) -> dict[str, str]:
        return {tag["key"]: tag.get("value", "") for tag in self.scaling_group.get("tags", [])}


@dataclass(slots=True)
class Task:
    task_id: str
    task_type: str  # such as cluster_scaleout
    cluster_id: str
    target_id: str  # the node pool
    created: datetime
    updated: datetime
    state: TaskState = TaskState.RUNNING
    error: str = ""
    events: list[dict[str, str]] = field(default_factory=list)
