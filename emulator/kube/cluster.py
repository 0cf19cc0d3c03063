"""One Kubernetes cluster: its objects, its certificates, its tokens and its controllers."""

from __future__ import annotations

import asyncio
import secrets
import socket
from pathlib import Path

from emulator.clock import Clock
from emulator.kube.api import kube_app
from emulator.kube.authorization import ADMIN, NODE_PREFIX
from emulator.kube.controllers import EventExpiry, NodeMonitor
from emulator.kube.kubeconfig import kubeconfig_text
from emulator.kube.pki import create_pki
from emulator.kube.scheduler import Scheduler
from emulator.kube.server import KubeServer
from emulator.kube.store import KubeStore

_TOKEN_BYTES = 32


class KubeCluster:
    """What a cloud needs to run a cluster in its own process.

    :param hosts: names and addresses under which clients reach the API server.
    """

    def __init__(
        self, clock: Clock, cluster_id: str, version: str, folder: Path, hosts: tuple[str, ...]
    ) -> None:
        self.cluster_id = cluster_id
        self.version = f"v{version.removeprefix('v')}"
        self.store = KubeStore(clock)
        self.pki = create_pki(folder, hosts)
        self.tokens: dict[str, str] = {}
        self.admin_token = self._new_token(ADMIN)
        self.app = kube_app(self.store, self.tokens, version=self.version)
        self._server = KubeServer(self.app, self.pki)

    def kubeconfig(self, server_url: str) -> str:
        """Return the administrator's kubeconfig for one address of the API server."""
        return kubeconfig_text(server_url, self.pki.ca_pem, self.admin_token, self.cluster_id)

    def node_token(self, node_name: str) -> str:
        """Return a new token for one node's agent; it may change that node's objects only."""
        return self._new_token(NODE_PREFIX + node_name)

    def revoke_node(self, node_name: str) -> None:
        """Forget a node's tokens: its agent, should it still run, is refused from now on."""
        user = NODE_PREFIX + node_name
        for token in [token for token, known in self.tokens.items() if known == user]:
            del self.tokens[token]

    async def run(self, sockets: list[socket.socket]) -> None:
        """Serve and run the controllers until cancelled, or until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(Scheduler(self.store).run()),
                tasks.create_task(NodeMonitor(self.store).run()),
                tasks.create_task(EventExpiry(self.store).run()),
            ]
            try:
                await self._server.serve_on(sockets)
            finally:
                self.store.close()
                for task in work:
                    task.cancel()

    def stop(self) -> None:
        """Ask ``run`` to return once requests under way are answered."""
        self.store.close()
        self._server.end()

    def _new_token(self, user: str) -> str:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.tokens[token] = user
        return token
