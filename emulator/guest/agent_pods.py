"""Run one Pod through CRI: sandbox, images, containers; report its states; end it in order.

Not emulated: init containers, probes, volumes and hooks, which the API server refuses here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .agent_api import ApiError, ApiUnreachableError
from .cri import CriError
from .log import log
from .objects import Obj, must_pull, present_text, pulled_text, pulling_text, time_text
from .pod_config import container_config, log_folder, sandbox_config
from .pod_report import NodeTools, PodReport
from .pod_status import RUNNING, TERMINATED, WAITING, exit_reason

LOOK_EVERY_S = 0.5  # a kubelet looks once a second
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 10.0, 300.0  # kubelet's, for pulls and for restarts
KILLED = 137  # the exit code of SIGKILL, which a kubelet assumes of a container that vanished
CALM_S = 600.0  # a container that ran so long starts again at once
_SECOND_NS = 1_000_000_000


class StoppedError(Exception):
    """The Pod is to end: unwinds whatever its thread was doing."""


class PodRunner:
    """One Pod on this node, in a thread of its own."""

    def __init__(self, pod: Obj, tools: NodeTools, ended: Callable[[str], None]) -> None:
        self.uid: str = pod["metadata"]["uid"]
        self._pod = pod
        self._tools = tools
        self._ended = ended
        self._stop = threading.Event()
        self._grace_s = int(pod["spec"]["terminationGracePeriodSeconds"])
        self._finalize = False
        self._sandbox = ""
        self._sandbox_config: Any = None
        self._report = PodReport(pod, tools)
        self._states = self._report.states
        self._back_off_s = [FIRST_BACK_OFF_S] * len(self._states)
        name = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def stop(self, grace_s: int, *, finalize: bool) -> None:
        """End the containers within a grace.

        :param finalize: whether the Pod object waits for us to delete it.
        """
        self._grace_s = grace_s
        self._finalize = self._finalize or finalize
        self._stop.set()

    def _run(self) -> None:
        try:
            self._report.send()
            self._make_sandbox()
            for place in range(len(self._states)):
                self._bring_up(place)
            self._watch_over()
        except StoppedError:
            pass
        except Exception as error:  # the thread's last words; nobody else would hear of it
            log(f"{self.thread.name}: {error!r}")
            raise
        finally:
            self._end()

    def _watch_over(self) -> None:
        """Look after the containers until all have ended for good."""
        while any(not self._is_over(place) for place in range(len(self._states))):
            self._pause(LOOK_EVERY_S)
            self._report.send_if_late()
            for place, state in enumerate(self._states):
                if state.state == RUNNING:
                    self._look(place)
                elif state.state == TERMINATED and not self._is_over(place):
                    self._restart(place)
        self._remove_sandbox()
        self._stop.wait()  # the object stays until someone deletes it

    def _is_over(self, place: int) -> bool:
        state, policy = self._states[place], self._pod["spec"]["restartPolicy"]
        if state.state != TERMINATED or policy == "Always":
            return False
        return policy == "Never" or state.exit_code == 0

    def _make_sandbox(self) -> None:
        log_folder(self._pod).mkdir(parents=True, exist_ok=True)
        attempt = 0
        while True:
            self._pause(0)
            config = sandbox_config(self._pod, attempt)
            try:
                self._sandbox = self._tools.cri.run_sandbox(config)
            except CriError as error:
                message = f"Failed to create pod sandbox: {error.message}"
                self._report.warn(None, "FailedCreatePodSandBox", message)
                attempt += 1
                self._pause(FIRST_BACK_OFF_S)
            else:
                self._sandbox_config = config
                return

    def _bring_up(self, place: int) -> None:
        """Pull, create and start one container; try again with growing pauses."""
        container = self._pod["spec"]["containers"][place]
        (log_folder(self._pod) / container["name"]).mkdir(exist_ok=True)
        image_id = self._image(place, container)
        while not self._started(place, container, image_id):
            self._pause(self._next_back_off(place))

    def _image(self, place: int, container: Obj) -> str:
        """Return the id of a container's image, pulled if the policy or its absence asks."""
        image, policy = container["image"], container["imagePullPolicy"]
        while True:
            self._pause(0)
            try:
                found = self._tools.cri.image(image)
                if not must_pull(policy, present=found is not None):
                    if found:
                        self._report.tell(container, "Pulled", present_text(image))
                        return found.id
                    self._wait_forever_for_image(place, image)
                self._report.tell(container, "Pulling", pulling_text(image))
                began = time.monotonic()
                pulled = self._tools.cri.pull(image, self._stop)
                took_s = time.monotonic() - began
                found = self._tools.cri.image(pulled)
            except CriError as error:
                self._pause(0)  # a pull that was given up has not failed
                self._pull_failed(place, container, error)
                continue
            size = found.size_bytes if found else 0
            self._report.tell(container, "Pulled", pulled_text(image, took_s, size))
            return found.id if found else pulled

    def _wait_forever_for_image(self, place: int, image: str) -> None:
        message = f'Container image "{image}" is not present with pull policy of Never'
        self._report.warn(self._pod["spec"]["containers"][place], "ErrImageNeverPull", message)
        self._report.set(place, reason="ErrImageNeverPull", message=message)
        self._stop.wait()
        raise StoppedError

    def _pull_failed(self, place: int, container: Obj, error: CriError) -> None:
        image = container["image"]
        message = f'Failed to pull image "{image}": {error.message}'
        self._report.warn(container, "Failed", message)
        self._report.warn(container, "Failed", "Error: ErrImagePull")
        self._report.set(place, state=WAITING, reason="ErrImagePull", message=error.message)
        back_off = f'Back-off pulling image "{image}"'
        self._report.tell(container, "BackOff", back_off)
        self._report.warn(container, "Failed", "Error: ImagePullBackOff")
        self._report.set(place, reason="ImagePullBackOff", message=f"{back_off}: {error.message}")
        self._pause(self._next_back_off(place))

    def _started(self, place: int, container: Obj, image_id: str) -> bool:
        state = self._states[place]
        config = container_config(self._pod, container, image_id, state.restarts)
        cri = self._tools.cri
        step = "CreateContainerError"
        try:
            identifier = cri.create_container(self._sandbox, config, self._sandbox_config)
            self._report.tell(container, "Created", f"Created container: {container['name']}")
            step = "RunContainerError"
            cri.start_container(identifier)
            end = cri.container_end(identifier)
        except CriError as error:
            self._report.warn(container, "Failed", f"Error: {error.message}")
            self._report.set(place, state=WAITING, reason=step, message=error.message)
            return False
        self._report.tell(container, "Started", f"Started container {container['name']}")
        self._report.set(
            place,
            state=RUNNING,
            reason="",
            message="",
            image_id=image_id,
            container_id=f"containerd://{identifier}",
            started_at=_time(end.started_ns),
        )
        return True

    def _look(self, place: int) -> None:
        identifier = self._states[place].container_id.removeprefix("containerd://")
        try:
            end = self._tools.cri.container_end(identifier)
        except CriError as error:
            if error.code != "NOT_FOUND":
                return  # the runtime is away, but what it started may well run on
            now = time_text(datetime.now(UTC))
            reason = "ContainerStatusUnknown"
            self._report.set(
                place, state=TERMINATED, reason=reason, exit_code=KILLED, finished_at=now
            )
            return
        if not end.running:
            self._report.set(
                place,
                state=TERMINATED,
                reason=end.reason or exit_reason(end.exit_code),
                message=end.message,
                exit_code=end.exit_code,
                finished_at=_time(end.finished_ns),
            )
            if end.finished_ns - end.started_ns > CALM_S * _SECOND_NS:
                self._back_off_s[place] = FIRST_BACK_OFF_S

    def _restart(self, place: int) -> None:
        """Start a container that has ended again: the first time at once, then ever later."""
        container, state = self._pod["spec"]["containers"][place], self._states[place]
        metadata = self._pod["metadata"]
        if state.restarts:
            pod_text = f"{metadata['name']}_{metadata['namespace']}({self.uid})"
            text = f"Back-off restarting failed container {container['name']} in pod {pod_text}"
            self._report.warn(container, "BackOff", text)
            self._report.set(
                place,
                state=WAITING,
                reason="CrashLoopBackOff",
                message=text,
                last_end=state.ended(),
            )
            self._pause(self._next_back_off(place))
        self._report.note(place, restarts=state.restarts + 1, last_end=state.ended())
        self._bring_up(place)

    def _end(self) -> None:
        """End what runs, say so, and let the Pod object go if it waits for that."""
        cri, metadata = self._tools.cri, self._pod["metadata"]
        for place, state in enumerate(self._states):
            if state.state == RUNNING:
                container = self._pod["spec"]["containers"][place]
                self._report.tell(container, "Killing", f"Stopping container {container['name']}")
                identifier = state.container_id.removeprefix("containerd://")
                try:
                    cri.stop_container(identifier, self._grace_s)
                except CriError as error:
                    log(f"{self.thread.name}: {error}")
        self._remove_sandbox()
        if self._finalize:
            self._delete_object(metadata)
        self._ended(self.uid)

    def _remove_sandbox(self) -> None:
        if self._sandbox:
            try:
                self._tools.cri.remove_sandbox(self._sandbox)
            except CriError as error:
                log(f"{self.thread.name}: {error}")
            self._sandbox = ""

    def _delete_object(self, metadata: Obj) -> None:
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        try:
            self._tools.api.delete(path, options)
        except (ApiError, ApiUnreachableError) as error:
            log(f"{self.thread.name}: {error}")

    def _pause(self, seconds: float) -> None:
        """Wait, or unwind when the Pod is to end."""
        if self._stop.wait(seconds):
            raise StoppedError

    def _next_back_off(self, place: int) -> float:
        seconds = self._back_off_s[place]
        self._back_off_s[place] = min(2 * seconds, LONGEST_BACK_OFF_S)
        return seconds


def _time(nanoseconds: int) -> str:
    return time_text(datetime.fromtimestamp(nanoseconds / _SECOND_NS, UTC))
