"""Machines that are nothing at all, for tests of what the cloud does around them.

A node is Ready as soon as its machine has started. Any step can be told to fail or to wait.
"""

from __future__ import annotations

import asyncio
import socket

from emulator.content.login import Login
from emulator.kube.store import KubeStore
from emulator.machines.base import MachineError, MachineSpec, Script, ScriptRefusedError


class NullScript:
    """A script that says and does nothing; it ends when a test says how, or when it is killed."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.output = b""
        self.dropped = 0
        self.killed = ""  # how much of it
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    def end(self, code: int = 0, output: bytes = b"") -> None:
        self.output += output
        if not self._code.done():
            self._code.set_result(code)

    def lose(self) -> None:
        """Have its machine die under it."""
        self._code.set_exception(MachineError("died on purpose"))

    def kill(self, *, tree: bool) -> None:
        self.killed = "tree" if tree else "process"
        self.end(-1)

    def close(self) -> None: ...


class NullMachine:
    def __init__(self, spec: MachineSpec, machines: NullMachines) -> None:
        self.spec = spec
        self._machines = machines
        self._scripts: list[NullScript] = []
        self.failure = ""  # a test may say that it never joins

    async def start(self) -> None:
        await self._machines.step("start", self.spec.machine_id)
        node = self.spec.node
        if node is not None and self._machines.nodes_join:
            self._machines.add_node(node.node_name, node.instance_id)

    async def run_script(self, script: Script) -> NullScript:
        await self._machines.step("run script", self.spec.machine_id)
        if self._machines.refuses:
            raise ScriptRefusedError(self._machines.refuses, "on purpose")
        self._scripts.append(NullScript(script))
        self._machines.scripts.append(self._scripts[-1])
        return self._scripts[-1]

    def _end_scripts(self) -> None:
        for script in self._scripts:
            script.kill(tree=True)

    async def stop(self, *, force: bool = False) -> None:
        self._end_scripts()
        await self._machines.step("force stop" if force else "stop", self.spec.machine_id)

    async def destroy(self) -> None:
        self._end_scripts()
        await self._machines.step("destroy", self.spec.machine_id)
        self._machines.addresses.pop(self.spec.machine_id, None)


class NullMachines:
    kind = "paper"
    registry = "127.0.0.1:1"
    private_registry = "127.0.0.1:2"
    registry_login = Login("robot", "null")
    packages_url = "http://127.0.0.1:1"
    ssh_user = "root"
    ssh_port = 22
    gateway_ip = "127.0.0.1"

    def __init__(self, kube: KubeStore) -> None:
        self._kube = kube
        self.steps: list[tuple[str, str]] = []
        self.fails: set[str] = set()  # names of steps
        self.stumbles: set[str] = set()  # those that raise what no machine may
        self.held: dict[str, asyncio.Event] = {}  # steps that wait until the event is set
        self.scripts: list[NullScript] = []  # all that were run, in their order
        self.refuses = ""  # the code with which scripts are refused
        self.specs: dict[str, MachineSpec] = {}
        self.addresses: dict[str, str] = {}
        self.disks: dict[str, str | None] = {}  # disk -> the snapshot it came from
        self.snapshots: dict[str, str] = {}
        self.nodes_join = True

    async def step(self, name: str, what: str) -> None:
        self.steps.append((name, what))
        if name in self.held:
            await self.held[name].wait()
        if name in self.fails:
            raise MachineError(f"{what}: {name} failed on purpose")
        if name in self.stumbles:
            raise ValueError(f"{what}: {name} stumbled on purpose")

    def add_node(self, name: str, instance_id: str) -> None:
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        if name in {node["metadata"]["name"] for node in self._kube.list("nodes")}:  # a restart
            self._kube.patch("nodes", None, name, {"status": status}, subresource="status")
            return
        self._kube.create(
            "nodes",
            {
                "metadata": {"name": name},
                "spec": {"providerID": f"cn-hangzhou.{instance_id}"},
                "status": status,
            },
        )

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def listen(self, port: int) -> socket.socket:
        raise MachineError(f"null machines have no network to listen on at {port}")

    def runtime_version(self) -> str:
        return "1.6.20"

    def system_images(self) -> tuple[str, ...]:
        return ("127.0.0.1:1/acs/kube-proxy:v1.32.1-aliyun.1",)

    def workload_image(self) -> str:
        return "127.0.0.1:1/ac2/qwen:7b"

    def private_image(self) -> str:
        return "127.0.0.1:2/team/reranker:2"

    def reserve_ip(self, machine_id: str) -> str:
        if "address" in self.fails:
            raise MachineError(f"{machine_id}: no address left")
        taken = set(self.addresses.values())
        free = (f"127.77.0.{host}" for host in range(10, 250))
        return self.addresses.setdefault(machine_id, next(ip for ip in free if ip not in taken))

    def machine(self, spec: MachineSpec) -> NullMachine:
        self.specs[spec.machine_id] = spec
        return NullMachine(spec, self)

    async def create_disk(
        self, disk_id: str, size_gib: int, *, snapshot_id: str | None = None
    ) -> None:
        await self.step("create disk", disk_id)
        self.disks[disk_id] = snapshot_id

    async def delete_disk(self, disk_id: str) -> None:
        await self.step("delete disk", disk_id)
        del self.disks[disk_id]

    async def create_snapshot(self, snapshot_id: str, disk_id: str) -> int:
        await self.step("snapshot", snapshot_id)
        self.snapshots[snapshot_id] = disk_id
        return 4096

    async def delete_snapshot(self, snapshot_id: str) -> None:
        await self.step("delete snapshot", snapshot_id)
        del self.snapshots[snapshot_id]
