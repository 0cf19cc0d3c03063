"""What the cloud asks of the machines behind its instances, paper or real."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emulator.content.login import Login


@dataclass(frozen=True, slots=True)
class DiskAttachment:
    """A data disk as one machine sees it."""

    disk_id: str
    device: str  # such as /dev/vdb
    serial: str  # 20 characters, as DescribeDisks.SerialNumber
    size_gib: int


@dataclass(frozen=True, slots=True)
class NodeJoin:
    """What a machine needs to become a node of a cluster."""

    cluster_id: str
    node_pool_id: str
    instance_id: str
    node_name: str  # such as cn-hangzhou.198.18.0.11
    kubernetes_version: str
    runtime_version: str
    api_server: str  # URL as reached from the machine
    ca_pem: str
    token: str
    system_images: tuple[str, ...]  # full references, registry host included
    packages_url: str  # as reached from the machine
    kubelet_registration_s: float
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    unschedulable: bool = False


@dataclass(frozen=True, slots=True)
class MachineSpec:
    machine_id: str  # the instance id
    hostname: str
    private_ip: str  # from ``Machines.reserve_ip``
    authorized_keys: tuple[str, ...]  # OpenSSH public keys of root
    disks: tuple[DiskAttachment, ...]  # data disks in device order; the system disk is implied
    user_data: bytes = b""  # raw, after base64; for a node: what runs after joining
    pre_user_data: bytes = b""  # nodes only: what runs before ACK's own script
    node: NodeJoin | None = None
    name: str = ""  # the instance's

    @property
    def names(self) -> tuple[str, ...]:
        """Return by what a fault may name the machine."""
        return (self.machine_id, self.name)


class MachineError(Exception):
    """A machine or a disk could not be made, started, stopped or cloned."""


@dataclass(frozen=True, slots=True)
class Script:
    """What Cloud Assistant has a machine run, as its agent gets it."""

    script_id: str  # the invocation's
    content: bytes
    username: str = ""  # root when it names none
    working_dir: str = ""  # the user's home when it names none


class ScriptRefusedError(MachineError):
    """A machine has not what a script asks for.

    :param code: as DescribeInvocationResults gives it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunningScript(Protocol):
    """A script's process on a machine."""

    @property
    def output(self) -> bytes:
        """What is kept of all that it has said so far, on both streams in their order."""

    @property
    def dropped(self) -> int:
        """How many bytes of its output are not kept."""

    async def wait(self) -> int:
        """Return its exit code, -1 for a signal, without waiting for what it left running.

        :raises MachineError: when its machine died under it.
        """

    def kill(self, *, tree: bool) -> None:
        """Kill it at once, and with it all of its process group where ``tree`` is asked for."""

    def close(self) -> None:
        """Listen to it no more."""


class Machine(Protocol):
    @property
    def failure(self) -> str:
        """Why this machine will never be the node that it should be; empty where it may."""

    async def start(self) -> None:
        """Boot; return when the machine has started, before SSH or joining is done.

        :raises MachineError: naming the step that failed.
        """

    async def stop(self, *, force: bool = False) -> None:
        """Shut down in order (services stopped, disks unmounted), or cut the power."""

    async def destroy(self) -> None:
        """Remove all traces but the disks; a running machine is cut off first."""

    async def run_script(self, script: Script) -> RunningScript:
        """Start a script as the agent of Cloud Assistant does: without SSH, in a group of its own.

        It ends when the machine does.

        :raises ScriptRefusedError: for a user or a folder that the machine has not.
        :raises MachineError: when the machine does not run.
        """


class Machines(Protocol):
    """The machines, disks and snapshots of one account."""

    @property
    def kind(self) -> str:
        """``paper`` or ``real``."""

    @property
    def registry(self) -> str:
        """The registry's ``host:port``, as image references name it."""

    @property
    def private_registry(self) -> str:
        """The same of the registry that wants a login."""

    @property
    def registry_login(self) -> Login:
        """What opens the private registry."""

    @property
    def packages_url(self) -> str:
        """As reached from a machine and from here."""

    @property
    def ssh_user(self) -> str: ...

    @property
    def ssh_port(self) -> int: ...

    @property
    def gateway_ip(self) -> str:
        """The address under which machines reach the cloud's own services."""

    async def open(self) -> None:
        """Bring up the network, the registry and the package server."""

    async def close(self) -> None:
        """Stop everything and leave nothing behind."""

    def listen(self, port: int) -> socket.socket:
        """Return a listening socket at ``gateway_ip``, reachable from the machines."""

    def runtime_version(self) -> str:
        """Return the containerd version of nodes, such as ``1.6.20``."""

    def system_images(self) -> tuple[str, ...]: ...

    def workload_image(self) -> str: ...

    def private_image(self) -> str:
        """Return the image that is in the private registry."""

    def reserve_ip(self, machine_id: str) -> str:
        """Return a free address for a machine to be; the same one when asked again."""

    def machine(self, spec: MachineSpec) -> Machine:
        """Describe a machine; nothing is started. ``destroy`` gives its address back."""

    async def create_disk(
        self, disk_id: str, size_gib: int, *, snapshot_id: str | None = None
    ) -> None: ...

    async def delete_disk(self, disk_id: str) -> None: ...

    async def create_snapshot(self, snapshot_id: str, disk_id: str) -> int:
        """Clone the disk as it is now and return its allocated bytes."""

    async def delete_snapshot(self, snapshot_id: str) -> None: ...
