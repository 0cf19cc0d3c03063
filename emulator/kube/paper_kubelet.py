"""A kubelet on paper: a node, its events and its Pods, written straight into the store.

The objects are those of the real node agent; containers only exist as states, and time is the
clock's. A container runs until its Pod is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from emulator.clock import Clock
from emulator.guest.node_objects import (
    NodeFacts,
    lease_object,
    node_conditions,
    node_image,
    node_object,
    starting_events,
    turned_event,
)
from emulator.guest.objects import (
    Obj,
    event_object,
    involved,
    must_pull,
    present_text,
    pulled_text,
    pulling_text,
    system_pod_reference,
    time_text,
)
from emulator.guest.pod_status import RUNNING, ContainerState, pod_status
from emulator.kube.errors import KubeError
from emulator.kube.selectors import selection
from emulator.kube.store import KubeStore
from emulator.machines.base import MachineError, MachineSpec, NodeJoin

HEARTBEAT_S = 10.0  # kubelet's nodeStatusUpdateFrequency; in real time, whatever the clock does
PAPER_CPUS, PAPER_MEMORY_KIB = 4, 8 * 2**20  # ecs.c7.xlarge
PULL_BACK_OFF_S = 10.0  # kubelet's first; it doubles up to five minutes
_LONGEST_BACK_OFF_S = 300.0


class PulledImage(Protocol):
    @property
    def reference(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def seconds(self) -> float | None:
        """How long the pull took; nothing for an image that was there."""


class PaperImages(Protocol):
    """What a machine has in its containerd."""

    def image(self, reference: str) -> PulledImage | None: ...
    async def first_read(self, reference: str) -> None:
        """Wait until an image that is there was read from its disk, which may be lazy."""

    async def pull(self, reference: str) -> PulledImage:
        """Pull an image.

        :raises MachineError: when the registry has no such image.
        """


async def run_paper_kubelet(
    store: KubeStore,
    clock: Clock,
    spec: MachineSpec,
    pulled: Sequence[PulledImage],
    images: PaperImages,
) -> None:
    """Register the node, make it Ready and run its Pods until cancelled.

    :param pulled: what was done for each system image before; all of them are there now.
    """
    assert spec.node is not None  # noqa: S101  # only nodes have a kubelet
    kubelet = _PaperKubelet(store, clock, spec.node, images)
    kubelet.register(pulled)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kubelet.beat())
        tasks.create_task(kubelet.run_pods(tasks))


class _PaperKubelet:
    def __init__(self, store: KubeStore, clock: Clock, join: NodeJoin, images: PaperImages) -> None:
        self._store = store
        self._clock = clock
        self._images = images
        self._facts = NodeFacts(
            name=join.node_name,
            instance_id=join.instance_id,
            node_pool_id=join.node_pool_id,
            kubernetes_version=join.kubernetes_version,
            runtime_version=join.runtime_version,
            kernel="paper",
            os_image="Alibaba Cloud Linux 3 (paper)",
            cpus=PAPER_CPUS,
            memory_kib=PAPER_MEMORY_KIB,
            labels=join.labels,
            taints=join.taints,
            unschedulable=join.unschedulable,
        )
        self._pods: dict[str, asyncio.Task[None]] = {}  # by uid

    def register(self, pulled: Sequence[PulledImage]) -> None:
        name, now = self._facts.name, self._clock.now()
        shown = [node_image([image.reference], image.size_bytes) for image in pulled]
        node = node_object(self._facts, node_conditions("", now), shown)
        try:
            self._store.create("nodes", node)
            self._store.create("leases", lease_object(name, now))
        except KubeError:  # registered before its machine was stopped and started again
            self._store.patch("nodes", None, name, {"status": node["status"]}, subresource="status")
        for event in starting_events(name, now):
            self._store.create("events", event)
        for image in pulled:
            self._tell_pulled(system_pod_reference(image.reference, name), image)
        self._store.create("events", turned_event(name, now, ready=True))

    async def beat(self) -> None:
        """Renew the lease. A node that was deleted stays deleted: its machine is about to go."""
        name = self._facts.name
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            lease = lease_object(name, self._clock.now())
            with contextlib.suppress(KubeError):
                self._store.replace("leases", lease["metadata"]["namespace"], name, lease)

    async def run_pods(self, tasks: asyncio.TaskGroup) -> None:
        mine = selection("pods", None, "", f"spec.nodeName={self._facts.name}")
        with self._store.subscribe("pods", mine, None) as changes:
            async for kind, pod in changes:
                uid, metadata = pod["metadata"]["uid"], pod["metadata"]
                if kind == "DELETED":
                    self._end(uid)
                elif metadata.get("deletionTimestamp"):
                    self._end(uid)
                    self._finish_deletion(pod)
                elif uid not in self._pods:
                    self._pods[uid] = tasks.create_task(self._run(pod))

    def _end(self, uid: str) -> None:
        if task := self._pods.pop(uid, None):
            task.cancel()

    def _finish_deletion(self, pod: Obj) -> None:
        for container in pod["spec"]["containers"]:
            text = f"Stopping container {container['name']}"
            self._tell(involved(pod, container["name"]), "Killing", text)
        metadata = pod["metadata"]
        with contextlib.suppress(KubeError):
            self._store.delete(
                "pods", metadata["namespace"], metadata["name"], grace_s=0, uid=metadata["uid"]
            )

    async def _run(self, pod: Obj) -> None:
        start = time_text(self._clock.now())
        containers = pod["spec"]["containers"]
        states = [ContainerState(c["name"], c["image"]) for c in containers]
        with contextlib.suppress(KubeError):  # deleted under way: its watch event ends this
            self._report(pod, states, start)
            for place, container in enumerate(containers):
                await self._have_image(pod, container, states, place, start)
                states[place] = self._started(pod, container, states[place])
            self._report(pod, states, start)

    async def _have_image(
        self, pod: Obj, container: Obj, states: list[ContainerState], place: int, start: str
    ) -> None:
        """Pull an image if it has to be, and again with growing pauses while that fails."""
        reference, image = involved(pod, container["name"]), container["image"]
        back_off_s = PULL_BACK_OFF_S
        while True:
            present = self._images.image(image)
            if not must_pull(container["imagePullPolicy"], present=present is not None):
                if present:
                    self._tell(reference, "Pulled", present_text(image))
                    await self._images.first_read(image)
                    return
                states[place] = replace(states[place], reason="ErrImageNeverPull")
                self._report(pod, states, start)
                await asyncio.Event().wait()
            self._tell(reference, "Pulling", pulling_text(image))
            try:
                pulled = await self._images.pull(image)
            except MachineError as error:
                message = f'Failed to pull image "{image}": {error}'
                self._tell(reference, "Failed", message, kind="Warning")
                for reason in ("ErrImagePull", "ImagePullBackOff"):
                    self._tell(reference, "Failed", f"Error: {reason}", kind="Warning")
                    states[place] = replace(states[place], reason=reason, message=message)
                    self._report(pod, states, start)
                await self._clock.sleep(back_off_s)
                back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)
                continue
            text = pulled_text(image, pulled.seconds or 0.0, pulled.size_bytes)
            self._tell(reference, "Pulled", text)
            return

    def _started(self, pod: Obj, container: Obj, state: ContainerState) -> ContainerState:
        name = container["name"]
        self._tell(involved(pod, name), "Created", f"Created container: {name}")
        self._tell(involved(pod, name), "Started", f"Started container {name}")
        return replace(
            state,
            state=RUNNING,
            message="",
            image_id=container["image"],
            container_id=f"paper://{pod['metadata']['uid']}/{name}",
            started_at=time_text(self._clock.now()),
        )

    def _report(self, pod: Obj, states: Sequence[ContainerState], start: str) -> None:
        metadata = pod["metadata"]
        current = self._store.get("pods", metadata["namespace"], metadata["name"])
        status = pod_status(current, states, ip=self._facts.ip, start=start, now=self._clock.now())
        self._store.replace(
            "pods",
            metadata["namespace"],
            metadata["name"],
            {**current, "status": status},
            subresource="status",
        )

    def _tell_pulled(self, reference: Obj, image: PulledImage) -> None:
        if image.seconds is not None:
            self._tell(reference, "Pulling", pulling_text(image.reference))
            text = pulled_text(image.reference, image.seconds, image.size_bytes)
            self._tell(reference, "Pulled", text)
        else:
            self._tell(reference, "Pulled", present_text(image.reference))

    def _tell(self, reference: Obj, reason: str, message: str, *, kind: str = "Normal") -> None:
        now, host = self._clock.now(), self._facts.name
        event = event_object(reference, kind, reason, message, now=now, host=host)
        self._store.create("events", event)
