"""Clients that watch over a line that is cut: none misses a change, and none hears one twice."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kubernetes
import kubernetes_asyncio
import pytest
import urllib3

from tests.emulator.cut_line import CutLine, cut_line
from tests.emulator.kube_world import KubeWorld, core_api, kube_world, pod

pytestmark = pytest.mark.slow

WITHIN_S = 20
ELSEWHERE = "n1"  # bound already, so that the scheduler leaves a Pod alone
BROKEN = (urllib3.exceptions.ProtocolError, urllib3.exceptions.MaxRetryError)


def bound(name: str) -> dict[str, Any]:
    return pod(name, nodeName=ELSEWHERE)


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with kube_world(tmp_path_factory.mktemp("kube")) as served:
        yield served


@pytest.fixture
def line(world: KubeWorld) -> Iterator[CutLine]:
    """Put a line between the world's clients and its API server."""
    port = int(world.url.rpartition(":")[2])
    with cut_line(port) as line:
        text = world.kubeconfig.read_text().replace(f":{port}", f":{line.port}")
        world.kubeconfig.write_text(text)
        yield line


@dataclass
class Informer:
    """What client-go's informers do: list, watch from there, again from the last version seen."""

    core: Any
    known: dict[str, str] = field(default_factory=dict)  # name -> version
    heard: list[tuple[str, str]] = field(default_factory=list)
    lists: int = 0
    breaks: int = 0

    def run(self, on_event: Callable[[Informer], bool]) -> None:
        """Follow until ``on_event``, called after each change, says that it is enough."""
        while True:
            listed = self.core.list_namespaced_pod("default")
            self.lists += 1
            self.known = {
                each.metadata.name: each.metadata.resource_version for each in listed.items
            }
            if on_event(self) or self.followed(listed.metadata.resource_version, on_event):
                return

    def followed(self, version: str, on_event: Callable[[Informer], bool]) -> bool:
        """Watch from a version, and return whether that was enough; not so when it is gone."""
        while True:
            watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]  # no types
            stream = watch.stream(
                self.core.list_namespaced_pod,
                "default",
                resource_version=version,
                timeout_seconds=WITHIN_S,
            )
            try:
                for event in stream:
                    metadata = event["object"].metadata
                    version = metadata.resource_version
                    self.heard.append((event["type"], metadata.name))
                    if event["type"] == "DELETED":
                        del self.known[metadata.name]
                    else:
                        self.known[metadata.name] = version
                    if on_event(self):
                        return True
            except BROKEN:
                self.breaks += 1
            except kubernetes.client.ApiException as error:
                if error.status != 410:
                    raise
                return False


def versions(world: KubeWorld) -> dict[str, str]:
    return {
        each["metadata"]["name"]: each["metadata"]["resourceVersion"]
        for each in world.cluster.store.list("pods")
    }


def test_an_informer_over_a_line_that_is_cut_misses_nothing(
    world: KubeWorld, line: CutLine
) -> None:
    store = world.cluster.store
    rounds = 5

    def step(informer: Informer) -> bool:
        """Cut the line, and change something while nobody listens."""
        number = len(informer.heard)
        if number >= 2 * rounds:
            return True
        if number % 2 == 0:
            line.cut()
            store.create("pods", bound(f"p{number}"))
            label = {"metadata": {"labels": {"seen": "no"}}}
            store.patch("pods", "default", f"p{number}", label)
        return False

    with core_api(world) as core:
        informer = Informer(core)
        informer.run(step)
    expected = [(kind, f"p{2 * i}") for i in range(rounds) for kind in ("ADDED", "MODIFIED")]
    assert informer.heard == expected
    assert informer.known == versions(world)
    assert informer.lists == 1
    assert line.opened > rounds - 1


def test_an_informer_that_was_away_too_long_lists_again(world: KubeWorld, line: CutLine) -> None:
    store = world.cluster.store

    def step(informer: Informer) -> bool:
        if informer.lists == 1 and not informer.heard:
            store.create("pods", bound("a"))
            store.create("pods", bound("b"))
        elif informer.lists == 1 and len(informer.heard) == 2:
            line.cut()
            store.delete("pods", "default", "a")
            store.create("pods", bound("c"))
            store.compact()
        elif informer.lists == 2 and len(informer.heard) == 2:
            store.create("pods", bound("d"))
        return len(informer.heard) == 3

    with core_api(world) as core:
        informer = Informer(core)
        informer.run(step)
    assert (informer.lists, informer.heard[2]) == (2, ("ADDED", "d"))
    assert informer.known == versions(world)
    assert set(informer.known) == {"b", "c", "d"}


def test_a_watch_that_is_cut_is_broken_for_the_client(world: KubeWorld, line: CutLine) -> None:
    """Not ended as if its time were over: a client must know that it may have missed something."""
    with core_api(world) as core:
        version = core.list_namespaced_pod("default").metadata.resource_version
        world.cluster.store.create("pods", bound("a"))
        watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]  # has no types
        stream = watch.stream(
            core.list_namespaced_pod, "default", resource_version=version, timeout_seconds=WITHIN_S
        )
        assert next(stream)["object"].metadata.name == "a"
        line.cut()
        with pytest.raises(BROKEN):
            next(stream)


async def test_the_asyncio_client_goes_on_from_its_last_version(
    world: KubeWorld, line: CutLine
) -> None:
    await kubernetes_asyncio.config.load_kube_config(str(world.kubeconfig))
    store = world.cluster.store
    async with kubernetes_asyncio.client.ApiClient() as client:
        core: Any = kubernetes_asyncio.client.CoreV1Api(client)
        version = (await core.list_namespaced_pod("default")).metadata.resource_version
        store.create("pods", bound("a"))
        heard: list[str] = []
        while len(heard) < 3:
            query = {"resource_version": version, "timeout_seconds": WITHIN_S}
            async with kubernetes_asyncio.watch.Watch() as watch:
                try:
                    async for event in watch.stream(core.list_namespaced_pod, "default", **query):
                        heard.append(event["object"].metadata.name)
                        version = event["object"].metadata.resource_version
                        if len(heard) == 1:
                            line.cut()
                            store.create("pods", bound("b"))
                            store.create("pods", bound("c"))
                        if len(heard) == 3:
                            break
                except aiohttp.ClientError:
                    continue
        assert heard == ["a", "b", "c"]


def test_kubectl_wait_outlives_a_cut(world: KubeWorld, line: CutLine) -> None:
    world.cluster.store.create("pods", pod())
    command = [*world.kubectl_command(), "wait", "--for=condition=Ready", "pod/work", "-v=6"]
    with subprocess.Popen(
        [*command, f"--timeout={WITHIN_S}s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stderr is not None
        assert any("watch=true" in each for each in waiting.stderr), "it says that it watches"
        line.cut()
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        store = world.cluster.store
        store.patch("pods", "default", "work", {"status": status}, subresource="status")
        told, _ = waiting.communicate(timeout=WITHIN_S)
    assert (waiting.returncode, told) == (0, "pod/work condition met\n")
    assert line.opened > 1
