"""containerd through the Container Runtime Interface: what the agent and crictl ask of it.

https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from cri_api.v1 import api_pb2 as api
from cri_api.v1 import api_pb2_grpc as services

DEFAULT_SOCKET = "/run/containerd/containerd.sock"
CALL_S = 120.0  # kubelet's --runtime-request-timeout
PULL_LOOK_S = 0.2  # how soon a pull that is no longer wanted is given up
_LARGEST_REPLY = 16 << 20
_STOP_MARGIN_S = 10.0  # containerd answers a stop after the grace, not before


class CriError(Exception):
    """containerd refused or did not answer; ``code`` is gRPC's, such as ``NOT_FOUND``."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(f"{call}: {code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is in the runtime."""

    id: str  # the digest of its configuration
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int  # compressed, layers shared with other images included


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """A container's state; the times are nanoseconds since 1970, 0 for never."""

    running: bool
    exit_code: int
    reason: str
    message: str
    started_ns: int
    finished_ns: int


class Cri:
    """One connection to one runtime. Safe to use from several threads."""

    def __init__(self, socket: str = DEFAULT_SOCKET) -> None:
        # Without an authority of its own, gRPC sends the socket's path as one, and containerd
        # refuses that.
        options = [
            ("grpc.default_authority", "localhost"),
            ("grpc.max_receive_message_length", _LARGEST_REPLY),
            # A runtime that starts now must be seen within milliseconds, not at gRPC's pace.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        channel = grpc.insecure_channel(f"unix://{socket}", options=options)
        stubs: Any = services  # generated code without types
        self._images = stubs.ImageServiceStub(channel)
        self._runtime = stubs.RuntimeServiceStub(channel)

    def version(self) -> Any:
        return self._ask("Version", api.VersionRequest(), timeout_s=5.0)

    def status(self, *, verbose: bool = False) -> Any:
        return self._ask("Status", api.StatusRequest(verbose=verbose))

    def not_ready(self) -> str:
        """Return why the runtime is not ready, or nothing if it is.

        ``NetworkReady`` is not asked for: there is no CNI here, and Pods use the host's network.
        """
        conditions = {c.type: c for c in self.status().status.conditions}
        ready = conditions.get("RuntimeReady")
        if ready is None:
            return "container runtime status has no RuntimeReady"
        return "" if ready.status else f"container runtime is down: {ready.message}"

    def list_images(self) -> Any:
        return self._ask("ListImages", api.ListImagesRequest())

    def images(self) -> list[Image]:
        return [_image(image) for image in self.list_images().images]

    def image_status(self, reference: str, *, verbose: bool = False) -> Any:
        spec = api.ImageSpec(image=reference)
        return self._ask("ImageStatus", api.ImageStatusRequest(image=spec, verbose=verbose))

    def image(self, reference: str) -> Image | None:
        found = self.image_status(reference)
        return _image(found.image) if found.HasField("image") else None

    def pull(self, reference: str, stop: threading.Event | None = None) -> str:
        """Pull an image however long it takes, and return the runtime's own reference to it.

        :raises CriError: with code ``CANCELLED`` when ``stop`` is set meanwhile.
        """
        request = api.PullImageRequest(image=api.ImageSpec(image=reference))
        pulling = self._images.PullImage.future(request)
        while True:
            try:
                image_ref: str = pulling.result(timeout=PULL_LOOK_S).image_ref
            except grpc.FutureTimeoutError:
                if stop is not None and stop.is_set():
                    pulling.cancel()
                    raise CriError("PullImage", "CANCELLED", "told to stop") from None
            except grpc.RpcError as error:
                raise CriError("PullImage", error.code().name, error.details() or "") from error
            else:
                return image_ref

    def remove_image(self, reference: str) -> None:
        spec = api.ImageSpec(image=reference)
        self._ask("RemoveImage", api.RemoveImageRequest(image=spec))

    def run_sandbox(self, config: Any) -> str:
        reply = self._ask("RunPodSandbox", api.RunPodSandboxRequest(config=config))
        sandbox_id: str = reply.pod_sandbox_id
        return sandbox_id

    def sandboxes(self) -> list[Any]:
        return list(self._ask("ListPodSandbox", api.ListPodSandboxRequest()).items)

    def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox with all that is in it, and remove it; one that is gone is fine."""
        self._ask("StopPodSandbox", api.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))
        self._ask("RemovePodSandbox", api.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))

    def create_container(self, sandbox_id: str, config: Any, sandbox_config: Any) -> str:
        request = api.CreateContainerRequest(
            pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config
        )
        container_id: str = self._ask("CreateContainer", request).container_id
        return container_id

    def start_container(self, container_id: str) -> None:
        self._ask("StartContainer", api.StartContainerRequest(container_id=container_id))

    def stop_container(self, container_id: str, grace_s: int) -> None:
        """Send the stop signal, and SIGKILL after the grace; return when it has ended."""
        request = api.StopContainerRequest(container_id=container_id, timeout=grace_s)
        self._ask("StopContainer", request, timeout_s=grace_s + _STOP_MARGIN_S)

    def remove_container(self, container_id: str) -> None:
        self._ask("RemoveContainer", api.RemoveContainerRequest(container_id=container_id))

    def containers(self, labels: Mapping[str, str] | None = None) -> list[Any]:
        chosen = api.ContainerFilter(label_selector=dict(labels or {}))
        reply = self._ask("ListContainers", api.ListContainersRequest(filter=chosen))
        return list(reply.containers)

    def container_end(self, container_id: str) -> ContainerEnd:
        request = api.ContainerStatusRequest(container_id=container_id)
        status = self._ask("ContainerStatus", request).status
        return ContainerEnd(
            running=status.state == api.CONTAINER_RUNNING,
            exit_code=status.exit_code,
            reason=status.reason,
            message=status.message,
            started_ns=status.started_at,
            finished_ns=status.finished_at,
        )

    def _ask(self, call: str, request: Any, timeout_s: float | None = CALL_S) -> Any:
        service = self._images if "Image" in call else self._runtime
        try:
            return getattr(service, call)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise CriError(call, error.code().name, error.details() or "") from error


def _image(image: Any) -> Image:
    return Image(image.id, tuple(image.repo_tags), tuple(image.repo_digests), image.size)
