"""Give Pods their node: selector, taints, room for requests; and say so in events.

After kube-scheduler's default plug-ins. Not emulated: affinity, spreading, priorities and
preemption; of the nodes that fit, the one with the fewest Pods is taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from emulator.guest.objects import event_object, involved, time_text
from emulator.kube.changes import Subscription
from emulator.kube.errors import KubeError
from emulator.kube.quantities import fits
from emulator.kube.resources import Obj
from emulator.kube.selectors import Selection
from emulator.kube.store import TERMINAL_PHASES, KubeStore

SCHEDULER = "default-scheduler"
_BLOCKING = frozenset({"NoSchedule", "NoExecute"})


class Scheduler:
    """Watches Pods and Nodes; each change may let a waiting Pod go."""

    def __init__(self, store: KubeStore) -> None:
        self._store = store

    async def run(self) -> None:
        """Schedule until cancelled or until the store is closed."""
        with (
            self._store.subscribe("pods", Selection(), None) as pods,
            self._store.subscribe("nodes", Selection(), None) as nodes,
        ):
            self.schedule_waiting()
            while await _any_change(pods, nodes):
                self.schedule_waiting()

    def schedule_waiting(self) -> None:
        """Bind each Pod without a node that fits somewhere; mark the others unschedulable."""
        for pod in self._store.list("pods", fields="spec.nodeName="):
            if not pod["metadata"].get("deletionTimestamp"):
                self._schedule(pod)

    def _schedule(self, pod: Obj) -> None:
        nodes = self._store.list("nodes")
        bound: Counter[str] = Counter()
        placed = [p for p in self._store.list("pods") if p["spec"].get("nodeName")]
        for other in placed:
            bound[other["spec"]["nodeName"]] += 1
        refusals: Counter[str] = Counter()
        fitting = []
        for node in nodes:
            why = refusal(pod, node, placed)
            if why:
                refusals[why] += 1
            else:
                fitting.append(node["metadata"]["name"])
        if fitting:
            self._bind(pod, min(fitting, key=lambda name: (bound[name], name)))
        else:
            self._mark_unschedulable(pod, len(nodes), refusals)

    def _bind(self, pod: Obj, node: str) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        try:
            self._store.bind(namespace, name, node)
        except KubeError:
            return  # deleted or bound by someone else since it was listed
        message = f"Successfully assigned {namespace}/{name} to {node}"
        self._event(pod, "Normal", "Scheduled", message)

    def _mark_unschedulable(self, pod: Obj, nodes: int, refusals: Counter[str]) -> None:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(refusals.items()))
        message = f"0/{nodes} nodes are available: {reasons}."
        if not nodes:
            message = "no nodes available to schedule pods"
        conditions = pod["status"].get("conditions") or []
        if any(c["type"] == "PodScheduled" and c.get("message") == message for c in conditions):
            return  # said already; not again at each change of a node
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": time_text(self._store.clock.now()),
        }
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        patch = {"status": {"conditions": [condition]}}
        self._store.patch("pods", namespace, name, patch, subresource="status")
        self._event(pod, "Warning", "FailedScheduling", message)

    def _event(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        event = event_object(
            involved(pod), kind, reason, message, now=self._store.clock.now(), component=SCHEDULER
        )
        self._store.create("events", event)


async def _any_change(pods: Subscription, nodes: Subscription) -> bool:
    """Wait for the next change of either kind; return False once the store is closed."""
    waits = [asyncio.create_task(pods.next()), asyncio.create_task(nodes.next())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return all(task.result() is not None for task in done)
    finally:
        for task in waits:
            task.cancel()


def refusal(pod: Obj, node: Obj, placed: list[Obj]) -> str:
    """Return why a Pod cannot go to a node, in kube-scheduler's words, or nothing if it can."""
    spec, name = pod["spec"], node["metadata"]["name"]
    if node["spec"].get("unschedulable") and not _tolerates_key(spec, "unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] in _BLOCKING and not _tolerates(spec, taint):
            value = taint.get("value", "")
            return f"node(s) had untolerated taint {{{taint['key']}: {value}}}"
    labels = node["metadata"].get("labels") or {}
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return fits(spec, node, _running_on(placed, name))


def _running_on(placed: list[Obj], node: str) -> list[Obj]:
    return [
        pod["spec"]
        for pod in placed
        if pod["spec"]["nodeName"] == node and pod["status"].get("phase") not in TERMINAL_PHASES
    ]


def _tolerates_key(spec: Obj, short: str) -> bool:
    return _tolerates(spec, {"key": f"node.kubernetes.io/{short}", "effect": "NoSchedule"})


def _tolerates(spec: Obj, taint: Obj) -> bool:
    return any(_tolerated_by(toleration, taint) for toleration in spec.get("tolerations") or [])


def _tolerated_by(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if not toleration.get("key"):
        return bool(toleration.get("operator") == "Exists")
    if toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("value", "") == taint.get("value", ""))
