"""The node agent: stands in for a kubelet on a real machine.

Real: containerd by CRI, pulls, containers and their exit codes. Emulated: registration (an API
call after a simulated delay) and what a kubelet measures of its machine (no pressure, ever).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .agent_api import ApiError, ApiUnreachableError, KubeApi
from .agent_events import Recorder
from .agent_images import ImagePullError, SystemImages
from .agent_node import NodeKeeper
from .agent_work import PodKeeper
from .cri import DEFAULT_SOCKET, Cri, CriError
from .log import log
from .node_objects import NodeFacts
from .objects import Obj
from .pod_report import NodeTools

JOIN_FILE = Path("/etc/ack/join.json")
LOOK_FOR_CRI_S = 0.02
SAY_WAITING_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM (0), or until the node cannot join (1, with the reason on stderr)."""
    parser = argparse.ArgumentParser(description="Stand-in for kubelet on a local machine.")
    parser.add_argument("--join", type=Path, default=JOIN_FILE, help="what node to be, as JSON")
    parser.add_argument("--socket", default=DEFAULT_SOCKET, help="containerd's CRI socket")
    options = parser.parse_args(arguments)
    join = json.loads(options.join.read_text(encoding="utf-8"))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A parent that handles signals itself may have passed its mask on.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        signal.signal(number, lambda *_: stop.set())
    agent = Agent(join, Cri(options.socket), stop)
    try:
        agent.run()
    except (ImagePullError, ApiError) as error:
        log(f"node {join['node_name']} does not join: {error}")
        return 1
    return 0


class Agent:
    """The steps of one node's life."""

    def __init__(self, join: Obj, cri: Cri, stop: threading.Event) -> None:
        self._join = join
        self._cri = cri
        self._stop = stop
        self._api = KubeApi(join["api_server"], join["ca_pem"], join["token"])

    def run(self) -> None:
        """Join, run Pods, and end them when told to stop.

        :raises ImagePullError: for a system image that cannot be pulled.
        :raises ApiError: when the API server refuses the node.
        """
        if not self._wait_for_runtime():
            return
        name = self._join["node_name"]
        recorder = Recorder(self._api, name)
        images = SystemImages(self._cri, recorder, name, self._join["system_images"])
        images.ensure(self._stop)
        # What a kubelet does between its start and its Node object; the same on every node.
        if self._stop.wait(self._join["kubelet_registration_s"]):
            return
        facts = read_facts(self._join, self._cri)
        node = NodeKeeper(facts, self._api, self._cri, recorder, images)
        if not self._register(node):
            return
        tell_service_manager()
        tools = NodeTools(self._cri, self._api, recorder, facts.name, facts.ip)
        pods = PodKeeper(tools, self._stop)
        pods.start()
        node.keep(self._stop)
        pods.end_all()
        node.say_shutdown()
        recorder.stop()

    def _wait_for_runtime(self) -> bool:
        """Return once containerd answers and is ready; False when told to stop before."""
        said = time.monotonic()
        while not self._stop.is_set():
            try:
                problem = self._cri.not_ready()
            except CriError as error:
                problem = str(error)
            if not problem:
                return True
            if time.monotonic() - said > SAY_WAITING_S:
                log(f"waiting for containerd: {problem}")
                said = time.monotonic()
            self._stop.wait(LOOK_FOR_CRI_S)
        return False

    def _register(self, node: NodeKeeper) -> bool:
        """Create the Node object, however long the API server is away."""
        pause_s = 0.1
        while not self._stop.is_set():
            try:
                node.register()
            except ApiUnreachableError as error:
                log(f"cannot register yet: {error}")
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, 5.0)
            else:
                return True
        return False


def read_facts(join: Obj, cri: Cri) -> NodeFacts:
    """Return what this machine is, from its kernel, its runtime and what it was told."""
    memory = Path("/proc/meminfo").read_text().split()
    boot = Path("/proc/sys/kernel/random/boot_id")
    return NodeFacts(
        name=join["node_name"],
        instance_id=join["instance_id"],
        node_pool_id=join["node_pool_id"],
        kubernetes_version=join["kubernetes_version"],
        runtime_version=cri.version().runtime_version.removeprefix("v").partition("~")[0],
        kernel=os.uname().release,
        cpus=os.cpu_count() or 1,
        memory_kib=int(memory[memory.index("MemTotal:") + 1]),
        machine_id=join["instance_id"],
        boot_id=boot.read_text().strip() if boot.exists() else "",
        labels=join.get("labels") or {},
        taints=join.get("taints") or (),
        unschedulable=bool(join.get("unschedulable")),
    )


def tell_service_manager() -> None:
    """Say over sd_notify that the node is registered, if someone listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b"READY=1", "\0" + address[1:] if address[0] == "@" else address)
