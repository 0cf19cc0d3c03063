"""A container runtime of no containers: the image half of CRI over a real gRPC socket."""

# ruff: noqa: N802  # gRPC's own method names

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from cri_api.v1 import api_pb2 as api
from cri_api.v1 import api_pb2_grpc as services

SIZE = 4096


class FakeRuntime(
    services.RuntimeServiceServicer,
    services.ImageServiceServicer,
):
    """Pulls whatever its registry has, at once; counts how often it was asked."""

    def __init__(self, *registry: str) -> None:
        self.registry = set(registry)
        self.images: set[str] = set()
        self.pulls: list[str] = []
        self.was_asked = threading.Event()
        self.problem = ""

    def Version(self, request: Any, context: Any) -> Any:
        return api.VersionResponse(
            version="0.1.0",
            runtime_name="containerd",
            runtime_version="v1.6.20~ds1",
            runtime_api_version="v1",
        )

    def Status(self, request: Any, context: Any) -> Any:
        conditions = [
            api.RuntimeCondition(
                type="RuntimeReady", status=not self.problem, message=self.problem
            ),
            api.RuntimeCondition(type="NetworkReady", status=False, message="no CNI"),
        ]
        info = {"config": '{"a": 1}', "note": "no JSON"}
        return api.StatusResponse(status=api.RuntimeStatus(conditions=conditions), info=info)

    def ListImages(self, request: Any, context: Any) -> Any:
        return api.ListImagesResponse(images=[image(each) for each in sorted(self.images)])

    def ImageStatus(self, request: Any, context: Any) -> Any:
        asked = request.image.image
        found = [each for each in self.images if asked in {each, image(each).id}]
        return api.ImageStatusResponse(image=image(found[0]) if found else None)

    def PullImage(self, request: Any, context: Any) -> Any:
        reference = request.image.image
        self.pulls.append(reference)
        self.was_asked.set()
        if reference not in self.registry:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{reference}: not found")
        self.images.add(reference)
        return api.PullImageResponse(image_ref=image(reference).id)

    def RemoveImage(self, request: Any, context: Any) -> Any:
        self.images = {each for each in self.images if image(each).id != request.image.image}
        return api.RemoveImageResponse()

    def ListPodSandbox(self, request: Any, context: Any) -> Any:
        return api.ListPodSandboxResponse()

    def ListContainers(self, request: Any, context: Any) -> Any:
        container = api.Container(
            id="c" * 64,
            pod_sandbox_id="s" * 64,
            metadata=api.ContainerMetadata(name="main", attempt=2),
            image=api.ImageSpec(image="sha256:" + "1" * 64),
            state=api.CONTAINER_RUNNING,
            labels={"io.kubernetes.pod.name": "work", "io.kubernetes.pod.namespace": "default"},
        )
        return api.ListContainersResponse(containers=[container])


def image(reference: str) -> Any:
    name = reference.rpartition(":")[0]
    digest = f"{abs(hash(reference)):064x}"
    return api.Image(
        id=f"sha256:{digest}",
        repo_tags=[reference],
        repo_digests=[f"{name}@sha256:{digest}"],
        size=SIZE,
    )


@contextlib.contextmanager
def serving(runtime: FakeRuntime, socket: Path) -> Iterator[None]:
    server = grpc.server(ThreadPoolExecutor(4))
    add: Any = services
    add.add_RuntimeServiceServicer_to_server(runtime, server)
    add.add_ImageServiceServicer_to_server(runtime, server)
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
