"""What the controller manager does beside scheduling: node liveness, RegisteredNode, old events."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from emulator.guest.objects import event_object, node_reference, read_time, time_text
from emulator.kube.resources import Obj
from emulator.kube.selectors import Selection
from emulator.kube.store import KubeStore

NODE_CONTROLLER = "node-controller"
EVENT_LIFE = timedelta(hours=1)  # the API server's --event-ttl
EVENT_SWEEP_EVERY_S = 60.0
LEASE_NAMESPACE = "kube-node-lease"


class NodeMonitor:
    """Greets new nodes and marks a node whose agent has fallen silent.

    Silence is measured here, from the moment a sign of life was *seen*, as the real controller
    does: neither a machine's own clock nor a moved one can make a node look dead.

    :param grace_s: kube-controller-manager's ``--node-monitor-grace-period``.
    """

    def __init__(self, store: KubeStore, *, grace_s: float = 40.0, every_s: float = 5.0) -> None:
        self._store = store
        self._grace_s = grace_s
        self._every_s = every_s
        self._seen: dict[str, tuple[str, float]] = {}  # node -> sign of life, loop time

    async def run(self) -> None:
        """Watch until cancelled or until the store is closed."""
        loop = asyncio.get_running_loop()
        with self._store.subscribe("nodes", Selection(), None) as nodes:
            while True:
                try:
                    change = await asyncio.wait_for(nodes.next(), timeout=self._every_s)
                except TimeoutError:
                    self.look(loop.time())
                    continue
                if change is None:
                    return
                if change[0] == "ADDED":
                    self._greet(change[1])

    def look(self, now_s: float) -> None:
        """Mark each node unknown whose signs of life are older than the grace."""
        renewed = dict(self._store.read_all("leases", renewal))
        for name, beat in self._store.read_all("nodes", heartbeat):
            sign = f"{beat} {renewed.get(name)}"
            known, since = self._seen.get(name, ("", now_s))
            if sign != known:
                self._seen[name] = (sign, now_s)
            elif now_s - since > self._grace_s:
                self._mark_unknown(self._store.get("nodes", None, name))

    def _mark_unknown(self, node: Obj) -> None:
        now = time_text(self._store.clock.now())
        changed = [
            {
                **condition,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": now,
            }
            for condition in node["status"].get("conditions") or []
            if condition["status"] != "Unknown"
        ]
        if changed:
            patch = {"status": {"conditions": changed}}
            name = node["metadata"]["name"]
            self._store.patch("nodes", None, name, patch, subresource="status")
            self._event(name, "NodeNotReady", f"Node {name} status is now: NodeNotReady")

    def _greet(self, node: Obj) -> None:
        name = node["metadata"]["name"]
        if name not in self._seen:
            self._seen[name] = ("", asyncio.get_running_loop().time())
            message = f"Node {name} event: Registered Node {name} in Controller"
            self._event(name, "RegisteredNode", message)

    def _event(self, name: str, reason: str, message: str) -> None:
        event = event_object(
            node_reference(name),
            "Normal",
            reason,
            message,
            now=self._store.clock.now(),
            component=NODE_CONTROLLER,
        )
        self._store.create("events", event)


def heartbeat(node: Obj) -> tuple[str, str]:
    """Return a node's name and what its agent's conditions say of when it was alive."""
    conditions = node["status"].get("conditions") or []
    beats = [condition.get("lastHeartbeatTime") or "" for condition in conditions]
    return node["metadata"]["name"], max(beats, default="")


def renewal(lease: Obj) -> tuple[str, Any]:
    """Return the node of a lease and when its agent renewed it."""
    metadata = lease["metadata"]
    is_nodes = metadata["namespace"] == LEASE_NAMESPACE
    return metadata["name"] if is_nodes else "", lease.get("spec", {}).get("renewTime")


def last_seen(event: Obj) -> tuple[str, str, str]:
    """Return an event's namespace, name and time."""
    metadata = event["metadata"]
    seen = event.get("lastTimestamp") or metadata["creationTimestamp"]
    return metadata["namespace"], metadata["name"], seen


class EventExpiry:
    """Removes events an hour after they were last seen, as the API server's storage does."""

    def __init__(self, store: KubeStore) -> None:
        self._store = store

    async def run(self) -> None:
        while True:
            await self._store.clock.sleep(EVENT_SWEEP_EVERY_S)
            self.sweep()

    def sweep(self) -> None:
        oldest = self._store.clock.now() - EVENT_LIFE
        for namespace, name, seen in self._store.read_all("events", last_seen):
            if read_time(seen) < oldest:
                self._store.delete("events", namespace, name)
