"""A node on paper: what it writes, in which order, and how its Pods come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.kube.paper_kubelet import run_paper_kubelet
from emulator.kube.scheduler import Scheduler
from emulator.kube.store import KubeStore
from emulator.machines.base import MachineError, MachineSpec, NodeJoin
from tests.emulator.kube_world import VERSION, pod

NODE = "cn-hangzhou.127.77.0.10"
PROXY, PAUSE, WORK = "r/acs/kube-proxy:v1", "r/acs/pause:3.9", "registry/work:1"


@dataclass(frozen=True)
class Pulled:
    reference: str
    size_bytes: int
    seconds: float | None


@dataclass
class Images:
    """A registry of one image, and what a machine has of it."""

    clock: Clock
    there: set[str] = field(default_factory=set)

    def image(self, reference: str) -> Pulled | None:
        return Pulled(reference, 7, None) if reference in self.there else None

    async def first_read(self, reference: str) -> None:
        """Nothing here is lazy."""

    async def pull(self, reference: str) -> Pulled:
        if reference != WORK:
            raise MachineError(f"{reference}: not found in the registry")
        await self.clock.sleep(2)
        self.there.add(reference)
        return Pulled(reference, 7, 2.0)


@dataclass
class Node:
    store: KubeStore
    images: Images
    task: asyncio.Task[None]

    def reasons(self, name: str) -> list[str]:
        events = self.store.list("events", fields=f"involvedObject.name={name}")
        return [each["reason"] for each in events]

    async def until(self, name: str, **wanted: str) -> dict[str, Any]:
        """Return a Pod once it has a phase, or its container a reason to wait."""
        async for _, seen in self.store.watch("pods"):
            states = seen["status"].get("containerStatuses") or [{}]
            waiting = states[0].get("state", {}).get("waiting", {}).get("reason")
            is_there = {"phase": seen["status"]["phase"], "waiting": waiting}
            if seen["metadata"]["name"] == name and wanted.items() <= is_there.items():
                return seen
        raise AssertionError("the store was closed")


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    clock = Clock()
    store, images = KubeStore(clock), Images(clock)
    join = NodeJoin(
        "c1", "np1", "i-1", NODE, VERSION, "1.6.20", "", "", "", (PROXY, PAUSE), "", 0.0
    )
    spec = MachineSpec("i-1", NODE, "127.77.0.10", (), (), node=join)
    pulled = [Pulled(PROXY, 9, 1.5), Pulled(PAUSE, 3, None)]
    task = asyncio.create_task(run_paper_kubelet(store, clock, spec, pulled, images))
    scheduler = asyncio.create_task(Scheduler(store).run())
    async for _ in store.watch("nodes"):
        break
    yield Node(store, images, task)
    for running in (task, scheduler):
        running.cancel()
    await asyncio.gather(task, scheduler, return_exceptions=True)


async def test_a_node_is_ready_and_says_what_its_images_cost(node: Node) -> None:
    [made] = node.store.list("nodes")
    assert made["metadata"]["name"] == NODE
    assert made["status"]["conditions"][-1]["status"] == "True"
    pulled = node.store.list("events", fields="reason=Pulled")
    assert sorted(each["message"] for each in pulled) == [
        f'Container image "{PAUSE}" already present on machine',
        f'Successfully pulled image "{PROXY}" in 1.5s (1.5s including waiting).'
        " Image size: 9 bytes.",
    ]
    assert {each["source"]["host"] for each in pulled} == {NODE}
    assert "NodeReady" in node.reasons(NODE)


async def test_a_pod_runs_after_its_image_was_pulled(node: Node) -> None:
    node.store.create("pods", pod())
    await node.until("work", waiting="ContainerCreating")
    node.store.clock.advance(timedelta(seconds=2))
    running = await node.until("work", phase="Running")
    assert running["status"]["containerStatuses"][0]["ready"]
    assert node.reasons("work") == ["Scheduled", "Pulling", "Pulled", "Created", "Started"]


async def test_an_image_that_is_there_is_not_pulled(node: Node) -> None:
    node.images.there.add(WORK)
    node.store.create("pods", pod())
    await node.until("work", phase="Running")
    assert "Pulling" not in node.reasons("work")


async def test_an_image_that_is_nowhere_is_backed_off_from(node: Node) -> None:
    node.store.create("pods", pod(containers=[{"name": "main", "image": "r/none:1"}]))
    stuck = await node.until("work", waiting="ImagePullBackOff")
    assert "not found in the registry" in str(stuck["status"])
    assert node.reasons("work").count("Failed") == 3


async def test_a_pod_that_may_not_pull_says_so(node: Node) -> None:
    container = {"name": "main", "image": WORK, "imagePullPolicy": "Never"}
    node.store.create("pods", pod(containers=[container]))
    await node.until("work", waiting="ErrImageNeverPull")


async def test_a_deleted_pod_goes_once_its_node_has_ended_it(node: Node) -> None:
    node.images.there.add(WORK)
    node.store.create("pods", pod())
    await node.until("work", phase="Running")
    since = node.store.version
    _, gone = node.store.delete("pods", "default", "work")
    assert not gone
    async for kind, _ in node.store.watch("pods", since=since):
        if kind == "DELETED":
            break
    assert node.reasons("work")[-1] == "Killing"


async def test_a_node_that_starts_again_keeps_its_object(node: Node) -> None:
    [before] = node.store.list("nodes")
    node.task.cancel()
    await asyncio.gather(node.task, return_exceptions=True)
    join = NodeJoin("c1", "np1", "i-1", NODE, VERSION, "1.6.20", "", "", "", (), "", 0.0)
    spec = MachineSpec("i-1", NODE, "127.77.0.10", (), (), node=join)
    again = run_paper_kubelet(node.store, node.store.clock, spec, [], node.images)
    node.task = asyncio.create_task(again)
    await asyncio.sleep(0)
    [after] = node.store.list("nodes")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    node.task.cancel()
    await asyncio.gather(node.task, return_exceptions=True)
