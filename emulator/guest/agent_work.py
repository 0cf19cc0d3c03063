"""Watch the Pods of this node and keep one runner for each."""

from __future__ import annotations

import threading
import time

from .agent_api import ApiError, ApiUnreachableError
from .agent_pods import PodRunner
from .cri import CriError
from .log import log
from .objects import Obj
from .pod_config import UID_LABEL
from .pod_report import NodeTools

PODS = "/api/v1/pods"
RELIST_S = 1.0  # after a broken watch
END_GRACE_S = 5  # of containers when the machine stops, whatever their Pods ask for
END_ALL_S = 20.0
_ENDED = frozenset({"Succeeded", "Failed"})


class PodKeeper:
    """Starts a runner for each Pod bound here, and ends it when the Pod goes."""

    def __init__(self, tools: NodeTools, stop: threading.Event) -> None:
        self._tools = tools
        self._stop = stop
        self._lock = threading.Lock()
        self._runners: dict[str, PodRunner] = {}
        self._thread = threading.Thread(target=self._follow, name="pods", daemon=True)

    def start(self) -> None:
        """Clear away what an earlier agent left running, and take on the Pods of this node."""
        try:
            for sandbox in self._tools.cri.sandboxes():
                if UID_LABEL in sandbox.labels:
                    self._tools.cri.remove_sandbox(sandbox.id)
        except CriError as error:
            log(f"cannot remove old sandboxes: {error}")
        self._thread.start()

    def end_all(self) -> None:
        """End all containers; return when they have ended, or after a while."""
        with self._lock:
            runners = list(self._runners.values())
        for runner in runners:
            runner.stop(END_GRACE_S, finalize=False)
        deadline = time.monotonic() + END_ALL_S
        for runner in runners:
            runner.thread.join(max(deadline - time.monotonic(), 0))

    def _follow(self) -> None:
        """List, then watch; again when the watch ends, breaks or is too old."""
        query = {"fieldSelector": f"spec.nodeName={self._tools.node_name}"}
        while not self._stop.is_set():
            try:
                listed = self._tools.api.get(PODS, **query)
                self._take_list(listed["items"])
                version = listed["metadata"]["resourceVersion"]
                for kind, pod in self._tools.api.watch(PODS, version, **query):
                    self._take(kind, pod)
            except (ApiError, ApiUnreachableError) as error:
                log(f"watch of Pods: {error}")
                self._stop.wait(RELIST_S)

    def _take_list(self, pods: list[Obj]) -> None:
        there = {pod["metadata"]["uid"] for pod in pods}
        with self._lock:
            gone = [runner for uid, runner in self._runners.items() if uid not in there]
        for runner in gone:
            runner.stop(0, finalize=False)
        for pod in pods:
            self._take("ADDED", pod)

    def _take(self, kind: str, pod: Obj) -> None:
        if self._stop.is_set():
            return
        metadata = pod["metadata"]
        with self._lock:
            runner = self._runners.get(metadata["uid"])
        if kind == "DELETED":  # by force: whatever still runs ends at once
            if runner:
                runner.stop(0, finalize=False)
        elif metadata.get("deletionTimestamp"):
            runner = runner or self._begin(pod)
            runner.stop(int(metadata.get("deletionGracePeriodSeconds") or 0), finalize=True)
        elif runner is None and pod["status"].get("phase") not in _ENDED:
            self._begin(pod)

    def _begin(self, pod: Obj) -> PodRunner:
        runner = PodRunner(pod, self._tools, self._forget)
        with self._lock:
            self._runners[runner.uid] = runner
        runner.thread.start()
        return runner

    def _forget(self, uid: str) -> None:
        with self._lock:
            self._runners.pop(uid, None)
