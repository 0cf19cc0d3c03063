"""Container Service (CS) 2015-12-15, the REST style API of clusters and node pools."""

from __future__ import annotations

from emulator.ack import clusters, node_pools, nodes, tasks
from emulator.ack.actions import ACTIONS, MODEL, VERSION, perform

__all__ = [
    "ACTIONS",
    "MODEL",
    "VERSION",
    "clusters",
    "node_pools",
    "nodes",
    "perform",
    "tasks",
]
