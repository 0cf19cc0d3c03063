"""What the agent tells the API server about one Pod: its containers' states and its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .agent_api import ApiError, ApiUnreachableError, KubeApi
from .agent_events import Recorder
from .cri import Cri
from .log import log
from .objects import Obj, involved, time_text
from .pod_status import ContainerState, pod_status


@dataclass(frozen=True, slots=True)
class NodeTools:
    """What all Pods of a node share."""

    cri: Cri
    api: KubeApi
    recorder: Recorder
    node_name: str
    ip: str


class PodReport:
    """The states of a Pod's containers; a change is sent at once, or again when that failed."""

    def __init__(self, pod: Obj, tools: NodeTools) -> None:
        self.states = [ContainerState(c["name"], c["image"]) for c in pod["spec"]["containers"]]
        self._pod = pod
        self._tools = tools
        self._start = time_text(datetime.now(UTC))
        self._late = False

    def set(self, place: int, **changes: Any) -> None:
        """Change a container's state and report the Pod."""
        self.note(place, **changes)
        self.send()

    def note(self, place: int, **changes: Any) -> None:
        """Change a container's state; the next report carries it."""
        self.states[place] = replace(self.states[place], **changes)

    def send(self) -> None:
        """Report the Pod, after the events that led to its state."""
        now = datetime.now(UTC)
        status = pod_status(self._pod, self.states, ip=self._tools.ip, start=self._start, now=now)
        self._pod = {**self._pod, "status": status}
        metadata = self._pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self._tools.recorder.flush()
        try:
            # The uid makes it a conflict when the name is another Pod's by now.
            self._tools.api.merge(path, {"metadata": {"uid": metadata["uid"]}, "status": status})
        except ApiUnreachableError as error:
            self._late = True
            log(f"status of {metadata['name']}: {error}")
        except ApiError as error:  # deleted by force, most likely: the watch will say so
            self._late = False
            log(f"status of {metadata['name']}: {error}")
        else:
            self._late = False

    def send_if_late(self) -> None:
        if self._late:
            self.send()

    def tell(self, container: Obj | None, reason: str, message: str, kind: str = "Normal") -> None:
        reference = involved(self._pod, container["name"] if container else "")
        self._tools.recorder.tell(reference, reason, message, kind=kind)

    def warn(self, container: Obj | None, reason: str, message: str) -> None:
        self.tell(container, reason, message, kind="Warning")
