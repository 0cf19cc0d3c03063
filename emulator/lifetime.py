"""The local cloud as one thing: started, described in one line, used and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from emulator import seed
from emulator.ack import scaling
from emulator.clock import Clock
from emulator.cloud import Cloud
from emulator.connections import Connections
from emulator.content.catalogue import KUBERNETES_VERSION
from emulator.control import simulated_settings
from emulator.faults import Faults
from emulator.front import front_app
from emulator.kube.cluster import KubeCluster
from emulator.machines.base import Machines
from emulator.metering import journal
from emulator.request_log import RequestLog
from emulator.serving import PartServer
from emulator.settings import Settings

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
KUBE_PORT = 6443  # inside the network of real machines
KINDS = ("paper", "real")


@dataclass(frozen=True, slots=True)
class Options:
    state_dir: Path
    machines: str = "paper"
    seed: str = "demo"
    port: int = 0
    settings: Settings = Settings()  # noqa: RUF009  # frozen


class Emulator:
    """One running local cloud. All methods run on one event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.facts: dict[str, Any] = {}
        self.ended = asyncio.Event()  # a server went down by itself
        self._clock = Clock()
        self.faults = Faults()
        self._undo = contextlib.AsyncExitStack()

    async def start(self, asked: asyncio.Event | None = None) -> None:
        """Bring everything up until it accepts calls and its seeded node is Ready.

        :param asked: when set, the start ends early; what is up then is for ``stop`` to take down.
        """
        asked = asked or asyncio.Event()
        state_dir = self.options.state_dir
        state_dir.mkdir(parents=True, exist_ok=True)
        front = bound(self.options.port)  # first: a taken port is known before machines are made
        self._undo.callback(front.close)
        machines, kube = await self._open_machines()
        self.cloud = Cloud(self.options.settings, self._clock, machines, self.faults)
        self.cloud.on_release.append(scaling.instance_gone)
        self._meter()
        url, node_url = await self._serve_kube(kube, machines)
        # Undone before Kubernetes is: agents that still run would only wait for its answers.
        self._undo.push_async_callback(self.cloud.close)
        cluster = seed.add_cluster(self.cloud, kube, url, node_url)
        key_file = state_dir / f"{seed.KEY_PAIR}.pem"
        pool_id = ""
        if self.options.seed == "demo":
            seed.add_key_pair(self.cloud, key_file)
            live = asyncio.ensure_future(seed.add_live_pool(self.cloud, cluster))
            if not await finished(live, asked):
                return
            pool_id = live.result().node_pool_id
            self.cloud.show_all()
        await self._serve_front(front)
        self.facts = self._describe(front, kube, pool_id, key_file)

    async def stop(self) -> None:
        await self._undo.aclose()

    def _meter(self) -> None:
        kept = journal.Journal(self.options.state_dir / journal.FILE)
        self._undo.callback(kept.close)
        self.cloud.meter.keep_journal(kept)

    async def _open_machines(self) -> tuple[Machines, KubeCluster]:
        options = self.options

        def cluster(*hosts: str) -> KubeCluster:
            folder = options.state_dir / "kube"
            version = KUBERNETES_VERSION
            return KubeCluster(
                self._clock, seed.CLUSTER_ID, version, folder, (LOOPBACK, "localhost", *hosts)
            )

        if options.machines == "real":
            from emulator.machines.real import RealMachines  # noqa: PLC0415  # Linux only

            real = RealMachines(
                options.settings, self._clock, options.state_dir, faults=self.faults
            )
            self._undo.push_async_callback(real.close)
            await real.open()
            return real, cluster(real.gateway_ip)
        from emulator.machines.paper import PaperMachines  # noqa: PLC0415  # as the other kind

        kube = cluster()
        paper = PaperMachines(
            options.settings, self._clock, kube.store, options.state_dir, self.faults
        )
        self._undo.push_async_callback(paper.close)
        await paper.open()
        return paper, kube

    async def _serve_kube(self, kube: KubeCluster, machines: Machines) -> tuple[str, str]:
        """Serve Kubernetes here and to machines; return both addresses."""
        here = bound(0)
        sockets = [here]
        url = f"https://{LOOPBACK}:{here.getsockname()[1]}"
        node_url = url
        if machines.kind == "real":
            there = machines.listen(KUBE_PORT)
            answer_at_once(there)
            sockets.append(there)
            node_url = f"https://{machines.gateway_ip}:{KUBE_PORT}"
        self._run(kube.run(sockets), kube.stop)
        return url, node_url

    async def _serve_front(self, front: socket.socket) -> None:
        requests = RequestLog(self.options.state_dir / "requests.jsonl")
        self._undo.callback(requests.close)
        connections = Connections()
        config = uvicorn.Config(
            front_app(self.cloud, requests, connections),
            http=connections.protocol(),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = PartServer(config)

        def end() -> None:
            server.end()
            connections.end()

        self._run(server.serve(sockets=[front]), end)
        while not server.started and not self.ended.is_set():
            await asyncio.sleep(0.01)

    def _run(self, serving: Coroutine[Any, Any, None], stop: Callable[[], None]) -> None:
        """Serve in the background; when it ends by itself, so does the emulator."""
        task = asyncio.ensure_future(serving)
        task.add_done_callback(self._end_of_server)

        async def end() -> None:
            stop()
            await asyncio.wait([task])

        self._undo.push_async_callback(end)

    def _end_of_server(self, task: asyncio.Future[Any]) -> None:
        self.ended.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a server of the local cloud ended: %s", error, exc_info=error)

    def _describe(
        self, front: socket.socket, kube: KubeCluster, pool_id: str, key_file: Path
    ) -> dict[str, Any]:
        """Return the ready line: what a client needs to know."""
        cloud, machines = self.cloud, self.cloud.machines
        endpoint = f"{LOOPBACK}:{front.getsockname()[1]}"
        account = cloud.account
        return {
            "ecs_endpoint": endpoint,
            "cs_endpoint": endpoint,
            "control_url": f"http://{endpoint}/_control",
            "kube_url": cloud.clusters[seed.CLUSTER_ID].kube_url,
            "kube_ca_file": str(kube.pki.ca_file.resolve()),
            "registry": machines.registry,
            "private_registry": machines.private_registry,
            "registry_username": machines.registry_login.username,
            "registry_password": machines.registry_login.password,
            "packages_url": machines.packages_url,
            "region_id": account.region_id,
            "zone_id": account.zone_id,
            "vswitch_id": account.vswitch_id,
            "security_group_id": account.security_group_id,
            "instance_type": seed.INSTANCE_TYPE,
            "image_id": seed.IMAGE_ID,
            "access_key_id": account.access_key_id,
            "access_key_secret": account.access_key_secret,
            "cluster_id": seed.CLUSTER_ID,
            "node_pool_id": pool_id,
            "machines": machines.kind,
            "ssh_user": machines.ssh_user,
            "ssh_port": machines.ssh_port,
            "ssh_private_key_file": str(key_file.resolve()) if pool_id else "",
            "workload_image": machines.workload_image(),
            "private_image": machines.private_image(),
            "simulated": simulated_settings(cloud),
        }


async def finished(work: asyncio.Future[Any], asked: asyncio.Event) -> bool:
    """Wait for the work; when asked to end before, cancel it and return False."""
    asking = asyncio.ensure_future(asked.wait())
    await asyncio.wait([work, asking], return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    if work.done():
        return True
    work.cancel()
    await asyncio.wait([work])
    return False


def answer_at_once(listener: socket.socket) -> None:
    """Send short answers without waiting for more to send; accepted sockets inherit it.

    asyncio does so only for sockets that were made with the protocol's number, and head and body
    of an answer are two writes: each call would take 40 ms, the time of a delayed ACK.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def bound(port: int) -> socket.socket:
    """Return a socket that has a port on loopback; its server will listen on it.

    :raises OSError: when the port is taken.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        answer_at_once(listener)
        listener.bind((LOOPBACK, port))
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, f"port {port} on {LOOPBACK}: {exc.strerror}") from exc
    return listener
