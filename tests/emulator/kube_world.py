"""A Kubernetes cluster for tests, served over TLS from a thread, and the clients' ways into it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import kubernetes

from emulator.clock import Clock
from emulator.guest.node_objects import NodeFacts, node_conditions, node_object
from emulator.kube.cluster import KubeCluster

VERSION = "1.32.1-aliyun.1"
T = TypeVar("T")


@dataclass
class KubeWorld:
    cluster: KubeCluster
    url: str
    kubeconfig: Path
    loop: asyncio.AbstractEventLoop

    def on_loop(self, call: Callable[[], T]) -> T:
        """Run a function on the cluster's own loop."""

        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=10)

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """Run the real kubectl; the test fails if it does."""
        done = self.try_kubectl(*arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def try_kubectl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.kubectl_command(), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def kubectl_command(self) -> list[str]:
        folder = self.kubeconfig.parent
        program = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or "kubectl"
        cache = str(folder / "cache")
        return [program, "--kubeconfig", str(self.kubeconfig), "--cache-dir", cache]

    def add_node(self, name: str = "cn-hangzhou.127.0.0.9", *, problem: str = "") -> dict[str, Any]:
        facts = NodeFacts(name, "i-1", "np1", VERSION, "1.6.20", cpus=4, memory_kib=8 << 20)
        node = node_object(facts, node_conditions(problem, datetime.now(UTC)))
        return self.cluster.store.create("nodes", node)


@contextlib.contextmanager
def kube_world(folder: Path) -> Iterator[KubeWorld]:
    """Serve a new cluster from a thread until the context ends."""
    cluster = KubeCluster(Clock(), "c0123", VERSION, folder, ("127.0.0.1", "localhost"))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig(url))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(cluster.run([listener])), name="kube"
    )
    thread.start()
    try:
        yield KubeWorld(cluster, url, kubeconfig, loop)
    finally:
        loop.call_soon_threadsafe(cluster.stop)
        thread.join(timeout=20)
        loop.close()
        listener.close()


@contextlib.contextmanager
def core_api(world: KubeWorld) -> Iterator[Any]:
    """Open the official client's core API."""
    load: Any = kubernetes.config.new_client_from_config
    client = load(str(world.kubeconfig))
    try:
        yield kubernetes.client.CoreV1Api(client)
    finally:
        client.close()


def pod(name: str = "work", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "registry/work:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], **spec},
    }


def as_text(obj: dict[str, Any]) -> str:
    return json.dumps(obj)
