"""Keep one Node object: register it, turn it Ready when it is, and show that it lives."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from .agent_api import ApiError, ApiUnreachableError, KubeApi
from .agent_events import Recorder
from .agent_images import SystemImages
from .cri import Cri, CriError
from .log import log
from .node_objects import (
    LEASE_NAMESPACE,
    NodeFacts,
    lease_object,
    node_conditions,
    node_object,
    node_status,
    starting_events,
    turned_event,
)
from .objects import Obj

HEARTBEAT_S = 10.0  # kubelet's nodeStatusUpdateFrequency
LOOK_EVERY_S = 1.0  # for what turns a node Ready or not
NOT_FOUND, CONFLICT = 404, 409
NOT_YET = "container runtime status check may not have completed yet"
SHUTTING_DOWN = "node is shutting down"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{LEASE_NAMESPACE}/leases"


class NodeKeeper:
    """Owns the Node object; one thread uses it."""

    def __init__(
        self, facts: NodeFacts, api: KubeApi, cri: Cri, recorder: Recorder, images: SystemImages
    ) -> None:
        self._facts = facts
        self._api = api
        self._cri = cri
        self._recorder = recorder
        self._images = images
        self._path = f"/api/v1/nodes/{facts.name}"
        self._conditions: list[Obj] = []
        self._problem = NOT_YET

    def register(self) -> None:
        """Create the Node, or take over one of an earlier life, and turn it Ready at once.

        :raises ApiError: when the API server refuses this node.
        :raises ApiUnreachableError: when it does not answer: try again.
        """
        now = datetime.now(UTC)
        self._conditions = node_conditions(NOT_YET, now)
        node = node_object(self._facts, self._conditions, self._images.shown())
        try:
            self._api.create("/api/v1/nodes", node)
        except ApiError as error:
            if error.code != CONFLICT:
                raise
            self._api.merge(f"{self._path}/status", {"status": node["status"]})
        log(f"registered node {self._facts.name}")
        for event in starting_events(self._facts.name, now):
            self._recorder.put(event)
        self._turn()
        self._renew_lease()

    def keep(self, stop: threading.Event) -> None:
        """Follow the runtime and send heartbeats until told to stop."""
        since_beat_s = 0.0
        while not stop.wait(LOOK_EVERY_S):
            since_beat_s += LOOK_EVERY_S
            is_due = since_beat_s >= HEARTBEAT_S
            try:
                self._turn(beat=is_due)
                if is_due:
                    self._renew_lease()
                    since_beat_s = 0.0
            except (ApiError, ApiUnreachableError) as error:
                log(f"heartbeat: {error}")

    def say_shutdown(self) -> None:
        """Turn the node not Ready as the last word; it is no loss if nobody hears it."""
        try:
            self._send(SHUTTING_DOWN)
        except (ApiError, ApiUnreachableError) as error:
            log(f"shutdown: {error}")

    def _turn(self, *, beat: bool = False) -> None:
        """Send the conditions when they changed, or when a heartbeat is due."""
        problem = self._look()
        if problem != self._problem or beat:
            self._send(problem)

    def _look(self) -> str:
        try:
            return self._cri.not_ready() or self._images.missing()
        except CriError as error:
            return f"container runtime is down: {error}"

    def _send(self, problem: str) -> None:
        now = datetime.now(UTC)
        conditions = node_conditions(problem, now, self._conditions)
        status = {"conditions": conditions}
        if not problem and not self._problem:  # a heartbeat: images may have come or gone
            status = node_status(self._facts, conditions, self._images.shown())
        self._api.merge(f"{self._path}/status", {"status": status})
        turned = bool(problem) != bool(self._problem)
        self._conditions, self._problem = conditions, problem
        if turned:
            log("Ready" if not problem else f"not Ready: {problem}")
            self._recorder.put(turned_event(self._facts.name, now, ready=not problem))

    def _renew_lease(self) -> None:
        lease = lease_object(self._facts.name, datetime.now(UTC))
        try:
            self._api.merge(f"{_LEASES}/{self._facts.name}", {"spec": lease["spec"]})
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            self._api.create(_LEASES, lease)
