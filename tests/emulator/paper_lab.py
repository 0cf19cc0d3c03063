"""One paper machine with a data disk, and ways to reach it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import requests

from emulator.clock import Clock
from emulator.faults import (
    Faults,
)
from emulator.kube.store import KubeStore
from emulator.machines.base import DiskAttachment, MachineSpec
from emulator.machines.paper import PaperMachines
from emulator.machines.paper_machine import PaperMachine
from emulator.settings import Settings

REMOTE = Path(__file__).parents[2] / "include/ack_preload/remote"
KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode()
SERIAL = "bp1c0ffee00000000001"
UUID = "4b1d0000-0000-5000-8000-000000000001"
COREDNS = "acs/coredns"
WITH_RUNTIME = """set -e; mkfs.ext4 -q /dev/vdb; mkdir -p /mnt/d; mount /dev/vdb /mnt/d
    mkdir -p /mnt/d/containerd /var/lib/containerd
    mount --bind /mnt/d/containerd /var/lib/containerd
    yum install -y containerd-1.6.20 >/dev/null; systemctl start containerd"""


class Lab:
    """One paper machine with a data disk, and ways to reach it."""

    def __init__(self, machines: PaperMachines, machine: PaperMachine, faults: Faults) -> None:
        self.machines, self.machine, self.faults = machines, machine, faults

    @contextlib.asynccontextmanager
    async def connection(
        self, known_hosts: asyncssh.SSHKnownHosts | None = None
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        async with asyncssh.connect(
            self.machine.spec.private_ip,
            self.machines.ssh_port,
            username="root",
            client_keys=[KEY],
            known_hosts=known_hosts,
        ) as connection:
            yield connection

    async def run(self, command: str, stdin: str = "") -> asyncssh.SSHCompletedProcess:
        async with self.connection() as connection:
            return await connection.run(command, input=stdin)

    async def pull(self, image: str = "") -> str:
        """Pull an image, and return what was said when that fails."""
        done = await self.run(f"crictl pull {image or self.image(COREDNS)}")
        return str(done.stderr).strip() if done.exit_status else ""

    def image(self, repository: str) -> str:
        images = (*self.machines.system_images(), self.machines.workload_image())
        return next(each for each in images if f"/{repository}:" in each)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.machines.packages_url}{path}", timeout=30)

    def digest(self) -> str:
        tag = self.image(COREDNS).rpartition(":")[2]
        return self.get(f"/v2/{COREDNS}/manifests/{tag}").headers["Docker-Content-Digest"]


@contextlib.asynccontextmanager
async def paper_lab(tmp_path: Path) -> AsyncIterator[Lab]:
    clock, faults = Clock(), Faults()
    machines = PaperMachines(Settings(), clock, KubeStore(clock), tmp_path, faults)
    await machines.open()
    await machines.create_disk("d-1", 40)
    spec = MachineSpec(
        machine_id="i-1",
        name="builder",
        hostname="builder",
        private_ip=machines.reserve_ip("i-1"),
        authorized_keys=(PUBLIC,),
        disks=(DiskAttachment("d-1", "/dev/vdb", SERIAL, 40),),
    )
    machine = machines.machine(spec)
    await machine.start()
    yield Lab(machines, machine, faults)
    await machines.close()
